"""Whatever a command writes only its owner can read; changed weights and index files are found before they are used."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.database import open_engine
from indexer.encoders import bundled_encoders
from indexer.encoders.bundled_encoders import BundledWeightsError, check_carried, check_model
from indexer.encoders.encoding import EncoderError
from indexer.encoders.transformer_encoder import TransformerEncoder
from indexer.settings import Settings
from matcher.ranking.opened.live import LiveMatcher
from tests.conftest import Gloria
from tests.rig.worlds.nights import carried_out, only, settings_of


def _open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077]


def test_what_commands_write_is_their_owners(
    gloria: Gloria, indexed_home: Path, slice_of_world: Path, tmp_path: Path
) -> None:
    home, out = tmp_path / "home", tmp_path / "needs.csv"
    files = [slice_of_world / f"{kind}.jsonl" for kind in ("schools", "labs", "companies", "needs")]
    before = os.umask(0o022)
    try:
        commands = (
            ("import", *files),
            ("backup",),
            ("user", "add", "office@example.org", "--role", "office"),
            ("export", "needs", "--out", out),
        )
        for arguments in commands:
            answer = gloria(*arguments, home=home)
            assert answer.code == 0, answer.err
    finally:
        os.umask(before)
    kept = [path.name for folder in (home, indexed_home) for path in folder.rglob("*")]
    assert {"gloria.db", "CURRENT", "manifest.json", "backups"} <= set(kept)
    assert [_open_to_others(place) for place in (home, out, indexed_home)] == [[], [], []]
    # The control: the same look sees what is open.
    (home / "open.txt").touch(mode=0o644)
    (home / "open.txt").chmod(0o644)
    assert _open_to_others(home) == [str(home / "open.txt")]


def test_an_older_home_is_named_with_what_mends_it(gloria: Gloria, own_home: Path) -> None:
    subprocess.run(["chmod", "-R", "a+rX", own_home], check=True)
    answer = gloria("doctor", "--json", home=own_home)
    (found,) = [one for one in answer.document["findings"] if one["level"] == "problem"]
    assert (answer.code, found["name"], found["facts"]["folder"]) == (1, "rights", str(own_home))
    subprocess.run(found["remedy"], shell=True, check=True)  # noqa: S602 (as a person would type it)
    assert _open_to_others(own_home) == []
    mended = gloria("doctor", "--json", home=own_home)
    assert (mended.code, mended.document["ok"]) == (0, True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small folder, marked as a materialised model is."""
    folder = tmp_path / "models" / "multilingual-e5-small"
    (folder / "1_Pooling").mkdir(parents=True)
    for name, size in (("model.safetensors", 200_000), ("tokenizer.json", 5_000), ("1_Pooling/config.json", 70)):
        (folder / name).write_bytes(bytes(range(256)) * (size // 256 + 1))
    bundled_encoders._mark_complete(folder)
    return folder


def _flip(path: Path, at: int, n: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + n] = bytes(value ^ 0x11 for value in content[at : at + n])
    path.write_bytes(content)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a stretch of weights": lambda model: _flip(model / "model.safetensors", 50_000, 2_000),
    "one byte at the start": lambda model: _flip(model / "model.safetensors", 0),
    "one byte at the end": lambda model: _flip(model / "model.safetensors", 200_191),
    "the tokenizer": lambda model: _flip(model / "tokenizer.json", 17),
    "how vectors are pooled": lambda model: _flip(model / "1_Pooling/config.json", 3),
    "a file is gone": lambda model: (model / "tokenizer.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_encode_nothing(model: Path, change: Callable[[Path], object]) -> None:
    check_model(model)
    change(model)
    with pytest.raises(BundledWeightsError, match="is not what was written"):
        check_model(model)
    encoder = TransformerEncoder("bundled", str(model), Settings(home=model), check=lambda: check_model(model))
    with pytest.raises(EncoderError, match="is not what was written"):
        encoder.encode(["無鉛鈣鈦礦"], role="query")


def test_a_list_without_hashes_is_that_of_an_older_release(model: Path) -> None:
    assert bundled_encoders._is_complete(model)
    sizes = {name: one["bytes"] for name, one in json.loads((model / "complete.json").read_text()).items()}
    (model / "complete.json").write_text(json.dumps(sizes))
    # It is prepared anew, once.
    assert not bundled_encoders._is_complete(model)


def test_a_carried_file_is_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "carrying_weights-1.0.dist-info"
    info.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"weights as installed")
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: carrying-weights\nVersion: 1.0\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"weights as installed").digest()).decode().rstrip("=")
    info.joinpath("RECORD").write_text(f"weights.bin,sha256={digest},20\nplain.bin,,\n")
    (tmp_path / "plain.bin").write_bytes(b"of an editable installation")
    monkeypatch.syspath_prepend(str(tmp_path))
    check_carried("carrying-weights", "weights.bin")
    check_carried("carrying-weights", "plain.bin")
    _flip(tmp_path / "weights.bin", 5)
    with pytest.raises(BundledWeightsError, match="is not the file that was installed"):
        check_carried("carrying-weights", "weights.bin")
    for package, name in (
        (bundled_encoders.WEIGHTS_PACKAGE, bundled_encoders.WEIGHTS_FILE),
        (bundled_encoders.USE_PACKAGE, "weights.npz"),
    ):
        check_carried(package, name)


