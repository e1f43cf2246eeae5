"""Take one rule from the ledger, and a short history notices: every rule is held by a test, and by which guard.

Where program and database keep the same rule, each is taken alone (the other one still holds in the end) and then both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.database import open_engine
from indexer.settings import Settings
from matcher.ledger.rows import chain, entries, motions, periods, result_claims
from matcher.ledger.rules import duties, recognition, reporting, requirements
from tests.conftest import Databases
from tests.rig.worlds.ledger_promises import PROMISES, change_code, drop_constraint, drop_index, drop_trigger
from tests.rig.worlds.ledger_world import build_ledger_world

Code = tuple[Callable[..., Any], str, str]
Schema = Callable[[Engine], None]


@dataclass(frozen=True)
class Mutant:
    """What is taken from the code and the schema, which promises break by it, and which hold all the same."""

    code: tuple[Code, ...] = ()
    schema: tuple[Schema, ...] = ()
    broken: tuple[str, ...] = ()
    kept: tuple[str, ...] = field(default=())
    only: str | None = None


def _trigger(table: str, name: str) -> Schema:
    return lambda engine: drop_trigger(engine, table, f"{table}_{name}")


def _constraint(table: str, name: str, sqlite_text: str) -> Schema:
    return lambda engine: drop_constraint(engine, table, name, sqlite_text)


def _append_only(engine: Engine) -> None:
    name = "no_update" if engine.dialect.name == "sqlite" else "append_only"
    drop_trigger(engine, "ledger_entry", f"ledger_entry_{name}")


LIVE_KEY = _constraint("ledger_live_fact", "ledger_live_fact_pkey", r"PRIMARY KEY \(kpi, skeleton\)")
REVERSES = _constraint("ledger_entry", "ledger_entry_reverses_key", r"UNIQUE \(reverses\)")
VERSIONS = _constraint("ledger_step", "one_step_per_entry_version", r"CONSTRAINT one_step_\w+ UNIQUE \([^)]*\)")
SECONDED = _constraint("ledger_motion_end", "seconded_by_another", r"CONSTRAINT seconded_by_another CHECK \([^)]*\)")
REPORTER = _trigger("ledger_step", "by_another")
QUARTER = _trigger("ledger_entry", "quarter_open")
STEP_QUARTER = _trigger("ledger_step", "quarter_open")
UNTIL_END = _trigger("ledger_live_fact", "until_it_ends")

OWN: Code = (duties.barred, "if deed.by == by:", "if False:")
STAKE: Code = (duties.parts_of, "if _holds(stake, at) and", "if False and _holds(stake, at) and")
SECOND: Code = (motions.end, "if seconded and by == motion.moved_by:", "if False:")
AGAIN: Code = (result_claims.refuse_second, "if found is None:", "if True:")
SHARE: Code = (reporting.must_have_a_share, "if own.isdisjoint(shares):", "if False:")
TWICE_REVERSED: Code = (recognition.write_reversal, ".first() is not None:", ".first() is Ellipsis:")
OWN_QUARTER: Code = (periods.booking_period, "if closed is None or own > closed:", "if True:")
FREED: Code = (
    recognition._count,
    "    return standing(session, entry.id)",
    "    free_key(session, entry.id)\n    return standing(session, entry.id)",
)

MUTANTS = {
    "code: whoever likes reports": Mutant(code=(SHARE,), broken=("nobody reports for whom they do not work",)),
    "schema: no primary key of live facts": Mutant(
        schema=(LIVE_KEY,),
        broken=("database: a key belongs to one entry",),
        kept=("a result that is there is not reported again", "in the end: a result is counted once"),
    ),
    "code: a second report is not looked for": Mutant(
        code=(AGAIN,),
        kept=("database: a key belongs to one entry", "in the end: a result is counted once"),
        # The database's word is put politely too.
        broken=(),
    ),
    "both: neither key nor look": Mutant(
        code=(AGAIN,), schema=(LIVE_KEY,), broken=("in the end: a result is counted once",)
    ),
    "schema: an entry may be reversed often": Mutant(
        schema=(REVERSES,), broken=("database: an entry is reversed once",), kept=("an entry is reversed once",)
    ),
    "code: neither a reversal nor its id is looked for": Mutant(
        code=(TWICE_REVERSED, (entries.append, ".first() is not None:", ".first() is Ellipsis:")),
        broken=("an entry is reversed once",),
        kept=("database: an entry is reversed once",),
    ),
    "schema: many steps of one version": Mutant(
        schema=(VERSIONS,), broken=("database: one step per entry and version",)
    ),
    "schema: recognised more than once": Mutant(
        schema=(lambda engine: drop_index(engine, "ix_ledger_step_recognised_once"),),
        broken=("database: an entry is recognised once",),
    ),
    "schema: entries can be changed": Mutant(
        schema=(_append_only,),
        broken=("database: no entry is changed",),
        kept=("in the end: a changed amount is found",),
    ),
    "schema: shares of anything": Mutant(
        schema=(_trigger("ledger_entry", "shares_whole"),), broken=("database: shares sum to the whole",)
    ),
    "schema: numbers with gaps": Mutant(
        schema=(_trigger("ledger_entry", "in_order"),), broken=("database: no number is left out",)
    ),
    "schema: reporters may decide": Mutant(
        schema=(REPORTER,),
        broken=("database: no step by who reported",),
        kept=("who reported is told so", "in the end: nobody decides on an own report"),
    ),
    "code: reporters may decide": Mutant(
        code=(OWN,),
        broken=("who reported is told so",),
        kept=("database: no step by who reported", "in the end: nobody decides on an own report"),
    ),
    "both: reporters may decide": Mutant(
        code=(OWN,), schema=(REPORTER,), broken=("in the end: nobody decides on an own report",)
    ),
    "code: a stake bars nobody": Mutant(code=(STAKE,), broken=("who has a stake is told so",)),
    "schema: who moved may second": Mutant(
        schema=(SECONDED,),
        broken=("database: no second by who moved",),
        kept=(
            "large money takes a second person, who is told so",
            "in the end: nobody recognises large money alone",
        ),
    ),
    "code: who moved may second": Mutant(
        code=(SECOND,),
        broken=("large money takes a second person, who is told so",),
        kept=("database: no second by who moved", "in the end: nobody recognises large money alone"),
    ),
    "both: who moved may second": Mutant(
        code=(SECOND,), schema=(SECONDED,), broken=("in the end: nobody recognises large money alone",)
    ),
    "both: large money takes one": Mutant(
        code=((recognition.takes_two, "if entry.kpi != Kpi.MONEY:", "if True:"),),
        schema=(_trigger("ledger_step", "large_by_two"),),
        broken=("in the end: nobody recognises large money alone",),
    ),
    "code: nothing needs to be said": Mutant(
        code=((requirements.unmet, "if not entry.value_added.strip():", "if False:"),),
        broken=("nothing counts without what GLORIA added",),
    ),
    "code: nothing needs to be proven": Mutant(
        code=((requirements.unmet, "if not entry.evidence and", "if False and"),),
        broken=("nothing counts without evidence",),
    ),
    "code: a school total is needed": Mutant(
        code=((requirements.unmet, "said, blocks=False)", "said)"),),
        broken=("no result waits for the school's total",),
    ),
    "code: other programmes are not asked": Mutant(
        code=((result_claims.refuse_claimed_elsewhere, "if found is not None:", "if False:"),),
        broken=("what another programme claims is neither reported nor recognised",),
    ),
    "code: look-alikes are not held": Mutant(
        code=((reporting.report, "State.HELD if alike else", "State.HELD if False else"),),
        broken=("what looks alike is held",),
    ),
    "code: writers do not wait for each other": Mutant(
        code=((chain.lock_heads, "    session.exec(_LOCKED", "    return\n    session.exec(_LOCKED"),),
        broken=("what looks alike and comes at once is held",),
        only="postgresql",
    ),
    "code: a recognised result's key is set free": Mutant(
        code=(FREED,),
        broken=("what counts keeps its key",),
        kept=("database: a key is not set free before its entry has ended",),
    ),
    "schema: keys can be set free": Mutant(
        schema=(UNTIL_END,),
        broken=("database: a key is not set free before its entry has ended",),
        kept=("what counts keeps its key", "in the end: what counts is not reported again"),
    ),
    "both: keys are set free": Mutant(
        code=(FREED,), schema=(UNTIL_END,), broken=("in the end: what counts is not reported again",)
    ),
    "code: half is reversed": Mutant(
        code=((recognition.write_reversal, "amount=entry.amount,", "amount=entry.amount // 2,"),),
        broken=("in the end: a reversal takes back exactly what counted",),
    ),
    "code: the hash leaves out the amount": Mutant(
        code=((chain.hash_of, 'if name != "hash"', 'if name not in ("hash", "amount")'),),
        broken=("in the end: a changed amount is found",),
    ),
    "code: a closing is not recomputed": Mutant(
        code=((periods.second_close, 'if totals != motion.payload["totals"]:', "if False:"),),
        broken=("a closing is not seconded once its figures changed",),
    ),
    "schema: closed quarters take entries": Mutant(
        schema=(QUARTER,),
        broken=("database: no entry in a closed quarter",),
        kept=("what comes late is booked in the open quarter", "in the end: a closed quarter's totals stand still"),
    ),
    "code: closed quarters are not honoured": Mutant(
        code=(OWN_QUARTER,),
        broken=("what comes late is booked in the open quarter",),
        kept=("database: no entry in a closed quarter", "in the end: a closed quarter's totals stand still"),
    ),
    "both: closed quarters take entries and recognitions": Mutant(
        code=(OWN_QUARTER,),
        schema=(QUARTER, STEP_QUARTER),
        broken=("in the end: a closed quarter's totals stand still",),
    ),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Makes one database after the other."""
    made: list[Engine] = []

    def make() -> Engine:
        folder = tmp_path / f"home-{len(made)}"
        folder.mkdir()
        made.append(open_engine(Settings(home=folder, database_url=databases.at_head(request.param, folder))))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


