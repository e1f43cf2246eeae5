"""Readers and how they want to be told: how soon by mail, in which language, by a feed, by a webhook of a program.

In: what people choose for themselves, what the programme office allows, and what mail servers say of an address. Out:
those choices, as the outbox and whoever delivers ask for them. Secrets are not here: of a feed's address the SHA-256 is
stored, a webhook's key is computed from the home's key and its nonce. So nothing in the database opens a door.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import JSON, CheckConstraint, Column, Index, delete, text
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.wording import P_, T_, Text
from matcher.notices.kinds import KINDS, Cadence, NoticeKind, kinds_for
from matcher.review import people  # noqa: F401 (its table is referred to)
from matcher.review.roles import Role

_CADENCES = ", ".join(f"'{one.value}'" for one in Cadence)
MAX_WEBHOOKS = 5
"""How many an account keeps at a time."""


class MailLanguage(StrEnum):
    """In which language somebody's mails are."""

    BOTH = "both"
    ZH = "zh"
    EN = "en"


LANGUAGE_LABELS: Mapping[MailLanguage, Text] = {
    MailLanguage.BOTH: P_("language of mails", "Chinese and English"),
    MailLanguage.ZH: P_("language of mails", "Chinese"),
    MailLanguage.EN: P_("language of mails", "English"),
}


class ReaderError(ValueError):
    """A choice, a feed or a webhook can't be as asked; `field` is to blame."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class NoticeChoice(SQLModel, table=True):
    """How soon an account wants a mail about a kind, where it is not as the table of kinds has it."""

    __tablename__ = "notice_choice"
    __table_args__ = (CheckConstraint(f"cadence IN ({_CADENCES})", name="cadence_known"),)

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    kind: str = Field(primary_key=True)
    cadence: str


class NoticeReader(SQLModel, table=True):
    """What an account chose for all that it is told."""

    __tablename__ = "notice_reader"
    __table_args__ = (CheckConstraint("language IN ('both', 'zh', 'en')", name="language_known"),)

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    language: str = MailLanguage.BOTH.value
    names_needs: bool = False
    """Whether a mail may have the title of a need that the reader may see: mail lies in other people's machines."""
    feed_hash: str | None = Field(default=None, unique=True)
    feed_made_at: datetime | None = Field(default=None, sa_type=Instant)


class MailAddress(SQLModel, table=True):
    """What is known of a mail address: that its server refuses it, or that its owner wants no mail."""

    __tablename__ = "mail_address"

    address: str = Field(primary_key=True)
    refused_at: datetime | None = Field(default=None, sa_type=Instant)
    said: str | None = None
    unsubscribed_at: datetime | None = Field(default=None, sa_type=Instant)


class Webhook(SQLModel, table=True):
    """A program's address that is told of what its account is told of. Its secret is computed, not stored here."""

    __tablename__ = "webhook"

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    url: str
    kinds: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """Of what it is told; empty: of everything."""
    nonce: str
    made_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)


class WebhookHost(SQLModel, table=True):
    """A host that the programme office lets webhooks call."""

    __tablename__ = "webhook_host"
    __table_args__ = (
        Index(
            "ix_webhook_host_active",
            "host",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    host: str
    allowed_by: str = Field(foreign_key="account.id")
    allowed_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


def reader_of(session: Session, account_id: str) -> NoticeReader:
    """Return what an account chose; what was never chosen is as at first, and not stored."""
    return session.get(NoticeReader, account_id) or NoticeReader(account_id=account_id)


def choose(
    session: Session,
    *,
    account_id: str,
    cadences: Mapping[NoticeKind, Cadence],
    language: MailLanguage | None = None,
    names_needs: bool | None = None,
) -> None:
    """Store how somebody wants to be told; what is not named stays.

    Raises:
        ReaderError: a kind can't be chosen about.
    """
    for kind, cadence in cadences.items():
        if KINDS[kind].fixed:
            raise ReaderError(T_("mail about the safety of your own account can't be turned off"), "cadences")
        row = session.get(NoticeChoice, (account_id, kind.value))
        row = row or NoticeChoice(account_id=account_id, kind=kind.value, cadence=cadence.value)
        row.cadence = cadence.value
        session.add(row)
    reader = reader_of(session, account_id)
    reader.language = reader.language if language is None else language.value
    reader.names_needs = reader.names_needs if names_needs is None else names_needs
    session.add(reader)
    session.flush()


def chosen(session: Session, account_id: str, roles: frozenset[Role]) -> dict[NoticeKind, Cadence]:
    """Return how soon somebody with these roles is told of each kind that they may choose about."""
    rows = session.exec(select(NoticeChoice).where(NoticeChoice.account_id == account_id)).all()
    own = {row.kind: Cadence(row.cadence) for row in rows}
    return {kind: own.get(kind.value, KINDS[kind].cadence) for kind in kinds_for(roles)}


def renew_feed(session: Session, *, account_id: str, now: datetime) -> str:
    """Give somebody's feed a new secret, which ends the one before; it is returned, and stored nowhere."""
    secret = secrets.token_urlsafe(32)
    reader = reader_of(session, account_id)
    reader.feed_hash, reader.feed_made_at = _digest(secret), now
    session.add(reader)
    session.flush()
    return secret


def end_feed(session: Session, *, account_id: str) -> None:
    """Let the address of somebody's feed open nothing any more."""
    reader = reader_of(session, account_id)
    reader.feed_hash = reader.feed_made_at = None
    session.add(reader)
    session.flush()


def feed_owner(session: Session, secret: str) -> str | None:
    """Return whose feed a secret opens, None if it opens none."""
    return session.exec(select(NoticeReader.account_id).where(NoticeReader.feed_hash == _digest(secret))).first()


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def allowed_hosts(session: Session) -> Sequence[WebhookHost]:
    """Return the hosts that webhooks may call, by name."""
    return session.exec(select(WebhookHost).where(col(WebhookHost.ended_at).is_(None)).order_by(WebhookHost.host)).all()


def webhooks_of(session: Session, account_id: str) -> Sequence[Webhook]:
    """Return an account's webhooks that are called, oldest first."""
    these = (Webhook.account_id == account_id, col(Webhook.ended_at).is_(None))
    return session.exec(select(Webhook).where(*these).order_by(col(Webhook.id))).all()


def add_webhook(
    session: Session, *, account_id: str, url: str, host: str, kinds: Sequence[NoticeKind], now: datetime
) -> Webhook:
    """Let a program's address be told of what its account is told of.

    Raises:
        ReaderError: its host is not allowed, or the account has as many as it may.
    """
    if host not in {one.host for one in allowed_hosts(session)}:
        raise ReaderError(
            T_("the programme office has not allowed webhooks to call %(host)s; ask it to", host=host), "url"
        )
    if len(webhooks_of(session, account_id)) >= MAX_WEBHOOKS:
        raise ReaderError(T_("an account has at most %(n)s webhooks; end one first", n=MAX_WEBHOOKS), "url")
    hook = Webhook(
        account_id=account_id, url=url, kinds=[kind.value for kind in kinds], nonce=secrets.token_hex(16), made_at=now
    )
    session.add(hook)
    session.flush()
    return hook


def forget_reader(session: Session, *, account_id: str, address: str, now: datetime) -> None:
    """Forget what is known of somebody's address, and let neither a feed nor a webhook tell of them any more."""
    session.connection().execute(delete(MailAddress).where(col(MailAddress.address) == address))
    for hook in webhooks_of(session, account_id):
        hook.ended_at = now
        session.add(hook)
    end_feed(session, account_id=account_id)
