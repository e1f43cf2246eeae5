"""Companies as experts see them: the portfolio, and one company with those who look after it and were in touch.

In: who asks, and what they noted of a contact, for a case or for a company alone. Out: facts, contacts, needs and
cases of a company they look after, and the form that notes a contact, which the desk shows too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, or_, select

from api.access.policy import Action, Resource, admits
from api.access.visibility import cases as visible_cases
from api.access.visibility import needs as visible_needs
from api.documents.bodies import ClientAnswerBody, ClientBody, ContactBody, ContactPersonBody
from api.documents.cases import case_documents
from api.pages.desk.views import Sorting, views_shown
from api.pages.desk.whose import colleagues
from api.pages.needs.candidates import SIMILAR_SHOWN, similar_context
from api.pages.shell.record_names import all_of, called, country, names, titles, without_english
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import Refusal, not_found
from api.requests.query_parameters import Cursor
from api.routes.cases import contact_company, contact_in_case
from api.routes.companies import (
    CompanyOrder,
    answer_client_request,
    find_company_names,
    list_client_requests,
    list_companies,
    list_contacts,
    list_experts,
    look_after,
    read_company,
    set_contact,
    stop_looking_after,
    take_back_client_request,
)
from api.routes.needs import need_documents
from api.routes.pairings import similar_to_company
from api.trail.request_trail import NeedReader
from indexer.instants import day_in_taipei, now
from indexer.records.exchange import CompanyIn
from indexer.records.field_notes import declared
from indexer.records.mended.merged import old_ids
from indexer.records.record_tables import CONTACT_COLUMNS, Alliance, Company, Lab, Need, other_of
from indexer.vocabulary import Mendable
from matcher.review.cases import Case, ContactKind
from matcher.review.desk.saved_views import ViewedList
from matcher.review.people import Account, Principal
from matcher.review.roles import STAFF

FIELDS = ("kind", "held_on", "note", "next_step", "next_on")


@dataclass(frozen=True)
class ContactForm:
    """The form as it is shown; `place` makes its ids differ from those of another form in the same page."""

    action: str
    place: str
    values: dict[str, str]
    refused: Refusal | None
    company_id: str
    case_id: str
    kinds: tuple[str, ...] = tuple(kind.value for kind in ContactKind)


def contact_form(
    visit: Visit,
    action: str,
    place: str,
    refused: Refusal | None = None,
    *,
    company_id: str = "",
    case_id: str = "",
) -> ContactForm:
    """Return the form with what was typed, else for a call today.

    Args:
        visit: the request; its form is shown again if it was refused.
        action: where the form is sent.
        place: what its ids begin with.
        refused: why it was not stored.
        company_id: the company, as a hidden field of the desk's form.
        case_id: the case, the same.
    """
    today = {"kind": ContactKind.CALL.value, "held_on": day_in_taipei(now()).isoformat()}
    values = {name: str(visit.form.get(name, "")) for name in FIELDS} if refused else today
    return ContactForm(action, place, dict.fromkeys(FIELDS, "") | values, refused, company_id, case_id)


def store_contact(visit: Visit, *, company_id: str, case_id: int | None = None) -> Any:
    """Store what the form says; a contact within a case is the case's.

    Raises:
        Exception: whatever the API refuses.
    """
    body = visit.body(ContactBody, visit.values(*FIELDS))
    if case_id is not None:
        return visit.document(contact_in_case, case_id=case_id, body=body)
    return visit.document(contact_company, company_id=company_id, body=body)


_SHOWN_APART = ("id", "name", "name_en", "country", "city", "size", "description", *CONTACT_COLUMNS)
_FACTS = tuple(one for one in declared(CompanyIn) if one.name not in _SHOWN_APART)
"""What the page lists of a company as it is declared; the rest has a place or a form of its own there."""
SHOWN = 50
"""Contacts, needs and cases of a company on its page."""


def company_context(visit: Visit, company_id: str, refused: Refusal | None = None, form: str = "") -> dict[str, Any]:
    """Return what the page shows; `form` is the one that was `refused`.

    Raises:
        Exception: the API does not let this person see the company.
    """
    company = visit.document(read_company, company_id=company_id)
    contacts = visit.attempt(lambda: visit.document(list_contacts, company_id=company_id, limit=SHOWN))
    experts = visit.attempt(lambda: visit.document(list_experts))
    shown = {"items": [], "next": None} if isinstance(contacts, Refusal) else contacts
    shown["items"].sort(key=lambda contact: (contact["held_on"], contact["id"]), reverse=True)
    who = visit.who()
    own = sorted(who.scopes(*STAFF))
    alliances = [client["alliance"] for client in company["clients"]]
    return {
        "company": company,
        "facts": _FACTS,
        "other": visit.look(lambda session, _: other_of(session, Company, company["id"]))
        if set(alliances) & set(own)
        else {},
        "country": country(company["country"]),
        "contacts": shown,
        "sees_contacts": not isinstance(contacts, Refusal),
        "experts": [] if isinstance(experts, Refusal) else experts["items"],
        "own_alliances": own,
        "has_stake": who.has_stake(company_id=company_id, lab_id=None),
        "inside": admits(who, Resource.CONTACT, Action.LIST),
        "may_contact": admits(who, Resource.COMPANY, Action.CONTACT) and bool(set(alliances) & set(own)),
        "contact": contact_form(
            visit, f"/companies/{company_id}/contacts", "note", refused if form == "contact" else None
        ),
        "refused": refused,
        "form": form,
        "given": visit.values(*CONTACT_COLUMNS) if form == "person" else {},
        "refused_client": refused if form == "client" else None,
        **visit.look(
            lambda session, who: _hanging_on(session, who, company_id, shown["items"], [*alliances, *own], to=visit)
        ),
    }


def _hanging_on(
    session: Session,
    who: Principal,
    company_id: str,
    contacts: list[dict[str, Any]],
    alliances: list[str],
    *,
    to: NeedReader,
) -> dict[str, Any]:
    """Return the company's needs and cases that the person may see, the newest first, and what all is called."""
    mine = (visible_needs(who, Action.LIST), Need.company == company_id)
    ids = session.exec(select(Need.id).where(*mine).order_by(col(Need.id).desc()).limit(SHOWN)).all()
    needs = need_documents(session, who, ids, to=to)
    cases = _cases(session, who, company_id) if admits(who, Resource.CASE, Action.LIST) else []
    known = {need["id"]: "" if need["redacted"] else need["title"] for need in needs}
    others = titles(session, who, (one for one in all_of(cases, "need_id") if one not in known), to=to)
    found = called(
        session,
        {
            Lab: all_of(cases, "lab_id"),
            Alliance: [*alliances, *all_of(contacts, "alliance_id")],
            Account: all_of(contacts, "by"),
        },
    )
    return {
        "needs": needs,
        "cases": cases,
        "labs": found[Lab],
        "titles": {**known, **others},
        "people": without_english(found[Account]),
        "alliances": found[Alliance],
    }


