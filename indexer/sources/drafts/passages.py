"""A draft: what a text seems to say, field by field, each with the places that it was taken from.

In: a text. Out: its lines with their places, labels such as 預算： and what stands behind them, and the draft that the
readers of this folder make. It exists because nobody should have to believe a program that has read a letter: whoever
confirms the draft sees beside each field the words it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_LABEL_CHARS = 24


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of the text, by the places of its first character and of the one after its last."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the words."""
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class DraftField:
    """One field of a draft: its value as the exchange format has it, and where it was found."""

    name: str
    value: Any
    passages: tuple[Passage, ...]


@dataclass
class Draft:
    """What a text seems to say; `notes` is what whoever confirms it should know."""

    text: str
    fields: list[DraftField] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any, *passages: Passage) -> None:
        """Note a field; what is empty is none."""
        if value not in (None, "", [], ()):
            self.fields.append(DraftField(name, value, passages))

    def values(self) -> dict[str, Any]:
        """Return the fields without their passages."""
        return {one.name: one.value for one in self.fields}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text with its place."""

    start: int
    text: str

    @property
    def passage(self) -> Passage:
        """The line's place, without blanks around it."""
        begin = self.start + len(self.text) - len(self.text.lstrip())
        return Passage(begin, self.start + len(self.text.rstrip()))


def lines_of(text: str) -> list[Line]:
    """Return the lines of a text, empty ones too."""
    found, start = [], 0
    for line in text.split("\n"):
        found.append(Line(start, line))
        start += len(line) + 1
    return found


@dataclass(frozen=True, slots=True)
class Labelled:
    """What stands behind a label: its field, and the lines from there to the next label or blank line."""

    name: str
    lines: tuple[Line, ...]
    heading: Line

    @property
    def text(self) -> str:
        """The words behind the label."""
        return "\n".join(line.text for line in self.lines).strip()

    @property
    def passage(self) -> Passage:
        """The place of those words."""
        said = [line.passage for line in self.lines if line.text.strip()]
        return Passage(said[0].start, said[-1].end) if said else self.heading.passage


class Labels:
    """The labels of one kind of document: which words name which field."""

    def __init__(self, words: Mapping[str, str], *, prose: Iterable[str] = ()) -> None:
        """Take the words.

        Args:
            words: for each field the words that people write before it, separated by `|`.
            prose: the fields that go on over blank lines.
        """
        self._fields = {
            _plain(word): name for name, several in words.items() for word in several.split("|") if word.strip()
        }
        self._prose = frozenset(prose)

    def found(self, lines: list[Line]) -> list[Labelled]:
        """Return the labelled parts of a text in reading order."""
        heads = [(n, *said) for n, line in enumerate(lines) if (said := self._label(line)) is not None]
        ends = [*(n for n, _, _ in heads[1:]), len(lines)][: len(heads)]
        return [
            Labelled(name, tuple(self._behind(lines, n, end, rest, name)), lines[n])
            for (n, name, rest), end in zip(heads, ends, strict=True)
        ]

    def _label(self, line: Line) -> tuple[str, Line] | None:
        """Return the field that a line names at its beginning, and what of the line stands behind the label."""
        begin = _BULLET.match(line.text)
        offset = begin.end() if begin else 0
        text = line.text[offset:]
        colon = re.search(r"[:：]|\s[-–—]\s", text[: _LABEL_CHARS + 1])
        if colon is not None:
            name = self._fields.get(_plain(text[: colon.start()]))
            if name is not None:
                return name, Line(line.start + offset + colon.end(), text[colon.end() :])
        name = self._fields.get(_plain(text)) if 0 < len(text) <= _LABEL_CHARS else None
        return None if name is None else (name, Line(line.start + len(line.text), ""))

    def _behind(self, lines: list[Line], n: int, end: int, rest: Line, name: str) -> Iterator[Line]:
        if rest.text.strip():
            yield rest
            if name not in self._prose:
                return
        begun = False
        for line in lines[n + 1 : end]:
            if name not in self._prose and not line.text.strip():
                if begun:
                    return
                continue
            begun = True
            yield line


_BULLET = re.compile(
    r"\s*(?:[-•●▪◆■□※*·]|\(?[0-9０-９]{1,2}[.、)）](?![0-9])|[（(]?[一二三四五六七八九十]{1,2}[、.)）])\s*"
)


def without_bullet(line: Line) -> Line | None:
    """Return what stands behind a bullet or number at a line's beginning, None if there is none."""
    found = _BULLET.match(line.text)
    if found is None or not line.text[found.end() :].strip():
        return None
    return Line(line.start + found.end(), line.text[found.end() :])


def _plain(word: str) -> str:
    return re.sub(r"[\s【】\[\]()（）*#_:：]+", "", word).casefold()


def matches_of(pattern: re.Pattern[str], text: str, group: int = 0) -> Iterator[tuple[str, Passage]]:
    """Yield what a pattern finds, with its place."""
    for found in pattern.finditer(text):
        yield found[group], Passage(*found.span(group))
