"""Taking back what was recognised: a new entry that reverses it, by two people.

In: a recognised entry and why it was wrong. Out: a reversing entry, booked in
the quarter that is open. It exists because nothing recognised is ever edited or
deleted: a correction is a reversal and, where there is a right figure, a new
fact that says which entry it restates.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from indexer.wording import T_
from matcher.ledger.chain import lock_heads
from matcher.ledger.claims import free_key
from matcher.ledger.closing import booking_period, counting_year
from matcher.ledger.entries import (
    REVERSAL_SUFFIX,
    AlreadyReportedError,
    Entry,
    EntryKind,
    LedgerError,
    NewEntry,
    append,
    entry_of,
)
from matcher.ledger.kpis import Kpi
from matcher.ledger.motions import Motion, MotionKind, end, move, open_motion
from matcher.ledger.recognition import refuse_conflicted
from matcher.ledger.steps import NewStep, State, standing, take


def move_reversal(session: Session, *, entry_id: str, reason: str, by: str, now: datetime) -> Motion:
    """Move that a recognised entry be reversed.

    Raises:
        LedgerError: the entry is not recognised, or no reason is given.
        ConflictError: the caller reported it or has a stake in it.
    """
    lock_heads(session)
    _reversible(session, entry_id, by)
    return move(session, kind=MotionKind.REVERSE, subject=entry_id, payload={}, reason=reason, by=by, now=now)


def second_reversal(session: Session, *, motion_id: int, by: str, now: datetime) -> Entry:
    """Reverse an entry as the second person; its key is free for the right figure.

    Raises:
        LedgerError: the motion is not on reversing or has ended, the mover seconds, or the entry is not recognised.
        ConflictError: the caller reported it or has a stake in it.
    """
    lock_heads(session)
    motion = open_motion(session, motion_id)
    if motion.kind != MotionKind.REVERSE:
        raise LedgerError(T_("motion %(motion_id)s is not on reversing an entry", motion_id=motion_id), "motion")
    entry = _reversible(session, motion.subject, by)
    end(session, motion, seconded=True, by=by, now=now)
    reversal = write_reversal(session, entry, reason=motion.reason, by=by, now=now)
    last = standing(session, entry.id, wanted=State.REVERSED)
    period, kpi_year = counting_year(session, entry)
    # The reversal counts as the entry did; its steps say so in the same way.
    take(session, NewStep(reversal.id, 0, State.RECOGNISED, by, now, motion.reason, period=period, kpi_year=kpi_year))
    take(session, NewStep(entry.id, last.version, State.REVERSED, by, now, reason=motion.reason))
    free_key(session, entry.id)
    return reversal


def write_reversal(session: Session, entry: Entry, *, reason: str, by: str, now: datetime) -> Entry:
    """Write the row that reverses an entry, at most once; whether it may be is decided by the caller.

    Raises:
        AlreadyReportedError: it is reversed already.
    """
    if session.exec(select(Entry.id).where(Entry.reverses == entry.id)).first() is not None:
        raise AlreadyReportedError(T_("entry %(id)s is reversed already", id=entry.id), "id")
    period, late_for = booking_period(session, entry.occurred_on)
    row = append(
        session,
        NewEntry(
            id=entry.id + REVERSAL_SUFFIX,
            kind=EntryKind.REVERSAL,
            kpi=Kpi(entry.kpi),
            amount=entry.amount,
            shares=entry.shares,
            natural_key=entry.natural_key,
            details=entry.details,
            occurred_on=entry.occurred_on,
            counts_on=entry.counts_on,
            period=period,
            late_for=late_for,
            school_id=entry.school_id,
            company_id=entry.company_id,
            case_id=entry.case_id,
            decision_id=entry.decision_id,
            reverses=entry.id,
            value_added=reason,
            reporter=by,
            reported_at=now,
        ),
    )
    return entry_of(session, row["id"])


def _reversible(session: Session, entry_id: str, by: str) -> Entry:
    standing(session, entry_id, wanted=State.REVERSED)
    entry = entry_of(session, entry_id)
    if entry.kind != EntryKind.FACT:
        raise LedgerError(T_("a reversal can't be reversed; report the right figure as a new fact"), "id")
    refuse_conflicted(session, entry, by)
    return entry
