"""What else is done with a line of the day: put it off, take that back, hand the work to a colleague.

In: which thing, until which day or to whom. Out: the list as it is now. It exists beside the desk because the forms
are the same for every kind of thing, and are only fetched for the line on which somebody opens them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from api.access.policy import Action, Resource
from api.documents.bodies import PutOffBody
from api.pages.desk.desk import PLACE, after
from api.pages.desk.whose import Handed, colleagues, hand
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.desk.today import MOST_OF_A_KIND, Subject, put_off_task, read_today, take_task_back
from indexer.instants import day_in_taipei, now
from matcher.review.desk.putting_off import MOST_DAYS
from matcher.review.desk.urgency import Task

router = APIRouter(prefix="/desk/tasks", include_in_schema=False, route_class=ThreadedRoute)

_PUT_OFF = N_("Put off: it is back on its day, or when something happens to it.")
_BACK = N_("It is on your list again.")
_HANDED = N_("Handed on; your colleague is told.")
_MONDAY = 0
Kind = Annotated[str, Path(max_length=30)]


@router.get("/{task}/{subject}")
def show_more(
    task: Kind,
    subject: Subject,
    visit: Annotated[Visit, Depends(visiting(Resource.QUEUE, Action.READ))],
    place: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show what else can be done with one thing that waits."""
    visit.who()
    return _shown(visit, _task(task), subject, place)


def _task(kind: str) -> Task:
    """Return the kind of thing that an address names.

    Raises:
        ProblemError: 404, there is no such kind.
    """
    if kind not in set(Task):
        raise not_found("record")
    return Task(kind)


def _shown(visit: Visit, task: Task, subject: str, place: str, refused: Refusal | None = None) -> Response:
    item = _item(visit, task, subject)
    today = day_in_taipei(now())
    return visit.show(
        "desk/more.html",
        200 if refused is None or visit.by_htmx else refused.status,
        item=item,
        place=place if PLACE.fullmatch(place) else "more",
        handed=_handed(item),
        colleagues=[one for one in colleagues(visit) if one["id"] != item["expert_id"]],
        tomorrow=today + timedelta(days=1),
        days=[
            today + timedelta(days=1),
            today + timedelta(days=3),
            today + timedelta(days=(_MONDAY - today.weekday() - 1) % 7 + 1),
        ],
        last=today + timedelta(days=MOST_DAYS),
        refused=refused,
        given=visit.form if refused is not None else {},
    )


def _item(visit: Visit, task: Task, subject: str) -> dict[str, Any]:
    """Return one thing that waits, put off or not.

    Raises:
        ProblemError: 404, nothing waits so, or not for this person.
    """
    for put_off in (False, True):
        found = visit.document(read_today, whole_team=True, put_off=put_off, task=task, limit=MOST_OF_A_KIND)
        for item in found["items"]:
            if item["subject"] == subject:
                return dict(item)
    raise not_found("record")


def _handed(item: dict[str, Any]) -> tuple[Handed, str] | None:
    """Return what is handed on with a line: its case, its need if the alliance took it up, or its company."""
    if item["case_id"] is not None:
        return Handed.CASE, str(item["case_id"])
    if item["need_id"] is not None:
        taken_up = item["task"] != Task.NEW_NEED and not item["shared"] and item["expert_id"] is not None
        return (Handed.NEED, item["need_id"]) if taken_up else None
    of_company = item["task"] in (Task.SILENT_COMPANY, Task.FOLLOW_UP) and item["company_id"]
    return (Handed.COMPANY, item["company_id"]) if of_company else None


@router.post("/{task}/{subject}/put-off")
def put_off(
    task: Kind, subject: Subject, visit: Annotated[Visit, Depends(visiting(Resource.QUEUE, Action.EDIT))]
) -> Response:
    """Put one thing off until a day."""
    visit.who()
    kind = _task(task)

    def work() -> None:
        body = visit.body(PutOffBody, visit.values("until"))
        visit.reply(put_off_task, task=kind, subject=subject, body=body)

    refused = visit.attempt(work)
    return _beside(visit, kind, subject, refused) if isinstance(refused, Refusal) else after(visit, _PUT_OFF)


@router.post("/{task}/{subject}/back")
def take_back(
    task: Kind, subject: Subject, visit: Annotated[Visit, Depends(visiting(Resource.QUEUE, Action.EDIT))]
) -> Response:
    """Have one thing on the list again."""
    visit.who()
    visit.reply(take_task_back, task=_task(task), subject=subject)
    return after(visit, _BACK)


@router.post("/{task}/{subject}/hand-on")
def hand_on(
    task: Kind, subject: Subject, visit: Annotated[Visit, Depends(visiting(Resource.QUEUE, Action.EDIT))]
) -> Response:
    """Hand what a line is about to a colleague."""
    visit.who()
    kind = _task(task)
    item = _item(visit, kind, subject)
    handed = _handed(item)
    if handed is None:
        raise not_found("record")
    refused = visit.attempt(lambda: hand(visit, *handed))
    return _beside(visit, kind, subject, refused) if isinstance(refused, Refusal) else after(visit, _HANDED)


def _beside(visit: Visit, task: Task, subject: str, refused: Refusal) -> Response:
    """Show the forms again with what was refused, beside their line and not in place of the list."""
    place = str(visit.form.get("place", ""))
    response = _shown(visit, task, subject, place, refused)
    if PLACE.fullmatch(place):
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = f"#slot-{place}", "innerHTML"
    return response
