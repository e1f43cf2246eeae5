"""The words of a report in the language that was chosen: labels, amounts, days, heads.

In: values of a report and a language. Out: texts that people read. It exists so
that all formats say the same: NTD with separators, years of the Republic (民國)
beside those of the common era, Chinese first where both languages are wanted.
"""

from __future__ import annotations

import unicodedata
from datetime import date
from enum import StrEnum

from matcher.ledger.document import Bilingual, Cell, CellKind, ReportDocument, Table, Value
from matcher.ledger.heads import ExportedHead
from matcher.ledger.periods import roc_year


class ReportLanguage(StrEnum):
    """The language of a report."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"


LANG_TAGS = {ReportLanguage.ZH: "zh-Hant-TW", ReportLanguage.EN: "en", ReportLanguage.BOTH: "zh-Hant-TW"}
"""The language of a whole file, as BCP 47 names it."""

AS_OF = Bilingual("截至", "as of")
ENTRIES = Bilingual("分錄", "Entries")
ENTRY = Bilingual("分錄代號", "Entry")
FIGURE = Bilingual("數字", "Figure")
ABOUT = Bilingual("說明", "About")
HEADS = Bilingual("帳本鏈頭", "Heads of the ledger's chains")
NOTES = Bilingual("備註", "Notes")
PAGE = Bilingual("頁", "page")
PLACE = Bilingual("位置", "Place")
REMARKS = Bilingual("註記", "Remarks")
TABLE = Bilingual("表", "Table")
HEADS_SAY = Bilingual(
    "任何人可用 gloria ledger verify 核對帳本是否仍與上列鏈頭相符。",
    "gloria ledger verify tells whether the ledger still contains these heads.",
)
CHAINS = {"entries": Bilingual("分錄鏈", "entries"), "steps": Bilingual("步驟鏈", "steps")}


def said(text: Bilingual, language: ReportLanguage, between: str = " ") -> str:
    """Return a text in the chosen language; in both, one after the other."""
    if language is ReportLanguage.ZH:
        return text.zh
    if language is ReportLanguage.EN or text.zh == text.en:
        return text.en
    return f"{text.zh}{between}{text.en}"


def day(value: date, language: ReportLanguage) -> str:
    """Return a day with its year of the Republic."""
    year = roc_year(value.year)
    return (
        f"{value.isoformat()} (ROC {year})"
        if language is ReportLanguage.EN
        else f"{value.isoformat()}（民國 {year} 年）"
    )


def shown(value: Value, kind: CellKind, language: ReportLanguage) -> str:
    """Return a value as people read it; nothing is an empty text."""
    if isinstance(value, Bilingual):
        return said(value, language)
    if isinstance(value, date):
        return day(value, language)
    if value is None or isinstance(value, str):
        return value or ""
    return _number(value, kind)


def _number(value: float, kind: CellKind) -> str:
    if kind is CellKind.NTD:
        return f"NT$ {value:,}" if isinstance(value, int) else f"NT$ {value:,.2f}"
    if kind is CellKind.PERCENT:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def plain(value: Value, language: ReportLanguage) -> str | int | float | date | None:
    """Return a value for a cell that a program computes with: numbers and days stay what they are."""
    if isinstance(value, Bilingual):
        return said(value, language)
    return value


def display_width(text: str) -> int:
    """Return how wide a text's longest line is, in characters of the Latin script; Chinese ones count twice."""
    lines = text.splitlines()
    return max((sum(2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in line) for line in lines), default=0)


def as_of_line(document: ReportDocument, language: ReportLanguage) -> str:
    """Return the line that says of which day a report is."""
    return f"{said(AS_OF, language)} {day(document.as_of, language)}"


def head_line(one: ExportedHead, language: ReportLanguage) -> str:
    """Return a head of a chain as it is printed: number, hash and moment."""
    chain = CHAINS.get(one.chain, Bilingual(one.chain, one.chain))
    return f"{said(chain, language)} {one.n}: {one.hash} ({one.at})"


def place_of(table: Table, row: tuple[Cell, ...], column: int, language: ReportLanguage) -> str:
    """Return what a reader calls a cell: its row's first value and its column's title."""
    label = shown(row[0].value, table.columns[0].kind, language)
    title = said(table.columns[column].title, language)
    return title if column == 0 or not label else f"{label} / {title}"
