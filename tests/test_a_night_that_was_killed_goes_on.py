"""kill -9 in the middle of steps: the next start goes on, what was done is not done again, and the end is the same."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

import api.tables  # noqa: F401 (all models must be known)
from api.nightly.runner import run_night
from api.trail.nights import Night, NightState, StepState, read_nights, write_night
from indexer.database import open_engine, reading
from indexer.index.generations import current_generation
from indexer.settings import Settings
from matcher.ledger.proving.heads import HEADS_FILE, read_heads
from tests.rig.figures import figure
from tests.rig.servers.forked_programs import forker
from tests.rig.worlds.nights import QUICK, Watched, carried_out, settings_of, states

NAMES = [step.name for step in QUICK]
QUICK_POINTS = [("import", "after"), ("index", "noted")]
ALL_POINTS = [
    (name, where) for name in NAMES for where in ("before", "after", "noted") if (name, where) != ("report", "noted")
]


@pytest.fixture
def home(own_home: Path, slice_of_world: Path) -> Path:
    """A home with a drop folder that has something new in it."""
    dropped = own_home.parent / "dropped"
    dropped.mkdir()
    lines = (slice_of_world / "labs.jsonl").read_text().splitlines()[:3]
    path = dropped / "labs.jsonl"
    path.write_text("".join(line.replace('"id": "lab-1-', '"id": "lab-new-') + "\n" for line in lines))
    os.utime(path, (path.stat().st_mtime - 600,) * 2)
    return own_home


def _settings(home: Path) -> Settings:
    return settings_of(home, drop_folders=str(home.parent / "dropped"))


def _killed(settings: Settings, name: str, where: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GLORIA_")}
    environment |= {"GLORIA_HOME": str(settings.home), "GLORIA_ENCODERS": settings.encoders, "GLORIA_THREADS": "1"}
    environment |= {"GLORIA_DROP_FOLDERS": settings.drop_folders, "HF_HUB_OFFLINE": "1"}
    program = "tests.rig.servers.killed_night"
    code, _, err = forker().run([name, where], environment, program=program, timeout_s=200)
    assert code == -signal.SIGKILL, err.decode()[-2_000:]


_OF_THE_LEDGER = ("entries", "steps")
"""The chains without moments of the night itself."""


def _kept(home: Path) -> dict[str, Any]:
    """Return what a night leaves behind, but for moments and chance."""
    engine = open_engine(settings_of(home))
    with reading(engine) as session:
        rows = {
            name: sorted(map(str, session.connection().execute(table.select()).all()))
            for name, table in SQLModel.metadata.tables.items()
            if not name.startswith(("field_map", "change", "audit", "ledger_link", "ledger_head"))
        }
    engine.dispose()
    heads = [(one.chain, one.n, one.hash) for one in read_heads(home / HEADS_FILE) if one.chain in _OF_THE_LEDGER]
    return {**rows, "generation": current_generation(home / "index"), "heads": heads}


def _only_night(home: Path) -> Night:
    (night,) = read_nights(home)
    return night


@pytest.mark.parametrize(
    "points", [pytest.param(QUICK_POINTS, id="some"), pytest.param(ALL_POINTS, marks=pytest.mark.long, id="all")]
)
def test_the_next_start_goes_on(home: Path, points: list[tuple[str, str]], tmp_path: Path) -> None:
    control = Path(shutil.copytree(home, tmp_path / "control"))
    kills = 0
    for name, where in points:
        _killed(_settings(home), name, where)
        kills += 1
        night = _only_night(home)
        assert night.state(running=False) is NightState.INTERRUPTED
        expected = StepState.DONE if where == "noted" else StepState.RUNNING
        assert night.step(name).state is expected
        assert {night.step(earlier).state for earlier in NAMES[: NAMES.index(name)]} <= {StepState.DONE}
    before = _only_night(home)
    night = carried_out(_settings(home))
    assert states(night) == dict.fromkeys(NAMES, "done")
    assert len(night.starts) == kills + 1
    done = [name for name in NAMES if before.step(name).state is StepState.DONE]
    repeated = sum(night.step(name) != before.step(name) for name in done)
    assert repeated == 0
    for name in NAMES:
        cut_off = sum(1 for killed, where in points if killed == name and where != "noted")
        assert night.step(name).attempts == 1 + cut_off
    whole = carried_out(_settings(control))
    assert states(whole) == states(night)
    kept, wanted = _kept(home), _kept(control)
    differing = [name for name in wanted if kept[name] != wanted[name]]
    assert differing == []
    figure("kill -9 of the night in the middle of steps", kills=kills, repeated=repeated, differing=len(differing))
    if len(points) > len(QUICK_POINTS):
        assert kills >= 30


def test_a_step_that_is_noted_before_its_work_is_found_out(home: Path, tmp_path: Path) -> None:
    """The control: the same comparison sees a job that claims what it has not done."""
    control = Path(shutil.copytree(home, tmp_path / "control"))
    _killed(_settings(home), "import", "claimed")
    assert states(carried_out(_settings(home))) == dict.fromkeys(NAMES, "done")
    carried_out(_settings(control))
    kept, wanted = _kept(home), _kept(control)
    assert {"lab", "generation"} <= {name for name in wanted if kept[name] != wanted[name]}


def test_a_night_of_another_day_is_not_gone_on_with(own_home: Path) -> None:
    settings = settings_of(own_home)
    steps = QUICK[:1]
    first = carried_out(settings, steps)
    cut_off = first.model_copy(update={"finished_at": None, "day": first.day - timedelta(days=1)})
    write_night(own_home, cut_off)
    second = carried_out(settings, steps)
    assert (second.id == first.id, len(second.starts)) == (False, 1)
    # The control: cut off today, it would have been; and with --fresh not.
    write_night(own_home, second.model_copy(update={"finished_at": None}))
    assert carried_out(settings, steps, fresh=True).id not in (first.id, second.id)
    write_night(own_home, second.model_copy(update={"id": second.id + "0", "finished_at": None}))
    third = carried_out(settings, steps)
    assert (third.id, len(third.starts)) == (second.id + "0", 2)


def test_a_state_that_was_torn_is_not_gone_on_with(own_home: Path) -> None:
    settings = settings_of(own_home)
    first = carried_out(settings, QUICK[:1])
    (own_home / "nightly" / first.id / "state.json").write_bytes(b'{"id": "')
    assert read_nights(own_home) == []
    night, _ = run_night(settings, Watched(), steps=QUICK[:1])
    assert night.id != first.id
