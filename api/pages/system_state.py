"""What is wrong with the system, where it matters to who works with it.

In: the state of the index, and the person's own jobs. Out: lines for the desk;
none if all is well. It exists because a ranking from an old index, or an import
that failed last night, must be known before somebody relies on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from api.jobs import JobState
from api.noting import now
from api.pages.visiting import Visit
from api.problems import Refusal
from api.routes.jobs import list_jobs

OLD_AFTER = timedelta(hours=48)
"""An index that was not renewed for so long has missed two nights."""
TOLD_FOR = timedelta(days=3)
"""How long a failed job is spoken of."""
_MOST_JOBS = 5


@dataclass(frozen=True)
class SystemState:
    """`no_index`: nothing can be matched; `starting`: not yet; `old_since`: when an index too old was built."""

    no_index: bool
    starting: bool
    old_since: str | None
    not_indexed: int
    failed: tuple[dict[str, Any], ...]


def is_old(built_at: datetime) -> bool:
    """Whether an index built then should have been renewed since."""
    return now() - built_at > OLD_AFTER


def system_state(visit: Visit) -> SystemState:
    """Return how the system stands for this person."""
    live = visit.request.app.state.live
    state = live.state()
    if state.generation is None and state.models_ready:
        # Nobody may have asked since an index was built; where there is none, this says so at once.
        visit.attempt(live.current)
        state = live.state()
    missing = state.generation is None
    built = None if state.created_at is None else datetime.fromisoformat(state.created_at)
    return SystemState(
        no_index=missing and state.models_ready,
        starting=missing and not state.models_ready,
        old_since=state.created_at if built is not None and is_old(built) else None,
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
