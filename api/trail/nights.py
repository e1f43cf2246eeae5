"""The nights as files, and in words: what each step came to, for whoever resumes, reads or watches a night.

In: the state of a night, written whole after every change. Out: the same, read back by the next start, the API and
the pages; and what states and figures are called, so that terminal, report, mail and pages call the same thing the
same. It exists as files beside the database and not as a table, because a night must be able to say that the
database is gone, and because a restored backup must not bring back a night that never ended.

A night is `nightly/ID/state.json` in the home, beside its report; its id is the day in Taipei and a number. Nothing
here holds texts of records: ids and counts.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from indexer.disk import Holder, holder, write_whole
from indexer.wording import P_, T_, Text
from matcher.ledger.figures.waiting import WAITING_LABELS

FOLDER = "nightly"
STATE = "state.json"
REPORT_PAGE = "report.html"
REPORT_DOCUMENT = "report.json"
LOCK = "lock"
KEPT_NIGHTS = 60
NIGHT_ID = r"\d{4}-\d{2}-\d{2}-\d{1,4}"


class StepState(StrEnum):
    """How far a step has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    HELD = "held"
    SKIPPED = "skipped"
    FAILED = "failed"


class NightState(StrEnum):
    """How a night stands; `interrupted` is one that never ended and that nobody is at."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    DONE = "done"
    HELD = "held"
    FAILED = "failed"


class Record(BaseModel):
    """Part of a night's state; never changed, only replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(Record):
    """A sentence in both languages."""

    zh: str
    en: str

    @classmethod
    def of(cls, text: Text) -> Self:
        """Return a text as a night keeps it."""
        return cls(zh=text.zh, en=text.en)


class Progress(Record):
    """How far the step at hand is: the name of its stage, how much is done, and how much there is."""

    stage: str
    done: int
    total: int


class StepRecord(Record):
    """What one step came to. `figures` are counts and seconds, `details` what the report says beyond them."""

    name: str
    title: Said
    needs: tuple[str, ...] = ()
    state: StepState = StepState.WAITING
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    total_s: float | None = None
    progress: Progress | None = None
    figures: dict[str, Any] = {}
    details: dict[str, Any] = {}
    message: Said | None = None


