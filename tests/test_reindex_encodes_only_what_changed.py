"""A re-index encodes what is new, reuses the rest, says so, and gives the same index for the same records."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlmodel import Session

from indexer.arrays import FloatArray
from indexer.database import open_engine, reading
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import load_encoder
from indexer.encoders.encoding import Progress, Role
from indexer.index.building import ReindexError, ReindexReport, reindex
from indexer.index.opening import open_snapshot
from indexer.records.importing import import_file
from indexer.records.record_tables import load_needs
from indexer.settings import Settings
from matcher.ranking.pairings import Matcher, MatchResult

PONDS = {
    "id": "lab-ponds",
    "name": "養殖水質實驗室",
    "summary": "以感測器量測魚塭的溶氧與氨氮。",
    "evidence": [
        {"id": "ev-1", "kind": "paper", "title": "Dissolved oxygen forecasting in milkfish ponds", "year": 2023},
        {"id": "ev-2", "kind": "patent", "title": "低功耗水質浮標", "year": 2021},
    ],
}
CELLS = {"id": "lab-cells", "name": "Thin Film Lab", "summary_en": "Lead-free perovskite absorbers."}
NEED = {"id": "need-1", "title": "想知道魚塭何時缺氧", "asks": [{"kind": "technology", "text": "溶氧預測"}]}
BARE_NEED = {"id": "need-2", "title": "太陽能電池的封裝"}


class Home:
    """A home with a few records, indexed with the encoder that needs no torch."""

    def __init__(self, path: Path) -> None:
        self.settings = Settings(home=path, encoders="bundled-use")
        self._path = path
        self.engine = open_engine(self.settings)

    def give(self, **records: list[Mapping[str, Any]]) -> None:
        """Import labs and needs."""
        with Session(self.engine) as session:
            for kind, rows in records.items():
                file = self._path / f"{kind}.jsonl"
                file.write_text("".join(json.dumps(row) + "\n" for row in rows))
                assert import_file(session, file).problems == []
            session.commit()

    def reindex(self, *, full: bool = False) -> ReindexReport:
        with Session(self.engine) as session:
            return reindex(session, self.settings, full=full)

    def execute(self, statement: str) -> None:
        """Change the records behind the importer's back."""
        with sqlite3.connect(self.settings.database_path) as connection:
            connection.execute(statement)
        connection.close()

    def close(self) -> None:
        self.engine.dispose()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path)
    yield found
    found.close()


def _counts(report: ReindexReport) -> tuple[int, int, int, bool]:
    return report.encoded, report.reused, report.dropped, report.changed


def test_the_first_time_encodes_all_and_the_second_nothing(home: Home) -> None:
    home.give(labs=[PONDS, CELLS], needs=[NEED, BARE_NEED])
    first, second = home.reindex(), home.reindex()
    # Passages: profile and two pieces of evidence, one profile; queries: two whole needs, one ask.
    assert (first.labs, first.needs, first.passages) == (2, 2, 4)
    assert _counts(first) == (7, 0, 0, True)
    assert _counts(second) == (0, 7, 0, False)
    assert first.generation == second.generation == open_snapshot(home.settings.index_path).generation
    assert first.peak_memory_mb > 1
    assert set(second.as_dict()) > {"reused", "encoded", "dropped", "encoded_per_s"}


def test_one_changed_piece_of_evidence_is_one_passage(home: Home) -> None:
    home.give(labs=[PONDS, CELLS], needs=[NEED])
    before = home.reindex()
    home.give(labs=[PONDS | {"evidence": [PONDS["evidence"][0], PONDS["evidence"][1] | {"title": "水面機器人"}]}])
    after = home.reindex()
    assert _counts(after) == (1, 5, 1, True)
    assert after.generation != before.generation
    texts = {passage.text for passage in open_snapshot(home.settings.index_path).passages}
    assert "水面機器人" in texts
    assert "低功耗水質浮標" not in texts


def test_a_lab_that_is_gone_is_dropped(home: Home) -> None:
    home.give(labs=[PONDS, CELLS])
    home.reindex()
    home.execute("DELETE FROM lab WHERE id = 'lab-cells'")
    assert _counts(home.reindex()) == (0, 3, 1, True)
    assert open_snapshot(home.settings.index_path).lab_ids == ("lab-ponds",)


def test_what_was_known_before_is_not_encoded_when_it_returns(home: Home) -> None:
    home.give(labs=[PONDS, CELLS])
    first = home.reindex()
    home.give(labs=[CELLS | {"summary_en": "Something else."}])
    home.reindex()
    home.give(labs=[CELLS])
    back = home.reindex()
    assert _counts(back) == (0, 4, 1, True)
    assert back.generation == first.generation


def _bytes(home: Home) -> dict[str, bytes]:
    files = (path for path in home.settings.index_path.rglob("*") if path.is_file())
    return {path.relative_to(home.settings.index_path).as_posix(): path.read_bytes() for path in files}


def _ranked(home: Home, need_id: str) -> MatchResult:
    with reading(home.engine) as session:
        (need,) = [need for need in load_needs(session) if need.id == need_id]
    return Matcher.open(home.settings).match(need)


