"""A backup that is taken while others write holds what was acknowledged before it, and a server serves from it.

The control takes the database's file instead of a copy by its own means: the same rehearsal finds what is missing.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine
from sqlmodel import select

from api.access.credentials import key_proof
from api.access.policy import Action, Resource
from api.access.visibility import needs
from api.backups import backup
from api.backups.backup import back_up
from api.backups.rehearsal import NAMES, Rehearsal, let_in, rehearse
from api.backups.restore import bring_back
from api.home import open_reading
from indexer import database_copies
from indexer.database import reading, writing
from indexer.database_copies import MOST_RESTARTS, copy_sqlite, sqlite_problems
from indexer.records.importing import import_rows
from indexer.records.record_tables import Need
from indexer.settings import Settings
from matcher.review.people import principal
from tests.conftest import Databases
from tests.rig.figures import figure
from tests.rig.load.busy_writer import acknowledged_in, busy_writer
from tests.rig.servers.served import fill

LONG = pytest.param(5, marks=pytest.mark.long)


@pytest.fixture
def busy(settings: Settings, indexed_home: Path, slice_of_world: Path) -> Settings:
    """A home with a slice of the demo world, its index, and people."""
    shutil.copytree(indexed_home / "index", settings.home / "index")
    fill(settings, slice_of_world)
    return settings.model_copy(update={"cache": indexed_home, "threads": 1})


def _kind(settings: Settings) -> str:
    return settings.database_url.partition(":")[0]


def _failed(done: Rehearsal) -> list[tuple[str, str]]:
    return [(check.name, check.detail) for check in done.checks if not check.passed]


def _held(settings: Settings, backup: Path, into: Path, databases: Databases) -> set[str]:
    """Bring a backup back and return what it holds of what writers write."""
    url = "" if settings.database_url.startswith("sqlite") else databases.empty("postgresql", into)
    with open_reading(bring_back(settings, backup, into=into, database_url=url).settings) as session:
        return acknowledged_in(session)


@pytest.mark.parametrize("rehearsals", [1, LONG])
def test_every_backup_holds_what_was_acknowledged_and_serves(
    busy: Settings, rehearsals: int, tmp_path: Path, databases: Databases
) -> None:
    passed = acknowledged = went_on = 0
    with busy_writer(busy, tmp_path) as writer:
        for number in range(rehearsals):
            before = writer.wait_for(20)
            made = back_up(busy)
            done = rehearse(busy, made.path)
            after = writer.acknowledged()
            assert _failed(done) == []
            assert [check.name for check in done.checks] == list(NAMES)
            assert not any("not asked" in check.detail for check in done.checks)
            held = _held(busy, made.path, tmp_path / f"restored-{number}", databases)
            assert before - held == set()
            passed += done.passed
            acknowledged, went_on = len(before), went_on + len(after - before)
    name = f"restore rehearsal while writes go on, {_kind(busy)}"
    figure(name, passed=passed, of=rehearsals, acknowledged=acknowledged, missing=0, written_meanwhile=went_on)
    assert passed == rehearsals
    assert went_on > 0
    assert not [path for path in busy.backups_path.iterdir() if path.name.startswith((".rehearsal-", ".staging-"))]


def test_a_need_that_no_alliance_has_is_asked_too(engine: Engine, settings: Settings) -> None:
    with writing(engine) as session:
        import_rows(session, "needs", [{"id": "n-1", "title": "拋光太慢"}])
    known = let_in(settings)
    assert known.need_ids == ["n-1"]
    with reading(engine) as session:
        proof = key_proof(session, known.expert_key, datetime.now(UTC))
        assert proof is not None
        who = principal(session, proof.account_id)
        assert who is not None
        assert session.exec(select(Need.id).where(needs(who, Action.READ, Resource.MATCH))).all() == ["n-1"]


@pytest.fixture
def slow_reader(busy: Settings) -> Iterator[None]:
    """Somebody who reads all the while, as a long report does: the log can't be written back into the file."""
    with closing(sqlite.connect(str(busy.database_path), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ledger_entry").fetchone()
        yield


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_copy_of_the_file_instead_fails_its_rehearsal(
    busy: Settings, slow_reader: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, databases: Databases
) -> None:
    monkeypatch.setattr(backup, "copy_sqlite", shutil.copyfile)
    with busy_writer(busy, tmp_path) as writer:
        before = writer.wait_for(20)
        copied = back_up(busy)
    _is_found_out(busy, copied.path, before, tmp_path, databases)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_archive_that_is_out_of_date_fails_its_rehearsal(
    busy: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, databases: Databases
) -> None:
    old = tmp_path / "old"
    database_copies.dump(busy.database_url, old)
    monkeypatch.setattr(database_copies, "dump", lambda url, target: shutil.copyfile(old, target))
    with busy_writer(busy, tmp_path) as writer:
        before = writer.wait_for(20)
        copied = back_up(busy)
    _is_found_out(busy, copied.path, before, tmp_path, databases)


def _is_found_out(settings: Settings, backup: Path, before: set[str], folder: Path, databases: Databases) -> None:
    done = rehearse(settings, backup)
    assert not done.passed
    assert "heads" in dict(_failed(done))
    missing = before - _held(settings, backup, folder / "restored", databases)
    figure(f"restore rehearsal of a bad copy, {_kind(settings)}", passed=int(done.passed), missing=len(missing))
    assert missing


def _rows(path: Path) -> list[int]:
    with closing(sqlite.connect(str(path))) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]


@pytest.mark.parametrize("journal", ["WAL", "TRUNCATE"])
def test_writers_can_make_a_copy_begin_again_only_so_often(journal: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    with closing(sqlite.connect(str(source), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filling BLOB)")
        connection.execute(
            "WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 500) "
            "INSERT INTO t SELECT n, zeroblob(4000) FROM c"
        )
    stop, begun = threading.Event(), threading.Event()

    def write(n: int = 501) -> None:
        with closing(sqlite.connect(str(source), isolation_level=None)) as own:
            own.execute("PRAGMA busy_timeout=60000")
            own.execute("PRAGMA synchronous=OFF")
            while not stop.is_set():
                own.execute("INSERT INTO t VALUES (?, zeroblob(4000))", (n,))
                n += 1
                begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        begun.wait(60)
        restarts = copy_sqlite(source, target, pages=20)
    finally:
        stop.set()
        thread.join()
    assert restarts == (0 if journal == "WAL" else MOST_RESTARTS + 1)
    assert sqlite_problems(target) == []
    copied = _rows(target)
    # One state: everything up to some row, nothing after it.
    assert copied == list(range(1, len(copied) + 1))
    assert 500 < len(copied) <= len(_rows(source))
