"""Of backups the good ones stay, damaged ones are refused by name, and only their owner may read them."""

from __future__ import annotations

import shutil
import stat
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine

from api.backups import backup
from api.backups.backup import BackupError, back_up, backups_in, note_rehearsal, prune, read_manifest, verified_manifest
from api.backups.rehearsal import rehearse
from api.backups.restore import bring_back
from indexer import database_copies
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.faults.backed_up import EVIDENCE_FILES, damaged, fill_home, flip

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def filled(engine: Engine, settings: Settings) -> Settings:
    """A home with people, a key and files of evidence."""
    return fill_home(engine, settings)


def test_only_its_owner_may_read_a_backup_and_a_restored_home(
    filled: Settings, tmp_path: Path, databases: Databases
) -> None:
    back_up(filled)
    made = back_up(filled).path
    url = "" if filled.database_url.startswith("sqlite") else databases.empty("postgresql", tmp_path)
    home = bring_back(filled, made, into=tmp_path / "new", database_url=url).home
    for top in (filled.backups_path, home):
        for path in [top, *top.rglob("*")]:
            if not path.name.endswith("lock"):
                mode = stat.S_IMODE(path.stat().st_mode)
                assert mode == (0o700 if path.is_dir() else 0o600), path


@SQLITE
def test_unchanged_files_are_written_once(filled: Settings) -> None:
    first, second = back_up(filled).path, back_up(filled).path
    evidence = list((first / "evidence").glob("*/*"))
    assert len(evidence) == EVIDENCE_FILES
    assert all(path.samefile(second / path.relative_to(first)) for path in evidence)
    # What is damaged in an earlier backup is written anew, and not passed on.
    evidence[0].write_bytes(b"damaged")
    third = back_up(filled).path
    assert _names(damaged(filled)) == [evidence[0].name] * 2
    verified_manifest(third)


def _names(messages: list[str]) -> list[str]:
    return [Path(message.split(" ")[0]).name for message in messages]


@SQLITE
def test_every_damaged_file_is_named_and_nothing_is_restored(filled: Settings, tmp_path: Path) -> None:
    made = back_up(filled).path
    names = [*read_manifest(made)["files"], backup.MANIFEST]
    assert len(names) == 1 + EVIDENCE_FILES + 1 + 1
    for name in names:
        for damage in (flip, _cut, _removed):
            copy = tmp_path / "copy" / made.name
            shutil.copytree(made, copy)
            damage(copy / name)
            with pytest.raises(BackupError, match=str(copy / name)):
                bring_back(filled, copy, into=tmp_path / "new")
            assert not (tmp_path / "new").exists()
            shutil.rmtree(copy)
    victim = made / names[0]
    flip(victim)
    done = rehearse(filled, made)
    assert [(check.name, check.passed, str(victim) in check.detail) for check in done.checks] == [
        ("files", False, True)
    ]
    assert not done.passed


@SQLITE
def test_a_database_that_was_damaged_before_is_found_by_the_rehearsal(filled: Settings) -> None:
    with closing(sqlite.connect(str(filled.database_path))) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        # An index that no longer has what its table has: rows are found by one way and not by the other.
        connection.execute("CREATE INDEX ix_damaged ON company (country)")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX ix_damaged ON company (name)' WHERE name = 'ix_damaged'"
        )
        connection.commit()
    made = back_up(filled).path
    done = rehearse(filled, made)
    assert [(check.name, check.passed) for check in done.checks] == [("files", True), ("integrity", False)]
    assert "ix_damaged" in done.checks[-1].detail


@SQLITE
def test_a_damaged_index_is_left_out_and_said(filled: Settings, indexed_home: Path, tmp_path: Path) -> None:
    shutil.copytree(indexed_home / "index", filled.index_path)
    whole = back_up(filled)
    assert (whole.index_problem, bring_back(filled, whole.path, into=tmp_path / "whole").reindex) == (None, False)
    victim = max(filled.index_path.glob("*/*"), key=lambda path: path.stat().st_size)
    flip(victim)
    made = back_up(filled)
    # The earlier backup has the same file, unharmed.
    assert made.index_problem is None
    shutil.rmtree(whole.path)
    shutil.rmtree(made.path)
    made = back_up(filled)
    assert made.index_problem is not None
    assert victim.name in made.index_problem
    assert bring_back(filled, made.path, into=tmp_path / "without").reindex


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _removed(path: Path) -> None:
    path.unlink()


@SQLITE
def test_a_manifest_names_nothing_outside_of_its_folder(filled: Settings, tmp_path: Path) -> None:
    made = back_up(filled).path
    manifest = orjson.loads((made / backup.MANIFEST).read_bytes())
    manifest["files"]["../outside"] = {"bytes": 0, "sha256": ""}
    manifest["sha256"] = backup._seal(manifest)
    (made / backup.MANIFEST).write_bytes(orjson.dumps(manifest))
    with pytest.raises(BackupError, match="outside of its folder"):
        bring_back(filled, made, into=tmp_path / "new")


@SQLITE
def test_the_newest_stay_and_never_goes_the_last_good_one(filled: Settings) -> None:
    upgrade = filled.backups_path / "before-schema-0011-from-0010-20260101T000000000000Z.db"
    filled.backups_path.mkdir()
    upgrade.write_bytes(b"a copy that was made before an upgrade")
    made = [back_up(filled).path for _ in range(6)]
    assert backups_in(filled.backups_path) == made[::-1]
    assert prune(filled, keep=6) == []
    assert prune(filled, keep=4) == [made[1].name, made[0].name]
    for folder in made[3:]:
        _cut(folder / "database.sqlite")
    # The only intact one stays, though three are newer.
    assert prune(filled, keep=1) == [made[4].name, made[3].name]
    assert backups_in(filled.backups_path) == [made[5], made[2]]
    assert upgrade.exists()
    # What failed its rehearsal is not good, however intact its bytes are.
    later = [back_up(filled).path for _ in range(3)]
    note_rehearsal(filled, later[0], passed=True)
    for folder in later[1:]:
        note_rehearsal(filled, folder, passed=False)
    assert prune(filled, keep=1) == [later[1].name, made[5].name, made[2].name]
    assert backups_in(filled.backups_path) == [later[2], later[0]]
    with pytest.raises(ValueError, match="at least one"):
        prune(filled, keep=0)


@SQLITE
def test_a_clock_put_back_does_not_make_a_new_backup_an_old_one(filled: Settings) -> None:
    first = back_up(filled).path
    tomorrow = first.with_name(first.name.replace(first.name[:8], "20991231"))
    first.rename(tomorrow)
    second = back_up(filled).path
    assert backups_in(filled.backups_path) == [second, tomorrow]


def test_a_home_without_a_database_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="check GLORIA_HOME"):
        back_up(Settings(home=tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_pg_dump_that_is_too_old_is_refused_by_name(
    filled: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "bin" / "pg_dump"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent), prepend=":")
    # The newer one of the wheel stands in for it.
    first = back_up(filled).path
    monkeypatch.setattr(database_copies, "find_spec", lambda name: None)
    with pytest.raises(BackupError, match=r"needs pg_dump \d+ or newer; found .*9\.6\.1; install postgresql-client-"):
        back_up(filled)
    assert backups_in(filled.backups_path) == [first]
