"""A lab that may not be proposed is set aside, with the rule that says why, and never ranked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from indexer.records.profiles import Ask, Company, Lab, Need
from indexer.settings import Settings
from matcher.ranking.lab_table import Rule, set_aside, unknown_exclusions
from matcher.ranking.pairings import Matcher

LAB = Lab(
    id="lab-a",
    name="薄膜實驗室",
    name_en="",
    pi="",
    school=None,
    fields=(),
    summary="薄膜",
    summary_en="",
    keywords=(),
    offers=("technology",),
    will_not_do=(),
    capacity=2,
    languages=(),
    conflicts=(),
    links=(),
    evidence=(),
)
NEED = Need(
    id="need-a",
    company="co-a",
    school=None,
    title="鍍膜",
    description="",
    asks=(Ask("technology", "鍍膜附著力"),),
    fields=(),
    budget_ntd=None,
    deadline=None,
    confidentiality="public",
    region=None,
    languages=(),
    excluded_labs=(),
    year=None,
)
COMPANY = Company("co-a", "甲乙丙鍍膜", "Abc Coating", None, "TW", None, "none", (), "", "")
NOBODY: dict[Rule, list[str]] = {rule: [] for rule in Rule}


def test_a_lab_that_breaks_no_rule_is_kept() -> None:
    assert set_aside(NEED, [LAB], COMPANY) == NOBODY


@pytest.mark.parametrize(
    ("need", "lab", "rule"),
    [
        (replace(NEED, excluded_labs=("lab-x", "lab-a")), LAB, Rule.EXCLUDED),
        (replace(NEED, excluded_labs=("LAB-A",)), LAB, Rule.EXCLUDED),
        (replace(NEED, excluded_labs=("薄膜實驗室",)), LAB, Rule.EXCLUDED),
        (NEED, replace(LAB, conflicts=("co-a",)), Rule.CONFLICT),
        (NEED, replace(LAB, conflicts=("abc coating",)), Rule.CONFLICT),
        (NEED, replace(LAB, conflicts=("甲乙丙鍍膜",)), Rule.CONFLICT),
        (NEED, replace(LAB, capacity=0), Rule.NO_CAPACITY),
        (NEED, replace(LAB, offers=("talent", "training")), Rule.NOT_OFFERED),
    ],
)
def test_each_rule_sets_the_lab_aside(need: Need, lab: Lab, rule: Rule) -> None:
    assert set_aside(need, [lab], COMPANY) == {**NOBODY, rule: ["lab-a"]}


@pytest.mark.parametrize(
    "lab",
    [
        replace(LAB, capacity=None),
        replace(LAB, offers=()),
        replace(LAB, offers=("talent", "technology")),
        replace(LAB, conflicts=("co-b",)),
    ],
)
def test_what_is_not_stated_sets_nobody_aside(lab: Lab) -> None:
    assert set_aside(NEED, [lab], COMPANY) == NOBODY


def test_an_exclusion_of_nobody_is_named() -> None:
    need = replace(NEED, excluded_labs=("lab-a", "lab-b", "薄膜實驗室", "薄模實驗室"))
    assert unknown_exclusions(need, [LAB]) == ["lab-b", "薄模實驗室"]
    assert unknown_exclusions(NEED, [LAB]) == []


def test_a_need_without_a_company_conflicts_with_nobody() -> None:
    lab = replace(LAB, conflicts=("",))
    assert set_aside(replace(NEED, company=None), [lab]) == NOBODY


def test_no_lab_of_the_demo_world_is_ranked_where_a_rule_forbids_it(indexed_home: Path) -> None:
    matcher = Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))
    barred_pairs = 0
    for need_id in matcher.needs:
        result = matcher.match(matcher.needs[need_id], top=1000)
        shown = [pairing.lab_id for pairing in result.pairings]
        barred = [lab_id for ids in result.set_aside.values() for lab_id in ids]
        barred_pairs += len(barred)
        assert sorted(shown + barred) == sorted(matcher.labs)
    # The slice holds full, conflicting and excluded labs: without them this test could not fail.
    assert barred_pairs > len(matcher.needs)
