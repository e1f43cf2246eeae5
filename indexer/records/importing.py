"""Bringing checked records into the database.

In: a file, or rows that code already holds. Out: rows in the tables and a report of what was created, updated, left
alone and refused, with every stored value that becomes another. It exists so that the same file can be imported any
number of times: a record is found by its id, compared, and written only if it differs; and so that a list with two
columns changes these two: what a file doesn't speak of stays as it is stored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rapidfuzz import fuzz, process
from sqlalchemy import ColumnElement, Table, bindparam, delete, insert, select, update
from sqlmodel import Session, SQLModel

from indexer.folding import for_names
from indexer.plain_text import shown
from indexer.records import record_tables
from indexer.records.exchange import EvidenceIn, RowProblem, check
from indexer.records.import_log import WrittenRow, note_written
from indexer.records.mended.old_ids import with_kept_ids
from indexer.records.mended.retired import retired_ids
from indexer.records.readers import EvidenceGroup, ReadAs, Reading, check_rows, read
from indexer.records.record_tables import note_changes
from indexer.vocabulary import Kind, Mendable
from indexer.wording import T_

_IDS_PER_QUERY = 500

Key = tuple[Any, ...]
Rows = dict[Key, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One stored value that an import changes, or empties, or a stored piece of evidence that it takes away."""

    record_id: str
    field: str
    before: object
    after: object

    @property
    def empties(self) -> bool:
        """Whether nothing is left of what was stored."""
        return self.after in (None, "", [], {})


@dataclass(frozen=True)
class ImportReport:
    """What an import did. Counts are records; a lab counts once, with its evidence.

    `refused` counts rows of the file, items inside a record not included; `problems` has them all. `changes` are the
    stored values that became others, `others` the reports of further kinds in the same file.
    """

    kind: Kind | None
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    created_ids: tuple[str, ...] = ()
    updated_ids: tuple[str, ...] = ()
    changes: tuple[ValueChange, ...] = ()
    others: tuple[ImportReport, ...] = ()

    def all(self) -> tuple[ImportReport, ...]:
        """Return this report and those of further kinds."""
        return (self, *self.others)

    @property
    def errors(self) -> list[RowProblem]:
        """The problems that cost a row or an item."""
        return [problem for problem in self.problems if problem.severity == "error"]


@dataclass(frozen=True)
class _Children:
    """The child table of a kind: in which field of the record, and by which column it is tied."""

    model: type[SQLModel]
    attribute: str
    parent: str


_TABLES: dict[Kind, tuple[type[SQLModel], _Children | None]] = {
    Kind.LABS: (record_tables.Lab, _Children(record_tables.Evidence, "evidence", "lab_id")),
    Kind.NEEDS: (record_tables.Need, _Children(record_tables.Ask, "asks", "need_id")),
    Kind.COMPANIES: (record_tables.Company, None),
    Kind.SCHOOLS: (record_tables.School, None),
    Kind.ALLIANCES: (record_tables.Alliance, _Children(record_tables.AlliancePartner, "partners", "alliance_id")),
    Kind.TERMS: (record_tables.Term, None),
}


def import_file(
    session: Session, path: Path, kind: Kind | str | None = None, dry_run: bool = False, said: ReadAs | None = None
) -> ImportReport:
    """Import a JSON, CSV, XLSX, XLS or ODS file; the caller commits.

    Args:
        session: all writes happen in its transaction; nothing is committed here.
        path: the file.
        kind: what its rows are; None infers it from the columns and from the names of the file and its sheets.
        dry_run: report what would happen and write nothing.
        said: what else somebody has said of the file.

    Raises:
        OSError: the file cannot be read. Bad content is reported, never raised.
        ValueError: the kind does not exist.
    """
    first, *others = read(path, None if kind is None else Kind(kind), said).all()
    report = import_reading(session, first, dry_run)
    return replace(report, others=tuple(import_reading(session, one, dry_run) for one in others))


