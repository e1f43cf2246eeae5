"""XLSX workbooks into grids of cells.

In: the bytes of a file. Out: a grid for each worksheet, of formulas the values that the spreadsheet program stored, or
why the file can't be read. It exists beside openpyxl, which writes our workbooks, because a reader of strangers' files
has to bound what they unfold into, and because one cell that can't be read must cost its row and not the file.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath
from xml.parsers import expat

from indexer.checking import RowProblem
from indexer.grids import MAX_CHARS, Grid, Room, TooMuchError
from indexer.plain_text import printable
from indexer.wording import T_
from indexer.workbook_cells import SheetCells, Styles, is_true
from indexer.workbook_parts import Attributes, Parts
from indexer.workbook_texts import Shared

MAX_SHEETS = 100
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, expat.ExpatError),
    *(EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError),
)
"""What unpacking and parsing raise on a damaged file; a bad value in a cell raises nothing."""


def read_xlsx(data: bytes, name: str) -> tuple[list[Grid], list[RowProblem]]:
    """Return the sheets of a workbook, or what keeps it from being read."""
    try:
        with Parts(data) as parts:
            return _grids(parts), []
    except TooMuchError as error:
        return [], [RowProblem(name, 0, "", error.wrong, error.right)]
    except _BROKEN as error:
        known = "" if isinstance(error, zipfile.BadZipFile) else f" ({printable(type(error).__name__)})"
        return [], [
            RowProblem(
                name, 0, "", T_("is not a readable XLSX workbook%(known)s", known=known), T_("save it again as .xlsx")
            )
        ]


@dataclass(slots=True)
class _Book:
    """What the workbook's own part says: its sheets as (title, relationship), and where its dates begin."""

    sheets: list[tuple[str, str]] = field(default_factory=list)
    since_1904: bool = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sheet":
            if len(self.sheets) >= MAX_SHEETS:
                raise TooMuchError(
                    T_("has more than %(max_sheets)s sheets", max_sheets=MAX_SHEETS),
                    T_("split it into smaller workbooks"),
                )
            related = next((value for key, value in attributes.items() if key.endswith(" id")), "")
            self.sheets.append((attributes.get("name", ""), related))
        elif name == "workbookPr":
            self.since_1904 = is_true(attributes.get("date1904", "0"))


def _grids(parts: Parts) -> list[Grid]:
    main = next((target for kind, target in _related(parts, "").values() if kind == "officeDocument"), None)
    if main is None:
        raise KeyError("workbook")
    book, related = _Book(), _related(parts, main)
    parts.parse(main, book.start)
    by_kind = dict(related.values())
    styles, shared = Styles(since_1904=book.since_1904), Shared(MAX_CHARS)
    if by_kind.get("styles", "") in parts:
        parts.parse(by_kind["styles"], styles.start, styles.end)
    if by_kind.get("sharedStrings", "") in parts:
        parts.parse(by_kind["sharedStrings"], shared.start, shared.end, shared.text)
    room, grids = Room(), []
    for title, relation in book.sheets:
        kind, target = related[relation]
        if kind == "worksheet":
            cells = SheetCells(Grid(title=title), room, styles, shared.texts)
            parts.parse(target, cells.start, cells.end, cells.text)
            grids.append(cells.grid)
    return grids


def _related(parts: Parts, of: str) -> dict[str, tuple[str, str]]:
    """Return the parts that a part ("" for the archive itself) refers to: kind and name by relationship."""
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = kind, _target(of, attributes.get("Target", ""))

    parts.parse(join(dirname(of), "_rels", f"{of.rpartition('/')[2]}.rels"), start)
    return found


def _target(of: str, target: str) -> str:
    return normpath(join("/", dirname(of), target)).lstrip("/")
