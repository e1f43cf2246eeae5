"""CSV and its like as grids: which encoding a file is in, which delimiter it uses, and where its quotes went wrong.

In: the bytes of a file. Out: a grid of cells, or why it can't be read. It exists to keep encodings, delimiters, the
line `sep=;` and stray quotes away from the rules for records. Encodings are told by which characters are frequent in
them, since almost any bytes are valid in some; what is likely in none is refused, never garbled without a word.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from indexer.records.exchange import RowProblem
from indexer.records.lists.grids import MAX_CELL_CHARS, Grid, Room, TooMuchError
from indexer.records.lists.headings import known_fields
from indexer.vocabulary import Kind
from indexer.wording import T_

MAX_LINE_CHARS = 4_000_000
_DELIMITERS = ",;\t|"
_BIG5_RARE_ROWS = 0xC9
_JUDGED_CHARS = 100_000
_CJK = re.compile("[\u3000-\u9fff\uff00-\uffef]")
_SEPARATOR_LINE = re.compile(r"\"?sep=(\\t|.)\"?[,;\t]*[ ]*(?:\r\n|[\r\n])", re.IGNORECASE)
"""What Excel and exporters for it write before the header."""
_LINE = re.compile("[^\r\n]*(?:\r\n|[\r\n])|[^\r\n]+")


def read_csv(data: bytes, name: str, known: Sequence[str] = ()) -> Grid:
    """Return the cells of a CSV file in any usual encoding, split by comma, ;, tab or |; `known` are headings known."""
    grid = Grid()
    text = _decode(data, name, grid.problems)
    if text is None:
        return grid
    try:
        _split(text, name, grid, known)
    except TooMuchError as error:
        return Grid(problems=[RowProblem(name, 0, "", error.wrong, error.right)])
    return grid


def in_any_encoding(data: bytes) -> str:
    """Return the text of a file in any usual encoding; what can't be read in it as U+FFFD."""
    text = _decode(data, "", [])
    return data.decode("utf-8", "replace") if text is None else text


def _split(text: str, name: str, grid: Grid, known: Sequence[str]) -> None:
    room = Room()
    last_line = ""

    def noted(line: str) -> str:
        nonlocal last_line
        last_line = line
        return line

    said = _SEPARATOR_LINE.match(text)
    delimiter = _delimiter(text, known)
    if said:
        delimiter, text = said[1].replace("\\t", "\t"), text[said.end() :]
    skipped = 1 if said else 0
    reader = csv.reader(map(noted, _lines(text)), delimiter=delimiter, strict=True)
    while True:
        row = reader.line_num + 1 + skipped
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
    """Return the text of a file in the encoding that it is in; note one that had to be guessed."""
    marked = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    if marked == "utf-8" and (unmarked := _utf16_without_mark(data)) is not None:
        return unmarked
    try:
        return data.decode(marked)
    except UnicodeDecodeError as error:
        if marked != "utf-8":
            return _undecodable(data, 0, name, problems)
        # A file that was UTF-8 up to here is a damaged UTF-8 file; read as Big5 it would be garbled without a word.
        if _CJK.search(data[: error.start].decode("utf-8")):
            return _undecodable(data, error.start, name, problems)
        start = error.start
    found = _most_likely(data)
    if found is None:
        return _undecodable(data, start, name, problems, _in_big5(data))
    encoding, text = found
    if encoding != "cp950":
        wrong = T_("was read as %(encoding)s", encoding=_ENCODING_NAMES[encoding])
        problems.append(RowProblem(name, 0, "", wrong, T_("check its words; CSV UTF-8 needs no guess"), "warning"))
    return text


_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_ENCODING_NAMES = {"gb18030": "GB18030 (GBK)", "cp932": "Shift-JIS", "cp1252": "Windows-1252"}
_LEAST_LIKELY = 0.8


def _undecodable(data: bytes, at: int, name: str, problems: list[RowProblem], in_big5: int | None = None) -> str | None:
    if in_big5 is not None:
        problems.append(_no_big5(data, in_big5, name))
        return None
    line = data.count(b"\n", 0, at) + 1
    problems.append(
        RowProblem(name, line, "", T_("is neither UTF-8 nor UTF-16 nor Big5"), T_("save the file as CSV UTF-8"))
    )
    return None


def _in_big5(data: bytes) -> int | None:
    """Return where a file that is Big5 but for some characters has the first of these, None for other files."""
    text = data.decode("cp950", "replace").replace("\ufffd", "")
    try:
        data.decode("cp950")
    except UnicodeDecodeError as error:
        is_text = _CJK.search(text) is not None and _big5_likelihood(text) >= _LEAST_LIKELY
        return error.start if is_text and "\0" not in text else None
    return None


