"""Lessons in, a challenger to the ranker in use out, and whether it has earned to take its place.

In: lessons (`matcher.judging.champion.decisions`). Out: weights for the same features, and how a ranking by them
compares with one by the champion's on needs that were not learned from. It exists as arithmetic on arrays alone, so
that the gate can be tried with hundreds of poisoned and random challengers in seconds.

**Learning.** The loss is ListNet's, as for the weights of the release (`matcher.judging.learning`), over the labs of
which something was said. Each counts inversely to how often a lab at its rank is looked at, above and below the line,
so that the list as shown stands for the list as it is. No weight may be negative, and depth may not weigh more than in
the release: no evidence may count against a lab, and a long list must not beat a good one because it was clicked. Then
w = default + n / (n + K) × (learned − default): with no decisions exactly the default's. The scale stays (words and
meaning together weigh what they did), and bands and coverage are carried over by the line through the scores of both
rankers on what was shown.

**Comparing.** Needs are split by the time of their first decision: weights are learned on the earlier ones and
measured on the later. Two measures, each as the difference to the champion with a 95 % interval from a bootstrap over
companies, since the needs of one company are decided on by the same few people:

- nDCG@10 over the labs of which something was said. Gains are not weighed by rank: the rarer verdicts from below would
  count more, and any order that differs from the one shown would seem better.
- The share of acceptances among the first 5 (off-policy): each verdict on a lab that a ranker has among its first 5
  counts by how much more often it would be looked at there than where it was shown, clipped; divided by the sum of
  these weights (self-normalised inverse propensity, Swaminathan and Joachims 2015). Only labs that were shown can
  count: what a challenger would bring up from below is not known.

**The gate.** Both lower ends have to lie above 0, those of a 99 % interval too: a challenger is computed again and
again, and one in forty without any worth would otherwise seem better. Where near ties were drawn by lot, those pairs
must not say that it is surely worse. And what was gained must not hang on one company, one person, one lab, nor on the
three labs that the rankers differ most about: without each one that gave or got a twentieth of the verdicts, and
without those three together, both differences have to stay above 0 by a floor. One who rules many verdicts could
otherwise promote a ranker of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.stats import t as student

from indexer.arrays import DoubleArray
from indexer.wording import T_, Text
from matcher.judging.champion.decisions import Lesson, examined
from matcher.judging.champion.near_ties import DrawnComparison, drawn_difference
from matcher.judging.champion.remembering import Scores, by_weights, sure_share
from matcher.judging.learning import FLOOR, MOST_FOR_DEPTH
from matcher.judging.measures import SEED, Interval
from matcher.ranking.ranker import Ranker
from matcher.ranking.signals import FEATURES, N_EVIDENCE

PULL = 0.03
"""How strongly weights are held at the default's, per squared unit of weight, beside a mean loss over verdicts.

Of 0.0003 to 0.1 the one by which more decisions of `simulated_experts` made unseen needs better each time."""
HALF_WAY = 200
"""So many verdicts on topic bring the weights half of the way from the default to what they say: the K above."""
EARLIER_SHARE = 0.6
FIRST_OF_LIST = 10
FIRST_SHOWN = 5
MOST_WEIGHT = 10.0
"""No verdict counts for more than so many in the off-policy estimate."""
SAMPLES = 2_000
SURE = 0.995
"""How sure the gate has to be that either measure rises: the lower end of a two-sided interval of 99 %."""
FEWEST_COMPANIES, FEWEST_NEEDS = 8, 20
"""Later needs, and companies, below which nothing can be compared."""
WEIGHTY_SHARE = 0.05
"""Who gave or got such a share of the later verdicts is left out once."""
DISPUTED = 3
"""So many labs of which champion and challenger think most differently are left out together."""
FLOOR_OF_GAIN = 0.005
"""Without anyone of those so much of each gain has to be left."""


def learned_weights(lessons: Sequence[Lesson], default: Ranker, fading: float) -> DoubleArray:
    """Return the weights that lessons ask for, drawn towards the default's, shape (n features,)."""
    begin = np.array(default.weights)
    known = [lesson.kept(lesson.told) for lesson in lessons]
    known = [one for one in known if len(set(one.gains.tolist())) > 1]
    n = sum(int(one.told.sum()) for one in known)
    if not n:
        return begin
    learned = _fit(known, begin, fading)
    trust = _trust(known, begin, fading)
    learned *= begin[:N_EVIDENCE].sum() / max(float(learned[:N_EVIDENCE].sum()), FLOOR)
    depth = FEATURES.index("depth")
    learned[depth] = min(learned[depth], max(begin[depth], MOST_FOR_DEPTH * begin[:N_EVIDENCE].mean()))
    return np.asarray(np.round(begin + trust * n / (n + HALF_WAY) * (learned - begin), 4))


