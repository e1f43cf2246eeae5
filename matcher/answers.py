"""What asking for matches answers: pairings for a need, needs for a lab.

In: nothing. Out: frozen values. They exist apart from the matcher so that what
shows, stores or tests an answer need not know how it was made.
"""

from __future__ import annotations

from dataclasses import dataclass

from indexer.profiles import Company, Need
from matcher.explanation import Bilingual, Explanation
from matcher.facets import Facets
from matcher.ranker import Band
from matcher.rules import Rule


class UnknownRecordError(LookupError):
    """There is no need or lab of that id."""


@dataclass(frozen=True)
class Pairing:
    """One lab proposed for one need; contributions sum to `score`.

    `rank` counts from 1 among all labs that may be proposed, whatever filters hide.
    `changed_since_index`: the lab's texts are newer than those that were ranked.
    """

    need_id: str
    lab_id: str
    rank: int
    score: float
    band: Band
    contributions: dict[str, float]
    explanation: Explanation
    changed_since_index: bool


@dataclass(frozen=True)
class MatchResult:
    """The answer for one need: a page of pairings best first, labs set aside by rule, and what it rests on.

    `total` labs pass the filters, on all pages together; `allowed` may be proposed
    at all, and `facets` counts those.
    """

    need: Need
    pairings: tuple[Pairing, ...]
    total: int
    allowed: int
    facets: Facets
    set_aside: dict[Rule, list[str]]
    n_labs: int
    generation: str
    created_at: str
    ranker_version: str
    warnings: tuple[Bilingual, ...]


@dataclass(frozen=True)
class LabMatch:
    """One need that a lab should hear of, with the lab's rank among all labs for that need."""

    need: Need
    company: Company | None
    score: float
    band: Band
    rank_of_lab: int
    explanation: Explanation
    changed_since_index: bool
