"""What the ledger promises, each as a short history that says whether the promise was kept; and how to break it.

Three kinds of promises: what the program refuses politely (with an error of its own), what the database refuses
whoever asks (`database: `), and what a proof finds afterwards. A faulty product is made by taking a rule from a
fresh database, or by changing a line in a function.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session, select

from indexer.database import reading, writing
from indexer.records.importing import import_rows
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import AlreadyReportedError, Entry, EntryKind, LedgerError, NewEntry, append, entry_of
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.motions import Motion, MotionEnd
from matcher.ledger.rows.periods import last_closed, move_close, second_close, totals_of
from matcher.ledger.rows.result_claims import ClaimedElsewhereError, ExternalClaim, LiveFact, note_external
from matcher.ledger.rows.steps import NewStep, State, standing, take
from matcher.ledger.rules.recognition import (
    ConflictError,
    check,
    move_reversal,
    recognise,
    second_recognition,
    second_reversal,
    write_reversal,
)
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.people import declare_stake, grant, revoke
from matcher.review.roles import Role
from tests.rig.faults.raw_database import copied, raw, refusal, without
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, money, recognised


def change_code(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], old: str, new: str) -> None:
    """Change a text in a function, once, wherever the function was imported to.

    Raises:
        AssertionError: the function does not hold the text exactly once, so the mutant is none any more.
    """
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{function.__qualname__} holds {source.count(old)} times: {old}"
    source = "from __future__ import annotations\n" + source.replace(old, new)
    changed = compile(source, f"mutant of {function.__name__}", "exec")
    namespace = dict(function.__globals__)
    exec(changed, namespace)  # noqa: S102 (the product's own source with one line changed)
    monkeypatch.setattr(function, "__code__", namespace[function.__name__].__code__)


def drop_trigger(engine: Engine, table: str, trigger: str) -> None:
    """Take a trigger from a table."""
    on = "" if engine.dialect.name == "sqlite" else f" ON {table}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}{on}")


def drop_index(engine: Engine, index: str) -> None:
    """Take an index, and with it its uniqueness."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP INDEX {index}")


def drop_constraint(engine: Engine, table: str, name: str, sqlite_text: str) -> None:
    """Take a constraint from an empty table; `sqlite_text` is a pattern for it in SQLite's CREATE TABLE."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        return
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        found = driver.execute("SELECT type, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (table,))
        parts = dict[str, list[str]]()
        for kind, sql in found.fetchall():
            parts.setdefault(kind, []).append(sql)
        less, n = re.subn(rf",\s*{sqlite_text}", "", parts["table"][0])
        assert n == 1, parts["table"][0]
        driver.execute("PRAGMA foreign_keys=OFF")
        for statement in (f"DROP TABLE {table}", less, *parts.get("index", []), *parts.get("trigger", [])):
            driver.execute(statement)
        driver.execute("PRAGMA foreign_keys=ON")


# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)


APRIL = datetime(2019, 4, 3, 4, 0, tzinfo=UTC)
Promise = Callable[[Engine, LedgerWorld], bool]
PROMISES: dict[str, Promise] = {}


def promise(name: str) -> Callable[[Promise], Promise]:
    def kept(history: Promise) -> Promise:
        PROMISES[name] = history
        return history

    return kept


def _result(name: str, **more: Any) -> NewResult:
    """A result that resembles no other history's."""
    details = {"contract": f"C-{name}", "payer": f"{name} {name[::-1]}", **more.pop("details", {})}
    return money(f"{name}-0001", details=details, **more)


def _refused(engine: Engine, kind: type[Exception], verb: Callable[[Session], object]) -> bool:
    """Whether a verb is refused by an error of exactly this kind; what it did is undone either way."""
    try:
        with writing(engine) as session:
            verb(session)
            raise _UndoneError
    except (kind, _UndoneError) as error:
        return type(error) is kind
    except (LedgerError, DBAPIError):
        return False


