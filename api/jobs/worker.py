"""The workers of a server process: each takes up one job after another, in a thread of its own, and does what it asks.

In: jobs that wait, of any process; the file of an import and for whom it is imported, or ids of needs and how many
labs each. Out: the same jobs, ended with what came of them: for each portion of a file what was created, updated,
left alone and refused; for each need its pairings by id, rank, score and band, the proposals stored as a single
match stores them. It exists as a few threads per process, so that long work never takes more than its share of the
machine and nobody's long job stands before another's short one, and so that a job whose process died is found and
taken up by whichever process looks next. Who imports
over HTTP is not an operator: an alliance's expert brings in what is new or its own, and can't reach what is
others'. A result of matches holds ids only, so that it can be read by whoever may know of a need without reading
it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import traceback
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from api.access.ownership import import_portion, may_import, sender_of
from api.access.policy import Action, Resource
from api.access.visibility import needs as visible_needs
from api.jobs.import_drafts import forget_drafts, read_sealed
from api.jobs.job_queue import (
    Claimed,
    JobCancelledError,
    JobFile,
    JobInterruptedError,
    JobKind,
    JobRefusedError,
    JobState,
    LeaseLostError,
    PartWork,
    RunningJob,
    claim,
    end,
    forget,
    give_back,
    is_waiting,
    results,
)
from api.jobs.planning import run_portfolio
from api.jobs.reading_apart import ReadApart, in_portions, read_apart
from api.trail.audit_trail import Subject, subject_kind, subjects_imported
from indexer.database import BusyError, DatabaseGoneError, reading, writing
from indexer.disk import DiskReserve
from indexer.encoders.encoding import EncoderError
from indexer.encoders.query_vectors import EncodingBusyError
from indexer.index.generations import SnapshotError
from indexer.instants import now
from indexer.plain_text import printable
from indexer.records.importing import ImportReport
from indexer.records.profiles import Need
from indexer.records.readers import Reading
from indexer.records.record_tables import Need as StoredNeed
from indexer.records.record_tables import load_needs
from indexer.vocabulary import Kind
from indexer.wording import T_, joined
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import MatchResult
from matcher.review.people import Principal
from matcher.review.proposals import record

MAX_PROBLEMS = 50_000
"""Problems that a result lists; it counts all."""
_COUNTS = ("created", "updated", "unchanged", "refused", "errors", "values_changed", "values_emptied")


def run_import(running: RunningJob) -> None:
    """Carry out an import.

    Raises:
        JobRefusedError: who asked may not import this; whatever `RunningJob.step` raises.
    """
    job = running.job
    with reading(running.engine) as session:
        file = session.get(JobFile, job.id)
        if file is None:
            raise JobRefusedError(T_("its file is gone"))
        name, content = file.name, file.content
        _must_reach(running.who(session), running, None)
    kind = job.parameters["kind"]
    looked_through = bool(job.parameters.get("looked_through"))
    with (
        nullcontext(in_portions(read_sealed(content, name)))
        if looked_through
        else read_apart(content, name, None if kind is None else Kind(kind), running.check)
    ) as found:
        del file, content
        with reading(running.engine) as session:
            who = running.who(session)
            # A sheet of a kind that is not theirs is refused row by row, as long as another one is.
            if not any(may_import(who, one, running.job.alliance_id) for one in found.kinds):
                _must_reach(who, running, found.kind)
        _carry_out(running, found, printable(name))


def _must_reach(who: Principal, running: RunningJob, kind: Kind | None) -> None:
    if not may_import(who, kind, running.job.alliance_id):
        if kind is None:
            raise JobRefusedError(T_("none of your roles may import this"))
        refused = T_("none of your roles may import %(kind)s", kind=kind.value)
        raise JobRefusedError(joined("", [refused, _HINTS.get(kind.value, "")]))


_HINTS = {one: T_(": ask the programme office") for one in ("schools", "alliances", "terms")}


def _carry_out(running: RunningJob, found: ReadApart, name: str) -> None:
    done_before = running.done_before()
    n = done = 0
    # What the reading found comes first, in parts of its own: it can be more than one row of a table should hold.
    for listed in found.problems():
        result = _result(ImportReport(found.kind, refused=0 if n else found.refused, problems=listed))
        if n not in done_before:
            running.step(n, done=0, total=found.total, work=_reporting(result))
        n += 1
    for portion in found.portions():
        done += len(portion.records.keys() | portion.evidence.keys())
        if n not in done_before:
            running.step(n, done=done, total=found.total, work=_importing(running, portion, name))
        n += 1


def _reporting(result: dict[str, Any]) -> PartWork:
    return lambda _session, _who: result


def _importing(running: RunningJob, portion: Reading, name: str) -> PartWork:
    def work(session: Session, who: Principal) -> dict[str, Any]:
        _must_reach(who, running, None)
        alliance_id, dry_run = running.job.alliance_id, bool(running.job.parameters["dry_run"])
        sender, job_id = sender_of(who, alliance_id), running.job.id
        report, left_out = import_portion(
            session, portion, sender, name=name, now=now(), dry_run=dry_run, batch_id=None if dry_run else job_id
        )
        if not dry_run:
            running.subjects.update(subjects_imported(report))
        kind = "" if portion.kind is None else subject_kind(portion.kind)
        running.told.update(Subject(kind, row.id) for row in left_out if row.is_anothers)
        return _result(report)

    return work


def _result(report: ImportReport) -> dict[str, Any]:
    return {
        "kind": report.kind,
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "errors": len(report.errors),
        "values_changed": sum(not change.empties for change in report.changes),
        "values_emptied": sum(change.empties for change in report.changes),
        "problems": [asdict(problem) for problem in report.problems],
    }


def import_result(session: Session, job_id: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what an import came to, as `gloria import --json` reports a file."""
    parts = results(session, job_id)
    problems = sorted(
        (problem for part in parts for problem in part["problems"]), key=lambda item: (item["file"], item["row"])
    )
    return {
        "dry_run": parameters["dry_run"],
        "file": parameters["name"],
        "kind": next((part["kind"] for part in parts), None),
        **{name: sum(part.get(name, 0) for part in parts) for name in _COUNTS},
        "problems": problems[:MAX_PROBLEMS],
        "problems_left_out": max(0, len(problems) - MAX_PROBLEMS),
    }


