"""Backing up: everything of a home that nothing else could bring back, at one moment, while people go on working.

In: the settings. Out: a new backup, a folder that appears whole or not at all under its final name, `<UTC
time>-<short hash>`, readable by its owner only; later its manifest, if every file is still what it was; and old
ones removed. It exists because a disk breaks, a database is damaged and a wrong import is noticed a week later, and
because a backup is needed on the day on which nothing else can be trusted: a half one, or one with a changed byte,
must be told from a good one by itself.

In a backup are: the database (one state of it), the files of evidence and those attached to talks, the key of the
pseudonyms (`persons.key`: without it the same person would get another pseudonym) and that of the second factor,
without which every authenticator would have to be set up again, the ledger's exported heads, the list of erasures, the
learned rankers with the note of which is in use, and the current index generation with its pointer. The index could be
built again from the database, but only after hours of encoding and with the encoders at hand, and a restored server
should match at once; where the index is damaged, the backup is made without it and says so. Not in it: models and
embeddings (`GLORIA_CACHE`), which come with the packages and are computed again, reports of the nightly job, older
index generations, and settings, which are the environment's.

The order is such that whatever the database names is there: heads and index are read before it, for they may only
speak of what it holds, and evidence, key and erasures after it, for each is written before the row that needs it,
or says more than the database without harm.

A file that an earlier backup holds already, byte for byte, is not written a second time but linked. It is read to
the end for that, so that damage is not passed on.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import make_url

from api.access.second_factor import KEY_FILE as FACTOR_KEY
from api.backups.erased_people import FILE as ERASURES
from api.home import open_reading
from indexer import database_copies, schema
from indexer.database_copies import copy_sqlite
from indexer.disk import exclusive, sync
from indexer.index import generations
from indexer.index import generations as index_manifest
from indexer.settings import Settings
from indexer.wording import T_
from matcher.ledger.proving.heads import HEADS_FILE as HEADS
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.evidence import FOLDER as EVIDENCE
from matcher.ledger.rows.pseudonyms import KEY_FILE, fingerprint_of
from matcher.ranking.rankers import FOLDER as RANKERS
from matcher.review.conversation.attachments import FOLDER as ATTACHMENTS

FORMAT = 1
MANIFEST = "manifest.json"
_NAME = re.compile(r"(\d{8}T\d{12})Z-[0-9a-f]{8}")
_MOMENT = "%Y%m%dT%H%M%S%f"
_STAGING = ".staging-"
_LOCK = ".lock"


class BackupError(RuntimeError):
    """A backup can't be made, read or brought back; the message says which file and what to do."""


