"""A conflict or an exclusion holds however a name is spelled: width, case, blanks, script, legal form, tax id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.folding import for_names, tax_ids_in
from indexer.records.profiles import Company, Lab, Need
from indexer.settings import Settings
from matcher.ranking.lab_search import plain_need
from matcher.ranking.lab_table import LabTable, Rule, set_aside, unknown_exclusions
from matcher.ranking.pairings import Matcher

COMPANY = Company(
    "co-7", "臺晶鍍膜股份有限公司", "Taijing Coating Co., Ltd.", "04595257", "TW", None, "none", (), "", ""
)
NEED = replace(plain_need("鍍膜"), company="co-7")
LAB = Lab("lab-a", "臺南薄膜實驗室", "Tainan Thin Film Lab", "", None, (), "", "", (), (), (), None, (), (), (), ())


def _aside(need: Need, lab: Lab) -> list[Rule]:
    """Return the rules that set a lab aside, the same by both ways of asking."""
    slow = set_aside(need, [lab], COMPANY)
    assert LabTable.of((lab.id,), {lab.id: lab}, {}).set_aside(need, COMPANY) == slow
    return [rule for rule, ids in slow.items() if ids]


@pytest.mark.parametrize(
    "stated",
    [
        "臺晶鍍膜股份有限公司",
        "台晶鍍膜",
        "台晶镀膜有限公司",
        "臺晶鍍膜(股)公司",
        "臺晶鍍膜（股）公司",
        "臺晶 鍍膜 公司",
        "TAIJING  Coating",
        "Ｔａｉｊｉｎｇ Coating Inc.",
        "Taijing Coating Corp.",
        "taijing coating corporation",
        "Taijing Coating Company Limited",
        "Taijing Coating GmbH",
        "CO-7",
        "04595257",
        "０４５９５２５７",
        "統一編號 04595257",
        "某某(04595257)",
    ],
)
def test_a_conflict_is_found_in_this_spelling(stated: str) -> None:
    assert _aside(NEED, replace(LAB, conflicts=(stated,))) == [Rule.CONFLICT]


@pytest.mark.parametrize(
    "stated",
    [
        "臺晶鍍",
        "臺晶鍍膜科技股份有限公司",
        "臺京鍍膜股份有限公司",
        "Taijing Coatings Co., Ltd.",
        "Taijing Coating Taico",
        "Taijing Coating-Inc",
        "Company Taijing Coating",
        "股份有限公司",
        "Co., Ltd.",
        "公司",
        "co-70",
        "co7",
        "04595258",
        "045952570",
        "x-04595257",
    ],
)
def test_a_similar_name_is_another(stated: str) -> None:
    assert _aside(NEED, replace(LAB, conflicts=(stated,))) == []


@pytest.mark.parametrize(
    "excluded", ["臺南薄膜實驗室", "台南薄膜实验室", "台南 薄膜實驗室", "TAINAN thin film lab", "ＬＡＢ-Ａ"]
)
def test_an_exclusion_is_found_in_this_spelling(excluded: str) -> None:
    need = replace(NEED, excluded_labs=(excluded,))
    assert _aside(need, LAB) == [Rule.EXCLUDED]
    assert unknown_exclusions(need, [LAB]) == []


@pytest.mark.parametrize(
    "excluded", ["臺南薄模實驗室", "臺南薄膜實驗", "臺南薄膜", "Tainan Thin Film Labs", "lab-b", "laba"]
)
def test_an_exclusion_of_a_similar_name_is_named(excluded: str) -> None:
    need = replace(NEED, excluded_labs=(excluded,))
    assert _aside(need, LAB) == []
    assert unknown_exclusions(need, [LAB]) == [excluded]


def test_a_company_that_a_need_names_is_found_by_what_a_conflict_calls_it(indexed_home: Path) -> None:
    matcher = Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))
    need = next(iter(matcher.needs.values()))
    company = matcher.companies[need.company or ""]
    lab = next(lab for lab in matcher.labs.values() if not lab.conflicts and lab.capacity)
    catalogue = replace(matcher.catalogue, labs=matcher.labs | {lab.id: replace(lab, conflicts=(company.id,))})

    def conflicts(said: str, companies: dict[str, Company]) -> bool:
        asked = Matcher(
            settings=matcher.settings,
            index=matcher.index,
            catalogue=replace(catalogue, companies=companies),
            queries=matcher.queries,
        )
        result = asked.match(replace(need, company=said, excluded_labs=()))
        return lab.id in result.set_aside[Rule.CONFLICT]

    known = dict(matcher.companies)
    assert [conflicts(said, known) for said in (company.id, f" {company.name}", company.tax_id or "")] == [True] * 3
    # The controls: another company, and a name that two companies have.
    assert not conflicts(f"{company.name}二廠", known)
    assert not conflicts(company.name, known | {"co-twin": replace(company, id="co-twin")})


FORMS = [
    "股份有限公司",
    "(股)公司",
    "（股）",
    "有限公司",
    "公司",
    " Co., Ltd.",
    ", Inc.",
    " Corp",
    " GmbH",
    " ",
    "臺",
    "台",
    "乾",
    "a",
    "Ａ",
]


@given(st.lists(st.sampled_from(FORMS) | st.text(max_size=4), max_size=6).map("".join))
@example("乾 坤")
@example("foo , l td")
def test_folding_twice_changes_nothing(name: str) -> None:
    folded = for_names(name)
    assert for_names(folded) == folded
    # The control: a name is never folded to nothing, or all of these would be one.
    assert bool(folded) == bool(name.strip())


def test_a_number_of_another_length_is_no_tax_id() -> None:
    assert tax_ids_in("統一編號:04595257、1234567、123456789、co-20240101") == ["04595257"]
