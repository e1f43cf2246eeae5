"""A need's way in: drafted, submitted, edited until taken up, shared, closed; or imported and handed over.

In: what somebody of a company has typed so far, a checked need and who submits it, or the report of an import. Out:
the draft for anybody of that company, on any device; the need in the records with its state, and one row for every
step; imported needs in the hands of an alliance, imported companies in its portfolio. It exists apart from the
records because what a need says and how far it has come change for different reasons. A draft is nobody else's
business: it is in no list, no index and no export, and its text is gone once it is submitted or deleted.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, text
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.records.exchange import NeedIn
from indexer.records.importing import ImportReport, import_rows
from indexer.records.mended.retired import retirement_of
from indexer.records.record_tables import Alliance, Need
from indexer.vocabulary import Confidentiality, Kind, Mendable
from indexer.wording import T_
from matcher.review import people  # noqa: F401 (its table is referred to)
from matcher.review.clients import Client

MAX_DRAFTS = 50
"""How many a company may keep."""


class DraftError(ValueError):
    """A draft can't be kept; the message says why."""


class NeedDraft(SQLModel, table=True):
    """One need that is being written; `version` counts its changes."""

    __tablename__ = "need_draft"

    id: str = Field(primary_key=True)
    company_id: str = Field(foreign_key="company.id", index=True)
    content: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    version: int = 0
    begun_by: str = Field(foreign_key="account.id")
    begun_at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


def begin_draft(session: Session, *, company_id: str, by: str, now: datetime) -> NeedDraft:
    """Begin an empty draft.

    Raises:
        DraftError: the company keeps too many already.
    """
    kept = session.exec(select(NeedDraft.id).where(NeedDraft.company_id == company_id).limit(MAX_DRAFTS)).all()
    if len(kept) >= MAX_DRAFTS:
        raise DraftError(
            T_("at most %(max_drafts)s drafts are kept; submit or delete one first", max_drafts=MAX_DRAFTS)
        )
    draft = NeedDraft(
        id=secrets.token_hex(12), company_id=company_id, content={}, begun_by=by, begun_at=now, changed_at=now
    )
    session.add(draft)
    session.flush()
    return draft


def drafts_of(session: Session, companies: Collection[str]) -> list[NeedDraft]:
    """Return the drafts of some companies, the latest change first."""
    query = select(NeedDraft).where(col(NeedDraft.company_id).in_(sorted(companies)))
    return list(session.exec(query.order_by(col(NeedDraft.changed_at).desc(), col(NeedDraft.id))).all())


def draft_of(session: Session, draft_id: str, companies: Collection[str]) -> NeedDraft | None:
    """Return a draft if it belongs to one of the companies."""
    draft = session.get(NeedDraft, draft_id)
    return draft if draft is not None and draft.company_id in companies else None


def keep_draft(session: Session, draft: NeedDraft, *, changes: Mapping[str, Any], now: datetime) -> None:
    """Store what was typed; fields that are not named stay."""
    content = {**draft.content, **changes}
    if content != draft.content:
        draft.content, draft.version, draft.changed_at = content, draft.version + 1, now
        session.add(draft)
        session.flush()


def delete_draft(session: Session, draft: NeedDraft) -> None:
    """Delete a draft."""
    session.delete(draft)
    session.flush()


class NeedState(StrEnum):
    """How far a need has come."""

    SUBMITTED = "submitted"
    TAKEN_UP = "taken_up"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


OPEN_STATES = (NeedState.SUBMITTED, NeedState.TAKEN_UP)
"""The states in which labs are still looked for."""
_STATES = ", ".join(f"'{state.value}'" for state in NeedState)
_NEXT = {
    NeedState.SUBMITTED: {NeedState.TAKEN_UP, NeedState.WITHDRAWN},
    NeedState.TAKEN_UP: {NeedState.CLOSED, NeedState.WITHDRAWN},
    NeedState.CLOSED: {NeedState.TAKEN_UP},
    NeedState.WITHDRAWN: set[NeedState](),
}


class IntakeError(ValueError):
    """A need can't go that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NeedIntake(SQLModel, table=True):
    """Where a need stands. Without an alliance only the programme office sees it, and finds it one."""

    __tablename__ = "need_intake"
    __table_args__ = (
        CheckConstraint(f"state IN ({_STATES})", name="state_known"),
        CheckConstraint("state <> 'taken_up' OR alliance_id IS NOT NULL", name="taken_up_by_alliance"),
    )

    need_id: str = Field(primary_key=True, foreign_key="need.id")
    alliance_id: str | None = Field(foreign_key="alliance.id", index=True)
    state: str
    expert_id: str | None = Field(default=None, foreign_key="account.id")
    submitted_by: str | None
    submitted_at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


class NeedStep(SQLModel, table=True):
    """One change of a need's state: never updated, never deleted."""

    __tablename__ = "need_step"

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    old: str | None
    new: str
    note: str = ""
    by: str | None
    at: datetime = Field(sa_type=Instant)


