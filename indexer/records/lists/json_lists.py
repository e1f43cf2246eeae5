"""JSON as people send it: lines of objects, arrays, one object over many lines, lists in a wrapper; and as a table.

In: the bytes of a file, and what somebody corrected of its objects by row and column. Out: its objects by the list that
holds them, numbered by line or by position, what is no JSON, and a table of them to be shown. Python's parser accepts
more than JSON (NaN, Infinity) and raises on what a user should be told about (deep nesting, digits without end, half a
line); and a register gives one record over a thousand lines, or `{"results": […]}`, where a message for each line
would tell nobody anything.

A file of a program is mended in the same grid as an office's list, a column for each key, a cell for each value. The
objects stay what is read: a key that an object does not have changes nothing, and a value that no cell can hold, such
as a lab's evidence, has no column and comes in as it is.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from indexer.plain_text import TextError, printable
from indexer.records.columns import COLUMNS, in_one_cell, json_value, parts_of
from indexer.records.exchange import MODELS, RowProblem
from indexer.records.lists.corrections import FoundTable, TableSaid
from indexer.records.lists.rows import IGNORED, OTHER, MappedColumn, TableRows
from indexer.records.lists.tables import Table
from indexer.records.values import is_blank
from indexer.vocabulary import Kind
from indexer.wording import T_, recognised


class _NotJsonError(ValueError):
    """A value that is not JSON; the message says what it is."""


MAX_VALUES = 2_000_000
"""Counted before anything is parsed, by the marks that stand around values: a value takes many times its text."""
_MARKS = (b",", b":", b"[", b"{", b"\n")
_EXAMPLE = T_('give one object a line, such as {"id": "lab-1"}')


NumberedObjects = list[tuple[int, object]]


def json_lists(data: bytes, name: str) -> tuple[list[tuple[str, NumberedObjects]], list[RowProblem]]:
    """Return the lists of objects of a file by what holds them ("" for the file itself), and the bad rows.

    Objects are numbered by their line, or in a list by their position.

    Args:
        data: UTF-8 (a byte order mark is skipped), or UTF-16 with a byte order mark.
        name: the file's name for the problems.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError:
            return [], [RowProblem(name, 0, "", T_("is not valid UTF-16"), T_("save it as UTF-8"))]
    data = data.removeprefix(codecs.BOM_UTF8)
    if sum(map(data.count, _MARKS)) > MAX_VALUES:
        wrong = T_("holds more than %(max_values)s values", max_values=f"{MAX_VALUES:,}")
        return [], [RowProblem(name, 0, "", wrong, T_("split it into smaller files"))]
    if data.lstrip()[:1] == b"[" and not _is_line_of_many(data):
        rows, problems = _array(data, name)
        return [("", rows)], problems
    if _spans_lines(data):
        value, problem = _value(data, name, 0)
        if problem is not None:
            return [], [problem]
        return (_wrapped(value) or [("", [(1, value)])]), []
    return _lines(data, name)


def _lines(data: bytes, name: str) -> tuple[list[tuple[str, NumberedObjects]], list[RowProblem]]:
    rows: NumberedObjects = []
    problems: list[RowProblem] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        value, problem = _value(line, name, number)
        if problem is None:
            rows.append((number, value))
        else:
            problems.append(problem)
    if len(rows) == 1 and not problems and (lists := _wrapped(rows[0][1])):
        return lists, []
    return [("", rows)], problems


def _spans_lines(data: bytes) -> bool:
    """Whether a file is one object over many lines: its first line is an object's beginning and no JSON by itself."""
    first, _, rest = data.lstrip().partition(b"\n")
    return (
        first[:1] == b"{" and bool(rest.strip()) and rest.lstrip()[:1] != b"{" and _value(first, "", 1)[1] is not None
    )


def _wrapped(value: object) -> list[tuple[str, NumberedObjects]] | None:
    """Return the lists of objects that an object without an id wraps, None if it is a record itself."""
    if not isinstance(value, Mapping) or "id" in value:
        return None
    known = {field for model in MODELS.values() for field in model.model_fields}
    found = [
        (str(key), list(enumerate(inner, start=1)))
        for key, inner in value.items()
        if isinstance(inner, list) and inner and all(isinstance(one, Mapping) for one in inner) and key not in known
    ]
    if found:
        return found
    # Search services put their list one step further in.
    return next((lists for inner in value.values() if isinstance(inner, Mapping) and (lists := _wrapped(inner))), None)


def _is_line_of_many(data: bytes) -> bool:
    """Whether an array is but a line, by mistake, of a file of lines; not when what follows it is no object."""
    first, _, rest = data.lstrip().partition(b"\n")
    return rest.lstrip()[:1] == b"{" and _value(first, "", 1)[1] is None


def _array(data: bytes, name: str) -> tuple[list[tuple[int, object]], list[RowProblem]]:
    value, problem = _value(data, name, 0)
    if problem is not None:
        return [], [problem]
    if not isinstance(value, list):
        return [], [RowProblem(name, 0, "", T_("is not an array of objects"), _EXAMPLE)]
    return list(enumerate(value, start=1)), []


def _value(data: bytes, name: str, row: int) -> tuple[object, RowProblem | None]:
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant), None
    except UnicodeDecodeError as error:
        return None, RowProblem(
            name, row, "", T_("is not UTF-8 at byte %(start)s", start=error.start + 1), T_("save it as UTF-8")
        )
    except json.JSONDecodeError as error:
        place = T_("character %(column)s", column=error.colno)
        if not row:
            place = T_("line %(line)s, character %(column)s", line=error.lineno, column=error.colno)
        return None, RowProblem(
            name,
            row,
            "",
            T_("is not JSON (%(msg)s at %(place)s)", msg=recognised(printable(error.msg)), place=place),
            _EXAMPLE,
        )
    except _NotJsonError as error:
        return None, RowProblem(name, row, "", str(error), T_("give a number or null"))
    except RecursionError:
        return None, RowProblem(name, row, "", T_("is nested too deeply"), _EXAMPLE)
    except ValueError:
        return None, RowProblem(
            name, row, "", T_("holds a number with thousands of digits"), T_("give a shorter number")
        )


def _refuse_constant(word: str) -> NoReturn:
    raise _NotJsonError(T_("%(word)s is not a JSON number", word=word))


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
