"""Records that are probably one and the same, each pair with the reasons; a person decides.

In: labs, companies, schools and accounts in use, and what was said of pairs before. Out: pairs with reasons, the surest
first; the word that two are two. It exists because lists come from many offices, and the same lab comes under the
Chinese and the English name of its head, in either order, with half of its papers each. Nothing is merged by itself.

Identifiers tell most: 統一編號, ORCID, ROR. Names are compared as `indexer.folding` folds them, the same first and
then by likeness of letters (rapidfuzz), names of people in either script and any order of their parts. Labs share
evidence when several pieces are the same works.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from rapidfuzz import fuzz, process
from sqlalchemy import select as select_columns
from sqlmodel import Session, SQLModel, col, select

from indexer.folding import for_names, whole_names
from indexer.records.mended.merged import DuplicateVerdict
from indexer.records.mended.retired import retired_ids
from indexer.records.mended.same_work import work_keys
from indexer.vocabulary import Mendable
from indexer.wording import T_, Text
from matcher.mending.retiring import MODELS, MendingError, no_such, record_name

KINDS = (Mendable.LAB, Mendable.COMPANY, Mendable.SCHOOL, Mendable.PERSON)
_IDENTIFIERS: dict[Mendable, dict[str, Text]] = {
    Mendable.LAB: {"orcid": T_("the same ORCID iD of the head")},
    Mendable.COMPANY: {"tax_id": T_("the same tax id (統一編號)")},
    Mendable.SCHOOL: {"ror": T_("the same ROR id")},
    Mendable.PERSON: {},
}
_COLUMNS = {
    Mendable.LAB: ("id", "name", "name_en", "pi", "orcid", "school"),
    Mendable.COMPANY: ("id", "name", "name_en", "tax_id"),
    Mendable.SCHOOL: ("id", "name", "name_en", "ror"),
    Mendable.PERSON: ("id", "name", "email"),
}
_SURE, _SAME_NAME, _SAME_HEAD, _SHARED = 100, 90, 80, 70
"""How much each reason says; several add a little."""
_ALIKE = 88.0
"""Likeness of two names from which they may be one, 0 to 100; 台大 and 臺大 have 100 after folding."""
_ALIKE_SHORTEST = 4
_SHARED_LEAST = 2
_IN_MOST = 20
"""A work or a name that so many records share tells no two of them to be one."""
_MOST_COMPARED = 10_000_000
"""Pairs of names that are compared letter by letter; of more only those that are the same are found."""


@dataclass(frozen=True)
class Likely:
    """Two records that may be one, by id in order; `score` says how sure, 0 to 100 and a little more."""

    kind: Mendable
    first: str
    second: str
    score: int
    reasons: tuple[Text, ...]


Row = Mapping[str, Any]
_Found = dict[tuple[str, str], list[tuple[int, Text]]]


def likely_duplicates(session: Session, kind: Mendable, *, limit: int = 200) -> list[Likely]:
    """Return pairs of records that are probably one, the surest first, without those that were told apart.

    Args:
        session: read only.
        kind: one of `KINDS`.
        limit: how many at most.
    """
    rows = _rows(session, kind)
    found: _Found = defaultdict(list)
    for pair, score, reason in _reasons(session, kind, rows):
        found[_in_order(*pair)].append((score, reason))
    apart = select(DuplicateVerdict.first_id, DuplicateVerdict.second_id).where(DuplicateVerdict.kind == kind.value)
    for first, second in session.exec(apart).all():
        found.pop((first, second), None)
    likely = [_likely(kind, pair, reasons) for pair, reasons in found.items()]
    return sorted(likely, key=lambda one: (-one.score, one.first, one.second))[:limit]


def _likely(kind: Mendable, pair: tuple[str, str], reasons: Sequence[tuple[int, Text]]) -> Likely:
    ordered = sorted(reasons, key=lambda one: (-one[0], one[1]))
    said = tuple(dict.fromkeys(reason for _, reason in ordered))
    return Likely(kind, *pair, ordered[0][0] + len(said) - 1, said)


def tell_apart(
    session: Session, *, kind: Mendable, first: str, second: str, by: str | None, now: datetime
) -> DuplicateVerdict:
    """Remember that two records are two, so that they are proposed no more; saying it again changes nothing.

    Raises:
        MendingError: there is no such record, or both ids are of one.
    """
    if first == second:
        raise MendingError(T_("these are one record already; name two"), "second")
    for field, one in (("first", first), ("second", second)):
        if kind not in KINDS or record_name(session, kind, one) is None:
            raise MendingError(no_such(kind, one), field)
    pair = _in_order(first, second)
    known = session.get(DuplicateVerdict, (kind.value, *pair))
    if known is not None:
        return known
    said = DuplicateVerdict(kind=kind.value, first_id=pair[0], second_id=pair[1], by=by, at=now)
    session.add(said)
    session.flush()
    return said


def _in_order(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _rows(session: Session, kind: Mendable) -> list[Row]:
    table = SQLModel.metadata.tables[str(MODELS[kind].__tablename__)]
    columns = [table.c[name] for name in _COLUMNS[kind]]
    query = select_columns(*columns).order_by(table.c.id)
    if kind is Mendable.PERSON:
        query = query.where(table.c.disabled_at.is_(None))
    gone = retired_ids(session, kind)
    return [dict(row) for row in session.connection().execute(query).mappings() if row["id"] not in gone]


_Reason = tuple[tuple[str, str], int, Text]


def _reasons(session: Session, kind: Mendable, rows: Sequence[Row]) -> Iterator[_Reason]:
    for name, said in _IDENTIFIERS[kind].items():
        yield from _shared(((row["id"], {str(row[name])}) for row in rows if row[name]), _SURE, said)
    if kind is Mendable.PERSON:
        yield from _shared(((row["id"], whole_names(row["name"])) for row in rows), _SAME_NAME, T_("the same name"))
        mailboxes = ((row["id"], {str(row["email"]).partition("@")[0]}) for row in rows)
        yield from _shared(mailboxes, _SHARED, T_("the same name before the @ of the e-mail address"))
        return
    named = [(row["id"], _names(row), row.get("school") or "") for row in rows]
    yield from _by_names(kind, named)
    if kind is Mendable.LAB:
        heads = ((row["id"], {f"{row['school']} {one}" for one in whole_names(row["pi"])}) for row in rows if row["pi"])
        yield from _shared(heads, _SAME_HEAD, T_("the same head at the same school"))
        yield from _by_evidence(session, {row["id"] for row in rows})


def _names(row: Row) -> set[str]:
    return {for_names(str(row[name])) for name in ("name", "name_en") if row[name]}


def _shared(sets: Iterable[tuple[str, Iterable[str]]], score: int, said: Text) -> Iterator[_Reason]:
    """Yield the pairs that share something; what too many share tells nothing."""
    holders: dict[str, set[str]] = defaultdict(set)
    for key, values in sets:
        for value in values:
            if value.strip():
                holders[value].add(key)
    for ids in holders.values():
        if 1 < len(ids) <= _IN_MOST:
            for pair in combinations(sorted(ids), 2):
                yield pair, score, said


def _by_names(kind: Mendable, named: Sequence[tuple[str, set[str], str]]) -> Iterator[_Reason]:
    """Labs only within a school, or where one of both states none: 自動化研究室 is at every school."""
    is_lab = kind is Mendable.LAB
    said = T_("the same name at the same school") if is_lab else T_("the same name")
    yield from _shared(((key, {f"{place} {one}" for one in names}) for key, names, place in named), _SAME_NAME, said)
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, names, place in named:
        groups[place if is_lab else ""] += [(key, one) for one in names if len(one) >= _ALIKE_SHORTEST]
    for group in groups.values():
        if len(group) ** 2 > _MOST_COMPARED:
            continue
        yield from _alike(group)


def _alike(group: Sequence[tuple[str, str]]) -> Iterator[_Reason]:
    words = [one for _, one in group]
    for place, (key, word) in enumerate(group):
        later = words[place + 1 :]
        found = process.extract(word, later, scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=_IN_MOST)
        for other, likeness, n in found:
            second = group[place + 1 + int(n)][0]
            if key != second and other != word:
                said = T_("names that are alike: %(likeness)s of 100", likeness=int(likeness))
                yield (key, second), int(likeness) - 15, said


def _by_evidence(session: Session, ids: set[str]) -> Iterator[_Reason]:
    table = SQLModel.metadata.tables["evidence"]
    columns = (table.c.lab_id, table.c.kind, table.c.title, table.c.year, table.c.doi)
    holders: dict[str, set[str]] = defaultdict(set)
    for row in session.connection().execute(select_columns(*columns)).mappings():
        if row["lab_id"] in ids:
            for key in work_keys(dict(row)):
                holders[key].add(row["lab_id"])
    common: dict[tuple[str, str], int] = defaultdict(int)
    for key, labs in holders.items():
        # A work counts once, whether its DOI or its title tells.
        if key.startswith("title ") and 1 < len(labs) <= _IN_MOST:
            for pair in combinations(sorted(labs), 2):
                common[pair] += 1
    for pair, works in common.items():
        if works >= _SHARED_LEAST:
            yield pair, _SHARED + min(works, 9), T_("%(works)s pieces of evidence are the same works", works=works)


def verdicts(session: Session, kind: Mendable) -> list[DuplicateVerdict]:
    """Return the pairs of a kind that somebody told apart, the newest first."""
    query = select(DuplicateVerdict).where(DuplicateVerdict.kind == kind.value)
    return list(session.exec(query.order_by(col(DuplicateVerdict.at).desc())).all())
