"""What the programme counts: the figures of its KPI table, their units and names.

In: nothing. Out: one code per figure with its unit and its labels in Chinese
and English. It exists so that entries, targets, reports and pages name the same
figure the same way. Codes T, L, C and P are those of the Ministry's table B003;
the others have a name of their own there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from indexer.wording import T_, Text


class Unit(StrEnum):
    """What an amount is counted in."""

    NTD = "ntd"
    PERSONS = "persons"
    CASES = "cases"
    COMPANIES = "companies"
    ALLIANCES = "alliances"


class Kpi(StrEnum):
    """One figure of the programme. `acceptances` is the product's own: pairings that experts accepted."""

    ALLIANCES = "alliances"
    MEMBERS = "members"
    INTERNATIONAL_CASES = "T"
    MONEY = "L"
    TALENT = "C"
    STARTUPS = "P"
    JOBS = "jobs"
    MODEL_CASES = "model_cases"
    ACCEPTANCES = "acceptances"


@dataclass(frozen=True)
class KpiFacts:
    """What is known of a figure: its unit, its label, and whether it has to be recognised before it counts."""

    unit: Unit
    label: Text
    needs_recognition: bool = True


KPI_FACTS = {
    Kpi.ALLIANCES: KpiFacts(Unit.ALLIANCES, T_("alliances founded")),
    Kpi.MEMBERS: KpiFacts(Unit.COMPANIES, T_("representative member companies")),
    Kpi.INTERNATIONAL_CASES: KpiFacts(Unit.CASES, T_("international cooperation cases")),
    Kpi.MONEY: KpiFacts(Unit.NTD, T_("cooperation money, all payers")),
    Kpi.TALENT: KpiFacts(Unit.PERSONS, T_("talent trained")),
    Kpi.STARTUPS: KpiFacts(Unit.COMPANIES, T_("startups")),
    Kpi.JOBS: KpiFacts(Unit.PERSONS, T_("jobs")),
    Kpi.MODEL_CASES: KpiFacts(Unit.CASES, T_("model cases")),
    Kpi.ACCEPTANCES: KpiFacts(Unit.CASES, T_("pairings accepted"), needs_recognition=False),
}
"""Everything about each figure but its targets, which are data."""

RECOGNISED_KPIS = tuple(kpi for kpi, facts in KPI_FACTS.items() if facts.needs_recognition)
"""The figures of the programme's own table, in its order."""
