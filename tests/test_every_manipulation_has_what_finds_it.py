# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)
"""Who owns the database tries what there is to gain; each attempt is found, and what finds it is written beside it.

The attacker knows the product: triggers are back in place afterwards, rows are forged by its own functions with every
hash and link right, whole chains are made anew. What only a head kept elsewhere finds is named, and what nothing finds.
"""

# ruff: noqa: E501 (a table)
from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlmodel import Session, select

from api.trail.audit_trail import verify_trail
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.ledger.proving.heads import export_heads, read_heads
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.chain import Chain, ExportedHead
from matcher.ledger.rows.details import Circumstances, read_details
from matcher.ledger.rows.entries import EntryKind, NewEntry, append
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.result_claims import ExternalClaim, free_key, take_key
from matcher.ledger.rows.steps import NewStep, State, take
from matcher.review.people import Grant
from tests.conftest import Databases
from tests.rig.figures import figure
from tests.rig.worlds.ledger_world import PROOF, LedgerWorld, build_ledger_world
from tests.rig.worlds.whole_ledger import Owned, build_whole_ledger, forge, rehash, without_rules

AT = datetime(2019, 10, 1, 4, 0, tzinfo=UTC)
HEAD = "only a head kept elsewhere"
NOTHING = "nothing"
Work = Callable[[Owned], None]


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owned]:
    home = tmp_path_factory.mktemp("owned")
    engine = open_engine(Settings(home=home))
    world = build_whole_ledger(engine, home)
    whole = home / "whole.db"
    original, copy = sqlite.connect(str(home / "gloria.db")), sqlite.connect(str(whole))
    original.backup(copy)
    original.close()
    copy.close()
    yield Owned(home / "gloria.db", engine, world, whole)
    engine.dispose()


@pytest.fixture(scope="module")
def heads(owned: Owned) -> list[ExportedHead]:
    with reading(owned.engine) as session:
        export_heads(session, owned.path.with_name("elsewhere.jsonl"), AT)
    return read_heads(owned.path.with_name("elsewhere.jsonl"))


def _said(owned: Owned, heads: list[ExportedHead]) -> set[str]:
    """Return which checks found something."""
    with reading(owned.engine) as session:
        found = {one.check for one in verify(session, exported=heads).findings}
        return found | ({"audit"} if verify_trail(session, heads).findings else set())


def sql(*statements: str) -> Work:
    """Run statements past every rule of the database."""

    def work(owned: Owned) -> None:
        with without_rules(owned.path) as driver:
            changed = sum(driver.execute(one).rowcount for one in statements)
            assert changed != 0, statements

    return work


def anew(chains: tuple[Chain, ...], *statements: str) -> Work:
    """Run statements and make the hashes of chains anew."""

    def work(owned: Owned) -> None:
        sql(*statements)(owned)
        rehash(owned, *chains)

    return work


def rules(*statements: str) -> Work:
    """Change what the database itself keeps, and leave it so."""

    def work(owned: Owned) -> None:
        driver = sqlite.connect(str(owned.path), isolation_level=None)
        driver.execute("PRAGMA writable_schema=ON")
        for one in statements:
            driver.execute(one)
        driver.close()

    return work


def no_trigger(owned: Owned) -> None:
    driver = sqlite.connect(str(owned.path), isolation_level=None)
    for (name,) in driver.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        driver.execute(f"DROP TRIGGER {name}")
    driver.close()


def older(owned: Owned) -> None:
    """Take the last entry away with all that hangs on it, and every chain back to before it, as an old copy would be."""
    last = "(SELECT MAX(seq) FROM ledger_entry)"
    with without_rules(owned.path) as driver:
        n = driver.execute("SELECT MIN(seq) FROM ledger_link WHERE json_extract(heads, '$.entries[0]') = " + last)
        first = n.fetchone()[0]
        rows = driver.execute(
            "SELECT json_extract(j.value, '$[0]'), json_extract(j.value, '$[1]') FROM ledger_link, "
            f"json_each(ledger_link.rows) j WHERE seq >= {first}"
        ).fetchall()
        keys = {"ledger_motion_end": "motion_id", "ledger_period_close": "period", "ledger_person": "pseudonym"}
        for table, key in rows:
            driver.execute(f"DELETE FROM {table} WHERE {keys.get(table, 'id')} = ?", (key,))
        driver.execute(
            f"DELETE FROM ledger_live_fact WHERE entry_id = (SELECT id FROM ledger_entry WHERE seq = {last})"
        )
        driver.execute(f"DELETE FROM ledger_entry WHERE seq = {last}")
        driver.execute("DELETE FROM audit")
        driver.execute("DELETE FROM audit_subject")
        driver.execute(f"DELETE FROM ledger_link WHERE seq >= {first}")
        driver.execute("DELETE FROM case_file")
    rehash(owned, Chain.ENTRIES, Chain.LINKS, Chain.AUDIT)


