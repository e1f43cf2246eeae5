"""Every night recomputes the audit trail and finds a trail whose end was cut off, which fits together by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from api.trail.audit_trail import Act, How, Outcome, Subject, verify_trail, write_down
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from tests.rig.faults.raw_database import triggers_of
from tests.rig.worlds.nights import carried_out, only

STEPS = only("audit")


@pytest.fixture
def trail(settings: Settings) -> Iterator[Engine]:
    engine = open_engine(settings)
    _seen(engine, 5)
    yield engine
    engine.dispose()


def _seen(engine: Engine, times: int) -> None:
    about = (Subject("need", "need-1-01"),)
    act = Act(datetime.now(UTC), "need", "read", How.API, "get_need", outcome=Outcome.SEEN, subjects=about)
    with writing(engine) as session:
        write_down(session, [act] * times)


def _tampered(engine: Engine, *statements: str) -> None:
    """Change what the triggers guard, as whoever has the database's file can."""
    with engine.begin() as connection:
        for table in ("audit", "audit_subject", "ledger_head"):
            for trigger in triggers_of(engine, table):
                on = "" if engine.dialect.name == "sqlite" else f" ON {table}"
                connection.exec_driver_sql(f"DROP TRIGGER {trigger}{on}")
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_trail_that_only_grew_is_proved_and_its_head_noted(trail: Engine, settings: Settings) -> None:
    first = carried_out(settings, STEPS).step("audit")
    _seen(trail, 2)
    second = carried_out(settings, STEPS).step("audit")
    assert (first.state, second.state) == ("done", "done")
    assert first.figures == {"rows": 5, "heads_compared": 0, "findings": 0}
    assert second.figures == {"rows": 7, "heads_compared": 1, "findings": 0}
    assert second.details["head"]["n"] == 7


def test_a_cut_off_end_is_found_by_what_a_night_noted(trail: Engine, settings: Settings) -> None:
    carried_out(settings, STEPS)
    # Without the head, which every writing notes, the trail itself tells that its last rows are gone.
    head = "SET n = 3, hash = (SELECT hash FROM audit WHERE seq = 3)"
    _tampered(
        trail,
        "DELETE FROM audit_subject WHERE seq > 3",
        "DELETE FROM audit WHERE seq > 3",
        f"UPDATE ledger_head {head} WHERE chain = 'audit'",
    )
    with reading(trail) as session:
        # The control: by itself the rest fits together.
        assert verify_trail(session).findings == ()
    found = carried_out(settings, STEPS).step("audit")
    assert (found.state, found.details["findings"]) == (
        "failed",
        ["row 5 is not the one that an earlier night noted"],
    )


def test_a_changed_row_is_found(trail: Engine, settings: Settings) -> None:
    _tampered(trail, "UPDATE audit SET operation = 'list_needs' WHERE seq = 2")
    found = carried_out(settings, STEPS).step("audit")
    assert (found.state, found.details["findings"]) == ("failed", ["row 2 is not what was written"])
