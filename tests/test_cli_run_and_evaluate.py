"""`gloria run` writes the same TREC run each time; `gloria evaluate` measures it, the home or a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures import world_qrels


@pytest.fixture(scope="module")
def qrels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qrels") / "qrels.txt"
    lines = [line.split() for line in world_qrels().read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line[0].startswith("need-1-") and line[2].startswith("lab-1-")]
    path.write_text("".join(" ".join(line) + "\n" for line in kept), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run_file(gloria: Any, indexed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run.txt"
    assert gloria("run", "--top", "all", "--out", path, home=indexed_home).code == 0
    return path


def test_a_run_has_every_need_with_falling_scores(run_file: Path) -> None:
    rows = [line.split(" ") for line in run_file.read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} == {6}
    assert {(row[1], row[5]) for row in rows} == {("Q0", "gloria")}
    assert list(dict.fromkeys(row[0] for row in rows)) == [f"need-1-{n:02}" for n in range(1, 13)]
    for need in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == need]
        scores = [float(row[4]) for row in mine]
        assert scores == sorted(set(scores), reverse=True)
        assert [int(row[3]) for row in mine] == list(range(1, len(mine) + 1))


def test_two_runs_are_the_same_byte_for_byte(gloria: Any, indexed_home: Path, run_file: Path, tmp_path: Path) -> None:
    assert gloria("run", "--top", "all", "--out", tmp_path / "again.txt", home=indexed_home).code == 0
    assert (tmp_path / "again.txt").read_bytes() == run_file.read_bytes()


def test_a_run_never_names_an_excluded_lab(run_file: Path) -> None:
    pairs = [tuple(line.split(" ")[:3:2]) for line in run_file.read_text(encoding="utf-8").splitlines()]
    assert ("need-1-04", "lab-1-08") not in pairs
    assert ("need-1-05", "lab-1-08") in pairs


def test_who_gets_shown_is_reported(gloria: Any, indexed_home: Path, tmp_path: Path) -> None:
    answer = gloria("--lang", "en", "run", "--top", 2, "--out", tmp_path / "run.txt", home=indexed_home)
    assert answer.out == ""
    assert answer.err.splitlines()[-1].startswith("24 lines; shown by prominence of the school (in brackets: share ")


def test_a_run_that_fails_leaves_the_old_file(gloria: Any, own_home: Path) -> None:
    out = own_home / "run.txt"
    out.write_text("old", encoding="utf-8")
    next((own_home / "index").glob("*/passages.json")).unlink()
    assert gloria("run", "--top", 3, "--out", out, home=own_home).code == 1
    assert out.read_text(encoding="utf-8") == "old"


def test_the_home_and_its_run_file_measure_the_same(
    gloria: Any, indexed_home: Path, qrels: Path, run_file: Path
) -> None:
    home = gloria("evaluate", "--qrels", qrels, "--json", home=indexed_home)
    file = gloria("evaluate", "--qrels", qrels, "--run", run_file, "--json", home=indexed_home)
    assert (home.code, file.code) == (0, 0)
    assert home.document["n_needs"] == 12
    assert list(home.document["systems"]) == ["gloria"]
    assert list(home.document["systems"]["gloria"]) == ["nDCG@10", "RR", "R@10", "R@100", "P@5"]
    assert file.document["systems"]["run"] == home.document["systems"]["gloria"]


def test_a_collection_measures_as_it_does_at_home(
    gloria: Any, indexed_home: Path, slice_of_world: Path, qrels: Path, tmp_path: Path
) -> None:
    files = ["--labs", slice_of_world / "labs.jsonl", "--needs", slice_of_world / "needs.jsonl"]
    more = ["--run-out", tmp_path / "run.txt", "--top", "all", "--measures", "nDCG@10,P@5", "--baselines"]
    answer = gloria("evaluate", *files, "--qrels", qrels, *more, "--json", home=indexed_home)
    assert answer.code == 0, answer.err
    assert list(answer.document["systems"]) == ["gloria", "tfidf", "bm25", "dense", "size"]
    assert list(answer.document["differences"]["bm25"]) == ["nDCG@10", "P@5"]
    run = gloria("evaluate", "--qrels", qrels, "--run", tmp_path / "run.txt", "--measures", "nDCG@10,P@5", "--json")
    assert run.document["systems"]["run"] == answer.document["systems"]["gloria"]


def test_the_table_shows_every_system(gloria: Any, indexed_home: Path, qrels: Path) -> None:
    answer = gloria("evaluate", "--qrels", qrels, "--baselines", "--lang", "en", home=indexed_home)
    first_words = [line.split()[0] for line in answer.out.splitlines() if line.split()]
    assert [word for word in first_words if word in ("gloria", "tfidf", "bm25", "dense", "size")][:5] == [
        "gloria", "tfidf", "bm25", "dense", "size",
    ]  # fmt: skip


def test_a_bad_qrels_line_is_named_and_the_rest_is_measured(
    gloria: Any, indexed_home: Path, qrels: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "qrels.txt"
    bad.write_text(qrels.read_text(encoding="utf-8") + "need-1-01 lab-1-01\n", encoding="utf-8")
    answer = gloria("evaluate", "--qrels", bad, "--json", home=indexed_home, lang="en")
    n = len(bad.read_text(encoding="utf-8").splitlines())
    assert answer.code == 1
    assert f"qrels.txt:{n} expected" in answer.err
    control = gloria("evaluate", "--qrels", qrels, "--json", home=indexed_home)
    assert (control.code, control.document) == (0, answer.document)
