"""When the power goes, the ledger keeps every entry that was acknowledged with its evidence, and is whole.

A run of reports is recorded and taken into account by `tests.rig.faults.power_cuts`; SQLite itself recovers each state.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import col, select

from indexer.database import DatabaseGoneError, open_engine, reading
from indexer.settings import Settings
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import Entry
from tests.rig.faults.power_cuts import Cut, outcomes
from tests.rig.faults.recorded_work import WarmProcess
from tests.rig.faults.reported_results import RESULTS, build
from tests.rig.figures import figure


@pytest.fixture(scope="module")
def warm() -> Iterator[WarmProcess]:
    """The program that reports."""
    with WarmProcess("tests.rig.faults.reported_results") as process:
        yield process


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the ledger world in it, as it lies safely on the disk."""
    home = tmp_path_factory.mktemp("safe") / "home"
    build(home)
    return home


def _check(folder: Path, cut: Cut) -> str:
    """Return "kept", or "lost" with how many acknowledged entries are gone, or what is wrong with the database."""
    try:
        engine = open_engine(Settings(home=folder))
    except DatabaseGoneError as error:
        return f"damaged: {error}"
    try:
        with reading(engine) as session:
            said = session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all()
            found = [said] if said != ["ok"] else verify(session, home=folder).findings
            kept = set(session.exec(select(Entry.id).order_by(col(Entry.seq))).all())
    except DatabaseGoneError as error:
        return f"damaged: {error}"
    finally:
        engine.dispose()
    if found:
        return f"damaged: {found}"
    return "kept" if kept >= set(cut.said) else "lost"


def _outcomes(warm: WarmProcess, work: str, safe: Path, tmp_path: Path, states: int) -> Counter[str]:
    """Let a run of reports be recorded; count what is found after cuts of it."""
    home = Path(shutil.copytree(safe, tmp_path / "home"))
    return outcomes(
        home, partial(warm.recorded, work, home), _check, wanted=states, processes=2 if states >= 700 else 1
    )


@pytest.mark.parametrize(("states", "least"), [(40, 30), pytest.param(1_000, 700, marks=pytest.mark.long)])
@pytest.mark.parametrize("work", ["report", "without_log"])
def test_no_acknowledged_entry_is_lost(
    warm: WarmProcess, safe: Path, tmp_path: Path, work: str, states: int, least: int
) -> None:
    found = _outcomes(warm, work, safe, tmp_path, states)
    figure(
        f"power cut on the ledger ({'write-ahead log' if work == 'report' else 'rollback journal'})",
        states=found.total(),
        acknowledged=RESULTS,
        lost=found["lost"],
        damaged=found.total() - found["kept"] - found["lost"],
    )
    assert set(found) == {"kept"}
    assert found.total() >= least


@pytest.mark.parametrize("states", [40, pytest.param(700, marks=pytest.mark.long)])
def test_synchronous_normal_is_found_to_lose_entries(
    warm: WarmProcess, safe: Path, tmp_path: Path, states: int
) -> None:
    found = _outcomes(warm, "with_less_sync", safe, tmp_path, states)
    figure("power cut on the ledger with synchronous=NORMAL", states=found.total(), lost=found["lost"])
    assert found["lost"]
