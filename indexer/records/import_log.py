"""What each import changed, so that the whole of it can be taken back; and what files of a source call our fields.

In: the rows that an import writes, in its own transaction; a name for a mapping of columns. Out: the rows as they were,
put back in one piece, or why that can't be: somebody has changed them since, or something rests on them. It exists
because a list that was the wrong one must not cost a day, and because an office sends the same headings each
year.

A row after an import is kept as a hash only: it is there to be compared, and what it said is in the tables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, String, Table, cast, delete, insert, or_, select, update
from sqlmodel import Field, Session, SQLModel, col
from sqlmodel import select as sql_select

from indexer.folding import for_names
from indexer.instants import Instant
from indexer.records.record_tables import note_changes
from indexer.vocabulary import Kind
from indexer.wording import T_, Text, listed

_AT_ONCE = 400
_OWN = {"evidence": "lab_id", "ask": "need_id", "alliance_partner": "alliance_id"}
"""Tables whose rows are part of a record, and the column that says of which."""
_GO_WITH = frozenset({"field_map_lab", "field_map_need", "client"})
"""Tables whose rows are made of a record, or hand it over, and go with it."""
_OPENED = {"need_intake": None, "need_step": "old"}
"""Tables whose first row says that a record came in, and the column that a later row has: the first goes with it."""
_KINDS = {
    "lab": Kind.LABS, "need": Kind.NEEDS, "company": Kind.COMPANIES, "school": Kind.SCHOOLS,
    "alliance": Kind.ALLIANCES, "term": Kind.TERMS,
}  # fmt: skip
_NAMED_IN = {"school": (("lab", "school"), ("need", "school")), "company": (("need", "company"),)}
"""Where a record is named without a foreign key."""
_TOLD = 5
_ROWS: dict[str, Text] = {
    "lab": T_("labs"), "company": T_("companies"), "need": T_("needs"), "school": T_("schools"),
    "alliance": T_("alliances"), "term": T_("terms in two languages"), "account": T_("accounts"),
    "evidence": T_("pieces of evidence"),
    "ask": T_("asks of needs"), "alliance_partner": T_("partners of alliances"), "record_merge": T_("mergings"),
    "pairing": T_("pairings with labs"), "proposal": T_("proposals"), "decision": T_("decisions"),
    "release": T_("releases to companies"), "case_file": T_("cases of companies and labs"), "contact": T_("contacts"),
    "need_step": T_("steps of needs"), "need_share": T_("needs shared with alliances"),
    "need_steering": T_("steerings of needs"),
    "case_team": T_("teams for needs"), "hand_over": T_("work handed on"),
    "portfolio_plan": T_("plans for all needs"),
    "need_chain": T_("chains of companies"), "diagnosis_visit": T_("joint visits to companies"),
    "lab_question": T_("questions to labs"),
    "need_draft": T_("drafts of needs"),
    "need_intake": T_("needs taken up"), "client": T_("companies looked after"),
    "client_request": T_("requests to look after companies"), "lab_claim": T_("claims by researchers"),
    "lab_edit": T_("changes by researchers"), "lab_school": T_("former schools of labs"), "role_grant": T_("roles"),
    "stake": T_("declared interests"), "shortlist": T_("shortlists"), "shortlisted_lab": T_("shortlists"),
    "judged_pair": T_("judged pairs"), "ledger_entry": T_("results in the ledger"),
    "school_total": T_("totals of a year"), "retirement": T_("records that were retired or merged"),
}  # fmt: skip
"""What the rows of a table are, in words."""


def rows_in_words(counted: Mapping[str, int]) -> Text:
    """Return how many rows of some tables there are, in words; what has none is called other records."""
    words: Counter[Text] = Counter()
    for table, n in counted.items():
        words[_ROWS.get(table, T_("other records"))] += n
    return listed([T_("%(what)s (%(n)s)", what=what, n=n) for what, n in words.most_common(_TOLD)])


class UndoError(ValueError):
    """An import can't be taken back; the message says why."""


class MappingError(ValueError):
    """A mapping can't be kept; the message says why."""


MAX_MAPPINGS = 50
"""Mappings of one account."""


class ImportBatch(SQLModel, table=True):
    """One import of one file; its id is that of the job where a server carried it out."""

    __tablename__ = "import_batch"

    id: str = Field(primary_key=True)
    file: str
    begun_at: datetime = Field(sa_type=Instant)
    undone_at: datetime | None = Field(default=None, sa_type=Instant)


