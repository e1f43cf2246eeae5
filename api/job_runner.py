"""The worker of a server process: takes up one job after another, in a thread of its own.

In: jobs that wait, of any process. Out: the same jobs, ended with what came of them. It exists as one thread per
process, so that long work never takes more than its share of the machine, and so that a job whose process died is
found and taken up by whichever process looks next.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import traceback

import structlog
from sqlalchemy import Engine

from api.import_job import run_import
from api.job_steps import JobInterruptedError, JobRefusedError, Running
from api.jobs import (
    Claimed,
    JobCancelledError,
    JobKind,
    JobState,
    LeaseLostError,
    claim,
    end,
    forget,
    give_back,
    is_waiting,
)
from api.match_job import run_match_batch
from indexer.batching import EncodingBusyError
from indexer.database import BusyError, DatabaseGoneError, reading, writing
from indexer.encoder import EncoderError
from indexer.instants import now
from indexer.snapshot import SnapshotError
from indexer.wording import T_
from matcher.live import LiveMatcher

LOOK_EVERY_S = 1.0
"""How often a process looks for jobs of others; its own start at once."""
FORGET_EVERY_S = 3_600.0
STOP_WITHIN_S = 15.0
_REFUSALS: dict[type[Exception], str] = {
    SnapshotError: T_("matching is not available: there is no usable index; ask again later"),
    EncoderError: T_("matching is not available: an encoder can't be loaded; ask again later"),
    EncodingBusyError: T_("too many needs were waiting to be encoded; ask again later"),
}


class JobRunner:
    """Carries out jobs until it is told to stop."""

    def __init__(self, engine: Engine, live: LiveMatcher, stopping: threading.Event, lease_s: float) -> None:
        """Start nothing yet.

        Args:
            engine: the database.
            live: ranks needs.
            stopping: once set, the job at hand goes back into the queue at its next step, and no other is begun.
            lease_s: for how long a job is held without being renewed.
        """
        self._engine = engine
        self._live = live
        self._stopping = stopping
        self._lease_s = lease_s
        self._woken = threading.Event()
        self._forget_from = 0.0
        self._log = structlog.get_logger("gloria")
        self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to look for jobs."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: a job was asked for."""
        self._woken.set()

    def stop(self) -> None:
        """Let go of the job at hand and wait until that is stored."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(STOP_WITHIN_S)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._next()
            except Exception as error:
                # The database may be away for a while: this thread has to outlive that.
                self._log.warning("jobs not read", error=type(error).__name__)
                job = None
            if job is not None:
                self._run(job)
            else:
                self._wait()

    def _wait(self) -> None:
        # In short steps, since stopping must be noticed too.
        until = time.monotonic() + LOOK_EVERY_S
        while time.monotonic() < until and not self._stopping.is_set() and not self._woken.wait(0.1):
            pass
        self._woken.clear()

    def _next(self) -> Claimed | None:
        if time.monotonic() >= self._forget_from:
            with writing(self._engine) as session:
                forget(session, now=now())
            self._forget_from = time.monotonic() + FORGET_EVERY_S
        with reading(self._engine) as session:
            if not is_waiting(session, lease_s=self._lease_s, now=now()):
                return None
        with writing(self._engine) as session:
            return claim(session, worker=f"{os.getpid()}-{secrets.token_hex(8)}", lease_s=self._lease_s, now=now())

    def _run(self, job: Claimed) -> None:
        begun = time.perf_counter()
        running = Running(self._engine, job, self._lease_s, self._stopping)
        self._log.info("job begun", job=job.id, kind=job.kind.value, account=job.account_id, worker=job.worker)
        try:
            with running.kept():
                state, refusal = self._outcome(running)
            outcome = self._told(job, state, refusal)
        except LeaseLostError:
            outcome = "lost"
        except (BusyError, DatabaseGoneError) as error:
            # Its lease runs out, and then it is taken up again.
            outcome = type(error).__name__
        self._log.info(
            "job ended",
            job=job.id,
            kind=job.kind.value,
            account=job.account_id,
            outcome=outcome,
            duration_ms=round((time.perf_counter() - begun) * 1000, 1),
        )

    def _outcome(self, running: Running) -> tuple[JobState, str | None]:
        """Do the work and return how the job ends; queued means that it is not finished."""
        try:
            if running.job.kind is JobKind.IMPORT:
                run_import(running)
            else:
                run_match_batch(running, self._live)
        except (LeaseLostError, BusyError, DatabaseGoneError):
            raise
        except JobInterruptedError:
            return JobState.QUEUED, None
        except JobCancelledError:
            return JobState.CANCELLED, None
        except JobRefusedError as error:
            return JobState.FAILED, str(error)
        except Exception as error:
            return JobState.FAILED, self._refusal(running.job, error)
        return JobState.DONE, None

    def _refusal(self, job: Claimed, error: Exception) -> str:
        for kind, refusal in _REFUSALS.items():
            if isinstance(error, kind):
                return refusal
        # Places in the code only: a message may quote what was sent.
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
        self._log.error("job fault", job=job.id, error=type(error).__name__, at=places)
        return T_("a fault of ours; it was logged")

    def _told(self, job: Claimed, state: JobState, refusal: str | None) -> str:
        until = time.monotonic() + STOP_WITHIN_S / 2
        while True:
            try:
                with writing(self._engine) as session:
                    if state is JobState.QUEUED:
                        give_back(session, job=job)
                    else:
                        end(session, job=job, state=state, refusal=refusal, now=now())
            except BusyError:
                if time.monotonic() > until:
                    raise
            else:
                return state.value
