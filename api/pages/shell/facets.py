"""What lists of labs can be narrowed by: every value with its name and how many labs have it.

In: facets as the matcher counts them, and what was chosen. Out: choices for the forms, and the query that
keeps them in links. It exists for the lists of labs and for the ranked labs of a need alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from api.pages.shell.record_names import Names, language
from api.pages.shell.wording import N_
from matcher.ranking.lab_table import STATED, Filters
from matcher.ranking.wishes import Steering

_NAMES = {
    "field": N_("Research field"),
    "school": N_("School"),
    "offers": N_("Offers"),
    "language": N_("Working language"),
    "region": N_("Region"),
}


@dataclass(frozen=True)
class Choice:
    """One value: its Chinese and English name, or, for a code of a closed list, the code alone."""

    value: str
    zh: str
    en: str
    is_term: bool
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class FacetGroup:
    """The values of one filter, `label` a text of the catalogue."""

    name: str
    label: str
    choices: tuple[Choice, ...]
    chosen: int


def schools_of(facets: Mapping[str, Mapping[str, int]], chosen: Mapping[str, Any]) -> list[str]:
    """Return the ids of the schools among the choices: they are shown by name."""
    return [*facets["school"], *chosen["school"]]


def choices_of(facets: Mapping[str, Mapping[str, int]], chosen: Mapping[str, Any], schools: Names) -> list[FacetGroup]:
    """Return the filters with their values, the most frequent first; a chosen value is there even if nobody has it."""
    found = []
    for name in STATED:
        counts = {**facets[name], **{value: 0 for value in chosen[name] if value not in facets[name]}}
        choices = tuple(
            _choice(name, value, count, schools, value in chosen[name]) for value, count in counts.items() if value
        )
        found.append(FacetGroup(name, _NAMES[name], choices, sum(choice.is_chosen for choice in choices)))
    return [group for group in found if group.choices]


def _choice(name: str, value: str, count: int, schools: Mapping[str, tuple[str, str]], is_chosen: bool) -> Choice:
    if name == "school":
        zh, en = schools.get(value, (value, ""))
        return Choice(value, zh, en, False, count, is_chosen)
    if name == "language":
        zh, en = language(value)
        return Choice(value, zh, en, False, count, is_chosen)
    return Choice(value, "", "", True, count, is_chosen)


def query_of(filters: Filters, offset: int = 0, steering: Steering | None = None) -> str:
    """Return the query of an address that asks for this again; empty if nothing is chosen.

    Args:
        filters: the chosen values.
        offset: how many to leave out first.
        steering: how a ranking is steered; None if the address is not to say.
    """
    pairs = [(name, value) for name, values in asdict(filters).items() for value in values]
    if steering is not None:
        pairs += [("wish", word) for word in steering.words] or [("unsteered", "true")]
    return urlencode([*pairs, ("offset", str(offset))] if offset else pairs)
