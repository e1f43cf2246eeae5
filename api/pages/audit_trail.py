"""The audit trail in pages: who saw and did what, and of one need who met it.

In: a question of the programme office, a lead, or the company whose need it is. Out: the same as the API's `/api/audit`
and `/api/needs/{need_id}/audit`, in pages. To open them leaves a row of its own.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from api.audit_documents import AuditFilter
from api.audit_trail import Outcome
from api.pages.audit_words import ACTIONS, KINDS, OUTCOMES, RESOURCES, WAYS
from api.pages.scopes import Names, names_of
from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.routes.audit import list_audit, read_need_audit
from api.routes.needs import read_need

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 50
MAX_NAMED = 12
"""How many records of one row are named; the rest is counted."""
_WORDS = {"resources": RESOURCES, "actions": ACTIONS, "outcomes": OUTCOMES, "ways": WAYS, "kinds": KINDS}


@router.get("/admin/audit")
def show_audit(
    visit: Annotated[Visit, Depends(visiting(Resource.AUDIT, Action.LIST))],
    subject: Annotated[str, Query(max_length=200)] = "",
    account: Annotated[str, Query(max_length=200)] = "",
    resource: Annotated[str, Query(max_length=40)] = "",
    action: Annotated[str, Query(max_length=40)] = "",
    outcome: Annotated[str, Query(max_length=40)] = "",
    since: Annotated[str, Query(alias="from", max_length=10)] = "",
    until: Annotated[str, Query(alias="to", max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show who saw and did what, the newest first, as far as the reader may see it."""
    chosen = {
        "subject": subject.strip(),
        "account": account.strip(),
        "resource": resource if resource in RESOURCES else "",
        "action": action if action in ACTIONS else "",
        "outcome": outcome if outcome in OUTCOMES else "",
        "from": since if _day(since) else "",
        "to": until if _day(until) else "",
    }
    found = visit.document(list_audit, chosen=_filter(chosen), limit=PER_PAGE, cursor=cursor)
    query = urlencode({name: value for name, value in chosen.items() if value})
    return visit.show(
        "admin/audit.html",
        rows=found["items"],
        further=urlencode({**{name: value for name, value in chosen.items() if value}, "cursor": found["next"]})
        if found["next"]
        else None,
        query=query,
        chosen=chosen,
        names=_names(visit, found["items"]),
        most=MAX_NAMED,
        **_WORDS,
    )


@router.get("/needs/{need_id}/seen")
def show_need_seen(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.AUDIT, Action.READ))]) -> Response:
    """Show who met a need, day by day: also to the company that gave it in confidence."""
    found = visit.document(read_need_audit, need_id=need_id, since=None)
    return visit.show(
        "needs/seen.html",
        need=visit.document(read_need, need_id=need_id),
        found=found,
        names=_names(visit, found["items"]),
        **_WORDS,
    )


def _filter(chosen: dict[str, str]) -> AuditFilter:
    return AuditFilter(
        subject=chosen["subject"] or None,
        account=chosen["account"] or None,
        resource=chosen["resource"] or None,
        action=chosen["action"] or None,
        outcome=Outcome(chosen["outcome"]) if chosen["outcome"] else None,
        since=_day(chosen["from"]),
        until=_day(chosen["to"]),
    )


def _day(given: str) -> date | None:
    try:
        day = date.fromisoformat(given)
    except ValueError:
        return None
    return day if 1990 <= day.year <= 2200 else None


def _names(visit: Visit, rows: list[dict[str, Any]]) -> Names:
    """Return the names of what roles are held in, and set beside each row its roles as pairs of role and scope."""
    for row in rows:
        held = [one.partition(" ") for one in row["rights"].split(", ") if one]
        row["roles"] = [{"role": role, "scope": scope} for role, _, scope in held]
    ids = {role["scope"] for row in rows for role in row["roles"] if role["scope"]}
    return visit.look(lambda session, _: names_of(session, ids))