def _no_big5(data: bytes, at: int, name: str) -> RowProblem:
    """Say where a rare character stands that programs write into Big5 each in a way of their own."""
    line = data.count(b"\n", 0, at) + 1
    wrong = T_("has a character that Big5 has not (bytes %(bytes)s)", bytes=data[at : at + 2].hex(" ").upper())
    return RowProblem(name, line, "", wrong, T_("save the file as CSV UTF-8"))


def _utf16_without_mark(data: bytes) -> str | None:
    """Return the text of UTF-16 whose mark is missing: every second byte of its separators is zero."""
    head = data[:2_000]
    for encoding, places in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if len(head) >= 8 and len(data) % 2 == 0 and places.count(0) * 10 > len(places):
            try:
                text = data.decode(encoding)
            except UnicodeError:
                continue
            if "\0" not in text and any(mark in text for mark in _DELIMITERS):
                return text
    return None


def _most_likely(data: bytes) -> tuple[str, str] | None:
    """Return the encoding under which a text has most of the characters that texts in it usually have."""
    scores: list[tuple[float, str, str]] = []
    for encoding, likelihood in (("cp950", _big5_likelihood), ("gb18030", _gb_likelihood), ("cp932", _sjis_likelihood)):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        scores.append((likelihood(text), encoding, text))
    best = max(scores, key=lambda one: one[0], default=None)
    if best is not None and best[0] >= _LEAST_LIKELY:
        return best[1:]
    return _western(data)


def _judged(text: str) -> list[str]:
    return [c for c in text[: 4 * _JUDGED_CHARS] if not c.isascii()][:_JUDGED_CHARS]


def _big5_likelihood(text: str) -> float:
    """Big5 keeps its 5,401 frequent characters in rows below 0xC9; ordinary texts hardly leave them."""
    letters = _judged(text)
    return sum(c.encode("cp950")[0] < _BIG5_RARE_ROWS for c in letters) / len(letters) if letters else 0.0


def _gb_likelihood(text: str) -> float:
    """GB 2312 keeps its 3,755 frequent characters in rows 0xB0 to 0xD7, marks in 0xA1 to 0xA3."""
    letters = _judged(text)
    rows = [encoded[0] if len(encoded := c.encode("gb18030")) == _WIDE else 0 for c in letters]
    return sum(0xB0 <= row <= 0xD7 or 0xA1 <= row <= 0xA3 for row in rows) / len(rows) - 0.001 if rows else 0.0


def _sjis_likelihood(text: str) -> float:
    letters = _judged(text)
    kana = sum("\u3040" <= c <= "\u30ff" for c in letters)
    half = sum("\uff61" <= c <= "\uff9f" for c in letters)
    return 1.0 if letters and kana > 0.2 * len(letters) and not half else 0.0


def _western(data: bytes) -> tuple[str, str] | None:
    """Return the text of a file in a European language: marked letters stand one by one among plain ones."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    marked = [c for c in text if not c.isascii()]
    runs = re.findall(r"[^\x00-\x7f]{3,}", text)
    letters = sum(c.isalpha() for c in text)
    alphabetic = sum(c.isalpha() for c in marked)
    if runs or not marked or len(marked) > 0.15 * letters or alphabetic < 0.5 * len(marked):
        return None
    return "cp1252", text


_WIDE = 2


def _delimiter(text: str, known: Sequence[str]) -> str:
    """Return the delimiter under which a row near the top names most fields, or that stands as often in most rows."""

    def shape(delimiter: str) -> tuple[int, int]:
        try:
            rows = [row for row in islice(csv.reader(_lines(text), delimiter=delimiter), _ROWS_JUDGED) if row]
        except csv.Error:
            return 0, 0
        named = [
            max(sum(cell in known for cell in row), *(len(known_fields(kind, _short(row))) for kind in Kind))
            for row in rows
        ]
        widths = Counter(len(row) for row in rows if len(row) > 1)
        return max(named, default=0), max(widths.values(), default=0)

    return max(_DELIMITERS, key=shape)


def _short(row: Sequence[str]) -> list[str]:
    return [cell for cell in row[:_COLUMNS_JUDGED] if len(cell) <= _HEADING_CHARS]


_ROWS_JUDGED, _COLUMNS_JUDGED, _HEADING_CHARS = 30, 200, 60
