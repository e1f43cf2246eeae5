"""The form in which an expert notes that they were in touch with a company.

In: kind, day, note, next step and its day, for a case or for a company alone.
Out: the contact, stored as the API stores it. It exists once for the desk and
for a company's page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.bodies import ContactBody
from api.pages.visiting import Visit
from api.problems import Refusal
from api.routes.cases import contact_company, contact_in_case
from indexer.instants import day_in_taipei, now
from matcher.cases import ContactKind

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