def _trust(known: Sequence[Lesson], begin: DoubleArray, fading: float) -> float:
    """Return how far to follow weights, 0 to 1, from how those learned on half of the companies do for the others."""
    companies = sorted({lesson.company for lesson in known})
    half = frozenset(companies[::2])
    parts = [[one for one in known if (one.company in half) is side] for side in (True, False)]
    if not all(parts):
        return 1.0
    better: dict[str, float] = {}
    for mine, others in (parts, parts[::-1]):
        learned = _fit(mine, begin, fading)
        for lesson in others:
            by = _missed(lesson, begin, fading) - _missed(lesson, learned, fading)
            better[lesson.company] = better.get(lesson.company, 0.0) + float(lesson.told.sum()) * by
    return sure_share(np.array(list(better.values())))


def _missed(lesson: Lesson, weights: DoubleArray, fading: float) -> float:
    """Return the loss of one lesson, without the pull."""
    scores, weight = lesson.values @ weights, 1 / examined(lesson.ranks, fading)
    wanted = lesson.gains * weight
    highest = float(scores.max())
    return highest + float(np.log(weight @ np.exp(scores - highest))) - float(wanted @ scores / wanted.sum())


def _fit(known: Sequence[Lesson], begin: DoubleArray, fading: float) -> DoubleArray:
    values = np.concatenate([one.values for one in known])
    starts = np.cumsum([0, *(len(one.gains) for one in known[:-1])])
    owner = np.repeat(np.arange(len(known)), [len(one.gains) for one in known])
    weight = 1 / examined(np.concatenate([one.ranks for one in known]), fading)
    wanted = np.concatenate([one.gains for one in known]) * weight
    wanted /= np.add.reduceat(wanted, starts)[owner]
    share = np.array([float(one.told.sum()) for one in known])
    share /= share.sum()

    def loss(weights: DoubleArray) -> tuple[float, DoubleArray]:
        scores = values @ weights
        highest = np.maximum.reduceat(scores, starts)
        chance = weight * np.exp(scores - highest[owner])
        whole = np.add.reduceat(chance, starts)
        chance /= whole[owner]
        missed = highest + np.log(whole) - np.add.reduceat(wanted * scores, starts)
        off = weights - begin
        slope = values.T @ ((chance - wanted) * share[owner]) + 2 * PULL * off
        return float(share @ missed + PULL * off @ off), slope

    bounds = [(min(FLOOR, start), None) for start in begin.tolist()]
    return np.asarray(minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x)


def carried_over(
    default: Ranker, weights: DoubleArray, lessons: Sequence[Lesson], scores: Scores | None = None
) -> Mapping[str, Any]:
    """Return weights, bands and coverage as a ranker's file has them.

    A band begins where the line through both rankers' scores of what was shown puts the default's limit.

    Args:
        default: the release's ranker.
        weights: the learned ones.
        lessons: what was learned from.
        scores: of the challenger; default those by its weights alone.
    """
    slope, offset = 1.0, 0.0
    if lessons and (scores is not None or not np.array_equal(weights, default.weights)):
        told = scores or by_weights(weights)
        before = np.concatenate([lesson.values @ np.array(default.weights) for lesson in lessons])
        after = np.concatenate([told(lesson) for lesson in lessons])
        if np.ptp(before) > 0:
            slope, offset = np.polyfit(before, after, 1).tolist()
    # Rankers that disagree altogether leave no line to follow.
    slope = slope if slope > 0.1 else 1.0
    of_ask, of_pair, at = default.coverage
    return {
        "weights": {name: float(weight) for name, weight in zip(FEATURES, weights, strict=True)},
        "bands": {
            "strong_from": round(slope * default.strong_from + offset, 3),
            "plausible_from": round(slope * default.plausible_from + offset, 3),
        },
        "asks": {
            "evidence": of_ask,
            "score": round(of_pair / slope, 4),
            "offset": round(at - of_pair * offset / slope, 4),
        },
    }


def limit_of(lessons: Sequence[Lesson]) -> datetime | None:
    """Return the moment that parts the needs to learn from from those to measure on; None without any moment."""
    moments = sorted(lesson.at for lesson in lessons if lesson.at is not None)
    return moments[min(int(len(moments) * EARLIER_SHARE), len(moments) - 1)] if moments else None


