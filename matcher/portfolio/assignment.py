"""Which lab for which need, all needs at once: the fairest and then the best assignment, and how good it surely is.

In: pairs of a need and a lab with what each is worth on one scale, and what a plan keeps to: room of labs, loads,
least service, pins, pairs that are forbidden, needs that never share a lab. Out: a lab or none for each need, a bound
that no assignment can pass, and for each need that got less than its best what stood in the way. It exists apart from
needs and labs because it is arithmetic that can be held against trying every assignment. Pure.

One assignment is better than another if, in this order, fewer needs go without, the worst served of those that nobody
pinned is served better, and its values add up to more: whoever goes without is served worst of all. The first and
the last are programmes over the pairs, solved by HiGHS (`scipy.optimize.milp`); between them the least value is found
by halving, since fewer pairs never serve more needs. What came before is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from indexer.arrays import BoolArray, DoubleArray

IntArray = npt.NDArray[np.int64]

AMPLE = 1_000_000
"""The room of a lab that states no limit."""
PATIENCE_S = 40.0
"""So long the last programme is worked on; what it has then is told with its gap."""
_KEPT = 1e-6
"""What it is worth to leave a need where it was: decides between equals and nothing else."""
_NEAR = 1e-6
_HOPE = 1e-3
"""A pair that costs so little to use is looked at before all that could still matter."""


@dataclass(frozen=True)
class Pairs:
    """Who could be given to whom, one row for each pair, none twice.

    `need` and `lab` are numbers below `needs` and `labs`, `value` what the pair is worth, above 0; all of shape (n,).
    """

    need: IntArray
    lab: IntArray
    value: DoubleArray
    needs: int
    labs: int

    @cached_property
    def rows(self) -> Mapping[tuple[int, int], int]:
        """The row of each pair."""
        pairs = zip(self.need.tolist(), self.lab.tolist(), strict=True)
        return {pair: row for row, pair in enumerate(pairs)}


@dataclass(frozen=True)
class Group:
    """Some needs, and how many of them may or must get a lab."""

    needs: tuple[int, ...]
    amount: int


class LimitKind(StrEnum):
    """What a plan may have to keep to; the names are said where limits can't be kept together."""

    PIN = "pin"
    FORBIDDEN = "forbidden"
    APART = "apart"
    SERVICE = "service"
    LOAD = "load"
    ROOM = "room"


class Limit(NamedTuple):
    """One of the limits: of a lab's room the lab's number, of the others the place in their list."""

    kind: LimitKind
    number: int


@dataclass(frozen=True)
class Limits:
    """What a plan keeps to.

    `room` says how many needs each lab can get, shape (labs,); `loads` how many of some needs at most get a lab,
    `services` how many at least. `pins` and `forbidden` are pairs of a need and a lab, each among the pairs; `apart`
    are two needs that never get the same lab.
    """

    room: IntArray
    loads: tuple[Group, ...] = ()
    services: tuple[Group, ...] = ()
    pins: tuple[tuple[int, int], ...] = ()
    forbidden: tuple[tuple[int, int], ...] = ()
    apart: tuple[tuple[int, int], ...] = ()

    def loosened(self, limit: Limit, amount: int) -> Limits:
        """Return the limits with one of them loosened by so many needs; a pick is let go of."""
        kind, number = limit
        if kind is LimitKind.ROOM:
            room = self.room.copy()
            room[number] += amount
            return replace(self, room=room)
        groups = self.loads if kind is LimitKind.LOAD else self.services
        if kind in (LimitKind.LOAD, LimitKind.SERVICE):
            more = amount if kind is LimitKind.LOAD else -amount
            changed = replace(groups[number], amount=groups[number].amount + more)
            listed: Any = (*groups[:number], changed, *groups[number + 1 :])
            return replace(self, loads=listed) if kind is LimitKind.LOAD else replace(self, services=listed)
        name = _PICKED[kind]
        picks = getattr(self, name)
        # An empty place keeps the numbers of the others; nothing is among the pairs of it.
        let_go: dict[str, Any] = {name: (*picks[:number], _NOTHING, *picks[number + 1 :])}
        return replace(self, **let_go)


_PICKED = {LimitKind.PIN: "pins", LimitKind.FORBIDDEN: "forbidden", LimitKind.APART: "apart"}
_NOTHING = (-1, -1)


@dataclass(frozen=True)
class Assignment:
    """A lab, by number, or None for each need, and what that comes to.

    `worst` is the least value of a need that got a lab and was not pinned, None if there is none. No assignment that
    serves as many needs no worse has values that add up to more than `bound`; `is_exact` says that the first two
    steps came to their end.
    """

    labs: tuple[int | None, ...]
    worst: float | None
    total: float
    bound: float
    is_exact: bool

    @property
    def served(self) -> int:
        """How many needs got a lab."""
        return sum(lab is not None for lab in self.labs)

    @property
    def gap(self) -> float:
        """How far the values may add up to less than is possible, as a share of that."""
        return max(0.0, self.bound - self.total) / self.bound if self.bound > 0 else 0.0