def _cases(session: Session, who: Principal, company_id: str) -> list[dict[str, Any]]:
    ours = or_(Case.company_id == company_id, col(Case.company_id).in_(old_ids(Mendable.COMPANY, [company_id])))
    query = select(Case).where(visible_cases(who, Action.LIST), ours).order_by(col(Case.id).desc()).limit(SHOWN)
    return case_documents(session, who, session.exec(query).all())


router = APIRouter(prefix="/companies", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 50
FOUND = 20


@router.get("")
def show_companies(
    visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.LIST))],
    q: Annotated[str, Query(max_length=200)] = "",
    mine: bool = False,
    sort: Annotated[str, Query(max_length=20)] = "",
    descending: bool = False,
    cursor: Cursor = None,
    find: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """List the portfolio; with `find`, companies of that name that could be taken on."""
    who = visit.who()
    order = CompanyOrder(sort) if sort in set(CompanyOrder) else None
    by = {"sort": order, "descending": descending}
    page = visit.document(list_companies, q=q, mine=mine, **by, limit=PER_PAGE, cursor=cursor)
    kept = {name: value for name, value in (("q", q.strip()), ("mine", "true" if mine else "")) if value}
    alliances = sorted(who.scopes(*STAFF))
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
        "sorting": Sorting("/companies", kept, order.value if order else "", descending=descending),
        "may_take": may_take,
        "find": find.strip(),
        "found": found,
        "refused": refused,
        "alliances": alliances,
        "alliance_names": visit.look(lambda session, _: names(session, Alliance, alliances)),
        "colleagues": colleagues(visit),
        "views": views_shown(visit, ViewedList.COMPANIES, visit.request.url.query),
        **asked_for(visit),
    }
    return visit.show("companies/list.html", **context)


