"""From reported to counted, and back: the committee's check, the programme's recognition, reversals.

In: a person's word on an entry, and the document `recognition` (the programme's dates, from which amount on two
people have to agree, when two claims look alike). Out: its next step; for what is taken back a reversing entry,
booked in the quarter that is open. It exists as the one place that knows the rules: nothing counts without a
statement of what GLORIA added, evidence and the school's own total; who reported does not recognise; who has a
stake in a party says nothing; large money takes two people. Nothing recognised is ever edited or deleted: a
correction is a reversal, by two people, and, where there is a right figure, a new fact that says which entry it
restates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar

from pydantic import Field
from sqlmodel import Session, col, select

from indexer.wording import T_
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.details import read_details
from matcher.ledger.rows.entries import (
    REVERSAL_SUFFIX,
    AlreadyReportedError,
    Entry,
    EntryKind,
    LedgerError,
    NewEntry,
    append,
    entry_of,
)
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.motions import Motion, MotionKind, end, move, open_motion
from matcher.ledger.rows.periods import booking_period, counting_year
from matcher.ledger.rows.result_claims import LiveFact, free_key
from matcher.ledger.rows.steps import NewStep, State, Step, standing, take
from matcher.ledger.rules.configuration import Configured, current
from matcher.ledger.rules.requirements import unmet
from matcher.review.cases import Case
from matcher.review.people import Stake


class RecognitionRules(Configured):
    """How results come to count."""

    name: ClassVar[str] = "recognition"

    programme_start: date
    programme_end: date = Field(description="What falls after it is shown apart.")
    two_people_from_ntd: int = Field(ge=0, description="More money than this, in a contract, takes two people.")
    similar_name_score: float = Field(ge=0, le=100, description="Names at least so alike (0 to 100) may be the same.")
    similar_amount_share: float = Field(ge=0, le=1, description="Amounts that differ by at most this share are alike.")
    similar_days: int = Field(ge=0, le=3_660, description="Dates at most so many days apart are alike.")


class ConflictError(LedgerError):
    """Who says it may not: the reporter, or somebody with a stake in a party."""


def check(session: Session, *, entry_id: str, by: str, now: datetime, note: str = "") -> None:
    """Say as the committee that the evidence bears the claim out.

    Raises:
        LedgerError: the entry does not stand to be checked.
        ConflictError: the caller reported it or has a stake in it.
    """
    _go(session, entry_id, State.CHECKED, by=by, now=now, reason=note)


def give_back(session: Session, *, entry_id: str, reason: str, by: str, now: datetime) -> None:
    """Return an entry to its alliance for more.

    Raises:
        LedgerError: no reason is given, or the entry does not stand to be returned.
        ConflictError: the caller reported it or has a stake in it.
    """
    _go(session, entry_id, State.RETURNED, by=by, now=now, reason=_said(reason))


def refuse(session: Session, *, entry_id: str, reason: str, by: str, now: datetime) -> None:
    """Refuse an entry for good; its key is free again.

    Raises:
        LedgerError: no reason is given, or the entry does not stand to be refused.
        ConflictError: the caller reported it or has a stake in it.
    """
    _go(session, entry_id, State.REFUSED, by=by, now=now, reason=_said(reason))
    free_key(session, entry_id)


def tell_apart(session: Session, *, entry_id: str, reason: str, by: str, now: datetime) -> None:
    """Say of a held entry that it is not the one it resembles; it is reported then.

    Raises:
        LedgerError: no reason is given, or the entry is not held.
        ConflictError: the caller reported it or has a stake in it.
    """
    lock_heads(session)
    if State(standing(session, entry_id).state) is not State.HELD:
        raise LedgerError(T_("entry %(entry_id)s is not held", entry_id=entry_id), "state")
    _go(session, entry_id, State.REPORTED, by=by, now=now, reason=_said(reason))


def supplement(
    session: Session, *, entry_id: str, text: str, evidence: Sequence[dict[str, str]], by: str, now: datetime
) -> None:
    """Answer a returned entry with a statement and more evidence; it is reported again.

    Raises:
        LedgerError: nothing is said, or the entry was not returned.
    """
    lock_heads(session)
    last = standing(session, entry_id, wanted=State.REPORTED)
    if State(last.state) is not State.RETURNED:
        raise LedgerError(T_("entry %(entry_id)s was not returned", entry_id=entry_id), "state")
    take(
        session,
        NewStep(entry_id, last.version, State.REPORTED, by, now, reason=_said(text), evidence=list(evidence)),
    )


def withdraw(session: Session, *, entry_id: str, reason: str, by: str, now: datetime) -> None:
    """Take a report back before it counts; its key is free again. Who may is decided by the caller.

    Raises:
        LedgerError: no reason is given, or it is checked already: then only a refusal or a reversal ends it.
    """
    lock_heads(session)
    last = standing(session, entry_id, wanted=State.WITHDRAWN)
    take(session, NewStep(entry_id, last.version, State.WITHDRAWN, by, now, reason=_said(reason)))
    free_key(session, entry_id)


def recognise(session: Session, *, entry_id: str, by: str, now: datetime, note: str = "") -> Motion | None:
    """Recognise a checked entry: from now on it counts.

    Returns:
        None if it is recognised; a motion if it is money above the rule's amount and a second person has to agree.

    Raises:
        LedgerError: the entry is not checked, or something that recognition needs is missing.
        ConflictError: the caller reported it or has a stake in it.
        ClaimedElsewhereError: another programme claims it by now.
    """
    lock_heads(session)
    entry = _recognisable(session, entry_id, by)
    if takes_two(session, entry, current(session, RecognitionRules)):
        reason = note.strip() or "recognise"
        return move(session, kind=MotionKind.RECOGNISE, subject=entry_id, payload={}, reason=reason, by=by, now=now)
    _count(session, entry, by=by, now=now, note=note)
    return None


def takes_two(session: Session, entry: Entry, rules: RecognitionRules) -> bool:
    """Whether recognising an entry takes two people: money above the rule's amount, counted over its whole contract.

    Instalments are counted together, and so are contracts of one school whose numbers only look alike: large money in
    small parts is large money.
    """
    if entry.kpi != Kpi.MONEY:
        return False
    if entry.amount > rules.two_people_from_ntd:
        return True
    series = read_details(Kpi.MONEY, entry.details).series()
    of_contract = (LiveFact.kpi == Kpi.MONEY.value, LiveFact.series == series, Entry.school_id == entry.school_id)
    query = select(Entry.amount).join(LiveFact, col(LiveFact.entry_id) == col(Entry.id)).where(*of_contract)
    return sum(session.exec(query).all()) > rules.two_people_from_ntd


def second_recognition(session: Session, *, motion_id: int, by: str, now: datetime) -> None:
    """Recognise, as the second person, what another one moved.

    Raises:
        LedgerError: the motion is not on recognising or has ended, the mover seconds, or something is missing by now.
        ConflictError: the caller reported the entry or has a stake in it.
    """
    lock_heads(session)
    motion = open_motion(session, motion_id)
    if motion.kind != MotionKind.RECOGNISE:
        raise LedgerError(T_("motion %(motion_id)s is not on recognising an entry", motion_id=motion_id), "motion")
    entry = _recognisable(session, motion.subject, by)
    end(session, motion, seconded=True, by=by, now=now)
    _count(session, entry, by=by, now=now, note=motion.reason)


def refuse_conflicted(session: Session, entry: Entry, by: str) -> None:
    """Refuse the word of who reported an entry or has a stake in one of its parties.

    Raises:
        ConflictError: this person.
    """
    if entry.reporter == by:
        raise ConflictError(T_("who reported a result can't decide on it"), "by")
    parties = {("company", entry.company_id)}
    if entry.case_id is not None:
        case = session.exec(select(Case.company_id, Case.lab_id).where(Case.id == entry.case_id)).one()
        parties |= {("company", case[0]), ("lab", case[1])}
    held = session.exec(
        select(Stake.party, Stake.party_id).where(Stake.account_id == by, col(Stake.ended_at).is_(None))
    ).all()
    if parties & {(party, party_id) for party, party_id in held}:
        raise ConflictError(T_("who has a stake in a party of a result can't decide on it"), "by")


def _go(session: Session, entry_id: str, state: State, *, by: str, now: datetime, reason: str) -> None:
    lock_heads(session)
    last = standing(session, entry_id, wanted=state)
    refuse_conflicted(session, entry_of(session, entry_id), by)
    take(session, NewStep(entry_id, last.version, state, by, now, reason=reason))


def _recognisable(session: Session, entry_id: str, by: str) -> Entry:
    standing(session, entry_id, wanted=State.RECOGNISED)
    entry = entry_of(session, entry_id)
    refuse_conflicted(session, entry, by)
    missing = next(unmet(session, entry), None)
    if missing is not None:
        raise missing.error
    return entry


def _count(session: Session, entry: Entry, *, by: str, now: datetime, note: str) -> Step:
    last = standing(session, entry.id, wanted=State.RECOGNISED)
    period, kpi_year = counting_year(session, entry)
    take(
        session,
        NewStep(
            entry.id, last.version, State.RECOGNISED, by, now, reason=note.strip(), period=period, kpi_year=kpi_year
        ),
    )
    return standing(session, entry.id)


def _said(reason: str) -> str:
    if not reason.strip():
        raise LedgerError(T_("say why"), "reason")
    return reason.strip()


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
