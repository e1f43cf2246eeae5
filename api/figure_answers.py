"""What the server answers about figures and reports.

In: nothing. Out: models for the description of the API. It exists apart from
`ledger_answers` because figures are folded from entries, and reports are files.
"""

from __future__ import annotations

from datetime import date

from api.answers import Answer, Page
from api.ledger_answers import HeadAnswer
from matcher.explanation import Bilingual
from matcher.ledger.figures import YearBasis
from matcher.ledger.kpis import Kpi, Unit
from matcher.ledger.rendering.formats import ReportFormat


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


class ReportAnswer(Answer):
    """A report that can be downloaded."""

    name: str
    title: Bilingual
    href: str


class ReportsAnswer(Page[ReportAnswer]):
    """The reports and their formats."""

    formats: list[ReportFormat]
