"""The texts of a workbook: those in its cells, and those that cells share and refer to by number.

In: the elements of a part, one after another. Out: their texts, or in place of one that is too long an `Unreadable`.
It exists because a text may stand in several elements, beside hints of how it is read that are no part of it.
"""

from __future__ import annotations

import re

from indexer.grids import MAX_CELL_CHARS, TooMuchError, Unreadable
from indexer.wording import T_
from indexer.workbook_parts import Attributes

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Collected:
    """The text of the elements that count: an item of shared strings, a value, an inline string; no phonetic hints."""

    def __init__(self) -> None:
        self._pieces: list[str] | None = None
        self._chars = 0
        self._open = False
        self._hints = 0

    def begin(self) -> None:
        """Forget what was collected."""
        self._pieces, self._chars, self._open, self._hints = None, 0, False, 0

    def open(self, name: str, wanted: str) -> None:
        """Note that an element begins; the texts of those of the wanted name count."""
        if name == "rPh":
            self._hints += 1
        elif name == wanted and not self._hints:
            self._open = True
            if self._pieces is None:
                self._pieces = []

    def close(self, name: str, wanted: str) -> None:
        """Note that an element ends."""
        if name == "rPh":
            self._hints -= 1
        elif name == wanted:
            self._open = False

    def text(self, piece: str) -> None:
        """Take a piece of text."""
        if self._open and self._pieces is not None:
            self._chars += len(piece)
            if self._chars <= MAX_CELL_CHARS:
                self._pieces.append(piece)

    def value(self) -> str | Unreadable | None:
        """Return what was collected, None if there was no such element."""
        if self._chars > MAX_CELL_CHARS:
            return Unreadable(
                T_("a text of more than %(max_cell_chars)s characters", max_cell_chars=f"{MAX_CELL_CHARS:,}")
            )
        return None if self._pieces is None else "".join(self._pieces)


class Shared:
    """The texts that cells refer to by number."""

    def __init__(self, most_chars: int) -> None:
        self.texts: list[str | Unreadable] = []
        self._most, self._left = most_chars, most_chars
        self._collected = Collected()
        self.text = self._collected.text

    def start(self, name: str, _: Attributes) -> None:
        """Note that an element begins."""
        if name == "si":
            self._collected.begin()
        else:
            self._collected.open(name, "t")

    def end(self, name: str) -> None:
        """Note that an element ends."""
        if name != "si":
            self._collected.close(name, "t")
            return
        found = self._collected.value() or ""
        self._left -= len(found) if isinstance(found, str) else MAX_CELL_CHARS
        if self._left < 0:
            raise TooMuchError(
                T_("holds more than %(most)s characters", most=f"{self._most:,}"), T_("split it into smaller workbooks")
            )
        self.texts.append(unescaped(found))


def unescaped(value: str | Unreadable) -> str | Unreadable:
    """Return a text with the characters that XML can't hold, and that are written as _xHHHH_."""
    if isinstance(value, Unreadable) or "_x" not in value:
        return value
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
