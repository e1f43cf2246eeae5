"""A contract paid over several years: one entry for each instalment.

In: a contract with its schedule. Out: the reports of its instalments. It exists
because a commitment can span years and outlive the programme: each year's part
counts in that year, and what falls due after the programme's end is shown apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from indexer.wording import T_
from matcher.ledger.entries import LedgerError
from matcher.ledger.kpis import Kpi
from matcher.ledger.reporting import Report


@dataclass(frozen=True)
class Instalment:
    """What falls due on a day, in NTD."""

    due_on: date
    amount_ntd: int


def split_evenly(total_ntd: int, due: Sequence[date]) -> list[Instalment]:
    """Return a total split over days; what does not divide goes to the first ones, so that the parts sum to it.

    Raises:
        LedgerError: there are no days, or fewer NTD than days.
    """
    if not due or total_ntd < len(due):
        raise LedgerError(T_("give at least one day, and at least NT$ 1 for each"), "amount")
    each, rest = divmod(total_ntd, len(due))
    return [Instalment(day, each + (place < rest)) for place, day in enumerate(sorted(due))]


def reports_of(contract: Report, schedule: Sequence[Instalment]) -> list[Report]:
    """Return one report for each instalment of a contract.

    Args:
        contract: the whole contract; its amount is the total, its details lack `instalment`.
        schedule: the instalments; they must sum to the total.

    Raises:
        LedgerError: the contract is not about money, or the instalments do not sum to its total.
    """
    if contract.kpi is not Kpi.MONEY:
        raise LedgerError(T_("only money is paid in instalments"), "kpi")
    if sum(part.amount_ntd for part in schedule) != contract.amount:
        raise LedgerError(T_("the instalments do not sum to the contract's total"), "amount")
    ordered = sorted(schedule, key=lambda part: part.due_on)
    return [_report(contract, number, part) for number, part in enumerate(ordered, start=1)]


def _report(contract: Report, number: int, part: Instalment) -> Report:
    details: dict[str, Any] = {**contract.details, "instalment": number}
    return replace(
        contract, id=f"{contract.id}-{number}", amount=part.amount_ntd, details=details, counts_on=part.due_on
    )