class Night(Record):
    """One run of the nightly job; `starts` are the moments at which it was begun and, after a crash, gone on with."""

    id: str
    day: date
    starts: tuple[datetime, ...]
    finished_at: datetime | None = None
    steps: tuple[StepRecord, ...]

    def step(self, name: str) -> StepRecord:
        """Return a step by its name.

        Raises:
            KeyError: there is no such step.
        """
        found = next((step for step in self.steps if step.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def with_step(self, record: StepRecord) -> Night:
        """Return the night with one of its steps replaced."""
        return self.model_copy(
            update={"steps": tuple(record if step.name == record.name else step for step in self.steps)}
        )

    def state(self, *, running: bool) -> NightState:
        """Return how the night stands; `running` says whether somebody is at it."""
        if self.finished_at is None:
            return NightState.RUNNING if running else NightState.INTERRUPTED
        return self.outcome

    @property
    def total_s(self) -> float | None:
        """How many seconds passed from the first start to the end; None while it has not ended."""
        return None if self.finished_at is None else round((self.finished_at - self.starts[0]).total_seconds(), 1)

    @property
    def outcome(self) -> NightState:
        """How the night ends if nothing else fails: the worst that a step came to so far."""
        states = {step.state for step in self.steps}
        if states & {StepState.FAILED, StepState.SKIPPED}:
            return NightState.FAILED
        return NightState.HELD if StepState.HELD in states else NightState.DONE


def nights_path(home: Path) -> Path:
    """Return the folder of all nights."""
    return home / FOLDER


def night_path(home: Path, night_id: str) -> Path:
    """Return the folder of one night.

    Raises:
        KeyError: that is no id of a night.
    """
    if not re.fullmatch(NIGHT_ID, night_id):
        raise KeyError(night_id)
    return nights_path(home) / night_id


def who_is_at_it(home: Path) -> Holder | None:
    """Return which process carries out a night now, None if none does."""
    return holder(nights_path(home) / LOCK)


def night_ids(home: Path) -> list[str]:
    """Return the ids of all nights that are kept, the newest first."""
    found = [path.name for path in nights_path(home).glob("*-*-*-*") if re.fullmatch(NIGHT_ID, path.name)]
    return sorted(found, key=_order, reverse=True)


def _order(night_id: str) -> tuple[str, int]:
    return night_id[:10], int(night_id[11:])


def new_id(home: Path, day: date) -> str:
    """Return the next id of a day."""
    numbers = [_order(night_id)[1] for night_id in night_ids(home) if night_id.startswith(day.isoformat())]
    return f"{day.isoformat()}-{max(numbers, default=0) + 1}"


def read_night(home: Path, night_id: str) -> Night | None:
    """Return a night, None if there is none of that id or its state can't be read."""
    try:
        return Night.model_validate(orjson.loads((night_path(home, night_id) / STATE).read_bytes()))
    except (OSError, KeyError, ValidationError, orjson.JSONDecodeError):
        return None


def read_nights(home: Path, *, limit: int | None = None) -> list[Night]:
    """Return the nights that are kept and can be read, the newest first."""
    found: list[Night] = []
    for night_id in night_ids(home):
        night = read_night(home, night_id)
        if night is not None:
            found.append(night)
        if limit is not None and len(found) >= limit:
            break
    return found


def write_night(home: Path, night: Night) -> None:
    """Store a night's state; a crash leaves either this or the one before.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder = night_path(home, night.id)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / STATE, orjson.dumps(night.model_dump(mode="json"), option=orjson.OPT_INDENT_2))


def forget_old_nights(home: Path, *, keep: int = KEPT_NIGHTS) -> list[str]:
    """Delete the oldest nights beyond `keep` and return their ids."""
    old: Sequence[str] = night_ids(home)[keep:]
    for night_id in old:
        shutil.rmtree(night_path(home, night_id), ignore_errors=True)
    return list(old)


STEP_STATES = {
    StepState.WAITING: P_("night words", "waiting"),
    StepState.RUNNING: P_("night words", "running"),
    StepState.DONE: P_("night words", "done"),
    StepState.HELD: P_("night words", "held back"),
    StepState.SKIPPED: T_("skipped"),
    StepState.FAILED: T_("failed"),
}
NIGHT_STATES = {
    NightState.RUNNING: P_("night words", "running"),
    NightState.INTERRUPTED: T_("cut off; the next start goes on with it"),
    NightState.DONE: T_("all done"),
    NightState.HELD: T_("done, the new index is held back"),
    NightState.FAILED: T_("steps failed"),
}
STEP_FIGURE_LABELS = {
    "acceptances": T_("acceptances"),
    "alliances": T_("alliances"),
    "better_challengers": T_("better challengers"),
    "bytes": T_("bytes"),
    "cases_without_contact": T_("cases without contact"),
    "challengers": T_("challengers"),
    "changed": P_("night words", "changed"),
    "checks": T_("checks"),
    "created": T_("created"),
    "decisions": T_("decisions"),
    "deferred_due": T_("deferred and due"),
    "dropped": T_("passages dropped"),
    "encoded": T_("encoded"),
    "encoding_s": T_("seconds of encoding"),
    "entries": P_("night words", "entries"),
    "failed": T_("not passed"),
    "failed_sign_ins": T_("failed sign-ins"),
    "files": T_("files"),
    "files_failed": T_("files not imported"),
    "not_own": T_("rows not the folder's own"),
    "files_imported": T_("files imported"),
    "files_same": T_("files imported before"),
    "files_waiting": T_("files still being written"),
    "findings": T_("findings"),
    "folders": T_("folders"),
    "follow_ups_due": T_("follow-ups due"),
    "generations": T_("generations of the index"),
    "heads_compared": T_("heads compared"),
    "jobs": P_("night words", "jobs"),
    "keys_never_woken": T_("keys never woken"),
    "kept_at_most": T_("kept at most"),
    "labs": T_("labs"),
    "lift": T_("to be lifted"),
    "due": T_("told of what is due"),
    "mail_refused": T_("letters refused"),
    "mail_waiting": T_("letters that wait"),
    "mail_returned": T_("letters that came back"),
    "mail_files": T_("old letters of the folder"),
    "mailed": T_("letters sent"),
    "mailed_to": T_("mailed to"),
    "notices": T_("old notices"),
    "renewals": T_("old requests for new passwords"),
    "needs": T_("needs"),
    "needs_to_match": T_("needs to match"),
    "needs_to_review": T_("needs to review"),
    "new": T_("new places"),
    "new_needs": T_("new needs"),
    "nights": T_("old nights"),
    "open_needs": T_("open needs"),
    "passages": T_("passages"),
    "peak_memory_mb": T_("peak memory, MB"),
    "plan_missing": T_("plans missing"),
    "plan_overdue": T_("plans overdue"),
    "refused": P_("night words", "refused"),
    "removed": T_("removed"),
    "evidence": T_("files that no result names"),
    "attachments": T_("attached files that were taken away"),
    "replies": T_("stored replies"),
    "reused": T_("vectors reused"),
    "rows": T_("rows"),
    "sessions": T_("ended sessions"),
    "silent_companies": T_("companies without contact"),
    "steps": P_("night words", "steps"),
    "unchanged": T_("unchanged"),
    "unmet": T_("needs without a fitting lab"),
    "updated": T_("updated"),
    "visits_due": T_("joint visits due"),
    "warn": T_("warnings proposed"),
    "without_place": T_("without a place"),
} | {kind.value: label for kind, label in WAITING_LABELS.items()}
"""What the figures of the steps count."""
