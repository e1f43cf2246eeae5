"""JSON as people send it: lines of objects, arrays, one object over many lines, lists in a wrapper.

In: the bytes of a file. Out: its objects by the list that holds them, numbered by line or by position, and what is no
JSON. Python's parser accepts more than JSON (NaN, Infinity) and raises on what a user should be told about (deep
nesting, digits without end, half a line); and a register gives one record over a thousand lines, or `{"results": […]}`,
where a message for each line would tell nobody anything.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import NoReturn

from indexer.plain_text import printable
from indexer.records.exchange import MODELS, RowProblem
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
