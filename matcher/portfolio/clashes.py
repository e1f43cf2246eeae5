"""Why no plan keeps to all limits: some that clash, none of them too many, and the cheapest way to loosen them.

In: the pairs and limits of which no assignment was found. Out: limits that can't be kept together though all but any
one of them can, by how much each of those would have to be loosened for the others to stand, and what to loosen so
that there is a plan again, at the least cost. It exists apart from the assignment because it is asked only where there
is none, and because "infeasible" tells nobody what to do. Pure.

Every limit is given a slack that costs something (elastic programming, Chinneck 2008): the cheapest slacks are what to
loosen. Limits that needed slack are then enforced, one round after another, until even the others' slack no longer
helps: those enforced hold a clash, from which whatever can be left out is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, hstack

from matcher.portfolio.assignment import Limit, LimitKind, Limits, Pairs, Programme

COSTS: Mapping[LimitKind, float] = {
    LimitKind.PIN: 1,
    LimitKind.FORBIDDEN: 1,
    LimitKind.APART: 1,
    LimitKind.SERVICE: 1,
    LimitKind.LOAD: 2,
    LimitKind.ROOM: 4,
}
"""What loosening costs, by need: what was picked is the cheapest to let go of, then an expert's work, and what a lab
said of itself last: it is not ours to change."""
_PICKS = (LimitKind.PIN, LimitKind.FORBIDDEN, LimitKind.APART)


@dataclass(frozen=True)
class Loosening:
    """A limit, and by how many needs it is to be loosened; of a pick 1: it is let go of."""

    limit: Limit
    amount: int


@dataclass(frozen=True)
class Clash:
    """Why there is no plan.

    `limits` can't be kept together, though without any one of them the others can; each with the amount by which it
    alone has to be loosened for that. With all of `cheapest` there is a plan; there may be other clashes beside.
    """

    limits: tuple[Loosening, ...]
    cheapest: tuple[Loosening, ...]


def clash(pairs: Pairs, limits: Limits) -> Clash | None:
    """Return why no assignment keeps to all limits, None if one does."""
    elastic = _Elastic(pairs, limits)
    everything = elastic.known
    cheapest = elastic.loosened(everything, everything)
    if cheapest is None:
        raise AssertionError("without its limits there is always a plan: nobody gets anything")
    if not cheapest:
        return None
    enforced: dict[Limit, int] = {}
    needed: dict[Limit, int] | None = cheapest
    while needed:
        enforced |= needed
        needed = elastic.loosened(everything, [one for one in everything if one not in enforced])
    minimal = list(enforced)
    for one in list(enforced):
        fewer = [other for other in minimal if other != one]
        if elastic.loosened(fewer, ()) is None:
            minimal = fewer
    amounts = {one: (elastic.loosened(minimal, [one]) or {}).get(one, 0) for one in minimal}
    return Clash(
        tuple(Loosening(one, amounts[one]) for one in sorted(minimal, key=_order)),
        tuple(Loosening(one, amount) for one, amount in sorted(cheapest.items(), key=lambda item: _order(item[0]))),
    )


def _order(limit: Limit) -> tuple[int, int]:
    return list(LimitKind).index(limit.kind), limit.number


class _Elastic:
    """The rows of a programme with a slack for each limit: any choice of them can be kept, loosened or left out."""

    def __init__(self, pairs: Pairs, limits: Limits) -> None:
        self._programme = Programme.of(pairs, limits)
        self.known = list(dict.fromkeys(row.limit for row in self._programme.rows if row.limit is not None))
        self._place = {limit: number for number, limit in enumerate(self.known)}

    def loosened(self, kept: Collection[Limit], loose: Collection[Limit]) -> dict[Limit, int] | None:
        """Return by how much to loosen some limits, at the least cost, so that all kept ones hold; None if none do.

        Args:
            kept: the limits that are looked at; others are left out.
            loose: those of them that may be loosened.
        """
        programme, place = self._programme, self._place
        matrix, low, high = programme.matrix
        kept_, loose_ = set(kept), set(loose)
        rows = [number for number, row in enumerate(programme.rows) if row.limit is None or row.limit in kept_]
        # A sum with too little below it is helped up by its slack, one with too much is let down.
        signs = [
            (number, place[row.limit], 1.0 if row.low > 0 else -1.0)
            for number, row in enumerate(programme.rows)
            if row.limit is not None and row.limit in loose_
        ]
        numbers, columns, amounts = zip(*signs, strict=True) if signs else ((), (), ())
        slack = csr_array((amounts, (numbers, columns)), shape=(len(programme.rows), len(self.known)))
        n = len(programme.pairs.value)
        costs = np.concatenate([np.zeros(n), [COSTS[one.kind] for one in self.known]])
        most = np.array([1.0 if one.kind in _PICKS else np.inf for one in self.known])
        solved = milp(
            costs,
            integrality=np.ones(n + len(self.known)),
            bounds=Bounds(0, np.concatenate([np.ones(n), most])),
            constraints=LinearConstraint(hstack([matrix, slack]).tocsr()[rows], low[rows], high[rows]),
            options={"mip_rel_gap": 0.0},
        )
        if solved.x is None:
            return None
        used = np.round(solved.x[n:]).astype(int)
        return {one: int(used[place[one]]) for one in self.known if used[place[one]] > 0}
