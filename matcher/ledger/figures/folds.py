"""The programme's figures: folds over the ledger's rows as of any moment.

In: the database and a moment. Out: for each figure, year and alliance what is recognised, what is committed for
later, what falls after the programme, and what is still in review; and the entries behind each. It exists so that
no figure is stored where it could differ from its rows: yesterday's figure can be asked for tomorrow and is the
same.

There are two folds of the same queries. `figures` answers by figure, year and alliance, in units × basis points, so
that shares of alliances add up exactly to the programme's whole. `slices` is for tables: it cuts by year, payer and
basis too, and each slice carries its entries for drill-down; asking for them cell by cell would read the ledger
once for every cell, here it is read once for a whole report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from functools import cache
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlmodel import Session, col

from indexer.database import once
from indexer.instants import TAIPEI, Instant, day_in_taipei
from matcher.ledger.rows.entries import WHOLE_BP, Entry, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import Takes, Traits


class Status(StrEnum):
    """How an amount stands: only `actual` is the programme's figure, the others are shown beside it."""

    ACTUAL = "actual"
    COMMITTED = "committed"
    AFTER_PROGRAMME = "after_programme"
    IN_REVIEW = "in_review"


class YearBasis(StrEnum):
    """Which year an amount belongs to: that in which it was counted, or that of the day it is about.

    They differ for what came to light after its quarter was closed: `counted` never changes a year that was shown,
    `occurred` is the year restated.
    """

    COUNTED = "counted"
    OCCURRED = "occurred"


@dataclass(frozen=True)
class Amount:
    """One cell of the fold, in the figure's unit × basis points."""

    kpi: Kpi
    status: Status
    year: int
    alliance: str
    amount_bp: int
    traits: Traits


class Figures:
    """The fold as of one moment, to be asked by figure, year and alliance."""

    def __init__(self, amounts: Iterable[Amount], as_of: datetime) -> None:
        self.as_of = as_of
        self._sums: defaultdict[tuple[Kpi, Status, int, str], int] = defaultdict(int)
        self._cut: defaultdict[tuple[Kpi, Status], defaultdict[tuple[int, str, Traits], int]] = defaultdict(
            lambda: defaultdict(int)
        )
        for one in amounts:
            self._sums[one.kpi, one.status, one.year, one.alliance] += one.amount_bp
            self._cut[one.kpi, one.status][one.year, one.alliance, one.traits] += one.amount_bp

    def amount_bp(
        self,
        kpi: Kpi,
        *,
        years: Iterable[int] | None = None,
        alliance: str | None = None,
        status: Status = Status.ACTUAL,
        where: Takes | None = None,
    ) -> int:
        """Return a sum in units × basis points, of some years or all, of one alliance or all, of what `where` takes."""
        wanted = None if years is None else set(years)
        if where is not None:
            return sum(
                amount
                for (year, who, traits), amount in self._cut[kpi, status].items()
                if (wanted is None or year in wanted) and (alliance is None or who == alliance) and where(traits)
            )
        return sum(
            amount
            for (of, stands, year, who), amount in self._sums.items()
            if of is kpi
            and stands is status
            and (wanted is None or year in wanted)
            and (alliance is None or who == alliance)
        )

    def whole(self, kpi: Kpi, *, years: Iterable[int] | None = None, status: Status = Status.ACTUAL) -> int:
        """Return a sum over all alliances in whole units; shares sum to the whole, so nothing is rounded."""
        return self.amount_bp(kpi, years=years, status=status) // WHOLE_BP

    def alliances(self) -> list[str]:
        """Return the alliances that have a part in anything."""
        return sorted({alliance for _, _, _, alliance in self._sums})

    def years(self) -> list[int]:
        """Return the years that anything counts in."""
        return sorted({year for _, _, year, _ in self._sums})


def end_of(day: date) -> datetime:
    """Return the last moment of a day in Taipei: figures as of a day include all that was decided on it."""
    return datetime.combine(day, time.max, TAIPEI)


def figures(session: Session, *, as_of: datetime, basis: YearBasis = YearBasis.COUNTED) -> Figures:
    """Fold all entries as of a moment."""
    return once(session, (figures, as_of, basis), lambda: _folded(session, as_of, basis))


