"""A newest index that can't be used is replaced by the one before, and all are told; without any, the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session

from indexer.database import open_engine
from indexer.index.building import reindex
from indexer.index.generations import POINTER, SnapshotError, current_generation
from indexer.index.opening import open_newest_usable
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from tests.conftest import Gloria
from tests.rig.servers.served_here import Home, build_home, until, until_used
from tests.rig.worlds.small_world import Asked, asked


@pytest.fixture
def home(slice_of_world: Path, indexed_home: Path, tmp_path: Path) -> Iterator[Home]:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use")
    engine = open_engine(settings)
    yield build_home(settings, engine, slice_of_world, indexed_home)
    engine.dispose()


def _second(home: Home) -> tuple[str, str]:
    """Make a second generation; return both."""
    first = current_generation(home.settings.index_path)
    lab = home.record("labs", 1)
    home.store(Kind.LABS, lab | {"summary": f"{lab['summary']} 改以量測為主。"})
    with Session(home.engine) as session:
        return first, reindex(session, home.settings).generation


def _damage(home: Home, generation: str) -> str:
    path = home.settings.index_path / generation / "vectors-0.faiss"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return f"index/{generation}/vectors-0.faiss is damaged (its sha256 differs from the manifest's)"


def test_the_newest_that_is_whole_is_opened(home: Home) -> None:
    index = home.settings.index_path
    first, second = _second(home)
    assert [open_newest_usable(index)[0].generation, open_newest_usable(index)[1]] == [second, None]
    said = _damage(home, second)
    found, problem = open_newest_usable(index)
    assert (found.generation, problem) == (first, f"{said}; run: gloria reindex --full")
    (index / POINTER).unlink()
    assert open_newest_usable(index)[0].generation == first
    _damage(home, first)
    with pytest.raises(SnapshotError, match=f"there is no index in {index}"):
        open_newest_usable(index)


def test_a_command_says_that_it_answers_from_the_earlier_one(home: Home, gloria: Gloria, indexed_home: Path) -> None:
    _, second = _second(home)
    said = _damage(home, second)
    answer = gloria("match", "need-1-04", home=home.settings.home, cache=str(indexed_home), columns=800, lang="en")
    assert answer.code == 0
    assert f"the newest index can't be used ({said}" in answer.err
    doctor = gloria("doctor", "--json", home=home.settings.home, cache=str(indexed_home))
    assert doctor.code == 1
    problems = [one["name"] for one in doctor.document["findings"] if one["level"] == "problem"]
    assert problems == ["newest index", "stale"]


def test_a_server_says_so_everywhere(home: Home) -> None:
    first, second = _second(home)
    said = _damage(home, second)
    home.engine.dispose()
    home.settings.database_path.unlink()
    with asked(home.settings) as here:
        live: LiveMatcher = here.client.app.state.live  # type: ignore[attr-defined]
        made_at = live.current().snapshot.created_at
        ready = here.client.get("/readyz").json()
        assert (ready["matching"], ready["index"]["generation"], ready["index"]["created_at"]) == (True, first, made_at)
        assert ready["index"]["newest_problem"].startswith(said)
        assert str(home.settings.home) not in json.dumps(ready)
        match = here.done("expert", "GET", "/api/needs/n-1/matches")
        assert match["created_at"] == made_at
        why = f"{said}; run: gloria reindex --full"
        told = f"the newest index can't be used ({why}); the index of {made_at} answers instead"
        assert match["warnings"][0]["en"] == told
        desk = here.ask("expert", "GET", "/desk").text
        assert "最新的索引無法使用，排序目前依據" in desk
        for path in ("/admin/index", "/admin"):
            assert "較新的索引版本或已變更的資料無法使用" in here.ask("office", "GET", path).text
        # Mended, it is taken over and nothing is said any more.
        with Session(here.engine) as session:
            home.store(Kind.LABS, home.record("labs", 0))
            made = reindex(session, home.settings).generation
        until_used(live, made)
        assert live.state().newest_problem is None
        assert "最新的索引無法使用" not in here.ask("expert", "GET", "/desk").text


def test_a_server_that_runs_says_so_too(home: Home) -> None:
    live = LiveMatcher(home.settings, home.engine, check_every_s=0)
    first = live.current().snapshot.generation
    assert live.current().match(home.need).warnings == ()
    _, second = _second(home)
    said = _damage(home, second)
    until(lambda: live.current() is not None and live.state().newest_problem is not None)
    assert str(live.state().newest_problem).startswith(said)
    assert live.current().snapshot.generation == first
    assert said in live.current().match(home.need).warnings[0].en
    live.close()


def test_without_any_the_rest_goes_on(home: Home) -> None:
    _damage(home, current_generation(home.settings.index_path))
    home.engine.dispose()
    home.settings.database_path.unlink()
    with asked(home.settings) as here:
        refused = here.ask("expert", "GET", "/api/needs/n-1/matches")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:gloria:problem:no-index")
        assert (int(refused.headers["Retry-After"]) >= 1, str(home.settings.home) in refused.text) == (True, False)
        ready = here.client.get("/readyz")
        assert (ready.status_code, ready.json()["matching"], ready.json()["intake"]) == (200, False, True)
        _intake_review_and_ledger(here)


def _intake_review_and_ledger(here: Asked) -> None:
    here.done("company", "POST", "/api/needs", json={"title": "新需求"})
    here.done("expert", "POST", "/api/needs/n-1/take-up")
    body = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    here.done("expert", "POST", f"/api/pairings/{here.world.pairing_id}/decision", json=body)
    # Accepting books an entry.
    assert here.done("expert", "GET", "/api/ledger/entries")["items"]
