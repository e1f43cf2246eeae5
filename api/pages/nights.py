"""The nights in the administration: each with its steps, and the one at work as it goes on.

In: the programme office. Out: the list of nights, a page for each that follows
it while it is carried out, and the warning that none was for long. What a night
did is the API's to say.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from api.night_runs import NightState, StepState
from api.night_words import FIGURES, NIGHT_STATES, STEP_STATES
from api.pages.visiting import Visit, visiting
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.routes.nights import follow_night, list_nights
from indexer.instants import now

router = APIRouter(prefix="/admin/nights", include_in_schema=False, route_class=ThreadedRoute)

OLD_AFTER = timedelta(hours=48)
"""A night that began longer ago is too long ago: yesterday's did not come."""
WORDS = {
    "night_states": {state: words.both for state, words in NIGHT_STATES.items()},
    "step_states": {state: words.both for state, words in STEP_STATES.items()},
    "figure_names": {name: words.both for name, words in FIGURES.items()},
}


@router.get("")
def show_nights(visit: Annotated[Visit, Depends(visiting(Resource.NIGHT, Action.LIST))]) -> Response:
    """Show the nights, the newest first."""
    nights = visit.document(list_nights)["items"]
    return visit.show("admin/nights.html", nights=nights, notice=night_notice(nights), **WORDS)


@router.get("/{night_id}")
def show_night(night_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NIGHT, Action.READ))]) -> Response:
    """Show a night step by step."""
    night = visit.document(follow_night, night_id=night_id)
    # The page asks for this part again and again, until the night has ended.
    template = "admin/_night.html" if visit.by_htmx else "admin/night.html"
    running = night["state"] == NightState.RUNNING
    done = sum(step["state"] not in (StepState.WAITING, StepState.RUNNING) for step in night["steps"])
    details = {step["name"]: step["details"] for step in night["steps"]}
    return visit.show(template, night=night, running=running, done=done, details=details, **WORDS)


def night_notice(nights: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what somebody must know of the newest night: that it is too old, or did not end well; None if all is well.

    Args:
        nights: those of the API, the newest first.
    """
    if not nights:
        return {"kind": "none", "night": None}
    newest = nights[0]
    if now() - datetime.fromisoformat(newest["started_at"]) > OLD_AFTER:
        return {"kind": "old", "night": newest}
    if newest["state"] in (NightState.FAILED, NightState.HELD, NightState.INTERRUPTED):
        return {"kind": newest["state"], "night": newest}
    return None
