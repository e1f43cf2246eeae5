"""Which few candidates cover all parts: the best team as a small integer programme, and how good it surely is.

In: the chance that each candidate answers each part, how much a part counts, and what a team must keep to. Out: the
rows of the best team, or which rules can't be kept together; what each member adds, who could stand in for it; and a
bound that no team of the size can pass. It exists apart from needs and labs because it is arithmetic that can be held
against trying every team. Pure.

A team is better than another if, in this order, what its members cover counts more (a part is covered by a member
whose chance is at least `covered_from`), it has fewer members, and the chances of the best member for each part add
up to more. Each is one programme, solved by HiGHS (`scipy.optimize.milp`) without a gap; what came before is held.
With more than `EXACT_UP_TO` candidates the programme sees those who are the best for a part or in its rules, with
those whom adding the best one at a time finds: without rules that alone has 1 - 1/e of what is possible (Nemhauser,
Wolsey and Fisher 1978), and the bound (Leskovec and others 2007: what a team has and the most that further members
could add to it) says how much it was in the case at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from indexer.arrays import BoolArray, DoubleArray

EXACT_UP_TO = 300
"""So many candidates are all in the programme."""
_BEST_PER_PART = 40
_BEST_PER_GROUP = 12
"""Of more candidates so many of each part, and of each group of a rule, are in it."""


class TeamRule(StrEnum):
    """What a team may have to keep to; the names are said where rules can't be kept together."""

    SIZE = "size"
    INCLUDED = "included"
    APART = "apart"
    DIFFERENT_SCHOOLS = "different_schools"
    ONE_REGION = "one_region"
    LESSER_KNOWN = "lesser_known"
    MUST_PARTS = "must_parts"


@dataclass(frozen=True)
class Candidates:
    """Those who could be members, one row each.

    `chances` has shape (n, parts); `weights` how much each part counts; `school` and `region` have a number for each
    candidate, below 0 for one that states none; `lesser_known` says whose school is little known; `fit` breaks ties.
    """

    chances: DoubleArray
    weights: DoubleArray
    school: npt.NDArray[np.int64]
    region: npt.NDArray[np.int64]
    lesser_known: BoolArray
    fit: DoubleArray
    covered_from: float

    @property
    def covers(self) -> BoolArray:
        """Who covers which part, shape (n, parts)."""
        return np.asarray(self.chances >= self.covered_from)

    def of(self, rows: Sequence[int]) -> Candidates:
        """Return some of the candidates, in the order given."""
        picked = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            chances=self.chances[picked],
            school=self.school[picked],
            region=self.region[picked],
            lesser_known=self.lesser_known[picked],
            fit=self.fit[picked],
        )


@dataclass(frozen=True)
class TeamRules:
    """What a team keeps to: how many members, whom it has, who never work together, and what it is made of."""

    most: int = 4
    least: int = 1
    included: tuple[int, ...] = ()
    apart: tuple[tuple[int, int], ...] = ()
    must_parts: tuple[int, ...] = ()
    different_schools: bool = False
    one_region: bool = False
    lesser_known: bool = False

    def without(self, rule: TeamRule) -> TeamRules:
        """Return the rules with one of them taken out; without a size any number may be members."""
        plain = TeamRules()
        if rule is TeamRule.SIZE:
            return replace(self, most=_ANY_NUMBER, least=1)
        return replace(self, **{rule.value: getattr(plain, rule.value)})

    @property
    def stated(self) -> tuple[TeamRule, ...]:
        """Which of the rules say anything."""
        plain = TeamRules(most=0)
        return tuple(
            rule
            for rule in TeamRule
            if rule is TeamRule.SIZE or getattr(self, rule.value) != getattr(plain, rule.value)
        )

    def kept_by(self, candidates: Candidates, rows: Collection[int]) -> bool:
        """Whether a team keeps to all of them, beside covering what must be covered."""
        members = list(rows)
        schools = [one for one in candidates.school[members].tolist() if one >= 0]
        regions = set(candidates.region[members].tolist())
        return (
            self.least <= len(members) <= self.most
            and set(self.included) <= set(members)
            and not any(a in members and b in members for a, b in self.apart)
            and not (self.different_schools and len(schools) != len(set(schools)))
            and not (self.one_region and (len(regions) != 1 or min(regions) < 0))
            and not (self.lesser_known and not candidates.lesser_known[members].any())
            and all(candidates.covers[members, part].any() for part in self.must_parts)
        )


