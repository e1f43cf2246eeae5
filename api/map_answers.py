"""What the server answers about the map of the field.

In: nothing. Out: models for the description of the API. It exists apart from
`match_answers` because a map is of all labs and needs, not of one.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.answers import Answer
from matcher.intake import NeedState
from matcher.ranker import Band


class MappedLabAnswer(Answer):
    """A lab on the map."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    fields: list[str]
    x: float
    y: float


class MappedNeedAnswer(Answer):
    """A need on the map, and how it stood when the map was drawn."""

    need_id: str
    title: str | None = Field(description="Null where the text is withheld from the programme office.")
    company: str | None
    fields: list[str]
    state: NeedState
    x: float
    y: float
    labs_allowed: int | None = Field(
        description="How many labs the hard rules let through; null if it was not open then, or withheld."
    )
    best_band: Band | None = Field(description="How well the best lab fits; null where none may be proposed.")
    is_unmet: bool = Field(description="It is open, and no lab is strong or plausible for it.")


class FieldMapAnswer(Answer):
    """Labs and needs in two dimensions: what lies near each other is about the same. Axes and units mean nothing."""

    drawn_at: datetime | None = Field(description="Null if no map was drawn yet.")
    generation: str | None
    ranker_version: str | None
    labs: list[MappedLabAnswer]
    needs: list[MappedNeedAnswer]
    labs_without_place: int = Field(description="Labs that you may see and that came after the map was drawn.")
    needs_without_place: int
    withheld: int = Field(description="Of how many needs the standing is withheld, because of interests you declared.")
