"""Synthetic collections: marked, repeatable, importable, with answers that stand in the text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from fixtures.counts import lab_language, language, read_judgements
from fixtures.synthetic import generate
from indexer.database import open_engine
from indexer.records.importing import import_file
from indexer.settings import Settings

LABS, NEEDS = 400, 60
SCRIPT = """
import pathlib, sys
from fixtures.synthetic import generate
generate(labs=40, needs=8, out=pathlib.Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return generate(labs=LABS, needs=NEEDS, out=tmp_path_factory.mktemp("made") / "synthetic")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def contents(paths: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def test_files_and_ids(made: list[Path]) -> None:
    labs, needs = rows(made[0]), rows(made[1])
    assert [path.name for path in made] == ["labs.jsonl", "needs.jsonl", "qrels.txt"]
    assert [lab["id"] for lab in labs] == [f"synth-lab-{n:06d}" for n in range(1, LABS + 1)]
    assert [need["id"] for need in needs] == [f"synth-need-{n:06d}" for n in range(1, NEEDS + 1)]


def test_every_record_says_that_it_is_synthetic(made: list[Path]) -> None:
    assert [lab["id"] for lab in rows(made[0]) if "synthetic" not in lab["name"].casefold()] == []
    assert [need["id"] for need in rows(made[1]) if "synthetic" not in need["title"].casefold()] == []


def test_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = generate(labs=40, needs=8, out=tmp_path / "here")
    there = tmp_path / "there"
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", SCRIPT, str(there)], check=True, env=environment)
    assert contents(here) == contents([there / path.name for path in here])
    other = generate(labs=40, needs=8, out=tmp_path / "other", seed=107)
    assert [a == b for a, b in zip(contents(here), contents(other), strict=True)] == [False, False, False]


def test_imports_without_a_single_problem(made: list[Path], tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path))
    with Session(engine) as session:
        reports = [import_file(session, path) for path in made[:2]]
    engine.dispose()
    assert [(report.created, report.refused, report.problems) for report in reports] == [(LABS, 0, []), (NEEDS, 0, [])]


def test_lengths_and_languages_are_spread(made: list[Path]) -> None:
    labs = rows(made[0])
    shares = Counter(map(lab_language, labs))
    assert {name: round(shares[name] / LABS, 1) for name in ("zh", "en", "both")} == {"zh": 0.5, "en": 0.2, "both": 0.3}
    assert {len(lab["evidence"]) for lab in labs} == set(range(1, 9))
    english = [item["abstract"] for lab in labs for item in lab["evidence"] if language(item["abstract"]) == "en"]
    words = [len(text.split()) for text in english]
    assert min(words) >= 40
    assert max(words) <= 140
    assert 70 <= sum(words) / len(words) <= 90


def test_judged_labs_write_about_what_the_need_says(made: list[Path]) -> None:
    keywords = {lab["id"]: set(lab["keywords"]) for lab in rows(made[0])}
    answers: dict[str, list[str]] = defaultdict(list)
    for need, lab in read_judgements(made[2]):
        answers[need].append(lab)

    def share_on_subject(need_of: dict[str, str]) -> float:
        on_subject = [
            bool(keywords[lab] & set(need["title"].split(": ", 1)[1].split(" / ")))
            for need in rows(made[1])
            for lab in answers[need_of[need["id"]]]
        ]
        return sum(on_subject) / len(on_subject)

    needs = list(answers)
    # A lab and a need in different languages share no literal word.
    assert share_on_subject(dict(zip(needs, needs, strict=True))) > 0.6
    assert share_on_subject(dict(zip(needs, [*needs[1:], needs[0]], strict=True))) < 0.1


def test_grades_respect_capacity_and_exclusions(made: list[Path]) -> None:
    labs = {lab["id"]: lab for lab in rows(made[0])}
    needs = {need["id"]: need for need in rows(made[1])}
    judgements = read_judgements(made[2])
    expected = {
        (need, lab): 0 if lab in needs[need]["excluded_labs"] or labs[lab]["capacity"] == 0 else 3
        for need, lab in judgements
    }
    assert judgements == expected
    assert set(judgements.values()) == {0, 3}
    assert {need for (need, _), grade in judgements.items() if grade} == set(needs)


def test_one_lab_and_no_need(tmp_path: Path) -> None:
    labs, needs, qrels = generate(labs=1, needs=0, out=tmp_path)
    assert (len(rows(labs)), needs.read_bytes(), qrels.read_bytes()) == (1, b"", b"")


@pytest.mark.parametrize(("labs", "needs"), [(0, 1), (-1, 1), (1, -1)])
def test_impossible_counts_are_refused(tmp_path: Path, labs: int, needs: int) -> None:
    with pytest.raises(ValueError, match="give at least 1 lab and 0 needs"):
        generate(labs=labs, needs=needs, out=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