def test_a_need_changes_nothing_of_the_index(home: Home) -> None:
    home.give(labs=[PONDS, CELLS], needs=[NEED])
    first = home.reindex()
    files, ranked = _bytes(home), _ranked(home, "need-1")
    home.give(needs=[BARE_NEED])
    second = home.reindex()
    # Its vector is at hand for whoever asks for matches, and that is all.
    assert (second.encoded, second.changed, second.generation) == (1, False, first.generation)
    assert (_bytes(home), _ranked(home, "need-1")) == (files, ranked)
    home.execute("DELETE FROM need WHERE id = 'need-2'")
    third = home.reindex()
    assert (third.encoded, third.changed, third.generation) == (0, False, first.generation)
    # Built anew beside the other need it is, byte for byte, the same again, but for its date.
    home.give(needs=[BARE_NEED])
    assert home.reindex(full=True).generation == first.generation
    again = _bytes(home)
    manifest = f"{first.generation}/manifest.json"
    assert {**again, manifest: b""} == {**files, manifest: b""}
    # The control: a lab does change it.
    home.give(labs=[CELLS | {"summary_en": "Something else."}])
    assert home.reindex().generation != first.generation


def test_full_builds_anew_from_the_cache(home: Home) -> None:
    home.give(labs=[PONDS], needs=[NEED])
    first, full = home.reindex(), home.reindex(full=True)
    assert _counts(full) == (0, first.encoded, 0, True)
    assert full.generation == first.generation


@pytest.mark.parametrize("name", ["CURRENT", "manifest.json", "passages.json", "vectors-0.faiss"])
def test_a_damaged_index_is_made_anew_without_encoding(home: Home, name: str) -> None:
    home.give(labs=[PONDS], needs=[NEED])
    first = home.reindex()
    next(home.settings.index_path.rglob(name)).write_bytes(b"damaged")
    healed = home.reindex()
    assert (healed.encoded, healed.changed, healed.generation) == (0, True, first.generation)
    open_snapshot(home.settings.index_path)


def test_the_same_records_give_the_same_generation_anywhere(home: Home, tmp_path: Path) -> None:
    home.give(labs=[PONDS, CELLS], needs=[NEED])
    other = Home(tmp_path / "other")
    other.give(needs=[NEED], labs=[CELLS])
    other.give(labs=[PONDS])
    assert other.reindex().generation == home.reindex().generation
    other.close()


def test_an_encoder_without_a_text_of_its_language_is_an_empty_field(home: Home) -> None:
    home.give(labs=[{"id": "lab-zh", "name": "養殖水質實驗室"}], needs=[NEED])
    home.settings = home.settings.model_copy(update={"encoders": "bundled-use,bundled-minilm"})
    assert home.reindex().encoded == 3
    use, minilm = open_snapshot(home.settings.index_path).fields
    assert (use.index.size, minilm.index.size, minilm.index.dims) == (1, 0, 384)


def test_other_encoders_make_another_index(home: Home) -> None:
    home.give(labs=[CELLS])
    first = home.reindex()
    home.settings = home.settings.model_copy(update={"encoders": "bundled-minilm"})
    second = home.reindex()
    assert (second.encoded, second.changed) == (1, True)
    assert second.generation != first.generation


@pytest.mark.parametrize("text", ["x", "😀😀", "!!!", "the of and"])
def test_one_lab_with_almost_no_text_can_be_indexed(home: Home, text: str) -> None:
    home.give(labs=[{"id": "lab-1", "name": text}], needs=[NEED])
    assert home.reindex().passages == 1
    opened = open_snapshot(home.settings.index_path)
    for found in opened.words.answers(["nothing"]):
        np.testing.assert_array_equal(found, [0])
    assert [pairing.lab_id for pairing in _ranked(home, "need-1").pairings] == ["lab-1"]


def test_texts_without_a_word_stand_beside_others(home: Home) -> None:
    home.give(labs=[PONDS, {"id": "lab-1", "name": "😀😀"}, {"id": "lab-2", "name": "!!!"}], needs=[NEED])
    assert home.reindex().passages == 5
    assert _ranked(home, "need-1").pairings[0].lab_id == "lab-ponds"


def test_no_labs_or_no_encoders_are_an_error(home: Home) -> None:
    with pytest.raises(ReindexError, match="import some first"):
        home.reindex()
    home.give(labs=[CELLS])
    home.settings = home.settings.model_copy(update={"encoders": " , "})
    with pytest.raises(ReindexError, match="GLORIA_ENCODERS is empty"):
        home.reindex()


@dataclass
class Chance:
    """Stands for an encoder by its identity, so that thousands of vectors are there in no time."""

    identity: str
    name: str = "chance"
    languages: frozenset[str] | None = None
    dims: int = 512

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        vectors = np.random.default_rng(len(texts)).normal(size=(len(texts), self.dims)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.alone
def test_nothing_new_among_thousands_takes_under_three_seconds(home: Home) -> None:
    rng = np.random.default_rng(106)
    words = [f"{first}{last}" for first in "水光電磁熱聲力氣" for last in "質場流感測控析能波壓"]
    names = ["、".join(rng.choice(words, size=6)) for _ in range(5_450)]
    home.give(labs=[{"id": f"lab-{i:05}", "name": name} for i, name in enumerate(names)], needs=[NEED])
    stand_in = Chance(load_encoder("bundled-use", home.settings).identity)
    EmbeddingCache(home.settings.embeddings_path).embed(names, role="passage", encoder=stand_in)
    assert home.reindex().encoded == 2
    started = time.perf_counter()
    assert home.reindex().encoded == 0
    assert time.perf_counter() - started < 3


def test_a_home_can_be_moved(home: Home, tmp_path: Path) -> None:
    home.give(labs=[PONDS], needs=[NEED])
    first = home.reindex()
    moved = Home(Path(shutil.copytree(tmp_path, tmp_path.parent / "moved")))
    assert _counts(moved.reindex()) == (0, first.encoded, 0, False)
    moved.close()
