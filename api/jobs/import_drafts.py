"""Lists that are looked through before they are imported: kept on the server for a while, for who sent them alone.

In: a file that somebody sent, and what they correct of it: kinds, columns, cells, rows left out. Out: a draft, what is
understood of it now, what its import would do, and at last a job that does just that. It exists so that a list is
mended in several steps, in a browser with or without script or by a program, without its state lying in the browser;
what a draft may hold, how many one account may keep and for how long is bounded here.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, LargeBinary, Table
from sqlmodel import Field, Session, SQLModel, col, delete, select

from api.access.ownership import Sender, import_portion
from api.jobs.job_queue import Job, JobKind, ask_for
from api.jobs.reading_apart import RECORDS_PER_PART, sheets_apart
from indexer.instants import Instant
from indexer.records.exchange import RowProblem
from indexer.records.importing import ImportReport, ValueChange
from indexer.records.lists.corrections import Corrections
from indexer.records.lists.headings import Meaning, asks_for_meaning, heading_of
from indexer.records.lists.kept_sheets import cells_in, packed, unpacked
from indexer.records.readers import ReadAs, Reading, holds_json, read_bytes, read_grids
from indexer.vocabulary import Kind
from indexer.wording import T_

KEPT = timedelta(days=7)
"""How long a draft that nobody touches is kept."""
MAX_OF_ONE = 10
"""Drafts of one account."""
MAX_BYTES_OF_ONE = 16 * 2**20
"""What the drafts of one account may take together, packed."""
MAX_CELLS = 60_000
"""Cells that are looked through at once; a larger list is imported as it is."""
MAX_OBJECT_BYTES = 2 * 2**20
MAX_CORRECTED = 20_000
MAX_CELL_CHARS = 20_000
_SHEETS, _OBJECTS = "sheets", "objects"


class ImportDraftError(ValueError):
    """A draft can't be kept or changed as wanted; the message says why."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ImportDraft(SQLModel, table=True):
    """A list on its way: `content` are its sheets, packed, or its text; `said` are the corrections of its owner.

    `version` counts its changes; `job_id` is the last import that was begun from it.
    """

    __tablename__ = "import_draft"
    __table_args__ = (CheckConstraint("holds IN ('sheets', 'objects')", name="holds_known"),)

    id: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    alliance_id: str | None = Field(foreign_key="alliance.id")
    name: str
    holds: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    size_bytes: int
    said: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    version: int = 1
    created_at: datetime = Field(sa_type=Instant)
    kept_until: datetime = Field(sa_type=Instant, index=True)
    job_id: str | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")

    @property
    def corrections(self) -> Corrections:
        """What its owner corrected."""
        return Corrections.model_validate(self.said)


@dataclass(frozen=True)
class OpenedFile:
    """What a file that was sent holds, ready to be kept."""

    holds: str
    content: bytes


def opened(content: bytes, name: str) -> OpenedFile:
    """Open a file that somebody sent.

    Raises:
        ImportDraftError: it can't be read at all, or is too large to be looked through; the message says what to do.
        JobRefusedError: opening it takes too long, or too much memory.
    """
    if holds_json(content, name):
        if len(content) > MAX_OBJECT_BYTES:
            raise _too_large()
        return OpenedFile(_OBJECTS, zlib.compress(content, 6))
    grids, problems = sheets_apart(content, name)
    if problems and not any(grid.rows for grid in grids):
        raise ImportDraftError(T_("%(wrong)s; %(right)s", wrong=problems[0].wrong, right=problems[0].right), "file")
    if cells_in(grids) > MAX_CELLS:
        raise _too_large()
    return OpenedFile(_SHEETS, packed(grids))


_MEANT = (Kind.LABS, Kind.NEEDS, Kind.COMPANIES)
"""What a table may be of which it can't be told what its rows are."""


def meanings_in(file: OpenedFile, name: str, meaning: Meaning) -> dict[Kind, dict[str, str]]:
    """Return what the headings of a list mean that nobody knows; where all are known nothing is asked."""
    asked: dict[Kind, dict[str, str]] = {}
    for one in _read(file.holds, file.content, name, Corrections()).found:
        for kind in _MEANT if one.kind is None else (one.kind,):
            unknown = [
                text
                for text in one.table.names
                if asks_for_meaning(text) and heading_of(kind, text, guess=True) is None
            ]
            if unknown:
                asked.setdefault(kind, {}).update(meaning(kind, unknown))
    return asked


