"""Measures agree with values worked out by hand; bad judgement files are answered line by line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from indexer.settings import Settings
from matcher.judging.evaluation import evaluate_home
from matcher.judging.measures import EvaluationError, measure, paired_bootstrap, read_qrels, read_run

JUDGED = {"n1": {"a": 3, "b": 1, "c": 0}, "n2": {"d": 1}, "n3": {"e": 0}}
RUN = {"n1": {"c": 9.0, "a": 8.0, "x": 7.0, "b": 6.0}}


def test_values_worked_out_by_hand() -> None:
    found = measure(JUDGED, RUN, ["nDCG@10", "RR", "R@2", "P@5"])
    gained = 3 / math.log2(3) + 1 / math.log2(5)
    ideal = 3 + 1 / math.log2(3)
    # n2 is judged but not in the run: 0. n3 has no relevant lab: left out.
    assert found["nDCG@10"] == pytest.approx({"n1": gained / ideal, "n2": 0.0})
    assert found["RR"] == pytest.approx({"n1": 0.5, "n2": 0.0})
    assert found["R@2"] == pytest.approx({"n1": 0.5, "n2": 0.0})
    assert found["P@5"] == pytest.approx({"n1": 0.4, "n2": 0.0})


def test_the_interval_holds_a_real_difference_and_zero_where_there_is_none() -> None:
    chance = np.random.default_rng(5)
    base = chance.random(80)
    better = paired_bootstrap(base + 0.2, base)
    same = paired_bootstrap(base, chance.permutation(base))
    assert (better.mean, better.low, better.high) == pytest.approx((0.2, 0.2, 0.2))
    assert same.low < 0 < same.high


def test_the_interval_is_the_same_every_time() -> None:
    ours, theirs = np.array([0.1, 0.9, 0.4]), np.array([0.3, 0.2, 0.4])
    assert paired_bootstrap(ours, theirs) == paired_bootstrap(ours, theirs)


def test_bad_judgement_lines_are_named_and_good_ones_kept(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text("n1 0 a 2\nn1 0 b\n\nn1 0 c high\nn2 0 d 0\n", encoding="utf-8")
    expected = "expected `need 0 lab grade` with a whole number as grade"
    assert read_qrels(path) == (
        {"n1": {"a": 2}, "n2": {"d": 0}},
        [f"qrels.txt:2 {expected}", f"qrels.txt:4 {expected}"],
    )


@pytest.mark.parametrize("content", [b"", b"n1 0 a 0\n", b"hello\n", b"\xff\xfe\x00"])
def test_judgements_without_a_relevant_lab_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "qrels.txt"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"qrels\.txt"):
        read_qrels(path)


def test_a_run_keeps_its_good_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("n1 Q0 a 1 7.5 tag\nn1 Q0 b 2 nan tag\nn1 Q0 c 3\n", encoding="utf-8")
    expected = "expected `need Q0 lab rank score tag` with a number as score"
    assert read_run(path) == ({"n1": {"a": 7.5}}, [f"run.txt:2 {expected}", f"run.txt:3 {expected}"])


def test_an_unknown_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text("n1 0 a 1\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match="unknown measure 'beauty'"):
        evaluate_home(Settings(home=tmp_path), path, measures=["beauty"])
