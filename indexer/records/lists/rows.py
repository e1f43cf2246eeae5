"""The rows of a table as values by field: the last step before the rules for records.

In: a table found in a sheet and what its rows are. Out: numbered values as the exchange format would hold them, the
columns with what they were taken for and some of their cells, and everything that was guessed, put aside or can't be
read, with row and column. It exists apart from finding tables because a person may correct what was guessed, and apart
from the rules for records because a cell that can't be read is no fault of its record.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from indexer.plain_text import TextError, printable
from indexer.records.columns import COLUMNS, OTHER_HEADING, Column, refusal_of
from indexer.records.exchange import RowProblem, check, costs_record
from indexer.records.field_notes import Cell
from indexer.records.lists.cells import CellReader
from indexer.records.lists.grids import MAX_COLUMNS, Unreadable
from indexer.records.lists.headings import EXTENSION, ROW_NUMBER, Heading, Meaning, asks_for_meaning, unit_in
from indexer.records.lists.made_ids import NAMED_BY, made_id
from indexer.records.lists.tables import Table, sections
from indexer.records.values import as_text, is_blank
from indexer.vocabulary import AskKind, Kind, ResearchField, find
from indexer.wording import T_, listed

OTHER = "other"
"""Where the columns that are not ours go."""
IGNORED = "-"
"""What a mapping gives for a column that is to be left out."""
_SILENT = frozenset({ROW_NUMBER, IGNORED})
"""Columns of which nothing is kept."""
_SAMPLES = 3
_NEEDED = {Kind.EVIDENCE: ("lab",), Kind.TERMS: ("en", "zh")}
"""The columns without which no row of a kind can be read, where that is not the id."""
_MAX_OTHER_CHARS = 2_000
_ROWS_NAMED = 12
_LOOKED_INTO = 20
"""Cells of a column whose heading is a guess that are held against what its field takes."""
_CLOSED: Mapping[str, type[StrEnum]] = {"fields": ResearchField, "offers": AskKind}
"""Columns of lists of which only a few words are known."""
_LONGEST_TERM = 60
_EXTENSION = re.compile(r"[0-9]{1,8}")
_IN_NUMBERS = frozenset({"capacity", "budget_ntd", "deadline", "since", "until", "weight"})


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """One column of a table: its heading, the field it was taken for (None: not ours), and some of its cells."""

    heading: str
    field: str | None
    guessed: bool = False
    unit: str = ""
    samples: tuple[str, ...] = ()


@dataclass(slots=True)
class TableRows:
    """The rows of one table."""

    kind: Kind
    rows: list[tuple[int, object]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    columns: list[MappedColumn] = field(default_factory=list)
    header_row: int = 0
    makes_ids: bool = False


def table_rows(
    kind: Kind,
    table: Table,
    name: str,
    mapping: Mapping[str, str],
    fixed: Mapping[str, str] | None = None,
    meaning: Meaning | None = None,
) -> TableRows:
    """Return the rows of a table by field.

    Args:
        kind: what the rows are.
        table: the table as it was found.
        name: the file's name for the problems.
        mapping: the field for each heading that somebody has said; `-` leaves a column out.
        fixed: values by field for the rows that have none of their own.
        meaning: asked for the headings that nobody knows, if there are any.
    """
    found = TableRows(kind, header_row=table.header_row)
    if len(table.names) > MAX_COLUMNS:
        found.problems.append(too_wide(len(table.names), name, table.header_row))
        return found
    headings = _headings(kind, table, mapping)
    if meaning is not None:
        _add_meant(kind, table, mapping, headings, meaning)
    _tell_aside(found, table, headings, name)
    chosen = _Chosen(found, kind, table, headings, name)
    chosen.fixed = {field: value for field, value in (fixed or {}).items() if value}
    if not chosen.is_readable(name):
        return found
    reader = CellReader(table.unit)
    for row, cells in table.rows:
        wrong_shape = refusal_of(cells, len(headings))
        if wrong_shape:
            right = T_("put a text that holds the delimiter in double quotes")
            found.problems.append(RowProblem(name, row, "", wrong_shape, right))
            continue
        values = _values(chosen, reader, row, cells, found.problems, name)
        if values is not None:
            found.rows.append((row, values))
    _tell_counts(found, reader.counts, name)
    return found


def too_wide(columns: int, name: str, row: int) -> RowProblem:
    """Return what is said of a table with more columns than are read."""
    wrong = T_("the first row has %(columns)s columns", columns=f"{columns:,}")
    right = T_("give at most %(max_columns)s, named as in the template", max_columns=f"{MAX_COLUMNS:,}")
    return RowProblem(name, row, "", wrong, right)


def _headings(kind: Kind, table: Table, mapping: Mapping[str, str]) -> list[Heading | None]:
    exact = table.headings(kind)
    taken = {heading.field for heading in exact if heading is not None}
    likely = table.headings(kind, guess=True)
    found: list[Heading | None] = []
    for n, (name, sure, guess) in enumerate(zip(table.names, exact, likely, strict=True)):
        if name in mapping:
            unit = (sure or guess or Heading("")).unit
            found.append(Heading(mapping[name], unit))
        elif sure is not None or guess is None:
            found.append(sure)
        else:
            # A guess never takes a field that another column names, nor one that its cells are not such as.
            is_likely = guess.field not in taken and (not guess.guessed or _takes(kind, table, n, guess))
            found.append(guess if is_likely else None)
            taken.add(guess.field)
    return _without_row_numbers(table, _without_free_words(kind, table, mapping, found))


def _without_free_words(
    kind: Kind, table: Table, mapping: Mapping[str, str], headings: list[Heading | None]
) -> list[Heading | None]:
    """Take a column of 領域 or 合作方式 whose cells hardly name what its field has for what people write there.

    The field knows a handful of words; under the same heading offices write what a lab works on, which would be lost.
    """
    for n, heading in enumerate(headings):
        terms = _CLOSED.get(heading.field) if heading is not None else None
        if heading is None or terms is None or table.names[n] in mapping:
            continue
        column = next(one for one in COLUMNS[kind] if one.field == heading.field)
        said = [
            reader_words
            for _, cells in table.rows[:_LOOKED_INTO]
            if n < len(cells) and isinstance(cells[n], str) and (reader_words := _words(column, heading, cells[n]))
        ]
        known = sum(any(find(terms, word) is not None for word in words) for words in said)
        if said and known * 2 < len(said):
            has_words = kind is Kind.LABS and heading.field == "fields"
            headings[n] = Heading("keywords", guessed=True) if has_words else None
    return headings


def _words(column: Column, heading: Heading, cell: object) -> list[str]:
    try:
        found = CellReader().value(column, heading, cell)
    except TextError:
        return []
    return [one[:_LONGEST_TERM] for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _add_meant(
    kind: Kind, table: Table, mapping: Mapping[str, str], headings: list[Heading | None], meaning: Meaning
) -> None:
    """Put the fields that unknown headings mean into their places; one that is taken by another column is no guess."""
    unknown = [
        n
        for n, (name, heading) in enumerate(zip(table.names, headings, strict=True))
        if heading is None and name != OTHER_HEADING and name not in mapping and asks_for_meaning(name)
        and any(n < len(cells) and not is_blank(cells[n]) for _, cells in table.rows)
    ]  # fmt: skip
    if not unknown:
        return
    taken = {heading.field for heading in headings if heading is not None}
    meant = meaning(kind, [table.names[n] for n in unknown])
    twice = Counter(meant.values())
    for n in unknown:
        field_ = meant.get(table.names[n])
        heading = Heading(field_ or "", unit_in(table.names[n]), guessed=True)
        if field_ is not None and field_ not in taken and twice[field_] == 1 and _takes(kind, table, n, heading):
            headings[n] = heading


def _takes(kind: Kind, table: Table, n: int, heading: Heading) -> bool:
    """Whether most cells of a column are such as a field takes: numbers are no names, and 是 is no day."""
    column = next((one for one in COLUMNS[kind] if one.field == heading.field), None)
    filled = [cells[n] for _, cells in table.rows if n < len(cells) and not is_blank(cells[n])][:_LOOKED_INTO]
    if column is None:
        return False
    reader, taken = CellReader(table.unit), 0
    for cell in filled:
        is_number = isinstance(cell, int | float) or re.fullmatch(r"[\d.,%\s]+", str(cell)) is not None
        try:
            value = reader.value(column, heading, cell)
        except TextError:
            continue
        faults = check(kind, {"id": "x", column.field: value}, lenient=True, whole=False).faults
        is_wrong = any(fault.field.split("[")[0] == column.field for fault in faults)
        taken += not is_wrong and (column.field in _IN_NUMBERS or not is_number)
    return taken * 5 >= len(filled) * 4


def _without_row_numbers(table: Table, headings: list[Heading | None]) -> list[Heading | None]:
    """Take a column of ids that only counts the rows for what it is."""
    for n, heading in enumerate(headings):
        if heading is None or heading.field != "id" or heading.unit != ROW_NUMBER:
            continue
        said = [
            str(as_text(cells[n])).strip()
            for _, cells in table.rows
            if n < len(cells) and isinstance(cells[n], str | int | float)
        ]
        counts = [text.removesuffix(".") for text in said] == [str(k) for k in range(1, len(said) + 1)]
        others = sum(one is not None and one.field == "id" for one in headings) > 1
        headings[n] = Heading(ROW_NUMBER) if counts or others or not said else Heading("id")
    return headings


class _Chosen:
    """The columns of a table, each with the field that it fills."""

    def __init__(
        self, found: TableRows, kind: Kind, table: Table, headings: Sequence[Heading | None], name: str
    ) -> None:
        self.kind = kind
        by_field = {column.field: column for column in COLUMNS[kind]}
        self.columns: list[tuple[Column | None, Heading | None]] = []
        self.names = table.names
        self.found = found
        self.fixed: Mapping[str, str] = {}
        seen: set[str] = set()
        for n, (found_heading, text) in enumerate(zip(headings, table.names, strict=True)):
            heading = found_heading
            column = by_field.get(heading.field) if heading is not None else None
            told = printable(text[:60])
            is_part = heading is not None and heading.unit == EXTENSION
            if column is not None and column.field in seen and not (is_part or _adds_up(column)):
                found.problems.append(
                    RowProblem(name, table.header_row, told, self._twice(column), T_("keep one of them"), "warning")
                )
                column, heading = None, None
            elif (
                column is None
                and text
                and not ((heading is not None and heading.field in _SILENT) or text == OTHER_HEADING)
            ):
                wrong_one, right_one = self._not_ours()
                found.problems.append(RowProblem(name, table.header_row, told, wrong_one, right_one, "warning"))
            elif heading is not None and heading.guessed and column is not None:
                wrong = T_("was taken for %(field)s, which it is like", field=column.heading)
                right = T_("say otherwise with --map, or name the column as the template does")
                found.problems.append(RowProblem(name, table.header_row, told, wrong, right, "warning"))
            # An extension is beside a telephone number, whichever of the two columns comes first.
            seen.add(column.field if column is not None and not is_part else "")
            self.columns.append((column, heading))
            found.columns.append(_mapped(table, n, text, column, heading))
        self.fields = seen - {""}
        self.keeps_other = kind not in _NEEDED
        found.makes_ids = kind in NAMED_BY and "id" not in self.fields
        self._header = table.header_row

    def _not_ours(self) -> tuple[str, str]:
        if self.kind in _NEEDED:
            return T_("is not a known column and was ignored"), T_("see the template for the columns there are")
        return (
            T_("is not a known column; its cells are kept as other information"),
            T_("see the template for the columns there are"),
        )

    def _twice(self, column: Column) -> str:
        if self.kind in _NEEDED:
            return T_("is a second column for %(found)s and was ignored", found=column.field)
        return T_("is a second column for %(found)s; its cells are kept as other information", found=column.field)

    def is_readable(self, name: str) -> bool:
        """Say whether rows can be read with these columns; if not, note why."""
        problems = self.found.problems
        for needed in _NEEDED.get(self.kind, ()):
            if needed not in self.fields:
                heading = next(column.heading for column in COLUMNS[self.kind] if column.field == needed)
                right = T_('name it "%(heading)s", as the template does', heading=heading)
                problems.append(RowProblem(name, self._header, needed, T_("the first row has no such column"), right))
                return False
        if not self.found.makes_ids:
            return True
        needed_one, parts = NAMED_BY[self.kind]
        if not self.fields.intersection(needed_one):
            heading = next(column.heading for column in COLUMNS[self.kind] if column.field == "id")
            wrong = T_("no row of the file names the columns of %(kind)s", kind=self.kind)
            right = T_('give a row of headings such as "%(heading)s", as the template does', heading=heading)
            problems.append(RowProblem(name, self._header, "id", wrong, right))
            return False
        by_field = {
            column.field: name
            for (column, _), name in reversed([*zip(self.columns, self.names, strict=True)])
            if column
        }
        used = listed(printable(by_field[part]) for part in parts if part in by_field)
        wrong = T_("is in no column; ids were made from %(used)s", used=used)
        right = T_("they stay the same however the list is sorted; give ids to choose your own")
        problems.append(RowProblem(name, self._header, "id", wrong, right, "warning"))
        return True


def _adds_up(column: Column) -> bool:
    """Whether what two columns say can stand in one field."""
    return column.cell in (Cell.WORDS, Cell.TEXTS, Cell.ASKS) or (column.wide and column.field != "title")


def _mapped(table: Table, n: int, text: str, column: Column | None, heading: Heading | None) -> MappedColumn:
    samples: list[str] = []
    for _, cells in table.rows:
        if len(samples) == _SAMPLES:
            break
        if n < len(cells) and not is_blank(cells[n]):
            samples.append(printable(str(cells[n])[:60]))
    field_ = heading.field if heading is not None and heading.field in _SILENT else (column.field if column else None)
    return MappedColumn(
        text, field_, bool(heading and heading.guessed), heading.unit if heading else "", tuple(samples)
    )


def _values(
    chosen: _Chosen, reader: CellReader, row: int, cells: Sequence[object], problems: list[RowProblem], name: str
) -> dict[str, Any] | None:
    """Return a row's values; None if a cell that its record can't do without can't be read."""
    values: dict[str, Any] = {}
    other: dict[str, str] = {}
    extension = ("", "")
    for n, (column, heading) in enumerate(chosen.columns):
        cell = cells[n] if n < len(cells) else None
        if column is None or heading is None:
            is_number = heading is not None and heading.field in _SILENT
            if chosen.keeps_other and not is_number and chosen.names[n] and not is_blank(cell):
                other |= _others(chosen.names[n], cell)
            continue
        try:
            found = _readable(reader, column, heading, cell)
        except TextError as error:
            severity = "error" if costs_record(column.field) else "warning"
            problems.append(RowProblem(name, row, column.field, error.wrong, error.right, severity))  # type: ignore[arg-type]
            if severity == "error":
                return None
            continue
        if heading.unit == EXTENSION:
            extension = (chosen.names[n], "" if is_blank(found) else as_text(found).strip())
        else:
            _add(values, column, found)
    other |= _extended(values, *extension)
    values |= {name: said for name, said in chosen.fixed.items() if is_blank(values.get(name))}
    if chosen.found.makes_ids:
        if (key := made_id(chosen.kind, values)) is None:
            wrong, right = T_("nothing in the row names it"), T_("give a name or leave the row out")
            problems.append(RowProblem(name, row, "", wrong, right))
            return None
        values["id"] = key
    if other:
        values[OTHER] = other
    return values


