"""One job in the hands of its worker: it goes part by part, and can be stopped between any two.

In: a claimed job. Out: parts that are each one transaction, done once. It exists so that what a kind of job does
need not know about leases, turns to write, cancelling or shutting down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from api.audit_trail import Act, How, Outcome, Subject, write_down
from api.jobs import Claimed, JobKind, LeaseLostError, begin_part, end_part, parts_done, renew
from api.policy import Action, Resource, rights_of
from indexer.database import BusyError, DatabaseGoneError, StorageFullError, reading, writing
from indexer.instants import now
from indexer.wording import T_
from matcher.people import Principal, principal

PATIENCE_S = 60.0
"""How long a part waits for its turn to write, try after try."""
_PAUSE_S = 0.2
_TRIES = 3

_ACTS = {
    JobKind.IMPORT: (Resource.IMPORT, Action.CREATE, Outcome.DONE),
    JobKind.MATCH_BATCH: (Resource.MATCH, Action.READ, Outcome.SEEN),
}
"""What a part of each kind of job is in the words of the audit trail."""

PartWork = Callable[[Session, Principal], dict[str, Any]]


class JobRefusedError(ValueError):
    """The job can't be done; the message says why, without quoting what was sent."""


class JobInterruptedError(RuntimeError):
    """The server stops; the job goes back into the queue."""


@dataclass
class Running:
    """A claimed job. `step` is what its kind calls for each part."""

    engine: Engine
    job: Claimed
    lease_s: float
    stopping: threading.Event
    lost: threading.Event = field(default_factory=threading.Event)
    subjects: set[Subject] = field(default_factory=set)
    """What the part at hand is about, as its work found out: with any, the part leaves a row in the audit trail."""

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
                with writing(self.engine) as session:
                    begin_part(session, job=self.job, done=done, total=total, lease_s=self.lease_s, now=now())
                    self.subjects.clear()
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
        if not self.subjects:
            return
        resource, action, outcome = _ACTS[self.job.kind]
        act = Act(
            at=now(),
            account_id=who.id,
            rights=rights_of(who, resource, action),
            resource=resource.value,
            action=action.value,
            how=How.JOB,
            operation=self.job.kind.value,
            outcome=outcome,
            subjects=(Subject("job", self.job.id), *self.subjects),
        )
        write_down(session, [act])

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
