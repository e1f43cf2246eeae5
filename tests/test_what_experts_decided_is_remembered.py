"""A ranker that learned remembers verdicts: one contribution of the score, told in counts; none without decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from indexer.settings import Settings
from matcher.judging.champion.challenger import GateOutcome, compared, learned_weights, limit_of, parted
from matcher.judging.champion.decisions import Lesson, fading_of
from matcher.judging.champion.remembering import NOTHING_KNOWN, Known, by_weights, learned_history, with_history
from matcher.judging.champion.simulated_experts import Wanted, decided
from matcher.ranking.history import History, Trace, read_history, trace_of
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import DEFAULT_WEIGHTS, WeightsError, load_ranker
from matcher.ranking.rankers import default_ranker, put_in_use, store
from matcher.ranking.signals import FEATURES, HISTORY
from tests.conftest import Gloria
from tests.rig.worlds.small_world import MORNING

WEIGHTS = np.array(default_ranker().weights)
LABS = tuple(f"lab-{n}" for n in range(30))
SCHOOLS = {lab: f"school-{n % 6}" for n, lab in enumerate(LABS)}


def _history(
    pairs: Sequence[tuple[int, int, float, int, int]], traces: Sequence[Trace], labs: Sequence[str]
) -> History:
    needs, lab, surprises, accepted, rejected = (np.array(column) for column in zip(*pairs, strict=True))
    return History(
        traces=tuple(traces),
        lab_ids=tuple(labs),
        schools=("",) * len(labs),
        needs=needs,
        labs=lab,
        surprises=surprises.astype(np.float64),
        accepted=accepted,
        rejected=rejected,
        amount=4.0,
    )


def _trace(need: str, *, company: str = "", field: str = "ict") -> Trace:
    return Trace(need, company, (field,), {})


def _remembering(matcher: Matcher, need_id: str) -> tuple[dict[str, Any], str]:
    """Return a ranker's file that remembers, and a lab that was accepted twice for a need of the same field."""
    need = matcher.needs[need_id]
    lab = matcher.match(need, top=3).pairings[2].lab_id
    mine = trace_of(matcher.ranking(need).query, matcher.snapshot)
    other = replace(mine, need="n-earlier", company="")
    pairs = [(0, 0, 0.6, 2, 0), (1, 0, -0.9, 0, 5)]
    history = _history(pairs, [other, mine], [lab])
    content = {name: value for name, value in orjson.loads(DEFAULT_WEIGHTS.read_bytes()).items() if name != "version"}
    return {**content, "history": history.as_dict()}, lab


def test_a_remembered_lab_rises_by_one_named_contribution_that_is_part_of_the_sum(
    own_home: Path, gloria: Gloria
) -> None:
    settings = Settings(home=own_home, encoders="bundled-use")
    matcher = Matcher.open(settings)
    need = min(matcher.needs)
    before = gloria("match", need, "--json", home=own_home).document["pairings"]
    content, lab = _remembering(matcher, need)
    version = store(settings, content, "2026-11-30")
    assert gloria("match", need, "--json", home=own_home).document["pairings"] == before
    put_in_use(settings, version, by="u-1", now=MORNING)
    after = gloria("match", need, "--json", "--top", 200, home=own_home).document
    assert after["ranker_version"] == version
    for one in after["pairings"]:
        assert list(one["contributions"]) == [*FEATURES, HISTORY]
        assert sum(one["contributions"].values()) == pytest.approx(one["score"])
    told = {one["lab_id"]: one for one in after["pairings"]}
    # Two acceptances for the one other need, drawn towards 0, hence under 0.6 × 4; those of the need itself count not.
    assert 0.5 < told[lab]["contributions"][HISTORY] < 2.4
    earlier = next(one for one in before if one["lab_id"] == lab)
    assert told[lab]["score"] - earlier["score"] == pytest.approx(told[lab]["contributions"][HISTORY])
    assert told[lab]["rank"] <= earlier["rank"]
    assert told[lab]["explanation"]["history"]["en"] == (
        "decided before for needs like this one: accepted 2 times, rejected 0 times"
    )
    assert [one["lab_id"] for one in after["pairings"] if "history" in one["explanation"]] == [lab]
    printed = gloria("match", need, home=own_home, lang="en").out
    assert "what experts decided on like needs" in printed
    assert "n-earlier" not in printed
    # A lab that asks for its needs is told nothing of what was decided on it.
    assert "decided before" not in gloria("match", "--lab", lab, "--json", home=own_home, lang="en").out


def test_more_acceptances_never_lower_a_lab_and_more_rejections_never_raise_it() -> None:
    chance = np.random.default_rng(3)
    traces = [_trace(f"n-{n}", company=f"c-{n % 3}", field=("ict", "bio")[n % 2]) for n in range(12)]
    pairs = [(n, int(lab), float(chance.uniform(-1, 1)), 1, 1) for n in range(12) for lab in chance.permutation(8)[:4]]
    history = replace(_history(pairs, traces, LABS[:8]), schools=tuple(SCHOOLS[lab] for lab in LABS[:8]))
    asked = [_trace("new", company="c-1"), _trace("other", field="bio")]
    labs, schools = LABS[:10], [SCHOOLS[lab] for lab in LABS[:10]]
    before = [history.of(trace, labs, schools).amounts for trace in asked]
    for place in range(len(pairs)):
        surprises = history.surprises + 0.5 * (np.arange(len(pairs)) == place)
        after = [replace(history, surprises=surprises).of(trace, labs, schools).amounts for trace in asked]
        assert all((new >= old).all() for new, old in zip(after, before, strict=True))
        own = labs.index(LABS[history.labs[place]])
        assert all(new[own] > old[own] for new, old in zip(after, before, strict=True))


