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
from indexer.records.record_tables import Company
from indexer.wording import T_
from matcher.review.people import principal
from matcher.review.roles import STAFF


class ClientError(ValueError):
    """A company can't be looked after that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Client(SQLModel, table=True):
    """A company in an alliance's portfolio; `expert_id` is who calls it. Another expert is another row."""

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
    given_by: str | None = None
    until: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


def take_on(
    session: Session,
    *,
    company_id: str,
    alliance_id: str,
    expert_id: str | None,
    now: datetime,
    by: str | None = None,
) -> Client:
    """Put a company into an alliance's portfolio, or give it to another expert of the alliance.

    Raises:
        ClientError: the expert works for another alliance, or has declared an interest in the company.
    """
    if expert_id is not None:
        _check_expert(session, company_id, alliance_id, expert_id)
    held = _held(session, company_id, alliance_id)
    if held is not None and held.expert_id == expert_id:
        return held
    if held is not None:
        _end(session, held, by, now)
    client = Client(company_id=company_id, alliance_id=alliance_id, expert_id=expert_id, since=now, given_by=by)
    session.add(client)
    session.flush()
    return client


def let_go(session: Session, *, company_id: str, alliance_id: str, by: str, now: datetime) -> None:
    """Take a company out of an alliance's portfolio; what was done for it stays on record.

    Raises:
        ClientError: it is not in the portfolio.
    """
    held = _held(session, company_id, alliance_id)
    if held is None:
        raise ClientError(
            T_(
                "company %(company_id)s is not in the portfolio of alliance %(alliance_id)s",
                company_id=company_id,
                alliance_id=alliance_id,
            )
        )
    _end(session, held, by, now)


def _end(session: Session, client: Client, by: str | None, now: datetime) -> None:
    client.until, client.ended_by = now, by
    session.add(client)
    session.flush()


def _held(session: Session, company_id: str, alliance_id: str) -> Client | None:
    """Return who looks after a company in an alliance; the company is held, so that one writer at a time changes it."""
    if session.get(Company, company_id, with_for_update={"key_share": True}) is None:
        raise ClientError(T_("there is no company %(company_id)r", company_id=company_id), "company")
    same = (Client.company_id == company_id, Client.alliance_id == alliance_id, col(Client.until).is_(None))
    return session.exec(select(Client).where(*same)).first()


def _check_expert(session: Session, company_id: str, alliance_id: str, expert_id: str) -> None:
    expert = principal(session, expert_id)
    if expert is None or alliance_id not in expert.scopes(*STAFF):
        raise ClientError(T_("there is no such expert in alliance %(alliance_id)s", alliance_id=alliance_id), "expert")
    if expert.has_stake(company_id=company_id, lab_id=None):
        raise ClientError(T_("the expert has declared an interest in this company; choose another"), "expert")


def alliances_of(session: Session, company_id: str) -> list[str]:
    """Return the alliances that look after a company now."""
    query = select(Client.alliance_id).where(Client.company_id == company_id, col(Client.until).is_(None))
    return sorted(session.exec(query).all())
