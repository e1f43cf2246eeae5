"""CSV files into grids of cells.

In: the bytes of a file. Out: a grid whose rows carry the number that the user
sees, and what could not be read. It exists to keep encodings, delimiters and
stray quotes away from the rules for records.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import islice

from indexer.checking import RowProblem
from indexer.columns import known_headings
from indexer.grids import MAX_CELL_CHARS, MAX_COLUMNS, Grid, Room, TooMuchError
from indexer.vocabulary import Kind
from indexer.wording import T_

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
