"""What a need wishes beside its topic breaks ties, and an expert lets each wish count less, more, or as a must."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.records.profiles import Company, Need
from indexer.settings import Settings
from matcher.judging.learning import FREE, GIVEN, SCORE_OF_ONE, spread, start
from matcher.ranking.lab_table import Filters
from matcher.ranking.pairings import Matcher, MatchResult
from matcher.ranking.ranker import load_ranker
from matcher.ranking.signals import FEATURES
from matcher.ranking.wishes import UNSTEERED, Steering, Stress, Wish, wishes_of

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
