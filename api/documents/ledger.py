"""What the server says of the ledger's entries, motions and quarters, and of the committee's review of them.

In: rows, and who asks. Out: JSON documents; models for the description of the API. It exists apart from the routes
because several of them show the same row, and because what leads on from an entry (look-alikes, case, decision, the
explanation that the expert saw) is shown only to those who may see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlmodel import Session, col, or_, select

from api.access.policy import Action, Resource, reaches
from api.access.visibility import cases as visible_cases
from api.access.visibility import entries as visible_entries
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable, unconflicted
from api.documents.answers import Answer, Page
from api.documents.cases import CaseFileAnswer
from api.documents.matching.matches import DecisionAnswer, ProposalAnswer
from indexer.records.record_tables import Need
from indexer.wording import Bilingual
from matcher.ledger.rows.chain import Chain
from matcher.ledger.rows.details import Aspect
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rows.motions import Motion, MotionEnd, MotionKind
from matcher.ledger.rows.periods import roc_year
from matcher.ledger.rows.result_claims import ExternalClaim, LiveFact, OtherProgramme
from matcher.ledger.rows.school_totals import SchoolTotal
from matcher.ledger.rows.steps import State, Step, steps_of
from matcher.ledger.rules.duties import Bar, bar_on_motion
from matcher.ledger.rules.model_cases import holding_scores, scores_of
from matcher.ledger.rules.requirements import Requirement, missing_requirements
from matcher.ledger.rules.similarity import Similarity, told_of
from matcher.review.cases import Case
from matcher.review.decisions import Decision
from matcher.review.people import Principal
from matcher.review.proposals import Proposal, StoredPairing
from matcher.review.roles import STAFF


class StoredFileAnswer(Answer):
    """A file of evidence by its hash."""

    sha256: str
    size_bytes: int
    sent_before: datetime | None = Field(description="When you sent this very file before; null the first time.")


class PseudonymAnswer(Answer):
    """What stands in entries instead of a person, and whether the number is known under another name too."""

    pseudonym: str
    same_number: bool


class CountedAnswer(Answer):
    """In which quarter and year an entry was counted."""

    period: str
    kpi_year: int


class EntryAnswer(Answer):
    """An entry and where it stands."""

    seq: int
    id: str
    kind: EntryKind
    kpi: Kpi
    amount: int
    unit: Unit
    shares: dict[str, int]
    natural_key: str
    details: dict[str, Any]
    occurred_on: date
    counts_on: date
    period: str
    late_for: str | None
    school_id: str | None
    school_shares: dict[str, int] | None
    company_id: str | None
    company_shares: dict[str, int] | None
    case_id: int | None
    decision_id: int | None
    reverses: str | None
    restates: str | None
    value_added: str
    evidence: list[dict[str, str]]
    reporter: str
    reported_at: datetime
    prev_hash: str
    hash: str
    state: State | None
    version: int
    counted: CountedAnswer | None
    evidence_count: int = Field(description="Pieces of evidence, those of supplements too.")
    lacks: list[Requirement] = Field(description="What is missing before it can be recognised.")
    href: str


class NewEntriesAnswer(Answer):
    """The entries that a report became."""

    items: list[EntryAnswer]


class EntryStepAnswer(Answer):
    """One step of an entry."""

    seq: int
    entry_id: str
    version: int
    state: State
    reason: str
    evidence: list[dict[str, str]]
    period: str | None
    kpi_year: int | None
    by: str
    at: datetime
    prev_hash: str
    hash: str


class MotionEndAnswer(Answer):
    """How a motion ended."""

    seconded: bool
    reason: str
    by: str
    at: datetime


class MotionAnswer(Answer):
    """What was moved and takes a second person; `ended` is null while it waits."""

    id: int
    kind: MotionKind
    subject: str
    payload: dict[str, Any]
    reason: str
    moved_by: str
    moved_at: datetime
    ended: MotionEndAnswer | None
    barred: Bar | None = Field(default=None, description="Why you can't second it; null if you may, or it has ended.")


class OtherEntryAnswer(Answer):
    """Another alliance's entry: whose it is only."""

    alliances: list[str]


class ShownClaimAnswer(Answer):
    """Another programme's claim as everybody sees it whose entry resembles it."""

    id: int
    programme: OtherProgramme
    claimant: str
    reference: str
    ended_at: datetime | None


class ExternalClaimAnswer(ShownClaimAnswer):
    """Another programme's claim as the office sees it."""

    kpi: Kpi
    natural_key: str
    party: str
    amount: int | None
    occurred_on: date | None
    noted_by: str
    noted_at: datetime
    ended_by: str | None


class NewExternalClaimAnswer(ExternalClaimAnswer):
    """A claim just noted, with the entries here that claim the same."""

    entries: list[str]


class ProbesAnswer(Answer):
    """How often an account was told of something that is not its alliances'.

    Reports `held` for resembling it, of which some were `withdrawn`; reports `refused`; `rows` of lists whose ids were
    others'; `people` whose number was known under another name.
    """

    account_id: str
    name: str | None
    held: int
    withdrawn: int
    refused: int
    rows: int
    people: int
    alliances: list[str]
    last_at: datetime


