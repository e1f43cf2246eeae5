"""The rules by which results are recognised, as data.

In: nothing. Out: the document `recognition`: the programme's dates, from which
amount on two people have to agree, and when two claims look alike. It exists
apart from the verbs because the programme office may change it.
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import Field

from matcher.ledger.configuration import Configured


class RecognitionRules(Configured):
    """How results come to count."""

    name: ClassVar[str] = "recognition"

    programme_start: date
    programme_end: date = Field(description="What falls after it is shown apart.")
    two_people_from_ntd: int = Field(ge=0, description="Recognising more money than this takes two people.")
    similar_name_score: float = Field(ge=0, le=100, description="Names at least so alike (0 to 100) may be the same.")
    similar_amount_share: float = Field(ge=0, le=1, description="Amounts that differ by at most this share are alike.")
    similar_days: int = Field(ge=0, le=3_660, description="Dates at most so many days apart are alike.")
