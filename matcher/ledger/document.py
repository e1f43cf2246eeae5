"""A report before it has a format: titles, tables and notes in both languages.

In: figures of the ledger. Out: one document that a renderer turns into XLSX,
ODS, CSV, PDF, HTML or JSON. It exists so that a report is written once, and so
that a cell keeps what stands behind it: its entries, by which a reader drills
down from any figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from indexer.wording import Text
from matcher.ledger.heads import ExportedHead


class CellKind(StrEnum):
    """How the values of a column are shown; every value is a text, a whole number, a fraction or None (nothing)."""

    TEXT = "text"
    COUNT = "count"
    NTD = "ntd"
    PERCENT = "percent"
    SHARE = "share"
    DATE = "date"


@dataclass(frozen=True)
class Column:
    """A column's title and how its values are shown. `SHARE` is a count that may have decimals, by shares."""

    title: Text
    kind: CellKind = CellKind.TEXT


Value = str | int | float | date | Text | None


@dataclass(frozen=True)
class Cell:
    """A value, the entries that it adds up (drill-down) and a remark such as "disputed"."""

    value: Value
    entries: tuple[str, ...] = ()
    remark: Text | None = None


@dataclass(frozen=True)
class Table:
    """A table with its title; each row has one cell per column."""

    title: Text
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True)
class ReportDocument:
    """A whole report. `heads` are the heads of the ledger's chains at that moment, printed in every format."""

    name: str
    title: Text
    as_of: date
    tables: tuple[Table, ...]
    heads: tuple[ExportedHead, ...]
    notes: tuple[Text, ...] = field(default=())
