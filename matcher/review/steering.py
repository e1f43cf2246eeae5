"""How a ranking is steered, kept with the need: what an alliance's experts chose for it, and since when.

In: a need, an alliance that works on it, the words of a steering (`matcher.ranking.wishes`), who chose and when. Out:
an immutable row for each choice, and the one that holds: an alliance's last. It exists because a wish that an expert
was told on the telephone holds tomorrow too, and for the colleague who opens the need; and because an answer that
somebody steered has to say who and when. Another alliance that works on the same need has a choice of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.records.mended.merged import kept_ids
from indexer.records.record_tables import Lab, School
from indexer.vocabulary import Mendable
from indexer.wording import T_
from matcher.ranking.wishes import LeftOut, Steering
from matcher.review.intake import NeedIntake
from matcher.review.people import Account

_KINDS = {LeftOut.LAB: Mendable.LAB, LeftOut.SCHOOL: Mendable.SCHOOL}


class UnknownPickError(LookupError):
    """A steering leaves out a lab or school that there is not; the message says which."""


class NeedSteering(SQLModel, table=True):
    """What an alliance chose for a need from a moment on; no words: as usual. Never updated, never deleted."""

    __tablename__ = "need_steering"

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    words: list[str] = Field(sa_column=Column(JSON, nullable=False))
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def keep_steering(
    session: Session, *, need_id: str, alliance_id: str, steering: Steering, by: str, now: datetime
) -> NeedSteering:
    """Let a steering hold for all of an alliance who ask for the labs of a need.

    Raises:
        UnknownPickError: it leaves out a lab or a school that there is not.
    """
    for kind, record_id in steering.without:
        if session.get(Lab if kind is LeftOut.LAB else School, record_id) is None:
            raise UnknownPickError(
                T_("there is no school %(id)r", id=record_id)
                if kind is LeftOut.SCHOOL
                else T_("there is no lab %(id)r", id=record_id)
            )
    row = NeedSteering(need_id=need_id, alliance_id=alliance_id, words=steering.words, by=by, at=now)
    return insert_fact(session, row)


def kept_steerings(session: Session, need_id: str, alliance_id: str) -> Sequence[tuple[NeedSteering, str]]:
    """Return what an alliance chose for a need, the one that holds first, each with the name of who chose it."""
    query = select(NeedSteering, Account.name).join(Account, col(Account.id) == NeedSteering.by)
    query = query.where(NeedSteering.need_id == need_id, NeedSteering.alliance_id == alliance_id)
    return session.exec(query.order_by(col(NeedSteering.id).desc()).limit(50)).all()


def steering_that_holds(session: Session, need_id: str, alliances: Iterable[str]) -> tuple[NeedSteering, str] | None:
    """Return what holds for who is of some alliances, and the name of who chose it.

    That is the choice of the need's own alliance, else the first that there is.
    """
    query = (
        select(NeedSteering, Account.name)
        .join(Account, col(Account.id) == NeedSteering.by)
        .join(NeedIntake, col(NeedIntake.need_id) == NeedSteering.need_id)
        .where(NeedSteering.need_id == need_id, col(NeedSteering.alliance_id).in_(sorted(alliances)))
        .order_by(col(NeedSteering.alliance_id) != col(NeedIntake.alliance_id), NeedSteering.alliance_id)
        .order_by(col(NeedSteering.id).desc())
    )
    return session.exec(query.limit(1)).first()


def steering_of(session: Session, row: NeedSteering) -> Steering:
    """Return the steering of a row, with the labs and schools as they are called since some were made one."""
    steering = Steering.read(row.words)
    now_called: set[tuple[LeftOut, str]] = set()
    for kind in {kind for kind, _ in steering.without}:
        picked = [one for of, one in steering.without if of is kind]
        kept = kept_ids(session, _KINDS[kind], picked)
        now_called |= {(kind, kept.get(one, one)) for one in picked}
    return replace(steering, without=tuple(sorted(now_called)))