class _UndoneError(Exception):
    """Raised by a verb that went through."""


def _tried(engine: Engine, verb: Callable[[Session], object]) -> None:
    """Do something that may be refused, by whomever."""
    try:
        with writing(engine) as session:
            verb(session)
    except (LedgerError, DBAPIError):
        pass


def _reported(
    engine: Engine, world: LedgerWorld, given: NewResult, *, checked: bool = False, by: str = "reporter"
) -> str:
    with writing(engine) as session:
        entry, _ = report(session, given, by=world.people[by], now=NOON)
        if checked:
            check(session, entry_id=entry.id, by=world.people["committee"], now=NOON)
        return entry.id


def _counted(engine: Engine, world: LedgerWorld, given: NewResult, now: datetime = NOON) -> str:
    with writing(engine) as session:
        return recognised(session, world, given, now).id


def _fact(entry: Entry, **changed: Any) -> NewEntry:
    names = NewEntry.__dataclass_fields__
    given = {name: value for name, value in entry.model_dump().items() if name in names}
    return NewEntry(**{**given, "kind": EntryKind(given["kind"]), "kpi": Kpi(given["kpi"]), **changed})


def _closed(session: Session, world: LedgerWorld, period: str, now: datetime) -> None:
    motion = move_close(session, period=period, reason="季結", by=world.people["office"], now=now)
    second_close(session, motion_id=motion.id or 0, by=world.people["second_office"], now=now)


# Who may decide


def _own(engine: Engine, world: LedgerWorld, name: str) -> tuple[str, str]:
    """Report as somebody who has no other part in a result than that: who worked for its alliance, and left."""
    by = world.people["second_office"]
    with writing(engine) as session:
        post = grant(session, account_id=by, role=Role.EXPERT, scope_id="al-a", by=None, now=NOON)
    entry_id = _reported(engine, world, _result(name), by="second_office")
    with writing(engine) as session:
        revoke(session, grant_id=post.id or 0, by=world.people["office"], now=NOON)
    return entry_id, by


@promise("who reported is told so")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _own(engine, world, "own")
    return _refused(engine, ConflictError, lambda s: check(s, entry_id=entry_id, by=by, now=NOON))


@promise("database: no step by who reported")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _own(engine, world, "ownraw")
    return _refused(engine, IntegrityError, lambda s: take(s, NewStep(entry_id, 1, State.CHECKED, by, NOON)))


@promise("in the end: nobody decides on an own report")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _own(engine, world, "ownend")
    _tried(engine, lambda s: check(s, entry_id=entry_id, by=by, now=NOON))
    with reading(engine) as session:
        return standing(session, entry_id).state == "reported"


@promise("nobody reports for whom they do not work")
def _(engine: Engine, world: LedgerWorld) -> bool:
    given, others = _result("notmine"), ("other_reporter", "committee", "office")
    return all(
        _refused(engine, LedgerError, lambda s, who=who: report(s, given, by=world.people[who], now=NOON))
        for who in others
    )


@promise("who has a stake is told so")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _reported(engine, world, _result("stake", company_id="co-2")), world.people["second_committee"]
    with writing(engine) as session:
        declare_stake(session, account_id=by, party="company", party_id="co-2", now=NOON)
    return _refused(engine, ConflictError, lambda s: check(s, entry_id=entry_id, by=by, now=NOON))


@promise("large money takes a second person, who is told so")
def _(engine: Engine, world: LedgerWorld) -> bool:
    motion_id = _moved(engine, world, "two")
    by = world.people["office"]
    return _refused(engine, LedgerError, lambda s: second_recognition(s, motion_id=motion_id, by=by, now=NOON))


@promise("database: no second by who moved")
def _(engine: Engine, world: LedgerWorld) -> bool:
    motion_id, by = _moved(engine, world, "tworaw"), world.people["office"]
    row = {"motion_id": motion_id, "moved_by": by, "seconded": True, "reason": "", "by": by, "at": NOON}
    return _refused(engine, IntegrityError, lambda s: s.connection().execute(insert(MotionEnd), row))


