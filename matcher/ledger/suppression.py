"""Small cells of a table of counts are left out so that nobody can compute them from what is printed.

In: whole numbers by row and column. Out: which cells to leave out, totals among
them. It exists because a small count may tell of a person, and leaving out just
that cell hides nothing: the totals give it back. So further cells are left out
(complementary suppression) until an audit finds no left-out cell that the
printed ones tell.

The audit is the reader's own best attempt: for each left-out cell the greatest
and, where that is what it is, the least value that fits all printed numbers,
solved as linear programmes; tables with totals have whole solutions. A cell is
safe if another value is possible and nothing shows that it is small: its
greatest possible value is not below `least`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Cell = tuple[int, int]
"""Row and column; the last row and the last column are the totals."""


def with_totals(counts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return a table with a column and a row of totals added."""
    rows = [[*row, sum(row)] for row in counts]
    return [*rows, [sum(column) for column in zip(*rows, strict=True)]]


def left_out(counts: Sequence[Sequence[int]], least: int) -> set[Cell]:
    """Return the cells to leave out of a table with totals.

    Args:
        counts: the table without totals; every row has the same length, at least 1.
        least: counts below it are small. A zero is left out too: shown, it would narrow what its neighbours can be.
    """
    if not counts:
        return set()
    table = np.array(with_totals(counts), dtype=np.int64)
    hidden = {(int(row), int(column)) for row, column in np.argwhere(table < least)}
    while True:
        exposed = _exposed(table, hidden, least)
        if not exposed:
            return hidden
        for cell in exposed:
            hidden |= _beside(table, hidden, cell)


def _beside(table: Any, hidden: set[Cell], cell: Cell) -> set[Cell]:
    """Return the smallest printed cell in the row or column of one, else of the whole table."""
    printed = [(int(row), int(column)) for row, column in np.ndindex(table.shape) if (row, column) not in hidden]
    near = [one for one in printed if one[0] == cell[0] or one[1] == cell[1]] or printed
    return {min(near, key=lambda one: (int(table[one]), one))} if near else set()


def _exposed(table: Any, hidden: set[Cell], least: int) -> list[Cell]:
    """Return the left-out cells that the printed ones tell, or show to be small."""
    cells = sorted(hidden)
    place = {cell: number for number, cell in enumerate(cells)}
    rows, sums = [], []
    for signs, line in _equations(table.shape):
        row = np.zeros(len(cells))
        known = 0
        for sign, cell in zip(signs, line, strict=True):
            if cell in place:
                row[place[cell]] = sign
            else:
                known += sign * int(table[cell])
        if row.any():
            rows.append(row)
            sums.append(-known)
    return [
        cell
        for cell in cells
        if (greatest := _bound(rows, sums, place[cell], -1)) is not None
        and (greatest < least or (greatest == table[cell] and _bound(rows, sums, place[cell], 1) == table[cell]))
    ]


def _equations(shape: tuple[int, int]) -> list[tuple[list[int], list[Cell]]]:
    """Return what every reader knows: each line sums to its total."""
    rows, columns = shape
    across = [([*[1] * (columns - 1), -1], [(row, column) for column in range(columns)]) for row in range(rows)]
    down = [([*[1] * (rows - 1), -1], [(row, column) for row in range(rows)]) for column in range(columns)]
    return across + down


def _bound(rows: list[Any], sums: list[int], number: int, sign: int) -> int | None:
    """Return the least (sign 1) or greatest (sign -1) value that a left-out cell can have, None if there is none."""
    from scipy.optimize import linprog

    if not rows:
        return None if sign < 0 else 0
    goal = np.zeros(len(rows[0]))
    goal[number] = sign
    solved = linprog(goal, A_eq=np.vstack(rows), b_eq=np.array(sums), bounds=(0, None), method="highs")
    # The true table always fits, so that what has no best value has no bound.
    return round(sign * float(solved.fun)) if solved.status == 0 else None
