"""Taiwan with its schools and companies: how many there are where, and which.

In: the schools, the companies that the person sees, and the places that are looked at. Out: a map with a link for each
place or group of near ones, the same as a table, and who is there. It exists because how far it is from a company to a
school is asked before anything else. Who states no place, or one that is none of Taiwan's, is counted and listed too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col

from api.access.policy import Action, Resource
from api.access.visibility import companies as visible_companies
from api.access.visibility import labs as visible_labs
from api.pages.shell.taiwan import NAMES_EN, Spot, map_with, place_of, spots_of
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, Wording, lang_of
from api.requests.capacity import ThreadedRoute
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import Company, Lab, School
from indexer.vocabulary import Mendable
from matcher.review.people import Principal

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

LISTED = 200
"""Schools, and companies, that are listed of the places that are looked at."""
ABROAD, UNKNOWN = "abroad", "unknown"
HOME = "TW"


@dataclass(frozen=True)
class _There:
    """A school or company: where it is (a place of the map, `ABROAD` or `UNKNOWN`), and of a school how many labs."""

    id: str
    name: str
    name_en: str
    place: str
    labs: int = 0


@router.get("/map/taiwan")
def show_taiwan(
    visit: Annotated[Visit, Depends(visiting(Resource.FIELD_MAP, Action.READ))],
    place: Annotated[list[Annotated[str, Query(max_length=20)]] | None, Query(max_length=30)] = None,
) -> Response:
    """Show where schools and companies are, and who is at the places that are looked at."""
    schools, companies = visit.look(_who_is_where)
    wording = Wording(lang_of(visit.request))
    counts = _counts(schools, companies)
    on_map = {name: counts[name] for name in NAMES_EN if name in counts}
    chosen = frozenset(place or ()) & {*NAMES_EN, ABROAD, UNKNOWN}
    spots = [(spot, *_said(wording, spot)) for spot in spots_of(on_map)]
    context: dict[str, Any] = {
        "picture": map_with(spots, wording.text(N_("Map of Taiwan with schools and companies")), chosen),
        "rows": [(name, _called(wording, name), _query([name]), *counts[name]) for name in on_map],
        "elsewhere": [
            (name, words, _query([name]), *counts[name])
            for name, words in ((ABROAD, N_("abroad")), (UNKNOWN, N_("no place is known")))
            if name in counts
        ],
        "totals": (len(schools), len(companies)),
        "unknown": counts.get(UNKNOWN, (0, 0)),
        "chosen": chosen,
        "chosen_words": _listed(wording, [_called(wording, name) for name in NAMES_EN if name in chosen]),
        "schools": [one for one in schools if one.place in chosen][:LISTED],
        "companies": [one for one in companies if one.place in chosen][:LISTED],
        "listed": LISTED,
    }
    return visit.show("figures/taiwan.html", **context)


def _who_is_where(session: Session, who: Principal) -> tuple[list[_There], list[_There]]:
    """Return the schools, and the companies that the person sees, each in the order of their names."""
    labs = (
        select_columns(func.count(col(Lab.id)))
        .where(col(Lab.school) == col(School.id), visible_labs(who, Action.LIST))
        .scalar_subquery()
    )
    schools = (
        select_columns(col(School.id), col(School.name), col(School.name_en), col(School.city), labs)
        .where(col(School.merged_into).is_(None), in_use(Mendable.SCHOOL, col(School.id)))
        .order_by(col(School.name), col(School.id))
    )
    companies = (
        select_columns(
            col(Company.id), col(Company.name), col(Company.name_en), col(Company.city), col(Company.country)
        )
        .where(visible_companies(who, Action.LIST))
        .order_by(col(Company.name), col(Company.id))
    )
    ask = session.connection().execute
    return (
        [_There(id_, name, name_en or "", _place(city, HOME), n) for id_, name, name_en, city, n in ask(schools)],
        [
            _There(id_, name, name_en or "", _place(city, country))
            for id_, name, name_en, city, country in ask(companies)
        ],
    )


def _place(city: str | None, country: str | None) -> str:
    found = place_of(city or "") if (country or HOME) == HOME else None
    if found is not None:
        return found.name
    return UNKNOWN if (country or HOME) == HOME else ABROAD


def _counts(schools: Sequence[_There], companies: Sequence[_There]) -> Mapping[str, tuple[int, int]]:
    places = dict.fromkeys(one.place for one in (*schools, *companies))
    return {
        place: (sum(one.place == place for one in schools), sum(one.place == place for one in companies))
        for place in places
    }


def _called(wording: Wording, name: str) -> str:
    return name if wording.lang is Lang.ZH else NAMES_EN[name]


def _listed(wording: Wording, words: Iterable[str]) -> str:
    return ("、" if wording.lang is Lang.ZH else ", ").join(words)


def _said(wording: Wording, spot: Spot) -> tuple[str, str, str]:
    """Return what a spot is called in the map, what it says in full, and where it leads."""
    names = [_called(wording, name) for name in spot.places]
    short = _listed(wording, names)
    if len(names) > 2:
        short = f"{names[0]} +{len(names) - 1}"
    counts = {"places": _listed(wording, names), "schools": spot.schools, "companies": spot.companies}
    words = wording.text(N_("%(places)s: %(schools)s schools, %(companies)s companies")) % counts
    return short, words, _query(spot.places)


def _query(places: Sequence[str]) -> str:
    return "/map/taiwan?" + urlencode([("place", name) for name in places]) + "#there"
