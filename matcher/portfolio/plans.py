"""A plan for all needs: from rankings to candidates, from candidates to who gets whom, and what was given up for it.

In: open needs with who looks after them, rankings of all labs, how much room labs have, what is picked. Out: for each
need the labs that come into question with the chance that an expert would introduce each; from those a plan: a lab
or none for each need, what stood in the way of its best, or which limits clash; and how two plans differ. It exists
because the best lab of each need is no plan: many needs want the same lab, and a lab and an expert carry only so much.

Needs are compared by the chance of being introduced, which is calibrated over all needs; a score's rank or distance
within one need says nothing of another. Steering moves labs within a need and never makes it count more than others:
its best lab keeps the chance that it has without. Only labs that are at least plausible come into question, unless one
is pinned; one that a hard rule sets aside never does. Nothing is decided by a plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from math import ceil
from typing import Any

import numpy as np
import orjson

from indexer.records.profiles import Need
from indexer.vocabulary import Tier
from indexer.wording import T_
from matcher.portfolio.assignment import (
    Assignment,
    Forgone,
    Group,
    Limit,
    LimitKind,
    Limits,
    NoPlanError,
    Pairs,
    Why,
    assign,
    forgone,
)
from matcher.portfolio.clashes import Clash, Loosening, clash
from matcher.portfolio.picks import PlanError, PlanPicks
from matcher.ranking.lab_table import ALL, RULE_TEXTS
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Ranking
from matcher.ranking.wishes import UNSTEERED, Steering

DEPTH = 50
"""So many labs of each need come into question."""
CHOICES = 5
"""So many of them are shown to choose from."""
_LEAST_CHANCE = 1e-4


@dataclass(frozen=True)
class OpenNeed:
    """A need that labs are looked for: who looks after it, and what its company is.

    `declined` are labs that were rejected or put off for it.
    """

    need: Need
    expert: str | None = None
    alliance: str | None = None
    tier: Tier = Tier.NONE
    steering: Steering = UNSTEERED
    declined: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Prospects:
    """The labs that come into question for a need, best first, each with the chance that it would be introduced.

    `is_clear` is false for a need that says too little for any lab to fit.
    """

    need_id: str
    labs: tuple[tuple[str, float], ...]
    is_clear: bool = True

    def of(self, lab_id: str) -> float | None:
        """Return the chance of a lab, None if it does not come into question."""
        return next((chance for one, chance in self.labs if one == lab_id), None)


@dataclass(frozen=True)
class Carried:
    """What is carried already: the room of labs that state one, by id, and the open cases of experts and alliances."""

    rooms: Mapping[str, int] = field(default_factory=dict)
    by_expert: Mapping[str, int] = field(default_factory=dict)
    by_alliance: Mapping[str, int] = field(default_factory=dict)


NOTHING = Carried()
"""Nothing is carried by anybody, and no lab states its room."""
NO_PICKS = PlanPicks()


def prospects_of(
    matcher: Matcher,
    needs: Sequence[OpenNeed],
    picks: PlanPicks = NO_PICKS,
    *,
    rooms: Mapping[str, int] | None = None,
    barred: Collection[str] = (),
    depth: int = DEPTH,
) -> Iterator[Prospects]:
    """Yield for each need the labs that come into question, ranking those that were not ranked a moment ago.

    Args:
        matcher: the labs.
        needs: any needs.
        picks: labs that are pinned come into question too.
        rooms: labs without room do not count among the `depth`, so that others are there to turn to.
        barred: labs that the reader may not be shown.
        depth: how many of each need.

    Raises:
        PlanError: a pinned lab may not be proposed for its need; the message says by which rule.
    """
    pinned = dict(picks.pins)
    for one, ranking in zip(needs, matcher.kept_rankings([one.need for one in needs]), strict=True):
        steered = ranking.steered(one.steering, matcher.searcher.id_rank)
        yield _prospects(matcher, one, steered, pinned.get(one.need.id), rooms or {}, {*barred}, depth)


def _prospects(
    matcher: Matcher,
    one: OpenNeed,
    ranking: Ranking,
    pinned: str | None,
    rooms: Mapping[str, int],
    barred: Collection[str],
    depth: int,
) -> Prospects:
    chances = _chances(ranking)
    fits = ranking.usual >= ranking.ranker.plausible_from
    found: dict[str, float] = {}
    free = 0
    for row in (row for row in ranking.passing(ALL) if fits[row]):
        lab_id = ranking.labs.ids[row]
        if free == depth:
            break
        if lab_id not in barred and lab_id not in one.declined:
            found[lab_id] = round(float(chances[row]), 4)
            free += rooms.get(lab_id, 1) > 0
    if pinned is not None and pinned not in found:
        row = _pinned_row(matcher, one, ranking, pinned, barred)
        found[pinned] = round(max(float(chances[row]), _LEAST_CHANCE), 4)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return Prospects(one.need.id, tuple(ordered), matcher.searcher.is_clear(ranking.query.whole))


def _chances(ranking: Ranking) -> Any:
    """Return the chance of each lab, shape (n labs,): that of the need's best lab is the same in any steering."""
    allowed = ranking.ranks > 0
    if not allowed.any():
        return np.zeros(len(ranking.scores))
    shift = ranking.scores[allowed].max() - ranking.usual[allowed].max()
    return np.maximum(ranking.ranker.introduced(ranking.scores - shift), _LEAST_CHANCE)


