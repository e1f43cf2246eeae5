"""Files of records, in whatever shape they come, into checked records.

In: the path or the bytes of a JSON, CSV, XLSX, XLS or ODS file. Out: a `Reading`: the good records by id, which fields
each of them speaks of, and everything that was wrong, guessed or left out, as values; further kinds in the same file as
further readings. It exists so that no content of a file, however broken, ends in a traceback or stops the rows beside
it, and so that a page can show what was understood before anything is stored.
"""

from __future__ import annotations

import codecs
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexer.plain_text import TextError, printable, shown
from indexer.records.exchange import MODELS, EvidenceIn, Fault, RowProblem, check, costs_record, fallback_id
from indexer.records.lists.corrections import NOTHING_SAID, Corrections, FoundTable, table_keys
from indexer.records.lists.grids import MAX_COLUMNS, Grid
from indexer.records.lists.headings import Meaning
from indexer.records.lists.json_lists import json_lists, object_table, with_cells, with_meanings
from indexer.records.lists.made_ids import NAMED_BY, made_id
from indexer.records.lists.rows import OTHER, TableRows, table_rows, too_wide
from indexer.records.lists.sheets import is_workbook, read_sheets
from indexer.records.lists.tables import Table, find_tables
from indexer.records.repairs import DECODED, UNMARKED, repaired
from indexer.records.values import identifier, is_blank, text
from indexer.vocabulary import Kind, find
from indexer.wording import T_

MAX_FILE_BYTES = 64 * 2**20
MAX_RECORDS = 200_000
"""Records in one file, pieces of evidence and asks included."""
MAX_PROBLEMS = 50_000
"""A file that has more is not what it was taken for: what follows is refused unread."""
_UNKNOWN_TOLD = 200
ITEMS_LIKE_A_RECORD = 10
"""So many pieces of evidence are as much to write as a record of its own."""
_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
SUFFIXES = (*_JSON_SUFFIXES, ".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods")
"""How the names of files that can be read end."""

NumberedRows = Sequence[tuple[int, object]]


@dataclass(slots=True)
class EvidenceGroup:
    """The evidence that flat rows give for one lab, and where the first of them stands."""

    lab: str
    file: str
    row: int
    rows: int = 0
    given: frozenset[str] = frozenset()
    has_ids: bool = True
    items: list[EvidenceIn] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reading:
    """What a file holds: records by id in file order, evidence of flat rows by lab, and all problems.

    `kind` is None if it could not be told; `refused` counts refused rows; `given` are the fields that each record
    speaks of, all of them where it has no entry; `made_ids` are ids that the file does not have; `tables` what the
    tables of the file were taken for, `found` all its tables, those that were not read too; `others` the records of
    other kinds in the same file.
    """

    kind: Kind | None
    records: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, EvidenceGroup] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    refused: int = 0
    first_rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    unknown: set[tuple[str, str]] = field(default_factory=set)
    given: dict[str, frozenset[str]] = field(default_factory=dict)
    made_ids: set[str] = field(default_factory=set)
    repairs: Counter[str] = field(default_factory=Counter)
    tables: list[TableRows] = field(default_factory=list)
    found: list[FoundTable] = field(default_factory=list)
    others: list[Reading] = field(default_factory=list)

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

    def file_of(self, key: str) -> str:
        """Return the file, or the sheet, that a record stands in."""
        return self.files.get(key, "")

    def portions(self, records: int) -> Iterator[Reading]:
        """Yield the records in portions of at most so many, a lab with its evidence; problems stay here.

        Many pieces of evidence count like further records, so that what one transaction writes stays small.
        """
        portion, weight = self._empty(), 0
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
                portion, weight = self._empty(), 0
        if weight:
            yield portion

    def _empty(self) -> Reading:
        return Reading(
            self.kind, first_rows=self.first_rows, files=self.files, given=self.given, made_ids=self.made_ids
        )

    def all(self) -> list[Reading]:
        """Return this reading and those of other kinds, in the order in which they have to be stored."""
        return sorted([self, *self.others], key=lambda one: _ORDER.index(one.kind) if one.kind else -1)


_ORDER = (
    Kind.SCHOOLS, Kind.ALLIANCES, Kind.COMPANIES, Kind.LABS, Kind.EVIDENCE, Kind.NEEDS, Kind.TERMS,
)  # fmt: skip
"""What is referred to comes before what refers to it."""


