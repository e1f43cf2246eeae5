"""The header of a flat file, and its rows as the exchange format would hold them.

In: a grid of cells. Out: numbered raw values by field, and what was wrong with
the header or the shape of a row. It exists because people rename, reorder and
repeat columns, and a shifted row must not put one field's value into another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexer.checking import RowProblem
from indexer.columns import COLUMNS, Column, field_of, json_value, refusal_of
from indexer.grids import MAX_COLUMNS, Grid
from indexer.plain_text import TextError, printable
from indexer.values import as_text, is_blank
from indexer.vocabulary import Kind
from indexer.wording import T_


def grid_rows(kind: Kind, grid: Grid, name: str) -> tuple[list[tuple[int, object]], list[RowProblem]]:
    """Return the rows below the header as (row number, values by field), and what was wrong.

    Problems with severity "error" stand for one refused row each, or for the file.
    """
    problems = list(grid.problems)
    if not grid.rows:
        if not problems:
            problems.append(RowProblem(name, 0, "", T_("has no rows"), T_("give a header row and rows below it")))
        return [], problems
    row, cells = grid.rows[0]
    if len(cells) > MAX_COLUMNS:
        wrong = T_("the first row has %(columns)s columns", columns=f"{len(cells):,}")
        problems.append(
            RowProblem(
                name,
                row,
                "",
                wrong,
                T_("give at most %(max_columns)s, named as in the template", max_columns=f"{MAX_COLUMNS:,}"),
            )
        )
        return [], problems
    columns = _columns(kind, row, cells, name, problems)
    needed = "lab" if kind is Kind.EVIDENCE else "id"
    if not any(column is not None and column.field == needed for column in columns):
        heading = next(column.heading for column in COLUMNS[kind] if column.field == needed)
        wrong = T_("the first row has no such column")
        problems.append(
            RowProblem(name, row, needed, wrong, T_('name it "%(heading)s", as the template does', heading=heading))
        )
        return [], problems
    rows: list[tuple[int, object]] = []
    for row, cells in grid.rows[1:]:
        wrong_shape = refusal_of(cells, len(columns))
        if wrong_shape:
            right = T_("put a text that holds the delimiter in double quotes")
            problems.append(RowProblem(name, row, "", wrong_shape, right))
            continue
        try:
            rows.append((row, _values(columns, cells)))
        except TextError as error:
            problems.append(RowProblem(name, row, getattr(error, "field", ""), error.wrong, error.right))
    return rows, problems


def _columns(
    kind: Kind, row: int, cells: Sequence[object], name: str, problems: list[RowProblem]
) -> list[Column | None]:
    """Return the column that each heading names; None where it names none or repeats one."""
    by_field = {column.field: column for column in COLUMNS[kind]}
    columns: list[Column | None] = []
    seen: set[str] = set()
    for cell in _trimmed(cells):
        heading = "" if is_blank(cell) else _heading(cell)
        found = field_of(kind, heading) if heading else None
        if heading and found is None:
            wrong, right = T_("is not a known column and was ignored"), T_("see the template for the columns there are")
            problems.append(RowProblem(name, row, printable(heading[:60]), wrong, right, "warning"))
        elif found in seen:
            wrong = T_("is a second column for %(found)s and was ignored", found=found)
            problems.append(RowProblem(name, row, printable(heading[:60]), wrong, T_("keep one of them"), "warning"))
            found = None
        columns.append(by_field[found] if found else None)
        seen.add(found or "")
    return columns


def _trimmed(cells: Sequence[object]) -> Sequence[object]:
    width = max((n for n, cell in enumerate(cells, start=1) if not is_blank(cell)), default=0)
    return cells[:width]


def _heading(cell: object) -> str:
    try:
        return as_text(cell).strip()
    except TextError:
        return str(cell)


def _values(columns: Sequence[Column | None], cells: Sequence[object]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=False):
        if column is None:
            continue
        try:
            values[column.field] = json_value(column, cell)
        except TextError as error:
            error.field = column.field  # type: ignore[attr-defined]
            raise
    return values
