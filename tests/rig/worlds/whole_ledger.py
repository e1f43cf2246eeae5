"""A ledger with a row of every kind that a proof looks at, and an attacker who owns its file and knows all of it.

In: an empty SQLite database. Out: entries in every state, closed quarters, motions, rules, roles, totals, claims,
decisions, ladders, money, points, counts, an audit trail; and statements on a copy past every trigger, which the
attacker takes away before and puts back afterwards, with hashes made anew where asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine, Table, text
from sqlmodel import Session, select

from api.trail.audit_trail import Act, AuditRow, AuditSubject, How, Outcome, Subject, note_emergency_read, write_down
from indexer.database import writing
from indexer.records.exchange import NeedIn
from indexer.records.importing import import_rows
from matcher.erasure import ErasedKind, erase
from matcher.ledger.figures.gender import Gender, GenderGroup, analyse, supply_counts
from matcher.ledger.figures.ladder import LadderStep, Rung, graduate
from matcher.ledger.figures.sufficiency import SufficiencyItem, book, earn, take_back
from matcher.ledger.rows.chain import GENESIS, Chain, hash_of
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.links import Link
from matcher.ledger.rows.periods import move_close, second_close
from matcher.ledger.rows.pseudonyms import read_key, register
from matcher.ledger.rows.result_claims import ExternalClaim, end_external, note_external
from matcher.ledger.rows.steps import Step
from matcher.ledger.rule_documents import move_document, second_document
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.granting import move_grant, second_grant
from matcher.ledger.rules.months import MonthsStart
from matcher.ledger.rules.recognition import (
    RecognitionRules,
    check,
    move_reversal,
    recognise,
    refuse,
    second_recognition,
    second_reversal,
)
from matcher.ledger.rules.reporting import AcceptanceLedger, report
from matcher.review.cases import Stage, move_case
from matcher.review.decisions import Verdict, decide
from matcher.review.intake import submit
from matcher.review.own_lab.researchers import ClaimVerdict, claim, decide_claim
from matcher.review.people import add_account, declare_stake, grant
from matcher.review.roles import Role
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, carry_itself, money, recognised
from tests.rig.worlds.small_world import store_proposal

APRIL = datetime(2019, 4, 3, 4, 0, tzinfo=UTC)
LATER = datetime(2019, 9, 10, 4, 0, tzinfo=UTC)


def build_whole_ledger(engine: Engine, home: Path) -> LedgerWorld:
    """Store a row of every kind, in the order in which it would have come about."""
    world = build_ledger_world(engine)
    _results(engine, world)
    _around(engine, world, home)
    _acceptance(engine, world)
    with writing(engine) as session:
        about = (Subject("need", "n-1"),)
        seen = Act(LATER, "need", "read", How.API, "get_need", outcome=Outcome.SEEN, subjects=about)
        write_down(session, [seen] * 5)
    with writing(engine) as session:
        add_account(session, email="newcomer@example.org", name="新人", now=LATER)
        write_down(session, [replace(seen, operation="create_account", outcome=Outcome.DONE)])
    with writing(engine) as session:
        write_down(session, [seen] * 3)
    return world


def _results(engine: Engine, world: LedgerWorld) -> None:
    people = world.people
    with writing(engine) as session:
        recognised(session, world, _money(1, date(2019, 2, 3)), APRIL)
        recognised(session, world, _money(2, date(2019, 2, 4)), APRIL)
        motion = move_close(session, period="2019Q1", reason="季結", by=people["office"], now=APRIL)
        second_close(session, motion_id=motion.id or 0, by=people["second_office"], now=APRIL)
    with writing(engine) as session:
        recognised(session, world, _money(3, date(2019, 5, 3)))
        report(session, _money(4, date(2019, 5, 3), amount=9_000_000), by=people["reporter"], now=NOON)
        check(session, entry_id="money-0004", by=people["committee"], now=NOON)
        large = recognise(session, entry_id="money-0004", by=people["office"], now=NOON)
        assert large is not None
        second_recognition(session, motion_id=large.id or 0, by=people["second_office"], now=NOON)
        recognised(session, world, _money(5, date(2019, 5, 4)))
        wrong = move_reversal(session, entry_id="money-0005", reason="誤植", by=people["office"], now=NOON)
        second_reversal(session, motion_id=wrong.id or 0, by=people["second_office"], now=NOON)
        report(session, _money(6, date(2019, 5, 5)), by=people["reporter"], now=NOON)
        refuse(session, entry_id="money-0006", reason="重複", by=people["committee"], now=NOON)
        report(session, _money(7, date(2019, 5, 6)), by=people["reporter"], now=NOON)
        alike = _money(8, date(2019, 5, 6), details={"payer": _payer(7), "contract": "C-8-X"}, amount=1_007)
        assert report(session, alike, by=people["reporter"], now=NOON)[1] == "held"
        report(session, _money(9, date(2019, 5, 7), amount=7_000_000), by=people["reporter"], now=NOON)
        check(session, entry_id="money-0009", by=people["committee"], now=NOON)
        recognise(session, entry_id="money-0009", by=people["office"], now=NOON)


def _payer(number: int) -> str:
    return "甲乙丙丁戊己庚辛壬"[number % 9] * (number + 3)


def _money(number: int, day: date, **more: Any) -> Any:
    details = {"contract": f"C-{number}", "payer": _payer(number), **more.pop("details", {})}
    return money(f"money-{number:04}", **{"occurred_on": day, "amount": 1_000 + number, "details": details, **more})


def _around(engine: Engine, world: LedgerWorld, home: Path) -> None:
    people, office = world.people, world.people["office"]
    with writing(engine) as session:
        given = ExternalClaim(
            programme="patent", kpi="L", natural_key="k", claimant="三號大學", reference="r", party="乙",
            noted_by=office, noted_at=NOON,
        )  # fmt: skip
        note_external(session, given)
        ended = ExternalClaim(**{**given.model_dump(exclude={"id"}), "natural_key": "k2"})
        note_external(session, ended)
        end_external(session, claim_id=ended.id or 0, by=office, now=NOON)
        rules = default(RecognitionRules).model_copy(update={"two_people_from_ntd": 4_000_000})
        moved = move_document(session, rules, reason="較嚴", by=office, now=NOON)
        second_document(session, motion_id=moved.id or 0, by=people["second_office"], now=NOON)
        newcomer = add_account(session, email="third@example.org", name="第三人", now=NOON, by=people["reporter"])
        role = move_grant(
            session, account_id=newcomer.id, role=Role.COMMITTEE, scope_id="al-b", reason="新委員", by=office, now=NOON
        )
        second_grant(session, motion_id=role.id or 0, by=people["second_office"], now=NOON)
        declare_stake(session, account_id=people["second_committee"], party="company", party_id="co-2", now=NOON)
    with writing(engine) as session:
        person = register(
            session, key=read_key(session, home), name="王小明", identifier="A1", contact=None, by=office, now=NOON
        )
        gone = register(
            session, key=read_key(session, home), name="陳大文", identifier="A2", contact=None, by=office, now=NOON
        )
        erase(session, kind=ErasedKind.PERSON, subject=gone, reason="本人請求", by=office, now=NOON)
        said: dict[str, Any] = {"alliance_id": "al-a", "source": "傳票", "by": office, "now": NOON}
        day = date(2019, 5, 2)
        book(session, item=SufficiencyItem.SUBSIDY, amount_ntd=500, occurred_on=day, **said)
        row = book(session, item=SufficiencyItem.OVERHEAD, amount_ntd=100, occurred_on=day, **said)
        take_back(session, row_id=row.id or 0, reason="誤植", by=office, now=NOON)
        earn(session, person=person, activity="company_visit", occurred_on=day, **said)
        counted: dict[str, Any] = {"alliance_id": "al-a", "year": 2019, "group": GenderGroup.PI, "by": office}
        supply_counts(session, people={Gender.FEMALE: 4, Gender.MALE: 6}, source="名冊", now=LATER, **counted)
        analyse(session, text="領域人口", now=LATER, **counted)
        session.add(
            LadderStep(
                alliance_id="al-a", ladder="L", version=1, rung=Rung.WARNING.value, reason="落後", owner=None,
                due_on=None, grounds={}, by=office, at=LATER,
            )
        )  # fmt: skip
        session.add(MonthsStart(since=date(2031, 1, 1), at=LATER))
        carry_itself(session, alliance_id="al-b", by=office, now=LATER)
        graduate(session, alliance_id="al-b", reason="自主營運", by=office, now=LATER)


def _acceptance(engine: Engine, world: LedgerWorld) -> None:
    people = world.people
    with writing(engine) as session:
        lab: dict[str, Any] = {
            "id": "lab-1",
            "name": "實驗室",
            "summary": "拋光",
            "evidence": [{"id": "e", "title": "液"}],
        }
        import_rows(session, "labs", [lab])
        need = NeedIn(id="n-1", company="co-1", title="拋光太慢", description="要更快")
        submit(session, need=need, alliance_id="al-a", by=people["reporter"], now=LATER)
        pairing_id, proposal_id = store_proposal(session, people["reporter"])
        _, case = decide(
            session,
            pairing_id=pairing_id,
            proposal_id=proposal_id,
            verdict=Verdict.ACCEPT,
            by=people["reporter"],
            alliance_id="al-a",
            now=LATER,
            ledger=AcceptanceLedger(),
        )
        assert case is not None
        move_case(session, case_id=case.id or 0, stage=Stage.INTRODUCED, by=people["reporter"], now=LATER)
        note_emergency_read(session, need_id="n-1", account_id=people["office"], reason="申訴", now=LATER)
        researcher = add_account(session, email="researcher@example.org", name="研究人員", now=LATER)
        asked = claim(session, account_id=researcher.id, lab_id="lab-1", statement="主持人", now=LATER)
        decide_claim(
            session, claim_id=asked.id or 0, verdict=ClaimVerdict.APPROVED, reason="", by=people["office"], now=LATER
        )
        grant(session, account_id=researcher.id, role=Role.COMPANY, scope_id="co-2", by=people["office"], now=LATER)


@dataclass(frozen=True)
class Owned:
    """A database that its attacker owns: one file, one engine, written over with the whole one before each attempt."""

    path: Path
    engine: Engine
    world: LedgerWorld
    whole: Path

    def restore(self) -> None:
        """Make it the whole one again."""
        original, copy = sqlite.connect(str(self.whole)), sqlite.connect(str(self.path))
        original.backup(copy)
        original.close()
        copy.close()


@contextmanager
def without_rules(path: Path) -> Iterator[Any]:
    """Take every trigger and check away, and put them back afterwards as they were."""
    driver = sqlite.connect(str(path), isolation_level=None)
    driver.row_factory = sqlite.Row
    triggers = driver.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for pragma in ("foreign_keys=OFF", "ignore_check_constraints=ON"):
        driver.execute(f"PRAGMA {pragma}")
    _at_once(driver, [f"DROP TRIGGER {name}" for name, _ in triggers])
    yield driver
    _at_once(driver, [sql for _, sql in triggers])
    driver.close()


def _at_once(driver: Any, statements: Sequence[str]) -> None:
    """Carry statements out in one transaction: in one each they take a hundred times as long."""
    driver.execute("BEGIN IMMEDIATE")
    for statement in statements:
        driver.execute(statement)
    driver.execute("COMMIT")


_MODELS: dict[Chain, Any] = {Chain.ENTRIES: Entry, Chain.STEPS: Step, Chain.LINKS: Link, Chain.AUDIT: AuditRow}


def forge(owned: Owned, work: Callable[[Session, LedgerWorld], None]) -> None:
    """Let the product's own functions write what its verbs would not, past every trigger, linked and all."""
    with without_rules(owned.path), writing(owned.engine) as session:
        work(session, owned.world)


def rehash(owned: Owned, *chains: Chain) -> None:
    """Make the hashes of chains anew, and their heads."""
    with without_rules(owned.path), owned.engine.begin() as connection, Session(connection) as session:
        for chain in chains:
            _rehash(session, chain)


def _rehash(session: Session, chain: Chain) -> None:
    table: Table = _MODELS[chain].__table__
    n, last = 0, GENESIS
    for row in session.connection().execute(table.select().order_by(table.c.seq)).mappings().all():
        said = {**row, "seq": row["seq"], "prev_hash": last}
        if chain is Chain.AUDIT:
            subjects = session.exec(select(AuditSubject).where(AuditSubject.seq == row["seq"])).all()
            said["subjects"] = sorted([one.kind, one.subject_id, one.withheld] for one in subjects)
        n, last = row["seq"], hash_of(said)
        changed = {"prev_hash": said["prev_hash"], "hash": last}
        session.connection().execute(table.update().where(table.c.seq == n).values(changed))
    session.connection().execute(
        text("UPDATE ledger_head SET n = :n, hash = :hash WHERE chain = :chain"),
        {"n": n, "hash": last, "chain": chain.value},
    )
