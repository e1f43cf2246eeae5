"""Narrowing a ranking and saying what there is to narrow it by.

In: which labs state what (`LabTable`), their bands, and the values that a
person chose. Out: which labs pass, and how many labs there are of each field,
school, kind of offer, working language and band. It exists apart from ranking
because a filter may only hide labs: the rank shown is that among all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, BoolArray]
"""Per value the labs that state it, shape (n labs,); under "" those that state none."""


@dataclass(frozen=True)
class Filters:
    """Values to narrow by: any one of a name's values has to hold, for every name that has values.

    A value "" stands for "not stated"; a value that nobody states selects nobody.
    """

    field: tuple[str, ...] = ()
    school: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    band: tuple[str, ...] = ()


ALL = Filters()
"""No filter."""
STATED = ("field", "school", "offers", "language")
"""The names that a lab's profile decides; the band depends on the need."""


@dataclass(frozen=True)
class Facets:
    """How many labs have each value, those without any left out; a lab that states two fields counts in both."""

    field: dict[str, int]
    school: dict[str, int]
    offers: dict[str, int]
    language: dict[str, int]
    band: dict[str, int]


def passing(filters: Filters, columns: Mapping[str, Columns], size: int) -> BoolArray:
    """Return which of `size` labs pass; a name without columns passes all.

    Args:
        filters: the chosen values.
        columns: under each name its `Columns`.
        size: number of labs.
    """
    kept = np.ones(size, dtype=bool)
    for name, stated in columns.items():
        wanted = getattr(filters, name)
        if wanted:
            chosen = np.zeros(size, dtype=bool)
            for value in wanted:
                if value in stated:
                    chosen |= stated[value]
            kept &= chosen
    return kept


def facets(columns: Mapping[str, Columns], members: BoolArray) -> Facets:
    """Count the values of those labs that are `members`, largest first; a name without columns has none."""
    return Facets(
        **{name: _counted(columns.get(name, {}), members) for name in STATED},
        band={value: int((stated & members).sum()) for value, stated in columns.get("band", {}).items()},
    )


def _counted(stated: Columns, members: BoolArray) -> dict[str, int]:
    counts = {value: int((column & members).sum()) for value, column in stated.items()}
    return {value: counts[value] for value in sorted(counts, key=lambda v: (-counts[v], v)) if counts[value]}
