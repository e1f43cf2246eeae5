"""What is taken in during the day is, bit for bit, the index that would be built anew: every file, rank and score."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from indexer.arrays import FloatArray
from indexer.database import open_engine, reading, writing
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import Encoder, load_encoders
from indexer.encoders.query_vectors import DirectQueries
from indexer.index.background import background
from indexer.index.building import need_queries, overlaid, reindex
from indexer.index.opening import open_snapshot
from indexer.index.snapshot import Snapshot, VectorField, write_files
from indexer.index.vectors import VectorIndex, centred, language_means
from indexer.index.words import TermCounts, WordIndex
from indexer.records.passages import language_of
from indexer.records.profiles import Need
from indexer.records.record_tables import load_needs
from indexer.settings import Settings
from matcher.ranking.opened.catalogue import Catalogue
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.pairings import Matcher, MatchResult
from tests.rig.figures import figure
from tests.rig.servers.served_here import build_home
from tests.rig.worlds.edits_of_a_day import Office

ENCODERS = "bundled-use"
EDITS_AT_ONCE = 4


@dataclass
class Day:
    """A home with an index of the morning, edited since; `taken_in` is what a server has composed last."""

    settings: Settings
    engine: Engine
    office: Office
    encoders: list[Encoder]
    queries: DirectQueries
    morning: Snapshot
    taken_in: Snapshot

    def catalogue(self) -> Catalogue:
        """The labs as they are now."""
        with reading(self.engine) as session:
            return Catalogue.load(session)

    def needs(self) -> list[Need]:
        """The needs as they are now."""
        with reading(self.engine) as session:
            return load_needs(session)

    def compose(self) -> Snapshot:
        """Take in what changed since the last time."""
        now = self.catalogue()
        self.taken_in = overlaid(
            self.morning,
            known=self.taken_in,
            labs=now.labs,
            fingerprints=now.fingerprints,
            encoders=self.encoders,
            cache=EmbeddingCache(self.settings.embeddings_path),
            watermark={},
        )
        return self.taken_in

    def rebuilt(self, home: Path, cache: Path | None = None) -> Snapshot:
        """Build the index of this moment in a home without one."""
        fresh = self.settings.model_copy(update={"home": home, "cache": cache or self.settings.cache})
        with reading(self.engine) as session:
            reindex(session, fresh, full=True)
        return open_snapshot(fresh.index_path)

    def answers(self, snapshot: Snapshot) -> list[MatchResult]:
        """What each need is answered by an index, whose name and date are left out."""
        matcher = Matcher(
            settings=self.settings,
            index=OpenedIndex.of(replace(snapshot, generation="", created_at="")),
            catalogue=self.catalogue(),
            queries=self.queries,
        )
        return list(matcher.match_all(self.needs(), top=1000))


@pytest.fixture
def day(slice_of_world: Path, indexed_home: Path, tmp_path: Path) -> Iterator[Day]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders=ENCODERS)
    engine = open_engine(settings)
    # Vectors are kept in a cache of the test's own, which knows those of the slice.
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "embeddings.db").write_bytes((indexed_home / "embeddings.db").read_bytes())
    home = build_home(settings, engine, slice_of_world, tmp_path / "cache")
    morning = open_snapshot(home.settings.index_path)
    office = Office(engine, slice_of_world, seed=6)
    encoders, queries = load_encoders(home.settings), DirectQueries(home.settings)
    yield Day(home.settings, engine, office, encoders, queries, morning, morning)
    engine.dispose()


def _files(snapshot: Snapshot, folder: Path) -> dict[str, str]:
    """Write a snapshot as it would be published and return the hash of each file."""
    folder.mkdir()
    write_files(folder, snapshot)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("steps", [3, pytest.param(60, marks=pytest.mark.long)])
def test_after_any_edits_it_is_the_index_built_anew(day: Day, tmp_path: Path, steps: int) -> None:
    compared = 0
    for step in range(steps):
        day.office.edit(EDITS_AT_ONCE)
        taken_in, rebuilt = day.compose(), day.rebuilt(tmp_path / f"rebuilt-{step}")
        assert taken_in.inputs == rebuilt.inputs
        assert _files(taken_in, tmp_path / f"a-{step}") == _files(rebuilt, tmp_path / f"b-{step}")
        answers = day.answers(taken_in)
        assert answers == day.answers(rebuilt)
        compared += sum(len(answer.pairings) for answer in answers)
        assert taken_in.generation == f"{day.morning.generation}+{rebuilt.inputs[:8]}"
        assert taken_in.created_at == day.morning.created_at
    assert compared >= 100 * steps
    figure(
        "an index taken in against one built anew",
        edits=day.office.made,
        rebuilds=steps,
        pairings_compared=compared,
        different=0,
    )


@pytest.mark.long
def test_encoded_anew_without_the_cache_it_ranks_the_same(day: Day, tmp_path: Path) -> None:
    day.office.edit(40)
    taken_in, rebuilt = day.compose(), day.rebuilt(tmp_path / "rebuilt", tmp_path / "no-cache")
    furthest = 0.0
    for one, other in zip(day.answers(taken_in), day.answers(rebuilt), strict=True):
        assert [p.lab_id for p in one.pairings] == [p.lab_id for p in other.pairings]
        furthest = max(furthest, *(abs(p.score - q.score) for p, q in zip(one.pairings, other.pairings, strict=True)))
    # An encoder rounds a text otherwise in other company: the cache is what makes vectors the same.
    assert furthest < 1e-5
    figure("an index taken in against one encoded anew", largest_difference_of_a_score=furthest)


def test_once_all_is_as_it_was_nothing_is_left_to_take_in(day: Day) -> None:
    lab = day.office.labs[min(day.office.labs)]
    office = day.office
    with writing(day.engine) as session:
        office.store_lab(session, lab | {"summary": "改做質子交換膜。"})
    assert day.compose() is not day.morning
    assert day.compose() is day.taken_in
    with writing(day.engine) as session:
        office.store_lab(session, lab)
    assert day.compose() is day.morning


Breaking = Callable[[Day, Snapshot], Snapshot]


def _old_frequencies(day: Day, snapshot: Snapshot) -> Snapshot:
    words = WordIndex(snapshot.words.counts)
    words._weights = day.morning.words.weights(list(words.counts.vocabulary))
    return replace(snapshot, words=words)


def _without_what_is_new(day: Day, snapshot: Snapshot, counts: TermCounts) -> TermCounts:
    """Return counts as if nobody had read the texts that came since the morning."""
    known = {passage.text for passage in day.morning.passages}
    rows = [row if passage.text in known else None for row, passage in enumerate(snapshot.passages)]
    assert None in rows
    return counts.with_fresh(rows, TermCounts.of([[] for row in rows if row is None]))


def _words_of_the_morning(day: Day, snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, words=WordIndex(_without_what_is_new(day, snapshot, snapshot.words.counts)))


def _senses_of_the_morning(day: Day, snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, senses=_without_what_is_new(day, snapshot, snapshot.senses))


def _with_field(snapshot: Snapshot, changed: Callable[[VectorField], VectorField]) -> Snapshot:
    return replace(snapshot, fields=tuple(changed(field) for field in snapshot.fields))


def _raw(day: Day, snapshot: Snapshot, field: VectorField) -> tuple[FloatArray, list[str]]:
    """Return the vectors of a field's passages as they were encoded, and their languages."""
    passages = [snapshot.passages[row] for row in field.rows]
    cache = EmbeddingCache(day.settings.embeddings_path)
    encoded = cache.embed([one.text for one in passages], role="passage", encoder=day.encoders[0])
    return encoded.vectors, [one.language for one in passages]


