"""Backing up: everything of a home that nothing else could bring back, at one moment, while people go on working.

In: the settings. Out: a new backup, and old ones removed. It exists because a
disk breaks, a database is damaged and a wrong import is noticed a week later.

In a backup are: the database (one state of it), the files of evidence, the key
of the pseudonyms (`persons.key`: without it the same person would get another
pseudonym), the ledger's exported heads, the list of erasures, and the current
index generation with its pointer. The index could be built again from the
database, but only after hours of encoding and with the encoders at hand, and a
restored server should match at once; where the index is damaged, the backup is
made without it and says so. Not in it: models and embeddings (`GLORIA_CACHE`),
which come with the packages and are computed again, reports of the nightly job,
older index generations, and settings, which are the environment's.

The order is such that whatever the database names is there: heads and index are
read before it, for they may only speak of what it holds, and evidence, key and
erasures after it, for each is written before the row that needs it, or says
more than the database without harm.

A file that an earlier backup holds already, byte for byte, is not written a
second time but linked. It is read to the end for that, so that damage is not
passed on.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import make_url

from api.backup_folder import (
    BackupError,
    backups_in,
    read_manifest,
    remove_backup,
    sha256_of,
    verified_manifest,
    write_backup,
)
from api.erasing import FILE as ERASURES
from api.opening import open_reading
from indexer import generation, postgresql_tools, schema
from indexer import manifest as index_manifest
from indexer.settings import Settings
from indexer.sqlite_copy import copy_sqlite
from indexer.wording import T_
from matcher.ledger.evidence import FOLDER as EVIDENCE
from matcher.ledger.heads import FILE as HEADS
from matcher.ledger.heads import heads_of
from matcher.ledger.persons import KEY_FILE

DATABASE = "database.sqlite"
ARCHIVE = "database.pgdump"
INDEX = "index"
REHEARSALS = "rehearsals.jsonl"
_TRIES = 3


@dataclass(frozen=True)
class Backup:
    """A backup that was made: its folder, how much is in it, and what is missing of the index, if anything."""

    path: Path
    files: int
    bytes: int
    total_s: float
    index_problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "path": str(self.path), "total_s": round(self.total_s, 3)}


def back_up(settings: Settings) -> Backup:
    """Make a backup of the home and its database; whoever reads or writes goes on.

    Raises:
        BackupError: it can't be made; what is there of earlier ones stays as it is.
        BusyError, DatabaseGoneError, SchemaError: the database can't be used.
        psycopg.OperationalError: PostgreSQL can't be reached.
    """
    began = time.perf_counter()
    if not settings.database_url and not settings.database_path.exists():
        raise BackupError(
            T_("there is nothing to back up in %(home)s: it has no database; check GLORIA_HOME", home=settings.home)
        )
    earlier = _known_files(settings.backups_path)
    try:
        path = write_backup(settings.backups_path, fill=lambda folder: _fill(folder, settings, earlier))
    except (OSError, sqlite.DatabaseError, postgresql_tools.PostgresqlToolError) as error:
        raise BackupError(T_("no backup was made: %(error)s; earlier ones are as they were", error=error)) from error
    manifest = read_manifest(path)
    sizes = [one["bytes"] for one in manifest["files"].values()]
    return Backup(path, len(sizes), sum(sizes), time.perf_counter() - began, manifest["index_problem"])


def prune(settings: Settings, *, keep: int) -> list[str]:
    """Remove all but the newest backups and return the names of the removed.

    The newest one that passed its rehearsal and is intact stays whatever its age, and so does, where none passed, the
    newest that is intact. Copies that were made before an upgrade are left alone.

    Args:
        settings: where backups lie.
        keep: how many stay; at least 1.
    """
    if keep < 1:
        raise ValueError("keep at least one backup")
    found = backups_in(settings.backups_path)
    if len(found) <= keep:
        return []
    last_good = _last_good(settings, found)
    removed = [folder for folder in found[keep:] if folder != last_good]
    for folder in removed:
        remove_backup(folder)
    return [folder.name for folder in removed]


def note_rehearsal(settings: Settings, backup: Path, *, passed: bool) -> None:
    """Write down how the rehearsal of one of the home's backups ended; `prune` asks for it."""
    if backup.resolve().parent != settings.backups_path.resolve():
        return
    line = {"backup": backup.name, "passed": passed, "at": datetime.now(UTC).isoformat()}
    with (settings.backups_path / REHEARSALS).open("ab") as file:
        file.write(orjson.dumps(line) + b"\n")


