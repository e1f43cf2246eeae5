"""Features in, scores out: a sum of named contributions and nothing else.

In: the feature table of a need and a weights file. Out: for every lab a score,
the contributions that add up to it, and a confidence band. It exists as a plain
weighted sum so that the explanation is the arithmetic of the score. The
weights are a versioned JSON file that `matcher.learning` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from indexer.wording import P_, T_, Text
from matcher.features import FEATURES

FloatArray = npt.NDArray[np.float64]

DEFAULT_WEIGHTS = Path(__file__).with_name("weights.json")

FEATURE_LABELS: dict[str, Text] = {
    "words_lab": T_("words, whole lab"),
    "words": T_("words, its evidence"),
    "word_parts": T_("parts of words"),
    "meaning": T_("meaning"),
    "meaning_english": T_("meaning, second model"),
    "ask_best": T_("best covered ask"),
    "ask_mean": T_("all asks together"),
    "field": T_("same field"),
    "offer": T_("offers what is asked"),
    "recency": T_("recent evidence"),
    "language": T_("working language"),
    "region": T_("region"),
}
"""What each feature is called on screen, in Chinese and English."""


class Band(StrEnum):
    """How likely an expert is to introduce the lab; calibrated on judged pairs, never a percentage."""

    STRONG = "strong"
    PLAUSIBLE = "plausible"
    WEAK = "weak"


BAND_LABELS = {
    Band.STRONG: T_("strong"),
    Band.PLAUSIBLE: P_("ranker", "plausible"),
    Band.WEAK: P_("ranker", "weak"),
}
"""What the bands are called on screen, in Chinese and English."""


class WeightsError(ValueError):
    """A weights file that can't be used; the message says why."""


@dataclass(frozen=True)
class Ranker:
    """Weights per feature and the lowest scores of the upper two bands."""

    version: str
    weights: tuple[float, ...]
    strong_from: float
    plausible_from: float

    def contributions(self, values: FloatArray) -> FloatArray:
        """Return weight × value of each feature, shape as `values`: (n labs, n features)."""
        return np.asarray(values * np.asarray(self.weights))

    def scores(self, values: FloatArray) -> FloatArray:
        """Return the sum of each lab's contributions, shape (n labs,)."""
        return np.asarray(self.contributions(values).sum(axis=1))

    def band(self, score: float) -> Band:
        """Return the band of a score."""
        if score >= self.strong_from:
            return Band.STRONG
        return Band.PLAUSIBLE if score >= self.plausible_from else Band.WEAK


@lru_cache(maxsize=8)
def load_ranker(path: Path = DEFAULT_WEIGHTS) -> Ranker:
    """Read a weights file.

    Raises:
        WeightsError: the file is missing, not JSON, or does not name exactly the known features.
    """
    try:
        content = orjson.loads(path.read_bytes())
        weights = {name: float(weight) for name, weight in content["weights"].items()}
        bands = content["bands"]
        ranker = Ranker(
            version=str(content["version"]),
            weights=tuple(weights[name] for name in FEATURES),
            strong_from=float(bands["strong_from"]),
            plausible_from=float(bands["plausible_from"]),
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            T_(
                "%(path)s: %(name)s: %(error)s; expected version, weights and bands",
                path=path,
                name=type(error).__name__,
                error=error,
            )
        ) from error
    unknown = sorted(set(weights) - set(FEATURES))
    if unknown:
        raise WeightsError(
            T_(
                "%(path)s: unknown feature %(unknown)s; known are %(features)s",
                path=path,
                unknown=unknown[0],
                features=", ".join(FEATURES),
            )
        )
    return ranker


def ordered(scores: FloatArray, ids: tuple[str, ...], allowed: npt.NDArray[np.bool_]) -> list[int]:
    """Return the row numbers of the allowed labs, best first; equal scores in the order of their ids."""
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-scores[row], ids[row]))