class ImportChange(SQLModel, table=True):
    """One row that an import wrote: as it was before (null: it was not there), and a hash of it afterwards."""

    __tablename__ = "import_change"

    batch_id: str = Field(sa_column=Column(String, ForeignKey("import_batch.id", ondelete="CASCADE"), primary_key=True))
    n: int = Field(primary_key=True)
    table_name: str
    row_key: list[str | int] = Field(sa_column=Column(JSON, nullable=False))
    before: dict[str, Any] | None = Field(sa_column=Column(JSON(none_as_null=True), nullable=True))
    after: str | None


class SavedMapping(SQLModel, table=True):
    """What the files of one source call our fields: `fields` gives for each heading a field, or `-` for none.

    `name` is folded, `title` as it was typed. `account_id` is whose it is; one that a command kept is everybody's to
    use, and nobody's to replace in pages.
    """

    __tablename__ = "saved_mapping"

    name: str = Field(primary_key=True)
    kind: str | None
    sheet: str | None
    fields: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    saved_at: datetime = Field(sa_type=Instant)
    account_id: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """One row that was written: None before if it is new, None after if it is gone."""

    table: str
    key: tuple[Any, ...]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking an import back came to: records that are gone, and records that are as they were."""

    file: str
    removed: int
    restored: int
    ids: tuple[tuple[Kind, str], ...]


def save_mapping(
    session: Session, name: str, *, kind: Kind | None, sheet: str | None, fields: Mapping[str, str], now: datetime
) -> None:
    """Keep a mapping under a name; one of the same name is replaced. The caller commits."""
    stored = session.get(SavedMapping, for_names(name)) or SavedMapping(
        name=for_names(name), kind=None, sheet=None, fields={}, saved_at=now
    )
    stored.title = name
    stored.kind, stored.sheet, stored.fields, stored.saved_at = kind and kind.value, sheet, dict(fields), now
    session.add(stored)
    session.flush()


def saved_mapping(session: Session, name: str) -> SavedMapping | None:
    """Return the mapping of a name, however it is spelled."""
    return session.get(SavedMapping, for_names(name))


def keep_own_mapping(
    session: Session, name: str, *, account_id: str, kind: Kind, fields: Mapping[str, str], now: datetime
) -> None:
    """Keep a mapping of an account's own under a name. The caller commits.

    Raises:
        MappingError: the name is another's, or the account has too many.
    """
    stored = saved_mapping(session, name)
    if stored is not None and stored.account_id != account_id:
        raise MappingError(T_("the name %(name)s is taken; choose another", name=name))
    if stored is None and len(mappings_of(session, account_id)) >= MAX_MAPPINGS:
        raise MappingError(T_("you keep %(most)s mappings already; delete one first", most=MAX_MAPPINGS))
    save_mapping(session, name, kind=kind, sheet=None, fields=fields, now=now)
    kept = saved_mapping(session, name)
    if kept is not None:
        kept.account_id = account_id
        session.add(kept)
        session.flush()


def mappings_of(session: Session, account_id: str) -> list[SavedMapping]:
    """Return the mappings that an account may use: its own, and those that are nobody's, by name."""
    mine = or_(col(SavedMapping.account_id) == account_id, col(SavedMapping.account_id).is_(None))
    return list(session.exec(sql_select(SavedMapping).where(mine).order_by(col(SavedMapping.name)).limit(500)).all())


def drop_own_mapping(session: Session, name: str, *, account_id: str) -> bool:
    """Delete a mapping of an account's own; False if there is none."""
    stored = saved_mapping(session, name)
    if stored is None or stored.account_id != account_id:
        return False
    session.delete(stored)
    session.flush()
    return True


def batches(session: Session, ids: Sequence[str]) -> dict[str, ImportBatch]:
    """Return imports by id, those that stored anything."""
    found = session.exec(sql_select(ImportBatch).where(col(ImportBatch.id).in_(list(ids)))).all()
    return {one.id: one for one in found}


def created_in(session: Session, batch_id: str, kind: Kind, most: int) -> list[str]:
    """Return the ids of records of a kind that an import created, in its order."""
    table = next(name for name, one in _KINDS.items() if one is kind)
    query = (
        sql_select(ImportChange.row_key)
        .where(ImportChange.batch_id == batch_id, ImportChange.table_name == table, col(ImportChange.before).is_(None))
        .order_by(col(ImportChange.n))
        .limit(most)
    )
    return [str(key[0]) for key in session.exec(query).all()]


def begin_batch(session: Session, batch_id: str, file: str, now: datetime) -> None:
    """Begin to note what an import writes, or go on with it."""
    if session.get(ImportBatch, batch_id) is None:
        session.add(ImportBatch(id=batch_id, file=file, begun_at=now))
        session.flush()


