"""What the server answers about matches, verdicts and labs.

In: nothing. Out: models for the description of the API. It exists apart from
`answers` because matches are described by what the matcher returns.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.answers import Answer, answer_of
from indexer.exchange import EvidenceIn, LabIn
from matcher.decisions import Reason, Verdict
from matcher.explanation import Bilingual, Explanation, Speaking
from matcher.facets import Facets
from matcher.proposals import PairingState
from matcher.ranker import Band
from matcher.rules import Rule


class RankedAnswer(Answer):
    """One lab proposed for a need; the contributions add up to the score."""

    rank: int
    lab_id: str
    name: str
    name_en: str
    school: str | None
    score: float
    band: Band
    contributions: dict[str, float]
    changed_since_index: bool
    explanation: Explanation
    pairing_id: int
    proposal_id: int
    state: PairingState


class MatchAnswer(Answer):
    """The labs for a need, best first, and what the ranking rests on."""

    need_id: str
    generation: str
    created_at: str
    index_is_old: bool = Field(description="It was not renewed for 48 hours.")
    ranker_version: str
    n_labs: int
    total: int
    allowed: int
    facets: Facets
    warnings: list[Bilingual]
    set_aside: dict[Rule, list[str]]
    pairings: list[RankedAnswer]
    withheld: int = Field(description="How many were left out because of interests that you declared.")


class DecisionAnswer(Answer):
    """A verdict; its note is null outside of the alliance that wrote it."""

    id: int
    pairing_id: int
    proposal_id: int
    verdict: Verdict
    reason: Reason | None
    note: str | None
    defer_until: date | None
    alliance_id: str
    by: str
    at: datetime
    undoes: int | None


class NewDecisionAnswer(DecisionAnswer):
    """A verdict just given, with the case that it opened."""

    case_id: int | None


class ProposalAnswer(Answer):
    """One way in which a pairing was shown."""

    id: int
    pairing_id: int
    rank: int
    score: float
    band: str
    contributions: dict[str, float]
    explanation: dict[str, Any] = Field(default={}, description="Missing for the programme office.")
    generation: str
    ranker_version: str
    shown_at: datetime
    shown_to: str


class PairingAnswer(Answer):
    """A lab for a need: how it was shown, and what was said of it."""

    id: int
    need_id: str
    lab_id: str
    state: PairingState
    deferred_until: date | None
    case_id: int | None
    proposals: list[ProposalAnswer]
    decisions: list[DecisionAnswer]


class ExposureAnswer(Answer):
    """How often labs of one school were shown; `school` is empty for labs without one."""

    school_id: str
    name: str
    name_en: str
    prominence: str
    labs: int
    shown: int
    accepted: int


class ShareAnswer(Answer):
    """The share of the schools of one prominence ("" if not stated), each from 0 to 1."""

    prominence: str
    of_labs: float
    of_shown: float
    of_accepted: float


class ExposuresAnswer(Answer):
    """Who gets shown: each school's pairings since a day, and the shares of well-known and lesser-known schools."""

    since: datetime
    schools: list[ExposureAnswer]
    by_prominence: list[ShareAnswer]


class ReleaseAnswer(Answer):
    """Whether the company sees a candidate now."""

    pairing_id: int
    released: bool


class ReleasedLabAnswer(Answer):
    """A candidate as its company sees it."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    summary: str
    summary_en: str
    fields: list[str]
    offers: list[str]
    links: list[str]
    why: dict[str, Any] | None
    released_at: datetime


@answer_of(EvidenceIn)
class EvidenceAnswer(Answer):
    """What shows that a lab can do something."""


@answer_of(LabIn)
class LabAnswer(Answer):
    """A lab's profile with its evidence."""

    evidence: list[EvidenceAnswer]


class CountedNeedsAnswer(Answer):
    """Open needs that name a field or a kind of cooperation; null where there are a few, too few to tell."""

    name: str
    needs: int | None


class DemandAnswer(Answer):
    """How many open needs ask for what a lab does."""

    fewest_told: int = Field(description="Where `needs` is null, there is at least one but fewer than this.")
    fields: list[CountedNeedsAnswer]
    offers: list[CountedNeedsAnswer]


class FoundLabAnswer(Answer):
    """A lab of a search with the passage that speaks best."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    rank: int
    score: float | None
    band: Band | None
    by_name: bool
    speaking: Speaking | None
    changed_since_index: bool


class LabSearchAnswer(Answer):
    """A page of a search, with counts per filter."""

    items: list[FoundLabAnswer]
    total: int
    facets: Facets
    generation: str


class NeedForLabAnswer(Answer):
    """A need that a lab should hear of."""

    rank: int
    need_id: str
    title: str
    company: str | None
    company_name: str | None
    score: float
    band: Band
    rank_of_lab: int
    changed_since_index: bool
    explanation: Explanation


class LabMatchAnswer(Answer):
    """The needs that a lab should hear of, best first."""

    lab_id: str
    generation: str
    created_at: str
    index_is_old: bool = Field(description="It was not renewed for 48 hours.")
    ranker_version: str
    warnings: list[Bilingual]
    needs: list[NeedForLabAnswer]
    withheld: int
