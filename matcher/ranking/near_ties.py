"""Which of two labs that are nearly as good stands first, drawn by lot: so that a later ranker can be judged fairly.

In: an order, its scores, how near is near. Out: the order with some neighbours exchanged, and for each lab with whom it
might have changed places. It exists because what stands first is looked at first: whatever ranker chose the order
seems right. Where a coin chose, the same can be asked without any guess of who looks how far (`drawn_difference` in
`matcher.judging.champion.near_ties`). Off by default (`GLORIA_NEAR_TIES` is 0): an office that wants it decides so.

Only neighbours among the first 20 are paired, from the top, each lab once, so that nobody moves by more than one place.
The coin is a hash of need, ranker and index: asked again, the same need is answered the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from indexer.arrays import DoubleArray

CHANCE = 0.5
"""That of either order of a pair."""
FIRST = 20


@dataclass(frozen=True)
class Drawn:
    """That a lab's place was drawn: with which chance it came to stand there, and at which rank the other stands."""

    chance: float
    other_rank: int


def drawn_order(
    order: Sequence[int], scores: DoubleArray, margin: float, key: str
) -> tuple[list[int], dict[int, Drawn]]:
    """Return the rows as they are shown, and for each whose place was drawn how.

    Args:
        order: rows, best first.
        scores: of all rows.
        margin: two neighbours whose scores differ by no more are drawn.
        key: what the coin is a hash of.
    """
    shown, drawn, coins = list(order), {}, int.from_bytes(sha256(key.encode()).digest())
    place = 0
    while place + 1 < min(len(shown), FIRST):
        first, second = shown[place], shown[place + 1]
        if scores[first] - scores[second] > margin:
            place += 1
            continue
        if coins >> place & 1:
            shown[place], shown[place + 1] = second, first
        drawn[shown[place]] = Drawn(CHANCE, place + 2)
        drawn[shown[place + 1]] = Drawn(CHANCE, place + 1)
        place += 2
    return shown, drawn