def forged(
    *,
    by: str = "reporter",
    checks: str = "committee",
    recognises: str = "office",
    states: tuple[State, ...] = (State.REPORTED, State.CHECKED, State.RECOGNISED),
    counted: tuple[str, int] = ("2019Q3", 2019),
    details: dict[str, Any] | None = None,
    also: Callable[[Session, LedgerWorld], None] | None = None,
    **more: Any,
) -> Work:
    """Append a result with every hash, link, key and step right; only what is given is against the rules."""

    def write(session: Session, world: LedgerWorld) -> None:
        kpi = more.get("kpi", Kpi.MONEY)
        said = {"contract": "F", "instalment": 1, "payer": "無", "payer_country": "TW", "payer_type": "company"}
        checked = read_details(kpi, {**said, "purpose": "research"} if details is None else details)
        given: dict[str, Any] = {
            "id": "forged-0001", "kind": EntryKind.FACT, "kpi": kpi, "amount": 900_000, "shares": {"al-a": 10_000},
            "natural_key": checked.natural_key(), "details": checked.model_dump(mode="json"),
            "occurred_on": date(2019, 9, 1), "counts_on": date(2019, 9, 1), "period": "2019Q3", "school_id": "sc-1",
            "reporter": world.people[by], "reported_at": AT, "value_added": "促成", "evidence": PROOF,
        }  # fmt: skip
        new = NewEntry(**{**given, **more})
        append(session, new)
        take_key(session, kpi=kpi, details=checked, about=Circumstances(new.id, new.school_id))
        who = {State.CHECKED: checks, State.RECOGNISED: recognises}
        for n, state in enumerate(states):
            at, period = new.reported_at + timedelta(hours=n), counted if state is State.RECOGNISED else (None, None)
            actor = world.people[who.get(state, by)]
            take(session, NewStep(new.id, n, state, actor, at, "x", period=period[0], kpi_year=period[1]))
        if also is not None:
            also(session, world)

    return lambda owned: forge(owned, write)


def _claimed_before(session: Session, world: LedgerWorld) -> None:
    key, office = '["f",1]', world.people["office"]
    session.add(
        ExternalClaim(
            programme="patent", kpi="L", natural_key=key, claimant="三號大學", reference="f", party="乙",
            noted_by=office, noted_at=AT - timedelta(days=9),
        )
    )  # fmt: skip


def _linked(work: Callable[[Session, LedgerWorld], None]) -> Work:
    return lambda owned: forge(owned, work)


def _reversed_alone(session: Session, world: LedgerWorld) -> None:
    office, at = world.people["office"], AT
    fact = session.exec(select(_ENTRY).where(_ENTRY.id == "money-0003")).one()
    names = ("amount", "shares", "natural_key", "details", "occurred_on", "counts_on", "school_id", "company_id")
    same = {name: getattr(fact, name) for name in names}
    append(
        session,
        NewEntry(
            id="money-0003-reversal", kind=EntryKind.REVERSAL, kpi=Kpi.MONEY, period="2019Q2", reverses="money-0003",
            value_added="x", reporter=office, reported_at=at, **same,
        ),
    )  # fmt: skip
    step = NewStep("money-0003-reversal", 0, State.RECOGNISED, office, at, "x", period="2019Q2", kpi_year=2019)
    take(session, step)
    take(session, NewStep("money-0003", 3, State.REVERSED, office, at, "x"))
    free_key(session, "money-0003")


def _office_for_himself(session: Session, world: LedgerWorld) -> None:
    who = world.people["reporter"]
    session.add(Grant(account_id=who, role="office", granted_at=AT, granted_by=who))


def _office_by_one(session: Session, world: LedgerWorld) -> None:
    who, by = world.people["reporter"], world.people["office"]
    session.add(Grant(account_id=who, role="office", granted_at=AT, granted_by=by))


def _looser(session: Session, world: LedgerWorld) -> None:
    from matcher.ledger.rules.configuration import ConfigurationVersion, default
    from matcher.ledger.rules.recognition import RecognitionRules

    document = default(RecognitionRules).model_dump(mode="json") | {"two_people_from_ntd": 10**12}
    by = world.people["office"]
    session.add(ConfigurationVersion(name="recognition", version=2, document=document, reason="x", by=by, at=AT))


