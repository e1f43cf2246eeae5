"""Features in, all labs for one need in order out: by a sum of named contributions and nothing else.

In: the feature table of a need and a weights file. Out: for every lab a score, the contributions that add up to it,
and a confidence band; and a `Ranking`, from which any page, filter and facet can be answered without ranking again.
It exists as a plain weighted sum so that the explanation is the arithmetic of the score, and because an expert
pages and narrows, and each click must cost microseconds, not an encoding. The weights are a versioned JSON file
that `matcher.judging.learning` writes. Pure.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from indexer.arrays import BoolArray, DoubleArray
from indexer.wording import P_, T_, Bilingual
from matcher.ranking.history import History, Remembered, read_history
from matcher.ranking.lab_table import (
    ALL,
    Columns,
    Facets,
    Filters,
    LabTable,
    Rule,
    facets,
    passing,
)
from matcher.ranking.near_ties import Drawn, drawn_order
from matcher.ranking.reach.seen_less import Rule as ReachRule
from matcher.ranking.reach.seen_less import moved_up
from matcher.ranking.signals import ASKS_WEIGHED, FEATURES, N_EVIDENCE, PREFERRED, FeatureTable, NeedQuery
from matcher.ranking.wishes import (
    COVERED_FROM,
    FACTORS,
    UNSTEERED,
    StatedWish,
    Steering,
    Stress,
    Wish,
    asks_weighed,
    left_out,
    met_by,
    preferred,
)

DEFAULT_WEIGHTS = Path(__file__).with_name("weights.json")


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


STRONG_CHANCE, PLAUSIBLE_CHANCE = 0.65, 0.1
"""Chances of being introduced from which a pair is called strong, or plausible."""


class WeightsError(ValueError):
    """A weights file that can't be used; the message says why."""


