"""JSON Lines, or one JSON array, into numbered objects.

In: the bytes of a file. Out: (row number, value) pairs and the rows that are
not JSON. It exists because Python's parser accepts more than JSON (NaN,
Infinity) and raises on what a user should be told about (deep nesting, digits
without end, half a line).
"""

from __future__ import annotations

import codecs
import json
from typing import NoReturn

from indexer.checking import RowProblem
from indexer.plain_text import printable
from indexer.wording import T_, recognised

MAX_VALUES = 2_000_000
"""Counted before anything is parsed, by the marks that stand around values: a value takes many times its text."""
_MARKS = (b",", b":", b"[", b"{", b"\n")
_EXAMPLE = T_('give one object a line, such as {"id": "lab-1"}')


class _NotJsonError(ValueError):
    """A value that is not JSON; the message says what it is."""


def parse(data: bytes, name: str) -> tuple[list[tuple[int, object]], list[RowProblem]]:
    """Return the objects of a file with their line (or, in an array, their position), and the bad rows.

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
        return [], [
            RowProblem(
                name,
                0,
                "",
                T_("holds more than %(max_values)s values", max_values=f"{MAX_VALUES:,}"),
                T_("split it into smaller files"),
            )
        ]
    if data.lstrip()[:1] == b"[" and not _is_line_of_many(data):
        return _array(data, name)
    rows: list[tuple[int, object]] = []
    problems: list[RowProblem] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        value, problem = _value(line, name, number)
        if problem is None:
            rows.append((number, value))
        else:
            problems.append(problem)
    return rows, problems


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
