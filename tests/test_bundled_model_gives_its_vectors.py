"""The model rebuilt from the wheel is multilingual-e5-small, and our encoding of short texts is the library's own.

Texts are brought into one script and width before they are encoded; the library is given them so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.encoders import bundled_encoders, encoding_throughput
from indexer.encoders.bundled_encoders import BundledWeightsError, read_weights
from indexer.encoders.encoder import load_encoder
from indexer.encoders.encoding import batches_by_tokens
from indexer.encoders.transformer_encoder import TransformerEncoder
from indexer.settings import Settings

KEPT = Path(__file__).parent.parent / ".test-home"
ENGLISH = "Perovskite solar cells with a lead-free absorber"
CHINESE = "鈣鈦礦太陽能電池的無鉛吸光層"
OTHER = "水產養殖池的溶氧監測"
FIRST_VALUES = {
    "passage": [
        [0.06868, 0.00949, -0.06909, -0.02185, 0.04777],
        [0.04278, 0.00406, -0.01816, -0.04842, 0.08322],
        [0.03453, -0.01379, -0.02318, -0.04749, 0.05429],
    ],
    "query": [
        [0.04537, -0.01640, -0.07153, -0.01676, 0.04163],
        [0.02976, 0.00099, -0.01916, -0.02872, 0.08674],
        [0.01796, -0.02405, -0.02042, -0.02692, 0.04583],
    ],
}
SHORT_TEXTS = [
    "Few-shot learning",  # a blank at the end of the prompt must join this word, not stand alone
    " 前面有空白的題目",
    "無鉛鈣鈦礦 perovskite 太陽能電池, 25% efficiency",
    "ＡＢＣ　全形與半形 half-width",
    "😀 !!! …",
    "x",
]
FOLDED = [
    "Few-shot learning",
    " 前面有空白的题目",
    "无铅钙钛矿 perovskite 太阳能电池, 25% efficiency",
    "ABC 全角与半角 half-width",
    "😀 !!! ...",
    "x",
]
"""The same as the model is to see them."""
IN_BOTH_SCRIPTS = [
    (CHINESE, "钙钛矿太阳能电池的无铅吸光层"),
    (OTHER, "水产养殖池的溶氧监测"),
    ("軟體工程與資訊安全", "软件工程与信息安全"),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TransformerEncoder:
    settings = Settings(home=tmp_path_factory.mktemp("home"), cache=KEPT, precision="float32")
    found = load_encoder("bundled", settings)
    assert isinstance(found, TransformerEncoder)
    return found


@pytest.mark.parametrize("role", ["passage", "query"])
def test_fixed_texts_have_the_stored_values(encoder: TransformerEncoder, role: str) -> None:
    vectors = encoder.encode([ENGLISH, CHINESE, OTHER], role="query" if role == "query" else "passage")
    assert vectors.shape == (3, encoder.dims) == (3, 384)
    np.testing.assert_allclose(vectors[:, :5], FIRST_VALUES[role], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_same_meaning_is_nearer_across_languages(encoder: TransformerEncoder) -> None:
    english, chinese, other = encoder.encode([ENGLISH, CHINESE, OTHER], role="passage")
    assert english @ chinese > english @ other + 0.03


@pytest.mark.parametrize("role", ["passage", "query"])
def test_short_texts_get_the_librarys_own_vectors(encoder: TransformerEncoder, role: str) -> None:
    expected = encoder.model.encode(FOLDED, prompt_name=role)
    vectors = encoder.encode(SHORT_TEXTS, role="query" if role == "query" else "passage")
    assert ((vectors * expected).sum(axis=1) > 0.9999).all()


def test_short_texts_get_the_librarys_own_tokens(encoder: TransformerEncoder) -> None:
    for texts in (SHORT_TEXTS, FOLDED):
        windows, owners = encoder.token_windows(texts, "passage")
        expected = encoder.model.tokenizer([f"passage: {text}" for text in texts], add_special_tokens=False)
        assert (windows, owners) == (expected["input_ids"], list(range(len(texts))))


@pytest.mark.parametrize("name", ["bundled", "bundled-use"])
@pytest.mark.parametrize(("traditional", "simplified"), IN_BOTH_SCRIPTS)
def test_both_scripts_give_the_same_vector(
    encoder: TransformerEncoder, traditional: str, simplified: str, name: str
) -> None:
    used = encoder if name == "bundled" else load_encoder(name, encoder.settings)
    # One by one, since a text in other company is rounded otherwise.
    one, same, other = (used.encode([text], role="passage") for text in (traditional, simplified, "水電工程"))
    np.testing.assert_array_equal(one, same)
    # The control.
    assert (one @ other.T).item() < 0.99


def test_without_folding_the_scripts_differ(encoder: TransformerEncoder) -> None:
    """The control: to the model itself they are two texts."""
    traditional, simplified = encoder.model.encode(IN_BOTH_SCRIPTS[0], prompt_name="passage")
    assert traditional @ simplified < 0.99


def test_a_text_that_says_nothing_still_has_a_direction(encoder: TransformerEncoder) -> None:
    vectors = encoder.encode(["", "\u200b", "😀😀", "!!!"], role="passage")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_every_text_is_counted_once_as_finished(encoder: TransformerEncoder) -> None:
    counted: list[int] = []
    encoder.encode([*SHORT_TEXTS, "長" * 1500], role="passage", progress=counted.append)
    assert sum(counted) == len(SHORT_TEXTS) + 1


@given(lengths=st.lists(st.integers(0, 600), max_size=60), budget=st.integers(1, 2048))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = batches_by_tokens(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


def test_an_incomplete_model_is_rebuilt_and_a_complete_one_is_left(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "modules.json").write_text("[]")
    bundled_encoders.materialise(model)
    weights = model / "model.safetensors"
    size, written = weights.stat().st_size, weights.stat().st_mtime_ns
    bundled_encoders.materialise(model)
    assert (weights.stat().st_size, weights.stat().st_mtime_ns) == (size, written)
    with weights.open("r+b") as file:
        file.truncate(size // 2)
    bundled_encoders.materialise(model)
    assert weights.stat().st_size == size


@pytest.mark.parametrize("kept", [3, 100, 3_000_000, 70_000_000])
def test_a_cut_off_weights_file_is_refused_by_name(tmp_path: Path, kept: int) -> None:
    source = bundled_encoders.installed_file(bundled_encoders.WEIGHTS_PACKAGE, bundled_encoders.WEIGHTS_FILE)
    cut = tmp_path / source.name
    with source.open("rb") as file:
        cut.write_bytes(file.read(kept))
    with pytest.raises(BundledWeightsError, match=source.name):
        read_weights(cut)


def test_the_throughput_figure_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    labs = tmp_path / "labs.jsonl"
    labs.write_text("".join(f'{{"id": "lab-{i}", "name": "{text}"}}\n' for i, text in enumerate((CHINESE, ENGLISH))))
    monkeypatch.setenv("GLORIA_CACHE", str(KEPT))
    monkeypatch.setenv("GLORIA_PRECISION", "float32")
    assert encoding_throughput.main(["--labs", str(labs), "--sample", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("2 passages of ")
    assert "least cosine 1.00000" in printed
