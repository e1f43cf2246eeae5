"""A report before it has a format: what is asked for, and titles, tables and notes in both languages.

In: a day, perhaps a year and alliances; figures of the ledger. Out: one document that a renderer turns into XLSX,
ODS, DOCX, ODT, CSV, PDF, HTML or JSON. It exists so that the command line and the server ask in the same way, so
that a report is written once, and so that a cell keeps what stands behind it: its entries, by which a reader drills
down from any figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from indexer.wording import Text
from matcher.ledger.rows.chain import ExportedHead


class CellKind(StrEnum):
    """How the values of a column are shown; every value is a text, a whole number, a fraction or None (nothing).

    `THOUSANDS` are thousands of NTD (千元), as the forms of the budget ask for them, with up to three decimals.
    """

    TEXT = "text"
    COUNT = "count"
    NTD = "ntd"
    THOUSANDS = "thousands"
    PERCENT = "percent"
    SHARE = "share"
    DATE = "date"


@dataclass(frozen=True)
class ReportColumn:
    """A column's title and how its values are shown. `SHARE` is a count that may have decimals, by shares.

    Columns side by side with the same `group` stand below that title of a second level. Where `merged`, the same value
    in rows that follow each other is printed once, in one tall cell. `names` says that the column tells which row a
    figure is of; without any such column the first one does. One with `room` is left empty for what people write.
    """

    title: Text
    kind: CellKind = CellKind.TEXT
    group: Text | None = None
    merged: bool = False
    names: bool = False
    room: bool = False


Value = str | int | float | date | Text | None


@dataclass(frozen=True)
class ReportCell:
    """A value, the entries that it adds up (drill-down) and a remark such as "disputed"."""

    value: Value
    entries: tuple[str, ...] = ()
    remark: Text | None = None


@dataclass(frozen=True)
class ReportTable:
    """A table with its title; each row has one cell per column.

    `below`: on the sheet of the table before it; `new_page`: on paper it begins a page.
    """

    title: Text
    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[ReportCell, ...], ...]
    notes: tuple[Text, ...] = ()
    below: bool = False
    new_page: bool = False


@dataclass(frozen=True)
class Heading:
    """What stands at the top of a paper that is handed in, and who signs it at its end.

    `lines` are labels with what stands beside them; `signers` are those whose seals (核章) the paper waits for.
    """

    lines: tuple[tuple[Text, Text], ...] = ()
    signers: tuple[Text, ...] = ()


@dataclass(frozen=True)
class ReportDocument:
    """A whole report. `heads` are the heads of the ledger's chains at that moment, printed in every format.

    `seal` are the same heads signed (`matcher.ledger.proving.heads`), for a report that leaves the machine.
    """

    name: str
    title: Text
    as_of: date
    tables: tuple[ReportTable, ...]
    heads: tuple[ExportedHead, ...]
    notes: tuple[Text, ...] = field(default=())
    heading: Heading = field(default=Heading())
    seal: str = ""


@dataclass(frozen=True)
class ReportRequest:
    """A report is as of the end of `as_of` in Taipei.

    `year` is a KPI year of the common era, None for all. `alliances` are those that it is about, such as one alliance
    or a committee's group, None for the whole programme; who may see which is decided by the caller. `now` is the
    moment that the heads of the chains are read at. A report that stays inside is for people of the alliances that it
    is about or, of the whole programme, for the Ministry's own statistics; from any other one small counts of people
    are left out.
    """

    as_of: date
    now: datetime
    year: int | None = None
    alliances: frozenset[str] | None = None
    stays_inside: bool = False