@dataclass(frozen=True, slots=True)
class ReadAs:
    """What somebody has said of a file: the kind of its rows, the sheet to read, the field of a heading (`-`: none).

    `corrections` are what they corrected table by table and cell by cell, after they saw what was understood;
    `meaning` is asked for headings that nobody knows.
    """

    kind: Kind | None = None
    sheet: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    corrections: Corrections = NOTHING_SAID
    meaning: Meaning | None = None


def read(path: Path, kind: Kind | None = None, said: ReadAs | None = None) -> Reading:
    """Read a file of records.

    Args:
        path: JSONL, JSON, CSV, TSV, XLSX, XLS or ODS; told apart by content, not by suffix.
        kind: what the rows are; None infers it from the columns and the name of the file or sheet.
        said: what else somebody has said of the file.

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
    return read_bytes(data, path.name, kind, said)


def read_bytes(data: bytes, given_name: str, kind: Kind | None = None, said: ReadAs | None = None) -> Reading:
    """Read the content of a file of records, as `read` does; its name tells the kind and stands in the problems."""
    path, name = Path(given_name), printable(given_name)
    said = said or ReadAs()
    said = replace(said, kind=kind or said.kind)
    named = kind_in_name(path.stem)
    if holds_json(data, given_name):
        return _read_json(data, name, said, named)
    sheets, problems = read_sheets(data, name, tuple(said.mapping))
    if problems:
        return _unread(said.kind or named, problems)
    if said.sheet is not None:
        titles = ", ".join(printable(grid.title) for grid in sheets)
        sheets = [grid for grid in sheets if grid.title.strip() == said.sheet.strip()]
        if not sheets:
            wrong = T_("has no sheet %(sheet)s", sheet=shown(said.sheet))
            return _unread(
                said.kind or named, [RowProblem(name, 0, "", wrong, T_("its sheets are: %(titles)s", titles=titles))]
            )
    return _read_grids(sheets, name, said, named)


def holds_json(data: bytes, given_name: str) -> bool:
    """Whether a file holds objects rather than tables."""
    starts = data.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return not is_workbook(data) and (Path(given_name).suffix.lower() in _JSON_SUFFIXES or starts in (b"{", b"["))


def read_grids(grids: Sequence[Grid], given_name: str, said: ReadAs | None = None) -> Reading:
    """Read sheets that were taken out of a file before, as `read_bytes` reads the file."""
    return _read_grids(grids, printable(given_name), said or ReadAs(), kind_in_name(Path(given_name).stem))


def _read_json(data: bytes, name: str, said: ReadAs, named: Kind | None) -> Reading:
    lists, problems = json_lists(data, name)
    readings: list[Reading] = []
    found: list[FoundTable] = []
    for place, (holder, all_rows) in enumerate(lists):
        label = name if len(lists) == 1 or not holder else f"{name}[{printable(holder)}]"
        chosen, out = said.corrections.of(f"{place}-0"), said.corrections.rows_out(place)
        kind = chosen.kind or _kind_of_list(all_rows, holder, said, named, alone=len(lists) == 1)
        cells = said.corrections.cells.get(place, {})
        rows = all_rows if kind is None else with_cells(kind, all_rows, chosen, cells)
        if said.corrections is not NOTHING_SAID:
            # Only who looks a list through sees its tables.
            found.append(object_table(kind, place, label, rows, chosen, out))
        if chosen.left_out:
            continue
        if kind is None:
            problems.append(_kindless(label))
            continue
        kept = [row for row in rows if row[0] not in out] if out else rows
        readings.append(check_rows(kind, with_meanings(kept, chosen), label, problems, makes_ids=True))
        problems = []
    whole = _together(readings, problems) if readings else _unread(said.kind or named, problems)
    whole.found = found
    return whole


def _kind_of_list(rows: NumberedRows, holder: str, said: ReadAs, named: Kind | None, *, alone: bool) -> Kind | None:
    found = (said.kind if alone else None) or (kind_in_name(holder) if holder else None) or (named if alone else None)
    return found or _kind_of_objects(rows) or said.kind


def _together(readings: Sequence[Reading], problems: Sequence[RowProblem] = ()) -> Reading:
    """Return the first reading with all others beside it."""
    main = readings[0]
    main.others = list(readings[1:])
    main.problems.extend(problems)
    main.refused += sum(problem.severity == "error" for problem in problems)
    return main


def _read_grids(grids: Sequence[Grid], name: str, said: ReadAs, named: Kind | None) -> Reading:
    """Read the tables of all sheets, each as what its columns, its sheet or its file say that it is."""
    problems = [problem for grid in grids for problem in grid.problems]
    filled = [grid for grid in grids if grid.rows]
    if not filled:
        if not problems:
            problems.append(RowProblem(name, 0, "", T_("has no rows"), T_("give a header row and rows below it")))
        return _unread(said.kind or named, problems)
    # Before anybody asks what each of a million headings could mean.
    for row, cells in (grid.rows[0] for grid in filled):
        if (columns := sum(not is_blank(cell) for cell in cells)) > MAX_COLUMNS:
            return _unread(said.kind or named, [*problems, too_wide(columns, name, row)])
    kinds = list(Kind) if said.kind is None else [said.kind, *(kind for kind in Kind if kind is not said.kind)]
    found = _found(grids, kinds, name, said)
    readings: dict[Kind, Reading] = {}
    asked: list[RowProblem] = []
    for one in found:
        grid, chosen = grids[one.sheet], said.corrections.of(one.key)
        if chosen.left_out:
            continue
        one.kind = chosen.kind
        if chosen.kind is None:
            one.kind, problem = _kind_found(one, grid, said, named, tables=len(found), sheets=len(filled))
            asked += [problem] if problem is not None else []
        if one.kind is not None:
            mapping = {**said.mapping, **chosen.columns}
            rows = table_rows(one.kind, one.table, one.label, mapping, chosen.fixed, said.meaning)
            one.read = _checked(readings, one.kind, rows, grid, one.label)
    if not readings:
        refused = [*problems, *(_as_error(one) for one in asked)]
        unread = _unread(said.kind or named, refused or ([] if _all_left_out(found, said) else [_kindless(name)]))
        unread.found = found
        return unread
    asked += _without_rows(found)
    together = _together(list(readings.values()), [*problems, *asked])
    together.found = found
    return together


def _without_rows(found: Sequence[FoundTable]) -> list[RowProblem]:
    if any(one.table.rows or one.table.aside or one.rows_out for one in found):
        return []
    wrong, right = T_("has headings and no rows below them"), T_("write a row for each record")
    return [RowProblem(found[0].label, found[0].table.header_row, "", wrong, right, "warning")]


def _found(grids: Sequence[Grid], kinds: Sequence[Kind], name: str, said: ReadAs) -> list[FoundTable]:
    """Return the tables of all sheets with the cells as they were corrected, without the rows to be left out."""
    found: list[FoundTable] = []
    for place, grid in enumerate(grids):
        if not grid.rows:
            continue
        said.corrections.correct(place, grid)
        tables = find_tables(
            grid, kinds, said.corrections.headings(tuple(said.mapping)), said.corrections.header(place)
        )
        for key, table in zip(table_keys(place, tables), tables, strict=True):
            label = f"{name}[{printable(grid.title)}]" if found and found[0].sheet != place else name
            out = said.corrections.rows_out(place)
            one = FoundTable(
                key, place, grid.title, label, table, rows_out=[row for row in table.rows if row[0] in out]
            )
            if one.rows_out:
                table.rows[:] = [row for row in table.rows if row[0] not in out]
            found.append(one)
    return found


def _kind_found(
    one: FoundTable, grid: Grid, said: ReadAs, named: Kind | None, *, tables: int, sheets: int
) -> tuple[Kind | None, RowProblem | None]:
    """Return what a table's rows are as far as it can be told, else what is to be said of that."""
    if sheets > 1 and said.sheet is None and not _holds_list(grid, one.table, said):
        return None, None if _GUIDE.search(grid.title) else _no_list(one.label)
    kind, fault = _kind_of(one.table, grid, said, named, alone=tables == 1)
    if kind is not None:
        return kind, None
    return None, fault.at(one.label, one.table.header_row) if fault else _kindless(one.label)


