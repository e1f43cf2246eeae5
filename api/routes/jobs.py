"""Long work: imports and batches of matches asked for, followed, stopped, and what came of them.

In: a file, or needs to rank; a job, and what its listener saw last. Out: a job with its progress, its result, and
server-sent events for every change until it ends. It exists because nobody holds a request open for an hour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlmodel import Session, col, select

from api.access.ownership import may_import
from api.access.policy import Action, Reach, Resource, reaches
from api.access.visibility import needs as visible_needs
from api.access.visibility import own_needs
from api.documents.answers import Page
from api.documents.bodies import MatchBatchBody
from api.documents.jobs import BatchResultAnswer, ImportResultAnswer, JobAnswer, PlanResultAnswer, UndoneAnswer
from api.jobs.job_queue import Job, JobKind, JobState, ask_for, cancel, results, visible_jobs
from api.jobs.worker import import_result, match_batch_result
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, forbidden, not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from api.trail.audit_trail import subject_kind
from indexer.database import BusyError, DatabaseGoneError, reading
from indexer.plain_text import TextError, clean
from indexer.records.import_log import UndoError, undo
from indexer.records.readers import kind_in_name
from indexer.records.record_tables import Alliance, Need
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.people import Principal
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api", tags=["jobs"], route_class=ThreadedRoute)

MAX_NEEDS = 5_000
_OPEN = (NeedState.SUBMITTED.value, NeedState.TAKEN_UP.value)
_RAW = {
    "requestBody": {
        "required": True,
        "description": "The file itself: JSONL, CSV, XLSX or ODS, up to 64 MiB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FileName = Annotated[
    str,
    Query(min_length=1, max_length=200, description="The file's name; it tells the format.", examples=["needs.csv"]),
]


@router.post("/imports", status_code=202, openapi_extra=_RAW, response_model=JobAnswer)
async def ask_for_import(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT, Action.CREATE))],
    name: _FileName,
    kind: Annotated[Kind | None, Query(description="What its rows are; otherwise told from the file.")] = None,
    alliance: Annotated[str | None, Query(max_length=200, description="To whom what is new goes.")] = None,
    dry_run: Annotated[bool, Query(description="Only report what would happen.")] = False,
) -> Response:
    """Import a file in the background. An alliance brings in needs and companies of its own, the office anything.

    A row whose id belongs to somebody else is refused as taken. Rows are stored in portions of 200: what was stored
    stays if the job is cancelled, and importing the file again goes on, since a record that is the same is left alone.
    """
    file_name = checked_name(name)
    named = kind or kind_in_name(file_name.rpartition(".")[0])

    def admit() -> str | None:
        with reading(ask.engine) as session:
            found = alliance_of(session, ask.admitted(session), named, alliance)
        ask.must_leave_room()
        return found

    # Who asks is known before a byte of the file is taken.
    await run_in_threadpool(admit)
    content = await ask.request.app.state.uploads.received(ask.request)

    def work(session: Session, who: Principal) -> Reply:
        job = ask_for(
            session,
            kind=JobKind.IMPORT,
            account_id=who.id,
            alliance_id=alliance_of(session, who, named, alliance),
            parameters={"name": file_name, "kind": kind, "dry_run": dry_run, "bytes": len(content)},
            now=ask.at,
            file=(file_name, content),
        )
        return _accepted(job, who)

    response = await run_in_threadpool(ask.write, work, sha256(content).hexdigest().encode())
    ask.request.app.state.jobs.wake()
    return response


def checked_name(name: str) -> str:
    """Return a file's name as it is kept.

    Raises:
        ProblemError: 422, it is none.
    """
    try:
        given = clean(name, max_chars=200, multiline=False)
    except TextError as error:
        raise ProblemError(422, "invalid", str(error), "name") from error
    if not given or "/" in given or "\\" in given:
        raise ProblemError(422, "invalid", T_("give the file's name without its folder, such as needs.csv"), "name")
    return given


def alliance_of(session: Session, who: Principal, kind: Kind | None, alliance: str | None) -> str | None:
    """Return the alliance that an import is for, None for the programme as a whole.

    Raises:
        ProblemError: 422, it is not one to choose; 403, such rows are not theirs to bring in.
    """
    if Reach.ALL in reaches(who, Resource.IMPORT, Action.CREATE).values():
        if alliance is not None and session.get(Alliance, alliance) is None:
            raise ProblemError(422, "invalid", T_("there is no such alliance"), "alliance")
        return alliance
    own = sorted(who.scopes(*STAFF))
    chosen = alliance or (own[0] if len(own) == 1 else None)
    if chosen not in own:
        raise ProblemError(422, "invalid", T_("choose one of your own: %(own)s", own=", ".join(own)), "alliance")
    if not may_import(who, kind, chosen):
        raise forbidden(T_("only the programme office imports %(kind)s", kind=kind))
    return chosen


@router.post("/match-batches", status_code=202, response_model=JobAnswer)
def ask_for_matches(
    body: MatchBatchBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))]
) -> Response:
    """Rank many needs in the background: those named, or all open ones of your own alliance."""

    def work(session: Session, who: Principal) -> Reply:
        needs = _needs_of(session, who, body)
        ask.about("need", *needs)
        job = ask_for(
            session,
            kind=JobKind.MATCH_BATCH,
            account_id=who.id,
            alliance_id=None,
            parameters={"needs": needs, "top": body.top},
            now=ask.at,
            total=len(needs),
        )
        return _accepted(job, who)

    response = ask.write(work, body)
    ask.request.app.state.jobs.wake()
    return response


def _needs_of(session: Session, who: Principal, body: MatchBatchBody) -> list[str]:
    may = visible_needs(who, Action.READ, Resource.MATCH)
    if body.needs is None:
        query = (
            select(Need.id)
            .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
            .where(may, own_needs(who), col(NeedIntake.state).in_(_OPEN))
            .order_by(col(Need.id))
            .limit(MAX_NEEDS)
        )
        needs = list(session.exec(query).all())
        if not needs:
            raise ProblemError(422, "invalid", T_("your alliance has no open need"), "needs")
        return needs
    wanted = list(dict.fromkeys(body.needs))
    known: set[str] = set()
    for start in range(0, len(wanted), 500):
        some = col(Need.id).in_(wanted[start : start + 500])
        known.update(session.exec(select(Need.id).where(some, may)).all())
    for n, need_id in enumerate(wanted, start=1):
        if need_id not in known:
            raise ProblemError(422, "invalid", T_("there is no such need"), f"needs[{n}]")
    return wanted


@router.get("/jobs", response_model=Page[JobAnswer])
def list_jobs(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.JOB, Action.LIST))],
    state: Annotated[JobState | None, Query(description="Only those in this state.")] = None,
    kind: Annotated[JobKind | None, Query(description="Only those of this kind.")] = None,
    own: Annotated[bool, Query(description="Only your own, whatever else you may see.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your jobs, the newest first; the programme office sees everybody's."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Job).where(visible_jobs(who, Action.LIST)).order_by(col(Job.id).desc()).limit(limit + 1)
        after = decoded(cursor, str)
        if after is not None:
            query = query.where(col(Job.id) < after)
        if state is not None:
            query = query.where(Job.state == state.value)
        if kind is not None:
            query = query.where(Job.kind == kind.value)
        if own:
            query = query.where(Job.account_id == who.id)
        return Reply(200, page([job_document(job, who) for job in session.exec(query).all()], limit, "id"), {})

    return ask.read(work)


@router.get("/jobs/{job_id}", response_model=JobAnswer)
def read_job(job_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.JOB, Action.READ))]) -> Response:
    """Read how far a job is."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, job_document(find_job(session, who, job_id, Action.READ), who), {})

    return ask.read(work)


