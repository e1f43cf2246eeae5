"""The columns of flat files: English name, Chinese label, how a cell is split, what to write in it.

In: the header and the cells of a CSV or spreadsheet row. Out: the same values
as the exchange format's JSON would hold them. It exists so that readers and
templates share one table, made of the declarations: what a template explains is what a reader accepts.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from indexer.plain_text import shown, unguarded
from indexer.records.exchange import MODELS
from indexer.records.field_notes import Cell, declared
from indexer.records.values import as_text, is_blank
from indexer.vocabulary import Kind, folded
from indexer.wording import T_


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its field, its Chinese label, how a cell is split, notes and an invented example.

    A wide one holds more than a few words.
    """

    field: str
    label: str
    note: str
    example: str | int | float = ""
    cell: Cell = Cell.ONE
    wide: bool = False

    @property
    def heading(self) -> str:
        """What the template writes above the column."""
        return f"{self.field} {self.label}"


_SEPARATORS = {Cell.WORDS: re.compile("[;；、\n]"), Cell.TEXTS: re.compile("[;；\n]")}
_JSON_ARRAYS = {Cell.WORDS: ('["',), Cell.TEXTS: ('["',), Cell.ASKS: ('[{"',), Cell.PARTNERS: ('[{"',)}
"""How a cell begins that holds a JSON array."""
_MAX_HEADING_CHARS = 200


def _columns(kind: Kind) -> tuple[Column, ...]:
    return tuple(
        Column(
            field=one.name,
            label=one.note.label.zh,
            note=one.note.write,
            example=one.note.example,
            cell=one.shape.cell,
            wide=one.shape.wide,
        )
        for one in declared(MODELS[kind])
    )


# A piece of evidence inside a lab does not name it; a row of a sheet does.
_LAB = Column(
    "lab",
    "實驗室代號",
    T_("Required: the lab's id. The rows of a lab replace all its earlier evidence."),
    "lab-example-1",
)
COLUMNS: dict[Kind, tuple[Column, ...]] = {
    kind: (_LAB, *_columns(kind)) if kind is Kind.EVIDENCE else _columns(kind) for kind in Kind
}


OTHER_HEADING = "other 其他"
"""What an export of everything writes above what is not ours, as a JSON object by heading."""


_ALSO: dict[tuple[Kind, str], str] = {
    (Kind.TERMS, folded(word)): name
    for name, words in {
        "en": "英文 英文詞 英文詞彙 外文名稱 原文 english",
        "zh": "中文 中文詞 中文詞彙 中文譯名 譯名 chinese",
        "abbreviation": "縮寫 英文縮寫 簡稱",
        "subject": "學術領域 領域 名詞類別 類別 出處 詞彙名稱 來源",
    }.items()
    for word in words.split()
}
"""What others call a column: official sets of terms come with headings of their own."""


def field_of(kind: Kind, heading: str) -> str | None:
    """Return the field that a heading names, in English, in Chinese or in both, else None."""
    if len(heading) > _MAX_HEADING_CHARS:
        return None
    text = re.sub(r"\([^)]*\)", "", unicodedata.normalize("NFKC", heading)) or heading
    whole = folded(text)
    english = "".join(c for c in whole if c.isascii())
    chinese = "".join(c for c in whole if not c.isascii())
    fields, labels, headings = _declared(kind)
    known = fields.get(whole) or labels.get(whole) or headings.get(whole) or _ALSO.get((kind, whole))
    return known or fields.get(english) or (None if english else labels.get(chinese))


@cache
def _declared(kind: Kind) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the fields of a kind by their folded name, Chinese label and whole heading; of two the first."""
    columns = COLUMNS[kind][::-1]
    return (
        {folded(column.field): column.field for column in columns},
        {folded(column.label): column.field for column in columns},
        {folded(column.heading): column.field for column in columns},
    )


def known_headings(kind: Kind, cells: Sequence[object]) -> int:
    """Count the cells that name a field of this kind."""
    return sum(isinstance(cell, str) and field_of(kind, cell) is not None for cell in cells)


def json_value(column: Column, cell: object) -> Any:
    """Return what the exchange format would hold for a cell.

    Raises:
        TextError: a cell of several values holds neither a text nor a number.
    """
    if is_blank(cell):
        return None
    if (listed := json_list(column, cell)) is not None:
        return listed
    if isinstance(cell, str):
        cell = unguarded(cell)
    if column.cell is Cell.ONE:
        return cell
    text = _with_plain_breaks(as_text(cell))
    if column.cell in _SEPARATORS:
        return [part.strip() for part in _SEPARATORS[column.cell].split(text) if part.strip()]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [_ask(line) if column.cell is Cell.ASKS else partner_of(line) for line in lines]


def json_list(column: Column, cell: object) -> list[Any] | None:
    """Return the values of a cell that an export wrote as a JSON array, else None."""
    if column.cell not in _JSON_ARRAYS or not isinstance(cell, str):
        return None
    text = _with_plain_breaks(unguarded(cell))
    return _json_array(text) if text.startswith(_JSON_ARRAYS[column.cell]) else None


def _with_plain_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _json_array(text: str) -> list[Any] | None:
    """Return the values of a cell that an export wrote as a JSON array, because they hold separators themselves."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def parts_of(cell: object) -> list[str] | None:
    """Return the texts of a cell that holds them as a JSON array, since they hold separators themselves, else None."""
    found = (
        _json_array(_with_plain_breaks(unguarded(cell))) if isinstance(cell, str) and cell.startswith('["') else None
    )
    is_lines = found is not None and all(isinstance(one, str) and "\n" not in one for one in found)
    return found if is_lines else None


def in_one_cell(parts: Sequence[str]) -> str:
    """Return the cell that holds texts so that each is read as it is."""
    return json.dumps(list(parts), ensure_ascii=False) if parts else ""


def _ask(line: str) -> dict[str, str] | str:
    """Split `kind: text`; a line without a kind stays a text and is refused with its words."""
    kind, *text = re.split("[:：]", line, maxsplit=1)
    return {"kind": kind.strip(), "text": text[0].strip()} if text else line


def partner_of(line: str) -> dict[str, str | None]:
    """Split `school since until`, where a name may hold blanks but a date may not."""
    words = line.split()
    dates: list[str] = []
    while len(words) > 1 and len(dates) < 2 and any(c.isdigit() for c in words[-1]) and _looks_dated(words[-1]):
        dates.insert(0, words.pop())
    since, until = [*dates, None, None][:2]
    return {"school": " ".join(words), "since": since, "until": until}


def _looks_dated(word: str) -> bool:
    return re.fullmatch(r"(?:中華)?(?:民國)?\d{2,4}[-/.年].*", word) is not None


def refusal_of(cells: Sequence[object], width: int) -> str | None:
    """Say what is wrong with a row that has values beyond its header, else None."""
    extra = [cell for cell in cells[width:] if not is_blank(cell)]
    if not extra:
        return None
    return T_(
        "has %(cells)s cells, the header has %(width)s (the first beyond it: %(extra)s)",
        cells=len(cells),
        width=width,
        extra=shown(extra[0]),
    )
