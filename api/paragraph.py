"""Lines of mixed Chinese and English that break where a reader expects it.

In: a styled text and the width of the terminal. Out: its lines, indented. It
exists because rich breaks at blanks only, which leaves ragged lines in
Chinese: Chinese breaks between any two characters, but never before closing
or after opening punctuation.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

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
