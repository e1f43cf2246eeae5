"""Files of cells as their sheets: CSV, XLSX, XLS and ODS, told apart by what they hold.

In: the bytes of a file. Out: a grid for each sheet, or why there is none: a password, an unknown format, more than may
be read. It exists so that what reads tables needs not know of formats, and because a name's suffix says little.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from indexer.plain_text import printable
from indexer.records.exchange import RowProblem
from indexer.records.lists.csv_text import read_csv
from indexer.records.lists.grids import MAX_CELL_CHARS, Grid, Room, TooMuchError, Unreadable
from indexer.wording import T_

_OLE = b"\xd0\xcf\x11\xe0"
_ENCRYPTED_NAMES = (
    "EncryptedPackage".encode("utf-16-le"),
    "EncryptionInfo".encode("utf-16-le"),
    "DataSpaces".encode("utf-16-le"),
)
_MAX_SHEETS = 100
_FORMATS = (
    (b"%PDF", "PDF"), (b"{\\rtf", "RTF"), (b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"),
)  # fmt: skip
_OLE_PARTS = (("WordDocument", "DOC"), ("PowerPoint Document", "PPT"), ("__substg1.0_", "MSG"))
_ZIP_PARTS = ((b"word/document.xml", "DOCX"), (b"ppt/presentation.xml", "PPTX"))
"""How parts of files begin that people send instead of a list."""
_PACKED = (b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ")


def is_workbook(data: bytes) -> bool:
    """Whether a file is a workbook of any kind."""
    return data.startswith((b"PK", _OLE))


def read_sheets(data: bytes, name: str, known: Sequence[str] = ()) -> tuple[list[Grid], list[RowProblem]]:
    """Return the sheets of a file, or what keeps it from being read; `known` are headings known beside our own."""
    if (other := _other_format(data)) is not None:
        return [], [RowProblem(name, 0, "", *other)]
    if data.startswith(b"PK"):
        # Imported only for workbooks: openpyxl's knowledge of dates takes long to load.
        from indexer.records.lists.xlsx import is_ods, read_ods, read_xlsx

        if _is_locked_ods(data):
            return [], [_locked(name)]
        return read_ods(data, name) if is_ods(data) else read_xlsx(data, name)
    if data.startswith(_OLE):
        return _read_xls(data, name)
    grid = read_csv(data, name, known)
    return [grid], []


def _other_format(data: bytes) -> tuple[str, str] | None:
    """Return what is wrong and what would be right with a file that is known and holds no list of cells."""
    start = data[:1_000].removeprefix(b"\xef\xbb\xbf").lstrip()
    what = next((what for mark, what in _FORMATS if start.startswith(mark)), None)
    if what is None and data.startswith(_OLE):
        what = next((what for part, what in _OLE_PARTS if part.encode("utf-16-le") in data), None)
    if what is None and data.startswith(b"PK"):
        what = next((what for part, what in _ZIP_PARTS if part in data), None)
    if what is not None:
        return T_("is %(what)s and holds no rows", what=what), T_("save the list as .xlsx or CSV UTF-8")
    if start.startswith(_PACKED):
        return T_("is a packed file"), T_("unpack it and import the files in it")
    if re.match(rb"(?:<!doctype html|<html|<table|<meta )", start, re.IGNORECASE):
        return T_("is a web page, whatever its name says"), T_("open it in a spreadsheet and save it as .xlsx")
    if start.startswith(b"<?xml") and b"urn:schemas-microsoft-com:office:spreadsheet" in data[:4_000]:
        return T_("is a spreadsheet in XML of 2003"), T_("open it in a spreadsheet and save it as .xlsx")
    if start.startswith(b"<?xml"):
        return T_("is XML and no list"), T_("import what a register gives with --from")
    return None


def _locked(name: str) -> RowProblem:
    wrong = T_("is protected by a password")
    return RowProblem(name, 0, "", wrong, T_("save it without a password and import that file"))


def _is_locked_ods(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = archive.NameToInfo.get("META-INF/manifest.xml")
            if entry is None or entry.file_size > 2**20:
                return False
            return b"encryption-data" in archive.read(entry)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return False


def _read_xls(data: bytes, name: str) -> tuple[list[Grid], list[RowProblem]]:
    """Read the binary format of old Excel, by calamine."""
    import python_calamine as calamine

    if any(word in data for word in _ENCRYPTED_NAMES):
        return [], [_locked(name)]
    try:
        with calamine.CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            return _xls_grids(book), []
    except calamine.PasswordError:
        return [], [_locked(name)]
    except TooMuchError as error:
        return [], [RowProblem(name, 0, "", error.wrong, error.right)]
    except Exception as error:
        # A library in another language ends in errors of many kinds on damaged files; all mean the same here.
        if "password" in str(error).lower():
            return [], [_locked(name)]
        wrong = T_("is not a readable XLS workbook (%(known)s)", known=printable(type(error).__name__))
        return [], [RowProblem(name, 0, "", wrong, T_("save it again as .xlsx"))]


def _xls_grids(book: Any) -> list[Grid]:
    room, grids = Room(), []
    for sheet in book.sheets_metadata[:_MAX_SHEETS]:
        if str(sheet.typ).rpartition(".")[2] != "WorkSheet":
            continue
        cells = book.get_sheet_by_name(sheet.name)
        grid = Grid(
            title=sheet.name, is_hidden=not str(sheet.visible).endswith("Visible") or "Hidden" in str(sheet.visible)
        )
        for first, last in cells.merged_cell_ranges or ():
            grid.merged.append((first[0] + 1, first[1] + 1, last[0] + 1, last[1] + 1))
        for number, row in enumerate(cells.to_python(skip_empty_area=False), start=1):
            room.add(grid, number, [_xls_value(value) for value in row])
        grids.append(grid)
    return grids


def _xls_value(value: object) -> object:
    if value == "":
        return None
    if isinstance(value, str) and len(value) > MAX_CELL_CHARS:
        what = T_("a text of more than %(max_cell_chars)s characters", max_cell_chars=f"{MAX_CELL_CHARS:,}")
        return Unreadable(what)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if isinstance(value, str | int | float | bool | date | datetime | time | timedelta) else str(value)