def parted(lessons: Sequence[Lesson], limit: datetime | None) -> tuple[list[Lesson], list[Lesson]]:
    """Part lessons at a moment; grades without one are learned from only, and no need stands on both sides."""
    earlier = [one for one in lessons if one.at is None or limit is None or one.at < limit]
    seen = {one.need for one in earlier}
    later = [one for one in lessons if one.at is not None and limit is not None and one.at >= limit]
    return earlier, [one for one in later if one.need not in seen]


@dataclass(frozen=True)
class GateOutcome:
    """How a challenger compares with the champion; `reasons` say why it may not be promoted, none if it may.

    `drawn` is what pairs say whose order a coin chose, None where there are too few.
    """

    needs: int
    companies: int
    ndcg: Interval | None
    accepted: Interval | None
    reasons: tuple[Text, ...]
    drawn: DrawnComparison | None = None

    @property
    def passed(self) -> bool:
        """Whether it may be promoted."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        told = {
            name: None if one is None else {"difference": one.mean, "low": one.low, "high": one.high}
            for name, one in (("ndcg_at_10", self.ndcg), ("accepted_among_first_5", self.accepted))
        }
        if self.drawn is not None:
            one = self.drawn.difference
            told["near_ties"] = {"difference": one.mean, "low": one.low, "high": one.high, "pairs": self.drawn.pairs}
        return {"needs": self.needs, "companies": self.companies, **told, "better": self.passed}


def compared(
    champion: Scores, challenger: Scores, later: Sequence[Lesson], fading: float, seed: int = SEED
) -> GateOutcome:
    """Compare two rankers by their scores on needs that neither was learned from, and say whether the gate opens."""
    rows = [_Row.of(lesson, champion, challenger, fading) for lesson in later]
    rows = [row for row in rows if row.told]
    companies = sorted({row.company for row in rows})
    if len(companies) < FEWEST_COMPANIES or len(rows) < FEWEST_NEEDS:
        few = T_(
            "only %(needs)s later needs of %(companies)s companies have decisions; it takes %(least)s of %(of)s",
            needs=len(rows),
            companies=len(companies),
            least=FEWEST_NEEDS,
            of=FEWEST_COMPANIES,
        )
        return GateOutcome(len(rows), len(companies), None, None, (few,))
    (ndcg, surely), (accepted, surely_accepted) = _intervals(rows, companies, seed)
    reasons = []
    if surely <= 0:
        reasons.append(T_("nDCG@10 is not surely better: the 99 %% interval begins at %(low)s", low=f"{surely:+.4f}"))
    if surely_accepted <= 0:
        low = f"{surely_accepted:+.4f}"
        reasons.append(
            T_(
                "the share accepted among the first 5 is not surely better: the 99 %% interval begins at %(low)s",
                low=low,
            )
        )
    drawn = drawn_difference(champion, challenger, later, seed)
    if drawn is not None and drawn.difference.high < 0:
        reasons.append(
            T_(
                "where a coin chose the order it is surely worse: the 95 %% interval ends at %(high)s",
                high=f"{drawn.difference.high:+.4f}",
            )
        )
    if not reasons:
        reasons += _hanging(champion, challenger, later, fading)
    return GateOutcome(len(rows), len(companies), ndcg, accepted, tuple(reasons), drawn)


@dataclass(frozen=True)
class _Row:
    """One need's part of both measures: nDCG of both rankers (None without a fitting lab), sums of weights."""

    company: str
    told: int
    ndcg: tuple[float, float] | None
    gained: tuple[float, float]
    weighed: tuple[float, float]

    @classmethod
    def of(cls, lesson: Lesson, champion: Scores, challenger: Scores, fading: float) -> _Row:
        known = lesson.kept(lesson.told)
        gains = known.gains
        ndcg = None
        if len(set(gains.tolist())) > 1:
            ndcg = (_ndcg(champion(known), gains), _ndcg(challenger(known), gains))
        sums = [_off_policy(lesson, scores, fading) for scores in (champion, challenger)]
        gained, weighed = zip(*sums, strict=True)
        return cls(lesson.company, int(lesson.told.sum()), ndcg, gained, weighed)


def _ndcg(scores: DoubleArray, gains: DoubleArray) -> float:
    discount = 1 / np.log2(np.arange(2, FIRST_OF_LIST + 2))
    order = np.argsort(-scores, kind="stable")[:FIRST_OF_LIST]
    best = np.sort(gains)[::-1][:FIRST_OF_LIST]
    return float(gains[order] @ discount[: len(order)] / (best @ discount[: len(best)]))