class LikenessAnswer(Answer):
    """What an entry resembles: another entry, or another programme's claim.

    Score and grounds quote both, so they are for who may read both, for the committee and for the office.
    """

    score: float | None
    grounds: list[str]
    entry: EntryAnswer | OtherEntryAnswer | None
    claim: ExternalClaimAnswer | ShownClaimAnswer | None


class OriginCaseAnswer(CaseFileAnswer):
    """The case that an entry came from."""

    href: str


class OriginPairingAnswer(Answer):
    """The pairing that an entry came from."""

    id: int
    href: str


class OriginAnswer(Answer):
    """Case, decision and explanation behind an entry, as far as you may see them."""

    case: OriginCaseAnswer
    decision: DecisionAnswer | None
    pairing: OriginPairingAnswer
    proposal: ProposalAnswer | None


class AspectScoreAnswer(Answer):
    """What a member of the committee gave an aspect of a model case; the newest of an aspect holds."""

    aspect: Aspect
    score: int
    reason: str
    by: str
    at: datetime
    holds: bool


class EntryDocumentAnswer(EntryAnswer):
    """An entry with all that stands behind it."""

    kpi_label: Bilingual
    steps: list[EntryStepAnswer]
    reversed_by: str | None
    motions: list[MotionAnswer]
    similar: list[LikenessAnswer]
    scores: list[AspectScoreAnswer] = Field(description="Of a model case: every score of its aspects, oldest first.")
    came_from: OriginAnswer | None


class SaidOnEntryAnswer(EntryDocumentAnswer):
    """An entry after somebody's word on it, with the motion that this made."""

    motion: MotionAnswer | None


class SchoolTotalAnswer(Answer):
    """What a school cooperates in as a whole, in a year."""

    id: int
    school_id: str
    year: int
    kpi: Kpi
    amount_ntd: int | None = Field(description="Of money.")
    count: int | None = Field(description="Of every other figure, in its unit.")
    source: str
    by: str
    at: datetime
    roc_year: int


class ListedSchoolTotalAnswer(SchoolTotalAnswer):
    """A total with whether it is the newest of its school, year and figure."""

    holds: bool


class PeriodCloseAnswer(Answer):
    """How a quarter was closed; the totals are those of the alliances that you reach."""

    period: str
    totals: dict[str, dict[str, int]]
    entries_n: int
    entries_hash: str
    steps_n: int
    steps_hash: str
    moved_by: str
    seconded_by: str
    closed_at: datetime


class PeriodAnswer(Answer):
    """A quarter; `motion` is null for who may not list motions of the programme."""

    period: str
    year: int
    roc_year: int
    after: str
    entries: int
    by_state: dict[State, int]
    closed: PeriodCloseAnswer | None
    motion: MotionAnswer | None


class PeriodsAnswer(Page[PeriodAnswer]):
    """All quarters, and the one in which a result of today is booked."""

    open: str


class HeadAnswer(Answer):
    """The head of a chain."""

    chain: Chain
    n: int
    hash: str


class DatedHeadAnswer(HeadAnswer):
    """The head of a chain at a moment."""

    at: datetime


class HeadsAnswer(Page[DatedHeadAnswer]):
    """The heads of the ledger's chains, and the same signed, as every report carries them."""

    signed_heads: str


class Verb(StrEnum):
    """What may be said of a result."""

    SCORE = "score"
    CHECK = "check"
    RECOGNISE = "recognise"
    RETURN = "return"
    REFUSE = "refuse"
    TELL_APART = "tell_apart"
    REVERSE = "reverse"


class WaitingAnswer(EntryAnswer):
    """A result that waits for a word, and what stands in the way of recognising it."""

    age_days: int
    missing: list[Requirement]
    barred: Bar | None
    takes_two: bool
    motion: MotionAnswer | None


class WaitingPageAnswer(Page[WaitingAnswer]):
    """Part of the queue; the counts are of all that the filters leave, whatever its state."""

    by_state: dict[State, int]


class UnmetAnswer(Answer):
    """A requirement that is not met, and what is said of it."""

    requirement: Requirement
    detail: str
    blocks: bool = Field(description="Whether recognition waits for it; the school's total is to compare with only.")


class PlaceAnswer(Answer):
    """Where a result stands in the queue; `place` is null for one that no longer waits."""

    place: int | None
    of: int
    previous: str | None
    next: str | None


class SchoolAnswer(Answer):
    """A total of a school beside which a result is seen, and what GLORIA recognised of that figure so far."""

    school_id: str
    share_bp: int = Field(description="The school's share of the result, in basis points.")
    year: int
    kpi: Kpi = Field(description="Money, and the result's own figure if schools have totals of it.")
    unit: Unit
    total: ListedSchoolTotalAnswer | None
    recognised: float = Field(description="In the figure's unit; of a result of several schools each has its part.")


