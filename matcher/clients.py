"""Which alliance, and which of its experts, looks after which company.

In: what experts take on. Out: the portfolio of an alliance. It exists because
a need must reach somebody: a company's need goes to the alliance that looks
after the company.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from matcher import people  # noqa: F401 (its table is referred to)


class Client(SQLModel, table=True):
    """A company in an alliance's portfolio; `expert_id` is who calls it."""

    __tablename__ = "client"
    __table_args__ = (
        Index(
            "ix_client_active",
            "company_id",
            "alliance_id",
            unique=True,
            sqlite_where=text("until IS NULL"),
            postgresql_where=text("until IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    company_id: str = Field(foreign_key="company.id")
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    expert_id: str | None = Field(default=None, foreign_key="account.id")
    since: datetime = Field(sa_type=Instant)
    until: datetime | None = Field(default=None, sa_type=Instant)


def take_on(session: Session, *, company_id: str, alliance_id: str, expert_id: str | None, now: datetime) -> Client:
    """Put a company into an alliance's portfolio, or give it to another expert of the alliance."""
    same = (Client.company_id == company_id, Client.alliance_id == alliance_id, col(Client.until).is_(None))
    client = session.exec(select(Client).where(*same).with_for_update()).first()
    if client is None:
        client = Client(company_id=company_id, alliance_id=alliance_id, expert_id=expert_id, since=now)
    else:
        client.expert_id = expert_id
    session.add(client)
    session.flush()
    return client


def alliances_of(session: Session, company_id: str) -> list[str]:
    """Return the alliances that look after a company now."""
    query = select(Client.alliance_id).where(Client.company_id == company_id, col(Client.until).is_(None))
    return sorted(session.exec(query).all())