class NoPlanError(ValueError):
    """No assignment keeps to all limits."""


def assign(
    pairs: Pairs, limits: Limits, *, kept: Mapping[int, int] | None = None, patience_s: float = PATIENCE_S
) -> Assignment:
    """Return the best assignment.

    Args:
        pairs: who could be given to whom.
        limits: what it keeps to.
        kept: the labs that needs had in an earlier plan, which stay among equals.
        patience_s: so long the last programme is worked on.

    Raises:
        NoPlanError: none keeps to all limits.
    """
    if not len(pairs.value):
        if any(group.amount > 0 for group in limits.services):
            raise NoPlanError
        return Assignment((None,) * pairs.needs, None, 0.0, 0.0, is_exact=True)
    programme = Programme.of(pairs, limits)
    # A need more counts more than all values together, which keep equals apart: without them HiGHS takes minutes.
    served = programme.most(1 + pairs.value / (2 * max(pairs.needs, 1) * pairs.value.max(initial=1.0)))
    if served.x is None:
        raise NoPlanError
    count = round(float(served.x.sum()))
    programme.hold(count)
    least, is_proved = _least_value(programme, served.x)
    bonus = np.zeros(len(pairs.value))
    for pair in (kept or {}).items():
        if pair in pairs.rows:
            bonus[pairs.rows[pair]] = _KEPT
    solved = programme.most(pairs.value + bonus, programme.from_value(least), patience_s=patience_s)
    # Out of time before anything was found: what serves as many needs is an assignment too.
    rows = np.flatnonzero((served.x if solved.x is None else solved.x) > 0.5)
    labs: list[int | None] = [None] * pairs.needs
    for row in rows.tolist():
        labs[int(pairs.need[row])] = int(pairs.lab[row])
    free = rows[~programme.pinned[rows]]
    total = float(pairs.value[rows].sum())
    return Assignment(
        labs=tuple(labs),
        worst=float(pairs.value[free].min()) if len(free) else None,
        total=total,
        bound=max(total, min(solved.bound, float(pairs.value.sum()))),
        is_exact=served.is_proved and is_proved,
    )


def _least_value(programme: Programme, served: DoubleArray) -> tuple[float, bool]:
    """Return the greatest value that no pair has to be below for so many needs to get a lab, and if that is proved.

    Fractions of pairs serve at least as many needs as whole ones, so that the value up to which they do is halved for
    first, which is quick, and whole ones are looked for from there. It lies between the least value of an assignment
    that serves them and what so many needs have at best.

    Args:
        programme: how many needs get a lab is held in it.
        served: an assignment that serves them, shape (n,).
    """
    pairs, used = programme.pairs, (served > 0.5) & ~programme.pinned
    if not used.any():
        return 0.0, True
    best = np.full(pairs.needs, -np.inf)
    np.maximum.at(best, pairs.need, np.where(programme.pinned, np.inf, pairs.value))
    most = np.sort(best)[-round(float(served.sum()))]
    values = np.unique(pairs.value[(pairs.value >= pairs.value[used].min()) & (pairs.value <= most)])
    even = np.ones(len(programme.pairs.value))
    proved = True

    def in_fractions(place: int) -> bool:
        columns = np.flatnonzero(programme.from_value(float(values[place])))
        return programme.fractions(even, columns) is not None

    def whole(place: int) -> bool:
        nonlocal proved
        solved = programme.most(programme.pairs.value, programme.from_value(float(values[place])))
        proved &= solved.is_proved
        return solved.x is not None

    place = _last(0, len(values) - 1, in_fractions)
    return float(values[place if whole(place) else _last(0, max(place - 1, 0), whole)]), proved


