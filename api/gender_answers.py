"""What the server answers about gender statistics: exact inside an alliance, without small cells outside.

In: nothing. Out: models for the description of the API. It exists apart from
the other answers so that the two kinds are seen side by side: nothing of the
exact one may ever come into the other.
"""

from __future__ import annotations

from datetime import date, datetime

from api.answers import Answer
from api.standing_answers import LabelAnswer
from matcher.ledger.details import Gender
from matcher.ledger.gender import Group


class GenderCountAnswer(Answer):
    """A row as it was supplied."""

    id: int
    alliance_id: str
    year: int
    group_code: Group
    gender: Gender
    people: int
    source: str
    by: str
    at: datetime


class GenderCountsAnswer(Answer):
    """The rows of a group."""

    items: list[GenderCountAnswer]


class GenderAnalysisAnswer(Answer):
    """An analysis of causes."""

    id: int
    alliance_id: str
    year: int
    group_code: Group
    text: str
    by: str
    at: datetime


class LowShareAnswer(Answer):
    """A gender whose share is too low; `analysis` is null until there is one."""

    gender: Gender
    share: float
    analysis: GenderAnalysisAnswer | None


class GenderGroupAnswer(Answer):
    """A group of an alliance, exact; `people` is null if nothing was supplied."""

    group: Group
    label: LabelAnswer
    people: dict[Gender, int] | None
    low_shares: list[LowShareAnswer]


class AllianceGenderAnswer(Answer):
    """An alliance's own figures: internal, not to be passed on."""

    alliance: str
    year: int
    roc_year: int
    closed: bool
    internal: bool
    groups: list[GenderGroupAnswer]


class PublishedRowAnswer(Answer):
    """A row of a table; null is a number that is left out, `alliance` is null in the row of totals."""

    alliance: str | None
    people: dict[Gender, int | None]
    total: int | None


class PublishedGroupAnswer(Answer):
    """A group in all alliances."""

    group: Group
    label: LabelAnswer
    rows: list[PublishedRowAnswer]


class ProgrammeGenderAnswer(Answer):
    """The programme's figures of a closed subsidy year, as they may be passed on."""

    year: int
    roc_year: int
    first_day: date
    last_day: date
    small_below: int
    groups: list[PublishedGroupAnswer]
