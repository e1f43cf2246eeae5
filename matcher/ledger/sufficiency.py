"""Self-sufficiency: what an alliance takes in, spends and is given, by subsidy year.

In: single rows of income, expense and subsidy, each with its day, source and
author. Out: a statement for a subsidy year (closing on 31 August) as of any
moment. It exists because an alliance is to carry itself (自主營運): own income has
to rise while the subsidy steps down, and both must be shown from rows that
nobody can change. A wrong row is taken back by one that reverses it, once; the
reversal belongs to the same day as the row, so that its year is put right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant, day_in_taipei
from indexer.vocabulary import MAX_NTD, Tier
from indexer.wording import P_, T_
from matcher.ledger.dated_rows import must_be_possible, reversed_row, stated
from matcher.ledger.entries import LedgerError
from matcher.ledger.periods import subsidy_days, subsidy_year


class Item(StrEnum):
    """What an amount is."""

    MEMBER_FEES = "member_fees"
    OVERHEAD = "overhead"
    OTHER_INCOME = "other_income"
    PERSONNEL = "personnel"
    OPERATION = "operation"
    OTHER_EXPENSE = "other_expense"
    SUBSIDY = "subsidy"


ITEM_LABELS = {
    Item.MEMBER_FEES: T_("member fees"),
    Item.OVERHEAD: P_("sufficiency", "overhead from cooperation"),
    Item.OTHER_INCOME: T_("other income"),
    Item.PERSONNEL: T_("personnel"),
    Item.OPERATION: T_("operation"),
    Item.OTHER_EXPENSE: T_("other expenses"),
    Item.SUBSIDY: T_("subsidy received"),
}
"""Each item in Chinese and English."""
OWN_INCOME = (Item.MEMBER_FEES, Item.OVERHEAD, Item.OTHER_INCOME)
EXPENSES = (Item.PERSONNEL, Item.OPERATION, Item.OTHER_EXPENSE)
FEE_TIERS = (Tier.DOMESTIC, Tier.INTERNATIONAL, Tier.GOLD)
TIER_LABELS = {
    Tier.DOMESTIC: T_("domestic"),
    Tier.INTERNATIONAL: T_("international"),
    Tier.GOLD: T_("international gold"),
}
"""Each tier that pays fees, in Chinese and English."""

_ITEMS = ", ".join(f"'{item.value}'" for item in Item)
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

    id: int | None = Field(default=None, primary_key=True)
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    item: str
    tier: str | None
    occurred_on: date
    amount_ntd: int = Field(sa_type=BigInteger)
    source: str
    reverses: int | None = Field(default=None, foreign_key="sufficiency_row.id", unique=True)
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class Statement:
    """An alliance's income and expense of a subsidy year as of a moment; all amounts are NTD.

    `rows` are the numbers of the rows behind each item; `closed` says whether the year was over on that day.
    """

    alliance: str
    year: int
    as_of: datetime
    closed: bool
    items: Mapping[Item, int]
    fees: Mapping[Tier, int]
    rows: Mapping[Item, tuple[int, ...]]

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
        return self.items[Item.SUBSIDY]

    @property
    def balance_ntd(self) -> int:
        """Return what is left: own income and subsidy less expenses."""
        return self.own_income_ntd + self.subsidy_ntd - self.expenses_ntd


def book(
    session: Session,
    *,
    alliance_id: str,
    item: Item,
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
    must_be_possible(session, alliance_id=alliance_id, occurred_on=occurred_on, now=now)
    if (item is Item.MEMBER_FEES) != (tier in FEE_TIERS):
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
        source=stated(source, T_("say where the figure comes from"), "source"),
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
    items = dict.fromkeys(Item, 0)
    fees = dict.fromkeys(FEE_TIERS, 0)
    behind: dict[Item, list[int]] = {item: [] for item in Item}
    for row in session.exec(query).all():
        signed = row.amount_ntd if row.reverses is None else -row.amount_ntd
        items[Item(row.item)] += signed
        behind[Item(row.item)].append(row.id or 0)
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
