"""The wide world in numbers: what any text gets from passages that are about something else.

In: `background.npz`, which holds of some thousand passages in both languages (the demo world's own, and open European
projects) mean vectors, spreads and how many passages have each term; no text of theirs. Out: for each encoder the
offsets of language and role, and how far cosines spread; for each term how common it is and whether every need uses
it. It exists so that a score says how much better a passage answers than a passage of the wide world would: read
against what is always the same, scores of different needs mean the same, and no unrelated lab or need can move one.

Terms are kept as hashes. `python -m matcher.judging.background` writes the file again. An encoder that the file does
not know is centred by the passages that are indexed, and read against a usual spread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray

FILE = Path(__file__).with_name("background.npz")
USUAL_SPREAD = 0.08
"""Standard deviation of a need's centred cosines with passages about something else, where it was not measured."""
LEAST_DAMPING = 0.02
"""What is left of a term that every need uses."""
Pair = tuple[str, str]
"""The languages of a need and of a passage."""


@dataclass(frozen=True)
class EncoderBackground:
    """What one encoder makes of the background.

    `passage_means` and `query_means` are subtracted from vectors, by language;
    `reference` is the mean of the background's centred unit vectors, so that its
    inner product with a need's is the need's mean cosine there; `spread` has the
    deviation of cosines by language pair, `kinship` mean and deviation between
    two passages.
    """

    passage_means: Mapping[str, FloatArray]
    query_means: Mapping[str, FloatArray]
    reference: Mapping[str, FloatArray] = field(default_factory=dict)
    spread: Mapping[Pair, float] = field(default_factory=dict)
    kinship: Mapping[Pair, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Background:
    """All that is frozen; `version` is a hash of it."""

    version: str
    passages: int
    needs: int
    encoders: Mapping[str, EncoderBackground]
    hashes: npt.NDArray[np.uint64]
    frequencies: npt.NDArray[np.int64]
    asked: npt.NDArray[np.int64]

    def frequency(self, terms: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return in how many passages of the background each term occurs."""
        return self._looked_up(self.frequencies, terms)

    def damping(self, terms: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return what is left of each term's weight: 1 for one that needs do not share, little for 產業化."""
        asked = np.maximum(1, self._looked_up(self.asked, terms))
        return np.asarray(np.maximum(LEAST_DAMPING, 1 - np.log(asked) / np.log(1 + max(1, self.needs))))

    def _looked_up(self, values: npt.NDArray[np.int64], terms: Sequence[str]) -> npt.NDArray[np.int64]:
        if not len(self.hashes):
            return np.zeros(len(terms), dtype=np.int64)
        wanted = hashed(terms)
        places = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[places] == wanted, values[places], 0)


def hashed(terms: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return each term as the number under which the background knows it."""
    if not terms:
        return np.zeros(0, dtype=np.uint64)
    digests = b"".join(hashlib.blake2b(term.encode(), digest_size=8).digest() for term in terms)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


@lru_cache(maxsize=1)
def background() -> Background:
    """Return the background of this release."""
    return read(FILE)


def read(path: Path) -> Background:
    """Read a background file."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    facts = json.loads(arrays["facts"].tobytes())
    encoders = {
        name: EncoderBackground(
            passage_means=_vectors(arrays, f"passage_mean:{name}"),
            query_means=_vectors(arrays, f"query_mean:{name}"),
            reference=_vectors(arrays, f"reference:{name}"),
            spread={_pair(pair): value for pair, value in one["spread"].items()},
            kinship={_pair(pair): (mean, deviation) for pair, (mean, deviation) in one["kinship"].items()},
        )
        for name, one in facts["encoders"].items()
    }
    return Background(
        version=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        passages=facts["passages"],
        needs=facts["needs"],
        encoders=encoders,
        hashes=arrays["hashes"],
        frequencies=arrays["frequencies"].astype(np.int64),
        asked=arrays["asked"].astype(np.int64),
    )


def write(path: Path, made: Background) -> None:
    """Write a background file, vectors at two bytes a number."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "hashes": made.hashes,
        "frequencies": made.frequencies.astype(np.uint16),
        "asked": made.asked.astype(np.uint16),
    }
    facts: dict[str, object] = {"passages": made.passages, "needs": made.needs}
    facts["encoders"] = {
        name: {
            "spread": {"-".join(pair): round(value, 5) for pair, value in one.spread.items()},
            "kinship": {"-".join(pair): [round(x, 5) for x in values] for pair, values in one.kinship.items()},
        }
        for name, one in made.encoders.items()
    }
    for name, one in made.encoders.items():
        kinds = {"passage_mean": one.passage_means, "query_mean": one.query_means, "reference": one.reference}
        for kind, vectors in kinds.items():
            arrays |= {f"{kind}:{name}:{language}": v.astype(np.float16) for language, v in vectors.items()}
    arrays["facts"] = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})


def _vectors(arrays: Mapping[str, npt.NDArray[np.generic]], prefix: str) -> dict[str, FloatArray]:
    names = [name for name in arrays if name.startswith(f"{prefix}:")]
    return {name.rpartition(":")[2]: arrays[name].astype(np.float32) for name in names}


def _pair(text: str) -> Pair:
    first, _, second = text.partition("-")
    return first, second
