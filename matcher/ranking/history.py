"""What experts decided before, read for a need of today: one number per lab, and the counts behind it.

In: verdicts that a promoted ranker holds (which lab, for a need of which kind, better or worse received than its score
foretold), and a need. Out: for every lab what is added to its score, and how often it was accepted or rejected for
needs like this one. It exists because experts know what no record says: which labs deliver, which write more than they
do, whom a field works with. It is frozen in the ranker's file, so that nobody's verdict moves a ranking before
`matcher.judging.champion` has measured what it does, and a ranking of last year can be repeated.

**How it is read.** A verdict's *surprise* is 1 or 0 less the chance that its score gave it: that a first lab was
accepted is no news. Surprises are averaged in steps, from the wide to the near, and each mean is drawn towards that of
the step before with a weight of its own: the school, the school in this field, the lab, the lab in this field, the lab
for needs like this one, the lab with this company. Where nothing was said the step before stands, and at the beginning
0. So a lab that nobody decided on moves only with its school, and by little; and every mean rises with every
acceptance and falls with every rejection, whatever else was said, which trees or kernel ridge would not promise.
Verdicts on one pair count together as hardly more than one: the second expert says less that is new.

A need's own verdicts are left out: they stand beside the lab already. Of a need only its id, its fields, vectors and a
hash of its company's name are kept, and people are told counts alone: whose need it was stays hidden.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import DoubleArray, FloatArray
from indexer.folding import for_names
from indexer.index.snapshot import Snapshot
from indexer.index.vectors import centred
from indexer.wording import T_, Text
from matcher.ranking.lab_table import LabTable
from matcher.ranking.signals import NeedQuery

IntArray = npt.NDArray[np.int64]
STEPS = {"school": 8.0, "school in field": 6.0, "lab": 2.0, "lab in field": 2.0, "like needs": 2.0, "company": 2.0}
"""The steps, wide to near, and how many verdicts the mean of the step before weighs, beside `History.strength`."""
LIKE_FROM, LIKE_WHOLE = 0.2, 0.6
"""Cosines of two needs of which the one counts as nothing and the other as the same, where too few needs say more."""
COUNTED_FROM = 0.25
"""A need of this likeness, or of a field in common, is called like another where people are told counts."""
REPEATED = 0.7
"""n verdicts on one pair weigh n / (1 + 0.7 n), so that many come to no more than 1.4."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What is kept of a need: its id, a hash of its company's name, its fields, unit vectors by encoder."""

    need: str
    company: str
    fields: tuple[str, ...]
    vectors: Mapping[str, FloatArray]


def trace_of(query: NeedQuery, snapshot: Snapshot) -> Trace:
    """Return what is kept of a need; vectors only of encoders that read both languages."""
    need, vectors = query.need, {}
    for field in snapshot.fields:
        if field.languages is None and field.name in query.whole.vectors:
            vector = query.whole.vectors[field.name][None]
            unit = centred(vector, [query.whole.language], field.query_means)[0]
            # As exact as a ranker's file keeps it, so that a need reads the same before and after.
            vectors[field.name] = unit.astype(np.float16).astype(np.float32)
    named = sha256(for_names(need.company).encode()).hexdigest()[:16] if need.company else ""
    return Trace(need.id, named, need.fields, vectors)


@dataclass(frozen=True, eq=False)
class Remembered:
    """What history says for one need, each of shape (n labs,): added to scores, and verdicts for needs like it."""

    amounts: DoubleArray
    accepted: IntArray
    rejected: IntArray

    def sentence(self, row: int) -> Text | None:
        """Return what people read of a lab; None where nothing was decided for needs like this one.

        Counts and nothing else: of whose needs they are nothing can be read.
        """
        accepted, rejected = int(self.accepted[row]), int(self.rejected[row])
        if not accepted and not rejected:
            return None
        return T_(
            "decided before for needs like this one: accepted %(accepted)s times, rejected %(rejected)s times",
            accepted=accepted,
            rejected=rejected,
        )


