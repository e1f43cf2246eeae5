"""From reported to counted, and back: the committee's check, the programme's recognition, reversals.

In: a person's word on an entry, and the document `recognition` (the programme's dates, from which amount on two
people have to agree, when two claims look alike). Out: its next step; for what is taken back a reversing entry,
booked in the quarter that is open. It exists as the one place that knows the rules: nothing counts without a
statement of what GLORIA added and evidence; who reported, supplied or checked does not
recognise, and who has a part in a result says nothing (`matcher.ledger.rules.duties`); large money takes two people,
by the strictest limit that held since it was reported. Nothing recognised is ever edited or deleted: a
correction is a reversal, by two people, and, where there is a right figure, a new fact that says which entry it
restates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import ClassVar

from pydantic import Field
from sqlalchemy import ColumnElement, or_, true
from sqlmodel import Session, col, select

from indexer.instants import TAIPEI, day_in_taipei
from indexer.wording import T_
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.details import Aspect, read_details
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
from matcher.ledger.rules.configuration import Configured, current, default, versions
from matcher.ledger.rules.duties import BARRED, Act, Bar, bar_on, strictest
from matcher.ledger.rules.model_cases import Scored, score_aspects
from matcher.ledger.rules.months import confirmed, is_confirmed, month_of, months_began
from matcher.ledger.rules.requirements import unmet


class RecognitionRules(Configured):
    """How results come to count."""

    name: ClassVar[str] = "recognition"
    takes_two: ClassVar[bool] = True

    programme_start: date
    programme_end: date = Field(description="What falls after it is shown apart.")
    two_people_from_ntd: int = Field(ge=0, description="More money than this, in a contract, takes two people.")
    similar_name_score: float = Field(ge=0, le=100, description="Names at least so alike (0 to 100) may be the same.")
    similar_amount_share: float = Field(ge=0, le=1, description="Amounts that differ by at most this share are alike.")
    similar_days: int = Field(ge=0, le=3_660, description="Dates at most so many days apart are alike.")
    months_confirmed_from: date | None = Field(
        default=None,
        description="What is reported from this day on goes to the committee once a lead has confirmed its month; "
        "without a day that is a new home's first one.",
    )


def months_since(session: Session) -> date | None:
    """Return the day from which on months are confirmed: the one that the office set, else a new home's first day."""
    return current(session, RecognitionRules).months_confirmed_from or months_began(session)


def is_with_committee(session: Session, entry: Entry) -> bool:
    """Whether an entry lies before the committee: its month is confirmed, or was none that is."""
    since = months_since(session)
    return since is None or day_in_taipei(entry.reported_at) < since or is_confirmed(session, entry)


def with_committee(session: Session) -> ColumnElement[bool]:
    """Return the condition on `Entry` that it lies before the committee."""
    since = months_since(session)
    if since is None:
        return true()
    return or_(col(Entry.reported_at) < datetime.combine(since, time(0), TAIPEI), confirmed())


class ConflictError(LedgerError):
    """Who says it may not; `bar` is why: see `matcher.ledger.rules.duties`."""

    def __init__(self, bar: Bar) -> None:
        super().__init__(BARRED[bar], "by")
        self.bar = bar


def check(session: Session, *, entry_id: str, by: str, now: datetime, note: str = "") -> None:
    """Say as the committee that the evidence bears the claim out.

    Raises:
        LedgerError: the entry does not stand to be checked, or no lead of its alliances has confirmed its month.
        ConflictError: the caller reported it or has a stake in it.
    """
    lock_heads(session)
    entry = entry_of(session, entry_id)
    if not is_with_committee(session, entry):
        raise LedgerError(
            T_("the lead of its alliance has not confirmed the month %(month)s", month=month_of(entry.reported_at)),
            "month",
        )
    _go(session, entry_id, State.CHECKED, by=by, now=now, reason=note, act=Act.CHECK)


