"""What a result lacks is said at once, and recognition refuses for nothing else; cases are found by filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel import select

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.cases import Case
from tests.rig.worlds.small_world import Asked, accept, asked

LINK = [{"url": "https://example.org/contract", "name": "合約"}]
ALL = ["value_added", "evidence", "school_total"]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}, {"id": "sc-2", "name": "二號大學"}])
        total = {"school_id": "sc-1", "year": 2019, "amount_ntd": 10**9, "source": "校務公開資訊"}
        made.done("office", "POST", "/api/ledger/school-totals", json=total)
        yield made


def _reported(here: Asked, number: int, lacks: list[str]) -> str:
    body: dict[str, Any] = {
        "id": f"startup-{number}",
        "kpi": "T",
        "amount": 1,
        "shares": {"al-a": 10_000},
        "details": {
            "reference": f"R-{number}",
            "partner": f"{number * 7919} GmbH",
            "partner_country": "DE",
            "basis": "foreign_partner",
        },
        "occurred_on": f"2019-0{number}-02",
        "school_id": "sc-2" if "school_total" in lacks else "sc-1",
        "value_added": "" if "value_added" in lacks else "聯盟專家促成",
        "evidence": [] if "evidence" in lacks else LINK,
    }
    made: str = here.done("expert", "POST", "/api/ledger/entries", json=body)["items"][0]["id"]
    return made


def _listed(here: Asked, who: str = "expert", **asked_for: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = here.done(who, "GET", "/api/ledger/entries", params=asked_for)["items"]
    return found


def test_what_is_missing_is_what_recognition_refuses_for(here: Asked) -> None:
    wanted: list[list[str]] = [[lack] for lack in ALL] + [[], ALL]
    ids = [_reported(here, number, lacks) for number, lacks in enumerate(wanted, 1)]
    assert {one["id"]: one["lacks"] for one in _listed(here)} == dict(zip(ids, wanted, strict=True))
    assert [one["id"] for one in _listed(here, newest=True, limit=2)] == ids[:-3:-1]
    for entry_id, lacks in zip(ids, wanted, strict=True):
        here.done("committee", "POST", f"/api/ledger/entries/{entry_id}/check", json={})
        answer = here.ask("office", "POST", f"/api/ledger/entries/{entry_id}/recognise", json={})
        # The school's total is there to compare with: that it is missing is said, and holds nothing up (E9).
        blocking = [one for one in lacks if one != "school_total"]
        assert (answer.status_code, answer.json().get("field")) == ((422, blocking[0]) if blocking else (200, None))
    # What was supplied later is no longer missing, and what counts or has ended lacks nothing.
    here.done("office", "POST", f"/api/ledger/entries/{ids[1]}/return", json={"reason": "請補"})
    answer = {"text": "補上", "evidence": LINK}
    supplemented = here.done("expert", "POST", f"/api/ledger/entries/{ids[1]}/supplement", json=answer)
    assert (supplemented["lacks"], supplemented["evidence_count"]) == ([], 1)
    here.done("office", "POST", f"/api/ledger/entries/{ids[4]}/refuse", json={"reason": "不符"})
    assert {one["id"]: one["lacks"] for one in _listed(here)}[ids[4]] == []


def test_cases_are_found_by_owner_and_by_what_is_overdue(here: Asked) -> None:
    with writing(here.engine) as session:
        accept(session, here.world)
        case_id = session.exec(select(Case.id)).one()

    def found(who: str, **asked_for: Any) -> list[int]:
        return [one["id"] for one in here.done(who, "GET", "/api/cases", params=asked_for)["items"]]

    def contacted(next_on: str) -> None:
        body = {"kind": "call", "held_on": "2026-11-01", "next_on": next_on}
        here.done("expert", "POST", f"/api/cases/{case_id}/contacts", json=body)

    assert (found("expert", mine=True), found("colleague", mine=True)) == ([case_id], [])
    assert found("lead", overdue=True) == []
    contacted("2026-11-02")
    assert (found("lead", overdue=True), found("stranger", overdue=True)) == ([case_id], [])
    # Only what was agreed last is due.
    contacted("2999-01-01")
    assert found("lead", overdue=True) == []
    contacted("2026-11-02")
    here.done("lead", "POST", f"/api/cases/{case_id}/transition", json={"stage": "lost", "reason": "budget"})
    assert found("lead", overdue=True) == []