def _too_large() -> ImportDraftError:
    return ImportDraftError(
        T_(
            "the file has too much to be looked through at once (at most %(cells)s cells); split it, or import it as "
            "it is under Jobs",
            cells=f"{MAX_CELLS:,}",
        ),
        "file",
    )


def begin(
    session: Session,
    *,
    account_id: str,
    alliance_id: str | None,
    name: str,
    file: OpenedFile,
    now: datetime,
    meant: Mapping[Kind, dict[str, str]] | None = None,
) -> ImportDraft:
    """Keep a file as a draft; `meant` is what `meanings_in` found.

    Raises:
        ImportDraftError: the account keeps too many, or too much.
    """
    forget_drafts(session, now=now)
    mine = drafts_of(session, account_id, now)
    # What was imported was only kept to be mended further.
    for done in [one for one in mine if one.job_id is not None][: max(0, len(mine) - MAX_OF_ONE + 1)]:
        session.delete(done)
        mine.remove(done)
    if len(mine) >= MAX_OF_ONE:
        raise ImportDraftError(T_("you have %(most)s lists open; import or delete one first", most=MAX_OF_ONE), "file")
    if sum(one.size_bytes for one in mine) + len(file.content) > MAX_BYTES_OF_ONE:
        raise ImportDraftError(
            T_("your open lists take %(mb)s MB; import or delete one first", mb=MAX_BYTES_OF_ONE // 2**20), "file"
        )
    draft = ImportDraft(
        id=f"list-{int(now.timestamp() * 1000):012x}-{secrets.token_hex(16)}",
        account_id=account_id,
        alliance_id=alliance_id,
        name=name,
        holds=file.holds,
        content=file.content,
        size_bytes=len(file.content),
        said=Corrections(meant=dict(meant or {})).model_dump(mode="json"),
        created_at=now,
        kept_until=now + KEPT,
    )
    session.add(draft)
    session.flush()
    return draft


def drafts_of(session: Session, account_id: str, now: datetime) -> list[ImportDraft]:
    """Return the drafts of an account, the oldest first."""
    query = select(ImportDraft).where(ImportDraft.account_id == account_id, col(ImportDraft.kept_until) > now)
    return list(session.exec(query.order_by(col(ImportDraft.id))).all())


def draft_of(session: Session, account_id: str, draft_id: str, now: datetime) -> ImportDraft | None:
    """Return a draft of an account, None if it has none of this id."""
    draft = session.get(ImportDraft, draft_id)
    return draft if draft is not None and draft.account_id == account_id and draft.kept_until > now else None


def correct(session: Session, draft: ImportDraft, corrections: Corrections, now: datetime) -> None:
    """Put corrections into the place of those before.

    Raises:
        ImportDraftError: there are too many, or one is too long.
    """
    if corrections.count() > MAX_CORRECTED:
        raise ImportDraftError(
            T_("more than %(most)s corrections; mend the file itself and send it again", most=f"{MAX_CORRECTED:,}")
        )
    if any(
        len(value) > MAX_CELL_CHARS
        for rows in corrections.cells.values()
        for row in rows.values()
        for value in row.values()
    ):
        raise ImportDraftError(T_("a cell holds at most %(most)s characters", most=f"{MAX_CELL_CHARS:,}"), "cells")
    draft.said = corrections.model_dump(mode="json")
    draft.version += 1
    draft.kept_until = now + KEPT
    session.add(draft)
    session.flush()


def discard(session: Session, draft: ImportDraft) -> None:
    """Delete a draft."""
    session.delete(draft)
    session.flush()


def forget_drafts(session: Session, *, now: datetime) -> int:
    """Delete the drafts that nobody touched for long; return how many."""
    return session.connection().execute(delete(_draft).where(_draft.c.kept_until <= now)).rowcount


def read_draft(draft: ImportDraft) -> Reading:
    """Return what is understood of a draft, as it is corrected now."""
    return _read(draft.holds, draft.content, draft.name, draft.corrections)


def _read(holds: str, content: bytes, name: str, corrections: Corrections) -> Reading:
    said = ReadAs(corrections=corrections, meaning=corrections.meaning)
    if holds == _SHEETS:
        return read_grids(unpacked(content), name, said)
    return read_bytes(zlib.decompress(content), name, said=said)


def start(session: Session, draft: ImportDraft, *, now: datetime) -> Job:
    """Ask for the import of a draft as it is now; later changes of the draft do not reach it.

    Raises:
        JobError: the account has too many unfinished jobs.
    """
    head = json.dumps({"holds": draft.holds, "said": draft.said}).encode()
    job = ask_for(
        session,
        kind=JobKind.IMPORT,
        account_id=draft.account_id,
        alliance_id=draft.alliance_id,
        parameters={
            "name": draft.name, "kind": None, "dry_run": False, "bytes": draft.size_bytes, "looked_through": True,
        },
        now=now,
        file=(draft.name, head + b"\n" + draft.content),
    )  # fmt: skip
    draft.job_id = job.id
    draft.kept_until = now + KEPT
    session.add(draft)
    session.flush()
    return job


def read_sealed(content: bytes, name: str) -> Reading:
    """Return what the file of such a job holds."""
    head, _, packed_content = content.partition(b"\n")
    told = json.loads(head)
    return _read(told["holds"], packed_content, name, Corrections.model_validate(told["said"]))


@dataclass(frozen=True)
class Planned:
    """What the import of one kind would do. `new` and `changed` are records by id with their names.

    `changes` are the stored values that would become others, `names` what the list calls their records; `anothers` are
    ids that another alliance's records have.
    """

    kind: Kind
    created: int
    updated: int
    unchanged: int
    refused: int
    new: tuple[tuple[str, str], ...]
    changes: tuple[ValueChange, ...]
    names: dict[str, str]
    problems: tuple[RowProblem, ...]
    anothers: tuple[str, ...]


def planned(session: Session, draft: ImportDraft, found: Reading, sender: Sender, now: datetime) -> list[Planned]:
    """Return what the import would do, kind by kind; nothing is written."""
    plans = []
    for one in found.all():
        if one.kind is None:
            continue
        done = [
            import_portion(session, portion, sender, name=draft.name, now=now, dry_run=True)
            for portion in one.portions(RECORDS_PER_PART)
        ]
        anothers = tuple(row.id for _, left_out in done for row in left_out if row.is_anothers)
        plans.append(_summed(session, one, [report for report, _ in done], anothers))
    return plans


_NAMED: dict[Kind, Table] = {
    kind: SQLModel.metadata.tables[name]
    for kind, name in (
        (Kind.LABS, "lab"),
        (Kind.EVIDENCE, "lab"),
        (Kind.COMPANIES, "company"),
        (Kind.SCHOOLS, "school"),
        (Kind.ALLIANCES, "alliance"),
    )
}
"""What of a kind is called by a name that whoever may change it may read."""


def _summed(session: Session, found: Reading, reports: Sequence[ImportReport], anothers: tuple[str, ...]) -> Planned:
    updated = [key for report in reports for key in report.updated_ids]
    names = {key: _name_of(found.records.get(key)) for key in updated}
    if (table := _NAMED.get(found.kind or Kind.NEEDS)) is not None:
        stored = session.execute(table.select().where(table.c.id.in_(updated))).mappings()
        names |= {row["id"]: row["name"] for row in stored if row["name"]}
    created = [key for report in reports for key in report.created_ids]
    return Planned(
        kind=found.kind or Kind.LABS,
        created=len(created),
        updated=len(updated),
        unchanged=sum(report.unchanged for report in reports),
        refused=found.refused + sum(report.refused for report in reports),
        new=tuple((key, _name_of(found.records.get(key))) for key in created),
        changes=tuple(change for report in reports for change in report.changes),
        names=names,
        problems=tuple(problem for report in reports for problem in report.problems),
        anothers=anothers,
    )


def _name_of(record: object) -> str:
    return next(
        (
            str(said)
            for part in ("name", "title", "name_en", "zh", "description")
            if (said := getattr(record, part, ""))
        ),
        "",
    )


_draft: Table = ImportDraft.__table__  # type: ignore[attr-defined]