def _folded(session: Session, as_of: datetime, basis: YearBasis) -> Figures:
    moment = _moment(session, as_of)
    queries = (_by_traits(basis, number) for number in range(3))
    return Figures(_amounts(row for query in queries for row in session.connection().execute(query, moment)), as_of)


# Queries are built once: of a short ledger that takes longer than asking them.
@cache
def _by_traits(basis: YearBasis, number: int) -> Select[Any]:
    """Return one of the fold's three queries, grouped by what definitions ask too."""
    query = (lambda: _recognised_rows(basis), _in_review_rows, _unreviewed_rows)[number]()
    keys = [*[*query.selected_columns][:5], *_trait_columns()]
    return query.with_only_columns(*keys, func.sum(col(Entry.amount))).group_by(None).group_by(*keys)


def entries_behind(
    session: Session,
    kpi: Kpi,
    *,
    as_of: datetime,
    years: Iterable[int] | None = None,
    alliance: str | None = None,
    status: Status = Status.ACTUAL,
    basis: YearBasis = YearBasis.COUNTED,
    where: Takes | None = None,
) -> list[str]:
    """Return the ids of the entries that a figure adds up, reversals among them, in the order they were written."""
    if status is Status.IN_REVIEW:
        query = _in_review_rows()
    elif KPI_FACTS[kpi].needs_recognition:
        query = _recognised_rows(basis)
    else:
        query = _unreviewed_rows()
    wanted = None if years is None else set(years)
    columns = [*query.selected_columns][:5]
    ungrouped = query.with_only_columns(*columns, col(Entry.id), col(Entry.seq), *_trait_columns()).group_by(None)
    of_kpi = ungrouped.where(col(Entry.kpi) == kpi.value).order_by(col(Entry.seq))
    found = session.connection().execute(of_kpi, _moment(session, as_of))
    return [
        str(row[5])
        for row in found
        if row[2] == status
        and (wanted is None or row[3] in wanted)
        and (alliance is None or alliance in orjson.loads(row[4]))
        and (where is None or where(Traits(*row[7:])))
    ]


def _amounts(rows: Iterable[Any]) -> Iterator[Amount]:
    for kpi, kind, status, year, shares, *traits, total in rows:
        signed = -int(total) if kind == EntryKind.REVERSAL else int(total)
        said = Traits(*traits)
        for alliance, share in orjson.loads(shares).items():
            yield Amount(Kpi(kpi), Status(status), int(year), alliance, signed * share, said)


def _grouped(status: ColumnElement[str], year: Any) -> Select[Any]:
    keys: list[Any] = [col(Entry.kpi), col(Entry.kind), status, year, cast(col(Entry.shares), String)]
    return select(*keys, func.sum(col(Entry.amount))).group_by(*keys)


_AS_OF = bindparam("as_of", type_=Instant)


def _moment(session: Session, as_of: datetime) -> dict[str, Any]:
    """Return what the queries hang on: the moment, its day, and the programme's end as the rules said it then."""
    end = current(session, RecognitionRules, at=as_of).programme_end
    return {"as_of": as_of, "day": day_in_taipei(as_of), "programme_end": end}


@cache
def _recognised_rows(basis: YearBasis) -> Select[Any]:
    """Return the query of what was recognised by a moment: figure, kind, status, year and shares with their sum."""
    status = case(
        (col(Entry.counts_on) > bindparam("programme_end", type_=Date), literal(Status.AFTER_PROGRAMME.value)),
        (col(Entry.counts_on) > bindparam("day", type_=Date), literal(Status.COMMITTED.value)),
        else_=literal(Status.ACTUAL.value),
    )
    year = col(Step.kpi_year) if basis is YearBasis.COUNTED else _year_of_day()
    joined = and_(col(Step.entry_id) == col(Entry.id), col(Step.state) == State.RECOGNISED.value)
    return _grouped(status, year).select_from(Entry).join(Step, joined).where(col(Step.at) <= _AS_OF)


