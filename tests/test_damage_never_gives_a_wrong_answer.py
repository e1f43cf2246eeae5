"""Whatever is damaged of an index, and even if its manifest was made to fit: the right answers or a stated refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from indexer.index.dictionary import Dictionary
from indexer.index.opening import publish
from indexer.index.snapshot import Contents, VectorField
from indexer.index.vectors import VectorIndex
from indexer.index.words import TermCounts, WordIndex, terms
from indexer.records.passages import Passage, fingerprint, language_of
from tests.rig.faults.damaged_indexes import opened_damaged
from tests.rig.figures import figure

MAX_MB = 512
_LABS = 12
_DIMS = 24


def _passages(records: Path) -> dict[str, list[Passage]]:
    found: dict[str, list[Passage]] = {}
    for lab in map(orjson.loads, (records / "labs.jsonl").read_bytes().splitlines()[:_LABS]):
        texts = [("profile", "profile", lab["summary"], None)]
        texts += [(one["id"], one["kind"], one["title"], one.get("year")) for one in lab["evidence"][:4]]
        found[lab["id"]] = [
            Passage(lab["id"], source, kind, text, language_of(text), year, 1.0) for source, kind, text, year in texts
        ]
    return found


def _contents(by_lab: dict[str, list[Passage]]) -> Contents:
    passages = [passage for found in by_lab.values() for passage in found]
    chance = np.random.default_rng(len(passages))
    fields = []
    for name, rows in (("any", np.arange(len(passages))), ("english", np.arange(0, len(passages), 2))):
        vectors = chance.normal(size=(len(rows), _DIMS)).astype(np.float32)
        mean = {"": vectors.mean(axis=0), "zh": vectors[:9].mean(axis=0)}
        index = VectorIndex.build(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        fields.append(VectorField(name, f"{name}-1", None, index, rows, mean, mean))
    return Contents(
        inputs=passages[0].text,
        lab_fingerprints={lab_id: fingerprint(found) for lab_id, found in by_lab.items()},
        passages=passages,
        fields=fields,
        words=WordIndex.build([terms(passage.text) for passage in passages]),
        senses=TermCounts.of([Dictionary().english_terms(passage.text) for passage in passages]),
        watermark={"labs": 1},
    )


@pytest.fixture(scope="module")
def whole(slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with two generations that answer otherwise."""
    index = tmp_path_factory.mktemp("whole") / "index"
    newest = _passages(slice_of_world)
    publish(index, _contents(dict(list(newest.items())[1:])))
    publish(index, _contents(newest))
    return index


@pytest.mark.parametrize("damaged", [150, pytest.param(5_000, marks=pytest.mark.long)])
def test_damaged_generations(whole: Path, damaged: int) -> None:
    outcome = opened_damaged(whole, "generation", range(damaged))
    figure(
        "damaged generations",
        damaged=damaged,
        right=outcome.counts["answers are right"],
        refused_by_a_hash=outcome.counts["refused by a hash"],
        refused_behind_the_hashes=outcome.counts["refused by what is behind the hashes"],
        wrong=len(outcome.wrong),
        crashes_of_the_reading_process=outcome.crashes,
        peak_mb=outcome.peak_mb,
    )
    assert outcome.wrong == []
    assert sum(outcome.counts.values()) + outcome.crashes == damaged
    assert (
        min(outcome.counts["refused by a hash"], outcome.counts["refused by what is behind the hashes"]) > damaged / 5
    )
    assert outcome.peak_mb < MAX_MB


@pytest.mark.parametrize("damaged", [100, pytest.param(2_000, marks=pytest.mark.long)])
def test_damaged_vectors(whole: Path, damaged: int) -> None:
    outcome = opened_damaged(whole, "vectors", range(damaged))
    figure(
        "damaged FAISS files",
        damaged=damaged,
        right=outcome.counts["answers are right"],
        refused=outcome.counts["refused by a stated error"],
        other_vectors_found_by_their_hash=outcome.counts["other vectors, found by their hash"],
        wrong=len(outcome.wrong),
        crashes_of_the_reading_process=outcome.crashes,
        peak_mb=outcome.peak_mb,
    )
    assert outcome.wrong == []
    assert sum(outcome.counts.values()) + outcome.crashes == damaged
    # FAISS itself takes other values for its own: without the hashes they would be searched.
    assert outcome.counts["other vectors, found by their hash"] > damaged / 20
    assert outcome.peak_mb < MAX_MB


def test_without_the_checks_wrong_answers_are_found(whole: Path) -> None:
    outcome = opened_damaged(whole, "generation", range(100), checked=False)
    figure("damaged generations, without the checks", damaged=100, wrong=len(outcome.wrong), crashes=outcome.crashes)
    assert len([one for one in outcome.wrong if "other answers" in one]) >= 5


def test_without_the_look_at_its_header_a_small_file_takes_all_memory(whole: Path) -> None:
    outcome = opened_damaged(whole, "vectors", range(100), checked=False)
    figure("damaged FAISS files, without the checks", damaged=100, peak_mb=outcome.peak_mb, crashes=outcome.crashes)
    assert outcome.peak_mb > MAX_MB or outcome.crashes
