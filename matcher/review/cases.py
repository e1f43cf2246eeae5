"""What came of an accepted pairing: a case, its steps and the contacts made; and how many cases a lab has to carry.

In: an acceptance, then what experts report; or ids of labs. Out: one case per acceptance, a row for every step and
every contact; for each lab how many cases it has open in the whole programme, and how many of these it has not yet
been told of. It exists because the programme counts what companies and labs do together, not what was proposed, and
because a lab that several alliances like is asked by all of them: only a count over all alliances shows that, and
nothing but the count leaves the alliance that works on a case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text, update
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.records.mended.merged import RecordMerge, is_merged
from indexer.vocabulary import Mendable
from indexer.wording import T_


class Stage(StrEnum):
    """How far a case has come; `undone` is an acceptance taken back the same day."""

    ACCEPTED = "accepted"
    INTRODUCED = "introduced"
    MEETING = "meeting"
    NEGOTIATING = "negotiating"
    SIGNED = "signed"
    LOST = "lost"
    UNDONE = "undone"


NEXT_STAGES = {
    Stage.ACCEPTED: (Stage.INTRODUCED, Stage.LOST),
    Stage.INTRODUCED: (Stage.MEETING, Stage.NEGOTIATING, Stage.LOST),
    Stage.MEETING: (Stage.NEGOTIATING, Stage.LOST),
    Stage.NEGOTIATING: (Stage.SIGNED, Stage.LOST),
    Stage.SIGNED: (),
    Stage.LOST: (),
    Stage.UNDONE: (),
}
"""Where a case can go from each stage; only an undone verdict leads to `undone`."""
INTRODUCED_STAGES = (Stage.INTRODUCED, Stage.MEETING, Stage.NEGOTIATING, Stage.SIGNED)
"""The stages in which the lab knows of the need."""
OPEN_STAGES = (Stage.ACCEPTED, Stage.INTRODUCED, Stage.MEETING, Stage.NEGOTIATING)


class LostReason(StrEnum):
    """Why nothing came of a case."""

    BUDGET = "budget"
    COMPANY_DECLINED = "company_declined"
    LAB_DECLINED = "lab_declined"
    NO_CAPACITY = "no_capacity"
    SCHEDULE = "schedule"
    TERMS = "terms"
    OTHER = "other"


class ContactKind(StrEnum):
    """How an expert was in touch."""

    INTRODUCTION = "introduction"
    MEETING = "meeting"
    VISIT = "visit"
    CALL = "call"
    EMAIL = "email"


def _codes(terms: type[StrEnum]) -> str:
    return ", ".join(f"'{term.value}'" for term in terms)


class CaseError(ValueError):
    """A case can't go that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class StaleCaseError(CaseError):
    """Somebody else moved the case on in the meantime."""


