"""The desk: what waits today and why, and what is wrong with the system.

In: the one list of the day and the agenda as the API gives them, the state of the index, the person's own jobs. Out: a
page on which a day begins, each line with its one next step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource, admits
from api.documents.answers import index_is_old
from api.jobs.job_queue import JobState
from api.pages.companies import contact_form, store_contact
from api.pages.desk.views import views_shown
from api.pages.results.entries import LABELS
from api.pages.shell.record_names import all_of, mentioned_names, names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.requests.query_parameters import MAX_PAGE
from api.routes.companies import CompanyOrder, list_companies
from api.routes.desk.agenda import read_agenda
from api.routes.desk.today import read_today
from api.routes.jobs import list_jobs
from api.routes.needs import take_up_need
from indexer.instants import day_in_taipei, now
from indexer.records.record_tables import Alliance
from matcher.ledger.figures.ladder import RUNG_LABELS
from matcher.ledger.figures.waiting import WAITING_LABELS, Waiting
from matcher.ledger.rows.kpis import KPI_FACTS
from matcher.review.desk.reminders import REMINDER_LABELS
from matcher.review.desk.saved_views import ViewedList
from matcher.review.desk.urgency import TASK_LABELS, WHEN_LABELS, Task, When
from matcher.review.roles import STAFF, Role

SHOWN = 5
"""What waits of each kind, before the whole list of it."""
FIRST_LISTED, MOST_LISTED = 25, 500
"""So many lines of the day are shown at first, and at most."""
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
PLACE = re.compile(r"[a-z0-9-]{1,40}")
"""What the ids of a form beside a line begin with."""
_NOTED = N_("The contact is noted.")
_TAKEN_UP = N_("The need is yours now. Look for labs next.")


@router.get("/desk")
def show_desk(visit: Annotated[Visit, Depends(visiting(Resource.AGENDA, Action.READ))]) -> Response:
    """Show what waits for each role that somebody has; to experts and leads the list of their day as well."""
    who = visit.who()
    works = admits(who, Resource.QUEUE, Action.READ)
    if visit.by_htmx and works:
        return visit.show("desk/work.html", done=None, done_need=None, **_work(visit))
    context: dict[str, Any] = {"state": None, "list": None, "today": day_in_taipei(now()).isoformat()}
    if who.holds(*STAFF, Role.OFFICE):
        context["state"] = system_state(visit)
    if works:
        context |= {"done": None, "done_need": None, **_work(visit), **_portfolio(visit)}
    return visit.show("desk/desk.html", **context, **_agenda(visit, in_list=works))


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


_IN_LIST = {Waiting.RETURNED_ENTRIES, Waiting.CLIENT_REQUESTS}
"""What of the agenda stands in the list of the day already, where somebody has one."""


def _agenda(visit: Visit, *, in_list: bool) -> dict[str, Any]:
    """Return what waits for the person's roles; a kind of which nothing waits is left out."""
    kinds = [kind for kind in Waiting if kind not in _IN_LIST] if in_list else None
    agenda = visit.document(read_agenda, limit=SHOWN, kind=kinds)
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


@dataclass(frozen=True)
class DeskView:
    """Which part of the list is looked at; `query` is what its address says of it."""

    team: bool = False
    put_off: bool = False
    task: Task | None = None
    all: bool = False

    def but(self, **changes: Any) -> str:
        """Return the address of this view with something else chosen."""
        return replace(self, **changes).address

    @property
    def address(self) -> str:
        """Where this view is seen."""
        return "/desk" + (f"?{self.query}" if self.query else "")

    @property
    def query(self) -> str:
        """What the address asks."""
        chosen = {"team": self.team, "put_off": self.put_off, "all": self.all}
        kept = {name: "true" for name, is_on in chosen.items() if is_on}
        return urlencode(kept | ({"task": self.task.value} if self.task else {}))


def view_of(visit: Visit) -> DeskView:
    """Return which part of the list somebody looks at: the address says it, of a part of the page the browser's."""
    asked = dict(visit.request.query_params)
    if visit.by_htmx and visit.request.method != "GET":
        asked = dict(parse_qsl(urlsplit(visit.request.headers.get("HX-Current-URL", "")).query))
    task = asked.get("task", "")
    return DeskView(
        team=asked.get("team") == "true",
        put_off=asked.get("put_off") == "true",
        task=Task(task) if task in set(Task) else None,
        all=asked.get("all") == "true",
    )