def import_rows(
    session: Session, kind: Kind | str, rows: Iterable[Mapping[str, Any]], name: str = "rows", dry_run: bool = False
) -> ImportReport:
    """Import records that code already holds, as `import_file` does; rows count from 1."""
    return import_reading(session, check_rows(Kind(kind), list(enumerate(rows, start=1)), name), dry_run)


def import_reading(
    session: Session,
    reading: Reading,
    dry_run: bool = False,
    batch_id: str | None = None,
    among: ColumnElement[bool] | None = None,
) -> ImportReport:
    """Import what a file was read into, or a portion of it, as `import_file` does.

    With the id of a batch (`import_log.begin_batch`), what is written is noted, so that it can be taken back. `among`
    are the stored records that a new one may be told to look like; None: all of them.
    """
    if reading.kind is None:
        return ImportReport(None, refused=reading.refused, problems=reading.problems)
    session.flush()
    kind = Kind.LABS if reading.kind is Kind.EVIDENCE else reading.kind
    model, children = _TABLES[kind]
    reading = with_kept_ids(session, _with_labs_named(session, reading))
    stored = _stored(session, model, "id", [*reading.records, *reading.evidence])
    merged = _Merged(kind, reading, stored, children)
    wanted, families = merged.wanted, merged.families
    known = {key for (key,) in [*stored, *wanted]}
    orphans = [group for lab, group in reading.evidence.items() if lab not in known]
    changes = [_changes(model, {key: row for key, row in stored.items() if key in wanted}, wanted)]
    if children:
        groups = {lab: group for lab, group in reading.evidence.items() if lab in known}
        before = _stored(session, children.model, children.parent, [*families, *groups])
        rows = _child_rows(children, families)
        rows.update(_evidence_rows(groups, before))
        changes.append(_changes(children.model, before, rows))
        families = {**families, **{lab: group.items for lab, group in groups.items()}}
    created = {key for (key,) in wanted if (key,) not in stored}
    reminded = _retired(session, kind, reading, [key for (key,) in wanted])
    new = {key: wanted[key,] for key in created & reading.made_ids}
    proposed = _likely_same(session, kind, reading, new, among)
    touched = {key[0] for change in changes for key in change.touched()} - created
    planned = tuple(one for change in changes for one in change.values())
    if not dry_run:
        for change in changes:
            change.apply(session)
        if batch_id is not None:
            note_written(session, batch_id, [row for change in changes for row in change.written()])
        note_changes(session, kind, created | touched)
        session.expire_all()
    unchanged = len(({key for (key,) in wanted} | set(families)) - created - touched)
    return ImportReport(
        reading.kind,
        created=len(created),
        created_ids=tuple(sorted(created)),
        updated=len(touched),
        updated_ids=tuple(sorted(touched)),
        unchanged=unchanged,
        refused=reading.refused + len(merged.refused) + sum(group.rows for group in orphans),
        problems=sorted(
            [*reading.problems, *merged.problems, *proposed, *reminded, *map(_orphaned, orphans)],
            key=lambda problem: (problem.file, problem.row),
        ),
        changes=planned,
    )


class _Merged:
    """What a file says of records over what is stored of them: a field that it doesn't speak of stays."""

    def __init__(self, kind: Kind, reading: Reading, stored: Rows, children: _Children | None) -> None:
        self.wanted: Rows = {}
        self.families: dict[str, Sequence[BaseModel]] = {}
        self.problems: list[RowProblem] = []
        self.refused: set[str] = set()
        aside = {children.attribute} if children else set()
        for key, record in reading.records.items():
            given = reading.given.get(key)
            before = stored.get((key,))
            row = _row(record, aside)
            if before is not None and given is not None:
                kept = {name: value for name, value in before.items() if name not in given}
                if "name" in kept or ("name" in row and "name" not in given):
                    row.pop("name", None)
                # What other files said beside our fields stays beside what this one says.
                other = {"other": {**before["other"], **row["other"]}} if "other" in row else {}
                row = {**row, **kept, **other, "id": key}
            checked = self._whole(kind, reading, record, row, aside)
            if checked is None:
                self.refused.add(key)
                continue
            self.wanted[key,] = checked
            items = getattr(record, children.attribute) if children else None
            if items is not None and (
                given is None or before is None or children is None or children.attribute in given
            ):
                self.families[key] = items

    def _whole(
        self, kind: Kind, reading: Reading, record: BaseModel, row: dict[str, Any], aside: set[str]
    ) -> dict[str, Any] | None:
        """Return a row that keeps the rules over several fields, None if it breaks one that costs it."""
        if kind not in _RULED:
            return row
        checked = check(kind, row, lenient=True)
        key = str(row["id"])
        place = (reading.file_of(key), reading.first_rows.get(key, 0))
        self.problems += [fault.at(*place) for fault in checked.faults]
        if checked.record is None:
            return None
        return _row(checked.record, aside) if row.keys() <= type(record).model_fields.keys() else row


