# ruff: noqa: S608 (the SQL of these tests is put together from names of their own)
"""Who owns the database can change any cell of the ledger, and `verify` finds it; exported heads find the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.ledger.proving.heads import export_heads, read_heads
from matcher.ledger.proving.verification import ProofFinding, verify
from matcher.ledger.rows.chain import Chain, ExportedHead, hash_of
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.evidence import keep, path_of
from matcher.ledger.rows.periods import move_close, second_close
from matcher.ledger.rules.recognition import move_reversal, refuse, second_reversal
from matcher.ledger.rules.reporting import report
from tests.conftest import Databases
from tests.rig.faults.raw_database import (
    CHAINS,
    ENTRIES,
    STEPS,
    attempt,
    drop_tail,
    other,
    owning,
    rewrite,
    rows_of,
    set_cell,
    set_head,
)
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, money, recognised

N_ROWS = 50
STEP_ROWS = 12
APRIL = datetime(2019, 4, 3, 4, 0, tzinfo=UTC)


def _given(number: int, day: date) -> Any:
    details = {"contract": f"C-{number}", "payer": f"{number} {'甲乙丙丁戊己庚辛'[number % 8] * (number + 2)}"}
    shares = {"al-a": 10_000} if number % 2 else {"al-a": 2_500, "al-b": 7_500}
    return money(f"money-{number:04}", details=details, occurred_on=day, amount=1_000 + number, shares=shares)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(
    request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Path]]:
    """A ledger of more than 50 entries, some recognised, one refused, one reversed, a quarter closed, files kept.

    Each test undoes what it does, so that all have the same one; with it comes its home.
    """
    home = tmp_path_factory.mktemp("tampering")
    engine = open_engine(Settings(home=home, database_url=databases.at_head(request.param, home)))
    _fill(engine, home)
    yield engine, home
    with reading(engine) as session:
        assert verify(session, home=home).findings == []
    engine.dispose()


@pytest.fixture
def ledger(kept: tuple[Engine, Path]) -> Engine:
    return kept[0]


def _fill(engine: Engine, home: Path) -> None:
    world: LedgerWorld = build_ledger_world(engine)
    people = world.people
    proofs = [[{"sha256": keep(home, f"contract {number}".encode()), "name": "合約"}] for number in range(10)]
    with writing(engine) as session:
        for number in range(10):
            recognised(session, world, replace(_given(number, date(2019, 2, 3)), evidence=proofs[number]), APRIL)
        motion = move_close(session, period="2019Q1", reason="季結", by=people["office"], now=APRIL)
        second_close(session, motion_id=motion.id or 0, by=people["second_office"], now=APRIL)
        for number in range(10, 15):
            recognised(session, world, _given(number, date(2019, 5, 3)))
        motion = move_reversal(session, entry_id="money-0011", reason="誤植", by=people["office"], now=NOON)
        second_reversal(session, motion_id=motion.id or 0, by=people["second_office"], now=NOON)
        for number in range(15, N_ROWS + 2):
            report(session, _given(number, date(2019, 2 if number % 3 else 5, 3)), by=people["reporter"], now=NOON)
        refuse(session, entry_id="money-0020", reason="重複", by=people["committee"], now=NOON)
        for number in (60, 61):
            report(session, _given(number, date(2019, 5, 4)), by=people["reporter"], now=NOON)
    with reading(engine) as session:
        assert verify(session, home=home).findings == []


def _found(session: Session, **more: Any) -> list[ProofFinding]:
    session.expunge_all()
    # Its triggers are away while it is tampered with; that this is found is shown elsewhere.
    return list(verify(session, with_database=False, **more).findings)


@pytest.mark.parametrize("of", [7, pytest.param(1, marks=pytest.mark.long)])
def test_every_changed_cell_is_found(ledger: Engine, of: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One cell of seven, others in each row, so that every column is changed in some rows; then all of them."""
    tried, missed, changed = 0, [], set()
    with owning(ledger) as session:
        assert _found(session) == []
        for table, n_rows in ((ENTRIES, N_ROWS), (STEPS, STEP_ROWS)):
            for line, row in enumerate(rows_of(session, table)[:n_rows]):
                for column, value in list(row.items())[line % of :: of]:
                    with attempt(session):
                        set_cell(session, table, row["seq"], column, other(column, value))
                        tried += 1
                        changed.add((table.name, column))
                        if not _found(session):
                            missed.append(f"{table.name} {row['seq']} {column}")
        assert _found(session) == []
    assert changed == {(table.name, column.name) for table in (ENTRIES, STEPS) for column in table.columns}
    assert missed == []
    with capsys.disabled():
        print(f"\n{ledger.dialect.name}: {tried} cells changed one at a time, {tried - len(missed)} found")


