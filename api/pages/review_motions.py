"""What takes two people: motions that wait for a second person, who agrees or drops them.

In: a person's word on a motion. Out: the motion carried out or dropped. Who
moved one, reported the result or has a stake in it is told so instead of being
asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.ledger_bodies import ReasonBody
from api.pages.mentioned_names import Names, names_in
from api.pages.refused import what_to_do
from api.pages.result_view import LABELS
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import Refusal
from api.request_threads import ThreadedRoute
from api.routes.entries import read_entry
from api.routes.ledger import read_heads
from api.routes.recognition import MotionId, drop_motion, list_motions, second_motion
from api.routes.review import read_review
from matcher.ledger.motions import MotionKind
from matcher.people import Principal

router = APIRouter(prefix="/review/motions", include_in_schema=False, route_class=ThreadedRoute)


@router.get("")
def show_motions(visit: Annotated[Visit, Depends(visiting(Resource.MOTION, Action.LIST))]) -> Response:
    """Show what waits for a second person."""
    return _page(visit)


def _page(visit: Visit, refused: Refusal | None = None, motion_id: int = 0) -> Response:
    ended_too = visit.request.query_params.get("all") == "yes"
    cursor = visit.request.query_params.get("cursor") or None
    page = visit.document(list_motions, waiting=not ended_too, cursor=cursor)
    found = [{"motion": motion, **_about(visit, motion)} for motion in page["items"]]

    def named(session: Session, who: Principal) -> Names:
        return names_in(session, found)

    context = {
        "found": found,
        "next": page["next"],
        "ended_too": ended_too,
        "labels": LABELS,
        "names": visit.look(named),
        "refused": refused,
        "blamed": motion_id,
        "what_to_do": None if refused is None else what_to_do(refused.name),
        "typed": visit.form.get(f"drop-{motion_id}", "") if refused else "",
        "heads": visit.document(read_heads)["items"],
    }
    return visit.show("review_motions.html", refused.status if refused else 200, **context)


def _about(visit: Visit, motion: dict[str, Any]) -> dict[str, Any]:
    """Return the entry that a motion is on and why this person has no word on it; nothing for a quarter."""
    if motion["kind"] == MotionKind.CLOSE:
        return {"entry": None, "barred": None}
    entry = visit.attempt(lambda: visit.document(read_entry, entry_id=motion["subject"]))
    review = visit.attempt(lambda: visit.document(read_review, entry_id=motion["subject"]))
    if isinstance(entry, Refusal) or isinstance(review, Refusal):
        return {"entry": None, "barred": None}
    return {"entry": entry, "barred": review["barred"]}


@router.post("/{motion_id}/second")
def second(motion_id: MotionId, visit: Annotated[Visit, Depends(visiting(Resource.MOTION, Action.SECOND))]) -> Response:
    """Agree as the second person."""
    done = visit.attempt(lambda: visit.document(second_motion, motion_id=motion_id))
    if isinstance(done, Refusal):
        return _page(visit, replace(done, field=None), motion_id)
    return visit.go(_back(visit, done), N_("Agreed: it is carried out."))


@router.post("/{motion_id}/drop")
def drop(motion_id: MotionId, visit: Annotated[Visit, Depends(visiting(Resource.MOTION, Action.DROP))]) -> Response:
    """Drop a motion, for a reason."""
    name = f"drop-{motion_id}"
    body = {"reason": str(visit.form.get(name, ""))}
    done = visit.attempt(lambda: visit.document(drop_motion, motion_id=motion_id, body=visit.body(ReasonBody, body)))
    if isinstance(done, Refusal):
        return _page(visit, replace(done, field=name if done.field == "reason" else None), motion_id)
    return visit.go(_back(visit, done), N_("Dropped: nothing is carried out."))


def _back(visit: Visit, motion: dict[str, Any]) -> str:
    """Return where the form stood: beside the entry, or in the list."""
    beside = visit.form.get("beside") == "entry" and motion["kind"] != MotionKind.CLOSE
    return f"/review/{motion['subject']}" if beside else "/review/motions"
