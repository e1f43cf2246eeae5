"""What the server answers about the ledger's entries, motions and quarters.

In: nothing. Out: models for the description of the API. It exists apart from
`answers` because the ledger has a vocabulary of its own.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.answers import Answer, Page
from api.case_answers import CaseFileAnswer
from api.match_answers import DecisionAnswer, ProposalAnswer
from matcher.explanation import Bilingual
from matcher.ledger.chain import Chain
from matcher.ledger.claims import Programme
from matcher.ledger.entries import EntryKind
from matcher.ledger.kpis import Kpi, Unit
from matcher.ledger.motions import MotionKind
from matcher.ledger.requirements import Requirement
from matcher.ledger.steps import State


class StoredFileAnswer(Answer):
    """A file of evidence by its hash."""

    sha256: str
    size_bytes: int


class PseudonymAnswer(Answer):
    """What stands in entries instead of a person."""

    pseudonym: str


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
    company_id: str | None
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


class OtherEntryAnswer(Answer):
    """Another alliance's entry: whose it is only."""

    id: str
    alliances: list[str]


class ShownClaimAnswer(Answer):
    """Another programme's claim as everybody sees it whose entry resembles it."""

    id: int
    programme: Programme
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


class LikenessAnswer(Answer):
    """What an entry resembles: another entry, or another programme's claim."""

    score: float
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


class EntryDocumentAnswer(EntryAnswer):
    """An entry with all that stands behind it."""

    kpi_label: Bilingual
    steps: list[EntryStepAnswer]
    reversed_by: str | None
    motions: list[MotionAnswer]
    similar: list[LikenessAnswer]
    came_from: OriginAnswer | None


class SaidOnEntryAnswer(EntryDocumentAnswer):
    """An entry after somebody's word on it, with the motion that this made."""

    motion: MotionAnswer | None


class SchoolTotalAnswer(Answer):
    """What a school cooperates in as a whole, in a year."""

    id: int
    school_id: str
    year: int
    amount_ntd: int
    source: str
    by: str
    at: datetime


class ListedSchoolTotalAnswer(SchoolTotalAnswer):
    """A total with whether it is the newest of its school and year."""

    roc_year: int
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