@cache
def _in_review_rows() -> Select[Any]:
    """Return the query of what was in review at a moment, in the same columns."""
    last = (
        select(col(Step.entry_id).label("entry_id"), func.max(col(Step.version)).label("version"))
        .where(col(Step.at) <= _AS_OF)
        .group_by(col(Step.entry_id))
        .subquery()
    )
    states = [state.value for state in (State.HELD, State.REPORTED, State.CHECKED, State.RETURNED)]
    joined = and_(col(Step.entry_id) == last.c.entry_id, col(Step.version) == last.c.version)
    return (
        _grouped(literal(Status.IN_REVIEW.value), _year_of_day())
        .select_from(Entry)
        .join(last, last.c.entry_id == col(Entry.id))
        .join(Step, joined)
        .where(col(Step.state).in_(states))
    )


@cache
def _unreviewed_rows() -> Select[Any]:
    """Return the query of what needs no recognition and counts once it is booked, in the same columns."""
    kpis = [kpi.value for kpi, facts in KPI_FACTS.items() if not facts.needs_recognition]
    return (
        _grouped(literal(Status.ACTUAL.value), _year_of_day())
        .select_from(Entry)
        .where(or_(*(col(Entry.kpi) == kpi for kpi in kpis)), col(Entry.reported_at) <= _AS_OF)
    )


def _year_of_day() -> ColumnElement[int]:
    """Return the year of the day that an amount is about."""
    return cast(extract("year", col(Entry.counts_on)), Integer)


def _trait_columns() -> list[Any]:
    return [col(Entry.details)[name].as_string().label(name) for name in Traits._fields]


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
    traits: Traits
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
        where: Takes | None = None,
    ) -> Sum:
        """Return the sum of some years or all, of those slices that `where` takes."""
        these = [one for one in self._cut(kpi, years, status, by) if where is None or where(one.traits)]
        return Sum(sum(one.amount for one in these), tuple(chain.from_iterable(one.entries for one in these)))

    def amount(
        self,
        kpi: Kpi,
        *,
        years: Iterable[int] | None = None,
        status: Status = Status.ACTUAL,
        by: YearBasis = YearBasis.COUNTED,
        where: Takes | None = None,
    ) -> int:
        """Return the same sum without its entries, which is quicker."""
        return sum(one.amount for one in self._cut(kpi, years, status, by) if where is None or where(one.traits))

    def _cut(self, kpi: Kpi, years: Iterable[int] | None, status: Status, by: YearBasis) -> Iterator[Slice]:
        wanted = None if years is None else frozenset(years)
        for one in self._by_kind.get((kpi, status), ()):
            if wanted is None or (one.year if by is YearBasis.COUNTED else one.year_of_day) in wanted:
                yield one


def slices(session: Session, *, as_of: datetime) -> Slices:
    """Fold all entries as of a moment, cut by all that tables of the whole programme ask for."""
    found = _rows(session, as_of, [_year_of_day().label("year_of_day"), *_trait_columns()])
    cut = []
    for kpi, kind, status, year, day_year, *traits, total, ids in found:
        signed = -int(total) if kind == EntryKind.REVERSAL else int(total)
        entries = tuple(sorted(str(ids).split(_SEPARATOR)))
        cut.append(Slice(Kpi(kpi), Status(status), int(year), int(day_year), Traits(*traits), signed, entries))
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
    queries = (_recognised_rows(YearBasis.COUNTED), _in_review_rows(), _unreviewed_rows())
    moment = _moment(session, as_of)
    return [row for query in queries for row in session.connection().execute(_cut(query, cuts), moment)]


def _cut(query: Select[Any], cuts: list[Any]) -> Select[Any]:
    """Return a query of `figures` with other cuts: its figure, kind, status and year, then `cuts`, sum and ids."""
    keys = [*[*query.selected_columns][:4], *cuts]
    totals = (func.sum(col(Entry.amount)), func.aggregate_strings(col(Entry.id), _SEPARATOR))
    return query.with_only_columns(*keys, *totals).group_by(None).group_by(*keys)


def decimal_of(amount_bp: int) -> int | float:
    """Return units × basis points as units: whole where it is whole, else with up to four decimals."""
    whole, rest = divmod(amount_bp, WHOLE_BP)
    return whole if rest == 0 else amount_bp / WHOLE_BP