def _current(home: Path) -> Path:
    return home / "index" / (home / "index" / "CURRENT").read_text().strip()


INDEX_CHANGES: dict[str, Callable[[Path], object]] = {
    "a byte of the labs": lambda folder: _flip(folder / "labs.json", 40),
    "labs are gone": lambda folder: (folder / "labs.json").unlink(),
    "a byte of the list": lambda folder: _flip(folder / "manifest.json", 30),
    "a file more": lambda folder: (folder / "more.bin").write_bytes(b"?"),
}


@pytest.mark.parametrize("change", INDEX_CHANGES.values(), ids=INDEX_CHANGES)
def test_the_night_and_a_server_that_runs_find_a_changed_index(
    own_home: Path, change: Callable[[Path], object]
) -> None:
    settings, step = settings_of(own_home), only("files")
    engine = open_engine(settings)
    live = LiveMatcher(settings, engine, check_every_s=3_600)
    try:
        live.current()
        live.check_files()
        whole = carried_out(settings, step, fresh=True).step("files")
        assert (live.state().problem, whole.state.value, whole.figures) == (
            None, "done", {"generations": 1, "findings": 0},
        )  # fmt: skip
        change(_current(own_home))
        live.check_files()
        night = carried_out(settings, step, fresh=True).step("files")
        assert live.state().problem == "the files of the index in use are no longer what they were; run: gloria doctor"
        assert (night.state.value, night.figures["findings"]) == ("failed", 1)
        # What was opened before was whole and goes on being used.
        assert live.current().labs
    finally:
        live.close()
        engine.dispose()


def test_the_night_names_changed_weights(own_home: Path, tmp_path: Path, model: Path) -> None:
    settings = settings_of(own_home, encoders="bundled,bundled-use", cache=model.parent.parent)
    assert carried_out(settings, only("files"), fresh=True).step("files").state.value == "done"
    _flip(model / "model.safetensors", 100_000)
    night = carried_out(settings, only("files"), fresh=True).step("files")
    assert (night.state.value, night.figures["findings"]) == ("failed", 1)
    assert "model.safetensors" in night.details["findings"][0]


def test_a_generation_gives_nothing_of_needs_away(gloria: Gloria, own_home: Path) -> None:
    before = _current(own_home)
    path = own_home / "needs.jsonl"
    need = {
        "id": "need-1-01",
        "title": "鯨落計畫 whalefall-7",
        "summary": "鯨落計畫 whalefall-7",
        "is_confidential": True,
    }
    path.write_text(json.dumps(need, ensure_ascii=False), encoding="utf-8")
    assert gloria("import", path, home=own_home).code == 0
    assert gloria("reindex", home=own_home).code == 0
    # The name of a generation is the hash of its contents: what a need says moves none of its bytes.
    assert _current(own_home) == before
    told = ("whalefall", "鯨落", "need-1-01")
    assert [
        word for one in before.rglob("*") if one.is_file() for word in told if word.encode() in one.read_bytes()
    ] == []
    # The control: a lab's words are there to be found.
    assert any(b"lab-1-01" in one.read_bytes() for one in before.rglob("*") if one.is_file())
