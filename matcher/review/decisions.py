"""What the expert said: verdicts on pairings, each an immutable row.

In: a verdict with its coded reason, on a pairing as it was shown. Out: the verdict's row, the pairing's new state
and, for an acceptance, exactly one case and its booking, all in one transaction. It exists because the ranker
learns from these rows and the programme counts from them: taking one back is a new row, never a change. However
many accept at once, the row of the pairing lets one through.

`Ledger` is the seam to the KPI ledger: a decision and its ledger entry are stored together or not at all, while
decisions know nothing of how entries are made. Whoever opens the product passes its ledger to `decide` and `undo`.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import CheckConstraint, Table, bindparam, update
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact, note_written
from indexer.instants import Instant, day_in_taipei
from indexer.records.mended.retired import in_use, retirement_of
from indexer.records.record_tables import Need
from indexer.vocabulary import Mendable
from indexer.wording import T_
from matcher.review.cases import Case, undo_case
from matcher.review.proposals import PairingState, Proposal, StoredPairing


class Ledger(Protocol):
    """What decisions ask of a ledger; an exception undoes the decision too."""

    def accepted(self, session: Session, case: Case) -> None:
        """Book that a pairing was accepted and its case opened."""

    def undone(self, session: Session, case: Case, *, by: str, now: datetime) -> None:
        """Reverse what was booked for the case."""


class Verdict(StrEnum):
    """What an expert says of a pairing, or that the last word is taken back."""

    ACCEPT = "accept"
    DEFER = "defer"
    REJECT = "reject"
    UNDO = "undo"


class Reason(StrEnum):
    """Why a pairing is deferred or rejected."""

    TOO_EARLY = "too_early"
    NO_CAPACITY = "no_capacity"
    WRONG_FIELD = "wrong_field"
    CONFLICT = "conflict"
    BUDGET = "budget"
    COMPANY_DECLINED = "company_declined"
    LAB_DECLINED = "lab_declined"
    ALREADY_COOPERATING = "already_cooperating"
    OTHER = "other"


_STATE_AFTER = {
    Verdict.ACCEPT: PairingState.ACCEPTED,
    Verdict.DEFER: PairingState.DEFERRED,
    Verdict.REJECT: PairingState.REJECTED,
}
_DECIDABLE = (PairingState.PROPOSED, PairingState.DEFERRED)
_VERDICTS = ", ".join(f"'{verdict.value}'" for verdict in Verdict)
_REASONS = ", ".join(f"'{reason.value}'" for reason in Reason)


class DecisionError(ValueError):
    """A verdict is not complete or not possible; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class AlreadyDecidedError(DecisionError):
    """Somebody decided on the pairing before; what they said is on record."""


class RetiredError(DecisionError):
    """The need or the lab is no longer used."""


class Decision(SQLModel, table=True):
    """One verdict on a pairing, on what was shown: never updated, never deleted. `undoes` takes one back, once."""

    __tablename__ = "decision"
    __table_args__ = (
        CheckConstraint(f"verdict IN ({_VERDICTS})", name="verdict_known"),
        CheckConstraint(f"reason IN ({_REASONS})", name="reason_known"),
        CheckConstraint("(verdict IN ('defer', 'reject')) = (reason IS NOT NULL)", name="reason_fits_verdict"),
        CheckConstraint("reason <> 'other' OR length(note) > 0", name="other_says_what"),
        CheckConstraint("(verdict = 'defer') = (defer_until IS NOT NULL)", name="deferred_until_a_date"),
        CheckConstraint("(verdict = 'undo') = (undoes IS NOT NULL)", name="undo_names_a_verdict"),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id", index=True)
    proposal_id: int = Field(foreign_key="proposal.id")
    verdict: str
    reason: str | None
    note: str = ""
    defer_until: date | None
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)
    undoes: int | None = Field(default=None, foreign_key="decision.id", unique=True)


