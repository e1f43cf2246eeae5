"""Long work as rows: what was asked for, how far it is, who works on it, and what came of it.

In: a request for an import or for many matches. Out: a job that exactly one worker at a time carries out, part by
part, and its result. It exists because work of minutes must survive a lost connection and a killed process: a
part's work, its result and the job's progress are one transaction, so that whoever goes on knows which parts are
done, and a worker whose lease is over can store nothing more. `RunningJob` is a job in the hands of its worker:
what a kind of job does need not know about leases, turns to write, cancelling or shutting down, and can be stopped
between any two parts.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ColumnElement,
    Engine,
    ForeignKey,
    LargeBinary,
    String,
    Table,
    and_,
    exists,
    false,
    func,
    not_,
    or_,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, delete, select

from api.access.policy import Action, Reach, Resource, reaches, rights_of
from api.trail.audit_trail import TOLD_STATUS, Act, How, Outcome, Subject, write_down
from indexer.database import BusyError, DatabaseGoneError, LowRoomError, StorageFullError, reading, writing
from indexer.disk import DiskReserve
from indexer.instants import Instant, now
from indexer.wording import T_
from matcher.review.people import Principal, principal
from matcher.review.roles import STAFF

MAX_ATTEMPTS = 3
"""How often a job is begun whose workers die, before it is given up."""
MAX_UNFINISHED = 20
"""How many jobs of one account may wait or run."""
KEPT = timedelta(days=30)
"""How long a finished job and its result can be read."""


class JobKind(StrEnum):
    """What a job does."""

    IMPORT = "import"
    MATCH_BATCH = "match_batch"
    PORTFOLIO = "portfolio"


class JobState(StrEnum):
    """How far a job has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def _codes(terms: type[StrEnum] | tuple[StrEnum, ...]) -> str:
    return ", ".join(f"'{term.value}'" for term in terms)


class JobError(ValueError):
    """A job can't be asked for or stopped as wanted; the message says why."""

    field: str | None = None


class LeaseLostError(RuntimeError):
    """The job is no longer this worker's: another one took it up, or it was ended."""


class JobCancelledError(RuntimeError):
    """Somebody asked for the job to stop."""


