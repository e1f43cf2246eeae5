"""The subsidy's way down, and what own income must become: exact arithmetic on whole NTD.

In: the document `subsidy_path`, an alliance's statements, its plan, or assumptions that a person changes. Out: the
share that an alliance earns itself year by year beside the share it has to earn, and whether own income rises; for
a plan the income that is needed and what is missing; for assumptions, year by year, what would come in, be spent
and be allowed. It exists because every alliance has to hand in such a plan, and should see before it plans which of
its incomes has to grow, and by how much; the figures are solved, not searched for. Nothing of a simulation is
stored and none of it is an actual.

The plan leaves open what the 40 % are a share of, so the base is configuration: the year's expenses, or the subsidy
of the first year. Rounding: every amount that is projected is rounded down to whole NTD once, so what is needed is
never understated. Shares stay exact fractions.
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
from matcher.ledger.figures.sufficiency import EXPENSES, Statement, SufficiencyItem
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rules.configuration import Configured, ShareBp

MAX_YEARS = 30


class SubsidyBase(StrEnum):
    """What the subsidy is a share of."""

    EXPENSES = "expenses"
    FIRST_YEAR = "first_year"


class SubsidyPath(Configured):
    """The subsidy's share of its base, by subsidy year."""

    name: ClassVar[str] = "subsidy_path"

    base: SubsidyBase
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
        return expenses_ntd if self.base is SubsidyBase.EXPENSES else first_year_ntd


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
    recorded: bool

    @property
    def kept(self) -> bool | None:
        """Whether the year's share is reached and income did not fail to rise; None where nothing was booked."""
        if not self.recorded:
            return None
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
                rose=one.own_income_ntd > found[-1].own_income_ntd if found and one.recorded else None,
                recorded=one.recorded,
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


MAX_SIMULATED_YEARS = 10
MAX_NEW_MEMBERS = 1_000
MAX_GROWTH_BP = 10 * WHOLE_BP
MAX_FEE_NTD = 100_000_000


@dataclass(frozen=True)
class Assumptions:
    """What is assumed of every year to come; growth is in basis points a year and may be negative.

    `new_members` join every year and stay, each paying `fee_ntd` a year, beside the growth of the fees there are.
    `subsidy_change_bp` is added to the share of the base that the path allows, and kept between nothing and all.
    """

    years: int = 5
    fees_growth_bp: int = 0
    overhead_growth_bp: int = 0
    other_growth_bp: int = 0
    expenses_growth_bp: int = 0
    new_members: int = 0
    fee_ntd: int = 0
    subsidy_change_bp: int = 0


@dataclass(frozen=True)
class SimulatedYear:
    """A year to come in NTD; `required` is the share of the expenses that the subsidy does not cover."""

    year: int
    fees_ntd: int
    overhead_ntd: int
    other_ntd: int
    expenses_ntd: int
    subsidy_ntd: int

    @property
    def own_income_ntd(self) -> int:
        """Return fees, overhead and other income."""
        return self.fees_ntd + self.overhead_ntd + self.other_ntd

    @property
    def needed_ntd(self) -> int:
        """Return what own income has to cover."""
        return max(0, self.expenses_ntd - self.subsidy_ntd)

    @property
    def balance_ntd(self) -> int:
        """Return what is left: own income and subsidy less expenses."""
        return self.own_income_ntd + self.subsidy_ntd - self.expenses_ntd

    @property
    def share(self) -> Fraction | None:
        """Return own income's share of the expenses; None in a year without expenses."""
        return Fraction(self.own_income_ntd, self.expenses_ntd) if self.expenses_ntd else None

    @property
    def required(self) -> Fraction | None:
        """Return the share that own income has to have; None in a year without expenses."""
        return Fraction(self.needed_ntd, self.expenses_ntd) if self.expenses_ntd else None


