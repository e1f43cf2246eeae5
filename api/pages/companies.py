"""Companies: the portfolio, and one company with those who look after it.

In: who asks, what they noted. Out: facts, contacts, needs and cases of a
company as the API lets this person see them; forms to note a contact, to take a
company on, to hand it over and to let it go.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import ClientBody
from api.pages.company_page import company_context
from api.pages.contact_form import store_contact
from api.pages.record_names import names
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.paging import Cursor
from api.policy import Action, Resource, admits
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.companies import list_companies, look_after, read_company, stop_looking_after
from api.routes.directory import find_company_names
from indexer.records import Alliance
from matcher.roles import Role

router = APIRouter(prefix="/companies", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 50
FOUND = 20


@router.get("")
def show_companies(
    visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.LIST))],
    q: Annotated[str, Query(max_length=200)] = "",
    mine: bool = False,
    cursor: Cursor = None,
    find: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """List the portfolio; with `find`, companies of that name that could be taken on."""
    who = visit.who()
    page = visit.document(list_companies, q=q, mine=mine, limit=PER_PAGE, cursor=cursor)
    alliances = sorted(who.scopes(Role.EXPERT, Role.LEAD))
    may_take = admits(who, Resource.COMPANY, Action.TAKE_UP)
    found, refused = None, None
    if may_take and find.strip():
        answer = visit.attempt(lambda: _found(visit, find.strip()))
        refused = answer if isinstance(answer, Refusal) else None
        found = None if isinstance(answer, Refusal) else answer
    context: dict[str, Any] = {
        "page": page,
        "q": q.strip(),
        "mine": mine,
        "cursor": cursor,
        "may_take": may_take,
        "find": find.strip(),
        "found": found,
        "refused": refused,
        "alliances": alliances,
        "alliance_names": visit.look(lambda session, _: names(session, Alliance, alliances)),
    }
    return visit.show("companies.html", **context)


def _found(visit: Visit, words: str) -> list[dict[str, Any]]:
    if len(words) < 2:
        return []
    items: list[dict[str, Any]] = visit.document(find_company_names, q=words, limit=FOUND)["items"]
    return items


@router.get("/{company_id}")
def show_company(
    company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.READ))]
) -> Response:
    """Show one company."""
    return visit.show("company.html", **company_context(visit, company_id))


@router.post("/{company_id}/contacts")
def note_contact(
    company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))]
) -> Response:
    """Note a contact with the company."""
    refused = visit.attempt(lambda: store_contact(visit, company_id=company_id))
    if isinstance(refused, Refusal):
        if refused.status == 404:
            return visit.go(f"/companies/{company_id}")
        return visit.show("company.html", refused.status, **company_context(visit, company_id, refused, "contact"))
    return visit.go(f"/companies/{company_id}", N_("The contact is noted."))


@router.post("/{company_id}/client")
def hand_over(
    company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.TAKE_UP))]
) -> Response:
    """Take a company on, or hand it to a colleague: `expert` is theirs."""

    def work() -> Any:
        body = visit.body(ClientBody, visit.values("alliance", "expert"))
        return visit.document(look_after, company_id=company_id, body=body)

    # A company that is not in the portfolio yet has no page to show the form again on.
    held = not isinstance(visit.attempt(lambda: visit.document(read_company, company_id=company_id)), Refusal)
    refused = visit.attempt(work) if held else work()
    if isinstance(refused, Refusal):
        return visit.show("company.html", refused.status, **company_context(visit, company_id, refused, "client"))
    return visit.go(f"/companies/{company_id}", N_("Who looks after the company is changed."))


@router.post("/{company_id}/let-go")
def let_go(company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.END))]) -> Response:
    """Take a company out of the portfolio."""
    visit.reply(stop_looking_after, company_id=company_id, alliance=visit.values("alliance").get("alliance"))
    return visit.go(
        "/companies", N_("The company is no longer in your portfolio. What was done for it stays on record.")
    )
