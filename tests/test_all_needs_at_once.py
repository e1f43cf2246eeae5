"""The best assignment of labs to all needs is what trying all finds; what was given up is true, and so are clashes."""

from __future__ import annotations

import resource
import time
from itertools import product

import numpy as np
import pytest

from matcher.portfolio.assignment import (
    AMPLE,
    Assignment,
    Group,
    Limit,
    LimitKind,
    Limits,
    NoPlanError,
    Pairs,
    Why,
    assign,
    forgone,
)
from matcher.portfolio.clashes import Clash, Loosening, clash


def _pairs(values: dict[tuple[int, int], float], needs: int, labs: int) -> Pairs:
    rows = sorted(values)
    return Pairs(
        need=np.array([need for need, _ in rows], dtype=np.int64),
        lab=np.array([lab for _, lab in rows], dtype=np.int64),
        value=np.array([values[row] for row in rows]),
        needs=needs,
        labs=labs,
    )


def _case(chance: np.random.Generator, needs: int = 4, labs: int = 3, *, strict: bool = False) -> tuple[Pairs, Limits]:
    """Return a small random case; a strict one asks for more than labs and experts can carry."""
    values = {
        (need, lab): float(chance.integers(1, 100)) / 100
        for need in range(needs)
        for lab in range(labs)
        if chance.random() < 0.75
    }
    pairs = _pairs(values, needs, labs)

    def some(share: float) -> list[tuple[int, int]]:
        return [pair for pair in sorted(values) if chance.random() < share]

    halves = tuple(range(needs // 2)), tuple(range(needs // 2, needs))
    most = 2 if strict else 3
    pins = dict(some(0.25 if strict else 0.08))
    return pairs, Limits(
        room=chance.integers(0, most, labs),
        loads=tuple(Group(half, int(chance.integers(0, most))) for half in halves if chance.random() < 0.6),
        services=tuple(
            Group(half, int(chance.integers(1, 3 if strict else 2))) for half in halves if chance.random() < 0.4
        ),
        pins=tuple(sorted(pins.items())),
        forbidden=tuple(some(0.1)),
        apart=((0, needs - 1),) if chance.random() < 0.4 else (),
    )


def _keeps(pairs: Pairs, limits: Limits, labs: tuple[int | None, ...]) -> bool:
    """Whether an assignment keeps to all limits: written apart from the programme, as a person would check it."""
    given = {(need, lab) for need, lab in enumerate(labs) if lab is not None}

    def served(group: Group) -> int:
        return sum(labs[need] is not None for need in group.needs)

    return (
        given <= pairs.rows.keys()
        and all(sum(lab == one for lab in labs) <= room for one, room in enumerate(limits.room.tolist()))
        and all(served(group) <= group.amount for group in limits.loads)
        and all(served(group) >= group.amount for group in limits.services)
        and {pin for pin in limits.pins if pin in pairs.rows} <= given
        and given.isdisjoint(limits.forbidden)
        and not any(labs[a] is not None and labs[a] == labs[b] for a, b in limits.apart if a >= 0)
    )


def _worth(pairs: Pairs, limits: Limits, labs: tuple[int | None, ...]) -> tuple[int, float, float]:
    given = [(need, lab) for need, lab in enumerate(labs) if lab is not None]
    values = {pair: float(pairs.value[pairs.rows[pair]]) for pair in given}
    free = [value for pair, value in values.items() if pair not in limits.pins]
    return len(given), round(min(free, default=1.0), 9), round(sum(values.values()), 9)


def _tried(pairs: Pairs, limits: Limits) -> tuple[int, float, float] | None:
    """Return what the best of all assignments comes to, None if none keeps to the limits."""
    every = product([None, *range(pairs.labs)], repeat=pairs.needs)
    return max((_worth(pairs, limits, labs) for labs in every if _keeps(pairs, limits, labs)), default=None)


def test_an_assignment_is_the_best_of_all() -> None:
    chance, solved, impossible = np.random.default_rng(7), 0, 0
    for number in range(240):
        pairs, limits = _case(chance, needs=4 + (number % 8 == 0))
        best = _tried(pairs, limits)
        if best is None:
            impossible += 1
            with pytest.raises(NoPlanError):
                assign(pairs, limits)
            continue
        found = assign(pairs, limits)
        assert _keeps(pairs, limits, found.labs), number
        assert _worth(pairs, limits, found.labs) == pytest.approx(best), number
        assert (found.is_exact, found.gap) == (True, pytest.approx(0, abs=1e-6)), number
        _check_forgone(pairs, limits, found)
        solved += 1
    assert solved > 120
    assert impossible > 40


def _check_forgone(pairs: Pairs, limits: Limits, found: Assignment) -> None:
    """Check that whoever got less than its best is told of, and that what it is told stood in the way."""
    told = {one.need: one for one in forgone(pairs, limits, found)}
    for need in range(pairs.needs):
        mine = {lab: float(pairs.value[row]) for (other, lab), row in pairs.rows.items() if other == need}
        got = found.labs[need]
        less = not mine or got is None or mine[got] < max(mine.values())
        assert (need in told) == less
    for one in told.values():
        having = tuple(need for need, lab in enumerate(found.labs) if lab == one.best and lab is not None)
        if one.why is Why.TAKEN:
            assert one.others == having
            assert len(having) == limits.room[one.best]
        elif one.why is Why.NO_ROOM:
            assert limits.room[one.best] == 0
        elif one.why is Why.LOAD:
            assert len(one.others) == limits.loads[one.number or 0].amount
        elif one.why is Why.APART:
            assert set(one.others) <= set(having)
        elif one.why is Why.FORBIDDEN:
            assert (one.need, one.best) in limits.forbidden
        elif one.why is Why.PINNED:
            assert (one.need, one.got) in limits.pins
        else:
            assert one.why is Why.NOBODY


def test_what_cant_be_kept_together_is_named_and_loosening_it_helps() -> None:
    chance, explained, several = np.random.default_rng(11), 0, 0
    while explained < 50:
        pairs, limits = _case(chance, needs=5, strict=True)
        found = clash(pairs, limits)
        if _tried(pairs, limits) is not None:
            assert found is None
            continue
        assert found is not None
        explained += 1
        several += len(found.limits) > 1
        _check_clash(pairs, limits, found)
    assert several > 25


def _check_clash(pairs: Pairs, limits: Limits, found: Clash) -> None:
    loosened = limits
    for one in found.cheapest:
        loosened = loosened.loosened(one.limit, one.amount)
    assert _tried(pairs, loosened) is not None
    # None of what is to be loosened is too much, nor by too much.
    for one in found.cheapest:
        assert (
            _tried(pairs, loosened.loosened(one.limit, -1) if one.amount > 1 else _without(limits, found, one)) is None
        )
    only = _only(limits, {one.limit for one in found.limits})
    assert _tried(pairs, only) is None
    for one in found.limits:
        assert _tried(pairs, only.loosened(one.limit, one.amount)) is not None


def _without(limits: Limits, found: Clash, left: Loosening) -> Limits:
    for one in found.cheapest:
        if one != left:
            limits = limits.loosened(one.limit, one.amount)
    return limits


def _only(limits: Limits, kept: set[Limit]) -> Limits:
    """Return the limits with all but some let go of."""
    every = [Limit(LimitKind.ROOM, lab) for lab in range(len(limits.room))]
    for kind, listed in (
        (LimitKind.LOAD, limits.loads),
        (LimitKind.SERVICE, limits.services),
        (LimitKind.PIN, limits.pins),
        (LimitKind.FORBIDDEN, limits.forbidden),
        (LimitKind.APART, limits.apart),
    ):
        every += [Limit(kind, number) for number in range(len(listed))]
    for one in every:
        if one not in kept:
            limits = limits.loosened(one, 1 if one.kind in ("pin", "forbidden", "apart") else 1_000)
    return limits


def test_the_worst_served_need_comes_before_the_sum() -> None:
    values = {(0, 0): 0.9, (0, 1): 0.5, (1, 0): 0.6, (1, 1): 0.1}
    pairs = _pairs(values, 2, 2)
    found = assign(pairs, Limits(room=np.array([1, 1])))
    assert (found.labs, found.worst, found.total) == ((1, 0), 0.5, pytest.approx(1.1))
    # The control: with room for both the best lab of each is nobody's loss.
    assert assign(pairs, Limits(room=np.array([AMPLE, 1]))).labs == (0, 0)


def test_where_no_lab_comes_into_question_nobody_gets_one() -> None:
    pairs, room = _pairs({}, 2, 0), np.zeros(0, dtype=np.int64)
    found = assign(pairs, Limits(room=room))
    assert (found.labs, found.gap) == ((None, None), 0)
    assert {one.why for one in forgone(pairs, Limits(room=room), found)} == {Why.NOBODY}
    with pytest.raises(NoPlanError):
        assign(pairs, Limits(room=room, services=(Group((0,), 1),)))


def test_among_equals_a_need_stays_where_it_was() -> None:
    pairs = _pairs({(need, lab): 0.5 for need in range(3) for lab in range(3)}, 3, 3)
    limits = Limits(room=np.array([1, 1, 1]))
    for kept in ((2, 0, 1), (1, 2, 0)):
        assert assign(pairs, limits, kept=dict(enumerate(kept))).labs == kept


@pytest.mark.alone
@pytest.mark.long
def test_a_thousand_needs_and_ten_thousand_labs_are_planned_within_a_minute_and_two_gigabytes() -> None:
    chance = np.random.default_rng(3)
    needs, labs, k = 1_000, 10_000, 50
    # Good labs are wanted by many, as they are: a lab's standing is part of what it is worth to a need.
    standing = chance.random(labs) ** 3
    values = {}
    for need in range(needs):
        lab = chance.choice(labs, size=400, replace=False)
        worth = np.round(np.clip(0.6 * standing[lab] + 0.4 * chance.random(400), 0.01, 0.99), 4)
        values |= {(need, int(lab[i])): float(worth[i]) for i in np.argsort(-worth)[:k]}
    everybody = np.arange(needs)
    limits = Limits(
        room=chance.integers(0, 3, labs),
        loads=tuple(Group(tuple(everybody[expert::40].tolist()), 24) for expert in range(40)),
        services=tuple(Group(tuple(everybody[tier::3].tolist()), 300) for tier in range(3)),
        pins=((0, int(sorted(lab for need, lab in values if need == 0)[0])),),
        apart=tuple((need, need + 1) for need in range(100, 160, 2)),
    )
    pairs = _pairs(values, needs, labs)
    limits.room[limits.pins[0][1]] = 1
    started = time.perf_counter()
    found = assign(pairs, limits)
    took_s = time.perf_counter() - started
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{took_s:.1f} s, {peak_gb:.2f} GB, served {found.served}, worst {found.worst}, gap {found.gap:.5f}")
    assert _keeps(pairs, limits, found.labs)
    assert (found.served, found.is_exact) == (960, True)
    assert found.gap <= 0.005
    assert took_s <= 60
    assert peak_gb <= 2
