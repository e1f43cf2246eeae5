"""What a need wishes beside its topic breaks ties, and an expert lets each wish count less, more, or as a must."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.records.profiles import Company, Need
from indexer.settings import Settings
from matcher.judging.learning import FREE, GIVEN, SCORE_OF_ONE, spread, start
from matcher.ranking.lab_table import Filters, Rule
from matcher.ranking.pairings import Matcher, MatchResult
from matcher.ranking.ranker import load_ranker
from matcher.ranking.rankers import shown_by
from matcher.ranking.signals import FEATURES
from matcher.ranking.wishes import COVERED_FROM, UNSTEERED, WORD, Steering, Stress, Wish, wishes_of

REAL_DIFFERENCE = 0.2
"""Of a fit: so much better is a lab that an expert would tell apart from another."""


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


@pytest.fixture(scope="module")
def need(matcher: Matcher) -> Need:
    found = next(need for need in matcher.needs.values() if need.region and need.languages and need.fields)
    return replace(found, region="south", languages=("en",))


@pytest.fixture(scope="module")
def usual(matcher: Matcher, need: Need) -> MatchResult:
    return matcher.match(need, top=1000)


def _steered(matcher: Matcher, need: Need, **stresses: Stress) -> MatchResult:
    return matcher.match(need, top=1000, steering=Steering(**stresses))


def _states_region(matcher: Matcher, lab_id: str, region: str) -> bool:
    school = matcher.schools.get(matcher.labs[lab_id].school or "")
    return school is not None and school.region == region


@pytest.mark.parametrize(("stress", "factor"), [(Stress.LESS, 0.3), (Stress.MORE, 3.0)])
def test_a_steered_wish_changes_its_contribution_and_nothing_else(
    matcher: Matcher, need: Need, usual: MatchResult, stress: Stress, factor: float
) -> None:
    steered = _steered(matcher, need, region=stress)
    before = {pairing.lab_id: pairing for pairing in usual.pairings}
    changed = 0
    for pairing in steered.pairings:
        plain = before[pairing.lab_id]
        expected = plain.contributions | {"region": factor * plain.contributions["region"]}
        assert pairing.contributions == pytest.approx(expected)
        assert pairing.score == pytest.approx(sum(expected.values()))
        # Bands and chances are calibrated without steering: no lab answers better for where it lies.
        assert (pairing.band, pairing.explanation) == (plain.band, plain.explanation)
        changed += pairing.score != plain.score
    assert 0 < changed < len(steered.pairings) == len(usual.pairings)
    assert [p.score for p in steered.pairings] == sorted((p.score for p in steered.pairings), reverse=True)
    assert steered.ranker_version == f"{usual.ranker_version}, region {stress.value}"
    # The control: the next answer is as before.
    assert matcher.match(need, top=1000) == usual


def test_a_must_hides_the_others_and_keeps_ranks(matcher: Matcher, need: Need, usual: MatchResult) -> None:
    must = _steered(matcher, need, region=Stress.MUST)
    kept = [p for p in usual.pairings if _states_region(matcher, p.lab_id, "south")]
    assert list(must.pairings) == kept
    hidden = usual.total - len(kept)
    assert (must.total, must.allowed, must.set_aside) == (len(kept), usual.allowed, usual.set_aside)
    assert (must.wishes[Wish.REGION].met, must.wishes[Wish.REGION].hidden) == (len(kept), hidden)
    assert 0 < hidden < usual.total
    assert usual.wishes[Wish.REGION].hidden == 0


def test_a_must_and_a_filter_narrow_together(matcher: Matcher, need: Need) -> None:
    language = Filters(language=("en",))
    filtered = matcher.match(need, top=1000, filters=language)
    both = matcher.match(need, top=1000, filters=language, steering=Steering(region=Stress.MUST))
    assert list(both.pairings) == [p for p in filtered.pairings if _states_region(matcher, p.lab_id, "south")]


def test_what_a_need_does_not_state_is_no_wish(matcher: Matcher, need: Need) -> None:
    silent = replace(need, region=None)
    plain = matcher.match(silent, top=1000)
    assert Wish.REGION not in plain.wishes
    for stress in Stress:
        assert _steered(matcher, silent, region=stress) == plain


def test_fields_of_the_company_count_where_the_need_has_none(matcher: Matcher, need: Need, usual: MatchResult) -> None:
    field = next(name for name, labs in usual.facets.field.items() if labs < usual.allowed)
    company = Company("co-x", "某廠", "", None, "TW", None, "none", (field,), "", "")
    open_need = replace(need, fields=())
    result = matcher.match(open_need, company, top=1000)
    weight = load_ranker().weights[FEATURES.index("company")]
    for pairing in result.pairings:
        shares = field in matcher.labs[pairing.lab_id].fields
        assert pairing.contributions["company"] == (weight if shares else 0)
    assert len({pairing.contributions["company"] for pairing in result.pairings}) == 2
    # The control: what the need itself names is what it is about.
    assert wishes_of(need, company).keys() == {Wish.FIELD, Wish.LANGUAGE, Wish.REGION}
    assert {p.contributions["company"] for p in matcher.match(need, company, top=1000).pairings} == {0.0}


def test_a_wish_breaks_ties_and_turns_round_no_real_difference() -> None:
    weights = dict(zip(FEATURES, load_ranker().weights, strict=True))
    assert {name: weights[name] for name in GIVEN} == GIVEN
    assert sum(GIVEN.values()) < REAL_DIFFERENCE * SCORE_OF_ONE
    assert min(GIVEN.values()) > 0


def test_what_wishes_weigh_is_not_learned() -> None:
    assert not set(GIVEN) & set(FREE)
    doubled = dict(zip(FEATURES, spread(2 * start()), strict=True))
    # Beside evidence: scores have their unit only after the fit.
    for name, given in GIVEN.items():
        assert doubled[name] / doubled["words"] == pytest.approx(given / SCORE_OF_ONE)
    assert np.isfinite(list(doubled.values())).all()


def test_a_steering_is_kept_in_words() -> None:
    steering = Steering(region=Stress.MORE, language=Stress.MUST)
    assert steering.words == ["language.must", "region.more"]
    assert Steering.read(steering.words) == steering
    assert Steering.read(["region.more", "region.normal"]) == UNSTEERED
    with pytest.raises(ValueError, match="nowhere"):
        Steering.read(["nowhere.more"])


def test_the_command_steers_and_says_how_many_it_hides(gloria: Any, indexed_home: Path) -> None:
    asked = ("match", "need-1-04", "--top", "all")
    plain = gloria(*asked, "--json", home=indexed_home).document
    steered = gloria(*asked, "--must", "region", "--more", "language", "--json", home=indexed_home).document
    assert steered["ranker_version"] == plain["ranker_version"] + ", language more, region must"
    wish = steered["wishes"]["region"]
    assert (wish["stress"], wish["hidden"]) == ("must", plain["total"] - steered["total"])
    assert wish["hidden"] > 0
    told = gloria(*asked, "--must", "region", "--lang", "en", home=indexed_home)
    assert f"region: {wish['hidden']} hidden that do not meet it" in told.out
    chinese = gloria(*asked, "--must", "region", home=indexed_home)
    assert f"隱藏 {wish['hidden']} 個不符合的實驗室" in chinese.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--more", "weather"), "wishes are field, company, language, region"),
        (("--more", "region", "--less", "region"), "region is chosen twice"),
    ],
)
def test_a_steering_that_makes_no_sense_is_refused(
    gloria: Any, indexed_home: Path, options: tuple[str, ...], said: str
) -> None:
    refused = gloria("match", "need-1-04", *options, "--lang", "en", home=indexed_home)
    assert refused.code == 2
    assert said in " ".join(refused.err.replace("│", " ").split())


def test_a_wish_that_the_need_does_not_state_is_said(gloria: Any, indexed_home: Path) -> None:
    told = gloria("match", "need-1-04", "--more", "company", "--lang", "en", home=indexed_home)
    assert told.code == 0
    assert "so it changes nothing: field of the company" in " ".join(told.err.split())


def test_words_say_a_steering_and_a_steering_its_words() -> None:
    words = ["region.more", "language:en.must", "school_type:medical_university.normal", "ask:2.less", "lab:a.b.never"]
    words.append("school:ysu.never")
    assert Steering.read(words).words == words
    assert all(re.fullmatch(WORD, word) for word in words)
    for wrong in ("region.most", "moon:full.more", "ask:0.more", "lab:.never", "lab:x.more", "region:moon.more"):
        assert not re.fullmatch(WORD, wrong)
        with pytest.raises(ValueError, match="steers nothing"):
            Steering.read([wrong])


def test_an_own_wish_adds_what_a_stated_one_would_and_says_so(matcher: Matcher, need: Need) -> None:
    silent = replace(need, region=None)
    plain = {one.lab_id: one for one in matcher.match(silent, top=1000).pairings}
    steered = matcher.match(silent, top=1000, steering=Steering.read(["region:south.more"]))
    for pairing in steered.pairings:
        added = 1.5 if _states_region(matcher, pairing.lab_id, "south") else 0.0
        assert pairing.contributions["preferred"] == added
        assert pairing.score == pytest.approx(plain[pairing.lab_id].score + added)
        assert pairing.score == pytest.approx(sum(pairing.contributions.values()))
        assert (pairing.band, pairing.explanation) == (plain[pairing.lab_id].band, plain[pairing.lab_id].explanation)
    ranks = {one.lab_id: one.rank for one in steered.pairings}
    assert steered.moves
    for moved in steered.moves:
        assert (plain[moved.lab_id].rank, ranks[moved.lab_id]) == (moved.before, moved.after)
        assert moved.before != moved.after
        assert set(moved.changes) == ({"preferred"} if _states_region(matcher, moved.lab_id, "south") else set())
    # The control: without steering nobody moves.
    assert matcher.match(silent).moves == ()


def test_an_ask_counts_more_or_is_a_must(matcher: Matcher) -> None:
    need = next(need for need in matcher.needs.values() if len(need.asks) >= 2)
    plain = matcher.match(need, top=1000)
    more = matcher.match(need, top=1000, steering=Steering.read(["ask:1.more"]))
    before = {one.lab_id: one for one in plain.pairings}
    weighed = {one.lab_id: one.contributions["asks_weighed"] for one in more.pairings}
    assert all(one.score == pytest.approx(before[one.lab_id].score + weighed[one.lab_id]) for one in more.pairings)
    # Who answers the ask better gains more.
    ranking = matcher.ranking(need)
    answers = {matcher.snapshot.lab_ids[row]: ranking.table.ask_scores[0, row] for row in ranking.order}
    by_answer = sorted(weighed, key=lambda lab: answers[lab])
    assert [weighed[lab] for lab in by_answer] == sorted(weighed.values())
    must = matcher.match(need, top=1000, steering=Steering.read(["ask:1.must"]))
    likely = [matcher.snapshot.lab_ids[row] for row in ranking.order if ranking.chances(row)[0] >= COVERED_FROM]
    assert [one.lab_id for one in must.pairings] == likely
    assert 0 < len(likely) < plain.total
    # An ask that is not there steers nothing.
    assert matcher.match(need, top=1000, steering=Steering.read(["ask:9.must"])) == plain


def test_a_lab_and_a_school_are_left_out_and_said(matcher: Matcher, need: Need, usual: MatchResult) -> None:
    first = usual.pairings[0].lab_id
    school = next(one for one in usual.facets.school if one != matcher.labs[first].school)
    words = [f"lab:{first}.never", f"school:{school}.never", "lab:not-there.never"]
    found = matcher.match(need, top=1000, steering=Steering.read(words))
    gone = {first, *(lab.id for lab in matcher.labs.values() if lab.school == school)}
    allowed = [one.lab_id for one in usual.pairings]
    assert [one.lab_id for one in found.pairings] == [one for one in allowed if one not in gone]
    assert found.set_aside[Rule.LEFT_OUT] == sorted(gone & set(allowed))
    assert [one.rank for one in found.pairings] == list(range(1, len(found.pairings) + 1))
    # Scores stay, and so does the version of the ranker: nothing was weighed otherwise.
    assert found.ranker_version == usual.ranker_version
    assert usual.set_aside[Rule.LEFT_OUT] == []


def test_what_was_shown_steered_still_teaches(matcher: Matcher, need: Need) -> None:
    words = ["region.more", "region:north.less", "ask:1.more"]
    shown = matcher.match(need, steering=Steering.read(words))
    known = shown_by(matcher.settings, shown.ranker_version)
    assert known is not None
    plain = load_ranker().weights[FEATURES.index("region")]
    assert known.weights[FEATURES.index("region")] == pytest.approx(3 * plain)
    assert shown_by(matcher.settings, shown.ranker_version.replace("region", "moon")) is None
