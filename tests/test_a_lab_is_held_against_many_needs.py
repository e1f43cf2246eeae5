"""What a lab should hear of among many needs: scored as in their own rankings, without ranking all labs for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fixtures import world_path
from indexer.records.profiles import Need
from matcher.judging.evaluation import collection_home
from matcher.ranking.opened.one_lab import NeedTable, only
from matcher.ranking.pairings import Matcher
from tests.rig.kept_vectors import seed
from tests.test_ranking_reaches_its_targets import _settings

EVERY = 15
"""Each fifteenth lab is looked at; the rest differ from it in nothing."""


@pytest.fixture(scope="module")
def world() -> Iterator[Matcher]:
    seed()
    with collection_home(_settings(), world_path() / "labs.jsonl", world_path() / "needs.jsonl") as (matcher, refused):
        assert refused == []
        yield matcher


@pytest.fixture(scope="module")
def needs(world: Matcher) -> tuple[Need, ...]:
    return tuple(world.needs[need_id] for need_id in sorted(world.needs))


@pytest.fixture(scope="module")
def ranked(world: Matcher, needs: tuple[Need, ...]) -> dict[str, list[tuple[float, str]]]:
    """For each lab the needs that it may be proposed for, best first, each by a ranking of all labs."""
    rankings = list(world.rankings(needs))
    found = {}
    for lab_id in world.snapshot.lab_ids[::EVERY]:
        row = world.searcher.lab_rows[lab_id]
        scored = [(float(one.scores[row]), one.query.need.id) for one in rankings if one.ranks[row]]
        found[lab_id] = sorted(scored, key=lambda one: (-one[0], one[1]))
    return found


def test_a_lab_by_itself_scores_as_among_all_and_is_set_aside_for_the_same(
    world: Matcher, needs: tuple[Need, ...], ranked: dict[str, list[tuple[float, str]]]
) -> None:
    for lab_id, expected in ranked.items():
        found = world.held_against(lab_id, needs, len(needs))
        assert [need.id for _, need in found] == [need_id for _, need_id in expected]
        assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-5)
    # The control: for some need some lab is set aside, and no two labs are told the same.
    assert any(len(one) < len(needs) for one in ranked.values())
    assert len({tuple(one) for one in ranked.values()}) == len(ranked)


def test_of_many_needs_those_that_fit_best_are_let_through(
    world: Matcher, needs: tuple[Need, ...], ranked: dict[str, list[tuple[float, str]]]
) -> None:
    """A third of the needs holds the five best of nearly every lab, though each is one among sixty in its own field."""
    queries = world._queries_of_many(needs)
    table = NeedTable.of(queries, world.searcher)
    kept = lost = 0
    for lab_id, expected in ranked.items():
        alone = only(world.index, world.searcher.lab_rows[lab_id]).searcher
        through = {needs[one].id for one in table.nearest(alone, len(needs) // 3)}
        best = {need_id for _, need_id in expected[:5]}
        kept, lost = kept + len(best & through), lost + len(best - through)
        assert {need_id for _, need_id in expected[:1]} <= through
    print(f"{kept} of {kept + lost} let through")
    assert kept / (kept + lost) >= 0.95
    # The control: what another lab would hear of lets fewer through.
    ids = list(ranked)
    apart = 0
    for lab_id, other in zip(ids, [*ids[1:], ids[0]], strict=True):
        alone = only(world.index, world.searcher.lab_rows[other]).searcher
        through = {needs[one].id for one in table.nearest(alone, len(needs) // 3)}
        apart += len({need_id for _, need_id in ranked[lab_id][:5]} & through)
    assert apart < 0.8 * kept


def test_needs_that_nobody_encoded_yet_wait_for_the_next_index(world: Matcher, needs: tuple[Need, ...]) -> None:
    new = [replace(need, id=f"{need.id}-new", title=f"{need.title}（第二期）") for need in needs[:4]]
    assert world.readable([*new, *needs], new=0) == list(needs)
    assert world.readable([*new, *needs], new=3) == [*new[:3], *needs]
    assert world.readable(new) == new
