"""A mistyped or unusable encoder is refused within seconds, without asking the network, and the message helps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexer.encoders.bundled_encoders import installed_file
from indexer.encoders.encoder import MINILM_PACKAGE, load_encoder
from indexer.encoders.encoding import EncoderError
from indexer.settings import Settings


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bundeld", "bundeld is not on this machine; GLORIA_ENCODERS takes bundled"),
        ("nobody/no-such-model", "hf download nobody/no-such-model"),
        ("/no/such/folder", "there is no such folder"),
    ],
)
def test_a_name_that_is_nowhere(tmp_path: Path, name: str, message: str) -> None:
    import sentence_transformers  # noqa: F401  its import is not what is timed

    encoder = load_encoder(name, Settings(home=tmp_path))
    started = time.perf_counter()
    with pytest.raises(EncoderError, match=message):
        encoder.encode(["text"], role="query")
    assert time.perf_counter() - started < 5


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    encoder = load_encoder(str(tmp_path), Settings(home=tmp_path))
    with pytest.raises(EncoderError, match="not a usable sentence-transformers model"):
        encoder.encode(["text"], role="query")


def test_a_folder_that_holds_a_model_is_taken(tmp_path: Path) -> None:
    folder = str(installed_file(MINILM_PACKAGE, "modules.json").parent)
    by_folder = load_encoder(folder, Settings(home=tmp_path, precision="float32"))
    by_name = load_encoder("bundled-minilm", Settings(home=tmp_path, precision="float32"))
    text = ["Dissolved oxygen in fish ponds"]
    assert by_folder.encode(text, role="passage") @ by_name.encode(text, role="passage").T == pytest.approx(1, abs=1e-5)
    assert by_folder.identity != by_name.identity


def test_a_folder_with_other_weights_has_another_identity(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before, same = load_encoder(str(tmp_path), settings).identity, load_encoder(str(tmp_path), settings).identity
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert before == same != load_encoder(str(tmp_path), settings).identity
