"""A night whose process kills itself with SIGKILL in the middle of a step, before it, or after it.

Run as `python -m tests.rig.servers.killed_night STEP WHERE`. WHERE is `before` the step's work, `after` it but before
that was noted, or `noted`: after the note, before the next step. `claimed` is what the product must not do: the step is
noted as done before its work. All else is the product's.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

from api.nightly import runner
from api.nightly.step import Run, StepOutcome, StepWork
from api.trail.nights import StepState, write_night
from indexer.settings import Settings
from tests.rig.worlds.nights import QUICK, Watched


def die() -> None:
    """Go without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(name: str, run: Run, where: str) -> Run:
    """Return a step that kills its process before or after its work."""

    def carry_out(work: StepWork) -> StepOutcome:
        if where == "claimed":
            record = work.night.step(name).model_copy(update={"state": StepState.DONE})
            write_night(work.settings.home, work.night.with_step(record))
        if where in ("before", "claimed"):
            die()
        outcome = run(work)
        if where == "after":
            die()
        return outcome

    return carry_out


def main() -> None:
    """Carry a night out up to where it is killed."""
    name, where = sys.argv[1:]
    steps = tuple(replace(step, run=deadly(name, step.run, where)) if step.name == name else step for step in QUICK)

    class Killing(Watched):
        def changed(self, record: object) -> None:
            if where == "noted" and getattr(record, "name", "") == name and getattr(record, "finished_at", None):
                die()

    runner.run_night(Settings(), Killing(), steps=steps)


if __name__ == "__main__":
    main()