def _closed_by_one(session: Session, world: LedgerWorld) -> None:
    from matcher.ledger.rows.chain import head
    from matcher.ledger.rows.periods import PeriodClose, totals_of

    (entries_n, entries), (steps_n, steps) = head(session, Chain.ENTRIES), head(session, Chain.STEPS)
    session.add(
        PeriodClose(
            period="2019Q2", totals=totals_of(session, "2019Q2"), entries_n=entries_n, entries_hash=entries,
            steps_n=steps_n, steps_hash=steps, moved_by=world.people["office"],
            seconded_by=world.people["second_office"], closed_at=AT,
        )
    )  # fmt: skip


def _seconded_for_nothing(session: Session, world: LedgerWorld) -> None:
    from matcher.ledger.rows.motions import MotionEnd

    moved = session.connection().exec_driver_sql("SELECT id, moved_by FROM ledger_motion WHERE subject = 'money-0009'")
    motion_id, moved_by = moved.one()
    by = world.people["second_office"]
    session.add(MotionEnd(motion_id=motion_id, moved_by=moved_by, seconded=True, reason="", by=by, at=AT))


from matcher.ledger.rows.entries import Entry as _ENTRY  # noqa: E402, N814

ENTRY, STEP = "ledger_entry", "ledger_step"
E, S, L, A = Chain.ENTRIES, Chain.STEPS, Chain.LINKS, Chain.AUDIT
ABSENT = "00000000"
_BACK = "UPDATE ledger_head SET n = {n}, hash = {hash} WHERE chain = '{chain}'"


def _cut(table: str, chain: str, keep: str) -> tuple[str, ...]:
    head = f"(SELECT hash FROM {table} ORDER BY seq DESC LIMIT 1)"
    n = f"(SELECT COALESCE(MAX(seq), 0) FROM {table})"
    hash_ = f"COALESCE({head}, '{'0' * 64}')"
    return (f"DELETE FROM {table} WHERE seq > {keep}", _BACK.format(n=n, hash=hash_, chain=chain))


