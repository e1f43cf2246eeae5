"""What the server answers about nights.

In: nothing. Out: models for the description of the API. It exists apart from
`answers`, because a night is not a record but what a command left behind.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.answers import Answer
from api.night_runs import NightState, StepState


class SaidAnswer(Answer):
    """A sentence in both languages."""

    zh: str
    en: str


class ProgressAnswer(Answer):
    """How far a step is."""

    stage: str
    done: int
    total: int


class NightStepAnswer(Answer):
    """One step of a night: ids, counts and names of files, no text of any record."""

    name: str
    title: SaidAnswer
    needs: list[str] = Field(description="The steps that must not have failed for this one to be carried out.")
    state: StepState
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    total_s: float | None
    progress: ProgressAnswer | None
    figures: dict[str, Any]
    details: dict[str, Any] = Field(description="What the report says beyond the figures; its shape is the step's own.")
    message: SaidAnswer | None


class NightAnswer(Answer):
    """One run of the nightly job; `starts` has more than one moment if it was cut off and gone on with."""

    id: str = Field(examples=["2026-11-24-1"])
    day: date
    state: NightState
    starts: list[datetime]
    finished_at: datetime | None
    total_s: float | None
    steps: list[NightStepAnswer]


class ListedNightAnswer(Answer):
    """A night in a list, with the names of the steps that somebody should look at."""

    id: str = Field(examples=["2026-11-24-1"])
    day: date
    state: NightState
    started_at: datetime
    finished_at: datetime | None
    total_s: float | None
    done: int
    steps: int
    failed: list[str]
    skipped: list[str]
    held: list[str]
