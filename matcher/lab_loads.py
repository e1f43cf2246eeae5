"""How busy the labs are that an expert is about to ask for more.

In: ids of labs. Out: for each how many cases it has open in the whole programme,
and how many of these it has not yet been told of. It exists because a lab that
several alliances like is asked by all of them, and only a count over all
alliances shows that; nothing but the count leaves the alliance that works on a
case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlmodel import Session, col, func, select

from matcher.cases import OPEN_STAGES, Case, Stage


@dataclass(frozen=True)
class LabLoad:
    """A lab's open cases, and those of them that are accepted but not introduced."""

    open_cases: int = 0
    not_introduced: int = 0


def loads_of(session: Session, lab_ids: Collection[str]) -> Mapping[str, LabLoad]:
    """Return the load of each lab, by its id."""
    found = dict.fromkeys(lab_ids, LabLoad())
    query = (
        select(Case.lab_id, Case.stage, func.count())
        .where(col(Case.lab_id).in_(sorted(lab_ids)), col(Case.stage).in_([stage.value for stage in OPEN_STAGES]))
        .group_by(col(Case.lab_id), col(Case.stage))
    )
    for lab_id, stage, count in session.exec(query).all():
        had = found[lab_id]
        early = count if stage == Stage.ACCEPTED else 0
        found[lab_id] = LabLoad(had.open_cases + count, had.not_introduced + early)
    return found