def _pinned_row(matcher: Matcher, one: OpenNeed, ranking: Ranking, lab_id: str, barred: Collection[str]) -> int:
    row = matcher.searcher.lab_rows.get(lab_id)
    if row is None or lab_id not in matcher.labs or lab_id in barred:
        raise PlanError(T_("there is no lab %(lab_id)r in the index", lab_id=lab_id))
    lab, title = matcher.labs[lab_id], one.need.title or one.need.id
    for rule, ids in ranking.set_aside.items():
        if lab_id in ids:
            raise PlanError(
                T_("%(lab)s can never get %(need)s: %(rule)s", lab=lab.name, need=title, rule=RULE_TEXTS[rule])
            )
    if lab_id in one.declined:
        raise PlanError(T_("%(lab)s was rejected or put off for %(need)s", lab=lab.name, need=title))
    return row


class Reason(StrEnum):
    """Why a need got nobody or not its best; the first ones are those of an assignment."""

    PINNED = Why.PINNED.value
    FORBIDDEN = Why.FORBIDDEN.value
    NO_ROOM = Why.NO_ROOM.value
    TAKEN = Why.TAKEN.value
    APART = Why.APART.value
    LOAD = Why.LOAD.value
    NOBODY = Why.NOBODY.value
    GAP = Why.GAP.value
    TOO_LITTLE = "too_little"


@dataclass(frozen=True)
class Stated:
    """One of the limits in terms of records: which needs, lab, expert, alliance or tier, how many, and what to loosen.

    `loosen` is by how many needs, None where it is not asked for; a pick is let go of.
    """

    kind: LimitKind
    needs: tuple[str, ...] = ()
    lab: str | None = None
    of: str = ""
    whose: str = ""
    amount: int = 0
    loosen: int | None = None


@dataclass(frozen=True)
class Given:
    """What a need gets in a plan: a lab with its chance, or None; its best lab, and why it did not get that.

    `others` are needs that have what it wanted; `limit` is the load that was reached. `choices` are the labs that it
    could have, best first.
    """

    need_id: str
    lab_id: str | None
    chance: float | None
    best_lab_id: str | None
    best_chance: float | None
    choices: tuple[tuple[str, float], ...]
    why: Reason | None = None
    others: tuple[str, ...] = ()
    limit: Stated | None = None
    is_pinned: bool = False


@dataclass(frozen=True)
class Plan:
    """Who gets whom, or, where `clash` says something, which limits clash and what to loosen.

    `worst` is the need that is served worst of those that got a lab and were not pinned. The chances of a plan that
    serves as many no worse add up to `bound` at most. `labs` labs come into question for some need.
    """

    given: tuple[Given, ...]
    labs: int
    served: int = 0
    worst: str | None = None
    total: float = 0.0
    bound: float = 0.0
    is_exact: bool = True
    clash: tuple[Stated, ...] = ()
    cheapest: tuple[Stated, ...] = ()

    @property
    def gap(self) -> float:
        """How far the chances may add up to less than is possible, as a share of that."""
        return max(0.0, self.bound - self.total) / self.bound if self.bound > 0 else 0.0


