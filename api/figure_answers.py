"""What the server answers about figures and reports.

In: nothing. Out: models for the description of the API. It exists apart from
`ledger_answers` because figures are folded from entries, and reports are files.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from api.answers import Answer, Page
from api.ledger_answers import HeadAnswer
from matcher.explanation import Bilingual
from matcher.ledger.figures import YearBasis
from matcher.ledger.kpis import Kpi, Unit
from matcher.ledger.rendering.formats import ReportFormat
from matcher.ledger.targets import Standing, TargetBasis


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
