"""What the page of one company shows.

In: a company's id. Out: the values of its template. It exists apart from the
routes because every form of the page shows the whole page again when it is
refused.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from api.case_documents import case_documents
from api.pages.contact_form import contact_form
from api.pages.record_names import all_of, names, people, titles
from api.pages.visiting import Visit
from api.pages.world_names import country
from api.policy import Action, Resource, admits
from api.problems import Refusal
from api.routes.companies import list_contacts, read_company
from api.routes.directory import list_experts
from api.routes.needs import need_documents
from api.visibility import cases as visible_cases
from api.visibility import needs as visible_needs
from indexer.exchange import CompanyIn
from indexer.field_notes import declared
from indexer.records import Alliance, Lab, Need
from matcher.cases import Case
from matcher.people import Principal
from matcher.roles import Role

_SHOWN_APART = ("id", "name", "name_en", "country", "city", "size", "description")
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
    own = sorted(who.scopes(Role.EXPERT, Role.LEAD))
    alliances = [client["alliance"] for client in company["clients"]]
    return {
        "company": company,
        "facts": _FACTS,
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
        "refused_client": refused if form == "client" else None,
        **visit.look(lambda session, who: _hanging_on(session, who, company_id)),
        **visit.look(lambda session, _: _called(session, shown["items"], [*alliances, *own])),
    }


def _hanging_on(session: Session, who: Principal, company_id: str) -> dict[str, Any]:
    """Return the company's needs and cases that the person may see, the newest first."""
    mine = (visible_needs(who, Action.LIST), Need.company == company_id)
    ids = session.exec(select(Need.id).where(*mine).order_by(col(Need.id).desc()).limit(SHOWN)).all()
    needs = need_documents(session, who, ids)
    if not admits(who, Resource.CASE, Action.LIST):
        return {"needs": needs, "cases": [], "labs": {}, "titles": {}}
    query = select(Case).where(visible_cases(who, Action.LIST), Case.company_id == company_id)
    rows = session.exec(query.order_by(col(Case.id).desc()).limit(SHOWN)).all()
    cases = case_documents(session, who, rows)
    return {
        "needs": needs,
        "cases": cases,
        "labs": names(session, Lab, all_of(cases, "lab_id")),
        "titles": titles(session, who, all_of(cases, "need_id")),
    }


def _called(session: Session, contacts: list[dict[str, Any]], alliances: list[str]) -> dict[str, Any]:
    return {
        "people": people(session, all_of(contacts, "by")),
        "alliances": names(session, Alliance, [*alliances, *all_of(contacts, "alliance_id")]),
    }