@dataclass(frozen=True)
class Ranker:
    """Weights per feature, the lowest scores of the upper two bands, and when an ask counts as covered.

    `coverage` are the factors of an ask's evidence and of the pair's score, and an offset: with them a logistic
    curve gives the chance that the lab answers the ask. `history` is what it remembers of decisions; the version,
    which holds a hash of the whole file, tells rankers apart by it.
    """

    version: str
    weights: tuple[float, ...]
    strong_from: float
    plausible_from: float
    coverage: tuple[float, float, float]
    history: History | None = field(default=None, compare=False)

    def with_depth(self, factor: float) -> Ranker:
        """Return a ranker to which depth counts so much more or less; its version says so."""
        if factor == 1:
            return self
        place = FEATURES.index("depth")
        weights = tuple(weight * factor if i == place else weight for i, weight in enumerate(self.weights))
        return replace(self, version=f"{self.version}, depth {factor:g}", weights=weights)

    def steered(self, steering: Steering) -> Ranker:
        """Return a ranker to which wishes count as an expert chose; its version says so."""
        if steering == UNSTEERED:
            return self
        factors = {wish.value: FACTORS[stress] for wish, stress in steering.chosen.items()}
        weights = tuple(w * factors.get(name, 1.0) for name, w in zip(FEATURES, self.weights, strict=True))
        return replace(self, version=self.version + steering.note, weights=weights)

    def without_upper_bands(self) -> Ranker:
        """Return a ranker to which every lab is weak: that of a need which says too little to call a lab fitting."""
        return replace(self, strong_from=math.inf, plausible_from=math.inf)

    def contributions(self, values: DoubleArray) -> DoubleArray:
        """Return weight × value of each feature, shape as `values`: (n labs, n features)."""
        return np.asarray(values * np.asarray(self.weights))

    def scores(self, values: DoubleArray) -> DoubleArray:
        """Return the sum of each lab's contributions, shape (n labs,)."""
        return np.asarray(self.contributions(values).sum(axis=1))

    def covers(self, ask_scores: DoubleArray, score: float | DoubleArray) -> DoubleArray:
        """Return the chance that a lab answers each ask, of the shape of `ask_scores`.

        Args:
            ask_scores: what its evidence adds up to for each ask, see `FeatureTable`.
            score: of the pair, or of each: who is far from the need as a whole answers no part of it.
        """
        of_ask, of_pair, offset = self.coverage
        return np.asarray(1 / (1 + np.exp(-(of_ask * ask_scores + of_pair * score + offset))))

    def introduced(self, scores: DoubleArray) -> DoubleArray:
        """Return the chance of being introduced that the bands were cut from, of the shape of `scores`.

        0 for all where no score reaches the upper bands.
        """
        if not math.isfinite(self.strong_from):
            return np.zeros(np.shape(scores))
        strong, plausible = (math.log(chance / (1 - chance)) for chance in (STRONG_CHANCE, PLAUSIBLE_CHANCE))
        slope = (strong - plausible) / (self.strong_from - self.plausible_from)
        return np.asarray(1 / (1 + np.exp(-(strong + slope * (scores - self.strong_from)))))

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
        bands, asks = content["bands"], content["asks"]
        ranker = Ranker(
            version=str(content["version"]),
            weights=tuple(weights[name] for name in FEATURES),
            strong_from=float(bands["strong_from"]),
            plausible_from=float(bands["plausible_from"]),
            coverage=(float(asks["evidence"]), float(asks["score"]), float(asks["offset"])),
            history=read_history(content["history"]) if content.get("history") else None,
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            T_(
                "%(path)s: %(name)s: %(error)s; expected version, weights, bands and asks",
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


def ordered_by_id(scores: DoubleArray, ids: tuple[str, ...], allowed: npt.NDArray[np.bool_]) -> list[int]:
    """Return the row numbers of the allowed labs, best first; equal scores in the order of their ids."""
    return sorted(np.flatnonzero(allowed).tolist(), key=lambda row: (-scores[row], ids[row]))


LEAST_TOLD = 0.005
"""A smaller change of a contribution is not told: it would read as 0.00."""


@dataclass(frozen=True)
class Moved:
    """A lab that steering moves: its row, its rank before and after, 0 for hidden or left out, and what changed.

    `changes` has by how much each contribution to its score is another.
    """

    row: int
    before: int
    after: int
    changes: Mapping[str, float]


KEPT_BYTES = 128 * 2**20
"""Memory for recent rankings."""


@dataclass(frozen=True)
class Ranking:
    """All labs that may be proposed for one need, best first: row numbers into the index, with scores and features.

    `usual` are the scores without steering and a second look: bands and chances are calibrated on those, and no lab
    answers better because somebody weighs its region up.

    `ranker` is that of this need: bands are read from it, never from that of all needs.
    `added` are contributions beside the features, each of shape (n labs,), part of the
    scores: those of earlier decisions, which `remembered` tells in counts, and of a second
    look, whose model `reread_by` names; `warnings` say what to know of that one.
    `drawn` says of rows whose place was drawn how (`matcher.ranking.near_ties`).
    `earlier` are rows that stand earlier since they fit equally and were seen less (`matcher.ranking.reach`).
    `usually` is the ranking as it is without the steering.
    """

    query: NeedQuery
    order: list[int]
    scores: DoubleArray
    table: FeatureTable
    set_aside: dict[Rule, list[str]]
    labs: LabTable
    ranker: Ranker
    usual: DoubleArray
    wished: Mapping[Wish, tuple[str, ...]]
    steering: Steering = UNSTEERED
    added: Mapping[str, DoubleArray] = field(default_factory=dict)
    remembered: Remembered | None = None
    drawn: Mapping[int, Drawn] = field(default_factory=dict)
    earlier: frozenset[int] = frozenset()
    reread_by: str = ""
    warnings: tuple[Bilingual, ...] = ()
    usually: Ranking | None = None

    @property
    def version(self) -> str:
        """What it was ranked by: the weights, and the model of a second look if there was one."""
        return self.ranker.version + (f", reranker {self.reread_by}" if self.reread_by else "")

    def contributions(self, row: int) -> dict[str, float]:
        """Return what adds up to a lab's score, by name."""
        amounts = np.asarray(self.ranker.contributions(self.table.values[row])).tolist()
        return dict(zip(FEATURES, amounts, strict=True)) | {name: float(all_[row]) for name, all_ in self.added.items()}

    def steered(self, steering: Steering, id_rank: npt.NDArray[np.int64]) -> Ranking:
        """Return this ranking, one without steering, as an expert steers it.

        Args:
            steering: the choice; what it says of wishes and asks that the need does not have is left out.
            id_rank: each lab's place in the order of ids.
        """
        steering = steering.only(self.wished, len(self.query.asks))
        if steering == self.steering:
            return self
        ranker, added = self.ranker.steered(steering), dict(self.added)
        if steering.own:
            added[PREFERRED] = preferred(steering, self.labs)
        if steering.asks:
            added[ASKS_WEIGHED] = asks_weighed(steering, self.table.ask_scores)
        scores = ranker.scores(self.table.values) + sum(added.values(), np.zeros(len(self.scores)))
        out = left_out(steering, self.labs) & (self.ranks > 0)
        order = ordered_rows(scores, id_rank, (self.ranks > 0) & ~out)
        aside = {**self.set_aside, Rule.LEFT_OUT: sorted(self.labs.ids[row] for row in np.flatnonzero(out))}
        return replace(
            self,
            order=order,
            scores=scores,
            ranker=ranker,
            steering=steering,
            added=added,
            set_aside=aside,
            usually=self,
        )

    def moved(self, depth: int) -> list[Moved]:
        """Return which labs among the first of either order stand elsewhere than without steering, as they stand now.

        Args:
            depth: how many of either order are looked at.
        """
        if self.usually is None:
            return []
        before, after = self.usually.ranks, dict(zip(self.passing(ALL), range(1, len(self.scores) + 1), strict=False))
        looked = dict.fromkeys([*list(after)[:depth], *self.usually.order[:depth]])
        found = []
        for row in looked:
            stands = int(self.ranks[row]) if row in after else 0
            if stands == before[row]:
                continue
            was = self.usually.contributions(row)
            now = self.contributions(row)
            changes = {name: amount - was.get(name, 0.0) for name, amount in now.items()}
            found.append(
                Moved(row, int(before[row]), stands, {k: v for k, v in changes.items() if abs(v) > LEAST_TOLD})
            )
        return found

    def with_near_ties_drawn(self, margin: float, generation: str) -> Ranking:
        """Return this ranking with the order of near ties drawn; itself where `margin` is 0.

        Where labs stand earlier by the office's rule nothing is drawn: a coin's chance must be the only reason.
        """
        if not margin or self.earlier:
            return self
        key = f"{self.query.need.id}\n{self.version}\n{generation}"
        order, drawn = drawn_order(self.order, self.scores, margin, key)
        return replace(self, order=order, drawn=drawn)

    def with_seen_less_earlier(self, rule: ReachRule | None) -> Ranking:
        """Return this ranking with equally fit labs earlier that were seen less; itself where no rule is in use."""
        if rule is None:
            return self
        schools = [lab.school or "" for lab in self.labs.profiles]
        order, earlier = moved_up(self.order, self.scores, self.ranker.introduced(self.usual), schools, rule)
        # Whom steering moves is told beside what would be shown without it.
        usually = None if self.usually is None else self.usually.with_seen_less_earlier(rule)
        return replace(self, order=order, earlier=earlier, usually=usually)

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Each lab's rank from 1, shape (n labs,); 0 for one that may not be proposed."""
        ranks = np.zeros(len(self.scores), dtype=np.int64)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        return ranks

    def chances(self, row: int) -> DoubleArray:
        """Return the chance that a lab answers each ask, or without asks the whole need, shape (n asks or 1,)."""
        asked = self.table.ask_scores[:, row]
        if not len(asked):
            asked = self.table.values[row, :N_EVIDENCE].sum(keepdims=True)
        return self.ranker.covers(asked, float(self.usual[row]))

    @cached_property
    def columns(self) -> Mapping[str, Columns]:
        """What the labs state, and the band that each is in."""
        return {**self.labs.columns, "band": band_columns(self.usual, self.ranker)}

    def band(self, row: int) -> Band:
        """Return the band of a lab."""
        return self.ranker.band(float(self.usual[row]))

    @cached_property
    def wishes(self) -> dict[Wish, StatedWish]:
        """The wishes that the need states, how each counts, and how many labs meet it or are hidden by it."""
        found, allowed = {}, self.ranks > 0
        for wish, wanted in self.wished.items():
            met, stress = int((self._met(wish) & allowed).sum()), getattr(self.steering, wish.value)
            found[wish] = StatedWish(wanted, stress, met, len(self.order) - met if stress is Stress.MUST else 0)
        return found

    def _met(self, wish: Wish) -> BoolArray:
        return np.asarray(self.table.values[:, FEATURES.index(wish.value)] > 0)

    @cached_property
    def facets(self) -> Facets:
        """How many of the labs that may be proposed have each value."""
        return facets(self.columns, self.ranks > 0)

    def covering(self) -> DoubleArray:
        """Return the chance that each lab answers each ask, shape (n asks or 1, n labs): `chances` of all labs."""
        asked = self.table.ask_scores
        if not len(asked):
            asked = self.table.values[:, :N_EVIDENCE].sum(axis=1)[None, :]
        return self.ranker.covers(asked, self.usual)

    def passing(self, filters: Filters) -> list[int]:
        """Return the rows that pass the filters and meet what is a must, best first."""
        kept: BoolArray = passing(filters, self.columns, len(self.scores))
        for wish, stress in self.steering.chosen.items():
            if stress is Stress.MUST:
                kept &= self._met(wish)
        for name, value, stress in self.steering.own:
            if stress is Stress.MUST:
                kept &= met_by(name, value, self.labs)
        for ask, stress in self.steering.asks:
            if stress is Stress.MUST:
                kept &= self.ranker.covers(self.table.ask_scores[ask - 1], self.usual) >= COVERED_FROM
        return [row for row in self.order if kept[row]]

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        arrays = (self.scores, self.usual, *self.added.values(), self.table.values, self.table.answers)
        held = sum(array.nbytes for array in (*arrays, self.table.ask_scores))
        return held + 40 * len(self.order)


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


def band_columns(scores: DoubleArray, ranker: Ranker) -> Columns:
    """Return under each band the labs that are in it; a score that is not a number is in none."""
    strong = scores >= ranker.strong_from
    plausible = (scores >= ranker.plausible_from) & ~strong
    weak = scores < ranker.plausible_from
    return {Band.STRONG.value: strong, Band.PLAUSIBLE.value: plausible, Band.WEAK.value: weak & ~strong}


def ordered_rows(scores: DoubleArray, id_rank: npt.NDArray[np.int64], allowed: BoolArray) -> list[int]:
    """Return the rows of the allowed labs, best score first; equal scores in the order of their ids.

    Args:
        scores: shape (n labs,).
        id_rank: each lab's place in the order of ids.
        allowed: which labs may be proposed.
    """
    rows = np.flatnonzero(allowed)
    return [int(row) for row in rows[np.lexsort((id_rank[rows], -scores[rows]))]]
