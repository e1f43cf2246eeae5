"""Everything that a person may take out, on one page: which kinds, in which formats, and what each format is for.

In: who asks. Out: links to the API's own exports, those of them that this person may have. It exists because a
download that only programs know is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.access.policy import Action, Resource, admits
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute

router = APIRouter(prefix="/exports", include_in_schema=False, route_class=ThreadedRoute)


@dataclass(frozen=True)
class Offered:
    """One kind of record that may be taken out."""

    name: str
    label: str
    says: str
    resource: Resource
    action: Action = Action.LIST


OFFERED: tuple[Offered, ...] = (
    Offered(
        "labs", N_("Labs"), N_("Profiles; their evidence with them, in workbooks on a second sheet."), Resource.LAB
    ),
    Offered(
        "evidence", N_("Evidence of labs"), N_("Papers, patents, projects: one a row, each with its lab."), Resource.LAB
    ),
    Offered(
        "needs",
        N_("Needs"),
        N_("What they say as far as you may read it. Every look at one is on record."),
        Resource.NEED,
    ),
    Offered("companies", N_("Companies"), N_("Your portfolio."), Resource.COMPANY),
    Offered("schools", N_("Schools"), N_("Names, region, ROR id, mergers."), Resource.SCHOOL),
    Offered("alliances", N_("Alliances"), N_("With the schools in them, and since when."), Resource.ALLIANCE),
    Offered(
        "pairings", N_("Pairings"), N_("Which labs were shown, with every verdict."), Resource.PAIRING, Action.READ
    ),
    Offered("cases", N_("Cases"), N_("Their steps and contacts."), Resource.CASE),
)
FORMATS: tuple[tuple[str, str], ...] = (("xlsx", "XLSX"), ("ods", "ODS"), ("csv", "CSV"), ("jsonl", "JSONL"))
LAB_FORMATS: tuple[tuple[str, str], ...] = (
    ("cerif", "CERIF-XML"),
    ("schema-org", "JSON-LD"),
    ("bibtex", "BibTeX"),
)


@router.get("")
def show_exports(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))]) -> Response:
    """Show what may be taken out."""
    who = visit.who()
    offered = [one for one in OFFERED if admits(who, one.resource, one.action)]
    return visit.show("files/taking_out.html", offered=offered, formats=FORMATS, lab_formats=LAB_FORMATS)
