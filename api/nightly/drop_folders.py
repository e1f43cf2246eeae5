"""Drop folders: whose files lie in them, and their bytes, so that nothing is read that is not the folder's own.

In: folders as they are set. Out: the files in them, each with its alliance; the bytes of one; what is wrong with a
folder or a file. It exists because a drop folder has rights: an alliance's has those of its expert, the programme's
bring in anything. So it has to be known who may put a file there: the folder's owner, whoever is of its group where
the folder is the group's to write, the account that runs GLORIA, and root. A folder that everybody may write to is
nobody's, and nothing in it is read. Files are opened below the folder as it was looked at, by no link of either kind,
and no pipe or device.
"""

from __future__ import annotations

import os
import pwd
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.records.readers import MAX_FILE_BYTES, SUFFIXES, kind_in_name
from indexer.vocabulary import Kind
from indexer.wording import T_

QUIET_S = 60.0
"""A file must not have been written to for so long."""
_ORDER = [Kind.SCHOOLS, Kind.ALLIANCES, Kind.COMPANIES, Kind.LABS, Kind.EVIDENCE, Kind.NEEDS, Kind.TERMS]
_ROOT = 0


class DropFolderError(Exception):
    """A folder or a file in it is not read; the message says why and what would be right."""


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


def dropped_files(folders: Sequence[tuple[str | None, Path]]) -> tuple[list[str], list[Dropped]]:
    """Return what is wrong with folders, and the files of the others in the order in which they are imported."""
    problems, found = [], []
    for alliance_id, folder in folders:
        try:
            with _opened(folder) as descriptor:
                names = os.listdir(descriptor)  # noqa: PTH208 (of the folder itself, not of what its name leads to now)
        except DropFolderError as error:
            problems.append(str(error))
            continue
        paths = [folder / name for name in names]
        # What begins so is a program's own, of a file that is open.
        found += [
            Dropped(path, alliance_id)
            for path in paths
            if path.suffix.lower() in SUFFIXES and not path.name.startswith((".", "~")) and not path.is_dir()
        ]
    return problems, sorted(found, key=lambda one: one.order)


def content_of(path: Path) -> bytes | None:
    """Return the bytes of a file, None if somebody may still be writing it.

    Whoever may put a file into a folder may put a link there to a file that is not theirs to read, and a pipe that
    never ends; so nothing but a file that lies there itself, under one name, is opened.

    Raises:
        DropFolderError: it is no file of this folder's own people.
        OSError: it can't be read, or is too large.
    """
    with _opened(path.parent) as folder:
        try:
            descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            # A link; and what nobody listens to or what is no device of this machine.
            if not os.path.lexists(path) or stat.S_ISREG(path.lstat().st_mode):
                raise
            raise _is_no_file() from error
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode) or before.st_nlink != 1:
                raise _is_no_file()
            _must_be_of(os.fstat(folder), before)
            if time.time() - before.st_mtime < QUIET_S:
                return None
            if before.st_size > MAX_FILE_BYTES:
                raise OSError(27, f"larger than {MAX_FILE_BYTES:,} bytes; split it", str(path))
            content = file.read(MAX_FILE_BYTES + 1)
            after = os.fstat(descriptor)
    return content if (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, len(content)) else None


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Hold a folder that only its own people may write to, as it is now, whatever takes its name meanwhile."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DropFolderError(f"{folder}: {error.strerror}") from error
    try:
        if os.fstat(descriptor).st_mode & stat.S_IWOTH:
            raise DropFolderError(
                T_(
                    "%(folder)s: everybody on this machine may write there; take that right away: chmod o-w",
                    folder=folder,
                )
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _is_no_file() -> DropFolderError:
    return DropFolderError(T_("a link, a pipe or a file of two names is not opened; put the file itself there"))


def _must_be_of(folder: os.stat_result, file: os.stat_result) -> None:
    """Let a file be read only if one of the folder's own people put it there, and nobody else can have changed it.

    Raises:
        DropFolderError: somebody else's, or everybody's.
    """
    is_groups = bool(folder.st_mode & stat.S_IWGRP)
    own = file.st_uid in (folder.st_uid, os.geteuid(), _ROOT)
    if not own and not (is_groups and _is_in_group(file.st_uid, folder.st_gid)):
        raise DropFolderError(
            T_(
                "it belongs to %(owner)s, and the folder to %(folder)s: a file counts only if it is of the folder's "
                "owner, or of its group where the group may write there",
                owner=_name_of(file.st_uid),
                folder=_name_of(folder.st_uid),
            )
        )
    # Where others can't come in, it does not matter what they might do inside.
    if file.st_mode & stat.S_IWOTH and folder.st_mode & stat.S_IXOTH:
        raise DropFolderError(T_("everybody on this machine may write to it; take that right away: chmod o-w"))


def _is_in_group(user: int, group: int) -> bool:
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return False
    return entry.pw_gid == group or group in os.getgrouplist(entry.pw_name, entry.pw_gid)


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
