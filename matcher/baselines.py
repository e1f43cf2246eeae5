"""Three plain systems to beat: TF-IDF, BM25 and dense retrieval, each by a lab's best passage.

In: an opened matcher. Out: a run per system over the same labs and needs. They
exist so that every figure of ours stands beside what a simple system reaches
on the same collection; they know no hard rules, no asks, no profile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from indexer.embeddings import EmbeddingCache
from indexer.encoder import load_encoder
from indexer.lexical import LexicalIndex, terms
from indexer.text import need_text
from matcher.pairings import Matcher
from matcher.ranker import ordered
from matcher.run import TIE_STEP, Run

Scorer = Callable[[str], npt.NDArray[np.float32]]
"""Scores every passage for a need's text."""


def baseline_runs(matcher: Matcher, top: int | None) -> dict[str, Run]:
    """Return the runs of `tfidf`, `bm25` and `dense` for every need."""
    return {name: _run(matcher, scorer, top) for name, scorer in _scorers(matcher).items()}


def _scorers(matcher: Matcher) -> dict[str, Scorer]:
    snapshot = matcher.snapshot
    bm25 = LexicalIndex.build([terms(passage.text) for passage in snapshot.passages])
    cache = EmbeddingCache(matcher.settings.embeddings_path)
    encoder = load_encoder(snapshot.fields[0].name, matcher.settings)
    texts = [snapshot.passages[row].text for row in snapshot.fields[0].rows]
    passages = cache.embed(texts, role="passage", encoder=encoder).vectors

    def dense(text: str) -> npt.NDArray[np.float32]:
        query = cache.embed([text], role="query", encoder=encoder).vectors[0]
        return np.asarray(passages @ query)

    return {
        "tfidf": lambda text: snapshot.words.scores(terms(text)),
        "bm25": lambda text: bm25.scores(terms(text)),
        "dense": dense,
    }


def _run(matcher: Matcher, scorer: Scorer, top: int | None) -> Run:
    snapshot = matcher.snapshot
    starts = np.searchsorted(snapshot.lab_of_passage, np.arange(len(snapshot.lab_ids)))
    everyone = np.ones(len(snapshot.lab_ids), dtype=bool)
    run: Run = {}
    for need_id in sorted(matcher.needs):
        best = np.maximum.reduceat(scorer(need_text(matcher.needs[need_id])).astype(np.float64), starts)
        last = float("inf")
        run[need_id] = {}
        for row in ordered(best, snapshot.lab_ids, everyone)[:top]:
            last = min(float(best[row]), last - TIE_STEP)
            run[need_id][snapshot.lab_ids[row]] = last
    return run
