"""A report before it has a format: what is asked for, and titles, tables and notes in both languages.

In: a day, perhaps a year and alliances; figures of the ledger. Out: one document that a renderer turns into XLSX,
ODS, CSV, PDF, HTML or JSON. It exists so that the command line and the server ask in the same way, so that a report
is written once, and so that a cell keeps what stands behind it: its entries, by which a reader drills down from any
figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from indexer.wording import Text
from matcher.ledger.rows.chain import ExportedHead


class CellKind(StrEnum):
    """How the values of a column are shown; every value is a text, a whole number, a fraction or None (nothing)."""

    TEXT = "text"
    COUNT = "count"
    NTD = "ntd"
    PERCENT = "percent"
    SHARE = "share"
    DATE = "date"


@dataclass(frozen=True)
class ReportColumn:
    """A column's title and how its values are shown. `SHARE` is a count that may have decimals, by shares."""

    title: Text
    kind: CellKind = CellKind.TEXT


Value = str | int | float | date | Text | None


@dataclass(frozen=True)
class ReportCell:
    """A value, the entries that it adds up (drill-down) and a remark such as "disputed"."""

    value: Value
    entries: tuple[str, ...] = ()
    remark: Text | None = None


@dataclass(frozen=True)
class ReportTable:
    """A table with its title; each row has one cell per column."""

    title: Text
    columns: tuple[ReportColumn, ...]
    rows: tuple[tuple[ReportCell, ...], ...]
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True)
class ReportDocument:
    """A whole report. `heads` are the heads of the ledger's chains at that moment, printed in every format."""

    name: str
    title: Text
    as_of: date
    tables: tuple[ReportTable, ...]
    heads: tuple[ExportedHead, ...]
    notes: tuple[Text, ...] = field(default=())


@dataclass(frozen=True)
class ReportRequest:
    """A report is as of the end of `as_of` in Taipei.

    `year` is a KPI year of the common era, None for all. `alliances` are those that it is about, such as one alliance
    or a committee's group, None for the whole programme; who may see which is decided by the caller. `now` is the
    moment that the heads of the chains are read at. A report that stays inside is for people of the alliances that it
    is about; from any other one small counts of people are left out.
    """

    as_of: date
    now: datetime
    year: int | None = None
    alliances: frozenset[str] | None = None
    stays_inside: bool = False
