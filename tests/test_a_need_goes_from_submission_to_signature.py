"""The whole story over HTTP: submitted, taken up, matched, accepted, signed, and seen by those who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer.settings import Settings
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served

NEED = {
    "title": "碳化矽基板拋光太慢",
    "description": "矽面移除率太低,希望有單位能陪我們把拋光液與墊子一起看。",
    "asks": [{"kind": "technology", "text": "提高移除率又不留刮傷的拋光液"}],
    "confidentiality": "confidential",
    "budget_ntd": 1_500_000,
}


def _matches(server: Served, need_id: str, **parameters: Any) -> dict[str, Any]:
    answer = server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params=parameters)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@POSTGRESQL_AT_LENGTH
def test_from_submission_to_signature(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server:
        need_id = _submitted_and_edited(server)
        _taken_up(server, need_id)
        pairing = _matched(server, need_id)
        case_id = _accepted(server, pairing)
        _released(server, need_id, pairing)
        _signed(server, case_id, need_id, pairing["lab_id"])
        _log_says_nothing_of_the_need(server)


def _submitted_and_edited(server: Served) -> str:
    key = {"Idempotency-Key": "submit-1"}
    made = server.ask("company", "POST", "/api/needs", json=NEED, headers=key)
    assert made.status_code == 201, made.text
    again = server.ask("company", "POST", "/api/needs", json=NEED, headers=key)
    assert (again.status_code, again.json()) == (201, made.json())
    other = server.ask("company", "POST", "/api/needs", json={**NEED, "title": "別的"}, headers=key)
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    document = made.json()
    assert (document["state"], document["alliance"], document["company"]) == ("submitted", "al-a", "co-1-1")
    path = f"/api/needs/{document['id']}"
    etag = server.ask("company", "GET", path).headers["ETag"]
    assert server.ask("company", "PATCH", path, json={"budget_ntd": 5}).status_code == 428
    edited = server.ask("company", "PATCH", path, json={"budget_ntd": 2_000_000}, headers={"If-Match": etag})
    assert (edited.status_code, edited.json()["budget_ntd"]) == (200, 2_000_000)
    assert edited.json()["title"] == NEED["title"]
    late = server.ask("company", "PATCH", path, json={"budget_ntd": 7}, headers={"If-Match": etag})
    assert late.status_code == 412
    return str(document["id"])


def _taken_up(server: Served, need_id: str) -> None:
    queue = server.ask("expert", "GET", "/api/queue").json()
    assert need_id in [item["id"] for item in queue["new_needs"]]
    assert [item["company_id"] for item in queue["silent_companies"]] == ["co-1-1"]
    assert server.ask("expert", "POST", f"/api/needs/{need_id}/take-up").json()["state"] == "taken_up"
    path = f"/api/needs/{need_id}"
    etag = server.ask("company", "GET", path).headers["ETag"]
    refused = server.ask("company", "PATCH", path, json={"budget_ntd": 1}, headers={"If-Match": etag})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:gloria:problem:intake")


def _matched(server: Served, need_id: str) -> dict[str, Any]:
    page = _matches(server, need_id, top=5)
    assert [item["rank"] for item in page["pairings"]] == [1, 2, 3, 4, 5]
    again = _matches(server, need_id, top=5)
    assert [item["proposal_id"] for item in again["pairings"]] == [item["proposal_id"] for item in page["pairings"]]
    second = _matches(server, need_id, top=3, offset=2)
    assert [item["lab_id"] for item in second["pairings"]] == [item["lab_id"] for item in page["pairings"]][2:5]
    first: dict[str, Any] = page["pairings"][0]
    assert first["score"] == pytest.approx(sum(first["contributions"].values()))
    shown = server.ask("expert", "GET", f"/api/pairings/{first['pairing_id']}").json()
    assert shown["proposals"][0]["generation"] == page["generation"]
    assert shown["proposals"][0]["explanation"]["for_company"] == first["explanation"]["for_company"]
    return first


def _accepted(server: Served, pairing: dict[str, Any]) -> int:
    path = f"/api/pairings/{pairing['pairing_id']}/decision"
    word = {"verdict": "accept", "proposal_id": pairing["proposal_id"], "note": "internal-note"}
    accepted = server.ask("expert", "POST", path, json=word)
    assert accepted.status_code == 201, accepted.text
    second = server.ask("colleague", "POST", path, json=word)
    assert (second.status_code, second.json()["type"]) == (409, "urn:gloria:problem:already-decided")
    undone = server.ask("expert", "POST", path, json={"verdict": "undo"})
    assert undone.status_code == 201, undone.text
    again = server.ask("expert", "POST", path, json=word)
    assert again.status_code == 201, again.text
    return int(again.json()["case_id"])


def _released(server: Served, need_id: str, pairing: dict[str, Any]) -> None:
    path = f"/api/needs/{need_id}/released-labs"
    assert server.ask("company", "GET", path).json()["items"] == []
    assert server.ask("expert", "PUT", f"/api/pairings/{pairing['pairing_id']}/release").status_code == 200
    (lab,) = server.ask("company", "GET", path).json()["items"]
    assert (lab["lab_id"], lab["why"]) == (pairing["lab_id"], pairing["explanation"]["for_company"])
    assert "score" not in lab
    assert server.ask("rival", "GET", path).status_code == 404


def _signed(server: Served, case_id: int, need_id: str, lab_id: str) -> None:
    path = f"/api/cases/{case_id}"
    skipped = server.ask("expert", "POST", f"{path}/transition", json={"stage": "signed"})
    assert (skipped.status_code, skipped.json()["field"]) == (409, "stage")
    for stage in ("introduced", "meeting", "negotiating"):
        assert server.ask("expert", "POST", f"{path}/transition", json={"stage": stage}).json()["stage"] == stage
    meeting = {"kind": "meeting", "held_on": "2026-11-20", "note": "談妥", "next_step": "簽約", "next_on": "2026-11-21"}
    assert server.ask("expert", "POST", f"{path}/contacts", json=meeting).status_code == 201
    due = server.ask("expert", "GET", "/api/queue").json()["follow_ups_due"]
    assert [(item["case_id"], item["next_step"]) for item in due] == [(case_id, "簽約")]
    etag = server.ask("expert", "GET", path).headers["ETag"]
    last = {"stage": "signed"}
    assert server.ask("expert", "POST", f"{path}/transition", json=last, headers={"If-Match": '"0"'}).status_code == 412
    signed = server.ask("expert", "POST", f"{path}/transition", json=last, headers={"If-Match": etag})
    assert (signed.status_code, signed.json()["stage"]) == (200, "signed")
    assert [step["new"] for step in signed.json()["steps"]] == ["introduced", "meeting", "negotiating", "signed"]
    if lab_id == "lab-1-01":
        seen = server.ask("researcher", "GET", f"/api/needs/{need_id}").json()
        assert (seen["title"], seen["budget_ntd"]) == (NEED["title"], None)


def _log_says_nothing_of_the_need(server: Served) -> None:
    log = server.log.read_text()
    assert [secret for secret in ("碳化矽", "internal-note", "@example.org") if secret in log] == []
    # The control: what is logged is there.
    assert '"route":"/api/needs/{need_id}/matches"' in log.replace(": ", ":")
    assert server.accounts["expert"] in log
