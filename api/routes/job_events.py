"""A job's progress as it happens, as server-sent events.

In: a job, and what its listener saw last. Out: an event for every change that is found, and one for the end. Nothing
is held while it waits: each look is a short read of its own, on few threads that no request needs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.asking import Asking, asking
from api.policy import Action, Resource
from api.problems import ProblemError
from api.routes.jobs import find_job, progress
from indexer.database import BusyError, DatabaseGoneError, reading

router = APIRouter(prefix="/api", tags=["jobs"])

LOOK_EVERY_S = 0.5
_NAP_S = 0.1
LOOKING_THREADS = 4

_ask = asking(Resource.JOB, Action.READ)


@dataclass(frozen=True)
class _Seen:
    """How far a job was at a look; `version` counts its changes."""

    version: int
    document: dict[str, Any]
    ended: bool


def _look(ask: Asking, job_id: str, *, first: bool = False) -> _Seen:
    with reading(ask.engine) as session:
        who = ask.admitted(session) if first else ask.still_admitted(session)
        job = find_job(session, who, job_id, Action.READ)
        return _Seen(job.version, progress(job), job.finished_at is not None)


def _first_look(job_id: str, ask: Annotated[Asking, Depends(_ask)]) -> _Seen:
    """Refuse before the stream begins what is to be refused."""
    return _look(ask, job_id, first=True)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def follow_job(
    job_id: str,
    ask: Annotated[Asking, Depends(_ask)],
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


async def _waited(ask: Asking) -> bool:
    """Wait until it is time to look again; False if the server stops."""
    stopping = ask.request.app.state.stopping
    for _ in range(round(LOOK_EVERY_S / _NAP_S)):
        if stopping.is_set():
            return False
        await anyio.sleep(_NAP_S)
    return not stopping.is_set()
