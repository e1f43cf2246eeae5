"""What if: an alliance's income, expenses and subsidy in the years to come, under assumptions that a person changes.

In: the statements of past subsidy years, the subsidy's way down, and
assumptions. Out: year by year what would come in, be spent and be allowed, and
how far own income would reach. It exists so that an alliance can see before it
plans which of its incomes has to grow, and by how much; nothing of it is
stored and none of it is an actual.

Exact arithmetic on whole NTD: every amount is rounded down once, from the year
that the simulation begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from indexer.vocabulary import MAX_NTD
from indexer.wording import T_
from matcher.ledger.entries import WHOLE_BP, LedgerError
from matcher.ledger.subsidy import SubsidyPath
from matcher.ledger.sufficiency import EXPENSES, Item, Statement

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
        """Return the first year from which own income covers what it has to, to the end; None if it never does."""
        found = None
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
    base = base_of(past)
    years = []
    for passed in range(1, assumed.years + 1):
        year = base.year + passed
        expenses = _grown(sum(base.items[item] for item in EXPENSES), assumed.expenses_growth_bp, passed)
        share_bp = min(WHOLE_BP, max(0, path.share_bp(year) + assumed.subsidy_change_bp))
        of = path.base_ntd(expenses_ntd=expenses, first_year_ntd=past[0].subsidy_ntd)
        fees = _grown(base.items[Item.MEMBER_FEES], assumed.fees_growth_bp, passed)
        years.append(
            SimulatedYear(
                year=year,
                fees_ntd=fees + passed * assumed.new_members * assumed.fee_ntd,
                overhead_ntd=_grown(base.items[Item.OVERHEAD], assumed.overhead_growth_bp, passed),
                other_ntd=_grown(base.items[Item.OTHER_INCOME], assumed.other_growth_bp, passed),
                expenses_ntd=expenses,
                subsidy_ntd=min(expenses, of * share_bp // WHOLE_BP),
            )
        )
    if max(years[-1].own_income_ntd, years[-1].expenses_ntd) > MAX_NTD:
        raise LedgerError(T_("with that growth amounts get beyond all bounds; assume less, or fewer years"), "years")
    return Simulation(base, tuple(years))


def base_of(past: Sequence[Statement]) -> Statement:
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
