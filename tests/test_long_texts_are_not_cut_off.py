"""A text longer than a model takes is read whole, in windows that hold each token once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.encoders.encoder import Encoder, load_encoder
from indexer.encoders.encoding import EncoderError, joined_windows, windows
from indexer.encoders.transformer_encoder import TransformerEncoder
from indexer.settings import Settings

KEPT = Path(__file__).parent.parent / ".test-home"
LONG = "第一部分談水產養殖的水質監測與溶氧控制。" * 80
TAILS = ("最後談鈣鈦礦太陽能電池的封裝。", "最後談兒童語言發展的評量。")


@pytest.fixture(params=["bundled", "bundled-minilm", "bundled-use"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    return load_encoder(request.param, Settings(home=tmp_path, cache=KEPT, precision="float32"))


@given(tokens=st.lists(st.integers(), max_size=3000), size=st.integers(1, 600))
def test_windows_hold_each_token_once_in_order(tokens: list[int], size: int) -> None:
    found = windows(tokens, size)
    assert [token for window in found for token in window] == tokens
    assert max(map(len, found)) <= size
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert len(found) == max(1, -(-len(tokens) // size))


def test_what_stands_at_the_end_changes_the_vector(encoder: Encoder) -> None:
    first, second, again = encoder.encode([LONG + TAILS[0], LONG + TAILS[1], LONG + TAILS[0]], role="passage")
    assert first @ second < 0.99999
    np.testing.assert_allclose(first, again, atol=1e-5)


def test_all_tokens_of_a_long_text_reach_the_model_behind_the_prompt(tmp_path: Path) -> None:
    encoder = load_encoder("bundled", Settings(home=tmp_path, cache=KEPT))
    assert isinstance(encoder, TransformerEncoder)
    found, owners = encoder.token_windows([LONG, "短"], "query")
    prompt = encoder.model.tokenizer("query:", add_special_tokens=False)["input_ids"]
    whole = encoder.model.tokenizer(f"query: {LONG}", add_special_tokens=False, truncation=False, verbose=False)
    assert owners == [0] * (len(owners) - 1) + [1]
    assert len(owners) > 2
    assert {tuple(window[: len(prompt)]) for window in found} == {tuple(prompt)}
    inside = [
        token for window, owner in zip(found, owners, strict=True) if owner == 0 for token in window[len(prompt) :]
    ]
    assert prompt + inside == whole["input_ids"]
    assert max(map(len, found)) <= 510


def test_windows_count_by_their_length() -> None:
    east, north = np.array([1.0, 0.0], dtype=np.float32), np.array([0.0, 1.0], dtype=np.float32)
    joined = joined_windows(np.stack([east, north, north]), [0, 0, 1], [3, 4, 0])
    np.testing.assert_allclose(joined, [[0.6, 0.8], [0.0, 1.0]], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_an_error(value: float) -> None:
    with pytest.raises(EncoderError, match="zero or non-finite"):
        joined_windows(np.full((1, 4), value, dtype=np.float32), [0], [3])
