"""What the ids and codes in documents are called: companies, labs, needs, schools, alliances, people, countries.

In: documents of the API with their ids, wherever in them they stand, and who asks. Out: names by id, in both
languages where there are two. It exists because people know names, and a document holds ids; a title of a need goes
only to who may read the need.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from babel import Locale, UnknownLocaleError
from sqlalchemy import ColumnElement, Select, literal, union_all
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from api.access.policy import Action
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable
from api.pages.shell.wording import Lang
from api.trail.request_trail import NeedReader
from indexer.records.record_tables import Alliance, Company, Lab, Need, School
from indexer.records.values import FieldError
from indexer.records.values import language as language_code
from indexer.vocabulary import LANGUAGES
from matcher.review.people import Account, Principal

Named = type[Company] | type[Lab] | type[School] | type[Alliance]
NamedOrPerson = Named | type[Account]
Names = Mapping[str, tuple[str, str]]


def names(session: Session, table: Named, ids: Iterable[str | None]) -> Names:
    """Return name and English name, which may be empty, by id."""
    return called(session, {table: ids})[table]


def called(session: Session, ids: Mapping[NamedOrPerson, Iterable[str | None] | None]) -> Mapping[NamedOrPerson, Names]:
    """Return name and English name, which may be empty, by id, of records of several kinds in one query.

    None instead of ids asks for all of a kind.
    """
    wanted = {table: some if some is None else sorted({one for one in some if one}) for table, some in ids.items()}
    found: dict[NamedOrPerson, dict[str, tuple[str, str]]] = {table: {} for table in ids}
    queries = [_called(table, some) for table, some in wanted.items() if some != []]
    if queries:
        tables = {table.__name__: table for table in ids}
        for kind, key, name, name_en in session.connection().execute(union_all(*queries)):
            found[tables[kind]][str(key)] = (name, name_en or "")
    return found


def _called(table: NamedOrPerson, ids: list[str] | None) -> Select[Any]:
    name_en = literal("") if table is Account else cast(Named, table).name_en
    columns: tuple[Any, ...] = (literal(table.__name__).label("kind"), table.id, table.name, name_en)
    every_one = select_columns(*columns)
    return every_one if ids is None else every_one.where(col(table.id).in_(ids))


def every(session: Session, table: Named, *conditions: ColumnElement[bool]) -> Names:
    """Return name and English name of all records of a kind by id, in the order of their names."""
    columns: tuple[Any, ...] = (table.id, table.name, table.name_en)
    rows = session.execute(select_columns(*columns).where(*conditions).order_by(col(table.name)))
    return {str(key): (name, name_en or "") for key, name, name_en in rows}


def titles(session: Session, who: Principal, ids: Iterable[str | None], *, to: NeedReader) -> Mapping[str, str]:
    """Return the titles of needs by id, of those that the person reads: a seal is not broken in passing."""
    wanted = sorted({one for one in ids if one})
    if not wanted:
        return {}
    query = select_columns(col(Need.id), col(Need.title)).where(
        col(Need.id).in_(wanted), visible_needs(who, Action.READ), readable(who)
    )
    found = {str(need_id): str(title) for need_id, title in session.execute(query)}
    for need_id in found:
        to.reads(need_id)
    return found


def people(session: Session, ids: Iterable[str | None]) -> Mapping[str, str]:
    """Return the names of accounts by id."""
    return without_english(called(session, {Account: ids})[Account])


def without_english(found: Names) -> Mapping[str, str]:
    """Return the names alone, for those who have no English one."""
    return {key: name for key, (name, _) in found.items()}


def all_of(documents: Iterable[Mapping[str, Any]], name: str) -> list[str | None]:
    """Return the ids that documents hold under a name."""
    return [document[name] for document in documents]


ScopeNames = dict[str, tuple[str, str]]


def scope_names(session: Session, ids: Iterable[str]) -> ScopeNames:
    """Return the Chinese and English names of those that exist; an id of two kinds of records is the first's."""
    wanted = list(ids)
    found = called(session, {Lab: wanted, Company: wanted, Alliance: wanted})
    return {**found[Alliance], **found[Company], **found[Lab]}


def alliance_names(session: Session) -> list[tuple[str, str, str]]:
    """Return id, Chinese and English name of every alliance, for choosing one."""
    rows = session.execute(select(Alliance.id, Alliance.name, Alliance.name_en).order_by(col(Alliance.id))).all()
    return [(one, name, name_en) for one, name, name_en in rows]


_BETWEEN = re.compile("[,，、;；]")
_READERS = (Locale("zh", script="Hant"), Locale("en"))
BothNames = tuple[str, str]


def language(code: str) -> BothNames:
    """Return a language's names in Chinese and English; of one that is not known, its code."""
    try:
        spoken = Locale.parse(code)
    except (UnknownLocaleError, ValueError):
        return code, code
    zh, en = (spoken.get_display_name(reader) or code for reader in _READERS)
    return zh, en


def spoken(words: str, lang: Lang) -> str:
    """Return codes of languages by the names that forms take; what somebody typed otherwise stays as it is."""
    codes = [word.strip() for word in _BETWEEN.split(words) if word.strip()]
    if not set(codes) <= LANGUAGES:
        return words
    return ("、" if lang is Lang.ZH else ", ").join(_name_of_language(code, lang) for code in codes)


def _name_of_language(code: str, lang: Lang) -> str:
    name = language(code)[0 if lang is Lang.ZH else 1]
    try:
        return name if language_code(name) == code else code
    except FieldError:
        return code


