"""The columns of flat files: English name, Chinese label, how a cell is split, what to write in it.

In: the header and the cells of a CSV or spreadsheet row. Out: the same values
as the exchange format's JSON would hold them. It exists so that readers and
templates share one table: what a template explains is what a reader accepts.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from indexer.formulas import unguarded
from indexer.plain_text import shown
from indexer.values import as_text, is_blank
from indexer.vocabulary import (
    AllianceKind,
    AskKind,
    Confidentiality,
    EvidenceKind,
    Kind,
    Prominence,
    Region,
    ResearchField,
    Size,
    Tier,
    choices,
    folded,
)
from indexer.wording import T_


class Cell(Enum):
    """How one cell becomes a value."""

    ONE = auto()
    WORDS = auto()
    TEXTS = auto()
    ASKS = auto()
    PARTNERS = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its field, its Chinese label, how a cell is split, notes and an invented example."""

    field: str
    label: str
    note: str
    example: str | int | float = ""
    cell: Cell = Cell.ONE

    @property
    def heading(self) -> str:
        """What the template writes above the column."""
        return f"{self.field} {self.label}"


_SEPARATORS = {Cell.WORDS: re.compile("[;；、\n]"), Cell.TEXTS: re.compile("[;；\n]")}
_JSON_ARRAYS = {Cell.WORDS: ('["',), Cell.TEXTS: ('["',), Cell.ASKS: ('[{"',)}
"""How a cell begins that holds a JSON array."""
_MAX_HEADING_CHARS = 200
_WORDS = T_("Separate with ; or line breaks.")
_ID = T_("Required. 1 to 200 characters, no blanks.")
_DATE = T_("2019-08-31 or 民國108年8月31日.")
_ASK_KINDS, _FIELDS = choices(AskKind), choices(ResearchField)


def _id(example: str) -> Column:
    return Column("id", "代號", _ID, example)


def _names(name: str, name_en: str) -> tuple[Column, Column]:
    return (
        Column("name", "名稱", T_("Falls back to name_en, then id."), name),
        Column("name_en", "英文名稱", T_("Name in English."), name_en),
    )


def _fields(example: str) -> Column:
    return Column("fields", "領域", T_("%(fields)s. %(words)s", fields=_FIELDS, words=_WORDS), example, Cell.WORDS)


def _region(example: str) -> Column:
    return Column("region", "區域", choices(Region), example)


def _languages(example: str) -> Column:
    return Column("languages", "語言", T_("zh, en, ja … %(words)s", words=_WORDS), example, Cell.WORDS)


def _span(since: str) -> tuple[Column, Column]:
    return (
        Column("since", "起始日", _DATE, since),
        Column("until", "結束日", T_("Empty while it lasts. %(date)s", date=_DATE)),
    )


