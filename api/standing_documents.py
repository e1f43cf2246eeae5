"""What the server says of an alliance's standing and money.

In: what the ledger found. Out: JSON documents. It exists apart from the routes
because amounts have to be written the same everywhere: in whole units where
they are whole, never in basis points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from indexer.wording import Text
from matcher.ledger.entries import WHOLE_BP
from matcher.ledger.kpis import KPI_FACTS
from matcher.ledger.ladder import RUNG_LABELS
from matcher.ledger.periods import roc_year, subsidy_days
from matcher.ledger.simulation import Assumptions, Simulation
from matcher.ledger.standings import FINDING_LABELS, Found, Standing
from matcher.ledger.subsidy import NeededYear, OwnShare
from matcher.ledger.sufficiency import ITEM_LABELS, Statement
from matcher.ledger.warnings import LEVEL_LABELS, Reading


def label(text: Text) -> dict[str, str]:
    """Return a label in both languages."""
    return {"zh": text.zh, "en": text.en}


def units(amount_bp: int) -> int | float:
    """Return an amount in units, whole if it is."""
    return amount_bp // WHOLE_BP if amount_bp % WHOLE_BP == 0 else amount_bp / WHOLE_BP


def reading_document(reading: Reading) -> dict[str, Any]:
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


def finding_document(found: Found) -> dict[str, Any]:
    """Return what is proposed."""
    return {"finding": found.finding.value, "label": label(FINDING_LABELS[found.finding]), "kpi": found.kpi.value}


def rung_document(standing: Standing) -> dict[str, Any]:
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
