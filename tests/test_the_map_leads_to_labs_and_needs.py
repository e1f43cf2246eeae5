"""The map in pages: a picture whose points lead on, the same in tables, narrowed without a script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ranking.ranker import Band
from matcher.review.intake import adopt
from matcher.review.mapped.field_map import NeedStanding
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting
from tests.rig.worlds.small_world import draw_everything

ATTACK = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"
STANDINGS = {"need-1-01": NeedStanding(3, Band.WEAK), "need-secret": NeedStanding(5, Band.PLAUSIBLE)}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("map") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


@pytest.fixture(scope="module")
def mapped(server: Served) -> Served:
    """The server with a map on which one need is unmet, one may be met, and texts try to break out."""
    engine = open_engine(server.settings)
    secret = {"id": "need-secret", "title": "祕密配方", "company": "co-1-1", "confidentiality": "confidential"}
    attack = {"id": "need-attack", "title": ATTACK, "company": "co-1-1"}
    with writing(engine) as session:
        import_rows(session, "needs", [secret, attack])
        import_rows(session, "labs", [{"id": "lab-attack", "name": ATTACK, "fields": ["半導體"]}])
        adopt(session, need_ids=["need-secret", "need-attack"], alliance_id="al-a", by=None, now=datetime.now(UTC))
    engine.dispose()
    draw_everything(server.settings, STANDINGS)
    return server


@pytest.mark.parametrize("lang", LANGS)
def test_before_the_first_drawing_the_page_says_what_to_do(browser: Browser, server: Served, lang: str) -> None:
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, {"map-none": "/map"})
        expect(somebody.page.locator(".empty")).to_contain_text("gloria map")


def _unfold(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()


@pytest.mark.parametrize("lang", LANGS)
def test_the_map_is_accessible_fits_and_keeps_texts_as_texts(browser: Browser, mapped: Served, lang: str) -> None:
    with browsing(browser, mapped, "expert", lang) as somebody:
        look_over(somebody, lang, {"map": "/map", "taiwan": "/map/taiwan?place=unknown"}, _unfold)
        page = somebody.open("/map")
        _unfold(page)
        expect(page.get_by_role("link", name=ATTACK).first).to_be_visible()
        assert ("xss" in page.title(), page.locator("main img, main script").count()) == (False, 0)


def test_points_of_the_picture_lead_to_their_pages(browser: Browser, mapped: Served) -> None:
    with browsing(browser, mapped, "expert", "en") as somebody:
        page = somebody.open("/map")
        links = {link.get_attribute("href") for link in page.locator("figure.chart a").all()}
        assert {"/needs/need-1-01", "/labs/lab-1-01", "/needs/need-secret"} <= links
        assert page.locator("figure.chart a[href='/needs/need-1-01'] title").text_content() is not None
        page.locator("figure.chart a[href='/needs/need-1-01']").click()
        expect(page).to_have_url(mapped.url + "/needs/need-1-01")


def test_the_map_is_narrowed_without_a_script(mapped: Served) -> None:
    with visiting(mapped, "expert", "en") as somebody:
        page = somebody.open("/map")
        rows = page.get_by_role("region", name="Needs").locator("tbody tr")
        expect(rows).to_have_count(3)
        # The worst come first.
        expect(rows.nth(0)).to_contain_text("no suitable lab")
        expect(rows.nth(1)).to_contain_text("plausible labs at best")
        page.get_by_label("Of the needs only unmet ones").check()
        page.get_by_role("button", name="Apply").click()
        expect(page).to_have_url(mapped.url + "/map?field=&region=&type=&school=&things=&unmet=yes")
        expect(rows).to_have_count(1)
        page.get_by_label("Research field").select_option("金融科技")
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_text("Nothing on the map fits these filters.")).to_be_visible()
        page.get_by_role("link", name="Without filters").first.click()
        expect(rows).to_have_count(3)


def test_the_office_sees_a_confidential_point_without_its_text(mapped: Served) -> None:
    with visiting(mapped, "office", "en") as somebody:
        page = somebody.open("/map")
        assert "祕密配方" not in page.content()
        expect(page.get_by_role("link", name="Confidential need").first).to_be_visible()
    # The control: whose need it is reads it.
    with visiting(mapped, "expert", "en") as somebody:
        assert "祕密配方" in somebody.open("/map").content()
