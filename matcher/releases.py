"""Which candidates a company may see.

In: an expert's choice. Out: releases, each with its dates. It exists because a
company sees nothing of a ranking but what its expert chose to show.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.proposals import PairingState, StoredPairing


class ReleaseError(ValueError):
    """A candidate can't be released."""


class Release(SQLModel, table=True):
    """A candidate that the need's company may see, from when until when."""

    __tablename__ = "release"
    __table_args__ = (
        Index(
            "ix_release_active",
            "pairing_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id")
    need_id: str = Field(foreign_key="need.id", index=True)
    lab_id: str = Field(foreign_key="lab.id")
    released_at: datetime = Field(sa_type=Instant)
    released_by: str
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


def release(session: Session, *, pairing: StoredPairing, by: str, now: datetime) -> Release:
    """Let the need's company see a candidate; releasing it twice changes nothing.

    Raises:
        ReleaseError: the candidate was rejected.
    """
    if pairing.state == PairingState.REJECTED:
        raise ReleaseError(T_("pairing %(id)s was rejected; undo that before it is released", id=pairing.id))
    held = _active(session, pairing.id or 0)
    if held is None:
        held = Release(
            pairing_id=pairing.id or 0, need_id=pairing.need_id, lab_id=pairing.lab_id, released_at=now, released_by=by
        )
        session.add(held)
        session.flush()
    return held


def end_release(session: Session, *, pairing_id: int, by: str, now: datetime) -> None:
    """Take a candidate out of the company's sight; nothing happens if it was not released."""
    held = _active(session, pairing_id)
    if held is not None:
        held.ended_at, held.ended_by = now, by
        session.add(held)
        session.flush()


def _active(session: Session, pairing_id: int) -> Release | None:
    query = select(Release).where(Release.pairing_id == pairing_id, col(Release.ended_at).is_(None))
    return session.exec(query.with_for_update()).first()
