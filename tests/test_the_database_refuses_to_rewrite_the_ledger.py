# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)
"""Whoever comes to the database by another door can't rewrite what was decided: it refuses, not the program."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, inspect
from sqlmodel import Session, select

from api.access.identities import AccountIdentity
from api.trail.audit_trail import Act, How, Outcome, Subject, note_emergency_read, write_down
from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.records.mended.merged import RecordMerge
from matcher.erasure import ErasedKind, erase
from matcher.ledger.figures.gender import GenderGroup, analyse, supply_counts
from matcher.ledger.figures.ladder import graduate
from matcher.ledger.figures.sufficiency import SufficiencyItem, book, earn
from matcher.ledger.rows.details import Aspect, Gender
from matcher.ledger.rows.evidence import note_file
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import move_close, second_close
from matcher.ledger.rows.pseudonyms import register
from matcher.ledger.rows.school_totals import supply
from matcher.ledger.rule_documents import move_document, second_document
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.model_cases import Scored
from matcher.ledger.rules.months import MonthsStart, MonthWords, confirm_month, month_of
from matcher.ledger.rules.recognition import RecognitionRules, move_reversal, score, second_reversal
from matcher.ledger.rules.reporting import AcceptanceLedger, report
from matcher.portfolio.kept_plans import keep_plan
from matcher.portfolio.plans import Plan
from matcher.review.case_teams import CaseTeam, CaseTeamMember
from matcher.review.cases import Stage, move_case
from matcher.review.decisions import Verdict, decide
from matcher.review.desk.handing_on import HandOver
from matcher.review.joint.kept_chains import NeedChain
from matcher.review.joint.visits import plan_visit
from matcher.review.people import Account, add_account, grant, revoke
from matcher.review.roles import Role
from matcher.review.steering import NeedSteering
from tests.rig.faults.raw_database import copied, raw, refusal, triggers_of, without
from tests.rig.worlds.ledger_world import LedgerWorld, carry_itself, money, recognised
from tests.rig.worlds.small_world import MORNING, build_world

APPEND_ONLY = (
    "account_identity",
    "account_tie",
    "aspect_score",
    "audit",
    "audit_subject",
    "break_glass_read",
    "case_step",
    "configuration_version",
    "decision",
    "erasure",
    "evidence_file",
    "gender_analysis",
    "gender_count",
    "hand_over",
    "ladder_step",
    "ledger_duties_start",
    "ledger_entry",
    "ledger_link",
    "ledger_months_start",
    "ledger_motion",
    "ledger_motion_end",
    "ledger_period_close",
    "ledger_person_key",
    "ledger_similarity",
    "ledger_step",
    "month_report",
    "need_chain",
    "need_steering",
    "visit_step",
    "case_team",
    "portfolio_plan",
    "case_team_member",
    "need_step",
    "point_row",
    "proposal",
    "school_total",
    "sufficiency_row",
)
KEPT = ("ledger_head", "ledger_live_fact")
"""Tables that change, but only in one direction."""
APRIL = datetime(2019, 4, 3, 4, 0, tzinfo=UTC)


@pytest.fixture
def full(engine: Engine) -> Engine:
    """A database with a row in every append-only table; 2019Q1 is closed, entry `money-0003` is live."""
    world = build_world(engine)
    people = {**world.people, "reporter": world.people["expert"]}
    with writing(engine) as session:
        people["second"] = add_account(session, email="second@example.org", name="二", now=MORNING).id
        add_account(session, email="third@example.org", name="三", now=MORNING, by=people["office"])
        decide(
            session,
            pairing_id=world.pairing_id,
            proposal_id=world.proposal_id,
            verdict=Verdict.ACCEPT,
            by=people["expert"],
            alliance_id="al-a",
            now=MORNING,
            ledger=AcceptanceLedger(),
        )
        move_case(session, case_id=1, stage=Stage.INTRODUCED, by=people["expert"], now=MORNING)
        note_emergency_read(session, need_id="n-1", account_id=people["office"], reason="申訴", now=MORNING)
        import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])
        more = {"school_id": "sc-1", "amount_ntd": 1, "source": "校務", "by": people["office"], "now": MORNING}
        supply(session, year=2019, **more)
        rules = move_document(session, default(RecognitionRules), reason="確認", by=people["office"], now=MORNING)
        second_document(session, motion_id=rules.id or 0, by=people["second"], now=MORNING)
        ledger = LedgerWorld(people)
        early = {"occurred_on": date(2019, 2, 1)}
        recognised(session, ledger, money("money-0001", **early), APRIL)
        entry = recognised(session, ledger, money("money-0002", details={"instalment": 2}, **early), APRIL)
        motion = move_reversal(session, entry_id=entry.id, reason="誤植", by=people["office"], now=APRIL)
        second_reversal(session, motion_id=motion.id or 0, by=people["second"], now=APRIL)
        motion = move_close(session, period="2019Q1", reason="季結", by=people["office"], now=APRIL)
        second_close(session, motion_id=motion.id or 0, by=people["second"], now=APRIL)
        # By somebody who has no other part in it, and left the alliance: whatever keeps the word from them is that
        # they reported it.
        post = grant(session, account_id=people["second"], role=Role.EXPERT, scope_id="al-a", by=None, now=MORNING)
        report(session, money("money-0003", details={"contract": "C-2"}), by=people["second"], now=MORNING)
        revoke(session, grant_id=post.id or 0, by=people["office"], now=MORNING)
        # A file that no entry names may go; this one is named.
        proof = [{"sha256": "0" * 64, "name": "契約"}]
        report(
            session, money("money-0004", details={"contract": "C-3"}, evidence=proof), by=people["expert"], now=MORNING
        )
        _month_and_score(session, people)
        _more_facts(session, people["office"])
        erase(session, kind=ErasedKind.ACCOUNT, subject=people["job"], reason="本人要求", by="office", now=MORNING)
        seen = (Subject("need", "need-1-01"),)
        write_down(session, [Act(MORNING, "need", "read", How.API, "get_need", outcome=Outcome.SEEN, subjects=seen)])
    return engine


def _month_and_score(session: Session, people: dict[str, str]) -> None:
    said: dict[str, Any] = {"reference": "典範-1", "title": "甲", "aspects": {one.value: "成果" for one in Aspect}}
    model = replace(money("model-0001"), kpi=Kpi.MODEL_CASES, amount=1, details=said, company_id=None, evidence=[])
    report(session, model, by=people["expert"], now=MORNING)
    scores = {Aspect.CAPACITY: Scored(4, "佐證相符")}
    score(session, entry_id="model-0001", scores=scores, by=people["committee"], now=MORNING)
    words, month = MonthWords("簽約一件"), month_of(MORNING)
    confirm_month(session, alliance_id="al-a", month=month, words=words, by=people["lead"], now=MORNING)


def _more_facts(session: Session, office: str) -> None:
    """Store a row in each of the tables that no step of a result fills."""
    who: dict[str, Any] = {"by": office, "now": MORNING}
    person = register(session, key=b"k" * 32, name="王小明", identifier="1", contact=None, **who)
    day: dict[str, Any] = {"alliance_id": "al-a", "occurred_on": date(2019, 2, 1), "source": "傳票", **who}
    book(session, item=SufficiencyItem.OVERHEAD, amount_ntd=1, **day)
    earn(session, person=person, activity="company_visit", **day)
    counted: dict[str, Any] = {"alliance_id": "al-a", "year": 2019, "group": GenderGroup.PI, **who}
    supply_counts(session, people={Gender.FEMALE: 1}, source="名冊", **counted)
    analyse(session, text="人數少", **counted)
    session.add(MonthsStart(since=date(2031, 1, 1), at=MORNING))
    carry_itself(session, alliance_id="al-a", **who)
    graduate(session, alliance_id="al-a", reason="自主營運", **who)
    note_file(session, sha256="0" * 64, size_bytes=1, **who)
    session.add(NeedSteering(need_id="n-1", alliance_id="al-a", words=[], by=office, at=MORNING))
    session.add(NeedChain(need_id="n-1", alliance_id="al-a", companies=["co-1"], by=office, at=MORNING))
    plan_visit(
        session,
        company_id="co-1",
        alliance_id="al-a",
        held_on=date(2019, 2, 1),
        place="",
        answers=[],
        team=[],
        agenda=[],
        by=office,
        now=MORNING,
    )
    team = CaseTeam(need_id="n-1", alliance_id="al-a", lead_case_id=1, by=office, at=MORNING)
    session.add(team)
    session.flush()
    session.add(CaseTeamMember(team_id=team.id or 0, case_id=1))
    session.add(HandOver(case_id=1, given_to=office, by=office, at=MORNING))
    rest: dict[str, Any] = {"left_out": {}, "prospects": [], "words": [], "rests_on": "r", "generation": "g"}
    keep_plan(session, plan=Plan((), 0), alliance_id="al-a", by=office, now=MORNING, **rest)
    session.add(AccountIdentity(issuer="https://id.example", subject="s", account_id=office, linked_at=MORNING))
    session.flush()


def rewriting(engine: Engine, table: str) -> dict[str, str]:
    """Return every way to change what a table says, by name."""
    keys = inspect(engine).get_pk_constraint(table)["constrained_columns"]
    first, key = keys[0], ", ".join(keys)
    ways = {
        "update": f"UPDATE {table} SET {first} = {first}",
        "delete": f"DELETE FROM {table}",
        "upsert": f"INSERT INTO {table} SELECT * FROM {table} WHERE true LIMIT 1 "
        f"ON CONFLICT ({key}) DO UPDATE SET {first} = excluded.{first}",
    }
    if engine.dialect.name == "sqlite":
        ways["replace"] = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"
        ways["update or replace"] = f"UPDATE OR REPLACE {table} SET {first} = {first}"
    else:
        ways["truncate"] = f"TRUNCATE {table} CASCADE"
        ways["merge"] = f"MERGE INTO {table} t USING {table} s ON t.{first} = s.{first} WHEN MATCHED THEN DELETE"
    return ways


def test_no_row_of_a_fact_is_changed_or_removed(full: Engine) -> None:
    guarded = {
        name
        for name in inspect(full).get_table_names()
        if any("append_only" in trigger or "no_update" in trigger for trigger in triggers_of(full, name))
    }
    # What judges say is kept the same way, and tried where it is filled: test_grades_are_words_that_stay.
    judged = {"judging", "judging_member", "judging_step", "judged_pair", "judged_word"}
    assert guarded == set(APPEND_ONLY) | judged
    with raw(full) as driver:
        for table in APPEND_ONLY:
            count = driver.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            assert count > 0, f"{table} is empty: nothing was tried"
            refused = {way: refusal(driver, statement) for way, statement in rewriting(full, table).items()}
            assert {way: said for way, said in refused.items() if said is None} == {}, table
            ours = (
                "append-only",
                "is a chain",
                "closed in their order",
                "has left the programme",
                "people have one key",
            )
            assert all(any(words in str(said) for words in ours) for said in refused.values()), refused


def test_without_its_triggers_every_one_of_these_statements_goes_through(full: Engine) -> None:
    """The control: it was the triggers that refused them, and the statements are right."""
    if full.dialect.name == "sqlite":
        with full.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
    for table in APPEND_ONLY:
        with raw(full) as driver:
            ways = rewriting(full, table)
            if full.dialect.name != "sqlite":
                for other in (*APPEND_ONLY, *KEPT):
                    without(full, driver, other)
            else:
                without(full, driver, table)
            assert {way: refusal(driver, statement) for way, statement in ways.items()} == dict.fromkeys(ways), table


def test_heads_and_keys_go_one_way_only(full: Engine) -> None:
    statements = {
        "a head moved back": "UPDATE ledger_head SET n = n - 1",
        "a head given another chain": "UPDATE ledger_head SET chain = chain || 'x'",
        "a head removed": "DELETE FROM ledger_head",
        "a key set free before its end": "DELETE FROM ledger_live_fact WHERE entry_id = 'money-0003'",
        "a key handed on": "UPDATE ledger_live_fact SET entry_id = 'money-0002' WHERE entry_id = 'money-0003'",
        "a key of another entry": "INSERT INTO ledger_live_fact VALUES ('L', 'other', 'money-0002', 'other', '')",
        "a second entry with a key": copied(full, "ledger_live_fact", "entry_id = 'money-0003'", entry_id="money-0004"),
    }
    if full.dialect.name == "sqlite":
        statements["a head replaced"] = "INSERT OR REPLACE INTO ledger_head SELECT chain, 0, hash FROM ledger_head"
    else:
        statements |= {f"all of {table}": f"TRUNCATE {table}" for table in KEPT}
    with raw(full) as driver:
        assert [name for name, statement in statements.items() if refusal(driver, statement) is None] == []
        # The control: what the product itself does goes through by the same door.
        assert refusal(driver, "UPDATE ledger_head SET n = n + 1") is None
    with raw(full) as driver:
        for table in KEPT:
            without(full, driver, table)
        without(full, driver, "ledger_entry")
        kept = {name: refusal(driver, statement) for name, statement in statements.items()}
        # What is left is refused by the primary key.
        assert [name for name, said in kept.items() if said is not None] == ["a second entry with a key"]


LAST = "seq = (SELECT max(seq) FROM ledger_entry)"
NEXT: dict[str, Any] = {"id": "raw-0001", "kind": "fact", "reverses": None, "natural_key": "raw"}


def _next_entry(engine: Engine, **changed: Any) -> str:
    """Return the statement that adds a right row at the end, but for what is changed."""
    with raw(engine) as driver:
        seq, last = driver.execute(f"SELECT seq, hash FROM ledger_entry WHERE {LAST}").fetchone()
    return copied(engine, "ledger_entry", LAST, **{**NEXT, "seq": seq + 1, "prev_hash": last, **changed})


BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "a gap": ("ledger_entry_in_order", {"seq": 1_000}),
    "a number twice": ("ledger_entry_in_order", {"seq": 0}),
    "a wrong hash before it": ("ledger_entry_in_order", {"prev_hash": "f" * 64}),
    "shares of 9,999": ("ledger_entry_shares_whole", {"shares": {"al-a": 9_999}}),
    "shares of 10,001": ("ledger_entry_shares_whole", {"shares": {"al-a": 10_001}}),
    "a negative share": ("ledger_entry_shares_whole", {"shares": {"al-a": 10_001, "al-b": -1}}),
    "a share of nothing": ("ledger_entry_shares_whole", {"shares": {"al-a": 10_000, "al-b": 0}}),
    "half a basis point": ("ledger_entry_shares_whole", {"shares": {"al-a": 9_999.5, "al-b": 0.5}}),
    "no shares": ("ledger_entry_shares_whole", {"shares": {}}),
    "a closed quarter": ("ledger_entry_quarter_open", {"period": "2019Q1"}),
    "a quarter before a closed one": ("ledger_entry_quarter_open", {"period": "2018Q3"}),
}


def test_no_entry_breaks_the_chain_its_shares_or_a_closed_quarter(full: Engine) -> None:
    right = _next_entry(full)
    for name, (trigger, changed) in BROKEN.items():
        broken = _next_entry(full, **changed)
        with raw(full) as driver:
            assert refusal(driver, right) is None, name
            assert refusal(driver, broken) is not None, name
            without(full, driver, "ledger_entry", trigger)
            assert refusal(driver, broken) is None, name


CHECKED = "seq = (SELECT max(seq) FROM ledger_step WHERE entry_id = 'money-0003')"
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "a gap": ("ledger_step_in_order", {"seq": 1_000}),
    "a wrong hash before it": ("ledger_step_in_order", {"prev_hash": "f" * 64}),
    "recognised in a closed quarter": (
        "ledger_step_quarter_open",
        {"state": "recognised", "period": "2019Q1", "kpi_year": 2019},
    ),
    "checked by the reporter": ("ledger_step_by_another", {"state": "checked", "by": "二"}),
    "checked by the reporter's other account": ("ledger_step_by_no_merged", {"state": "checked", "by": "三"}),
}


def _merged(engine: Engine) -> None:
    """Say that the accounts 二 and 三 are one person's."""
    with writing(engine) as session:
        two, three = (session.exec(select(Account.id).where(Account.name == name)).one() for name in "二三")
        session.add(RecordMerge(kind="person", gone_id=two, kept_id=three, reason="同一人", by=None, at=MORNING))