def asked_for(visit: Visit) -> dict[str, Any]:
    """Return the requests to look after a company that wait, as far as a person asks or is asked."""
    found = visit.attempt(lambda: visit.document(list_client_requests, waiting=True, limit=200)["items"])
    requests = [] if isinstance(found, Refusal) else [one for one in found if one["may_answer"] or one["may_take_back"]]
    ids = sorted({one["alliance"] for one in requests})
    return {
        "requests": requests,
        "request_alliances": visit.look(lambda session, _: names(session, Alliance, ids)) if ids else {},
    }


@router.post("/requests/{request_id}/answer")
def answer(
    request_id: int, visit: Annotated[Visit, Depends(visiting(Resource.CLIENT_REQUEST, Action.DECIDE))]
) -> Response:
    """Say whether another alliance may look after a company too."""
    return answered(visit, request_id, "/companies")


def answered(visit: Visit, request_id: int, back: str) -> Response:
    """Carry out what a form says of a request, and go back."""
    agreed = visit.values("agreed").get("agreed") == "yes"
    visit.reply(answer_client_request, request_id=request_id, body=ClientAnswerBody(agreed=agreed))
    return visit.go(back, N_("Agreed: both look after the company now.") if agreed else N_("The request is refused."))


@router.post("/requests/{request_id}/take-back")
def take_back(
    request_id: int, visit: Annotated[Visit, Depends(visiting(Resource.CLIENT_REQUEST, Action.END))]
) -> Response:
    """Take a request back."""
    visit.reply(take_back_client_request, request_id=request_id)
    return visit.go("/companies", N_("The request is taken back."))


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
    return visit.show("companies/company.html", **company_context(visit, company_id))


@router.get("/{company_id}/similar")
@takes(MATCHING)
def show_similar_to_company(
    company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]
) -> Response:
    """Show companies and needs that are about what a company does: as a part of its page, or as one of its own."""
    found = visit.attempt(lambda: visit.document(similar_to_company, company_id=company_id, top=SIMILAR_SHOWN))
    if isinstance(found, Refusal) and found.status == 404:
        raise not_found("company")
    heading, back = N_("Alike"), f"/companies/{company_id}"
    return visit.show_part("companies/similar.html", heading, back, **similar_context(visit, found))


@router.post("/{company_id}/contacts")
def note_contact(
    company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))]
) -> Response:
    """Note a contact with the company."""
    refused = visit.attempt(lambda: store_contact(visit, company_id=company_id))
    if isinstance(refused, Refusal):
        if refused.status == 404:
            return visit.go(f"/companies/{company_id}")
        return visit.show(
            "companies/company.html", refused.status, **company_context(visit, company_id, refused, "contact")
        )
    return visit.go(f"/companies/{company_id}", N_("The contact is noted."))


@router.post("/{company_id}/contact")
def change_contact(
    company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))]
) -> Response:
    """Say whom to reach at the company."""
    body = visit.body(ContactPersonBody, visit.values(*CONTACT_COLUMNS))
    refused = visit.attempt(lambda: visit.document(set_contact, company_id=company_id, body=body))
    if isinstance(refused, Refusal):
        if refused.status == 404:
            return visit.go(f"/companies/{company_id}")
        return visit.show(
            "companies/company.html", refused.status, **company_context(visit, company_id, refused, "person")
        )
    return visit.go(f"/companies/{company_id}", N_("It is stored whom to reach at the company."))


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
        return visit.show(
            "companies/company.html", refused.status, **company_context(visit, company_id, refused, "client")
        )
    if not held and "may_answer" in refused:
        said = N_(
            "Another alliance looks after this company: it and the company are asked. You can take it back below."
        )
        return visit.go("/companies", said)
    return visit.go(f"/companies/{company_id}", N_("Who looks after the company is changed."))


@router.post("/{company_id}/let-go")
def let_go(company_id: str, visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.END))]) -> Response:
    """Take a company out of the portfolio."""
    visit.reply(stop_looking_after, company_id=company_id, alliance=visit.values("alliance").get("alliance"))
    return visit.go(
        "/companies", N_("The company is no longer in your portfolio. What was done for it stays on record.")
    )