@promise("in the end: nobody recognises large money alone")
def _(engine: Engine, world: LedgerWorld) -> bool:
    motion_id, by = _moved(engine, world, "twoend"), world.people["office"]
    _tried(engine, lambda s: second_recognition(s, motion_id=motion_id, by=by, now=NOON))
    with reading(engine) as session:
        return standing(session, "twoend-0001").state == "checked"


def _moved(engine: Engine, world: LedgerWorld, name: str) -> int:
    entry_id = _reported(engine, world, _result(name, amount=5_000_001), checked=True)
    with writing(engine) as session:
        recognise(session, entry_id=entry_id, by=world.people["office"], now=NOON)
        return session.exec(select(Motion.id).where(Motion.subject == entry_id)).first() or 0


# What recognition needs


def _unrecognised(engine: Engine, world: LedgerWorld, given: NewResult, kind: type[LedgerError] = LedgerError) -> bool:
    entry_id, by = _reported(engine, world, given, checked=True), world.people["office"]
    return _refused(engine, kind, lambda s: recognise(s, entry_id=entry_id, by=by, now=NOON))


@promise("nothing counts without what GLORIA added")
def _(engine: Engine, world: LedgerWorld) -> bool:
    return _unrecognised(engine, world, _result("unsaid", value_added=""))


@promise("nothing counts without evidence")
def _(engine: Engine, world: LedgerWorld) -> bool:
    return _unrecognised(engine, world, _result("unproven", evidence=[]))


@promise("no result waits for the school's total")
def _(engine: Engine, world: LedgerWorld) -> bool:
    with writing(engine) as session:
        import_rows(session, "schools", [{"id": "sc-9", "name": "九號大學"}])
    return not _unrecognised(engine, world, _result("totalless", school_id="sc-9"))


@promise("what another programme claims is neither reported nor recognised")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id = _reported(engine, world, _result("patent"), checked=True)
    with writing(engine) as session:
        for key in (entry_of(session, entry_id).natural_key, '["cpatent",2]'):
            more = {"claimant": "某計畫", "reference": "X", "party": "某人", "noted_by": world.people["office"]}
            claim = ExternalClaim(programme="patent", kpi="L", natural_key=key, noted_at=NOON, **more)
            note_external(session, claim)
    other, by = _result("patent", details={"instalment": 2}), world.people["office"]
    reporter = world.people["reporter"]
    return _refused(
        engine, ClaimedElsewhereError, lambda s: recognise(s, entry_id=entry_id, by=by, now=NOON)
    ) and _refused(
        engine, ClaimedElsewhereError, lambda s: report(s, replace(other, id="patent-0002"), by=reporter, now=NOON)
    )


# Counted once


@promise("a result that is there is not reported again")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("twice"))
    second, by = replace(_result("twice"), id="twice-0002"), world.people["reporter"]
    return _refused(engine, AlreadyReportedError, lambda s: report(s, second, by=by, now=NOON))


@promise("database: a key belongs to one entry")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id = _reported(engine, world, _result("keyraw"))
    with writing(engine) as session:
        entry = entry_of(session, entry_id)
        append(session, _fact(entry, id="keyraw-0002"))
        row = session.exec(select(LiveFact).where(LiveFact.entry_id == entry_id)).one().model_dump()
        row["entry_id"] = "keyraw-0002"
        try:
            session.connection().execute(insert(LiveFact), row)
        except DBAPIError:
            session.rollback()
            return True
        session.rollback()
        return False


@promise("in the end: a result is counted once")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("once"))
    second, by = replace(_result("once"), id="once-0002"), world.people["reporter"]
    _tried(engine, lambda s: report(s, second, by=by, now=NOON))
    with reading(engine) as session:
        keys = session.exec(select(LiveFact.skeleton)).all()
        return len(keys) == len(set(keys))


