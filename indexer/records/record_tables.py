"""The tables of the programme's people and things, the feed of their changes, and the way from them to plain values.

In: values that the exchange format has already checked. Out: rows of schools, alliances, labs, companies and needs
whose rules the database enforces once more, so that no other way in can break them; which of them were written
since a moment, noted in the same transaction; and labs, needs, companies or schools as frozen dataclasses, ordered
by id. It exists so that a running server reloads only what changed, and two runs on the same data see the same
order whatever the database's collation.

Lists of short words are JSON columns; what has an order of its own is a child table. A reference that a file may
give as a plain name (a lab's school, a need's company, an alliance's partner) has no foreign key. The number of a
change is counted up under its row's lock, so numbers appear in the order of commits and a reader that has seen n
never misses a change numbered less; a plain sequence would not promise that. Mapped objects one by one would be too
slow for a whole collection, so plain values are made of rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import date
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    Select,
    String,
    Table,
    func,
    insert,
    select,
    update,
)
from sqlmodel import Field, Session, SQLModel, col

from indexer.records import profiles
from indexer.records.mended.retired import in_use
from indexer.records.mended.same_work import each_once
from indexer.vocabulary import (
    EVIDENCE_ID_LENGTH_MAX,
    FIRST_YEAR,
    ID_LENGTH_MAX,
    LAST_YEAR,
    MAX_WEIGHT,
    AllianceKind,
    AskKind,
    Confidentiality,
    EvidenceKind,
    Kind,
    Mendable,
    Prominence,
    Region,
    Size,
    Tier,
)


def _one_of(column: str, terms: type[StrEnum]) -> CheckConstraint:
    codes = ", ".join(f"'{term.value}'" for term in terms)
    return CheckConstraint(f"{column} IN ({codes})", name=f"{column}_known")


def _id_bounded() -> CheckConstraint:
    return CheckConstraint(f"length(id) BETWEEN 1 AND {ID_LENGTH_MAX}", name="id_bounded")


def _year_between(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} BETWEEN {FIRST_YEAR} AND {LAST_YEAR}", name=f"{column}_plausible")


def _words() -> Column[list[str]]:
    return Column(JSON, nullable=False)


def _added_words() -> Column[list[str]]:
    """A column of words that rows of earlier releases lack."""
    return Column(JSON, nullable=False, server_default="[]")


def _other() -> Any:
    """A column for what a file said of a record beside our fields, by its headings; who may read it is asked apart."""
    return Field(default_factory=dict, exclude=True, sa_column=Column(JSON, nullable=False, server_default="{}"))


def _contact() -> Any:
    """A column that says whom to reach at a company and how; who may read it is asked apart."""
    return Field(default="", exclude=True, sa_column=Column(String, nullable=False, server_default=""))


CONTACT_COLUMNS = ("contact", "contact_email", "contact_phone")


def contact_of(company: Company) -> dict[str, str]:
    """Return whom to reach at a company and how, for who may read it."""
    return {name: str(getattr(company, name)) for name in CONTACT_COLUMNS}


def other_of(session: Session, model: type[School | Alliance | Lab | Company | Need], record_id: str) -> dict[str, str]:
    """Return what files said of a record beside our fields, by their headings."""
    record = session.get(model, record_id)
    return {} if record is None else dict(getattr(record, "other"))  # noqa: B009 - mypy joins the classes to their base


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
    ror: str | None
    merged_into: str | None
    merged_on: date | None
    other: dict[str, str] = _other()


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
    other: dict[str, str] = _other()


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
    orcid: str | None = Field(index=True)
    members: list[str] = Field(default_factory=list, sa_column=_added_words())
    school: str | None = Field(index=True)
    fields: list[str] = Field(sa_column=_words())
    summary: str
    summary_en: str
    keywords: list[str] = Field(sa_column=_words())
    offers: list[str] = Field(sa_column=_words())
    equipment: list[str] = Field(default_factory=list, sa_column=_added_words())
    will_not_do: list[str] = Field(sa_column=_words())
    capacity: int | None
    languages: list[str] = Field(sa_column=_words())
    conflicts: list[str] = Field(sa_column=_words())
    links: list[str] = Field(sa_column=_words())
    other: dict[str, str] = _other()


class Evidence(SQLModel, table=True):
    """What shows that a lab can do something; the same paper may belong to several labs."""

    __tablename__ = "evidence"
    __table_args__ = (
        CheckConstraint(f"length(id) BETWEEN 1 AND {EVIDENCE_ID_LENGTH_MAX}", name="id_bounded"),
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
    doi: str | None
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
    contact: str = _contact()
    contact_email: str = _contact()
    contact_phone: str = _contact()
    other: dict[str, str] = _other()


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
    other: dict[str, str] = _other()


class Ask(SQLModel, table=True):
    """One thing that a need asks for."""

    __tablename__ = "ask"
    __table_args__ = (_one_of("kind", AskKind),)

    need_id: str = Field(sa_column=_parent("need"))
    position: int = Field(primary_key=True)
    kind: str
    text: str


class Term(SQLModel, table=True):
    """Words that mean the same in Chinese and English, from an office's glossary or an official set."""

    __tablename__ = "term"
    __table_args__ = (_id_bounded(),)

    id: str = Field(primary_key=True)
    en: list[str] = Field(sa_column=_words())
    zh: list[str] = Field(sa_column=_words())
    abbreviation: str
    subject: str


