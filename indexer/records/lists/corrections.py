"""What a person corrected of a list after seeing what was understood of it: kinds, columns, cells, rows left out.

In: sheets as they were read, and corrections by their places. Out: the same cells as they are meant, which then go the
way of every list. It exists so that a list is mended without its file being written anew, and so that corrections can
be kept, sent over HTTP and applied again to the same file: they name places, never copies of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from indexer.records.lists.grids import Grid
from indexer.records.lists.rows import TableRows
from indexer.records.lists.tables import Table
from indexer.vocabulary import Kind


class TableSaid(BaseModel):
    """What somebody said of one table: what its rows are, that it is to be left out, the field of each heading.

    `fixed` are values by field for all rows that have none of their own, such as the school of a school's own list.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind | None = None
    left_out: bool = False
    columns: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, str] = Field(default_factory=dict)


class Corrections(BaseModel):
    """Corrections by place: tables by key, rows and cells by the number of their sheet, counted from 0.

    `headers` say in which row a sheet's headings stand, `cells` what stands in a row's column (rows as people see them,
    columns counted from 1), `out` which rows are left out. `meant` is no correction but what headings that nobody knows
    were found to mean, by kind: asked once, when the list came.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tables: dict[str, TableSaid] = Field(default_factory=dict)
    headers: dict[int, int] = Field(default_factory=dict)
    cells: dict[int, dict[int, dict[int, str]]] = Field(default_factory=dict)
    out: dict[int, list[int]] = Field(default_factory=dict)
    meant: dict[Kind, dict[str, str]] = Field(default_factory=dict)

    def of(self, key: str) -> TableSaid:
        """Return what was said of a table."""
        return self.tables.get(key, _NOTHING)

    def meaning(self, kind: Kind, headings: Sequence[str]) -> Mapping[str, str]:
        """Return the fields that headings were found to mean."""
        meant = self.meant.get(kind, {})
        return {heading: meant[heading] for heading in headings if heading in meant}

    def header(self, sheet: int) -> int | None:
        """Return the row of a sheet's headings, None where nobody has said it."""
        return self.headers.get(sheet)

    def headings(self, known: Sequence[str]) -> tuple[str, ...]:
        """Return the headings that are known from what was said, after those known anyhow."""
        return (*known, *(heading for said in self.tables.values() for heading in said.columns))

    def rows_out(self, sheet: int) -> frozenset[int]:
        """Return the rows of a sheet that are left out."""
        return frozenset(self.out.get(sheet, ()))

    def correct(self, sheet: int, grid: Grid) -> None:
        """Put the corrected cells into a sheet."""
        corrected = self.cells.get(sheet)
        if not corrected:
            return
        for row, cells in grid.rows:
            for column, value in corrected.get(row, {}).items():
                cells.extend([None] * (column - len(cells)))
                cells[column - 1] = value or None

    def count(self) -> int:
        """Return how many cells and rows were corrected."""
        return sum(len(row) for rows in self.cells.values() for row in rows.values()) + sum(map(len, self.out.values()))


_NOTHING = TableSaid()
NOTHING_SAID = Corrections()


@dataclass(slots=True)
class FoundTable:
    """A table of a file: where it stands, what it was taken for (None: it was not read), what was read of it.

    `sheet` counts all sheets of the file from 0; `label` is what problems call the place; `rows_out` are the rows that
    somebody left out.
    """

    key: str
    sheet: int
    title: str
    label: str
    table: Table
    kind: Kind | None = None
    read: TableRows | None = None
    rows_out: list[tuple[int, list[object]]] = field(default_factory=list)


def table_keys(sheet: int, tables: Sequence[Table]) -> list[str]:
    """Return a key for each table of a sheet: its place, which corrections of cells do not move."""
    counted: Counter[int] = Counter()
    keys = []
    for table in tables:
        counted[table.header_row] += 1
        beside = counted[table.header_row]
        keys.append(f"{sheet}-{table.header_row}" + (f"-{beside}" if beside > 1 else ""))
    return keys
