"""`gloria nightly` from start to end: all is done, a second night changes nothing, the report names nobody."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import orjson
import pytest
from sqlmodel import select

from api.letters.sending.night_letter import night_message
from api.nightly.night_steps import STEPS
from api.trail.nights import STEP_FIGURE_LABELS, read_nights
from indexer.database import open_engine, reading
from indexer.index.generations import current_generation
from indexer.records.record_tables import Company, Lab, Need
from matcher.ledger.proving.heads import HEADS_FILE, read_heads, read_kept
from tests.conftest import Answer, Gloria
from tests.rig.worlds.nights import QUICK, commanded, settings_of


@pytest.fixture(scope="module")
def own_home(indexed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(indexed_home, tmp_path_factory.mktemp("nights") / "home"))


@pytest.fixture(scope="module")
def night(gloria: Gloria, own_home: Path) -> Answer:
    return gloria("nightly", "--json", home=own_home, lang="en")


def test_every_step_is_done_and_told_of(own_home: Path, night: Answer) -> None:
    assert (night.code, night.err) == (0, "")
    document = night.document
    assert {step["name"]: step["state"] for step in document["steps"]} == {step.name: "done" for step in STEPS}
    (stored,) = read_nights(own_home)
    folder = own_home / "nightly" / stored.id
    assert orjson.loads((folder / "report.json").read_bytes()) == document
    by_name = {step["name"]: step for step in document["steps"]}
    assert by_name["rehearsal"]["figures"] == {"checks": 8, "failed": 0}
    assert [path.name for path in (own_home / "backups").iterdir() if (path / "manifest.json").exists()] == [
        by_name["backup"]["details"]["name"]
    ]
    assert {one.chain for one in read_heads(own_home / HEADS_FILE)} == {"entries", "steps", "audit", "links"}
    # What is signed is mailed, and read as a head from elsewhere.
    signed = own_home.parent / "signed.json"
    signed.write_bytes(orjson.dumps(by_name["heads"]["details"]["signed"]))
    assert {one.chain for one in read_kept(signed)} == {"entries", "steps", "audit", "links"}
    (mailed,) = night_message(stored).iter_attachments()
    assert orjson.loads(mailed.get_content()) == by_name["heads"]["details"]["signed"]
    unnamed = {name for step in document["steps"] for name in step["figures"]} - STEP_FIGURE_LABELS.keys()
    assert unnamed == set()


def test_a_second_night_changes_nothing_and_says_nothing(
    own_home: Path, night: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.code == 0
    (stored,) = read_nights(own_home)
    generation = current_generation(own_home / "index")
    # On anything but a terminal, a night without a fault says nothing: cron would mail it.
    again = commanded(own_home, monkeypatch)
    assert (again.code, again.out, again.err) == (0, "", "")
    second, _ = read_nights(own_home)
    assert second.finished_at is not None
    assert second.id != stored.id
    assert [second.step(name).figures["changed"] for name in ("index", "map", "figures")] == [False, False, 0]
    assert current_generation(own_home / "index") == generation
    assert len([one for one in read_heads(own_home / HEADS_FILE) if one.chain in ("entries", "steps")]) == 2


def test_a_terminal_shows_a_line_for_each_step(own_home: Path, night: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert night.code == 0
    monkeypatch.setenv("FORCE_COLOR", "1")
    answer = commanded(own_home, monkeypatch)
    # What stays on the screen is what was drawn after the lines were erased for the last time.
    drawn = answer.err.rpartition("\x1b[2K")[2]
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).splitlines()
    titles = [step.title.en for step in QUICK]
    assert [line.partition("━")[0].strip() for line in last] == titles
    assert [re.search(r"\d:\d\d:\d\d done", line) is not None for line in last] == [True] * len(titles)


def test_the_report_needs_nothing_and_names_nobody(own_home: Path, night: Answer) -> None:
    stored = read_nights(own_home)[-1]
    folder = own_home / "nightly" / stored.id
    page = (folder / "report.html").read_text()
    assert re.findall(r"<script|\son\w+=|(?:src|href)=|url\(", page) == []
    for title in ("夜間作業報告", "Report of the night", "還原演練", "Rehearsal of a restore", "全部完成", "all done"):
        assert title in page
    engine = open_engine(settings_of(own_home))
    with reading(engine) as session:
        said = [
            text
            for model in (Need, Company, Lab)
            for row in session.exec(select(model)).all()
            for field in ("title", "description", "name", "name_en", "summary")
            if len(text := getattr(row, field, "") or "") > 3
        ]
    engine.dispose()
    assert len(said) > 50
    kept = page + "".join(path.read_text() for path in folder.glob("*.json")) + night.out
    assert [text for text in said if text in kept] == []
    # The control: what is in the report would be found.
    assert stored.id in kept
