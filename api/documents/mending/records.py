"""What the office says and is told of records that are retired, merged or told apart.

In: JSON bodies; rows. Out: checked values; documents and their models, for the description of the API. It exists apart
from what labs, companies and needs say of themselves: that something is no longer used is said of it, not by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.documents.answers import Answer
from api.documents.bodies import Note
from indexer.records.mended.retired import Retirement
from indexer.vocabulary import Mendable

Reason = Annotated[Note, Field(min_length=1, max_length=2_000, examples=["主持人已退休,研究室已裁撤"])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetireBody(_Body):
    """Why a record is no longer used, and since when; without a day since today."""

    reason: Reason
    since: date | None = Field(default=None, description="Today or a day before.")


class RetirementAnswer(Answer):
    """One time that a record was retired; `part` is a piece of evidence of the lab, "" otherwise."""

    id: int
    kind: Mendable
    record_id: str
    part: str
    name: str
    name_en: str
    since: date
    reason: str
    by: str | None
    at: datetime
    ended_at: datetime | None
    ended_by: str | None


class RetirementsAnswer(Answer):
    """What is retired now, the newest first."""

    items: list[RetirementAnswer]


def retirement_document(row: Retirement, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return one retirement as it is answered; `names` are those of the record."""
    return row.model_dump(mode="json") | {"name": names.get("name", ""), "name_en": names.get("name_en", "")}
