"""The demo world is as large, as mixed and as sound as it claims."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from fixtures import world_files, world_path, world_qrels
from fixtures.counts import kappa, lab_language, read_judgements, read_world
from indexer.database import open_engine
from indexer.records.importing import import_file
from indexer.records.record_tables import load_labs
from indexer.settings import Settings

REAL_UNIVERSITIES = (
    "臺灣大學", "台灣大學", "清華大學", "交通大學", "成功大學", "中央大學", "中興大學", "中山大學", "臺灣科技大學",
    "臺北科技大學", "高雄科技大學", "雲林科技大學", "虎尾科技大學", "屏東科技大學", "臺灣海洋大學", "中正大學",
    "東華大學", "臺北醫學", "高雄醫學", "中國醫藥大學", "長庚大學", "逢甲大學", "東海大學", "明新科技",
    "工業技術研究院", "National Taiwan University", "Tsing Hua", "Chiao Tung", "Cheng Kung", "Academia Sinica",
)  # fmt: skip
# Characters that only Simplified Chinese has.
SIMPLIFIED = set(
    "们这为对来时会动国发过还进开关样问题应实现间见长门电车东书乐业产亲从众优传价体军农决况减击则刚创办务势区医华协单卖压厂县变号听"
    "员响团园围图圆场块坏坚报声处备头奋奖学宁宝宽将尔层岛师带帮广库废张弹强归录怀态总惊惯愿战扩护担择挂损换摄断无旧术机权条极构标"
    "树桥梦检楼欢残毁毕气汇汉测济浆润涨湿满滤灭灯灵炉炼热烧独环画疗监盖码确础离种积称稳签简类粮紧红约级纪线练组细织终经结络给统绩"
    "续维绿编缩网职联肃脑脸艺节苏药虑补装规视觉计订认让议记讲许论设访证评识词译试话该详误说请读课调质费软载较辅输边运选遗邮针钢铁"
)
LONGEST_SHARED_RUN = 40


@pytest.fixture(scope="module")
def world() -> dict[str, list[dict[str, Any]]]:
    return read_world()


def prose(world: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Every text that was written as running prose, under a name of its own."""
    texts: dict[str, str] = {}
    for rows in world.values():
        for row in rows:
            texts |= {f"{row['id']} {key}": row.get(key) or "" for key in ("summary", "summary_en", "description")}
            texts |= {item["id"]: item["abstract"] for item in row.get("evidence", [])}
            texts |= {f"{row['id']} ask {n}": ask["text"] for n, ask in enumerate(row.get("asks", []))}
    return {name: text for name, text in texts.items() if text}


def shared_runs(texts: dict[str, str], length: int) -> set[tuple[str, str]]:
    """Pairs of names whose texts have a run of so many characters in common."""
    seen: dict[str, str] = {}
    found = set()
    for name, text in texts.items():
        for start in range(len(text) - length + 1):
            first = seen.setdefault(text[start : start + length].casefold(), name)
            if first != name:
                found.add((first, name))
    return found


def must_not_be_shown(need: dict[str, Any], lab: dict[str, Any]) -> bool:
    return (
        lab["id"] in need["excluded_labs"]
        or need["company"] in lab["conflicts"]
        or lab["capacity"] == 0
        or not {ask["kind"] for ask in need["asks"]} & set(lab["offers"])
    )


def test_size_of_the_world(world: dict[str, list[dict[str, Any]]]) -> None:
    evidence = sum(len(lab["evidence"]) for lab in world["labs"])
    sizes = {name: len(rows) for name, rows in world.items()} | {"evidence": evidence}
    assert sizes == {
        "schools": 45, "alliances": 18, "companies": 40, "labs": 135, "needs": 60, "evidence": 443,
    }  # fmt: skip


def test_half_chinese_a_quarter_english_a_quarter_both(world: dict[str, list[dict[str, Any]]]) -> None:
    shares = Counter(map(lab_language, world["labs"]))
    assert {language: round(count / 135, 2) for language, count in shares.items()} == {
        "zh": 0.48, "en": 0.26, "both": 0.26,
    }  # fmt: skip