def _extended(values: dict[str, Any], heading: str, extension: str) -> dict[str, str]:
    """Put an extension behind the row's telephone number; return it as other information where that has no place."""
    number = values.get("contact_phone")
    if (
        extension
        and isinstance(number, str)
        and not is_blank(number)
        and _EXTENSION.fullmatch(extension)
        and "#" not in number
    ):
        values["contact_phone"] = f"{number} #{extension}"
        return {}
    return {heading: extension} if extension else {}


def _readable(reader: CellReader, column: Column, heading: Heading, cell: object) -> object:
    if isinstance(cell, Unreadable):
        as_text(cell)
    return reader.value(column, heading, cell)


def _others(heading: str, cell: object) -> dict[str, str]:
    """Return what a cell says that is not ours, by heading; an export has it all in one cell."""
    if heading == OTHER_HEADING and isinstance(cell, str) and cell.startswith("{"):
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return {str(key): _other_text(value) for key, value in found.items()}
    return {heading: _other_text(cell)}


def _other_text(cell: object) -> str:
    try:
        return as_text(cell).strip()[:_MAX_OTHER_CHARS]
    except TextError:
        return printable(str(cell))[:_MAX_OTHER_CHARS]


def _add(values: dict[str, Any], column: Column, found: object) -> None:
    """Put a value into its field, behind what another column of the same field said."""
    before = values.get(column.field)
    if is_blank(before):
        values[column.field] = found
    elif is_blank(found):
        return
    elif isinstance(before, list) and isinstance(found, list):
        values[column.field] = [*before, *(one for one in found if one not in before)]
    elif isinstance(before, str):
        added = as_text(found)
        values[column.field] = before if added in before else f"{before}\n{added}"