def test_cells_that_no_program_of_ours_writes_are_found_too(ledger: Engine) -> None:
    """SQLite keeps anything in any cell, PostgreSQL any JSON: finding it must not make the search fail."""
    if ledger.dialect.name == "sqlite":
        strange = ["NULL", "'garbage'", "x'00ff'", "CAST(x'ff41' AS TEXT)", "9e99", "''", "'[1]'", '\'{"al-a": "x"}\'']
        columns = [(table.name, cell.name) for table in CHAINS.values() for cell in table.columns if cell.name != "seq"]
        shown = 'hex("{}")'
    else:
        strange = ["'null'", "'[1]'", "'1'", '\'{"al-a": "x"}\'', "'[{\"sha256\": 7}]'", "'[{}]'"]
        columns = [("ledger_entry", cell) for cell in ("shares", "details", "evidence")] + [("ledger_step", "evidence")]
        shown = 'CAST("{}" AS text)'
    tried, missed = 0, []
    with owning(ledger) as session:
        run = session.connection().exec_driver_sql
        for (table, column), value in product(columns, strange):
            look = f"SELECT {shown.format(column)} FROM {table} WHERE seq = 3"
            with attempt(session), suppress(IntegrityError):
                before = run(look).scalar()
                # SQLite refuses NULL where none may be, whoever asks; that cell stays as it is.
                run(f'UPDATE {table} SET "{column}" = {value} WHERE seq = 3')
                if run(look).scalar() == before:
                    continue
                tried += 1
                if not _found(session):
                    missed.append(f"{table} {column} {value}")
    assert missed == []
    assert tried > 20


def test_rows_swapped_removed_inserted_or_doubled_are_found(ledger: Engine) -> None:
    with owning(ledger) as session:
        for table in CHAINS.values():
            rows = rows_of(session, table)
            with attempt(session):
                for before, after in ((4, 900), (5, 4), (900, 5)):
                    session.connection().execute(table.update().where(table.c.seq == before).values(seq=after))
                assert _found(session) != []
            with attempt(session):
                session.connection().execute(table.delete().where(table.c.seq == 4))
                assert _found(session) != []
            for seq in (0, len(rows) + 1, 900):
                with attempt(session):
                    again = {**rows[3], "seq": seq} | ({"id": "money-x"} if table is ENTRIES else {"version": 90})
                    session.connection().execute(
                        table.insert(), {**again, "state": "reversed"} if "state" in again else again
                    )
                    assert _found(session) != [], seq


def test_a_row_added_with_hash_and_head_has_no_steps_and_no_key(ledger: Engine) -> None:
    with owning(ledger) as session, attempt(session):
        last = rows_of(session, ENTRIES)[-1]
        row = {**last, "seq": last["seq"] + 1, "id": "money-x", "natural_key": '["cx",1]', "prev_hash": last["hash"]}
        row["details"] = {**row["details"], "contract": "C-x"}
        row["hash"] = hash_of(row)
        session.connection().execute(ENTRIES.insert(), row)
        set_head(session, Chain.ENTRIES, row["seq"], row["hash"])
        assert sorted({finding.check for finding in _found(session)}) == ["key", "steps"]


@pytest.fixture
def exported(ledger: Engine, tmp_path: Path) -> list[ExportedHead]:
    with reading(ledger) as session:
        export_heads(session, tmp_path / "heads.jsonl", NOON)
    return read_heads(tmp_path / "heads.jsonl")


