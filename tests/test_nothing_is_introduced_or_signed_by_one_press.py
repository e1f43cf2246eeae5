"""Introducing a confidential need asks and can be taken back until it is opened; signing asks what the ledger needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.instants import day_in_taipei, now
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import Visitor, expect, visiting

TODAY = day_in_taipei(now())
LAB = "lab-1-01"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("steps") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def done(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def case_of(server: Served, confidentiality: str = "confidential") -> tuple[int, int]:
    """Let a pairing of a need with the researcher's lab be accepted; return its number and that of its case."""
    need = {"title": "碳化矽拋光", "description": "矽面移除率太低", "budget_ntd": 777_000}
    made = server.ask("company", "POST", "/api/needs", json={**need, "confidentiality": confidentiality})
    need_id = done(made, 201)["id"]
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/take-up"), 200)
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}), 200)
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
    accepted = server.ask("expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)
    return shown["pairing_id"], int(done(accepted, 201)["case_id"])


def stage_of(server: Served, case_id: int) -> str:
    return str(done(server.ask("expert", "GET", f"/api/cases/{case_id}"), 200)["stage"])


def move(server: Served, case_id: int, stage: str, status: int = 200, **more: Any) -> Any:
    path = f"/api/cases/{case_id}/transition"
    return done(server.ask("expert", "POST", path, json={"stage": stage, **more}), status)


WORDS = {
    "zh-Hant": {
        "introduced": "已引介",
        "ask": "這是保密需求，確定要引介實驗室嗎？",
        "ask inside": "此需求僅限聯盟內，確定要引介實驗室嗎？",
        "yes": "是，引介實驗室",
        "back": "收回引介",
        "accepted": "已接受",
        "stands": "引介維持不變",
        "signed": "已簽約",
        "sign": "案件已簽約",
        "sum": "總額（新臺幣）",
        "contract": "合約編號",
        "result": "回報成果",
    },
    "en": {
        "introduced": "introduced",
        "ask": "This need is confidential. Introduce the lab?",
        "ask inside": "This need is for the alliance alone. Introduce the lab?",
        "yes": "Yes, introduce the lab",
        "back": "Take the introduction back",
        "accepted": "accepted",
        "stands": "The introduction stands",
        "signed": "signed",
        "sign": "The case is signed",
        "sum": "Sum in NTD",
        "contract": "Contract number",
        "result": "A result came of it",
    },
}


@pytest.mark.parametrize("lang", ["zh-Hant", "en"])
def test_a_confidential_need_is_introduced_after_saying_what_is_shown_to_whom(server: Served, lang: str) -> None:
    words, (_, case_id) = WORDS[lang], case_of(server)
    with visiting(server, "expert", lang) as somebody:
        # What is for the alliance alone is asked about too, and not called confidential.
        page: Any = somebody.open(f"/cases/{case_of(server, 'alliance')[1]}")
        page.get_by_role("button", name=words["introduced"]).click()
        expect(page.locator("h1")).to_have_text(words["ask inside"])
        page = somebody.open(f"/cases/{case_id}")
        page.get_by_role("button", name=words["introduced"]).click()
        expect(page.locator("h1")).to_have_text(words["ask"])
        assert stage_of(server, case_id) == "accepted"
        expect(page.locator("section[aria-labelledby='h-who'] li")).to_have_text("researcher")
        expect(page.locator("section[aria-labelledby='h-shown']")).to_contain_text("矽面移除率太低")
        assert "777" not in page.locator("section[aria-labelledby='h-shown']").inner_text()
        page.get_by_role("button", name=words["yes"]).click()
        expect(page.locator("h1 .chip")).to_have_text(words["introduced"])
        # Nobody has opened it: it can be taken back, and introduced again.
        page.get_by_role("button", name=words["back"]).click()
        expect(page.locator("h1 .chip")).to_have_text(words["accepted"])
        page.get_by_role("button", name=words["introduced"]).click()
        page.get_by_role("button", name=words["yes"]).click()
    with visiting(server, "researcher", lang) as somebody:
        expect(somebody.open(f"/my-lab/{LAB}").locator("#h-introduced")).to_be_visible()
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/cases/{case_id}")
        page.get_by_role("button", name=words["back"]).click()
        expect(page.locator("h1")).to_have_text(words["stands"])
    assert stage_of(server, case_id) == "introduced"
    done(server.ask("expert", "DELETE", f"/api/cases/{case_id}/introduction"), 409)


def test_a_public_need_is_introduced_at_once_and_only_introductions_are_taken_back(server: Served) -> None:
    pairing_id, case_id = case_of(server, "public")
    done(server.ask("expert", "DELETE", f"/api/cases/{case_id}/introduction"), 409)
    with visiting(server, "expert", "en") as somebody:
        page: Any = somebody.open("/cases")
        page.locator(f"#case-{case_id}").get_by_role("button", name="introduced").click()
        expect(page.locator(f"section.stage:has(h2:has-text('introduced')) #case-{case_id}")).to_be_visible()
    done(server.ask("colleague", "DELETE", f"/api/cases/{case_id}/introduction"), 200)
    done(server.ask("researcher", "GET", f"/api/pairings/{pairing_id}/conversation"), 404)
    move(server, case_id, "introduced")
    # A word of the lab is as good as having opened it.
    answer = {"word": "willing"}
    done(server.ask("researcher", "PUT", f"/api/pairings/{pairing_id}/answer", json=answer), 200)
    done(server.ask("expert", "DELETE", f"/api/cases/{case_id}/introduction"), 409)


def test_what_is_said_of_a_signature_fits_together(server: Served) -> None:
    _, case_id = case_of(server)
    for stage in ("introduced", "negotiating"):
        move(server, case_id, stage)
    day = {"signed_on": TODAY.isoformat()}
    parts = [{"due_on": "2027-01-31", "amount_ntd": 400_000}, {"due_on": "2027-06-30", "amount_ntd": 500_000}]
    wrong: list[dict[str, Any]] = [
        {"signed_on": (TODAY + timedelta(days=1)).isoformat()},
        {**day, "ends_on": (TODAY - timedelta(days=1)).isoformat()},
        {**day, "amount_ntd": 900_001, "instalments": parts},
        {**day, "instalments": parts},
        {**day, "amount_ntd": 0},
        {**day, "shares": {"al-a": 9_999}},
        {**day, "shares": {"none": 10_000}},
        {**day, "document": {"sha256": "0" * 64, "name": "x"}},
    ]
    for signing in wrong:
        move(server, case_id, "signed", 422, signing=signing)
    assert stage_of(server, case_id) == "negotiating"
    move(server, case_id, "negotiating", 409, signing=day)
    move(server, case_id, "signed", signing={**day, "amount_ntd": 900_000, "instalments": parts})


@pytest.mark.parametrize("lang", ["zh-Hant", "en"])
def test_what_is_signed_fills_in_the_result_and_keeps_the_lab_busy(server: Served, lang: str) -> None:
    words, (_, case_id) = WORDS[lang], case_of(server)
    before = _signed_and_running(server)
    for stage in ("introduced", "negotiating"):
        move(server, case_id, stage)
    with visiting(server, "expert", lang) as somebody:
        page: Any = somebody.open(f"/cases/{case_id}")
        page.get_by_role("button", name=words["signed"]).click()
        assert stage_of(server, case_id) == "negotiating"
        page.get_by_label(words["sum"]).fill("９００，０００" if lang == "en" else "90萬")
        page.get_by_label(words["contract"]).fill("115-甲-001")
        page.locator("#f-due_on-1").fill("2027-01-31")
        page.locator("#f-part_ntd-1").fill("900000")
        page.locator("#f-ends_on").fill((TODAY + timedelta(days=100)).isoformat())
        page.get_by_role("button", name=words["sign"]).click()
        expect(page.locator("h1 .chip")).to_have_text(words["signed"])
        expect(page.locator("section[aria-labelledby='h-signed']")).to_contain_text("115-甲-001")
        _result_is_filled_in(somebody, case_id)
    assert _signed_and_running(server) == before + 1


def _result_is_filled_in(somebody: Visitor, case_id: int) -> None:
    page: Any = somebody.open(f"/results/new?case={case_id}&kpi=L")
    filled = {
        name: page.locator(f"#f-{name}").one().attributes.get("value")
        for name in ("amount", "occurred_on", "details_contract", "due_on-1", "part_ntd-1", "percent-1")
    }
    assert filled == {
        "amount": "900000",
        "occurred_on": TODAY.isoformat(),
        "details_contract": "115-甲-001",
        "due_on-1": "2027-01-31",
        "part_ntd-1": "900000",
        "percent-1": "100",
    }


def _signed_and_running(server: Served) -> int:
    with visiting(server, "expert", "en") as somebody:
        facts = somebody.open(f"/labs/{LAB}").locator("main").inner_text()
    found = facts.partition(" signed and running")[0]
    return int(found.rpartition(" ")[2]) if "signed and running" in facts else 0
