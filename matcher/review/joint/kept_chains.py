"""The chain that an alliance settles on for a need, kept with it, and which company comes next once a case is signed.

In: a need, the lab and the companies in their order that an expert chose, who and when; a case that was signed. Out:
an immutable row for each choice, of which an alliance's last holds; the company that comes next. It exists because a
chain takes a year: when the lab has signed, nobody remembers whom it was to be shown to. What comes next is told and
never done: a follow-up need is opened by somebody, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.records.mended.merged import kept_ids
from indexer.vocabulary import Mendable
from matcher.review.cases import Case, Stage
from matcher.review.intake import NeedIntake
from matcher.review.people import Account


class NeedChain(SQLModel, table=True):
    """What an alliance chose for a need from a moment on; no companies: nothing. Never updated, never deleted."""

    __tablename__ = "need_chain"

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    lab_id: str | None = Field(default=None, foreign_key="lab.id")
    companies: list[str] = Field(sa_column=Column(JSON, nullable=False))
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def keep_chain(
    session: Session,
    *,
    need_id: str,
    alliance_id: str,
    lab_id: str | None,
    companies: Sequence[str],
    by: str,
    now: datetime,
) -> NeedChain:
    """Let a chain hold for all of an alliance who work on a need; the caller has seen that they may name its links."""
    row = NeedChain(need_id=need_id, alliance_id=alliance_id, lab_id=lab_id, companies=list(companies), by=by, at=now)
    return insert_fact(session, row)


def chain_that_holds(session: Session, need_id: str, alliances: Iterable[str]) -> tuple[NeedChain, str] | None:
    """Return what holds for who is of some alliances, the need's own first, and the name of who chose it."""
    query = (
        select(NeedChain, Account.name)
        .join(Account, col(Account.id) == NeedChain.by)
        .join(NeedIntake, col(NeedIntake.need_id) == NeedChain.need_id)
        .where(NeedChain.need_id == need_id, col(NeedChain.alliance_id).in_(sorted(alliances)))
        .order_by(col(NeedChain.alliance_id) != col(NeedIntake.alliance_id), NeedChain.alliance_id)
        .order_by(col(NeedChain.id).desc())
    )
    found = session.exec(query.limit(1)).first()
    return found if found is not None and found[0].companies else None


def links_of(session: Session, row: NeedChain) -> list[str]:
    """Return the companies of a chain in their order, as they are called since some were made one."""
    kept = kept_ids(session, Mendable.COMPANY, row.companies)
    return list(dict.fromkeys(kept.get(one, one) for one in row.companies))


@dataclass(frozen=True)
class Coming:
    """Who comes next in a chain: the need that it begins with, and the company."""

    need_id: str
    company_id: str


def next_in_chain(session: Session, case: Case) -> Coming | None:
    """Return to whom a chain goes on from a signed case: the first company whose turn has not come."""
    held = chain_that_holds(session, case.need_id, [case.alliance_id])
    if held is None:
        return None
    companies = links_of(session, held[0])
    return Coming(case.need_id, companies[0])


def is_signed(session: Session, need_id: str, alliance_id: str) -> bool:
    """Whether an alliance has a signed case for a need."""
    signed = (Case.need_id == need_id, Case.alliance_id == alliance_id, Case.stage == Stage.SIGNED.value)
    return session.exec(select(Case.id).where(*signed).limit(1)).first() is not None
