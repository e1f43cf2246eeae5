"""The fold for tables: figures cut by year, payer and basis, each slice with the entries that it adds up.

In: the database and a moment. Out: slices, to be added up into cells. It exists
beside `figures` because a table's cell carries its entries for drill-down, and
asking for them cell by cell would read the ledger once for every cell: here it
is read once for a whole report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import Select, String, cast, func
from sqlmodel import Session, col

from matcher.ledger.entries import WHOLE_BP, Entry, EntryKind
from matcher.ledger.figures import (
    Status,
    YearBasis,
    in_review_rows,
    recognised_rows,
    unreviewed_rows,
    year_of_day,
)
from matcher.ledger.kpis import Kpi

_TRAITS = ("payer_country", "payer_type", "purpose", "basis")
_SEPARATOR = "\n"
"""No id of an entry has one."""


@dataclass(frozen=True)
class Slice:
    """Entries that are alike in all of this, with the sum of their amounts (reversals subtract).

    `year` is the year in which they were counted, `year_of_day` that of the days that they are about.
    """

    kpi: Kpi
    status: Status
    year: int
    year_of_day: int
    payer_country: str | None
    payer_type: str | None
    purpose: str | None
    basis: str | None
    amount: int
    entries: tuple[str, ...]


@dataclass(frozen=True)
class ShareSlice:
    """Entries of one figure, year and split among alliances; `shares` in basis points."""

    kpi: Kpi
    status: Status
    year: int
    shares: tuple[tuple[str, int], ...]
    amount: int
    entries: tuple[str, ...]


@dataclass(frozen=True)
class Sum:
    """An amount in the figure's unit, and the entries that it adds up, alike ones together."""

    amount: int
    entries: tuple[str, ...]


class Slices:
    """The fold as of one moment, to be added up."""

    def __init__(self, slices: Iterable[Slice], as_of: datetime) -> None:
        self.as_of = as_of
        self._by_kind: defaultdict[tuple[Kpi, Status], list[Slice]] = defaultdict(list)
        # In one order whatever the database's, so that a report's bytes are the same every time.
        for one in sorted(slices, key=lambda one: one.entries[0]):
            self._by_kind[one.kpi, one.status].append(one)

    def total(
        self,
        kpi: Kpi,
        *,
        years: Iterable[int] | None = None,
        status: Status = Status.ACTUAL,
        by: YearBasis = YearBasis.COUNTED,
        where: Callable[[Slice], bool] | None = None,
    ) -> Sum:
        """Return the sum of some years or all, of those slices that `where` takes."""
        these = [one for one in self._cut(kpi, years, status, by) if where is None or where(one)]
        return Sum(sum(one.amount for one in these), tuple(chain.from_iterable(one.entries for one in these)))

    def amount(
        self,
        kpi: Kpi,
        *,
        years: Iterable[int] | None = None,
        status: Status = Status.ACTUAL,
        by: YearBasis = YearBasis.COUNTED,
    ) -> int:
        """Return the same sum without its entries, which is quicker."""
        return sum(one.amount for one in self._cut(kpi, years, status, by))

    def _cut(self, kpi: Kpi, years: Iterable[int] | None, status: Status, by: YearBasis) -> Iterator[Slice]:
        wanted = None if years is None else frozenset(years)
        for one in self._by_kind.get((kpi, status), ()):
            if wanted is None or (one.year if by is YearBasis.COUNTED else one.year_of_day) in wanted:
                yield one


def slices(session: Session, *, as_of: datetime) -> Slices:
    """Fold all entries as of a moment, cut by all that tables of the whole programme ask for."""
    traits = [col(Entry.details)[name].as_string().label(name) for name in _TRAITS]
    found = _rows(session, as_of, [year_of_day().label("year_of_day"), *traits])
    cut = []
    for kpi, kind, status, year, day_year, country, payer_type, purpose, basis, total, ids in found:
        signed = -int(total) if kind == EntryKind.REVERSAL else int(total)
        entries = tuple(sorted(str(ids).split(_SEPARATOR)))
        said = (country, payer_type, purpose, basis)
        cut.append(Slice(Kpi(kpi), Status(status), int(year), int(day_year), *said, signed, entries))
    return Slices(cut, as_of)


def share_slices(session: Session, *, as_of: datetime) -> list[ShareSlice]:
    """Fold all entries as of a moment, cut by how they are shared among alliances."""
    found = _rows(session, as_of, [cast(col(Entry.shares), String).label("shares")])
    return [
        ShareSlice(
            Kpi(kpi),
            Status(status),
            int(year),
            tuple(sorted(orjson.loads(shares).items())),
            -int(total) if kind == EntryKind.REVERSAL else int(total),
            tuple(sorted(str(ids).split(_SEPARATOR))),
        )
        for kpi, kind, status, year, shares, total, ids in found
    ]


def _rows(session: Session, as_of: datetime, cuts: list[Any]) -> list[Any]:
    queries = (
        recognised_rows(session, as_of, YearBasis.COUNTED),
        in_review_rows(as_of),
        unreviewed_rows(as_of),
    )
    return [row for query in queries for row in session.connection().execute(_cut(query, cuts))]


def _cut(query: Select[Any], cuts: list[Any]) -> Select[Any]:
    """Return a query of `figures` with other cuts: its figure, kind, status and year, then `cuts`, sum and ids."""
    keys = [*[*query.selected_columns][:4], *cuts]
    totals = (func.sum(col(Entry.amount)), func.aggregate_strings(col(Entry.id), _SEPARATOR))
    return query.with_only_columns(*keys, *totals).group_by(None).group_by(*keys)


def decimal_of(amount_bp: int) -> int | float:
    """Return units × basis points as units: whole where it is whole, else with up to four decimals."""
    whole, rest = divmod(amount_bp, WHOLE_BP)
    return whole if rest == 0 else amount_bp / WHOLE_BP
