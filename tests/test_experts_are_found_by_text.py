"""A free text in either language finds labs; a name finds its lab; without a text the labs are listed by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from indexer.plain_text import TextError
from indexer.records.passages import ENGLISH, lab_passages
from indexer.records.profiles import Lab
from indexer.settings import Settings
from matcher.ranking.lab_table import Filters
from matcher.ranking.pairings import Matcher


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


def _with(matcher: Matcher, *labs: Lab) -> Matcher:
    catalogue = replace(matcher.catalogue, labs=dict(sorted({**matcher.labs, **{lab.id: lab for lab in labs}}.items())))
    return Matcher(settings=matcher.settings, index=matcher.index, catalogue=catalogue, queries=matcher.queries)


def test_the_title_of_a_piece_of_evidence_finds_its_lab(matcher: Matcher) -> None:
    found = {"zh": 0, "en": 0}
    for lab in matcher.labs.values():
        for evidence in lab.evidence[:1]:
            language = next(p.language for p in lab_passages(lab) if p.source == evidence.id)
            best = matcher.search_labs(evidence.title, top=1).labs[0]
            assert best.speaking is not None
            if (best.lab.id, best.speaking.source) == (lab.id, evidence.id):
                found[language] += 1
            assert (best.rank, best.by_name, best.changed_since_index) == (1, False, False)
    total = sum(bool(lab.evidence) for lab in matcher.labs.values())
    print(found, total)
    assert sum(found.values()) >= 0.9 * total
    assert min(found.values()) > 5


def test_the_excerpt_shows_the_words_of_the_search(matcher: Matcher) -> None:
    lab = next(lab for lab in matcher.labs.values() if lab.evidence)
    wanted = lab.evidence[0].title
    speaking = matcher.search_labs(wanted).labs[0].speaking
    assert speaking is not None
    assert speaking.title == wanted
    assert speaking.words
    assert all(word in f"{speaking.title}{speaking.excerpt}{lab.evidence[0].abstract}" for word in speaking.words)


def test_english_finds_labs_that_write_chinese(matcher: Matcher) -> None:
    chinese = [
        lab for lab in matcher.labs.values() if lab.name_en and all(p.language != ENGLISH for p in lab_passages(lab))
    ]
    assert chinese
    ranks = []
    for lab in chinese:
        subject = lab.name_en.lower().replace("laboratory", "").replace("lab", "").strip()
        # Not as a name: the words in another order.
        words = " ".join(reversed(subject.split()))
        ranks.append(next(f.rank for f in matcher.search_labs(words, top=1000).labs if f.lab.id == lab.id))
    print(sorted(ranks), len(matcher.labs))
    assert sorted(ranks)[len(ranks) // 2] <= len(matcher.labs) // 4


@pytest.mark.parametrize("what", ["id", "name", "pi"])
def test_a_name_finds_its_lab_first(matcher: Matcher, what: str) -> None:
    for lab in matcher.labs.values():
        text = getattr(lab, what)
        if not text:
            continue
        found = matcher.search_labs(f"  {text.upper()} ", top=1000)
        named = [f.lab.id for f in found.labs if f.by_name]
        assert lab.id in named
        assert [f.lab.id for f in found.labs[: len(named)]] == named
        assert found.total == len(matcher.labs)


@pytest.mark.parametrize(
    "written", ["Tsou Hsiang-Yun", "TSOU, Hsiang-Yun", "Hsiang Yun Tsou", "Tsou Hsiang Yun", "tsou hsiangyun"]
)
def test_a_heads_name_finds_the_lab_in_any_order(matcher: Matcher, written: str) -> None:
    assert "Hsiang-Yun Tsou" in matcher.labs["lab-1-02"].pi
    found = matcher.search_labs(written, top=2).labs
    assert [(one.lab.id == "lab-1-02", one.by_name) for one in found] == [(True, True), (False, False)]


def test_a_schools_name_finds_its_labs_first(matcher: Matcher) -> None:
    taken = {lab.school for lab in matcher.labs.values()}
    school = next(one for one in matcher.catalogue.schools.values() if one.name and one.id in taken)
    theirs = {lab.id for lab in matcher.labs.values() if lab.school == school.id}
    assert theirs
    for written in (school.name, school.name.replace("臺", "台"), f" {school.name} "):
        found = matcher.search_labs(written, top=1000).labs
        assert {one.lab.id for one in found if one.by_name} == theirs
        assert {one.lab.id for one in found[: len(theirs)]} == theirs


def test_a_lab_that_is_not_in_the_index_is_found_by_its_name_only(matcher: Matcher) -> None:
    some = next(iter(matcher.labs.values()))
    late = replace(some, id="lab-late", name="遲來實驗室", name_en="", pi="", evidence=())
    other = _with(matcher, late)
    first = other.search_labs("遲來").labs[0]
    assert (first.lab, first.by_name, first.score, first.band, first.speaking) == (late, True, None, None, None)
    assert first.changed_since_index
    assert "(1 new labs)" in other.search_labs("遲來").warnings[0].en
    assert late.id not in {f.lab.id for f in other.search_labs("馬達", top=1000).labs}
    assert late.id in {f.lab.id for f in other.search_labs("", top=1000).labs}


def test_without_a_text_labs_are_listed_by_name(matcher: Matcher) -> None:
    for blank in ("", " \u3000\n"):
        found = matcher.search_labs(blank, top=1000)
        names = [(f.lab.name or f.lab.name_en).casefold() for f in found.labs]
        assert names == sorted(names)
        assert (found.text, found.total, found.facets.band) == ("", len(matcher.labs), {})
        assert sum(found.facets.school.values()) == len(matcher.labs)
        assert [(f.rank, f.score) for f in found.labs] == [(i, None) for i in range(1, len(matcher.labs) + 1)]


@pytest.mark.parametrize("text", ["", "品質檢測 inspection"])
def test_filters_and_pages_keep_ranks(matcher: Matcher, text: str) -> None:
    whole = matcher.search_labs(text, top=1000)
    pages = [matcher.search_labs(text, top=7, offset=offset).labs for offset in range(0, whole.total + 7, 7)]
    assert tuple(f for page in pages for f in page) == whole.labs
    for offer, count in whole.facets.offers.items():
        some = matcher.search_labs(text, top=1000, filters=Filters(offers=(offer,)))
        assert (some.total, some.facets) == (count, whole.facets)
        wanted = offer if offer else None
        assert list(some.labs) == [f for f in whole.labs if (wanted in f.lab.offers if wanted else not f.lab.offers)]


def test_a_search_leaves_nobody_aside(matcher: Matcher) -> None:
    full = [lab.id for lab in matcher.labs.values() if lab.capacity == 0]
    assert full
    assert set(full) <= {f.lab.id for f in matcher.search_labs("檢測", top=1000).labs}


@pytest.mark.parametrize("text", ["x" * 2001, "\ud800", "a\u202eb"])
def test_a_text_that_no_record_may_have_is_refused(matcher: Matcher, text: str) -> None:
    with pytest.raises(TextError):
        matcher.search_labs(text)