class ChangeCounter(SQLModel, table=True):
    """The number of the last change of one kind of record."""

    __tablename__ = "change_counter"

    kind: str = Field(primary_key=True)
    n: int = Field(sa_type=BigInteger)


class Change(SQLModel, table=True):
    """One record that one transaction wrote; several share its number."""

    __tablename__ = "change"

    kind: str = Field(primary_key=True)
    n: int = Field(primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite"))
    record_id: str = Field(primary_key=True)


def note_changes(session: Session, kind: Kind, ids: Iterable[str]) -> None:
    """Note that records were created, updated or deleted in this transaction; the caller commits."""
    changed = sorted(set(ids))
    if not changed:
        return
    counter, change = _table(ChangeCounter), _table(Change)
    connection = session.connection()
    n = connection.execute(
        update(counter).where(counter.c.kind == kind.value).values(n=counter.c.n + 1).returning(counter.c.n)
    ).scalar_one()
    connection.execute(insert(change), [{"kind": kind.value, "n": n, "record_id": id_} for id_ in changed])


def last_changes(session: Session) -> dict[str, int]:
    """Return the number of the last change of every kind, by the kind's name."""
    counter = _table(ChangeCounter)
    rows = session.connection().execute(select(counter.c.kind, counter.c.n).order_by(counter.c.kind))
    return {str(kind): int(n) for kind, n in rows}


def changes_since(session: Session, kind: Kind, n: int) -> tuple[int, list[str]]:
    """Return the number of the last change, and the ids changed after the `n`-th, sorted."""
    change = _table(Change)
    found = session.connection().execute(
        select(change.c.record_id, func.max(change.c.n))
        .where(change.c.kind == kind.value, change.c.n > n)
        .group_by(change.c.record_id)
    )
    rows = sorted((str(id_), int(number)) for id_, number in found)
    return max((number for _, number in rows), default=n), [id_ for id_, _ in rows]


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


_KEYS_AT_ONCE = 500
"""Ids in one query; databases bound how many values a statement may have."""


def load_labs(session: Session, ids: Collection[str] | None = None) -> list[profiles.Lab]:
    """Return labs by id, each with its evidence in the order given; what is retired is left out, a work is there once.

    Args:
        session: read only.
        ids: those to return, None for all; an id without a lab gives none.
    """
    evidence: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    held = in_use(Mendable.EVIDENCE, col(Evidence.lab_id), col(Evidence.id))
    for row in _rows(session, Evidence, held, order="position", of=("lab_id", ids)):
        evidence[row["lab_id"]].append(row)
    return [
        profiles.Lab(**_picked(profiles.Lab, row), evidence=_pieces(evidence[row["id"]]))
        for row in _by_id(_rows(session, Lab, in_use(Mendable.LAB, col(Lab.id)), of=("id", ids)))
    ]


def _pieces(rows: list[dict[str, Any]]) -> tuple[profiles.Evidence, ...]:
    return tuple(profiles.Evidence(**_picked(profiles.Evidence, row)) for row in each_once(rows))


def load_needs(session: Session, ids: Collection[str] | None = None) -> list[profiles.Need]:
    """Return needs by id, each with its asks in the order given; `ids` as in `load_labs`."""
    asks = defaultdict(list)
    for row in _rows(session, Ask, order="position", of=("need_id", ids)):
        asks[row["need_id"]].append(profiles.Ask(**_picked(profiles.Ask, row)))
    return [
        profiles.Need(**_picked(profiles.Need, row), asks=tuple(asks[row["id"]]))
        for row in _by_id(_rows(session, Need, in_use(Mendable.NEED, col(Need.id)), of=("id", ids)))
    ]


def load_need(session: Session, need_id: str, *conditions: ColumnElement[bool]) -> profiles.Need | None:
    """Return one need in one query, if it is there, in use, and fulfils the conditions."""
    need: Table = Need.__table__  # type: ignore[attr-defined]
    ask: Table = Ask.__table__  # type: ignore[attr-defined]
    asked = [ask.c[field.name].label(f"ask_{field.name}") for field in fields(profiles.Ask)]
    query = select(need, *asked).join(ask, ask.c.need_id == need.c.id, isouter=True)
    rows = _fetched(
        session,
        query.where(need.c.id == need_id, in_use(Mendable.NEED, need.c.id), *conditions).order_by(ask.c.position),
    )
    if not rows:
        return None
    asks = tuple(
        profiles.Ask(**{field.name: row[f"ask_{field.name}"] for field in fields(profiles.Ask)})
        for row in rows
        if row["ask_kind"] is not None
    )
    return profiles.Need(**_picked(profiles.Need, rows[0]), asks=asks)


def load_companies(session: Session, ids: Collection[str] | None = None) -> list[profiles.Company]:
    """Return companies by id; `ids` as in `load_labs`."""
    rows = _by_id(_rows(session, Company, in_use(Mendable.COMPANY, col(Company.id)), of=("id", ids)))
    return [profiles.Company(**_picked(profiles.Company, row)) for row in rows]


def load_schools(session: Session, ids: Collection[str] | None = None) -> list[profiles.School]:
    """Return schools by id; `ids` as in `load_labs`."""
    rows = _by_id(_rows(session, School, in_use(Mendable.SCHOOL, col(School.id)), of=("id", ids)))
    return [profiles.School(**_picked(profiles.School, row)) for row in rows]


def load_terms(session: Session) -> dict[str, tuple[str, ...]]:
    """Return an office's own terms: of each Chinese word all its English ones, both in the order of the terms' ids."""
    found: dict[str, dict[str, None]] = {}
    for row in _by_id(_rows(session, Term, of=("id", None))):
        english = dict.fromkeys([*row["en"], *filter(None, [row["abbreviation"]])])
        for word in row["zh"]:
            found.setdefault(word, {}).update(english)
    return {word: tuple(english) for word, english in found.items()}


def _rows(
    session: Session,
    model: type[SQLModel],
    *conditions: ColumnElement[bool],
    order: str | None = None,
    of: tuple[str, Collection[str] | None],
) -> list[dict[str, Any]]:
    """Return the rows of a table, or those whose column `of[0]` has one of the values `of[1]`."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    query = select(table).where(*conditions)
    if order is not None:
        query = query.order_by(table.c[order])
    column, wanted = of
    if wanted is None:
        return _fetched(session, query)
    keys = sorted(wanted)
    parts = [keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE)]
    return [row for part in parts for row in _fetched(session, query.where(table.c[column].in_(part)))]


def _fetched(session: Session, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in session.connection().execute(query).mappings()]


def _by_id(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: str(row["id"]))


def _picked(profile: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a profile has, lists as tuples."""
    names = [field.name for field in fields(profile) if field.name in row]
    return {name: tuple(row[name]) if isinstance(row[name], list) else row[name] for name in names}
