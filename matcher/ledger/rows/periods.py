"""The programme's calendar, and its quarters, which are closed: recomputed, compared, agreed by two people, frozen.

In: days in Taipei, and a quarter that is over. Out: the quarter, the KPI year and the subsidy year that a day
belongs to; for a closed quarter a row with its totals and the heads of both chains at that moment. It exists
because the programme counts by two calendars of its own (KPI years are calendar years, subsidy years close at the
end of August), and because a figure that the committee has seen must never move: what comes to light later is
booked in the quarter that is open then, and says which one it restates. The database itself refuses entries and
recognitions in a closed quarter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, bindparam
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.instants import Instant, day_in_taipei
from indexer.wording import T_
from matcher.ledger.rows.chain import Chain, head, lock_heads
from matcher.ledger.rows.entries import Entry, EntryKind, LedgerError
from matcher.ledger.rows.motions import Motion, MotionKind, end, move, open_motion
from matcher.ledger.rows.steps import State, Step

ROC_OFFSET = 1911
_QUARTER = re.compile(r"(\d{4})Q([1-4])")


def quarter_of(day: date) -> str:
    """Return the quarter of a day, such as "2018Q4"; quarters sort as texts."""
    return f"{day.year:04}Q{(day.month + 2) // 3}"


def quarter_after(quarter: str) -> str:
    """Return the next quarter."""
    year, number = _parts(quarter)
    return f"{year + 1:04}Q1" if number == 4 else f"{year:04}Q{number + 1}"


def last_day(quarter: str) -> date:
    """Return the last day of a quarter."""
    year, number = _parts(quarter_after(quarter))
    return date(year, 3 * number - 2, 1) - timedelta(days=1)


def first_day(quarter: str) -> date:
    """Return the first day of a quarter."""
    year, number = _parts(quarter)
    return date(year, 3 * number - 2, 1)


def last_quarter_over(day: date) -> str:
    """Return the last quarter that is over once a day has ended: on 30 June that is the second of its year."""
    now = quarter_of(day)
    return now if day == last_day(now) else quarter_of(first_day(now) - timedelta(days=1))


def year_of(quarter: str) -> int:
    """Return the KPI year of a quarter, in the common era."""
    return _parts(quarter)[0]


def roc_year(year: int) -> int:
    """Return a year of the Republic (民國) for one of the common era: 2017 is 106."""
    return year - ROC_OFFSET


def common_year(year: int) -> int:
    """Return a year of the common era for one that people may give in either count: 106 and 2017 are both 2017."""
    return year + ROC_OFFSET if year < ROC_OFFSET else year


def subsidy_year(day: date) -> int:
    """Return the subsidy year that a day belongs to, named by the year in which it closes (31 August)."""
    return day.year if (day.month, day.day) <= (8, 31) else day.year + 1


def subsidy_days(year: int) -> tuple[date, date]:
    """Return the first and the last day of a subsidy year: 1 September of the year before, 31 August."""
    return date(year - 1, 9, 1), date(year, 8, 31)


def _parts(quarter: str) -> tuple[int, int]:
    found = _QUARTER.fullmatch(quarter)
    if found is None:
        raise ValueError(T_("%(quarter)r is no quarter; give one such as 2018Q4", quarter=quarter))
    return int(found[1]), int(found[2])


Totals = dict[str, dict[str, int]]
"""For each figure the sum in basis points of its unit (amount × share) by alliance, and `all` in whole units."""


class PeriodClose(SQLModel, table=True):
    """A closed quarter: never updated, never deleted."""

    __tablename__ = "ledger_period_close"
    __table_args__ = (CheckConstraint("moved_by <> seconded_by", name="closed_by_two"),)

    period: str = Field(primary_key=True)
    totals: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    entries_n: int = Field(sa_type=BigInteger)
    entries_hash: str
    steps_n: int = Field(sa_type=BigInteger)
    steps_hash: str
    moved_by: str = Field(foreign_key="account.id")
    seconded_by: str = Field(foreign_key="account.id")
    closed_at: datetime = Field(sa_type=Instant)


# Built once: every entry asks it.
_LAST_CLOSED = select(func.max(PeriodClose.period))


def last_closed(session: Session) -> str | None:
    """Return the last closed quarter, None before the first."""
    found = session.connection().execute(_LAST_CLOSED).scalar()
    return None if found is None else str(found)


def booking_period(session: Session, day: date) -> tuple[str, str | None]:
    """Return the quarter in which a fact of a day is booked and, if its own is closed, the one it comes late for."""
    own, closed = quarter_of(day), last_closed(session)
    if closed is None or own > closed:
        return own, None
    return quarter_after(closed), own


def counting_year(session: Session, entry: Entry) -> tuple[str, int]:
    """Return quarter and KPI year in which an entry counts if it is recognised now.

    Both are its own as long as its quarter is open. Once that is closed its year is too, as far as it was shown: then
    it counts in the open quarter, and not before that quarter's year.
    """
    period, late_for = booking_period(session, entry.occurred_on)
    if late_for is None:
        return period, entry.counts_on.year
    return period, max(entry.counts_on.year, year_of(period))


# Built once: every proof of the ledger asks for all closed quarters.
_RECOGNISED_IN = (
    select(Entry.kpi, Entry.kind, Entry.amount, Entry.shares)
    .join(Step, col(Step.entry_id) == col(Entry.id))
    .where(col(Step.period) == bindparam("period"), Step.state == State.RECOGNISED.value)
)


def totals_of(session: Session, period: str) -> Totals:
    """Return what a quarter's recognised entries add up to, folded over its rows."""
    sums: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for kpi, kind, amount, shares in session.execute(_RECOGNISED_IN, {"period": period}).all():
        signed = -amount if kind == EntryKind.REVERSAL else amount
        sums[kpi]["all"] += signed
        for alliance, share in shares.items():
            sums[kpi][alliance] += signed * share
    return {kpi: dict(sorted(of.items())) for kpi, of in sorted(sums.items())}