def _means_of_the_passages(day: Day, snapshot: Snapshot) -> Snapshot:
    def changed(field: VectorField) -> VectorField:
        vectors, languages = _raw(day, snapshot, field)
        return replace(field, index=VectorIndex.build(centred(vectors, languages, language_means(vectors, languages))))

    return _with_field(snapshot, changed)


def _means_of_the_needs(day: Day, snapshot: Snapshot) -> Snapshot:
    def changed(field: VectorField) -> VectorField:
        queries = need_queries(day.needs())
        cache = EmbeddingCache(day.settings.embeddings_path)
        encoded = cache.embed(queries, role="query", encoder=day.encoders[0])
        return replace(field, query_means=language_means(encoded.vectors, [language_of(text) for text in queries]))

    return _with_field(snapshot, changed)


def test_no_edit_moves_what_vectors_are_compared_with(day: Day) -> None:
    day.office.edit(12)
    for field in day.compose().fields:
        frozen, before = background().encoders[field.name], day.morning.field(field.name)
        assert before is not None
        for found, same, expected in (
            (field.passage_means, before.passage_means, frozen.passage_means),
            (field.query_means, before.query_means, frozen.query_means),
        ):
            assert found.keys() == same.keys() == expected.keys()
            for language, mean in expected.items():
                np.testing.assert_array_equal(found[language], mean)
                np.testing.assert_array_equal(same[language], mean)


def test_another_statistic_would_be_noticed(day: Day) -> None:
    day.office.edit(12)
    taken_in = day.compose()
    right = day.answers(taken_in)
    broken: list[Breaking] = [
        _old_frequencies,
        _words_of_the_morning,
        _senses_of_the_morning,
        _means_of_the_passages,
        _means_of_the_needs,
    ]
    assert [one.__name__ for one in broken if day.answers(one(day, taken_in)) == right] == []
    assert day.answers(replace(taken_in)) == right


def test_counts_are_the_same_however_they_were_put_together() -> None:
    documents = [["水", "水", "a"], ["b"], [], ["a", "c"], ["水"]]
    known = TermCounts.of(documents)
    again = known.with_fresh([3, None, 0, None], TermCounts.of([["d", "a"], []]))
    anew = TermCounts.of([["a", "c"], ["d", "a"], ["水", "水", "a"], []])
    # No text says "b" any more.
    assert list(again.vocabulary) == list(anew.vocabulary) == ["a", "c", "d", "水"]
    np.testing.assert_array_equal(again.matrix.toarray(), anew.matrix.toarray())