_ANY_NUMBER = 1_000_000


@dataclass(frozen=True)
class Covering:
    """The best team: its rows, best first, and what it comes to.

    `value` is what is covered plus the best chances, as parts count, and `bound` what no team of as many members can
    pass; `is_exact` says that every candidate was in the programme.
    """

    rows: tuple[int, ...]
    value: float
    bound: float
    is_exact: bool


class NoTeamError(ValueError):
    """No team keeps to the rules; `clashing` are some that can't be kept together, none of them too many."""

    def __init__(self, clashing: tuple[TeamRule, ...]) -> None:
        super().__init__(", ".join(clashing))
        self.clashing = clashing


def best_team(candidates: Candidates, rules: TeamRules, *, exact_up_to: int = EXACT_UP_TO) -> Covering:
    """Return the best team.

    Args:
        candidates: those who could be members; at least one, with at least one part.
        rules: what it keeps to.
        exact_up_to: with more candidates than that only the best are in the programme.

    Raises:
        NoTeamError: no team keeps to the rules.
    """
    size = len(candidates.chances)
    picked = list(range(size)) if size <= exact_up_to else _promising(candidates, rules)
    place = {row: number for number, row in enumerate(picked)}
    inner = replace(
        rules,
        included=tuple(place[row] for row in rules.included),
        apart=tuple((place[a], place[b]) for a, b in rules.apart if a in place and b in place),
    )
    found = _solved(candidates.of(picked), inner)
    if found is None:
        raise NoTeamError(_clashing(candidates.of(picked), inner))
    rows = tuple(picked[number] for number in found)
    order = sorted(rows, key=lambda row: (-candidates.covers[row].sum(), -candidates.fit[row], row))
    worth = value_of(candidates, rows)
    return Covering(tuple(order), worth, _bound(candidates, rows), is_exact=size <= exact_up_to)


def value_of(candidates: Candidates, rows: Collection[int]) -> float:
    """Return what a team is worth: of each part, as it counts, the best chance, and one more if that covers it."""
    members = list(rows)
    if not members:
        return 0.0
    best = candidates.chances[members].max(axis=0)
    return float((candidates.weights * (best + (best >= candidates.covered_from))).sum())


def stand_ins(candidates: Candidates, rules: TeamRules, rows: Sequence[int], member: int, most: int) -> list[int]:
    """Return who could take a member's place best, with all rules kept, those who keep most of its worth first."""
    rest = [row for row in rows if row != member]
    values = _values_with(candidates, rest)
    order = np.lexsort((-candidates.fit, -values))
    found: list[int] = []
    for row in order.tolist():
        if row not in rows and rules.kept_by(candidates, [*rest, row]):
            found.append(row)
        if len(found) == most:
            break
    return found


def _values_with(candidates: Candidates, rows: Sequence[int]) -> DoubleArray:
    """Return what a team would be worth with each of the candidates added, shape (n,)."""
    chances = candidates.chances
    best = np.maximum(chances, chances[list(rows)].max(axis=0)) if rows else chances
    return np.asarray(((best + (best >= candidates.covered_from)) * candidates.weights).sum(axis=1))