def country(code: str) -> BothNames:
    """Return a country's names in Chinese and English; of one that is not known, its code."""
    zh, en = (reader.territories.get(code, code) for reader in _READERS)
    # The country writes its own name in full.
    return zh.replace("台", "臺"), en


_KINDS = {
    "reporter": "account",
    "by": "account",
    "moved_by": "account",
    "seconded_by": "account",
    "noted_by": "account",
    "ended_by": "account",
    "account": "account",
    "account_id": "account",
    "scope": "alliance",
    "shown_to": "account",
    "school_id": "school",
    "alliance_id": "alliance",
    "company_id": "company",
    "lab_id": "lab",
}
"""Which fields of documents hold ids, and of what."""
_TABLES: dict[str, Named] = {"school": School, "alliance": Alliance, "lab": Lab, "company": Company}


@dataclass(frozen=True)
class MentionedNames:
    """Names in Chinese and English by kind and id."""

    known: Mapping[tuple[str, str], tuple[str, str]]

    def of(self, kind: str, one: str | None) -> tuple[str, str]:
        """Return the names of an account, school, alliance, company or lab; the id twice if there is none."""
        return self.known.get((kind, one or ""), (one or "", one or ""))


def mentioned_names(session: Session, *documents: Any) -> MentionedNames:
    """Return the names of everybody and everything that some documents mention."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        for kind, one in _mentioned(document):
            ids[kind].add(one)
    found = called(session, {Account: ids["account"], **{table: ids[kind] for kind, table in _TABLES.items()}})
    known = {("account", one): (name or one,) * 2 for one, (name, _) in found[Account].items()}
    for kind, table in _TABLES.items():
        known |= {(kind, one): both for one, both in found[table].items()}
    return MentionedNames(known)


def alliances_of(session: Session, reached: frozenset[str] | None) -> list[tuple[str, str, str]]:
    """Return id and names of the alliances that somebody reaches, None for all of them, by id."""
    query = select(Alliance.id, Alliance.name, Alliance.name_en).order_by(col(Alliance.id))
    if reached is not None:
        query = query.where(col(Alliance.id).in_(reached))
    return [(one, zh, en) for one, zh, en in session.exec(query).all()]


_PARTS = {"school_shares": "school", "company_shares": "company"}


def _mentioned(document: Any) -> Iterator[tuple[str, str]]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key in _KINDS and isinstance(value, str):
                yield _KINDS[key], value
            elif key in ("shares", "alliances") and isinstance(value, Mapping | list):
                yield from (("alliance", one) for one in value if isinstance(one, str))
                if isinstance(value, list):
                    yield from _mentioned(value)
            elif key in _PARTS and isinstance(value, Mapping):
                yield from ((_PARTS[key], one) for one in value)
            elif key not in ("details", "explanation"):
                yield from _mentioned(value)
    elif isinstance(document, list):
        for one in document:
            yield from _mentioned(one)


@dataclass(frozen=True)
class NeedNames:
    """Names by id; a party has its name and its English name, which may be empty."""

    companies: Mapping[str, tuple[str, str]]
    schools: Mapping[str, tuple[str, str]]
    alliances: Mapping[str, tuple[str, str]]
    accounts: Mapping[str, str]


def need_names(session: Session, needs: Iterable[Mapping[str, Any]], *, with_every_alliance: bool = False) -> NeedNames:
    """Return the names of everybody whom the needs mention, and of the other alliances too, for choosing one."""
    documents = list(needs)

    allied = {*all_of(documents, "alliance"), *(one for document in documents for one in document["shared_with"])}
    allied |= {one["alliance"] for document in documents for one in document["openings"]}
    ids = {name: all_of(documents, name) for name in ("company", "school", "expert")}
    alliances = None if with_every_alliance else allied
    found = called(
        session, {Company: ids["company"], School: ids["school"], Alliance: alliances, Account: ids["expert"]}
    )
    return NeedNames(found[Company], found[School], found[Alliance], without_english(found[Account]))


@dataclass(frozen=True)
class CaseNames:
    """Names by id; what is missing is not for this person to read, or does not exist."""

    needs: Mapping[str, str]
    labs: Names
    schools: Mapping[str, str | None]
    companies: Names
    alliances: Names
    people: Mapping[str, str]


def case_names(session: Session, who: Principal, cases: Iterable[Mapping[str, Any]], *, to: NeedReader) -> CaseNames:
    """Return the names of what cases name."""
    found = list(cases)
    owners = {one[name] for one in found for name in ("owner_id", "expert_id")}
    owners |= {row["by"] for one in found for row in (*one["steps"], *one["contacts"], *one["handed_on"])}
    owners |= {row["given_to"] for one in found for row in one["handed_on"]}
    companies, alliances = all_of(found, "company_id"), all_of(found, "alliance_id")
    others = called(session, {Company: companies, Alliance: alliances, Account: owners})
    labs = session.exec(
        select(Lab.id, Lab.name, Lab.name_en, Lab.school).where(col(Lab.id).in_({one["lab_id"] for one in found}))
    ).all()
    return CaseNames(
        needs=titles(session, who, all_of(found, "need_id"), to=to),
        labs={lab_id: (name, name_en or "") for lab_id, name, name_en, _ in labs},
        schools={lab_id: school for lab_id, _, _, school in labs},
        companies=others[Company],
        alliances=others[Alliance],
        people=without_english(others[Account]),
    )
