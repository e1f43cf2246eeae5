"""The cells of a worksheet, with the date formats that its workbook keeps apart.

In: the elements of a workbook's parts, one after another. Out: rows of values: texts, numbers, dates, and in place of
what can't be read an `Unreadable`. It exists to know what the elements mean, and nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel, from_ISO8601

from indexer.grids import Grid, Room, Unreadable
from indexer.wording import T_
from indexer.workbook_parts import Attributes, MarkupError
from indexer.workbook_texts import Collected, unescaped

MAX_SHEET_ROWS = 1_048_576
MAX_SHEET_COLUMNS = 16_384
_MAX_FORMAT_CHARS = 255
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?[0-9]{1,7}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")


def is_true(word: str) -> bool:
    """Return a truth as XML Schema writes it."""
    return word.strip() in ("1", "true", "on")


class Styles:
    """Which styles of cells show dates, and from when dates count."""

    def __init__(self, *, since_1904: bool) -> None:
        self._since = CALENDAR_MAC_1904 if since_1904 else CALENDAR_WINDOWS_1900
        self._formats: dict[str, str] = {}
        self._shown: list[str] = []
        self._in_cells = False

    def start(self, name: str, attributes: Attributes) -> None:
        """Note that an element of the styles begins."""
        if name == "numFmt":
            self._formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:_MAX_FORMAT_CHARS]
        elif name == "cellXfs":
            self._in_cells = True
        elif name == "xf" and self._in_cells:
            self._shown.append(attributes.get("numFmtId", "0"))

    def end(self, name: str) -> None:
        """Note that an element of the styles ends."""
        if name == "cellXfs":
            self._in_cells = False

    def as_shown(self, number: float, style: str | None) -> object:
        """Return a number, or the date that its style makes of it."""
        if not style or not style.isdecimal() or len(style) > 9 or int(style) >= len(self._shown):
            return number
        key = self._shown[int(style)]
        code = self._formats.get(key) or (BUILTIN_FORMATS.get(int(key)) if key.isdecimal() and len(key) < 9 else None)
        if code is None or not is_date_format(code):
            return number
        try:
            when: object = from_excel(number, self._since, timedelta=is_timedelta_format(code))
        except (OverflowError, ValueError):
            return Unreadable(T_("the date number %(number)s", number=f"{number:g}"))
        return (
            when
            if isinstance(when, date | time | timedelta)
            else Unreadable(T_("the date number %(number)s", number=f"{number:g}"))
        )


class SheetCells:
    """A worksheet on its way into a grid."""

    def __init__(self, grid: Grid, room: Room, styles: Styles, shared: Sequence[str | Unreadable]) -> None:
        self.grid = grid
        self._room, self._styles, self._shared = room, styles, shared
        self._row, self._column = 0, 0
        self._cells: dict[int, object] = {}
        self._cell: Attributes = {}
        self._wanted = "v"
        self._collected = Collected()
        self.text = self._collected.text

    def start(self, name: str, attributes: Attributes) -> None:
        """Note that an element begins."""
        if name == "c":
            self._cell = attributes
            self._column = self._place(attributes.get("r"))
            self._wanted = "t" if attributes.get("t") == "inlineStr" else "v"
            self._collected.begin()
        elif name == "row":
            self._row = _row_number(attributes.get("r"), self._row + 1)
            self._column = 0
            self._cells = {}
        else:
            self._collected.open(name, self._wanted)

    def end(self, name: str) -> None:
        """Note that an element ends."""
        if name == "c":
            value = self._value()
            if value is not None and value != "":
                self._cells[self._column] = value
            self._collected.begin()
        elif name == "row":
            if self._cells:
                width = max(self._cells)
                self._room.add(self.grid, self._row, [self._cells.get(n) for n in range(1, width + 1)])
            self._cells = {}
        else:
            self._collected.close(name, self._wanted)

    def _place(self, reference: str | None) -> int:
        if reference is None:
            column = self._column + 1
        elif match := _PLACE.fullmatch(reference):
            column = 0
            for letter in match[1]:
                column = column * 26 + ord(letter) - 64
        else:
            raise MarkupError(T_("a cell has no place"))
        if column > MAX_SHEET_COLUMNS:
            raise MarkupError(T_("a cell is beyond the last column"))
        return column

    def _value(self) -> object:
        found = self._collected.value()
        if found is None or isinstance(found, Unreadable):
            return found
        kind, word = self._cell.get("t", "n"), found.strip()
        if kind in ("inlineStr", "str"):
            return unescaped(found)
        if kind == "s":
            known = word.isdecimal() and len(word) < 9 and int(word) < len(self._shared)
            return self._shared[int(word)] if known else Unreadable(T_("a text that the workbook does not have"))
        if kind == "n" and word:
            return _number(word, self._cell.get("s"), self._styles)
        return _special(kind, word) if word else None


def _special(kind: str, word: str) -> object:
    """Return a truth or a moment; anything else, such as #N/A, is not a value."""
    if kind == "b" and word in ("0", "1", "true", "false"):
        return is_true(word)
    return _moment(word) if kind == "d" else Unreadable(word)


def _row_number(given: str | None, following: int) -> int:
    row = following
    if given is not None:
        if not (given.isdecimal() and len(given) < 9):
            raise MarkupError(T_("a row has no number"))
        row = int(given)
    if not 1 <= row <= MAX_SHEET_ROWS:
        raise MarkupError(T_("a row is beyond the last"))
    return row


def _number(word: str, style: str | None, styles: Styles) -> object:
    if _WHOLE.fullmatch(word):
        number: float = int(word)
        return styles.as_shown(number, style)
    try:
        number = float(word)
    except ValueError:
        return Unreadable(word)
    return styles.as_shown(number, style) if number - number == 0 else Unreadable(word)


def _moment(word: str) -> object:
    read: Callable[[str], object] = from_ISO8601
    try:
        return read(word) or Unreadable(word)
    except (OverflowError, ValueError):
        return Unreadable(word)
