"""Flat files as grids of cells: how much a file may hold, CSV as a grid, and a grid's header and rows.

In: the bytes of a CSV file, or rows of cells as the reader of workbooks finds them. Out: numbered raw values by
field as the exchange format would hold them, and what was wrong with the file, its header or the shape of a row, or
a refusal of the whole. It exists because a file of a few kilobytes can unfold into gigabytes of cells, which are
counted while they are read; because people rename, reorder and repeat columns, and a shifted row must not put one
field's value into another; and to keep encodings, delimiters and stray quotes away from the rules for records.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from indexer.plain_text import TextError, printable
from indexer.records.columns import COLUMNS, Column, field_of, json_value, known_headings, refusal_of
from indexer.records.exchange import RowProblem
from indexer.records.values import as_text, is_blank
from indexer.vocabulary import Kind
from indexer.wording import T_

MAX_CELLS = 1_500_000
MAX_CHARS = 40_000_000
"""In all cells of a file; a text that many cells share counts each time, since it is checked each time."""
MAX_CELL_CHARS = 131_072
"""More than any field takes and than a spreadsheet program lets a cell hold."""
MAX_COLUMNS = 1_000


class TooMuchError(TextError):
    """A file holds more than may be read at once."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cell whose value can't be read: `what` stands in its place and says so; no field takes it."""

    what: str

    def __str__(self) -> str:
        return self.what


@dataclass(slots=True)
class Grid:
    """One sheet: its title ("" for CSV) and its rows that hold anything, numbered as the user sees them."""

    title: str = ""
    rows: list[tuple[int, list[object]]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)


class Room:
    """What the rest of a file may still hold."""

    def __init__(self) -> None:
        self._cells, self._chars = MAX_CELLS, MAX_CHARS

    def add(self, grid: Grid, row: int, cells: Sequence[object]) -> None:
        """Add a row to a grid, without its blank end; a row without anything is left out.

        Raises:
            TooMuchError: the file holds more cells or more text than may be read at once.
        """
        width = len(cells)
        while width and is_blank(cells[width - 1]):
            width -= 1
        if not width:
            return
        self._cells -= width
        if self._cells < 0:
            raise TooMuchError(
                T_("holds more than %(max_cells)s cells", max_cells=f"{MAX_CELLS:,}"), T_("split it into smaller files")
            )
        kept = list(cells[:width])
        self._chars -= sum(len(cell) for cell in kept if isinstance(cell, str))
        if self._chars < 0:
            raise TooMuchError(
                T_("holds more than %(max_chars)s characters", max_chars=f"{MAX_CHARS:,}"),
                T_("split it into smaller files"),
            )
        grid.rows.append((row, kept))


MAX_LINE_CHARS = 4_000_000
_DELIMITERS = ",;\t"
_BIG5_RARE_ROWS = 0xC9
_RARE_SHARE = 0.2
_JUDGED_CHARS = 100_000
_CJK = re.compile("[\u3000-\u9fff\uff00-\uffef]")
_LINE = re.compile("[^\r\n]*(?:\r\n|[\r\n])|[^\r\n]+")


def read_csv(data: bytes, name: str) -> Grid:
    """Return the cells of a CSV file in UTF-8, UTF-16 with byte order mark, or Big5, split by comma, ; or tab."""
    grid = Grid()
    text = _decode(data, name, grid.problems)
    if text is None:
        return grid
    try:
        _split(text, name, grid)
    except TooMuchError as error:
        return Grid(problems=[RowProblem(name, 0, "", error.wrong, error.right)])
    return grid


