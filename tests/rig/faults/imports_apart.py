"""Imports in a process of their own: what each came to, how long it took, how much memory, and what was wrong with it.

In: the number of a damaged file, or a file's path. Out: an `Outcome` with the faults that the judge found. It exists
so that an import that never ends, takes all memory or dies does so where a test can see it.
"""

from __future__ import annotations

import csv
import io
import re
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import openpyxl
from sqlalchemy import column, select, table, text
from sqlmodel import Session

from indexer.database import open_engine
from indexer.records import readers
from indexer.records.importing import ImportReport, import_file
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.rig.faults.damaged_files import Damaged, damaged

LIMIT_S = 10.0
LIMIT_MB = 512.0
_PATIENCE_S = 120
_ROWS_COUNTED = 10_000
_OF_MANY = re.compile("not read|^the first row|^is neither")
_ADDRESS_SPACE = 4 * 2**30
_TABLES = {Kind.LABS: "lab", Kind.NEEDS: "need", Kind.COMPANIES: "company", Kind.SCHOOLS: "school",
           Kind.ALLIANCES: "alliance", Kind.TERMS: "term", Kind.EVIDENCE: "evidence"}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How an import ended; `imported` counts rows, `messages` are the errors as people see them."""

    number: int
    damage: str
    imported: int = 0
    refused: int = 0
    whole_file: bool = False
    seconds: float = 0.0
    peak_mb: float = 0.0
    messages: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass
class _Seen:
    """What is known after an import: its report or what it raised, and the database."""

    report: ImportReport | None = None
    raised: str = ""
    ids: set[str] = field(default_factory=set)
    rows: int = 0
    checks: list[str] = field(default_factory=list)


def attempt(number: int, template: Path, reader: str = "") -> Outcome:
    """Import the damaged file of a number into a copy of a database, and judge what came of it."""
    _bound()
    case = damaged(number)
    with tempfile.TemporaryDirectory() as folder, _planted(reader):
        path = Path(folder) / case.name
        path.write_bytes(case.data)
        begun = time.perf_counter()
        seen = _imported(path, Path(folder) / "home", template, case.kind)
        seconds = time.perf_counter() - begun
    signal.alarm(0)
    return _judged(case, seen, seconds)


def attempt_path(path: Path, template: Path, kind: Kind) -> Outcome:
    """Import one file, in words: the seconds are of this process's own work, whatever else the machine does."""
    _bound()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        seen = _imported(path, Path(folder) / "home", template, kind)
        seconds = time.process_time() - begun
    signal.alarm(0)
    faults = [f"raised {seen.raised}"] if seen.raised else []
    faults += seen.checks + _within(seconds)
    errors = seen.report.errors if seen.report else []
    told = tuple(str(problem) for problem in (*errors[:2], *errors[-1:]))
    refused = seen.report.refused if seen.report else 0
    whole = any(problem.row == 0 for problem in errors)
    return Outcome(0, "", _count(seen, kind), refused, whole, seconds, peak_mb(), told, tuple(faults))


def peak_mb() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _bound() -> None:
    """End this process if it takes far more than it may: who waits for it is told that it died."""
    signal.alarm(_PATIENCE_S)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, hard))


def _imported(path: Path, home: Path, template: Path, kind: Kind) -> _Seen:
    seen = _Seen()
    home.mkdir()
    shutil.copy(template, home / "gloria.db")
    engine = open_engine(Settings(home=home, database_url=""))
    with Session(engine) as session:
        try:
            seen.report = import_file(session, path)
            session.commit()
        except OSError as error:
            seen.raised = f"OSError {error}"
        except Exception:
            seen.raised = traceback.format_exc()
            session.rollback()
        connection = session.connection()
        seen.ids = set(connection.execute(select(column("id")).select_from(table(_TABLES[kind]))).scalars())
        if kind is Kind.EVIDENCE:
            seen.ids = set(connection.execute(text("SELECT DISTINCT lab_id FROM evidence")).scalars())
            seen.rows = int(connection.execute(text("SELECT count(*) FROM evidence")).scalar_one())
        checks = ("PRAGMA integrity_check", "PRAGMA foreign_key_check")
        seen.checks = [str(row) for check in checks for row in connection.execute(text(check)) if tuple(row) != ("ok",)]
    engine.dispose()
    return seen


