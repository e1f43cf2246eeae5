"""The subsidy's way down, and what own income must become: exact arithmetic on whole NTD.

In: the document `subsidy_path`, an alliance's statements, or its plan. Out: the
share that an alliance earns itself year by year beside the share it has to
earn, whether own income rises, and for a plan the income that is needed and
what is missing. It exists because every alliance has to hand in such a plan;
the figures are solved, not searched for.

The plan leaves open what the 40 % are a share of, so the base is configuration:
the year's expenses, or the subsidy of the first year. Rounding: a subsidy and
an income that is projected are rounded down to whole NTD, each once; so what is
needed is never understated. Shares stay exact fractions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from pydantic import Field, model_validator

from indexer.vocabulary import MAX_NTD
from indexer.wording import T_
from matcher.ledger.configuration import Configured, ShareBp
from matcher.ledger.entries import WHOLE_BP, LedgerError
from matcher.ledger.sufficiency import Statement

MAX_YEARS = 30


class Base(StrEnum):
    """What the subsidy is a share of."""

    EXPENSES = "expenses"
    FIRST_YEAR = "first_year"


class SubsidyPath(Configured):
    """The subsidy's share of its base, by subsidy year."""

    name: ClassVar[str] = "subsidy_path"

    base: Base
    shares_bp: dict[int, ShareBp] = Field(min_length=1)
    last_share_bp: ShareBp = Field(description="For every year after the last one named.")

    @model_validator(mode="after")
    def _never_rises(self) -> SubsidyPath:
        down = [*(self.shares_bp[year] for year in sorted(self.shares_bp)), self.last_share_bp]
        if down != sorted(down, reverse=True):
            raise ValueError(T_("the subsidy's share never rises from year to year"))
        return self

    def share_bp(self, year: int) -> int:
        """Return the share of a year; a year before the first one named has that one's."""
        if year > max(self.shares_bp):
            return self.last_share_bp
        return self.shares_bp[max((named for named in self.shares_bp if named <= year), default=min(self.shares_bp))]

    def allowed_ntd(self, year: int, *, expenses_ntd: int, first_year_ntd: int) -> int:
        """Return what a year's subsidy may be, rounded down."""
        base_ntd = self.base_ntd(expenses_ntd=expenses_ntd, first_year_ntd=first_year_ntd)
        return base_ntd * self.share_bp(year) // WHOLE_BP

    def base_ntd(self, *, expenses_ntd: int, first_year_ntd: int) -> int:
        """Return the amount that the share is taken of."""
        return expenses_ntd if self.base is Base.EXPENSES else first_year_ntd


@dataclass(frozen=True)
class OwnShare:
    """How much of its expenses an alliance earned itself in a year, how much it had to, and whether income rose.

    Shares are None in a year without expenses; `rose` is None where there is no year before.
    """

    year: int
    closed: bool
    own_income_ntd: int
    share: Fraction | None
    required: Fraction | None
    rose: bool | None

    @property
    def kept(self) -> bool:
        """Whether the year's share is reached and income did not fail to rise."""
        reached = self.share is None or self.required is None or self.share >= self.required
        return reached and self.rose is not False


def own_shares(path: SubsidyPath, years: Sequence[Statement]) -> list[OwnShare]:
    """Return an alliance's own-income share year by year.

    Args:
        path: the subsidy's way down.
        years: the statements of consecutive years, the first of them the alliance's first.
    """
    found: list[OwnShare] = []
    first_year_ntd = years[0].subsidy_ntd if years else 0
    for one in years:
        allowed = path.allowed_ntd(one.year, expenses_ntd=one.expenses_ntd, first_year_ntd=first_year_ntd)
        spent = one.expenses_ntd > 0
        found.append(
            OwnShare(
                year=one.year,
                closed=one.closed,
                own_income_ntd=one.own_income_ntd,
                share=Fraction(one.own_income_ntd, one.expenses_ntd) if spent else None,
                required=Fraction(max(0, one.expenses_ntd - allowed), one.expenses_ntd) if spent else None,
                rose=one.own_income_ntd > found[-1].own_income_ntd if found else None,
            )
        )
    return found


