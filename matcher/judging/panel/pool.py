"""What a panel gets to grade: the first labs of several rankings, in an order that gives no ranking away.

In: a matcher, needs, which of our rankers, TREC run files, how deep, a seed. Out: each lab that stands among the
first of any ranking for a need, once, with the rank that each ranking gave it. It exists because a ranking that is
judged on its own first labs only can't be compared with another one: judges see what all of them found (Spärck Jones
and van Rijsbergen 1975), and nothing by which they could tell who found it. Needs stay together, since whoever has
read a need should grade all its labs; the order of needs, and of the labs of each, is drawn by the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.records.profiles import Need
from indexer.wording import T_
from matcher.judging.evaluation import baseline_runs
from matcher.judging.measures import TAG, Run, ranked
from matcher.judging.panel.grades import PooledPair, PoolError
from matcher.ranking.pairings import Matcher

RANKERS = (TAG, "tfidf", "bm25", "dense")
"""Our rankers: the product's own order, and the baselines of `matcher.judging.evaluation`."""
MAX_PAIRS = 5_000
"""Pairs of one session: two people grade some hundred a day."""


def our_runs(matcher: Matcher, needs: Sequence[Need], *, rankers: Sequence[str], depth: int) -> dict[str, Run]:
    """Return the first `depth` labs of each of our rankers for some needs.

    Args:
        matcher: the opened index and the records; it need not hold the needs itself.
        needs: what to rank for.
        rankers: some of `RANKERS`.
        depth: labs per need and ranker.

    Raises:
        PoolError: a name is not one of our rankers.
    """
    unknown = [name for name in rankers if name not in RANKERS]
    if unknown:
        said = T_("%(name)r is no ranker of ours; choose among %(all)s", name=unknown[0], all=", ".join(RANKERS))
        raise PoolError(said, "rankers")
    asked = Matcher(
        settings=matcher.settings,
        index=matcher.index,
        catalogue=matcher.catalogue,
        queries=matcher.queries,
        needs={need.id: need for need in needs},
        ranker=matcher.ranker,
    )
    runs = {TAG: dict(ranked(asked, depth))} if TAG in rankers else {}
    if set(rankers) - {TAG}:
        runs |= {name: run for name, run in baseline_runs(asked, depth).items() if name in rankers}
    return runs


def pooled(
    runs: Mapping[str, Run], needs: Sequence[str], *, depth: int, seed: int, labs: Mapping[str, object]
) -> tuple[list[PooledPair], list[str]]:
    """Pool the first labs of several rankings and shuffle them.

    Args:
        runs: scores by need and lab, by the ranking's name; a run file may hold other needs too.
        needs: the needs to grade for.
        depth: how many labs of each ranking.
        seed: draws the order; the same seed gives the same order.
        labs: the stored labs by id; a run file may name others.

    Returns:
        The pairs in the order in which they are graded, and a message for each lab of a run that is not stored.

    Raises:
        PoolError: the pool is empty, or larger than two people can grade.
    """
    found: dict[str, dict[str, dict[str, int]]] = {need_id: {} for need_id in sorted(set(needs))}
    problems: list[str] = []
    for name, run in runs.items():
        for need_id, ranks in found.items():
            scores = run.get(need_id, {})
            order = sorted(scores, key=lambda lab_id: (-scores[lab_id], lab_id))[:depth]
            unknown = [lab_id for lab_id in order if lab_id not in labs]
            if unknown:
                problems.append(_not_stored(name, need_id, unknown))
            for rank, lab_id in enumerate(order, start=1):
                if lab_id in labs:
                    ranks.setdefault(lab_id, {})[name] = rank
    total = sum(map(len, found.values()))
    if not total:
        raise PoolError(T_("no ranking has a lab for any of these needs"), "needs")
    if total > MAX_PAIRS:
        raise PoolError(
            T_(
                "%(total)s pairs are more than the %(most)s that one session takes; choose fewer needs or less depth",
                total=total,
                most=MAX_PAIRS,
            ),
            "needs",
        )
    return _shuffled(found, seed), problems


def _not_stored(name: str, need_id: str, unknown: Sequence[str]) -> str:
    return T_(
        "%(name)s: labs for %(need_id)s that are not stored are left out, such as %(lab_id)s (%(count)s in all)",
        name=name,
        count=len(unknown),
        need_id=need_id,
        lab_id=unknown[0],
    )


def _shuffled(found: Mapping[str, Mapping[str, Mapping[str, int]]], seed: int) -> list[PooledPair]:
    chance = np.random.default_rng(seed)
    needs, pairs = list(found), []
    for place in chance.permutation(len(needs)).tolist():
        need_id = needs[place]
        # Before they are shuffled they stand by id, so that the order hangs on the seed and on nothing else.
        labs = sorted(found[need_id])
        for other in chance.permutation(len(labs)).tolist():
            pairs.append(PooledPair(need_id, labs[other], dict(found[need_id][labs[other]])))
    return pairs


@dataclass(frozen=True)
class Contribution:
    """How many pairs of the pool one ranking found, and how many of them no other did."""

    name: str
    found: int
    alone: int


def contributions(ranks: Sequence[Mapping[str, int]]) -> list[Contribution]:
    """Return what each ranking brought into a pool, by name: for the office, never for a judge."""
    found = Counter(name for one in ranks for name in one)
    alone = Counter(next(iter(one)) for one in ranks if len(one) == 1)
    return [Contribution(name, found[name], alone[name]) for name in sorted(found)]