TABLE: dict[str, tuple[Work, str]] = {
    # What the database keeps.
    "every trigger is away": (no_trigger, "database"),
    "one trigger is away": (rules("DROP TRIGGER ledger_step_by_another"), "database"),
    "a trigger says less": (
        rules(
            "UPDATE sqlite_schema SET sql = replace(sql, '<> 10000', '<> 10001') WHERE name = 'ledger_entry_shares_whole'"
        ),
        "database",
    ),
    "a trigger more": (
        rules("CREATE TRIGGER quiet AFTER INSERT ON ledger_step BEGIN SELECT 1; END"), "database"
    ),
    "a view more": (rules("CREATE VIEW school_total_2 AS SELECT * FROM school_total"), "database"),
    "a check says less": (
        rules("UPDATE sqlite_schema SET sql = replace(sql, 'amount > 0', 'amount > -1') WHERE name = 'ledger_entry'"),
        "database",
    ),
    "a unique index is away": (rules("DROP INDEX ix_ledger_step_recognised_once"), "database"),
    "a trigger of the audit trail is away": (rules("DROP TRIGGER audit_no_delete"), "database"),
    "a table more to hide behind": (rules("CREATE TABLE spare (id INTEGER)"), NOTHING),
    # Cells and rows of the two chains.
    **{
        f"{table}: {change.partition(' =')[0]} is changed": (sql(f"UPDATE {table} SET {change} WHERE seq = 3"), "chain")
        for table, change in (
            (ENTRY, "amount = amount * 10"), (ENTRY, "shares = '{\"al-b\": 10000}'"), (ENTRY, "period = '2019Q3'"),
            (ENTRY, "occurred_on = '2019-01-01'"), (ENTRY, "value_added = 'y'"), (ENTRY, "evidence = '[]'"),
            (ENTRY, "reporter = 'u-x'"), (ENTRY, "reported_at = '2019-01-01 00:00:00.000000'"), (ENTRY, "kpi = 'jobs'"),
            (ENTRY, "school_id = 'sc-2'"), (ENTRY, "late_for = '2018Q1'"), (STEP, '"by" = \'u-x\''),
            (STEP, "at = '2020-01-01 00:00:00.000000'"), (STEP, "period = '2019Q2'"), (STEP, "kpi_year = 2020"),
            (STEP, "reason = 'y'"),
        )
    },
    "an entry is gone from the middle": (sql(f"DELETE FROM {ENTRY} WHERE seq = 5"), "chain"),
    "a step is gone from the middle": (sql(f"DELETE FROM {STEP} WHERE seq = 5"), "chain"),
    "the last entry is gone": (sql(f"DELETE FROM {ENTRY} WHERE seq = (SELECT MAX(seq) FROM {ENTRY})"), "head"),
    "the last entries are gone and the head with them": (sql(*_cut(ENTRY, "entries", "8")), "head"),
    "the last steps are gone and the head with them": (sql(*_cut(STEP, "steps", "9")), "head"),
    "both chains are empty": (sql(*_cut(ENTRY, "entries", "0"), *_cut(STEP, "steps", "0")), "head"),
    "a head is gone": (sql("DELETE FROM ledger_head WHERE chain = 'steps'"), "head"),
    "an amount is changed, its chain made anew": (
        anew((E,), f"UPDATE {ENTRY} SET amount = amount * 10 WHERE seq = 2"), "head"
    ),
    "a step is changed, its chain made anew": (anew((S,), f"UPDATE {STEP} SET reason = 'y' WHERE seq = 2"), "head"),
    "both chains made anew": (anew((E, S), f"UPDATE {ENTRY} SET value_added = 'y' WHERE seq = 2"), "head"),
    "the key of a result is free again": (sql("DELETE FROM ledger_live_fact WHERE entry_id = 'money-0003'"), "key"),
    "a key is compared by another skeleton": (
        sql("UPDATE ledger_live_fact SET skeleton = '[\"x\"]' WHERE entry_id = 'money-0003'"), "key"
    ),
    # Forged by the product's own functions: every hash, head, link, key is right.
    "forged: recognised by its own reporter": (forged(checks="reporter", recognises="reporter"), "rule"),
    "forged: checked by its reporter": (forged(checks="reporter"), "rule"),
    "forged: checked and recognised by one": (forged(checks="office"), "rule"),
    "forged: checked by an expert of another alliance": (forged(checks="other_reporter"), "rule"),
    "forged: recognised by an expert": (forged(recognises="other_reporter"), "rule"),
    "forged: reported by who has no role in the alliance": (forged(by="other_reporter"), "rule"),
    "forged: large, without a motion": (forged(amount=900_000_000), "rule"),
    "forged: just above the stricter limit": (forged(amount=4_000_001), "rule"),
    "forged: without evidence": (forged(evidence=[]), "rule"),
    "forged: without what was added": (forged(value_added=""), "rule"),
    "forged: without a school": (forged(school_id=None), "rule"),
    "forged: before the programme": (
        forged(occurred_on=date(2016, 9, 1), counts_on=date(2016, 9, 1), period="2019Q2", late_for="2016Q3"), "rule"
    ),
    "forged: before it happened": (forged(occurred_on=date(2019, 11, 1), counts_on=date(2019, 11, 1)), "rule"),
    "forged: dated before the row above it": (forged(reported_at=AT - timedelta(days=150)), "rule"),
    "forged: in a quarter that is closed": (
        forged(occurred_on=date(2019, 3, 1), counts_on=date(2019, 3, 1), period="2019Q1", counted=("2019Q1", 2019)),
        "rule",
    ),
    "forged: counted in another year": (forged(counted=("2019Q3", 2020)), "rule"),
    "forged: counted in another quarter": (forged(counted=("2019Q2", 2019)), "rule"),
    "forged: due before its contract": (forged(counts_on=date(2019, 8, 1)), "rule"),
    "forged: recognised without a check": (forged(states=(State.REPORTED, State.RECOGNISED)), "steps"),
    "forged: recognised at once": (forged(states=(State.RECOGNISED,)), "steps"),
    "forged: with a share of no alliance": (forged(shares={"al-x": 10_000}), "rule"),
    "forged: with an id of the ledger's own": (forged(id="acceptance-99"), "rule"),
    "forged: claimed by another programme": (forged(also=_claimed_before), "rule"),
    "forged: five startups in one": (
        forged(kpi=Kpi.STARTUPS, amount=5, details={"tax_id": "24536828", "startup_name": "新創"}), "rule"
    ),
    "forged: a negative amount": (forged(amount=1, also=lambda session, _: _negative(session)), "chain"),
    "forged: an acceptance that nobody decided": (
        forged(
            id="acceptance-99", kpi=Kpi.ACCEPTANCES, amount=1, states=(), details={"case": 99, "pairing": 9},
            school_id=None,
        ),
        "rule",
    ),
    "forged: a reversal by one person": (_linked(_reversed_alone), "rule"),
    "forged: the office for himself": (_linked(_office_for_himself), "rule"),
    "forged: the office by one person": (_linked(_office_by_one), "rule"),
    "forged: a rule that binds two, by one": (_linked(_looser), "rule"),
    "forged: a closing without a motion": (_linked(_closed_by_one), "rule"),
    "forged: a motion seconded, nothing done": (_linked(_seconded_for_nothing), "rule"),
    # What stands beside the chains.
    **{
        f"{table} is emptied": (sql(f"DELETE FROM {table}"), "link")
        for table in (
            "account_tie", "break_glass_read", "case_step", "configuration_version", "decision", "erasure",
            "external_claim", "gender_analysis", "gender_count", "lab_claim", "ladder_step", "ledger_duties_start",
            "ledger_months_start",
            "ledger_motion", "ledger_motion_end", "ledger_period_close", "ledger_person", "ledger_person_key",
            "ledger_similarity",
            "point_row", "proposal", "role_grant", "school_total", "stake", "sufficiency_row",
        )
    },
    **{
        change: (sql(f"UPDATE {change}"), "link")
        for change in (
            "school_total SET amount_ntd = amount_ntd * 10", "sufficiency_row SET amount_ntd = amount_ntd * 2",
            "point_row SET points = points + 100", "gender_count SET people = people + 5",
            "gender_analysis SET text = 'z'", "decision SET note = 'z'", "decision SET \"by\" = 'u-x'",
            "proposal SET explanation = '{}'", "proposal SET score = 9", "ledger_motion SET reason = 'z'",
            "ledger_motion_end SET seconded = 0", "ledger_period_close SET totals = '{}'",
            "ledger_similarity SET score = 1", "external_claim SET ended_at = '2019-06-01 00:00:00.000000'",
            "role_grant SET granted_at = '2017-01-01 00:00:00.000000'", "role_grant SET revoked_at = NULL, role = 'lead'",
            "stake SET ended_at = '2019-06-01 00:00:00.000000'", "lab_claim SET verdict = 'refused'",
            "break_glass_read SET reason = 'z'", "ladder_step SET rung = 'lifted'", "account SET disabled_at = created_at",
            "ledger_person SET digest = lower(hex(randomblob(32)))", "ledger_duties_start SET steps_n = 999",
            "ledger_months_start SET since = '2040-01-01'",
            "configuration_version SET document = replace(document, '4000000', '4000000000')",
        )
    },
    "a total of a school more": (
        sql(
            'INSERT INTO school_total (school_id, year, amount_ntd, source, "by", at) '
            'SELECT school_id, 2021, 1, source, "by", at FROM school_total LIMIT 1'
        ),
        "link",
    ),
    "a role more": (
        sql(
            "INSERT INTO role_grant (account_id, role, scope_id, granted_at) "
            "SELECT account_id, 'lead', 'al-a', granted_at FROM role_grant LIMIT 1"
        ),
        "link",
    ),
    # The links themselves.
    "a link is changed": (sql("UPDATE ledger_link SET rows = '[]' WHERE seq = 1"), "chain"),
    "the last links are gone and the head with them": (sql(*_cut("ledger_link", "links", "3")), "link"),
    "every link is gone and the head with them": (sql(*_cut("ledger_link", "links", "0")), "link"),
    "links made anew without a row": (
        anew((L,), "UPDATE ledger_link SET rows = '[]' WHERE seq = (SELECT MAX(seq) FROM ledger_link)"), "link"
    ),
    # The audit trail.
    "audit: a row is changed": (sql("UPDATE audit SET account_id = NULL, operation = 'z' WHERE seq = 2"), "audit"),
    "audit: a row is gone": (sql("DELETE FROM audit WHERE seq = 2"), "audit"),
    "audit: subjects are gone": (sql("DELETE FROM audit_subject"), "audit"),
    "audit: emptied": (sql("DELETE FROM audit_subject", "DELETE FROM audit"), "audit"),
    "audit: emptied and the head with it": (sql("DELETE FROM audit_subject", *_cut("audit", "audit", "0")), "audit"),
    "audit: its tail is gone": (sql("DELETE FROM audit_subject WHERE seq > 7", "DELETE FROM audit WHERE seq > 7"), "audit"),
    "audit: made anew": (anew((A,), "UPDATE audit SET operation = 'z' WHERE seq = 2"), "audit"),
    # Nothing inside can tell these from what happened.
    "audit: the views since the last link are gone, and the head with them": (
        sql("DELETE FROM audit_subject WHERE seq > 6", *_cut("audit", "audit", "6")), HEAD
    ),
    "a total of a school, its link and all chains made anew": (lambda owned: _relinked(owned), HEAD),  # noqa: PLW0108
    "an older copy is put in its place": (older, HEAD),
    # What no chain holds: names and texts that an erasure may take, and records that are not the ledger's.
    "a name of an account is changed": (sql("UPDATE account SET name = 'z'"), NOTHING),
    "a need is changed": (sql("UPDATE need SET title = 'z'"), NOTHING),
    "a case has another owner": (sql("UPDATE case_file SET owner_id = 'u-x'"), NOTHING),
}  # fmt: skip