NEEDS_PER_PART = 8
"""Needs whose texts are encoded together: few enough that nobody who asks for one match waits long behind them."""
_ENCODING_TRIES = 10
_PAUSE_S = 2.0


def run_match_batch(running: RunningJob, live: LiveMatcher) -> None:
    """Carry out a batch of matches.

    Raises:
        SnapshotError, EncoderError: nothing can be matched; whatever `RunningJob.step` raises.
    """
    ids, top = list(running.job.parameters["needs"]), int(running.job.parameters["top"])
    done_before = running.done_before()
    for n, start in enumerate(range(0, len(ids), NEEDS_PER_PART)):
        part = ids[start : start + NEEDS_PER_PART]
        if n in done_before:
            continue
        running.check()
        with reading(running.engine) as session:
            who = running.who(session)
            allowed = _allowed(session, who, part)
            needs = [
                need for need in load_needs(session, allowed) if not who.has_stake(company_id=need.company, lab_id=None)
            ]
        ranked = _ranked(running, live, needs, top)
        withheld = [need_id for need_id in part if need_id not in {need.id for need in needs}]

        def work(
            session: Session,
            who: Principal,
            ranked: list[MatchResult] = ranked,
            withheld: list[str] = withheld,
        ) -> dict[str, Any]:
            running.subjects.update(Subject("need", result.need.id) for result in ranked)
            return {"needs": [_stored(session, who, result) for result in ranked], "left_out": withheld}

        running.step(n, done=start + len(part), total=len(ids), work=work)


def _allowed(session: Session, who: Principal, ids: list[str]) -> list[str]:
    may = visible_needs(who, Action.READ, Resource.MATCH)
    return list(session.exec(select(StoredNeed.id).where(col(StoredNeed.id).in_(ids), may)).all())


def _ranked(running: RunningJob, live: LiveMatcher, needs: list[Need], top: int) -> list[MatchResult]:
    for _ in range(_ENCODING_TRIES):
        running.check()
        try:
            return list(live.current().match_all(needs, top=top)) if needs else []
        except EncodingBusyError:
            # Those who wait for an answer come first.
            running.stopping.wait(_PAUSE_S)
    return list(live.current().match_all(needs, top=top))


