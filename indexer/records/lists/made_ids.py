"""Ids for lists that have none, the same however a list is sorted.

In: a row's values. Out: an id made of what names the record: of a lab its school, name and head, of a need its company
and title, of a company its tax id or name, of a school or an alliance its name. It exists because users would number
the rows, and the next list, sorted otherwise, would then overwrite other labs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from indexer.folding import for_names
from indexer.records.lists.cells import people_in
from indexer.records.values import is_blank
from indexer.vocabulary import Kind

NAMED_BY: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.LABS: (("name", "name_en", "pi"), ("school", "name", "name_en", "pi")),
    Kind.NEEDS: (("title", "description"), ("company", "school", "title", "description")),
    Kind.COMPANIES: (("tax_id", "name", "name_en"), ("tax_id", "name", "name_en")),
    Kind.SCHOOLS: (("name", "name_en"), ("name", "name_en")),
    Kind.ALLIANCES: (("name", "name_en"), ("name", "name_en")),
}
"""Of each kind the fields of which one has to be there, and those that an id is made of."""
_PREFIXES = {Kind.LABS: "lab", Kind.NEEDS: "need", Kind.COMPANIES: "company", Kind.SCHOOLS: "school",
             Kind.ALLIANCES: "alliance"}  # fmt: skip
_DIGITS = 12


def made_id(kind: Kind, values: Mapping[str, Any]) -> str | None:
    """Return the id of a row without one, None if nothing in it names a record."""
    needed, parts = NAMED_BY[kind]
    if all(is_blank(values.get(field)) for field in needed):
        return None
    if kind is Kind.COMPANIES and not is_blank(values.get("tax_id")):
        # A number identifies a firm whatever its name becomes.
        said = [str(values["tax_id"]).strip().zfill(8)]
    else:
        said = [_folded(field, values.get(field)) for field in _naming(kind, values, parts)]
    digest = sha256("\n".join([kind.value, *said]).encode()).hexdigest()[:_DIGITS]
    return f"{_PREFIXES[kind]}-{digest}"


def _naming(kind: Kind, values: Mapping[str, Any], parts: tuple[str, ...]) -> list[str]:
    """Return the fields that name a record: an English name, or a description, only where there is no other."""
    said = [part for part in parts if not is_blank(values.get(part))]
    if "name" in said and "name_en" in said:
        said.remove("name_en")
    if kind is Kind.NEEDS and "title" in said and "description" in said:
        said.remove("description")
    return said


def _folded(field: str, value: object) -> str:
    text = unicodedata.normalize("NFKC", str(value))
    if field == "pi":
        # The order in which the heads stand in a cell says nothing.
        return "|".join(sorted(for_names(one) for one in people_in(text)))
    return for_names(text)
