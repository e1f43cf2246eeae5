"""What the rest of the product reads: labs, needs, companies and schools as plain, frozen values.

In: nothing. Out: dataclasses without any tie to the database. They exist so
that texts, vectors, features and explanations can be computed and tested from
values alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Evidence:
    """One paper, patent, project, technology or thesis of a lab; `weight` (0 to 10) is set by its owner."""

    id: str
    kind: str
    title: str
    abstract: str
    year: int | None
    weight: float


@dataclass(frozen=True, slots=True)
class Lab:
    """A researcher's profile. Empty texts and tuples, and None, mean "not stated".

    `offers` are ask kinds, `capacity` is how many more projects fit in, `conflicts` are ids or
    names of companies, `school` is a school id or a plain name, `evidence` is in the order given.
    """

    id: str
    name: str
    name_en: str
    pi: str
    school: str | None
    fields: tuple[str, ...]
    summary: str
    summary_en: str
    keywords: tuple[str, ...]
    offers: tuple[str, ...]
    will_not_do: tuple[str, ...]
    capacity: int | None
    languages: tuple[str, ...]
    conflicts: tuple[str, ...]
    links: tuple[str, ...]
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a need asks for: an ask kind and what exactly."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Need:
    """What a company (or a school, `school`) looks for. `company` is a company id or a plain name."""

    id: str
    company: str | None
    school: str | None
    title: str
    description: str
    asks: tuple[Ask, ...]
    fields: tuple[str, ...]
    budget_ntd: int | None
    deadline: date | None
    confidentiality: str
    region: str | None
    languages: tuple[str, ...]
    excluded_labs: tuple[str, ...]
    year: int | None


@dataclass(frozen=True, slots=True)
class Company:
    """A firm; `tier` is its membership, which says nothing about its nationality."""

    id: str
    name: str
    name_en: str
    tax_id: str | None
    country: str
    size: str | None
    tier: str
    fields: tuple[str, ...]
    city: str
    description: str


@dataclass(frozen=True, slots=True)
class School:
    """A university; after a merger `merged_into` is the id of the school that took it in."""

    id: str
    name: str
    name_en: str
    city: str
    region: str | None
    prominence: str | None
    kind: str
    founded: int | None
    merged_into: str | None
    merged_on: date | None
