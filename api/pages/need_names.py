"""What the ids in needs are called: companies, schools, alliances and the experts who took them up.

In: documents of needs as the API answers them. Out: names by id. It exists
because a person reads names where a program follows ids; who may see a need may
see what those in it are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from api.pages.record_names import all_of, called, without_english
from indexer.records import Alliance, Company, School
from matcher.people import Account


@dataclass(frozen=True)
class NeedNames:
    """Names by id; a party has its name and its English name, which may be empty."""

    companies: Mapping[str, tuple[str, str]]
    schools: Mapping[str, tuple[str, str]]
    alliances: Mapping[str, tuple[str, str]]
    accounts: Mapping[str, str]


def names_of(session: Session, needs: Iterable[Mapping[str, Any]]) -> NeedNames:
    """Return the names of everybody whom the needs mention."""
    documents = list(needs)

    allied = {*all_of(documents, "alliance"), *(one for document in documents for one in document["shared_with"])}
    ids = {name: all_of(documents, name) for name in ("company", "school", "expert")}
    found = called(session, {Company: ids["company"], School: ids["school"], Alliance: allied, Account: ids["expert"]})
    return NeedNames(found[Company], found[School], found[Alliance], without_english(found[Account]))
