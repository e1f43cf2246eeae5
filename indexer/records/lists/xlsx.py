"""XLSX and ODS workbooks into grids of cells.

In: the bytes of a file, which is a ZIP archive of XML files. Out: a grid for each worksheet, of formulas the values
that the spreadsheet program stored, in place of what can't be read an `Unreadable`, or why the file can't be read.
It exists beside openpyxl, which writes our workbooks, because a reader of strangers' files has to bound what they
unfold into (high ratios, entities, elements without end): what is unpacked is counted as it comes, and a document
type, where entities are defined, is refused before anything of it is read. And because one cell that can't be read
must cost its row and not the file.

First come the archive's parts, then the texts that cells hold or share, then cells with their date formats, then
the sheets; last ODS, which has all sheets in one part and says with each cell what it holds.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from posixpath import dirname, join, normpath
from types import TracebackType
from typing import Any, NoReturn, Self
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel, from_ISO8601

from indexer.plain_text import printable
from indexer.records.exchange import RowProblem
from indexer.records.lists.grids import MAX_CELL_CHARS, MAX_CHARS, Grid, Room, TooMuchError, Unreadable
from indexer.wording import T_

MAX_UNZIPPED_BYTES = 200_000_000
MAX_PARTS = 2_000
MAX_MARKUP = 8_000_000
"""Elements and attributes in all parts that are read."""
_MAX_TOKEN_BYTES = 300_000
"""Of one tag; expat reads a longer one again with each piece of it that comes."""
_CHUNK_BYTES = 2**16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

Attributes = Mapping[str, str]
Start = Callable[[str, Attributes], None]
"""Called with an element's name without its namespace, and its attributes, those of other namespaces as "NS name"."""


class MarkupError(ValueError):
    """A part holds what no spreadsheet program writes; the message says what."""


class Parts:
    """The parts of a workbook, open for reading."""

    def __init__(self, data: bytes) -> None:
        """Open an archive.

        Raises:
            TooMuchError: it has more parts, or unpacks to more, than may be read.
            zipfile.BadZipFile, OSError, ValueError, NotImplementedError: it isn't one.
        """
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._markup = MAX_MARKUP
        entries = self._archive.infolist()
        unzipped = sum(entry.file_size for entry in entries)
        if unzipped > MAX_UNZIPPED_BYTES:
            right = T_(
                "split it into workbooks under %(max_unzipped_bytes)s MB",
                max_unzipped_bytes=f"{MAX_UNZIPPED_BYTES / 1e6:,.0f}",
            )
            raise TooMuchError(T_("unpacks to %(unzipped)s MB", unzipped=f"{unzipped / 1e6:,.0f}"), right)
        if len(entries) > MAX_PARTS:
            raise TooMuchError(
                T_("is packed from %(parts)s files", parts=f"{len(entries):,}"),
                T_("save it again with at most %(max_parts)s", max_parts=f"{MAX_PARTS:,}"),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def parse(
        self,
        name: str,
        start: Start,
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        """Parse a part, calling what is given for each element's start and end and for text.

        Raises:
            KeyError: there is no such part.
            TooMuchError: it holds more than may be read.
            MarkupError, expat.ExpatError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError: it can't be read.
        """
        entry = self._archive.getinfo(name)
        if entry.compress_type not in _METHODS:
            raise MarkupError(T_("a part is packed in an unusual way"))
        parser = self._parser(start, end, text)
        fed = 0
        with self._archive.open(entry) as file:
            while chunk := file.read(_CHUNK_BYTES):
                parser.Parse(chunk)
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > _MAX_TOKEN_BYTES:
                    raise MarkupError(T_("a tag is too long"))
        parser.Parse(b"", True)

    def _parser(self, start: Start, end: Callable[[str], None] | None, text: Callable[[str], None] | None) -> Any:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.buffer_size = _CHUNK_BYTES
        parser.StartDoctypeDeclHandler = _refuse_document_type

        def started(name: str, attributes: Attributes) -> None:
            self._markup -= 1 + len(attributes)
            if self._markup < 0:
                raise TooMuchError(
                    T_("holds more than %(max_markup)s elements", max_markup=f"{MAX_MARKUP:,}"),
                    T_("split it into smaller workbooks"),
                )
            start(name[name.rfind(" ") + 1 :], attributes)

        parser.StartElementHandler = started
        if end is not None:
            parser.EndElementHandler = lambda name: end(name[name.rfind(" ") + 1 :])
        parser.CharacterDataHandler = text
        return parser


def _refuse_document_type(*_: object) -> NoReturn:
    raise MarkupError(T_("a part defines a document type"))


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


MAX_SHEET_ROWS = 1_048_576
MAX_SHEET_COLUMNS = 16_384
_MAX_FORMAT_CHARS = 255
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?[0-9]{1,7}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,300}")
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7}):\$?([A-Z]{1,3})\$?([0-9]{1,7})")
_MAX_MERGED, _MAX_MERGED_ROWS = 20_000, 5_000
_LEADING_ZEROS = re.compile("0{2,20}")
"""The format of numbers that are shown with zeros before them, such as 00012345."""