def _bound(candidates: Candidates, rows: Sequence[int]) -> float:
    """Return what no team of as many members is worth more than.

    Each further member adds to a team at most what it adds to this one, since a part's best chance only rises, and so
    as many of the largest additions as a team has members are more than any other team can have beyond it.
    """
    worth = value_of(candidates, rows)
    added = np.sort(_values_with(candidates, rows) - worth)[::-1]
    return min(worth + float(added[: len(rows)].sum()), 2 * float(candidates.weights.sum()))


def _promising(candidates: Candidates, rules: TeamRules) -> list[int]:
    """Return the candidates who may matter: the best of each part, in each group of a rule, and the greedy team's."""
    found = dict.fromkeys([*rules.included, *_greedy(candidates, rules)])
    everybody = np.arange(len(candidates.chances))
    groups = [(everybody, _BEST_PER_PART)]
    if rules.lesser_known:
        groups.append((np.flatnonzero(candidates.lesser_known), _BEST_PER_GROUP))
    if rules.one_region:
        groups += [
            (np.flatnonzero(candidates.region == one), _BEST_PER_GROUP)
            for one in np.unique(candidates.region).tolist()
            if one >= 0
        ]
    for members, most in groups:
        for part in range(candidates.chances.shape[1]):
            order = np.lexsort((-candidates.fit[members], -candidates.chances[members, part]))[:most]
            found |= dict.fromkeys(members[order].tolist())
    return sorted(found)


def _greedy(candidates: Candidates, rules: TeamRules) -> list[int]:
    """Return a team made by adding whoever adds most, no further than somebody adds anything; no rule is looked at."""
    rows: list[int] = []
    worth = 0.0
    for _ in range(min(rules.most, len(candidates.chances))):
        values = _values_with(candidates, rows)
        row = int(np.lexsort((-candidates.fit, -values))[0])
        if values[row] <= worth:
            break
        rows.append(row)
        worth = float(values[row])
    return rows


@dataclass(frozen=True)
class _Programme:
    """An integer programme over who is a member, who speaks for which part, and in which region.

    Columns: n members, n x parts speakers, parts covered, regions. `rows` are sparse constraints with their limits.
    """

    n: int
    parts: int
    regions: int
    rows: list[tuple[dict[int, float], float, float]] = field(default_factory=list)

    @property
    def width(self) -> int:
        return self.n + self.n * self.parts + self.parts + self.regions

    def speaks(self, row: int, part: int) -> int:
        return self.n + row * self.parts + part

    def covered(self, part: int) -> int:
        return self.n + self.n * self.parts + part

    def region(self, number: int) -> int:
        return self.n + self.n * self.parts + self.parts + number

    def limit(self, amounts: Mapping[int, float], low: float, high: float) -> None:
        self.rows.append((dict(amounts), low, high))

    def best(self, gains: DoubleArray) -> DoubleArray | None:
        """Return a solution with the most gain, None if there is none."""
        data = [(amount, number, column) for number, row in enumerate(self.rows) for column, amount in row[0].items()]
        values, numbers, columns = zip(*data, strict=True)
        matrix = csr_array((values, (numbers, columns)), shape=(len(self.rows), self.width))
        low, high = np.array([row[1] for row in self.rows]), np.array([row[2] for row in self.rows])
        whole = np.ones(self.width)
        # Who speaks for a part is whole of itself where who is a member is.
        whole[self.n : self.n + self.n * self.parts] = 0
        # Not before a team is asked for: half a second of every command that ranks.
        from scipy.optimize import Bounds, LinearConstraint, milp

        solved = milp(
            -gains,
            integrality=whole,
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, low, high),
            options={"mip_rel_gap": 0.0},
        )
        return None if solved.x is None else np.asarray(solved.x)