def _all_left_out(found: Sequence[FoundTable], said: ReadAs) -> bool:
    return bool(found) and all(said.corrections.of(one.key).left_out for one in found)


def _as_error(problem: RowProblem) -> RowProblem:
    return RowProblem(problem.file, problem.row, problem.field, problem.wrong, problem.right)


def _holds_list(grid: Grid, table: Table, said: ReadAs) -> bool:
    """Whether what stands in a sheet beside others is a list of records, and no page of remarks."""
    if any(name in said.mapping for name in table.names):
        return True
    if _GUIDE.search(grid.title):
        return False
    if not table.rows and kind_in_name(grid.title) is None:
        return False
    return max(table.score(kind) for kind in Kind) >= _SCORE_OF_A_LIST or kind_in_name(grid.title) is not None


_GUIDE = re.compile("說明|目錄|封面|範例|read ?me|guide|instruction|legend|cover|notes?$", re.IGNORECASE)
"""What sheets are called that explain a workbook."""
_SCORE_OF_A_LIST = 2
_KIND_WORDS = {
    Kind.LABS: T_("labs"), Kind.EVIDENCE: T_("evidence of labs"), Kind.NEEDS: T_("needs"),
    Kind.COMPANIES: T_("companies"), Kind.SCHOOLS: T_("schools"),
    Kind.ALLIANCES: T_("alliances"), Kind.TERMS: T_("glossary"),
}  # fmt: skip
_CONTRADICTED_BY = 3
"""Points by which the columns have to speak for another kind before a name is doubted."""


