"""Which encoders the default index carries: a table of what each set of them gives and costs.

In: the demo world and, where it is there, the open data beside the repository.
Out: printed measures for every set of bundled encoders, and the time each
encoder takes for the same sample of passages. It exists so that the default in
`indexer.settings` is a measured choice; run `python -m matcher.judging.ablation`.
"""

from __future__ import annotations

import time

import numpy as np

from indexer.encoders.encoder import load_encoder
from indexer.settings import Settings
from matcher.judging.evaluation import collection_home, evaluate_collection
from matcher.judging.learning import collections
from matcher.judging.measures import SEED

SETS = ("bundled", "bundled,bundled-minilm", "bundled,bundled-use", "bundled,bundled-minilm,bundled-use")
MEASURES = ("nDCG@10", "RR", "R@10")
SAMPLE = 200


def main() -> None:
    """Print measures per set and collection, then the cost of each encoder."""
    settings = Settings()
    for name, (labs, needs, qrels) in collections().items():
        print(f"\n{name:42}" + "".join(f"{measure:>10}" for measure in MEASURES))
        for encoders in SETS:
            chosen = settings.model_copy(update={"encoders": encoders})
            found = evaluate_collection(chosen, labs, needs, qrels, measures=MEASURES).systems["gloria"]
            print(f"{encoders:42}" + "".join(f"{found[measure]:10.4f}" for measure in MEASURES))
    _print_costs(settings)


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
