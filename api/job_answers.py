"""What the server answers about jobs and what they came to.

In: nothing. Out: models for the description of the API. It exists apart from
`answers` because a job's result has as many shapes as there are kinds of jobs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.answers import Answer
from api.jobs import JobKind, JobState
from indexer.vocabulary import Kind
from matcher.ranker import Band


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
    problems: list[RowProblemAnswer]
    problems_left_out: int


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
