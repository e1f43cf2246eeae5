"""Files of records, in whatever shape they come, into checked records.

In: the path of a JSONL (or JSON array), CSV, XLSX or ODS file. Out: a `Reading`: the good records by id and everything
that was wrong, as values. It exists so that no content of a file, however broken, ends in a traceback or stops the
rows beside it. Of JSON it takes what is JSON: Python's parser accepts more (NaN, Infinity) and raises on what a
user should be told about (deep nesting, digits without end, half a line).
"""

from __future__ import annotations

import codecs
import json
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from indexer.plain_text import TextError, printable, shown
from indexer.records import grids
from indexer.records.columns import known_headings
from indexer.records.exchange import MODELS, EvidenceIn, Fault, RowProblem, check, fallback_id
from indexer.records.grids import Grid, grid_rows
from indexer.records.values import identifier, is_blank
from indexer.vocabulary import Kind, find
from indexer.wording import T_, recognised

MAX_VALUES = 2_000_000
"""Counted before anything is parsed, by the marks that stand around values: a value takes many times its text."""
_MARKS = (b",", b":", b"[", b"{", b"\n")
_EXAMPLE = T_('give one object a line, such as {"id": "lab-1"}')


class _NotJsonError(ValueError):
    """A value that is not JSON; the message says what it is."""


def json_rows(data: bytes, name: str) -> tuple[list[tuple[int, object]], list[RowProblem]]:
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


MAX_FILE_BYTES = 64 * 2**20
MAX_RECORDS = 200_000
"""Records in one file, pieces of evidence and asks included."""
MAX_PROBLEMS = 50_000
"""A file that has more is not what it was taken for: what follows is refused unread."""
_UNKNOWN_TOLD = 200
ITEMS_LIKE_A_RECORD = 10
"""So many pieces of evidence are as much to write as a record of its own."""
_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")

NumberedRows = Sequence[tuple[int, object]]


@dataclass(slots=True)
class EvidenceGroup:
    """The evidence that flat rows give for one lab, and where the first of them stands."""

    lab: str
    file: str
    row: int
    rows: int = 0
    items: list[EvidenceIn] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """What a file holds: records by id in file order, evidence of flat rows by lab, and all problems.

    `kind` is None if it could not be told; `refused` counts refused rows.
    """

    kind: Kind | None
    records: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, EvidenceGroup] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    refused: int = 0
    first_rows: dict[str, int] = field(default_factory=dict)
    unknown: set[tuple[str, str]] = field(default_factory=set)

    def refuse(self, file: str, row: int, faults: Sequence[Fault]) -> None:
        """Count a row as refused and say why."""
        self.refused += 1
        self.note(file, row, faults)

    def note(self, file: str, row: int, faults: Sequence[Fault]) -> None:
        """Add the faults of one row."""
        self.problems.extend(fault.at(file, row) for fault in faults)

    def refuse_record(self, file: str, key: str, fault: Fault) -> None:
        """Take a record that was read out again and say why."""
        del self.records[key]
        self.refuse(file, self.first_rows.get(key, 0), [fault])

    def portions(self, records: int) -> Iterator[Reading]:
        """Yield the records in portions of at most so many, a lab with its evidence; problems stay here.

        Many pieces of evidence count like further records, so that what one transaction writes stays small.
        """
        portion, weight = Reading(self.kind, first_rows=self.first_rows), 0
        for key in dict.fromkeys([*self.records, *self.evidence]):
            if key in self.records:
                record = portion.records[key] = self.records[key]
                weight += len(getattr(record, "evidence", None) or ()) // ITEMS_LIKE_A_RECORD
            if key in self.evidence:
                group = portion.evidence[key] = self.evidence[key]
                weight += len(group.items) // ITEMS_LIKE_A_RECORD
            weight += 1
            if weight >= records:
                yield portion
                portion, weight = Reading(self.kind, first_rows=self.first_rows), 0
        if weight:
            yield portion


def read(path: Path, kind: Kind | None = None) -> Reading:
    """Read a file of records.

    Args:
        path: JSONL, JSON array, CSV, XLSX or ODS; told apart by content, not by suffix.
        kind: what the rows are; None infers it from the file's or sheet's name, else from the fields.

    Raises:
        OSError: the file cannot be opened. Bad content becomes problems.
    """
    name = printable(path.name)
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        # A pipe or a device may never end, or never begin.
        return _unread(kind, [RowProblem(name, 0, "", T_("is a pipe or a device"), T_("give a file"))])
    with path.open("rb") as file:
        # Some files say that they are empty and are not.
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        size = max(found.st_size, len(data))
        right = T_("split it into files under %(max_file_bytes)s MB", max_file_bytes=f"{MAX_FILE_BYTES / 1e6:,.0f}")
        return _unread(kind, [RowProblem(name, 0, "", T_("has %(size)s MB", size=f"{size / 1e6:,.0f}"), right)])
    return read_bytes(data, path.name, kind)


