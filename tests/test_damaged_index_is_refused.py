"""An index opens only if every byte is as it was published; publishing is all or nothing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from indexer.index import generations, opening
from indexer.index.generations import SnapshotError, current_generation
from indexer.index.opening import open_snapshot, publish
from indexer.index.words import terms
from tests.rig.faults.small_generations import TEXTS, small_contents


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("published") / "index"
    publish(index, small_contents())
    return index


@pytest.fixture
def index(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "index"))


def _files(index: Path) -> list[Path]:
    return sorted(path for path in (index / current_generation(index)).rglob("*") if path.is_file())


def _flip(path: Path, position: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "first byte": lambda path: _flip(path, 0),
    "middle byte": lambda path: _flip(path, 0.5),
    "last byte": lambda path: _flip(path, 1),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "gone": Path.unlink,
}

FILES = [
    "labs.json",
    "manifest.json",
    "passages.json",
    "senses.npz",
    "vectors-0.faiss",
    "vectors-0.npz",
    "words.npz",
]


def test_what_was_published_is_what_opens(index: Path) -> None:
    contents, opened = small_contents(), open_snapshot(index)
    assert opened.passages == tuple(contents.passages)
    assert (opened.lab_fingerprints, opened.inputs) == (contents.lab_fingerprints, contents.inputs)
    np.testing.assert_array_equal(opened.fields[0].index.rows(), contents.fields[0].index.rows())
    np.testing.assert_array_equal(opened.fields[0].query_means[""], contents.fields[0].query_means[""])
    for query in TEXTS:
        for found, expected in zip(
            opened.words.answers(terms(query)), contents.words.answers(terms(query)), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    assert opened.senses.vocabulary == contents.senses.vocabulary
    np.testing.assert_array_equal(opened.senses.matrix.toarray(), contents.senses.matrix.toarray())


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_refused_by_name(index: Path, damage: str) -> None:
    files = _files(index)
    assert [path.name for path in files] == FILES
    for path in files:
        good = path.read_bytes()
        DAMAGES[damage](path)
        with pytest.raises(SnapshotError, match=f"{path} .*run: gloria reindex --full"):
            open_snapshot(index)
        path.write_bytes(good)
        open_snapshot(index)


def test_a_manifest_edited_to_fit_is_refused(index: Path) -> None:
    path = index / current_generation(index) / generations.MANIFEST
    for old, new in ((b'"inputs": "first"', b'"inputs": "other"'), (b'"dims": 6', b'"dims": 5')):
        good = path.read_bytes()
        assert old in good
        path.write_bytes(good.replace(old, new))
        with pytest.raises(SnapshotError, match="does not fit its own sha256"):
            open_snapshot(index)
        path.write_bytes(good)


def test_an_intact_generation_under_another_name_is_refused(index: Path) -> None:
    folder = index / current_generation(index)
    folder.rename(index / "0123456789abcdef")
    (index / generations.POINTER).write_text("0123456789abcdef")
    with pytest.raises(SnapshotError, match="its folder's name"):
        open_snapshot(index)


def test_another_format_is_refused(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "FORMAT", generations.FORMAT + 1)
    with pytest.raises(
        SnapshotError, match=f"format {generations.FORMAT - 1}, this release reads {generations.FORMAT}"
    ):
        open_snapshot(index)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not name a generation"),
        (b"../../../../etc", "does not name a generation"),
        (b"\xff\xfe", "can't be read"),
        (b"0123456789abcdef", "0123456789abcdef, which is not there"),
    ],
)
def test_a_damaged_pointer_is_refused(index: Path, content: bytes, message: str) -> None:
    (index / generations.POINTER).write_bytes(content)
    with pytest.raises(SnapshotError, match=f"{generations.POINTER}.*{message}"):
        open_snapshot(index)


def test_no_index_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"there is no index in .*; run: gloria reindex$"):
        open_snapshot(tmp_path / "index")


def test_publishing_again_heals_a_damaged_generation(index: Path) -> None:
    name = current_generation(index)
    for path in _files(index):
        path.write_bytes(b"damaged")
        assert publish(index, small_contents()).generation == name
        open_snapshot(index)


def test_same_contents_are_the_same_generation(index: Path) -> None:
    name = current_generation(index)
    assert publish(index, small_contents()).generation == name
    assert publish(index, small_contents(texts=TEXTS[:2])).generation != name
    assert publish(index, small_contents()).generation == current_generation(index) == name


@pytest.mark.parametrize(
    ("module", "step"),
    [
        (opening, "write_files"),
        (generations, "write_manifest"),
        (generations, "write_synced"),
        (opening, "open_first_elsewhere"),
        (generations, "_make_current"),
        (opening, "read_files"),
    ],
)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_before_the_end_leaves_the_old_index(
    index: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, error: BaseException
) -> None:
    name = current_generation(index)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(module, step, fail)
        with pytest.raises((OSError, SnapshotError, KeyboardInterrupt)):
            publish(index, small_contents("second", TEXTS[:2]))
    assert open_snapshot(index).generation == name
    assert not (index / ".staging").exists()
    assert publish(index, small_contents("second", TEXTS[:2])).generation != name


def test_what_a_crash_left_is_cleared_away(index: Path) -> None:
    for name in (".staging", ".removed-0123456789abcdef"):
        (index / name).mkdir()
        (index / name / "half").write_bytes(b"half")
    publish(index, small_contents("second"))
    assert sorted(path.name for path in index.iterdir() if path.name.startswith(".")) == [".lock"]
    (index / ".removed-0123456789abcdef").mkdir()
    assert generations.forget_older(index) == 1
    assert {path.name for path in index.iterdir()} == {".lock", generations.POINTER, current_generation(index)}


def test_the_last_three_generations_are_kept(index: Path) -> None:
    names = [current_generation(index)]
    names += [publish(index, small_contents(f"night {night}")).generation for night in range(4)]
    assert {path.name for path in index.iterdir() if path.is_dir()} == set(names[-3:])
    # Being current again counts, not the day of writing.
    publish(index, small_contents("night 1"))
    names += [publish(index, small_contents(f"night {night}")).generation for night in (4, 5)]
    assert {path.name for path in index.iterdir() if path.is_dir()} == {names[2], *names[-2:]}
    assert open_snapshot(index).generation == names[-1]


def test_publishing_at_the_same_time_leaves_one_whole_index(index: Path) -> None:
    contents = [replace(small_contents(), inputs=f"at once {i % 3}") for i in range(6)]
    names: list[str] = []
    threads = [threading.Thread(target=lambda c=c: names.append(publish(index, c).generation)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 6
    assert open_snapshot(index).generation in names
    assert {path.name for path in index.iterdir() if path.is_dir()} == set(names)
