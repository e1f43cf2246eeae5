"""How far chances and bands hold: a table printed by `python -m matcher.judging.calibration`.

In: the demo world and, where it is there, the open data beside the repository. Out: for each collection the expected
calibration error of the chance that a lab is introduced, and what share of each band was. It exists because a band is a
claim, and a claim that is calibrated on one collection has to be looked at on another.

Expected calibration error: all pairs of a judged need and a lab that may be proposed fall into ten bins of equal width
by their chance; it is the mean over pairs of how far a bin's mean chance lies from the share that was introduced. Since
most pairs are far below every band, it is told beside it for the pairs with a chance of at least `LIKELY`. Where
judgements name only who did take part, as in cordis_cleantech, a lab that could have as well counts as wrong: there
the second figure tells how few were chosen, not how many fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray, DoubleArray
from indexer.settings import Settings
from matcher.judging.evaluation import collection_home
from matcher.judging.learning import (
    FOLDS,
    Example,
    chance_of_introduction,
    collections,
    examples,
)
from matcher.judging.measures import SEED, read_qrels
from matcher.judging.scaling import INTRODUCED_FROM
from matcher.ranking.ranker import PLAUSIBLE_CHANCE, STRONG_CHANCE, Band, Ranker, load_ranker

BINS = 10
LIKELY = 0.05


@dataclass(frozen=True)
class Calibration:
    """How far the chances of one collection hold; `likely_error` is of pairs with a chance of at least `LIKELY`."""

    pairs: int
    error: float
    likely: int
    likely_error: float
    bands: dict[Band, tuple[int, float | None]]
    """For each band how many pairs, and what share of them was introduced."""


def calibration(found: Sequence[Example], ranker: Ranker) -> Calibration:
    """Return how far a ranker's chances and bands hold on judged needs."""
    scores, good = _pairs(found, ranker)
    bands = np.array([ranker.band(score).value for score in scores.tolist()])
    return _measured(ranker.introduced(scores), good, bands)


def recalibrated(found: Sequence[Example], ranker: Ranker) -> Calibration:
    """Return the same where chances and bands are taken from the collection's other needs, in five folds."""
    folds = np.random.default_rng(SEED).permutation(len(found)) % FOLDS
    told, right, bands = [], [], []
    for fold in range(FOLDS):
        slope, offset = chance_of_introduction(*_pairs(_of(found, folds != fold), ranker))
        scores, good = _pairs(_of(found, folds == fold), ranker)
        chance = 1 / (1 + np.exp(-(slope * scores + offset)))
        told.append(chance)
        right.append(good)
        upper = np.where(chance >= PLAUSIBLE_CHANCE, Band.PLAUSIBLE.value, Band.WEAK.value)
        bands.append(np.where(chance >= STRONG_CHANCE, Band.STRONG.value, upper))
    return _measured(np.concatenate(told), np.concatenate(right), np.concatenate(bands))


def expected_error(told: DoubleArray, good: BoolArray) -> float:
    """Return the expected calibration error of chances, see above; 0 for none."""
    bins = np.minimum((told * BINS).astype(np.int64), BINS - 1)
    apart = np.bincount(bins, weights=told - good, minlength=BINS)
    return float(np.abs(apart).sum() / max(1, len(told)))


def _of(found: Sequence[Example], chosen: BoolArray) -> list[Example]:
    return [example for example, is_chosen in zip(found, chosen.tolist(), strict=True) if is_chosen]


def _pairs(found: Sequence[Example], ranker: Ranker) -> tuple[DoubleArray, BoolArray]:
    # Collections that know only yes and no have 1 for yes.
    most = max(float(example.grades.max()) for example in found)
    scores = np.concatenate([ranker.scores(example.values) for example in found])
    return scores, np.concatenate([example.grades >= min(INTRODUCED_FROM, most) for example in found])


def _measured(told: DoubleArray, good: BoolArray, bands: npt.NDArray[np.str_]) -> Calibration:
    likely = told >= LIKELY
    shares: dict[Band, tuple[int, float | None]] = {}
    for band in Band:
        there = bands == band.value
        shares[band] = (int(there.sum()), float(good[there].mean()) if there.any() else None)
    return Calibration(
        pairs=len(told),
        error=expected_error(told, good),
        likely=int(likely.sum()),
        likely_error=expected_error(told[likely], good[likely]),
        bands=shares,
    )


def _row(title: str, found: Calibration) -> str:
    cells = [f"{found.error:.4f} of {found.pairs}", f"{found.likely_error:.4f} of {found.likely}"]
    cells += ["–" if share is None else f"{share:.4f} of {pairs}" for pairs, share in found.bands.values()]
    return f"{title:38}" + "".join(f"{cell:>20}" for cell in cells)


def main() -> None:
    """Print how far the chances and bands of this release hold on each collection."""
    ranker = load_ranker()
    heads = ("error", f"error from {LIKELY:.0%}", *(f"{band.value} introduced" for band in Band))
    print(f"{'':38}" + "".join(f"{head:>20}" for head in heads))
    for name, (labs, needs, qrels) in collections().items():
        with collection_home(Settings(), labs, needs) as (matcher, _):
            found = list(examples(name, matcher, read_qrels(qrels)[0]))
        print(_row(name, calibration(found, ranker)), flush=True)
        print(_row("  by its own other needs", recalibrated(found, ranker)), flush=True)


if __name__ == "__main__":
    main()
