"""Open collections in, the frozen background out: `python -m matcher.judging.background`.

In: the demo world and, where they lie beside the repository, open European projects and titles of papers. Out:
`indexer/index/background.npz`: means, spreads and frequencies, see `indexer.index.background`; of others' texts only
numbers, and terms only as hashes. It exists apart from the index because it is made once for a release and costs
encoding, and because whoever doubts a number in it can make it again.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlmodel import Session

from indexer.arrays import FloatArray
from indexer.database import open_engine
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import Encoder, load_encoders
from indexer.encoders.encoding import Role, covered
from indexer.index.background import FILE, Background, EncoderBackground, Pair, hashed, write
from indexer.index.building import need_queries
from indexer.index.vectors import centred
from indexer.index.words import terms
from indexer.records.importing import import_file
from indexer.records.passages import CHINESE, ENGLISH, lab_passages, language_of, need_text
from indexer.records.record_tables import load_labs, load_needs
from indexer.settings import Settings
from matcher.judging.learning import collections
from matcher.judging.measures import SEED

PASSAGES_A_LANGUAGE = 1000
LANGUAGES = (CHINESE, ENGLISH)


@dataclass(frozen=True)
class _Texts:
    """Texts by language: passages, what needs are searched by, and whole needs of the demo world."""

    passages: Mapping[str, Sequence[str]]
    queries: Mapping[str, Sequence[str]]
    needs: Sequence[str]


def _texts() -> _Texts:
    passages: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    queries: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    needs: list[str] = []
    chosen = {name: paths for name, paths in collections().items() if name != "zh_en_titles"}
    generator = np.random.default_rng(SEED)
    for name, (labs_path, needs_path, _) in collections().items():
        with tempfile.TemporaryDirectory(prefix="gloria-background-") as folder:
            engine = open_engine(Settings(home=Path(folder)))
            with Session(engine) as session:
                import_file(session, needs_path, "needs")
                if name in chosen:
                    import_file(session, labs_path, "labs")
                session.commit()
                labs, asked = load_labs(session), load_needs(session)
            engine.dispose()
        found = [passage for lab in labs for passage in lab_passages(lab)]
        for language in LANGUAGES:
            of_language = [passage.text for passage in found if passage.language == language]
            size = min(
                len(of_language), PASSAGES_A_LANGUAGE // len(chosen) if language == ENGLISH else len(of_language)
            )
            passages[language] += [of_language[i] for i in sorted(generator.permutation(len(of_language))[:size])]
        for text in dict.fromkeys(need_queries(asked)):
            queries[language_of(text)].append(text)
        if name == "demo_world":
            needs = [need_text(need) for need in asked]
    return _Texts(passages, queries, needs)


def _of_encoder(encoder: Encoder, texts: _Texts, cache: EmbeddingCache) -> EncoderBackground:
    covers = [language for language in LANGUAGES if covered(language, encoder.languages)]

    def vectors(role: Role, of: Mapping[str, Sequence[str]]) -> dict[str, FloatArray]:
        return {one: cache.embed(of[one], role=role, encoder=encoder).vectors for one in covers}

    passages, queries = vectors("passage", texts.passages), vectors("query", texts.queries)
    # Searches fall back to "" for a language that is none of these.
    passage_means = {one: found.mean(axis=0) for one, found in _with_all(passages).items()}
    query_means = {one: found.mean(axis=0) for one, found in _with_all(queries).items()}
    there = {one: centred(found, [one] * len(found), passage_means) for one, found in passages.items()}
    asked = {one: centred(found, [one] * len(found), query_means) for one, found in queries.items()}
    spread: dict[Pair, float] = {}
    kinship: dict[Pair, tuple[float, float]] = {}
    for first in covers:
        for second in covers:
            spread[first, second] = float((asked[first] @ there[second].T).std(axis=1).mean())
            between = there[first] @ there[second].T
            apart = between[~np.eye(len(between), dtype=bool)] if first == second else between.ravel()
            kinship[first, second] = (float(apart.mean()), float(apart.std()))
    return EncoderBackground(
        passage_means=passage_means,
        query_means=query_means,
        reference={one: found.mean(axis=0) for one, found in there.items()},
        spread=spread,
        kinship=kinship,
    )


def _with_all(vectors: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {"": np.concatenate(list(vectors.values())), **vectors}


def made(settings: Settings) -> Background:
    """Return the background of the open collections with the configured encoders.

    Raises:
        EncoderError: one can't be loaded.
    """
    texts = _texts()
    cache = EmbeddingCache(settings.embeddings_path)
    frequency = Counter(term for part in texts.passages.values() for text in part for term in set(terms(text)))
    asked = Counter(term for text in texts.needs for term in set(terms(text)))
    vocabulary = sorted(frequency.keys() | asked.keys())
    hashes = hashed(vocabulary)
    order = np.argsort(hashes)
    return Background(
        version="",
        passages=sum(map(len, texts.passages.values())),
        needs=len(texts.needs),
        encoders={encoder.name: _of_encoder(encoder, texts, cache) for encoder in load_encoders(settings)},
        hashes=hashes[order],
        frequencies=np.array([frequency[term] for term in vocabulary], dtype=np.int64)[order],
        asked=np.array([asked[term] for term in vocabulary], dtype=np.int64)[order],
    )


def main() -> None:
    """Write the background of this release."""
    write(FILE, made(Settings(precision="float32")))
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