@dataclass(frozen=True)
class _Posed:
    """The needs and labs of a plan by number, and its limits with what they are of."""

    needs: list[str]
    labs: list[str]
    pairs: Pairs
    limits: Limits
    loads: list[tuple[str, str]]
    tiers: list[Tier]

    def stated(self, limit: Limit, loosen: int | None = None) -> Stated:
        """Return a limit in terms of records."""
        kind, number = limit
        if kind is LimitKind.ROOM:
            room = int(self.limits.room[number])
            wanting = self.pairs.need[self.pairs.lab == number]
            needs = tuple(self.needs[one] for one in wanting.tolist())
            return Stated(kind, needs, lab=self.labs[number], amount=room, loosen=loosen)
        if kind in (LimitKind.LOAD, LimitKind.SERVICE):
            group = (self.limits.loads if kind is LimitKind.LOAD else self.limits.services)[number]
            of, whose = self.loads[number] if kind is LimitKind.LOAD else ("tier", self.tiers[number].value)
            members = tuple(self.needs[one] for one in group.needs)
            return Stated(kind, members, of=of, whose=whose, amount=group.amount, loosen=loosen)
        if kind is LimitKind.APART:
            return Stated(kind, tuple(self.needs[one] for one in self.limits.apart[number]), loosen=loosen)
        need, lab = (self.limits.pins if kind is LimitKind.PIN else self.limits.forbidden)[number]
        return Stated(kind, (self.needs[need],), lab=self.labs[lab], loosen=loosen)


