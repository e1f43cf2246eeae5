"""What fields of records are called in a list's pages: by the labels of their declarations, in both languages.

In: a kind of record. Out: its fields to choose from, and the words for one of them. It exists so that no page shows
the name of a field, and no page names the fields of a record itself.
"""

from __future__ import annotations

import re
from functools import cache

from indexer.records.exchange import MODELS
from indexer.records.field_notes import declared
from indexer.vocabulary import Kind
from indexer.wording import T_

_PARTS = re.compile(r"[\[.]")


@cache
def field_choices(kind: Kind) -> tuple[tuple[str, str], ...]:
    """Return the fields that a column of a kind may be, each with its words."""
    first = (("lab", T_("Lab")),) if kind is Kind.EVIDENCE else ()
    return (*first, *((one.name, one.note.label) for one in declared(MODELS[kind])))


def field_words(kind: str | None, field: str) -> str:
    """Return what a field is called; a heading of the list itself stays as it is."""
    parts = _PARTS.split(field)
    # Where it is not known of what kind the row is, a field of any kind is called as the first has it.
    for one in (*((Kind(kind), Kind.EVIDENCE) if kind is not None else ()), *(Kind if kind is None else ())):
        words = dict(field_choices(one))
        found = next((words[part] for part in reversed(parts) if part in words), None)
        if found is not None:
            return found
    return T_("Evidence") if field == "evidence" else field
