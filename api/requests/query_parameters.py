"""What a request's address asks of a list: which page of it, which labs, which alliance.

In: a cursor as a client sends it back; `?field=&school=&offers=&language=&region=`, each as often as wanted;
`?alliance=`. Out: the key of the last row seen; the matcher's filters; the alliances that were asked about. It exists
so that every list is asked in the same way: a page names the place after which the next one begins, because pages
counted by offset skip or repeat rows while others write; matches and lab search take the same filters; and every
figure refuses an alliance that is not the person's alike.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import Depends, Query
from pydantic import StringConstraints
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.access.visibility import reached_alliances
from api.requests.problems import ProblemError, not_found
from indexer.records.record_tables import Alliance
from indexer.vocabulary import AskKind, Region, ResearchField
from indexer.wording import T_
from matcher.ranking.lab_table import Filters
from matcher.ranking.wishes import MOST_WORDS, UNSTEERED, WORD, WORDS_SAID, Steering
from matcher.review.people import Principal
from matcher.teams.teams import MOST_MEMBERS, TeamPicks

MAX_PAGE = 100
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]


def encoded(key: str | int) -> str:
    """Return the cursor that stands for a row's key."""
    return base64.urlsafe_b64encode(orjson.dumps([key])).decode().rstrip("=")


def decoded(cursor: str | None, kind: type[str] | type[int]) -> Any:
    """Return the key that a cursor stands for; None at the beginning.

    Raises:
        ProblemError: 422, the cursor was not made here.
    """
    if cursor is None:
        return None
    try:
        (key,) = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        key = None
    too_large = isinstance(key, int) and not 0 <= key < 2**31
    if not isinstance(key, kind) or too_large or (isinstance(key, str) and "\0" in key):
        raise ProblemError(422, "invalid", T_("give the cursor that came as next"), "cursor")
    return key


def page(items: list[Any], limit: int, key: str) -> dict[str, Any]:
    """Return a page of at most `limit` of the items, which hold one more if there is a next page."""
    more = len(items) > limit
    shown = items[:limit]
    return {"items": shown, "next": encoded(shown[-1][key]) if more else None}


def after_cursor(ids: Iterable[str], cursor: str | None, limit: int) -> list[str]:
    """Return the ids of a page of those that were found, and one more if there is a next page."""
    after = decoded(cursor, str)
    return sorted(one for one in ids if after is None or one > after)[: limit + 1]


def ordered_page(rows: Sequence[tuple[str, Any]], cursor: str | None, limit: int, *, descending: bool) -> list[str]:
    """Return the ids of a page of a list that is sorted by a column, and one more if there is a next page.

    Args:
        rows: every id with what it is sorted by; without (None or an empty text) it stands last, whichever way round.
        cursor: the last id of the page before; one that has left the list since begins the list anew.
        limit: how many a page has.
        descending: the largest first. Of equals the id decides, always the same way.
    """
    after = decoded(cursor, str)
    said = sorted((one for one in rows if one[1] not in (None, "")), key=lambda one: one[0])
    unsaid = sorted(one for one, key in rows if key in (None, ""))
    ids = [one for one, _ in sorted(said, key=lambda one: one[1], reverse=descending)] + unsaid
    begin = ids.index(after) + 1 if after in ids else 0
    return ids[begin : begin + limit + 1]


MAX_VALUES = 100


async def _filters(
    field: Annotated[list[ResearchField] | None, Query(description="Any of these fields.")] = None,
    school: Annotated[list[str] | None, Query(max_length=MAX_VALUES, description="Any of these, by id.")] = None,
    offers: Annotated[list[AskKind] | None, Query(description="Any of these kinds of cooperation.")] = None,
    language: Annotated[
        list[str] | None, Query(max_length=MAX_VALUES, description="Any of these working languages.")
    ] = None,
    region: Annotated[list[Region] | None, Query(description="Their school lies in any of these.")] = None,
) -> Filters:
    return Filters(
        field=tuple(term.value for term in field or ()),
        school=tuple(school or ()),
        offers=tuple(term.value for term in offers or ()),
        language=tuple(language or ()),
        region=tuple(term.value for term in region or ()),
    )


ChosenFilters = Annotated[Filters, Depends(_filters)]
"""The filters of a request."""


async def _steering(
    wish: Annotated[
        list[Annotated[str, StringConstraints(pattern=WORD)]] | None,
        Query(
            max_length=MOST_WORDS,
            description="How this answer is steered, instead of what is kept with the need. " + WORDS_SAID,
            examples=[["region.more"]],
        ),
    ] = None,
    unsteered: Annotated[
        bool, Query(description="Without `wish`: answer as usual, whatever is kept with the need.")
    ] = False,
) -> Steering | None:
    if wish is not None:
        return Steering.read(wish)
    return UNSTEERED if unsteered else None


ChosenSteering = Annotated[Steering | None, Depends(_steering)]
"""How a request steers a ranking; None if it does not say, so that what is kept with the need holds."""


_LAB_ID = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_MOST_PICKED = 20


async def _team_picks(
    most: Annotated[int, Query(ge=1, le=MOST_MEMBERS, description="How many labs at most.")] = MOST_MEMBERS,
    least: Annotated[int, Query(ge=1, le=MOST_MEMBERS, description="How many labs at least.")] = 1,
    included: Annotated[
        list[_LAB_ID] | None, Query(max_length=MOST_MEMBERS, description="Labs that the team has, by id.")
    ] = None,
    apart: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[^,]{1,200},[^,]{1,200}$")]] | None,
        Query(
            max_length=_MOST_PICKED,
            description="Two labs that are never in it together, by id, with a comma.",
            examples=[["lab-1,lab-2"]],
        ),
    ] = None,
    *,
    different_schools: Annotated[bool, Query(description="Each from another school.")] = False,
    one_region: Annotated[bool, Query(description="All from schools of one region.")] = False,
    lesser_known: Annotated[bool, Query(description="At least one from a lesser-known school.")] = False,
    least_share_ntd: Annotated[
        int | None,
        Query(ge=1, le=10**12, description="What each has to get of the need's budget, in NT$: it bounds how many."),
    ] = None,
) -> TeamPicks:
    if least > most:
        raise ProblemError(
            422, "invalid", T_("at least %(least)s and at most %(most)s", least=least, most=most), "least"
        )
    pairs = [one.partition(",") for one in apart or ()]
    return TeamPicks(
        most=most,
        least=least,
        included=tuple(included or ()),
        apart=tuple((a, b) for a, _, b in pairs),
        different_schools=different_schools,
        one_region=one_region,
        lesser_known=lesser_known,
        least_share_ntd=least_share_ntd,
    )


ChosenTeam = Annotated[TeamPicks, Depends(_team_picks)]
"""What a request picks of a team."""


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
