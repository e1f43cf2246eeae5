"""What somebody picks of a plan for all needs, as words that a command, a page and a kept plan all say alike.

In: words, `pin:NEED,LAB`, `never:NEED,LAB`, `apart:NEED,NEED`, `without:NEED`, `expert:6`, `alliance:40`,
`silent:3`, `tier:gold.90`. Out: the picks, and again their words. It exists apart from the plan because picks are what
a person changes between one plan and the next, and what two plans differ in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from indexer.vocabulary import Tier
from indexer.wording import T_

MOST_PICKS = 400
SILENT_ROOM = 3
"""So many needs at most get one lab that does not say how many it can carry."""
_MOST_CASES = 10_000
_NUMBERS = {"expert": "per_expert", "alliance": "per_alliance", "silent": "silent_room"}
_PAIRS = {"pin": "pins", "never": "forbidden", "apart": "apart"}


class Pick(StrEnum):
    """What a word picks."""

    PIN = "pin"
    NEVER = "never"
    APART = "apart"
    WITHOUT = "without"


class PlanError(ValueError):
    """What was picked makes no plan; the message says why and `field` what is to blame."""

    field: str | None = "words"


@dataclass(frozen=True)
class PlanPicks:
    """What is picked of a plan.

    `pins` and `forbidden` are needs with a lab, `apart` two needs that never get the same lab, `without` needs that
    are left out. `per_expert` and `per_alliance` are how many cases one carries at most, those at hand counted, None
    for no limit; `silent_room` is the room of a lab that states none. `tiers` has for members of a tier which share
    of their needs, in percent, has to get a lab.
    """

    pins: tuple[tuple[str, str], ...] = ()
    forbidden: tuple[tuple[str, str], ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    per_expert: int | None = None
    per_alliance: int | None = None
    silent_room: int = SILENT_ROOM
    tiers: tuple[tuple[Tier, int], ...] = ()

    @classmethod
    def read(cls, words: Iterable[str]) -> PlanPicks:
        """Return the picks that words ask for; of several numbers for one thing the last counts.

        Raises:
            PlanError: a word picks nothing, or there are too many, or two contradict each other in themselves.
        """
        found: dict[str, Any] = {name: {} for name in ("pins", "forbidden", "apart", "without", "tiers")}
        said = list(words)
        if len(said) > MOST_PICKS:
            raise PlanError(T_("at most %(most)s picks make one plan", most=MOST_PICKS))
        for word in said:
            name, _, value = (part.strip() for part in word.partition(":"))
            parts = tuple(part.strip() for part in value.split(","))
            if name in _PAIRS and len(parts) == 2 and all(parts):
                found[_PAIRS[name]][parts] = None
            elif name == Pick.WITHOUT and value:
                found["without"][value] = None
            elif name in _NUMBERS and (number := _number(value)) is not None and number < _MOST_CASES:
                found[_NUMBERS[name]] = number
            elif name == "tier" and (share := _share(value)) is not None:
                found["tiers"][share[0]] = share[1]
            else:
                raise PlanError(T_("%(word)r picks nothing of a plan", word=word))
        pins = found["pins"]
        if len({need for need, _ in pins}) < len(pins):
            raise PlanError(T_("a need is pinned to two labs; let go of one"))
        tiers = tuple((tier, found["tiers"][tier]) for tier in Tier if found["tiers"].get(tier))
        lists = {name: tuple(found[name]) for name in ("pins", "forbidden", "apart", "without")}
        return cls(**{**found, **lists, "tiers": tiers})

    @property
    def words(self) -> list[str]:
        """The picks as words: `read` gives the same picks again."""
        numbers = [
            f"{name}:{value}"
            for name, field in _NUMBERS.items()
            if (value := getattr(self, field)) is not None and value != getattr(PlanPicks, field)
        ]
        pairs = [f"{name}:{a},{b}" for name, field in _PAIRS.items() for a, b in getattr(self, field)]
        tiers = [f"tier:{tier.value}.{share}" for tier, share in self.tiers]
        return [*numbers, *tiers, *pairs, *(f"{Pick.WITHOUT.value}:{one}" for one in self.without)]

    def named(self) -> tuple[set[str], set[str]]:
        """Return the ids of the needs and of the labs that are named."""
        given = (*self.pins, *self.forbidden)
        needs = {need for need, _ in given} | {one for pair in self.apart for one in pair} | {*self.without}
        return needs, {lab for _, lab in given}

    def only(self, needs: Iterable[str]) -> PlanPicks:
        """Return the picks without those that name other needs."""
        known = set(needs)
        return replace(
            self,
            pins=tuple(one for one in self.pins if one[0] in known),
            forbidden=tuple(one for one in self.forbidden if one[0] in known),
            apart=tuple(one for one in self.apart if known.issuperset(one)),
        )


def _number(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else None


def _share(value: str) -> tuple[Tier, int] | None:
    name, _, share = value.partition(".")
    number = _number(share)
    return (Tier(name), number) if name in set(Tier) and number is not None and number <= 100 else None