def _row(record: BaseModel, aside: Collection[str]) -> dict[str, Any]:
    """Return the fields of a record; what it holds of other records is aside, so nothing in them has to be turned."""
    return {name: value for name, value in record if name not in aside}


_RULED = (Kind.NEEDS, Kind.COMPANIES, Kind.ALLIANCES)
"""Kinds with rules over several fields."""


def _evidence_rows(groups: Mapping[str, EvidenceGroup], before: Rows) -> Rows:
    """Return what is wanted of labs whose evidence stands in rows of its own.

    A row without an id is the stored one of the same title; what its file has no column for stays as it is stored.
    """
    by_lab: dict[str, list[dict[str, Any]]] = {}
    for (lab, _), row in before.items():
        by_lab.setdefault(lab, []).append(row)
    rows: Rows = {}
    for lab, group in groups.items():
        own = {row["id"]: row for row in by_lab.get(lab, [])}
        titled = {for_names(row["title"]): row["id"] for row in own.values() if row["title"]}
        taken: set[str] = set()
        for position, item in enumerate(group.items, start=1):
            key = item.id
            if not group.has_ids:
                same = titled.get(for_names(item.title)) if item.title else None
                key = same if same is not None and same not in taken else _free_id(lab, position, {*own, *taken})
                taken.add(key)
            row = {"lab_id": lab, "position": position, **item.model_dump(), "id": key}
            if key in own and group.given:
                row.update({name: value for name, value in own[key].items() if name in item_fields() - group.given})
            rows[lab, key] = row
    return rows


def item_fields() -> frozenset[str]:
    """Return the fields of a piece of evidence beside its id."""
    return frozenset(EvidenceIn.model_fields) - {"id"}


def _free_id(lab: str, position: int, taken: Collection[str]) -> str:
    n = position
    while (key := f"{lab}#{n}") in taken:
        n += 1
    return key


def _with_labs_named(session: Session, reading: Reading) -> Reading:
    """Return a reading whose evidence is under the ids of labs that its rows name by name, where only one has it."""
    if not reading.evidence:
        return reading
    table = _table(record_tables.Lab)
    known = set(_stored(session, record_tables.Lab, "id", list(reading.evidence)))
    unknown = [lab for lab in reading.evidence if (lab,) not in known and lab not in reading.records]
    if not unknown:
        return reading
    by_name: dict[str, set[str]] = {}
    rows = session.connection().execute(select(table.c.id, table.c.name, table.c.name_en)).all()
    own = [(key, one.name, one.name_en) for key, one in reading.records.items() if reading.kind is Kind.LABS]
    for key, name, name_en in [*rows, *own]:
        for said in {for_names(name), for_names(name_en)} - {""}:
            by_name.setdefault(said, set()).add(str(key))
    evidence: dict[str, EvidenceGroup] = {}
    for lab, group in reading.evidence.items():
        ids = by_name.get(for_names(lab), set()) if lab in unknown else set()
        key = next(iter(ids)) if len(ids) == 1 else lab
        evidence[key] = group
    return replace(reading, evidence=evidence)