@dataclass(frozen=True, eq=False)
class History:
    """Verdicts to remember; entry i of `needs`, `labs`, `surprises`, `accepted` and `rejected` is one pair.

    `needs` and `labs` are places in `traces` and `lab_ids`; `schools` are those of `lab_ids`. `amount` is what a
    surprise of 1 adds to a score, `strength` how hard every step is drawn towards the one before.
    """

    traces: tuple[Trace, ...]
    lab_ids: tuple[str, ...]
    schools: tuple[str, ...]
    needs: IntArray
    labs: IntArray
    surprises: DoubleArray
    accepted: IntArray
    rejected: IntArray
    amount: float = 0.0
    strength: float = 1.0

    def of(self, trace: Trace, lab_ids: Sequence[str], schools: Sequence[str]) -> Remembered:
        """Return what is remembered for a need of some labs, given with their schools ("" where none is stated)."""
        kept = np.flatnonzero(self.needs != self._places.get(trace.need, -1))
        places = np.array([self._lab_places.get(lab, -1) for lab in lab_ids], dtype=np.int64)
        schooled = np.array([self._school_places.get(school, -1) for school in schools], dtype=np.int64)
        like = self._likeness(trace)
        means = self._means(trace, kept, like, places, schooled)
        near = kept[(np.maximum(like, self._in_field(trace)) >= COUNTED_FROM)[self.needs[kept]]]
        return Remembered(
            self.amount * means, self._counted(self.accepted, near, places), self._counted(self.rejected, near, places)
        )

    def _means(
        self, trace: Trace, kept: IntArray, like: DoubleArray, places: IntArray, schools: IntArray
    ) -> DoubleArray:
        needs, surprises = self.needs[kept], self.surprises[kept]
        count = (self.accepted + self.rejected)[kept]
        weight = count / (1 + REPEATED * count)
        field = self._in_field(trace)[needs]
        company = np.array([bool(trace.company) and trace.company == one.company for one in self.traces], dtype=float)
        of_school = self._school_of_lab[self.labs[kept]]
        steps = (
            (of_school, schools, 1.0),
            (of_school, schools, field),
            (self.labs[kept], places, 1.0),
            (self.labs[kept], places, field),
            (self.labs[kept], places, like[needs]),
            (self.labs[kept], places, company[needs]),
        )
        found = np.zeros(len(places))
        for (mine, wanted, share), drawn in zip(steps, STEPS.values(), strict=True):
            # The last entry belongs to those that are not known.
            size, counted = int(max(mine.max(initial=-1), wanted.max(initial=-1))) + 2, share * weight
            known = mine >= 0
            sums = [np.bincount(mine[known], value[known], minlength=size)[wanted] * (wanted >= 0)
                    for value in (counted * surprises, counted)]  # fmt: skip
            found = (sums[0] + self.strength * drawn * found) / (sums[1] + self.strength * drawn)
        return found

    def _counted(self, verdicts: IntArray, near: IntArray, places: IntArray) -> IntArray:
        sums = np.bincount(self.labs[near], verdicts[near], minlength=len(self.lab_ids) + 1).astype(np.int64)
        return np.asarray(np.where(places >= 0, sums[places], 0))

    def _likeness(self, trace: Trace) -> DoubleArray:
        """Return how alike each remembered need is to this one, 0 to 1: by the encoders that know both."""
        total, known = np.zeros(len(self.traces)), np.zeros(len(self.traces))
        for name, vector in trace.vectors.items():
            held = self._vectors.get(name)
            if held is not None and held[1].shape[1] == len(vector):
                total[held[0]] += held[1] @ vector.astype(np.float64)
                known[held[0]] += 1
        begin, whole = self._like_between
        cosines = np.where(known > 0, total / np.maximum(known, 1), -1.0)
        return np.asarray(np.clip((cosines - begin) / (whole - begin), 0, 1))

    def _in_field(self, trace: Trace) -> DoubleArray:
        mine = frozenset(trace.fields)
        return np.array([not mine.isdisjoint(one.fields) for one in self.traces], dtype=np.float64)

    @cached_property
    def _vectors(self) -> Mapping[str, tuple[IntArray, DoubleArray]]:
        """By encoder the places of the needs that it read, and their vectors."""
        found = {}
        for name in sorted({name for trace in self.traces for name in trace.vectors}):
            rows = [row for row, trace in enumerate(self.traces) if name in trace.vectors]
            vectors = np.stack([self.traces[row].vectors[name] for row in rows]).astype(np.float64)
            found[name] = (np.array(rows, dtype=np.int64), vectors)
        return found

    @cached_property
    def _like_between(self) -> tuple[float, float]:
        """Cosines that count as nothing and as the same: from what the remembered needs have with each other."""
        if len(self.traces) < FEWEST_TO_SCALE or not self._vectors:
            return LIKE_FROM, LIKE_WHOLE
        pairs = [(vectors @ vectors.T)[np.triu_indices(len(rows), 1)] for rows, vectors in self._vectors.values()]
        middles = [float(np.median(one)) for one in pairs if len(one)]
        highs = [float(np.quantile(one, 0.9)) for one in pairs if len(one)]
        middle, high = float(np.mean(middles)), float(np.mean(highs))
        return middle, middle + 3 * max(high - middle, 0.02)

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {trace.need: place for place, trace in enumerate(self.traces)}

    @cached_property
    def _lab_places(self) -> Mapping[str, int]:
        return {lab: place for place, lab in enumerate(self.lab_ids)}

    @cached_property
    def _school_places(self) -> Mapping[str, int]:
        return {school: place for place, school in enumerate(sorted({*self.schools} - {""}))}

    @cached_property
    def _school_of_lab(self) -> IntArray:
        return np.array([self._school_places.get(school, -1) for school in self.schools], dtype=np.int64)

    def as_dict(self) -> dict[str, Any]:
        """Return it as a ranker's file has it; `read_history` reads it."""
        return {
            "amount": self.amount,
            "strength": self.strength,
            "needs": [
                {
                    "need": one.need,
                    "company": one.company,
                    "fields": list(one.fields),
                    "vectors": {name: _written(vector) for name, vector in one.vectors.items()},
                }
                for one in self.traces
            ],
            "labs": [list(one) for one in zip(self.lab_ids, self.schools, strict=True)],
            "pairs": [
                [int(need), int(lab), round(float(surprise), 4), int(accepted), int(rejected)]
                for need, lab, surprise, accepted, rejected in zip(
                    self.needs, self.labs, self.surprises, self.accepted, self.rejected, strict=True
                )
            ],
        }