class NeedShare(SQLModel, table=True):
    """A need that another alliance may work on too, with what the company agreed to."""

    __tablename__ = "need_share"
    __table_args__ = (
        Index(
            "ix_need_share_active",
            "need_id",
            "alliance_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id")
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    consent: str
    shared_by: str
    shared_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


def new_need_id(now: datetime) -> str:
    """Return an id that nobody can guess, with the year in it for people's sake."""
    return f"need-{now.year}-{secrets.token_hex(6)}"


def submit(session: Session, *, need: NeedIn, alliance_id: str | None, by: str, now: datetime) -> NeedIntake:
    """Store a new need and open its way in; one that states no year is of the year in which it comes.

    Raises:
        IntakeError: its company is retired.
    """
    if need.company is not None and retirement_of(session, Mendable.COMPANY, need.company) is not None:
        raise IntakeError(T_("company %(id)s is retired: it submits no needs", id=need.company), "company")
    _store(session, need, received=now)
    return adopt(session, need_ids=[need.id], alliance_id=alliance_id, by=by, now=now)[0]


def _store(session: Session, need: NeedIn, *, received: datetime) -> None:
    # The age of evidence is counted from the need's year, see `matcher.ranking.signals`.
    row = need.model_dump(mode="json")
    import_rows(session, Kind.NEEDS, [row | {"year": need.year or received.year}], "need")


def adopt(
    session: Session, *, need_ids: Iterable[str], alliance_id: str | None, by: str | None, now: datetime
) -> list[NeedIntake]:
    """Open the way in for stored needs that have none yet, such as imported ones; others stay as they are."""
    wanted = sorted(set(need_ids))
    known = set(session.exec(select(NeedIntake.need_id).where(col(NeedIntake.need_id).in_(wanted))).all())
    opened = [
        NeedIntake(
            need_id=need_id,
            alliance_id=alliance_id,
            state=NeedState.SUBMITTED.value,
            submitted_by=by,
            submitted_at=now,
            changed_at=now,
        )
        for need_id in wanted
        if need_id not in known
    ]
    session.add_all(opened)
    session.flush()
    for intake in opened:
        session.add(NeedStep(need_id=intake.need_id, old=None, new=intake.state, by=by, at=now))
    session.flush()
    return opened


def edit(session: Session, *, need: NeedIn, now: datetime) -> NeedIntake:
    """Replace what a need says, as long as nobody has taken it up.

    Raises:
        IntakeError: there is no such need, or it is past editing.
    """
    intake = _locked(session, need.id)
    if intake.state != NeedState.SUBMITTED:
        raise IntakeError(
            T_("need %(id)s is %(state)s: it can be edited only until it is taken up", id=need.id, state=intake.state)
        )
    _store(session, need, received=intake.submitted_at)
    intake.changed_at = now
    session.add(intake)
    session.flush()
    return intake


def correct(session: Session, *, need: NeedIn, now: datetime) -> NeedIntake:
    """Replace what a need says by what its company says of it, as long as somebody works on it.

    Raises:
        IntakeError: there is no such need, or nobody works on it any more.
    """
    intake = _locked(session, need.id)
    if intake.state not in OPEN_STATES:
        raise IntakeError(T_("need %(id)s is %(state)s: nobody works on it any more", id=need.id, state=intake.state))
    _store(session, need, received=intake.submitted_at)
    return intake


def assign(session: Session, *, need_id: str, alliance_id: str, now: datetime) -> NeedIntake:
    """Give a need that nobody has taken up to an alliance.

    Raises:
        IntakeError: there is no such need or alliance, or it is taken up.
    """
    intake = _locked(session, need_id)
    if intake.state != NeedState.SUBMITTED:
        raise IntakeError(
            T_(
                "need %(need_id)s is %(state)s: only a submitted need can be assigned",
                need_id=need_id,
                state=intake.state,
            )
        )
    if session.get(Alliance, alliance_id) is None:
        raise IntakeError(T_("there is no such alliance"), "alliance")
    intake.alliance_id, intake.changed_at = alliance_id, now
    session.add(intake)
    session.flush()
    return intake


def move(
    session: Session,
    *,
    need_id: str,
    state: NeedState,
    by: str,
    now: datetime,
    expert_id: str | None = None,
    note: str = "",
) -> NeedIntake:
    """Take a need up, close it, open it again or withdraw it.

    Raises:
        IntakeError: there is no such need, or its state does not allow that.
    """
    intake = _locked(session, need_id)
    old = NeedState(intake.state)
    if state not in _NEXT[old]:
        possible = ", ".join(sorted(_NEXT[old])) or T_("nothing")
        raise IntakeError(
            T_(
                "need %(need_id)s is %(old)s; from there it can become %(possible)s",
                need_id=need_id,
                old=old,
                possible=possible,
            ),
            "state",
        )
    if state is NeedState.TAKEN_UP:
        if intake.alliance_id is None:
            raise IntakeError(
                T_("need %(need_id)s belongs to no alliance yet; assign it first", need_id=need_id), "state"
            )
        intake.expert_id = expert_id
    intake.state, intake.changed_at = state.value, now
    session.add(intake)
    session.add(NeedStep(need_id=need_id, old=old.value, new=state.value, note=note, by=by, at=now))
    session.flush()
    return intake


def share(session: Session, *, need_id: str, alliance_id: str, consent: str, by: str, now: datetime) -> NeedShare:
    """Let another alliance see a need and work on it; sharing twice changes nothing.

    Args:
        session: its transaction holds all writes.
        need_id: the need.
        alliance_id: who may see it from now on.
        consent: what the company agreed to, and when; needed unless the need is public.
        by: the account that shares.
        now: the moment.

    Raises:
        IntakeError: there is no such need or alliance, or no consent is given.
    """
    intake = _locked(session, need_id)
    need = session.get(Need, need_id)
    if session.get(Alliance, alliance_id) is None:
        raise IntakeError(T_("there is no such alliance"), "alliance")
    if alliance_id == intake.alliance_id:
        raise IntakeError(T_("need %(need_id)s belongs to that alliance already", need_id=need_id), "alliance")
    if need is not None and need.confidentiality != Confidentiality.PUBLIC and not consent.strip():
        raise IntakeError(T_("the need is not public: say what the company agreed to, and when"), "consent")
    same = (NeedShare.need_id == need_id, NeedShare.alliance_id == alliance_id, col(NeedShare.ended_at).is_(None))
    shared = session.exec(select(NeedShare).where(*same)).first()
    if shared is None:
        shared = NeedShare(need_id=need_id, alliance_id=alliance_id, consent=consent, shared_by=by, shared_at=now)
        session.add(shared)
        session.flush()
    return shared


def end_share(session: Session, *, need_id: str, alliance_id: str, by: str, now: datetime) -> None:
    """Take a need out of another alliance's sight; what that alliance decided stays on record.

    Raises:
        IntakeError: there is no such need, or it is not shared with the alliance.
    """
    _locked(session, need_id)
    same = (NeedShare.need_id == need_id, NeedShare.alliance_id == alliance_id, col(NeedShare.ended_at).is_(None))
    shared = session.exec(select(NeedShare).where(*same)).first()
    if shared is None:
        raise IntakeError(
            T_(
                "need %(need_id)s is not shared with alliance %(alliance_id)r", need_id=need_id, alliance_id=alliance_id
            ),
            "alliance_id",
        )
    shared.ended_at, shared.ended_by = now, by
    session.add(shared)
    session.flush()


def _locked(session: Session, need_id: str) -> NeedIntake:
    intake = session.get(NeedIntake, need_id, with_for_update=True)
    if intake is None:
        raise IntakeError(T_("there is no need %(need_id)r", need_id=need_id))
    return intake


def hand_over(
    session: Session,
    report: ImportReport,
    *,
    alliance_id: str,
    by: str | None,
    expert_id: str | None,
    now: datetime,
) -> None:
    """Give what an import created to an alliance; what was there before stays whose it is.

    Args:
        session: its transaction holds all writes.
        report: what the import created.
        alliance_id: who gets it.
        by: the account that imported, None for an operator.
        expert_id: the expert who looks after the new companies, if it is known.
        now: the moment.

    Raises:
        IntakeError: there is no such alliance.
    """
    if session.get(Alliance, alliance_id) is None:
        raise IntakeError(
            T_(
                "there is no alliance %(alliance_id)s; import it first: gloria import alliances.jsonl",
                alliance_id=alliance_id,
            ),
            "alliance",
        )
    if report.kind is Kind.NEEDS:
        adopt(session, need_ids=report.created_ids, alliance_id=alliance_id, by=by, now=now)
    if report.kind is Kind.COMPANIES:
        # Nobody can look after them yet: they were created in this transaction.
        session.add_all(
            Client(company_id=company_id, alliance_id=alliance_id, expert_id=expert_id, since=now)
            for company_id in report.created_ids
        )
        session.flush()
