"""What the server answers about figures, targets, reports and gender statistics.

In: nothing. Out: models for the description of the API. It exists apart from the ledger's documents because figures
are folded from entries, and reports are files. Gender statistics are exact inside an alliance and without small
cells outside, which the models keep apart.
"""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from api.documents.answers import Answer, Page
from api.documents.ledger import HeadAnswer
from api.documents.standing import LabelAnswer
from indexer.wording import Bilingual
from matcher.ledger.figures.folds import YearBasis
from matcher.ledger.figures.gender import GenderGroup
from matcher.ledger.rendering.formats import ReportFormat
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.kpis import Kpi, Unit
from matcher.ledger.rules.targets import Standing, TargetBasis


class AmountAnswer(Answer):
    """An amount, and where the entries behind it are listed."""

    amount: float
    entries: str


class AmountsAnswer(Answer):
    """A figure by how it stands."""

    actual: AmountAnswer
    committed: AmountAnswer
    after_programme: AmountAnswer
    in_review: AmountAnswer


class YearAmountsAnswer(AmountsAnswer):
    """A figure in a year."""

    year: int
    roc_year: int


class AllianceAmountsAnswer(AmountsAnswer):
    """A figure of an alliance."""

    alliance: str


class FigureAnswer(Answer):
    """One figure with its parts."""

    kpi: Kpi
    label: Bilingual
    unit: Unit
    total: AmountsAnswer
    years: list[YearAmountsAnswer]
    by_alliance: list[AllianceAmountsAnswer]


class FiguresAnswer(Answer):
    """All figures as of a day; `alliances` is null for the whole programme."""

    as_of: date
    basis: YearBasis
    year: int | None
    alliances: list[str] | None
    figures: list[FigureAnswer]
    heads: list[HeadAnswer]


class BookTargetAnswer(Answer):
    """What one book of the plan asks for, and the actual that stands against it, in the figure's unit."""

    book: str
    title: Bilingual
    basis: TargetBasis
    basis_label: Bilingual
    source: str
    own: bool = Field(description="Whether the amount was set for the alliance itself.")
    definition: Bilingual | None = Field(
        description="Which money or which cases its wording means, and so what stands against it; null where a figure "
        "has one meaning."
    )
    target: int | float
    actual: int | float
    expected: int | float | None = Field(description="What the pace expects by now; null where it expects nothing yet.")
    standing: Standing


class YearTargetsAnswer(Answer):
    """A figure's targets of a year, or of the whole programme (`year` is null), of all books."""

    year: int | None
    roc_year: int | None
    books: list[BookTargetAnswer]
    disputed: bool = Field(description="Whether the books name different amounts or ways to count.")
    standing: Standing | None = Field(description="null in a year that has not begun or has no target.")
    standing_label: Bilingual | None


class RangeAnswer(Answer):
    """What a forecast expects, beside what was reached and never part of it."""

    expected: float
    low: int
    high: int
    interval: float
    open_cases: int
    until: date


class TargetsOfFigureAnswer(Answer):
    """One figure against the plan."""

    kpi: Kpi
    label: Bilingual
    unit: Unit
    years: list[YearTargetsAnswer]
    disputes: list[Bilingual]
    forecast: RangeAnswer | None = Field(description="To the end of the running year, of the whole programme only.")


class TargetsAnswer(Answer):
    """All figures against the plan; `alliance` is null for the whole programme."""

    as_of: date
    alliance: str | None
    quarter: str = Field(description="By its end the pace expects so much.")
    years: list[int]
    figures: list[TargetsOfFigureAnswer]


class ReportAnswer(Answer):
    """A report that can be downloaded."""

    name: str
    title: Bilingual
    href: str


class ReportsAnswer(Page[ReportAnswer]):
    """The reports and their formats."""

    formats: list[ReportFormat]


class GenderCountAnswer(Answer):
    """A row as it was supplied."""

    id: int
    alliance_id: str
    year: int
    group_code: GenderGroup
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
    group_code: GenderGroup
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

    group: GenderGroup
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

    group: GenderGroup
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
