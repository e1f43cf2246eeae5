"""The desk: what waits today and why, and what is wrong with the system.

In: queue and agenda as the API gives them, the state of the index, the person's own jobs. Out: a page on which a day
begins, each line with its one next step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource, admits
from api.documents.answers import index_is_old
from api.jobs.job_queue import JobState
from api.pages.companies import contact_form, store_contact
from api.pages.results.entries import LABELS
from api.pages.shell.record_names import all_of, mentioned_names, names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.requests.query_parameters import MAX_PAGE
from api.routes.companies import list_companies
from api.routes.desk.agenda import read_agenda
from api.routes.desk.queue import read_queue
from api.routes.jobs import list_jobs
from api.routes.needs import take_up_need
from indexer.instants import day_in_taipei, now
from indexer.records.record_tables import Company
from matcher.ledger.figures.ladder import RUNG_LABELS
from matcher.ledger.figures.waiting import WAITING_LABELS, Waiting
from matcher.review.desk.reminders import REMINDER_LABELS, SILENT_DAYS
from matcher.review.roles import STAFF, Role

SHOWN = 5
"""What waits of each kind, before the whole list of it."""
TOLD_FOR = timedelta(days=3)
"""How long a failed job is spoken of."""
_MOST_JOBS = 5


@dataclass(frozen=True)
class SystemState:
    """What is to be known.

    `no_index`: nothing can be matched; `starting`: not yet; `earlier_of`: when the
    index was built that stands in for a newer one, `problem` what is wrong with
    that; `old_since`: when an index too old was built.
    """

    no_index: bool
    starting: bool
    earlier_of: str | None
    problem: str | None
    old_since: str | None
    not_indexed: int
    failed: tuple[dict[str, Any], ...]


def system_state(visit: Visit) -> SystemState:
    """Return how the system stands for this person."""
    live = visit.request.app.state.live
    state = live.state()
    if state.generation is None and state.models_ready:
        # Nobody may have asked since an index was built; where there is none, this says so at once.
        visit.attempt(live.current)
        state = live.state()
    missing = state.generation is None
    return SystemState(
        no_index=missing and state.models_ready,
        starting=missing and not state.models_ready,
        earlier_of=None if state.newest_problem is None else state.created_at,
        problem=state.newest_problem,
        old_since=state.created_at if state.created_at is not None and index_is_old(state.created_at) else None,
        not_indexed=state.not_indexed,
        failed=_failed(visit),
    )


def _failed(visit: Visit) -> tuple[dict[str, Any], ...]:
    found = visit.attempt(lambda: visit.document(list_jobs, state=JobState.FAILED, limit=_MOST_JOBS))
    if isinstance(found, Refusal):
        return ()
    return tuple(
        job
        for job in found["items"]
        if job["finished_at"] and now() - datetime.fromisoformat(job["finished_at"]) < TOLD_FOR
    )


router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_PLACE = re.compile(r"[a-z0-9-]{1,40}")
_NOTED = N_("The contact is noted.")
_TAKEN_UP = N_("The need is yours now. Look for labs next.")


@router.get("/desk")
def show_desk(visit: Annotated[Visit, Depends(visiting(Resource.AGENDA, Action.READ))]) -> Response:
    """Show what waits for each role that somebody has; to experts and leads their queue and portfolio as well."""
    who = visit.who()
    context: dict[str, Any] = {"state": None, "queue": None, "today": day_in_taipei(now()).isoformat()}
    if who.holds(*STAFF, Role.OFFICE):
        context["state"] = system_state(visit)
    if admits(who, Resource.QUEUE, Action.READ):
        context |= {"done": None, "done_need": None, **_work(visit)}
    return visit.show("desk/desk.html", **context, **_agenda(visit))


_PAGES: dict[Waiting, str] = {
    Waiting.UNASSIGNED_NEEDS: "/needs?unassigned=true",
    Waiting.HELD_ENTRIES: "/review?state=held",
    Waiting.MOTIONS: "/review/motions",
    Waiting.PLANS_OVERDUE: "/warnings",
    Waiting.PLANS_MISSING: "/warnings",
    Waiting.TOTALS_MISSING: "/review/totals",
    Waiting.QUARTERS_TO_CLOSE: "/review/periods",
    Waiting.MONTHS_UNSET: "/admin/configuration/recognition",
    Waiting.LAB_CLAIMS: "/claims",
    Waiting.REPORTED_ENTRIES: "/review?state=reported",
    Waiting.CHECKED_ENTRIES: "/review?state=checked",
    Waiting.RETURNED_ENTRIES: "/results?state=returned",
    Waiting.WARNINGS: "/warnings",
    Waiting.CLIENT_REQUESTS: "/companies",
}
"""Where all of a kind stand."""
_ACTS: dict[Waiting, str] = {
    Waiting.UNASSIGNED_NEEDS: N_("Give it to an alliance"),
    Waiting.HELD_ENTRIES: N_("Compare the two"),
    Waiting.MOTIONS: N_("Agree or drop it"),
    Waiting.PLANS_OVERDUE: N_("Decide what follows"),
    Waiting.PLANS_MISSING: N_("Agree on a plan"),
    Waiting.TOTALS_MISSING: N_("Add the total"),
    Waiting.QUARTERS_TO_CLOSE: N_("Move its closing"),
    Waiting.MONTHS_UNSET: N_("Set the day"),
    Waiting.LAB_CLAIMS: N_("Approve or refuse"),
    Waiting.REPORTED_ENTRIES: N_("Check it"),
    Waiting.CHECKED_ENTRIES: N_("Recognise it"),
    Waiting.RETURNED_ENTRIES: N_("Supply what is missing"),
    Waiting.WARNINGS: N_("See how it stands"),
    Waiting.CLIENT_REQUESTS: N_("Answer it"),
}
"""What is done with one of a kind."""


def _way(kind: str, item: dict[str, Any]) -> str:
    """Return where one thing that waits is done."""
    given = {name: quote(str(value), safe="") for name, value in item.items() if value is not None}
    alliance = quote(item["alliances"][0], safe="") if item["alliances"] else ""
    page = _PAGES[Waiting(kind)]
    ways = {
        Waiting.UNASSIGNED_NEEDS: "/needs/{need_id}#assign",
        Waiting.MOTIONS: f"{page}#motion-{{motion_id}}",
        Waiting.PLANS_OVERDUE: f"/warnings/{alliance}",
        Waiting.PLANS_MISSING: f"/warnings/{alliance}",
        Waiting.WARNINGS: f"/warnings/{alliance}",
        Waiting.TOTALS_MISSING: f"{page}?school_id={{school_id}}&for_year={{year}}#h-new",
        Waiting.HELD_ENTRIES: "/review/{entry_id}?state=held",
        Waiting.REPORTED_ENTRIES: "/review/{entry_id}?state=reported",
        Waiting.CHECKED_ENTRIES: "/review/{entry_id}?state=checked",
        Waiting.RETURNED_ENTRIES: "/results/{entry_id}/supplement",
        Waiting.CLIENT_REQUESTS: f"{page}#h-requests",
    }
    return ways.get(Waiting(kind), page).format(**given)


def _agenda(visit: Visit) -> dict[str, Any]:
    """Return what waits for the person's roles; a kind of which nothing waits is left out."""
    agenda = visit.document(read_agenda, limit=SHOWN)
    agenda["groups"] = [group for group in agenda["groups"] if group["total"]]
    return {
        "agenda": agenda,
        "names": visit.look(lambda session, _: mentioned_names(session, agenda)),
        "labels": LABELS,
        "kinds": {kind.value: label.both for kind, label in WAITING_LABELS.items()},
        "rungs": {rung.value: label.both for rung, label in RUNG_LABELS.items()},
        "reminders": {one.value: label.both for one, label in REMINDER_LABELS.items()},
        "acts": {kind.value: act for kind, act in _ACTS.items()},
        "pages": {kind.value: page for kind, page in _PAGES.items()},
        "way": _way,
    }


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
    return visit.show("desk/work.html", done=done, done_need=need_id, **_work(visit))


@router.post("/desk/needs/{need_id}/take-up")
def take_up(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.TAKE_UP))]) -> Response:
    """Take a need up from where it waits."""
    visit.reply(take_up_need, need_id=need_id)
    return _after(visit, _TAKEN_UP, need_id)


@router.get("/desk/contact")
def show_contact_form(
    visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))],
    place: Annotated[str, Query(max_length=40)] = "",
    company: Annotated[str, Query(max_length=200)] = "",
    case: Annotated[str, Query(max_length=9)] = "",
) -> Response:
    """Show the form for a contact beside the item that asks for one."""
    where = place if _PLACE.fullmatch(place) else "contact"
    form = contact_form(visit, "/desk/contacts", where, company_id=company, case_id=case)
    return visit.show("desk/contact.html", form=form)


@router.post("/desk/contacts")
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
    response = visit.show("desk/contact.html", 200 if visit.by_htmx else refused.status, form=form)
    # The form belongs beside its item, not in place of the whole desk.
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = f"#slot-{place}", "innerHTML"
    return response