COLUMNS: dict[Kind, tuple[Column, ...]] = {
    Kind.LABS: (
        _id("lab-example-1"),
        *_names("霧凇感測實驗室", "Rime Sensing Laboratory"),
        Column("pi", "主持人", T_("Principal investigator."), "藺若川"),
        Column("school", "學校", T_("School id or name."), "school-example-1"),
        _fields("綠能科技；智慧製造"),
        Column("summary", "簡介", T_("Up to 50,000 characters."), "研究風機葉片結冰的早期偵測與除冰。"),
        Column("summary_en", "英文簡介", T_("Up to 50,000 characters."),
               "Early detection of ice on wind blades."),
        Column("keywords", "關鍵詞", _WORDS, "葉片結冰；聲射；除冰", Cell.WORDS),
        Column("offers", "可提供", T_("%(kinds)s. Empty: not stated. %(words)s", kinds=_ASK_KINDS, words=_WORDS),
               "technology；facility", Cell.WORDS),
        Column("will_not_do", "不承接", T_("Short texts. %(words)s", words=_WORDS),
               "不接受獨家買斷", Cell.TEXTS),
        Column("capacity", "可承接件數", T_("How many more projects; 0 is none, empty is not stated."), 2),
        _languages("zh；en"),
        Column("conflicts", "利益衝突", T_("Company ids or names never to be matched. %(words)s", words=_WORDS),
               "", Cell.TEXTS),
        Column("links", "網址", T_("https:// addresses. %(words)s", words=_WORDS),
               "https://rime.example.edu.tw", Cell.TEXTS),
    ),
    Kind.EVIDENCE: (
        Column("lab", "實驗室代號", T_("Required: the lab's id. The rows of a lab replace all its earlier evidence."),
               "lab-example-1"),
        Column("id", "代號", T_("Empty: lab#n."), "ev-example-1"),
        Column("kind", "類型", T_("%(kinds)s. Empty: paper.", kinds=choices(EvidenceKind)),
               "patent"),
        Column("title", "題目", T_("Title or abstract is required."),
               "以聲射頻譜判別葉片結冰之裝置"),
        Column("abstract", "摘要", T_("Up to 50,000 characters."),
               "於葉根貼附三枚感測片，由頻譜重心位移判別結冰厚度。"),
        Column("year", "年份", T_("Four digits such as 2018, or 民國107年."), 2023),
        Column("weight", "權重", T_("0 to 10; 1 is usual, more for what represents the lab."), 2),
    ),
    Kind.NEEDS: (
        _id("need-example-1"),
        Column("company", "企業", T_("Company id or name."), "company-example-1"),
        Column("school", "學校", T_("School id, when the need comes from a school.")),
        Column("title", "題目", T_("Title or description is required."),
               "冬季風機因葉片結冰停機"),
        Column("description", "說明", T_("Situation, what was tried, figures."),
               "高山風場每年因結冰停機約二十天，希望提早半小時知道。"),
        Column("asks", "請求項目", T_("One a line, as kind: text. Kinds: %(kinds)s.", kinds=_ASK_KINDS),
               "technology: 能裝在現有葉片上的結冰偵測\n人才：兩名實習生協助現場量測", Cell.ASKS),
        _fields("綠能科技"),
        Column("budget_ntd", "預算", T_("NTD, whole dollars."), 2400000),
        Column("deadline", "期限", _DATE, "2027-06-30"),
        Column("confidentiality", "保密程度", T_("%(degrees)s. Empty: confidential.", degrees=choices(Confidentiality)),
               "alliance"),
        _region("central"),
        _languages("zh"),
        Column("excluded_labs", "排除實驗室", T_("Lab ids never to be shown. %(words)s", words=_WORDS), "", Cell.WORDS),
        Column("year", "年份", T_("Year of the need."), 2026),
    ),
    Kind.COMPANIES: (
        _id("company-example-1"),
        *_names("嶺風電力股份有限公司", "Ridgewind Power Co., Ltd."),
        Column("tax_id", "統一編號", T_("Checked when the country is TW."), "00000016"),
        Column("country", "國別", T_("Two letters; empty: TW."), "TW"),
        Column("size", "規模", choices(Size), "medium"),
        Column("tier", "會員級別", T_("%(tiers)s. Empty: none.", tiers=choices(Tier)), "domestic"),
        _fields("綠能科技"),
        Column("city", "縣市", T_("City or county."), "南投縣"),
        Column("description", "說明", T_("What the firm does."), "經營三座高山風場。"),
    ),
    Kind.SCHOOLS: (
        _id("school-example-1"),
        *_names("合歡科技大學", "Hehuan University of Technology"),
        Column("city", "縣市", T_("City or county."), "南投縣"),
        _region("central"),
        Column("prominence", "知名度", choices(Prominence), "low"),
        Column("kind", "學校類型", T_("Such as public university."), "technological university"),
        Column("founded", "創校年", T_("Four digits, or 民國58年."), 1969),
        Column("merged_into", "併入學校", T_("Id of the school that took it in.")),
        Column("merged_on", "合併日", _DATE),
    ),
    Kind.ALLIANCES: (
        _id("alliance-example-1"),
        *_names("中部風能聯盟", "Central Wind Alliance"),
        _fields("綠能科技"),
        Column("kind", "聯盟類型", choices(AllianceKind), "regional"),
        Column("center", "中心學校", T_("School id or name."), "school-example-1"),
        *_span("2017-08-01"),
        Column("partners", "夥伴學校", T_("One a line: school, since, until; the dates may be left out."),
               "school-example-1 2017-08-01", Cell.PARTNERS),
    ),
}  # fmt: skip


def field_of(kind: Kind, heading: str) -> str | None:
    """Return the field that a heading names, in English, in Chinese or in both, else None."""
    if len(heading) > _MAX_HEADING_CHARS:
        return None
    text = re.sub(r"\([^)]*\)", "", unicodedata.normalize("NFKC", heading)) or heading
    whole = folded(text)
    english = "".join(c for c in whole if c.isascii())
    chinese = "".join(c for c in whole if not c.isascii())
    for column in COLUMNS[kind]:
        if whole == folded(column.field) or whole == folded(column.label) or whole == folded(column.heading):
            return column.field
    for column in COLUMNS[kind]:
        if english == folded(column.field) or (not english and chinese == folded(column.label)):
            return column.field
    return None


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
    if isinstance(cell, str):
        cell = unguarded(cell)
    if column.cell is Cell.ONE:
        return cell
    text = as_text(cell).replace("\r\n", "\n").replace("\r", "\n")
    if text.startswith(_JSON_ARRAYS.get(column.cell, ())) and (listed := _json_array(text)) is not None:
        return listed
    if column.cell in _SEPARATORS:
        return [part.strip() for part in _SEPARATORS[column.cell].split(text) if part.strip()]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [_ask(line) if column.cell is Cell.ASKS else _partner(line) for line in lines]


def _json_array(text: str) -> list[Any] | None:
    """Return the values of a cell that an export wrote as a JSON array, because they hold separators themselves."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _ask(line: str) -> dict[str, str] | str:
    """Split `kind: text`; a line without a kind stays a text and is refused with its words."""
    kind, colon, text = re.sub("：", ":", line, count=1).partition(":")
    return {"kind": kind.strip(), "text": text.strip()} if colon else line


def _partner(line: str) -> dict[str, str | None]:
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
