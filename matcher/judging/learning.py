"""Judged collections in, the ranker's scale and weights out.

In: collections in the exchange format with qrels: the demo world, and the open data beside the repository where it is
there. Out: `scale.json`, which says where 0 and 1 of each signal lie (`matcher.judging.scaling`), and `weights.json`.
It exists so that the defaults are nobody's opinion and can be fitted again: `make weights` does so and prints how well
they hold on needs that were left out. Only what wishes weigh is given (`GIVEN`), since no judgement tells it.

Words and meaning share one weight, since a fit is their sum (`matcher.ranking.signals`); what is learned is how much
depth and the profile's statements weigh beside it. These weights minimise the cross-entropy between each need's grades
and the softmax of its scores (ListNet, Cao et al. 2007), averaged over needs and then over collections, with a
quadratic pull towards the start values; how strong the pull is, is chosen by five-fold cross-validation over needs.
No weight may be negative: no evidence may count against a lab. Depth may not weigh more than `MOST_FOR_DEPTH`, however
well it does where relevance goes with size: a long list must not beat a good one by default.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from scipy.optimize import minimize

import fixtures
from indexer.arrays import DoubleArray
from indexer.records.profiles import Need
from indexer.settings import Settings
from matcher.judging.evaluation import collection_home
from matcher.judging.measures import SEED, Qrels, read_qrels
from matcher.judging.scaling import INTRODUCED_FROM, measured_scale
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import DEFAULT_WEIGHTS, PLAUSIBLE_CHANCE, STRONG_CHANCE
from matcher.ranking.signals import FEATURES, N_EVIDENCE, SCALE_FILE, scale
from matcher.ranking.wishes import Wish

FOLDS = 5
PARTNERS = 6
"""So many other needs each need is put together with, for needs of two subjects."""
PULLS = (0.003, 0.01, 0.03, 0.1, 0.3)
SCORE_OF_ONE = 10.0
"""What a fit of 1 adds to a score: the unit in which scores are shown."""
GIVEN: dict[str, float] = {Wish.REGION: 0.5, Wish.COMPANY: 0.5, Wish.LANGUAGE: 0.5}
"""Weights that are not learned, in the unit of scores.

