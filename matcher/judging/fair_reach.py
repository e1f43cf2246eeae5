"""What the rule of reach would do before it is switched on: who is seen, what it costs, and what size and fame do.

In: rankings of many needs, a rule, and grades where there are any. Out: how often the well-known schools are seen
beside what they deserve, as it is and with the rule; nDCG@10 of both; and the same with one contribution left out at a
time. It exists because a rule that moves labs must be looked at before anybody is moved: what it gives the less-known
stands beside what it takes from the order, in the same figures that the audit of a quarter has.

**Ratio of two groups.** Reach (seen over deserved) of some schools over that of all others: 1 where both are seen as
they deserve. With grades, what a lab deserves is its grade's part of what is seen of a need: a truth that the ranker
does not know; without, its chance of being introduced. `FIVE` most seen schools are told apart from the others whatever
is said of their fame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from indexer.arrays import DoubleArray
from indexer.records.profiles import School
from indexer.vocabulary import Prominence
from indexer.wording import T_, Text
from matcher.judging.measures import Qrels, Run, measure
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Ranking, ordered_by_id
from matcher.ranking.reach.seen_less import Reach, Rule, moved_up, reach_of, seen_at, sides
from matcher.ranking.signals import FEATURES, HISTORY

FIVE = 5
LARGEST = 0.2
"""This part of all labs, those with the most evidence, is called large."""
_NDCG = "nDCG@10"


@dataclass(frozen=True, eq=False)
class Judgeable:
    """One ranking with what the simulation needs of it; arrays have the shape (n labs,)."""

    need: str
    order: Sequence[int]
    scores: DoubleArray
    chances: DoubleArray
    left_out: Mapping[str, Sequence[int]]
    """By contribution, the order without it."""


@dataclass(frozen=True)
class Standing:
    """How an order treats groups, over all needs; ratios None where one of the groups deserved nothing.

    `known` is the ratio of the well-known schools, `five` that of the five most seen; `five_graded` goes by grades.
    `large` is the share of what is seen that goes to the largest labs, `share_known` to the well-known schools.
    """

    known: float | None
    five: float | None
    five_graded: float | None
    large: float
    share_known: float
    ndcg: float | None


@dataclass(frozen=True)
class Simulation:
    """What a rule would do: standings as it is and with the rule, how many places changed, and effects by ablation."""

    needs: int
    rule: Rule
    plain: Standing
    ruled: Standing
    moved: int
    without: Mapping[str, Standing]


ABLATED: Mapping[str, Text] = {
    "depth": T_("without the size of a lab"),
    HISTORY: T_("without earlier decisions, which know the school"),
}
"""Contributions that size and fame can speak through, and what leaving each out is called."""


def well_known(schools: Mapping[str, School]) -> frozenset[str]:
    """Return the schools whose prominence is stated as high; none where nothing is stated."""
    return frozenset(one.id for one in schools.values() if one.prominence == Prominence.HIGH)


def judgeable(ranking: Ranking) -> Judgeable:
    """Return what a simulation needs of a ranking."""
    chances = ranking.ranker.introduced(ranking.usual)
    orders = {}
    for name in ABLATED:
        amounts = _amounts(ranking, name)
        if amounts is not None:
            orders[name] = ordered_by_id(ranking.scores - amounts, ranking.labs.ids, ranking.ranks > 0)
    return Judgeable(ranking.query.need.id, tuple(ranking.order), ranking.scores, chances, orders)


def _amounts(ranking: Ranking, name: str) -> DoubleArray | None:
    """Return what a contribution adds to every lab's score; None where the ranking has none of that name."""
    if name in ranking.added:
        return ranking.added[name]
    if name not in FEATURES:
        return None
    place = FEATURES.index(name)
    return np.asarray(ranking.table.values[:, place] * ranking.ranker.weights[place])


@dataclass(frozen=True)
class RankedLabs:
    """The labs that all rankings have, by row: ids, schools, which are large; and grades, where there are any."""

    labs: Sequence[str]
    schools: Sequence[str]
    large: frozenset[int]
    judged: Qrels