def _solved(candidates: Candidates, rules: TeamRules) -> list[int] | None:
    """Return the rows of the best team of all candidates, None if no team keeps to the rules."""
    n, parts = candidates.chances.shape
    regions = sorted({one for one in candidates.region.tolist() if one >= 0}) if rules.one_region else []
    programme = _Programme(n, parts, len(regions))
    _state(programme, candidates, rules, regions)
    covered = np.zeros(programme.width)
    covered[programme.covered(0) : programme.covered(0) + parts] = candidates.weights
    solution = programme.best(covered)
    if solution is None:
        return None
    most = float(covered @ np.round(solution))
    held = {programme.covered(part): float(weight) for part, weight in enumerate(candidates.weights.tolist())}
    programme.limit(held, most - 1e-9, np.inf)
    fewer = np.zeros(programme.width)
    fewer[:n] = -1
    solution = programme.best(fewer)
    if solution is None:
        return None
    members = round(float(solution[:n].sum()))
    programme.limit(dict.fromkeys(range(n), 1.0), members, members)
    chances = np.zeros(programme.width)
    chances[n : n + n * parts] = (candidates.chances * candidates.weights).ravel()
    spread = float(np.ptp(candidates.fit)) or 1.0
    # Far below any difference of chances that is told: equal teams have an order all the same.
    chances[:n] = (candidates.fit - candidates.fit.min()) / spread * 1e-6
    solution = programme.best(chances)
    return None if solution is None else np.flatnonzero(np.round(solution[:n])).tolist()


def _state(programme: _Programme, candidates: Candidates, rules: TeamRules, regions: Sequence[int]) -> None:
    """State what a team is, and what it keeps to."""
    n, parts = candidates.chances.shape
    programme.limit(dict.fromkeys(range(n), 1.0), rules.least, rules.most)
    for part in range(parts):
        programme.limit({programme.speaks(row, part): 1.0 for row in range(n)}, 0, 1)
        for row in range(n):
            programme.limit({programme.speaks(row, part): 1.0, row: -1.0}, -np.inf, 0)
        who = dict.fromkeys(np.flatnonzero(candidates.covers[:, part]).tolist(), -1.0)
        programme.limit({programme.covered(part): 1.0, **who}, -np.inf, 0)
    for part in rules.must_parts:
        programme.limit({programme.covered(part): 1.0}, 1, 1)
    for row in rules.included:
        programme.limit({row: 1.0}, 1, 1)
    for a, b in rules.apart:
        programme.limit({a: 1.0, b: 1.0}, 0, 1)
    _state_origins(programme, candidates, rules, regions)


def _state_origins(programme: _Programme, candidates: Candidates, rules: TeamRules, regions: Sequence[int]) -> None:
    """State where the members of a team are from."""
    if rules.different_schools:
        for members in _groups(candidates.school):
            programme.limit(dict.fromkeys(members, 1.0), 0, 1)
    if rules.lesser_known:
        programme.limit(dict.fromkeys(np.flatnonzero(candidates.lesser_known).tolist(), 1.0) or {0: 0.0}, 1, np.inf)
    if rules.one_region:
        programme.limit({programme.region(i): 1.0 for i in range(len(regions))} or {0: 0.0}, 1, 1)
        number = {region: i for i, region in enumerate(regions)}
        for row, region in enumerate(candidates.region.tolist()):
            allowed = {programme.region(number[region]): -1.0} if region in number else {}
            programme.limit({row: 1.0, **allowed}, -np.inf, 0)


def _groups(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield the rows of each number from 0 on that has several."""
    found: dict[int, list[int]] = {}
    for row, number in enumerate(numbers):
        found.setdefault(int(number), []).append(row)
    yield from (rows for number, rows in found.items() if number >= 0 and len(rows) > 1)


def _clashing(candidates: Candidates, rules: TeamRules) -> tuple[TeamRule, ...]:
    """Return rules that can't be kept together though all but any one of them could: one is dropped after another."""
    kept = rules
    for rule in rules.stated:
        fewer = kept.without(rule)
        if _solved(candidates, fewer) is None:
            kept = fewer
    return tuple(rule for rule in kept.stated if rule is not TeamRule.SIZE or kept.most < _ANY_NUMBER)