def _no_list(label: str) -> RowProblem:
    wrong = T_("holds no list that is known and was not read")
    return RowProblem(label, 0, "", wrong, T_("name its columns as the template does if it is one"), "warning")


def _kind_of(
    table: Table, grid: Grid, said: ReadAs, named: Kind | None, *, alone: bool
) -> tuple[Kind | None, Fault | None]:
    """Return what the rows of a table are; None if it can't be told, with why if its name and columns disagree."""
    scores = {kind: table.score(kind) for kind in Kind}
    best = max(scores, key=lambda kind: scores[kind])
    by_title = kind_in_name(grid.title) if grid.title else None
    if (
        said.kind is not None
        and (alone or by_title in (None, said.kind))
        and not (not alone and scores[best] >= scores[said.kind] + _CONTRADICTED_BY)
    ):
        return said.kind, None
    told = by_title or named
    if told is not None:
        if scores[best] >= scores[told] + _CONTRADICTED_BY and best is not told and not _is_part_of(best, told):
            words = {"told": _KIND_WORDS[told], "best": _KIND_WORDS[best]}
            wrong = T_("is called %(told)s, but its columns are those of %(best)s", **words)
            right = T_(
                "choose what its rows are; by command: --kind %(best)s or --kind %(told)s",
                best=best.value,
                told=told.value,
            )
            return None, Fault("", wrong, right)
        if by_title is not None or scores[best] <= scores[told] or not _is_part_of(best, told):
            if by_title is None and not alone and scores[best] > scores[told]:
                return best, None
            return told, None
    found = _best(scores)
    return found or (kind_in_name(table.title) if table.title else None) or _kind_said(table.title), None


def _is_part_of(part: Kind, whole: Kind) -> bool:
    return part is Kind.EVIDENCE and whole is Kind.LABS


def _kind_said(title: str) -> Kind | None:
    """Return the kind that a line above a table speaks of, such as 某某大學研究室一覽表."""
    words = {
        Kind.LABS: "實驗室 研究室 師資 研究團隊 研究中心", Kind.NEEDS: "需求",
        Kind.COMPANIES: "會員名單 廠商名單 企業名單 會員名冊 廠商名冊",
        Kind.SCHOOLS: "學校名單 學校一覽 學校名冊", Kind.EVIDENCE: "論文 專利 成果",
    }  # fmt: skip
    found = {kind for kind, listed in words.items() for word in listed.split() if word in title}
    return found.pop() if len(found) == 1 else None