def _last(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the last number for which something holds that holds up to some number, `low` for sure."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


class _Solved(NamedTuple):
    """What HiGHS found: how much of each pair, None if nothing; a bound; and if it came to its end."""

    x: DoubleArray | None
    bound: float
    is_proved: bool = True


@dataclass(frozen=True)
class Row:
    """A sum over pairs between two bounds, and the limit that it states; None for what can't be loosened."""

    pairs: IntArray
    low: float
    high: float
    limit: Limit | None


@dataclass
class Programme:
    """The pairs and all limits as rows over them, and what is held of an earlier step."""

    pairs: Pairs
    rows: list[Row]
    pinned: BoolArray

    @classmethod
    def of(cls, pairs: Pairs, limits: Limits) -> Programme:
        """Return the programme of some pairs and limits."""
        pinned = np.zeros(len(pairs.value), dtype=bool)
        pinned[[pairs.rows[pin] for pin in limits.pins if pin in pairs.rows]] = True
        return cls(pairs, list(_rows(pairs, limits)), pinned)

    def hold(self, count: int) -> None:
        """Let every solution from now on serve as many needs."""
        self.rows.append(Row(np.arange(len(self.pairs.value)), count, count, None))

    def from_value(self, least: float) -> BoolArray:
        """Return which pairs are worth so much or are pinned."""
        return np.asarray((self.pairs.value >= least) | self.pinned)

    def most(self, gains: DoubleArray, allowed: BoolArray | None = None, *, patience_s: float = PATIENCE_S) -> _Solved:
        """Return a solution with the most gain over the allowed pairs.

        Fractions of pairs are tried first: mostly what they give is whole, and quick. Where it is not, whole ones are
        looked for among the pairs that cost nothing to use, and then, as long as better is possible, among all that
        the best of fractions leaves any hope of being used in something better.

        Args:
            gains: of each pair.
            allowed: which pairs may be used; all if none is given.
            patience_s: so long it is worked on.
        """
        until = time.monotonic() + patience_s
        columns = np.arange(len(gains)) if allowed is None else np.flatnonzero(allowed)
        of_fractions = self.fractions(gains, columns)
        if of_fractions is None:
            return _Solved(None, 0.0)
        amounts, costs, bound = of_fractions
        if np.abs(amounts - np.round(amounts)).max(initial=0.0) < _NEAR:
            return _Solved(self._spread(columns, amounts), bound)
        best: DoubleArray | None = None
        reached, looked = -np.inf, 0
        for hope in (_NEAR, _HOPE, None):
            least = max(bound - reached, 0.0) if hope is None else hope
            few = np.flatnonzero(costs <= least + _NEAR)
            if len(few) > looked:
                looked = len(few)
                solved = self._whole(gains, columns[few], until - time.monotonic())
                if solved.x is not None and float(gains @ solved.x) > reached:
                    best, reached = solved.x, float(gains @ solved.x)
                if hope is None:
                    return _Solved(best, min(bound, max(solved.bound, reached)), solved.is_proved)
            if reached >= bound - _NEAR or bound - reached <= least:
                # Nothing that was left out could be in something better.
                return _Solved(best, reached)
        return _Solved(best, reached if best is not None else 0.0)

    def fractions(self, gains: DoubleArray, columns: IntArray) -> tuple[DoubleArray, DoubleArray, float] | None:
        """Return how much of each pair the best solution in fractions has, what using more costs, and its gain."""
        matrix, low, high = self.matrix
        if not len(columns):
            return None if (low > 0).any() else (np.zeros(0), np.zeros(0), 0.0)
        some, least, most = matrix[:, columns], low > 0, np.isfinite(high)
        solved = linprog(
            -gains[columns],
            A_ub=vstack([some[most], -some[least]]),
            b_ub=np.concatenate([high[most], -low[least]]),
            bounds=(0, None),
            method="highs",
        )
        if solved.x is None:
            return None
        return np.asarray(solved.x), np.asarray(solved.lower.marginals), -float(solved.fun)

    def _whole(self, gains: DoubleArray, columns: IntArray, patience_s: float) -> _Solved:
        matrix, low, high = self.matrix
        solved = milp(
            -gains[columns],
            integrality=np.ones(len(columns)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix[:, columns], low, high),
            options={"mip_rel_gap": 0.0, "time_limit": max(patience_s, 1.0)},
        )
        if solved.x is None:
            return _Solved(None, 0.0 if solved.status == _NONE else np.inf, solved.status == _NONE)
        bound = -float(solved.mip_dual_bound)
        return _Solved(self._spread(columns, solved.x), bound, solved.status == _BEST)

    def _spread(self, columns: IntArray, amounts: DoubleArray) -> DoubleArray:
        found = np.zeros(len(self.pairs.value))
        found[columns] = np.round(amounts)
        return found

    @property
    def matrix(self) -> tuple[csr_array, DoubleArray, DoubleArray]:
        """The rows as a sparse matrix over the pairs, with their lower and upper bounds."""
        sizes = [len(row.pairs) for row in self.rows]
        columns = np.concatenate([row.pairs for row in self.rows]) if self.rows else np.zeros(0, dtype=np.int64)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        matrix = csr_array((np.ones(len(columns)), columns, ends), shape=(len(self.rows), len(self.pairs.value)))
        return matrix, np.array([row.low for row in self.rows]), np.array([row.high for row in self.rows])


_FREE = -np.inf
_BEST, _NONE = 0, 2
"""What HiGHS says of a programme: solved to its end, or without any solution."""


def _rows(pairs: Pairs, limits: Limits) -> Iterator[Row]:
    """Yield what an assignment is, and what it keeps to."""
    for members in _members(pairs.need, pairs.needs):
        if len(members):
            yield Row(members, _FREE, 1, None)
    for lab, members in enumerate(_members(pairs.lab, pairs.labs)):
        if len(members) > limits.room[lab]:
            yield Row(members, _FREE, float(limits.room[lab]), Limit(LimitKind.ROOM, lab))
    for number, group in enumerate(limits.loads):
        yield Row(_of_needs(pairs, group), _FREE, group.amount, Limit(LimitKind.LOAD, number))
    for number, group in enumerate(limits.services):
        yield Row(_of_needs(pairs, group), group.amount, np.inf, Limit(LimitKind.SERVICE, number))
    yield from _rows_of_picks(pairs, limits)


def _of_needs(pairs: Pairs, group: Group) -> IntArray:
    return np.flatnonzero(np.isin(pairs.need, group.needs))


def _rows_of_picks(pairs: Pairs, limits: Limits) -> Iterator[Row]:
    for kind, picks, low, high in (
        (LimitKind.PIN, limits.pins, 1, 1),
        (LimitKind.FORBIDDEN, limits.forbidden, _FREE, 0),
    ):
        for number, pick in enumerate(picks):
            if pick in pairs.rows:
                yield Row(np.array([pairs.rows[pick]]), low, high, Limit(kind, number))
    for number, (one, other) in enumerate(limits.apart):
        for lab in np.intersect1d(pairs.lab[pairs.need == one], pairs.lab[pairs.need == other]).tolist():
            both = np.array([pairs.rows[one, lab], pairs.rows[other, lab]])
            yield Row(both, _FREE, 1, Limit(LimitKind.APART, number))


def _members(numbers: IntArray, size: int) -> list[IntArray]:
    """Return for each number below `size` the rows that have it."""
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=size))
    return np.split(order, ends[:-1])


