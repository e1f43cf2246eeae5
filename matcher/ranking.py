"""All labs for one need in order, and the memory of recent such orders.

In: features and scores. Out: a `Ranking`, from which any page, filter and
facet can be answered without ranking again. It exists because an expert pages
and narrows, and each click must cost microseconds, not an encoding.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matcher.facets import BoolArray, Columns, Facets, Filters, facets, passing
from matcher.features import FeatureTable, NeedQuery
from matcher.lab_table import LabTable
from matcher.ranker import Band, Ranker
from matcher.rules import Rule

FloatArray = npt.NDArray[np.float64]

KEPT_BYTES = 128 * 2**20
"""Memory for recent rankings."""


@dataclass(frozen=True)
class Ranking:
    """All labs that may be proposed for one need, best first: row numbers into the index, with scores and features."""

    query: NeedQuery
    order: list[int]
    scores: FloatArray
    table: FeatureTable
    set_aside: dict[Rule, list[str]]
    labs: LabTable
    ranker: Ranker

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Each lab's rank from 1, shape (n labs,); 0 for one that may not be proposed."""
        ranks = np.zeros(len(self.scores), dtype=np.int64)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        return ranks

    @cached_property
    def columns(self) -> Mapping[str, Columns]:
        """What the labs state, and the band that each is in."""
        return {**self.labs.columns, "band": band_columns(self.scores, self.ranker)}

    @cached_property
    def facets(self) -> Facets:
        """How many of the labs that may be proposed have each value."""
        return facets(self.columns, self.ranks > 0)

    def passing(self, filters: Filters) -> list[int]:
        """Return the rows that pass the filters, best first."""
        kept: BoolArray = passing(filters, self.columns, len(self.scores))
        return [row for row in self.order if kept[row]]

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        arrays = (self.scores, self.table.values, self.table.answers, self.table.ask_scores)
        return sum(array.nbytes for array in arrays) + 40 * len(self.order)


class RecentRankings:
    """The rankings asked for last, as many as fit into `KEPT_BYTES`. Any number of threads may use it."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Ranking] = OrderedDict()

    def get(self, key: Hashable) -> Ranking | None:
        """Return what was kept under a key."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, ranking: Ranking) -> None:
        """Keep a ranking; the ones not asked for longest make room. One too large for the memory is not kept."""
        with self._lock:
            if ranking.size > self._limit or key in self._kept:
                return
            self._kept[key] = ranking
            self._held += ranking.size
            while self._held > self._limit:
                _, oldest = self._kept.popitem(last=False)
                self._held -= oldest.size


def band_columns(scores: FloatArray, ranker: Ranker) -> Columns:
    """Return under each band the labs that are in it; a score that is not a number is in none."""
    strong = scores >= ranker.strong_from
    plausible = (scores >= ranker.plausible_from) & ~strong
    weak = scores < ranker.plausible_from
    return {Band.STRONG.value: strong, Band.PLAUSIBLE.value: plausible, Band.WEAK.value: weak & ~strong}


def ordered(scores: FloatArray, id_rank: npt.NDArray[np.int64], allowed: BoolArray) -> list[int]:
    """Return the rows of the allowed labs, best score first; equal scores in the order of their ids.

    Args:
        scores: shape (n labs,).
        id_rank: each lab's place in the order of ids.
        allowed: which labs may be proposed.
    """
    rows = np.flatnonzero(allowed)
    return [int(row) for row in rows[np.lexsort((id_rank[rows], -scores[rows]))]]
