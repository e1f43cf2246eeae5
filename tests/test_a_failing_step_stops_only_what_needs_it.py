"""One step that fails is said with its reason; what needs it is skipped, everything else is done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import api.nightly.runner
from api.nightly.night_steps import STEPS
from api.nightly.runner import run_night
from api.trail.nights import Night, NightState
from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.ledger.proving.heads import HEADS_FILE
from tests.conftest import Gloria
from tests.rig.faults.raw_database import triggers_of
from tests.rig.worlds.nights import QUICK, Watched, carried_out, commanded, settings_of, states

ALL_DONE = dict.fromkeys([step.name for step in QUICK], "done")


def test_every_step_needs_only_steps_before_it() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    later = [(step.name, need) for step in STEPS for need in step.needs if need not in names[: names.index(step.name)]]
    assert later == []


def _tamper_with_ledger(home: Path) -> None:
    """Cut the ledger off: what was exported of it is gone."""
    (home / HEADS_FILE).write_text(
        '{"chain":"entries","n":7,"hash":"' + "ab" * 32 + '","at":"2026-11-20T00:00:00+00:00"}\n'
    )


def _take_the_backups_away(home: Path) -> None:
    """Let nothing be written where backups go."""
    shutil.rmtree(home / "backups", ignore_errors=True)
    (home / "backups").write_text("not a folder")


def _break_the_drop_folder(home: Path) -> None:
    """Nothing to do: the settings name a folder that is not there."""


def _damage_a_row(home: Path) -> None:
    """Store what no release of ours has stored, so that labs can't be read."""
    engine = open_engine(settings_of(home))
    with writing(engine) as session:
        run = session.connection().exec_driver_sql
        for name in triggers_of(engine, "lab"):
            run(f"DROP TRIGGER {name}")
        run("UPDATE lab SET fields = 'not json' WHERE id = 'lab-1-01'")
    engine.dispose()


def test_without_harm_everything_is_done(own_home: Path) -> None:
    """The control of what follows."""
    assert states(carried_out(settings_of(own_home))) == ALL_DONE


@pytest.mark.parametrize(
    ("harm", "failed", "skipped"),
    [
        pytest.param(_tamper_with_ledger, ["verify"], ["heads"], id="ledger"),
        pytest.param(_take_the_backups_away, ["backup"], ["import"], id="backup"),
        pytest.param(_break_the_drop_folder, ["import"], [], id="drop folder"),
        pytest.param(_damage_a_row, ["index"], ["map"], id="a row that can't be read"),
    ],
)
def test_the_rest_of_the_night_goes_on(
    own_home: Path, harm: Callable[[Path], None], failed: list[str], skipped: list[str]
) -> None:
    harm(own_home)
    missing = own_home / "not-there"
    settings = settings_of(own_home, drop_folders=str(missing) if failed == ["import"] else "")
    night = carried_out(settings)
    assert states(night) == {**ALL_DONE, **dict.fromkeys(failed, "failed"), **dict.fromkeys(skipped, "skipped")}
    assert night.outcome is NightState.FAILED
    for name in failed:
        assert night.step(name).message is not None
    for name in skipped:
        said = night.step(name).message
        assert said is not None
        assert all(night.step(needed).title.en in said.en for needed in night.step(name).needs)
    page = (own_home / "nightly" / night.id / "report.html").read_text()
    assert "有步驟失敗" in page


def test_the_command_says_what_failed_and_ends_with_1(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tamper_with_ledger(own_home)
    answer = commanded(own_home, monkeypatch)
    assert answer.code == 1
    assert [line.partition(":")[0] for line in answer.err.splitlines()] == [
        "Proof of the ledger (failed)",
        "Heads of the ledger (skipped)",
    ]
    assert answer.out.startswith("night ")
    assert "steps failed; report: " in answer.out
    assert len(answer.out.splitlines()) == 1


def test_a_full_disk_does_not_stop_what_can_do_without(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(home: Path, night: Night) -> None:
        raise OSError(28, "No space left on device", str(home / night.id))

    monkeypatch.setattr(api.nightly.runner, "write_night", full)
    watched = Watched()
    night, is_stored = run_night(settings_of(own_home), watched, steps=QUICK)
    assert not is_stored
    assert {error.errno for error in watched.not_written} == {28}
    # What keeps a file with the night can't; proofs and the index can.
    assert states(night)["verify"] == states(night)["index"] == states(night)["map"] == "done"


def test_a_wrong_setting_is_refused_before_anything_is_touched(gloria: Gloria, tmp_path: Path) -> None:
    answer = gloria("nightly", home=tmp_path / "home", mail_to="a@example.org", lang="en")
    assert (answer.code, answer.out) == (2, "")
    assert "GLORIA_MAIL_TO also needs GLORIA_MAIL_FROM, GLORIA_SMTP_URL" in answer.err
    secret = gloria("nightly", home=tmp_path / "home", mail_to="a@example.org", smtp_url="http://u:geheim@h")
    assert secret.code == 2
    assert "geheim" not in secret.err + secret.out
    assert not (tmp_path / "home").exists()


def test_settings_name_folders_with_and_without_an_alliance() -> None:
    settings = Settings(drop_folders=" al-01=/in/one , /in/two=2,/in/three,")
    assert settings.watched_folders() == [
        ("al-01", Path("/in/one")),
        (None, Path("/in/two=2")),
        (None, Path("/in/three")),
    ]
