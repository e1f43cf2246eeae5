"""Small cells of a table of counts are left out so that nobody can compute them from what is printed.

In: whole numbers by row and column. Out: which cells to leave out, totals among
them. It exists because a small count may tell of a person, and leaving out just
that cell hides nothing: the totals give it back. So further cells are left out
(complementary suppression) until an audit finds no left-out cell that the
printed ones tell.

A left-out cell is safe if another value of it fits all that is printed, and, if
it is small, if a value of `least` or more does: then nothing shows that it is
small. A table with totals is a flow from rows to columns and back through the
totals, so that a cell can be greater by as much as can flow back beside it
through other left-out cells; that is exact in whole numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

Cell = tuple[int, int]
"""Row and column; the last row and the last column are the totals."""
Table = list[list[int]]
_Node = tuple[str, int]
_Flow = dict[_Node, dict[_Node, int]]
_ANY = 2**62


def with_totals(counts: Sequence[Sequence[int]]) -> Table:
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
    table = with_totals(counts)
    small = {(row, column) for row, line in enumerate(table) for column, count in enumerate(line) if count < least}
    hidden = set(small)
    while exposed := [*_exposed(table, hidden, least)]:
        for cell in exposed:
            hidden |= _beside(table, hidden, cell)
    # What was left out on the way and turns out not to be needed is printed again, the greatest first.
    for cell in sorted(hidden - small, key=lambda one: (-table[one[0]][one[1]], one)):
        if next(_exposed(table, hidden - {cell}, least), None) is None:
            hidden.discard(cell)
    return hidden


def _beside(table: Table, hidden: set[Cell], cell: Cell) -> set[Cell]:
    """Return the smallest printed cell in the row or column of one, else of the whole table."""
    cells = [(row, column) for row, line in enumerate(table) for column in range(len(line))]
    printed = [one for one in cells if one not in hidden]
    near = [one for one in printed if one[0] == cell[0] or one[1] == cell[1]] or printed
    return {min(near, key=lambda one: (table[one[0]][one[1]], one))} if near else set()


def _exposed(table: Table, hidden: set[Cell], least: int) -> Iterator[Cell]:
    """Yield the left-out cells that the printed ones tell, or show to be small."""
    flow: _Flow = {}
    for cell in hidden:
        tail, head = _arc(table, cell)
        flow.setdefault(tail, {})[head] = _ANY
        flow.setdefault(head, {})[tail] = table[cell[0]][cell[1]]
    for cell in sorted(hidden):
        tail, head = _arc(table, cell)
        count = table[cell[0]][cell[1]]
        beside = {
            node: {to: room for to, room in out.items() if {node, to} != {tail, head}} for node, out in flow.items()
        }
        if count < least:
            safe = _flows(beside, head, tail, least - count)
        else:
            safe = _flows(beside, head, tail, 1) or _flows(beside, tail, head, 1)
        if not safe:
            yield cell


def _arc(table: Table, cell: Cell) -> tuple[_Node, _Node]:
    """Return where a cell's count flows from and to: from its row to its column, a total the other way."""
    row, column = ("row", cell[0]), ("column", cell[1])
    total = (cell[0] == len(table) - 1) != (cell[1] == len(table[0]) - 1)
    return (column, row) if total else (row, column)


def _flows(flow: _Flow, source: _Node, sink: _Node, wanted: int) -> bool:
    """Whether so much can flow from one node to another, found by shortest augmenting paths; `flow` is used up."""
    while wanted > 0:
        came: dict[_Node, _Node] = {source: source}
        queue = deque([source])
        while queue and sink not in came:
            node = queue.popleft()
            for to, room in flow.get(node, {}).items():
                if room > 0 and to not in came:
                    came[to] = node
                    queue.append(to)
        if sink not in came:
            return False
        path = [sink]
        while path[-1] != source:
            path.append(came[path[-1]])
        steps = [*zip(path[1:], path, strict=False)]
        room = min(wanted, *(flow[node][to] for node, to in steps))
        for node, to in steps:
            flow[node][to] -= room
            flow[to][node] += room
        wanted -= room
    return True