@promise("what counts keeps its key")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _reported(engine, world, _result("keeps"), checked=True), world.people["office"]
    _tried(engine, lambda s: recognise(s, entry_id=entry_id, by=by, now=NOON))
    with reading(engine) as session:
        held = session.exec(select(LiveFact.entry_id).where(LiveFact.entry_id == entry_id)).all()
        return bool(held) and standing(session, entry_id).state == "recognised"


@promise("database: a key is not set free before its entry has ended")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id = _reported(engine, world, _result("free"))
    with raw(engine) as driver:
        return refusal(driver, f"DELETE FROM ledger_live_fact WHERE entry_id = '{entry_id}'") is not None


@promise("in the end: what counts is not reported again")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _reported(engine, world, _result("again"), checked=True), world.people["office"]
    _tried(engine, lambda s: recognise(s, entry_id=entry_id, by=by, now=NOON))
    _tried(
        engine, lambda s: report(s, replace(_result("again"), id="again-0002"), by=world.people["reporter"], now=NOON)
    )
    with reading(engine) as session:
        return session.exec(select(Entry.id).where(Entry.id == "again-0002")).first() is None


@promise("what looks alike is held")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("alike"))
    other = _result("alike", details={"contract": "another"})
    entry_id = _reported(engine, world, replace(other, id="alike-0002"))
    with reading(engine) as session:
        return standing(session, entry_id).state == "held"


@promise("what looks alike and comes at once is held")
def _(engine: Engine, world: LedgerWorld) -> bool:
    other, by = _result("atonce", details={"contract": "another at once"}), world.people["reporter"]
    states: list[str] = []

    def second() -> None:
        with writing(engine) as session:
            states.append(report(session, replace(other, id="atonce-0002"), by=by, now=NOON)[1])

    thread = threading.Thread(target=second)
    with writing(engine) as session:
        report(session, _result("atonce"), by=by, now=NOON)
        thread.start()
        # Long enough for the second to come as far as it can before the first is committed.
        time.sleep(0.5)
    thread.join()
    return states == ["held"]


# Steps and reversals


@promise("database: one step per entry and version")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _reported(engine, world, _result("version")), world.people["committee"]
    return _refused(engine, AlreadyReportedError, lambda s: take(s, NewStep(entry_id, 0, State.REPORTED, by, NOON)))


@promise("database: an entry is recognised once")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id, by = _counted(engine, world, _result("rec")), world.people["office"]
    again = NewStep(entry_id, 3, State.RECOGNISED, by, NOON, period="2019Q2", kpi_year=2019)
    return _refused(engine, AlreadyReportedError, lambda s: take(s, again))


@promise("an entry is reversed once")
def _(engine: Engine, world: LedgerWorld) -> bool:
    entry_id = _reversed(engine, world, "rev")
    by = world.people["office"]
    return _refused(
        engine,
        AlreadyReportedError,
        lambda s: write_reversal(s, entry_of(s, entry_id), reason="x", by=by, now=NOON),
    )


@promise("database: an entry is reversed once")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reversed(engine, world, "revraw")
    return _refused(
        engine,
        IntegrityError,
        lambda s: append(s, _fact(entry_of(s, "revraw-0001-reversal"), id="revraw-0002")),
    )


@promise("in the end: a reversal takes back exactly what counted")
def _(engine: Engine, world: LedgerWorld) -> bool:
    with reading(engine) as session:
        before = totals_of(session, "2019Q2").get("L", {}).get("all", 0)
    _reversed(engine, world, "net")
    with reading(engine) as session:
        return totals_of(session, "2019Q2")["L"]["all"] == before


def _reversed(engine: Engine, world: LedgerWorld, name: str) -> str:
    entry_id = _counted(engine, world, _result(name))
    with writing(engine) as session:
        by = world.people["office"]
        motion = move_reversal(session, entry_id=entry_id, reason="誤植", by=by, now=NOON)
        second_reversal(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
    return entry_id


# Rows


@promise("database: no entry is changed")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("change"))
    with raw(engine) as driver:
        return refusal(driver, "UPDATE ledger_entry SET amount = 2") is not None