def _column_number(letters: str) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return column


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
        if code is not None and _LEADING_ZEROS.fullmatch(code) and number == int(number) and number >= 0:
            return str(int(number)).zfill(len(code))
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
        self._has_formula = False
        self._collected = Collected()
        self.text = self._collected.text

    def start(self, name: str, attributes: Attributes) -> None:
        """Note that an element begins."""
        if name == "c":
            self._has_formula = False
            self._cell = attributes
            self._column = self._place(attributes.get("r"))
            self._wanted = "t" if attributes.get("t") == "inlineStr" else "v"
            self._collected.begin()
        elif name == "row":
            self._row = _row_number(attributes.get("r"), self._row + 1)
            self._column = 0
            self._cells = {}
            if is_true(attributes.get("hidden", "0")):
                self.grid.hidden_rows.add(self._row)
        elif name == "f":
            self._has_formula = True
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "filterColumn":
            self.grid.is_filtered = True
        else:
            self._collected.open(name, self._wanted)

    def _merge(self, reference: str) -> None:
        if (found := _RANGE.fullmatch(reference)) is None or len(self.grid.merged) >= _MAX_MERGED:
            return
        left, first, right, last = found.groups()
        if int(last) - int(first) < _MAX_MERGED_ROWS:
            self.grid.merged.append((int(first), _column_number(left), int(last), _column_number(right)))

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
            column = _column_number(match[1])
        else:
            raise MarkupError(T_("a cell has no place"))
        if column > MAX_SHEET_COLUMNS:
            raise MarkupError(T_("a cell is beyond the last column"))
        return column

    def _value(self) -> object:
        found = self._collected.value()
        if self._has_formula and not found and self._cell.get("t") != "str":
            return Unreadable(T_("a formula without a value (open the workbook and save it once)"))
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


MAX_SHEETS = 100
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, expat.ExpatError),
    *(EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError),
)
"""What unpacking and parsing raise on a damaged file; a bad value in a cell raises nothing."""


def read_xlsx(data: bytes, name: str) -> tuple[list[Grid], list[RowProblem]]:
    """Return the sheets of a workbook, or what keeps it from being read."""
    try:
        with Parts(data) as parts:
            return _grids(parts), []
    except TooMuchError as error:
        return [], [RowProblem(name, 0, "", error.wrong, error.right)]
    except _BROKEN as error:
        known = "" if isinstance(error, zipfile.BadZipFile) else f" ({printable(type(error).__name__)})"
        return [], [
            RowProblem(
                name, 0, "", T_("is not a readable XLSX workbook%(known)s", known=known), T_("save it again as .xlsx")
            )
        ]