def move_close(session: Session, *, period: str, reason: str, by: str, now: datetime) -> Motion:
    """Move that a quarter be closed, with its totals as they stand now.

    Raises:
        LedgerError: the quarter is not over, is closed, or an earlier one that has entries is still open.
    """
    lock_heads(session)
    _refuse_early(session, period, now)
    payload = {"totals": totals_of(session, period)}
    return move(session, kind=MotionKind.CLOSE, subject=period, payload=payload, reason=reason, by=by, now=now)


def second_close(session: Session, *, motion_id: int, by: str, now: datetime) -> PeriodClose:
    """Close a quarter as its second person: its totals are computed anew and must be those that were moved.

    Raises:
        LedgerError: the totals changed since, the mover seconds, or the quarter can't be closed (any more).
    """
    # From here on no writer comes between the totals and the close.
    lock_heads(session)
    motion = open_motion(session, motion_id)
    if motion.kind != MotionKind.CLOSE:
        raise LedgerError(T_("motion %(motion_id)s is not on closing a quarter", motion_id=motion_id), "motion")
    _refuse_early(session, motion.subject, now)
    heads = head(session, Chain.ENTRIES), head(session, Chain.STEPS)
    totals = totals_of(session, motion.subject)
    if totals != motion.payload["totals"]:
        changed = ", ".join(sorted(k for k in {*totals, *motion.payload["totals"]} if _differs(k, totals, motion)))
        raise LedgerError(
            T_(
                "figures changed since the closing was moved (%(changed)s); drop the motion and move anew",
                changed=changed,
            )
        )
    end(session, motion, seconded=True, by=by, now=now)
    close = PeriodClose(
        period=motion.subject,
        totals=totals,
        entries_n=heads[0][0],
        entries_hash=heads[0][1],
        steps_n=heads[1][0],
        steps_hash=heads[1][1],
        moved_by=motion.moved_by,
        seconded_by=by,
        closed_at=now,
    )
    session.add(close)
    session.flush()
    return close


def _differs(kpi: str, totals: Totals, motion: Motion) -> bool:
    return bool(totals.get(kpi) != motion.payload["totals"].get(kpi))


def _refuse_early(session: Session, period: str, now: datetime) -> None:
    if day_in_taipei(now) <= last_day(period):
        raise LedgerError(
            T_("%(period)s is not over: it ends on %(last)s in Taipei", period=period, last=last_day(period)),
            "period",
        )
    closed = last_closed(session)
    if closed is not None and period <= closed:
        raise LedgerError(T_("%(closed)s is closed, and all before it", closed=closed), "period")
    if closed is not None and period != quarter_after(closed):
        raise LedgerError(
            T_("quarters are closed in their order: %(closed)s is next", closed=quarter_after(closed)), "period"
        )
    first = session.exec(select(Entry.period).order_by(col(Entry.period)).limit(1)).first()
    if closed is None and first is not None and first < period:
        raise LedgerError(
            T_("quarters are closed in their order: %(first)s is the first with entries", first=first), "period"
        )
