"""`gloria match`: ranked labs with reasons, for people in two languages and for programs as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

NEED = "need-1-04"
EXCLUDED = "lab-1-08"


def lab_ids(document: Any) -> list[str]:
    return [pairing["lab_id"] for pairing in document["pairings"]]


@pytest.fixture(scope="module")
def document(gloria: Any, indexed_home: Path) -> Any:
    answer = gloria("match", NEED, "--top", 200, "--json", home=indexed_home)
    assert (answer.code, answer.err) == (0, "")
    return answer.document


def test_json_says_what_it_rests_on(document: Any) -> None:
    assert (document["need_id"], document["n_labs"], document["warnings"]) == (NEED, 27, [])
    assert sorted(document) == [
        "allowed", "created_at", "elements", "facets", "generation", "index_is_old", "n_labs", "need_id", "pairings",
        "ranker_version", "set_aside", "steering", "total", "warnings", "wishes",
    ]  # fmt: skip


def test_every_lab_is_either_ranked_or_set_aside_by_a_rule(document: Any) -> None:
    aside = [lab_id for ids in document["set_aside"].values() for lab_id in ids]
    assert sorted(lab_ids(document) + aside) == sorted(f"lab-1-{n:02}" for n in range(1, 28))


def test_contributions_sum_to_the_score_and_scores_fall(document: Any) -> None:
    scores = [pairing["score"] for pairing in document["pairings"]]
    assert scores == sorted(scores, reverse=True)
    assert [p["rank"] for p in document["pairings"]] == list(range(1, len(scores) + 1))
    for pairing in document["pairings"]:
        assert math.isclose(sum(pairing["contributions"].values()), pairing["score"], abs_tol=1e-9)


def test_an_excluded_lab_is_never_shown(gloria: Any, own_home: Path, document: Any, slice_of_world: Path) -> None:
    assert document["set_aside"]["excluded"] == [EXCLUDED]
    assert EXCLUDED not in lab_ids(document)
    rows = map(json.loads, (slice_of_world / "needs.jsonl").read_text(encoding="utf-8").splitlines())
    need = next(row for row in rows if row["id"] == NEED)
    path = own_home / "needs.jsonl"
    path.write_text(json.dumps(need | {"excluded_labs": []}, ensure_ascii=False), encoding="utf-8")
    assert gloria("import", path, home=own_home).code == 0
    control = gloria("match", NEED, "--top", 200, "--json", home=own_home).document
    assert control["set_aside"]["excluded"] == []
    assert EXCLUDED in lab_ids(control)


def test_top_limits_how_many_are_shown(gloria: Any, indexed_home: Path, document: Any) -> None:
    shown = gloria("match", NEED, "--top", 3, "--json", home=indexed_home).document
    assert shown["pairings"] == document["pairings"][:3]


def test_people_read_the_same_labs_in_their_language(gloria: Any, indexed_home: Path, document: Any) -> None:
    best = document["pairings"][0]
    chinese = gloria("match", NEED, "--top", 1, home=indexed_home)
    english = gloria("match", NEED, "--top", 1, "--lang", "en", home=indexed_home)
    assert f" 1. {best['name']}" in chinese.out.splitlines()
    assert f" 1. {best['name_en']}" in english.out.splitlines()
    assert gloria("match", NEED, "--top", 1, home=indexed_home, lang="en").out == english.out
    assert (chinese.code, chinese.err, english.code, english.err) == (0, "", 0, "")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(gloria: Any, indexed_home: Path, language: str, columns: int) -> None:
    answer = gloria("--lang", language, "match", NEED, home=indexed_home, columns=columns)
    assert max(map(cell_len, answer.out.splitlines())) == columns


def test_the_shared_words_are_marked(gloria: Any, indexed_home: Path, document: Any) -> None:
    passage = next(p for ask in document["pairings"][0]["explanation"]["asks"] for p in ask["passages"] if p["words"])
    words = [w for w in passage["words"] if w in passage["excerpt"] or w in passage["title"]]
    answer = gloria("match", NEED, "--top", 1, home=indexed_home, columns=400)
    assert [word for word in words if f"*{word}*" not in answer.out] == []


def test_a_lab_sees_the_needs_it_should_hear_of(gloria: Any, indexed_home: Path, document: Any) -> None:
    best = document["pairings"][0]
    answer = gloria("match", "--lab", best["lab_id"], "--top", 100, "--json", home=indexed_home)
    assert (answer.code, answer.err, answer.document["lab_id"]) == (0, "", best["lab_id"])
    mine = next(need for need in answer.document["needs"] if need["need_id"] == NEED)
    assert (mine["rank_of_lab"], mine["score"]) == (1, best["score"])
    read = gloria("match", "--lab", best["lab_id"], "--top", 100, home=indexed_home)
    assert (read.code, read.err) == (0, "")
    assert "此實驗室排第 1" in read.out


def test_an_excluded_lab_does_not_hear_of_the_need(gloria: Any, indexed_home: Path) -> None:
    answer = gloria("match", "--lab", EXCLUDED, "--top", 100, "--json", home=indexed_home)
    needs = [need["need_id"] for need in answer.document["needs"]]
    assert NEED not in needs
    assert "need-1-05" in needs


def test_two_matches_are_the_same_byte_for_byte(gloria: Any, indexed_home: Path) -> None:
    first, second = (gloria("match", NEED, "--json", home=indexed_home).out for _ in range(2))
    assert first == second


def test_full_width_ids_and_all_labs(gloria: Any, indexed_home: Path) -> None:
    plain = gloria("match", NEED, "--top", "all", "--json", home=indexed_home).document
    assert len(plain["pairings"]) == plain["n_labs"] - sum(map(len, plain["set_aside"].values()))
    wide = NEED.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    assert gloria("match", wide, "--top", "all", "--json", home=indexed_home).document == plain
    lab = plain["pairings"][0]["lab_id"]
    wide_lab = lab.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    answers = [gloria("match", "--lab", name, "--json", home=indexed_home).document for name in (lab, wide_lab)]
    assert answers[0] == answers[1]