def read_bytes(data: bytes, given_name: str, kind: Kind | None = None) -> Reading:
    """Read the content of a file of records, as `read` does; its name tells the kind and stands in the problems."""
    path, name = Path(given_name), printable(given_name)
    kind = kind or kind_in_name(path.stem)
    if data.startswith(b"PK"):
        return _read_workbook(data, name, kind)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return _unread(kind, [RowProblem(name, 0, "", T_("is an old Excel file"), T_("save it as .xlsx"))])
    if path.suffix.lower() in _JSON_SUFFIXES or data.removeprefix(codecs.BOM_UTF8).lstrip().startswith((b"{", b"[")):
        rows, problems = json_rows(data, name)
        kind = kind or _kind_of_objects(rows)
        return _unread(None, [*problems, _kindless(name)]) if kind is None else check_rows(kind, rows, name, problems)
    grid = grids.read_csv(data, name)
    kind = kind or _kind_of_grid(grid)
    return _unread(None, [*grid.problems, _kindless(name)]) if kind is None else _checked_grid(kind, grid, name)


def check_rows(
    kind: Kind, rows: NumberedRows, name: str, problems: Sequence[RowProblem] = (), into: Reading | None = None
) -> Reading:
    """Check numbered raw rows.

    Args:
        kind: what the rows are.
        rows: (row number as the user sees it, raw values).
        name: the file's name for the problems.
        problems: rows that were refused before they could be checked.
        into: a reading to add to; by default a new one.
    """
    reading = into or Reading(kind)
    reading.problems.extend(problems)
    reading.refused += sum(problem.severity == "error" for problem in problems)
    held = 0
    for done, (row, given) in enumerate(rows):
        held += 1 + _items_in(given)
        told = len(reading.problems)
        if held > MAX_RECORDS or told > MAX_PROBLEMS:
            what = T_("%(n)s records", n=f"{MAX_RECORDS:,}")
            if held <= MAX_RECORDS:
                what = T_("%(n)s problems", n=f"{MAX_PROBLEMS:,}")
            left = len(rows) - done
            wrong = T_(
                "%(left)s rows from here on were not read: the file has more than %(what)s", left=f"{left:,}", what=what
            )
            reading.refuse(name, row, [Fault("", wrong, T_("split it into smaller files, or correct what was named"))])
            reading.refused += left - 1
            break
        if kind is Kind.EVIDENCE:
            _add_evidence(reading, row, given, name)
        else:
            _add_record(reading, kind, row, given, name)
    reading.problems.sort(key=lambda problem: (problem.file, problem.row))
    return reading


def kind_in_name(name: str) -> Kind | None:
    """Return the kind that a file or sheet name speaks of, if it is exactly one."""
    words = re.split(r"[^a-z]+", name.lower()) + re.findall(r"[^\x00-\x7f]+", name)
    found = {kind for word in words if word and (kind := find(Kind, word))}
    return found.pop() if len(found) == 1 else None


def _unread(kind: Kind | None, problems: list[RowProblem]) -> Reading:
    return Reading(kind, problems=problems, refused=sum(problem.severity == "error" for problem in problems))


def _kindless(name: str) -> RowProblem:
    kinds = ", ".join(kind for kind in Kind if kind is not Kind.EVIDENCE)
    return RowProblem(
        name, 0, "", T_("does not show what its rows are"), T_("name the kind: one of %(kinds)s, evidence", kinds=kinds)
    )


def _add_record(reading: Reading, kind: Kind, row: int, given: object, name: str) -> None:
    checked = check(kind, given)
    _warn_of_unknown(reading, checked.unknown, row, name)
    if checked.record is None:
        reading.refuse(name, row, checked.faults)
        return
    key = checked.record.id
    first = reading.first_rows.setdefault(key, row)
    if kind is Kind.TERMS and reading.records.get(key) == checked.record:
        # Sets of terms repeat themselves; the same row again says nothing that would have to be corrected.
        return
    if key in reading.records:
        wrong = T_("%(key)s is already the id of row %(first)s", key=shown(key), first=first)
        reading.refuse(name, row, [Fault("id", wrong, T_("give each its own id"))])
        return
    reading.records[key] = checked.record
    reading.note(name, row, checked.faults)


