"""An optional second look at the first labs of a ranking: need and passage are read together, and that is added.

In: a ranking, its index, and a CrossEncoder that the office has chosen (`GLORIA_RERANKER`; off by default). Out: the
same ranking with one more named contribution, and a warning if the time given did not suffice. It exists because a
model that reads both texts at once can tell what vectors can't, but costs too much for every lab: the first fifty are
read, best first, in batches, until the budget is spent. The score stays the sum of what is named.

What is added is weight × 1 / (1 + e^(−logit / spread)), the same curve for every need and model, so between 0 and the
weight: a lab that was read never falls below one that was not, and those not reached keep their places among
themselves. Bands and coverage are calibrated without it, so they are read from the score without it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache

import numpy as np

from indexer.encoders.pair_scorer import PairScorer
from indexer.records.passages import need_text
from indexer.settings import Settings
from indexer.wording import T_, Bilingual
from matcher.ranking.ranker import Ranking, ordered_rows
from matcher.ranking.signals import RERANKER, Searcher

LABS_READ = 50
"""How many labs, best first, are read at most."""
BATCH = 8
"""Pairs between two looks at the clock."""
WEIGHT = 2.0
LOGIT_SPREAD = 4.0
"""Logits of common models reach from about -10 to 10: divided by this they use most of the curve."""


class Reranker:
    """A CrossEncoder with a budget. Any number of threads may use it."""

    def __init__(self, scorer: PairScorer, budget_ms: float) -> None:
        self.scorer = scorer
        self.budget_ms = budget_ms

    def looked_again(self, ranking: Ranking, searcher: Searcher) -> Ranking:
        """Return the ranking with what reading adds; itself if nobody may be proposed.

        Raises:
            EncoderError: the model can't be loaded.
        """
        if not ranking.order:
            return ranking
        # Loading happens once and is no part of any answer's budget.
        self.scorer.load()
        rows = ranking.order[:LABS_READ]
        text, answers = need_text(ranking.query.need), ranking.table.answers[0]
        passages = searcher.snapshot.passages
        best = [max(searcher.passages_of(row), key=lambda at: (answers[at], -at)) for row in rows]
        added, read = np.zeros(len(ranking.scores)), 0
        started = time.monotonic()
        for start in range(0, len(rows), BATCH):
            if 1000 * (time.monotonic() - started) >= self.budget_ms:
                break
            part = rows[start : start + BATCH]
            logits = self.scorer.logits([(text, passages[at].text) for at in best[start : start + BATCH]])
            added[part] = WEIGHT / (1 + np.exp(-np.clip(logits / LOGIT_SPREAD, -50, 50)))
            read += len(part)
        scores = ranking.scores + added
        return replace(
            ranking,
            scores=scores,
            order=ordered_rows(scores, searcher.id_rank, ranking.ranks > 0),
            added={**ranking.added, RERANKER: added},
            reread_by=self.scorer.name,
            warnings=() if read == len(rows) else (self._not_all(read, len(rows)),),
        )

    def _not_all(self, read: int, wanted: int) -> Bilingual:
        return Bilingual.of(
            T_(
                "the second look reached %(read)s of %(wanted)s labs within %(budget)s ms; "
                "the others keep their places",
                read=read,
                wanted=wanted,
                budget=f"{self.budget_ms:g}",
            )
        )


def load_reranker(settings: Settings) -> Reranker | None:
    """Return what the settings name, None if they name nothing. The model is loaded at first use, once a process."""
    return (
        Reranker(_scorer(settings.reranker, settings.threads), settings.reranker_budget_ms)
        if settings.reranker
        else None
    )


@lru_cache(maxsize=1)
def _scorer(source: str, threads: int) -> PairScorer:
    return PairScorer(source, threads)
