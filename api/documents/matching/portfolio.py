"""What the server and the command line say of a plan for all needs.

In: a plan, which of its needs the reader may read and is free to, what labs and people are called. Out: a dictionary of
texts, numbers and lists, and the models that describe it to programs. It exists apart from the answers for one need
because a plan names many needs, and who reads it may read fewer of them than who made it: of the others it says how
many there are, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from api.documents.jobs import SaidAnswer
from api.trail.request_trail import NeedReader
from indexer.records.profiles import Need
from indexer.vocabulary import Tier
from indexer.wording import T_, Text, either
from matcher.portfolio.assignment import LimitKind
from matcher.portfolio.plans import Change, Given, Plan, Reason, Stated
from matcher.portfolio.words import TIER_NAMES, Called, limit_in_words, loosening_in_words, reason_in_words
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import PLAUSIBLE_CHANCE, STRONG_CHANCE, Band


class PlannedLabAnswer(Answer):
    """A lab of a plan, and the chance that an expert would introduce it for the need."""

    lab_id: str
    name: str
    name_en: str
    school: str | None
    chance: float | None
    band: Band | None


class PlannedNeedAnswer(Answer):
    """A need of a plan, and the lab that it is to get; null if none."""

    need_id: str
    title: str
    company: str | None
    lab: PlannedLabAnswer | None
    best: PlannedLabAnswer | None = Field(description="The lab that fits it best.")
    why: Reason | None = Field(description="What stood in the way of that one; null if it got it.")
    said: SaidAnswer | None = Field(description="The same in words.")
    others: list[str] = Field(description="Needs, as far as you may read them, that have what it wanted.")
    is_pinned: bool
    choices: list[PlannedLabAnswer] = Field(description="Labs that come into question, best first.")


class LimitAnswer(Answer):
    """A limit of a plan, in words, and what to do about it."""

    kind: LimitKind
    said: SaidAnswer
    loosen: SaidAnswer | None
    by: int | None


class LeftOutAnswer(Answer):
    """How many open needs are not in a plan, and why."""

    with_lab: int = Field(description="They have a case already.")
    too_many: int
    unreadable: int = Field(description="Their text is withheld from who made the plan.")
    withheld: int = Field(description="Who made it has declared an interest in their company.")


class ChangeAnswer(Answer):
    """A need that gets another lab than in an earlier plan; null for none."""

    need_id: str
    title: str
    before: PlannedLabAnswer | None
    after: PlannedLabAnswer | None
    is_new: bool = Field(description="It was not in the earlier plan.")
    is_gone: bool = Field(description="It is not in this plan.")


class ListedPlanAnswer(Answer):
    """A plan in a list."""

    id: int
    alliance: str | None
    based_on: int | None
    made_at: datetime
    made_by: str
    needs: int
    served: int
    clashes: bool


class PlanAnswer(Answer):
    """Which lab for which need, all needs at once; a proposal that decides nothing."""

    id: int | None
    alliance: str | None = Field(description="For whom; null for the whole programme.")
    words: list[str] = Field(description="What was picked.")
    based_on: int | None = Field(description="The plan whose picks were changed.")
    generation: str
    rests_on: str = Field(description="A hash of all that went in: with the same one the plan is the same.")
    made_at: datetime | None
    made_by: str | None
    needs: list[PlannedNeedAnswer]
    hidden: int = Field(description="How many more of its needs you may not read, or have an interest in.")
    served: int
    worst: str | None = Field(description="The need that is served worst of those that got a lab and are not pinned.")
    total: float = Field(description="The chances of all pairs added up.")
    bound: float = Field(description="No plan that serves as many needs no worse has more.")
    gap: float = Field(description="How far it may be from that, as a share of it.")
    is_exact: bool
    labs: int = Field(description="How many labs came into question for some need.")
    left_out: LeftOutAnswer
    clash: list[LimitAnswer] = Field(description="Limits that can't be kept together; without any one they can.")
    cheapest: list[LimitAnswer] = Field(description="What to loosen, all of it, so that there is a plan.")
    against: int | None = Field(description="The plan that `changes` is counted from.")
    changes: list[ChangeAnswer]


@dataclass(frozen=True)
class PlanReader:
    """Who reads a plan: which needs they may read, which labs they may be shown, what people and alliances are called.

    `carriers` has names of experts and alliances by what they are and their id.
    """

    needs: Mapping[str, Need]
    barred_labs: Collection[str] = ()
    carriers: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class MadePlan:
    """How a plan came about; without a number where it was not kept."""

    words: Sequence[str]
    left_out: Mapping[str, int]
    generation: str
    rests_on: str
    id: int | None = None
    alliance_id: str | None = None
    based_on: int | None = None
    made_at: datetime | None = None
    made_by: str | None = None
    against: int | None = None


def called_by(matcher: Matcher, reader: PlanReader) -> Called:
    """Return what needs, labs and people are called for a reader."""

    def need(need_id: str) -> str:
        found = reader.needs.get(need_id)
        if found is None:
            return T_("a need that you may not read")
        title = found.title or found.id
        return either(f"「{title}」", f"“{title}”")

    def lab(lab_id: str) -> str:
        found = matcher.labs.get(lab_id)
        if found is None or lab_id in reader.barred_labs:
            return T_("a lab that is not shown")
        return either(found.name or found.name_en, found.name_en or found.name)

    def carrier(of: str, whose: str) -> str:
        if of == "tier":
            return TIER_NAMES[Tier(whose)]
        return reader.carriers.get((of, whose)) or (T_("the expert") if of == "expert" else T_("the alliance"))

    return Called(need, lab, carrier)


def plan_document(
    matcher: Matcher, plan: Plan, made: MadePlan, changes: Sequence[Change], reader: PlanReader, *, to: NeedReader
) -> dict[str, Any]:
    """Return a plan as a person may see it."""
    called = called_by(matcher, reader)
    shown = [one for one in plan.given if one.need_id in reader.needs and one.lab_id not in reader.barred_labs]
    for one in shown:
        to.reads(one.need_id, withheld=False)
    return {
        "id": made.id,
        "alliance": made.alliance_id,
        "words": list(made.words),
        "based_on": made.based_on,
        "generation": made.generation,
        "rests_on": made.rests_on,
        "made_at": None if made.made_at is None else made.made_at.isoformat(),
        "made_by": made.made_by,
        "needs": [_planned(matcher, one, called, reader) for one in shown],
        "hidden": len(plan.given) - len(shown),
        "served": plan.served,
        "worst": plan.worst if plan.worst in reader.needs else None,
        "total": plan.total,
        "bound": plan.bound,
        "gap": plan.gap,
        "is_exact": plan.is_exact,
        "labs": plan.labs,
        "left_out": dict.fromkeys(LeftOutAnswer.model_fields, 0) | dict(made.left_out),
        "clash": [_limit(one, called) for one in plan.clash],
        "cheapest": [_limit(one, called) for one in plan.cheapest],
        "against": made.against,
        "changes": [
            {
                "need_id": one.need_id,
                "title": reader.needs[one.need_id].title,
                "before": _lab(matcher, one.before, None, reader),
                "after": _lab(matcher, one.after, None, reader),
                "is_new": one.is_new,
                "is_gone": one.is_gone,
            }
            for one in changes
            if one.need_id in reader.needs
        ],
    }


def _planned(matcher: Matcher, one: Given, called: Called, reader: PlanReader) -> dict[str, Any]:
    need, said = reader.needs[one.need_id], reason_in_words(one, called)
    return {
        "need_id": one.need_id,
        "title": need.title,
        "company": need.company,
        "lab": _lab(matcher, one.lab_id, one.chance, reader),
        "best": _lab(matcher, one.best_lab_id, one.best_chance, reader),
        "why": one.why,
        "said": _said(said),
        "others": [other for other in one.others if other in reader.needs],
        "is_pinned": one.is_pinned,
        "choices": [
            found for lab_id, chance in one.choices if (found := _lab(matcher, lab_id, chance, reader)) is not None
        ],
    }


def _lab(matcher: Matcher, lab_id: str | None, chance: float | None, reader: PlanReader) -> dict[str, Any] | None:
    lab = matcher.labs.get(lab_id or "")
    if lab is None or lab.id in reader.barred_labs:
        return None
    return {
        "lab_id": lab.id,
        "name": lab.name,
        "name_en": lab.name_en,
        "school": lab.school,
        "chance": chance,
        "band": None if chance is None else _band(chance),
    }


def _band(chance: float) -> Band:
    if chance >= STRONG_CHANCE:
        return Band.STRONG
    return Band.PLAUSIBLE if chance >= PLAUSIBLE_CHANCE else Band.WEAK


def _limit(one: Stated, called: Called) -> dict[str, Any]:
    loosen = None if one.loosen is None else loosening_in_words(one, called)
    return {"kind": one.kind, "said": _said(limit_in_words(one, called)), "loosen": _said(loosen), "by": one.loosen}


def _said(text: Text | None) -> dict[str, str] | None:
    return None if text is None else {"zh": text.zh, "en": text.en}
