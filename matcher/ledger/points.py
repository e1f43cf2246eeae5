"""Points: activities of faculty and staff earn them, and a share of the year's income is paid out by them.

In: what a person did, by pseudonym. Out: rows of points, and for a subsidy year
a payout that sums exactly to its pot. It exists because the plan takes over the
reward of MIT's Industrial Liaison Program: people who work with industry share
in what comes of it. Types, their points and the pot's share are the document
`points`; all of them are examples until the programme office sets them.

The pot is a share of own income, never of the subsidy, rounded down. Each person
gets the whole NTD of the pot × own points ÷ all points; what is left of the pot
goes one NTD each to the largest remainders, of equal ones to the lower pseudonym.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import CheckConstraint
from sqlmodel import Field as ColumnField
from sqlmodel import Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.ledger.configuration import Configured, ShareBp, current
from matcher.ledger.dated_rows import must_be_possible, reversed_row, stated
from matcher.ledger.entries import WHOLE_BP, LedgerError
from matcher.ledger.figures import end_of
from matcher.ledger.periods import subsidy_days
from matcher.ledger.persons import Person
from matcher.ledger.sufficiency import statement


class ActivityType(BaseModel):
    """A kind of activity and the points that it earns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label_zh: str = Field(min_length=1)
    label_en: str = Field(min_length=1)
    points: int = Field(ge=1, le=10_000)


class PointRules(Configured):
    """What earns how many points, and how much of own income is paid out by them."""

    name: ClassVar[str] = "points"

    pot_share_bp: ShareBp
    activities: dict[str, ActivityType]


class PointRow(SQLModel, table=True):
    """Points that a person earned, as the rules were then, or what takes them back: never updated, never deleted."""

    __tablename__ = "point_row"
    __table_args__ = (
        CheckConstraint("points > 0", name="points_positive"),
        CheckConstraint("length(source) > 0", name="has_a_source"),
    )

    id: int | None = ColumnField(default=None, primary_key=True)
    alliance_id: str = ColumnField(foreign_key="alliance.id", index=True)
    person: str = ColumnField(foreign_key="ledger_person.pseudonym", index=True)
    activity: str
    points: int
    occurred_on: date
    source: str
    reverses: int | None = ColumnField(default=None, foreign_key="point_row.id", unique=True)
    by: str = ColumnField(foreign_key="account.id")
    at: datetime = ColumnField(sa_type=Instant)


@dataclass(frozen=True)
class Payout:
    """What a subsidy year's points pay. Nothing is paid where nobody has points: then `ntd` is empty."""

    alliance: str
    year: int
    closed: bool
    pot_ntd: int
    points: Mapping[str, int]
    ntd: Mapping[str, int]


def earn(
    session: Session,
    *,
    alliance_id: str,
    person: str,
    activity: str,
    occurred_on: date,
    source: str,
    by: str,
    now: datetime,
) -> PointRow:
    """Store the points of an activity, as many as its type earns now; the caller commits.

    Raises:
        LedgerError: alliance, person or type is unknown, the day is impossible, or no source is given.
    """
    must_be_possible(session, alliance_id=alliance_id, occurred_on=occurred_on, now=now)
    if session.get(Person, person) is None:
        raise LedgerError(T_("there is no such person; register the person first"), "person")
    types = current(session, PointRules).activities
    if activity not in types:
        raise LedgerError(T_("there is no such type; there are %(types)s", types=", ".join(sorted(types))), "activity")
    row = PointRow(
        alliance_id=alliance_id,
        person=person,
        activity=activity,
        points=types[activity].points,
        occurred_on=occurred_on,
        source=stated(source, T_("say where that is written down"), "source"),
        by=by,
        at=now,
    )
    session.add(row)
    session.flush()
    return row


def take_points_back(session: Session, *, row_id: int, reason: str, by: str, now: datetime) -> PointRow:
    """Reverse a row of points, at most once.

    Raises:
        LedgerError: there is no such row, it is a reversal itself, or no reason is given.
        AlreadyReportedError: it is reversed already.
    """
    return reversed_row(session, PointRow, row_id, reason=reason, by=by, now=now)


def payout(session: Session, *, alliance_id: str, year: int, as_of: datetime) -> Payout:
    """Return what each person is paid for a subsidy year, by the rules that held at a moment, or when it closed."""
    first, last = subsidy_days(year)
    these = (PointRow.alliance_id == alliance_id, col(PointRow.occurred_on).between(first, last))
    earned: defaultdict[str, int] = defaultdict(int)
    for row in session.exec(select(PointRow).where(*these, PointRow.at <= as_of)).all():
        earned[row.person] += row.points if row.reverses is None else -row.points
    points = {person: sum_ for person, sum_ in sorted(earned.items()) if sum_ > 0}
    own = statement(session, alliance_id=alliance_id, year=year, as_of=as_of)
    rules = current(session, PointRules, at=min(as_of, end_of(last)))
    pot = own.own_income_ntd * rules.pot_share_bp // WHOLE_BP
    return Payout(alliance_id, year, own.closed, pot, points, apportioned(pot, points))


def apportioned(pot_ntd: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return a pot in whole NTD split by weights, by largest remainder, so that the parts sum to it.

    Args:
        pot_ntd: at least 0.
        weights: above 0; of equal remainders the lower key comes first. Without weights nothing is split.
    """
    whole = sum(weights.values())
    parts = {key: divmod(pot_ntd * weight, whole) for key, weight in sorted(weights.items())}
    left = pot_ntd - sum(each for each, _ in parts.values())
    more = set(sorted(parts, key=lambda key: (-parts[key][1], key))[:left])
    return {key: each + (key in more) for key, (each, _) in parts.items()}
