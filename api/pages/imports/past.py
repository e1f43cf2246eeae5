"""Imports that were begun: how far one is, what was kept and what not, where to go on, and how to take it back.

In: the jobs of imports of the person who looks. Out: a page that follows one until it has ended, and the list of those
before. It exists because the wrong list must not cost a day: whatever an import did is taken back in one piece.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.jobs.job_queue import FINISHED, JobKind
from api.pages.imports.words import field_words
from api.pages.shell.record_names import titles
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal, not_found, refusal_of
from api.routes.imports.drafts import list_lists
from api.routes.jobs import read_job, read_result, undo_import
from indexer.records.import_log import batches, created_in
from indexer.vocabulary import Kind
from matcher.review.people import Principal

router = APIRouter(prefix="/imports/jobs", include_in_schema=False, route_class=ThreadedRoute)

_NEEDS_NAMED = 20
_PROBLEMS_SHOWN = 50
JobId = Annotated[str, Path(max_length=200)]


@router.get("/{job_id}")
def show_import(job_id: JobId, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.READ))]) -> Response:
    """Show how far an import is, and what came of it."""
    return _import_page(visit, job_id)


def _import_page(visit: Visit, job_id: str, refused: Refusal | None = None) -> Response:
    job = visit.document(read_job, job_id=job_id)
    if job["kind"] != JobKind.IMPORT:
        raise not_found("job")
    ended = job["state"] in FINISHED
    read = visit.attempt(lambda: visit.document(read_result, job_id=job_id)) if ended else None
    result = None if isinstance(read, Refusal) else read

    def about(session: Session, who: Principal) -> dict[str, Any]:
        batch = batches(session, [job_id]).get(job_id)
        if batch is None or job["account_id"] != who.id:
            return {"stored": batch is not None, "undone_at": None if batch is None else batch.undone_at, "needs": {}}
        ids = created_in(session, job_id, Kind.NEEDS, _NEEDS_NAMED) if ended and batch.undone_at is None else []
        return {"stored": True, "undone_at": batch.undone_at, "needs": dict(titles(session, who, ids, to=visit))}

    lists = visit.document(list_lists)["items"] if ended else []
    return visit.show(
        "imports/_job.html" if visit.by_htmx else "imports/job.html",
        refused.status if refused else 200,
        job=job,
        ended=ended,
        result=result,
        problems=[] if result is None else _costly_first(result["problems"])[:_PROBLEMS_SHOWN],
        field_words=field_words,
        draft=next((one for one in lists if one["job"] == job_id), None),
        refused=refused,
        **visit.look(about),
    )


def _costly_first(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(problems, key=lambda one: one["severity"] != "error")


@router.post("/{job_id}/undo")
def take_back(job_id: JobId, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.CANCEL))]) -> Response:
    """Take back all that an import did."""
    try:
        visit.document(undo_import, job_id=job_id)
    except ProblemError as error:
        if error.status != 409:
            raise
        return _import_page(visit, job_id, refusal_of(error))
    return visit.go(f"/imports/jobs/{job_id}", N_("The import is taken back: all is as it was before."))


def past_imports(visit: Visit, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return jobs of imports with what has become of each: whether it stored anything, and when it was taken back."""
    found = visit.look(lambda session, _: batches(session, [job["id"] for job in jobs]))
    return [
        {
            **job,
            "ended": job["state"] in FINISHED,
            "stored": job["id"] in found,
            "undone_at": found[job["id"]].undone_at if job["id"] in found else None,
        }
        for job in jobs
    ]
