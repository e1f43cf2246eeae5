"""The map over HTTP: everybody finds the points that their lists have, under the names that they may read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ranking.ranker import Band
from matcher.review.intake import adopt
from matcher.review.mapped.field_map import NeedStanding
from matcher.review.people import declare_stake
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served
from tests.rig.worlds.small_world import draw_everything

STANDINGS = {
    "need-1-01": NeedStanding(3, Band.WEAK),
    "need-1-03": NeedStanding(0, None),
    "need-secret": NeedStanding(5, Band.PLAUSIBLE),
}


@pytest.fixture
def server(settings: Settings, indexed_home: Path, slice_of_world: Path) -> Iterator[Served]:
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        secret = {"id": "need-secret", "title": "祕密配方", "company": "co-1-1", "confidentiality": "confidential"}
        with writing(engine) as session:
            import_rows(session, "needs", [secret])
            adopt(session, need_ids=["need-secret"], alliance_id="al-a", by=None, now=datetime.now(UTC))
        engine.dispose()
        yield server


def _map(server: Served, who: str, **query: str) -> Any:
    answer = server.ask(who, "GET", "/api/field-map", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _all(server: Served, who: str, path: str, key: str) -> set[str]:
    if path == "/api/labs":
        return {item[key] for item in server.ask(who, "GET", path, params={"top": 100}).json()["items"]}
    return {item[key] for item in server.ask(who, "GET", path, params={"limit": 100}).json()["items"]}


@POSTGRESQL_AT_LENGTH
def test_before_the_first_drawing_there_is_an_empty_map(server: Served) -> None:
    empty = _map(server, "expert")
    assert (empty["drawn_at"], empty["labs"], empty["needs"]) == (None, [], [])
    assert (empty["labs_without_place"] > 0, empty["needs_without_place"]) == (True, 2)


@POSTGRESQL_AT_LENGTH
def test_everybody_sees_the_points_of_their_own_lists(server: Served) -> None:
    draw_everything(server.settings, STANDINGS)
    for who in ("expert", "lead", "stranger", "office"):
        found = _map(server, who)
        assert {lab["lab_id"] for lab in found["labs"]} == _all(server, who, "/api/labs", "lab_id")
        assert {need["need_id"] for need in found["needs"]} == _all(server, who, "/api/needs", "id")
        for need in found["needs"]:
            read = server.ask(who, "GET", f"/api/needs/{need['need_id']}").json()
            assert need["title"] == read["title"], (who, need["need_id"])
    assert {need["need_id"] for need in _map(server, "stranger")["needs"]} == {"need-1-03"}
    for who in ("company", "researcher", "committee", "newcomer"):
        assert server.ask(who, "GET", "/api/field-map").status_code == 403
    # The control: the office does not read what its own alliance does.
    titles = {who: {n["need_id"]: n["title"] for n in _map(server, who)["needs"]} for who in ("expert", "office")}
    assert (titles["expert"]["need-secret"], titles["office"]["need-secret"]) == ("祕密配方", None)


@POSTGRESQL_AT_LENGTH
def test_unmet_needs_can_be_asked_for(server: Served) -> None:
    draw_everything(server.settings, STANDINGS)
    stated = {n["need_id"]: (n["is_unmet"], n["best_band"]) for n in _map(server, "office")["needs"]}
    assert stated["need-1-01"] == (True, "weak")
    assert stated["need-1-03"] == (True, None)
    assert stated["need-secret"] == (False, "plausible")
    assert [n["need_id"] for n in _map(server, "office", unmet="true")["needs"]] == ["need-1-01", "need-1-03"]
    some = _map(server, "office", field="半導體")
    assert {"半導體" in point["fields"] for point in [*some["labs"], *some["needs"]]} == {True}
    wrong = server.ask("office", "GET", "/api/field-map", params={"field": "x"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "field")


@POSTGRESQL_AT_LENGTH
def test_what_was_closed_or_came_since_is_told_as_it_is_now(server: Served) -> None:
    draw_everything(server.settings, STANDINGS)
    assert server.ask("expert", "POST", "/api/needs/need-1-01/state", json={"state": "withdrawn"}).status_code == 200
    new = {"title": "新的需求", "company": "co-1-1"}
    assert server.ask("expert", "POST", "/api/needs", json=new).status_code == 201
    found = _map(server, "expert")
    stated = {need["need_id"]: (need["state"], need["is_unmet"]) for need in found["needs"]}
    assert stated == {"need-1-01": ("withdrawn", False), "need-secret": ("submitted", False)}
    assert found["needs_without_place"] == 1


@POSTGRESQL_AT_LENGTH
def test_the_standing_of_needs_in_which_one_has_an_interest_is_withheld(server: Served) -> None:
    draw_everything(server.settings, STANDINGS)
    engine = open_engine(server.settings)
    with writing(engine) as session:
        account_id, now = server.accounts["expert"], datetime.now(UTC)
        declare_stake(session, account_id=account_id, party="company", party_id="co-1-1", now=now)
    engine.dispose()
    found = {who: _map(server, who) for who in ("expert", "colleague")}
    bands = {who: {need["best_band"] for need in found[who]["needs"]} for who in found}
    assert bands == {"expert": {None}, "colleague": {"weak", "plausible"}}
    assert (found["expert"]["withheld"], found["colleague"]["withheld"]) == (2, 0)
    assert {need["is_unmet"] for need in found["expert"]["needs"]} == {False}
