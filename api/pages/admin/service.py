"""Administration: how the service stands, its jobs and nights as they run.

In: the programme office, and alliances for their own jobs. Out: the state of the index, imports, batches of matches
and nights with their steps. It exists so that the office needs no command line.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.documents.bodies import MatchBatchBody
from api.jobs.job_queue import JobState
from api.pages.shell.record_names import alliance_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.routes.jobs import ask_for_matches, cancel_job, list_jobs, read_job, read_result
from api.routes.ledger.programme import list_configuration
from api.routes.operations import follow_night, list_generations, list_nights
from api.trail.nights import NIGHT_STATES, STEP_FIGURE_LABELS, STEP_STATES, NightState, StepState
from indexer.instants import now
from indexer.records.readers import SUFFIXES
from indexer.vocabulary import Kind

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=ThreadedRoute)

MAX_SHOWN_PROBLEMS = 200
_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
Jobs = Annotated[Visit, Depends(visiting(Resource.JOB, Action.LIST))]


@router.get("")
def show_administration(visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.LIST))]) -> Response:
    """Show how the service stands, and where to go on."""
    return visit.show(
        "admin/overview.html",
        state=visit.request.app.state.live.state(),
        generations=visit.document(list_generations)["items"],
        jobs=visit.document(list_jobs, limit=5)["items"],
        documents=visit.document(list_configuration)["items"],
        notice=night_notice(visit.document(list_nights)["items"]),
    )


@router.get("/index")
def show_generations(visit: Annotated[Visit, Depends(visiting(Resource.GENERATION, Action.LIST))]) -> Response:
    """Show the generations of the index."""
    return visit.show(
        "admin/index.html",
        state=visit.request.app.state.live.state(),
        generations=visit.document(list_generations)["items"],
    )


@router.get("/jobs")
def show_jobs(
    visit: Jobs,
    state: Annotated[str, Query(max_length=40)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show the jobs, the newest first."""
    return _jobs_page(visit, JobState(state) if state in set(JobState) else None, cursor)


def _jobs_page(
    visit: Visit, state: JobState | None = None, cursor: str | None = None, refused: Refusal | None = None
) -> Response:
    return visit.show(
        "admin/jobs.html",
        refused.status if refused else 200,
        jobs=visit.document(list_jobs, state=state, limit=25, cursor=cursor),
        state=state,
        states=list(JobState),
        suffixes=SUFFIXES,
        alliances=visit.look(lambda session, _: alliance_names(session)),
        kinds=list(Kind),
        refused=refused,
    )


@router.post("/jobs/matches")
def begin_matches(visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]) -> Response:
    """Rank all open needs of the own alliance in the background."""
    asked = visit.attempt(
        lambda: visit.document(ask_for_matches, body=visit.body(MatchBatchBody, {"top": visit.form.get("top")}))
    )
    if isinstance(asked, Refusal):
        return _jobs_page(visit, refused=asked)
    return visit.go(f"/admin/jobs/{asked['id']}", N_("The job has begun; this page follows it."))


@router.get("/jobs/{job_id}")
def show_job(job_id: str, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.READ))]) -> Response:
    """Show how far a job is, and what came of it."""
    job = visit.document(read_job, job_id=job_id)
    result = None
    if job["state"] == JobState.DONE:
        read = visit.attempt(lambda: visit.document(read_result, job_id=job_id))
        result = None if isinstance(read, Refusal) else _shortened(read)
    # The page asks for this part again and again, until the job has ended.
    template = "admin/_job.html" if visit.by_htmx else "admin/job.html"
    return visit.show(template, job=job, result=result, ended=job["state"] in _ENDED)


def _shortened(result: dict[str, Any]) -> dict[str, Any]:
    problems = result.get("problems")
    return result if problems is None else {**result, "problems": problems[:MAX_SHOWN_PROBLEMS]}


@router.post("/jobs/{job_id}/cancel")
def stop_job(job_id: str, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.CANCEL))]) -> Response:
    """Stop a job after the portion at hand."""
    try:
        visit.document(cancel_job, job_id=job_id)
    except ProblemError as error:
        if error.status != 409:
            raise
    return visit.go(f"/admin/jobs/{job_id}", N_("The job stops after the portion at hand; what is stored stays."))


OLD_AFTER = timedelta(hours=48)
"""A night that began longer ago is too long ago: yesterday's did not come."""
WORDS = {
    "night_states": {state: words.both for state, words in NIGHT_STATES.items()},
    "step_states": {state: words.both for state, words in STEP_STATES.items()},
    "figure_names": {name: words.both for name, words in STEP_FIGURE_LABELS.items()},
}


@router.get("/nights")
def show_nights(visit: Annotated[Visit, Depends(visiting(Resource.NIGHT, Action.LIST))]) -> Response:
    """Show the nights, the newest first."""
    nights = visit.document(list_nights)["items"]
    return visit.show("admin/nights.html", nights=nights, notice=night_notice(nights), **WORDS)


@router.get("/nights/{night_id}")
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
