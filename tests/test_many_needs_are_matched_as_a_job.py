"""All open needs of an alliance ranked as one job: the proposals of single matches, none of a declared interest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.review.intake import adopt
from matcher.review.people import declare_stake
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import job_of, listening, result_of, until


def _asked(server: Served, who: str, **body: Any) -> str:
    return job_of(server.ask(who, "POST", "/api/match-batches", json=body))


def _short(pairings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("rank", "lab_id", "score", "band", "pairing_id", "proposal_id")
    return [{name: pairing[name] for name in names} for pairing in pairings]


@POSTGRESQL_AT_LENGTH
def test_a_batch_of_matches(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        engine, now = open_engine(settings), datetime.now(UTC)
        with writing(engine) as session:
            ids = [f"need-1-{n:02}" for n in (2, 4, 5, 6, 7, 8, 9, 10, 11)]
            adopt(session, need_ids=ids, alliance_id="al-a", by=None, now=now)
        mine = ["need-1-01", *ids]
        job_id = _asked(server, "expert", top=3)
        with listening(server, "expert", job_id) as events:
            assert [event["event"] for event in events][-1] == "end"
        result = result_of(server, "expert", job_id)
        assert [item["need_id"] for item in result["needs"]] == mine
        assert result["left_out"] == 0
        for item in result["needs"][:3]:
            single = server.ask("expert", "GET", f"/api/needs/{item['need_id']}/matches", params={"top": 3}).json()
            assert item["pairings"] == _short(single["pairings"])
            assert (item["total"], item["generation"]) == (single["total"], single["generation"])
        # Shown in another way only where it was shown before in this way: nothing was stored twice.
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM proposal")).scalar() == 3 * len(mine)
        _the_office_reads_ids_only(server, job_id)
        _interests_count(server, job_id, mine)
        _foreign_needs_are_not_found(server)
        engine.dispose()


def _the_office_reads_ids_only(server: Served, job_id: str) -> None:
    result = server.ask("office", "GET", f"/api/jobs/{job_id}/result").json()
    names = {name for item in result["needs"] for name in item}
    assert names == {"need_id", "generation", "total", "withheld", "pairings"}
    assert {name for item in result["needs"] for pairing in item["pairings"] for name in pairing} == {
        "rank", "lab_id", "score", "band", "pairing_id", "proposal_id"
    }  # fmt: skip
    assert server.ask("colleague", "GET", f"/api/jobs/{job_id}/result").status_code == 404
    assert server.ask("company", "GET", f"/api/jobs/{job_id}/result").status_code == 403


def _interests_count(server: Served, job_id: str, mine: list[str]) -> None:
    before = result_of(server, "expert", job_id)["needs"][0]
    lab_id = before["pairings"][0]["lab_id"]
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        declare_stake(session, account_id=server.accounts["expert"], party="lab", party_id=lab_id, now=now)
    after = result_of(server, "expert", job_id)["needs"][0]
    assert (after["pairings"], after["withheld"]) == (before["pairings"][1:], 1)
    fresh = result_of(server, "expert", _asked(server, "expert", needs=mine[:1], top=3))["needs"][0]
    assert (fresh["pairings"], fresh["withheld"]) == (before["pairings"][1:], 1)
    with engine.connect() as connection:
        company = connection.execute(text("SELECT company FROM need WHERE id = 'need-1-01'")).scalar_one()
    with writing(engine) as session:
        declare_stake(session, account_id=server.accounts["expert"], party="company", party_id=company, now=now)
    fresh = result_of(server, "expert", _asked(server, "expert", needs=mine[:1], top=3))
    assert fresh == {"needs": [], "left_out": 1}
    engine.dispose()


def _foreign_needs_are_not_found(server: Served) -> None:
    for needs in (["need-1-01", "need-1-03"], ["need-1-01", "none"]):
        refused = server.ask("expert", "POST", "/api/match-batches", json={"needs": needs})
        assert (refused.status_code, refused.json()["field"]) == (422, "needs[2]")
        assert refused.json()["detail"] == "there is no such need"
    assert server.ask("stranger", "POST", "/api/match-batches", json={"needs": ["need-1-03"]}).status_code == 202
    assert server.ask("office", "POST", "/api/match-batches", json={}).status_code == 403


@POSTGRESQL_AT_LENGTH
def test_without_an_index_it_fails_for_a_reason(
    settings: Settings, slice_of_world: Path, tmp_path: Path, indexed_home: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with served(settings, empty, slice_of_world) as server:
        job = until(server, "expert", _asked(server, "expert"), "failed", "done")
    assert job["refusal"] == "matching is not available: there is no usable index; ask again later"
