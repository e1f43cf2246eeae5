"""Carrying out a night: step by step, the state stored after each change, and gone on with after a crash.

In: the table of steps and the settings. Out: a night that has ended, whatever
became of its steps. It exists as one loop, so that a step can neither forget to
be noted nor stop another: what a step raises is what that step came to.

A night that was cut off is gone on with by the next start on the same day in
Taipei: what is done or held stays, everything else is carried out again.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from api.commands.refusals import refusal
from api.nightly.night_steps import REPORT, NightStep
from api.nightly.report import write_report
from api.nightly.step import StepOutcome, StepWork
from api.trail.nights import (
    LOCK,
    Night,
    Progress,
    Said,
    StepRecord,
    StepState,
    new_id,
    nights_path,
    read_nights,
    write_night,
)
from indexer.disk import exclusive_now
from indexer.instants import day_in_taipei
from indexer.settings import Settings
from indexer.wording import T_, either, listed

PROGRESS_EVERY_S = 1.0
"""How often the progress within a step is stored for those who watch."""
_FINAL = (StepState.DONE, StepState.HELD)
_FAILED = (StepState.FAILED, StepState.SKIPPED)


class Watcher(Protocol):
    """Is told how a night goes on, for instance by a terminal."""

    def begun(self, night: Night) -> None:
        """The night was begun, or gone on with."""

    def changed(self, record: StepRecord) -> None:
        """A step changed its state, or is further than it was."""

    def not_stored(self, error: OSError) -> None:
        """The state or the report could not be written; the night goes on without."""


def run_night(
    settings: Settings, watcher: Watcher, *, steps: Sequence[NightStep], fresh: bool = False
) -> tuple[Night, bool]:
    """Carry out tonight's steps, or what is left of them.

    Args:
        settings: the home and everything else.
        watcher: is told of each change.
        steps: the table, or some rows of it.
        fresh: begin anew although a night of today was cut off.

    Returns:
        the night, and whether its state and report could be stored.

    Raises:
        HeldError: another process is at it; nothing was touched.
        OSError: the home is not writable.
    """
    with exclusive_now(nights_path(settings.home) / LOCK):
        now = datetime.now(UTC)
        left = None if fresh else _left(settings, now, steps)
        carried = _Carried(settings, watcher, left or _begun(settings, now, steps))
        carried.out(steps)
    return carried.night, carried.is_stored


def _left(settings: Settings, now: datetime, steps: Sequence[NightStep]) -> Night | None:
    """Return the newest night if it is of today, was cut off, and has the same steps as this release."""
    newest = next(iter(read_nights(settings.home, limit=1)), None)
    if newest is None or newest.finished_at is not None or newest.day != day_in_taipei(now):
        return None
    if [step.name for step in newest.steps] != [step.name for step in steps]:
        return None
    open_again = [
        record
        if record.state in _FINAL
        else record.model_copy(update={"state": StepState.WAITING, "message": None, "progress": None})
        for record in newest.steps
    ]
    return newest.model_copy(update={"starts": (*newest.starts, now), "steps": tuple(open_again)})


def _begun(settings: Settings, now: datetime, steps: Sequence[NightStep]) -> Night:
    day = day_in_taipei(now)
    records = tuple(StepRecord(name=step.name, title=step.title, needs=step.needs) for step in steps)
    return Night(id=new_id(settings.home, day), day=day, starts=(now,), steps=records)


class _Carried:
    """One night while it is carried out."""

    def __init__(self, settings: Settings, watcher: Watcher, night: Night) -> None:
        self.night = night
        self.is_stored = True
        self._settings, self._watcher = settings, watcher
        self._next_progress = 0.0

    def out(self, steps: Sequence[NightStep]) -> None:
        self._stored(self._write)
        self._watcher.begun(self.night)
        for step in steps:
            if self.night.step(step.name).state not in _FINAL:
                self._carry_out(step)
        self.night = self.night.model_copy(update={"finished_at": datetime.now(UTC)})
        if all(step.state is not StepState.FAILED for step in self.night.steps if step.name == REPORT):
            # Once more, since the report that was mailed could not know how its own step would end.
            self._stored(lambda: write_report(self._settings.home, self.night))
        self._stored(self._write)

    def _carry_out(self, step: NightStep) -> None:
        blamed = [needed for needed in step.needs if self.night.step(needed).state in _FAILED]
        if blamed:
            titles = [self.night.step(name).title for name in blamed]
            blame = listed(either(one.zh, one.en) for one in titles)
            said = Said.of(T_("skipped, because this was not done: %(blame)s", blame=blame))
            self._note(step, state=StepState.SKIPPED, message=said)
            return
        begun, started = datetime.now(UTC), time.perf_counter()
        attempts = self.night.step(step.name).attempts + 1
        self._note(step, state=StepState.RUNNING, attempts=attempts, started_at=begun, finished_at=None)
        outcome = self._outcome(step, begun)
        self._note(
            step,
            state=outcome.state,
            finished_at=datetime.now(UTC),
            total_s=round(time.perf_counter() - started, 3),
            progress=None,
            figures=dict(outcome.figures),
            details=dict(outcome.details),
            message=outcome.message,
        )

    def _outcome(self, step: NightStep, now: datetime) -> StepOutcome:
        def tell(stage: str, done: int, total: int) -> None:
            self._further(step, Progress(stage=stage, done=done, total=total))

        try:
            return step.run(StepWork(self._settings, self.night, now, tell))
        except Exception as error:
            return _failed(error)

    def _further(self, step: NightStep, progress: Progress) -> None:
        record = self.night.step(step.name).model_copy(update={"progress": progress})
        self.night = self.night.with_step(record)
        self._watcher.changed(record)
        if time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS_EVERY_S
            self._stored(self._write)

    def _note(self, step: NightStep, **changes: object) -> None:
        # Checked here, so that what a later start could not read fails now and not then.
        record = StepRecord.model_validate({**self.night.step(step.name).model_dump(), **changes})
        self.night = self.night.with_step(record)
        self._stored(self._write)
        self._watcher.changed(record)

    def _write(self) -> None:
        write_night(self._settings.home, self.night)

    def _stored(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            # A full disk must not keep the steps that can do without it from being carried out.
            self.is_stored = False
            self._watcher.not_stored(error)


def _failed(error: Exception) -> StepOutcome:
    """Say what a step ended with; of a fault of ours only its kind and places, since a message may quote records."""
    try:
        told = refusal(error)
    except Exception:
        told = None
    if told is not None:
        return StepOutcome(message=Said(zh=told.message, en=told.message), state=StepState.FAILED)
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
    said = Said.of(T_("a fault of ours (%(kind)s)", kind=kind))
    return StepOutcome(message=said, details={"at": places}, state=StepState.FAILED)