def test_who_moved_seconds_under_no_account(full: Engine) -> None:
    with raw(full) as driver:
        accounts = dict(driver.execute("SELECT name, id FROM account").fetchall())
    with writing(full) as session:
        rules = default(RecognitionRules)
        motion = move_document(session, rules, reason="再議", by=accounts["二"], now=APRIL).id
    end = copied(
        full, "ledger_motion_end", "motion_id = 1", motion_id=motion, moved_by=accounts["二"], by=accounts["三"]
    )
    with raw(full) as driver:
        # The control: two people may.
        assert refusal(driver, end) is None
    _merged(full)
    with raw(full) as driver:
        assert "one person" in str(refusal(driver, end))
        without(full, driver, "ledger_motion_end", "ledger_motion_end_by_no_merged")
        assert refusal(driver, end) is None


def test_no_step_breaks_the_chain_a_closed_quarter_or_comes_from_the_reporter(full: Engine) -> None:
    _merged(full)
    with raw(full) as driver:
        seq, last = driver.execute("SELECT seq, hash FROM ledger_step ORDER BY seq DESC LIMIT 1").fetchone()
        accounts = dict(driver.execute("SELECT name, id FROM account").fetchall())
    right = {"seq": seq + 1, "prev_hash": last, "version": 2, "by": accounts["office"], "state": "checked"}
    for name, (trigger, changed) in STEPS.items():
        given = {**right, **changed, "by": accounts[changed.get("by", "office")]}
        broken = copied(full, "ledger_step", CHECKED, **given)
        with raw(full) as driver:
            assert refusal(driver, copied(full, "ledger_step", CHECKED, **right)) is None, name
            assert refusal(driver, broken) is not None, name
            without(full, driver, "ledger_step", trigger)
            assert refusal(driver, broken) is None, name
