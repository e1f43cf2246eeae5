"""Rules as forms: what a document of rules holds, as single values and tables that a person reads and sets.

In: a document as JSON, and what somebody typed over it. Out: its values and rows in words, the document that the form
makes of them, and what that changes. It exists because the office sets targets, weights and paces itself: keys of JSON
are no words for that, and a list is set row by row, with every refusal beside the cell to blame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import pairwise
from math import isfinite, nan
from typing import Any

from starlette.datastructures import FormData

from api.pages.shell.record_names import country
from api.pages.shell.wording import N_, Lang, Wording
from api.requests.problems import ProblemError
from indexer.vocabulary import COUNTRIES
from indexer.wording import T_
from matcher.ledger.rows.periods import roc_year

Place = tuple[str | int, ...]
"""Where in a document something stands: names of members and numbers of items, from the outside in."""
Row = tuple[tuple[str, ...], Any]
"""The keys of a row, where its table has them, and what it holds."""
MOST_ROWS = 300
"""Rows of a table that a form is read for."""
_ROC_YEARS = 1000
"""A year below this is one of the Republic."""
_BETWEEN = re.compile("[,，、;；]")


class TypedAs(StrEnum):
    """How a value is typed in a form."""

    DAY = "day"
    YEAR = "year"
    NUMBER = "number"
    PERCENT = "percent"
    PERCENT_OF_BP = "percent of basis points"
    LINE = "line"
    TEXT = "text"
    COUNTRIES = "countries"
    CHOICE = "choice"
    CHOICES = "choices"
    YES = "yes"


_TIMES = {TypedAs.PERCENT: 100, TypedAs.PERCENT_OF_BP: 1 / 100}


@dataclass(frozen=True)
class RuleColumn:
    """A value and where it stands in the document, or in its row; `options` are its codes with their words.

    `may_lack`: nothing typed is None, where otherwise something has to be.
    """

    place: Place
    words: str
    typed: TypedAs = TypedAs.LINE
    options: Mapping[str, str] = field(default_factory=dict)
    may_lack: bool = False


@dataclass(frozen=True)
class RuleTable:
    """A list of a document, or a mapping, in rows.

    `keys` are the columns of a mapping's keys, one or two; none for a list. A mapping whose keys nobody reads, and a
    list whose rows have such a code, `make` them: the first word of what a new row is called by. `fresh` is what a new
    row holds beside its columns. One that does not `grow` has the rows that it has.
    """

    place: Place
    words: str
    columns: tuple[RuleColumn, ...]
    keys: tuple[RuleColumn, ...] = ()
    is_mapping: bool = False
    makes: str = ""
    fresh: Mapping[str, Any] = field(default_factory=dict)
    grows: bool = True

    @property
    def name(self) -> str:
        """What the names of its cells begin with."""
        return "-".join(str(part) for part in self.place)

    @property
    def all_columns(self) -> tuple[RuleColumn, ...]:
        """Keys and values, in the order in which they are shown."""
        return (*self.keys, *self.columns)

    @property
    def depth(self) -> int:
        """How many keys lead to a row; none for a list."""
        return max(1, len(self.keys)) if self.is_mapping or self.keys else 0

    def rows(self, document: Mapping[str, Any]) -> list[Row]:
        """Return the rows as they stand in a document."""
        held = at(document, self.place)
        return [((), row) for row in held] if self.depth == 0 else list(_leaves(held, self.depth))


@dataclass(frozen=True)
class RuleCell:
    """A value of a form: its name there, its column, what is typed (codes where it is a choice) and what it says."""

    name: str
    column: RuleColumn
    typed: tuple[str, ...]
    said: str

    @property
    def text(self) -> str:
        """What stands in its field."""
        return self.typed[0] if self.typed else ""


@dataclass(frozen=True)
class RuleRow:
    """A row of a form: its name, its cells, and whether it is new or about to go."""

    name: str
    cells: tuple[RuleCell, ...]
    is_new: bool = False
    is_gone: bool = False


@dataclass(frozen=True)
class ChangedRule:
    """What a form makes of a document, what that changes in words, and which cell each place of it came from."""

    document: dict[str, Any]
    changes: tuple[tuple[str, str, str], ...]
    cells: Mapping[str, str]

    def cell_of(self, place: str | None) -> str | None:
        """Return the name of the cell at a place of the document, such as `books.0.targets.3.amount`."""
        parts = (place or "").split(".")
        for length in range(len(parts), 0, -1):
            found = self.cells.get(".".join(parts[:length]))
            if found is not None:
                return found
        return None


def at(document: Any, place: Place) -> Any:
    """Return what stands at a place; None where there is nothing."""
    for part in place:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _put(document: Any, place: Place, value: Any) -> None:
    inner = at(document, place[:-1])
    inner[place[-1]] = value


def _leaves(held: Mapping[str, Any], depth: int, keys: tuple[str, ...] = ()) -> Iterator[Row]:
    for key, inner in held.items():
        if depth == 1:
            yield (*keys, str(key)), inner
        else:
            yield from _leaves(inner, depth - 1, (*keys, str(key)))


@dataclass(frozen=True)
class RuleForm:
    """The form of one document, in one language."""

    values: tuple[RuleColumn, ...]
    tables: tuple[RuleTable, ...]
    wording: Wording

    def single(self, document: Mapping[str, Any], given: FormData | None = None) -> list[RuleCell]:
        """Return the single values as they stand, or as somebody typed them."""
        cells = []
        for column in self.values:
            name = "-".join(str(part) for part in column.place)
            cells.append(self._cell(name, column, at(document, column.place), given))
        return cells

    def rows(self, table: RuleTable, document: Mapping[str, Any], given: FormData | None = None) -> list[RuleRow]:
        """Return a table's rows as they stand, or as somebody typed them, and an empty one where it grows."""
        held = table.rows(document)
        typed = [] if given is None else _typed_rows(table, given)
        count = max(len(held), max(typed, default=-1) + 1)
        rows = [self._row(table, number, held, given if number in typed else None) for number in range(count)]
        if table.grows:
            rows.append(self._row(table, count, held, None))
        return rows

    def read(self, document: Mapping[str, Any], given: FormData) -> ChangedRule:
        """Return what a form makes of a document.

        Raises:
            ProblemError: 422, a cell holds what its column can't be; `field` is the cell's name.
        """
        becomes: dict[str, Any] = deepcopy(dict(document))
        cells: dict[str, str] = {}
        changes: list[tuple[str, str, str]] = []
        for column in self.values:
            name = "-".join(str(part) for part in column.place)
            value = self._read_value(column, name, given)
            before, after = self.said(column, at(document, column.place)), self.said(column, value)
            _put(becomes, column.place, value)
            cells[".".join(str(part) for part in column.place)] = name
            if before != after:
                changes.append((self.wording.text(column.words), before, after))
        for table in self.tables:
            changes += self._read_table(table, document, becomes, given, cells)
        return ChangedRule(becomes, tuple(changes), cells)

    def said(self, column: RuleColumn, value: Any) -> str:
        """Return a value in words."""
        if value is None or value in ("", []):
            return "—"
        if column.typed in (TypedAs.CHOICE, TypedAs.CHOICES):
            codes = value if isinstance(value, list) else [value]
            return self._between.join(self.wording.text(column.options.get(str(code), str(code))) for code in codes)
        if column.typed is TypedAs.YES:
            return self.wording.text(N_("yes") if value else N_("no"))
        if column.typed is TypedAs.DAY:
            return self.wording.day(value)
        if column.typed is TypedAs.NUMBER:
            return self.wording.number(value, 0 if float(value).is_integer() else 2)
        return self._typed(column, value)[0] + (" %" if column.typed in _TIMES else "")

    def _typed(self, column: RuleColumn, value: Any) -> tuple[str, ...]:
        """Return a value as it is typed in a form."""
        if value is None:
            return ()
        if column.typed is TypedAs.CHOICES:
            return tuple(str(code) for code in value)
        if column.typed is TypedAs.YES:
            return ("yes",) if value else ()
        if column.typed is TypedAs.COUNTRIES:
            return (self._between.join(self.wording.plain(*country(code)) for code in value),)
        if column.typed is TypedAs.YEAR:
            text = str(self._year(int(value)))
        elif column.typed in _TIMES:
            text = f"{value * _TIMES[column.typed]:g}"
        else:
            text = str(_whole(value)) if isinstance(value, float) else str(value)
        return (text,)

    def _year(self, year: int) -> int:
        return roc_year(year) if self.wording.lang is Lang.ZH else year

    @property
    def _between(self) -> str:
        return "、" if self.wording.lang is Lang.ZH else ", "

    def _cell(self, name: str, column: RuleColumn, value: Any, given: FormData | None) -> RuleCell:
        typed = self._typed(column, value) if given is None else _texts(given, name)
        return RuleCell(name, column, typed, self.said(column, value))

    def _row(self, table: RuleTable, number: int, held: Sequence[Row], given: FormData | None) -> RuleRow:
        name = f"{table.name}-{number}"
        is_new = number >= len(held)
        keys, row = ((), None) if is_new else held[number]
        cells = []
        for place, column in enumerate(table.all_columns):
            is_key = place < len(table.keys)
            value = None if is_new else keys[place] if is_key else at(row, column.place)
            cells.append(self._cell(f"{name}-{place}", column, value, given))
        gone = given is not None and f"{name}-gone" in given
        return RuleRow(name, tuple(cells), is_new, gone)

    def _read_table(
        self,
        table: RuleTable,
        document: Mapping[str, Any],
        becomes: dict[str, Any],
        given: FormData,
        cells: dict[str, str],
    ) -> list[tuple[str, str, str]]:
        """Put a table's rows into the document that becomes, and return what they change."""
        held = table.rows(document)
        kept: list[Row] = []
        changes: list[tuple[str, str, str]] = []
        for number in range(max(len(held), max(_typed_rows(table, given), default=-1) + 1)):
            name = f"{table.name}-{number}"
            old = held[number] if number < len(held) else None
            if f"{name}-there" not in given:
                # A row that the form did not have stays as it is.
                kept += [old] if old is not None else []
                continue
            if f"{name}-gone" in given or (old is None and self._is_blank(table, name, given)):
                changes += self._told(table, number, old, None)
                continue
            new = self._read_row(table, name, old, given, kept, held)
            place = self._place(table, new, len(kept))
            cells[place] = f"{name}-0"
            for column_number, column in enumerate(table.all_columns):
                inner = ".".join(str(part) for part in column.place)
                cells[f"{place}.{inner}" if inner else place] = f"{name}-{column_number}"
            changes += self._told(table, number, old, new)
            kept.append(new)
        _put(becomes, table.place, _joined(kept, table.depth))
        return changes

    def _place(self, table: RuleTable, row: Row, number: int) -> str:
        inner = row[0] if table.depth else (number,)
        return ".".join(str(part) for part in (*table.place, *inner))

    def _read_row(
        self, table: RuleTable, name: str, old: Row | None, given: FormData, kept: Sequence[Row], held: Sequence[Row]
    ) -> Row:
        """Return a row as it was typed; a new one gets a code that neither the old rows nor the others have."""
        is_plain = any(column.place == () for column in table.columns)
        row: Any = deepcopy(dict(table.fresh)) if old is None else deepcopy(old[1])
        values = [self._read_value(column, f"{name}-{place}", given) for place, column in enumerate(table.all_columns)]
        for column, value in zip(table.columns, values[len(table.keys) :], strict=True):
            if is_plain:
                row = value
            else:
                _put(_with_room(row, column.place), column.place, value)
        keys = tuple(str(value) for value in values[: len(table.keys)])
        if table.depth and not table.keys:
            codes = [one for ones, _ in (*held, *kept) for one in ones]
            keys = old[0] if old is not None else (_new_code(table.makes, codes),)
        elif table.makes and old is None:
            row["code"] = _new_code(table.makes, [str(one["code"]) for _, one in (*held, *kept)])
        if keys and keys in [ones for ones, _ in kept]:
            raise ProblemError(422, "invalid", T_("this row stands twice in the table"), f"{name}-0")
        return keys, row

    def _is_blank(self, table: RuleTable, name: str, given: FormData) -> bool:
        return not any(
            text.strip() for place in range(len(table.all_columns)) for text in _texts(given, f"{name}-{place}")
        )

    def _read_value(self, column: RuleColumn, name: str, given: FormData) -> Any:
        texts = _texts(given, name)
        if column.typed is TypedAs.CHOICES:
            return [code for code in column.options if code in texts]
        if column.typed is TypedAs.YES:
            return "yes" in texts
        text = texts[0].strip() if texts else ""
        if not text and column.may_lack:
            return None
        return _VALUE[column.typed](column, name, text)

    def _told(self, table: RuleTable, number: int, old: Row | None, new: Row | None) -> list[tuple[str, str, str]]:
        """Return what a row changes, in words."""
        caption = self.wording.text(table.words)
        if old is None or new is None:
            said = [self._row_said(table, one) if one is not None else "—" for one in (old, new)]
            return [] if said[0] == said[1] else [(caption, said[0], said[1])]
        found = []
        for column, before, after in zip(table.all_columns, _flat(table, old), _flat(table, new), strict=True):
            pair = (self.said(column, before), self.said(column, after))
            if pair[0] != pair[1]:
                words = T_(
                    "%(table)s, row %(row)s: %(column)s",
                    table=caption,
                    row=number + 1,
                    column=self.wording.text(column.words),
                )
                found.append((self.wording.text(words), *pair))
        return found

    def _row_said(self, table: RuleTable, row: Row) -> str:
        said = (self.said(column, value) for column, value in zip(table.all_columns, _flat(table, row), strict=True))
        return self._between.join(one for one in said if one != "—")


