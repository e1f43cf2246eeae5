"""Filters hide labs and change no rank, facets count what a filter would show, and pages join without a seam."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from indexer.encoders.query_vectors import DirectQueries
from indexer.records.profiles import Need
from indexer.settings import Settings
from matcher.ranking.lab_table import Filters
from matcher.ranking.pairings import Matcher, MatchResult


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


@pytest.fixture(scope="module")
def need(matcher: Matcher) -> Need:
    return matcher.needs[min(matcher.needs)]


@pytest.fixture(scope="module")
def whole(matcher: Matcher, need: Need) -> MatchResult:
    return matcher.match(need, top=1000)


def _facets(result: MatchResult) -> list[tuple[str, str, int]]:
    return [
        (facet.name, value, count)
        for facet in fields(result.facets)
        for value, count in getattr(result.facets, facet.name).items()
    ]


def test_each_facet_counts_the_labs_that_its_filter_shows_at_their_ranks(
    matcher: Matcher, need: Need, whole: MatchResult
) -> None:
    every = {pairing.rank: pairing for pairing in whole.pairings}
    seen = set()
    for name, value, count in _facets(whole):
        result = matcher.match(need, top=1000, filters=Filters(**{name: (value,)}))
        assert (result.total, len(result.pairings)) == (count, count)
        assert [every[pairing.rank] for pairing in result.pairings] == list(result.pairings)
        assert (result.allowed, result.facets, result.set_aside) == (whole.allowed, whole.facets, whole.set_aside)
        seen.add(name)
    # The control: there was something to count under every name.
    assert seen == {"field", "school", "offers", "language", "region", "band"}


def test_facets_of_one_value_per_lab_add_up_to_the_labs_that_may_be_proposed(whole: MatchResult) -> None:
    assert whole.allowed == len(whole.pairings) == whole.total
    assert sum(whole.facets.school.values()) == whole.allowed
    assert sum(whole.facets.band.values()) == whole.allowed
    assert whole.allowed + sum(map(len, whole.set_aside.values())) == whole.n_labs


def test_several_values_of_a_name_widen_and_several_names_narrow(
    matcher: Matcher, need: Need, whole: MatchResult
) -> None:
    schools = tuple(sorted(whole.facets.school))[:2]
    either = matcher.match(need, top=1000, filters=Filters(school=schools))
    assert either.total == sum(whole.facets.school[school] for school in schools)
    both = matcher.match(need, top=1000, filters=Filters(school=schools, language=("en",)))
    expected = [p for p in either.pairings if "en" in matcher.labs[p.lab_id].languages]
    assert list(both.pairings) == expected
    assert matcher.match(need, filters=Filters(school=("nowhere",))).pairings == ()


def test_what_is_not_stated_can_be_asked_for(matcher: Matcher, need: Need) -> None:
    catalogue = matcher.catalogue
    lab = next(iter(catalogue.labs.values()))
    bare = replace(catalogue, labs={**catalogue.labs, lab.id: replace(lab, fields=(), conflicts=(), capacity=1)})
    other = Matcher(settings=matcher.settings, index=matcher.index, catalogue=bare, queries=matcher.queries)
    result = other.match(replace(need, excluded_labs=()), filters=Filters(field=("",)))
    assert [pairing.lab_id for pairing in result.pairings] == [lab.id]


@pytest.mark.parametrize("filters", [Filters(), Filters(language=("zh",))])
def test_pages_join_without_a_seam(matcher: Matcher, need: Need, filters: Filters) -> None:
    long = matcher.match(need, top=11, filters=filters)
    pages = [matcher.match(need, top=4, offset=offset, filters=filters) for offset in (0, 4, 8)]
    assert [pairing for page in pages for pairing in page.pairings][:11] == list(long.pairings)
    assert {page.total for page in pages} == {long.total}
    assert matcher.match(need, top=4, offset=100_000, filters=filters).pairings == ()


def test_a_second_page_ranks_nothing_again(matcher: Matcher, need: Need, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Matcher(
        settings=matcher.settings, index=matcher.index, catalogue=matcher.catalogue, queries=matcher.queries
    )
    encoded: list[str] = []
    plain = DirectQueries.vectors
    monkeypatch.setattr(DirectQueries, "vectors", lambda self, texts: encoded.extend(texts) or plain(self, texts))
    fresh.match(need, top=3)
    first = list(encoded)
    assert len(first) == 1 + len(need.asks)
    fresh.match(need, top=3, offset=3, filters=Filters(band=("weak",)))
    assert encoded == first
    # The control: a need that says something else is another need.
    fresh.match(replace(need, title=f"{need.title}2"), top=3)
    assert len(encoded) == 2 * len(first)


def test_a_lab_hears_only_of_the_needs_it_is_asked_about(matcher: Matcher) -> None:
    needs = [matcher.needs[need_id] for need_id in sorted(matcher.needs)]
    lab_id = matcher.snapshot.lab_ids[0]
    every = matcher.match_lab(lab_id, needs, top=1000)
    half = needs[::2]
    some = matcher.match_lab(lab_id, half, top=1000)
    assert some == [match for match in every if match.need in half]
    assert matcher.match_lab(lab_id, needs, top=3, offset=2) == every[2:5]
    assert matcher.match_lab(lab_id, []) == []
    for match in every:
        proposed = {p.lab_id: p for p in matcher.match(match.need, top=1000).pairings}[lab_id]
        assert (match.rank_of_lab, match.score, match.explanation) == (
            proposed.rank,
            proposed.score,
            proposed.explanation,
        )