@dataclass(slots=True)
class _Book:
    """What the workbook's own part says: its sheets as (title, relationship), and where its dates begin."""

    sheets: list[tuple[str, str]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    since_1904: bool = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sheet":
            if len(self.sheets) >= MAX_SHEETS:
                raise TooMuchError(
                    T_("has more than %(max_sheets)s sheets", max_sheets=MAX_SHEETS),
                    T_("split it into smaller workbooks"),
                )
            related = next((value for key, value in attributes.items() if key.endswith(" id")), "")
            self.sheets.append((attributes.get("name", ""), related))
            if attributes.get("state", "visible") != "visible":
                self.hidden.add(attributes.get("name", ""))
        elif name == "workbookPr":
            self.since_1904 = is_true(attributes.get("date1904", "0"))


def _grids(parts: Parts) -> list[Grid]:
    main = next((target for kind, target in _related(parts, "").values() if kind == "officeDocument"), None)
    if main is None:
        raise KeyError("workbook")
    book, related = _Book(), _related(parts, main)
    parts.parse(main, book.start)
    by_kind = dict(related.values())
    styles, shared = Styles(since_1904=book.since_1904), Shared(MAX_CHARS)
    if by_kind.get("styles", "") in parts:
        parts.parse(by_kind["styles"], styles.start, styles.end)
    if by_kind.get("sharedStrings", "") in parts:
        parts.parse(by_kind["sharedStrings"], shared.start, shared.end, shared.text)
    room, grids = Room(), []
    for title, relation in book.sheets:
        kind, target = related[relation]
        if kind == "worksheet":
            cells = SheetCells(Grid(title=title, is_hidden=title in book.hidden), room, styles, shared.texts)
            parts.parse(target, cells.start, cells.end, cells.text)
            grids.append(cells.grid)
    return grids


def _related(parts: Parts, of: str) -> dict[str, tuple[str, str]]:
    """Return the parts that a part ("" for the archive itself) refers to: kind and name by relationship."""
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = kind, _target(of, attributes.get("Target", ""))

    parts.parse(join(dirname(of), "_rels", f"{of.rpartition('/')[2]}.rels"), start)
    return found


def _target(of: str, target: str) -> str:
    return normpath(join("/", dirname(of), target)).lstrip("/")


def is_ods(data: bytes) -> bool:
    """Say whether an archive is an ODS spreadsheet, whose first part says so in plain."""
    return b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet" in data[:200]


def read_ods(data: bytes, name: str) -> tuple[list[Grid], list[RowProblem]]:
    """Return the sheets of an ODS spreadsheet, or what keeps it from being read."""
    try:
        with Parts(data) as parts:
            tables = _Tables()
            parts.parse("content.xml", tables.start, tables.end, tables.text)
            return tables.grids, []
    except TooMuchError as error:
        return [], [RowProblem(name, 0, "", error.wrong, error.right)]
    except _BROKEN as error:
        known = "" if isinstance(error, zipfile.BadZipFile) else f" ({printable(type(error).__name__)})"
        return [], [
            RowProblem(
                name, 0, "", T_("is not a readable ODS spreadsheet%(known)s", known=known), T_("save it again as .ods")
            )
        ]


class _Tables:
    """The sheets of an ODS spreadsheet on their way into grids."""

    def __init__(self) -> None:
        self.grids: list[Grid] = []
        self._room = Room()
        self._row, self._rows_alike = 0, 1
        self._cells: list[tuple[int, object]] = []
        self._column = 0
        self._cell: dict[str, str] | None = None
        self._pieces: list[str] = []
        self._chars = 0
        self._aside = 0
        self._in_text = 0

    def start(self, name: str, attributes: Attributes) -> None:
        """Note that an element begins."""
        given = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        if name == "table":
            if len(self.grids) >= MAX_SHEETS:
                raise TooMuchError(
                    T_("has more than %(max_sheets)s sheets", max_sheets=MAX_SHEETS),
                    T_("split it into smaller workbooks"),
                )
            self.grids.append(Grid(title=given.get("name", "")))
            self._row = 0
        elif name == "table-row":
            self._cells, self._column = [], 0
            self._rows_alike = _times(given.get("number-rows-repeated"))
            self._note_hidden(given)
        elif name in ("table-cell", "covered-table-cell"):
            self._cell, self._pieces, self._chars = given, [], 0
            self._note_merged(given)
        elif name == "annotation":
            # What somebody remarked on a cell is not in it.
            self._aside += 1
        elif name in ("p", "h"):
            if self._pieces and not self._aside:
                self._pieces.append("\n")
            self._in_text += 1
        elif name in _BLANKS:
            self.text(_BLANKS[name] * min(_times(given.get("c")), MAX_CELL_CHARS))

    def end(self, name: str) -> None:
        """Note that an element ends."""
        if name == "table-row":
            self._take_row()
        elif name in ("table-cell", "covered-table-cell") and self._cell is not None:
            times = _times(self._cell.get("number-columns-repeated"))
            value = self._value(self._cell)
            if value is not None and value != "":
                if self._column + times > MAX_SHEET_COLUMNS:
                    raise MarkupError(T_("a cell is beyond the last column"))
                self._cells += [(self._column + n, value) for n in range(times)]
            self._column += times
            self._cell = None
        elif name == "annotation":
            self._aside -= 1
        elif name in ("p", "h"):
            self._in_text -= 1

    def text(self, piece: str) -> None:
        """Take a piece of text."""
        if self._cell is not None and self._in_text and not self._aside:
            self._chars += len(piece)
            if self._chars <= MAX_CELL_CHARS:
                self._pieces.append(piece)

    def _note_hidden(self, row: Mapping[str, str]) -> None:
        if row.get("visibility") in ("collapse", "filter") and self.grids:
            self.grids[-1].hidden_rows.add(self._row + 1)

    def _note_merged(self, cell: Mapping[str, str]) -> None:
        down, right = _times(cell.get("number-rows-spanned")), _times(cell.get("number-columns-spanned"))
        if 1 < down < _MAX_MERGED_ROWS and self.grids and len(self.grids[-1].merged) < _MAX_MERGED:
            top, left = self._row + 1, self._column + 1
            self.grids[-1].merged.append((top, left, top + down - 1, left + right - 1))

    def _take_row(self) -> None:
        if self._cells and self.grids:
            width = self._cells[-1][0] + 1
            cells: list[object] = [None] * width
            for column, value in self._cells:
                cells[column] = value
            for n in range(1, self._rows_alike + 1):
                self._room.add(self.grids[-1], self._row + n, cells)
        self._row += self._rows_alike

    def _value(self, cell: Mapping[str, str]) -> object:
        if self._chars > MAX_CELL_CHARS:
            return Unreadable(
                T_("a text of more than %(max_cell_chars)s characters", max_cell_chars=f"{MAX_CELL_CHARS:,}")
            )
        kind, said = cell.get("value-type"), "".join(self._pieces)
        if kind in ("float", "currency", "percentage"):
            word = cell.get("value", "")
            return _number(word, None, Styles(since_1904=False)) if word else Unreadable(said)
        if kind == "date":
            return _moment(cell.get("date-value", said))
        if kind == "boolean":
            return cell.get("boolean-value") == "true"
        return cell.get("string-value", said)


_BLANKS = {"s": " ", "tab": "\t", "line-break": "\n"}


def _times(word: str | None) -> int:
    return int(word) if word is not None and word.isdecimal() and 0 < len(word) < 9 and int(word) else 1