def _negative(session: Session) -> None:
    session.connection().exec_driver_sql("PRAGMA ignore_check_constraints=ON")
    session.connection().exec_driver_sql("UPDATE ledger_entry SET amount = -1 WHERE id = 'forged-0001'")


def _relinked(owned: Owned) -> None:
    """Change a total, and everything that says what it was."""
    from matcher.ledger.rows.links import Link, linked_rows

    sql("UPDATE school_total SET amount_ntd = 1 WHERE id = 1")(owned)
    with without_rules(owned.path), writing(owned.engine) as session:
        now = dict(linked_rows(session, "school_total"))
        for link in session.exec(select(Link)).all():
            link.rows = [[t, k, now[k] if t == "school_total" else h] for t, k, h in link.rows]
            session.add(link)
    rehash(owned, L)


def test_the_table_is_long_enough_and_names_what_nothing_finds() -> None:
    assert len(TABLE) >= 80
    assert [name for name, (_, by) in TABLE.items() if by == HEAD] == [
        "audit: the views since the last link are gone, and the head with them",
        "a total of a school, its link and all chains made anew",
        "an older copy is put in its place",
    ]
    assert [name for name, (_, by) in TABLE.items() if by == NOTHING] == [
        "a table more to hide behind",
        "a name of an account is changed",
        "a need is changed",
        "a case has another owner",
    ]


