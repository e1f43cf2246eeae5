"""The audit trail in pages: who saw and did what, and of one need who met it.

In: a question of the programme office, a lead, or the company whose need it is. Out: the rows that the API answers,
every code of the policy and of the trail in words.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.documents.audit import AuditFilter
from api.pages.shell.record_names import NamedOrPerson, ScopeNames, called, scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.routes.needs import read_need
from api.routes.operations import list_audit, read_need_audit
from api.trail.audit_trail import Outcome
from indexer.records.record_tables import Alliance, Company, Lab, School
from matcher.review.people import Account

RESOURCES: dict[str, str] = {
    "need": N_("Need"),
    "match": N_("Ranking"),
    "pairing": N_("Pairing"),
    "exposure": N_("Exposure of labs"),
    "reach": N_("Fair reach"),
    "case": N_("Case"),
    "lab": N_("Lab"),
    "company": N_("Company"),
    "company_name": N_("Names of companies"),
    "client_request": N_("Request to look after a company too"),
    "lab_question": N_("Question to a lab"),
    "visit": N_("Joint visit"),
    "saved_view": N_("View of a list"),
    "conversation": N_("Conversation"),
    "meeting": N_("Meeting"),
    "attachment": N_("Attached file"),
    "calendar": N_("Own calendar"),
    "agenda": N_("Agenda of a meeting"),
    "contact": N_("Contact"),
    "expert": N_("Names of experts"),
    "queue": N_("Desk"),
    "released_lab": N_("Released labs"),
    "shortlist": N_("Shortlist"),
    "logo": N_("Logo of the alliance"),
    "stake": N_("Declared interest"),
    "account": N_("Account"),
    "import": N_("Import"),
    "import_draft": N_("List that is looked through"),
    "draft": N_("Draft of a document"),
    "job": N_("Job"),
    "job_result": N_("Result of a job"),
    "generation": N_("Generation of the index"),
    "profile": N_("Own account"),
    "key": N_("Key"),
    "session": N_("Signed-in browser"),
    "second_factor": N_("Second factor"),
    "claim": N_("Claim of a lab"),
    "demand": N_("Demand"),
    "lab_name": N_("Names of labs"),
    "search": N_("Search"),
    "school": N_("School"),
    "alliance": N_("Alliance"),
    "field_map": N_("Map"),
    "portfolio": N_("Plan for all needs"),
    "entry": N_("Result"),
    "probe": N_("Reports that resemble others' results"),
    "evidence": N_("Evidence"),
    "person": N_("Person"),
    "motion": N_("Motion"),
    "school_total": N_("Total of a school"),
    "external_claim": N_("Claim of another programme"),
    "month": N_("Month of an alliance"),
    "period": N_("Quarter"),
    "ledger_head": N_("Head of the ledger"),
    "figure": N_("Figure"),
    "report": N_("Report document"),
    "standing": N_("Standing of an alliance"),
    "ladder": N_("Warning step"),
    "money_row": N_("Income or expense"),
    "sufficiency": N_("Self-sufficiency"),
    "point": N_("Points"),
    "gender_figure": N_("Gender figures of an alliance"),
    "programme_gender": N_("Gender figures of the programme"),
    "configuration": N_("Rules and values"),
    "audit": N_("Audit trail"),
    "night": N_("Night"),
    "judging": N_("Judging"),
    "record": N_("Mended record"),
    "notice": N_("Notices"),
    "feed": N_("Own feed of notices"),
    "webhook": N_("Webhook"),
    "webhook_host": N_("Host that webhooks may call"),
    "mail": N_("Mail"),
}
"""What the policy protects, as people call it."""
ACTIONS: dict[str, str] = {
    "read": N_("read"),
    "list": N_("listed"),
    "create": N_("made"),
    "edit": N_("edited"),
    "take_up": N_("taken on"),
    "share": N_("shared"),
    "assign": N_("given to an alliance"),
    "withdraw": N_("withdrawn or closed"),
    "decide": N_("decided"),
    "release": N_("released"),
    "move": N_("moved on"),
    "contact": N_("contacted"),
    "break_glass": N_("opened in an emergency"),
    "register": N_("registered"),
    "cancel": N_("stopped"),
    "check": N_("checked"),
    "return": N_("returned"),
    "refuse": N_("turned down"),
    "tell_apart": N_("told apart"),
    "supplement": N_("supplemented"),
    "recognise": N_("recognised"),
    "reverse": N_("reversed"),
    "second": N_("seconded"),
    "drop": N_("dropped"),
    "end": N_("ended"),
    "close": N_("closed for good"),
    "grade": N_("graded"),
    "settle": N_("settled"),
    "answer": N_("answered"),
    "hand_on": N_("handed on"),
}
"""What was done with it."""
OUTCOMES: dict[str, str] = {
    "seen": N_("Seen"),
    "done": N_("Done"),
    "repeated": N_("Sent again"),
    "refused": N_("Turned away"),
    "lost": N_("Views not kept"),
}
"""What came of it."""
WAYS: dict[str, str] = {
    "api": N_("program"),
    "page": N_("page"),
    "command": N_("command line"),
    "job": N_("background job"),
    "server": N_("server itself"),
}
"""In which way it was asked."""
_OTHER_KINDS: dict[str, str] = {
    "shortlist_link": N_("Link to a shortlist"),
    "grant": N_("Role"),
    "draft": N_("Draft"),
    "kpi": N_("KPI"),
    "ladder_step": N_("Warning step"),
    "month_report": N_("Confirmed month"),
    "point_row": N_("Points"),
    "school": N_("School"),
    "alliance": N_("Alliance"),
    "ranker": N_("Ranker"),
}

KINDS = RESOURCES | _OTHER_KINDS
"""Kinds of records that rows are about."""


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
        "audit/audit.html",
        rows=found["items"],
        further=urlencode({**{name: value for name, value in chosen.items() if value}, "cursor": found["next"]})
        if found["next"]
        else None,
        query=query,
        chosen=chosen,
        names=_names(visit, found["items"]),
        called=_called(visit, found["items"]),
        most=MAX_NAMED,
        **_WORDS,
    )


@router.get("/needs/{need_id}/seen")
def show_need_seen(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.AUDIT, Action.READ))]) -> Response:
    """Show who met a need, day by day: also to the company that gave it in confidence."""
    found = visit.document(read_need_audit, need_id=need_id, since=None)
    return visit.show(
        "audit/seen.html",
        need=visit.document(read_need, need_id=need_id),
        found=found,
        names=_names(visit, found["items"]),
        **_WORDS,
    )


_CALLED: dict[str, NamedOrPerson] = {
    "account": Account,
    "lab": Lab,
    "company": Company,
    "school": School,
    "alliance": Alliance,
}
"""What records are called whose names are no secret from whoever reads the trail; others stand by their ids."""


def _called(visit: Visit, rows: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the names of what rows are about, by kind and id, as far as they are shown."""
    ids: dict[NamedOrPerson, set[str]] = {table: set() for table in _CALLED.values()}
    for row in rows:
        for one in row["subjects"][:MAX_NAMED]:
            if one["kind"] in _CALLED:
                ids[_CALLED[one["kind"]]].add(one["id"])
    found = visit.look(lambda session, _: called(session, ids))
    return {(kind, one): both for kind, table in _CALLED.items() for one, both in found[table].items()}


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


def _names(visit: Visit, rows: list[dict[str, Any]]) -> ScopeNames:
    """Return the names of what roles are held in, and set beside each row its roles as pairs of role and scope."""
    for row in rows:
        held = [one.partition(" ") for one in row["rights"].split(", ") if one]
        row["roles"] = [{"role": role, "scope": scope} for role, _, scope in held]
    ids = {role["scope"] for row in rows for role in row["roles"] if role["scope"]}
    return visit.look(lambda session, _: scope_names(session, ids))
