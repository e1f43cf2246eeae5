"""The ways through the workbench: which pages a person has in the menu.

In: who asks and the path that is open. Out: the menu's places that the policy
lets this person enter, in the order of a working day. It exists as one table,
so that a page is found in the menu by everybody who may see it.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.pages.wording import N_
from api.policy import Action, Resource, admits
from matcher.people import Principal
from matcher.roles import Role


@dataclass(frozen=True)
class Place:
    """One place of the menu; `only` are the roles it is made for, where the permission alone says too little."""

    path: str
    label: str
    resource: Resource
    action: Action
    only: tuple[Role, ...] = ()


_STAFF = (Role.EXPERT, Role.LEAD)
PLACES: tuple[Place, ...] = (
    Place("/desk", N_("Desk"), Resource.QUEUE, Action.READ),
    Place("/company", N_("My needs"), Resource.NEED, Action.CREATE, (Role.COMPANY,)),
    Place("/my-lab", N_("My lab"), Resource.LAB, Action.EDIT),
    Place("/needs", N_("Needs"), Resource.NEED, Action.LIST, (*_STAFF, Role.OFFICE)),
    Place("/labs", N_("Labs"), Resource.LAB, Action.LIST, (*_STAFF, Role.OFFICE)),
    Place("/companies", N_("Companies"), Resource.COMPANY, Action.LIST, (*_STAFF, Role.OFFICE)),
    Place("/map", N_("Map"), Resource.FIELD_MAP, Action.READ),
    Place("/cases", N_("Cases"), Resource.CASE, Action.LIST),
    Place("/results", N_("Results"), Resource.ENTRY, Action.LIST),
    Place("/review", N_("Review"), Resource.ENTRY, Action.CHECK),
    Place("/kpi", N_("KPI"), Resource.REPORT, Action.READ),
    Place("/sufficiency", N_("Self-sufficiency"), Resource.SUFFICIENCY, Action.READ),
    Place("/warnings", N_("Warnings"), Resource.STANDING, Action.READ),
    Place("/admin/jobs", N_("Jobs"), Resource.JOB, Action.LIST, _STAFF),
    Place("/admin", N_("Administration"), Resource.ACCOUNT, Action.LIST),
)
"""Every place of the menu."""


@dataclass(frozen=True)
class Shown:
    """A place as it is shown: where it leads, what it is called, and whether it is open now."""

    path: str
    label: str
    is_here: bool


def menu_of(who: Principal, path: str) -> list[Shown]:
    """Return the menu of a person on a page."""
    allowed = [
        place
        for place in PLACES
        if admits(who, place.resource, place.action) and (not place.only or who.holds(*place.only))
    ]
    return [
        Shown(place.path, place.label, path == place.path or path.startswith(place.path + "/")) for place in allowed
    ]


def first_place(who: Principal) -> str:
    """Return where a person begins."""
    return next((shown.path for shown in menu_of(who, "")), "/account")
