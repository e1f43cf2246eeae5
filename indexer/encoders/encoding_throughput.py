"""How fast a re-index encodes, against the library's own way over the same passages in the same process.

In: lab files. Out: passages per second of `SentenceTransformer.encode` with
its defaults and of a re-index, their ratio, and the smallest cosine between
the two results. It exists so that the figure can be measured on any machine:

    python -m indexer.encoders.encoding_throughput --labs labs.jsonl [more.jsonl] [--sample 500]

Both run with the same model, precision and threads `--rounds` times in turn,
since other work on the machine would otherwise fall on one of them; the
fastest round counts. A bfloat16 model is compared with the library's float32.
The re-index starts each round with an empty embedding cache; part of its gain
is that a passage which several labs share is encoded once, so the ratio of
tokens really encoded per second is printed beside it.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlmodel import Session

from indexer.arrays import FloatArray
from indexer.database import open_engine
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import load_encoder
from indexer.encoders.transformer_encoder import TransformerEncoder
from indexer.folding import for_encoders
from indexer.records.importing import import_file
from indexer.records.passages import lab_passages
from indexer.records.record_tables import load_labs
from indexer.settings import Settings

SEED = 106


@dataclass(frozen=True)
class EncodingThroughput:
    """Seconds that each way took for `passages` texts, `distinct` of them different, of `tokens` tokens in all.

    The `long_passages` are left out of `least_cosine`: the library cuts them off, we do not.
    """

    passages: int
    distinct: int
    tokens: int
    distinct_tokens: int
    precision: str
    library_s: float
    ours_s: float
    long_passages: int
    least_cosine: float

    @property
    def ratio(self) -> float:
        """How many times as many passages a second ours finishes."""
        return self.library_s / self.ours_s

    @property
    def token_ratio(self) -> float:
        """How many times as many tokens a second ours encodes: the gain without that of repeated passages."""
        return self.ratio * self.distinct_tokens / self.tokens


def passages_of(files: Sequence[Path], sample: int | None = None) -> list[str]:
    """Return the passages of the labs in files, or a random sample of them, the same in every run."""
    with tempfile.TemporaryDirectory() as home:
        engine = open_engine(Settings(home=Path(home), database_url=""))
        with Session(engine) as session:
            for file in files:
                import_file(session, file)
            labs = load_labs(session)
        engine.dispose()
    texts = [passage.text for lab in labs for passage in lab_passages(lab)]
    return texts if sample is None else random.Random(SEED).sample(texts, min(sample, len(texts)))  # noqa: S311


def measure(texts: Sequence[str], settings: Settings, rounds: int = 1) -> EncodingThroughput:
    """Encode texts with the encoder `bundled` and with `SentenceTransformer.encode`, in turn.

    Raises:
        EncoderError: the encoder can't be loaded.
    """
    ours = _bundled(settings)
    library = ours if ours.precision == "float32" else _bundled(settings.model_copy(update={"precision": "float32"}))
    plain, prompt = library.model, library.prompt("passage")
    # The library is given what our encoder gives its model, so that the vectors can be compared.
    folded = [for_encoders(text) for text in texts]
    # The first batch of a process pays for memory and for choosing kernels.
    plain.encode(folded[:8], prompt=prompt)
    ours.encode(texts[:8], role="passage")
    library_s, ours_s = [], []
    for _ in range(rounds):
        seconds, expected = _timed(lambda: plain.encode(folded, prompt=prompt))
        library_s.append(seconds)
        with tempfile.TemporaryDirectory() as folder:
            cache = EmbeddingCache(Path(folder) / "embeddings.db")
            seconds, vectors = _timed(lambda: cache.embed(texts, role="passage", encoder=ours).vectors)  # noqa: B023
        ours_s.append(seconds)
    windows, owners = ours.token_windows(folded, "passage")
    whole = np.bincount(owners) == 1
    return EncodingThroughput(
        passages=len(texts),
        distinct=len(set(folded)),
        tokens=sum(map(len, windows)),
        distinct_tokens=sum(map(len, ours.token_windows(sorted(set(folded)), "passage")[0])),
        precision=ours.precision,
        library_s=min(library_s),
        ours_s=min(ours_s),
        long_passages=int((~whole).sum()),
        least_cosine=float((vectors * expected).sum(axis=1)[whole].min()),
    )


def _bundled(settings: Settings) -> TransformerEncoder:
    encoder = load_encoder("bundled", settings)
    if not isinstance(encoder, TransformerEncoder):
        raise TypeError("the bundled encoder is not a sentence-transformers model")
    return encoder


def _timed(encode: Callable[[], FloatArray]) -> tuple[float, FloatArray]:
    started = time.perf_counter()
    vectors = encode()
    return time.perf_counter() - started, vectors


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of one measurement."""
    parser = argparse.ArgumentParser(
        prog="python -m indexer.encoders.encoding_throughput", description="measures encoding speed"
    )
    parser.add_argument("--labs", type=Path, nargs="+", required=True, help="files of labs")
    parser.add_argument("--sample", type=int, help="passages to take at random; default all")
    parser.add_argument("--rounds", type=int, default=1, help="how often to encode them each way")
    options = parser.parse_args(arguments)
    texts = passages_of(options.labs, options.sample)
    found = measure(texts, Settings(), options.rounds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"{found.passages} passages of {found.tokens / found.passages:.0f} tokens, {found.distinct} distinct, "
        f"{found.long_passages} longer than the model takes, {found.precision}\n"
        f"SentenceTransformer.encode  {found.passages / found.library_s:8.1f} passages/s\n"
        f"re-index                    {found.passages / found.ours_s:8.1f} passages/s\n"
        f"ratio {found.ratio:.2f}, of tokens encoded {found.token_ratio:.2f}\n"
        f"least cosine {found.least_cosine:.5f}, peak memory {memory:.0f} MB\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