# Built once: deciding is what the database does most.
_PROPOSAL: Table = Proposal.__table__  # type: ignore[attr-defined]
_SHOWN = _PROPOSAL.select().where(_PROPOSAL.c.id == bindparam("proposal_id"))
_COMPANY = select(Need.company).where(Need.id == bindparam("need_id"))
_TURN = (
    update(StoredPairing)
    .where(
        col(StoredPairing.id) == bindparam("pairing_id"),
        col(StoredPairing.state).in_(bindparam("before", expanding=True)),
        in_use(Mendable.NEED, col(StoredPairing.need_id)),
        in_use(Mendable.LAB, col(StoredPairing.lab_id)),
    )
    .values(state=bindparam("after"), deferred_until=bindparam("until"), version=col(StoredPairing.version) + 1)
    .returning(col(StoredPairing.need_id), col(StoredPairing.lab_id))
)


def decide(
    session: Session,
    *,
    pairing_id: int,
    proposal_id: int,
    verdict: Verdict,
    by: str,
    alliance_id: str,
    now: datetime,
    reason: Reason | None = None,
    note: str = "",
    defer_until: date | None = None,
    ledger: Ledger | None = None,
) -> tuple[Decision, Case | None]:
    """Decide on a pairing as it was shown.

    Args:
        session: its transaction holds all writes.
        pairing_id: the pairing.
        proposal_id: which of its proposals the expert saw.
        verdict: accept, defer or reject; `undo` has its own verb.
        by: the expert.
        alliance_id: for which alliance.
        now: the moment.
        reason: why it is deferred or rejected; only and always then.
        note: free text, internal to the alliance; needed with the reason `other`.
        defer_until: the day on which a deferred pairing comes back.
        ledger: books an acceptance in the same transaction.

    Returns:
        The stored verdict, and the case if it opened one.

    Raises:
        DecisionError: the verdict is not complete, or the proposal is not one of the pairing.
        AlreadyDecidedError: somebody accepted or rejected it before.
        RetiredError: the need or the lab is retired.
    """
    _check(verdict, reason, note, defer_until, now)
    shown = _checked_shown(session, pairing_id, proposal_id)
    need_id, lab_id = _turn(session, pairing_id, _DECIDABLE, _STATE_AFTER[verdict], defer_until)
    decision = Decision(
        pairing_id=pairing_id,
        proposal_id=proposal_id,
        verdict=verdict.value,
        reason=None if reason is None else reason.value,
        note=note,
        defer_until=defer_until,
        alliance_id=alliance_id,
        by=by,
        at=now,
    )
    insert_fact(session, decision)
    note_written(session, "proposal", proposal_id, row=shown)
    if verdict is not Verdict.ACCEPT:
        return decision, None
    case = _opened(session, decision, need_id, lab_id)
    if ledger is not None:
        ledger.accepted(session, case)
    return decision, case


def _checked_shown(session: Session, pairing_id: int, proposal_id: int) -> dict[str, Any]:
    """Return the proposal as it is stored: what was decided on is linked with the decision."""
    shown = session.connection().execute(_SHOWN, {"proposal_id": proposal_id}).mappings().first()
    if shown is None or shown["pairing_id"] != pairing_id:
        raise DecisionError(
            T_(
                "proposal %(proposal_id)s is not one of pairing %(pairing_id)s",
                proposal_id=proposal_id,
                pairing_id=pairing_id,
            ),
            "proposal_id",
        )
    return {str(name): value for name, value in shown.items()}


def _check(verdict: Verdict, reason: Reason | None, note: str, defer_until: date | None, now: datetime) -> None:
    if verdict is Verdict.UNDO:
        raise DecisionError(T_("an undo names the verdict that it takes back"), "verdict")
    if (verdict is not Verdict.ACCEPT) != (reason is not None):
        choices = ", ".join(Reason)
        raise DecisionError(
            T_("a reason is given exactly with defer and reject, one of %(choices)s", choices=choices), "reason"
        )
    if reason is Reason.OTHER and not note.strip():
        raise DecisionError(T_("the reason other needs a note that says what it is"), "note")
    if (verdict is Verdict.DEFER) != (defer_until is not None):
        raise DecisionError(T_("a date is given exactly with defer"), "defer_until")
    if defer_until is not None and defer_until <= day_in_taipei(now):
        raise DecisionError(T_("%(defer_until)s is not in the future", defer_until=defer_until), "defer_until")