def score(session: Session, *, entry_id: str, scores: Mapping[Aspect, Scored], by: str, now: datetime) -> None:
    """Score aspects of a model case as the committee.

    Raises:
        LedgerError: see `matcher.ledger.rules.model_cases.score_aspects`.
        ConflictError: the caller reported it or has a stake in it.
    """
    lock_heads(session)
    refuse_conflicted(session, entry_of(session, entry_id), by)
    score_aspects(session, entry_id=entry_id, scores=scores, by=by, now=now)


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
    entry = _recognisable(session, entry_id, by, Act.RECOGNISE)
    if takes_two(session, entry):
        reason = note.strip() or "recognise"
        return move(session, kind=MotionKind.RECOGNISE, subject=entry_id, payload={}, reason=reason, by=by, now=now)
    _count(session, entry, by=by, now=now, note=note)
    return None


def takes_two(session: Session, entry: Entry) -> bool:
    """Whether recognising an entry takes two people: money above a limit, counted over its whole contract.

    The limit is the strictest that held at any time since its report. Instalments are counted together, and so are
    contracts of one school whose numbers only look alike: large money in small parts is large money.
    """
    if entry.kpi != Kpi.MONEY:
        return False
    limits = [(at, rules.two_people_from_ntd) for at, rules in versions(session, RecognitionRules)]
    limit = strictest(limits, entry.reported_at, otherwise=default(RecognitionRules).two_people_from_ntd)
    if entry.amount > limit:
        return True
    series = read_details(Kpi.MONEY, entry.details).series()
    of_contract = (LiveFact.kpi == Kpi.MONEY.value, LiveFact.series == series, Entry.school_id == entry.school_id)
    query = select(Entry.amount).join(LiveFact, col(LiveFact.entry_id) == col(Entry.id)).where(*of_contract)
    return sum(session.exec(query).all()) > limit


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
    entry = _recognisable(session, motion.subject, by, Act.SECOND)
    end(session, motion, seconded=True, by=by, now=now)
    _count(session, entry, by=by, now=now, note=motion.reason)


def refuse_conflicted(session: Session, entry: Entry, by: str, act: Act = Act.DECIDE) -> None:
    """Refuse the word of who did what somebody else has to have done, or has a part in an entry.

    Raises:
        ConflictError: this person.
    """
    bar = bar_on(session, entry, by, act)
    if bar is not None:
        raise ConflictError(bar)


def _go(
    session: Session, entry_id: str, state: State, *, by: str, now: datetime, reason: str, act: Act = Act.DECIDE
) -> None:
    lock_heads(session)
    last = standing(session, entry_id, wanted=state)
    refuse_conflicted(session, entry_of(session, entry_id), by, act)
    take(session, NewStep(entry_id, last.version, state, by, now, reason=reason))


def _recognisable(session: Session, entry_id: str, by: str, act: Act) -> Entry:
    standing(session, entry_id, wanted=State.RECOGNISED)
    entry = entry_of(session, entry_id)
    refuse_conflicted(session, entry, by, act)
    missing = next((one for one in unmet(session, entry) if one.blocks), None)
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
    _reversible(session, entry_id, by, Act.REVERSE)
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
    entry = _reversible(session, motion.subject, by, Act.AGREE)
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
            school_shares=entry.school_shares,
            company_id=entry.company_id,
            company_shares=entry.company_shares,
            case_id=entry.case_id,
            decision_id=entry.decision_id,
            reverses=entry.id,
            value_added=reason,
            reporter=by,
            reported_at=now,
        ),
    )
    return entry_of(session, row["id"])


def _reversible(session: Session, entry_id: str, by: str, act: Act) -> Entry:
    standing(session, entry_id, wanted=State.REVERSED)
    entry = entry_of(session, entry_id)
    if entry.kind != EntryKind.FACT:
        raise LedgerError(T_("a reversal can't be reversed; report the right figure as a new fact"), "id")
    refuse_conflicted(session, entry, by, act)
    return entry