@router.post("/jobs/{job_id}/cancel", response_model=JobAnswer)
def cancel_job(
    job_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.JOB, Action.CANCEL))]
) -> Response:
    """Stop a job after the portion at hand; what is stored stays. `state` says when it has stopped."""

    def work(session: Session, who: Principal) -> Reply:
        find_job(session, who, job_id, Action.CANCEL)
        cancel(session, job_id=job_id, now=ask.at)
        return Reply(200, job_document(find_job(session, who, job_id, Action.CANCEL), who), {})

    return ask.write(work)


@router.post("/jobs/{job_id}/undo", response_model=UndoneAnswer)
def undo_import(
    job_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.JOB, Action.CANCEL))]
) -> Response:
    """Take back all that an import changed: what it created is gone, what it changed is as it was before.

    Refused, and nothing is changed, once a record was changed again or something rests on one that would be gone.
    """

    def work(session: Session, who: Principal) -> Reply:
        job = find_job(session, who, job_id, Action.CANCEL)
        if job.kind != JobKind.IMPORT or job.finished_at is None:
            raise ProblemError(409, "job", T_("only an import that has ended can be taken back"))
        try:
            done = undo(session, job.id, ask.at)
        except UndoError as error:
            raise ProblemError(409, "job", str(error)) from error
        for kind, record_id in done.ids:
            ask.about(subject_kind(kind), record_id)
        return Reply(200, {"job": job.id, "removed": done.removed, "restored": done.restored}, {})

    return ask.write(work)