_MENDED = {
    Kind.LABS: Mendable.LAB,
    Kind.NEEDS: Mendable.NEED,
    Kind.COMPANIES: Mendable.COMPANY,
    Kind.SCHOOLS: Mendable.SCHOOL,
}


def _retired(session: Session, kind: Kind, reading: Reading, ids: Sequence[str]) -> list[RowProblem]:
    """Say which records are stored, and stay out of use all the same: a list does not undo what somebody decided."""
    if kind not in _MENDED:
        return []
    found = []
    for key in sorted(retired_ids(session, _MENDED[kind], ids)):
        wrong = T_("%(id)s is retired; what the row says is stored, and it stays out of use", id=shown(key))
        right = T_("leave the row out, or take the record back into use: gloria retire --undo")
        found.append(RowProblem(reading.file_of(key), reading.first_rows.get(key, 0), "id", wrong, right, "warning"))
    return found


_NAMES = {
    Kind.LABS: ("name", "name_en", "pi"),
    Kind.NEEDS: ("title",),
    Kind.COMPANIES: ("name", "name_en", "tax_id"),
    Kind.SCHOOLS: ("name", "name_en"),
    Kind.ALLIANCES: ("name", "name_en"),
}
_BESIDE = {Kind.LABS: "school", Kind.NEEDS: "company"}
"""Whose name has to be the same too, where both say it."""
_ALIKE = 92.0
_MOST_COMPARED = 2_000_000
"""Pairs of names that are compared letter by letter; of more only the same names are found."""


def _likely_same(
    session: Session,
    kind: Kind,
    reading: Reading,
    created: Mapping[str, Mapping[str, Any]],
    among: ColumnElement[bool] | None = None,
) -> list[RowProblem]:
    """Say which records with made ids look like one that is stored under another id; nothing is overwritten."""
    if not created or kind not in _NAMES:
        return []
    table = _table(_TABLES[kind][0])
    beside = _BESIDE.get(kind)
    columns = [table.c.id, *(table.c[name] for name in _NAMES[kind]), *([table.c[beside]] if beside else [])]
    query = select(*columns) if among is None else select(*columns).where(among)
    stored = [dict(row) for row in session.connection().execute(query).mappings()]
    by_name: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for known in stored:
        for name in _NAMES[kind]:
            if known[name]:
                by_name.setdefault((name, for_names(str(known[name]))), []).append(known)
    likely: dict[tuple[str, str], list[str]] = {}
    if len(created) * len(stored) <= _MOST_COMPARED:
        for name, said in by_name:
            likely.setdefault((name, _digits(said)), []).append(said)
    found = []
    for key, row in created.items():
        same = _same_as(row, by_name, likely, _NAMES[kind], beside)
        if same is not None:
            wrong = T_(
                "looks like %(id)s, which is stored (%(name)s)", id=same["id"], name=shown(same[_NAMES[kind][0]])
            )
            right = T_("if it is the same, give the row that id; nothing was overwritten")
            file, place = reading.file_of(key), reading.first_rows.get(key, 0)
            found.append(RowProblem(file, place, "id", wrong, right, "warning"))
    return found


def _digits(name: str) -> str:
    """Return the numbers in a name: 第 1 實驗室 and 第 2 實驗室 are alike, and two."""
    return " ".join(re.findall(r"\d+", name))


def _same_as(
    row: Mapping[str, Any],
    by_name: Mapping[tuple[str, str], Sequence[dict[str, Any]]],
    likely: Mapping[tuple[str, str], Sequence[str]],
    names: Sequence[str],
    beside: str | None,
) -> dict[str, Any] | None:
    for name in names:
        said = for_names(str(row[name])) if row.get(name) else ""
        if not said:
            continue
        close = by_name.get((name, said), ())
        if not close and name != "tax_id":
            choices = likely.get((name, _digits(said)), ())
            best = process.extractOne(said, choices, scorer=fuzz.ratio, score_cutoff=_ALIKE)
            close = by_name[name, best[0]] if best else ()
        for one in close:
            if not beside or not one[beside] or not row.get(beside) or for_names(one[beside]) == for_names(row[beside]):
                return one
    return None