def _add_evidence(reading: Reading, row: int, given: object, name: str) -> None:
    values = dict(given) if isinstance(given, Mapping) else {}
    try:
        lab = identifier("" if is_blank(values.get("lab")) else values["lab"])
    except TextError as error:
        reading.refuse(name, row, [Fault("lab", error.wrong, T_("give the id of the lab"))])
        return
    del values["lab"]
    group = reading.evidence.setdefault(lab, EvidenceGroup(lab, name, row))
    group.rows += 1
    if is_blank(values.get("id")):
        values["id"] = fallback_id(lab, group.rows)
    checked = check(Kind.EVIDENCE, values)
    _warn_of_unknown(reading, checked.unknown, row, name)
    if not isinstance(checked.record, EvidenceIn):
        reading.refuse(name, row, checked.faults)
        return
    first = group.first.setdefault(checked.record.id, row)
    if first != row:
        wrong = T_("%(id)s is already the id of row %(first)s for this lab", id=shown(checked.record.id), first=first)
        reading.refuse(name, row, [Fault("id", wrong, T_("give each its own id"))])
        return
    group.items.append(checked.record)


def _items_in(given: object) -> int:
    values = given.values() if isinstance(given, Mapping) else ()
    return max((len(value) for value in values if isinstance(value, list)), default=0)


def _warn_of_unknown(reading: Reading, names: Sequence[str], row: int, file: str) -> None:
    for name in names:
        if (file, name) not in reading.unknown and len(reading.unknown) < _UNKNOWN_TOLD:
            reading.unknown.add((file, name))
            wrong, right = T_("is not a known field and was ignored"), T_("see the template for the fields there are")
            reading.problems.append(RowProblem(file, row, name, wrong, right, "warning"))


def _kind_of_objects(rows: NumberedRows) -> Kind | None:
    keys = {str(key) for _, value in rows[:100] if isinstance(value, Mapping) for key in value}
    return _best({kind: len(keys & _field_names(kind)) for kind in Kind})


def _kind_of_grid(grid: Grid) -> Kind | None:
    return _best({kind: known_headings(kind, grid.rows[0][1]) for kind in Kind}) if grid.rows else None


def _field_names(kind: Kind) -> set[str]:
    return set(MODELS[kind].model_fields) | ({"lab"} if kind is Kind.EVIDENCE else set())


def _best(scores: Mapping[Kind, int]) -> Kind | None:
    first, second = sorted(scores, key=lambda kind: scores[kind], reverse=True)[:2]
    return first if scores[first] > scores[second] else None


def _read_workbook(data: bytes, name: str, kind: Kind | None) -> Reading:
    # Imported only for workbooks: openpyxl's knowledge of dates takes long to load.
    from indexer.records.xlsx import is_ods, read_ods, read_xlsx

    grids, problems = read_ods(data, name) if is_ods(data) else read_xlsx(data, name)
    if problems:
        return _unread(kind, problems)
    named = [(kind_in_name(grid.title), grid) for grid in grids if grid.rows]
    if not named:
        return _unread(kind, [RowProblem(name, 0, "", T_("has no rows"), T_("fill in a template"))])
    kinds = [found for found, _ in named if found]
    kind = kind or (kinds[0] if kinds else _kind_of_grid(named[0][1]))
    if kind is None:
        return _unread(None, [_kindless(name)])
    main = next((grid for found, grid in named if found is kind), named[0][1])
    reading = _checked_grid(kind, main, name)
    for found, grid in named:
        if grid is main or found is None:
            continue
        label = f"{name}[{printable(grid.title)}]"
        if kind is Kind.LABS and found is Kind.EVIDENCE:
            _checked_grid(Kind.EVIDENCE, grid, label, into=reading)
        else:
            right = T_("import the file again as %(found)s", found=found)
            reading.problems.append(
                RowProblem(label, 0, "", T_("was not read with %(kind)s", kind=kind), right, "warning")
            )
    return reading


def _checked_grid(kind: Kind, grid: Grid, name: str, into: Reading | None = None) -> Reading:
    rows, problems = grid_rows(kind, grid, name)
    return check_rows(kind, rows, name, problems, into)
