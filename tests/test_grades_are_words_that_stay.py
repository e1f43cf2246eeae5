"""What a judge said stays as it was said; what stands, and how far two agree, is folded from it by known formulas."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from fixtures.counts import kappa
from indexer.database import as_writer, reading, writing
from matcher.judging.panel.agreement import agreement, final_grade
from matcher.judging.panel.grades import (
    JudgedPair,
    JudgedWord,
    JudgingError,
    PooledPair,
    PoolError,
    Said,
    Standing,
    close,
    last_said,
    name_settler,
    progress_of,
    say,
    settle,
    standing_of,
    start,
)
from matcher.judging.panel.pool import contributions, pooled
from tests.rig.worlds.small_world import MORNING, World, build_world

LABS = ("lab-1", "lab-2")
REST: dict[str, Any] = {"depth": 2, "seed": 1, "rankers": ["gloria"], "generation": "g", "ranker_version": "1"}


@pytest.fixture
def world(engine: Engine) -> World:
    return build_world(engine)


def begun(session: Session, world: World) -> Standing:
    judges = [world.people[who] for who in ("expert", "colleague")]
    pool = [PooledPair("n-1", lab_id, {"gloria": rank}) for rank, lab_id in enumerate(LABS, start=1)]
    judging = start(session, name="", pairs=pool, judges=judges, by=None, now=MORNING, **REST)
    return now(session, judging.id or 0)


def now(session: Session, number: int) -> Standing:
    found = standing_of(session, number)
    assert found is not None
    return found


def word(session: Session, world: World, who: str, pair: JudgedPair, grade: int | None, minutes: int = 0) -> JudgedWord:
    said = Said.CANNOT_SAY if grade is None else Said.GRADE
    moment = MORNING + timedelta(minutes=minutes)
    return say(session, pair=pair, by=world.people[who], said=said, grade=grade, now=moment)


def test_the_last_word_stands_and_agreement_is_that_of_the_blind_ones(engine: Engine, world: World) -> None:
    with writing(engine) as session:
        standing = begun(session, world)
        number, (first, second) = standing.judging.id or 0, (one.pair for one in standing.pairs)
        expert, colleague = standing.judges
        word(session, world, "expert", first, 1)
        word(session, world, "expert", first, 3)
        word(session, world, "expert", second, 2)
        word(session, world, "colleague", first, 0)
        assert (now(session, number).agreement, now(session, number).finished) == (None, None)
        with pytest.raises(JudgingError, match="finish before anything is settled"):
            settle(session, pair=first, by=world.people["lead"], grade=1, now=MORNING)
        say(session, pair=second, by=colleague, said=Said.CANNOT_SAY, now=MORNING)
        after = now(session, number)
        assert after.finished is not None
        assert [one.blind_grades for one in after.pairs] == [(3, 0), (2, None)]
        assert [(one.far_apart, one.final) for one in after.pairs] == [(True, 0), (False, 2)]
        assert progress_of(session, [number])[number].done == {expert: 2, colleague: 2}
        name_settler(session, judging_id=number, account_id=world.people["lead"], by=None, now=MORNING)
        settle(session, pair=first, by=world.people["lead"], grade=2, now=MORNING)
        assert now(session, number).qrels() == [("n-1", "lab-1", 2), ("n-1", "lab-2", 2)]
        # Now they agree on another grade than the third person's: theirs goes before it.
        word(session, world, "expert", first, 1)
        word(session, world, "colleague", first, 1)
        last = now(session, number)
        assert (last.agreement, last.pairs[0].blind_grades, last.pairs[0].final) == (after.agreement, (3, 0), 1)
        assert last.qrels(colleague) == [("n-1", "lab-1", 1)]
        with pytest.raises(JudgingError, match="nothing to settle"):
            settle(session, pair=first, by=world.people["lead"], grade=2, now=MORNING)
        close(session, judging_id=number, by=None, now=MORNING)
        with pytest.raises(JudgingError, match="closed"):
            word(session, world, "expert", first, 0)
        with pytest.raises(JudgingError, match="closed"):
            close(session, judging_id=number, by=None, now=MORNING)


def test_a_word_taken_back_stays_on_record(engine: Engine, world: World) -> None:
    with writing(engine) as session:
        standing = begun(session, world)
        number, (first, second) = standing.judging.id or 0, (one.pair for one in standing.pairs)
        word(session, world, "expert", second, 2)
        word(session, world, "expert", first, 2)
        (expert, _) = standing.judges
        undone = last_said(now(session, number), expert)
        assert undone is not None
        assert undone.pair.id == first.id
        say(session, pair=first, by=expert, said=Said.TAKEN_BACK, now=MORNING)
        after = now(session, number)
        assert (after.done(expert), progress_of(session, [number])[number].done) == (1, {expert: 1})
        with pytest.raises(JudgingError, match="nothing of this pair"):
            say(session, pair=first, by=expert, said=Said.TAKEN_BACK, now=MORNING)
        said = session.connection().execute(text("SELECT said FROM judged_word ORDER BY id")).scalars().all()
        assert said == ["grade", "grade", "taken_back"]


TABLES = ("judging", "judging_member", "judged_pair", "judged_word", "judging_step")


@pytest.mark.parametrize("change", ["UPDATE {} SET id = id + 100", "DELETE FROM {}"])
@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses_to_rewrite_what_was_said(engine: Engine, world: World, table: str, change: str) -> None:
    with writing(engine) as session:
        standing = begun(session, world)
        for one in standing.pairs:
            for who in ("expert", "colleague"):
                word(session, world, who, one.pair, 1)
        close(session, judging_id=standing.judging.id or 0, by=None, now=MORNING)
    with pytest.raises(DBAPIError, match="append-only"), as_writer(engine).begin() as connection:
        connection.execute(text(change.format(table)))
    # And takes no word into a session that is closed, whoever writes it.
    row = 'INSERT INTO judged_word (judged_pair_id, "by", settles, said, grade, note, at) SELECT id, :by, :no, '
    row += "'grade', 1, '', :at FROM judged_pair"
    given = {"by": world.people["expert"], "no": False, "at": MORNING.isoformat()}
    with pytest.raises(DBAPIError, match="closed"), as_writer(engine).begin() as connection:
        connection.execute(text(row), given)
    with reading(engine) as session:
        assert [one.grades for one in now(session, standing.judging.id or 0).pairs] == [(1, 1), (1, 1)]


def test_kappa_is_what_the_formula_says() -> None:
    """Worked out by hand: of 50 pairs 35 alike; by chance (25 × 30 + 25 × 20) / 50 = 25, so 10 of 25 beyond it."""
    grades = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15
    found = agreement(grades)
    assert (found.pairs, found.equal, found.within_one) == (50, 0.7, 1.0)
    assert found.kappa == pytest.approx(0.4)
    assert found.table == ((20, 5, 0, 0), (10, 15, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    # With two grades every difference weighs the same.
    assert found.weighted_kappa == pytest.approx(0.4)
    spread = [(0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (3, 2), (3, 0)]
    assert agreement(spread).weighted_kappa == pytest.approx(kappa(spread))
    alike = agreement([(2, 2)] * 4)
    assert (alike.equal, alike.kappa, alike.weighted_kappa) == (1.0, None, None)
    nobody = agreement([])
    assert (nobody.pairs, nobody.equal, nobody.kappa) == (0, None, None)


@pytest.mark.parametrize(
    ("first", "second", "settled", "final"),
    [(2, 2, None, 2), (2, 2, 0, 2), (3, 1, None, 1), (3, 1, 2, 2), (None, 1, None, 1), (3, None, None, 3),
     (None, None, None, None)],
)  # fmt: skip
def test_a_pair_comes_to_the_agreed_grade_else_the_settled_else_the_lower(
    first: int | None, second: int | None, settled: int | None, final: int | None
) -> None:
    assert final_grade(first, second, settled) == final


RUNS = {
    "one": {"n1": {"a": 3.0, "b": 2.0, "c": 1.0}, "n2": {"a": 1.0}},
    "other": {"n1": {"c": 9.0, "gone": 8.0, "b": 7.0}, "n3": {"a": 1.0}},
}
STORED = {"a": None, "b": None, "c": None}


def test_a_pool_holds_the_first_of_each_ranking_once() -> None:
    pairs, problems = pooled(RUNS, ["n1", "n2"], depth=2, seed=7, labs=STORED)
    assert {(one.need_id, one.lab_id): one.ranks for one in pairs} == {
        ("n1", "a"): {"one": 1},
        ("n1", "b"): {"one": 2},
        ("n1", "c"): {"other": 1},
        ("n2", "a"): {"one": 1},
    }
    assert len(pairs) == 4
    assert problems == ["other: labs for n1 that are not stored are left out, such as gone (1 in all)"]
    assert [(one.name, one.found, one.alone) for one in contributions([one.ranks for one in pairs])] == [
        ("one", 3, 3),
        ("other", 1, 1),
    ]
    with pytest.raises(PoolError, match="no ranking has a lab"):
        pooled(RUNS, ["n4"], depth=2, seed=7, labs=STORED)


def test_the_order_of_a_pool_hangs_on_the_seed_and_on_no_ranking() -> None:
    labs = [f"lab-{number:02}" for number in range(40)]
    best = {"n1": {lab: float(-place) for place, lab in enumerate(labs)}, "n2": {labs[0]: 1.0}}
    worst = {need: {lab: -score for lab, score in scores.items()} for need, scores in best.items()}

    def order(run: dict[str, dict[str, float]], seed: int) -> list[tuple[str, str]]:
        pairs, _ = pooled({"one": run}, ["n1", "n2"], depth=40, seed=seed, labs=dict.fromkeys(labs))
        return [(one.need_id, one.lab_id) for one in pairs]

    assert order(best, 1) == order(worst, 1) != order(best, 2)
    assert sorted(order(best, 1)) == sorted(order(best, 2))
    places = [labs.index(lab) for need, lab in order(best, 1) if need == "n1"]
    assert places != sorted(places)
    needs = [need for need, _ in order(best, 1)]
    assert needs in (["n1"] * 40 + ["n2"], ["n2"] + ["n1"] * 40)
