"""Charts stand in a page as pictures: no script, no style of their own, text as text, links to our own places only."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import altair as alt
import pytest
from playwright.sync_api import Browser

from api.documents import charts
from api.pages.shell.assets import icon, icons
from api.pages.shell.drawing import drawn
from tests.rig.servers.browsers import accessibility_faults
from tests.rig.servers.served import REPOSITORY

NASTY = "<script>document.title='xss'</script>\"'><img src=x onerror=document.title='xss'>\x00\x1f\ud800"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'"


def _bars(rows: list[dict[str, Any]]) -> alt.Chart:
    encoding = {"x": "name:N", "y": "amount:Q", "color": "name:N", "href": "path:N", "description": "name:N"}
    return alt.Chart(alt.Data(values=rows)).mark_bar(clip=True).encode(**encoding)


def _shown(browser: Browser, svg: str) -> Any:
    """Return a page under the policy of our pages that holds a drawing and nothing else."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.route(
        "http://pages.test/",
        lambda route: route.fulfill(
            body=f"<!DOCTYPE html><html lang=en><title>page</title><main><h1>Drawing</h1>{svg}</main></html>",
            headers={"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY},
        ),
    )
    page.goto("http://pages.test/")
    page.complaints = complaints
    return page


def test_names_in_a_drawing_are_text(browser: Browser) -> None:
    svg = drawn(_bars([{"name": NASTY, "amount": 1}]), name="nasty", title=NASTY[:80], description=NASTY[:80])
    page = _shown(browser, svg)
    try:
        assert page.title() == "page"
        assert page.complaints == []
        assert page.locator("main script, main img, main style, main [style]").count() == 0
        assert page.locator("svg title").first.text_content() == NASTY[:80]
        assert any(said.startswith("<script>") for said in page.locator("svg text").all_text_contents())
    finally:
        page.close()


def test_the_policy_would_refuse_what_must_not_be_in_a_drawing(browser: Browser) -> None:
    page = _shown(browser, '<svg><rect style="fill: red" width="9" height="9"/></svg>')
    try:
        assert len(page.complaints) == 1
        assert "style-src" in page.complaints[0]
    finally:
        page.close()


def test_links_lead_to_our_own_places_only(browser: Browser) -> None:
    paths = [
        "/kpi/T?year=108&alliance=a",
        "//evil.example/",
        "/\\evil.example/",
        "https://evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        None,
        "",
    ]
    rows = [{"name": f"bar {at}", "amount": 1, "path": path} for at, path in enumerate(paths)]
    page = _shown(browser, drawn(_bars(rows), name="linked", title="Links"))
    try:
        links = page.locator("svg a")
        assert [link.get_attribute("href") for link in links.all()] == ["/kpi/T?year=108&alliance=a"]
        assert links.get_attribute("aria-label") == "bar 0"
        assert page.locator("svg path title").count() == len(paths)
        assert page.locator("svg").get_attribute("role") == "group"
        assert accessibility_faults(page) == []
    finally:
        page.close()


def test_two_drawings_on_a_page_share_no_id(browser: Browser) -> None:
    chart = _bars([{"name": "one", "amount": 1}])
    svg = drawn(chart, name="first", title="First") + drawn(chart, name="second", title="Second")
    page = _shown(browser, svg)
    try:
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
        assert len(ids) == len(set(ids)) >= 4
        uses = re.findall(r"url\(#([^)]+)\)", svg)
        assert uses
        assert set(uses) <= set(ids)
        assert page.get_by_role("img", name="First", exact=True).count() == 1
        assert accessibility_faults(page) == []
    finally:
        page.close()


def test_drawings_made_at_once_are_those_made_one_by_one() -> None:
    made = [_bars([{"name": f"聯盟 {at}", "amount": at}]) for at in range(12)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda one: drawn(one, name="together", title="t"), made))
    assert together == [drawn(one, name="together", title="t") for one in made]
    assert len(set(together)) == len(made)


@pytest.mark.parametrize("name", ["", "1st", "a b", 'a"onload="x', "A"])
def test_a_drawing_needs_a_name_that_can_be_an_id(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        drawn(_bars([]), name=name, title="t")


def test_a_chart_on_a_page_has_one_language() -> None:
    points = [(2018, 0.1, 0.2), (2019, 0.35, 0.3)]
    zh, en = (str(drawn(charts.own_income_chart(points, lang), name="own", title="t")) for lang in ("zh-Hant", "en"))
    assert "自有收入占比（柱）與要求（線）" in zh
    assert "own-income" not in zh
    assert "own-income share (bars)" in en
    assert not re.search(r"[\u4e00-\u9fff]", en)


def test_the_sprite_holds_the_icons_in_use_and_no_other() -> None:
    files = [*REPOSITORY.glob("api/templates/**/*.html"), *REPOSITORY.glob("api/pages/**/*.py")]
    written = "\n".join(path.read_text("utf-8") for path in files)
    assert sorted(name for name in icons() if f'"{name}"' not in written) == []
    named = set(re.findall(r'icon\("([a-z0-9-]+)"\)', written))
    assert (len(named) > 10, sorted(named - icons())) == (True, [])
    with pytest.raises(KeyError):
        icon("unicorn")
