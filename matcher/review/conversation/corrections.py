"""What a company says of a need that an expert typed for it: that it is right, or what would be right instead.

In: the need as the company read it, and its word. Out: one row for each word with the version before and, where it was
corrected, after; what an expert then takes over or leaves. It exists because an expert hears a need on the telephone,
and only the company knows whether it was understood. A correction changes nothing by itself: it came by a link that
may have been forwarded, so an expert who knows the company looks at both versions first.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, update
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.wording import T_

MOST_WORDS = 50
"""So many words of companies are kept of one need."""


class NeedWord(StrEnum):
    """What a company says of a need, or that it takes its last word back."""

    CONFIRMED = "confirmed"
    CORRECTED = "corrected"
    RETRACTED = "retracted"


class CorrectionError(ValueError):
    """A word can't be said or settled that way; the message says why."""


class NeedSaid(SQLModel, table=True):
    """One word of a company on a need: its texts are never changed. `settled_at`: an expert took it over or not.

    With `consent` an expert said it for the company, which agreed to it in the way that is noted there.
    """

    __tablename__ = "need_said"
    __table_args__ = (
        CheckConstraint("word IN ('confirmed', 'corrected', 'retracted')", name="word_known"),
        CheckConstraint("(settled_at IS NULL) = (taken IS NULL)", name="settled_one_way"),
    )

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    word: str
    before: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    after: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    reader: str
    link: str
    at: datetime = Field(sa_type=Instant)
    taken: bool | None = None
    settled_by: str | None = Field(default=None, foreign_key="account.id")
    settled_at: datetime | None = Field(default=None, sa_type=Instant)
    consent: str | None = None


def say_of_need(
    session: Session,
    *,
    need_id: str,
    word: NeedWord,
    before: dict[str, Any],
    after: dict[str, Any] | None,
    reader: str,
    link: str,
    now: datetime,
) -> NeedSaid:
    """Note what a company says of a need; its last word stands.

    Args:
        session: its transaction holds the word.
        need_id: the need.
        word: what is said.
        before: what the need says now.
        after: what it should say, with a correction.
        reader: whom the link was sent to.
        link: the link, as its letter names it.
        now: the moment.

    Raises:
        CorrectionError: nothing is corrected, nothing stands that could be taken back, or too much was said.
    """
    said = words_of(session, need_id)
    if len(said) >= MOST_WORDS:
        raise CorrectionError(T_("too much was said of this need already; write to your expert"))
    if word is NeedWord.CORRECTED and (after is None or not changed_fields(before, after)):
        raise CorrectionError(T_("nothing is changed; confirm the need instead"))
    if word is NeedWord.RETRACTED and (standing := standing_word_of(said)) is None:
        raise CorrectionError(T_("there is no answer to take back"))
    if word is NeedWord.RETRACTED and standing is not None and standing.settled_at is not None:
        raise CorrectionError(T_("your expert has settled it already; write to your expert"))
    row = NeedSaid(need_id=need_id, word=word.value, before=before, after=after, reader=reader, link=link, at=now)
    return insert_fact(session, row)


def agree(
    session: Session,
    *,
    need_id: str,
    before: dict[str, Any],
    after: dict[str, Any],
    consent: str,
    by: str,
    now: datetime,
) -> NeedSaid:
    """Note what an expert changes of a need with its company's consent; who does so also changes the need.

    Args:
        session: its transaction holds both.
        need_id: the need.
        before: what the need says now.
        after: what it is to say.
        consent: how and when the company agreed.
        by: the expert.
        now: the moment.

    Raises:
        CorrectionError: nothing is changed, it is not said how the company agreed, or a correction of it waits.
    """
    said = words_of(session, need_id)
    standing = standing_word_of(said)
    if not consent.strip():
        raise CorrectionError(T_("say how and when the company agreed to it"))
    if not changed_fields(before, after):
        raise CorrectionError(T_("nothing is changed"))
    if standing is not None and standing.word == NeedWord.CORRECTED and standing.settled_at is None:
        raise CorrectionError(T_("a correction of the company waits: settle it first"))
    if len(said) >= MOST_WORDS:
        raise CorrectionError(T_("too much was said of this need already; write to your expert"))
    row = NeedSaid(
        need_id=need_id,
        word=NeedWord.CORRECTED.value,
        before=before,
        after=after,
        reader=by,
        link="",
        at=now,
        taken=True,
        settled_by=by,
        settled_at=now,
        consent=consent.strip(),
    )
    return insert_fact(session, row)


def words_of(session: Session, need_id: str) -> list[NeedSaid]:
    """Return all that was said of a need, oldest first."""
    return list(session.exec(select(NeedSaid).where(NeedSaid.need_id == need_id).order_by(col(NeedSaid.id))).all())


def standing_word_of(said: list[NeedSaid]) -> NeedSaid | None:
    """Return the word that stands among all that was said."""
    return said[-1] if said and said[-1].word != NeedWord.RETRACTED else None


def changed_fields(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the fields in which two versions differ; what is empty in both ways is the same."""
    return [name for name in after if (before.get(name) or None) != (after[name] or None)]


def settle(session: Session, *, word_id: int, taken: bool, by: str, now: datetime) -> NeedSaid:
    """Say whether a correction is taken over; who does so also changes the need, in the same transaction.

    Raises:
        CorrectionError: it is no correction that stands and waits.
    """
    row = session.get(NeedSaid, word_id)
    standing = None if row is None else standing_word_of(words_of(session, row.need_id))
    waits = row is not None and row.word == NeedWord.CORRECTED and standing is not None and standing.id == row.id
    if row is None or not waits:
        raise CorrectionError(T_("only the correction that stands last can be settled"))
    this = (col(NeedSaid.id) == word_id, col(NeedSaid.settled_at).is_(None))
    values = {"taken": taken, "settled_by": by, "settled_at": now}
    if session.connection().execute(update(NeedSaid).where(*this).values(**values)).rowcount != 1:
        raise CorrectionError(T_("it was settled already"))
    session.refresh(row)
    return row
