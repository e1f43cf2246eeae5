"""Labs as columns: which state what, which may not be proposed and why, and how many there are of each value.

In: labs in a fixed order with their schools, a need with its company, and the values that a person chose. Out: for
each field, school, kind of offer, language and region the labs that state it; for each hard rule the labs that it
sets aside; which labs pass a filter, and how many there are of each value. It exists apart from the ranking because
no score may ever outweigh a rule and an expert must be able to see who was left out and why; because a filter may
only hide labs, so that the rank shown is that among all; and because a need is held against every lab: columns
answer in microseconds what a loop over profiles answers in milliseconds. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from indexer.arrays import BoolArray, DoubleArray
from indexer.folding import for_names, tax_ids_in
from indexer.records.profiles import Company, Lab, Need, School
from indexer.vocabulary import SchoolType, find
from indexer.wording import T_

Columns = Mapping[str, BoolArray]
"""Per value the labs that state it, shape (n labs,); under "" those that state none."""


@dataclass(frozen=True)
class Filters:
    """Values to narrow by: any one of a name's values has to hold, for every name that has values.

    A value "" stands for "not stated"; a value that nobody states selects nobody.
    """

    field: tuple[str, ...] = ()
    school: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    band: tuple[str, ...] = ()


ALL = Filters()
"""No filter."""
STATED = ("field", "school", "offers", "language", "region")
"""The names that a lab's profile and its school decide; the band depends on the need."""


@dataclass(frozen=True)
class Facets:
    """How many labs have each value, those without any left out; a lab that states two fields counts in both."""

    field: dict[str, int]
    school: dict[str, int]
    offers: dict[str, int]
    language: dict[str, int]
    region: dict[str, int]
    band: dict[str, int]


def passing(filters: Filters, columns: Mapping[str, Columns], size: int) -> BoolArray:
    """Return which of `size` labs pass; a name without columns passes all.

    Args:
        filters: the chosen values.
        columns: under each name its `Columns`.
        size: number of labs.
    """
    kept = np.ones(size, dtype=bool)
    for name, stated in columns.items():
        wanted = getattr(filters, name)
        if wanted:
            chosen = np.zeros(size, dtype=bool)
            for value in wanted:
                if value in stated:
                    chosen |= stated[value]
            kept &= chosen
    return kept


def facets(columns: Mapping[str, Columns], members: BoolArray) -> Facets:
    """Count the values of those labs that are `members`, largest first; a name without columns has none."""
    return Facets(
        **{name: _counted(columns.get(name, {}), members) for name in STATED},
        band={value: int((stated & members).sum()) for value, stated in columns.get("band", {}).items()},
    )


def _counted(stated: Columns, members: BoolArray) -> dict[str, int]:
    counts = {value: int((column & members).sum()) for value, column in stated.items()}
    return {value: counts[value] for value in sorted(counts, key=lambda v: (-counts[v], v)) if counts[value]}


class Rule(StrEnum):
    """Why a lab is set aside; the first that applies is the one reported."""

    EXCLUDED = "excluded"
    CONFLICT = "conflict"
    NO_CAPACITY = "no_capacity"
    NOT_OFFERED = "not_offered"
    LEFT_OUT = "left_out"


RULE_TEXTS = {
    Rule.EXCLUDED: T_("excluded by the need"),
    Rule.CONFLICT: T_("conflict of interest with the company"),
    Rule.NO_CAPACITY: T_("no capacity for another project"),
    Rule.NOT_OFFERED: T_("does not offer any kind of what is asked"),
    Rule.LEFT_OUT: T_("left out by an expert, by steering"),
}
"""What each rule means, in Chinese and English."""


def excluded_by(need: Need, lab: Lab) -> bool:
    """Whether a need excludes a lab: by its id or one of its names, as `for_names` compares them."""
    excluded = {for_names(name) for name in need.excluded_labs}
    return not excluded.isdisjoint(names_of(lab))


def unknown_exclusions(need: Need, labs: Iterable[Lab]) -> list[str]:
    """Return what a need excludes that is neither id nor name of a stored lab, and so excludes nobody."""
    if not need.excluded_labs:
        return []
    known = {name for lab in labs for name in names_of(lab)}
    return [name for name in need.excluded_labs if for_names(name) not in known]


def unknown_conflicts(labs: Iterable[Lab], companies: Iterable[Company]) -> Iterator[tuple[Lab, str]]:
    """Yield each conflict that a lab states with nobody who is stored: by no id, name or 統一編號 of a company."""
    known: set[str] = set()
    for one in companies:
        known |= {for_names(name) for name in (one.id, one.name, one.name_en, one.tax_id or "") if name}
    for lab in labs:
        for name in lab.conflicts:
            if name and known.isdisjoint({for_names(name), *tax_ids_in(name)}):
                yield lab, name


def names_of(lab: Lab) -> set[str]:
    """Return a lab's id and names as they are compared."""
    return {for_names(name) for name in (lab.id, lab.name, lab.name_en) if name}


def set_aside(need: Need, labs: Iterable[Lab], company: Company | None = None) -> dict[Rule, list[str]]:
    """Return the ids of the labs that may not be proposed, by rule, every rule present.

    Args:
        need: `excluded_labs`, `company` and the kinds of its asks decide.
        labs: those to check.
        company: the need's company, so that a conflict stated by name is found too.

    A lab that states no offers or no capacity is not set aside for it.
    """
    result: dict[Rule, list[str]] = {rule: [] for rule in Rule}
    names = company_names(need, company)
    kinds = {ask.kind for ask in need.asks}
    for lab in labs:
        rule = _rule(need, lab, names, kinds)
        if rule is not None:
            result[rule].append(lab.id)
    return result