def _orphaned(group: EvidenceGroup) -> RowProblem:
    wrong = T_("there is no lab %(lab)s in this file or in the database", lab=shown(group.lab))
    return RowProblem(group.file, group.row, "lab", wrong, T_("import the lab first or correct the id"))


def _child_rows(children: _Children, families: Mapping[str, Sequence[BaseModel]]) -> Rows:
    rows: Rows = {}
    keys = _primary_key(children.model)
    for parent, items in families.items():
        for position, item in enumerate(items, start=1):
            row = {children.parent: parent, "position": position, **item.model_dump()}
            rows[tuple(row[key] for key in keys)] = row
    return rows


@dataclass(frozen=True)
class _Changes:
    """What must be written to one table so that it holds what is wanted."""

    table: Table
    inserted: Rows
    updated: Rows
    deleted: list[Key]
    before: Rows

    def values(self) -> Iterator[ValueChange]:
        """Yield the stored values that change, of records that were there before."""
        for key, row in self.updated.items():
            for name, value in row.items():
                if name != "position" and self.before[key].get(name) != value:
                    yield ValueChange(str(key[0]), _named(key, name), self.before[key].get(name), value)
        for key in self.deleted:
            row = self.before[key]
            said = next((row[name] for name in ("title", "text", "school") if row.get(name)), str(key[-1]))
            yield ValueChange(str(key[0]), str(self.table.name), said, None)

    def written(self) -> Iterator[WrittenRow]:
        """Yield each row that is written, as it was and as it becomes; what was left out of a row is as it was."""
        name = str(self.table.name)
        for key in self.deleted:
            yield WrittenRow(name, key, self.before[key], None)
        for key, row in self.updated.items():
            yield WrittenRow(name, key, self.before[key], {**self.before[key], **row})
        for key, row in self.inserted.items():
            yield WrittenRow(name, key, None, row)

    def touched(self) -> list[Key]:
        """The primary keys of all rows to be written."""
        return [*self.inserted, *self.updated, *self.deleted]

    def apply(self, session: Session) -> None:
        """Write the changes in the session's transaction."""
        keys = [column.name for column in self.table.primary_key]
        these = [self.table.c[name] == bindparam(f"key_{name}") for name in keys]
        if self.deleted:
            gone = [{f"key_{name}": part for name, part in zip(keys, key, strict=True)} for key in self.deleted]
            session.connection().execute(delete(self.table).where(*these), gone)
        if self.updated:
            # The key goes into WHERE only: writing it again would make the database check every reference to it.
            rows = [
                {f"key_{name}" if name in keys else name: value for name, value in row.items()}
                for row in self.updated.values()
            ]
            session.connection().execute(update(self.table).where(*these), rows)
        if self.inserted:
            session.connection().execute(insert(self.table), list(self.inserted.values()))


def _changes(model: type[SQLModel], stored: Rows, wanted: Rows) -> _Changes:
    return _Changes(
        _table(model),
        inserted={key: row for key, row in wanted.items() if key not in stored},
        updated={key: row for key, row in wanted.items() if key in stored and stored[key] != row},
        deleted=[key for key in stored if key not in wanted],
        before=stored,
    )


def _named(key: Key, name: str) -> str:
    return name if len(key) == 1 else f"{key[-1]}.{name}"


def _stored(session: Session, model: type[SQLModel], column: str, ids: Sequence[str]) -> Rows:
    """Return the stored rows whose `column` is one of `ids`, by primary key."""
    table = _table(model)
    keys = _primary_key(model)
    rows: Rows = {}
    for start in range(0, len(ids), _IDS_PER_QUERY):
        query = select(table).where(table.c[column].in_(ids[start : start + _IDS_PER_QUERY]))
        for row in session.connection().execute(query).mappings():
            rows[tuple(row[key] for key in keys)] = dict(row)
    return rows


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def _primary_key(model: type[SQLModel]) -> list[str]:
    return [column.name for column in _table(model).primary_key]