def world_of(matcher: Matcher, judged: Qrels | None = None) -> RankedLabs:
    """Return the labs of an index."""
    sizes = np.bincount(matcher.snapshot.lab_of_passage, minlength=len(matcher.table.ids)).tolist()
    many = max(1, round(len(sizes) * LARGEST))
    large = frozenset(sorted(range(len(sizes)), key=lambda row: (-sizes[row], row))[:many])
    return RankedLabs(matcher.table.ids, [one.school or "" for one in matcher.table.profiles], large, judged or {})


def simulated(rankings: Iterable[Judgeable], rule: Rule, world: RankedLabs) -> Simulation:
    """Return what a rule would have done to needs that come one after the other.

    Args:
        rankings: of the needs, in the order in which they come.
        rule: as it would be set; what is seen adds to its balance. Without well-known schools the five most seen are.
        world: the labs.
    """
    found = list(rankings)
    plain = [one.order for one in found]
    five = most_seen(_Shown(world, found, plain, rule.depth).sums)
    if not rule.known:
        rule = replace(rule, known=five)
    ruled, moved, going = [], 0, rule
    for one in found:
        shown, earlier = moved_up(one.order, one.scores, one.chances, world.schools, going)
        going = going.counting(reach_of(shown, one.chances, world.schools, rule.depth))
        ruled.append(shown)
        moved += len(earlier)
    names = {name for one in found for name in one.left_out}
    without = {name: [one.left_out.get(name, one.order) for one in found] for name in ABLATED if name in names}

    def standing(orders: Sequence[Sequence[int]]) -> Standing:
        return _Shown(world, found, orders, rule.depth).standing(rule.known, five)

    return Simulation(
        needs=len(found),
        rule=rule,
        plain=standing(plain),
        ruled=standing(ruled),
        moved=moved,
        without={name: standing(orders) for name, orders in without.items()},
    )


def most_seen(sums: Mapping[str, Reach]) -> frozenset[str]:
    """Return the schools that were seen the most."""
    return frozenset(sorted((one for one in sums if one), key=lambda one: (-sums[one].seen, one))[:FIVE])


@dataclass(frozen=True)
class _Shown:
    """Orders, one for each ranking, that are held against the groups."""

    world: RankedLabs
    found: Sequence[Judgeable]
    orders: Sequence[Sequence[int]]
    depth: int

    @cached_property
    def sums(self) -> dict[str, Reach]:
        """What was seen of each school and what it deserved, by chances."""
        return self._sums([one.chances for one in self.found])

    @cached_property
    def _graded(self) -> dict[str, Reach]:
        return self._sums([self._grades(one.need) for one in self.found]) if self.world.judged else {}

    def _sums(self, merits: Sequence[DoubleArray]) -> dict[str, Reach]:
        sums: dict[str, Reach] = {}
        for merit, order in zip(merits, self.orders, strict=True):
            for school, more in reach_of(order, merit, self.world.schools, self.depth).items():
                sums[school] = sums.get(school, Reach()) + more
        return sums

    def _grades(self, need: str) -> DoubleArray:
        grades = self.world.judged.get(need, {})
        return np.array([float(max(grades.get(lab, 0), 0)) for lab in self.world.labs])

    def standing(self, known: frozenset[str], five: frozenset[str]) -> Standing:
        """Return how the orders treat the groups."""
        weights = seen_at(self.depth, self.depth)
        looked = [list(zip(order, weights.tolist(), strict=False)) for order in self.orders]
        whole = sum(weight for one in looked for _, weight in one) or 1.0
        schools = self.world.schools
        return Standing(
            known=ratio_of(self.sums, known),
            five=ratio_of(self.sums, five),
            five_graded=ratio_of(self._graded, five),
            large=sum(weight for one in looked for row, weight in one if row in self.world.large) / whole,
            share_known=sum(weight for one in looked for row, weight in one if schools[row] in known) / whole,
            ndcg=self._ndcg(),
        )

    def _ndcg(self) -> float | None:
        if not self.world.judged:
            return None
        run: Run = {
            one.need: {self.world.labs[row]: float(-rank) for rank, row in enumerate(order)}
            for one, order in zip(self.found, self.orders, strict=True)
        }
        return float(np.mean(list(measure(self.world.judged, run, (_NDCG,))[_NDCG].values())))


def ratio_of(sums: Mapping[str, Reach], group: frozenset[str]) -> float | None:
    """Return the reach of a group of schools over that of all others; None where either deserved nothing."""
    inside, outside = (one.ratio for one in sides(sums, group))
    return inside / outside if inside is not None and outside else None