@dataclass(frozen=True)
class Simulation:
    """The years to come, and the year that they begin with."""

    base: Statement
    years: tuple[SimulatedYear, ...]

    @property
    def reached_in(self) -> int | None:
        """Return the first year from which own income covers what it has to, to the end; None if it never does.

        From a year in which nothing was booked nothing follows.
        """
        found = None
        if not self.base.recorded:
            return None
        for one in reversed(self.years):
            if one.own_income_ntd < one.needed_ntd:
                break
            found = one.year
        return found


def simulate(path: SubsidyPath, past: Sequence[Statement], assumed: Assumptions) -> Simulation:
    """Return what the years after the last closed one would be.

    Args:
        path: the subsidy's way down.
        past: the statements of consecutive years, the first of them the alliance's first.
        assumed: what is assumed.

    Raises:
        LedgerError: an assumption is out of bounds, or an amount would get beyond them; `field` says which.
    """
    _check(assumed)
    base = _base_of(past)
    years = []
    for passed in range(1, assumed.years + 1):
        year = base.year + passed
        expenses = _grown(sum(base.items[item] for item in EXPENSES), assumed.expenses_growth_bp, passed)
        share_bp = min(WHOLE_BP, max(0, path.share_bp(year) + assumed.subsidy_change_bp))
        of = path.base_ntd(expenses_ntd=expenses, first_year_ntd=past[0].subsidy_ntd)
        fees = _grown(base.items[SufficiencyItem.MEMBER_FEES], assumed.fees_growth_bp, passed)
        years.append(
            SimulatedYear(
                year=year,
                fees_ntd=fees + passed * assumed.new_members * assumed.fee_ntd,
                overhead_ntd=_grown(base.items[SufficiencyItem.OVERHEAD], assumed.overhead_growth_bp, passed),
                other_ntd=_grown(base.items[SufficiencyItem.OTHER_INCOME], assumed.other_growth_bp, passed),
                expenses_ntd=expenses,
                subsidy_ntd=min(expenses, of * share_bp // WHOLE_BP),
            )
        )
    if max(years[-1].own_income_ntd, years[-1].expenses_ntd) > MAX_NTD:
        raise LedgerError(T_("with that growth amounts get beyond all bounds; assume less, or fewer years"), "years")
    return Simulation(base, tuple(years))


def _base_of(past: Sequence[Statement]) -> Statement:
    """Return the statement that a simulation begins with: the last closed year with expenses, else the last year."""
    closed = [one for one in past if one.closed and one.expenses_ntd]
    return closed[-1] if closed else past[-1]


def _grown(amount_ntd: int, growth_bp: int, years: int) -> int:
    return int(Fraction(amount_ntd) * Fraction(WHOLE_BP + growth_bp, WHOLE_BP) ** years)


def _check(assumed: Assumptions) -> None:
    if not 1 <= assumed.years <= MAX_SIMULATED_YEARS:
        raise LedgerError(
            T_("simulate 1 to %(max_simulated_years)s years", max_simulated_years=MAX_SIMULATED_YEARS), "years"
        )
    for name in ("fees_growth_bp", "overhead_growth_bp", "other_growth_bp", "expenses_growth_bp"):
        if not -WHOLE_BP <= getattr(assumed, name) <= MAX_GROWTH_BP:
            raise LedgerError(
                T_(
                    "growth is in basis points a year, from -10,000 to %(max_growth_bp)s",
                    max_growth_bp=f"{MAX_GROWTH_BP:,}",
                ),
                name,
            )
    if not 0 <= assumed.new_members <= MAX_NEW_MEMBERS:
        raise LedgerError(
            T_("give 0 to %(max_new_members)s new members a year", max_new_members=f"{MAX_NEW_MEMBERS:,}"),
            "new_members",
        )
    if not 0 <= assumed.fee_ntd <= MAX_FEE_NTD:
        raise LedgerError(
            T_("give a yearly fee in whole NTD from 0 to %(max_fee_ntd)s", max_fee_ntd=f"{MAX_FEE_NTD:,}"), "fee_ntd"
        )
    if not -WHOLE_BP <= assumed.subsidy_change_bp <= WHOLE_BP:
        raise LedgerError(
            T_("a change of the subsidy's share is from -10,000 to 10,000 basis points"), "subsidy_change_bp"
        )
