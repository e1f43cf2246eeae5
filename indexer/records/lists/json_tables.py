"""Lists of objects as a person looks them through: a column for each key, a cell for each value, and back.

In: the objects of a JSON file, and what somebody corrected of them by row and column. Out: the objects as they are
meant, and a table of them to be shown. It exists so that a file of a program is mended in the same grid as an office's
list. The objects stay what is read: a key that an object does not have changes nothing, and a value that no cell can
hold, such as a lab's evidence, has no column here and comes in as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.plain_text import TextError, printable
from indexer.records.columns import COLUMNS, in_one_cell, json_value, parts_of
from indexer.records.lists.corrections import FoundTable, TableSaid
from indexer.records.lists.rows import IGNORED, OTHER, MappedColumn, TableRows
from indexer.records.lists.tables import Table
from indexer.records.values import is_blank
from indexer.vocabulary import Kind

_SAMPLES = 3
_SAMPLE_CHARS = 60
_MOST_KEYS = 200
_NO_COLUMN = frozenset({"evidence", "partners", OTHER})
"""Keys whose values are lists of objects of their own, or what other files said."""

Objects = Sequence[tuple[int, object]]


def with_cells(
    kind: Kind, rows: Objects, said: TableSaid, cells: Mapping[int, Mapping[int, str]]
) -> list[tuple[int, object]]:
    """Return objects with the cells that somebody typed, by row and by column among their keys."""
    if not cells:
        return list(rows)
    fields, keys = {column.field: column for column in COLUMNS[kind]}, _keys(rows)
    found: list[tuple[int, object]] = []
    for n, one in rows:
        if not isinstance(one, Mapping) or n not in cells:
            found.append((n, one))
            continue
        typed = {keys[number - 1]: text for number, text in cells[n].items() if 1 <= number <= len(keys)}
        meant = {key: _meant(fields.get(said.columns.get(key) or key), text) for key, text in typed.items()}
        found.append((n, {**one, **meant}))
    return found


def with_meanings(rows: Objects, said: TableSaid) -> list[tuple[int, object]]:
    """Return objects whose keys mean what somebody said, with the values that were given for all of them."""
    if not said.columns and not said.fixed:
        return list(rows)
    return [(n, _renamed(one, said) if isinstance(one, Mapping) else one) for n, one in rows]


def _renamed(one: Mapping[Any, Any], said: TableSaid) -> dict[Any, Any]:
    found = dict(one)
    for key, field in said.columns.items():
        if key not in found or field == key:
            continue
        value = found.pop(key)
        if field == "":
            found[OTHER] = {**(found.get(OTHER) or {}), key: _text(value)}
        elif field != IGNORED and is_blank(found.get(field)):
            found[field] = value
    return found | {field: value for field, value in said.fixed.items() if is_blank(found.get(field))}


def _meant(column: Any, typed: str) -> object:
    """Return what somebody typed into a cell as an object holds it."""
    if is_blank(typed):
        return None
    if (parts := parts_of(typed)) is not None:
        return parts
    try:
        return typed if column is None else json_value(column, typed)
    except TextError:
        return typed


def object_table(
    kind: Kind | None, place: int, label: str, rows: Objects, said: TableSaid, out: frozenset[int]
) -> FoundTable:
    """Return a list of objects as a table to be looked through; `out` are rows that somebody left out."""
    keys = _keys(rows)
    fields = {} if kind is None else {column.field: column for column in COLUMNS[kind]}
    shown: list[tuple[int, list[object]]] = [
        (n, [_cell(one.get(key)) for key in keys]) for n, one in rows if isinstance(one, Mapping)
    ]
    table = Table(0, [printable(key) for key in keys], [], [row for row in shown if row[0] not in out], title="")
    found = FoundTable(f"{place}-0", place, "", label, table, kind, rows_out=[row for row in shown if row[0] in out])
    if kind is not None:
        found.read = TableRows(kind)
        found.read.columns = [
            MappedColumn(printable(key), _field(said.columns.get(key, key), fields), samples=_samples(shown, n))
            for n, key in enumerate(keys)
        ]
    return found


def _field(said: str, fields: Mapping[str, Any]) -> str | None:
    return said if said in fields or said == IGNORED else None


def _keys(rows: Objects) -> list[str]:
    """Return the keys of objects in the order in which they come, those without a column left out."""
    keys = dict.fromkeys(str(key) for _, one in rows if isinstance(one, Mapping) for key in one)
    return [key for key in keys if key not in _NO_COLUMN][:_MOST_KEYS]


def _samples(rows: Sequence[tuple[int, list[object]]], n: int) -> tuple[str, ...]:
    said = [str(cells[n]) for _, cells in rows[: 8 * _SAMPLES] if not is_blank(cells[n])]
    return tuple(printable(text[:_SAMPLE_CHARS]) for text in said[:_SAMPLES])


def _cell(value: object) -> object:
    """Return a value as a cell holds it: several texts as the readers take them apart again, asks a line each."""
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            return in_one_cell(value) or None
        lines = [_line(one) for one in value]
        return "\n".join(lines) if all(line and "\n" not in line for line in lines) else _text(value)
    return value if isinstance(value, str | int | float | bool | None) else _text(value)


def _line(one: object) -> str:
    if isinstance(one, Mapping) and set(one) == {"kind", "text"}:
        return f"{one['kind']}: {one['text']}"
    return str(one) if isinstance(one, str | int | float) else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
