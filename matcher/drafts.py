"""Needs that are being written: kept for their company until they are submitted or thrown away.

In: what somebody of a company has typed so far. Out: the same, for anybody of
that company, on any device. It exists apart from needs because a draft is
nobody else's business: it is in no list, no index and no export, and its text
is gone once it is submitted or deleted.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher import people  # noqa: F401 (its table is referred to)

MAX_DRAFTS = 50
"""How many a company may keep."""


class DraftError(ValueError):
    """A draft can't be kept; the message says why."""


class NeedDraft(SQLModel, table=True):
    """One need that is being written; `version` counts its changes."""

    __tablename__ = "need_draft"

    id: str = Field(primary_key=True)
    company_id: str = Field(foreign_key="company.id", index=True)
    content: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    version: int = 0
    begun_by: str = Field(foreign_key="account.id")
    begun_at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


def begin_draft(session: Session, *, company_id: str, by: str, now: datetime) -> NeedDraft:
    """Begin an empty draft.

    Raises:
        DraftError: the company keeps too many already.
    """
    kept = session.exec(select(NeedDraft.id).where(NeedDraft.company_id == company_id).limit(MAX_DRAFTS)).all()
    if len(kept) >= MAX_DRAFTS:
        raise DraftError(
            T_("at most %(max_drafts)s drafts are kept; submit or delete one first", max_drafts=MAX_DRAFTS)
        )
    draft = NeedDraft(
        id=secrets.token_hex(12), company_id=company_id, content={}, begun_by=by, begun_at=now, changed_at=now
    )
    session.add(draft)
    session.flush()
    return draft


def drafts_of(session: Session, companies: Collection[str]) -> list[NeedDraft]:
    """Return the drafts of some companies, the latest change first."""
    query = select(NeedDraft).where(col(NeedDraft.company_id).in_(sorted(companies)))
    return list(session.exec(query.order_by(col(NeedDraft.changed_at).desc(), col(NeedDraft.id))).all())


def draft_of(session: Session, draft_id: str, companies: Collection[str]) -> NeedDraft | None:
    """Return a draft if it belongs to one of the companies."""
    draft = session.get(NeedDraft, draft_id)
    return draft if draft is not None and draft.company_id in companies else None


def keep(session: Session, draft: NeedDraft, *, changes: Mapping[str, Any], now: datetime) -> None:
    """Store what was typed; fields that are not named stay."""
    content = {**draft.content, **changes}
    if content != draft.content:
        draft.content, draft.version, draft.changed_at = content, draft.version + 1, now
        session.add(draft)
        session.flush()


def throw_away(session: Session, draft: NeedDraft) -> None:
    """Delete a draft."""
    session.delete(draft)
    session.flush()
