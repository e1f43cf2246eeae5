"""A lab is claimed by who holds no role yet, and given by the office or the alliance on the spot; the word is kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.finding import latin_name, may_be_called
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

SECOND = """INSERT INTO lab_claim (id, account_id, lab_id, statement, asked_at, reason)
    SELECT id + 1, account_id, lab_id, statement, asked_at, reason FROM lab_claim"""


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    """Lab 1 is at a school that merged into `nu`, lab 2 at `hu`; alliances are set by each test."""
    with asked(settings) as made:
        schools: list[dict[str, Any]] = [
            {"id": "nu", "name": "北方大學"},
            {"id": "hu", "name": "海大學"},
            {"id": "old", "name": "舊學院", "merged_into": "nu", "merged_on": "2020-08-01"},
        ]
        labs = [
            {"id": "lab-1", "name": "一號實驗室", "school": "old", "summary": "qzvsecret"},
            {"id": "lab-2", "name": "二號實驗室", "name_en": "Second Lab", "school": "hu"},
        ]
        with writing(made.engine) as session:
            import_rows(session, "schools", schools)
            import_rows(session, "labs", labs)
        yield made


def _alliance(here: Asked, **changed: Any) -> None:
    with writing(here.engine) as session:
        report = import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟", **changed}])
        assert (report.refused, report.problems) == (0, [])


def _claim(here: Asked, lab_id: str, who: str = "newcomer") -> int:
    claimed = here.done(who, "POST", f"/api/labs/{lab_id}/claims", json={"statement": "我是主持人"})
    assert (claimed["state"], claimed["lab_id"]) == ("waiting", lab_id)
    return int(claimed["id"])


def _decide(here: Asked, who: str, claim_id: int, verdict: str = "approved", reason: str = "") -> Any:
    path = f"/api/claims/{claim_id}/verdict"
    return here.ask(who, "POST", path, json={"verdict": verdict, "reason": reason})


def _waiting(here: Asked, who: str) -> list[int]:
    return [one["id"] for one in here.done(who, "GET", "/api/claims")["items"]]


def test_from_no_role_to_the_own_profile(here: Asked) -> None:
    assert here.done("newcomer", "GET", "/api/me")["roles"] == []
    found = here.done("newcomer", "GET", "/api/lab-names", params={"q": "second"})
    second = {"id": "lab-2", "name": "二號實驗室", "name_en": "Second Lab", "head": "", "school": "海大學"}
    assert found["items"] == [second]
    everything = here.ask("newcomer", "GET", "/api/lab-names", params={"q": "實驗室"})
    assert [one["id"] for one in everything.json()["items"]] == ["lab-1", "lab-2"]
    assert "qzvsecret" not in everything.text
    for q in ("%%", "__", "x"):
        assert here.ask("newcomer", "GET", "/api/lab-names", params={"q": q}).json().get("items", []) == []
    assert here.ask("newcomer", "GET", "/api/labs/lab-2").status_code == 403
    claim_id = _claim(here, "lab-2")
    (waiting,) = here.done("office", "GET", "/api/claims")["items"]
    assert waiting["claimant"] == {"name": "newcomer", "email": "newcomer@example.org"}
    assert (waiting["lab_name"], waiting["statement"]) == ("二號實驗室", "我是主持人")
    assert _decide(here, "office", claim_id).json()["state"] == "approved"
    assert here.done("newcomer", "GET", "/api/me")["roles"] == [{"role": "researcher", "scope": "lab-2"}]
    answer = here.ask("newcomer", "GET", "/api/labs/lab-2")
    changed = {"summary": "新的介紹"}
    headers = {"If-Match": answer.headers["ETag"]}
    assert here.ask("newcomer", "PATCH", "/api/labs/lab-2", json=changed, headers=headers).status_code == 200
    # Others of the same lab keep it, and a lab that one has is not claimed.
    assert here.ask("other_researcher", "GET", "/api/labs/lab-2").status_code == 200
    assert here.ask("newcomer", "POST", "/api/labs/lab-2/claims", json={"statement": "s"}).status_code == 409


def test_a_refusal_says_why_and_a_new_try_is_free(here: Asked) -> None:
    claim_id = _claim(here, "lab-2")
    assert here.ask("newcomer", "POST", "/api/labs/lab-2/claims", json={"statement": "s"}).status_code == 409
    assert here.ask("newcomer", "POST", "/api/labs/none/claims", json={"statement": "s"}).status_code == 404
    empty = here.ask("newcomer", "POST", "/api/labs/lab-1/claims", json={"statement": " "})
    assert (empty.status_code, empty.json()["field"]) == (409, "statement")
    assert _decide(here, "office", claim_id, "refused").json()["field"] == "reason"
    assert _decide(here, "office", claim_id, "refused", "聘書已過期").status_code == 200
    assert _decide(here, "office", claim_id).status_code == 409
    (told,) = here.done("newcomer", "GET", "/api/me/claims")["items"]
    assert (told["state"], told["reason"]) == ("refused", "聘書已過期")
    assert "decided_by" not in told
    assert here.done("expert", "GET", "/api/me/claims")["items"] == []
    assert here.done("newcomer", "GET", "/api/me")["roles"] == []
    assert _waiting(here, "office") == []
    assert _waiting(here, "office") != [_claim(here, "lab-2")]


@pytest.mark.parametrize(
    ("alliance", "sees"),
    [
        ({"center": "hu"}, ["lab-2"]),
        ({"center": "nu"}, ["lab-1"]),
        ({"partners": [{"school": "hu"}, {"school": "nu"}]}, ["lab-1", "lab-2"]),
        ({"partners": [{"school": "hu", "since": "2020-01-01", "until": "2021-01-01"}]}, []),
        ({"partners": [{"school": "hu", "since": "2999-01-01"}]}, []),
        ({"partners": [{"school": "hu", "since": "2020-01-01", "until": "2999-01-01"}]}, ["lab-2"]),
        ({"center": "hu", "since": "2017-01-01", "until": "2020-12-31"}, []),
        ({}, []),
    ],
)
def test_a_lead_decides_for_the_schools_of_the_alliance(here: Asked, alliance: dict[str, Any], sees: list[str]) -> None:
    _alliance(here, **alliance)
    claims = {lab_id: _claim(here, lab_id) for lab_id in ("lab-1", "lab-2")}
    assert _waiting(here, "lead") == [claims[lab_id] for lab_id in sees]
    assert _waiting(here, "office") == list(claims.values())
    assert {who: here.ask(who, "GET", "/api/claims").status_code for who in ("expert", "newcomer")} == {
        "expert": 403,
        "newcomer": 403,
    }
    for lab_id, claim_id in claims.items():
        assert _decide(here, "lead", claim_id).status_code == (200 if lab_id in sees else 404)


def test_nobody_decides_the_own_claim(here: Asked) -> None:
    _alliance(here, center="hu")
    claim_id = _claim(here, "lab-2", "lead")
    assert _decide(here, "lead", claim_id).status_code == 409
    office_id = _claim(here, "lab-1", "office")
    assert _decide(here, "office", office_id).status_code == 409
    assert _decide(here, "office", claim_id).status_code == 200


@pytest.mark.postgresql_too
def test_of_many_at_once_one_gets_through(here: Asked) -> None:
    def ask(_: int) -> int:
        answer = here.ask("newcomer", "POST", "/api/labs/lab-2/claims", json={"statement": "s"})
        return int(answer.status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [201] + [409] * 7
    (claim_id,) = _waiting(here, "office")
    words = [("approved", ""), ("refused", "no")] * 4
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda word: _decide(here, "office", claim_id, *word).status_code, words))
    assert sorted(statuses) == [200] + [409] * 7
    (told,) = here.done("newcomer", "GET", "/api/me/claims")["items"]
    held = here.done("newcomer", "GET", "/api/me")["roles"]
    assert bool(held) == (told["state"] == "approved")


@pytest.mark.postgresql_too
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE lab_claim SET verdict = 'refused', reason = 'x'",
        "UPDATE lab_claim SET verdict = NULL, decided_by = NULL, decided_at = NULL",
        "UPDATE lab_claim SET reason = 'x'",
        "DELETE FROM lab_claim",
    ],
)
def test_the_database_keeps_what_was_decided(here: Asked, change: str) -> None:
    assert _decide(here, "office", _claim(here, "lab-2")).status_code == 200
    with pytest.raises(DBAPIError, match="append-only"), writing(here.engine) as session:
        session.connection().execute(text(change))


@pytest.mark.postgresql_too
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("UPDATE lab_claim SET statement = 'x'", "append-only"),
        ("UPDATE lab_claim SET verdict = 'approved'", "decided_(by|at)_some"),
        ("UPDATE lab_claim SET verdict = 'approved', decided_by = account_id, decided_at = asked_at", "by_another"),
        (SECOND, "(?i)unique"),
    ],
)
def test_the_database_refuses_half_a_verdict(here: Asked, change: str, rule: str) -> None:
    _claim(here, "lab-2")
    with pytest.raises(DBAPIError, match=rule), writing(here.engine) as session:
        session.connection().execute(text(change))


SPELLINGS = {
    "陳美玲": (
        "Chen, Mei-Ling",
        "Mei-Ling Chen",
        "Meiling Chen",
        "CHEN MEI LING",
        "M.-L. Chen",
        "Chen M L",
        "Mei-Ling",
    ),
    "許志豪": ("Hsu Chih-Hao", "Xu Zhihao", "Syu Jhih-Hao", "Chih‐Hao Hsu"),
    "曾國城": ("Tseng Kuo-Cheng", "Zeng Guocheng"),
    "簡淑華 教授": ("Chien Shu-Hua", "Shu-Hua Chien"),
    "歐陽明": ("Ouyang Ming", "Ming Ou-Yang"),
    "呂秀蓮": ("Lu Hsiu-Lien", "Lyu, Siou-Lian"),
    "李文德": ("Lee Wen-Te", "Li Wende"),
    "謝雪红": ("Hsieh Hsueh-Hung", "Xie Xuehong"),
    "蔡宜穎": ("Tsai, Yi-Ying", "I-Ying Tsai"),
    "鍾瑞": ("Chung Jui", "Jhong Ruei"),
}
"""Names that nobody here has, as they are written on papers: Wade-Giles, Tongyong and Pinyin."""


def test_a_name_in_latin_letters_may_be_one_in_characters() -> None:
    for name, written in SPELLINGS.items():
        for one in written:
            said = latin_name(one)
            assert said is not None, one
            assert [other for other in SPELLINGS if may_be_called(said, other)] == [name], one
    for other in ("Chang Mei-Ling", "Chen Mei-Lin", "David Chen", "Ling Chen Mei", "X.-L. Chen"):
        said = latin_name(other)
        assert said is not None
        assert not may_be_called(said, "陳美玲"), other
    # A surname alone is half of Taiwan; other letters are no spelling, and other records no names in characters.
    assert [latin_name(one) for one in ("Che", "陳美玲", "Chen 3", "")] == [None] * 4
    said = latin_name("Mei-Ling Chen")
    assert said is not None
    assert not any(may_be_called(said, one) for one in ("", "陳", "Mei-Ling Chen", "國立臺灣海洋大學智慧製造研究中心"))


@pytest.mark.postgresql_too
def test_a_lab_is_found_by_its_heads_name_as_it_stands_on_papers(here: Asked) -> None:
    with writing(here.engine) as session:
        for number, name in enumerate(("陳美玲", "張美玲 教授", "許志豪")):
            row = {"id": f"lab-h{number}", "name": f"第{number}室", "school": "hu", "pi": name}
            import_rows(session, "labs", [row])
    found = {
        q: [one["head"] for one in here.done("newcomer", "GET", "/api/lab-names", params={"q": q})["items"]]
        for q in (
            "Chen, Mei-Ling",
            "Mei-Ling Chen",
            "陳美玲",
            "陈美玲",
            "Chang M. L.",
            "Meiling",
            "Hsu Chih-Hao",
            "Lin Chih-Hao",
            "張美玲副教授",
            "张美玲讲座教授",
            "許志壕",
        )
    }
    assert found == {
        "Chen, Mei-Ling": ["陳美玲"],
        "Mei-Ling Chen": ["陳美玲"],
        "陳美玲": ["陳美玲"],
        "陈美玲": ["陳美玲"],
        "Chang M. L.": ["張美玲 教授"],
        "Meiling": ["陳美玲", "張美玲 教授"],
        "Hsu Chih-Hao": ["許志豪"],
        "Lin Chih-Hao": [],
        # Titles are none of the name, in either script; a slip proposes whom nobody else is called like.
        "張美玲副教授": ["張美玲 教授"],
        "张美玲讲座教授": ["張美玲 教授"],
        "許志壕": ["許志豪"],
    }
    # It proposes: whose lab it is, somebody decides.
    assert here.ask("newcomer", "GET", "/api/labs/lab-h0").status_code == 403
