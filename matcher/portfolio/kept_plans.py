"""Plans that were made, kept as they were: for whoever comes back to one, and to say what another one changes.

In: a plan, the candidates that it rests on, what was picked, who made it and when. Out: an immutable row; of an
earlier one its candidates, so that a plan with one pick more is there in seconds and not after ranking all labs for
all needs again. It exists because a plan is worth comparing only with one that nobody has changed since. Needs and
labs are kept by id alone: who may read what of them is asked whenever a plan is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, SQLModel

from indexer.database import insert_fact
from indexer.instants import Instant
from matcher.portfolio.assignment import LimitKind
from matcher.portfolio.plans import Given, Plan, Prospects, Reason, Stated


class KeptPlan(SQLModel, table=True):
    """A plan as it was made: never updated, never deleted.

    `alliance_id` is for whom, None for the whole programme; `words` are its picks; `based_on` the plan whose picks
    were changed, and `ranked_in` the one whose `prospects` it rests on, itself if None. `rests_on` is the fingerprint
    of all that went in.
    """

    __tablename__ = "portfolio_plan"

    id: int | None = Field(default=None, primary_key=True)
    alliance_id: str | None = Field(foreign_key="alliance.id", index=True)
    words: list[str] = Field(sa_column=Column(JSON, nullable=False))
    based_on: int | None = Field(default=None, foreign_key="portfolio_plan.id")
    ranked_in: int | None = Field(default=None, foreign_key="portfolio_plan.id")
    prospects: list[list[Any]] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    result: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    rests_on: str
    generation: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def keep_plan(
    session: Session,
    *,
    plan: Plan,
    left_out: dict[str, int],
    prospects: Sequence[Prospects] | None,
    alliance_id: str | None,
    words: list[str],
    rests_on: str,
    generation: str,
    by: str,
    now: datetime,
    based_on: KeptPlan | None = None,
) -> KeptPlan:
    """Keep a plan.

    Args:
        session: its transaction holds the row.
        plan: the plan.
        left_out: how many needs were left out, by why.
        prospects: what it rests on, None if those of the plan that it is based on.
        alliance_id: for whom, None for the whole programme.
        words: its picks.
        rests_on: the fingerprint.
        generation: the index.
        by: the account.
        now: the moment.
        based_on: the plan whose picks were changed.
    """
    row = KeptPlan(
        alliance_id=alliance_id,
        words=words,
        based_on=None if based_on is None else based_on.id,
        ranked_in=None if based_on is None or prospects is not None else based_on.ranked_in or based_on.id,
        prospects=None if prospects is None else [[one.need_id, one.is_clear, *one.labs] for one in prospects],
        result={**asdict(plan), "left_out": left_out},
        rests_on=rests_on,
        generation=generation,
        by=by,
        at=now,
    )
    return insert_fact(session, row)


def prospects_kept(session: Session, row: KeptPlan) -> dict[str, Prospects]:
    """Return the candidates that a plan rests on, by need."""
    ranked = row if row.ranked_in is None else session.get(KeptPlan, row.ranked_in)
    listed = ranked.prospects or [] if ranked else []
    return {
        need_id: Prospects(need_id, tuple((str(lab_id), float(chance)) for lab_id, chance in labs), bool(is_clear))
        for need_id, is_clear, *labs in listed
    }


def plan_of(row: KeptPlan) -> Plan:
    """Return a plan as it was kept."""
    result = row.result
    return Plan(
        given=tuple(_given(one) for one in result["given"]),
        clash=tuple(_stated(one) for one in result["clash"]),
        cheapest=tuple(_stated(one) for one in result["cheapest"]),
        **{name: result[name] for name in ("labs", "served", "worst", "total", "bound", "is_exact")},
    )


def _given(one: dict[str, Any]) -> Given:
    return Given(
        **{
            **one,
            "choices": tuple((lab_id, chance) for lab_id, chance in one["choices"]),
            "why": None if one["why"] is None else Reason(one["why"]),
            "others": tuple(one["others"]),
            "limit": None if one["limit"] is None else _stated(one["limit"]),
        }
    )


def _stated(one: dict[str, Any]) -> Stated:
    return Stated(**{**one, "kind": LimitKind(one["kind"]), "needs": tuple(one["needs"])})