def _split(text: str, name: str, grid: Grid) -> None:
    room = Room()
    last_line = ""

    def noted(line: str) -> str:
        nonlocal last_line
        last_line = line
        return line

    reader = csv.reader(map(noted, _lines(text)), delimiter=_delimiter(text), strict=True)
    while True:
        row = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            too_large = "field larger" in str(error)
            # A line that is long itself holds the large cell; else an open quote has swallowed lines.
            in_line = too_large and len(last_line) > MAX_CELL_CHARS
            grid.problems.append(_split_problem(name, row, str(error), in_line))
            if too_large and not in_line:
                return
            continue
        room.add(grid, row, cells)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text with their ends, one by one: all of them at once would take several times its size."""
    for found in _LINE.finditer(text):
        if found.end() - found.start() > MAX_LINE_CHARS:
            raise TooMuchError(
                T_("has a line of more than %(max_line_chars)s characters", max_line_chars=f"{MAX_LINE_CHARS:,}"),
                T_("split it into rows"),
            )
        yield found.group()


def _split_problem(name: str, row: int, reason: str, too_long: bool) -> RowProblem:
    if too_long:
        wrong = T_("has a cell of more than %(max_cell_chars)s characters", max_cell_chars=f"{MAX_CELL_CHARS:,}")
        return RowProblem(name, row, "", wrong, T_("shorten it, or close its double quote"))
    if "expected after" in reason:
        return RowProblem(name, row, "", T_("has a double quote inside a quoted cell"), T_("write it twice"))
    wrong = T_("opens a double quote that is not closed; the rows after it were not read")
    return RowProblem(name, row, "", wrong, T_("close it, or write it twice if it belongs to the text"))


def _decode(data: bytes, name: str, problems: list[RowProblem]) -> str | None:
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        # A file that was UTF-8 up to here is a damaged UTF-8 file; read as Big5 it would be garbled without a word.
        was_utf8 = error.encoding == "utf-8" and not _CJK.search(data[: error.start].decode("utf-8"))
    if was_utf8:
        try:
            text = data.decode("cp950")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
        else:
            if not _is_unlikely_big5(text):
                return text
            line = 1
    problems.append(
        RowProblem(name, line, "", T_("is neither UTF-8 nor UTF-16 nor Big5"), T_("save the file as CSV UTF-8"))
    )
    return None


def _is_unlikely_big5(text: str) -> bool:
    """Whether so many characters are rare ones that the file must be of another encoding, such as GBK.

    Big5 keeps its 5,401 frequent characters in rows below 0xC9; ordinary texts hardly leave them.
    """
    characters = [found.group() for found in islice(_CJK.finditer(text), _JUDGED_CHARS)]
    rare = sum(character.encode("cp950")[0] >= _BIG5_RARE_ROWS for character in characters)
    return rare > _RARE_SHARE * len(characters)


def _delimiter(text: str) -> str:
    """Return the delimiter under which the header names most fields, a comma in doubt."""

    def known(delimiter: str) -> int:
        try:
            header = next((row for row in csv.reader(_lines(text), delimiter=delimiter) if row), [])
        except csv.Error:
            return 0
        return max(known_headings(kind, header[:MAX_COLUMNS]) for kind in Kind)

    return max(_DELIMITERS, key=known)


_NEEDED = {Kind.EVIDENCE: ("lab",), Kind.TERMS: ("en", "zh")}
"""The columns without which no row of a kind can be read, where that is not the id."""


def grid_rows(kind: Kind, grid: Grid, name: str) -> tuple[list[tuple[int, object]], list[RowProblem]]:
    """Return the rows below the header as (row number, values by field), and what was wrong.

    Problems with severity "error" stand for one refused row each, or for the file.
    """
    problems = list(grid.problems)
    if not grid.rows:
        if not problems:
            problems.append(RowProblem(name, 0, "", T_("has no rows"), T_("give a header row and rows below it")))
        return [], problems
    row, cells = grid.rows[0]
    if len(cells) > MAX_COLUMNS:
        wrong = T_("the first row has %(columns)s columns", columns=f"{len(cells):,}")
        problems.append(
            RowProblem(
                name,
                row,
                "",
                wrong,
                T_("give at most %(max_columns)s, named as in the template", max_columns=f"{MAX_COLUMNS:,}"),
            )
        )
        return [], problems
    columns = _columns(kind, row, cells, name, problems)
    given = {column.field for column in columns if column is not None}
    needed = next((one for one in _NEEDED.get(kind, ("id",)) if one not in given), None)
    if needed is not None:
        heading = next(column.heading for column in COLUMNS[kind] if column.field == needed)
        wrong = T_("the first row has no such column")
        problems.append(
            RowProblem(name, row, needed, wrong, T_('name it "%(heading)s", as the template does', heading=heading))
        )
        return [], problems
    rows: list[tuple[int, object]] = []
    for row, cells in grid.rows[1:]:
        wrong_shape = refusal_of(cells, len(columns))
        if wrong_shape:
            right = T_("put a text that holds the delimiter in double quotes")
            problems.append(RowProblem(name, row, "", wrong_shape, right))
            continue
        try:
            rows.append((row, _values(columns, cells)))
        except TextError as error:
            problems.append(RowProblem(name, row, getattr(error, "field", ""), error.wrong, error.right))
    return rows, problems


def _columns(
    kind: Kind, row: int, cells: Sequence[object], name: str, problems: list[RowProblem]
) -> list[Column | None]:
    """Return the column that each heading names; None where it names none or repeats one."""
    by_field = {column.field: column for column in COLUMNS[kind]}
    columns: list[Column | None] = []
    seen: set[str] = set()
    for cell in _trimmed(cells):
        heading = "" if is_blank(cell) else _heading(cell)
        found = field_of(kind, heading) if heading else None
        if heading and found is None:
            wrong, right = T_("is not a known column and was ignored"), T_("see the template for the columns there are")
            problems.append(RowProblem(name, row, printable(heading[:60]), wrong, right, "warning"))
        elif found in seen:
            wrong = T_("is a second column for %(found)s and was ignored", found=found)
            problems.append(RowProblem(name, row, printable(heading[:60]), wrong, T_("keep one of them"), "warning"))
            found = None
        columns.append(by_field[found] if found else None)
        seen.add(found or "")
    return columns


def _trimmed(cells: Sequence[object]) -> Sequence[object]:
    width = max((n for n, cell in enumerate(cells, start=1) if not is_blank(cell)), default=0)
    return cells[:width]


def _heading(cell: object) -> str:
    try:
        return as_text(cell).strip()
    except TextError:
        return str(cell)


def _values(columns: Sequence[Column | None], cells: Sequence[object]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=False):
        if column is None:
            continue
        try:
            values[column.field] = json_value(column, cell)
        except TextError as error:
            error.field = column.field  # type: ignore[attr-defined]
            raise
    return values
