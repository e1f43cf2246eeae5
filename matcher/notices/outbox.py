"""The outbox: what happened, for each reader, stored in the very transaction in which it happened.

In: what somebody is told of, as ids and codes, and a place in the product; never a text of a record. Out: one notice
for each reader (what the bell counts), and where they want a mail at once, a letter in the outbox. It exists so that
nothing is told that did not happen and nothing that happened goes untold: the rows are committed or undone with the
act, and who delivers them does so later, as often as it takes. What a letter says is made when it is sent, of what its
reader may see at that moment: it does not lie here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, bindparam, text, update
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.instants import Instant
from matcher.notices.kinds import KINDS, Cadence, NoticeKind
from matcher.notices.readers import NoticeChoice, Webhook

_CADENCES = ", ".join(f"'{one.value}'" for one in Cadence)


class Notice(SQLModel, table=True):
    """One thing that one reader is told of. `facts` are ids and codes; `place` is a path of the product."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("reader", "key", name="told_once"),
        CheckConstraint("account_id IS NULL OR account_id = reader", name="reader_is_account"),
        CheckConstraint("gathers IS NULL OR gathers IN ('daily', 'weekly')", name="gathers_known"),
        Index(
            "ix_notice_unread",
            "account_id",
            sqlite_where=text("read_at IS NULL"),
            postgresql_where=text("read_at IS NULL"),
        ),
        Index(
            "ix_notice_gathers",
            "gathers",
            sqlite_where=text("gathers IS NOT NULL"),
            postgresql_where=text("gathers IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    reader: str
    """An account's id, or the mail address of somebody without an account."""
    account_id: str | None = Field(default=None, foreign_key="account.id", index=True)
    kind: str
    key: str
    facts: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    place: str
    at: datetime = Field(sa_type=Instant, index=True)
    read_at: datetime | None = Field(default=None, sa_type=Instant)
    gathers: str | None = None
    """The cadence of the letter that it waits for; None once it is in one, or if no mail tells of it."""


class Channel(StrEnum):
    """The way on which something leaves."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class SendingState(StrEnum):
    """How far a letter has come; `dropped`: at its time there was nothing left that its reader may be told."""

    WAITING = "waiting"
    SENT = "sent"
    DROPPED = "dropped"
    REFUSED = "refused"


class Letter(SQLModel, table=True):
    """One thing that is to leave, by mail or to a webhook: kept until it is sent, and sent under one id only."""

    __tablename__ = "letter"
    __table_args__ = (
        CheckConstraint("channel IN ('mail', 'webhook')", name="channel_known"),
        CheckConstraint("state IN ('waiting', 'sent', 'dropped', 'refused')", name="state_known"),
        CheckConstraint("(channel = 'webhook') = (webhook_id IS NOT NULL)", name="webhook_named"),
        CheckConstraint(f"cadence IN ({_CADENCES})", name="cadence_known"),
        Index(
            "ix_letter_due",
            "due_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    """What it is known by outside, however often it is tried: of its Message-ID, and of a webhook's message."""
    channel: str = Channel.MAIL.value
    cadence: str = Cadence.AT_ONCE.value
    reader: str
    webhook_id: int | None = Field(default=None, foreign_key="webhook.id", index=True)
    state: str = SendingState.WAITING.value
    made_at: datetime = Field(sa_type=Instant)
    due_at: datetime = Field(sa_type=Instant)
    tries: int = 0
    claimed_by: str | None = None
    claimed_until: datetime | None = Field(default=None, sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    said: str | None = None
    """What was last said of it by whoever was to take it: a code, never a text that quotes."""


class LetterNotice(SQLModel, table=True):
    """A notice that a letter tells of; a gathered letter tells of several."""

    __tablename__ = "letter_notice"

    letter_id: int = Field(primary_key=True, foreign_key="letter.id")
    notice_id: int = Field(primary_key=True, foreign_key="notice.id", index=True)


def notify(
    session: Session,
    *,
    kind: NoticeKind,
    to: Iterable[str],
    key: str,
    place: str,
    now: datetime,
    facts: Mapping[str, str] | None = None,
    by: str | None = None,
) -> list[Notice]:
    """Tell some readers of something that happens in this transaction; telling the same twice changes nothing.

    Args:
        session: the transaction of what happens.
        kind: of what they are told.
        to: account ids, and mail addresses of people without an account (they get a letter at once, and no bell).
        key: names the event, such as `case 12 step 3`: one reader is told of one event once.
        place: the path of the page that says more, such as `/cases/12`.
        now: the moment.
        facts: ids and codes of what it is about (`need`, `case`, `lab`, `entry`, `stage` …), by which it is decided at
            the time of sending whether the reader may know of it. Never a text of a record.
        by: who did it; nobody is told of what they did themselves.
    """
    readers = sorted(set(to) - {by})
    if not readers:
        return []
    told = select(Notice.reader).where(col(Notice.reader).in_(readers), Notice.key == key)
    known = set(session.exec(told).all())
    fresh = [one for one in readers if one not in known]
    wishes = cadences(session, fresh, kind)
    made = []
    for reader in fresh:
        cadence = wishes[reader]
        gathers = cadence.value if cadence in (Cadence.DAILY, Cadence.WEEKLY) else None
        notice = Notice(
            reader=reader,
            account_id=None if "@" in reader else reader,
            kind=kind.value,
            key=key,
            facts=dict(facts or {}),
            place=place,
            at=now,
            read_at=None if KINDS[kind].on_page else now,
            gathers=gathers,
        )
        session.add(notice)
        made.append(notice)
    session.flush()
    for notice in made:
        if wishes[notice.reader] is Cadence.AT_ONCE:
            post(session, reader=notice.reader, notices=[notice], now=now)
    _call_webhooks(session, made, now)
    return made


def cadences(session: Session, readers: Sequence[str], kind: NoticeKind) -> dict[str, Cadence]:
    """Return how soon each reader wants a mail about a kind; people without an account get all of them at once."""
    facts = KINDS[kind]
    found = {one: Cadence.AT_ONCE if "@" in one else facts.cadence for one in readers}
    if not facts.fixed:
        chosen = select(NoticeChoice).where(
            col(NoticeChoice.account_id).in_([one for one in readers if "@" not in one]),
            NoticeChoice.kind == kind.value,
        )
        found |= {row.account_id: Cadence(row.cadence) for row in session.exec(chosen).all()}
    return found


def post(
    session: Session,
    *,
    reader: str,
    notices: Sequence[Notice],
    now: datetime,
    cadence: Cadence = Cadence.AT_ONCE,
    webhook_id: int | None = None,
) -> Letter:
    """Put a letter that tells of some notices into the outbox."""
    letter = Letter(
        uid=secrets.token_hex(16),
        channel=(Channel.MAIL if webhook_id is None else Channel.WEBHOOK).value,
        cadence=cadence.value,
        reader=reader,
        webhook_id=webhook_id,
        made_at=now,
        due_at=now,
    )
    session.add(letter)
    session.flush()
    session.add_all([LetterNotice(letter_id=letter.id or 0, notice_id=notice.id or 0) for notice in notices])
    session.flush()
    return letter


def _call_webhooks(session: Session, made: Sequence[Notice], now: datetime) -> None:
    readers = [notice.account_id for notice in made if notice.account_id is not None]
    if not readers:
        return
    listening = select(Webhook).where(col(Webhook.account_id).in_(readers), col(Webhook.ended_at).is_(None))
    for hook in session.exec(listening).all():
        for notice in made:
            wanted = not hook.kinds or notice.kind in hook.kinds
            if notice.account_id == hook.account_id and wanted and KINDS[NoticeKind(notice.kind)].on_page:
                post(session, reader=hook.account_id, notices=[notice], now=now, webhook_id=hook.id)


# Asked by every page.
_UNREAD = select(func.count()).where(Notice.account_id == bindparam("account_id"), col(Notice.read_at).is_(None))


def unread(session: Session, account_id: str) -> int:
    """Return how many notices somebody has not read."""
    return int(session.connection().execute(_UNREAD, {"account_id": account_id}).scalar_one())


def notices_of(session: Session, account_id: str, *, before: int | None = None, limit: int = 50) -> Sequence[Notice]:
    """Return somebody's notices, the newest first, those with a number below `before` only."""
    shown = [kind.value for kind, facts in KINDS.items() if facts.on_page]
    query = select(Notice).where(Notice.account_id == account_id, col(Notice.kind).in_(shown))
    if before is not None:
        query = query.where(col(Notice.id) < before)
    return session.exec(query.order_by(col(Notice.id).desc()).limit(limit)).all()


def mark_read(session: Session, account_id: str, *, now: datetime, ids: Sequence[int] | None = None) -> int:
    """Mark somebody's notices as read: some of them, or all; return how many were not read before."""
    these: list[Any] = [col(Notice.account_id) == account_id, col(Notice.read_at).is_(None)]
    if ids is not None:
        these.append(col(Notice.id).in_(list(ids)))
    return session.connection().execute(update(Notice).where(*these).values(read_at=now)).rowcount
