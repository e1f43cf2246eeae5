"""What the server answers about alliances: standing, self-sufficiency, points, and the documents of rules.

In: nothing. Out: models for the description of the API. It exists apart from
`answers` because alliances have a vocabulary of their own.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.answers import Answer
from indexer.vocabulary import Tier
from matcher.ledger.kpis import Kpi
from matcher.ledger.ladder import Rung
from matcher.ledger.standings import Finding
from matcher.ledger.sufficiency import Item
from matcher.ledger.warnings import Level


class LabelAnswer(Answer):
    """What something is called."""

    zh: str
    en: str


class LinkAnswer(Answer):
    """An entry behind a number."""

    id: str
    href: str


class ReadingAnswer(Answer):
    """How a target stands: amounts in the figure's unit; shares of alliances may be parts of it."""

    kpi: Kpi
    label: LabelAnswer
    year: int
    quarter: str = Field(description="By its end so much is expected.")
    target: int | float
    before: int | float = Field(description="What a cumulative target had to reach by the end of the year before.")
    pace: float = Field(description="The share of the rest that is expected by the end of the quarter.")
    expected: int | float
    warning_below: float = Field(description="Less than this share of what is expected is a warning.")
    actual: int | float
    gap: int | float
    in_review: int | float
    level: Level
    level_label: LabelAnswer
    entries: list[LinkAnswer] = Field(description="What counts, if the target is behind.")


class FindingAnswer(Answer):
    """What is proposed; a person of the programme office decides."""

    finding: Finding
    label: LabelAnswer
    kpi: Kpi


class RungAnswer(Answer):
    """Where an alliance stands for a figure; `kpi` is null for the alliance as a whole."""

    kpi: Kpi | None
    rung: Rung
    label: LabelAnswer
    since: date
    days: int
    reason: str
    owner: str | None
    due_on: date | None


class LadderStepAnswer(Answer):
    """A step that was taken. `grounds` is the gap of a warning, amounts in units × 10,000."""

    id: int
    alliance_id: str
    ladder: str
    version: int
    rung: Rung
    reason: str
    owner: str | None
    due_on: date | None
    grounds: dict[str, Any]
    by: str
    at: datetime


class StandingAnswer(Answer):
    """How an alliance stands on a day."""

    alliance: str
    as_of: date
    book: str = Field(description="The target book that it is read against.")
    readings: list[ReadingAnswer]
    findings: list[FindingAnswer]
    rungs: list[RungAnswer]
    steps: list[LadderStepAnswer]


class AllianceWarningsAnswer(Answer):
    """An alliance with what is behind, what is proposed, and where it stands."""

    alliance: str
    name: LabelAnswer
    behind: list[ReadingAnswer] = Field(description="Targets that are behind their pace.")
    findings: list[FindingAnswer]
    rungs: list[RungAnswer]


class WarningsAnswer(Answer):
    """All alliances that you may see, on a day."""

    as_of: date
    book: str = Field(description="The target book that they are read against.")
    books: dict[str, LabelAnswer]
    alliances: list[AllianceWarningsAnswer]


class MoneyRowAnswer(Answer):
    """An amount, or what takes one back."""

    id: int
    alliance_id: str
    item: Item
    tier: Tier | None
    occurred_on: date
    amount_ntd: int
    source: str
    reverses: int | None
    by: str
    at: datetime


class ItemAnswer(Answer):
    """An item of a statement and the rows behind it."""

    item: Item
    label: LabelAnswer
    amount_ntd: int
    rows: list[int]


class OwnShareAnswer(Answer):
    """How much of its expenses an alliance earned itself, and had to; null in a year without expenses."""

    year: int
    roc_year: int
    closed: bool
    own_income_ntd: int
    share: float | None
    required: float | None
    rose: bool | None = Field(description="Whether own income rose; null in the first year.")
    kept: bool


class SufficiencyAnswer(Answer):
    """An alliance's statement of a subsidy year, and its own-income share year by year."""

    alliance: str
    as_of: date
    year: int
    roc_year: int
    first_day: date
    last_day: date
    closed: bool
    items: list[ItemAnswer]
    fees: dict[Tier, int]
    own_income_ntd: int
    expenses_ntd: int
    subsidy_ntd: int
    balance_ntd: int
    rows: list[MoneyRowAnswer]
    years: list[OwnShareAnswer]


class NeededYearAnswer(Answer):
    """A planned year."""

    year: int
    roc_year: int
    expenses_ntd: int
    subsidy_ntd: int
    needed_ntd: int
    projected_ntd: int
    gap_ntd: int


class NeededAnswer(Answer):
    """What own income must be; `growth_bp` is the least yearly growth that suffices, null if nothing can grow."""

    alliance: str
    own_income_ntd: int
    first_year_subsidy_ntd: int
    years: list[NeededYearAnswer]
    growth_bp: int | None


class SimulatedYearAnswer(Answer):
    """A simulated year: nothing of it is an actual."""

    year: int
    roc_year: int
    fees_ntd: int
    overhead_ntd: int
    other_ntd: int
    own_income_ntd: int
    expenses_ntd: int
    subsidy_ntd: int
    needed_ntd: int
    balance_ntd: int
    share: float | None
    required: float | None


class SimulationAnswer(Answer):
    """What the years to come would be under assumptions; `reached_in` is the year from which own income suffices."""

    alliance: str
    as_of: date
    base_year: int = Field(description="The subsidy year that it begins with.")
    base_closed: bool
    assumed: dict[str, int]
    years: list[SimulatedYearAnswer]
    reached_in: int | None


class PointRowAnswer(Answer):
    """Points of a person, or what takes them back."""

    id: int
    alliance_id: str
    person: str
    activity: str
    points: int
    occurred_on: date
    source: str
    reverses: int | None
    by: str
    at: datetime


class PaidAnswer(Answer):
    """What a person has and is paid."""

    person: str
    points: int
    ntd: int


class PointsAnswer(Answer):
    """The points of a subsidy year and what they pay."""

    alliance: str
    year: int
    roc_year: int
    closed: bool
    pot_ntd: int
    payout: list[PaidAnswer]
    rows: list[PointRowAnswer]


class ConfigurationNameAnswer(Answer):
    """A document and its current version; version 0 is the one that the product comes with."""

    name: str
    version: int
    reason: str | None
    by: str | None
    at: datetime | None
    href: str


class ConfigurationAnswer(ConfigurationNameAnswer):
    """A document as it holds now."""

    document: dict[str, Any]
