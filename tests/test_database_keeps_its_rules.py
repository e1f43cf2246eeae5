"""The database is opened with the pragmas that make its promises true, and refuses what breaks a rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from indexer.database import open_engine, wal_is_safe, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings


@pytest.fixture
def one_lab(engine: Engine) -> Engine:
    with writing(engine) as session:
        import_rows(session, "labs", [{"id": "lab-1", "evidence": [{"title": "t"}]}])
    return engine


def test_pragmas(tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path / "new" / "home"))
    wanted = {
        "journal_mode": "wal" if wal_is_safe() else "truncate",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "trusted_schema": 0,
        "secure_delete": 1,
    }
    with engine.connect() as connection:
        assert {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in wanted} == wanted
    engine.dispose()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
    ],
)
def test_the_write_ahead_log_is_used_only_where_it_is_repaired(version: tuple[int, ...], safe: bool) -> None:
    assert wal_is_safe(version) is safe


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE lab SET capacity = -1",
        "UPDATE lab SET name = NULL",
        "UPDATE evidence SET kind = 'rumour'",
        "UPDATE evidence SET weight = 11",
        "UPDATE evidence SET lab_id = 'nobody'",
        "INSERT INTO lab SELECT * FROM lab",
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(one_lab: Engine, change: str) -> None:
    with one_lab.begin() as connection:
        connection.execute(text("UPDATE lab SET capacity = 1"))
    with pytest.raises(IntegrityError), one_lab.begin() as connection:
        connection.execute(text(change))


def test_deleting_a_lab_deletes_its_evidence(one_lab: Engine) -> None:
    with one_lab.begin() as connection:
        connection.execute(text("DELETE FROM lab"))
        assert connection.execute(text("SELECT count(*) FROM evidence")).scalar() == 0
