"""What the server and the command line say of matches, verdicts, labs and judging, and of the map of the field.

In: what the matcher returns. Out: dictionaries of texts, numbers and lists; models for the description of the API.
It exists apart from the printing because programs read it: `gloria match --json` and the API say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer, RetiredAnswer, answer_of, index_is_old
from api.documents.conversation.talks import ToldAnswer
from api.trail.request_trail import NeedReader
from indexer.records.exchange import EvidenceIn, LabIn
from indexer.records.profiles import Need
from indexer.wording import Bilingual
from matcher.judging.panel.grades import Part, Said, Standing
from matcher.ranking.elements import Element
from matcher.ranking.explanation import Explanation, Speaking
from matcher.ranking.lab_table import Facets, Rule
from matcher.ranking.pairings import LabMatch, Matcher, MatchResult
from matcher.ranking.ranker import Band
from matcher.ranking.wishes import StatedWish, Steering, Wish
from matcher.review.cases import Case, Stage
from matcher.review.conversation.answers import AnswerReason, SideWord
from matcher.review.conversation.standing import TalkState
from matcher.review.decisions import Reason, Verdict
from matcher.review.intake import NeedState
from matcher.review.likeness import LabCompany, Like
from matcher.review.proposals import PairingState
from matcher.review.steering import NeedSteering


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


class StatedAnswer(Answer):
    """A piece of the need's text that states an element."""

    element: Element
    text: str


class QuestionAnswer(Answer):
    """What to ask the company: about an element that nothing in the need's text states, or what tells labs apart."""

    element: Element | None = Field(description="Null: which field it is about, where the labs near it are of several.")
    zh: str
    en: str


class ElementsAnswer(Answer):
    """What the need states: object, method, property, application, constraint; and what to ask about the rest."""

    is_clear: bool = Field(description="Whether the need says enough for a lab to be more than weak.")
    stated: list[StatedAnswer]
    questions: list[QuestionAnswer]


class KeptSteeringAnswer(Answer):
    """How an alliance steers the ranking of a need from a moment on; no words: as usual."""

    need_id: str
    alliance: str
    words: list[str]
    by: str
    by_name: str
    at: datetime


class MovedAnswer(Answer):
    """A lab that steering moves: rank without and with it, 0 for hidden or left out; how much its parts change."""

    lab_id: str
    name: str
    name_en: str
    before: int
    after: int
    changes: dict[str, float]


class SteeringAnswer(Answer):
    """How this answer is steered, in words, and whom of the first labs that moves."""

    words: list[str]
    moves: list[MovedAnswer]
    kept: KeptSteeringAnswer | None = Field(description="What is kept with the need, whether it holds here or not.")


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
    elements: ElementsAnswer
    set_aside: dict[Rule, list[str]]
    wishes: dict[Wish, StatedWish]
    steering: SteeringAnswer
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

    pairing_id: int = Field(description="What its conversation is found by.")
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
    standing: TalkState
    told: ToldAnswer | None = Field(description="How it stands, in the company's words.")
    words: list[SideWord] = Field(description="What the company can answer now.")
    reasons: list[AnswerReason]
    word: SideWord | None = Field(description="The company's answer that stands.")
    can_take_back: bool


@answer_of(EvidenceIn)
class EvidenceAnswer(Answer):
    """What shows that a lab can do something."""


@answer_of(LabIn)
class LabAnswer(Answer):
    """A lab's profile with its evidence."""

    evidence: list[EvidenceAnswer]
    retired: RetiredAnswer | None = Field(default=None, description="Only if it is no longer used.")
    retired_evidence: dict[str, RetiredAnswer] = Field(
        default={}, description="By id what of the evidence the programme office has retired; none is left out if none."
    )


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
    fitting: int = Field(description="Of these, how many are found by name or are no weak match: a text ranks all.")
    facets: Facets
    generation: str


class LikeLabsAnswer(Answer):
    """Labs that do about the same, best first."""

    items: list[FoundLabAnswer]


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
    unread: int = Field(description="Needs that are too new to be among these; the next re-index reads them.")


class LikeNeedAnswer(Answer):
    """A need that is about the same, with the sentence that says most of it."""

    need_id: str
    title: str
    company: str | None
    company_name: str | None
    state: NeedState
    year: int | None
    score: float = Field(description="0: about something else; 10: one that the same lab answers.")
    speaking: Speaking


class CameOfAnswer(Answer):
    """A case that came of one of the needs."""

    case_id: int
    need_id: str
    lab_id: str
    lab_name: str
    lab_name_en: str
    stage: Stage


class LikeNeedsAnswer(Answer):
    """Needs that are about the same, best first, and what came of them as far as you may see it."""

    generation: str
    needs: list[LikeNeedAnswer]
    cases: list[CameOfAnswer]
    withheld: int = Field(description="How many needs were left out because of interests you declared.")


class LikeCompanyAnswer(Answer):
    """A company that says about the same of itself."""

    company_id: str
    name: str
    name_en: str
    score: float = Field(description="On the scale of needs that are alike.")
    speaking: Speaking