def test_the_product_keeps_every_promise(fresh: Callable[[], Engine]) -> None:
    """The control: the same histories, nothing taken."""
    engine = fresh()
    world = build_ledger_world(engine)
    assert {name: history(engine, world) for name, history in PROMISES.items()} == dict.fromkeys(PROMISES, True)


def test_every_promise_is_broken_by_a_mutant() -> None:
    assert {name for mutant in MUTANTS.values() for name in mutant.broken} == {*PROMISES} - {
        "a result that is there is not reported again"
    }


@pytest.mark.parametrize("on_both", [False, pytest.param(True, marks=pytest.mark.long)])
def test_every_mutant_is_noticed(
    fresh: Callable[[], Engine], on_both: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every time each mutant on one of the two kinds of databases, by turns; in `make test-long` on both."""
    wrong: list[str] = []
    killed, kind = 0, fresh().dialect.name
    for place, (name, mutant) in enumerate(MUTANTS.items()):
        turn = ("sqlite", "postgresql")[place % 2]
        if kind != (mutant.only or (kind if on_both else turn)):
            continue
        engine = fresh()
        world = build_ledger_world(engine)
        with pytest.MonkeyPatch.context() as patch:
            for mutate in mutant.schema:
                mutate(engine)
            for function, old, new in mutant.code:
                change_code(patch, function, old, new)
            held = {said: PROMISES[said](engine, world) for said in (*mutant.broken, *mutant.kept)}
        killed += bool(mutant.broken)
        expected = {**dict.fromkeys(mutant.broken, False), **dict.fromkeys(mutant.kept, True)}
        wrong += [
            f"{name}: {said} {'held' if kept else 'broke'}" for said, kept in held.items() if kept != expected[said]
        ]
        engine.dispose()
    assert wrong == []
    with capsys.disabled():
        print(f"\n{killed} mutants killed of {len(MUTANTS)}, {len(PROMISES)} promises")
