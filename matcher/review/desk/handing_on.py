"""Work handed to a colleague: whose a need or a case is now, and who gave it to whom.

In: a need that was taken up or an open case, a colleague of the same alliance, who hands it on and why. Out: an
immutable row for each time, the need's expert, and who carries a case now. It exists because people are ill, change
posts and share a day's work, while who accepted a pairing stays who accepted it: `Case.owner_id` never changes, since
nobody may later check what came of an acceptance of their own; who carries the case is told from the rows here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.wording import T_
from matcher.review.cases import OPEN_STAGES, Case
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.people import principal
from matcher.review.roles import STAFF


class HandOverError(ValueError):
    """Nothing can be handed on like that; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class HandOver(SQLModel, table=True):
    """A need or a case given to a colleague: never updated, never deleted."""

    __tablename__ = "hand_over"
    __table_args__ = (CheckConstraint("(need_id IS NULL) <> (case_id IS NULL)", name="of_one_thing"),)

    id: int | None = Field(default=None, primary_key=True)
    need_id: str | None = Field(default=None, foreign_key="need.id", index=True)
    case_id: int | None = Field(default=None, foreign_key="case_file.id", index=True)
    given_to: str = Field(foreign_key="account.id")
    note: str = ""
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


HANDED = (
    select_columns(col(HandOver.case_id), col(HandOver.given_to))
    .where(col(HandOver.id).in_(select_columns(func.max(col(HandOver.id))).group_by(col(HandOver.case_id))))
    .subquery("handed")
)
"""To whom each case was given last, for a query that groups by whose cases are."""


def carrier() -> Any:
    """Return the expression of whose a case is, for a query on `Case`: to whom it was given last, else its owner."""
    last = (
        select_columns(col(HandOver.given_to))
        .where(col(HandOver.case_id) == col(Case.id))
        .order_by(col(HandOver.id).desc())
        .limit(1)
        .correlate(Case)
        .scalar_subquery()
    )
    return func.coalesce(last, col(Case.owner_id))


def carrier_of(session: Session, case: Case) -> str:
    """Return whose a case is now."""
    return str(session.execute(select_columns(carrier()).where(col(Case.id) == case.id)).scalar_one())


def hand_need(session: Session, *, need_id: str, to: str, note: str, by: str, now: datetime) -> NeedIntake:
    """Give a need to a colleague, and its open cases that are the same person's.

    Returns:
        Where the need stands.

    Raises:
        HandOverError: it was not taken up, or nobody of its alliance who may work on it is called so.
    """
    intake = session.get(NeedIntake, need_id, with_for_update=True)
    if intake is None or intake.state != NeedState.TAKEN_UP or intake.alliance_id is None:
        raise HandOverError(T_("only a need that was taken up can be handed on; take it up first"), "need")
    _check_colleague(session, to, intake.alliance_id)
    before = intake.expert_id
    if before != to:
        intake.expert_id = to
        session.add(intake)
        insert_fact(session, HandOver(need_id=need_id, given_to=to, note=note, by=by, at=now))
    open_cases = (
        Case.need_id == need_id,
        Case.alliance_id == intake.alliance_id,
        col(Case.stage).in_([stage.value for stage in OPEN_STAGES]),
        carrier() == before,
    )
    for case in session.exec(select(Case).where(*open_cases).order_by(col(Case.id))).all():
        hand_case(session, case=case, to=to, note=note, by=by, now=now)
    return intake


def hand_case(session: Session, *, case: Case, to: str, note: str, by: str, now: datetime) -> bool:
    """Give an open case to a colleague.

    Returns:
        Whether it was somebody else's before.

    Raises:
        HandOverError: it has ended, or nobody of its alliance who may work on it is called so.
    """
    if case.stage not in OPEN_STAGES:
        raise HandOverError(T_("this case has ended: there is nothing to hand on"), "case")
    _check_colleague(session, to, case.alliance_id, company_id=case.company_id, lab_id=case.lab_id)
    if carrier_of(session, case) == to:
        return False
    insert_fact(session, HandOver(case_id=case.id, given_to=to, note=note, by=by, at=now))
    return True


def _check_colleague(
    session: Session, account_id: str, alliance_id: str, *, company_id: str | None = None, lab_id: str | None = None
) -> None:
    colleague = principal(session, account_id)
    if colleague is None or alliance_id not in colleague.scopes(*STAFF):
        raise HandOverError(T_("there is no such expert in the alliance; choose a colleague"), "expert")
    if colleague.has_stake(company_id=company_id, lab_id=lab_id):
        raise HandOverError(T_("this colleague has declared an interest in it; choose another"), "expert")