def _work(visit: Visit) -> dict[str, Any]:
    """Return the list of the day as it is looked at."""
    view = view_of(visit)
    found = visit.document(
        read_today,
        whole_team=view.team,
        put_off=view.put_off,
        task=view.task,
        limit=MOST_LISTED if view.all else FIRST_LISTED,
    )
    total = found["by_task"].get(view.task, 0) if view.task else sum(found["by_task"].values())
    return {
        "list": found,
        "days": [(when, [one for one in found["items"] if one["when"] == when]) for when in When],
        "view": view,
        "total": total,
        "today": day_in_taipei(now()).isoformat(),
        "tasks": {task.value: label.both for task, label in TASK_LABELS.items()},
        "task_of": Task,
        "whens": {when.value: label.both for when, label in WHEN_LABELS.items()},
        "allied": visit.look(lambda session, _: names(session, Alliance, all_of(found["items"], "alliance_id"))),
        "kpis": {kpi.value: facts.label.both for kpi, facts in KPI_FACTS.items()},
        "views": views_shown(visit, ViewedList.DESK, view.query),
    }


def _portfolio(visit: Visit) -> dict[str, Any]:
    """Return the companies that the person and the alliance look after, the longest not heard of first."""
    listed = visit.document(list_companies, q="", sort=CompanyOrder.LAST_CONTACT, limit=MAX_PAGE)["items"]
    me = visit.who().id
    own = {one["id"] for one in listed if any(by["expert"] and by["expert"]["id"] == me for by in one["clients"])}
    return {
        "mine": [company for company in listed if company["id"] in own],
        "others": [company for company in listed if company["id"] not in own],
    }


def after(visit: Visit, done: str, need_id: str | None = None) -> Response:
    """Answer with the list as it is now: the part that changes, or the whole page again."""
    if not visit.by_htmx:
        return visit.go("/desk", done)
    return visit.show("desk/work.html", done=done, done_need=need_id, **_work(visit), **_portfolio(visit))


@router.post("/desk/needs/{need_id}/take-up")
def take_up(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NEED, Action.TAKE_UP))]) -> Response:
    """Take a need up from where it waits."""
    visit.reply(take_up_need, need_id=need_id)
    return after(visit, _TAKEN_UP, need_id)


@router.get("/desk/contact")
def show_contact_form(
    visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))],
    place: Annotated[str, Query(max_length=40)] = "",
    company: Annotated[str, Query(max_length=200)] = "",
    case: Annotated[str, Query(max_length=9)] = "",
) -> Response:
    """Show the form for a contact beside the item that asks for one."""
    where = place if PLACE.fullmatch(place) else "contact"
    form = contact_form(visit, "/desk/contacts", where, company_id=company, case_id=case)
    return visit.show("desk/contact.html", form=form)


@router.post("/desk/contacts")
def note_contact(visit: Annotated[Visit, Depends(visiting(Resource.COMPANY, Action.CONTACT))]) -> Response:
    """Note a contact from the desk; what waited for it is gone."""
    # Before anything of the form is looked at: may they, and is the form this session's own?
    visit.who()
    company_id, case_id, place = (str(visit.form.get(name, "")) for name in ("company_id", "case_id", "place"))
    if (case_id and not _NUMBER.fullmatch(case_id)) or not PLACE.fullmatch(place):
        raise not_found("case")
    refused = visit.attempt(
        lambda: store_contact(visit, company_id=company_id, case_id=int(case_id) if case_id else None)
    )
    if not isinstance(refused, Refusal):
        return after(visit, _NOTED)
    form = contact_form(visit, "/desk/contacts", place, refused, company_id=company_id, case_id=case_id)
    # htmx logs whatever is no success as an error of the page.
    response = visit.show("desk/contact.html", 200 if visit.by_htmx else refused.status, form=form)
    # The form belongs beside its item, not in place of the whole desk.
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = f"#slot-{place}", "innerHTML"
    return response