def database_file(settings: Settings) -> Path | None:
    """Return the file of an SQLite database, None for PostgreSQL."""
    if not settings.database_url:
        return settings.database_path
    url = make_url(settings.database_url)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def _last_good(settings: Settings, found: list[Path]) -> Path | None:
    path = settings.backups_path / REHEARSALS
    lines = path.read_bytes().splitlines() if path.exists() else []
    passed = {}
    for line in lines:
        try:
            said = orjson.loads(line)
            passed[said["backup"]] = said["passed"]
        except (ValueError, KeyError, TypeError):
            continue  # torn by a power cut
    rehearsed = [folder for folder in found if passed.get(folder.name)]
    others = [folder for folder in found if folder.name not in passed]
    return next((folder for folder in [*rehearsed, *others] if _is_intact(folder)), None)


def _is_intact(folder: Path) -> bool:
    try:
        verified_manifest(folder)
    except BackupError:
        return False
    return True


def _fill(folder: Path, settings: Settings, earlier: dict[tuple[str, str], Path]) -> dict[str, Any]:
    begun_at = datetime.now(UTC)
    _copy_if_there(settings.home / HEADS, folder / HEADS)
    problem = _copy_index(settings.index_path, folder / INDEX, earlier)
    # Whatever was acknowledged until here has to be in the copy: a rehearsal looks for these heads.
    with open_reading(settings) as session:
        heads = [asdict(head) for head in heads_of(session, begun_at)]
    source = database_file(settings)
    if source is None:
        postgresql_tools.dump(settings.database_url, folder / ARCHIVE)
    else:
        copy_sqlite(source, folder / DATABASE)
    _copy_evidence(settings.home / EVIDENCE, folder / EVIDENCE, earlier)
    for name in (KEY_FILE, ERASURES):
        _copy_if_there(settings.home / name, folder / name)
    return {
        "release": version("gloria-match"),
        "schema": schema.head(),
        "database": "postgresql" if source is None else "sqlite",
        "begun_at": begun_at.isoformat(),
        "heads": heads,
        "index_problem": problem,
    }


def _copy_if_there(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


def _copy_index(index: Path, target: Path, earlier: dict[tuple[str, str], Path]) -> str | None:
    """Copy the current generation and the pointer; return why there is none in the backup, None if there is."""
    problem = None
    for _ in range(_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        try:
            name = generation.current_generation(index)
            manifest = generation.read_manifest(index / name)
            for file, known in manifest["files"].items():
                _take(index / name / file, target / name / file, known["sha256"], earlier)
            shutil.copyfile(index / name / generation.MANIFEST, target / name / generation.MANIFEST)
            index_manifest.verified_manifest(target / name)
        except (generation.SnapshotError, FileNotFoundError) as error:
            # A generation may be removed while it is copied: then there is a newer one.
            problem = str(error)
            continue
        (target / generation.POINTER).write_text(name, encoding="ascii")
        return None
    shutil.rmtree(target, ignore_errors=True)
    return problem


def _copy_evidence(source: Path, target: Path, earlier: dict[tuple[str, str], Path]) -> None:
    for path in sorted(source.glob("[0-9a-f][0-9a-f]/*")):
        # What is being written has another name until it is whole.
        if not path.suffix:
            _take(path, target / path.parent.name / path.name, path.name, earlier)


def _known_files(backups: Path) -> dict[tuple[str, str], Path]:
    """Return the files of the newest readable backup, by name and SHA-256."""
    for folder in backups_in(backups):
        try:
            files = read_manifest(folder)["files"]
        except BackupError:
            continue
        return {(Path(name).name, one["sha256"]): folder / name for name, one in files.items()}
    return {}


def _take(source: Path, target: Path, digest: str, earlier: dict[tuple[str, str], Path]) -> None:
    """Link a file from an earlier backup if it is still whole there; copy it otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    known = earlier.get((source.name, digest))
    try:
        if known is not None and sha256_of(known) == digest:
            os.link(known, target)
            return
    except OSError:
        pass  # another disk, or one without links
    shutil.copyfile(source, target)
