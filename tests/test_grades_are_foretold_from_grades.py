"""`gloria evaluate --train --test` learns from graded pairs and foretells others; all that it can't use is said."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures import world_qrels
from matcher.judging.grade_learning import FEWEST, estimated_grades
from matcher.judging.pair_evidence import PairEvidence

Line = tuple[str, str, int]


@pytest.fixture(scope="module")
def graded() -> tuple[list[Line], list[Line]]:
    """Pairs of the slice to learn from and to ask about; some of the latter are of needs that the former lack."""
    rows = [line.split() for line in world_qrels().read_text(encoding="utf-8").splitlines()]
    lines = [(row[0], row[2], int(row[3])) for row in rows]
    chance = random.Random(5)
    train: list[Line] = []
    test: list[Line] = []
    for line in sorted(line for line in lines if line[0].startswith("need-1-") and line[1].startswith("lab-1-")):
        (test if line[0] in ("need-1-03", "need-1-09") or chance.random() < 0.25 else train).append(line)
    return train, test


def written(path: Path, lines: list[Line]) -> Path:
    path.write_text("".join(f"{need} 0 {lab} {grade}\n" for need, lab, grade in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def files(graded: tuple[list[Line], list[Line]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("graded")
    return written(folder / "train.txt", graded[0]), written(folder / "test.txt", graded[1])


@pytest.fixture(scope="module")
def foretold(gloria: Any, indexed_home: Path, files: tuple[Path, Path]) -> Any:
    answer = gloria("evaluate", "--train", files[0], "--test", files[1], "--json", home=indexed_home)
    assert answer.code == 0, answer.err
    return answer.document


def test_the_document_of_the_test_file_gains_exactly_two_figures(
    gloria: Any, indexed_home: Path, files: tuple[Path, Path], foretold: Any
) -> None:
    without = gloria("evaluate", "--qrels", files[1], "--json", home=indexed_home).document
    assert foretold == {**without, "grades": foretold["grades"]}
    assert list(foretold["grades"]) == ["1/(1+MAE)", "nDCG@10"]


def test_the_text_says_the_same_in_words(
    gloria: Any, indexed_home: Path, files: tuple[Path, Path], graded: tuple[list[Line], list[Line]], foretold: Any
) -> None:
    closeness, order = foretold["grades"].values()
    answer = gloria("evaluate", "--train", files[0], "--test", files[1], home=indexed_home, lang="en")
    assert " ".join(answer.out.split()).endswith(
        f"grades: learned from {len(graded[0])} pairs, {len(graded[1])} foretold; a foretold grade is off by "
        f"{1 / closeness - 1:.3f} on average; 1/(1+MAE) {closeness:.3f}, nDCG@10 {order:.3f}"
    )


def test_grades_teach_and_shuffled_grades_teach_nothing(
    gloria: Any,
    indexed_home: Path,
    files: tuple[Path, Path],
    graded: tuple[list[Line], list[Line]],
    foretold: Any,
    tmp_path: Path,
) -> None:
    train, test = graded
    grades = [grade for _, _, grade in train]
    constant = 1 / (1 + float(np.mean([abs(grade - np.median(grades)) for _, _, grade in test])))
    random.Random(1).shuffle(grades)
    mixed = [(need, lab, grade) for (need, lab, _), grade in zip(train, grades, strict=True)]
    control = gloria(
        "evaluate", "--train", written(tmp_path / "mixed.txt", mixed), "--test", files[1], "--json", home=indexed_home
    ).document["grades"]
    assert control["1/(1+MAE)"] <= constant + 0.01
    assert foretold["grades"]["1/(1+MAE)"] > constant + 0.03
    assert foretold["grades"]["nDCG@10"] > control["nDCG@10"] + 0.1


def test_a_collection_in_files_is_foretold_too(
    gloria: Any, indexed_home: Path, slice_of_world: Path, files: tuple[Path, Path]
) -> None:
    collection = ["--labs", slice_of_world / "labs.jsonl", "--needs", slice_of_world / "needs.jsonl"]
    answer = gloria(
        "evaluate", *collection, "--train", files[0], "--test", files[1], "--json", home=indexed_home
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert list(answer.document["grades"]) == ["1/(1+MAE)", "nDCG@10"]


def test_a_pair_in_both_files_is_said_and_not_learned_from(
    gloria: Any,
    indexed_home: Path,
    files: tuple[Path, Path],
    graded: tuple[list[Line], list[Line]],
    foretold: Any,
    tmp_path: Path,
) -> None:
    leaked = written(tmp_path / "leaked.txt", [*graded[0], graded[1][0]])
    answer = gloria("evaluate", "--train", leaked, "--test", files[1], "--json", home=indexed_home, lang="en")
    need, lab, _ = graded[1][0]
    assert answer.code == 1
    said = f"1 pairs stand in both files, such as {need} with {lab} (leaked.txt:{len(graded[0]) + 1}, test.txt:1)"
    assert said in " ".join(answer.err.split())
    assert answer.document == foretold


def test_unknown_needs_and_labs_are_named_and_get_the_mean(
    gloria: Any,
    indexed_home: Path,
    files: tuple[Path, Path],
    graded: tuple[list[Line], list[Line]],
    foretold: Any,
    tmp_path: Path,
) -> None:
    train, test = graded
    strange = [("need-none", "lab-1-01", 3), ("need-1-01", "lab-none", 0)]
    asked = written(tmp_path / "asked.txt", [*test, *strange])
    answer = gloria("evaluate", "--train", files[0], "--test", asked, "--json", home=indexed_home, lang="en")
    assert answer.code == 1
    n = len(test)
    said = (
        "asked.txt: 2 pairs are of needs or labs that are not stored and indexed: "
        f"need-none (asked.txt:{n + 1}), lab-none (asked.txt:{n + 2}); they get the mean of the grades learned from"
    )
    assert said in " ".join(answer.err.split())
    mean = float(np.mean([grade for _, _, grade in train]))
    before = n * (1 / foretold["grades"]["1/(1+MAE)"] - 1)
    expected = 1 / (1 + (before + abs(3 - mean) + abs(0 - mean)) / (n + 2))
    assert answer.document["grades"]["1/(1+MAE)"] == pytest.approx(expected)


def test_lines_that_are_none_or_disagree_are_named_and_the_rest_is_foretold(
    gloria: Any,
    indexed_home: Path,
    files: tuple[Path, Path],
    graded: tuple[list[Line], list[Line]],
    foretold: Any,
    tmp_path: Path,
) -> None:
    train, _ = graded
    need, lab, grade = train[0]
    odd = tmp_path / "odd.txt"
    odd.write_text(
        f"{need} 0 {lab} {grade + 1}\nneed-1-01 lab-1-01\n{files[0].read_text(encoding='utf-8')}", encoding="utf-8"
    )
    answer = gloria("evaluate", "--train", odd, "--test", files[1], "--json", home=indexed_home, lang="en")
    said = " ".join(answer.err.split())
    assert answer.code == 1
    assert "odd.txt:2 expected `need 0 lab grade` with a whole number as grade" in said
    assert f"odd.txt:3 grades {need} with {lab} again, {grade} after {grade + 1} in line 1; the last one counts" in said
    assert answer.document["grades"] == foretold["grades"]


def test_too_few_pairs_teach_nothing_and_that_is_said(
    gloria: Any, indexed_home: Path, files: tuple[Path, Path], graded: tuple[list[Line], list[Line]], tmp_path: Path
) -> None:
    few = written(tmp_path / "few.txt", graded[0][: FEWEST - 1])
    answer = gloria("evaluate", "--train", few, "--test", files[1], "--json", home=indexed_home, lang="en")
    assert answer.code == 1
    assert f"few.txt: {FEWEST - 1} pairs are too few to learn from, {FEWEST} would do" in " ".join(answer.err.split())
    middle = float(np.median([grade for _, _, grade in graded[0][: FEWEST - 1]]))
    expected = 1 / (1 + float(np.mean([abs(grade - middle) for _, _, grade in graded[1]])))
    assert answer.document["grades"]["1/(1+MAE)"] == pytest.approx(expected)


def invented(scale: float, shift: float) -> tuple[PairEvidence, np.ndarray[Any, Any]]:
    """Return 30 needs with 20 labs each; a grade comes of one number, of how strict the need is, and of chance."""
    chance = np.random.default_rng(7)
    needs, labs = np.divmod(np.arange(600), 20)
    features = chance.standard_normal((600, 3))
    strict = chance.standard_normal(30)
    evidence = PairEvidence(
        needs=needs,
        labs=labs,
        columns=("one", "two", "three"),
        features=features,
        need_likeness=np.eye(30, dtype=np.float32),
        lab_likeness=np.eye(20, dtype=np.float32),
        groups={"company": np.full(600, -1)},
    )
    raw = features[:, 0] + strict[needs] + 0.3 * chance.standard_normal(600)
    return evidence, np.clip(np.round(raw), -2, 2) * scale + shift


def test_estimates_are_on_the_scale_of_the_grades_learned_from() -> None:
    judged, wanted = np.arange(0, 600, 2), np.arange(1, 600, 2)
    evidence, grades = invented(1, 2)
    found = estimated_grades(evidence, judged, grades[judged], wanted)
    assert set(found.medians) == {0, 1, 2, 3, 4}
    evidence, stretched = invented(25, 50)
    again = estimated_grades(evidence, judged, stretched[judged], wanted)
    np.testing.assert_allclose(again.medians, 25 * found.medians)
    np.testing.assert_allclose(again.means, 25 * found.means)


def test_a_needs_own_grades_count_where_it_has_some() -> None:
    evidence, grades = invented(1, 2)
    rows = np.arange(600)
    judged = rows[(evidence.needs >= 10) & (rows % 2 == 0)]
    strange, met = rows[evidence.needs < 10], rows[(evidence.needs >= 10) & (rows % 2 == 1)]
    wrong = {
        name: np.abs(estimated_grades(evidence, judged, grades[judged], wanted).medians - grades[wanted]).mean()
        for name, wanted in (("strange", strange), ("met", met))
    }
    constant = np.abs(np.median(grades[judged]) - grades).mean()
    assert wrong["met"] < wrong["strange"] - 0.1 < constant - 0.2
