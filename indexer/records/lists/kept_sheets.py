"""Sheets between two requests: packed once when a file comes, unpacked for each look at it.

In: the grids of a file. Out: bytes, and the same grids again. It exists because a workbook is opened in a process of
its own, which takes a second and may take more: whoever corrects a list cell by cell must not wait for that each time,
and what is kept must be no program, as a pickle would be.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any

from indexer.records.exchange import RowProblem
from indexer.records.lists.grids import Grid, Unreadable
from indexer.records.lists.tables import fill_merged
from indexer.wording import recognised


def packed(grids: Sequence[Grid]) -> bytes:
    """Return sheets as bytes; cells that are merged downwards become cells that each hold the same."""
    for grid in grids:
        fill_merged(grid)
    document = [
        {
            "title": grid.title,
            "rows": [[row, [_kept(cell) for cell in cells]] for row, cells in grid.rows],
            "problems": [asdict(problem) for problem in grid.problems],
            "hidden": sorted(grid.hidden_rows),
            "filtered": grid.is_filtered,
            "hidden_sheet": grid.is_hidden,
        }
        for grid in grids
    ]
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 6)


def unpacked(content: bytes) -> list[Grid]:
    """Return the sheets that were packed."""
    return [
        Grid(
            title=one["title"],
            rows=[(row, [_cell(cell) for cell in cells]) for row, cells in one["rows"]],
            problems=[_problem(problem) for problem in one["problems"]],
            hidden_rows=set(one["hidden"]),
            is_filtered=one["filtered"],
            is_hidden=one["hidden_sheet"],
        )
        for one in json.loads(zlib.decompress(content))
    ]


def cells_in(grids: Sequence[Grid]) -> int:
    """Return how many cells sheets hold."""
    return sum(len(cells) for grid in grids for _, cells in grid.rows)


def _problem(given: dict[str, Any]) -> RowProblem:
    # Kept in English; its words in both languages are found again by them.
    return RowProblem(**{**given, "wrong": recognised(given["wrong"]), "right": recognised(given["right"])})


def _kept(cell: object) -> Any:
    if isinstance(cell, datetime):
        return {"at": cell.isoformat()}
    if isinstance(cell, date):
        return {"day": cell.isoformat()}
    if isinstance(cell, time):
        return {"time": cell.isoformat()}
    if isinstance(cell, timedelta):
        return {"s": cell.total_seconds()}
    if isinstance(cell, Unreadable):
        return {"what": str(cell.what)}
    return cell if isinstance(cell, str | int | float | bool | None) else str(cell)


def _cell(kept: Any) -> object:
    if not isinstance(kept, dict):
        return kept
    ((how, said),) = kept.items()
    if how == "s":
        return timedelta(seconds=said)
    if how == "what":
        return Unreadable(recognised(said))
    if how == "at":
        return datetime.fromisoformat(said)
    return date.fromisoformat(said) if how == "day" else time.fromisoformat(said)