def note_written(session: Session, batch_id: str, written: Sequence[WrittenRow]) -> None:
    """Note rows that an import writes in this transaction."""
    if not written:
        return
    change: Table = ImportChange.__table__  # type: ignore[attr-defined]
    last = (
        session.connection()
        .execute(select(change.c.n).where(change.c.batch_id == batch_id).order_by(change.c.n.desc()).limit(1))
        .scalar()
    )
    rows = [
        {
            "batch_id": batch_id,
            "n": n,
            "table_name": one.table,
            "row_key": list(one.key),
            "before": None if one.before is None else _plain(one.before),
            "after": None if one.after is None else _digest(one.after),
        }
        for n, one in enumerate(written, start=(last or 0) + 1)
    ]
    session.connection().execute(insert(change), rows)


def free_before(
    session: Session,
    tables: Iterable[str],
    freed: Callable[[str, dict[str, Any]], dict[str, Any]],
    *,
    of: str | None = None,
) -> None:
    """Take somebody out of what rows said before an import.

    Args:
        session: the transaction.
        tables: whose rows are meant.
        freed: gets a table's name with such a row, and returns it as it is to be kept.
        of: only rows of the record with this id.
    """
    query = sql_select(ImportChange).where(
        col(ImportChange.table_name).in_(list(tables)), col(ImportChange.before).is_not(None)
    )
    if of is not None:
        query = query.where(cast(col(ImportChange.row_key), String).startswith(json.dumps([of])[:-1], autoescape=True))
    for noted in session.exec(query).all():
        said, kept = noted.before or {}, freed(noted.table_name, noted.before or {})
        if kept != said:
            noted.before = kept
            session.add(noted)
    session.flush()


def undo(session: Session, batch_id: str, now: datetime) -> Undone:
    """Put back what an import changed, all of it or nothing; the caller commits, or rolls back after an error.

    Raises:
        UndoError: there is no such import, it was taken back already, its records were changed since, or something
            rests on one of them.
    """
    batch = session.get(ImportBatch, batch_id)
    if batch is None:
        raise UndoError(T_("there is no import %(id)s", id=batch_id))
    if batch.undone_at is not None:
        raise UndoError(T_("import %(id)s was taken back already", id=batch_id))
    session.flush()
    # Later rows first, and of a row that was written twice the state before the first time wins in the end.
    query = select(ImportChange.__table__).where(ImportChange.__table__.c.batch_id == batch_id)  # type: ignore[attr-defined]
    changes = sorted(session.connection().execute(query).mappings(), key=lambda row: -int(row["n"]))
    created = {
        (str(row["table_name"]), str(row["row_key"][0]))
        for row in changes
        if row["before"] is None and row["table_name"] in _KINDS
    }
    _refuse_changed(session, changes)
    # Said first: the database lets what goes with a record go only with an import that is taken back.
    batch.undone_at = now
    session.add(batch)
    session.flush()
    _refuse_used(session, created)
    touched: dict[Kind, set[str]] = {}
    for row in changes:
        table = _table(str(row["table_name"]))
        _put_back(session, table, row["row_key"], row["before"])
        kind = _KINDS[_parent_of(table.name)]
        touched.setdefault(kind, set()).add(str(row["row_key"][0]))
    for kind, ids in touched.items():
        note_changes(session, kind, ids)
    session.flush()
    session.expire_all()
    named = tuple((kind, one) for kind in touched for one in sorted(touched[kind]))
    return Undone(batch.file, len(created), len(named) - len(created), named)


def _parent_of(table: str) -> str:
    return {"evidence": "lab", "ask": "need", "alliance_partner": "alliance"}.get(table, table)


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}


def _digest(row: Mapping[str, Any]) -> str:
    said = json.dumps(_plain(row), ensure_ascii=False, sort_keys=True, default=str)
    return sha256(said.encode()).hexdigest()[:32]


def _refuse_changed(session: Session, changes: Sequence[Mapping[Any, Any]]) -> None:
    """Refuse if a row is no longer as the import left it."""
    latest: dict[tuple[str, tuple[Any, ...]], str | None] = {}
    for row in changes:
        latest.setdefault((str(row["table_name"]), tuple(row["row_key"])), row["after"])
    changed: list[tuple[str, str]] = []
    for table_name in dict.fromkeys(name for name, _ in latest):
        wanted = {key: after for (name, key), after in latest.items() if name == table_name}
        stored = _rows_of(session, _table(table_name), wanted)
        changed += [
            (_parent_of(table_name), str(key[0]))
            for key, after in wanted.items()
            if after != (_digest(stored[key]) if key in stored else None)
        ]
    if changed:
        some = listed(_called(session, *one) for one in sorted(set(changed))[:_TOLD])
        raise UndoError(
            T_(
                "%(n)s records were changed since: %(listed)s; correct them one by one",
                n=len(set(changed)),
                listed=some,
            )
        )


