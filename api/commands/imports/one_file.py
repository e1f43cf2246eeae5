"""One file into a home, in portions: what it would change first, then how far it is, then how to take it back.

In: a path, and what somebody has said of it. Out: counts and problems on the screen or as a document, records stored a
thousand at a time. It exists apart from the other commands on records because an import may take a while: it shows how
far it is, what is stored stays when it is stopped, and the whole of it can be undone while nothing rests on it.
"""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from api.commands.refusals import RefusedError, refusal
from api.commands.screen import Screen, write_document
from api.home import note_command, open_session, read_settings
from indexer.vocabulary import Kind
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.records.importing import ImportReport, ValueChange
    from indexer.records.lists.headings import Meaning
    from indexer.records.readers import ReadAs, Reading

RECORDS_PER_PART = 1_000
_CHANGES_LISTED = 200
_INTERRUPTED = 130
"""The exit code of a command that was stopped with Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a file is imported: tried only, for which alliance, and without a word on the screen."""

    dry_run: bool
    alliance: str | None
    quiet: bool


def read_as(
    session: Session, *, kind: Kind | None, sheet: str | None, columns: Sequence[str], mapping: str | None, keeps: bool
) -> ReadAs:
    """Return what is said of the files, with the mapping of a name; with columns, `keeps` keeps them under that name.

    Raises:
        typer.BadParameter: a column is not given as HEADING=FIELD.
        RefusedError: there is no mapping of that name.
    """
    from indexer.records.columns import COLUMNS
    from indexer.records.import_log import save_mapping, saved_mapping
    from indexer.records.lists.rows import IGNORED
    from indexer.records.readers import ReadAs

    known = {column.field for listed in COLUMNS.values() for column in listed}
    given: dict[str, str] = {}
    for one in columns:
        heading, equals, field = one.rpartition("=")
        if not equals or not heading.strip() or field.strip() not in {*known, IGNORED}:
            raise typer.BadParameter(T_("give HEADING=FIELD, such as 實驗室主持人=pi"), param_hint="--map")
        given[heading.strip()] = field.strip()
    if mapping is None:
        return ReadAs(kind, sheet, given, meaning=_meaning)
    stored = saved_mapping(session, mapping)
    if stored is None and not given:
        raise RefusedError(T_("there is no mapping %(name)s; add --map to make it", name=mapping))
    fields = {**(stored.fields if stored else {}), **given}
    kind = kind or (Kind(stored.kind) if stored and stored.kind else None)
    sheet = sheet or (stored.sheet if stored else None)
    if given and keeps:
        save_mapping(session, mapping, kind=kind, sheet=sheet, fields=fields, now=datetime.now(UTC))
        session.commit()
    return ReadAs(kind, sheet, fields, meaning=_meaning)


def _meaning(kind: Kind, headings: Sequence[str]) -> Mapping[str, str]:
    """Ask which fields headings mean that nobody knows; most lists have none."""
    return _meanings()(kind, headings)


@cache
def _meanings() -> Meaning:
    from indexer.encoders.heading_meanings import HeadingMeanings

    return HeadingMeanings(read_settings())


