"""One box that finds labs, needs and companies.

In: words in Chinese or English. Out: three groups of hits, each with how many
there are and the way to all: labs as the matcher finds them, needs and
companies by their text, as far as this person may see them. Without an index
labs are found by their names.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, func, select

from api.pages.found_labs import found_labs
from api.pages.marking import marked
from api.pages.record_names import all_of, names
from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource, admits
from api.request_threads import MATCHING, ThreadedRoute, takes
from api.routes.companies import list_companies
from api.routes.companies import says as company_says
from api.routes.needs import list_needs
from api.routes.needs import says as need_says
from api.visibility import companies as visible_companies
from api.visibility import needs as visible_needs
from indexer.records import Company, Need
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

SHOWN = 5
"""Hits of each group on the page of all groups."""
MAX_CHARS = 200


@router.get("/search")
@takes(MATCHING)
def show_search(
    visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))],
    q: Annotated[str, Query(max_length=MAX_CHARS)] = "",
) -> Response:
    """Show what is found under each heading."""
    words = q.strip()
    context: dict[str, Any] = dict.fromkeys(("labs", "needs", "companies"))
    if words:
        who = visit.who()
        # A researcher's own lab is the only one for them: that is no search.
        if who.holds(Role.EXPERT, Role.LEAD, Role.OFFICE):
            context["labs"] = found_labs(visit, words, top=SHOWN)
        if admits(who, Resource.NEED, Action.LIST):
            context["needs"] = _needs(visit, words)
        if admits(who, Resource.COMPANY, Action.LIST):
            context["companies"] = _companies(visit, words)
    return visit.show("search.html", q=words, marked=marked, **context)


def _needs(visit: Visit, words: str) -> dict[str, Any]:
    items = visit.document(list_needs, state=None, q=words, limit=SHOWN)["items"]

    def count(session: Session, who: Principal) -> int:
        query = select(func.count()).select_from(Need)
        return session.exec(query.where(visible_needs(who, Action.LIST), need_says(who, words))).one()

    called = visit.look(lambda session, _: names(session, Company, all_of(items, "company")))
    return {"items": items, "total": visit.look(count), "names": called}


def _companies(visit: Visit, words: str) -> dict[str, Any]:
    items = visit.document(list_companies, q=words, mine=False, limit=SHOWN)["items"]

    def count(session: Session, who: Principal) -> int:
        query = select(func.count(col(Company.id)))
        return session.exec(query.where(visible_companies(who, Action.LIST), company_says(words))).one()

    return {"items": items, "total": visit.look(count)}