def test_imports_without_a_single_problem(world: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path))
    with Session(engine) as session:
        reports = [import_file(session, path) for path in world_files()]
        evidence = sum(len(lab.evidence) for lab in load_labs(session))
    engine.dispose()
    assert [(report.created, report.refused, report.problems) for report in reports] == [
        (len(rows), 0, []) for rows in world.values()
    ]
    assert evidence == 443


def test_every_reference_exists(world: dict[str, list[dict[str, Any]]]) -> None:
    ids = {name: {row["id"] for row in rows} for name, rows in world.items()}
    schools = [lab["school"] for lab in world["labs"]]
    schools += [need["school"] for need in world["needs"] if need.get("school")]
    schools += [school["merged_into"] for school in world["schools"] if school["merged_into"]]
    for alliance in world["alliances"]:
        schools += [alliance["center"], *(partner["school"] for partner in alliance["partners"])]
    companies = [need["company"] for need in world["needs"] if need["company"]]
    companies += [company for lab in world["labs"] for company in lab["conflicts"]]
    labs = [lab for need in world["needs"] for lab in need["excluded_labs"]]
    judgements = [*read_judgements(world_qrels()), *read_judgements(world_path() / "qrels-second.txt")]
    assert set(schools) - ids["schools"] == set()
    assert set(companies) - ids["companies"] == set()
    assert {*labs, *(lab for _, lab in judgements)} - ids["labs"] == set()
    assert {need for need, _ in judgements} == ids["needs"]
    assert [need["id"] for need in world["needs"] if bool(need["company"]) == bool(need.get("school"))] == []


def test_every_need_has_a_suitable_lab() -> None:
    best: Counter[str] = Counter()
    for (need, _), grade in read_judgements(world_qrels()).items():
        best[need] = max(best[need], grade)
    assert len(best) == 60
    assert min(best.values()) >= 2


def test_labs_that_must_not_be_shown_are_graded_zero(world: dict[str, list[dict[str, Any]]]) -> None:
    labs = {lab["id"]: lab for lab in world["labs"]}
    needs = {need["id"]: need for need in world["needs"]}
    judgements = read_judgements(world_qrels()) | read_judgements(world_path() / "qrels-second.txt")
    forbidden = {pair: grade for pair, grade in judgements.items() if must_not_be_shown(needs[pair[0]], labs[pair[1]])}
    assert {pair: grade for pair, grade in forbidden.items() if grade} == {}
    assert len(forbidden) > 100


def test_readers_agree_as_the_readme_says() -> None:
    first, second = read_judgements(world_qrels()), read_judgements(world_path() / "qrels-second.txt")
    twice = [(first[pair], grade) for pair, grade in second.items()]
    suitable = [(int(one >= 2), int(other >= 2)) for one, other in twice]
    assert (len(twice), round(kappa(twice), 2), round(kappa(suitable), 2)) == (996, 0.98, 0.97)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(0, 0), (3, 3), (2, 2)], 1.0),
        ([(0, 1), (1, 0)], -1.0),
        ([(0, 0), (0, 1), (1, 0), (1, 1)], 0.0),
        ([(0, 0), (1, 1), (2, 2), (2, 0)], 5 / 13),
    ],
)
def test_kappa(pairs: list[tuple[int, int]], expected: float) -> None:
    assert kappa(pairs) == pytest.approx(expected)


def test_kappa_of_one_grade_throughout_is_refused() -> None:
    with pytest.raises(ValueError, match="undefined"):
        kappa([(0, 0), (0, 0)])


def test_no_text_twice(world: dict[str, list[dict[str, Any]]]) -> None:
    texts = prose(world)
    assert len(texts) > 700
    assert shared_runs(texts, LONGEST_SHARED_RUN) == set()
    copied = next(text for text in texts.values() if len(text) >= LONGEST_SHARED_RUN)
    assert len(shared_runs(texts | {"a copy": copied}, LONGEST_SHARED_RUN)) == 1


def test_no_real_university() -> None:
    text = "".join(path.read_text("utf-8") for path in world_files())
    assert [name for name in REAL_UNIVERSITIES if name in text] == []


def test_chinese_is_traditional() -> None:
    text = "".join(path.read_text("utf-8") for path in world_files())
    assert set(text) & SIMPLIFIED == set()
    assert set("软件实验室") & SIMPLIFIED == set("软实")