def _tell_aside(found: TableRows, table: Table, headings: Sequence[Heading | None], name: str) -> None:
    # Where there are ids, a row without one is a mistake to be told, and no heading.
    if found.kind is not Kind.TERMS and all(heading is None or heading.field != "id" for heading in headings):
        table.aside += [(row, "section") for row, _ in sections(table, headings)]
    told = {
        "total": T_("totals were left out"),
        "remark": T_("remarks below the table were left out"),
        "section": T_("rows with one cell only, such as headings of sections, were left out"),
        "header": T_("headings that stand there again were left out"),
    }
    for reason, wrong in told.items():
        rows = [row for row, why in table.aside if why == reason]
        if rows:
            more = "" if len(rows) <= _ROWS_NAMED else " …"
            listed = ", ".join(map(str, rows[:_ROWS_NAMED])) + more
            right = T_("see rows %(rows)s if one of them is a record", rows=listed)
            found.problems.append(RowProblem(name, rows[0], "", wrong, right, "warning"))


def _tell_counts(found: TableRows, counts: Counter[str], name: str) -> None:
    told = {
        "nothing": T_("words such as 無, N/A or - were read as empty"),
        "ditto": T_("marks such as 同上 were read as what stands above them"),
        "roc": T_("years below 151 were read as 民國"),
        "ask": T_("asks without a kind were read as technology"),
        "people": T_("several heads in one cell were read as several people"),
    }
    for reason, wrong in told.items():
        if counts[reason]:
            right = T_("%(n)s cells; write them out if that is wrong", n=counts[reason])
            found.problems.append(RowProblem(name, 0, "", wrong, right, "warning"))
