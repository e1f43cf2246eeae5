"""The expert's desk: what waits today and why, the one next step of each, and the portfolio.

In: the queue as the API gives it. Out: a page on which a need is taken up and a
contact noted where it stands, and what is done is gone. Without JavaScript the
same forms lead back to the same page.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.pages.contact_form import contact_form, store_contact
from api.pages.record_names import all_of, names
from api.pages.system_state import system_state
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.paging import MAX_PAGE
from api.policy import Action, Resource
from api.problems import Refusal, not_found
from api.request_threads import ThreadedRoute
from api.routes.companies import list_companies
from api.routes.needs import take_up_need
from api.routes.queue import read_queue
from indexer.instants import day_in_taipei, now
from indexer.records import Company
from matcher.reminders import SILENT_DAYS

router = APIRouter(prefix="/desk", include_in_schema=False, route_class=ThreadedRoute)

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_PLACE = re.compile(r"[a-z0-9-]{1,40}")
_NOTED = N_("The contact is noted.")
_TAKEN_UP = N_("The need is yours now. Look for labs next.")


@router.get("")
def show_desk(visit: Annotated[Visit, Depends(visiting(Resource.QUEUE, Action.READ))]) -> Response:
    """Show what waits, and the portfolio."""
    return visit.show("desk.html", state=system_state(visit), done=None, done_need=None, **_work(visit))


def _work(visit: Visit) -> dict[str, Any]:
    """Return the queue and the portfolio."""
    queue = visit.document(read_queue, silent_days=SILENT_DAYS, limit=MAX_PAGE)
    queue["deferred_due"] = [one for one in queue.pop("pairings_to_review") if one["deferred_until"]]
    mine = visit.document(list_companies, q="", mine=True, limit=MAX_PAGE)
    portfolio = visit.document(list_companies, q="", mine=False, limit=MAX_PAGE)
    own = {company["id"] for company in mine["items"]}
    needs = [*queue["new_needs"], *queue["needs_to_match"], *queue["needs_to_review"]]
    ids = [*all_of(needs, "company"), *all_of(queue["follow_ups_due"], "company_id")]
    return {
        "queue": queue,
        "waiting": sum(len(items) for items in queue.values()),
        "most": MAX_PAGE,
        "today": day_in_taipei(now()).isoformat(),
        "silent_days": SILENT_DAYS,
        "called": visit.look(lambda session, _: names(session, Company, ids)),
        "mine": mine["items"],
        "others": [company for company in portfolio["items"] if company["id"] not in own],
        "more_companies": bool(mine["next"] or portfolio["next"]),
    }


def _after(visit: Visit, done: str, need_id: str | None = None) -> Response:
    """Answer with the desk as it is now: the part that changes, or the whole page again."""
    if not visit.by_htmx:
        return visit.go("/desk", done)
    return visit.show("desk_work.html", done=done, done_need=need_id, **_work(visit))


@router.post("/needs/{need_id}/take-up")
def take_up(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.TAKE_UP))]) -> Response:
    """Take a need up from where it waits."""
    visit.reply(take_up_need, need_id=need_id)
    return _after(visit, _TAKEN_UP, need_id)


@router.get("/contact")
def show_contact_form(
    visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))],
    place: Annotated[str, Query(max_length=40)] = "",
    company: Annotated[str, Query(max_length=200)] = "",
    case: Annotated[str, Query(max_length=9)] = "",
) -> Response:
    """Show the form for a contact beside the item that asks for one."""
    where = place if _PLACE.fullmatch(place) else "contact"
    form = contact_form(visit, "/desk/contacts", where, company_id=company, case_id=case)
    return visit.show("desk_contact.html", form=form)


@router.post("/contacts")
def note_contact(visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))]) -> Response:
    """Note a contact from the desk; what waited for it is gone."""
    # Before anything of the form is looked at: may they, and is the form this session's own?
    visit.who()
    company_id, case_id, place = (str(visit.form.get(name, "")) for name in ("company_id", "case_id", "place"))
    if (case_id and not _NUMBER.fullmatch(case_id)) or not _PLACE.fullmatch(place):
        raise not_found("case")
    refused = visit.attempt(
        lambda: store_contact(visit, company_id=company_id, case_id=int(case_id) if case_id else None)
    )
    if not isinstance(refused, Refusal):
        return _after(visit, _NOTED)
    form = contact_form(visit, "/desk/contacts", place, refused, company_id=company_id, case_id=case_id)
    # htmx logs whatever is no success as an error of the page.
    response = visit.show("desk_contact.html", 200 if visit.by_htmx else refused.status, form=form)
    # The form belongs beside its item, not in place of the whole desk.
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = f"#slot-{place}", "innerHTML"
    return response