class Job(SQLModel, table=True):
    """One piece of long work. `version` counts what can be seen to change; `worker` holds it until `lease_until`."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_codes(JobKind)})", name="kind_known"),
        CheckConstraint(f"state IN ({_codes(JobState)})", name="state_known"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="leased_while_running"),
        CheckConstraint("(state = 'running') = (worker IS NOT NULL)", name="worked_on_while_running"),
        CheckConstraint(f"(state IN ({_codes(FINISHED)})) = (finished_at IS NOT NULL)", name="finished_at_the_end"),
        CheckConstraint("(state = 'failed') = (refusal IS NOT NULL)", name="failed_for_a_reason"),
        CheckConstraint("done >= 0 AND total >= done", name="progress_in_bounds"),
        CheckConstraint(f"attempts BETWEEN 0 AND {MAX_ATTEMPTS}", name="attempts_bounded"),
    )

    id: str = Field(primary_key=True)
    kind: str
    account_id: str = Field(foreign_key="account.id", index=True)
    alliance_id: str | None = Field(foreign_key="alliance.id")
    parameters: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    state: str = Field(default=JobState.QUEUED.value, index=True)
    done: int = 0
    total: int | None = None
    attempts: int = 0
    version: int = 0
    refusal: str | None = None
    created_at: datetime = Field(sa_type=Instant)
    started_at: datetime | None = Field(default=None, sa_type=Instant)
    finished_at: datetime | None = Field(default=None, sa_type=Instant)
    cancel_asked_at: datetime | None = Field(default=None, sa_type=Instant)
    worker: str | None = None
    lease_until: datetime | None = Field(default=None, sa_type=Instant)


def _of_job() -> Column[str]:
    return Column(String, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)


class JobFile(SQLModel, table=True):
    """The file that an import reads; gone once the job is finished."""

    __tablename__ = "job_file"

    job_id: str = Field(sa_column=_of_job())
    name: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class JobPart(SQLModel, table=True):
    """What one part of a job came to, stored together with its work: a part that has a row is never done again."""

    __tablename__ = "job_part"

    job_id: str = Field(sa_column=_of_job())
    n: int = Field(primary_key=True)
    result: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


@dataclass(frozen=True)
class Claimed:
    """A job as its worker got it."""

    id: str
    kind: JobKind
    account_id: str
    alliance_id: str | None
    parameters: dict[str, Any]
    worker: str


def ask_for(
    session: Session,
    *,
    kind: JobKind,
    account_id: str,
    alliance_id: str | None,
    parameters: dict[str, Any],
    now: datetime,
    total: int | None = None,
    file: tuple[str, bytes] | None = None,
) -> Job:
    """Queue a job.

    Args:
        session: its transaction holds all writes.
        kind: what is to be done.
        account_id: who asks; the job is carried out with what this account may do then.
        alliance_id: for which alliance, if for one.
        parameters: what the kind needs to know.
        now: the moment.
        total: how much there is to do, if that is known.
        file: the name and the content of a file that the job reads.

    Raises:
        JobError: the account has too many unfinished jobs.
    """
    waiting = select(func.count()).where(Job.account_id == account_id, col(Job.finished_at).is_(None))
    if session.exec(waiting).one() >= MAX_UNFINISHED:
        raise JobError(
            T_(
                "%(max_unfinished)s of your jobs are not finished yet; wait for them or cancel some",
                max_unfinished=MAX_UNFINISHED,
            )
        )
    # The time in front lets ids be paged in order; the rest nobody can guess.
    job_id = f"job-{int(now.timestamp() * 1000):012x}-{secrets.token_hex(16)}"
    job = Job(
        id=job_id,
        kind=kind.value,
        account_id=account_id,
        alliance_id=alliance_id,
        parameters=parameters,
        total=total,
        created_at=now,
    )
    session.add(job)
    session.flush()
    if file is not None:
        session.add(JobFile(job_id=job_id, name=file[0], content=file[1]))
        session.flush()
    return job


def is_waiting(session: Session, *, lease_s: float, now: datetime) -> bool:
    """Whether there is a job to be taken up; `lease_s` as workers hold theirs."""
    return session.exec(select(Job.id).where(_free(now, lease_s)).limit(1)).first() is not None


def claim(session: Session, *, worker: str, lease_s: float, now: datetime) -> Claimed | None:
    """Take up a job that waits, or whose worker's lease is over; None if there is none.

    Accounts take turns: of one whose job is being worked on none is taken up, of the others it is that of whose turn
    came last the longest ago. One whose workers died too often fails here; one that was to be cancelled is.
    """
    while True:
        job = session.exec(select(Job).where(_free(now, lease_s)).order_by(*_in_turn()).limit(1)).first()
        if job is None:
            return None
        same = (_job.c.id == job.id, _job.c.state == job.state, _job.c.version == job.version)
        if job.cancel_asked_at is not None:
            changes = _ended(JobState.CANCELLED, now)
        elif job.attempts >= MAX_ATTEMPTS:
            refusal = f"the server process that worked on it ended {MAX_ATTEMPTS} times before it was done"
            changes = _ended(JobState.FAILED, now, refusal)
        else:
            changes = {
                "state": JobState.RUNNING.value,
                "worker": worker,
                "lease_until": now + timedelta(seconds=lease_s),
                "attempts": job.attempts + 1,
                "started_at": job.started_at or now,
                "version": job.version + 1,
            }
        taken = session.connection().execute(update(_job).where(*same).values(**changes)).rowcount == 1
        claimed = Claimed(job.id, JobKind(job.kind), job.account_id, job.alliance_id, job.parameters, worker)
        session.expire_all()
        if taken and "worker" in changes and changes["worker"] == worker:
            return claimed
        if taken:
            _drop_file(session, claimed.id)


def _free(now: datetime, lease_s: float) -> Any:
    # A lease that ends later than any given now was given by a clock that was ahead: nobody must wait for that.
    ahead = now + 2 * timedelta(seconds=lease_s)
    over = or_(col(Job.lease_until) < now, col(Job.lease_until) > ahead)
    other = _job.alias("other")
    is_served = exists().where(
        other.c.account_id == _job.c.account_id,
        other.c.state == JobState.RUNNING.value,
        other.c.lease_until.between(now, ahead),
    )
    waits = and_(col(Job.state) == JobState.QUEUED.value, not_(is_served))
    return or_(waits, and_(col(Job.state) == JobState.RUNNING.value, over))


def _in_turn() -> tuple[Any, ...]:
    """Return what jobs are ordered by: first those of accounts without a turn, then by when they had their last one."""
    other = _job.alias("earlier")
    last = select(func.max(other.c.started_at)).where(other.c.account_id == _job.c.account_id).scalar_subquery()
    return last.is_not(None), last, col(Job.id)


def renew(session: Session, *, job: Claimed, lease_s: float, now: datetime) -> None:
    """Hold a job for another while.

    Raises:
        LeaseLostError: it is no longer this worker's.
    """
    _held(session, job, lease_until=now + timedelta(seconds=lease_s))


def begin_part(session: Session, *, job: Claimed, done: int, total: int | None, lease_s: float, now: datetime) -> None:
    """State how far the job will be with the work of this transaction, which is thereby this worker's alone to do.

    Raises:
        LeaseLostError: it is no longer this worker's.
        JobCancelledError: it is to stop.
    """
    _held(
        session,
        job,
        lease_until=now + timedelta(seconds=lease_s),
        done=done,
        total=total,
        version=_job.c.version + 1,
    )
    asked = session.exec(select(Job.cancel_asked_at).where(Job.id == job.id)).one()
    if asked is not None:
        raise JobCancelledError(job.id)


def end_part(session: Session, *, job: Claimed, n: int, result: dict[str, Any]) -> None:
    """Keep what the part came to."""
    session.add(JobPart(job_id=job.id, n=n, result=result))
    session.flush()


def give_back(session: Session, *, job: Claimed) -> None:
    """Put a job back into the queue that its worker has to leave; that was not the job's fault and does not count.

    Raises:
        LeaseLostError: it is no longer this worker's.
    """
    _held(
        session,
        job,
        state=JobState.QUEUED.value,
        worker=None,
        lease_until=None,
        attempts=_job.c.attempts - 1,
        version=_job.c.version + 1,
    )


def end(session: Session, *, job: Claimed, state: JobState, now: datetime, refusal: str | None = None) -> None:
    """End a job.

    Raises:
        LeaseLostError: it is no longer this worker's.
    """
    _held(session, job, **_ended(state, now, refusal))
    _drop_file(session, job.id)


def cancel(session: Session, *, job_id: str, now: datetime) -> None:
    """Stop a job: at once if it waits, else after the part that is being done. What was stored stays.

    Raises:
        JobError: it is finished.
    """
    connection = session.connection()
    waits = (_job.c.id == job_id, _job.c.state == JobState.QUEUED.value)
    ended = {**_ended(JobState.CANCELLED, now), "cancel_asked_at": now}
    if connection.execute(update(_job).where(*waits).values(**ended)).rowcount == 1:
        _drop_file(session, job_id)
    else:
        runs = (_job.c.id == job_id, _job.c.state == JobState.RUNNING.value)
        asked = update(_job).where(*runs).values(cancel_asked_at=now, version=_job.c.version + 1)
        if connection.execute(asked).rowcount == 0:
            raise JobError(T_("the job is finished; there is nothing left to stop"))
    session.expire_all()


def visible_jobs(who: Principal, action: Action, resource: Resource = Resource.JOB) -> ColumnElement[bool]:
    """Return the condition on `Job`: what the person asked for, as long as they are of the alliance it is for."""
    alliances = who.scopes(*STAFF)
    mine = and_(col(Job.account_id) == who.id, or_(col(Job.alliance_id).is_(None), col(Job.alliance_id).in_(alliances)))
    return or_(false(), *(true() if far is Reach.ALL else mine for far in reaches(who, resource, action).values()))


def parts_done(session: Session, job_id: str) -> set[int]:
    """Return the numbers of the parts that are done."""
    return set(session.exec(select(JobPart.n).where(JobPart.job_id == job_id)).all())


def results(session: Session, job_id: str) -> list[dict[str, Any]]:
    """Return what the parts came to, in their order."""
    parts = session.exec(select(JobPart.result).where(JobPart.job_id == job_id).order_by(col(JobPart.n))).all()
    return [dict(part) for part in parts]


def counts(session: Session) -> dict[tuple[str, str], int]:
    """Return how many jobs there are, by kind and state."""
    rows = session.execute(select(Job.kind, Job.state, func.count()).group_by(col(Job.kind), col(Job.state))).all()
    return {(str(kind), str(state)): int(n) for kind, state, n in rows}


def forget(session: Session, *, now: datetime, most: int = 10_000) -> int:
    """Delete the jobs that were finished long ago, with their results, which may quote a file; return how many."""
    old = select(_job.c.id).where(_job.c.finished_at < now - KEPT).limit(most)
    return session.connection().execute(delete(_job).where(_job.c.id.in_(old))).rowcount


def _ended(state: JobState, now: datetime, refusal: str | None = None) -> dict[str, Any]:
    return {
        "state": state.value,
        "finished_at": now,
        "refusal": refusal,
        "worker": None,
        "lease_until": None,
        "version": _job.c.version + 1,
    }


def _held(session: Session, job: Claimed, **changes: Any) -> None:
    mine = (_job.c.id == job.id, _job.c.worker == job.worker, _job.c.state == JobState.RUNNING.value)
    if session.connection().execute(update(_job).where(*mine).values(**changes)).rowcount != 1:
        raise LeaseLostError(job.id)


def _drop_file(session: Session, job_id: str) -> None:
    session.connection().execute(delete(_file).where(_file.c.job_id == job_id))


_job: Table = Job.__table__  # type: ignore[attr-defined]
_file: Table = JobFile.__table__  # type: ignore[attr-defined]


PATIENCE_S = 60.0
"""How long a part waits for its turn to write, try after try."""
_PAUSE_S = 0.2
_TRIES = 3

_ACTS = {
    JobKind.IMPORT: (Resource.IMPORT, Action.CREATE, Outcome.DONE),
    JobKind.MATCH_BATCH: (Resource.MATCH, Action.READ, Outcome.SEEN),
    JobKind.PORTFOLIO: (Resource.PORTFOLIO, Action.CREATE, Outcome.DONE),
}
"""What a part of each kind of job is in the words of the audit trail."""

PartWork = Callable[[Session, Principal], dict[str, Any]]


class JobRefusedError(ValueError):
    """The job can't be done; the message says why, without quoting what was sent."""