@router.get("/jobs/{job_id}/result", response_model=ImportResultAnswer | BatchResultAnswer | PlanResultAnswer)
def read_result(
    job_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.JOB_RESULT, Action.READ))]
) -> Response:
    """Read what a job came to, once it is done. What is wrong with an imported file, only who sent it reads."""

    def work(session: Session, who: Principal) -> Reply:
        job = find_job(session, who, job_id, Action.READ, Resource.JOB_RESULT)
        if job.kind == JobKind.IMPORT and job.account_id != who.id:
            raise not_found("job")
        if job.state != JobState.DONE:
            raise ProblemError(
                409, "job", T_("the job is %(state)s; only one that is done has a result", state=job.state)
            )
        if job.kind == JobKind.IMPORT:
            return Reply(200, import_result(session, job.id, job.parameters), {})
        if job.kind == JobKind.PORTFOLIO:
            return Reply(200, results(session, job.id)[0], {})
        return Reply(200, match_batch_result(session, who, job.id), {})

    return ask.read(work)


def find_job(session: Session, who: Principal, job_id: str, action: Action, resource: Resource = Resource.JOB) -> Job:
    """Return a job that a person may do this with.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    job = session.exec(select(Job).where(Job.id == job_id, visible_jobs(who, action, resource))).first()
    if job is None:
        raise not_found("job")
    return job


def _accepted(job: Job, who: Principal) -> Reply:
    return Reply(202, job_document(job, who), {"Location": f"/api/jobs/{job.id}"})


def job_document(job: Job, who: Principal) -> dict[str, Any]:
    """Return a job as a person may see it: what a file is called is known to who sent it only."""
    parameters = dict(job.parameters)
    if job.account_id != who.id:
        parameters.pop("name", None)
    return {
        "id": job.id,
        "kind": job.kind,
        "account_id": job.account_id,
        "alliance": job.alliance_id,
        "parameters": parameters,
        **progress(job),
        "refusal": job.refusal,
        "created_at": job.created_at.isoformat(),
        "started_at": None if job.started_at is None else job.started_at.isoformat(),
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
    }


def progress(job: Job) -> dict[str, Any]:
    """Return how far a job is."""
    return {
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "cancelling": job.cancel_asked_at is not None and job.finished_at is None,
    }


events_router = APIRouter()

LOOK_EVERY_S = 0.5
_NAP_S = 0.1
LOOKING_THREADS = 4

_ask = requires(Resource.JOB, Action.READ)


@dataclass(frozen=True)
class _Seen:
    """How far a job was at a look; `version` counts its changes."""

    version: int
    document: dict[str, Any]
    ended: bool


def _look(ask: PermittedRequest, job_id: str, *, first: bool = False) -> _Seen:
    with reading(ask.engine) as session:
        who = ask.admitted(session) if first else ask.still_admitted(session)
        job = find_job(session, who, job_id, Action.READ)
        return _Seen(job.version, progress(job), job.finished_at is not None)


def _first_look(job_id: str, ask: Annotated[PermittedRequest, Depends(_ask)]) -> _Seen:
    """Refuse before the stream begins what is to be refused."""
    return _look(ask, job_id, first=True)


@events_router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def follow_job(
    job_id: str,
    ask: Annotated[PermittedRequest, Depends(_ask)],
    seen: Annotated[_Seen, Depends(_first_look)],
    last_event_id: Annotated[str | None, Header(max_length=40, description="The id of the last event seen.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job: an event `progress` for its changes, at last one `end`. Ends early if you may no longer see it."""
    known = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else -1
    while True:
        if seen.ended:
            yield ServerSentEvent(event="end", id=str(seen.version), data=seen.document)
            return
        if seen.version != known:
            known = seen.version
            yield ServerSentEvent(event="progress", id=str(known), data=seen.document, retry=2_000)
        if not await _waited(ask):
            return
        try:
            seen = await to_thread.run_sync(_look, ask, job_id, limiter=ask.request.app.state.looking)
        except ProblemError:
            # Signed out, shut out, or the role is gone; a new request is told which.
            return
        except (BusyError, DatabaseGoneError):
            continue


async def _waited(ask: PermittedRequest) -> bool:
    """Wait until it is time to look again; False if the server stops."""
    stopping = ask.request.app.state.stopping
    for _ in range(round(LOOK_EVERY_S / _NAP_S)):
        if stopping.is_set():
            return False
        await anyio.sleep(_NAP_S)
    return not stopping.is_set()


# A stream of events holds no thread of requests, so its route is a plain one.
router.include_router(events_router)