def planned(
    needs: Sequence[OpenNeed],
    prospects: Sequence[Prospects],
    carried: Carried = NOTHING,
    picks: PlanPicks = NO_PICKS,
    *,
    kept: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan for some needs, in their order, those left out by the picks not among them.

    Args:
        needs: all open needs.
        prospects: the labs that come into question for each of them, in the same order.
        carried: what labs, experts and alliances carry already.
        picks: what somebody wants of the plan; what they say of other needs is not looked at.
        kept: what needs got in an earlier plan, which they keep among equals.
    """
    chosen = [(one, for_it) for one, for_it in zip(needs, prospects, strict=True) if one.need.id not in picks.without]
    posed = _posed([one for one, _ in chosen], [for_it for _, for_it in chosen], carried, picks)
    number, lab_number = ({one: n for n, one in enumerate(ids)} for ids in (posed.needs, posed.labs))
    before = {number[a]: lab_number[b] for a, b in (kept or {}).items() if a in number and b in lab_number}
    try:
        found = assign(posed.pairs, posed.limits, kept=before)
    except NoPlanError:
        return _clashing(posed, clash(posed.pairs, posed.limits), [one for _, one in chosen])
    lost = {one.need: one for one in forgone(posed.pairs, posed.limits, found)}
    given = tuple(_given(posed, place, one, found, lost.get(place)) for place, (_, one) in enumerate(chosen))
    free = [one for one in given if one.chance is not None and not one.is_pinned]
    return Plan(
        given=given,
        labs=len(posed.labs),
        served=found.served,
        worst=min(free, key=lambda one: (one.chance or 0.0, one.need_id)).need_id if free else None,
        total=round(found.total, 6),
        bound=round(found.bound, 6),
        is_exact=found.is_exact,
    )


def _posed(needs: Sequence[OpenNeed], prospects: Sequence[Prospects], carried: Carried, picks: PlanPicks) -> _Posed:
    labs = sorted({lab_id for one in prospects for lab_id, _ in one.labs})
    lab_number = {lab_id: number for number, lab_id in enumerate(labs)}
    ids = [one.need.id for one in needs]
    number = {need_id: place for place, need_id in enumerate(ids)}
    rows = [(n, lab_number[lab_id], chance) for n, one in enumerate(prospects) for lab_id, chance in one.labs]
    pairs = Pairs(
        need=np.array([row[0] for row in rows], dtype=np.int64),
        lab=np.array([row[1] for row in rows], dtype=np.int64),
        value=np.array([row[2] for row in rows], dtype=np.float64),
        needs=len(ids),
        labs=len(labs),
    )

    def known(listed: Sequence[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
        given = ((number[need], lab_number[lab]) for need, lab in listed if need in number and lab in lab_number)
        return tuple(pair for pair in given if pair in pairs.rows)

    loads = list(_loads(needs, carried, picks))
    answered = {n for n, one in enumerate(prospects) if one.labs}
    tiers = [
        (tier, tuple(n for n, one in enumerate(needs) if one.tier is tier and n in answered), share)
        for tier, share in picks.tiers
    ]
    return _Posed(
        needs=ids,
        labs=labs,
        pairs=pairs,
        limits=Limits(
            room=np.array([max(0, carried.rooms.get(one, picks.silent_room)) for one in labs], dtype=np.int64),
            loads=tuple(group for _, group in loads),
            services=tuple(Group(of, ceil(len(of) * share / 100)) for _, of, share in tiers),
            pins=known(picks.pins),
            forbidden=known(picks.forbidden),
            apart=tuple((number[a], number[b]) for a, b in picks.apart if a in number and b in number and a != b),
        ),
        loads=[name for name, _ in loads],
        tiers=[tier for tier, _, _ in tiers],
    )


def _loads(needs: Sequence[OpenNeed], carried: Carried, picks: PlanPicks) -> Iterator[tuple[tuple[str, str], Group]]:
    for of, most, having in (
        ("expert", picks.per_expert, carried.by_expert),
        ("alliance", picks.per_alliance, carried.by_alliance),
    ):
        groups: dict[str, list[int]] = {}
        for place, one in enumerate(needs):
            who = one.expert if of == "expert" else one.alliance
            if who is not None and most is not None:
                groups.setdefault(who, []).append(place)
        for who, places in sorted(groups.items()):
            yield (of, who), Group(tuple(places), max(0, (most or 0) - having.get(who, 0)))


def _given(posed: _Posed, place: int, one: Prospects, found: Assignment, lost: Forgone | None) -> Given:
    lab = found.labs[place]
    lab_id = None if lab is None else posed.labs[lab]
    best = one.labs[0] if one.labs else None
    why = None if lost is None else Reason(lost.why.value)
    if why is Reason.NOBODY and not one.is_clear:
        why = Reason.TOO_LITTLE
    limit = None if lost is None or lost.number is None else posed.stated(Limit(LimitKind.LOAD, lost.number))
    return Given(
        need_id=one.need_id,
        lab_id=lab_id,
        chance=None if lab_id is None else one.of(lab_id),
        best_lab_id=best[0] if best else None,
        best_chance=best[1] if best else None,
        choices=one.labs[:CHOICES],
        why=why,
        others=() if lost is None else tuple(posed.needs[other] for other in lost.others),
        limit=limit,
        is_pinned=(place, lab) in posed.limits.pins,
    )


def _clashing(posed: _Posed, found: Clash | None, prospects: Sequence[Prospects]) -> Plan:
    if found is None:
        raise AssertionError("where nothing clashes there is a plan")

    def stated(those: Sequence[Loosening]) -> tuple[Stated, ...]:
        return tuple(posed.stated(one.limit, one.amount) for one in those)

    given = tuple(
        Given(
            one.need_id,
            None,
            None,
            one.labs[0][0] if one.labs else None,
            one.labs[0][1] if one.labs else None,
            one.labs[:CHOICES],
            is_pinned=any(place == need for need, _ in posed.limits.pins),
        )
        for place, one in enumerate(prospects)
    )
    return Plan(given, len(posed.labs), clash=stated(found.limits), cheapest=stated(found.cheapest))


@dataclass(frozen=True)
class Change:
    """A need that two plans give different labs; None for no lab. `is_new` and `is_gone`: in one of them only."""

    need_id: str
    before: str | None
    after: str | None
    is_new: bool = False
    is_gone: bool = False


def changes(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> tuple[Change, ...]:
    """Return how a plan differs from an earlier one, both as labs by need, in the order of the needs' ids."""
    found = (
        Change(one, before.get(one), after.get(one), is_new=one not in before, is_gone=one not in after)
        for one in sorted(before.keys() | after.keys())
    )
    return tuple(one for one in found if one.before != one.after or one.is_new or one.is_gone)


def fingerprint(needs: Sequence[OpenNeed], prospects: Sequence[Prospects], carried: Carried, picks: PlanPicks) -> str:
    """Return a hash of all that a plan rests on: with the same one the plan is the same."""
    said = [
        [[one.need.id, one.expert, one.alliance, one.tier.value] for one in needs],
        [[one.need_id, one.is_clear, one.labs] for one in prospects],
        [sorted(carried.rooms.items()), sorted(carried.by_expert.items()), sorted(carried.by_alliance.items())],
        sorted(picks.words),
    ]
    return sha256(orjson.dumps(said)).hexdigest()[:16]
