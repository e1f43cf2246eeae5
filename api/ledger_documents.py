"""What the server says of the ledger's rows.

In: rows, and who asks. Out: JSON documents. It exists apart from the routes
because several of them show the same row, and because what leads on from an
entry (look-alikes, case, decision, the explanation that the expert saw) is
shown only to those who may see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, or_, select

from api.ledger_visibility import entries as visible_entries
from api.policy import Action, Resource, reaches
from api.visibility import cases as visible_cases
from api.visibility import needs as visible_needs
from api.visibility import unconflicted
from indexer.records import Need
from matcher.cases import Case
from matcher.decisions import Decision
from matcher.ledger.claims import ExternalClaim, LiveFact
from matcher.ledger.entries import Entry
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.lacks import lacks
from matcher.ledger.motions import Motion, MotionEnd
from matcher.ledger.similar import Similarity
from matcher.ledger.steps import Step, steps_of
from matcher.people import Principal
from matcher.proposals import Proposal, StoredPairing
from matcher.roles import Role

_STAFF = (Role.EXPERT, Role.LEAD)


def entry_rows(session: Session, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return entries as lists show them: the row, where it stands, and where it was counted."""
    ids = [entry.id for entry in entries]
    last: dict[str, dict[str, Any]] = {}
    counted: dict[str, dict[str, Any]] = {}
    more_evidence: Counter[str] = Counter()
    for step in session.exec(select(Step).where(col(Step.entry_id).in_(ids)).order_by(col(Step.version))).all():
        more_evidence[step.entry_id] += len(step.evidence)
        last[step.entry_id] = {"state": step.state, "version": step.version}
        if step.period is not None:
            counted[step.entry_id] = {"period": step.period, "kpi_year": step.kpi_year}
    missing = lacks(session, entries)
    return [
        {
            **entry.model_dump(mode="json"),
            **last.get(entry.id, {"state": None, "version": 0}),
            "counted": counted.get(entry.id),
            "evidence_count": len(entry.evidence) + more_evidence[entry.id],
            "lacks": missing[entry.id],
            "href": f"/api/ledger/entries/{entry.id}",
        }
        for entry in entries
    ]


def entry_document(session: Session, who: Principal, entry: Entry) -> dict[str, Any]:
    """Return an entry with its steps, what it resembles, and what it came from as far as the person may see that."""
    (row,) = entry_rows(session, [entry])
    reversal = session.exec(select(Entry.id).where(Entry.reverses == entry.id)).first()
    facts = KPI_FACTS[Kpi(entry.kpi)]
    return {
        **row,
        "kpi_label": {"zh": facts.label.zh, "en": facts.label.en},
        "steps": [step.model_dump(mode="json") for step in steps_of(session, entry.id)],
        "reversed_by": reversal,
        "motions": [motion_document(session, motion) for motion in _motions(session, entry.id)],
        "similar": _similar(session, who, entry),
        "came_from": _origin(session, who, entry),
    }


def motion_document(session: Session, motion: Motion) -> dict[str, Any]:
    """Return a motion and how it ended; `ended` is null as long as it waits for a second person."""
    end = session.get(MotionEnd, motion.id)
    ended = None if end is None else end.model_dump(mode="json", include={"seconded", "reason", "by", "at"})
    return {**motion.model_dump(mode="json"), "ended": ended}


def _motions(session: Session, subject: str) -> Sequence[Motion]:
    return session.exec(select(Motion).where(Motion.subject == subject).order_by(col(Motion.id))).all()


def _similar(session: Session, who: Principal, entry: Entry) -> list[dict[str, Any]]:
    """The claims that an entry resembles, side by side; of another alliance's only whose it is and on which grounds."""
    query = select(Similarity).where(or_(Similarity.entry_id == entry.id, Similarity.other_entry == entry.id))
    found = []
    for likeness in session.exec(query.order_by(col(Similarity.id))).all():
        document: dict[str, Any] = {"score": likeness.score, "grounds": likeness.grounds, "entry": None, "claim": None}
        if likeness.external_claim is not None:
            document["claim"] = _claim(session, who, likeness.external_claim)
        else:
            other = likeness.other_entry if likeness.entry_id == entry.id else likeness.entry_id
            document["entry"] = _other(session, who, str(other))
        found.append(document)
    return found


def claims_on(session: Session, who: Principal, kpi: Kpi, natural_key: str) -> dict[str, Any]:
    """Return who has a key already, as far as a person may see them: an `entry` here, a `claim` of another programme.

    Nobody is told more than the refusal of the same result tells them.
    """
    holder = session.exec(
        select(LiveFact.entry_id).where(LiveFact.kpi == kpi.value, LiveFact.natural_key == natural_key)
    ).first()
    theirs = (col(ExternalClaim.ended_at).is_(None), ExternalClaim.natural_key == natural_key)
    claim = session.exec(select(ExternalClaim.id).where(ExternalClaim.kpi == kpi.value, *theirs)).first()
    return {
        "entry": None if holder is None else _other(session, who, holder),
        "claim": None if claim is None else _claim(session, who, claim),
    }


def _claim(session: Session, who: Principal, claim_id: int) -> dict[str, Any]:
    claim = session.get_one(ExternalClaim, claim_id)
    inside = bool(reaches(who, Resource.EXTERNAL_CLAIM, Action.LIST))
    said = None if inside else {"id", "programme", "claimant", "reference", "ended_at"}
    return claim.model_dump(mode="json", include=said)


def _other(session: Session, who: Principal, entry_id: str) -> dict[str, Any]:
    seen = session.exec(select(Entry).where(Entry.id == entry_id, visible_entries(who, Action.READ))).first()
    if seen is not None:
        return entry_rows(session, [seen])[0]
    shares = session.exec(select(Entry.shares).where(Entry.id == entry_id)).one()
    return {"id": entry_id, "alliances": sorted(shares)}


def _origin(session: Session, who: Principal, entry: Entry) -> dict[str, Any] | None:
    """The case, decision and explanation behind an entry; None if there are none or the person may not see the case."""
    if entry.case_id is None:
        return None
    case = session.exec(select(Case).where(Case.id == entry.case_id, visible_cases(who, Action.READ))).first()
    if case is None:
        return None
    decision = session.get(Decision, case.decision_id)
    shown: dict[str, Any] | None = None
    if decision is not None:
        shown = decision.model_dump(mode="json")
        if decision.alliance_id not in who.scopes(*_STAFF):
            shown["note"] = None
    return {
        "case": {**case.model_dump(mode="json"), "href": f"/api/cases/{case.id}"},
        "decision": shown,
        "pairing": {"id": case.pairing_id, "href": f"/api/pairings/{case.pairing_id}"},
        "proposal": _proposal(session, who, case, decision),
    }


def _proposal(session: Session, who: Principal, case: Case, decision: Decision | None) -> dict[str, Any] | None:
    """What the expert saw. It quotes the need, so only those see it who see the need's text without breaking a seal."""
    if decision is None or not who.holds(*_STAFF):
        return None
    query = (
        select(StoredPairing.id)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            StoredPairing.id == case.pairing_id,
            visible_needs(who, Action.READ, Resource.PAIRING),
            unconflicted(who),
        )
    )
    if session.exec(query).first() is None:
        return None
    proposal = session.get(Proposal, decision.proposal_id)
    return None if proposal is None else proposal.model_dump(mode="json", exclude={"digest"})