FEWEST_TO_SCALE = 8
"""Remembered needs from which their own likeness says what is usual."""


def read_history(content: Mapping[str, Any]) -> History:
    """Read what `History.as_dict` gave.

    Raises:
        KeyError: something is missing.
        TypeError: something is of another kind.
        ValueError: something is no number, or points at what is not there.
    """
    traces = tuple(
        Trace(
            str(one["need"]),
            str(one["company"]),
            tuple(map(str, one["fields"])),
            {str(name): _read_vector(text) for name, text in one["vectors"].items()},
        )
        for one in content["needs"]
    )
    labs = [(str(lab), str(school)) for lab, school in content["labs"]]
    pairs = np.array(content["pairs"], dtype=np.float64).reshape(-1, 5)
    needs, places, accepted, rejected = (pairs[:, i].astype(np.int64) for i in (0, 1, 3, 4))
    amount, strength = float(content["amount"]), float(content["strength"])
    for numbers, size in ((needs, len(traces)), (places, len(labs))):
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < size):
            raise ValueError(T_("history: a pair points at what is not there"))
    if not (np.isfinite(pairs).all() and math.isfinite(amount) and amount >= 0 and strength > 0):
        raise ValueError(T_("history: amount, strength and pairs must be numbers, amount not below 0"))
    return History(
        traces=traces,
        lab_ids=tuple(lab for lab, _ in labs),
        schools=tuple(school for _, school in labs),
        needs=needs,
        labs=places,
        surprises=pairs[:, 2],
        accepted=accepted,
        rejected=rejected,
        amount=amount,
        strength=strength,
    )


def schools_of(labs: LabTable) -> tuple[str, ...]:
    """Return the school of each lab of a table, "" where none is stated."""
    return tuple(lab.school or "" for lab in labs.profiles)


def _written(vector: FloatArray) -> str:
    return base64.b64encode(vector.astype("<f2").tobytes()).decode()


def _read_vector(text: str) -> FloatArray:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2").astype(np.float32)
