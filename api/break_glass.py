"""Reading a confidential need in an emergency: possible for the programme office, never unseen.

In: who reads which need, and why. Out: a row that nobody can change. It exists
because the office must be able to look into a complaint, and companies must be
able to trust that it does not look otherwise.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Field, Session, SQLModel

from indexer.instants import Instant


class BreakGlassRead(SQLModel, table=True):
    """One reading of a need's text by somebody outside its alliance: never updated, never deleted."""

    __tablename__ = "break_glass_read"
    __table_args__ = (CheckConstraint("length(reason) > 0", name="for_a_reason"),)

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    account_id: str = Field(foreign_key="account.id")
    reason: str
    at: datetime = Field(sa_type=Instant)


def note_read(session: Session, *, need_id: str, account_id: str, reason: str, now: datetime) -> None:
    """Write down that a need was read, and why, in the transaction that reads it."""
    session.add(BreakGlassRead(need_id=need_id, account_id=account_id, reason=reason, at=now))
    session.flush()
