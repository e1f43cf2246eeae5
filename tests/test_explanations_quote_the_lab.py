"""For each ask one or two passages of that lab speak, with words that both sides really use; needs stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.index.words import terms
from indexer.records.passages import lab_passages, need_text
from indexer.settings import Settings
from matcher.ranking.explanation import Explanation
from matcher.ranking.pairings import Matcher, MatchResult


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


@pytest.fixture(scope="module")
def results(matcher: Matcher) -> list[MatchResult]:
    return [matcher.match(matcher.needs[need_id], top=8) for need_id in matcher.needs]


def test_every_ask_has_one_or_two_passages_of_that_lab(matcher: Matcher, results: list[MatchResult]) -> None:
    for result in results:
        for pairing in result.pairings:
            own = {passage.source for passage in lab_passages(matcher.labs[pairing.lab_id])}
            asks = pairing.explanation.asks
            assert [ask.text for ask in asks] == [ask.text for ask in result.need.asks]
            for ask in asks:
                assert 1 <= len(ask.passages) <= 2
                assert {passage.source for passage in ask.passages} <= own


def test_matching_words_stand_in_the_passage_and_in_the_ask(matcher: Matcher, results: list[MatchResult]) -> None:
    seen = translated = 0
    for result in results:
        for pairing in result.pairings:
            texts: dict[str, str] = {}
            for passage in lab_passages(matcher.labs[pairing.lab_id]):
                texts[passage.source] = texts.get(passage.source, "") + passage.text
            for ask in pairing.explanation.asks:
                asked = set(terms(ask.text))
                for speaking in ask.passages:
                    there = {word for _, word in speaking.translated}
                    assert all(here in ask.text for here, _ in speaking.translated)
                    for word in speaking.words:
                        assert word in texts[speaking.source]
                        assert word in there or set(terms(word)) & asked
                        seen += 1
                    translated += len(there)
    assert seen > 100
    assert translated > 10


def _secrets(matcher: Matcher, result: MatchResult) -> list[str]:
    company = matcher.companies.get(result.need.company or "")
    names = [company.name, company.name_en] if company else []
    text = need_text(result.need)
    return [name for name in names if name] + [text[i : i + 12] for i in range(len(text) - 12)]


def _leaks(secrets: list[str], sentence: str) -> list[str]:
    return [secret for secret in secrets if secret in sentence]


def test_the_sentence_for_the_lab_says_nothing_of_the_need_or_the_company(
    matcher: Matcher, results: list[MatchResult]
) -> None:
    for result in results:
        secrets = _secrets(matcher, result)
        for pairing in result.pairings:
            explanation: Explanation = pairing.explanation
            # What the lab wrote itself is no secret to it, even where the need has the same words.
            own = "\n".join(passage.text for passage in lab_passages(matcher.labs[pairing.lab_id]))
            hidden = [secret for secret in secrets if secret not in own]
            assert _leaks(hidden, explanation.for_lab.zh + explanation.for_lab.en) == []
        # The control: the same search finds the need where it does stand.
        assert _leaks(secrets, need_text(result.need)) != []


def test_both_languages_are_there(results: list[MatchResult]) -> None:
    for result in results:
        for pairing in result.pairings:
            explanation = pairing.explanation
            for sentence in (explanation.for_company, explanation.for_lab, *explanation.missing):
                assert sentence.zh
                assert sentence.en


def test_an_ask_kind_that_the_lab_does_not_offer_is_named_as_missing(
    matcher: Matcher, results: list[MatchResult]
) -> None:
    named = 0
    for result in results:
        for pairing in result.pairings:
            lab = matcher.labs[pairing.lab_id]
            unoffered = {ask.kind for ask in result.need.asks if lab.offers and ask.kind not in lab.offers}
            said = {m.en for m in pairing.explanation.missing if "among what it offers" in m.en}
            assert said == {f"the lab does not list {kind} among what it offers" for kind in unoffered}
            named += len(unoffered)
    assert named > 0
