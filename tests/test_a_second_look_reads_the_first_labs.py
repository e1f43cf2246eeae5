"""`GLORIA_RERANKER`: a CrossEncoder reads need and passage together, adds one contribution, and keeps to its budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.documents.matching.matches import match_document
from api.trail.request_trail import MACHINE
from indexer.encoders.encoding import EncoderError
from indexer.encoders.pair_scorer import PairScorer
from indexer.settings import Settings
from matcher.ranking.pairings import Matcher
from matcher.ranking.reranker import BATCH, LOGIT_SPREAD, WEIGHT
from matcher.ranking.signals import FEATURES, RERANKER

NEED = "need-1-01"


def model_in(folder: Path, *, labels: int = 1, classifies: bool = True) -> Path:
    """Save a tiny BERT of random weights, seeded, that reads single characters."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

    folder.mkdir()
    letters = [chr(code) for code in (*range(97, 123), *range(0x4E00, 0x9FA5, 7))]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=128, num_labels=labels, initializer_range=1.0,
    )  # fmt: skip
    torch.manual_seed(14)
    model: Any = (BertForSequenceClassification if classifies else BertModel)(config)
    if classifies:
        # Else a model this small says nearly the same of every pair.
        model.classifier.weight.data *= 5
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_in(tmp_path_factory.mktemp("reranker") / "tiny-reader")


def opened(home: Path, **more: Any) -> Matcher:
    """Open the shared index under other settings."""
    return Matcher.open(Settings(home=home, encoders="bundled-use", threads=1, **more))


@pytest.fixture(scope="module")
def plain(indexed_home: Path) -> Matcher:
    return opened(indexed_home)


@pytest.fixture(scope="module")
def reading(indexed_home: Path, model: Path) -> Matcher:
    return opened(indexed_home, reranker=str(model), reranker_budget_ms=60_000)


def match(matcher: Matcher, top: int = 1000) -> Any:
    """Return the answer for one need."""
    return match_document(matcher, matcher.match(matcher.need(NEED), top=top), to=MACHINE)


def test_what_is_read_is_one_more_contribution_and_the_score_their_sum(plain: Matcher, reading: Matcher) -> None:
    before = {one["lab_id"]: one for one in match(plain)["pairings"]}
    answer = match(reading)
    assert (answer["warnings"], answer["ranker_version"]) == ([], f"{plain.ranker.version}, reranker tiny-reader")
    added = []
    for rank, one in enumerate(answer["pairings"], start=1):
        assert list(one["contributions"]) == [*FEATURES, RERANKER]
        assert sum(one["contributions"].values()) == pytest.approx(one["score"], abs=1e-9)
        assert (one["rank"], one["band"]) == (rank, before[one["lab_id"]]["band"])
        added.append(one["contributions"].pop(RERANKER))
        assert one["contributions"] == before[one["lab_id"]]["contributions"]
    scores = [one["score"] for one in answer["pairings"]]
    assert scores == sorted(scores, reverse=True)
    assert 0 < min(added) < max(added) < WEIGHT
    # The control: the model changes the order here.
    assert [one["lab_id"] for one in answer["pairings"]] != list(before)


def test_it_reads_the_passage_that_answers_best_on_one_curve(reading: Matcher, model: Path) -> None:
    ranking = reading.ranking(reading.need(NEED), second_look=True)
    first = ranking.order[0]
    rows = reading.searcher.passages_of(first)
    best = max(rows, key=lambda row: ranking.table.answers[0][row])
    pair = (ranking.query.whole.text, reading.snapshot.passages[best].text)
    logit = float(PairScorer(str(model)).logits([pair])[0])
    assert ranking.added[RERANKER][first] == pytest.approx(WEIGHT / (1 + np.exp(-logit / LOGIT_SPREAD)), abs=1e-5)


def test_who_is_not_reached_within_the_budget_keeps_the_place(
    plain: Matcher, reading: Matcher, indexed_home: Path, model: Path
) -> None:
    match(reading)
    before = [one["lab_id"] for one in match(plain)["pairings"]]
    answer = match(opened(indexed_home, reranker=str(model), reranker_budget_ms=1))
    assert [warning["en"] for warning in answer["warnings"]] == [
        f"the second look reached {BATCH} of {len(before)} labs within 1 ms; the others keep their places"
    ]
    after = [one["lab_id"] for one in answer["pairings"]]
    assert (sorted(after[:BATCH]), after[BATCH:]) == (sorted(before[:BATCH]), before[BATCH:])
    assert [bool(one["contributions"][RERANKER]) for one in answer["pairings"]] == [True] * BATCH + [False] * (
        len(after) - BATCH
    )


def test_switched_off_the_answer_is_the_same_to_the_byte(
    gloria: Any, indexed_home: Path, plain: Matcher, model: Path
) -> None:
    off = gloria("match", NEED, "--json", home=indexed_home).out
    assert gloria("match", NEED, "--json", home=indexed_home, reranker="").out == off
    assert RERANKER not in off
    # The control: switched on it is not.
    assert RERANKER in gloria("match", NEED, "--json", home=indexed_home, reranker=str(model)).out


def test_other_questions_are_answered_by_the_first_stage_alone(plain: Matcher, reading: Matcher) -> None:
    needs = list(plain.needs.values())[:2]
    found = [
        [(one.need.id, one.score, one.rank_of_lab) for one in matcher.match_lab("lab-1-01", needs)]
        for matcher in (plain, reading)
    ]
    assert found[0] == found[1] != []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        pytest.param({"labels": 3}, "it is a BertForSequenceClassification with no single score", id="classes"),
        pytest.param({"classifies": False}, "it is a BertModel with no single score of a pair", id="an encoder"),
        pytest.param(None, "is not a usable CrossEncoder", id="an empty folder"),
        pytest.param({}, "", id="the control"),
    ],
)
def test_what_is_no_cross_encoder_is_refused(tmp_path: Path, made: dict[str, Any] | None, message: str) -> None:
    folder = tmp_path / "model"
    if made is None:
        folder.mkdir()
    else:
        model_in(folder, **made)
    if not message:
        PairScorer(str(folder)).load()
        return
    with pytest.raises(EncoderError) as refused:
        PairScorer(str(folder)).load()
    assert str(refused.value).startswith("GLORIA_RERANKER: model is not a usable CrossEncoder")
    assert message in str(refused.value)


def test_the_command_says_that_there_is_no_such_model(gloria: Any, indexed_home: Path, tmp_path: Path) -> None:
    for given, said in (
        (str(tmp_path / "nowhere"), "GLORIA_RERANKER: there is no folder"),
        ("nobody/reader", "GLORIA_RERANKER: nobody/reader is not on this machine"),
    ):
        answer = gloria("match", NEED, "--lang", "en", home=indexed_home, columns=400, reranker=given)
        assert (answer.code, said in answer.err) == (1, True), answer.err
