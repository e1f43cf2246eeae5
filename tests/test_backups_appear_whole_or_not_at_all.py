"""A backup that is cut short is none, on a full disk too; those before it stay, and a damaged one is refused."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from sqlalchemy import Engine

from api import backup_folder
from api.backing_up import back_up, note_rehearsal, prune
from api.backup_folder import BackupError, backups_in, read_manifest, verified_manifest
from api.bringing_back import bring_back
from api.restoring import rehearse
from indexer.settings import Settings
from matcher.ledger.evidence import keep
from matcher.ledger.persons import read_key
from tests.conftest import Databases
from tests.figures import figure
from tests.ledger_world import build_ledger_world

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def filled(engine: Engine, settings: Settings) -> Settings:
    """A home with people, a key and files of evidence; the engine is closed, so that a child may open its own."""
    build_ledger_world(engine)
    settings.home.mkdir(exist_ok=True)
    read_key(settings.home)
    for number in range(6):
        keep(settings.home, f"evidence {number}".encode() * 100)
    engine.dispose()
    return settings


def _forked(work: Callable[[], None], *, kill_at: int | None = None) -> int:
    """Do work in a child; with `kill_at` it dies of SIGKILL at that file operation.

    Returns:
        How many file operations it began.
    """
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if child == 0:
        begun = 0

        def count(event: str, _arguments: object) -> None:
            nonlocal begun
            if event == "open" or event.startswith(("os.", "shutil.", "tempfile.")):
                begun += 1
                if begun == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        os.write(writing_end, str(begun).encode())
        os._exit(0)
    os.close(writing_end)
    _, status = os.waitpid(child, 0)
    said = os.read(reading_end, 20)
    os.close(reading_end)
    assert os.WIFSIGNALED(status) == (kill_at is not None)
    return int(said or b"0")


def _damaged(settings: Settings) -> list[str]:
    """Return what stands under a backup's name and is none."""
    found = []
    for folder in backups_in(settings.backups_path):
        try:
            verified_manifest(folder)
        except BackupError as error:
            found.append(str(error))
    return found


@SQLITE
@pytest.mark.parametrize("kills", [15, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_kill_leaves_no_half_backup(filled: Settings, kills: int) -> None:
    good = back_up(filled).path
    operations = _forked(lambda: _backed_up(filled))
    points = sorted({1 + (operations - 1) * n // min(kills, operations) for n in range(min(kills, operations))})
    cut_short = 0
    for point in points:
        before = len(backups_in(filled.backups_path))
        _forked(lambda: _backed_up(filled), kill_at=point)
        cut_short += any(path.name.startswith(".staging-") for path in filled.backups_path.iterdir())
        assert _damaged(filled) == []
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
    operations = _forked(lambda: _backed_up(filled))

    def in_place(prefix: str, dir: Path) -> str:  # noqa: A002 (named as mkdtemp's)
        folder = Path(dir) / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z-00000000"
        folder.mkdir()
        return str(folder)

    monkeypatch.setattr(tempfile, "mkdtemp", in_place)
    for point in (operations // 2, operations * 3 // 4):
        _forked(lambda point=point: _backed_up(filled), kill_at=point)
    assert _damaged(filled) != []


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
    assert len(evidence) == 6
    assert all(path.samefile(second / path.relative_to(first)) for path in evidence)
    # What is damaged in an earlier backup is written anew, and not passed on.
    evidence[0].write_bytes(b"damaged")
    third = back_up(filled).path
    assert _names(_damaged(filled)) == [evidence[0].name] * 2
    verified_manifest(third)


def _names(messages: list[str]) -> list[str]:
    return [Path(message.split(" ")[0]).name for message in messages]


@SQLITE
def test_every_damaged_file_is_named_and_nothing_is_restored(filled: Settings, tmp_path: Path) -> None:
    made = back_up(filled).path
    names = [*read_manifest(made)["files"], backup_folder.MANIFEST]
    assert len(names) == 1 + 6 + 1 + 1
    for name in names:
        for damage in (_flipped, _cut, _removed):
            copy = tmp_path / "copy" / made.name
            shutil.copytree(made, copy)
            damage(copy / name)
            with pytest.raises(BackupError, match=str(copy / name)):
                bring_back(filled, copy, into=tmp_path / "new")
            assert not (tmp_path / "new").exists()
            shutil.rmtree(copy)
    damaged = made / names[0]
    _flipped(damaged)
    done = rehearse(filled, made)
    assert [(check.name, check.passed, str(damaged) in check.detail) for check in done.checks] == [
        ("files", False, True)
    ]
    assert not done.passed


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _removed(path: Path) -> None:
    path.unlink()


@SQLITE
def test_a_manifest_names_nothing_outside_of_its_folder(filled: Settings, tmp_path: Path) -> None:
    made = back_up(filled).path
    manifest = orjson.loads((made / backup_folder.MANIFEST).read_bytes())
    manifest["files"]["../outside"] = {"bytes": 0, "sha256": ""}
    manifest["sha256"] = backup_folder._seal(manifest)
    (made / backup_folder.MANIFEST).write_bytes(orjson.dumps(manifest))
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
