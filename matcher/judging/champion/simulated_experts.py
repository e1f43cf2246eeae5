"""Invented experts who decide, to see whether learning from them makes rankings better on needs that nobody decided on.

In: judged needs with the features of their labs, and what an expert is like. Out: lessons as decisions would give
them, and a table: nDCG@10 on unseen needs by the default and by what was learned from 200, 1,000 and 5,000 decisions.
It exists because an office wants to know before it decides a thousand times what that may bring. Experts here look at
the list from the top and ever more rarely further down, err in a share of their verdicts, and reject for reasons that
teach nothing as well. Two kinds: *plain* ones want what the judgements of the demo world say, which the default
weights were fitted on; to *particular* ones a lab that fits is worth something only if its evidence is recent, or it
offers all that is asked, or it fits perfectly, and most if all is true: what the default hardly weighs. Needs are
split into those that are decided on and those that are measured, for several seeds. With few needs and many decisions
the same need is decided on again, by another expert.

`python -m matcher.judging.champion.simulated_experts` prints the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

import fixtures
from indexer.arrays import DoubleArray
from indexer.settings import Settings
from matcher.judging.champion.challenger import learned_weights
from matcher.judging.champion.decisions import Lesson, fading_of
from matcher.judging.evaluation import collection_home
from matcher.judging.learning import Example, examples, ndcg
from matcher.judging.measures import BOOTSTRAP_SAMPLES, SEED, read_qrels
from matcher.ranking.rankers import default_ranker
from matcher.ranking.signals import FEATURES

SHOWN = 20
"""Labs that an expert is shown for a need."""
FADING = 0.7
"""A lab at rank r is looked at r^-0.7 times as often as the first."""
ACCEPTS = (0.02, 0.15, 0.75, 0.95)
"""The chance that a lab of a worth of 0, 1, 2 and 3 is accepted, where it is looked at."""
SILENT = 0.3
"""The share of rejections for a reason that says nothing on topic."""
DECISIONS = (200, 1_000, 5_000)
SEEDS = 10
UNSEEN_SHARE = 1 / 3
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Wanted:
    """One need as experts see it: features of all labs that may be proposed, and what each is worth, 0 to 3."""

    need: str
    company: str
    values: DoubleArray
    worth: DoubleArray


def plain(example: Example) -> DoubleArray:
    """Return what labs are worth to an expert who wants what the judgements say."""
    return example.grades


def particular(example: Example) -> DoubleArray:
    """Return what labs are worth to one who cares for recent evidence and what is offered, beside the topic."""
    recency, offer = (example.values[:, FEATURES.index(name)] for name in ("recency", "offer"))
    recent = recency >= np.median(recency[example.grades > 0])
    return np.where(example.grades > 0, np.clip(example.grades - 2, 0, 1) + recent + (offer >= 1), 0.0)


def decided(wanted: Sequence[Wanted], weights: DoubleArray, decisions: int, seed: int, people: int = 8) -> list[Lesson]:
    """Return what invented experts teach in so many decisions on lists that were ranked by some weights."""
    chance = np.random.default_rng(seed)
    lessons: list[Lesson] = []
    n = session = 0
    order: list[int] = []
    while n < decisions:
        order = order or chance.permutation(len(wanted)).tolist()
        lesson = _session(wanted[order.pop()], weights, session, f"expert-{chance.integers(people)}", chance)
        n += sum(bool(one) for one in lesson.people)
        session += 1
        if lesson.told.any():
            lessons.append(lesson)
    return lessons


def _session(one: Wanted, weights: DoubleArray, number: int, who: str, chance: np.random.Generator) -> Lesson:
    rows = np.argsort(-(one.values @ weights), kind="stable")[:SHOWN]
    ranks = np.arange(1, len(rows) + 1)
    looked = chance.random(len(rows)) < ranks**-FADING
    likely = np.interp(one.worth[rows], range(len(ACCEPTS)), ACCEPTS)
    accepted = looked & (chance.random(len(rows)) < likely)
    told = accepted | (looked & (chance.random(len(rows)) >= SILENT))
    return Lesson(
        need=f"{one.need}, {number}",
        company=one.company,
        at=BEGIN + timedelta(hours=number),
        labs=tuple(f"lab-{row}" for row in rows),
        people=tuple(who if seen else "" for seen in looked),
        values=one.values[rows],
        gains=accepted.astype(np.float64),
        told=told,
        ranks=ranks.astype(np.int64),
    )


def _row(name: str, values: DoubleArray, differences: DoubleArray | None) -> str:
    """Return mean and 95 % interval over needs, and the same of the difference to the default."""
    told = [f"{name:>16}"]
    for one, form in ((values, "{:.3f} [{:.3f}, {:.3f}]"), (differences, "{:+.3f} [{:+.3f}, {:+.3f}]")):
        if one is None:
            continue
        picks = np.random.default_rng(SEED).integers(0, len(one), size=(BOOTSTRAP_SAMPLES, len(one)))
        low, high = np.percentile(one[picks].mean(axis=1), [2.5, 97.5])
        told.append(form.format(one.mean(), low, high))
    return "   ".join(told)


def table(found: Sequence[Example], worth: Sequence[DoubleArray], companies: Sequence[str]) -> list[str]:
    """Return the lines of a table: a row for the default, and one for each number of decisions.

    A need's value is its mean over the seeds in which it was unseen; intervals are over needs.
    """
    default = default_ranker()
    weights = np.array(default.weights)
    wanted = [
        Wanted(f"need-{i}", company, example.values, gains)
        for i, (example, gains, company) in enumerate(zip(found, worth, companies, strict=True))
    ]
    judged = [Example(e.collection, e.values, gains, e.asks) for e, gains in zip(found, worth, strict=True)]
    usable = [i for i, one in enumerate(judged) if one.grades.any()]
    gathered = np.full((len(DECISIONS) + 1, SEEDS, len(found)), np.nan)
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(usable)
        unseen = order[: int(len(order) * UNSEEN_SHARE)]
        seen = [wanted[i] for i in order[int(len(order) * UNSEEN_SHARE) :]]
        tried = [weights]
        for decisions in DECISIONS:
            lessons = decided(seen, weights, decisions, seed)
            tried.append(learned_weights(lessons, default, fading_of(lessons)))
        for row, one in enumerate(tried):
            for i in unseen.tolist():
                gathered[row, seed, i] = ndcg(judged[i], one)
    measured = ~np.isnan(gathered[0]).all(axis=0)
    by_need = np.nanmean(gathered[:, :, measured], axis=1)
    names = ("default", *(f"{decisions:,} decisions" for decisions in DECISIONS))
    return [
        _row(name, values, None if row == 0 else values - by_need[0])
        for row, (name, values) in enumerate(zip(names, by_need, strict=True))
    ]


def main() -> None:
    """Print the tables of both kinds of experts over the demo world."""
    world = fixtures.world_path()
    with collection_home(Settings(), world / "labs.jsonl", world / "needs.jsonl") as (matcher, _):
        judged = read_qrels(world / "qrels.txt")[0]
        found = list(examples("demo_world", matcher, judged))
        ids = [need for need in sorted(judged) if need in matcher.needs and any(g > 0 for g in judged[need].values())]
        companies = [matcher.needs[need].company or need for need in ids]
    for title, worth in (("plain experts", plain), ("particular experts", particular)):
        print(f"{title}: nDCG@10 on unseen needs, 95 % interval; difference to the default")
        print("\n".join(table(found, [worth(example) for example in found], companies)))


if __name__ == "__main__":
    main()
