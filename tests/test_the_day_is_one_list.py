"""The one list of a day over HTTP: its order and counts, what is put off, handed on, kept as a view, and sorted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from indexer.database import reading, writing
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Company
from indexer.settings import Settings
from indexer.vocabulary import Tier
from matcher.notices.outbox import Notice
from matcher.review.cases import Case
from matcher.review.desk.putting_off import PutOff
from matcher.review.desk.reminders import Reminder, loads, reminders
from matcher.review.desk.urgency import WITHIN_DAYS, Task, When, urgency
from matcher.review.joint.visits import DiagnosisVisit, VisitState, change_visit, move_visit, plan_visit
from matcher.review.proposals import PairingState, StoredPairing
from tests.rig.worlds.small_world import Asked, asked, store_proposal

pytestmark = pytest.mark.postgresql_at_length
TODAY = day_in_taipei(datetime.now(UTC))


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _list(here: Asked, who: str = "expert", **query: Any) -> Any:
    return here.done(who, "GET", "/api/today", params=query)


def _lines(here: Asked, who: str = "expert", **query: Any) -> list[tuple[str, str]]:
    return [(one["task"], one["subject"]) for one in _list(here, who, **query)["items"]]


def _accept(here: Asked) -> int:
    here.done("expert", "POST", "/api/needs/n-1/take-up")
    word = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    path = f"/api/pairings/{here.world.pairing_id}/decision"
    return int(here.done("expert", "POST", path, json=word)["case_id"])


def _contact(here: Asked, path: str, *, days_ago: int, next_in: int | None = None, who: str = "expert") -> None:
    body: dict[str, Any] = {"kind": "call", "held_on": (TODAY - timedelta(days=days_ago)).isoformat(), "note": "x"}
    if next_in is not None:
        body |= {"next_step": "回電", "next_on": (TODAY + timedelta(days=next_in)).isoformat()}
    here.done(who, "POST", path, json=body)


@pytest.mark.parametrize(
    ("said", "due_in", "when", "stake"),
    [
        ({"task": Task.NEW_NEED, "since": TODAY}, WITHIN_DAYS[Task.NEW_NEED], When.SOON, 0),
        ({"task": Task.NEW_NEED, "since": TODAY - timedelta(days=3)}, 0, When.TODAY, 0),
        ({"task": Task.TO_REVIEW, "since": TODAY, "deadline": TODAY + timedelta(days=1)}, 1, When.SOON, 0),
        # A deadline that was over before anything waited makes nothing older than it is.
        ({"task": Task.TO_REVIEW, "since": TODAY, "deadline": TODAY - timedelta(days=90)}, 0, When.TODAY, 0),
        ({"task": Task.FOLLOW_UP, "since": TODAY, "named": TODAY + timedelta(days=8)}, 8, When.LATER, 0),
        ({"task": Task.ANSWER, "since": TODAY - timedelta(days=5), "has_case": True}, -3, When.OVERDUE, 4),
        ({"task": Task.TO_MATCH, "since": TODAY, "tier": Tier.GOLD}, 7, When.SOON, 3),
    ],
)
def test_a_day_and_a_stake_are_said_of_each(said: dict[str, Any], due_in: int, when: When, stake: int) -> None:
    found = urgency(today=TODAY, **said)
    assert (found.due_on - TODAY, found.when, found.stake) == (timedelta(days=due_in), when, stake)


def test_the_late_come_first_and_of_those_what_has_more_at_stake(here: Asked) -> None:
    case_id = _accept(here)
    here.done("lead", "PUT", "/api/companies/co-2/client", json={"expert": here.accounts["expert"]})
    _contact(here, "/api/companies/co-2/contacts", days_ago=9, next_in=-5)
    _contact(here, f"/api/cases/{case_id}/contacts", days_ago=9, next_in=-1)
    with reading(here.engine) as session:
        assert {one.tier for one in session.exec(select(Company)).all()} == {Tier.NONE}
    ordered = _list(here)["items"]
    # The open case is one day late and stands before a call that is five days late.
    assert [(one["task"], one["when"], one["stake"]) for one in ordered[:2]] == [
        ("follow_up", "overdue", 4),
        ("follow_up", "overdue", 0),
    ]
    with writing(here.engine) as session:
        session.execute(update(Company).where(col(Company.id) == "co-2").values(tier=Tier.GOLD.value))
    assert [one["stake"] for one in _list(here)["items"][:2]] == [4, 3]
    whens = [one["when"] for one in _list(here)["items"]]
    assert whens == sorted(whens, key=list(When).index)


def test_mine_is_what_is_mine_or_nobodys(here: Asked) -> None:
    assert ("new_need", "n-1") in _lines(here)
    assert ("new_need", "n-1") in _lines(here, "colleague")
    case_id = _accept(here)
    _contact(here, f"/api/cases/{case_id}/contacts", days_ago=9, next_in=-1)
    (mine,) = [one for one in _list(here)["items"] if one["task"] == "follow_up"]
    assert (mine["is_mine"], mine["expert"], mine["case_id"]) == (True, "expert", case_id)
    assert "follow_up" not in {task for task, _ in _lines(here, "colleague")}
    assert _list(here, "colleague")["team"] == _list(here)["team"] == _list(here)["mine"]
    assert set(_lines(here, "colleague", whole_team=True)) == set(_lines(here))
    # Of another alliance's it has nothing.
    assert _list(here, "stranger", whole_team=True)["items"] == []
    assert here.ask("company", "GET", "/api/today").status_code == 403


def test_counts_are_those_of_the_night(here: Asked) -> None:
    case_id = _accept(here)
    _contact(here, f"/api/cases/{case_id}/contacts", days_ago=100, next_in=-90)
    other = here.done("expert", "POST", "/api/needs", json={"company": "co-1", "title": "另一項"})["id"]
    here.done("expert", "POST", f"/api/needs/{other}/take-up")
    with writing(here.engine) as session:
        long_ago = datetime.now(UTC) - timedelta(days=200)
        session.execute(update(Case).values(opened_at=long_ago))
        deferred, _ = store_proposal(session, here.accounts["expert"], "lab-2")
        later = {"state": PairingState.DEFERRED.value, "deferred_until": TODAY}
        session.execute(update(StoredPairing).where(col(StoredPairing.id) == deferred).values(**later))
    with reading(here.engine) as session:
        night = loads(session, ["al-a"], now=datetime.now(UTC))
    counted = {kind.value: n for who in night.values() for kind, n in who.items()}
    of_night = {
        "needs_to_match": "to_match",
        "deferred_due": "deferred",
        "follow_ups_due": "follow_up",
        "cases_without_contact": "silent_case",
        "silent_companies": "silent_company",
    }
    # The need's case was called of a hundred days ago, and so was its company.
    assert counted == dict.fromkeys(of_night, 1)
    assert _list(here, whole_team=True)["by_task"] == {of_night[kind]: n for kind, n in counted.items()}


def test_a_joint_visit_waits_from_its_day_until_it_is_reported(here: Asked) -> None:
    now = datetime.now(UTC)
    with writing(here.engine) as session:
        visits = [
            plan_visit(
                session,
                company_id="co-1",
                alliance_id="al-a",
                held_on=TODAY + timedelta(days=days),
                place="廠區",
                answers=[],
                team=[],
                agenda=[],
                by=here.accounts["expert"],
                now=now,
            ).id
            for days in (-9, 1)
        ]
    line = ("visit", str(visits[0]))

    def waits() -> tuple[Any, int]:
        """Return the line of the visit, and how many the night counts."""
        with reading(here.engine) as session:
            night = reminders(session, now=now)
        found = [one for one in _list(here)["items"] if one["task"] == "visit"]
        said = [
            (one["subject"], one["visit_state"], one["due_on"], one["company_name"], one["is_mine"]) for one in found
        ]
        return said, night.get("al-a", {}).get(Reminder.VISITS_DUE, 0)

    day = TODAY - timedelta(days=9)
    # The one of tomorrow is not due yet.
    assert waits() == ([(line[1], "planned", day.isoformat(), "甲公司", True)], 1)
    assert line in _lines(here, "colleague", whole_team=True)
    assert line not in _lines(here, "stranger", whole_team=True)
    with writing(here.engine) as session:
        move_visit(
            session, session.get_one(DiagnosisVisit, visits[0]), VisitState.HELD, by=here.accounts["expert"], now=now
        )
    # A report is due a week later.
    assert waits() == ([(line[1], "held", (day + timedelta(days=7)).isoformat(), "甲公司", True)], 1)
    page = here.ask("expert", "GET", "/desk").text
    assert [text in page for text in (f'href="/visits/{line[1]}"', "報告待撰寫", "撰寫報告")] == [True] * 3
    # With a declared interest somebody else turns to the company.
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    assert line not in _lines(here, "colleague", whole_team=True)
    with writing(here.engine) as session:
        visit = session.get_one(DiagnosisVisit, visits[0])
        change_visit(session, visit, {"findings": {"ai": "先整理資料"}}, now=now)
        move_visit(session, visit, VisitState.REPORTED, by=here.accounts["expert"], now=now)
    assert waits() == ([], 0)


def test_what_is_put_off_is_back_on_its_day_or_when_something_happens(here: Asked) -> None:
    other = here.done("expert", "POST", "/api/needs", json={"company": "co-1", "title": "另一項"})["id"]
    line = ("new_need", other)
    before = _list(here)
    path = f"/api/today/new_need/{other}/put-off"
    for day in (TODAY, TODAY + timedelta(days=91)):
        answer = here.ask("expert", "PUT", path, json={"until": day.isoformat()})
        assert (answer.status_code, answer.json()["field"]) == (422, "until")
    here.done("expert", "PUT", path, json={"until": (TODAY + timedelta(days=1)).isoformat()})
    after = _list(here)
    assert line not in _lines(here)
    assert line in _lines(here, put_off=True)
    assert (after["mine"], after["put_off"]) == (before["mine"] - 1, 1)
    # It is the person's own list: a colleague's and the night's counts have it still.
    assert line in _lines(here, "colleague")
    here.done("expert", "DELETE", path)
    assert line in _lines(here)
    assert _list(here)["put_off"] == 0
    here.done("expert", "DELETE", path)
    # What happened after it was put off brings it back.
    here.done("expert", "PUT", path, json={"until": (TODAY + timedelta(days=30)).isoformat()})
    assert line not in _lines(here)
    with writing(here.engine) as session:
        session.execute(update(PutOff).values(at=datetime.now(UTC) - timedelta(hours=1)))
    assert line in _lines(here)


def test_a_need_goes_to_a_colleague_with_its_open_cases(here: Asked) -> None:
    case_id = _accept(here)
    colleague = here.accounts["colleague"]
    for path in ("/api/needs/n-1/expert", f"/api/cases/{case_id}/expert"):
        for who in ("stranger", "company", "office", "researcher"):
            assert here.ask(who, "PUT", path, json={"expert": colleague}).status_code in (403, 404)
        wrong = here.ask("expert", "PUT", path, json={"expert": here.accounts["stranger"]})
        assert (wrong.status_code, wrong.json()["field"]) == (409, "expert")
    done = here.done("lead", "PUT", "/api/needs/n-1/expert", json={"expert": colleague, "note": "請接手"})
    assert done["expert"] == colleague
    case = here.done("colleague", "GET", f"/api/cases/{case_id}")
    assert (case["expert_id"], case["owner_id"]) == (colleague, here.accounts["expert"])
    assert [(one["given_to"], one["by"], one["note"]) for one in case["handed_on"]] == [
        (colleague, here.accounts["lead"], "請接手")
    ]
    assert [one["id"] for one in here.done("colleague", "GET", "/api/cases?mine=true")["items"]] == [case_id]
    assert here.done("expert", "GET", "/api/cases?mine=true")["items"] == []
    with reading(here.engine) as session:
        told = session.exec(select(Notice.kind, Notice.account_id).where(Notice.kind == "handed_on")).all()
        # Who accepted it stays who accepted it: that is what the second person of a result is asked about.
        stored = session.get_one(Case, case_id)
        assert stored.owner_id == here.accounts["expert"]
    assert told == [("handed_on", colleague)]
    # A second time to the same is nothing new.
    here.done("lead", "PUT", f"/api/cases/{case_id}/expert", json={"expert": colleague})
    assert len(here.done("colleague", "GET", f"/api/cases/{case_id}")["handed_on"]) == 1
    back = here.done("colleague", "PUT", f"/api/cases/{case_id}/expert", json={"expert": here.accounts["expert"]})
    assert (back["expert_id"], len(back["handed_on"])) == (here.accounts["expert"], 2)


def test_nothing_is_handed_on_that_nobody_carries(here: Asked) -> None:
    to = {"expert": here.accounts["colleague"]}
    unmoved = here.ask("expert", "PUT", "/api/needs/n-1/expert", json=to)
    assert (unmoved.status_code, unmoved.json()["field"]) == (409, "need")
    case_id = _accept(here)
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "lab", "party_id": "lab-1"})
    bound = here.ask("expert", "PUT", f"/api/cases/{case_id}/expert", json=to)
    assert (bound.status_code, bound.json()["field"]) == (409, "expert")
    lost = {"stage": "lost", "reason": "lab_declined"}
    here.done("expert", "POST", f"/api/cases/{case_id}/transition", json=lost)
    ended = here.ask("expert", "PUT", f"/api/cases/{case_id}/expert", json={"expert": here.accounts["lead"]})
    assert (ended.status_code, ended.json()["field"]) == (409, "case")


def test_views_are_kept_by_name_and_are_ones_own(here: Asked) -> None:
    asked_for = {"page": "cases", "name": "我的  逾期", "query": "?mine=true&overdue=true&cursor=abc&stage="}
    view = here.done("expert", "POST", "/api/saved-views", json=asked_for)
    assert (view["name"], view["address"]) == ("我的 逾期", "/cases?mine=true&overdue=true")
    again = here.done("expert", "POST", "/api/saved-views", json={**asked_for, "query": "mine=true"})
    assert (again["id"], again["query"]) == (view["id"], "mine=true")
    assert [one["id"] for one in here.done("expert", "GET", "/api/saved-views")["items"]] == [view["id"]]
    assert here.done("colleague", "GET", "/api/saved-views")["items"] == []
    assert here.ask("colleague", "DELETE", f"/api/saved-views/{view['id']}").status_code == 404
    for wrong, field in (
        ({"name": " "}, "name"),
        ({"name": "長" * 41}, "name"),
        ({"query": "q=" + "x" * 2_000}, "query"),
        ({"page": "admin"}, "page"),
    ):
        answer = here.ask("expert", "POST", "/api/saved-views", json=asked_for | wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    here.done("expert", "DELETE", f"/api/saved-views/{view['id']}")
    assert here.done("expert", "GET", "/api/saved-views")["items"] == []


def test_lists_are_sorted_by_a_column_page_by_page(here: Asked) -> None:
    for title in ("丙", "甲", "乙"):
        here.done("expert", "POST", "/api/needs", json={"company": "co-1", "title": title})

    def pages(query: str) -> list[str]:
        found, cursor = [], ""
        while True:
            page = here.done("expert", "GET", f"/api/needs?limit=3&{query}{cursor}")
            found += [one["title"] for one in page["items"]]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    whole = pages("")
    up, down = pages("sort=title"), pages("sort=title&descending=true")
    assert up == sorted(whole)
    assert down == up[::-1]
    assert sorted(pages("sort=waiting")) == sorted(whole)
    assert pages("sort=waiting&descending=true")[0] == "拋光太慢"
    here.done("lead", "PUT", "/api/companies/co-2/client", json={})
    _contact(here, "/api/companies/co-2/contacts", days_ago=3, who="lead")
    listed = {
        query: [one["id"] for one in here.done("expert", "GET", f"/api/companies?{query}")["items"]]
        for query in ("sort=name", "sort=open_needs", "sort=last_contact", "sort=last_contact&descending=true")
    }
    # Without a contact a company stands last, whichever way round.
    assert listed == {
        "sort=name": ["co-2", "co-1"],
        "sort=open_needs": ["co-2", "co-1"],
        "sort=last_contact": ["co-2", "co-1"],
        "sort=last_contact&descending=true": ["co-2", "co-1"],
    }
    assert here.ask("expert", "GET", "/api/needs?sort=budget").status_code == 422


def test_accounts_are_sorted_by_a_column(here: Asked) -> None:
    def listed(query: str) -> list[dict[str, str]]:
        found, cursor = [], ""
        while True:
            page = here.done("office", "GET", f"/api/accounts?limit=3&{query}{cursor}")
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    emails = [one["email"] for one in listed("sort=email")]
    assert len(emails) > 6
    assert emails == sorted(emails)
    assert [one["email"] for one in listed("sort=email&descending=true")] == emails[::-1]
    names = [one["name"].casefold() for one in listed("sort=name")]
    assert names == sorted(names)
    # The control: by id they stand otherwise.
    assert [one["email"] for one in listed("")] != emails
