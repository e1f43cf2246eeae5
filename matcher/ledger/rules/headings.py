"""What stands at the top of the papers that are handed in, and who seals them: data, since offices rename themselves.

In: nothing. Out: the document `report_heading` with the programme's name, its number of review, the agency that
applies, and the labels of the seals (核章). It exists so that a report is the Ministry's paper and not a printout.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from matcher.ledger.rules.configuration import Configured


class HeadingText(BaseModel):
    """A text in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: str = Field(min_length=1, max_length=200)
    en: str = Field(min_length=1, max_length=200)


class ReportHeading(Configured):
    """The block at the top of a paper and the seals at its end."""

    name: ClassVar[str] = "report_heading"

    programme: HeadingText
    review_number: str = Field(max_length=100)
    agency: HeadingText
    signers: tuple[HeadingText, ...] = Field(max_length=6)
