"""The map lays out the demo world by what labs do, in whatever language, and hardly moves when one lab is added."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from fixtures import world_path
from indexer.arrays import DoubleArray
from indexer.records.passages import language_of, need_text
from indexer.settings import Settings
from matcher.judging.evaluation import collection_home
from matcher.review.mapped.map_drawing import laid_out, points_of
from tests.rig.kept_vectors import seed
from tests.rig.servers.served import REPOSITORY

NEAREST = 10


@dataclass(frozen=True)
class Laid:
    """The demo world on a map: vectors and places of its labs and needs, with the field and language of each."""

    vectors: DoubleArray
    places: DoubleArray
    fields: list[set[str]]
    languages: list[str]


@pytest.fixture(scope="module")
def world() -> Iterator[Laid]:
    # The default encoders, whose vectors are kept.
    seed()
    default = Settings.model_fields["encoders"].default
    settings = Settings(home=REPOSITORY / ".test-home", cache=None, encoders=default, precision="float32")
    with collection_home(settings, world_path() / "labs.jsonl", world_path() / "needs.jsonl") as (matcher, refused):
        assert refused == []
        points = points_of(matcher)
        fields = [set(matcher.labs[lab_id].fields) for lab_id in points.labs]
        fields += [set(matcher.needs[need_id].fields) for need_id in points.needs]
        texts = [f"{matcher.labs[lab_id].name} {matcher.labs[lab_id].summary}" for lab_id in points.labs]
        texts += [need_text(matcher.needs[need_id]) for need_id in points.needs]
        assert (len(points.labs), len(points.needs)) == (135, 60)
        yield Laid(points.vectors, laid_out(points.vectors), fields, [language_of(text) for text in texts])


def _shared(laid: Laid, places: DoubleArray, among: Any = None) -> tuple[float, float]:
    """Return which share of the nearest has a field in common, and which share of all has."""
    n = len(places)
    common = np.array([[bool(a & b) for b in laid.fields] for a in laid.fields])
    allowed = ~np.eye(n, dtype=bool) if among is None else among
    far = np.where(allowed, np.linalg.norm(places[:, None] - places[None], axis=2), np.inf)
    nearest = np.argsort(far, axis=1, kind="stable")[:, :NEAREST]
    return float(np.take_along_axis(common, nearest, axis=1).mean()), float(common[allowed].mean())


def test_neighbours_of_the_vectors_are_neighbours_on_the_map(world: Laid) -> None:
    kept = trustworthiness(world.vectors, world.places, n_neighbors=NEAREST, metric="cosine")
    mixed = np.random.default_rng(1).permutation(world.places)
    by_chance = trustworthiness(world.vectors, mixed, n_neighbors=NEAREST, metric="cosine")
    print(f"trustworthiness {kept:.3f}, by chance {by_chance:.3f}")
    assert kept >= 0.90
    assert by_chance < 0.60


def test_labs_and_needs_of_a_field_lie_together(world: Laid) -> None:
    near, anywhere = _shared(world, world.places)
    mixed, _ = _shared(world, np.random.default_rng(1).permutation(world.places))
    print(f"field in common among the {NEAREST} nearest {near:.3f}, among all {anywhere:.3f}")
    assert near >= 2 * anywhere
    assert mixed < 1.2 * anywhere


def test_a_field_lies_together_across_languages(world: Laid) -> None:
    tongues = np.array(world.languages)
    assert sorted(set(world.languages)) == ["en", "zh"]
    other = tongues[:, None] != tongues[None]
    near, anywhere = _shared(world, world.places, other)
    mixed, _ = _shared(world, np.random.default_rng(1).permutation(world.places), other)
    print(f"field in common with the {NEAREST} nearest in the other language {near:.3f}, with all {anywhere:.3f}")
    assert near >= 1.6 * anywhere
    assert mixed < 1.2 * anywhere


def test_languages_are_no_islands(world: Laid) -> None:
    tongues = np.array(world.languages)
    same = tongues[:, None] == tongues[None]
    np.fill_diagonal(same, False)

    def share(places: DoubleArray) -> float:
        far = np.linalg.norm(places[:, None] - places[None], axis=2)
        np.fill_diagonal(far, np.inf)
        return float(np.take_along_axis(same, np.argsort(far, axis=1)[:, :NEAREST], axis=1).mean())

    anywhere = same.sum() / (len(same) * (len(same) - 1))
    apart = world.places + np.where(tongues == "zh", 1_000.0, 0.0)[:, None]
    print(f"same language among the {NEAREST} nearest {share(world.places):.3f}, among all {anywhere:.3f}")
    assert share(world.places) < anywhere + 0.1
    assert share(apart) > 0.99


def test_the_same_vectors_give_the_same_map(world: Laid) -> None:
    assert laid_out(world.vectors).tobytes() == world.places.tobytes()


def _moved(before: DoubleArray, after: DoubleArray) -> DoubleArray:
    """Return how far each point moved, as a share of the map's size (the deviation of all places)."""
    size = np.sqrt(before.var(axis=0).sum())
    return np.asarray(np.linalg.norm(after - before, axis=1) / size)


