"""Nights in the administration: how each went, the one at work as it goes on, a warning where none came."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from api.trail.nights import LOCK, Said, StepState, night_ids, nights_path, read_night, write_night
from indexer.disk import exclusive_now
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting
from tests.rig.worlds.nights import made_up_night

LIVE = "<img src=x onerror=\"document.title='xss'\">\"'><script>document.title='xss'</script>"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("nights") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


@pytest.fixture
def home(server: Served) -> Path:
    """The server's home, without any night."""
    shutil.rmtree(nights_path(server.settings.home), ignore_errors=True)
    return server.settings.home


def _details(home: Path, night_id: str) -> None:
    """Give a night everything that a page can show of one."""
    night = read_night(home, night_id)
    assert night is not None
    files = [
        {"file": LIVE, "alliance": "al-a", "state": "failed", "why": [f"labs.xlsx: {LIVE}"]},
        {"file": "needs.jsonl", "alliance": None, "state": "same", "refused": 0, "imported_at": NOW.isoformat()},
        {"file": "more.csv", "alliance": None, "state": "waiting"},
        {
            "file": "companies.jsonl",
            "alliance": None,
            "state": "imported",
            "kind": "companies",
            **dict.fromkeys(("created", "updated", "unchanged", "refused"), 1),
            "problems": ["companies.jsonl:2 tier: give one of the tiers"],
            "problems_left_out": 0,
        },
    ]
    comparison = {
        "basis": "judgements",
        "not_compared": None,
        "needs": 20,
        "ndcg_before": 0.91,
        "ndcg_now": 0.72,
        "canaries": 5,
        "lost": [{"need": "need-1-01", "lab": "lab-1-01", "before": 1, "now": None}],
        "differences": {"need-1-01": -0.5, "need-1-02": 0.1},
    }
    night = night.with_step(night.step("import").model_copy(update={"details": {"files": files, "folders": []}}))
    details = {"generation": "g", "comparison": comparison}
    write_night(home, night.with_step(night.step("index").model_copy(update={"details": details})))


@pytest.mark.parametrize("lang", LANGS)
def test_the_newest_night_is_warned_of_where_it_must_be(server: Served, home: Path, lang: str) -> None:
    said = {
        "zh-Hant": ("尚未執行過夜間作業", "已超過 48 小時", "有步驟失敗", "暫緩啟用", "夜間作業中斷"),
        "en": ("has not run here yet", "more than 48 hours ago", "failed", "is held back", "was cut off"),
    }[lang]
    none, old, failed, held, cut_off = said
    with visiting(server, "office", lang) as somebody:
        notices = somebody.page.locator("#night-notice")
        somebody.open("/admin")
        expect(notices).to_contain_text(none)
        made_up_night(home, at=NOW - timedelta(hours=49))
        somebody.open("/admin")
        expect(notices).to_contain_text(old)
        made_up_night(home, step_state=StepState.FAILED)
        somebody.open("/admin")
        expect(notices).to_contain_text(failed)
        made_up_night(home, step_state=StepState.HELD)
        somebody.open("/admin")
        expect(notices).to_contain_text(held)
        made_up_night(home, finished=False)
        somebody.open("/admin")
        expect(notices).to_contain_text(cut_off)
        # The control: a good one of today is nothing to warn of.
        made_up_night(home)
        somebody.open("/admin")
        expect(notices).to_have_count(0)
        somebody.open("/admin/nights")
        expect(somebody.page.locator("tbody tr")).to_have_count(5)


def test_a_night_is_followed_while_it_goes_on(browser: Browser, server: Served, home: Path) -> None:
    night = made_up_night(home, step_state=StepState.RUNNING, finished=False)
    night_id = night.id
    with browsing(browser, server, "office", "en") as somebody, exclusive_now(nights_path(home) / LOCK):
        page = somebody.open(f"/admin/nights/{night_id}")
        row = page.locator("tbody tr", has_text="Index, with its quality check")
        expect(row.locator(".chip")).to_have_text("running")
        expect(page.locator("dd .chip")).to_have_text("running")
        done = night.step("index").model_copy(update={"state": StepState.DONE, "figures": {"labs": 31}})
        night = night.with_step(done).model_copy(update={"finished_at": NOW})
        write_night(home, night)
        # Nobody loads the page again.
        expect(row.locator(".chip")).to_have_text("done")
        expect(row).to_contain_text("labs 31")
        expect(page.locator("dd .chip").first).to_have_text("all done")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the report").click()
        assert download.value.suggested_filename == f"night-{night_id}.html"
        assert "夜間作業報告" in Path(download.value.path()).read_text()


def test_without_javascript_the_page_can_be_loaded_again(server: Served, home: Path) -> None:
    night = made_up_night(home, finished=False)
    with visiting(server, "office") as somebody, exclusive_now(nights_path(home) / LOCK):
        page = somebody.open(f"/admin/nights/{night.id}")
        page.get_by_role("link", name="重新載入").click()
        expect(page.locator("h1")).to_contain_text(night.id)


@pytest.mark.parametrize("lang", LANGS)
def test_nights_are_accessible_and_quote_nothing(browser: Browser, server: Served, home: Path, lang: str) -> None:
    with browsing(browser, server, "office", lang) as somebody:
        look_over(somebody, lang, {"nights-none": "/admin/nights"})
        made_up_night(home, at=NOW - timedelta(days=1), step_state=StepState.FAILED, message=Said(zh=LIVE, en=LIVE))
        held = made_up_night(home, step_state=StepState.HELD, message=Said(zh="新索引不如現用版本", en="it is worse"))
        _details(home, held.id)
        nights = {f"admin-nights-{number}": f"/admin/nights/{one}" for number, one in enumerate(night_ids(home))}
        look_over(somebody, lang, {"admin-nights": "/admin/nights", **nights})


def test_the_api_tells_the_same(server: Served, home: Path) -> None:
    first = made_up_night(home, at=NOW - timedelta(days=1))
    night = made_up_night(home, step_state=StepState.FAILED)
    listed = server.ask("job", "GET", "/api/nights").json()
    assert [one["id"] for one in listed["items"]] == [night.id, first.id]
    assert [one["state"] for one in listed["items"]] == ["failed", "done"]
    assert listed["items"][0]["failed"] == ["index"]
    told = server.ask("office", "GET", f"/api/nights/{night.id}").json()
    assert (told["state"], told["total_s"], len(told["steps"])) == ("failed", 30.0, len(night.steps))
    assert server.ask("office", "GET", f"/api/nights/{night.id}/report").content.startswith(b"<!DOCTYPE html>")
    for path in ("/api/nights/..%2F..", "/api/nights/2026-11-24-999", "/api/nights/lock", "/api/nights/x/report"):
        assert server.ask("office", "GET", path).status_code == 404
    # Whoever is at it makes the newest one that did not end the running one, and no other.
    made_up_night(home, finished=False)
    assert server.ask("job", "GET", "/api/nights").json()["items"][0]["state"] == "interrupted"
    with exclusive_now(nights_path(home) / LOCK):
        found = [one["state"] for one in server.ask("job", "GET", "/api/nights").json()["items"]]
    assert found == ["running", "failed", "done"]
    for who in ("expert", "lead", "committee", "company", "researcher", "newcomer"):
        assert server.ask(who, "GET", "/api/nights").status_code == 403