class LikeCompaniesAnswer(LikeNeedsAnswer):
    """Companies and needs that are about what a company says of itself, best first."""

    companies: list[LikeCompanyAnswer]


class CompanyForLabAnswer(Answer):
    """A company that a lab should hear of, by its need, or if it is null by what the company says of itself."""

    rank: int
    company_id: str
    name: str
    name_en: str
    need_id: str | None
    title: str | None
    score: float
    band: Band
    for_lab: Bilingual


class LabCompaniesAnswer(Answer):
    """The companies that a lab should hear of, best first."""

    lab_id: str
    generation: str
    companies: list[CompanyForLabAnswer]
    withheld: int = Field(description="How many companies were left out because of interests you declared.")


class MappedLabAnswer(Answer):
    """A lab on the map."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    fields: list[str]
    x: float
    y: float
    area: int | None = Field(description="In which of `areas` it lies, counted from 0; null if in none.")


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
    area: int | None = Field(description="Which of `areas` is nearest, counted from 0; null if there are none.")


class MapAreaAnswer(Answer):
    """Labs that lie together, and the words that set them apart."""

    words: list[str] = Field(description="In Chinese, the most telling first; none where nothing sets the labs apart.")
    words_en: list[str]
    field: str | None = Field(description="The research field that at least half of the labs share.")
    x: float
    y: float


class FieldMapAnswer(Answer):
    """Labs and needs in two dimensions: what lies near each other is about the same. Axes and units mean nothing."""

    drawn_at: datetime | None = Field(description="Null if no map was drawn yet.")
    generation: str | None
    ranker_version: str | None
    labs: list[MappedLabAnswer]
    needs: list[MappedNeedAnswer]
    areas: list[MapAreaAnswer] = Field(description="None where the map has few labs, or they were not found yet.")
    labs_without_place: int = Field(description="Labs that you may see and that came after the map was drawn.")
    needs_without_place: int
    withheld: int = Field(description="Of how many needs the standing is withheld, because of interests you declared.")


class MemberAnswer(Answer):
    """Somebody who takes part in a judging."""

    account_id: str
    part: Part
    done: int | None = Field(description="Of how many pairs a judge has spoken; another's only when you may know.")


class JudgingAnswer(Answer):
    """A session of judging, and how far it is. What was pooled, and from where, only the programme office reads."""

    id: int
    name: str
    started_at: datetime
    started_by: str | None = Field(description="Null if a command began it.")
    depth: int
    pairs: int
    needs: int
    finished_at: datetime | None = Field(description="When the second judge finished; from then on both see all.")
    closed_at: datetime | None
    members: list[MemberAnswer]


class AgreementAnswer(Answer):
    """How far the judges agree, over the pairs that both graded, as they stood before either knew of the other."""

    pairs: int
    equal: float | None
    within_one: float | None
    kappa: float | None = Field(description="Cohen's, without weights; null where no two grades differ.")
    weighted_kappa: float | None = Field(description="With quadratic weights.")
    table: list[list[int]] = Field(description="Rows: grades 0 to 3 of the first judge; columns: of the second.")


class FarApartAnswer(Answer):
    """A pair whose two blind grades lie far apart; grades stand in the order of the judges."""

    judged_pair_id: int
    need_id: str
    lab_id: str
    blind_grades: list[int | None]
    grades: list[int | None]
    settled: int | None
    final: int | None


class PooledAnswer(Answer):
    """What one ranking brought into the pool."""

    name: str
    found: int
    alone: int = Field(description="Pairs that no other ranking had among its first.")


class YourPartAnswer(Answer):
    """What you do in a judging and where you go on; pairs by number, null if there is none."""

    part: Part
    done: int
    first_open: int | None
    last_said: int | None
    not_visible: int = Field(description="Pairs of needs or labs that are no longer for you to see.")


class JudgingDetailAnswer(JudgingAnswer):
    """A session with what it has come to; agreement and pairs far apart once both judges have finished."""

    yours: YourPartAnswer | None
    agreement: AgreementAnswer | None
    cannot_say: list[int] | None = Field(description="How often each judge could not say, before either knew.")
    far_apart: list[FarApartAnswer]
    judged: int | None = Field(description="Pairs that have a grade in the end.")
    pooled: list[PooledAnswer] | None = Field(description="For the programme office only.")
    seed: int | None
    generation: str | None
    ranker_version: str | None


class WordAnswer(Answer):
    """What somebody said of a pair."""

    by: str
    said: Said
    grade: int | None
    note: str
    at: datetime


class JudgedPairAnswer(Answer):
    """A need and a lab to grade; their texts are read by their own routes. Nothing says who ranked the lab, or how."""

    judging_id: int
    judged_pair_id: int
    place: int
    pairs: int
    done: int
    need_id: str
    lab_id: str
    previous: int | None
    next: int | None
    next_open: int | None
    last_said: int | None = Field(description="The pair of which you spoke last; what undoing is about.")
    part: Part
    own: WordAnswer | None
    words: list[WordAnswer] | None = Field(description="What the judges say; null until both have finished.")
    settled: WordAnswer | None
    is_open: bool = Field(description="Whether you may still say something of it.")


def standing_figures(standing: Standing) -> dict[str, Any]:
    """Return what a session of judging has come to, for the API and the command line alike; null until it is known."""
    found = standing.agreement
    if found is None:
        return {"agreement": None, "cannot_say": None, "judged": None}
    silent = [sum(judge in one.blind and one.blind[judge].grade is None for one in standing.pairs)
              for judge in standing.judges]  # fmt: skip
    return {
        "agreement": {**asdict(found), "table": [list(row) for row in found.table]},
        "cannot_say": silent,
        "judged": len(standing.qrels()),
    }


def kept_steering(row: NeedSteering, steering: Steering, by_name: str) -> dict[str, Any]:
    """Return what an alliance chose for a need, in the words of today."""
    return {
        "need_id": row.need_id,
        "alliance": row.alliance_id,
        "words": steering.words,
        "by": row.by,
        "by_name": by_name,
        "at": row.at.isoformat(),
    }


def match_document(matcher: Matcher, result: MatchResult, *, to: NeedReader) -> dict[str, object]:
    """Return the answer for one need: what it rests on, who was set aside, and the pairings, best first."""
    to.reads(result.need.id)
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
        "elements": {
            "is_clear": result.is_clear,
            "stated": [{"element": one.element.value, "text": one.text} for one in result.elements.stated],
            "questions": [{"element": one.element, **asdict(one.ask)} for one in result.elements.asked],
        },
        "set_aside": {rule.value: ids for rule, ids in result.set_aside.items()},
        "wishes": {wish.value: asdict(stated) for wish, stated in result.wishes.items()},
        "steering": {
            "words": result.steering.words,
            "moves": [
                {
                    **asdict(moved),
                    "name": matcher.labs[moved.lab_id].name,
                    "name_en": matcher.labs[moved.lab_id].name_en,
                }
                for moved in result.moves
            ],
            "kept": None,
        },
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
                "explanation": pairing.explanation.as_plain(),
            }
            for pairing in result.pairings
        ],
    }


def lab_document(matcher: Matcher, lab_id: str, matches: Sequence[LabMatch], *, to: NeedReader) -> dict[str, object]:
    """Return the answer for one lab: the needs that it should hear of, best score first."""
    for match in matches:
        to.reads(match.need.id)
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
                "explanation": match.explanation.as_plain(),
            }
            for rank, match in enumerate(matches, start=1)
        ],
    }


def like_needs_document(
    matcher: Matcher,
    found: Sequence[Like],
    *,
    needs: Mapping[str, Need],
    states: Mapping[str, str],
    cases: Mapping[str, Sequence[Case]],
) -> dict[str, object]:
    """Return the answer for needs that are about the same, and what came of them.

    Args:
        matcher: knows labs and companies.
        found: the needs, best first.
        needs: at least those.
        states: where each stands; one that has none was only submitted.
        cases: those of each that the reader may see.
    """
    return {
        "generation": matcher.snapshot.generation,
        "needs": [_like_need(matcher, one, needs[one.id], states.get(one.id)) for one in found],
        "cases": [
            {
                "case_id": case.id,
                "need_id": case.need_id,
                "lab_id": case.lab_id,
                "lab_name": matcher.labs[case.lab_id].name if case.lab_id in matcher.labs else case.lab_id,
                "lab_name_en": matcher.labs[case.lab_id].name_en if case.lab_id in matcher.labs else case.lab_id,
                "stage": case.stage,
            }
            for one in found
            for case in cases.get(one.id, ())
        ],
    }


def _like_need(matcher: Matcher, one: Like, need: Need, state: str | None) -> dict[str, object]:
    company = matcher.companies.get(need.company or "")
    return {
        "need_id": need.id,
        "title": need.title,
        "company": need.company,
        "company_name": company.name if company else None,
        "state": state or NeedState.SUBMITTED.value,
        "year": need.year,
        "score": one.score,
        "speaking": asdict(one.speaking),
    }


def like_companies(matcher: Matcher, found: Sequence[Like]) -> list[dict[str, object]]:
    """Return companies that say about the same of themselves, best first."""
    return [
        {
            "company_id": one.id,
            "name": matcher.companies[one.id].name,
            "name_en": matcher.companies[one.id].name_en,
            "score": one.score,
            "speaking": asdict(one.speaking),
        }
        for one in found
    ]


def lab_companies_document(matcher: Matcher, lab_id: str, found: Sequence[LabCompany]) -> dict[str, object]:
    """Return the answer for one lab: the companies that it should hear of, best first."""
    return {
        "lab_id": lab_id,
        "generation": matcher.snapshot.generation,
        "companies": [
            {
                "rank": rank,
                "company_id": one.company.id,
                "name": one.company.name,
                "name_en": one.company.name_en,
                "need_id": one.match.need.id if one.by_need else None,
                "title": one.match.need.title if one.by_need else None,
                "score": one.match.score,
                "band": one.match.band.value,
                "for_lab": asdict(one.match.explanation.for_lab),
            }
            for rank, one in enumerate(found, start=1)
        ],
    }
