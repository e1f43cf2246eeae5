"""What takes two people: one moves it, another seconds it.

In: a motion with its reason, then a second person's word. Out: rows that nobody
can change, and the right to carry the motion out. It exists because no single
person may recognise large money, reverse what was recognised, close a quarter,
change a rule that binds two, or let somebody in who decides; the database itself refuses a second by the same person.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate
from indexer.instants import Instant
from indexer.wording import T_
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.review.people import tied_to


class MotionKind(StrEnum):
    """What is moved."""

    RECOGNISE = "recognise"
    REVERSE = "reverse"
    CLOSE = "close"
    CONFIGURE = "configure"
    GRANT = "grant"


_KINDS = ", ".join(f"'{kind.value}'" for kind in MotionKind)


class TiedError(LedgerError):
    """A second person made, granted or keyed the account of the first, or the other way round."""


class Motion(SQLModel, table=True):
    """What one person moved, on an entry, a quarter, rules or an account (`subject`): never updated, never deleted."""

    __tablename__ = "ledger_motion"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_KINDS})", name="kind_known"),
        CheckConstraint("length(reason) > 0", name="moved_for_a_reason"),
        UniqueConstraint("id", "moved_by", name="who_moved"),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    subject: str = Field(index=True)
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    reason: str
    moved_by: str = Field(foreign_key="account.id")
    moved_at: datetime = Field(sa_type=Instant)


class MotionEnd(SQLModel, table=True):
    """How a motion ended: seconded by somebody else, or dropped. Never updated, never deleted."""

    __tablename__ = "ledger_motion_end"
    __table_args__ = (
        ForeignKeyConstraint(["motion_id", "moved_by"], ["ledger_motion.id", "ledger_motion.moved_by"]),
        CheckConstraint("NOT seconded OR by <> moved_by", name="seconded_by_another"),
        CheckConstraint("seconded OR length(reason) > 0", name="dropped_for_a_reason"),
    )

    motion_id: int = Field(primary_key=True)
    moved_by: str
    seconded: bool
    reason: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def move(
    session: Session, *, kind: MotionKind, subject: str, payload: dict[str, Any], reason: str, by: str, now: datetime
) -> Motion:
    """Move something; the caller has checked that it could be carried out.

    Raises:
        LedgerError: no reason is given.
        AlreadyReportedError: the same is moved already and waits for a second.
    """
    if not reason.strip():
        raise LedgerError(T_("say why"), "reason")
    waiting = pending(session, kind, subject)
    if waiting is not None:
        raise AlreadyReportedError(
            T_("motion %(id)s on %(subject)s waits for a second person already", id=waiting.id, subject=subject)
        )
    motion = Motion(kind=kind.value, subject=subject, payload=payload, reason=reason.strip(), moved_by=by, moved_at=now)
    session.add(motion)
    session.flush()
    return motion


def pending(session: Session, kind: MotionKind, subject: str) -> Motion | None:
    """Return the motion on a subject that waits for a second, None if there is none."""
    query = select(Motion).join(MotionEnd, col(MotionEnd.motion_id) == col(Motion.id), isouter=True)
    these = (Motion.kind == kind.value, Motion.subject == subject, col(MotionEnd.motion_id).is_(None))
    return session.exec(query.where(*these).order_by(col(Motion.id))).first()


def open_motion(session: Session, motion_id: int) -> Motion:
    """Return a motion that waits for a second.

    Raises:
        LedgerError: there is none with this number, or it has ended.
    """
    motion = session.get(Motion, motion_id)
    if motion is None:
        raise LedgerError(T_("there is no motion %(motion_id)s", motion_id=motion_id), "motion")
    if session.get(MotionEnd, motion_id) is not None:
        raise LedgerError(T_("motion %(motion_id)s has ended", motion_id=motion_id), "motion")
    return motion


def end(session: Session, motion: Motion, *, seconded: bool, by: str, now: datetime, reason: str = "") -> None:
    """Second a motion, or drop it.

    Raises:
        LedgerError: it is seconded by who moved it, or dropped without a reason.
        TiedError: it is seconded by who made, granted or keyed the mover's account, or the other way round.
        AlreadyReportedError: it ended a moment ago.
    """
    if seconded and by == motion.moved_by:
        raise LedgerError(T_("who moved it can't second it; another person has to"), "by")
    if seconded and motion.moved_by in tied_to(session, by):
        said = T_("who made, granted or keyed the mover's account, or was so by the mover, is no second person")
        raise TiedError(said, "by")
    if not seconded and not reason.strip():
        raise LedgerError(T_("say why it is dropped"), "reason")
    session.add(
        MotionEnd(
            motion_id=motion.id or 0, moved_by=motion.moved_by, seconded=seconded, reason=reason.strip(), by=by, at=now
        )
    )
    try:
        session.flush()
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(T_("motion %(id)s ended a moment ago", id=motion.id)) from error