class JobInterruptedError(RuntimeError):
    """The server stops; the job goes back into the queue."""


@dataclass
class RunningJob:
    """A claimed job. `step` is what its kind calls for each part."""

    engine: Engine
    job: Claimed
    lease_s: float
    stopping: threading.Event
    lost: threading.Event = field(default_factory=threading.Event)
    reserve: DiskReserve | None = None
    subjects: set[Subject] = field(default_factory=set)
    """What the part at hand is about, as its work found out: with any, the part leaves a row in the audit trail."""
    told: set[Subject] = field(default_factory=set)
    """Others' records of which a refusal of this part says that they are there: another row in the trail."""

    def done_before(self) -> set[int]:
        """Return the numbers of the parts that an earlier worker did."""
        with reading(self.engine) as session:
            return parts_done(session, self.job.id)

    def who(self, session: Session) -> Principal:
        """Return who asked, as they stand now.

        Raises:
            JobRefusedError: they were shut out since.
        """
        who = principal(session, self.job.account_id)
        if who is None:
            raise JobRefusedError(T_("the account that asked for it is disabled"))
        return who

    def check(self) -> None:
        """Stop here if the work is to stop.

        Raises:
            JobInterruptedError: the server stops.
            LeaseLostError: the job is no longer this worker's.
        """
        if self.stopping.is_set():
            raise JobInterruptedError(self.job.id)
        if self.lost.is_set():
            raise LeaseLostError(self.job.id)

    def step(self, n: int, *, done: int, total: int | None, work: PartWork) -> None:
        """Do one part in one transaction: its work, its result, the progress.

        Args:
            n: the part's number.
            done: how far the job is with it.
            total: how far it will be at the end.
            work: what is done; it may be called again if the database could not keep it. A full disk is waited out.

        Raises:
            JobInterruptedError, LeaseLostError, JobCancelledError: the job ends here.
            BusyError, DatabaseGoneError: the database could not be used for long.
        """
        until, refused = time.monotonic() + PATIENCE_S, 0
        while True:
            self.check()
            try:
                if self.reserve is not None and not self.reserve.holds():
                    raise LowRoomError(T_("the disk is almost full"))
                with writing(self.engine) as session:
                    begin_part(session, job=self.job, done=done, total=total, lease_s=self.lease_s, now=now())
                    self.subjects.clear()
                    self.told.clear()
                    who = self.who(session)
                    end_part(session, job=self.job, n=n, result=work(session, who))
                    self._note(session, who)
            except BusyError:
                if time.monotonic() > until:
                    raise
            except StorageFullError:
                # Somebody has to make room first; to give up would cost the job one of its few attempts.
                self.stopping.wait(_PAUSE_S)
            except IntegrityError:
                # Somebody stored a row of the same key in between: seen now, it is dealt with.
                refused += 1
                if refused == _TRIES:
                    raise
            else:
                return
            self.stopping.wait(_PAUSE_S)

    def _note(self, session: Session, who: Principal) -> None:
        _, _, outcome = _ACTS[self.job.kind]
        acts = ((outcome, None, self.subjects), (Outcome.REFUSED, TOLD_STATUS, self.told))
        write_down(session, [self._act(who, *one) for one in acts if one[2]])

    def _act(self, who: Principal, outcome: Outcome, status: int | None, subjects: Iterable[Subject]) -> Act:
        resource, action, _ = _ACTS[self.job.kind]
        return Act(
            at=now(),
            account_id=who.id,
            rights=rights_of(who, resource, action),
            resource=resource.value,
            action=action.value,
            how=How.JOB,
            operation=self.job.kind.value,
            outcome=outcome,
            status=status,
            subjects=(Subject("job", self.job.id), *subjects),
        )

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the job this worker's while the block runs, however long a part takes."""
        ended = threading.Event()

        def renewing() -> None:
            while not ended.wait(self.lease_s / 3):
                with suppress(BusyError, DatabaseGoneError):
                    try:
                        with writing(self.engine) as session:
                            renew(session, job=self.job, lease_s=self.lease_s, now=now())
                    except LeaseLostError:
                        self.lost.set()
                        return

        thread = threading.Thread(target=renewing, name="job-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
