"""What the server answers about long work: jobs and what they came to, index generations, and nights.

In: nothing. Out: models for the description of the API. It exists apart from `answers` because long work is
followed while it goes on: a job and a night have states, parts and progress.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from api.jobs.job_queue import JobKind, JobState
from api.trail.nights import NightState, StepState
from indexer.vocabulary import Kind
from matcher.ranking.ranker import Band


class JobAnswer(Answer):
    """How far a job is; a file's name is among the parameters for who sent it only."""

    id: str
    kind: JobKind
    account_id: str
    alliance: str | None
    parameters: dict[str, Any]
    state: JobState
    done: int
    total: int | None
    cancelling: bool
    refusal: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class GenerationAnswer(Answer):
    """A generation of the index that is kept; all that its manifest says is null if that is damaged."""

    name: str
    current: bool
    serving: bool
    damaged: bool
    held: str | None = Field(description="Why it is kept but not used, null if it is or was.")
    created_at: datetime | None
    labs: int | None
    encoders: list[str] | None
    size_bytes: int | None


class RowProblemAnswer(Answer):
    """What is wrong with a row of a file, and what would be right."""

    file: str
    row: int
    field: str
    wrong: str
    right: str
    severity: str


class ImportResultAnswer(Answer):
    """What an import came to."""

    dry_run: bool
    file: str
    kind: Kind | None
    created: int
    updated: int
    unchanged: int
    refused: int
    errors: int
    values_changed: int
    values_emptied: int
    problems: list[RowProblemAnswer]
    problems_left_out: int


class ImportDraftAnswer(Answer):
    """A list that is looked through before it is imported; `job` is the last import that was begun from it."""

    id: str
    name: str
    alliance: str | None
    holds: str
    corrections: int
    created_at: datetime
    kept_until: datetime
    job: str | None


class ListColumnAnswer(Answer):
    """A column of a list: what it was taken for (null: kept beside our fields, `-`: left out), some of its cells."""

    column: int
    heading: str
    field: str | None
    guessed: bool
    chosen: bool
    unit: str
    samples: list[str]


class ListTableAnswer(Answer):
    """A table of a list; without a kind it is not read."""

    key: str
    sheet: int
    title: str
    header_row: int
    kind: Kind | None
    chosen: bool
    left_out: bool
    rows: int
    rows_left_out: int
    makes_ids: bool
    fixed: dict[str, str]
    columns: list[ListColumnAnswer]
    errors: int
    warnings: int


class PlacedProblemAnswer(RowProblemAnswer):
    """A problem of a list, with the key of its table and the number of its column."""

    table: str | None
    column: int | None


class NewRecordAnswer(Answer):
    """A record that an import would create."""

    id: str
    name: str


class ValueChangeAnswer(Answer):
    """A stored value that an import would change or empty; what is stored of a need is not said."""

    id: str
    name: str
    field: str
    before: str | None
    after: str | None
    empties: bool


class PlannedAnswer(Answer):
    """What an import would do to records of one kind; lists of records and values hold the first ones."""

    kind: Kind
    created: int
    updated: int
    unchanged: int
    refused: int
    values_changed: int
    values_emptied: int
    new: list[NewRecordAnswer]
    changes: list[ValueChangeAnswer]


class LookedThroughAnswer(ImportDraftAnswer):
    """A list with all that is understood of it."""

    tables: list[ListTableAnswer]
    problems: list[PlacedProblemAnswer]
    problems_left_out: int
    errors: int
    plan: list[PlannedAnswer]


class ListRowAnswer(Answer):
    """A row of a list: its cells as text, and what is wrong with them."""

    row: int
    left_out: bool
    cells: list[str]
    problems: list[PlacedProblemAnswer]


class ListRowsAnswer(Answer):
    """Some rows of a table; `next` is the row to go on after, null at the end."""

    rows: list[ListRowAnswer]
    total: int
    all: int
    next: int | None


class MappingAnswer(Answer):
    """Columns that are kept under a name: the field of each heading."""

    name: str
    kind: Kind | None
    fields: dict[str, str]
    own: bool
    saved_at: datetime


class UndoneAnswer(Answer):
    """What taking an import back came to."""

    job: str
    removed: int
    restored: int


class BatchPairingAnswer(Answer):
    """One lab of a batch, by its ids."""

    rank: int
    lab_id: str
    score: float
    band: Band
    pairing_id: int
    proposal_id: int


class BatchNeedAnswer(Answer):
    """The labs for one need of a batch, best first."""

    need_id: str
    generation: str
    total: int
    withheld: int
    pairings: list[BatchPairingAnswer]


class BatchResultAnswer(Answer):
    """What a batch of matches came to."""

    needs: list[BatchNeedAnswer]
    left_out: int


class PlanResultAnswer(Answer):
    """The plan that was made, by its number."""

    plan_id: int


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
