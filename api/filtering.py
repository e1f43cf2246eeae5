"""Filters over labs, as query parameters.

In: `?field=&school=&offers=&language=`, each as often as wanted. Out: the
matcher's filters. It exists so that matches and lab search take the same ones.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from indexer.vocabulary import AskKind, ResearchField
from matcher.facets import Filters

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
