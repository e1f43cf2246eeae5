"""The arithmetic of a score as a reader sees it: one row and one bar for each contribution.

In: contributions as the ranker added them up. Out: rows in hundredths that add
up exactly to the score as it is printed, each with the place of its bar. It
exists because rounding each number for itself makes sums that are off by a
hundredth, and a sum that is off makes a reader doubt all of it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

from matcher.ranker import FEATURE_LABELS

_LEAST, _MOST = -3.0, 6.0
"""What a bar's line reaches from and to: standard scores beyond are rare, their bars end at the edge."""
WIDTH = 90.0
ZERO = WIDTH * -_LEAST / (_MOST - _LEAST)
"""Where on the line nothing is added."""


@dataclass(frozen=True)
class Part:
    """One contribution: its names, its amount as printed, and its bar from `left`, `width` long."""

    zh: str
    en: str
    amount: float
    left: float
    width: float


def parts_of(contributions: Mapping[str, float], score: float) -> list[Part]:
    """Return the contributions that are not nothing, in the order of the features, adding up to the score's print."""
    printed = _apportioned([contributions[name] for name in contributions], round(score * 100))
    rows = dict(zip(contributions, printed, strict=True))
    ordered = sorted(rows, key=lambda name: list(FEATURE_LABELS).index(name) if name in FEATURE_LABELS else 99)
    return [part(name, rows[name] / 100) for name in ordered if rows[name]]


def part(name: str, amount: float) -> Part:
    """Return one row."""
    zh, en = FEATURE_LABELS[name].both if name in FEATURE_LABELS else (name, name)
    reach = min(max(amount, _LEAST), _MOST) / (_MOST - _LEAST) * WIDTH
    return Part(zh, en, amount, round(ZERO + min(reach, 0.0), 1), round(max(abs(reach), 0.5), 1))


def _apportioned(amounts: list[float], total: int) -> list[int]:
    """Round to hundredths so that the sum is `total`: those that lose most by rounding down are rounded up."""
    exact = [amount * 100 for amount in amounts]
    down = [floor(amount) for amount in exact]
    missing = min(max(total - sum(down), 0), len(down))
    for index in sorted(range(len(down)), key=lambda i: down[i] - exact[i])[:missing]:
        down[index] += 1
    return down


@dataclass(frozen=True)
class Difference:
    """One contribution of two labs beside each other, and the first less the second."""

    zh: str
    en: str
    first: Part
    second: Part
    by: float


def differences(
    first: tuple[Mapping[str, float], float], second: tuple[Mapping[str, float], float]
) -> list[Difference]:
    """Return the contributions of two labs, each given with its score, row by row."""
    sides = [{(one.zh, one.en): one for one in parts_of(*side)} for side in (first, second)]
    found = []
    for name, label in FEATURE_LABELS.items():
        zh, en = label.both
        one, other = (side.get((zh, en)) or part(name, 0.0) for side in sides)
        if one.amount or other.amount:
            found.append(Difference(zh, en, one, other, round(one.amount - other.amount, 2)))
    return found