class Case(SQLModel, table=True):
    """One accepted pairing on its way; at most one that is not undone per pairing."""

    __tablename__ = "case_file"
    __table_args__ = (
        CheckConstraint(f"stage IN ({_codes(Stage)})", name="stage_known"),
        Index(
            "ix_case_file_one_per_pairing",
            "pairing_id",
            unique=True,
            sqlite_where=text("stage <> 'undone'"),
            postgresql_where=text("stage <> 'undone'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id")
    decision_id: int = Field(foreign_key="decision.id", unique=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    lab_id: str = Field(foreign_key="lab.id", index=True)
    company_id: str | None
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    owner_id: str = Field(foreign_key="account.id")
    stage: str = Stage.ACCEPTED.value
    version: int = 0
    opened_at: datetime = Field(sa_type=Instant)


class CaseStep(SQLModel, table=True):
    """One move of a case: never updated, never deleted."""

    __tablename__ = "case_step"
    __table_args__ = (
        UniqueConstraint("case_id", "version", name="one_step_per_version"),
        CheckConstraint("new <> 'lost' OR reason IS NOT NULL", name="lost_for_a_reason"),
    )

    id: int | None = Field(default=None, primary_key=True)
    case_id: int = Field(foreign_key="case_file.id")
    version: int
    old: str
    new: str
    reason: str | None
    note: str = ""
    by: str
    at: datetime = Field(sa_type=Instant)


class Contact(SQLModel, table=True):
    """One time that an expert was in touch with a company, within a case or without one."""

    __tablename__ = "contact"
    __table_args__ = (CheckConstraint(f"kind IN ({_codes(ContactKind)})", name="kind_known"),)

    id: int | None = Field(default=None, primary_key=True)
    case_id: int | None = Field(default=None, foreign_key="case_file.id", index=True)
    company_id: str | None = Field(default=None, index=True)
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    kind: str
    held_on: date
    note: str = ""
    next_step: str = ""
    next_on: date | None = None
    by: str
    at: datetime = Field(sa_type=Instant)


def move_case(
    session: Session,
    *,
    case_id: int,
    stage: Stage,
    by: str,
    now: datetime,
    version: int | None = None,
    reason: LostReason | None = None,
    note: str = "",
) -> Case:
    """Move a case on.

    Args:
        session: its transaction holds all writes.
        case_id: the case.
        stage: where to.
        by: the account that moves it.
        now: the moment.
        version: the version that the caller saw; None moves whatever is there.
        reason: why it is lost; only and always with `lost`.
        note: free text, internal to the alliance.

    Raises:
        CaseError: there is no such case, the stage can't follow, or the reason is missing or too much.
        StaleCaseError: `version` is no longer the case's.
    """
    case = session.get(Case, case_id)
    if case is None:
        raise CaseError(T_("there is no case %(case_id)s", case_id=case_id))
    _check_move(case, stage, version)
    if (stage is Stage.LOST) != (reason is not None):
        raise CaseError(T_("a reason is given exactly when a case is lost"), "reason")
    if reason is LostReason.OTHER and not note.strip():
        raise CaseError(T_("the reason other needs a note that says what it was"), "note")
    _step(session, case, stage, by=by, now=now, reason=reason, note=note)
    return case


def _check_move(case: Case, stage: Stage, version: int | None) -> None:
    old = Stage(case.stage)
    if version is not None and version != case.version:
        raise StaleCaseError(
            T_("case %(case_id)s was moved to %(old)s in the meantime; read it again", case_id=case.id, old=old),
            "version",
        )
    if stage not in NEXT_STAGES[old]:
        possible = ", ".join(NEXT_STAGES[old]) or T_("nothing: it is closed")
        raise CaseError(
            T_(
                "case %(case_id)s is %(old)s; from there it can become %(possible)s",
                case_id=case.id,
                old=old,
                possible=possible,
            ),
            "stage",
        )


def take_introduction(session: Session, *, case: Case, opened: bool, by: str, now: datetime) -> Case:
    """Take an introduction back: the lab knows nothing of the need any more.

    Args:
        session: its transaction holds the step.
        case: the case, held by its reader.
        opened: whether anybody of the lab has seen the need since, or has answered.
        by: the account that takes it back.
        now: the moment.

    Raises:
        CaseError: it is at another stage, or what was shown can't be unseen.
    """
    if case.stage != Stage.INTRODUCED:
        raise CaseError(
            T_("case %(id)s is %(stage)s: there is no introduction to take back", id=case.id, stage=case.stage)
        )
    if opened:
        raise CaseError(T_("the lab has opened the need: that can't be taken back; move the case to lost instead"))
    _step(session, case, Stage.ACCEPTED, by=by, now=now, reason=None, note="")
    return case


def introduced_at(session: Session, case: Case) -> datetime | None:
    """Return when the lab was introduced last, None if it never was."""
    query = select(CaseStep.at).where(CaseStep.case_id == case.id, CaseStep.new == Stage.INTRODUCED.value)
    return session.exec(query.order_by(col(CaseStep.version).desc())).first()


def undo_case(session: Session, *, decision_id: int, by: str, now: datetime) -> Case:
    """Take back the case that an acceptance opened.

    Raises:
        CaseError: the case has moved on or somebody was contacted: it can then only be lost.
    """
    case = session.exec(select(Case).where(Case.decision_id == decision_id)).one()
    contacts = session.exec(select(func.count()).select_from(Contact).where(Contact.case_id == case.id)).one()
    if case.stage != Stage.ACCEPTED or contacts:
        raise CaseError(T_("case %(id)s has gone on since; move it to lost with a reason instead", id=case.id))
    _step(session, case, Stage.UNDONE, by=by, now=now, reason=None, note="")
    return case


def _step(
    session: Session, case: Case, stage: Stage, *, by: str, now: datetime, reason: LostReason | None, note: str
) -> None:
    """Move on only if nobody else did since the case was read: the row itself decides, not what was read."""
    moved = session.connection().execute(
        update(Case)
        .where(col(Case.id) == case.id, col(Case.version) == case.version)
        .values(stage=stage.value, version=case.version + 1)
    )
    if moved.rowcount != 1:
        raise StaleCaseError(T_("case %(id)s was moved on in the meantime; read it again", id=case.id), "version")
    insert_fact(
        session,
        CaseStep(
            case_id=case.id or 0,
            version=case.version + 1,
            old=case.stage,
            new=stage.value,
            reason=None if reason is None else reason.value,
            note=note,
            by=by,
            at=now,
        ),
    )
    session.refresh(case)


def add_contact(
    session: Session,
    *,
    alliance_id: str,
    case: Case | None,
    company_id: str | None,
    kind: ContactKind,
    held_on: date,
    by: str,
    now: datetime,
    note: str = "",
    next_step: str = "",
    next_on: date | None = None,
) -> Contact:
    """Record that somebody was in touch, and what is to follow.

    Raises:
        CaseError: the case is closed, or the next date lies before the contact.
    """
    if case is not None and case.stage in (Stage.LOST, Stage.UNDONE):
        raise CaseError(T_("case %(id)s is %(stage)s: nothing can be added to it", id=case.id, stage=case.stage))
    if next_on is not None and next_on < held_on:
        raise CaseError(
            T_("%(next_on)s is before the contact of %(held_on)s", next_on=next_on, held_on=held_on), "next_on"
        )
    contact = Contact(
        case_id=None if case is None else case.id,
        company_id=company_id,
        alliance_id=alliance_id,
        kind=kind.value,
        held_on=held_on,
        note=note,
        next_step=next_step,
        next_on=next_on,
        by=by,
        at=now,
    )
    return insert_fact(session, contact)


@dataclass(frozen=True)
class LabLoad:
    """A lab's open cases, those of them that are accepted but not introduced, and signed ones that it works on."""

    open_cases: int = 0
    not_introduced: int = 0
    signed: int = 0

    @property
    def carried(self) -> int:
        """How many cases the lab has to carry in all."""
        return self.open_cases + self.signed


def loads_of(session: Session, lab_ids: Collection[str]) -> Mapping[str, LabLoad]:
    """Return the load of each lab, by its id."""
    found = dict.fromkeys(lab_ids, LabLoad())
    # A case keeps the id under which its lab was known; the load is that of the record that is kept.
    kept = func.coalesce(col(RecordMerge.kept_id), col(Case.lab_id))
    query = (
        select(kept, col(Case.stage), func.count())
        .select_from(Case)
        .join(RecordMerge, is_merged(Mendable.LAB, col(Case.lab_id)), isouter=True)
        .where(kept.in_(sorted(lab_ids)), col(Case.stage).in_([stage.value for stage in OPEN_STAGES]))
        .group_by(kept, col(Case.stage))
    )
    for lab_id, stage, count in session.exec(query).all():
        had = found[lab_id]
        early = count if stage == Stage.ACCEPTED else 0
        found[lab_id] = LabLoad(had.open_cases + count, had.not_introduced + early)
    return found