Whoever judged did not know what the company wishes, so a fit to judgements
would only find that wishes are worth nothing. Each decides between labs that
answer a need about equally well, and all together outweigh no real difference
in fit. By judgements blind to wishes the demo world loses 0.0015 nDCG@10 for
it. `field` is learned: a field is part of the topic, which judges see.
"""
FREE = ("evidence", *(name for name in FEATURES[N_EVIDENCE:] if name not in GIVEN))
"""The weights that are learned."""
START = {"evidence": 6.0, "ask_best": 0.9, "depth": 0.9, "field": 0.9}
"""Weights before anything is learned; what is not named starts at its floor."""
FLOOR = 0.05
"""What is learned must at least break ties, even where no judgement tells its worth."""
MOST_FOR_DEPTH = 0.15
"""Beside a weight of 1 for evidence."""
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True)
class Example:
    """One judged need: features and grades of the labs that may be proposed.

    `values` has shape (n labs, n features), `grades` (n labs,); `asks`, shape
    (n asks, n labs), what their evidence adds up to for each ask, and `ask_grades`
    of the same shape the grade of the lab for the need that the ask is from.
    """

    collection: str
    values: DoubleArray
    grades: DoubleArray
    asks: DoubleArray
    ask_grades: DoubleArray


def examples(name: str, matcher: Matcher, judged: Qrels) -> Iterator[Example]:
    """Yield the judged needs of a collection that have a relevant lab."""
    needs = [matcher.needs[need_id] for need_id in sorted(judged) if need_id in matcher.needs]
    for ranking in matcher.rankings(needs):
        rows = sorted(ranking.order)
        row_grades = _grades(matcher, judged, ranking.query.need.id, rows)
        if row_grades.any():
            asks = ranking.table.ask_scores[:, rows]
            yield Example(name, ranking.table.values[rows], row_grades, asks, np.tile(row_grades, (len(asks), 1)))


def two_subjects(name: str, matcher: Matcher, judged: Qrels) -> Iterator[Example]:
    """Yield needs that ask for what two judged needs ask for, each with `PARTNERS` others drawn by `SEED`.

    A lab that was introduced for one of the two answers its asks and not the other's: from needs of one subject alone
    nothing tells an ask that is answered from one that stands beside such.
    """
    ids = sorted(need_id for need_id in judged if need_id in matcher.needs)
    draw = np.random.default_rng(SEED)
    pairs = [(a, ids[b]) for a in ids for b in draw.permutation(len(ids))[:PARTNERS].tolist() if ids[b] != a]
    both = [_together(matcher.needs[a], matcher.needs[b]) for a, b in pairs]
    for (a, b), ranking in zip(pairs, matcher.rankings(both), strict=True):
        rows = sorted(ranking.order)
        of_a, of_b = (_grades(matcher, judged, one, rows) for one in (a, b))
        sizes = len(matcher.needs[a].asks), len(matcher.needs[b].asks)
        grades = np.concatenate([np.tile(of, (n, 1)) for of, n in zip((of_a, of_b), sizes, strict=True)])
        values, asks = ranking.table.values[rows], ranking.table.ask_scores[:, rows]
        yield Example(name, values, np.maximum(of_a, of_b), asks, grades)


def _grades(matcher: Matcher, judged: Qrels, need_id: str, rows: Sequence[int]) -> DoubleArray:
    grades = judged[need_id]
    return np.array([max(0, grades.get(matcher.snapshot.lab_ids[row], 0)) for row in rows], dtype=np.float64)


def _together(one: Need, other: Need) -> Need:
    """Return a need that asks for what both ask for and excludes nobody."""
    return replace(
        one,
        id=f"{one.id}+{other.id}",
        title=f"{one.title} / {other.title}",
        description=f"{one.description}\n{other.description}",
        asks=(*one.asks, *other.asks),
        fields=tuple(dict.fromkeys((*one.fields, *other.fields))),
        languages=tuple(dict.fromkeys((*one.languages, *other.languages))),
        excluded_labs=(),
    )


def spread(free: DoubleArray) -> DoubleArray:
    """Return the weight of each feature, shape (n features,), from the learned weights in the order of `FREE`."""
    by_name = dict(zip(FREE, free, strict=True))
    by_name |= {name: weight / SCORE_OF_ONE * free[0] for name, weight in GIVEN.items()}
    return np.array([by_name["evidence" if place < N_EVIDENCE else name] for place, name in enumerate(FEATURES)])


def start() -> DoubleArray:
    """Return the learned weights before learning, in the order of `FREE`."""
    return np.array([START.get(name, FLOOR) for name in FREE])


def fit(train: Sequence[Example], pull: float) -> DoubleArray:
    """Return the weights that minimise the loss described above, shape (n features,)."""
    begin = start()
    tied = np.stack([spread(row) for row in np.eye(len(FREE))])
    counts = {name: sum(e.collection == name for e in train) for name in {e.collection for e in train}}

    def loss(free: DoubleArray) -> tuple[float, DoubleArray]:
        weights = spread(free)
        total, slope = 0.0, np.zeros_like(weights)
        for example in train:
            scores = example.values @ weights
            chance = np.exp(scores - scores.max())
            chance /= chance.sum()
            wanted = example.grades / example.grades.sum()
            share = 1 / (counts[example.collection] * len(counts))
            total -= share * float(wanted @ np.log(chance + 1e-300))
            slope += share * (example.values.T @ (chance - wanted))
        off = free - begin
        return total + pull * float(off @ off), tied @ slope + 2 * pull * off

    result = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=[(FLOOR, None)] * len(FREE))
    # Only the proportions matter for a ranking.
    free = np.asarray(result.x) / result.x[0]
    depth = FREE.index("depth")
    free[depth] = min(free[depth], MOST_FOR_DEPTH)
    return spread(SCORE_OF_ONE * free)


def ndcg(example: Example, weights: DoubleArray, depth: int = 10) -> float:
    """Return nDCG@depth of one need by a weighted sum of its features."""
    return ndcg_of(example.values @ weights, example.grades, depth)


def ndcg_of(scores: DoubleArray, grades: DoubleArray, depth: int = 10) -> float:
    """Return nDCG@depth of one need with linear gains, as `ir-measures` computes it."""
    discount = 1 / np.log2(np.arange(2, depth + 2))
    order = np.argsort(-scores, kind="stable")[:depth]
    best = np.sort(grades)[::-1][:depth]
    return float(grades[order] @ discount[: len(order)] / (best @ discount[: len(best)]))


def means(found: Sequence[Example], values: Sequence[float]) -> dict[str, float]:
    """Return the mean value per collection, and under "mean" the mean of those."""
    names = list(dict.fromkeys(e.collection for e in found))
    result = {
        name: float(np.mean([v for e, v in zip(found, values, strict=True) if e.collection == name])) for name in names
    }
    return {**result, "mean": float(np.mean(list(result.values())))}


def cross_validated(found: Sequence[Example], pull: float) -> list[float]:
    """Return each need's nDCG@10 under weights fitted without its fold."""
    folds = np.random.default_rng(SEED).permutation(len(found)) % FOLDS
    values = [0.0] * len(found)
    for fold in range(FOLDS):
        weights = fit([e for e, f in zip(found, folds, strict=True) if f != fold], pull)
        for i in np.flatnonzero(folds == fold).tolist():
            values[i] = ndcg(found[i], weights)
    return values


