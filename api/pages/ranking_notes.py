"""What a ranking rests on and whom it leaves out: the index's age, warnings, labs set aside by hard rules.

In: a match as the API answers it. Out: values for the template `ranked.html`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.index_age import is_old
from api.pages.record_names import Names
from matcher.rules import RULE_TEXTS, Rule

NAMED_LABS = 30


@dataclass(frozen=True)
class SetAside:
    """The labs that one rule leaves out: how many, and the names of the first of them."""

    zh: str
    en: str
    count: int
    labs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Notes:
    """What to know before trusting a ranking."""

    built_at: datetime
    is_old: bool
    set_aside: tuple[SetAside, ...]
    left_out: int


def labs_named(match: dict[str, Any]) -> list[str]:
    """Return the ids of the labs that the notes to a match name."""
    return [lab_id for ids in match["set_aside"].values() for lab_id in ids[:NAMED_LABS]]


def notes_of(match: dict[str, Any], known: Names) -> Notes:
    """Return the notes to a match, with the names of the labs that are set aside."""
    found = []
    for rule, ids in match["set_aside"].items():
        if ids:
            labs = tuple((lab_id, *known[lab_id]) for lab_id in ids[:NAMED_LABS] if lab_id in known)
            found.append(SetAside(*RULE_TEXTS[Rule(rule)].both, len(ids), labs))
    built_at = datetime.fromisoformat(match["created_at"])
    return Notes(built_at, is_old(built_at), tuple(found), sum(one.count for one in found))
