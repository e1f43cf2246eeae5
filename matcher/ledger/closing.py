"""Quarters are closed: recomputed, compared, agreed by two people, frozen.

In: a quarter that is over. Out: a row with its totals and the heads of both
chains at that moment. It exists because a figure that the committee has seen
must never move: what comes to light later is booked in the quarter that is
open then, and says which one it restates. The database itself refuses entries
and recognitions in a closed quarter.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.instants import Instant, day_in_taipei
from indexer.wording import T_
from matcher.ledger.chain import Chain, head, lock_heads
from matcher.ledger.entries import Entry, EntryKind, LedgerError
from matcher.ledger.motions import Motion, MotionKind, end, move, open_motion
from matcher.ledger.periods import last_day, quarter_after, quarter_of, year_of
from matcher.ledger.steps import State, Step

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


def totals_of(session: Session, period: str) -> Totals:
    """Return what a quarter's recognised entries add up to, folded over its rows."""
    query = (
        select(Entry.kpi, Entry.kind, Entry.amount, Entry.shares)
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .where(Step.period == period, Step.state == State.RECOGNISED.value)
    )
    sums: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for kpi, kind, amount, shares in session.execute(query).all():
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