class Why(StrEnum):
    """What stood in the way of a need's best lab."""

    PINNED = "pinned"
    FORBIDDEN = "forbidden"
    NO_ROOM = "no_room"
    TAKEN = "taken"
    APART = "apart"
    LOAD = "load"
    NOBODY = "nobody"
    GAP = "gap"


@dataclass(frozen=True)
class Forgone:
    """A need that got another lab than its best, or none: what stood in the way, and which needs have what it wanted.

    `number` is the place of a load in the limits. `best` is None if nobody comes into question for the need.
    """

    need: int
    best: int | None
    got: int | None
    why: Why
    others: tuple[int, ...] = ()
    number: int | None = None


def forgone(pairs: Pairs, limits: Limits, found: Assignment) -> tuple[Forgone, ...]:
    """Return what was given up, in the order of needs."""
    holders: dict[int, list[int]] = {}
    for need, lab in enumerate(found.labs):
        if lab is not None:
            holders.setdefault(lab, []).append(need)
    given = []
    for need, rows in enumerate(_members(pairs.need, pairs.needs)):
        if not len(rows):
            given.append(Forgone(need, None, None, Why.NOBODY))
            continue
        best = int(pairs.lab[rows[np.argmax(pairs.value[rows])]])
        got = found.labs[need]
        worth = pairs.value[rows].max()
        if got is None or pairs.value[pairs.rows[need, got]] < worth:
            given.append(_why(limits, found, holders, need, best))
    return tuple(given)


def _why(limits: Limits, found: Assignment, holders: Mapping[int, Sequence[int]], need: int, best: int) -> Forgone:
    got, having = found.labs[need], tuple(holders.get(best, ()))
    apart = {other for pair in limits.apart if need in pair for other in pair} - {need}
    blocking = tuple(one for one in having if one in apart)
    load = None if got is not None else _load_reached(limits, found, need)
    why: Why = Why.GAP
    others: tuple[int, ...] = ()
    if got is not None and (need, got) in limits.pins:
        why = Why.PINNED
    elif (need, best) in limits.forbidden:
        why = Why.FORBIDDEN
    elif load is not None:
        why, others = Why.LOAD, tuple(one for one in limits.loads[load].needs if found.labs[one] is not None)
    elif limits.room[best] <= 0:
        why = Why.NO_ROOM
    elif len(having) >= limits.room[best]:
        why, others = Why.TAKEN, having
    elif blocking:
        why, others = Why.APART, blocking
    return Forgone(need, best, got, why, others, load if why is Why.LOAD else None)


def _load_reached(limits: Limits, found: Assignment, need: int) -> int | None:
    """Return the first load of a need that is reached."""
    for number, group in enumerate(limits.loads):
        if need in group.needs and sum(found.labs[one] is not None for one in group.needs) >= group.amount:
            return number
    return None