def _called(session: Session, table_name: str, record_id: str) -> str:
    """Return what a record is called; a need is known by its id to whoever may not read it."""
    table = _table(table_name)
    name = next((column for column in ("name", "zh") if column in table.c), None)
    if name is None:
        return record_id
    found = session.connection().execute(select(table.c[name]).where(table.c.id == record_id)).scalar()
    return str(found or record_id)


def _rows_of(session: Session, table: Table, keys: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    names = [column.name for column in table.primary_key]
    first = sorted({str(key[0]) for key in keys})
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for start in range(0, len(first), _AT_ONCE):
        query = select(table).where(table.c[names[0]].in_(first[start : start + _AT_ONCE]))
        for row in session.connection().execute(query).mappings():
            rows[tuple(row[name] for name in names)] = dict(row)
    return rows


def _refuse_used(session: Session, created: set[tuple[str, str]]) -> None:
    """Refuse if anything that is no part of the import refers to a record that would be gone."""
    found: Counter[str] = Counter()
    for table_name in sorted({name for name, _ in created}):
        ids = sorted(key for name, key in created if name == table_name)
        for table in SQLModel.metadata.tables.values():
            columns = [fk.parent.name for fk in table.foreign_keys if fk.column.table.name == table_name]
            columns += [c.name for c in table.columns if c.name == f"{table_name}_id" and not c.foreign_keys]
            columns += [c for owner, c in _NAMED_IN.get(table_name, ()) if owner == table.name]
            for column in dict.fromkeys(columns):
                found[table.name] += _used(session, table, column, ids, created)
        found["retirement"] += _mended(session, table_name, ids)
    found = +found
    if found:
        what = rows_in_words(found)
        raise UndoError(T_("something rests on what it created: %(listed)s; retire the records instead", listed=what))


def _mended(session: Session, table_name: str, ids: Sequence[str]) -> int:
    """Count what was said of records since: that they are retired, or were merged with others."""
    retired, merged = _table("retirement"), _table("record_merge")
    count = 0
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        either = merged.c.gone_id.in_(some) | merged.c.kept_id.in_(some)
        for table, names in ((retired, retired.c.record_id.in_(some)), (merged, either)):
            query = select(table.c.id).where(table.c.kind == table_name, names)
            count += len(session.connection().execute(query).all())
    return count


def _used(session: Session, table: Table, column: str, ids: Sequence[str], created: set[tuple[str, str]]) -> int:
    """Count the rows that refer to records that would be gone; delete those that go with them."""
    if table.name in _OWN and _OWN[table.name] == column:
        return 0
    count = 0
    for start in range(0, len(ids), _AT_ONCE):
        refers = table.c[column].in_(ids[start : start + _AT_ONCE])
        if table.name in _GO_WITH:
            session.connection().execute(delete(table).where(refers))
            continue
        if table.name in _OPENED:
            later = _OPENED[table.name]
            if later is not None:
                moved = select(table.c[column]).where(refers, table.c[later].is_not(None))
                count += len(session.connection().execute(moved).all())
            if not count:
                session.connection().execute(delete(table).where(refers))
            continue
        key = next(iter(table.primary_key)) if table.primary_key else table.c[column]
        rows = session.connection().execute(select(key).where(refers)).scalars()
        count += sum((table.name, str(row)) not in created for row in rows)
    return count


def _put_back(session: Session, table: Table, row_key: Sequence[Any], before: Mapping[str, Any] | None) -> None:
    names = [column.name for column in table.primary_key]
    this = [table.c[name] == part for name, part in zip(names, row_key, strict=True)]
    if before is None:
        session.connection().execute(delete(table).where(*this))
        return
    row = {name: _typed(table, name, value) for name, value in before.items() if name in table.c}
    values = {name: value for name, value in row.items() if name not in names}
    if session.connection().execute(select(table.c[names[0]]).where(*this)).first() is None:
        session.connection().execute(insert(table).values(**row))
    elif values:
        session.connection().execute(update(table).where(*this).values(**values))


def _typed(table: Table, name: str, value: Any) -> Any:
    if isinstance(value, str) and table.c[name].type.python_type is date:
        return date.fromisoformat(value)
    return value
