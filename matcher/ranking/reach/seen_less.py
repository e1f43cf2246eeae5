"""Which of labs that fit equally stands earlier: the one of a lesser-known school, as long as such were seen less.

In: an order with its scores and chances, the school of each lab, how much well-known schools and all others were seen
until now beside what their labs deserved, and how the programme office set the rule. Out: the order as it is shown, and
which labs stand earlier than their score alone would put them. It exists because who stands first is looked at first,
because well-known schools write more and so win more near ties than they fit better, and because such a rule must be
small, said on the card, and undone by one setting. Off by default (the office's document `reach_rule` has a floor of
0): then nothing is touched. Pure.

**What counts as seen.** A lab at rank r is seen 1 / log2(1 + r), down to where people look (`Rule.depth`), 0 beyond.
**What a lab deserves** of a need is its part, by its chance of being introduced, of all that is seen there. Summed over
needs, seen over deserved is the *reach* of some schools: 1 is what they deserve.

**The rule.** From the top, where the next lab is of a well-known school and the best of the others is a near tie (its
score is lower by no more than `Rule.tolerance`), the other stands first if the others' reach, with this need counted
down to there, is below the floor: so many times that of the well-known ones. Labs of well-known schools keep their
order among themselves, and so do all others: whoever passes, passes a near tie of a well-known school and nobody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.arrays import DoubleArray

DEPTH = 10
"""Ranks that count as looked at where nothing tells more."""
FLOOR, TOLERANCE = 1.1, 0.9
"""What an office is advised that switches the rule on: measured, see `matcher.judging.fair_reach`."""


@dataclass(frozen=True)
class Reach:
    """How much was seen of something and how much of that it deserved, both in units of a first place."""

    seen: float = 0.0
    deserved: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Seen over deserved; None where nothing was deserved."""
        return self.seen / self.deserved if self.deserved > 0 else None

    def __add__(self, other: Reach) -> Reach:
        return Reach(self.seen + other.seen, self.deserved + other.deserved)

    def fading(self, factor: float) -> Reach:
        """Return what is left of it after some time."""
        return Reach(self.seen * factor, self.deserved * factor)


@dataclass(frozen=True)
class Rule:
    """How the rule is set, and what it goes by.

    `floor` is what the reach of all others shall be at least, as a multiple of that of the well-known schools; 0 is
    off. `tolerance` is by how much scores of equally fit labs differ at most. `known` are the well-known schools,
    `of_known` and `of_others` what was seen until now, fading over the weeks.
    """

    floor: float
    tolerance: float
    known: frozenset[str]
    of_known: Reach = Reach()
    of_others: Reach = Reach()
    depth: int = DEPTH

    def counting(self, more: Mapping[str, Reach]) -> Rule:
        """Return the rule after another order was shown, of which `reach_of` tells what it adds."""
        of_known, of_others = sides(more, self.known)
        return replace(self, of_known=self.of_known + of_known, of_others=self.of_others + of_others)


def sides(sums: Mapping[str, Reach], known: frozenset[str]) -> tuple[Reach, Reach]:
    """Return the reach of the well-known schools and of all others; labs without a school are neither."""
    inside = sum((one for school, one in sums.items() if school in known), Reach())
    return inside, sum((one for school, one in sums.items() if school and school not in known), Reach())


def seen_at(ranks: int, depth: int = DEPTH) -> DoubleArray:
    """Return how much a lab is seen at each of so many ranks, shape (ranks,), 0 beyond `depth`."""
    places = np.arange(1, ranks + 1)
    return np.asarray(np.where(places <= depth, 1 / np.log2(1 + places), 0.0))


def deserved(order: Sequence[int], chances: DoubleArray, depth: int = DEPTH) -> DoubleArray:
    """Return what each lab of an order deserves to be seen, in that order, shape (n of the order,).

    Args:
        order: rows that may be proposed.
        chances: of being introduced, of all rows.
        depth: how far people look.
    """
    parts = chances[list(order)]
    whole = float(parts.sum())
    return np.asarray(parts / whole * seen_at(len(order), depth).sum()) if whole > 0 else np.zeros(len(order))


def reach_of(
    order: Sequence[int], chances: DoubleArray, schools: Sequence[str], depth: int = DEPTH
) -> dict[str, Reach]:
    """Return what one shown order adds to each school: what was seen of its labs, and what they deserved.

    Nothing where nobody has a chance: of a need that says too little nobody deserves more than another.
    """
    found: dict[str, Reach] = {}
    if not chances[list(order)].sum() > 0:
        return found
    for row, seen, due in zip(order, seen_at(len(order), depth), deserved(order, chances, depth), strict=True):
        if seen or due:
            school = schools[row]
            found[school] = found.get(school, Reach()) + Reach(float(seen), float(due))
    return found


def moved_up(
    order: Sequence[int], scores: DoubleArray, chances: DoubleArray, schools: Sequence[str], rule: Rule
) -> tuple[list[int], frozenset[int]]:
    """Return the rows as they are shown, and those that stand earlier because such as they were seen less.

    Args:
        order: rows, best first.
        scores: of all rows.
        chances: of being introduced, of all rows; where nobody has any nobody is moved.
        schools: of all rows, "" where none is stated; such a lab is not moved and counts for nobody.
        rule: as it is set.
    """
    if rule.floor <= 0 or not chances[list(order)].sum() > 0:
        return list(order), frozenset()
    due = _with_deserved(order, chances, schools, rule)
    was = {row: place for place, row in enumerate(order)}
    known = deque(row for row in order if schools[row] in rule.known)
    others = deque(row for row in order if schools[row] not in rule.known)
    shown: list[int] = []
    for weight in seen_at(rule.depth, rule.depth).tolist():
        if not known or not others:
            break
        first, other = known[0], others[0]
        passes = bool(schools[other]) and scores[first] - scores[other] <= rule.tolerance and _is_short(due)
        row = others.popleft() if passes or was[other] < was[first] else known.popleft()
        shown.append(row)
        due = due.counting({schools[row]: Reach(weight, 0.0)})
    placed = set(shown)
    shown += [row for row in order if row not in placed]
    earlier = (
        row for place, row in enumerate(shown[: rule.depth]) if place < was[row] and schools[row] not in rule.known
    )
    return shown, frozenset(earlier)


def _with_deserved(order: Sequence[int], chances: DoubleArray, schools: Sequence[str], rule: Rule) -> Rule:
    """Return the rule with what the labs of a need deserve counted: of thousands in one go."""
    parts = deserved(order, chances, rule.depth)
    known = np.array([schools[row] in rule.known for row in order], dtype=bool)
    stated = np.array([bool(schools[row]) for row in order], dtype=bool)
    of_known, of_others = (Reach(0.0, float(parts[mask].sum())) for mask in (known, stated & ~known))
    return replace(rule, of_known=rule.of_known + of_known, of_others=rule.of_others + of_others)


def _is_short(rule: Rule) -> bool:
    """Whether the others were seen less than the floor asks for."""
    of_known, of_others = rule.of_known.ratio, rule.of_others.ratio
    return of_known is not None and of_others is not None and of_others < rule.floor * of_known
