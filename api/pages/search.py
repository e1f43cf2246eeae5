"""One search for everything: who is meant by a number or a name, then the labs that could do what the words say.

In: what somebody typed into the field that stands on every page. Out: a page with groups, the surest first; while it
is being typed, those alone who are called that. A language that is wished for beside the topic is taken for that wish
and said, never silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.pages.labs import FoundLabs, found_labs
from api.pages.shell.record_names import NamedOrPerson, Names, called, language
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit, menu_of, visiting
from api.pages.shell.wording import N_, Lang, Wording
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.routes.search import search as search_by_name
from indexer.folding import for_search
from indexer.records.record_tables import Company, School
from matcher.ranking.lab_table import Filters
from matcher.review.finding import MAX_CHARS, wished_languages
from matcher.review.roles import Role

router = APIRouter(prefix="/search", include_in_schema=False, route_class=ThreadedRoute)

SHOWN = 5
"""Of each kind, and of the labs that could do it."""
SUGGESTED = 3
_HEADINGS = {
    "school": N_("Schools"),
    "lab": N_("Labs by name"),
    "person": N_("People"),
    "company": N_("Companies"),
    "need": N_("Needs"),
}


@dataclass(frozen=True)
class FoundGroup:
    """What was found of a kind: a heading of the catalogue, how many in all, those shown, and where the rest is."""

    kind: str
    heading: str
    total: int
    items: list[dict[str, Any]]
    rest: str | None


@router.get("")
@takes(MATCHING)
def show_search(
    visit: Annotated[Visit, Depends(visiting(Resource.SEARCH, Action.LIST))],
    q: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Show who is called what was typed, and the labs that could do it."""
    words = q.strip()
    groups = _by_name(visit, words, SHOWN)
    topic, languages = wished_languages(words)
    found = None if not words or _is_number(groups) else _able(visit, topic, languages)
    query = {"q": topic} | ({"language": languages} if languages else {})
    context: dict[str, Any] = {
        "q": words,
        "groups": groups,
        "places": _places(visit, words),
        "called": _parties(visit, groups),
        "found": found,
        "wished": [language(code) for code in languages],
        "labs_path": f"/labs?{urlencode(query, doseq=True)}",
        "whole_path": f"/labs?{urlencode({'q': words})}",
    }
    return visit.show("search/results.html", marked=marked, **context)


@router.get("/suggestions")
def show_suggestions(
    visit: Annotated[Visit, Depends(visiting(Resource.SEARCH, Action.LIST))],
    q: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Show those who are called what is being typed: as a list below the field, or as a page of its own."""
    words = q.strip()
    groups = _by_name(visit, words, SUGGESTED)
    context = {"q": words, "groups": groups, "places": _places(visit, words), "called": _parties(visit, groups)}
    return visit.show_part("search/suggestions.html", N_("Search"), "/search", **context)


def _able(visit: Visit, topic: str, languages: list[str]) -> FoundLabs | None:
    """Return the labs that could do it; None if nothing but a language was wished for, or none may be seen."""
    # A researcher's own lab is the only one for them: that is no search.
    if not topic or not visit.who().holds(Role.EXPERT, Role.LEAD, Role.OFFICE):
        return None
    return found_labs(visit, topic, top=SHOWN, filters=Filters(language=tuple(languages)))


def _by_name(visit: Visit, words: str, top: int) -> list[FoundGroup]:
    if not words or len(words) > MAX_CHARS:
        return []
    query = urlencode({"q": words})
    rest = {"lab": f"/labs?{query}", "company": f"/companies?{query}", "need": f"/needs?{query}"}
    return [
        FoundGroup(one["kind"], _HEADINGS[one["kind"]], one["total"], one["items"], rest.get(one["kind"]))
        for one in visit.document(search_by_name, q=words, top=top)["groups"]
    ]


def _is_number(groups: list[FoundGroup]) -> bool:
    return any(one["sureness"] == "number" for group in groups for one in group.items)


def _parties(visit: Visit, groups: list[FoundGroup]) -> Names:
    """Return the names of the schools and companies beside what was found, by id."""
    items = [one for group in groups for one in group.items]
    ids: dict[NamedOrPerson, list[str | None]] = {
        School: [one["school"] for one in items],
        Company: [one["company"] for one in items],
    }
    found = visit.look(lambda session, _: called(session, ids))
    return {**found[School], **found[Company]}


def _places(visit: Visit, words: str) -> list[tuple[str, str]]:
    """Return path and label of the pages of one's menu that are called that, in either language."""
    wanted = for_search(words)
    if not wanted:
        return []
    called = [(place, [Wording(lang).text(place.label) for lang in Lang]) for place in menu_of(visit.who(), "")]
    return [(one.path, one.label) for one, said in called if any(wanted in for_search(text) for text in said)]