def test_a_dropped_tail_is_found_by_links_and_by_exported_heads(ledger: Engine, exported: list[ExportedHead]) -> None:
    with owning(ledger) as session:
        assert _found(session, exported=exported) == []
        with attempt(session):
            drop_tail(session, 2)
            linked = _found(session)
            assert [(one.check, "named by a link" in one.message) for one in linked] == [("head", True)] * 2
            found = _found(session, exported=exported)
            assert [one.message for one in found if one not in linked] == [
                "was exported and is gone: the tail was dropped"
            ] * 2


def test_a_chain_rewritten_from_end_to_end_is_found_by_links_and_by_exported_heads(
    ledger: Engine, exported: list[ExportedHead], tmp_path: Path
) -> None:
    with owning(ledger) as session, attempt(session):
        set_cell(session, ENTRIES, 40, "amount", 77_000_000)
        rewrite(session)
        linked = _found(session)
        assert {finding.check for finding in linked} == {"head"}
        assert {finding.check for finding in _found(session, exported=exported) if finding not in linked} == {"head"}
        # The next export writes the new heads beside the old ones; that hides nothing.
        export_heads(session, tmp_path / "heads.jsonl", NOON)
        both = read_heads(tmp_path / "heads.jsonl")
        assert len(both) == 5
        more = [finding for finding in _found(session, exported=both) if finding not in linked]
        assert {finding.check for finding in more} == {"head"}
        # The control: who has the new heads only sees no more than the links say.
        assert _found(session, exported=[one for one in both if one not in exported]) == linked


def test_a_changed_file_of_heads_is_found(ledger: Engine, exported: list[ExportedHead], tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    whole = path.read_bytes()
    first = orjson.loads(whole.splitlines()[0])
    with reading(ledger) as session:
        for changed in ({"hash": "0" * 64}, {"n": first["n"] - 1}, {"n": first["n"] + 1}):
            path.write_bytes(orjson.dumps({**first, **changed}) + b"\n")
            assert {finding.check for finding in _found(session, exported=read_heads(path))} == {"head"}, changed
        strange: tuple[dict[str, Any], ...] = ({"chain": "x"}, {"n": "52"}, {"n": -1}, {"hash": "abc"}, {"more": 1})
        for changed in strange:
            path.write_bytes(orjson.dumps({**first, **changed}) + b"\n")
            with pytest.raises(LedgerError, match=r"heads.jsonl:1 is not an exported head"):
                read_heads(path)
        # What nothing can find is a line that is gone: what is left is true. Copies are kept elsewhere for that.
        path.write_bytes(whole.splitlines()[1] + b"\n")
        assert _found(session, exported=read_heads(path)) == []
    assert [one.chain for one in exported] == ["entries", "steps", "audit", "links"]


def test_an_exchanged_or_missing_file_of_evidence_is_found(kept: tuple[Engine, Path]) -> None:
    ledger, home = kept
    path = next(path for path in (home / "evidence").rglob("*") if path.is_file())
    content = path.read_bytes()
    assert path == path_of(home, path.name)
    with reading(ledger) as session:
        path.write_bytes(content + b" and more")
        assert [(one.check, one.place) for one in _found(session, home=home)] == [("evidence", path.name)]
        path.unlink()
        assert [(one.check, one.place) for one in _found(session, home=home)] == [("evidence", path.name)]
        path.write_bytes(content)
        assert _found(session, home=home) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_period_close SET totals = '{}'",
        "UPDATE ledger_period_close SET entries_hash = replace(entries_hash, substr(entries_hash, 1, 1), 'z')",
        "DELETE FROM ledger_live_fact WHERE entry_id = 'money-0001'",
        "INSERT INTO ledger_live_fact VALUES ('L', 'free', 'money-0020', 'free', '')",
        "UPDATE ledger_head SET n = n + 1 WHERE chain = 'steps'",
        "DELETE FROM ledger_step WHERE entry_id = 'money-0061'",
    ],
)
def test_what_stands_beside_the_chains_is_compared_too(ledger: Engine, change: str) -> None:
    with owning(ledger) as session, attempt(session):
        session.connection().execute(text(change))
        assert _found(session) != []
