"""Sheets as grids of cells, and how much of them a file may hold.

In: rows of cells as the readers of CSV and of workbooks find them. Out: the rows that hold anything, numbered as people
see them, or a refusal of the whole. It exists because a file of a few kilobytes can unfold into gigabytes of cells,
which are counted while they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from indexer.plain_text import TextError
from indexer.records.exchange import RowProblem
from indexer.records.values import is_blank
from indexer.wording import T_

MAX_CELLS = 1_500_000
MAX_CHARS = 40_000_000
"""In all cells of a file; a text that many cells share counts each time, since it is checked each time."""
MAX_CELL_CHARS = 131_072
"""More than any field takes and than a spreadsheet program lets a cell hold."""
MAX_COLUMNS = 1_000


class TooMuchError(TextError):
    """A file holds more than may be read at once."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cell whose value can't be read: `what` stands in its place and says so; no field takes it."""

    what: str

    def __str__(self) -> str:
        return self.what


@dataclass(slots=True)
class Grid:
    """One sheet: its title ("" for CSV) and its rows that hold anything, numbered as the user sees them.

    `merged` are ranges of cells that are one, as (first row, first column, last row, last column), counted from 1;
    `hidden_rows` those that a filter or a hand has hidden, `is_hidden` says that the whole sheet is.
    """

    title: str = ""
    rows: list[tuple[int, list[object]]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    is_filtered: bool = False
    is_hidden: bool = False


class Room:
    """What the rest of a file may still hold."""

    def __init__(self) -> None:
        self._cells, self._chars = MAX_CELLS, MAX_CHARS

    def add(self, grid: Grid, row: int, cells: Sequence[object]) -> None:
        """Add a row to a grid, without its blank end; a row without anything is left out.

        Raises:
            TooMuchError: the file holds more cells or more text than may be read at once.
        """
        width = len(cells)
        while width and is_blank(cells[width - 1]):
            width -= 1
        if not width:
            return
        self._cells -= width
        if self._cells < 0:
            raise TooMuchError(
                T_("holds more than %(max_cells)s cells", max_cells=f"{MAX_CELLS:,}"), T_("split it into smaller files")
            )
        kept = list(cells[:width])
        self._chars -= sum(len(cell) for cell in kept if isinstance(cell, str))
        if self._chars < 0:
            raise TooMuchError(
                T_("holds more than %(max_chars)s characters", max_chars=f"{MAX_CHARS:,}"),
                T_("split it into smaller files"),
            )
        grid.rows.append((row, kept))
