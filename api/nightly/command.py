"""`gloria nightly`: everything that has to be done every night, in one command for cron or a timer.

In: the home and its settings. Out: a night carried out, with a line for each
step and the time it took on a terminal; on anything else only what somebody
should know. Exit code 0 if all is well, 1 if a step failed or the new index was
held back. A start while a night is at work says so and ends with 0, since it is
no fault if a night takes long; with 1 once that night is older than half a day,
since then it hangs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.screen import STAGES, Screen, finish, write_document
from api.home import read_settings
from indexer.wording import T_, either

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from api.trail.nights import Night, StepRecord
    from indexer.disk import Holder
    from indexer.settings import Settings

HANGS_AFTER = timedelta(hours=12)


def nightly(
    context: typer.Context,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew although a night of today was cut off.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Back up, import drop folders, re-index, draw the map, take down figures, prove the ledger, report."""
    from indexer.disk import HeldError

    screen, settings = Screen.of(context), read_settings()
    try:
        night, is_stored = _carried_out(screen, settings, fresh, quiet=as_json)
    except HeldError as error:
        _say_held(screen, error.holder, as_json)
        return
    _say_outcome(screen, settings, night, as_json)
    finish(night.outcome.value != "done" or not is_stored)


def _carried_out(screen: Screen, settings: Settings, fresh: bool, *, quiet: bool) -> tuple[Night, bool]:
    from api.nightly import night_steps
    from api.nightly.runner import run_night

    with _lines(screen, shown=screen.err.is_terminal and not quiet) as lines:
        return run_night(settings, lines, fresh=fresh, steps=night_steps.STEPS)


def _say_held(screen: Screen, holder: Holder, as_json: bool) -> None:
    since = "?" if holder.since is None else f"{holder.since.astimezone():%Y-%m-%d %H:%M}"
    hangs = holder.since is not None and datetime.now(UTC) - holder.since > HANGS_AFTER
    screen.note(
        T_(
            "a night is at work already (process %(process)s, since %(since)s); nothing was done",
            process=holder.process,
            since=since,
        ),
    )
    if as_json:
        write_document({"already_running": True, "process": holder.process, "since": holder.since and since})
    finish(hangs)


def _say_outcome(screen: Screen, settings: Settings, night: Night, as_json: bool) -> None:
    from api.letters.sending.night_letter import report_document
    from api.trail.nights import NIGHT_STATES, REPORT_PAGE, STEP_STATES, StepState, night_path

    if as_json:
        write_document(report_document(night))
        return
    for step in night.steps:
        if step.state in (StepState.FAILED, StepState.HELD, StepState.SKIPPED) or (
            step.message is not None and not _is_routine(step)
        ):
            state = screen.text(STEP_STATES[step.state])
            title = screen.text(either(step.title.zh, step.title.en))
            said = "" if step.message is None else ": " + screen.text(either(step.message.zh, step.message.en))
            screen.complain(f"{title} ({state}){said}", "yellow" if step.state is not StepState.FAILED else "red")
    report = night_path(settings.home, night.id) / REPORT_PAGE
    if night.outcome.value != "done" or screen.out.is_terminal:
        said = screen.text(
            T_(
                "night %(id)s: %(state)s; report: %(report)s",
                id=night.id,
                state=NIGHT_STATES[night.outcome],
                report=report,
            )
        )
        screen.out.print(said, soft_wrap=True)


def _is_routine(step: StepRecord) -> bool:
    """Whether what a step says is nothing that anybody has to do something about."""
    return step.name == "import" and not step.figures.get("folders")


class _StepLines:
    """A line for each step in the terminal, with its time; or nothing but faults."""

    def __init__(self, screen: Screen, bars: Progress | None) -> None:
        self._screen, self._bars = screen, bars
        self._tasks: dict[str, TaskID] = {}

    def begun(self, night: Night) -> None:
        """Say if it goes on with one that was cut off."""
        if len(night.starts) > 1 and self._bars is not None:
            self._screen.note(T_("going on with %(id)s, which was cut off", id=night.id))

    def changed(self, record: StepRecord) -> None:
        """Bring the step's line up to date."""
        from api.trail.nights import STEP_STATES

        if self._bars is None:
            return
        title = self._screen.text(either(record.title.zh, record.title.en))
        if record.name not in self._tasks:
            self._tasks[record.name] = self._bars.add_task(title, total=None, said="")
        task = self._tasks[record.name]
        if record.finished_at is not None or record.state.value == "skipped":
            self._bars.update(task, total=1, completed=1, said=self._screen.text(STEP_STATES[record.state]))
            self._bars.stop_task(task)
        elif record.progress is not None:
            stage = STAGES.get(record.progress.stage, record.progress.stage)
            said = f"{self._screen.text(stage)} {record.progress.done:,}/{record.progress.total:,}"
            self._bars.update(task, total=record.progress.total or None, completed=record.progress.done, said=said)

    def not_stored(self, error: OSError) -> None:
        """Say that the night's state is kept nowhere."""
        self._screen.complain(
            self._screen.text(T_("the night's state can't be written (%(strerror)s)", strerror=error.strerror))
        )


@contextmanager
def _lines(screen: Screen, *, shown: bool) -> Iterator[_StepLines]:
    if not shown:
        yield _StepLines(screen, None)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=screen.err) as bars:
        yield _StepLines(screen, bars)
