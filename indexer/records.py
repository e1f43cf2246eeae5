"""The tables of the programme's people and things: schools, alliances, labs, companies, needs.

In: values that the exchange format has already checked. Out: rows whose rules
the database enforces once more, so that no other way in can break them. Lists
of short words are JSON columns; what has an order of its own is a child table.

A reference that a file may give as a plain name (a lab's school, a need's
company, an alliance's partner) has no foreign key.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, ForeignKey, String
from sqlmodel import Field, SQLModel

from indexer.vocabulary import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_EVIDENCE_ID,
    MAX_ID,
    MAX_WEIGHT,
    AllianceKind,
    AskKind,
    Confidentiality,
    EvidenceKind,
    Prominence,
    Region,
    Size,
    Tier,
)


def _one_of(column: str, terms: type[StrEnum]) -> CheckConstraint:
    codes = ", ".join(f"'{term.value}'" for term in terms)
    return CheckConstraint(f"{column} IN ({codes})", name=f"{column}_known")


def _id_bounded() -> CheckConstraint:
    return CheckConstraint(f"length(id) BETWEEN 1 AND {MAX_ID}", name="id_bounded")


def _year_between(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} BETWEEN {FIRST_YEAR} AND {LAST_YEAR}", name=f"{column}_plausible")


def _words() -> Column[list[str]]:
    return Column(JSON, nullable=False)


def _parent(table: str) -> Column[str]:
    return Column(String, ForeignKey(f"{table}.id", ondelete="CASCADE"), primary_key=True)


class School(SQLModel, table=True):
    """A university; `merged_into` points to the school that took it in."""

    __tablename__ = "school"
    __table_args__ = (
        _id_bounded(),
        _one_of("region", Region),
        _one_of("prominence", Prominence),
        _year_between("founded"),
    )

    id: str = Field(primary_key=True)
    name: str
    name_en: str
    city: str
    region: str | None
    prominence: str | None
    kind: str
    founded: int | None
    merged_into: str | None
    merged_on: date | None


class Alliance(SQLModel, table=True):
    """A group of schools around one center university."""

    __tablename__ = "alliance"
    __table_args__ = (
        _id_bounded(),
        _one_of("kind", AllianceKind),
        CheckConstraint("until >= since", name="until_after_since"),
    )

    id: str = Field(primary_key=True)
    name: str
    name_en: str
    fields: list[str] = Field(sa_column=_words())
    kind: str | None
    center: str | None
    since: date | None
    until: date | None


class AlliancePartner(SQLModel, table=True):
    """A school's time in an alliance; a school may leave and come back."""

    __tablename__ = "alliance_partner"
    __table_args__ = (CheckConstraint("until >= since", name="until_after_since"),)

    alliance_id: str = Field(sa_column=_parent("alliance"))
    position: int = Field(primary_key=True)
    school: str = Field(index=True)
    since: date | None
    until: date | None


class Lab(SQLModel, table=True):
    """A researcher's profile. An empty list of offers and a null capacity mean "not stated"."""

    __tablename__ = "lab"
    __table_args__ = (_id_bounded(), CheckConstraint("capacity >= 0", name="capacity_not_negative"))

    id: str = Field(primary_key=True)
    name: str
    name_en: str
    pi: str
    school: str | None = Field(index=True)
    fields: list[str] = Field(sa_column=_words())
    summary: str
    summary_en: str
    keywords: list[str] = Field(sa_column=_words())
    offers: list[str] = Field(sa_column=_words())
    will_not_do: list[str] = Field(sa_column=_words())
    capacity: int | None
    languages: list[str] = Field(sa_column=_words())
    conflicts: list[str] = Field(sa_column=_words())
    links: list[str] = Field(sa_column=_words())


class Evidence(SQLModel, table=True):
    """What shows that a lab can do something; the same paper may belong to several labs."""

    __tablename__ = "evidence"
    __table_args__ = (
        CheckConstraint(f"length(id) BETWEEN 1 AND {MAX_EVIDENCE_ID}", name="id_bounded"),
        _one_of("kind", EvidenceKind),
        _year_between("year"),
        CheckConstraint(f"weight BETWEEN 0 AND {MAX_WEIGHT}", name="weight_bounded"),
    )

    lab_id: str = Field(sa_column=_parent("lab"))
    id: str = Field(primary_key=True)
    position: int
    kind: str
    title: str
    abstract: str
    year: int | None
    weight: float


class Company(SQLModel, table=True):
    """A firm; its tier is membership, not nationality."""

    __tablename__ = "company"
    __table_args__ = (
        _id_bounded(),
        _one_of("tier", Tier),
        _one_of("size", Size),
        CheckConstraint("length(country) = 2", name="country_two_letters"),
    )

    id: str = Field(primary_key=True)
    name: str
    name_en: str
    tax_id: str | None = Field(index=True)
    country: str
    size: str | None
    tier: str
    fields: list[str] = Field(sa_column=_words())
    city: str
    description: str


class Need(SQLModel, table=True):
    """What a company or a school looks for."""

    __tablename__ = "need"
    __table_args__ = (
        _id_bounded(),
        _one_of("confidentiality", Confidentiality),
        _one_of("region", Region),
        _year_between("year"),
        CheckConstraint("budget_ntd >= 0", name="budget_not_negative"),
        CheckConstraint("length(title) + length(description) > 0", name="says_something"),
    )

    id: str = Field(primary_key=True)
    company: str | None = Field(index=True)
    school: str | None
    title: str
    description: str
    fields: list[str] = Field(sa_column=_words())
    budget_ntd: int | None = Field(sa_type=BigInteger)
    deadline: date | None
    confidentiality: str
    confidential_reason: str | None
    region: str | None
    languages: list[str] = Field(sa_column=_words())
    excluded_labs: list[str] = Field(sa_column=_words())
    year: int | None


class Ask(SQLModel, table=True):
    """One thing that a need asks for."""

    __tablename__ = "ask"
    __table_args__ = (_one_of("kind", AskKind),)

    need_id: str = Field(sa_column=_parent("need"))
    position: int = Field(primary_key=True)
    kind: str
    text: str
