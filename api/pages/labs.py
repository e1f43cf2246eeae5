"""Labs: found by words and filters, and one lab as an expert sees it.

In: words, filters, a lab. Out: a list with counts to narrow it by; a lab's
profile with its evidence, how busy it is, the needs that it should hear of and
why, and the own alliance's cases with it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.case_documents import case_documents
from api.filtering import Chosen
from api.pages.facet_choices import Group, choices_of, query_of, schools_of
from api.pages.found_labs import found_labs
from api.pages.marking import marked
from api.pages.record_names import all_of, names, titles
from api.pages.visiting import Visit, visiting
from api.pages.world_names import language
from api.policy import Action, Resource, admits
from api.problems import Refusal
from api.request_threads import MATCHING, ThreadedRoute, takes
from api.routes.labs import match_lab, read_lab
from api.visibility import cases as visible_cases
from indexer.exchange import LabIn
from indexer.field_notes import declared
from indexer.records import Company, School
from matcher.cases import Case
from matcher.lab_loads import loads_of
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(prefix="/labs", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 20
NEEDS_SHOWN = 10
CASES_SHOWN = 50
_MOST = 100_000
_SHOWN_APART = (
    *("id", "name", "name_en", "pi", "school", "fields", "summary", "summary_en"),
    *("offers", "capacity", "languages", "links"),
)
_FACTS = tuple(one for one in declared(LabIn) if one.name not in _SHOWN_APART)
"""What the page lists of a lab as it is declared; the rest has a place or a form of its own there."""


@router.get("")
@takes(MATCHING)
def show_labs(
    filters: Chosen,
    visit: Annotated[Visit, Depends(visiting(Resource.LAB, Action.LIST))],
    q: Annotated[str, Query(max_length=2_000)] = "",
    offset: Annotated[int, Query(ge=0, le=_MOST)] = 0,
) -> Response:
    """List labs, best first for the words, by name without any."""
    if not visit.look(lambda _, who: who.holds(Role.EXPERT, Role.LEAD, Role.OFFICE)):
        return visit.go("/my-lab")
    words = q.strip()
    found = found_labs(visit, words, top=PER_PAGE, offset=offset, filters=filters)
    chosen = {name: list(getattr(filters, name)) for name in ("field", "school", "offers", "language")}
    groups: list[Group] = []
    if found.facets is not None:
        ids = schools_of(found.facets, chosen)
        groups = choices_of(found.facets, chosen, visit.look(lambda session, _: names(session, School, ids)))
    context: dict[str, Any] = {
        "q": words,
        "found": found,
        "groups": groups,
        "narrowed": any(chosen.values()),
        "filter_query": query_of(filters),
        "offset": offset,
        "per_page": PER_PAGE,
        "most": _MOST,
    }
    return visit.show("labs.html", marked=marked, **context)


@router.get("/{lab_id}")
@takes(MATCHING)
def show_lab(lab_id: str, visit: Annotated[Visit, Depends(visiting(Resource.LAB, Action.READ))]) -> Response:
    """Show a lab's profile and, to experts, what it could be asked for."""
    lab = visit.document(read_lab, lab_id=lab_id)
    who = visit.who()
    matches: Any = None
    if admits(who, Resource.MATCH, Action.READ):
        matches = visit.attempt(lambda: visit.document(match_lab, lab_id=lab_id, top=NEEDS_SHOWN))
    refused = matches if isinstance(matches, Refusal) else None
    school = visit.look(lambda session, _: session.get(School, lab["school"]) if lab["school"] else None)
    context: dict[str, Any] = {
        "lab": lab,
        "facts": _FACTS,
        "languages": [language(code) for code in lab["languages"]],
        "school": None if school is None else school.model_dump(),
        "load": visit.look(lambda session, _: loads_of(session, [lab_id])[lab_id]),
        "matches": None if refused else matches,
        "refused": refused,
        "has_stake": who.has_stake(company_id=None, lab_id=lab_id),
        "cases": visit.look(lambda session, who: _cases(session, who, lab_id)),
    }
    return visit.show("lab.html", marked=marked, **context)


def _cases(session: Session, who: Principal, lab_id: str) -> dict[str, Any] | None:
    """Return the cases with a lab that the person may see, the newest first; None for who sees no cases at all."""
    if not admits(who, Resource.CASE, Action.LIST):
        return None
    query = select(Case).where(visible_cases(who, Action.LIST), Case.lab_id == lab_id)
    rows = session.exec(query.order_by(col(Case.id).desc()).limit(CASES_SHOWN)).all()
    items = case_documents(session, who, rows)
    return {
        "items": items,
        "needs": titles(session, who, all_of(items, "need_id")),
        "companies": names(session, Company, all_of(items, "company_id")),
    }
