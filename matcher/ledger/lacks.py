"""What results still lack before they can be recognised, known before anybody is refused for it.

In: entries. Out: for each the requirements that it does not meet. It exists because recognition refuses months after
the report: who reports a result is told of everything at once, by the same lines, and can supply it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from matcher.ledger.entries import Entry, EntryKind
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.requirements import unmet
from matcher.ledger.steps import ENDED, State, Step


def lacks(session: Session, entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return by entry what it lacks; nothing for those that have ended, count already or need no recognition."""
    ids = [entry.id for entry in entries]
    steps = session.exec(select(Step).where(col(Step.entry_id).in_(ids)).order_by(col(Step.version))).all()
    last = {step.entry_id: step.state for step in steps}
    found: dict[str, list[str]] = {}
    for entry in entries:
        over = last.get(entry.id) in (*ENDED, State.RECOGNISED)
        waits = not over and entry.kind == EntryKind.FACT and KPI_FACTS[Kpi(entry.kpi)].needs_recognition
        found[entry.id] = [one.requirement.value for one in unmet(session, entry)] if waits else []
    return found
