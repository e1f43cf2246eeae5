"""CSV and XLSX files into grids of cells.

In: the bytes of a file. Out: grids whose rows carry the number that the user
sees, and what could not be read. It exists to keep encodings, delimiters and
the dangers of zipped spreadsheets away from the rules for records.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
import zipfile
from dataclasses import dataclass, field

from indexer.checking import RowProblem
from indexer.columns import known_headings
from indexer.plain_text import printable
from indexer.values import is_blank
from indexer.vocabulary import Kind

MAX_UNZIPPED_BYTES = 200_000_000
MAX_SHEET_ROWS = 1_048_576
_DELIMITERS = ",;\t"
_BIG5_RARE_ROWS = 0xC9
_RARE_SHARE = 0.2
_CJK = re.compile("[\u3000-\u9fff\uff00-\uffef]")


@dataclass(slots=True)
class Grid:
    """One sheet: its title ("" for CSV) and its rows that hold anything, numbered as the user sees them."""

    title: str = ""
    rows: list[tuple[int, list[object]]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)


def read_csv(data: bytes, name: str) -> Grid:
    """Return the cells of a CSV file in UTF-8, UTF-16 with byte order mark, or Big5, split by comma, ; or tab."""
    grid = Grid()
    text = _decode(data, name, grid.problems)
    if text is None:
        return grid
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    while True:
        row = reader.line_num + 1
        try:
            cells: list[object] = list(next(reader))
        except StopIteration:
            return grid
        except csv.Error as error:
            grid.problems.append(_split_problem(name, row, str(error)))
            if "field larger" in str(error):
                return grid
            continue
        if not all(map(is_blank, cells)):
            grid.rows.append((row, cells))


def _split_problem(name: str, row: int, reason: str) -> RowProblem:
    if "expected after" in reason:
        return RowProblem(name, row, "", "has a double quote inside a quoted cell", "write it twice")
    wrong = "opens a double quote that is not closed; the rows after it were not read"
    return RowProblem(name, row, "", wrong, "close it, or write it twice if it belongs to the text")


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
    problems.append(RowProblem(name, line, "", "is neither UTF-8 nor UTF-16 nor Big5", "save the file as CSV UTF-8"))
    return None


def _is_unlikely_big5(text: str) -> bool:
    """Whether so many characters are rare ones that the file must be of another encoding, such as GBK.

    Big5 keeps its 5,401 frequent characters in rows below 0xC9; ordinary texts hardly leave them.
    """
    characters: list[str] = _CJK.findall(text)
    rare = sum(character.encode("cp950")[0] >= _BIG5_RARE_ROWS for character in characters)
    return rare > _RARE_SHARE * len(characters)


def _delimiter(text: str) -> str:
    """Return the delimiter under which the header names most fields, a comma in doubt."""

    def known(delimiter: str) -> int:
        try:
            header = next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row), [])
        except csv.Error:
            return 0
        return max(known_headings(kind, header) for kind in Kind)

    return max(_DELIMITERS, key=known)


def read_xlsx(data: bytes, name: str) -> tuple[list[Grid], list[RowProblem]]:
    """Return the sheets of a workbook; of formulas the values that the spreadsheet program stored."""
    broken = RowProblem(name, 0, "", "is not a readable XLSX workbook", "save it again as .xlsx")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unzipped = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return [], [broken]
    if unzipped > MAX_UNZIPPED_BYTES:
        wrong = f"unpacks to {unzipped / 1e6:,.0f} MB"
        return [], [RowProblem(name, 0, "", wrong, f"split it into workbooks under {MAX_UNZIPPED_BYTES / 1e6:,.0f} MB")]
    try:
        return _sheets(data), []
    # A third party's parser meets hostile content here: whatever it raises means that the file cannot be read.
    except Exception as error:
        reason = f"is not a readable XLSX workbook ({printable(type(error).__name__)})"
        return [], [RowProblem(name, 0, "", reason, broken.right)]


def _sheets(data: bytes) -> list[Grid]:
    import openpyxl

    grids = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                sheet.reset_dimensions()
                grid = Grid(title=sheet.title)
                for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                    if number > MAX_SHEET_ROWS:
                        raise ValueError("more rows than a sheet can have")
                    if not all(map(is_blank, cells)):
                        grid.rows.append((number, list(cells)))
                grids.append(grid)
        finally:
            book.close()
    return grids
