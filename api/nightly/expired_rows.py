"""The step that deletes what is past its time: stored replies, ended sessions, finished jobs, old nights.

In: the database and the folder of nights. Out: how many of each are gone. It
exists because each of these may quote what somebody sent, is of use for days
only, and would grow for ever. Facts are never deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from api import credentials, idempotency, jobs
from api.night_runs import forget_old_nights
from api.nightly.outcome import Outcome, Work
from api.opening import open_database
from indexer.database import writing

PORTION = 2_000
"""So many rows are deleted in one transaction, so that nobody waits long for a turn to write."""
WAIT_S = 60.0

Forget = Callable[..., int]


def delete_expired(work: Work) -> Outcome:
    """Delete what is past its time."""
    tables: dict[str, Forget] = {
        "replies": idempotency.forget,
        "sessions": credentials.forget_sessions,
        "failed_sign_ins": credentials.forget_failures,
        "jobs": jobs.forget,
    }
    with open_database(work.settings) as engine:
        gone = {name: _all(engine, forget, work.now) for name, forget in tables.items()}
    return Outcome({**gone, "nights": len(forget_old_nights(work.settings.home))})


def _all(engine: Engine, forget: Forget, now: datetime) -> int:
    total = 0
    while True:
        with writing(engine, deadline_s=WAIT_S) as session:
            gone = forget(session, now=now, most=PORTION)
        total += gone
        if gone < PORTION:
            return total
