"""What a command says, and where: results on stdout, everything else on stderr, in Chinese or English.

In: the language chosen, whether a program reads along (`--json`). Out: text for people through rich, or one JSON
document on stdout. It exists so that no command can mix the two, and so that every text is said in one language at
a time. Lines of mixed Chinese and English break where a reader expects it: rich breaks at blanks only, which leaves
ragged lines in Chinese, where a line breaks between any two characters but never before closing or after opening
punctuation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from indexer.wording import T_, Language, recognised, said

STAGES = {
    "model": T_("preparing the model (once)"),
    "index": T_("building the index"),
    "match": T_("matching"),
}
"""What the stages of a long job are called; any other name is an encoder's."""


def write_document(value: object) -> None:
    """Write one JSON document to stdout, as UTF-8 whatever the terminal's encoding is."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    # Half characters, which only a broken argument can bring in, become JSON escapes.
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


class Screen:
    """The two streams and the language of one command."""

    def __init__(self, language: Language = Language.ZH) -> None:
        self.language = language
        self.out = Console(highlight=False, markup=False, emoji=False)
        self.err = Console(highlight=False, markup=False, emoji=False, stderr=True)

    @classmethod
    def of(cls, context: typer.Context) -> Screen:
        """Return the screen of a command with the language given before it."""
        return cls(context.obj if isinstance(context.obj, Language) else Language.ZH)

    def text(self, text: str) -> str:
        """Return a text in the chosen language."""
        return said(text, self.language)

    def say(self, text: str, style: str = "") -> None:
        """Print a result."""
        self.out.print(Text(self.text(text), style))

    def note(self, text: str) -> None:
        """Print what is not the result, on stderr."""
        self.err.print(Text(self.text(text), "dim"), soft_wrap=True)

    def complain(self, message: str, style: str = "red") -> None:
        """Print an error or a warning as one line on stderr, so that it can be searched; in the chosen language."""
        self.err.print(Text(said(recognised(message), self.language), style), soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning that nobody can overlook, on stderr."""
        warning = T_("Warning: %(message)s", message=recognised(message))
        self.err.print(Text(self.text(warning), "bold black on yellow"))

    @contextmanager
    def progress(self, *, in_words: bool = False) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar per stage on stderr; yields the function to call with stage, done and total.

        Args:
            in_words: the stages are called what is to be shown.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=self.err) as bars:
            tasks: dict[str, TaskID] = {}

            def tell(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    named = stage if in_words else STAGES.get(stage, T_("vectors %(stage)s", stage=stage))
                    tasks[stage] = bars.add_task(self.text(named))
                bars.update(tasks[stage], completed=done, total=total)

            yield tell


def finish(refused: Any) -> None:
    """End the command with exit code 1 if something was refused."""
    if refused:
        raise typer.Exit(1)


_NEVER_FIRST = frozenset("，。、；：！？）」』》】〉,.;:!?)]}”’…%％")
_NEVER_LAST = frozenset("（「『《【〈([{“‘")
_NARROWEST = 20


def break_offsets(text: str, width: int) -> list[int]:
    """Return where each line after the first begins, so that no line is wider than `width` cells.

    A word wider than a line is cut.
    """
    offsets: list[int] = []
    used, opportunity = 0, 0
    for i, character in enumerate(text):
        size = cell_len(character)
        if used + size > width and character != " ":
            offsets.append(opportunity or i)
            used = cell_len(text[offsets[-1] : i])
            opportunity = 0
        used += size
        if _may_break(character, text[i + 1 : i + 2]):
            opportunity = i + 1
    return offsets


def _may_break(before: str, after: str) -> bool:
    if not after or after == " " or after in _NEVER_FIRST or before in _NEVER_LAST:
        return False
    return before == " " or cell_len(before) > 1 or cell_len(after) > 1


class Paragraph:
    """A text that starts after `lead`, all its lines in the same column."""

    def __init__(self, text: Text | str, *, indent: int = 0, lead: Text | str = "") -> None:
        self.text = Text(text) if isinstance(text, str) else text
        self.lead = Text(lead) if isinstance(lead, str) else lead
        self.indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        column = self.indent + self.lead.cell_len
        width = max(options.max_width - column, _NARROWEST)
        first = Text(" " * self.indent) + self.lead
        for part in self.text.split("\n", allow_blank=True):
            for line in part.divide(break_offsets(part.plain, width)):
                line.rstrip()
                yield Text("", no_wrap=True, overflow="ignore") + first + line
                first = Text(" " * column)