@dataclass(frozen=True)
class NeededYear:
    """A planned year in NTD: `needed` is the least own income that the rules allow, `gap` what the plan lacks of it."""

    year: int
    expenses_ntd: int
    subsidy_ntd: int
    needed_ntd: int
    projected_ntd: int

    @property
    def gap_ntd(self) -> int:
        """Return what is missing; 0 if the projected income suffices."""
        return max(0, self.needed_ntd - self.projected_ntd)


@dataclass(frozen=True)
class Needed:
    """What income must be, year by year, and the least yearly growth in basis points that closes every gap.

    `growth_bp` is None if there is no income that could grow.
    """

    years: tuple[NeededYear, ...]
    growth_bp: int | None


def needed_income(
    path: SubsidyPath,
    *,
    expenses_ntd: Mapping[int, int],
    own_income_ntd: int,
    growth_bp: int,
    first_year_ntd: int = 0,
) -> Needed:
    """Solve for the own income that planned years need.

    A year's income has to cover what the subsidy leaves of the expenses and to be more than what was needed the year
    before (in the first year: than today's).

    Args:
        path: the subsidy's way down.
        expenses_ntd: the planned expenses of consecutive subsidy years.
        own_income_ntd: the own income of the year before the first of them.
        growth_bp: how much own income is assumed to grow each year, in basis points; it may shrink.
        first_year_ntd: the subsidy of the alliance's first year, if that is the base.

    Raises:
        LedgerError: the years are not consecutive, or an amount is impossible.
    """
    ordered = sorted(expenses_ntd)
    if not ordered or len(ordered) > MAX_YEARS or ordered != [*range(ordered[0], ordered[-1] + 1)]:
        raise LedgerError(T_("plan 1 to %(max_years)s consecutive subsidy years", max_years=MAX_YEARS), "expenses")
    if growth_bp < -WHOLE_BP or growth_bp > 100 * WHOLE_BP:
        raise LedgerError(T_("growth is in basis points, from -10,000 (nothing is left) to 1,000,000"), "growth_bp")
    for amount in (*expenses_ntd.values(), own_income_ntd, first_year_ntd):
        if not 0 <= amount <= MAX_NTD:
            raise LedgerError(T_("give whole NTD from 0 to %(max_ntd)s", max_ntd=f"{MAX_NTD:,}"), "amount_ntd")
    years = []
    before = own_income_ntd
    for passed, year in enumerate(ordered, start=1):
        spent = expenses_ntd[year]
        subsidy = min(spent, path.allowed_ntd(year, expenses_ntd=spent, first_year_ntd=first_year_ntd))
        before = max(spent - subsidy, before + 1)
        projected = own_income_ntd * (WHOLE_BP + growth_bp) ** passed // WHOLE_BP**passed
        years.append(NeededYear(year, spent, subsidy, before, projected))
    return Needed(tuple(years), _least_growth(own_income_ntd, [one.needed_ntd for one in years]))


def _least_growth(start_ntd: int, needed_ntd: Sequence[int]) -> int | None:
    """Return the least growth in basis points with which every year's projection, rounded down, is enough.

    start × (1 + g)^n, rounded down, reaches a whole number exactly if it does before it is rounded.
    """
    if start_ntd == 0:
        return None
    factors = [
        _root_up(-(-need * WHOLE_BP**passed // start_ntd), passed) for passed, need in enumerate(needed_ntd, start=1)
    ]
    return max(factors) - WHOLE_BP


def _root_up(value: int, degree: int) -> int:
    """Return the least whole number whose power of that degree is at least `value` (above 0): Newton's iteration."""
    root = 1 << -(-value.bit_length() // degree)
    while True:
        better = ((degree - 1) * root + value // root ** (degree - 1)) // degree
        if better >= root:
            return root if root**degree >= value else root + 1
        root = better
