"""A list that is looked through, as documents: its tables with their columns, its rows, its problems, what it would do.

In: what was understood of a draft, and what its import would do. Out: documents for whoever corrects it, a browser or
a program: each problem stands with its table, row and column, so that it is mended where it is. It exists apart from
the routes because the pages show the same, and because where a problem belongs must be found out from its words.

What is stored of a need is never shown here, only what the list says: a need is read where reading it is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from api.jobs.import_drafts import ImportDraft, Planned
from indexer.plain_text import printable
from indexer.records.columns import in_one_cell, parts_of
from indexer.records.exchange import RowProblem
from indexer.records.lists.corrections import Corrections, FoundTable
from indexer.records.lists.grids import Unreadable
from indexer.records.lists.headings import ROW_NUMBER
from indexer.records.lists.rows import IGNORED
from indexer.records.readers import Reading
from indexer.records.values import as_text, is_blank
from indexer.vocabulary import Kind

MAX_LISTED = 200
"""Problems, new records and changed values that a document lists; it counts all."""
MAX_SHOWN_COLUMNS = 60
_BASE = re.compile(r"[\[.]")


@dataclass(frozen=True)
class PlacedProblem:
    """A problem with the key of its table and the number of its column in the sheet, each None if it has none."""

    problem: RowProblem
    table: str | None
    column: int | None

    def document(self) -> dict[str, Any]:
        """Return it as a document."""
        return {"table": self.table, "column": self.column, **asdict(self.problem)}


def draft_document(draft: ImportDraft) -> dict[str, Any]:
    """Return what is said of a draft in a list of them."""
    return {
        "id": draft.id,
        "name": draft.name,
        "alliance": draft.alliance_id,
        "holds": draft.holds,
        "corrections": draft.corrections.count(),
        "created_at": draft.created_at.isoformat(),
        "kept_until": draft.kept_until.isoformat(),
        "job": draft.job_id,
    }


def looked_through(draft: ImportDraft, found: Reading, plans: Sequence[Planned]) -> dict[str, Any]:
    """Return a draft with all that is understood of it."""
    placed = problems_of(found, plans)
    return {
        **draft_document(draft),
        "tables": [_table_document(one, draft.corrections, placed) for one in found.found],
        "problems": [one.document() for one in placed[:MAX_LISTED]],
        "problems_left_out": max(0, len(placed) - MAX_LISTED),
        "errors": sum(one.problem.severity == "error" for one in placed),
        "plan": [_plan_document(plan) for plan in plans],
    }


def problems_of(found: Reading, plans: Sequence[Planned]) -> list[PlacedProblem]:
    """Return all problems of a list where they stand: those that cost something first."""
    told = [problem for one in found.all() for problem in one.problems]
    told += [problem for plan in plans for problem in plan.problems]
    places: dict[str, list[tuple[FoundTable, frozenset[int]]]] = {}
    for one in found.found:
        rows = frozenset({one.table.header_row, *(row for row, _ in one.table.rows)})
        places.setdefault(one.label, []).append((one, rows))
    placed = [_placed(places.get(problem.file, ()), problem) for problem in dict.fromkeys(told)]
    return sorted(placed, key=lambda one: (one.problem.severity != "error", one.problem.file, one.problem.row))


def _placed(tables: Sequence[tuple[FoundTable, frozenset[int]]], problem: RowProblem) -> PlacedProblem:
    here = [one for one, rows in tables if problem.row in rows]
    table = here[0] if here else (tables[0][0] if len(tables) == 1 else None)
    if table is None:
        return PlacedProblem(problem, None, None)
    return PlacedProblem(problem, table.key, _column_of(table, problem.field))


def _column_of(table: FoundTable, field: str) -> int | None:
    if table.read is None or not field:
        return None
    base = _BASE.split(field)[0]
    for n, column in enumerate(table.read.columns):
        if column.field == base or printable(column.heading[:60]) == field:
            return table.table.left + n + 1
    return None


def _table_document(one: FoundTable, corrections: Corrections, placed: Sequence[PlacedProblem]) -> dict[str, Any]:
    said = corrections.of(one.key)
    own = [problem.problem for problem in placed if problem.table == one.key]
    return {
        "key": one.key,
        "sheet": one.sheet,
        "title": one.title,
        "header_row": one.table.header_row,
        "kind": one.kind,
        "chosen": said.kind is not None,
        "left_out": said.left_out,
        "rows": len(one.table.rows),
        "rows_left_out": len(one.rows_out),
        "makes_ids": one.read is not None and one.read.makes_ids,
        "fixed": dict(said.fixed),
        "columns": list(_columns(one, corrections)),
        "errors": sum(problem.severity == "error" for problem in own),
        "warnings": sum(problem.severity == "warning" for problem in own),
    }


def _columns(one: FoundTable, corrections: Corrections) -> Iterator[dict[str, Any]]:
    said = corrections.of(one.key)
    known = one.read.columns if one.read is not None else []
    for n, heading in enumerate(one.table.names):
        column = known[n] if n < len(known) else None
        samples = [_text_at(cells, n) for _, cells in one.table.rows[:8]]
        yield {
            "column": one.table.left + n + 1,
            "heading": heading,
            "field": None if column is None else IGNORED if column.field == ROW_NUMBER else column.field,
            "guessed": column is not None and column.guessed and heading not in said.columns,
            "chosen": heading in said.columns,
            "unit": column.unit if column is not None else "",
            "samples": [text[:60] for text in samples if text][:3],
        }


def _plan_document(plan: Planned) -> dict[str, Any]:
    emptied = sum(change.empties for change in plan.changes)
    return {
        "kind": plan.kind,
        "created": plan.created,
        "updated": plan.updated,
        "unchanged": plan.unchanged,
        "refused": plan.refused,
        "values_changed": len(plan.changes) - emptied,
        "values_emptied": emptied,
        "new": [{"id": key, "name": name} for key, name in plan.new[:MAX_LISTED]],
        "changes": [
            {
                "id": change.record_id,
                "name": plan.names.get(change.record_id, ""),
                "field": change.field,
                "before": None if plan.kind is Kind.NEEDS else _said(change.before),
                "after": _said(change.after),
                "empties": change.empties,
            }
            for change in plan.changes[:MAX_LISTED]
        ],
    }


def _said(value: object) -> str | None:
    if value in (None, "", [], {}):
        return None
    text = "、".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 200 else text[:199] + "…"


def table_named(found: Reading, key: str) -> FoundTable | None:
    """Return a table of a list by its key."""
    return next((one for one in found.found if one.key == key), None)


def rows_document(
    table: FoundTable, placed: Sequence[PlacedProblem], *, only_problems: bool, after: int, limit: int
) -> dict[str, Any]:
    """Return some rows of a table in the order of the sheet, each cell with what is wrong with it.

    Args:
        table: the table.
        placed: all problems of the list.
        only_problems: leave out the rows of which nothing is to be said; those that are left out stay.
        after: the number of the row after which to begin.
        limit: how many.
    """
    own: dict[int, list[PlacedProblem]] = {}
    for one in placed:
        if one.table == table.key:
            own.setdefault(one.problem.row, []).append(one)
    out = {row for row, _ in table.rows_out}
    every = sorted([*table.table.rows, *table.rows_out], key=lambda one: one[0])
    told = [one for one in every if not only_problems or one[0] in own or one[0] in out]
    shown = [one for one in told if one[0] > after][: limit + 1]
    columns = min(len(table.table.names), MAX_SHOWN_COLUMNS)
    return {
        "rows": [
            {
                "row": row,
                "left_out": row in out,
                "cells": [_text_at(cells, n) for n in range(columns)],
                "problems": [problem.document() for problem in own.get(row, ())],
            }
            for row, cells in shown[:limit]
        ],
        "total": len(told),
        "all": len(every),
        "next": shown[limit - 1][0] if len(shown) > limit else None,
    }


def text_of(cell: object) -> str:
    """Return a cell as it is shown and typed: several texts one in a line, not as an export packs them."""
    if (parts := parts_of(cell)) is not None:
        return _sendable("\n".join(parts))
    if is_blank(cell) or isinstance(cell, Unreadable):
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == datetime.min.time() else cell.isoformat(" ")
    if isinstance(cell, date):
        return cell.isoformat()
    try:
        return _sendable(as_text(cell))
    except ValueError:
        return printable(str(cell))


def _sendable(text: str) -> str:
    """Return a text with halves of characters, which JSON may hold and no answer can, written as their codes."""
    if text.isascii() or not _HALVES.search(text):
        return text
    return _HALVES.sub(lambda found: printable(found[0]), text)


_HALVES = re.compile("[\ud800-\udfff]")


def typed_over(cell: object, typed: str | None) -> str | None:
    """Return what is kept of what somebody typed over a cell, None if it says what stands there."""
    if typed is None or typed == text_of(cell):
        return None
    return (
        typed if parts_of(cell) is None else in_one_cell([line.strip() for line in typed.split("\n") if line.strip()])
    )


def cells_in(found: Reading) -> dict[tuple[int, int, int], object]:
    """Return the cells of a list as they are now, by sheet, row and column."""
    return {
        (one.sheet, row, one.table.left + n): cell
        for one in found.found
        for row, cells in [*one.table.rows, *one.rows_out]
        for n, cell in enumerate(cells, start=1)
    }


def _text_at(cells: Sequence[object], n: int) -> str:
    return text_of(cells[n]) if n < len(cells) else ""


def with_cells(corrections: Corrections, sheet: int, cells: Iterable[tuple[int, int, str | None]]) -> Corrections:
    """Return corrections with cells of a sheet, by row and column; None puts a cell back as the file has it."""
    of_sheet = {row: dict(columns) for row, columns in corrections.cells.get(sheet, {}).items()}
    for row, column, value in cells:
        columns = of_sheet.setdefault(row, {})
        if value is None:
            columns.pop(column, None)
        else:
            columns[column] = value
    kept = {row: columns for row, columns in of_sheet.items() if columns}
    return corrections.model_copy(update={"cells": {**corrections.cells, sheet: kept}})


def with_rows_out(corrections: Corrections, sheet: int, rows: Iterable[tuple[int, bool]]) -> Corrections:
    """Return corrections with rows of a sheet left out, or taken in again."""
    out = set(corrections.out.get(sheet, ()))
    for row, left_out in rows:
        (out.add if left_out else out.discard)(row)
    return corrections.model_copy(update={"out": {**corrections.out, sheet: sorted(out)}})


def filled_down(
    table: FoundTable, placed: Sequence[PlacedProblem], corrections: Corrections, row: int, column: int
) -> Corrections:
    """Return corrections with a cell's value in the cells below it, down to the next that holds something right."""
    wrong = {one.problem.row for one in placed if one.table == table.key and one.column == column}
    n = column - table.table.left - 1
    rows = [one for one in table.table.rows if one[0] >= row]
    if not rows or rows[0][0] != row or not 0 <= n < len(table.table.names):
        return corrections
    first = rows[0][1]
    value = _text_at(first, n)
    if n < len(first) and parts_of(first[n]) is not None:
        value = str(first[n])
    filled: list[tuple[int, int, str | None]] = []
    for number, cells in rows[1:]:
        if _text_at(cells, n) and number not in wrong:
            break
        filled.append((number, column, value))
    return with_cells(corrections, table.sheet, filled)
