"""The same request sent twice is carried out once.

In: a client's `Idempotency-Key` with what it asks. Out: the answer given the
first time, stored in the transaction that did the work. It exists because a
client that saw no answer cannot know whether its request was carried out, and
must be able to send it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Column, LargeBinary, tuple_
from sqlmodel import Field, Session, SQLModel, col, delete, select

from indexer.instants import Instant
from indexer.wording import T_

MAX_KEY = 200
KEPT = timedelta(days=30)
"""How long a stored answer can be had again; a client that saw none sends again within minutes."""


class KeyReusedError(ValueError):
    """The key was used for another request."""


@dataclass(frozen=True)
class Reply:
    """What an endpoint answers: a status, a JSON document and headers.

    `secret` are fields of the document that are shown once: they are not stored, so that a repeated request does not
    get them.
    """

    status: int
    document: Any
    headers: dict[str, str]
    secret: dict[str, Any] = field(default_factory=dict)


class IdempotentReply(SQLModel, table=True):
    """The answer to a request that came with a key."""

    __tablename__ = "idempotent_reply"

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    key: str = Field(primary_key=True)
    request_hash: str
    status: int
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    headers: str
    at: datetime = Field(sa_type=Instant, index=True)


def request_hash(method: str, path: str, query: str, body: bytes, *, rights: list[list[str]]) -> str:
    """Return the hash that tells one request from another, or from the same one by who had other rights then.

    A stored answer was made for what its reader might see at that time; with other rights it is not given again.
    """
    return sha256(orjson.dumps([method, path, query, body.decode("utf-8", "surrogatepass"), rights])).hexdigest()


def earlier_reply(session: Session, *, account_id: str, key: str, asked: str) -> Reply | None:
    """Return the answer that the same request got before, None if it is new.

    Raises:
        KeyReusedError: the key belongs to a request that asked for something else.
    """
    found = session.get(IdempotentReply, (account_id, key))
    if found is None:
        return None
    if found.request_hash != asked:
        raise KeyReusedError(
            T_("this Idempotency-Key was used for another request, or before your rights changed; make a new one")
        )
    return Reply(found.status, orjson.loads(found.body), orjson.loads(found.headers))


def keep_reply(session: Session, *, account_id: str, key: str, asked: str, reply: Reply, now: datetime) -> None:
    """Store an answer beside the work that it reports."""
    session.add(
        IdempotentReply(
            account_id=account_id,
            key=key,
            request_hash=asked,
            status=reply.status,
            body=orjson.dumps(reply.document),
            headers=orjson.dumps(reply.headers).decode(),
            at=now,
        )
    )
    session.flush()


def forget(session: Session, *, now: datetime, most: int) -> int:
    """Delete at most so many of the answers that are past their time; return how many."""
    key = tuple_(col(IdempotentReply.account_id), col(IdempotentReply.key))
    old = select(col(IdempotentReply.account_id), col(IdempotentReply.key)).where(IdempotentReply.at < now - KEPT)
    return session.connection().execute(delete(IdempotentReply).where(key.in_(old.limit(most)))).rowcount