def chance_of_introduction(scores: DoubleArray, good: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logistic curve that gives the chance that a pair of this score is good."""

    def loss(line: DoubleArray) -> tuple[float, DoubleArray]:
        logits = line[0] * scores + line[1]
        wrong = 1 / (1 + np.exp(-logits)) - good
        slope = np.array([np.mean(wrong * scores), wrong.mean()])
        return float(np.mean(np.logaddexp(0, logits) - good * logits)), slope

    line = minimize(loss, np.array([0.5, -5.0]), jac=True, method="L-BFGS-B").x
    return float(line[0]), float(line[1])


def bands(found: Sequence[Example], weights: DoubleArray) -> dict[str, object]:
    """Return the lowest scores of the bands, and what share of each band's pairs an expert would introduce.

    Calibrated on the graded pairs of the demo world: a logistic curve through
    all pairs gives the chance at each score, and a band begins where it
    reaches `STRONG_CHANCE` or `PLAUSIBLE_CHANCE`. The shares are of needs left
    out of the curve (five folds).
    """
    scores = [e.values @ weights for e in found]
    good = [e.grades >= INTRODUCED_FROM for e in found]

    def limits(chosen: npt.NDArray[np.int64]) -> tuple[float, float]:
        slope, offset = chance_of_introduction(
            np.concatenate([scores[i] for i in chosen]), np.concatenate([good[i] for i in chosen])
        )
        strong, plausible = ((np.log(p / (1 - p)) - offset) / slope for p in (STRONG_CHANCE, PLAUSIBLE_CHANCE))
        return round(float(strong), 3), round(float(plausible), 3)

    tally: dict[str, list[bool]] = {"strong": [], "plausible": [], "weak": []}
    folds = np.random.default_rng(SEED).permutation(len(found)) % FOLDS
    for fold in range(FOLDS):
        strong, plausible = limits(np.flatnonzero(folds != fold))
        for i in np.flatnonzero(folds == fold).tolist():
            for score, introduced in zip(scores[i], good[i], strict=True):
                band = "strong" if score >= strong else "plausible" if score >= plausible else "weak"
                tally[band].append(bool(introduced))
    strong, plausible = limits(np.arange(len(found)))
    return {
        "strong_from": strong,
        "plausible_from": plausible,
        "held_out_share_introduced": {
            band: {"pairs": len(pairs), "share": round(float(np.mean(pairs)), 4) if pairs else None}
            for band, pairs in tally.items()
        },
    }


def coverage(found: Sequence[Example], mixed: Sequence[Example], weights: DoubleArray) -> dict[str, float]:
    """Return the logistic curve that gives the chance that a lab answers an ask, see `Ranker.covers`.

    Asks were not judged one by one: a lab that is introduced is taken to answer the asks, which is a lower bound of
    what "covered" claims.

    Args:
        found: judged needs.
        mixed: needs of two subjects (`two_subjects`), which count as much as the others together.
        weights: of the features.
    """
    parts = [[_ask_rows(e, weights) for e in some] for some in (found, mixed) if some]
    inputs, good = (np.concatenate([row[i] for part in parts for row in part]) for i in (0, 1))
    sizes = [sum(len(row[1]) for row in part) for part in parts]
    share = np.concatenate([np.full(size, 1 / (size * len(sizes))) for size in sizes])

    def loss(factors: DoubleArray) -> tuple[float, DoubleArray]:
        logits = inputs @ factors
        wrong = 1 / (1 + np.exp(-logits)) - good
        return float(share @ (np.logaddexp(0, logits) - good * logits)), inputs.T @ (share * wrong)

    bounds = [(0.0, None), (0.0, None), (None, None)]
    found_at = minimize(loss, np.array([2.0, 0.3, -6.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return dict(zip(("evidence", "score", "offset"), (round(float(x), 4) for x in found_at), strict=True))


def _ask_rows(example: Example, weights: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return evidence, score and 1 of each ask and lab, (n, 3), and whether the lab was introduced for it, (n,)."""
    scores = np.broadcast_to(example.values @ weights, example.asks.shape).ravel()
    good = (example.ask_grades >= INTRODUCED_FROM).ravel().astype(np.float64)
    return np.stack([example.asks.ravel(), scores, np.ones(len(scores))], axis=1), good


def collections() -> dict[str, tuple[Path, Path, Path]]:
    """Return labs, needs and qrels of every collection to learn from, by name."""
    world = fixtures.world_path()
    found = {"demo_world": (world / "labs.jsonl", world / "needs.jsonl", world / "qrels.txt")}
    for name in ("cordis_cleantech", "zh_en_titles"):
        folder = SHARED_DATA / name
        if folder.is_dir():
            found[name] = (folder / "labs.jsonl", folder / "needs.jsonl", folder / "qrels.txt")
    return found


_READABLE = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS


def _print_row(title: str, cells: Iterable[str | float]) -> None:
    shown = (cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells)
    print(f"{title:24}" + "".join(f"{cell:>18}" for cell in shown))


def main() -> None:
    """Fit the weights on all collections, print how they hold, and write them."""
    parser = argparse.ArgumentParser(description="Fit the ranker's default weights.")
    parser.add_argument("--out", type=Path, default=DEFAULT_WEIGHTS)
    arguments = parser.parse_args()
    demo_labs, demo_needs, demo_qrels = collections()["demo_world"]
    with collection_home(Settings(), demo_labs, demo_needs) as (matcher, _):
        measured = measured_scale(matcher, read_qrels(demo_qrels)[0])
        SCALE_FILE.write_bytes(orjson.dumps(asdict(measured), option=_READABLE))
        scale.cache_clear()
        mixed = list(two_subjects("demo_world", matcher, read_qrels(demo_qrels)[0]))
    found: list[Example] = []
    for name, (labs, needs, qrels) in collections().items():
        with collection_home(Settings(), labs, needs) as (matcher, _):
            found += examples(name, matcher, read_qrels(qrels)[0])
    before = means(found, [ndcg(e, spread(start())) for e in found])
    _print_row("nDCG@10", before)
    _print_row("before learning", before.values())
    tried = {pull: means(found, cross_validated(found, pull)) for pull in PULLS}
    for pull, row in tried.items():
        _print_row(f"pull {pull}, held out", row.values())
    pull = max(tried, key=lambda p: tried[p]["mean"])
    weights = fit(found, pull)
    _print_row(f"pull {pull}, all needs", means(found, [ndcg(e, weights) for e in found]).values())
    demo = [e for e in found if e.collection == "demo_world"]
    content = {
        "version": datetime.now(UTC).date().isoformat(),
        "fitted_by": "python -m matcher.judging.learning",
        "fitted_on": dict(Counter(e.collection for e in found)),
        "pull": pull,
        "held_out_ndcg_at_10": {name: round(value, 4) for name, value in tried[pull].items()},
        "weights": {name: round(float(weight), 4) for name, weight in zip(FEATURES, weights, strict=True)},
        "bands": bands(demo, weights),
        "asks": coverage(demo, mixed, weights),
    }
    arguments.out.write_bytes(orjson.dumps(content, option=_READABLE))
    print(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
