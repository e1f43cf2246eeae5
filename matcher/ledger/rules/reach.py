"""The rule of reach as the programme office sets it: data with a date, a reason and an author, off until somebody does.

In: nothing. Out: the document `reach_rule`: the floor below which lesser-known schools may not fall beside well-known
ones, which scores are near ties, and how fast what was seen is forgotten. It exists as a document because whom an
office lets stand earlier is its decision, which people ask about later; what it does to an order is arithmetic
(`matcher.ranking.reach`).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from matcher.ledger.rules.configuration import Configured


class ReachRule(Configured):
    """When a lab of a lesser-known school may stand before a near tie."""

    name: ClassVar[str] = "reach_rule"

    floor: float = Field(
        ge=0, le=2, description="Least reach of all others, beside that of well-known schools; 0 is off."
    )
    tolerance: float = Field(ge=0, le=1, description="Scores that differ by no more are near ties; a fit of 1 is 10.")
    half_life_weeks: int = Field(ge=1, le=104, description="After so many weeks what was seen counts half.")
