"""The programme's figures: folds over the ledger's rows as of any moment.

In: the database and a moment. Out: for each figure, year and alliance what is
recognised, what is committed for later, what falls after the programme, and
what is still in review; and the entries behind each. It exists so that no
figure is stored where it could differ from its rows: yesterday's figure can be
asked for tomorrow and is the same.

Amounts are kept as units × basis points, so that shares of alliances add up
exactly to the programme's whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Integer, Select, String, and_, case, cast, extract, func, literal, or_, select
from sqlmodel import Session, col

from indexer.database import once
from indexer.instants import TAIPEI, day_in_taipei
from matcher.ledger.configuration import current
from matcher.ledger.entries import WHOLE_BP, Entry, EntryKind
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.rules import RecognitionRules
from matcher.ledger.steps import State, Step


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


class Figures:
    """The fold as of one moment, to be asked by figure, year and alliance."""

    def __init__(self, amounts: Iterable[Amount], as_of: datetime) -> None:
        self.as_of = as_of
        self._sums: defaultdict[tuple[Kpi, Status, int, str], int] = defaultdict(int)
        for one in amounts:
            self._sums[one.kpi, one.status, one.year, one.alliance] += one.amount_bp

    def amount_bp(
        self,
        kpi: Kpi,
        *,
        years: Iterable[int] | None = None,
        alliance: str | None = None,
        status: Status = Status.ACTUAL,
    ) -> int:
        """Return a sum in units × basis points, of some years or all, of one alliance or all."""
        wanted = None if years is None else set(years)
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
    rows = [
        *session.connection().execute(recognised_rows(session, as_of, basis)),
        *session.connection().execute(in_review_rows(as_of)),
        *session.connection().execute(unreviewed_rows(as_of)),
    ]
    return Figures(_amounts(rows), as_of)


def entries_behind(
    session: Session,
    kpi: Kpi,
    *,
    as_of: datetime,
    years: Iterable[int] | None = None,
    alliance: str | None = None,
    status: Status = Status.ACTUAL,
    basis: YearBasis = YearBasis.COUNTED,
) -> list[str]:
    """Return the ids of the entries that a figure adds up, reversals among them, in the order they were written."""
    if status is Status.IN_REVIEW:
        query = in_review_rows(as_of)
    elif KPI_FACTS[kpi].needs_recognition:
        query = recognised_rows(session, as_of, basis)
    else:
        query = unreviewed_rows(as_of)
    wanted = None if years is None else set(years)
    columns = [*query.selected_columns][:5]
    ungrouped = query.with_only_columns(*columns, col(Entry.id), col(Entry.seq)).group_by(None)
    found = session.connection().execute(ungrouped.where(col(Entry.kpi) == kpi.value).order_by(col(Entry.seq)))
    return [
        str(row[5])
        for row in found
        if row[2] == status
        and (wanted is None or row[3] in wanted)
        and (alliance is None or alliance in orjson.loads(row[4]))
    ]


def _amounts(rows: Iterable[Any]) -> Iterator[Amount]:
    for kpi, kind, status, year, shares, total in rows:
        signed = -int(total) if kind == EntryKind.REVERSAL else int(total)
        for alliance, share in orjson.loads(shares).items():
            yield Amount(Kpi(kpi), Status(status), int(year), alliance, signed * share)


def _grouped(status: ColumnElement[str], year: Any) -> Select[Any]:
    keys: list[Any] = [col(Entry.kpi), col(Entry.kind), status, year, cast(col(Entry.shares), String)]
    return select(*keys, func.sum(col(Entry.amount))).group_by(*keys)


def recognised_rows(session: Session, as_of: datetime, basis: YearBasis) -> Select[Any]:
    """Return the query of what was recognised by a moment: figure, kind, status, year and shares with their sum."""
    end = current(session, RecognitionRules, at=as_of).programme_end
    status = case(
        (col(Entry.counts_on) > end, literal(Status.AFTER_PROGRAMME.value)),
        (col(Entry.counts_on) > day_in_taipei(as_of), literal(Status.COMMITTED.value)),
        else_=literal(Status.ACTUAL.value),
    )
    year = col(Step.kpi_year) if basis is YearBasis.COUNTED else year_of_day()
    joined = and_(col(Step.entry_id) == col(Entry.id), col(Step.state) == State.RECOGNISED.value)
    return _grouped(status, year).select_from(Entry).join(Step, joined).where(col(Step.at) <= as_of)


def in_review_rows(as_of: datetime) -> Select[Any]:
    """Return the query of what was in review at a moment, in the same columns."""
    last = (
        select(col(Step.entry_id).label("entry_id"), func.max(col(Step.version)).label("version"))
        .where(col(Step.at) <= as_of)
        .group_by(col(Step.entry_id))
        .subquery()
    )
    states = [state.value for state in (State.HELD, State.REPORTED, State.CHECKED, State.RETURNED)]
    joined = and_(col(Step.entry_id) == last.c.entry_id, col(Step.version) == last.c.version)
    return (
        _grouped(literal(Status.IN_REVIEW.value), year_of_day())
        .select_from(Entry)
        .join(last, last.c.entry_id == col(Entry.id))
        .join(Step, joined)
        .where(col(Step.state).in_(states))
    )


def unreviewed_rows(as_of: datetime) -> Select[Any]:
    """Return the query of what needs no recognition and counts once it is booked, in the same columns."""
    kpis = [kpi.value for kpi, facts in KPI_FACTS.items() if not facts.needs_recognition]
    return (
        _grouped(literal(Status.ACTUAL.value), year_of_day())
        .select_from(Entry)
        .where(or_(*(col(Entry.kpi) == kpi for kpi in kpis)), col(Entry.reported_at) <= as_of)
    )


def year_of_day() -> ColumnElement[int]:
    """Return the year of the day that an amount is about."""
    return cast(extract("year", col(Entry.counts_on)), Integer)
