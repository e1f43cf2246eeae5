"""The month is the alliance's word: its lead confirms it before the committee sees what was reported in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session, select

from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rule_documents import move_document, second_document
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.months import (
    MonthReport,
    MonthWords,
    begin_months,
    confirm_month,
    end_of_month,
    entries_of_month,
    month_of,
    month_report,
)
from matcher.ledger.rules.recognition import RecognitionRules, check, months_since
from matcher.ledger.rules.reporting import report
from matcher.notices.outbox import Notice
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, money
from tests.rig.worlds.small_world import Asked, asked

WORDS = MonthWords("與甲公司簽約", gap="培育人數落後", measures="加開課程")
JUNE = datetime(2019, 6, 3, 4, 0, tzinfo=UTC)
RULE = RecognitionRules.model_validate(
    {**default(RecognitionRules).model_dump(), "months_confirmed_from": "2019-05-01"}
)


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    made = build_ledger_world(engine)
    with writing(engine) as session:
        for name, alliance in (("lead", "al-a"), ("other_lead", "al-b")):
            account = add_account(session, email=f"{name}@example.org", name=name, now=NOON)
            grant(session, account_id=account.id, role=Role.LEAD, scope_id=alliance, by=None, now=NOON)
            made.people[name] = account.id
    return made


def _ruled(session: Session, people: dict[str, str], first: str = "office", second: str = "second_office") -> None:
    moved = move_document(session, RULE, reason="月報先行", by=people[first], now=NOON)
    second_document(session, motion_id=moved.id or 0, by=people[second], now=NOON)


def _confirmed(session: Session, world: LedgerWorld, month: str, now: datetime, by: str = "lead") -> MonthReport:
    people = world.people
    return confirm_month(session, alliance_id="al-a", month=month, words=WORDS, by=people[by], now=now)


def test_the_committee_checks_once_a_lead_stands_by_the_month(engine: Engine, world: LedgerWorld) -> None:
    people = world.people
    with writing(engine) as session:
        _ruled(session, people)
        report(session, money(), by=people["reporter"], now=NOON)
    for month in (None, "2019-04"):
        if month is not None:
            with writing(engine) as session:
                _confirmed(session, world, month, NOON)
        with pytest.raises(LedgerError, match="has not confirmed the month 2019-05"), writing(engine) as session:
            check(session, entry_id="money-0001", by=people["committee"], now=NOON)
    with writing(engine) as session:
        _confirmed(session, world, "2019-05", NOON)
        check(session, entry_id="money-0001", by=people["committee"], now=NOON)
    # What is reported later in the month waits until it is confirmed again, then to its end and no further.
    later = NOON + timedelta(days=3)
    with writing(engine) as session:
        two = money("money-0002", amount=7, details={"contract": "C-2", "payer": "丙"})
        report(session, two, by=people["reporter"], now=later)
        three = money("money-0003", amount=8, details={"contract": "C-3", "payer": "丁"})
        report(session, three, by=people["reporter"], now=JUNE)
    with pytest.raises(LedgerError, match="2019-05"), writing(engine) as session:
        check(session, entry_id="money-0002", by=people["committee"], now=later)
    with writing(engine) as session:
        assert (_confirmed(session, world, "2019-05", JUNE).version, end_of_month("2019-05") < JUNE) == (2, True)
        check(session, entry_id="money-0002", by=people["committee"], now=JUNE)
        assert [one.id for one in entries_of_month(session, "al-a", "2019-05")] == ["money-0001", "money-0002"]
    with pytest.raises(LedgerError, match="2019-06"), writing(engine) as session:
        check(session, entry_id="money-0003", by=people["committee"], now=JUNE)
    with reading(engine) as session:
        assert verify(session).findings == []
        held = month_report(session, "al-a", "2019-05", as_of=NOON)
        assert held is not None
        assert (held.version, held.by, held.at, held.until, held.gap) == (1, people["lead"], NOON, NOON, WORDS.gap)


def test_without_the_rule_and_for_what_came_before_it_nothing_waits(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        given = money(occurred_on=date(2019, 4, 10))
        report(session, given, by=world.people["reporter"], now=NOON - timedelta(days=30))
        _ruled(session, world.people)
        check(session, entry_id="money-0001", by=world.people["committee"], now=NOON)
    with reading(engine) as session:
        assert verify(session).findings == []


def test_a_new_home_confirms_its_months_from_its_first_day(engine: Engine) -> None:
    with writing(engine) as session:
        assert begin_months(session, now=NOON)
    people = build_ledger_world(engine).people
    with writing(engine) as session:
        # It began already; and one that has people goes on as it was.
        assert not begin_months(session, now=NOON + timedelta(days=9))
        assert months_since(session) == NOON.date()
        early = money("early-0001", occurred_on=date(2019, 4, 10), details={"contract": "C-0", "payer": "乙"})
        report(session, early, by=people["reporter"], now=NOON - timedelta(days=1))
        report(session, money(), by=people["reporter"], now=NOON)
        check(session, entry_id="early-0001", by=people["committee"], now=NOON)
    with pytest.raises(LedgerError, match="has not confirmed the month 2019-05"), writing(engine) as session:
        check(session, entry_id="money-0001", by=people["committee"], now=NOON)
    # The office's own day goes before it.
    later = RULE.model_copy(update={"months_confirmed_from": date(2019, 7, 1)})
    with writing(engine) as session:
        moved = move_document(session, later, reason="七月起", by=people["office"], now=NOON)
        second_document(session, motion_id=moved.id or 0, by=people["second_office"], now=NOON)
    with writing(engine) as session:
        assert months_since(session) == date(2019, 7, 1)
        check(session, entry_id="money-0001", by=people["committee"], now=NOON)
        assert verify(session).findings == []


def test_a_home_that_has_people_goes_on_until_its_office_sets_a_day(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        assert not begin_months(session, now=NOON)
        assert months_since(session) is None
        report(session, money(), by=world.people["reporter"], now=NOON)
        check(session, entry_id="money-0001", by=world.people["committee"], now=NOON)


@pytest.mark.parametrize(
    ("by", "month", "words", "field"),
    [
        ("reporter", "2019-05", WORDS, "by"),
        ("other_lead", "2019-05", WORDS, "by"),
        ("office", "2019-05", WORDS, "by"),
        ("lead", "2019-06", WORDS, "month"),
        ("lead", "2019-13", WORDS, "month"),
        ("lead", "2016-12", WORDS, "month"),
        ("lead", "2019-05", MonthWords("  "), "achievements"),
    ],
)
def test_only_a_lead_confirms_a_month_that_has_begun(
    engine: Engine, world: LedgerWorld, by: str, month: str, words: MonthWords, field: str
) -> None:
    with pytest.raises(LedgerError) as refused, writing(engine) as session:
        confirm_month(session, alliance_id="al-a", month=month, words=words, by=world.people[by], now=NOON)
    assert refused.value.field == field
    with writing(engine) as session:
        assert _confirmed(session, world, "2019-05", NOON).version == 1


def test_the_database_refuses_another_hand_and_any_change(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        given = _confirmed(session, world, "2019-05", NOON).model_dump(exclude={"id"})
    other = MonthReport(**{**given, "version": 2, "by": world.people["reporter"]})
    with pytest.raises(DatabaseError, match="by a lead of its alliance"), writing(engine) as session:
        session.add(other)
    with pytest.raises(DatabaseError, match="append-only"), writing(engine) as session:
        session.exec(select(MonthReport)).one().gap = "無"


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])
            second = add_account(session, email="second-office@example.org", name="第二人", now=NOON)
            grant(session, account_id=second.id, role=Role.OFFICE, scope_id="", by=None, now=NOON)
            made.accounts["second_office"] = second.id
        yield made


def _waiting(here: Asked, who: str) -> list[str]:
    return [one["id"] for one in here.done(who, "GET", "/api/ledger/review")["items"]]


def _on_desk(here: Asked, who: str) -> int:
    groups = here.done(who, "GET", "/api/agenda")["groups"]
    return next(int(one["total"]) for one in groups if one["kind"] == "reported_entries")


def test_over_http_the_queue_the_desk_and_the_letters_wait_for_it(here: Asked) -> None:
    with writing(here.engine) as session:
        _ruled(session, here.accounts)
    given = {name: value for name, value in vars(money()).items() if value is not None}
    body: dict[str, Any] = {**given, "kpi": "L", "occurred_on": "2019-05-02"}
    entry_id = here.done("expert", "POST", "/api/ledger/entries", json=body)["items"][0]["id"]
    month = month_of(datetime.now(UTC))

    def told() -> int:
        with reading(here.engine) as session:
            kinds = session.exec(select(Notice.kind).where(Notice.account_id == here.accounts["committee"])).all()
        return list(kinds).count("result_to_review")

    assert (_waiting(here, "committee"), _on_desk(here, "committee"), told()) == ([], 0, 0)
    assert (_waiting(here, "office"), _on_desk(here, "office")) == ([entry_id], 1)
    review = here.done("committee", "GET", f"/api/ledger/entries/{entry_id}/review")
    assert (review["awaits_month"], "check" in review["verbs"]) == (month, False)
    refused = here.ask("committee", "POST", f"/api/ledger/entries/{entry_id}/check", json={})
    assert (refused.status_code, refused.json()["field"]) == (422, "month")
    path, words = "/api/alliances/al-a/month", {"month": month, "achievements": "簽約一件", "help": "無"}
    for who, status in (("expert", 403), ("stranger", 403), ("committee", 403), ("office", 403)):
        assert here.ask(who, "POST", path, json=words).status_code == status
    before = here.done("lead", "GET", path, params={"month": month})
    assert (before["report"], before["unconfirmed"], before["reported"]) == (None, 1, [entry_id])
    made = here.done("lead", "POST", path, json=words)
    assert (made["version"], made["by"], made["help"]) == (1, here.accounts["lead"], "無")
    assert (_waiting(here, "committee"), _on_desk(here, "committee"), told()) == ([entry_id], 1, 1)
    here.done("committee", "POST", f"/api/ledger/entries/{entry_id}/check", json={})
    listed = here.done("committee", "GET", "/api/months", params={"month": month})
    assert [(one["alliance_id"], one["unconfirmed"], one["report"]["by"]) for one in listed["items"]] == [
        ("al-a", 0, here.accounts["lead"])
    ]
    assert here.ask("stranger", "GET", path).status_code in (403, 404)
    trail = here.done("office", "GET", "/api/audit", params={"resource": "month", "outcome": "done"})["items"]
    assert [(one["account_id"], one["action"]) for one in trail] == [(here.accounts["lead"], "create")]
