"""What a request narrows its answer to: filters over labs, and the alliance that it is about.

In: `?field=&school=&offers=&language=`, each as often as wanted; `?alliance=`. Out: the
matcher's filters; the alliances that were asked about. It exists so that matches and lab search take the same
filters, and so that every figure refuses an alliance that is not the person's in the same way.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from sqlmodel import Session

from api.ledger_visibility import reached_alliances
from api.policy import Action, Resource
from api.problems import not_found
from indexer.records import Alliance
from indexer.vocabulary import AskKind, ResearchField
from matcher.facets import Filters
from matcher.people import Principal

MAX_VALUES = 100


async def _filters(
    field: Annotated[list[ResearchField] | None, Query(description="Any of these fields.")] = None,
    school: Annotated[list[str] | None, Query(max_length=MAX_VALUES, description="Any of these, by id.")] = None,
    offers: Annotated[list[AskKind] | None, Query(description="Any of these kinds of cooperation.")] = None,
    language: Annotated[
        list[str] | None, Query(max_length=MAX_VALUES, description="Any of these working languages.")
    ] = None,
) -> Filters:
    return Filters(
        field=tuple(term.value for term in field or ()),
        school=tuple(school or ()),
        offers=tuple(term.value for term in offers or ()),
        language=tuple(language or ()),
    )


Chosen = Annotated[Filters, Depends(_filters)]
"""The filters of a request."""


def chosen_alliances(
    session: Session, who: Principal, resource: Resource, action: Action, alliance: str | None
) -> frozenset[str] | None:
    """Return the alliances that a request is about: the one that it names, or all that the person reaches.

    Raises:
        ProblemError: 404, the named alliance does not exist or is not the person's.
    """
    reached = reached_alliances(who, resource, action)
    if alliance is None:
        return reached
    known = session.get(Alliance, alliance) is not None if reached is None else alliance in reached
    if not known:
        raise not_found("alliance")
    return frozenset({alliance})