def company_names(need: Need, company: Company | None) -> set[str]:
    """Return everything that a lab's conflicts may call the company of a need, as it is compared."""
    names = {need.company or ""}
    if company is not None:
        names |= {company.id, company.name, company.name_en, company.tax_id or ""}
    return {for_names(name) for name in names if name}


def conflicting_names(lab: Lab) -> set[str]:
    """Return what a lab's conflicts call companies, as it is compared: names, ids, and the tax ids among them."""
    named = {for_names(name) for name in lab.conflicts if name}
    return named.union(*(tax_ids_in(name) for name in lab.conflicts))


def _rule(need: Need, lab: Lab, company_names: set[str], kinds: set[str]) -> Rule | None:
    if need.excluded_labs and excluded_by(need, lab):
        return Rule.EXCLUDED
    if lab.conflicts and company_names & conflicting_names(lab):
        return Rule.CONFLICT
    if lab.capacity == 0:
        return Rule.NO_CAPACITY
    if kinds and lab.offers and not kinds & set(lab.offers):
        return Rule.NOT_OFFERED
    return None


@dataclass(frozen=True)
class LabTable:
    """The labs of `ids`, in that order; `columns` has field, school, offers, language and region.

    `known` are the labs that are still in the records; `names` and `conflicts` hold rows by name as it is
    compared.
    """

    ids: tuple[str, ...]
    profiles: tuple[Lab, ...]
    known: BoolArray
    columns: Mapping[str, Columns]
    regions: Columns
    school_types: Columns
    full: BoolArray
    names: Mapping[str, Sequence[int]]
    conflicts: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, ids: Sequence[str], labs: Mapping[str, Lab], schools: Mapping[str, School]) -> LabTable:
        """Return the table of the labs `ids`; one that is not in `labs` was removed and is never proposed."""
        profiles = tuple(labs.get(lab_id) or _removed(lab_id) for lab_id in ids)
        region = {school.id: school.region for school in schools.values()}
        sorts = {school.id: find(SchoolType, school.kind) for school in schools.values()}
        regions = _columns([(region.get(lab.school or "") or "",) for lab in profiles])
        return cls(
            ids=tuple(ids),
            profiles=profiles,
            known=np.array([lab_id in labs for lab_id in ids], dtype=bool),
            columns={
                "field": _columns([lab.fields for lab in profiles]),
                "school": _columns([(lab.school,) if lab.school else () for lab in profiles]),
                "offers": _columns([lab.offers for lab in profiles]),
                "language": _columns([lab.languages for lab in profiles]),
                "region": regions,
            },
            regions=regions,
            school_types=_columns([(sorts.get(lab.school or "") or "",) for lab in profiles]),
            full=np.array([lab.capacity == 0 for lab in profiles], dtype=bool),
            names=_rows_by_name(names_of(lab) for lab in profiles),
            conflicts=_rows_by_name(conflicting_names(lab) for lab in profiles),
        )

    def any_of(self, name: str, values: Iterable[str]) -> BoolArray:
        """Return which labs state at least one of the values."""
        found = np.zeros(len(self.ids), dtype=bool)
        for value in values:
            column = self.columns[name].get(value)
            if column is not None:
                found |= column
        return found

    def count_of(self, name: str, values: Iterable[str]) -> DoubleArray:
        """Return for each lab how many of the values it states; a repeated value counts again."""
        found = np.zeros(len(self.ids))
        for value in values:
            column = self.columns[name].get(value)
            if column is not None:
                found += column
        return found

    def in_region(self, region: str | None) -> BoolArray:
        """Return which labs' schools lie in a region; without one, none."""
        return self.regions.get(region or "-", np.zeros(len(self.ids), dtype=bool))

    def of_school_type(self, sort: str) -> BoolArray:
        """Return which labs' schools are of a sort."""
        return self.school_types.get(sort, np.zeros(len(self.ids), dtype=bool))

    def set_aside(self, need: Need, company: Company | None) -> dict[Rule, list[str]]:
        """Return what `set_aside` returns for all labs of the table, having looked only at the likely ones."""
        concerned = self.full.copy()
        for name in need.excluded_labs:
            concerned[list(self.names.get(for_names(name), ()))] = True
        for name in company_names(need, company):
            concerned[list(self.conflicts.get(name, ()))] = True
        if need.asks:
            concerned |= ~(self.any_of("offers", {ask.kind for ask in need.asks}) | self.any_of("offers", ("",)))
        return set_aside(need, (self.profiles[row] for row in np.flatnonzero(concerned)), company)


def _columns(values: Sequence[Sequence[str]]) -> Columns:
    rows: dict[str, list[int]] = {}
    for row, stated in enumerate(values):
        for value in stated or ("",):
            rows.setdefault(value, []).append(row)
    columns = {}
    for value, members in rows.items():
        columns[value] = np.zeros(len(values), dtype=bool)
        columns[value][members] = True
    return columns


def _rows_by_name(names: Iterable[Iterable[str]]) -> Mapping[str, Sequence[int]]:
    rows: dict[str, list[int]] = {}
    for row, found in enumerate(names):
        for name in found:
            rows.setdefault(name, []).append(row)
    return rows


def _removed(lab_id: str) -> Lab:
    """A lab that is still in the index but no longer in the records."""
    return Lab(lab_id, lab_id, "", "", None, (), "", "", (), (), (), None, (), (), (), ())
