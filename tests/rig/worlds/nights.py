"""What tests of the nightly job share: a night carried out in this process, and one that is made up.

In: a home. Out: nights. The rehearsal starts a server and takes most of a night's time, so that only the tests that are
about the whole night carry it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api import cli
from api.nightly import night_steps
from api.nightly.night_steps import STEPS, NightStep
from api.nightly.report import write_report
from api.nightly.runner import run_night
from api.trail.nights import Night, Said, StepRecord, StepState, new_id, write_night
from indexer.instants import day_in_taipei
from indexer.settings import Settings
from tests.conftest import Answer

QUICK = tuple(step for step in STEPS if step.name not in ("rehearsal", "prune"))
"""All steps but the rehearsal and what needs it."""


@dataclass
class Watched:
    """Notes what a terminal would be told."""

    seen: list[tuple[str, StepState]] = field(default_factory=list)
    not_written: list[OSError] = field(default_factory=list)

    def begun(self, night: Night) -> None:
        """See `Watcher`."""

    def changed(self, record: StepRecord) -> None:
        """See `Watcher`."""
        if not self.seen or self.seen[-1] != (record.name, record.state):
            self.seen.append((record.name, record.state))

    def not_stored(self, error: OSError) -> None:
        """See `Watcher`."""
        self.not_written.append(error)


def settings_of(home: Path, **more: object) -> Settings:
    """Return the settings of a home that the tests' quickest encoder indexed."""
    return Settings.model_validate({"home": home, "encoders": "bundled-use", "threads": 1, "database_url": "", **more})


def carried_out(settings: Settings, steps: Iterable[NightStep] = QUICK, *, fresh: bool = False) -> Night:
    """Carry a night out and return it."""
    night, is_stored = run_night(settings, Watched(), fresh=fresh, steps=tuple(steps))
    assert is_stored
    return night


def commanded(home: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, **settings: str) -> Answer:
    """Run `gloria nightly` in this process, without the rehearsal and what needs it."""
    monkeypatch.setattr(night_steps, "STEPS", QUICK)
    given = {"home": str(home), "encoders": "bundled-use", "threads": "1", **settings}
    environment = {f"GLORIA_{name.upper()}": value for name, value in given.items()}
    done = CliRunner().invoke(cli.app, ["--lang", "en", "nightly", *arguments], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Answer(done.exit_code, done.stdout, done.stderr)


def only(*names: str) -> tuple[NightStep, ...]:
    """Return some steps of the table."""
    return tuple(step for step in STEPS if step.name in names)


def states(night: Night) -> dict[str, str]:
    """Return the state of each step by its name."""
    return {step.name: step.state.value for step in night.steps}


def made_up_night(
    home: Path,
    *,
    at: datetime | None = None,
    step_state: StepState = StepState.DONE,
    finished: bool = True,
    message: Said | None = None,
) -> Night:
    """Store a night of all steps, each done but the index step, which came to `step_state`."""
    begun = at or datetime.now(UTC)
    records = [
        StepRecord(
            name=step.name,
            title=step.title,
            needs=step.needs,
            state=step_state if step.name == "index" else StepState.DONE,
            attempts=1,
            started_at=begun,
            finished_at=begun + timedelta(seconds=2),
            total_s=2.0,
            figures={"labs": 30} if step.name == "index" else {},
            message=message if step.name == "index" else None,
        )
        for step in STEPS
    ]
    day = day_in_taipei(begun)
    night = Night(
        id=new_id(home, day),
        day=day,
        starts=(begun,),
        finished_at=begun + timedelta(seconds=30) if finished else None,
        steps=tuple(records),
    )
    write_night(home, night)
    write_report(home, night)
    return night