def test_every_manipulation_is_found_by_what_the_table_says(owned: Owned, heads: list[ExportedHead]) -> None:
    wrong: dict[str, Any] = {}
    # The control: nothing is found, also after every trigger was away and is back.
    assert _said(owned, heads) == set()
    with without_rules(owned.path):
        pass
    assert _said(owned, heads) == set()
    for name, (work, by) in TABLE.items():
        owned.restore()
        work(owned)
        found = _said(owned, [])
        wanted = by in found
        if by in (HEAD, NOTHING):
            wanted = not found and bool(_said(owned, heads)) == (by == HEAD)
        if not wanted:
            wrong[name] = (by, sorted(found))
    assert wrong == {}
    found_inside = sum(by not in (HEAD, NOTHING) for _, by in TABLE.values())
    nothing = sum(by == NOTHING for _, by in TABLE.values())
    figure("manipulations", tried=len(TABLE), found_without_head=found_inside, found_with_head=len(TABLE) - nothing)


@pytest.fixture
def on_postgresql(databases: Databases, tmp_path: Path) -> Iterator[Any]:
    engine = open_engine(Settings(home=tmp_path, database_url=databases.at_head("postgresql", tmp_path)))
    build_ledger_world(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "by"),
    [
        ("SELECT 1", ""),
        ("ALTER TABLE ledger_step DISABLE TRIGGER ledger_step_in_order", "database"),
        ("DROP TRIGGER ledger_entry_shares_whole ON ledger_entry", "database"),
        ("CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$", "database"),
        ("ALTER TABLE ledger_entry DROP CONSTRAINT amount_positive", "database"),
        ("ALTER TABLE school_total DISABLE TRIGGER ALL; UPDATE school_total SET amount_ntd = 1; ALTER TABLE school_total ENABLE TRIGGER ALL", "link"),
        ("ALTER TABLE role_grant DISABLE TRIGGER ALL; DELETE FROM role_grant; ALTER TABLE role_grant ENABLE TRIGGER ALL", "link"),
    ],
)  # fmt: skip
def test_postgresql_is_looked_at_in_the_same_way(on_postgresql: Any, statement: str, by: str) -> None:
    with on_postgresql.begin() as connection:
        connection.exec_driver_sql(statement)
    with reading(on_postgresql) as session:
        assert {one.check for one in verify(session).findings} == ({by} if by else set())
