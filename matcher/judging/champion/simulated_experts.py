"""Invented experts who decide, to see whether learning from them makes rankings better on needs that nobody decided on.

In: judged needs with the features of their labs, and what an expert is like. Out: lessons as decisions would give
them, and a table: nDCG@10 on unseen needs by the default and by what was learned from 200, 1,000 and 5,000 decisions.
It exists because an office wants to know before it decides a thousand times what that may bring. Experts here look at
the list from the top and ever more rarely further down, err in a share of their verdicts, and reject for reasons that
teach nothing as well. Three kinds: *plain* ones want what the judgements of the demo world say, which the default
weights were fitted on; to *particular* ones a lab that fits is worth something only if its evidence is recent, or it
offers all that is asked, or it fits perfectly, and most if all is true: what the default hardly weighs; *acquainted*
ones know labs: what a lab is worth to them in a field differs from what can be read of it, for a quarter of the labs
by 1.2 grades up, for a quarter down, drawn once and the same for all needs of the field and all experts. To them a lab
of the need's field that nobody judged is worth half a grade before that. No record says so, hence no ranker can know
it before it is told; how strong such knowledge is in a real programme is not known. Needs are split into those that
are decided on and those that are measured, for several seeds. With few needs and many decisions the same need is
decided on again, by another expert.

`python -m matcher.judging.champion.simulated_experts` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

import fixtures
from indexer.arrays import DoubleArray
from indexer.settings import Settings
from matcher.judging.champion.challenger import learned_weights
from matcher.judging.champion.decisions import Lesson, fading_of
from matcher.judging.champion.remembering import Known, by_weights, learned_history
from matcher.judging.evaluation import collection_home
from matcher.judging.learning import Example, examples, ndcg_of
from matcher.judging.measures import BOOTSTRAP_SAMPLES, SEED, Qrels, read_qrels
from matcher.ranking.history import History, Trace
from matcher.ranking.pairings import Matcher
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
REGARD = 1.2
"""By so many grades a lab is worth more, or less, to acquainted experts than it seems."""
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
    labs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class World:
    """Judged needs as a programme has them; entry i of each is need i, with the labs that may be proposed for it."""

    examples: Sequence[Example]
    traces: Sequence[Trace]
    companies: Sequence[str]
    labs: Sequence[tuple[str, ...]]
    fields: Mapping[str, frozenset[str]]
    schools: Mapping[str, str]


Taste = Callable[[World, int], list[DoubleArray]]
"""What the labs of each need are worth to a kind of experts, drawn by a seed where it is drawn at all."""


def by_example(worth: Callable[[Example], DoubleArray]) -> Taste:
    """Return a taste that reads what is known of each need, without any draw."""
    return lambda world, _: [worth(example) for example in world.examples]


def acquainted(world: World, seed: int) -> list[DoubleArray]:
    """Return what labs are worth to experts who know more of them than is written."""
    chance = np.random.default_rng([3, seed])
    order = {lab: place for place, lab in enumerate(sorted(world.schools))}
    names = sorted({field for trace in world.traces for field in trace.fields})
    regard = chance.choice([-REGARD, 0.0, REGARD], (len(order), len(names) + 1), p=[0.25, 0.5, 0.25])
    found = []
    for example, trace, labs in zip(world.examples, world.traces, world.labs, strict=True):
        near = [not world.fields[lab].isdisjoint(trace.fields) for lab in labs]
        begin = np.where(example.grades > 0, example.grades, 0.5 * np.array(near))
        # The last column is that of needs without a field.
        known = regard[[order[lab] for lab in labs], names.index(trace.fields[0]) if trace.fields else -1]
        found.append(np.where(begin > 0, np.clip(begin + known, 0, 3), 0.0))
    return found


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
        labs=tuple(one.labs[row] if one.labs else f"lab-{row}" for row in rows),
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


def learned(lessons: Sequence[Lesson], traces: Mapping[str, Trace], schools: Mapping[str, str]) -> Learner:
    """Return what `gloria learn` would make of lessons, without its gate."""
    weights = learned_weights(lessons, default_ranker(), fading_of(lessons))
    known = Known({lesson.need: traces[lesson.need.rpartition(", ")[0]] for lesson in lessons}, schools)
    return Learner(weights, learned_history(lessons, known, by_weights(weights)))


@dataclass(frozen=True, eq=False)
class Learner:
    """Weights, and what is remembered."""

    weights: DoubleArray
    history: History | None = None

    def scores(self, example: Example, trace: Trace, labs: Sequence[str], schools: Mapping[str, str]) -> DoubleArray:
        """Return the scores of all labs of a need."""
        found = np.asarray(example.values @ self.weights)
        if self.history is not None:
            found = found + self.history.of(trace, labs, [schools[lab] for lab in labs]).amounts
        return found


def table(world: World, taste: Taste) -> list[str]:
    """Return the lines of a table: a row for the default, and one for each number of decisions.

    A need's value is its mean over the seeds in which it was unseen; intervals are over needs.
    """
    default = Learner(np.array(default_ranker().weights))
    names = [f"need-{i}" for i in range(len(world.examples))]
    traces = dict(zip(names, world.traces, strict=True))
    gathered = np.full((len(DECISIONS) + 1, SEEDS, len(names)), np.nan)
    for seed in range(SEEDS):
        worth = taste(world, seed)
        parts = zip(names, world.companies, world.examples, worth, world.labs, strict=True)
        wanted = [Wanted(name, company, e.values, gains, labs) for name, company, e, gains, labs in parts]
        order = np.random.default_rng(seed).permutation([i for i, gains in enumerate(worth) if gains.any()])
        limit = int(len(order) * UNSEEN_SHARE)
        seen = [wanted[i] for i in order[limit:]]
        tried = [default]
        for decisions in DECISIONS:
            tried.append(learned(decided(seen, default.weights, decisions, seed), traces, world.schools))
        for row, one in enumerate(tried):
            for i in order[:limit].tolist():
                scores = one.scores(world.examples[i], world.traces[i], world.labs[i], world.schools)
                gathered[row, seed, i] = ndcg_of(scores, worth[i])
    measured = ~np.isnan(gathered[0]).all(axis=0)
    by_need = np.nanmean(gathered[:, :, measured], axis=1)
    return [
        _row(name, values, None if row == 0 else values - by_need[0])
        for row, (name, values) in enumerate(
            zip(("default", *(f"{decisions:,} decisions" for decisions in DECISIONS)), by_need, strict=True)
        )
    ]


def world_of(matcher: Matcher, judged: Qrels) -> World:
    """Return the judged needs of an opened home."""
    ids = [need for need in sorted(judged) if need in matcher.needs and any(g > 0 for g in judged[need].values())]
    needs = [matcher.needs[need] for need in ids]
    lab_ids = matcher.snapshot.lab_ids
    return World(
        examples=list(examples("demo_world", matcher, judged)),
        traces=list(matcher.traces(needs)),
        companies=[need.company or need.id for need in needs],
        labs=[tuple(lab_ids[row] for row in sorted(ranking.order)) for ranking in matcher.rankings(needs)],
        fields={lab: frozenset(matcher.labs[lab].fields) for lab in lab_ids},
        schools={lab: matcher.labs[lab].school or "" for lab in lab_ids},
    )


def main() -> None:
    """Print the tables of all kinds of experts over the demo world."""
    path = fixtures.world_path()
    with collection_home(Settings(), path / "labs.jsonl", path / "needs.jsonl") as (matcher, _):
        world = world_of(matcher, read_qrels(path / "qrels.txt")[0])
    tastes = {"plain": by_example(plain), "particular": by_example(particular), "acquainted": acquainted}
    for kind, taste in tastes.items():
        print(f"{kind} experts: nDCG@10 on unseen needs, 95 % interval; difference to the default")
        print("\n".join(table(world, taste)))


if __name__ == "__main__":
    main()