def test_one_more_lab_moves_the_others_little(world: Laid) -> None:
    far = []
    for added in (0, 50, 134):
        others = np.arange(len(world.vectors)) != added
        yesterday = laid_out(world.vectors[others])
        start = np.full((len(world.vectors), 2), np.nan)
        start[others] = yesterday
        moved = _moved(yesterday, laid_out(world.vectors, start)[others])
        # The control: drawn without the places of yesterday, the same map is another.
        afresh = _moved(yesterday, laid_out(world.vectors)[others])
        far.append(np.quantile(moved, 0.95))
        print(f"moved by {np.median(moved):.3f}, 95 % by less than {far[-1]:.3f}; afresh by {np.median(afresh):.3f}")
        assert np.median(moved) < 0.06
        assert np.median(afresh) > 5 * np.median(moved)
    # A lab between two groups pulls more of them than another does: what holds is said of the three together.
    assert np.mean(far) < 0.20


def test_a_month_of_nights_does_not_wear_the_map_out(world: Laid) -> None:
    places, rng = world.places, np.random.default_rng(5)
    for _ in range(10):
        changed = world.vectors + rng.normal(scale=1e-3, size=world.vectors.shape).astype(np.float32)
        places = laid_out(changed, places)
    assert trustworthiness(world.vectors, places, n_neighbors=NEAREST, metric="cosine") >= 0.90


def test_a_new_point_begins_among_its_nearest(world: Laid) -> None:
    start = world.places.copy()
    start[7] = np.nan
    found = laid_out(world.vectors, start)[7]
    near = np.argsort(-(world.vectors @ world.vectors[7]))[1:6]
    size = np.sqrt(world.places.var(axis=0).sum())
    assert np.linalg.norm(np.median(world.places[near], axis=0) - found) < size


def test_what_has_no_direction_has_no_place() -> None:
    vectors = np.random.default_rng(2).normal(size=(30, 8)).astype(np.float32)
    vectors[3], vectors[4], vectors[5] = 0.0, np.nan, np.inf
    places = laid_out(vectors)
    assert np.flatnonzero(np.isnan(places).any(axis=1)).tolist() == [3, 4, 5]
    sound = np.delete(vectors, [3, 4, 5], axis=0)
    assert laid_out(sound).tobytes() == np.delete(places, [3, 4, 5], axis=0).tobytes()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_a_handful_gets_places_apart(n: int) -> None:
    places = laid_out(np.random.default_rng(3).normal(size=(n, 6)).astype(np.float32))
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()
    assert len({tuple(place) for place in places.tolist()}) == n


def test_those_that_nothing_tells_apart_get_places_too() -> None:
    same = np.ones((12, 6), dtype=np.float32)
    assert np.isfinite(laid_out(same)).all()
    pairs = np.repeat(np.random.default_rng(4).normal(size=(20, 6)), 8, axis=0).astype(np.float32)
    assert np.isfinite(laid_out(pairs)).all()
    one_axis = np.outer(np.array([1.0, -1.0] * 10), np.ones(6)).astype(np.float32)
    assert np.isfinite(laid_out(one_axis)).all()
