"""What a result needs before it can count, and what of that is missing.

In: entries. Out: the requirements that each does not meet, with the refusal that recognition would give. It exists
so that the committee reads from the same lines by which the ledger decides (a checklist of its own could say
otherwise), and so that who reports a result is told of everything at once and can supply it, not refused for it
months later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session, col, select

from indexer.wording import T_, listed
from matcher.ledger.rows.entries import Entry, EntryKind, LedgerError
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.result_claims import ClaimedElsewhereError, refuse_claimed_elsewhere
from matcher.ledger.rows.school_totals import total_of
from matcher.ledger.rows.steps import ENDED, State, Step, steps_of
from matcher.ledger.rules.model_cases import lacking


class Requirement(StrEnum):
    """What has to be there, in the order in which it is looked at."""

    VALUE_ADDED = "value_added"
    EVIDENCE = "evidence"
    SCHOOL_TOTAL = "school_total"
    UNCLAIMED = "unclaimed"
    MODEL_CASE = "model_case"


@dataclass(frozen=True)
class Unmet:
    """A requirement that an entry does not meet, and what is said of it; what only compares does not block."""

    requirement: Requirement
    error: LedgerError
    blocks: bool = True


def unmet(session: Session, entry: Entry) -> Iterator[Unmet]:
    """Yield the requirements that an entry does not meet.

    The school's whole cooperation total is there to compare with (比對): nobody knows it before its year is over, so
    that it is missing is said and holds nothing up.
    """
    if not entry.value_added.strip():
        said = LedgerError(T_("it does not say what GLORIA added (加值內容); return it for that"), "value_added")
        yield Unmet(Requirement.VALUE_ADDED, said)
    if not entry.evidence and not any(step.evidence for step in steps_of(session, entry.id)):
        yield Unmet(Requirement.EVIDENCE, LedgerError(T_("it has no evidence; return it for that"), "evidence"))
    schools, year = sorted(entry.by_school()), entry.occurred_on.year
    owing = next((one for one in schools or [""] if not one or total_of(session, one, year) is None), None)
    if owing is not None:
        said = LedgerError(
            T_(
                "the school %(school)s has not supplied its whole cooperation total of %(year)s",
                school=owing,
                year=year,
            ),
            "school_total",
        )
        yield Unmet(Requirement.SCHOOL_TOTAL, said, blocks=False)
    try:
        refuse_claimed_elsewhere(session, Kpi(entry.kpi), entry.natural_key)
    except ClaimedElsewhereError as error:
        yield Unmet(Requirement.UNCLAIMED, error)
    missing = [*lacking(session, entry)]
    if missing:
        said = LedgerError(T_("it is no model case yet; missing: %(missing)s", missing=listed(missing)), "model_case")
        yield Unmet(Requirement.MODEL_CASE, said)


def missing_requirements(session: Session, entries: Sequence[Entry]) -> dict[str, list[str]]:
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