def test_a_lab_nobody_decided_on_and_an_unknown_one_are_told_nothing() -> None:
    history = _history([(0, 0, 0.5, 1, 0)], [_trace("n-1")], ["lab-0"])
    found = history.of(_trace("n-2"), ["lab-0", "lab-9"], ["", ""])
    assert found.amounts[0] > 0
    assert found.amounts[1] == 0
    assert found.sentence(1) is None
    assert history.of(_trace("n-2", field="bio"), ["lab-0"], [""]).sentence(0) is None


def test_a_history_is_read_as_it_was_written_and_a_broken_one_refused(tmp_path: Path) -> None:
    vector = np.array([0.5, 0.75], dtype=np.float32)
    traces = [replace(_trace("n-1"), vectors={"bundled": vector}), _trace("n-2")]
    history = _history([(0, 0, 0.5, 1, 0), (1, 1, -0.25, 0, 2)], traces, ["lab-0", "lab-1"])
    written = orjson.loads(orjson.dumps(history.as_dict()))
    asked = replace(_trace("n-3"), vectors={"bundled": vector})
    labs = (["lab-0", "lab-1"], ["", ""])
    np.testing.assert_array_equal(read_history(written).of(asked, *labs).amounts, history.of(asked, *labs).amounts)
    path = tmp_path / "weights.json"
    whole = {**orjson.loads(DEFAULT_WEIGHTS.read_bytes()), "history": {**written, "pairs": [[7, 0, 0.5, 1, 0]]}}
    path.write_bytes(orjson.dumps(whole))
    with pytest.raises(WeightsError, match="a pair points at what is not there"):
        load_ranker(path)


# What is learned from whom: needs of eight fields, where experts know labs that the records say nothing of.


def _world(seed: int, regard: float) -> tuple[list[Wanted], dict[str, Trace]]:
    chance = np.random.default_rng([11, seed])
    liked = chance.choice([-regard, 0.0, regard], len(LABS))
    wanted, traces = [], {}
    for n in range(90):
        values = np.zeros((len(LABS), len(FEATURES)))
        values[:, :2] = chance.gamma(0.7, 0.08, (len(LABS), 2))
        worth = np.clip(np.interp(values[:, :2].sum(axis=1), [0.0, 0.1, 0.3], [0.5, 1.2, 3]) + liked, 0, 3)
        wanted.append(Wanted(f"need-{n}", f"company-{n % 25}", values, worth, LABS))
        traces[f"need-{n}"] = _trace(f"need-{n}", company=f"company-{n % 25}", field=f"field-{n % 8}")
    return wanted, traces


def _outcome(lessons: Sequence[Lesson], traces: dict[str, Trace]) -> tuple[GateOutcome, History | None]:
    known = Known({one.need: traces[one.need.rpartition(", ")[0]] for one in lessons}, SCHOOLS)
    earlier, later = parted(lessons, limit_of(lessons))
    fading = fading_of(earlier)
    learned = by_weights(learned_weights(earlier, default_ranker(), fading))
    history = learned_history(earlier, known, learned)
    return compared(by_weights(WEIGHTS), with_history(learned, history, known), later, fading), history


def test_what_experts_know_of_labs_is_learned_and_passes_the_gate() -> None:
    for seed in range(3):
        wanted, traces = _world(seed, 1.5)
        outcome, history = _outcome(decided(wanted, WEIGHTS, 3_000, seed), traces)
        assert history is not None
        assert outcome.ndcg is not None
        assert outcome.ndcg.low > 0
        assert outcome.passed


def _by_chance(lesson: Lesson, seed: int) -> Lesson:
    drawn = np.random.default_rng([seed, *lesson.need.encode()]).random(len(lesson.labs))
    return replace(lesson, gains=np.where(lesson.told, drawn < 0.4, 0).astype(np.float64))


def _flipped(lesson: Lesson, name: str) -> Lesson:
    """Turn one expert's, one company's or two labs' verdicts round."""
    rows = {
        "person": np.array([one == "expert-1" for one in lesson.people]),
        "company": np.full(len(lesson.labs), lesson.company == "company-1"),
        "labs": np.isin(lesson.labs, ("lab-0", "lab-1")),
    }[name]
    return replace(lesson, gains=np.where(lesson.told & rows, 1 - lesson.gains, lesson.gains))


POISONS = ("chance", "person", "company", "labs")


def test_a_hundred_challengers_that_remember_poison_are_refused() -> None:
    passed, remembered = [], 0
    for seed in range(100):
        wanted, traces = _world(seed, 0.0)
        poison = POISONS[seed % len(POISONS)]
        # Only many false verdicts on two labs are more than chance, and are remembered.
        honest = decided(wanted, WEIGHTS, 1_500 if poison == "labs" else 500, seed)
        lessons = [_by_chance(one, seed) if poison == "chance" else _flipped(one, poison) for one in honest]
        outcome, history = _outcome(lessons, traces)
        # None is refused for want of decisions.
        assert outcome.ndcg is not None
        remembered += history is not None
        passed += [seed] if outcome.passed else []
    assert passed == []
    assert remembered >= 10


def test_few_verdicts_and_unknown_needs_are_not_remembered() -> None:
    wanted, traces = _world(0, 1.5)
    lessons = decided(wanted, WEIGHTS, 20, 0)
    assert _outcome(lessons, traces)[1] is None
    assert learned_history(decided(wanted, WEIGHTS, 3_000, 0), NOTHING_KNOWN, by_weights(WEIGHTS)) is None