def _turn(
    session: Session,
    pairing_id: int,
    before: tuple[PairingState, ...],
    after: PairingState,
    defer_until: date | None,
) -> tuple[str, str]:
    """Change the pairing's state if it is one of `before`: the database lets exactly one of many writers through.

    Returns:
        The need and the lab of the pairing.
    """
    values = {
        "pairing_id": pairing_id,
        "before": [state.value for state in before],
        "after": after.value,
        "until": defer_until,
    }
    turned = session.connection().execute(_TURN, values).first()
    if turned is None:
        pairing = session.exec(select(StoredPairing).where(StoredPairing.id == pairing_id)).first()
        if pairing is not None and _is_retired(session, pairing):
            raise RetiredError(T_("the need or the lab is retired: nothing is decided about it any more"))
        state = None if pairing is None else pairing.state
        raise AlreadyDecidedError(
            T_("pairing %(pairing_id)s is %(state)s already; undo that first", pairing_id=pairing_id, state=state)
        )
    return turned.need_id, turned.lab_id


def _is_retired(session: Session, pairing: StoredPairing) -> bool:
    parties = ((Mendable.NEED, pairing.need_id), (Mendable.LAB, pairing.lab_id))
    return any(retirement_of(session, kind, record_id) is not None for kind, record_id in parties)


def _opened(session: Session, decision: Decision, need_id: str, lab_id: str) -> Case:
    case = Case(
        pairing_id=decision.pairing_id,
        decision_id=decision.id or 0,
        need_id=need_id,
        lab_id=lab_id,
        company_id=session.connection().execute(_COMPANY, {"need_id": need_id}).scalar(),
        alliance_id=decision.alliance_id,
        owner_id=decision.by,
        opened_at=decision.at,
    )
    return insert_fact(session, case)


def undo(session: Session, *, pairing_id: int, by: str, now: datetime, ledger: Ledger | None = None) -> Decision:
    """Take back the last verdict on a pairing, on the day it was given (in Taipei), by who gave it.

    The pairing is proposed again, or deferred again if that was the verdict before. An acceptance
    can be taken back only while its case has not gone on.

    Raises:
        DecisionError: there is nothing to undo, it is not the caller's, or the day is over.
        CaseError: the case that an acceptance opened has gone on.
    """
    standing = _standing(session, pairing_id)
    if not standing:
        raise DecisionError(T_("pairing %(pairing_id)s has no verdict to undo", pairing_id=pairing_id))
    last = standing[-1]
    if last.by != by:
        raise DecisionError(T_("only who gave a verdict can take it back"))
    # One of a later day was given by a clock that was ahead and has been put right since.
    if day_in_taipei(last.at) < day_in_taipei(now):
        raise DecisionError(
            T_("the verdict is of %(day)s: only the same day's can be undone", day=day_in_taipei(last.at))
        )
    if last.verdict == Verdict.ACCEPT:
        case = undo_case(session, decision_id=last.id or 0, by=by, now=now)
        if ledger is not None:
            ledger.undone(session, case, by=by, now=now)
    earlier = standing[-2] if len(standing) > 1 else None
    before = (_STATE_AFTER[Verdict(last.verdict)],)
    after = PairingState.PROPOSED if earlier is None else _STATE_AFTER[Verdict(earlier.verdict)]
    _turn(session, pairing_id, before, after, None if earlier is None else earlier.defer_until)
    taken_back = Decision(
        pairing_id=pairing_id,
        proposal_id=last.proposal_id,
        verdict=Verdict.UNDO.value,
        reason=None,
        defer_until=None,
        alliance_id=last.alliance_id,
        by=by,
        at=now,
        undoes=last.id,
    )
    return insert_fact(session, taken_back)


def _standing(session: Session, pairing_id: int) -> list[Decision]:
    """Return the verdicts of a pairing that were not taken back, oldest first."""
    rows = session.exec(select(Decision).where(Decision.pairing_id == pairing_id).order_by(col(Decision.id))).all()
    undone = {row.undoes for row in rows}
    return [row for row in rows if row.undoes is None and row.id not in undone]
