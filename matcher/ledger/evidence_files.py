"""Who brought which file of evidence, and who may name it.

In: the SHA-256 of a stored file and who sent it. Out: a row that nobody can
change. It exists because who knows a hash does not thereby know the file: an
entry may name a file only if its reporter sent it or sees it already, so that
nobody reads another alliance's contract by naming its hash.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from matcher import people  # noqa: F401 (its table is referred to)


class EvidenceFile(SQLModel, table=True):
    """That somebody sent a file: never updated, never deleted."""

    __tablename__ = "evidence_file"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256_is_one"),
        CheckConstraint("size_bytes > 0", name="not_empty"),
    )

    sha256: str = Field(primary_key=True)
    sent_by: str = Field(primary_key=True, foreign_key="account.id")
    size_bytes: int = Field(sa_type=BigInteger)
    sent_at: datetime = Field(sa_type=Instant)


def note_file(session: Session, *, sha256: str, size_bytes: int, by: str, now: datetime) -> None:
    """Note that somebody sent a file; sending it again changes nothing. The caller commits."""
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement: Any = dialect.insert(EvidenceFile).on_conflict_do_nothing()
    session.connection().execute(statement, {"sha256": sha256, "sent_by": by, "size_bytes": size_bytes, "sent_at": now})


def sent(session: Session, by: str, digests: Iterable[str]) -> set[str]:
    """Return which of some files a person has sent."""
    query = select(EvidenceFile.sha256).where(EvidenceFile.sent_by == by, col(EvidenceFile.sha256).in_(list(digests)))
    return set(session.exec(query).all())
