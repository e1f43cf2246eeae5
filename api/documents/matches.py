"""What the server and the command line say of matches, verdicts and labs, and of the map of the field.

In: what the matcher returns. Out: dictionaries of texts, numbers and lists; models for the description of the API.
It exists apart from the printing because programs read it: `gloria match --json` and the API say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import orjson
from pydantic import Field

from api.documents.answers import Answer, answer_of, index_is_old
from indexer.records.exchange import EvidenceIn, LabIn
from indexer.wording import Bilingual
from matcher.ranking.explanation import Explanation, Speaking
from matcher.ranking.lab_table import Facets, Rule
from matcher.ranking.pairings import LabMatch, Matcher, MatchResult
from matcher.ranking.ranker import Band
from matcher.review.decisions import Reason, Verdict
from matcher.review.intake import NeedState
from matcher.review.proposals import PairingState


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


class MappedLabAnswer(Answer):
    """A lab on the map."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    fields: list[str]
    x: float
    y: float


class MappedNeedAnswer(Answer):
    """A need on the map, and how it stood when the map was drawn."""

    need_id: str
    title: str | None = Field(description="Null where the text is withheld from the programme office.")
    company: str | None
    fields: list[str]
    state: NeedState
    x: float
    y: float
    labs_allowed: int | None = Field(
        description="How many labs the hard rules let through; null if it was not open then, or withheld."
    )
    best_band: Band | None = Field(description="How well the best lab fits; null where none may be proposed.")
    is_unmet: bool = Field(description="It is open, and no lab is strong or plausible for it.")


class FieldMapAnswer(Answer):
    """Labs and needs in two dimensions: what lies near each other is about the same. Axes and units mean nothing."""

    drawn_at: datetime | None = Field(description="Null if no map was drawn yet.")
    generation: str | None
    ranker_version: str | None
    labs: list[MappedLabAnswer]
    needs: list[MappedNeedAnswer]
    labs_without_place: int = Field(description="Labs that you may see and that came after the map was drawn.")
    needs_without_place: int
    withheld: int = Field(description="Of how many needs the standing is withheld, because of interests you declared.")


def match_document(matcher: Matcher, result: MatchResult) -> dict[str, object]:
    """Return the answer for one need: what it rests on, who was set aside, and the pairings, best first."""
    return {
        "need_id": result.need.id,
        "generation": result.generation,
        "created_at": result.created_at,
        "index_is_old": index_is_old(result.created_at),
        "ranker_version": result.ranker_version,
        "n_labs": result.n_labs,
        "total": result.total,
        "allowed": result.allowed,
        "facets": asdict(result.facets),
        "warnings": [asdict(warning) for warning in result.warnings],
        "set_aside": {rule.value: ids for rule, ids in result.set_aside.items()},
        "pairings": [
            {
                "rank": pairing.rank,
                "lab_id": pairing.lab_id,
                "name": matcher.labs[pairing.lab_id].name,
                "name_en": matcher.labs[pairing.lab_id].name_en,
                "school": matcher.labs[pairing.lab_id].school,
                "score": pairing.score,
                "band": pairing.band.value,
                "contributions": pairing.contributions,
                "changed_since_index": pairing.changed_since_index,
                "explanation": _explanation(pairing.explanation),
            }
            for pairing in result.pairings
        ],
    }


def lab_document(matcher: Matcher, lab_id: str, matches: Sequence[LabMatch]) -> dict[str, object]:
    """Return the answer for one lab: the needs that it should hear of, best score first."""
    return {
        "lab_id": lab_id,
        "generation": matcher.snapshot.generation,
        "created_at": matcher.snapshot.created_at,
        "index_is_old": index_is_old(matcher.snapshot.created_at),
        "ranker_version": matcher.ranker.version,
        "warnings": [asdict(warning) for warning in matcher.warnings],
        "needs": [
            {
                "rank": rank,
                "need_id": match.need.id,
                "title": match.need.title,
                "company": match.need.company,
                "company_name": match.company.name if match.company else None,
                "score": match.score,
                "band": match.band.value,
                "rank_of_lab": match.rank_of_lab,
                "changed_since_index": match.changed_since_index,
                "explanation": _explanation(match.explanation),
            }
            for rank, match in enumerate(matches, start=1)
        ],
    }


def _explanation(explanation: Explanation) -> dict[str, object]:
    # Eight times as quick as `asdict`, for each of a page's pairings.
    plain: dict[str, object] = orjson.loads(orjson.dumps(explanation))
    return plain
