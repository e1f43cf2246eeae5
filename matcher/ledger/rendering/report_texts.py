"""The words of a report in the language that was chosen: labels, amounts, days, heads.

In: values of a report and a language. Out: texts that people read and that every file can hold. It exists so that
all formats say the same (NTD with separators, years of the Republic (民國) beside those of the common era, Chinese
first where both languages are wanted), and so that none has to think of characters that XML or UTF-8 can't hold:
one control character in a company's name must not keep a report from being written.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import date
from enum import StrEnum

from indexer.wording import P_, T_, Text, either
from matcher.ledger.reports.document import (
    CellKind,
    Heading,
    ReportCell,
    ReportColumn,
    ReportDocument,
    ReportTable,
    Value,
)
from matcher.ledger.reports.said_days import day_text
from matcher.ledger.rows.chain import ExportedHead


class ReportLanguage(StrEnum):
    """The language of a report."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"


LANG_TAGS = {ReportLanguage.ZH: "zh-Hant-TW", ReportLanguage.EN: "en", ReportLanguage.BOTH: "zh-Hant-TW"}
"""The language of a whole file, as BCP 47 names it."""

AS_OF = T_("as of")
ENTRIES = T_("Entries")
ENTRY = T_("Entry")
FIGURE = P_("wording", "Figure")
ABOUT = P_("wording", "About")
ANNEX = T_("Annex: entries behind the figures")
HEADS = P_("wording", "Heads of the ledger's chains")
NOTES = T_("Notes")
NOTHING = P_("reports", "none")
PAGE = P_("wording", "page")
PLACE = T_("Place")
REMARKS = T_("Remarks")
TABLE = T_("Table")
HEADS_SAY = T_(
    "The last line is these heads, signed. Keep this file elsewhere: gloria ledger verify --head FILE tells whether "
    "the ledger still contains them."
)
NOT_IN_THE_FONT = T_("The font of this file does not have these characters; their Unicode numbers stand instead: ")
CHAINS = {"entries": T_("entries"), "steps": T_("steps")}


def said(text: Text, language: ReportLanguage, between: str = " ") -> str:
    """Return a text in the chosen language; in both, one after the other."""
    if language is ReportLanguage.ZH:
        return text.zh
    if language is ReportLanguage.EN or text.zh == text.en:
        return text.en
    return f"{text.zh}{between}{text.en}"


def day(value: date, language: ReportLanguage) -> str:
    """Return a day as a Chinese paper has it, or in English with its year of the Republic."""
    text = day_text(value)
    return text.en if language is ReportLanguage.EN else text.zh


def shown(value: Value, kind: CellKind, language: ReportLanguage) -> str:
    """Return a value as people read it; nothing is an empty text."""
    if isinstance(value, Text):
        return said(value, language)
    if isinstance(value, date):
        return day(value, language)
    if value is None or isinstance(value, str):
        return value or ""
    return _number(value, kind)


def _number(value: float, kind: CellKind) -> str:
    if kind is CellKind.NTD:
        # Its unit stands in the head of the column, as in the Ministry's forms.
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    if kind is CellKind.PERCENT:
        return f"{value:.1%}"
    if kind is CellKind.THOUSANDS:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def plain(value: Value, language: ReportLanguage) -> str | int | float | date | None:
    """Return a value for a cell that a program computes with: numbers and days stay what they are."""
    if isinstance(value, Text):
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
    chain = CHAINS.get(one.chain, either(one.chain, one.chain))
    return f"{said(chain, language)} {one.n}: {one.hash} ({one.at})"


def head_lines(document: ReportDocument, language: ReportLanguage) -> list[str]:
    """Return the heads as they are printed, and below them their seal."""
    return [*(head_line(one, language) for one in document.heads), *([document.seal] if document.seal else [])]


def head_title(column: ReportColumn) -> Text:
    """Return what stands above a column: its title, and the unit where it counts money and doesn't say so itself."""
    if column.kind is not CellKind.NTD or "元" in column.title.zh:
        return column.title
    return T_("%(title)s (NTD)", title=column.title)


def place_of(table: ReportTable, row: tuple[ReportCell, ...], column: int, language: ReportLanguage) -> str:
    """Return what a reader calls a cell: what its row is of, by the columns that say so, and its column's title."""
    naming = [place for place, one in enumerate(table.columns) if one.names] or [0]
    labels = [shown(row[place].value, table.columns[place].kind, language) for place in naming]
    of = table.columns[column]
    title = " ".join(said(text, language) for text in (of.group, of.title) if text is not None)
    parts = [label for place, label in zip(naming, labels, strict=True) if label and place != column]
    return " / ".join([*parts, title])


# What XML can't hold, and halves of characters that no encoding can.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def writable(text: str) -> str:
    """Return a text with each character that no file can hold replaced by U+FFFD."""
    return _UNWRITABLE.sub("\ufffd", text)


def writable_report(document: ReportDocument) -> ReportDocument:
    """Return a report with all of its texts writable."""
    return replace(
        document,
        title=_writable_text(document.title),
        tables=tuple(_writable_table(table) for table in document.tables),
        notes=tuple(map(_writable_text, document.notes)),
        heading=Heading(
            tuple((_writable_text(label), _writable_text(value)) for label, value in document.heading.lines),
            tuple(map(_writable_text, document.heading.signers)),
        ),
    )


def _writable_text(text: Text) -> Text:
    return either(writable(text.zh), writable(text.en))


def _writable_table(table: ReportTable) -> ReportTable:
    return replace(
        table,
        title=_writable_text(table.title),
        columns=tuple(
            replace(
                column,
                title=_writable_text(column.title),
                group=None if column.group is None else _writable_text(column.group),
            )
            for column in table.columns
        ),
        rows=tuple(tuple(map(_writable_cell, row)) for row in table.rows),
        notes=tuple(map(_writable_text, table.notes)),
    )


def _writable_cell(cell: ReportCell) -> ReportCell:
    value = cell.value
    if isinstance(value, Text):
        value = _writable_text(value)
    elif isinstance(value, str):
        value = writable(value)
    remark = None if cell.remark is None else _writable_text(cell.remark)
    return ReportCell(value, tuple(map(writable, cell.entries)), remark)