def _stored(session: Session, who: Principal, result: MatchResult) -> dict[str, Any]:
    """Store the proposals of one need and return them by their ids."""
    need = result.need
    kept = tuple(p for p in result.pairings if not who.has_stake(company_id=need.company, lab_id=p.lab_id))
    numbers = record(session, result=replace(result, pairings=kept), shown_to=who.id, now=now())
    return {
        "need_id": need.id,
        "generation": result.generation,
        "total": result.total,
        "withheld": len(result.pairings) - len(kept),
        "pairings": [
            {
                "rank": pairing.rank,
                "lab_id": pairing.lab_id,
                "score": pairing.score,
                "band": pairing.band.value,
                "pairing_id": numbers[pairing.lab_id].pairing_id,
                "proposal_id": numbers[pairing.lab_id].proposal_id,
            }
            for pairing in kept
        ],
    }


def match_batch_result(session: Session, who: Principal, job_id: str) -> dict[str, Any]:
    """Return what a batch of matches came to, as far as the person may see its needs and pairings now."""
    parts = results(session, job_id)
    items = [item for part in parts for item in part["needs"]]
    ids = [item["need_id"] for item in items]
    may = visible_needs(who, Action.READ, Resource.PAIRING)
    companies: dict[str, str | None] = {}
    for start in range(0, len(ids), 500):
        some = col(StoredNeed.id).in_(ids[start : start + 500])
        companies.update(session.execute(select(StoredNeed.id, StoredNeed.company).where(some, may)).tuples().all())
    shown = []
    for item in items:
        if item["need_id"] not in companies:
            continue
        company_id = companies[item["need_id"]]
        free = [p for p in item["pairings"] if not who.has_stake(company_id=company_id, lab_id=p["lab_id"])]
        withheld = item["withheld"] + len(item["pairings"]) - len(free)
        shown.append({**item, "pairings": free, "withheld": withheld})
    left_out = sum(len(part["left_out"]) for part in parts) + len(items) - len(shown)
    return {"needs": shown, "left_out": left_out}


AT_ONCE = 3
"""Jobs that a process works on at a time, each of another account."""
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

    def __init__(
        self,
        engine: Engine,
        live: LiveMatcher,
        stopping: threading.Event,
        lease_s: float,
        reserve: DiskReserve | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            engine: the database.
            live: ranks needs.
            stopping: once set, the job at hand goes back into the queue at its next step, and no other is begun.
            lease_s: for how long a job is held without being renewed.
            reserve: without it, work waits until there is room again.
        """
        self._engine = engine
        self._live = live
        self._stopping = stopping
        self._lease_s = lease_s
        self._reserve = reserve
        self._woken = threading.Event()
        self._forget_from = 0.0
        self._log = structlog.get_logger("gloria")
        self._claiming = threading.Lock()
        self._threads = [threading.Thread(target=self._loop, name=f"jobs-{n}", daemon=True) for n in range(AT_ONCE)]

    def start(self) -> None:
        """Begin to look for jobs."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look now: a job was asked for."""
        self._woken.set()

    def stop(self) -> None:
        """Let go of the job at hand and wait until that is stored."""
        self._stopping.set()
        self._woken.set()
        until = time.monotonic() + STOP_WITHIN_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                # One after the other: two that look at once would both take up a job of the same account.
                with self._claiming:
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
                forget_drafts(session, now=now())
            self._forget_from = time.monotonic() + FORGET_EVERY_S
        with reading(self._engine) as session:
            if not is_waiting(session, lease_s=self._lease_s, now=now()):
                return None
        with writing(self._engine) as session:
            return claim(session, worker=f"{os.getpid()}-{secrets.token_hex(8)}", lease_s=self._lease_s, now=now())

    def _run(self, job: Claimed) -> None:
        begun = time.perf_counter()
        running = RunningJob(self._engine, job, self._lease_s, self._stopping, reserve=self._reserve)
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

    def _outcome(self, running: RunningJob) -> tuple[JobState, str | None]:
        """Do the work and return how the job ends; queued means that it is not finished."""
        try:
            if running.job.kind is JobKind.IMPORT:
                run_import(running)
            elif running.job.kind is JobKind.PORTFOLIO:
                run_portfolio(running, self._live)
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
