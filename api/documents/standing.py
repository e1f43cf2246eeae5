"""What the server says of alliances: standing, self-sufficiency, points, and the documents of rules.

In: what the ledger found. Out: JSON documents; models for the description of the API. It exists apart from the
routes because amounts have to be written the same everywhere, in whole units where they are whole, never in basis
points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from api.documents.ledger import MotionAnswer
from indexer.vocabulary import Tier
from indexer.wording import Text
from matcher.ledger.figures.ladder import FINDING_LABELS, RUNG_LABELS, FindingKind, LadderFinding, LadderStanding, Rung
from matcher.ledger.figures.self_operation import Ladder, OperationReading
from matcher.ledger.figures.subsidy import Assumptions, NeededYear, OwnShare, Simulation
from matcher.ledger.figures.sufficiency import ITEM_LABELS, Statement, SufficiencyItem
from matcher.ledger.figures.warnings import LEVEL_LABELS, Level, PaceReading
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.periods import roc_year, subsidy_days


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


class OperationAnswer(Answer):
    """How the last closed subsidy year stands: what the alliance earned itself, and what it had to.

    `level` and the shares are null where nothing was booked: 未填報, which is no gap and never as required.
    """

    year: int
    roc_year: int
    own_income_ntd: int
    share: float | None
    required: float | None
    rose: bool | None
    level: Level | None


class FindingAnswer(Answer):
    """What is proposed; a person of the programme office decides."""

    finding: FindingKind
    label: LabelAnswer
    kpi: Ladder


class RungAnswer(Answer):
    """Where an alliance stands for a figure or for self-operation; `kpi` is null for the alliance as a whole."""

    kpi: Ladder | None
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
    self_operation: OperationAnswer | None = Field(description="Null before a subsidy year of the alliance has closed.")
    findings: list[FindingAnswer]
    rungs: list[RungAnswer]
    steps: list[LadderStepAnswer]


class AllianceWarningsAnswer(Answer):
    """An alliance with what is behind, what is proposed, and where it stands."""

    alliance: str
    name: LabelAnswer
    behind: list[ReadingAnswer] = Field(description="Targets that are behind their pace.")
    self_operation: OperationAnswer | None
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
    item: SufficiencyItem
    tier: Tier | None
    occurred_on: date
    amount_ntd: int
    source: str
    reverses: int | None
    by: str
    at: datetime


class ItemAnswer(Answer):
    """An item of a statement and the rows behind it."""

    item: SufficiencyItem
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
    recorded: bool = Field(description="Whether anything was booked in the year.")
    kept: bool | None = Field(description="Whether the year is as required; null where nothing was booked.")


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
    base_recorded: bool = Field(description="Whether anything was booked in it; else nothing follows from it.")
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
    takes_two: bool = Field(description="Whether one person only moves a change, for another to agree.")
    motion: MotionAnswer | None = Field(description="The change that waits for a second person.")


def label(text: Text) -> dict[str, str]:
    """Return a label in both languages."""
    return {"zh": text.zh, "en": text.en}


def units(amount_bp: int) -> int | float:
    """Return an amount in units, whole if it is."""
    return amount_bp // WHOLE_BP if amount_bp % WHOLE_BP == 0 else amount_bp / WHOLE_BP


def reading_document(reading: PaceReading) -> dict[str, Any]:
    """Return how a target stands, with the entries behind it."""
    facts = KPI_FACTS[reading.kpi]
    return {
        "kpi": reading.kpi.value,
        "label": label(facts.label),
        "year": reading.year,
        "quarter": reading.quarter,
        "target": units(reading.target_bp),
        "before": units(reading.before_bp),
        "pace": reading.pace_bp / WHOLE_BP,
        "expected": units(reading.expected_bp),
        "warning_below": reading.warning_below_bp / WHOLE_BP,
        "actual": units(reading.actual_bp),
        "gap": units(reading.gap_bp),
        "in_review": units(reading.in_review_bp),
        "level": reading.level.value,
        "level_label": label(LEVEL_LABELS[reading.level]),
        "entries": [{"id": one, "href": f"/api/ledger/entries/{one}"} for one in reading.entries],
    }


def operation_document(reading: OperationReading) -> dict[str, Any]:
    """Return how an alliance carries itself; shares are rounded to floating point."""
    own = reading.own
    known = own.recorded
    return {
        **_year(own.year),
        "own_income_ntd": own.own_income_ntd,
        "share": float(own.share) if known and own.share is not None else None,
        "required": float(own.required) if known and own.required is not None else None,
        "rose": own.rose,
        "level": None if reading.level is None else reading.level.value,
    }


def finding_document(found: LadderFinding) -> dict[str, Any]:
    """Return what is proposed."""
    return {"finding": found.finding.value, "label": label(FINDING_LABELS[found.finding]), "kpi": found.kpi.value}


def rung_document(standing: LadderStanding) -> dict[str, Any]:
    """Return where an alliance stands."""
    return {
        "kpi": None if standing.kpi is None else standing.kpi.value,
        "rung": standing.rung.value,
        "label": label(RUNG_LABELS[standing.rung]),
        "since": standing.since.isoformat(),
        "days": standing.days,
        "reason": standing.reason,
        "owner": standing.owner,
        "due_on": None if standing.due_on is None else standing.due_on.isoformat(),
    }


def statement_document(statement: Statement) -> dict[str, Any]:
    """Return a statement with the rows behind each item."""
    first, last = subsidy_days(statement.year)
    return {
        "alliance": statement.alliance,
        **_year(statement.year),
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "closed": statement.closed,
        "items": [
            {"item": item.value, "label": label(ITEM_LABELS[item]), "amount_ntd": ntd, "rows": statement.rows[item]}
            for item, ntd in statement.items.items()
        ],
        "fees": {tier.value: ntd for tier, ntd in statement.fees.items()},
        "own_income_ntd": statement.own_income_ntd,
        "expenses_ntd": statement.expenses_ntd,
        "subsidy_ntd": statement.subsidy_ntd,
        "balance_ntd": statement.balance_ntd,
    }


def share_documents(years: Sequence[OwnShare]) -> list[dict[str, Any]]:
    """Return own-income shares year by year; `kept` is exact, the shares are rounded to floating point."""
    return [
        {
            **_year(one.year),
            "closed": one.closed,
            "own_income_ntd": one.own_income_ntd,
            "share": None if one.share is None else float(one.share),
            "required": None if one.required is None else float(one.required),
            "rose": one.rose,
            "recorded": one.recorded,
            "kept": one.kept,
        }
        for one in years
    ]


def needed_document(one: NeededYear) -> dict[str, Any]:
    """Return what a planned year needs."""
    return {
        **_year(one.year),
        "expenses_ntd": one.expenses_ntd,
        "subsidy_ntd": one.subsidy_ntd,
        "needed_ntd": one.needed_ntd,
        "projected_ntd": one.projected_ntd,
        "gap_ntd": one.gap_ntd,
    }


def simulation_document(alliance: str, day: date, simulated: Simulation, assumed: Assumptions) -> dict[str, Any]:
    """Return what years to come would be; shares are rounded to floating point."""
    return {
        "alliance": alliance,
        "as_of": day.isoformat(),
        "base_year": simulated.base.year,
        "base_closed": simulated.base.closed,
        "base_recorded": simulated.base.recorded,
        "assumed": asdict(assumed),
        "years": [
            {
                **_year(one.year),
                "fees_ntd": one.fees_ntd,
                "overhead_ntd": one.overhead_ntd,
                "other_ntd": one.other_ntd,
                "own_income_ntd": one.own_income_ntd,
                "expenses_ntd": one.expenses_ntd,
                "subsidy_ntd": one.subsidy_ntd,
                "needed_ntd": one.needed_ntd,
                "balance_ntd": one.balance_ntd,
                "share": None if one.share is None else float(one.share),
                "required": None if one.required is None else float(one.required),
            }
            for one in simulated.years
        ],
        "reached_in": simulated.reached_in,
    }


def _year(year: int) -> dict[str, int]:
    return {"year": year, "roc_year": roc_year(year)}
