"""Bringing checked records into the database.

In: a file, or rows that code already holds. Out: rows in the tables and a
report of what was created, updated, left alone and refused. It exists so that
the same file can be imported any number of times: a record is found by its id,
compared, and written only if it differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlmodel import Session, SQLModel

from indexer.plain_text import shown
from indexer.records import record_tables
from indexer.records.exchange import RowProblem
from indexer.records.readers import EvidenceGroup, Reading, check_rows, read
from indexer.records.record_tables import note_changes
from indexer.vocabulary import Kind
from indexer.wording import T_

_IDS_PER_QUERY = 500

Key = tuple[Any, ...]
Rows = dict[Key, dict[str, Any]]


@dataclass(frozen=True)
class ImportReport:
    """What an import did. Counts are records; a lab counts once, with its evidence.

    `refused` counts rows of the file, items inside a record not included; `problems` has them all.
    """

    kind: Kind | None
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    created_ids: tuple[str, ...] = ()
    updated_ids: tuple[str, ...] = ()

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


def import_file(session: Session, path: Path, kind: Kind | str | None = None, dry_run: bool = False) -> ImportReport:
    """Import a JSONL, CSV, XLSX or ODS file; the caller commits.

    Args:
        session: all writes happen in its transaction; nothing is committed here.
        path: the file.
        kind: what its rows are; None infers it from the file's name, its sheets or its fields.
        dry_run: report what would happen and write nothing.

    Raises:
        OSError: the file cannot be read. Bad content is reported, never raised.
        ValueError: the kind does not exist.
    """
    return import_reading(session, read(path, None if kind is None else Kind(kind)), dry_run)


def import_rows(
    session: Session, kind: Kind | str, rows: Iterable[Mapping[str, Any]], name: str = "rows", dry_run: bool = False
) -> ImportReport:
    """Import records that code already holds, as `import_file` does; rows count from 1."""
    return import_reading(session, check_rows(Kind(kind), list(enumerate(rows, start=1)), name), dry_run)


def import_reading(session: Session, reading: Reading, dry_run: bool = False) -> ImportReport:
    """Import what a file was read into, or a portion of it, as `import_file` does."""
    if reading.kind is None:
        return ImportReport(None, refused=reading.refused, problems=reading.problems)
    session.flush()
    model, children = _TABLES[Kind.LABS if reading.kind is Kind.EVIDENCE else reading.kind]
    stored = _stored(session, model, "id", [*reading.records, *reading.evidence])
    families: dict[str, Sequence[BaseModel]] = {}
    wanted: Rows = {}
    for key, record in reading.records.items():
        wanted[key,] = record.model_dump(exclude={children.attribute} if children else None)
        items = getattr(record, children.attribute) if children else None
        if items is not None:
            families[key] = items
    known = {key for (key,) in [*stored, *wanted]}
    orphans = [group for lab, group in reading.evidence.items() if lab not in known]
    families.update({lab: group.items for lab, group in reading.evidence.items() if lab in known})
    changes = [_changes(model, {key: row for key, row in stored.items() if key in wanted}, wanted)]
    if children:
        before = _stored(session, children.model, children.parent, list(families))
        changes.append(_changes(children.model, before, _child_rows(children, families)))
    created = {key for (key,) in wanted if (key,) not in stored}
    touched = {key[0] for change in changes for key in change.touched()} - created
    if not dry_run:
        for change in changes:
            change.apply(session)
        note_changes(session, Kind.LABS if reading.kind is Kind.EVIDENCE else reading.kind, created | touched)
        session.expire_all()
    unchanged = len(({key for (key,) in wanted} | set(families)) - created - touched)
    return ImportReport(
        reading.kind,
        created=len(created),
        created_ids=tuple(sorted(created)),
        updated=len(touched),
        updated_ids=tuple(sorted(touched)),
        unchanged=unchanged,
        refused=reading.refused + sum(group.rows for group in orphans),
        problems=sorted([*reading.problems, *map(_orphaned, orphans)], key=lambda problem: (problem.file, problem.row)),
    )


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
    )


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