def _checked(readings: dict[Kind, Reading], kind: Kind, rows: TableRows, grid: Grid, label: str) -> TableRows:
    # Evidence beside labs is told together with them.
    home = Kind.LABS if kind is Kind.EVIDENCE and Kind.LABS in readings else kind
    into = readings.setdefault(home, Reading(home))
    into.tables.append(rows)
    hidden = sorted(grid.hidden_rows & {row for row, _ in rows.rows})
    if hidden or grid.is_hidden:
        where = ", ".join(map(str, hidden[:_HIDDEN_TOLD])) + (" …" if len(hidden) > _HIDDEN_TOLD else "")
        wrong = T_("has hidden rows that were read too: %(where)s", where=where)
        if not hidden:
            wrong = T_("is a hidden sheet and was read too")
        right = T_("delete what must not be imported; hiding and filters do not keep it out")
        rows.problems.append(RowProblem(label, hidden[0] if hidden else 0, "", wrong, right, "warning"))
    if rows.makes_ids:
        into.made_ids.update(str(values["id"]) for _, values in rows.rows if isinstance(values, dict))
    check_rows(kind, rows.rows, label, rows.problems, into)
    return rows


_HIDDEN_TOLD = 12


def check_rows(
    kind: Kind,
    rows: NumberedRows,
    name: str,
    problems: Sequence[RowProblem] = (),
    into: Reading | None = None,
    *,
    makes_ids: bool = False,
) -> Reading:
    """Check numbered raw rows.

    Args:
        kind: what the rows are.
        rows: (row number as the user sees it, raw values).
        name: the file's name for the problems.
        problems: rows that were refused before they could be checked.
        into: a reading to add to; by default a new one.
        makes_ids: give a row without an id one that is made of its names.
    """
    reading = into or Reading(kind)
    reading.problems.extend(problems)
    reading.refused += sum(problem.severity == "error" for problem in problems)
    held = 0
    for done, (row, raw) in enumerate(rows):
        held += 1 + _items_in(raw)
        told = len(reading.problems)
        if held > MAX_RECORDS or told > MAX_PROBLEMS:
            _refuse_rest(reading, row, name, left=len(rows) - done, records=held > MAX_RECORDS)
            break
        given = _mended(reading, kind, row, raw, name)
        if given is None:
            continue
        if kind is Kind.EVIDENCE:
            _add_evidence(reading, row, given, name)
        else:
            _add_record(reading, kind, row, _with_made_id(reading, kind, given) if makes_ids else given, name)
    _tell_repairs(reading, name)
    reading.problems.sort(key=lambda problem: (problem.file, problem.row))
    return reading


def _refuse_rest(reading: Reading, row: int, name: str, *, left: int, records: bool) -> None:
    what = T_("%(n)s records", n=f"{MAX_RECORDS:,}") if records else T_("%(n)s problems", n=f"{MAX_PROBLEMS:,}")
    wrong = T_("%(left)s rows from here on were not read: the file has more than %(what)s", left=f"{left:,}", what=what)
    reading.refuse(name, row, [Fault("", wrong, T_("split it into smaller files, or correct what was named"))])
    reading.refused += left - 1


def _with_made_id(reading: Reading, kind: Kind, given: object) -> object:
    if kind not in NAMED_BY or not isinstance(given, dict) or not is_blank(given.get("id")):
        return given
    key = made_id(kind, given) if "id" not in given else None
    if key is None:
        return given
    reading.made_ids.add(key)
    return {**given, "id": key}


def _mended(reading: Reading, kind: Kind, row: int, given: object, name: str) -> object | None:
    """Return the values with texts as they were meant; None if one that costs the record is garbled."""
    if not isinstance(given, Mapping):
        return given
    found: dict[Any, Any] = {}
    for key, value in given.items():
        try:
            found[key] = _mended_value(reading, value)
        except TextError as error:
            field_name = printable(str(key)[:60])
            severe = costs_record(field_name) or field_name == "title"
            problem = RowProblem(name, row, field_name, error.wrong, error.right, "error" if severe else "warning")
            reading.problems.append(problem)
            if severe:
                reading.refused += 1
                return None
    return found


def _mended_value(reading: Reading, value: object) -> object:
    if isinstance(value, str):
        if value.isascii() and "<" not in value and "&" not in value:
            return value
        text, done = repaired(value)
        reading.repairs.update(done)
        return text
    if isinstance(value, list):
        return [_mended_value(reading, one) for one in value]
    if isinstance(value, dict):
        return {key: _mended_value(reading, one) for key, one in value.items()}
    return value


