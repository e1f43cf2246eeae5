"""Which alliance, and which of its experts, looks after which company.

In: what experts take on, and what others say to that. Out: the portfolio of an alliance. It exists because a need must
reach somebody: a company's need goes to the alliance that looks after the company, and to the one that did so first
where several do.

Whoever looks after a company reads of its contact persons and brings in what its record says. So a company that an
alliance looks after already is taken on by another one only if that alliance or the company says yes: until then there
is a request, which whoever asked can take back, and nothing else.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, func, text
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


class Answered(StrEnum):
    """How a request ended."""

    AGREED = "agreed"
    REFUSED = "refused"
    TAKEN_BACK = "taken_back"


_ANSWERS = ", ".join(f"'{answer.value}'" for answer in Answered)


class ClientRequest(SQLModel, table=True):
    """That an alliance asks to look after a company too, and what it was told."""

    __tablename__ = "client_request"
    __table_args__ = (
        CheckConstraint(f"answer IN ({_ANSWERS})", name="answer_known"),
        CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="answered_at_a_moment"),
        CheckConstraint("(answer IS NULL) = (answered_by IS NULL)", name="answered_by_somebody"),
        Index(
            "ix_client_request_waiting",
            "company_id",
            "alliance_id",
            unique=True,
            sqlite_where=text("answer IS NULL"),
            postgresql_where=text("answer IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    company_id: str = Field(foreign_key="company.id")
    alliance_id: str = Field(foreign_key="alliance.id")
    expert_id: str = Field(foreign_key="account.id")
    reason: str
    asked_by: str = Field(foreign_key="account.id")
    asked_at: datetime = Field(sa_type=Instant)
    answer: str | None = None
    note: str = ""
    answered_by: str | None = Field(default=None, foreign_key="account.id")
    answered_at: datetime | None = Field(default=None, sa_type=Instant)


def take_on_or_ask(
    session: Session, *, company_id: str, alliance_id: str, expert_id: str, reason: str, by: str, now: datetime
) -> Client | ClientRequest:
    """Take a company on that is nobody's or one's own already; for another's, ask. Asking twice asks once.

    Raises:
        ClientError: the expert works for another alliance, or has declared an interest in the company.
    """
    held = _held(session, company_id, alliance_id)
    waiting = _waiting(session, company_id, alliance_id)
    if held is not None or not set(alliances_of(session, company_id)) - {alliance_id}:
        if waiting is not None:
            _end_request(session, waiting, Answered.TAKEN_BACK, by, now)
        return take_on(session, company_id=company_id, alliance_id=alliance_id, expert_id=expert_id, by=by, now=now)
    _check_expert(session, company_id, alliance_id, expert_id)
    if waiting is None:
        waiting = ClientRequest(
            company_id=company_id,
            alliance_id=alliance_id,
            expert_id=expert_id,
            reason=reason.strip(),
            asked_by=by,
            asked_at=now,
        )
        session.add(waiting)
        session.flush()
    return waiting


def answer_request(
    session: Session, *, request_id: int, agreed: bool, note: str, by: str, now: datetime
) -> ClientRequest:
    """Agree to a request, so that the company is looked after by both, or refuse it. Who may is decided by the caller.

    Raises:
        ClientError: it has ended, whoever answers asked or works for who asks, or the expert can't have it by now.
    """
    request = _open_request(session, request_id)
    answerer = principal(session, by)
    if by in (request.asked_by, request.expert_id) or (
        answerer is not None and request.alliance_id in answerer.scopes(*STAFF)
    ):
        raise ClientError(T_("who asks does not answer; another alliance's people or the company's do"), "by")
    if agreed:
        take_on(
            session,
            company_id=request.company_id,
            alliance_id=request.alliance_id,
            expert_id=request.expert_id,
            by=by,
            now=now,
        )
    _end_request(session, request, Answered.AGREED if agreed else Answered.REFUSED, by, now, note.strip())
    return request


def take_back_request(session: Session, *, request_id: int, by: str, now: datetime) -> ClientRequest:
    """Take a request back as long as nobody has answered it.

    Raises:
        ClientError: it has ended.
    """
    request = _open_request(session, request_id)
    _end_request(session, request, Answered.TAKEN_BACK, by, now)
    return request


def _waiting(session: Session, company_id: str, alliance_id: str) -> ClientRequest | None:
    these = (ClientRequest.company_id == company_id, ClientRequest.alliance_id == alliance_id)
    return session.exec(select(ClientRequest).where(*these, col(ClientRequest.answer).is_(None))).first()


def _open_request(session: Session, request_id: int) -> ClientRequest:
    request = session.get(ClientRequest, request_id, with_for_update=True)
    if request is None or request.answer is not None:
        raise ClientError(T_("this request has been answered or taken back"), "request")
    return request


def _end_request(
    session: Session, request: ClientRequest, answer: Answered, by: str, now: datetime, note: str = ""
) -> None:
    request.answer, request.answered_by, request.answered_at, request.note = answer.value, by, now, note
    session.add(request)
    session.flush()


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
    """Return the alliances that look after a company now, the one that did so first before the others."""
    query = select(Client.alliance_id).where(Client.company_id == company_id, col(Client.until).is_(None))
    now = set(session.exec(query).all())
    since = select(Client.alliance_id, func.min(Client.since)).where(Client.company_id == company_id)
    found = session.exec(since.group_by(col(Client.alliance_id))).all()
    return [alliance_id for alliance_id, _ in sorted(found, key=lambda one: (one[1], one[0])) if alliance_id in now]
