"""What the programme set out to reach: target books as data, and every definition by which the plan counts.

In: the documents `target_books` and `money_definitions`, and what was reached. Out: for each figure and year the
targets of every book, each with its basis, its place in the plan and the actual that its basis asks for; predicates
that say which money and which cases a definition takes in. It exists because the plan disagrees with itself: jobs
are annual in one table and cumulative in another, and money is worded in three ways. No reading is chosen here:
each target names the definition that its wording means and is compared with the figure of that definition only,
and where readings come to different answers, that is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from indexer.vocabulary import COUNTRIES
from indexer.wording import P_, T_
from matcher.ledger.rows.details import InternationalBasis, PayerType, Purpose
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.configuration import Configured, TakesNoYesForANumber


class TargetBasis(StrEnum):
    """Which actual stands against a target: that of its year, that up to its year, or that of the whole programme."""

    ANNUAL = "annual"
    CUMULATIVE = "cumulative"
    WHOLE = "whole"


BASIS_LABELS = {
    TargetBasis.ANNUAL: P_("targets", "in the year"),
    TargetBasis.CUMULATIVE: T_("up to the year"),
    TargetBasis.WHOLE: T_("whole programme"),
}
"""Each basis in Chinese and English."""


class Standing(StrEnum):
    """How an actual stands against its targets; `disputed` if one reading says reached and another does not."""

    REACHED = "reached"
    OPEN = "open"
    DISPUTED = "disputed"


STANDING_LABELS = {
    Standing.REACHED: T_("reached"),
    Standing.OPEN: T_("open"),
    Standing.DISPUTED: T_("depends on the reading"),
}
"""Each standing in Chinese and English."""


OfYears = Callable[[Sequence[int], str | None], int]
"""Gives a figure's actual of some years together by the code of a definition; without one, all that may count."""


class _Item(TakesNoYesForANumber):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Item):
    """What is to be reached, in the figure's unit. `year` is of the common era, None for the whole programme."""

    kpi: Kpi
    year: int | None = Field(ge=2000, le=2200)
    amount: int = Field(ge=1)
    basis: TargetBasis
    source: str = Field(min_length=1, description="The table or paragraph of the plan.")
    definition: str | None = Field(
        default=None, description="Which money or which cases its wording means; see money_definitions."
    )

    @model_validator(mode="after")
    def _year_fits_basis(self) -> Self:
        if (self.year is None) != (self.basis is TargetBasis.WHOLE):
            raise ValueError(T_("a target of the whole programme has no year, every other one has"))
        return self

    def actual(self, of_years: OfYears, years: Iterable[int]) -> int:
        """Return the actual that stands against this target.

        Args:
            of_years: gives the actual of some years together, by a definition.
            years: the years of the programme.
        """
        return of_years(self.years(years), self.definition)

    def years(self, years: Iterable[int]) -> list[int]:
        """Return those years of the programme whose results stand against this target."""
        if self.basis is TargetBasis.ANNUAL:
            return [year for year in years if year == self.year]
        return [year for year in years if self.year is None or year <= self.year]


class TargetBook(_Item):
    """One of the plan's tables or paragraphs with targets, at most one for each figure and year."""

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    targets: tuple[Target, ...]

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        keys = [(target.kpi, target.year) for target in self.targets]
        if len(keys) != len(set(keys)):
            raise ValueError(T_("book %(code)s has two targets for one figure and year", code=self.code))
        return self

    def target(self, kpi: Kpi, year: int | None) -> Target | None:
        """Return the target of a figure for a year, or for the whole programme (None).

        A book that names no whole says one all the same: its last cumulative target. One that speaks of a single year
        says nothing of the whole.
        """
        of = [target for target in self.targets if target.kpi is kpi]
        found = next((target for target in of if target.year == year), None)
        if found is not None or year is not None:
            return found
        cumulative = [target for target in of if target.basis is TargetBasis.CUMULATIVE]
        return max(cumulative, key=lambda target: target.year or 0) if len(cumulative) > 1 else None


class GivenActual(_Item):
    """What the plan itself says was reached: shown and reconciled, never added to what the ledger counts."""

    kpi: Kpi
    year: int
    amount: int = Field(ge=0)
    source: str = Field(min_length=1)


class SelfSufficiencyScope(StrEnum):
    """Which alliances are to be self-sufficient: those of the model cases, or all."""

    MODEL_CASES = "model_cases"
    ALL_ALLIANCES = "all_alliances"


SCOPE_LABELS = {
    SelfSufficiencyScope.MODEL_CASES: T_("model cases"),
    SelfSufficiencyScope.ALL_ALLIANCES: T_("all alliances"),
}
"""Each scope in Chinese and English."""


class SelfSufficiency(_Item):
    """Within how many years alliances are to live on their own income, as one place of the plan has it."""

    scope: SelfSufficiencyScope
    within_years: int = Field(ge=1, le=50)
    source: str = Field(min_length=1)


class Dispute(_Item):
    """How the plan can be read in several ways about a figure."""

    kpi: Kpi
    zh: str
    en: str