def _count(seen: _Seen, kind: Kind) -> int:
    if seen.report is None:
        return 0
    if kind is Kind.EVIDENCE and seen.report.kind is Kind.EVIDENCE:
        return seen.rows
    return seen.report.created + seen.report.updated + seen.report.unchanged


def _within(seconds: float) -> list[str]:
    faults = [f"took {seconds:.1f} s"] if seconds >= LIMIT_S else []
    return faults + ([f"took {peak_mb():.0f} MB"] if peak_mb() >= LIMIT_MB else [])


def _judged(case: Damaged, seen: _Seen, seconds: float) -> Outcome:
    faults = [*seen.checks, *_within(seconds)]
    if seen.report is None:
        faults.append(f"raised {seen.raised}")
        return Outcome(case.number, case.damage, seconds=seconds, peak_mb=peak_mb(), faults=tuple(faults))
    report, imported = seen.report, _count(seen, case.kind)
    errors = report.errors
    # The file as a whole, for its header too, or from a row on: an open quote swallows what follows it.
    stated = any(problem.row == 0 or _OF_MANY.search(problem.wrong) for problem in errors)
    if case.spared is not None and not (case.spared <= seen.ids):
        faults.append(f"lost {len(case.spared - seen.ids)} good rows: {_first(report)}")
    if report.refused and not errors:
        faults.append("refused rows without a word")
    rows = _rows_in(case)
    # A file read as another kind, or one refused as a whole, says so; all others account for each row.
    if rows is not None and report.kind is case.kind and not stated and imported + report.refused != rows:
        faults.append(f"{rows} rows came, {imported} were imported and {report.refused} refused: {_first(report)}")
    if imported == 0 and not errors and rows:
        faults.append("nothing was imported and nothing was said")
    named = {(problem.file, problem.row) for problem in errors}
    if case.kind is not Kind.EVIDENCE and not stated and report.refused > len(named):
        faults.append(f"{report.refused} rows refused, {len(named)} named")
    told = tuple(str(problem) for problem in errors[:2])
    return Outcome(case.number, case.damage, imported, report.refused, stated, seconds, peak_mb(), told, tuple(faults))


def _first(report: ImportReport) -> str:
    return "; ".join(map(str, report.problems[:2]))


def _rows_in(case: Damaged) -> int | None:
    """How many rows a file has, by other means than the reader's; None where others can't tell either."""
    if case.name.endswith(".xlsx"):
        return _rows_of_book(case.data)
    try:
        content = case.data.decode("utf-16" if case.data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        if case.name.endswith(".csv"):
            return None
        return sum(bool(line.strip()) for line in case.data.split(b"\n"))
    if case.name.endswith(".jsonl"):
        return sum(bool(line.strip(" \t\r\n\v\f")) for line in content.split("\n"))
    try:
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if any(map(str.strip, row))]
    except csv.Error:
        return None
    return len(rows) - 1 if rows else None


def _rows_of_book(data: bytes) -> int | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sheet: Any = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets[0]
            sheet.reset_dimensions()
            some = list(islice(sheet.iter_rows(values_only=True), _ROWS_COUNTED))
        except Exception:
            return None
    rows = [row for row in some if any(cell not in (None, "") for cell in row)]
    return len(rows) - 1 if rows and len(some) < _ROWS_COUNTED else None


@contextmanager
def _planted(reader: str) -> Iterator[None]:
    """Let the reader have a fault: `drops` loses a row without a word, `raises` ends in an error of its own."""
    check_rows = readers.check_rows

    def drops(kind: Kind, rows: Any, *more: Any) -> Any:
        return check_rows(kind, [row for n, row in enumerate(rows) if n != 5], *more)

    def raises(kind: Kind, rows: Any, *more: Any) -> Any:
        for row, _ in rows:
            if row % 7 == 6:
                raise LookupError(f"row {row}")
        return check_rows(kind, rows, *more)

    readers.check_rows = {"drops": drops, "raises": raises}.get(reader, check_rows)
    try:
        yield
    finally:
        readers.check_rows = check_rows
