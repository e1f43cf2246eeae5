"""How many open needs ask for what a lab does: counts only, for the lab's researcher.

In: the fields and offers of a lab. Out: for each the number of open needs that
name it, where that is not so small that a single need could be recognised. It
exists because a researcher should know whether a profile is worth the work, and
must not learn of a need before being introduced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from indexer.records import Ask, Need
from matcher.intake import NeedIntake, NeedState

FEWEST_TOLD = 3
"""Counts below this, but not none, are told as "fewer than" this."""
_OPEN = (NeedState.SUBMITTED.value, NeedState.TAKEN_UP.value)


@dataclass(frozen=True)
class Demand:
    """Open needs for one field or kind of cooperation; `needs` None where there are fewer than `FEWEST_TOLD`."""

    name: str
    needs: int | None


def demand_by_field(session: Session, fields: Sequence[str]) -> list[Demand]:
    """Return the demand for each of some research fields, in their order."""
    query = select(Need.fields).join(NeedIntake, col(NeedIntake.need_id) == Need.id)
    counted: Counter[str] = Counter()
    for named in session.exec(query.where(col(NeedIntake.state).in_(_OPEN))).all():
        counted.update(set(named))
    return [_told(field, counted[field]) for field in fields]


def demand_by_kind(session: Session, kinds: Sequence[str]) -> list[Demand]:
    """Return the demand for each of some kinds of cooperation, in their order."""
    query = (
        select(Ask.need_id, Ask.kind)
        .join(NeedIntake, col(NeedIntake.need_id) == Ask.need_id)
        .where(col(NeedIntake.state).in_(_OPEN))
        .distinct()
    )
    counted = Counter(str(kind) for _, kind in session.exec(query).all())
    return [_told(kind, counted[kind]) for kind in kinds]


def _told(name: str, needs: int) -> Demand:
    return Demand(name, needs if needs == 0 or needs >= FEWEST_TOLD else None)