def import_one(screen: Screen, session: Session, path: Path, said: ReadAs, way: Way) -> list[dict[str, object]]:
    """Import a file and return a document for each kind of record in it."""
    from indexer.records.importing import import_reading
    from indexer.records.mended.copies import with_copies_said
    from indexer.records.mended.named_labs import with_labs_found
    from indexer.records.readers import read

    with _seldom_collected(), _telling(screen, path, way) as tell:
        tell(T_("reading"), 0, 1)
        try:
            first = read(path, said.kind, said)
        except OSError as error:
            told = refusal(error)
            screen.complain(told.message if told else str(error))
            return [{"file": str(path), "error": told.message if told else str(error), "refused": 0, "errors": 1}]
        readings = first.all()
        tell(T_("comparing"), 0, 1)
        # Evidence of labs that stand in the same file is of labs that are there by then.
        own_labs = any(one.kind is Kind.LABS for one in readings)
        tried = readings if own_labs else [with_labs_found(session, one, path.name) for one in readings]
        plans = [import_reading(session, with_copies_said(one, path.name), dry_run=True) for one in tried]
    if not way.quiet:
        _say_plan(screen, [change for plan in plans for change in plan.changes], listed=way.dry_run)
    if way.dry_run:
        return [_reported(screen, path, plan, way, job=None) for plan in plans]
    job = f"{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"
    with _seldom_collected(), _telling(screen, path, way) as tell:
        reports = _stored(screen, session, path, readings, way, job, tell)
    changed = any(report.created or report.updated for report in reports)
    documents = [_reported(screen, path, report, way, job=job if changed else None) for report in reports]
    if changed and not way.quiet:
        screen.say(T_("to take it back: gloria import --undo %(job)s", job=job), "dim")
    return documents


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Look for cycles among new objects only: a list's records have none, and all of them were looked through often."""
    usual = gc.get_threshold()
    gc.set_threshold(100_000, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def _telling(screen: Screen, path: Path, way: Way) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far the import of a file is, where somebody is looking."""
    if way.quiet or not screen.err.is_terminal:
        yield lambda stage, done, total: None
        return
    with screen.progress(in_words=True) as bars:
        yield lambda stage, done, total: bars(f"{path.name} {screen.text(stage)}", done, total)


def _stored(
    screen: Screen,
    session: Session,
    path: Path,
    readings: Sequence[Reading],
    way: Way,
    job: str,
    tell: Callable[[str, int, int], None],
) -> list[ImportReport]:
    total = sum(len(one.records.keys() | one.evidence.keys()) for one in readings)
    done = 0
    reports: list[ImportReport] = []
    try:
        for reading in readings:
            parts = []
            for portion in reading.portions(RECORDS_PER_PART):
                tell(T_("storing"), done, max(total, 1))
                parts.append(_store_portion(session, path, portion, way, job))
                done += len(portion.records.keys() | portion.evidence.keys())
            reports.append(_summed(reading, parts))
    except KeyboardInterrupt:
        session.rollback()
        kept = T_("%(done)s of %(total)s records of %(name)s are stored", done=done, total=total, name=path.name)
        on = T_(
            "import the same file again to go on, or take back what is stored: gloria import --undo %(job)s", job=job
        )
        screen.complain(T_("stopped: %(kept)s; %(on)s", kept=kept, on=on))
        raise typer.Exit(_INTERRUPTED) from None
    tell(T_("storing"), max(total, 1), max(total, 1))
    return reports


def _store_portion(session: Session, path: Path, portion: Reading, way: Way, job: str) -> ImportReport:
    from api.access.ownership import Sender, import_portion
    from api.trail.audit_trail import subjects_imported

    # Who works at the command line has the database itself: what an alliance may not change is theirs to change.
    sender = Sender(way.alliance, anything=True)
    report, _ = import_portion(session, portion, sender, name=path.name, now=datetime.now(UTC), batch_id=job)
    subjects = subjects_imported(report)
    if not subjects:
        session.rollback()
        return report
    note_command(session, "import", "create", "import", [(one.kind, one.id) for one in subjects])
    session.commit()
    return report


def _summed(reading: Reading, parts: Sequence[ImportReport]) -> ImportReport:
    from indexer.records.importing import ImportReport

    problems = [*reading.problems, *(problem for part in parts for problem in part.problems)]
    return ImportReport(
        reading.kind,
        created=sum(part.created for part in parts),
        updated=sum(part.updated for part in parts),
        unchanged=sum(part.unchanged for part in parts),
        refused=reading.refused + sum(part.refused for part in parts),
        problems=sorted(problems, key=lambda problem: (problem.file, problem.row)),
        changes=tuple(change for part in parts for change in part.changes),
    )


def _say_plan(screen: Screen, changes: Sequence[ValueChange], *, listed: bool) -> None:
    """Say how many stored values become others and how many are emptied; list them where nothing is written."""
    if not changes:
        return
    emptied = sum(change.empties for change in changes)
    screen.say(
        T_(
            "changes %(changed)s stored values and empties %(emptied)s",
            changed=len(changes) - emptied,
            emptied=emptied,
        ),
        "yellow" if emptied else "",
    )
    for change in changes[: _CHANGES_LISTED if listed else 0]:
        screen.say(f"  {change.record_id} {change.field}: {_short(change.before)} → {_short(change.after)}")


def _short(value: object) -> str:
    text = "–" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _reported(screen: Screen, path: Path, report: ImportReport, way: Way, *, job: str | None) -> dict[str, object]:
    for problem in report.problems:
        screen.complain(str(problem), "yellow" if problem.severity == "warning" else "red")
    if not way.quiet and report.kind is not None:
        counts = T_(
            "%(created)s created, %(updated)s updated, %(unchanged)s unchanged, %(refused)s refused",
            created=report.created,
            updated=report.updated,
            unchanged=report.unchanged,
            refused=report.refused,
        )
        tried = T_(" (dry run, nothing written)") if way.dry_run else ""
        screen.say(
            T_("%(name)s %(kind)s: %(counts)s%(tried)s", name=path.name, kind=report.kind, counts=counts, tried=tried)
        )
    emptied = sum(change.empties for change in report.changes)
    return {
        "file": str(path),
        "kind": report.kind,
        "job": job,
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": report.refused,
        "errors": len(report.errors),
        "values_changed": len(report.changes) - emptied,
        "values_emptied": emptied,
        "changes": [asdict(change) for change in report.changes] if way.dry_run else [],
        "problems": [asdict(problem) for problem in report.problems],
    }


def take_back(screen: Screen, job: str, *, as_json: bool) -> None:
    """Undo a whole import.

    Raises:
        RefusedError: it can't be undone.
    """
    from api.trail.audit_trail import subject_kind
    from indexer.records.import_log import UndoError, undo

    with open_session(read_settings(), writes=True) as session:
        try:
            done = undo(session, job, datetime.now(UTC))
        except UndoError as error:
            session.rollback()
            raise RefusedError(str(error)) from error
        note_command(session, "import", "create", "import", [(subject_kind(kind), one) for kind, one in done.ids])
        session.commit()
    if as_json:
        write_document({"job": job, "file": done.file, "removed": done.removed, "restored": done.restored})
        return
    screen.say(
        T_(
            "the import of %(file)s was taken back: %(removed)s records removed, %(restored)s as they were before",
            file=done.file,
            removed=done.removed,
            restored=done.restored,
        )
    )
