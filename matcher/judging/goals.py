"""What the ranking was asked to reach beside what it reaches: a table printed by `python -m matcher.judging.goals`.

In: the demo world and, where it lies beside the repository, open data, each with judgements. Out: for every goal that a
collection can tell its name, what is asked, what is reached and whether that is enough, as a table in Markdown. It
exists because a figure by itself says neither whether it is good nor whether it was promised: whoever changes the
ranking sees here which goals that brings nearer and which it gives up. Nothing is tuned here, and no goal is left out
because it is missed. What adding labs, needs, copies or foreign evidence does is measured on changed worlds, by
`tests/test_a_score_means_the_same_everywhere.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.arrays import BoolArray, DoubleArray
from indexer.records.passages import language_of, languages_in, need_text
from indexer.settings import Settings
from matcher.judging.calibration import calibration, recalibrated
from matcher.judging.evaluation import collection_home
from matcher.judging.learning import SHARED_DATA, collections, examples
from matcher.judging.measures import Qrels, Run, measure, ranked, read_qrels
from matcher.judging.scaling import INTRODUCED_FROM
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Band, load_ranker

DEPTH = 1000
PRECISION = 0.9
"""The share of good pairs at which recall is read."""
WIDE = "zh_en_titles_wide"
IN_TAIWANS_TERMS = "-tw"
"""How the ids end of those needs of `WIDE` that are written in Taiwan's characters and terms."""


@dataclass(frozen=True)
class Goal:
    """One figure that was asked: at least `asked`, or at most if `at_most`."""

    collection: str
    name: str
    asked: float
    reached: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        """Whether what is reached is enough; what can't be told (not a number) is not."""
        return self.reached <= self.asked if self.at_most else self.reached >= self.asked

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        met = "yes" if self.is_met else "**no**"
        return f"| {self.collection} | {self.name} | {sign} {self.asked:g} | {self.reached:.4f} | {met} |"


def separation(scores: DoubleArray, good: BoolArray) -> tuple[float, float]:
    """Return the area under the curve, and the recall at the lowest score from which `PRECISION` of pairs are good."""
    ranks = np.argsort(np.argsort(scores)) + 1
    n = int(good.sum())
    area = (ranks[good].sum() - n * (n + 1) / 2) / (n * (len(scores) - n))
    hits = np.cumsum(good[np.argsort(-scores)])
    precise = np.flatnonzero(hits / np.arange(1, len(scores) + 1) >= PRECISION)
    return float(area), float(hits[precise[-1]] / n) if len(precise) else 0.0


@dataclass(frozen=True)
class Pairs:
    """Pairs over all needs at once: score, whether an expert would introduce the lab, and whose languages meet."""

    scores: DoubleArray
    good: BoolArray
    groups: Mapping[str, BoolArray]


def pairs(matcher: Matcher, judged: Qrels) -> Pairs:
    """Return the pairs that are good or that nobody would think of; a lab on the border, with a grade of 1, is neither.

    `across` are needs in one language with labs that have evidence in the other alone.
    """
    languages = lab_languages(matcher)
    rows: list[tuple[float, bool, str, bool]] = []
    for ranking in matcher.rankings([matcher.needs[need] for need in sorted(judged)]):
        need = ranking.query.need
        asked = language_of(need_text(need))
        for row in ranking.order:
            lab = matcher.snapshot.lab_ids[row]
            grade = judged[need.id].get(lab, 0)
            if grade <= 0 or grade >= INTRODUCED_FROM:
                rows.append((ranking.scores[row], grade >= INTRODUCED_FROM, asked, asked not in languages[lab]))
    scores, good, asked_in, across = (np.array(column) for column in zip(*rows, strict=True))
    groups = {"all": np.ones(len(scores), dtype=bool), "zh": asked_in == "zh", "en": asked_in == "en", "across": across}
    return Pairs(scores.astype(np.float64), good, groups)


def lab_languages(matcher: Matcher) -> dict[str, set[str]]:
    """Return the languages of each lab's passages."""
    found: dict[str, set[str]] = {}
    for passage in matcher.snapshot.passages:
        found.setdefault(passage.lab_id, set()).add(passage.language)
    return found


def english_labs_for_chinese_needs(matcher: Matcher, judged: Qrels, run: Run) -> float:
    """Return nDCG@10 of Chinese needs over those labs that have nothing but English."""
    english = {lab for lab, found in lab_languages(matcher).items() if found == {"en"}}
    chinese = [need for need in judged if languages_in(need_text(matcher.needs[need])) == {"zh"}]
    few = {need: {lab: grade for lab, grade in judged[need].items() if lab in english} for need in chinese}
    return _mean(few, {need: {lab: score for lab, score in run[need].items() if lab in english} for need in chinese})