class TargetBooks(Configured):
    """All target books, what the plan says was reached, its deadlines, and where it disagrees with itself."""

    name: ClassVar[str] = "target_books"
    takes_two: ClassVar[bool] = True

    books: tuple[TargetBook, ...] = Field(min_length=1)
    given_actuals: tuple[GivenActual, ...]
    self_sufficiency: tuple[SelfSufficiency, ...]
    disputes: tuple[Dispute, ...]

    @model_validator(mode="after")
    def _codes_differ(self) -> Self:
        codes = [book.code for book in self.books]
        if len(codes) != len(set(codes)):
            raise ValueError(T_("two books have the same code"))
        return self

    def targets(self, kpi: Kpi, year: int | None) -> list[tuple[TargetBook, Target]]:
        """Return what each book says of a figure for a year, or for the whole programme (None)."""
        found = ((book, book.target(kpi, year)) for book in self.books)
        return [(book, target) for book, target in found if target is not None]

    def readings_differ(self, kpi: Kpi, year: int | None) -> bool:
        """Whether books name different amounts, bases or definitions for the same figure and year."""
        said = {
            (target.amount, None if year is None else target.basis, target.definition)
            for _, target in self.targets(kpi, year)
        }
        return len(said) > 1

    def given(self, kpi: Kpi, year: int) -> GivenActual | None:
        """Return what the plan says was reached, None if it says nothing."""
        return next((one for one in self.given_actuals if (one.kpi, one.year) == (kpi, year)), None)


@dataclass(frozen=True)
class Compared:
    """A target with the actual that its basis asks for."""

    book: TargetBook
    target: Target
    actual: int

    @property
    def standing(self) -> Standing:
        """Reached or open."""
        return Standing.REACHED if self.actual >= self.target.amount else Standing.OPEN


def compare(books: TargetBooks, kpi: Kpi, year: int | None, of_years: OfYears, years: Sequence[int]) -> list[Compared]:
    """Return every book's target of a figure for a year (None: the whole programme) with its actual.

    Args:
        books: the target books.
        kpi: the figure.
        year: the year, of the common era.
        of_years: gives the figure's actual of some years together, by the definition that a target names.
        years: the years of the programme.
    """
    return [Compared(book, target, target.actual(of_years, years)) for book, target in books.targets(kpi, year)]


def standing(compared: Iterable[Compared]) -> Standing | None:
    """Return how a figure stands by all books together, None if no book says anything."""
    return combined(one.standing for one in compared)


def combined(standings: Iterable[Standing]) -> Standing | None:
    """Return one standing for those of all books, None if no book says anything."""
    said = set(standings)
    if not said:
        return None
    return said.pop() if len(said) == 1 else Standing.DISPUTED


def _countries(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(value) - COUNTRIES)
    if unknown:
        raise ValueError(T_("%(unknown)r is no country; give ISO codes such as TW or DE", unknown=unknown[0]))
    return value


class Traits(NamedTuple):
    """What definitions ask of a result: who pays, for what, or why a case is international; None where it is silent."""

    payer_country: str | None = None
    payer_type: str | None = None
    purpose: str | None = None
    basis: str | None = None


Takes = Callable[[Traits], bool]


def from_industry(of: Traits) -> bool:
    """Whether money can be industry's at all: what public bodies pay and what is given never is, by any wording."""
    return of.payer_type != PayerType.PUBLIC_BODY and of.purpose != Purpose.DONATION


class MoneyDefinition(BaseModel):
    """One way to say which money counts; an empty list takes in all that can be industry's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    source: str = Field(min_length=1, description="Where the plan words it so.")
    payer_countries: Annotated[tuple[str, ...], AfterValidator(_countries)]
    payer_types: tuple[PayerType, ...]
    purposes: tuple[Purpose, ...]

    def takes(self, of: Traits) -> bool:
        """Whether money of this payer and purpose counts."""
        return (
            from_industry(of)
            and (not self.payer_countries or of.payer_country in self.payer_countries)
            and (not self.payer_types or of.payer_type in self.payer_types)
            and (not self.purposes or of.purpose in self.purposes)
        )


class CaseDefinition(BaseModel):
    """One way to say which cases are international."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern="^[a-z][a-z0-9_]*$")
    title_zh: str = Field(min_length=1)
    title_en: str = Field(min_length=1)
    bases: tuple[InternationalBasis, ...] = Field(min_length=1)

    def takes(self, of: Traits) -> bool:
        """Whether a case that is international for this reason counts."""
        return of.basis in self.bases


class MoneyDefinitions(Configured):
    """All definitions, in the order in which they are printed."""

    name: ClassVar[str] = "money_definitions"
    takes_two: ClassVar[bool] = True

    definitions: tuple[MoneyDefinition, ...] = Field(min_length=1)
    international_cases: tuple[CaseDefinition, ...] = Field(min_length=1)

    def of(self, kpi: Kpi) -> tuple[MoneyDefinition | CaseDefinition, ...]:
        """Return the definitions of a figure; a figure with one meaning has none."""
        if kpi is Kpi.MONEY:
            return self.definitions
        return self.international_cases if kpi is Kpi.INTERNATIONAL_CASES else ()

    def named(self, kpi: Kpi, code: str | None) -> MoneyDefinition | CaseDefinition | None:
        """Return the definition that a target names, None if it names none or one that was taken away."""
        return next((one for one in self.of(kpi) if one.code == code), None)

    def takes(self, kpi: Kpi, code: str | None) -> Takes | None:
        """Return which results stand against a target of a figure that names a definition; None takes all.

        Books that were stored before targets named definitions name none: then all that can be industry's money counts.
        """
        found = self.named(kpi, code)
        if found is not None:
            return found.takes
        return from_industry if kpi is Kpi.MONEY else None
