"""Self-sufficiency: what an alliance takes in, spends, is given and pays out by points, by subsidy year.

In: single rows of income, expense and subsidy, and of what people did (by pseudonym), each with its day, source and
author. Out: a statement for a subsidy year (closing on 31 August) as of any moment, and a payout that sums exactly
to its pot. It exists because an alliance is to carry itself (自主營運): own income has to rise while the subsidy
steps down, and both must be shown from rows that nobody can change. A wrong row is taken back by one that reverses
it, once; the reversal belongs to the same day as the row, so that its year is put right.

The plan takes over the reward of MIT's Industrial Liaison Program: people who work with industry share in what
comes of it. Types of activity, their points and the pot's share are the document `points`; all of them are examples
until the programme office sets them. The pot is a share of own income, never of the subsidy, rounded down. Each
person gets the whole NTD of the pot × own points ÷ all points; what is left of the pot goes one NTD each to the
largest remainders, of equal ones to the lower pseudonym.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict, Field
from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field as ColumnField
from sqlmodel import Session, SQLModel, col, select

from indexer.instants import Instant, day_in_taipei
from indexer.vocabulary import MAX_NTD, Tier
from indexer.wording import P_, T_
from matcher.ledger.figures.folds import end_of
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rows.periods import subsidy_days, subsidy_year
from matcher.ledger.rows.pseudonyms import Person
from matcher.ledger.rules.alliance_rows import refuse_impossible, reversed_row, stated_line
from matcher.ledger.rules.configuration import Configured, ShareBp, TakesNoYesForANumber, current


class SufficiencyItem(StrEnum):
    """What an amount is."""

    MEMBER_FEES = "member_fees"
    OVERHEAD = "overhead"
    OTHER_INCOME = "other_income"
    PERSONNEL = "personnel"
    OPERATION = "operation"
    OTHER_EXPENSE = "other_expense"
    SUBSIDY = "subsidy"


ITEM_LABELS = {
    SufficiencyItem.MEMBER_FEES: T_("member fees"),
    SufficiencyItem.OVERHEAD: P_("sufficiency", "overhead from cooperation"),
    SufficiencyItem.OTHER_INCOME: T_("other income"),
    SufficiencyItem.PERSONNEL: T_("personnel"),
    SufficiencyItem.OPERATION: T_("operation"),
    SufficiencyItem.OTHER_EXPENSE: T_("other expenses"),
    SufficiencyItem.SUBSIDY: T_("subsidy received"),
}
"""Each item in Chinese and English."""
OWN_INCOME = (SufficiencyItem.MEMBER_FEES, SufficiencyItem.OVERHEAD, SufficiencyItem.OTHER_INCOME)
EXPENSES = (SufficiencyItem.PERSONNEL, SufficiencyItem.OPERATION, SufficiencyItem.OTHER_EXPENSE)
FEE_TIERS = (Tier.DOMESTIC, Tier.INTERNATIONAL, Tier.GOLD)
TIER_LABELS = {
    Tier.DOMESTIC: T_("domestic"),
    Tier.INTERNATIONAL: T_("international"),
    Tier.GOLD: T_("international gold"),
}
"""Each tier that pays fees, in Chinese and English."""

_ITEMS = ", ".join(f"'{item.value}'" for item in SufficiencyItem)
_TIERS = ", ".join(f"'{tier.value}'" for tier in FEE_TIERS)


class SufficiencyRow(SQLModel, table=True):
    """An amount, or what takes one back: never updated, never deleted."""

    __tablename__ = "sufficiency_row"
    __table_args__ = (
        CheckConstraint(f"item IN ({_ITEMS})", name="item_known"),
        CheckConstraint(f"(item = 'member_fees') = (tier IS NOT NULL AND tier IN ({_TIERS}))", name="fees_name_a_tier"),
        CheckConstraint("amount_ntd > 0", name="amount_positive"),
        CheckConstraint("length(source) > 0", name="has_a_source"),
    )

    id: int | None = ColumnField(default=None, primary_key=True)
    alliance_id: str = ColumnField(foreign_key="alliance.id", index=True)
    item: str
    tier: str | None
    occurred_on: date
    amount_ntd: int = ColumnField(sa_type=BigInteger)
    source: str
    reverses: int | None = ColumnField(default=None, foreign_key="sufficiency_row.id", unique=True)
    by: str = ColumnField(foreign_key="account.id")
    at: datetime = ColumnField(sa_type=Instant)


@dataclass(frozen=True)
class Statement:
    """An alliance's income and expense of a subsidy year as of a moment; all amounts are NTD.

    `rows` are the numbers of the rows behind each item; `closed` says whether the year was over on that day.
    """

    alliance: str
    year: int
    as_of: datetime
    closed: bool
    items: Mapping[SufficiencyItem, int]
    fees: Mapping[Tier, int]
    rows: Mapping[SufficiencyItem, tuple[int, ...]]

    @property
    def recorded(self) -> bool:
        """Whether anything was booked: nothing booked is not the same as nothing earned and nothing spent."""
        return any(self.rows.values()) or any(self.items.values())

    @property
    def own_income_ntd(self) -> int:
        """Return fees, overhead and other income, without the subsidy."""
        return sum(self.items[item] for item in OWN_INCOME)

    @property
    def expenses_ntd(self) -> int:
        """Return all that was spent."""
        return sum(self.items[item] for item in EXPENSES)

    @property
    def subsidy_ntd(self) -> int:
        """Return the subsidy received."""
        return self.items[SufficiencyItem.SUBSIDY]

    @property
    def balance_ntd(self) -> int:
        """Return what is left: own income and subsidy less expenses."""
        return self.own_income_ntd + self.subsidy_ntd - self.expenses_ntd


def book(
    session: Session,
    *,
    alliance_id: str,
    item: SufficiencyItem,
    tier: Tier | None = None,
    occurred_on: date,
    amount_ntd: int,
    source: str,
    by: str,
    now: datetime,
) -> SufficiencyRow:
    """Store an amount; the caller commits.

    Args:
        session: its transaction holds all writes.
        alliance_id: whose it is.
        item: what it is.
        tier: of the member who pays a fee; only for fees.
        occurred_on: the day, in Taipei.
        amount_ntd: whole NTD, above 0.
        source: where the figure comes from, such as the number of a voucher.
        by: the account that books.
        now: the moment.

    Raises:
        LedgerError: something is not what it must be; `field` says what.
    """
    refuse_impossible(session, alliance_id=alliance_id, occurred_on=occurred_on, now=now)
    if (item is SufficiencyItem.MEMBER_FEES) != (tier in FEE_TIERS):
        raise LedgerError(
            T_("fees name a tier, one of %(fee_tiers)s, and nothing else does", fee_tiers=", ".join(FEE_TIERS)), "tier"
        )
    if not 0 < amount_ntd <= MAX_NTD:
        raise LedgerError(T_("give whole NTD from 1 to %(max_ntd)s", max_ntd=f"{MAX_NTD:,}"), "amount_ntd")
    row = SufficiencyRow(
        alliance_id=alliance_id,
        item=item.value,
        tier=None if tier is None else tier.value,
        occurred_on=occurred_on,
        amount_ntd=amount_ntd,
        source=stated_line(source, T_("say where the figure comes from"), "source"),
        by=by,
        at=now,
    )
    session.add(row)
    session.flush()
    return row


def take_back(session: Session, *, row_id: int, reason: str, by: str, now: datetime) -> SufficiencyRow:
    """Reverse a row, at most once; the right amount is booked as a new row.

    Raises:
        LedgerError: there is no such row, it is a reversal itself, or no reason is given.
        AlreadyReportedError: it is reversed already.
    """
    return reversed_row(session, SufficiencyRow, row_id, reason=reason, by=by, now=now)


def statement(session: Session, *, alliance_id: str, year: int, as_of: datetime) -> Statement:
    """Return an alliance's statement of a subsidy year, with all that was booked by a moment."""
    first, last = subsidy_days(year)
    these = (SufficiencyRow.alliance_id == alliance_id, col(SufficiencyRow.occurred_on).between(first, last))
    query = select(SufficiencyRow).where(*these, SufficiencyRow.at <= as_of).order_by(col(SufficiencyRow.id))
    items = dict.fromkeys(SufficiencyItem, 0)
    fees = dict.fromkeys(FEE_TIERS, 0)
    behind: dict[SufficiencyItem, list[int]] = {item: [] for item in SufficiencyItem}
    for row in session.exec(query).all():
        signed = row.amount_ntd if row.reverses is None else -row.amount_ntd
        items[SufficiencyItem(row.item)] += signed
        behind[SufficiencyItem(row.item)].append(row.id or 0)
        if row.tier is not None:
            fees[Tier(row.tier)] += signed
    closed = day_in_taipei(as_of) > last
    return Statement(alliance_id, year, as_of, closed, items, fees, {item: tuple(ids) for item, ids in behind.items()})


def statements(session: Session, *, alliance_id: str, until: int, as_of: datetime) -> Sequence[Statement]:
    """Return an alliance's statements from the first subsidy year that has a row up to `until`, in their order."""
    query = select(SufficiencyRow).where(SufficiencyRow.alliance_id == alliance_id)
    first = session.exec(query.order_by(col(SufficiencyRow.occurred_on)).limit(1)).first()
    years = range(until, until + 1) if first is None else range(min(subsidy_year(first.occurred_on), until), until + 1)
    return [statement(session, alliance_id=alliance_id, year=year, as_of=as_of) for year in years]


class ActivityType(TakesNoYesForANumber):
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
    refuse_impossible(session, alliance_id=alliance_id, occurred_on=occurred_on, now=now)
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
        source=stated_line(source, T_("say where that is written down"), "source"),
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