def of_demo_world(matcher: Matcher, judged: Qrels) -> Iterator[Goal]:
    """Yield the order of labs, what scores of different needs mean, and what bands claim."""
    name = "demo_world"
    run = dict(ranked(matcher, DEPTH))
    yield Goal(name, "nDCG@10", 0.92, _mean(judged, run))
    yield Goal(name, "nDCG@10, Chinese need, English labs", 0.93, english_labs_for_chinese_needs(matcher, judged, run))
    found = pairs(matcher, judged)
    for group, chosen in found.groups.items():
        area, recall = separation(found.scores[chosen], found.good[chosen])
        yield Goal(name, f"AUC over all needs, {group}", 0.992, area)
        yield Goal(name, f"recall at {PRECISION:.0%} precision, {group}", 0.72, recall)
    own = recalibrated(list(examples(name, matcher, judged)), load_ranker())
    strong, weak = (own.bands[band][1] for band in (Band.STRONG, Band.WEAK))
    yield Goal(name, "*strong* is right, needs left out", 0.9, _or_unknown(strong))
    yield Goal(name, "*weak* is wrong, needs left out", 0.005, _or_unknown(weak), at_most=True)
    yield Goal(name, "calibration error, needs left out", 0.05, own.error, at_most=True)


def of_cordis(matcher: Matcher, judged: Qrels) -> Iterator[Goal]:
    """Yield the order with depth left out, as it is and weighed up, and whether the demo world's chances hold here."""
    name = "cordis_cleantech"
    for title, depth, asked in (("depth left out", 0.0, 0.21), ("depth weighed up", 1.5, 0.265)):
        weighed = Matcher(
            settings=matcher.settings,
            index=matcher.index,
            catalogue=matcher.catalogue,
            queries=matcher.queries,
            needs=matcher.needs,
            ranker=load_ranker().with_depth(depth),
        )
        yield Goal(name, f"nDCG@10, {title}", asked, _mean(judged, dict(ranked(weighed, DEPTH))))
    found = calibration(list(examples(name, matcher, judged)), load_ranker())
    yield Goal(name, "calibration error", 0.05, found.error, at_most=True)


def of_titles(matcher: Matcher, judged: Qrels) -> Iterator[Goal]:
    """Yield how far up the right title stands; of the wide collection for each script, and how far these are apart."""
    run = dict(ranked(matcher, DEPTH))
    own = {need: grades for need, grades in judged.items() if not need.endswith(IN_TAIWANS_TERMS)}
    taiwans = {need: grades for need, grades in judged.items() if need.endswith(IN_TAIWANS_TERMS)}
    name = WIDE if taiwans else "zh_en_titles"
    for figure, asked in (("RR", 0.92), ("R@10", 0.97)):
        as_written = _mean(own, run, figure)
        yield Goal(name, f"{figure}, as written", asked, as_written)
        if taiwans:
            in_terms = _mean(taiwans, run, figure)
            yield Goal(name, f"{figure}, in Taiwan's terms", asked, in_terms)
            yield Goal(name, f"{figure}, the two scripts apart", 0.01, abs(as_written - in_terms), at_most=True)


TOLD: Mapping[str, Callable[[Matcher, Qrels], Iterator[Goal]]] = {
    "demo_world": of_demo_world,
    "cordis_cleantech": of_cordis,
    "zh_en_titles": of_titles,
    WIDE: of_titles,
}
"""What each collection can tell; the wide one takes many minutes, as long as its vectors are not in the cache."""


def files_of(name: str) -> tuple[Path, Path, Path] | None:
    """Return labs, needs and judgements of a collection, or None where it is not beside the repository."""
    if name != WIDE:
        return collections().get(name)
    folder = SHARED_DATA / WIDE
    return (folder / "labs.jsonl", folder / "needs.jsonl", folder / "qrels.txt") if folder.is_dir() else None


def _mean(judged: Qrels, run: Run, name: str = "nDCG@10") -> float:
    return float(np.mean(list(measure(judged, run, [name])[name].values())))


def _or_unknown(share: float | None) -> float:
    return float("nan") if share is None else share


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of the named collections, by default of all."""
    parser = argparse.ArgumentParser(prog="python -m matcher.judging.goals", description="goals, asked and reached")
    parser.add_argument("collections", nargs="*", metavar="COLLECTION", help=f"of {', '.join(TOLD)}; default: all")
    chosen = parser.parse_args(arguments).collections or list(TOLD)
    if unknown := [name for name in chosen if name not in TOLD]:
        parser.error(f"unknown collection {unknown[0]}; known are {', '.join(TOLD)}")
    print("| collection | goal | asked | reached | enough |\n|---|---|---|---|---|")
    for name in chosen:
        if (files := files_of(name)) is None:
            print(f"| {name} | is not beside the repository | | | |", flush=True)
            continue
        labs, needs, qrels = files
        with collection_home(Settings(), labs, needs) as (matcher, _):
            for goal in TOLD[name](matcher, read_qrels(qrels)[0]):
                print(goal, flush=True)


if __name__ == "__main__":
    main()
