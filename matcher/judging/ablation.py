"""What each idea of the ranking and each encoder is worth: tables printed by `python -m matcher.judging.ablation`.

In: the demo world and, where it is there, the open data beside the repository. Out: printed measures with one idea
left out at a time, for every set of bundled encoders, and the time that each encoder takes for the same passages. It
exists so that what stands in `matcher.ranking.signals` and `indexer.settings` is measured, and so that whoever doubts
an idea can leave it out and look.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from indexer.encoders.encoder import load_encoder
from indexer.index import background
from indexer.index import snapshot as snapshots
from indexer.index.snapshot import copies
from indexer.index.words import WordIndex
from indexer.settings import Settings
from matcher.judging.evaluation import collection_home, evaluate_collection
from matcher.judging.learning import collections
from matcher.judging.measures import SEED, Qrels, measure, ranked, read_qrels
from matcher.ranking import signals
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Ranker, load_ranker

SETS = ("bundled", "bundled,bundled-minilm", "bundled,bundled-use", "bundled,bundled-minilm,bundled-use")
MEASURES = ("nDCG@10", "RR", "R@10")
SAMPLE = 200
_NEVER = -1e9
IDEAS: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "without words": {"WORDS_WITHIN": 0.0, "WORDS_ACROSS": 0.0},
    "without the dictionary": {"WORDS_ACROSS": 0.0},
    "cosine without coverage": {"COSINE_SHARE": 1.0},
    "coverage without cosine": {"COSINE_SHARE": 0.0},
    "without the scale": {"scale": lambda: signals.Scale({}, {})},
    "without damping": {"LEAST_DAMPING": 1.0},
    "without clarity": {"UNCLEAR": {"zh": 0.0, "en": 0.0}},
    "best piece alone": {"BEST_PIECES": 1},
    "best five pieces": {"BEST_PIECES": 5},
    "without belonging": {"FOREIGN": _NEVER, "OWN": _NEVER + 1},
    "with copies": {"COPY_FROM": 2.0},
    "without depth": {"depth": 0.0},
    "depth half as much again": {"depth": 1.5},
    "without the field": {"field": 0.0},
}
"""What is changed for each row: constants of `matcher.ranking.signals` and of the index, or a weight's factor."""


def main() -> None:
    """Print measures per idea, then per set of encoders, then the cost of each encoder."""
    settings = Settings()
    for name, (labs, needs, qrels) in collections().items():
        _print_head(name)
        with collection_home(settings, labs, needs) as (matcher, _):
            judged = read_qrels(qrels)[0]
            for idea, changes in IDEAS.items():
                with _changed(matcher, changes) as changed:
                    _print_row(idea, measured(changed, judged))
    for name, (labs, needs, qrels) in collections().items():
        _print_head(name)
        for encoders in SETS:
            chosen = settings.model_copy(update={"encoders": encoders})
            _print_row(encoders, evaluate_collection(chosen, labs, needs, qrels, measures=MEASURES).systems["gloria"])
    _print_costs(settings)


def measured(matcher: Matcher, judged: Qrels) -> dict[str, float]:
    """Return the mean of each measure over all judged needs."""
    run = dict(ranked(matcher, 1000))
    found = measure(judged, run, MEASURES)
    return {name: float(np.mean(list(found[name].values()))) for name in MEASURES}


@contextmanager
def _changed(matcher: Matcher, changes: Mapping[str, Any]) -> Iterator[Matcher]:
    """Give a matcher over the same index to which some constants and weights are other ones."""
    with ExitStack() as stack:
        for name, value in changes.items():
            for module in (signals, background, snapshots):
                if hasattr(module, name):
                    stack.callback(setattr, module, name, getattr(module, name))
                    setattr(module, name, value)
        known = matcher.snapshot
        repeated = copies(known.fields, known.lab_of_passage)
        snapshot = replace(known, words=WordIndex(known.words.counts, repeated))
        yield Matcher(
            settings=matcher.settings,
            index=OpenedIndex.of(snapshot, None),
            catalogue=matcher.catalogue,
            queries=matcher.queries,
            needs=matcher.needs,
            ranker=_weighed(changes),
        )


def _weighed(changes: Mapping[str, Any]) -> Ranker:
    ranker = load_ranker()
    pairs = zip(signals.FEATURES, ranker.weights, strict=True)
    return replace(ranker, weights=tuple(weight * changes.get(name, 1.0) for name, weight in pairs))


def _print_head(name: str) -> None:
    print(f"\n{name:42}" + "".join(f"{measure:>10}" for measure in MEASURES))


def _print_row(title: str, values: Mapping[str, float]) -> None:
    print(f"{title:42}" + "".join(f"{values[name]:10.4f}" for name in MEASURES))


def _print_costs(settings: Settings) -> None:
    texts: list[str] = []
    for labs, needs, _ in collections().values():
        with collection_home(settings.model_copy(update={"encoders": "bundled-use"}), labs, needs) as (matcher, _):
            texts += [passage.text for passage in matcher.snapshot.passages]
    picks = np.random.default_rng(SEED).choice(len(texts), size=min(SAMPLE, len(texts)), replace=False)
    sample = [texts[i] for i in sorted(picks)]
    print(f"\n{'encoder':42}{'passages/s':>12}   ({len(sample)} passages of all collections)")
    for name in SETS[-1].split(","):
        encoder = load_encoder(name, settings)
        encoder.encode(sample[:8], role="passage")
        started = time.perf_counter()
        encoder.encode(sample, role="passage")
        print(f"{name:42}{len(sample) / (time.perf_counter() - started):12.1f}")


if __name__ == "__main__":
    main()