def _flat(table: RuleTable, row: Row) -> list[Any]:
    keys, held = row
    return [*(keys if table.keys else ()), *(at(held, column.place) for column in table.columns)]


def _with_room(row: Any, place: Place) -> Any:
    """Return a row that has a list wherever a place in it asks for one that is not there yet."""
    for depth, (part, following) in enumerate(pairwise(place)):
        inner = at(row, place[:depth])
        if isinstance(following, int):
            some = inner.setdefault(part, [])
            some += [None] * (following + 1 - len(some))
    return row


def _joined(rows: Sequence[Row], depth: int) -> Any:
    if depth == 0:
        return [row for _, row in rows]
    found: dict[str, Any] = {}
    for keys, row in rows:
        inner = found
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = row
    return found


def _new_code(makes: str, taken: Sequence[str]) -> str:
    return next(code for number in range(1, MOST_ROWS * 2) if (code := f"{makes}_{number}") not in taken)


def _typed_rows(table: RuleTable, given: FormData) -> list[int]:
    return [number for number in range(MOST_ROWS) if f"{table.name}-{number}-there" in given]


def _texts(given: FormData, name: str) -> tuple[str, ...]:
    return tuple(one for one in given.getlist(name) if isinstance(one, str))


def _day(_: RuleColumn, name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ProblemError(422, "invalid", T_("give a day such as 2019-06-30"), name) from error


def _number(column: RuleColumn, name: str, text: str) -> float:
    try:
        number = float(text.replace(",", "").removesuffix("%"))
    except ValueError:
        number = nan
    if not isfinite(number):
        raise ProblemError(422, "invalid", T_("give a number"), name)
    number /= _TIMES.get(column.typed, 1)
    return round(number) if column.typed is TypedAs.PERCENT_OF_BP else _whole(number)


def _year(column: RuleColumn, name: str, text: str) -> int:
    number = _number(column, name, text)
    if not float(number).is_integer():
        raise ProblemError(422, "invalid", T_("give a year such as 109"), name)
    return int(number) + (1911 if number < _ROC_YEARS else 0)


def _line(column: RuleColumn, name: str, text: str) -> str:
    if not text and column.typed is TypedAs.LINE:
        raise ProblemError(422, "invalid", T_("say something here"), name)
    return text


def _choice(column: RuleColumn, name: str, text: str) -> str:
    if text not in column.options:
        raise ProblemError(422, "invalid", T_("choose one of the list"), name)
    return text


def _countries(_: RuleColumn, name: str, text: str) -> list[str]:
    codes = {said.casefold(): code for code in sorted(COUNTRIES) for said in (*country(code), code)}
    found = []
    for one in (part.strip() for part in _BETWEEN.split(text)):
        code = codes.get(one.replace("台", "臺").casefold())
        if one and code is None:
            raise ProblemError(422, "invalid", T_("“%(name)s” is no country: write its name", name=one[:60]), name)
        found += [code] if code is not None and code not in found else []
    return found


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else round(number, 6)


_VALUE = {
    TypedAs.DAY: _day,
    TypedAs.YEAR: _year,
    TypedAs.NUMBER: _number,
    TypedAs.PERCENT: _number,
    TypedAs.PERCENT_OF_BP: _number,
    TypedAs.LINE: _line,
    TypedAs.TEXT: _line,
    TypedAs.CHOICE: _choice,
    TypedAs.COUNTRIES: _countries,
}