class ReviewAnswer(Answer):
    """What a committee member has to know of a result beside the entry itself; `verbs` may be said now."""

    entry_id: str
    unmet: list[UnmetAnswer]
    barred: Bar | None
    takes_two: bool
    verbs: list[Verb]
    awaits_month: str | None = Field(description="The month that a lead has yet to confirm; null if it is before you.")
    schools: list[SchoolAnswer]
    queue: PlaceAnswer


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
    missing = missing_requirements(session, entries)
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
        "steps": [_step_document(session, step) for step in steps_of(session, entry.id)],
        "reversed_by": reversal,
        "motions": [motion_document(session, motion, who) for motion in _motions(session, entry.id)],
        "similar": _similar(session, who, entry),
        "scores": _scores(session, entry) if entry.kpi == Kpi.MODEL_CASES else [],
        "came_from": _origin(session, who, entry),
    }


def _scores(session: Session, entry: Entry) -> list[dict[str, Any]]:
    every, holding = scores_of(session, entry.id), {one.id for one in holding_scores(session, entry.id).values()}
    return [{**one.model_dump(mode="json", exclude={"id", "entry_id"}), "holds": one.id in holding} for one in every]


def _step_document(session: Session, step: Step) -> dict[str, Any]:
    document = step.model_dump(mode="json")
    if step.state == State.HELD:
        # Earlier releases wrote down there what the other entry says.
        document["reason"] = told_of(session, step.entry_id)
    return document


def total_document(total: SchoolTotal) -> dict[str, Any]:
    """Return a school's total as it was supplied."""
    return {**total.model_dump(mode="json"), "kpi": total.figure.value, "roc_year": roc_year(total.year)}


def motion_document(session: Session, motion: Motion, who: Principal | None = None) -> dict[str, Any]:
    """Return a motion and how it ended; `ended` is null as long as it waits for a second person.

    For somebody (`who`) it says too why that person can't be the second one.
    """
    end = session.get(MotionEnd, motion.id)
    barred = bar_on_motion(session, motion, who.id) if who is not None and end is None else None
    ended = None if end is None else end.model_dump(mode="json", include={"seconded", "reason", "by", "at"})
    return {**motion.model_dump(mode="json"), "ended": ended, "barred": barred}


def _motions(session: Session, subject: str) -> Sequence[Motion]:
    return session.exec(select(Motion).where(Motion.subject == subject).order_by(col(Motion.id))).all()


def _similar(session: Session, who: Principal, entry: Entry) -> list[dict[str, Any]]:
    """The claims that an entry resembles, side by side; of another alliance's only whose it is.

    Whoever may report may report a thousand look-alikes: any word of why they resemble it would tell, in the end, what
    the other alliance's entry says.
    """
    weighs = (
        session.exec(select(Entry.id).where(Entry.id == entry.id, visible_entries(who, Action.RETURN))).first()
        is not None
    )
    query = select(Similarity).where(or_(Similarity.entry_id == entry.id, Similarity.other_entry == entry.id))
    found = []
    for likeness in session.exec(query.order_by(col(Similarity.id))).all():
        document: dict[str, Any] = {"score": likeness.score, "grounds": likeness.grounds, "entry": None, "claim": None}
        if likeness.external_claim is not None:
            document["claim"] = _claim(session, who, likeness.external_claim)
            told = weighs or "party" in document["claim"]
        else:
            other = likeness.other_entry if likeness.entry_id == entry.id else likeness.entry_id
            document["entry"] = _other(session, who, str(other))
            told = weighs or "details" in document["entry"]
        if not told:
            document |= {"score": None, "grounds": []}
        found.append(document)
    return found


def claims_on(session: Session, who: Principal, kpi: Kpi, natural_key: str, skeleton: str) -> dict[str, Any]:
    """Return who has a key already, as far as a person may see them: an `entry` here, a `claim` of another programme.

    Nobody is told more than the refusal of the same result tells them.
    """
    holder = session.exec(
        select(LiveFact.entry_id).where(LiveFact.kpi == kpi.value, LiveFact.skeleton == skeleton)
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
    return {"alliances": sorted(shares)}


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
        if decision.alliance_id not in who.scopes(*STAFF):
            shown["note"] = None
    return {
        "case": {**case.model_dump(mode="json"), "href": f"/api/cases/{case.id}"},
        "decision": shown,
        "pairing": {"id": case.pairing_id, "href": f"/api/pairings/{case.pairing_id}"},
        "proposal": _proposal(session, who, case, decision),
    }


def _proposal(session: Session, who: Principal, case: Case, decision: Decision | None) -> dict[str, Any] | None:
    """What the expert saw. It quotes the need, so only those see it who see the need's text without breaking a seal."""
    if decision is None or not who.holds(*STAFF):
        return None
    query = (
        select(StoredPairing.id)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            StoredPairing.id == case.pairing_id,
            visible_needs(who, Action.READ, Resource.PAIRING),
            readable(who),
            unconflicted(who),
        )
    )
    if session.exec(query).first() is None:
        return None
    proposal = session.get(Proposal, decision.proposal_id)
    return None if proposal is None else proposal.model_dump(mode="json", exclude={"digest"})
