"""Bringing a backup back: every byte checked, this release's tables, and nobody whom the house has forgotten.

In: a backup and the home that it is to become. Out: that home, with whatever
was there before moved aside. It exists because a restore is done by somebody in
a hurry: it must not overwrite the only copy of anything, it must not bring back
the name of a person who was erased after the backup was made, and it must not
leave a half home behind.

Everything is prepared in a folder beside and moved into place at the end, the
database last. Erasures are repeated there from three lists: that of the backup,
that of the home which is replaced, and that of the home in the settings.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pysqlite3 import dbapi2 as sqlite

from api.access.credentials import end_all_sessions
from api.access.second_factor import KEY_FILE as FACTOR_KEY
from api.backups.backup import ARCHIVE, DATABASE, INDEX, BackupError, database_file, verified_manifest
from api.backups.erased_people import FILE as ERASURES
from api.backups.erased_people import read_erasures, repeat_erasures, write_erasures
from indexer import database_copies
from indexer.database import open_engine, writing
from indexer.database_copies import close_sqlite
from indexer.disk import sync
from indexer.index import generations
from indexer.records.passages import fingerprint, lab_passages
from indexer.records.record_tables import load_labs
from indexer.settings import Settings
from indexer.wording import T_
from matcher.erasure import ErasedKind, Erasure, ErasureError
from matcher.ledger.proving.heads import HEADS_FILE as HEADS
from matcher.ledger.proving.heads import read_heads
from matcher.ledger.rows.chain import ExportedHead, heads_of
from matcher.ledger.rows.evidence import FOLDER as EVIDENCE
from matcher.ledger.rows.pseudonyms import KEY_FILE
from matcher.ranking.rankers import FOLDER as RANKERS
from matcher.review.conversation.attachments import FOLDER as ATTACHMENTS

_STAGING = ".restoring"
_DATABASE_FILES = ("gloria.db-wal", "gloria.db-shm", "gloria.db")
_PARTS = (HEADS, ERASURES, KEY_FILE, FACTOR_KEY, EVIDENCE, ATTACHMENTS, RANKERS, INDEX)
"""What a backup brings into a home beside the database."""


@dataclass(frozen=True)
class Restored:
    """What a home was given: how many erasures had somebody to forget, and where what was there before lies now.

    `reindex` says that matches need a new index first: the backup had none, or one that may name somebody erased.
    `beyond` has the highest number that was exported of each chain, where that is more than the restored chain has:
    so many rows of the ledger are not in the backup.
    """

    home: Path
    settings: Settings
    made_at: str
    erased_again: int
    reindex: bool
    beyond: dict[str, int]
    aside: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        said = {name: value for name, value in asdict(self).items() if name != "settings"}
        return {**said, "home": str(self.home), "aside": None if self.aside is None else str(self.aside)}


def bring_back(settings: Settings, backup: Path, *, into: Path, database_url: str = "", over: bool = False) -> Restored:
    """Make a home from a backup.

    Args:
        settings: those of the home in use, whose erasures are repeated too.
        backup: the backup's folder.
        into: the home to make.
        database_url: an empty database, for a backup of PostgreSQL only.
        over: whether a home that has a database may be moved aside.

    Raises:
        BackupError: the backup is damaged, does not fit the database, or the home or the database is not empty.
        BusyError: the home's database is in use.
        SchemaError: the backup is of a newer release.
    """
    manifest = verified_manifest(backup)
    _refuse_unfit(manifest, into, database_url, over=over)
    staging = into / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging.mkdir(mode=0o700)
    try:
        _copy_files(backup, manifest, staging)
        if manifest["database"] == "postgresql":
            database_copies.fill(database_url, backup / ARCHIVE)
        lists = [home / ERASURES for home in (backup, into, settings.home)]
        forgotten = _known_erasures(lists, [into / "gloria.db", database_file(settings)])
        write_erasures(staging / ERASURES, forgotten)
        # The backup is the copy before the upgrade, and holds names that are about to go.
        scratch = {"home": staging, "database_url": database_url, "backups": staging / "upgrade"}
        beside = settings.model_copy(update=scratch)
        erased_again = repeat_erasures(beside)
        heads, fingerprints = _settled(beside, forgotten)
        reindex = _forget_stale_index(staging / INDEX, fingerprints)
        beyond = _heads_beyond(heads, [into / HEADS, settings.home / HEADS])
        aside = _put_in_place(staging, into)
    except (database_copies.PostgresqlToolError, ErasureError) as error:
        raise BackupError(str(error)) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    restored = settings.model_copy(update={"home": into, "database_url": database_url})
    return Restored(into, restored, manifest["made_at"], erased_again, reindex, beyond, aside)


def _refuse_unfit(manifest: dict[str, Any], into: Path, database_url: str, *, over: bool) -> None:
    of_postgresql = manifest["database"] == "postgresql"
    if of_postgresql and not database_url:
        raise BackupError(
            T_("the backup is of PostgreSQL; name an empty database: GLORIA_DATABASE_URL=postgresql://...")
        )
    if not of_postgresql and database_url:
        raise BackupError(T_("the backup is of SQLite and becomes a file of the home; leave GLORIA_DATABASE_URL empty"))
    if of_postgresql and not database_copies.is_empty(database_url):
        raise BackupError(
            T_("the database of GLORIA_DATABASE_URL is not empty; make a new one with createdb and name that")
        )
    taken = [name for name in (*_DATABASE_FILES, *_PARTS) if (into / name).exists()]
    if taken and not over:
        raise BackupError(
            T_(
                "%(into)s holds %(taken)s already; choose another folder, or move what is there aside: --over "
                "(nothing is deleted)",
                into=into,
                taken=taken[-1],
            )
        )
    if (into / "gloria.db").exists():
        # One that is damaged can't be closed: that may be why somebody restores.
        with suppress(sqlite.DatabaseError):
            close_sqlite(into / "gloria.db")


def _copy_files(backup: Path, manifest: dict[str, Any], staging: Path) -> None:
    for name in manifest["files"]:
        target = staging / ("gloria.db" if name == DATABASE else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if name != ARCHIVE:
            shutil.copyfile(backup / name, target)


def _known_erasures(files: Iterable[Path], databases: Iterable[Path | None]) -> list[Erasure]:
    """Return the erasures of all lists, and those that only the databases know: a crash came before the list."""
    listed = [one for path in files for one in read_erasures(path)]
    for path in databases:
        if path is not None and path.is_file():
            listed += _listed_inside(path)
    return listed


def _listed_inside(database: Path) -> list[Erasure]:
    columns = ("kind", "subject", "reason", "by", "at")
    try:
        with closing(sqlite.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            rows = connection.execute('SELECT kind, subject, reason, "by", at FROM erasure').fetchall()
    except sqlite.DatabaseError:
        return []  # damaged, or of a release that erased nobody
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    return [Erasure(**{**one, "at": datetime.fromisoformat(one["at"]).replace(tzinfo=UTC)}) for one in found]


def _settled(settings: Settings, forgotten: list[Erasure]) -> tuple[list[ExportedHead], dict[str, str]]:
    """Sign everybody out; return the heads, and the fingerprints of the texts of labs whose researcher was erased."""
    now = datetime.now(UTC)
    lab_ids = {one.subject for one in forgotten if one.kind == ErasedKind.RESEARCHER}
    engine = open_engine(settings)
    try:
        with writing(engine) as session:
            end_all_sessions(session, now=now)
            labs = load_labs(session, lab_ids)
            return heads_of(session, now), {lab.id: fingerprint(lab_passages(lab)) for lab in labs}
    finally:
        engine.dispose()


def _forget_stale_index(index: Path, fingerprints: dict[str, str]) -> bool:
    """Remove an index whose texts of these labs are not those of the database; return whether there is none now."""
    if not index.exists():
        return True
    try:
        folder = index / generations.current_generation(index)
        generations.read_manifest(folder)
        indexed = orjson.loads((folder / "labs.json").read_bytes())
    except (generations.SnapshotError, OSError, ValueError):
        indexed = None
    if indexed is None or any(indexed.get(lab_id, said) != said for lab_id, said in fingerprints.items()):
        shutil.rmtree(index)
        return True
    return False


def _heads_beyond(heads: list[ExportedHead], files: list[Path]) -> dict[str, int]:
    known = [one for path in files for one in read_heads(path)]
    highest = {head.chain: max((one.n for one in known if one.chain == head.chain), default=0) for head in heads}
    return {head.chain: highest[head.chain] for head in heads if highest[head.chain] > head.n}


def _put_in_place(staging: Path, into: Path) -> Path | None:
    """Move what is there aside and the new into its place, the database last: a home without one is plainly unfinished.

    Returns:
        The folder of what was there before; None if there was nothing.
    """
    names = [*_PARTS, *_DATABASE_FILES]
    old = [name for name in (*reversed(_DATABASE_FILES), *_PARTS) if (into / name).exists()]
    aside = into / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}" if old else None
    if aside is not None:
        aside.mkdir(mode=0o700)
        for name in old:
            (into / name).rename(aside / name)
    for path in [*staging.rglob("*"), staging]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        sync(path)
    for name in names:
        if (staging / name).exists():
            (staging / name).rename(into / name)
    sync(into)
    return aside
