"""The step that imports what was put into the drop folders.

In: the configured folders, each perhaps for an alliance. Out: the records of
their files, as `gloria import` brings them in, and for each file what was
created, updated and refused. Files stay where they are. It exists because
schools and alliances hand files over by putting them somewhere.

A file whose very bytes were imported before is passed over: it would undo what
was changed since, as a row is the whole record. A file that was written to in
the last minute may not be complete and waits for the next night. One that can't
be read is an error of its own and stops no other. After an older backup was
restored, remove `nightly/imported.json` so that all files are imported again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine

from api.night_runs import Said, StepState, nights_path
from api.nightly.outcome import MOST_LISTED, Outcome, Work
from api.opening import open_database
from api.refusals import refusal
from indexer.checking import RowProblem
from indexer.database import writing
from indexer.durable_files import write_whole
from indexer.importing import ImportReport, import_reading
from indexer.plain_text import printable
from indexer.readers import MAX_FILE_BYTES, Reading, kind_in_name, read_bytes
from indexer.vocabulary import Kind
from indexer.wording import T_, listed
from matcher.arrivals import hand_over

IMPORTED = "imported.json"
SUFFIXES = frozenset({".jsonl", ".json", ".ndjson", ".csv", ".xlsx"})
QUIET_S = 60.0
"""A file must not have been written to for so long."""
RECORDS_PER_PART = 200
"""So many records are one transaction, so that a live service waits for its turn to write only shortly."""
WAIT_S = 60.0
_ORDER = [Kind.SCHOOLS, Kind.ALLIANCES, Kind.COMPANIES, Kind.LABS, Kind.EVIDENCE, Kind.NEEDS]
_COUNTS = ("created", "updated", "unchanged", "refused")


@dataclass(frozen=True)
class Dropped:
    """A file in a drop folder, and the alliance that it is for."""

    path: Path
    alliance_id: str | None

    @property
    def order(self) -> tuple[int, str]:
        """Each kind after those that it refers to, then by name."""
        kind = kind_in_name(self.path.stem)
        return (len(_ORDER) if kind is None else _ORDER.index(kind), self.path.name)


def import_dropped(work: Work) -> Outcome:
    """Import the files that are new."""
    folders = work.settings.watched_folders()
    if not folders:
        return Outcome({"folders": 0}, Said.of(T_("no drop folder is configured")))
    problems, dropped = _listed(folders)
    known = _known(work)
    files: list[dict[str, Any]] = []
    with open_database(work.settings) as engine:
        for n, one in enumerate(sorted(dropped, key=lambda one: one.order)):
            work.tell("import", n, len(dropped))
            found = _imported(engine, one, known, work)
            files.append({"file": printable(one.path.name), "alliance": one.alliance_id, **found})
    work.tell("import", len(dropped), len(dropped))
    unreadable = [one["file"] for one in files if one["state"] == "failed"]
    counts = {name: sum(int(one.get(name, 0)) for one in files if one["state"] == "imported") for name in _COUNTS}
    states = {
        f"files_{state}": sum(one["state"] == state for one in files) for state in ("imported", "same", "waiting")
    }
    figures = {"folders": len(folders), **states, "files_failed": len(unreadable), **counts}
    said = _said(len(unreadable), len(problems), counts["refused"])
    state = StepState.FAILED if unreadable or problems else StepState.DONE
    return Outcome(figures, said, {"files": files, "folders": problems}, state)


def _said(unreadable: int, folders: int, refused: int) -> Said | None:
    told = []
    if folders:
        told.append(T_("folders that can't be read: %(n)s", n=folders))
    if unreadable:
        told.append(T_("files that can't be imported: %(n)s", n=unreadable))
    if refused:
        told.append(T_("rows refused: %(n)s", n=refused))
    return Said.of(listed(told)) if told else None


def _listed(folders: list[tuple[str | None, Path]]) -> tuple[list[str], list[Dropped]]:
    """Return what is wrong with folders, and the files of the others."""
    problems, found = [], []
    for alliance_id, folder in folders:
        try:
            paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
            continue
        # What begins so is a program's own, of a file that is open.
        found += [Dropped(path, alliance_id) for path in paths if not path.name.startswith((".", "~"))]
    return problems, found


def _imported(engine: Engine, one: Dropped, known: dict[str, Any], work: Work) -> dict[str, Any]:
    """Import one file, and keep in mind that it was."""
    try:
        content = _content(one.path)
        if content is None:
            return {"state": "waiting"}
        digest = sha256(f"{one.alliance_id or ''}\n".encode() + content).hexdigest()
        if digest in known:
            return {"state": "same", "imported_at": known[digest]["at"], "refused": known[digest]["refused"]}
        found = read_bytes(content, one.path.name)
        if _is_unreadable(found):
            return {"state": "failed", "why": _places(found.problems)}
        reports = list(_stored(engine, found, one.alliance_id, work))
    except Exception as error:
        # Whatever a file does to us, it is that file's; a message that nobody foresaw may quote it.
        told = refusal(error)
        why = f"a fault of ours ({type(error).__name__})" if told is None else told.message
        return {"state": "failed", "why": [why]}
    problems = [*found.problems, *(problem for report in reports for problem in report.problems)]
    counts = {name: sum(getattr(report, name) for report in reports) for name in _COUNTS[:3]}
    refused = found.refused + sum(report.refused for report in reports)
    _keep(work, known, digest, {"file": one.path.name, "at": work.now.isoformat(), "refused": refused})
    errors = [problem for problem in problems if problem.severity == "error"]
    listed = {"problems": _places(errors[:MOST_LISTED]), "problems_left_out": max(0, len(errors) - MOST_LISTED)}
    return {"state": "imported", "kind": str(found.kind), **counts, "refused": refused, **listed}


def _is_unreadable(found: Reading) -> bool:
    """Whether nothing came of a file because of the file itself, not of its rows."""
    whole = [problem for problem in found.problems if problem.severity == "error" and problem.row == 0]
    return found.kind is None or bool(whole and not found.records and not found.evidence)


def _content(path: Path) -> bytes | None:
    """Return the bytes of a file, None if somebody may still be writing it.

    Raises:
        OSError: it can't be read, or is too large.
    """
    before = path.stat()
    if time.time() - before.st_mtime < QUIET_S:
        return None
    if before.st_size > MAX_FILE_BYTES:
        raise OSError(27, f"larger than {MAX_FILE_BYTES:,} bytes; split it", str(path))
    content = path.read_bytes()
    after = path.stat()
    return content if (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, len(content)) else None


def _stored(engine: Engine, found: Reading, alliance_id: str | None, work: Work) -> Iterator[ImportReport]:
    for portion in found.portions(RECORDS_PER_PART):
        # Its problems and refused rows are counted once, with the file.
        with writing(engine, deadline_s=WAIT_S) as session:
            report = import_reading(session, portion)
            if alliance_id is not None:
                hand_over(session, report, alliance_id=alliance_id, by=None, expert_id=None, now=work.now)
        yield report


def _places(problems: list[RowProblem]) -> list[str]:
    """Name places and what would be right; what is wrong may quote the file."""
    told = []
    for problem in problems:
        place = f"{problem.file}:{problem.row}" if problem.row else problem.file
        told.append(f"{place} {problem.field}".strip() + f": {problem.right}")
    return told


def _known(work: Work) -> dict[str, Any]:
    try:
        known: dict[str, Any] = orjson.loads((nights_path(work.settings.home) / IMPORTED).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        # Importing again changes nothing that was not changed since.
        return {}
    return known


def _keep(work: Work, known: dict[str, Any], digest: str, said: dict[str, Any]) -> None:
    known[digest] = said
    write_whole(nights_path(work.settings.home) / IMPORTED, orjson.dumps(known, option=orjson.OPT_INDENT_2))