def write_backup(backups: Path, *, fill: Callable[[Path], dict[str, Any]]) -> Path:
    """Make a backup and return its folder.

    Args:
        backups: the folder of all backups; made if need be.
        fill: writes the files into the empty folder it is given, and returns what the manifest says beside them.

    Raises:
        OSError: the disk is full or not writable; what is there already stays as it is.
    """
    backups.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(backups / _LOCK):
        # Left by a crash: nobody else writes here under the lock.
        for left in backups.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        # Made for its owner only, so that nobody else reads what is being written.
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=backups))
        try:
            facts = fill(staging)
            target = backups / f"{_moment_after(backups)}-{_write_manifest(staging, facts)}"
            staging.rename(target)
            sync(backups)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def _moment_after(backups: Path) -> str:
    """Return the moment for a name: now, or just after the newest backup if the clock was put back since."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for newest in backups_in(backups)[:1]:
        named = _NAME.fullmatch(newest.name)
        if named is not None:
            now = max(now, datetime.strptime(named[1], _MOMENT) + timedelta(microseconds=1))  # noqa: DTZ007 (in UTC)
    return f"{now:{_MOMENT}}Z"


def backups_in(backups: Path) -> list[Path]:
    """Return all backups, the newest first; nothing is read of them. Copies made before an upgrade are no backups."""
    found = backups.iterdir() if backups.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name) and path.is_dir()), reverse=True)


def remove_backup(folder: Path) -> None:
    """Delete a backup; one that is half deleted is none, and what is left of it goes with the next backup."""
    gone = folder.with_name(f"{_STAGING}removed-{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a backup's manifest, with its files not looked at.

    Raises:
        BackupError: it is missing, damaged, of another format, or not this folder's.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        intact = manifest["sha256"] == _seal(manifest)
        known = manifest["format"] == FORMAT
        names = [PurePosixPath(name) for name in manifest["files"]]
    except FileNotFoundError as error:
        raise BackupError(
            T_("%(path)s is not there, so %(folder)s is no backup; take another one", path=path, folder=folder)
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(
            T_("%(path)s can't be read (%(error)s); take another backup", path=path, error=error)
        ) from error
    if not intact:
        raise BackupError(T_("%(path)s is damaged (it does not fit its own sha256); take another backup", path=path))
    if not known:
        raise BackupError(
            T_(
                "%(path)s has format %(format)s, this release reads %(known)s",
                path=path,
                format=manifest["format"],
                known=FORMAT,
            )
        )
    if any(name.is_absolute() or ".." in name.parts for name in names):
        raise BackupError(T_("%(path)s names files outside of its folder", path=path))
    return manifest


def verified_manifest(folder: Path) -> dict[str, Any]:
    """Return a backup's manifest after checking every byte of every file it lists.

    Raises:
        BackupError: a file is missing or damaged; the message names it.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        try:
            size, digest = path.stat().st_size, sha256_of(path)
        except OSError as error:
            raise BackupError(
                T_("%(path)s can't be read (%(strerror)s); take another backup", path=path, strerror=error.strerror)
            ) from error
        if size != expected["bytes"]:
            raise BackupError(
                T_(
                    "%(path)s has %(size)s bytes instead of %(bytes)s; take another backup",
                    path=path,
                    size=size,
                    bytes=expected["bytes"],
                )
            )
        if digest != expected["sha256"]:
            raise BackupError(
                T_("%(path)s is damaged (its sha256 differs from the manifest's); take another backup", path=path)
            )
    return manifest


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(folder: Path, facts: dict[str, Any]) -> str:
    """Make every file durable, then write the manifest; return the short hash for the folder's name."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        path.chmod(0o600)
        with path.open("rb") as file:
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            os.fsync(file.fileno())
    manifest = {**facts, "format": FORMAT, "files": files, "made_at": datetime.now(UTC).isoformat()}
    manifest["sha256"] = _seal(manifest)
    path = folder / MANIFEST
    with path.open("wb") as file:
        path.chmod(0o600)
        file.write(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    for below in [*(path for path in folder.rglob("*") if path.is_dir()), folder]:
        below.chmod(0o700)
        sync(below)
    return str(manifest["sha256"][:8])


def _seal(manifest: dict[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


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
    except (OSError, sqlite.DatabaseError, database_copies.PostgresqlToolError) as error:
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
        database_copies.dump(settings.database_url, folder / ARCHIVE)
    else:
        copy_sqlite(source, folder / DATABASE)
    for kept in (EVIDENCE, ATTACHMENTS):
        _copy_kept(settings.home / kept, folder / kept, earlier)
    for name in (KEY_FILE, FACTOR_KEY, ERASURES):
        _copy_if_there(settings.home / name, folder / name)
    _copy_rankers(settings.home / RANKERS, folder / RANKERS)
    return {
        "release": version("gloria-match"),
        "schema": schema.head(),
        "database": "postgresql" if source is None else "sqlite",
        "begun_at": begun_at.isoformat(),
        "heads": heads,
        "persons_key": _fingerprint(folder / KEY_FILE),
        "index_problem": problem,
    }


def _fingerprint(key: Path) -> str | None:
    """Return what tells the key of the pseudonyms from others; a key that is none is not backed up as one."""
    try:
        return fingerprint_of(key.read_bytes())
    except FileNotFoundError:
        return None


def _copy_if_there(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


def _copy_rankers(source: Path, target: Path) -> None:
    """Copy the rankers; which one is in use before the rankers themselves, which are never removed."""
    for path in sorted(source.glob("*.json"), key=lambda path: (path.name.startswith("learned-"), path.name)):
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.name)


def _copy_index(index: Path, target: Path, earlier: dict[tuple[str, str], Path]) -> str | None:
    """Copy the current generation and the pointer; return why there is none in the backup, None if there is."""
    problem = None
    for _ in range(_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        try:
            name = generations.current_generation(index)
            manifest = generations.read_manifest(index / name)
            for file, known in manifest["files"].items():
                _take(index / name / file, target / name / file, known["sha256"], earlier)
            shutil.copyfile(index / name / generations.MANIFEST, target / name / generations.MANIFEST)
            index_manifest.verified_manifest(target / name)
        except (generations.SnapshotError, FileNotFoundError) as error:
            # A generation may be removed while it is copied: then there is a newer one.
            problem = str(error)
            continue
        (target / generations.POINTER).write_text(name, encoding="ascii")
        return None
    shutil.rmtree(target, ignore_errors=True)
    return problem


def _copy_kept(source: Path, target: Path, earlier: dict[tuple[str, str], Path]) -> None:
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
