"""Administration: how the service stands, and its jobs as they run.

In: the programme office, and alliances for their own jobs. Out: the state of
the index and its generations, and jobs with live progress, all of which the
API tells as well.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.bodies import MatchBatchBody
from api.jobs import JobState
from api.pages.nights import night_notice
from api.pages.scopes import alliance_names
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import ProblemError, Refusal
from api.request_threads import ThreadedRoute
from api.routes.configuration import list_configuration
from api.routes.generations import list_generations
from api.routes.jobs import ask_for_matches, cancel_job, list_jobs, read_job, read_result
from api.routes.nights import list_nights
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
