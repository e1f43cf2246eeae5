"""The nights: what the nightly job did, what it is doing, and its reports.

In: the id of a night. Out: its steps with times, figures and reasons, as the
job itself wrote them down. It exists so that whoever watches over the night
needs no shell on the machine; nothing here starts or stops a night.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session

from api.answers import Page
from api.asking import Asking, asking
from api.file_answers import file_of
from api.idempotency import Reply
from api.night_answers import ListedNightAnswer, NightAnswer
from api.night_runs import REPORT_PAGE, Night, StepState, night_path, read_night, read_nights, who_is_at_it
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from indexer.database import reading
from matcher.people import Principal

router = APIRouter(prefix="/api/nights", tags=["operation"], route_class=ThreadedRoute)

NightId = Annotated[str, Path(max_length=40, description="The day in Taipei and a number.", examples=["2026-11-24-1"])]
_HTML = "text/html; charset=utf-8"


@router.get("", response_model=Page[ListedNightAnswer])
def list_nights(ask: Annotated[Asking, Depends(asking(Resource.NIGHT, Action.LIST))]) -> Response:
    """List the nights that are kept, the newest first, with what somebody should look at."""
    home = ask.request.app.state.home

    def work(_session: Session, _who: Principal) -> Reply:
        is_running = who_is_at_it(home) is not None
        # Only the newest can be the one that is carried out.
        items = [_listed(night, running=is_running and n == 0) for n, night in enumerate(read_nights(home))]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


@router.get("/{night_id}", response_model=NightAnswer)
def follow_night(night_id: NightId, ask: Annotated[Asking, Depends(asking(Resource.NIGHT, Action.READ))]) -> Response:
    """Read a night: every step with its state, times, figures and reasons; also while it is carried out."""
    home = ask.request.app.state.home

    def work(_session: Session, _who: Principal) -> Reply:
        night = read_night(home, night_id)
        if night is None:
            raise not_found("night")
        newest = next(iter(read_nights(home, limit=1)), night)
        state = night.state(running=night.id == newest.id and who_is_at_it(home) is not None)
        document = night.model_dump(mode="json")
        return Reply(200, {**document, "state": state.value, "total_s": night.total_s}, {})

    return ask.read(work)


@router.get("/{night_id}/report", response_class=Response, responses=file_of([_HTML]))
def download_night_report(
    night_id: NightId, ask: Annotated[Asking, Depends(asking(Resource.NIGHT, Action.READ))]
) -> Response:
    """Download the report of a night, the page that is also mailed."""
    home = ask.request.app.state.home
    with reading(ask.engine) as session:
        ask.admitted(session)
    try:
        content = (night_path(home, night_id) / REPORT_PAGE).read_bytes()
    except (KeyError, FileNotFoundError):
        raise not_found("report of a night") from None
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="night-{night_id}.html"'}
    return Response(content, 200, headers, _HTML)


def _listed(night: Night, *, running: bool) -> dict[str, Any]:
    def named(state: StepState) -> list[str]:
        return [step.name for step in night.steps if step.state is state]

    return {
        "id": night.id,
        "day": night.day.isoformat(),
        "state": night.state(running=running).value,
        "started_at": night.starts[0].isoformat(),
        "finished_at": night.finished_at and night.finished_at.isoformat(),
        "total_s": night.total_s,
        "done": len(named(StepState.DONE)),
        "steps": len(night.steps),
        "failed": named(StepState.FAILED),
        "skipped": named(StepState.SKIPPED),
        "held": named(StepState.HELD),
    }