@promise("database: shares sum to the whole")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("shares"))
    return _row_is_refused(engine, shares={"al-a": 9_999})


@promise("database: no number is left out")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("gap"))
    return _row_is_refused(engine, seq=1_000_000)


def _row_is_refused(engine: Engine, **changed: Any) -> bool:
    last = "seq = (SELECT max(seq) FROM ledger_entry)"
    with reading(engine) as session:
        seq, hash_ = session.execute(select(Entry.seq, Entry.hash).order_by(Entry.seq.desc())).first() or (0, "")  # type: ignore[attr-defined]
    right = {"id": "raw-0001", "natural_key": "raw", "seq": seq + 1, "prev_hash": hash_}
    with raw(engine) as driver:
        assert refusal(driver, copied(engine, "ledger_entry", last, **right)) is None
        return refusal(driver, copied(engine, "ledger_entry", last, **{**right, **changed})) is not None


@promise("in the end: a changed amount is found")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _reported(engine, world, _result("found"))
    with writing(engine) as session:
        if engine.dialect.name == "sqlite":
            driver: Any = session.connection().connection.driver_connection
            without(engine, driver, "ledger_entry")
        else:
            session.connection().exec_driver_sql("ALTER TABLE ledger_entry DISABLE TRIGGER ALL")
        session.connection().execute(text("UPDATE ledger_entry SET amount = amount + 1 WHERE id = 'found-0001'"))
        # The triggers that were taken off would be found too, and hide whether the amount is.
        found = verify(session, with_database=False).findings
        session.rollback()
        return bool(found)


# Quarters: last, since they close 2019Q1 for good


def _close_first_quarter(engine: Engine, world: LedgerWorld) -> dict[str, dict[str, int]]:
    with reading(engine) as session:
        if last_closed(session) == "2019Q1":
            return totals_of(session, "2019Q1")
    with writing(engine) as session:
        _closed(session, world, "2019Q1", APRIL)
        return totals_of(session, "2019Q1")


@promise("a closing is not seconded once its figures changed")
def _(engine: Engine, world: LedgerWorld) -> bool:
    with writing(engine) as session:
        motion_id = move_close(session, period="2019Q1", reason="季結", by=world.people["office"], now=APRIL).id or 0
    _counted(engine, world, _result("changed", occurred_on=date(2019, 2, 1)), APRIL)
    by = world.people["second_office"]
    refused = _refused(engine, LedgerError, lambda s: second_close(s, motion_id=motion_id, by=by, now=APRIL))
    with writing(engine) as session:
        motion = session.get(Motion, motion_id)
        row = {"motion_id": motion_id, "moved_by": motion and motion.moved_by, "seconded": False, "reason": "x"}
        session.connection().execute(insert(MotionEnd), {**row, "by": by, "at": APRIL})
    return refused


@promise("what comes late is booked in the open quarter")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _close_first_quarter(engine, world)
    try:
        _counted(engine, world, _result("late", occurred_on=date(2019, 2, 1)))
    except DBAPIError:
        return False
    with reading(engine) as session:
        entry = entry_of(session, "late-0001")
        return (entry.period, entry.late_for) == ("2019Q2", "2019Q1")


@promise("database: no entry in a closed quarter")
def _(engine: Engine, world: LedgerWorld) -> bool:
    _close_first_quarter(engine, world)
    _reported(engine, world, _result("shut"))
    return _row_is_refused(engine, period="2019Q1")


@promise("in the end: a closed quarter's totals stand still")
def _(engine: Engine, world: LedgerWorld) -> bool:
    before = _close_first_quarter(engine, world)
    _tried(engine, lambda s: recognised(s, world, _result("still", occurred_on=date(2019, 2, 1))))
    with reading(engine) as session:
        return totals_of(session, "2019Q1") == before
