"""What is wrong with the system, where it matters to who works with it.

In: the state of the index, and the person's own jobs. Out: lines for the desk;
none if all is well. It exists because a ranking from an old index, or an import
that failed last night, must be known before somebody relies on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api.index_age import is_old
from api.jobs import JobState
from api.pages.visiting import Visit
from api.problems import Refusal
from api.routes.jobs import list_jobs
from indexer.instants import now

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
        old_since=state.created_at if state.created_at is not None and is_old(state.created_at) else None,
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
