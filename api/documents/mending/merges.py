"""What the office says and is told of records that are merged.

In: JSON bodies; plans and mergings. Out: checked values; documents and their models, for the description of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.documents.answers import Answer
from api.documents.bodies import Word
from api.documents.mending.records import Reason
from indexer.records.mended.merged import RecordMerge
from indexer.vocabulary import Mendable
from indexer.wording import Text
from matcher.mending.merging import UNDO_WITHIN, Plan, can_be_undone
from matcher.mending.retiring import RecordName


class MergeBody(BaseModel):
    """Into which record it is merged, and why they are one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kept: Word = Field(min_length=1, description="The id of the record that is kept.")
    reason: Reason


class MovedAnswer(Answer):
    """How many rows of one sort."""

    what: str
    rows: int


class PlanAnswer(Answer):
    """What a merging would move, what is found by the old id from then on, and what to look at first."""

    kind: Mendable
    gone_id: str
    kept_id: str
    gone_name: str
    gone_name_en: str
    kept_name: str
    kept_name_en: str
    moves: list[MovedAnswer]
    found_by_old_id: list[MovedAnswer]
    warnings: list[str]


class MergeAnswer(Answer):
    """One merging; until `undo_until` it can be taken back."""

    id: int
    kind: Mendable
    gone_id: str
    kept_id: str
    gone_name: str
    gone_name_en: str
    kept_name: str
    kept_name_en: str
    reason: str
    by: str | None
    at: datetime
    undo_until: datetime
    can_be_undone: bool
    undone_at: datetime | None
    undone_by: str | None


class MergesAnswer(Answer):
    """The mergings that hold, the newest first."""

    items: list[MergeAnswer]


def _names(gone: RecordName, kept: RecordName) -> dict[str, str]:
    return {
        "gone_name": gone.name,
        "gone_name_en": gone.name_en,
        "kept_name": kept.name,
        "kept_name_en": kept.name_en,
    }


_NOBODY = RecordName()


def plan_document(plan: Plan, names: Mapping[str, RecordName]) -> dict[str, Any]:
    """Return a plan as it is answered; sorts of rows are in English."""
    return {
        "kind": plan.kind.value,
        "gone_id": plan.gone_id,
        "kept_id": plan.kept_id,
        **_names(names.get(plan.gone_id, _NOBODY), names.get(plan.kept_id, _NOBODY)),
        "moves": [{"what": str(what), "rows": rows} for what, rows in plan.moved],
        "found_by_old_id": [{"what": str(what), "rows": rows} for what, rows in plan.found_by_old_id],
        "warnings": [_english(one) for one in plan.warnings],
    }


def _english(text: Text) -> str:
    return str(text.en)


def merge_document(row: RecordMerge, names: Mapping[str, RecordName], now: datetime) -> dict[str, Any]:
    """Return a merging as it is answered."""
    return row.model_dump(mode="json") | {
        **_names(names.get(row.gone_id, _NOBODY), names.get(row.kept_id, _NOBODY)),
        "undo_until": (row.at + UNDO_WITHIN).isoformat(),
        "can_be_undone": can_be_undone(row, now),
    }
