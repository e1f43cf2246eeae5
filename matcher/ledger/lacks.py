"""What an entry still lacks before it can be recognised, known before anybody is refused for it.

In: entries. Out: for each what is missing. It exists because recognition refuses at the first thing that it misses,
months after the report: who reports a result is told of all of them at once and can supply them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from sqlmodel import Session, col, select

from matcher.ledger.entries import Entry, EntryKind
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.school_totals import total_of
from matcher.ledger.steps import ENDED, State, Step


class Lack(StrEnum):
    """What recognition asks for and an entry does not have."""

    VALUE_ADDED = "value_added"
    EVIDENCE = "evidence"
    SCHOOL_TOTAL = "school_total"


def lacks(session: Session, entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return by entry what it lacks; nothing for those that have ended, count already or need no recognition."""
    ids = [entry.id for entry in entries]
    steps = session.exec(select(Step).where(col(Step.entry_id).in_(ids)).order_by(col(Step.version))).all()
    last = {step.entry_id: step.state for step in steps}
    with_evidence = {step.entry_id for step in steps if step.evidence}
    totals: dict[tuple[str, int], bool] = {}
    found: dict[str, list[str]] = {}
    for entry in entries:
        missing = found.setdefault(entry.id, [])
        over = last.get(entry.id) in (*ENDED, State.RECOGNISED)
        if over or entry.kind != EntryKind.FACT or not KPI_FACTS[Kpi(entry.kpi)].needs_recognition:
            continue
        place = entry.school_id or "", entry.occurred_on.year
        if place not in totals:
            totals[place] = total_of(session, *place) is not None
        if not entry.value_added.strip():
            missing.append(Lack.VALUE_ADDED.value)
        if not entry.evidence and entry.id not in with_evidence:
            missing.append(Lack.EVIDENCE.value)
        if not totals[place]:
            missing.append(Lack.SCHOOL_TOTAL.value)
    return found
