"""A backup as a folder: it appears whole or not at all, and every byte of it can be checked.

In: a function that fills an empty folder, and what its manifest should say.
Out: the folder under its final name, `<UTC time>-<short hash>`, readable by its
owner only; later its manifest, if every file is still what it was. It exists
because a backup is needed on the day on which nothing else can be trusted: a
half one, or one with a changed byte, must be told from a good one by itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from indexer.durable_files import sync
from indexer.file_lock import exclusive
from indexer.wording import T_

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
