"""A backup or a restore that is cut short, by a kill or a full disk, is none, and what was there before stays."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine

from api.backups import restore
from api.backups.backup import BackupError, back_up, backups_in, read_manifest, verified_manifest
from indexer.database_copies import sqlite_problems
from indexer.settings import Settings
from tests.rig.faults.backed_up import damaged, fill_home, forked
from tests.rig.figures import figure

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def filled(engine: Engine, settings: Settings) -> Settings:
    """A home with people, a key and files of evidence."""
    return fill_home(engine, settings)


@SQLITE
@pytest.mark.parametrize("kills", [15, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_kill_leaves_no_half_backup(filled: Settings, kills: int) -> None:
    good = back_up(filled).path
    operations = forked(lambda: _backed_up(filled))
    points = sorted({1 + (operations - 1) * n // min(kills, operations) for n in range(min(kills, operations))})
    cut_short = 0
    for point in points:
        before = len(backups_in(filled.backups_path))
        forked(lambda: _backed_up(filled), kill_at=point)
        cut_short += any(path.name.startswith(".staging-") for path in filled.backups_path.iterdir())
        assert damaged(filled) == []
        assert len(backups_in(filled.backups_path)) - before in (0, 1)
    made = back_up(filled)
    verified_manifest(made.path)
    assert verified_manifest(good)["files"].keys() <= read_manifest(made.path)["files"].keys()
    assert not [path for path in filled.backups_path.iterdir() if path.name.startswith(".staging-")]
    figure("kill on backup", points=len(points), cut_short=cut_short, half_backups=0)
    assert len(points) >= min(kills, 60)
    assert cut_short > len(points) // 2


def _backed_up(settings: Settings) -> None:
    back_up(settings)


@SQLITE
def test_written_straight_into_its_place_it_would_be_half(filled: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the folder beside, a kill leaves what looks like a backup, and the same search finds it."""
    operations = forked(lambda: _backed_up(filled))

    def in_place(prefix: str, dir: Path) -> str:  # noqa: A002 (named as mkdtemp's)
        folder = Path(dir) / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-00000000"
        folder.mkdir()
        return str(folder)

    monkeypatch.setattr(tempfile, "mkdtemp", in_place)
    for point in (operations // 2, operations * 3 // 4):
        forked(lambda point=point: _backed_up(filled), kill_at=point)
    assert damaged(filled) != []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"only root may mount a small disk: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_leaves_the_earlier_backups(filled: Settings, small_disk: Path) -> None:
    settings = filled.model_copy(update={"backups": small_disk})
    good = back_up(settings).path
    filler = small_disk / "filler"
    for left in (0, 50_000, 200_000):
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(b"x" * max(0, free - left - 8_192))
        with pytest.raises(BackupError, match=r"no backup was made: .* earlier ones are as they were"):
            back_up(settings)
        assert backups_in(small_disk) == [good]
        assert not [path for path in small_disk.iterdir() if path.name.startswith(".staging-")]
        filler.unlink()
    verified_manifest(good)
    # With room again it goes on without help.
    assert len({back_up(settings).path, good}) == 2


@SQLITE
@pytest.mark.parametrize("kills", [10, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_killed_restore_loses_nothing_and_can_be_repeated(filled: Settings, kills: int, tmp_path: Path) -> None:
    points, lost = _killed_restores(filled, kills, tmp_path)
    figure("kill on restore", points=points, lost=lost)
    assert lost == 0
    assert points >= min(kills, 60)


@SQLITE
def test_a_restore_that_deletes_first_would_lose_the_old_home(
    filled: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The control: killed between, it has lost the home, and the same search finds that."""
    put_in_place = restore._put_in_place

    def delete_first(staging: Path, into: Path) -> Path | None:
        (into / "gloria.db").unlink(missing_ok=True)
        return put_in_place(staging, into)

    monkeypatch.setattr(restore, "_put_in_place", delete_first)
    assert _killed_restores(filled, 12, tmp_path)[1] > 0


def _killed_restores(settings: Settings, kills: int, folder: Path) -> tuple[int, int]:
    """Kill restores over a home at so many points and repeat each; return the points, and after how many all was lost.

    What counts as kept is a whole database under its name, in the home or aside: who looks for it finds it.
    """
    made = back_up(settings).path
    before = settings.database_path.read_bytes()

    def restore_over() -> None:
        restore.bring_back(settings, made, into=home, over=True)

    def fresh(number: int) -> Path:
        made_home = folder / f"home-{number}"
        made_home.mkdir()
        (made_home / "gloria.db").write_bytes(before)
        return made_home

    home = fresh(0)
    operations = forked(restore_over)
    points = sorted({1 + (operations - 1) * n // min(kills, operations) for n in range(min(kills, operations))})
    lost = 0
    for point in points:
        home = fresh(point)
        forked(restore_over, kill_at=point)
        kept = [path for path in home.rglob("gloria.db") if ".restoring" not in path.parts]
        lost += not any(_is_whole(path) for path in kept)
        restore_over()
        assert _is_whole(home / "gloria.db")
        assert sqlite_problems(home / "gloria.db") == []
        assert not (home / ".restoring").exists()
        shutil.rmtree(home)
    return len(points), lost


def _is_whole(path: Path) -> bool:
    with closing(sqlite.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT count(*) FROM company").fetchone() == (2,))