def _tell_repairs(reading: Reading, name: str) -> None:
    told = {
        DECODED: T_("texts that were once read in a wrong encoding were repaired"),
        UNMARKED: T_("entities and inline markup became plain text"),
    }
    for done, wrong in told.items():
        if reading.repairs[done]:
            right = T_("%(n)s texts; check them", n=reading.repairs[done])
            reading.problems.append(RowProblem(name, 0, "", wrong, right, "warning"))
    reading.repairs.clear()


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
    checked = check(kind, given, lenient=True, whole=False)
    _warn_of_unknown(reading, checked.unknown, row, name)
    if checked.record is None:
        reading.refuse(name, row, checked.faults)
        return
    if (missing := _only_id(kind, checked.given, given)) is not None:
        # What could not be read says it better, where it is all there was.
        faults = [replace(fault, severity="error") for fault in checked.faults]
        reading.refuse(name, row, faults or [missing])
        return
    key = checked.record.id
    first = reading.first_rows.setdefault(key, row)
    if kind is Kind.TERMS and reading.records.get(key) == checked.record:
        # Sets of terms repeat themselves; the same row again says nothing that would have to be corrected.
        return
    if key in reading.records:
        wrong = T_("%(key)s is already the id of row %(first)s", key=shown(key), first=first)
        right = T_("give each its own id")
        if key in reading.made_ids:
            wrong = T_("has the names of row %(first)s", first=first)
            right = T_("leave one of them out, or give each its own id")
        reading.refuse(name, row, [Fault("id", wrong, right)])
        return
    reading.records[key] = checked.record
    reading.given[key] = checked.given
    reading.files[key] = name
    reading.note(name, row, checked.faults)


def _only_id(kind: Kind, understood: frozenset[str], given: object) -> Fault | None:
    """Say so if a row says something, and nothing of it but the id was understood."""
    if not isinstance(given, Mapping) or len(given) <= 1 or kind is Kind.TERMS:
        return None
    if any(not is_blank(given[name]) and given[name] != [] for name in understood - {"id", "other"}):
        return None
    return Fault(
        "", T_("nothing but the id was understood"), T_("name the columns as the template does, or give --map")
    )


def _add_evidence(reading: Reading, row: int, given: object, name: str) -> None:
    values = dict(given) if isinstance(given, Mapping) else {}
    try:
        said = values.get("lab")
        # A name with blanks may be the lab's, which is looked up once it is known which labs there are.
        is_name = isinstance(said, str) and any(c.isspace() for c in said.strip())
        lab = _lab_name(said) if is_name else identifier("" if is_blank(said) else said)
    except TextError as error:
        reading.refuse(name, row, [Fault("lab", error.wrong, T_("give the id of the lab"))])
        return
    del values["lab"]
    group = reading.evidence.setdefault(lab, EvidenceGroup(lab, name, row))
    group.rows += 1
    if is_blank(values.get("id")):
        group.has_ids = False
        values["id"] = fallback_id(lab, group.rows)
    checked = check(Kind.EVIDENCE, values, lenient=True)
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
    group.given = checked.given
    reading.note(name, row, checked.faults)


_lab_name = text(200)


def _items_in(given: object) -> int:
    values = given.values() if isinstance(given, Mapping) else ()
    return max((len(value) for value in values if isinstance(value, list)), default=0)


def _warn_of_unknown(reading: Reading, names: Sequence[str], row: int, file: str) -> None:
    keeps = reading.kind is not None and OTHER in MODELS[reading.kind].model_fields
    for name in names:
        if (file, name) not in reading.unknown and len(reading.unknown) < _UNKNOWN_TOLD:
            reading.unknown.add((file, name))
            wrong, right = T_("is not a known field and was ignored"), T_("see the template for the fields there are")
            if keeps and "." not in name:
                wrong = T_("is not a known field; what it says is kept as other information")
            reading.problems.append(RowProblem(file, row, name, wrong, right, "warning"))


def _kind_of_objects(rows: NumberedRows) -> Kind | None:
    keys = {str(key) for _, value in rows[:100] if isinstance(value, Mapping) for key in value}
    return _best({kind: len(keys & _field_names(kind)) for kind in Kind})


def _field_names(kind: Kind) -> set[str]:
    return set(MODELS[kind].model_fields) | ({"lab"} if kind is Kind.EVIDENCE else set())


def _best(scores: Mapping[Kind, int]) -> Kind | None:
    first, second = sorted(scores, key=lambda kind: scores[kind], reverse=True)[:2]
    return first if scores[first] > scores[second] else None