def _off_policy(lesson: Lesson, scores: Scores, fading: float) -> tuple[float, float]:
    """Return the weighed acceptances, and weights, of the verdicts on labs that a ranker has among its first."""
    if not lesson.ranks.any():
        return 0.0, 0.0
    places = np.empty(len(lesson.ranks), dtype=np.int64)
    places[np.argsort(-scores(lesson), kind="stable")] = np.arange(1, len(places) + 1)
    counted = lesson.told & (places <= FIRST_SHOWN)
    weight = np.minimum(examined(places, fading) / examined(lesson.ranks, fading), MOST_WEIGHT) * counted
    return float(weight @ (lesson.gains > 0)), float(weight.sum())


def _sums(rows: Iterable[_Row]) -> DoubleArray:
    """Return what is added up: difference of nDCG and needs with one, then gained and weighed of both rankers."""
    total = np.zeros(6)
    for row in rows:
        if row.ndcg is not None:
            total[:2] += (row.ndcg[1] - row.ndcg[0], 1)
        total[2:] += (*row.gained, *row.weighed)
    return total


def _differences(sums: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return both differences from sums of shape (…, 6); 0 where nothing was added up."""
    ndcg, needs, mine, theirs, of_mine, of_theirs = np.moveaxis(sums, -1, 0)
    shares = [np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)
              for part, whole in ((mine, of_mine), (theirs, of_theirs))]  # fmt: skip
    return np.where(needs > 0, ndcg / np.where(needs > 0, needs, 1), 0.0), shares[1] - shares[0]


def _intervals(
    rows: Sequence[_Row], companies: Sequence[str], seed: int
) -> tuple[tuple[Interval, float], tuple[Interval, float]]:
    """Return for both measures the 95 % interval, and the lower end of the wider one that the gate asks for.

    That one is Student's, from the spread of the same samples: where there are few companies a bootstrap's tails are
    too short.
    """
    of_company = np.stack([_sums(row for row in rows if row.company == company) for company in companies])
    n = len(companies)
    picks = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=SAMPLES)
    drawn, whole = _differences(picks @ of_company), _differences(of_company.sum(axis=0))
    reach = float(student.ppf(SURE, n - 1)) * np.sqrt(n / (n - 1))
    found = []
    for mean, samples in zip(whole, drawn, strict=True):
        low, high = np.percentile(samples, [2.5, 97.5]).tolist()
        found.append((Interval(float(mean), low, high), float(mean - reach * samples.std())))
    return found[0], found[1]


def _hanging(champion: Scores, challenger: Scores, later: Sequence[Lesson], fading: float) -> Iterator[Text]:
    """Yield a sentence for each kind of one whose verdicts alone make the difference."""
    kinds: dict[str, tuple[Text, Callable[[Lesson], Sequence[str]]]] = {
        "company": (T_("one company"), lambda lesson: (lesson.company,) * len(lesson.labs)),
        "person": (T_("one person"), lambda lesson: lesson.people),
        "lab": (T_("one lab"), lambda lesson: lesson.labs),
    }
    for name, names in kinds.values():
        counts = Counter(one for lesson in later for one, told in zip(names(lesson), lesson.told, strict=True) if told)
        for weighty in [one for one, n in counts.items() if n >= WEIGHTY_SHARE * counts.total()]:
            rest = [lesson.kept(np.array([one != weighty for one in names(lesson)])) for lesson in later]
            rows = [_Row.of(lesson, champion, challenger, fading) for lesson in rest if lesson.told.any()]
            if min(map(float, _differences(_sums(rows)))) < FLOOR_OF_GAIN:
                yield T_("what was gained hangs on the verdicts of %(name)s", name=name)
                break
    disputed = _most_disputed(champion, challenger, later)
    rest = [lesson.kept(np.array([lab not in disputed for lab in lesson.labs])) for lesson in later]
    rows = [_Row.of(lesson, champion, challenger, fading) for lesson in rest if lesson.told.any()]
    if min(map(float, _differences(_sums(rows)))) < FLOOR_OF_GAIN:
        yield T_("what was gained hangs on %(n)s labs: %(labs)s", n=len(disputed), labs=", ".join(sorted(disputed)))


def _most_disputed(champion: Scores, challenger: Scores, later: Sequence[Lesson]) -> frozenset[str]:
    """Return the labs that verdicts were given on and of which two rankers think most differently, beside the others.

    A ranker that remembers can be taught by false verdicts on few labs, each too rare to be weighty.
    """
    apart: Counter[str] = Counter()
    for lesson in later:
        moved = challenger(lesson) - champion(lesson)
        moved = np.abs(moved - np.median(moved))
        apart.update({lab: float(by) for lab, by, told in zip(lesson.labs, moved, lesson.told, strict=True) if told})
    return frozenset(lab for lab, _ in apart.most_common(DISPUTED))
