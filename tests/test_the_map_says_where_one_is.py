"""The map says where one is: areas have names, signs a legend; filters act at once; it is zoomed and read by keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from api.commands.matching import redrawn
from api.pages.figures.map_picture import HEIGHT, WIDTH, MapName, MapPoint, PointKind, map_picture, text_width
from api.pages.shell.taiwan import spots_of
from indexer.arrays import FloatArray
from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.records.profiles import Lab
from indexer.settings import Settings
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Band
from matcher.review.intake import adopt
from matcher.review.mapped.area_names import topics, topics_of_labs
from matcher.review.mapped.areas import Area, areas_of, keep_areas, kept_areas
from matcher.review.mapped.field_map import NeedStanding
from tests.conftest import Databases
from tests.rig.markup import Element, parsed, selected
from tests.rig.servers.browsers import browsing
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting
from tests.rig.worlds.small_world import draw_everything

SECRET = "祕密配方"
OF_A_LAB = {
    "lab-1-01": "wafer polishing",
    "lab-1-02": "wafer polishing",
    "lab-1-06": "cooling and heat transfer",
    "lab-1-13": "precision metrology",
    "lab-1-26": "water treatment",
}
"""A topic of some labs of the demo world; the second and the last write English only."""


def _lab(number: int, name: str, field: str) -> Lab:
    nothing: dict[str, Any] = dict.fromkeys(
        ("keywords", "offers", "will_not_do", "languages", "conflicts", "links", "evidence"), ()
    )
    texts = {"name": f"{name}實驗室", "name_en": "", "pi": "王大明", "summary": name, "summary_en": ""}
    return Lab(id=f"lab-{number:02}", school=None, fields=(field,), capacity=None, **texts, **nothing)


def _about(*numbers: int) -> FloatArray:
    """Return how much a lab is about each topic: some of them, the first most, and no other."""
    row = np.zeros(len(topics()), dtype=np.float32)
    for place, number in enumerate(numbers):
        row[number] = 0.9 - 0.1 * place
    return row


WAFERS, CHIPS, FISH, TEA, RARE = 1, 3, 96, 105, 149
"""Numbers of topics: polishing wafers, designing chips, keeping fish, making tea, and what one lab alone does."""


@pytest.fixture(scope="module")
def two_groups() -> tuple[dict[str, Lab], dict[str, tuple[float, float]], dict[str, FloatArray]]:
    """Six labs of wafers and chips at the left, six of fish and tea at the right, one of something else too."""
    labs, about = {}, {}
    for number in range(12):
        is_left = number < 6
        lab = _lab(number, f"第 {number}", "半導體" if is_left else "新農業")
        labs[lab.id] = lab
        both = (WAFERS, CHIPS) if is_left else (FISH, TEA)
        about[lab.id] = _about(*(both if number % 2 else both[::-1]), *([RARE] if number == 7 else []))
    rng = np.random.default_rng(1)
    places = {id_: (float(x), float(y)) for id_, (x, y) in zip(labs, rng.normal(size=(12, 2)), strict=True)}
    return labs, {id_: (x + (40 if labs[id_].fields == ("新農業",) else 0), y) for id_, (x, y) in places.items()}, about


def test_an_area_is_called_by_what_its_labs_alone_do(two_groups: Any) -> None:
    labs, places, about = two_groups
    areas = areas_of(places, labs, about)
    called = {(area.field, word) for area in areas for word in (*area.words, *area.words_en)}
    assert called == {
        *(("半導體", word) for number in (WAFERS, CHIPS) for word in topics()[number]),
        *(("新農業", word) for number in (FISH, TEA) for word in topics()[number]),
    }
    # The same again, and from the areas before the same areas in the same order.
    assert areas_of(places, labs, about) == areas
    assert areas_of(places, labs, about, areas) == areas
    # The controls: too few labs have no areas, and of labs that are about nothing none has a name.
    assert areas_of(dict(list(places.items())[:8]), labs, about) == ()
    nothing = dict.fromkeys(labs, np.zeros(len(topics()), dtype=np.float32))
    assert {(area.words, area.words_en) for area in areas_of(places, labs, nothing)} == {((), ())}


def test_every_topic_has_one_name_in_each_language() -> None:
    zh, en = zip(*topics(), strict=True)
    assert (len(set(zh)), len(set(en))) == (len(topics()), len(topics()))
    assert [name for name in zh if re.search("[a-z ]", name)] == []
    assert [name for name in en if not name.isascii() or not name.strip()] == []


def test_a_lab_is_about_its_topic_whatever_language_it_writes(indexed_home: Path) -> None:
    about = topics_of_labs(Matcher.open(Settings(home=indexed_home, encoders="bundled-use")))
    names = {lab: [topics()[number][1] for number in (-row).argsort()[:3]] for lab, row in about.items()}
    assert {lab: wanted in names[lab] for lab, wanted in OF_A_LAB.items()} == dict.fromkeys(OF_A_LAB, True)


def test_areas_are_kept_whole_and_only_those_of_the_last_maps(tmp_path: Path) -> None:
    area = Area(("lab-1", "lab-2"), ("拋光",), (), "半導體")
    for inputs in ("a" * 64, "b" * 64, "c" * 64):
        keep_areas(tmp_path, inputs, [area])
    assert [kept_areas(tmp_path, one * 64) for one in "abc"] == [None, (area,), (area,)]
    next((tmp_path / "map").glob("c*.json")).write_bytes(b'[{"labs": ["lab-1"')
    assert kept_areas(tmp_path, "c" * 64) is None


def _boxes(picture: str) -> list[tuple[float, float, float, float]]:
    boxes = []
    for text in selected(parsed(picture), ".names text"):
        x, y = map(float, re.findall(r"[\d.]+", text.attributes["transform"]))
        lines = [tspan.text_content() for tspan in selected(text, "tspan")]
        half = max(text_width(lines[0], 15), text_width(lines[1], 12)) / 2
        boxes.append((x - half, y - 13, x + half, y + 17))
    return boxes


def test_names_neither_overlap_nor_leave_the_picture() -> None:
    rng = np.random.default_rng(3)
    points = [MapPoint(x, y, PointKind.LAB, "半導體", ("名",), "/labs/a") for x, y in rng.uniform(0, 50, (200, 2))]
    # Forty names, half of them on one place: there is no room for all of those.
    at = [*rng.uniform(0, 50, (20, 2)), *[(49.9, 0.1)] * 20]
    names = [MapName(x, y, f"記憶體內運算、第 {n} 區", "智慧製造", 40 - n) for n, (x, y) in enumerate(at)]
    boxes = _boxes(map_picture(points, names, is_chinese=True, title="圖", description="說明"))
    assert 20 <= len(boxes) < 40
    assert [box for box in boxes if box[0] < 0 or box[1] < 0 or box[2] > WIDTH or box[3] > HEIGHT] == []
    overlaps = [
        (a, b)
        for n, a in enumerate(boxes)
        for b in boxes[n + 1 :]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]
    assert overlaps == []


@pytest.fixture(scope="module")
def mapped(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a map on which one need is unmet, one confidential, and two areas have a name."""
    folder = tmp_path_factory.mktemp("named-map") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(server.settings)
        secret = {"id": "need-secret", "title": SECRET, "company": "co-1-1", "confidentiality": "confidential"}
        with writing(engine) as session:
            import_rows(session, "needs", [secret])
            import_rows(session, "companies", [{"id": "co-far", "name": "遠方公司", "city": "某地"}])
            adopt(session, need_ids=["need-secret"], alliance_id="al-a", by=None, now=datetime.now(UTC))
        engine.dispose()
        standings = {"need-1-01": NeedStanding(3, Band.WEAK), "need-secret": NeedStanding(5, Band.PLAUSIBLE)}
        drawn = draw_everything(server.settings, standings)
        answer = server.ask("expert", "GET", "/api/field-map").json()
        ids = [lab["lab_id"] for lab in answer["labs"]]
        areas = [
            Area(tuple(ids[:3]), ("拋光", "晶圓"), ("polishing",), "半導體"),
            Area(tuple(ids[3:]), (), (), "綠能科技"),
        ]
        keep_areas(folder, drawn.inputs, areas)
        yield server


def _page(server: Served, who: str, lang: str, path: str) -> Element:
    with visiting(server, who, lang) as somebody:
        return parsed(somebody.open(path).content())


def test_the_answer_says_in_which_area_each_point_lies(mapped: Served) -> None:
    found = mapped.ask("expert", "GET", "/api/field-map").json()
    assert [(area["words"], area["words_en"], area["field"]) for area in found["areas"]] == [
        (["拋光", "晶圓"], ["polishing"], "半導體"),
        ([], [], "綠能科技"),
    ]
    assert [lab["area"] for lab in found["labs"]] == [0, 0, 0, *[1] * (len(found["labs"]) - 3)]
    assert {need["area"] for need in found["needs"]} <= {0, 1}
    assert SECRET not in str(found["areas"])


def _texts(page: Element, css: str) -> list[str]:
    return [" ".join(one.text_content().split()) for one in selected(page, css)]


def _areas(page: Element) -> list[str]:
    """Return what the names in the picture say in their first line."""
    return sorted(text.elements()[0].text_content() for text in selected(page, ".names text"))


def _said(page: Element, href: str) -> list[str]:
    """Return the lines that a point of the picture says."""
    [title] = selected(page, f".points a[href='{href}'] title")
    return title.text_content().split("\n")


def test_areas_have_names_and_points_say_what_they_are_without_a_script(mapped: Served) -> None:
    zh, en = _page(mapped, "expert", "zh-Hant", "/map"), _page(mapped, "expert", "en", "/map")
    assert (_areas(zh), _areas(en)) == (["拋光、晶圓", "綠能科技"], ["Green energy", "Polishing"])
    assert _said(zh, "/needs/need-1-01")[-1] == "最佳契合：尚無合適實驗室"
    lab = _said(en, "/labs/lab-1-01")
    assert (lab[0], lab[-1]) == ("SiC Wafer Polishing Laboratory", "semiconductors")
    marks = {mark.attributes["href"] for mark in selected(zh, ".points a[href^='/needs/'] use")}
    assert {mark.split("-")[1] for mark in marks} == {"unmet", "thin"}
    # What stands for what, with how many.
    assert [line for line in _texts(zh, ".legend li") if "需求" in line] == [
        "! 尚無合適實驗室的需求 1",
        "需求，至多可能契合 1",
    ]


def test_the_office_finds_a_confidential_need_without_its_title(mapped: Served) -> None:
    titles = {}
    for who in ("office", "expert"):
        page = _page(mapped, who, "zh-Hant", "/map")
        titles[who] = _said(page, "/needs/need-secret")[0]
    assert titles == {"office": "保密需求", "expert": SECRET}


def test_what_is_wanted_is_shown_and_the_address_keeps_it(mapped: Served) -> None:
    def shown(query: str) -> tuple[int, int]:
        page = _page(mapped, "expert", "en", f"/map?{query}")
        labs, needs = (selected(page, f".points a[href^='/{kind}/']") for kind in ("labs", "needs"))
        return len(labs), len(needs)

    labs, needs = shown("")
    assert (labs > 3, needs) == (True, 2)
    assert (shown("things=labs"), shown("things=needs")) == ((labs, 0), (0, needs))
    assert shown("unmet=yes") == (labs, 1)
    of_schools = [shown(f"region={region}")[0] for region in ("north", "central", "south", "east", "islands")]
    assert (sum(of_schools), max(of_schools) < labs) == (labs, True)
    of_types = [shown(f"type={kind}_university")[0] for kind in ("public", "private", "technological", "medical")]
    assert sum(of_types) == labs
    page = _page(mapped, "expert", "en", "/map?region=north&things=labs&field=%E5%8D%8A%E5%B0%8E%E9%AB%94")
    chosen = {
        one.parent.attributes["name"]: one.attributes["value"]
        for one in selected(page, "option[selected]")
        if one.parent is not None
    }
    assert chosen == {"field": "半導體", "region": "north", "things": "labs"}


def test_a_map_whose_areas_are_gone_has_the_fields_for_names(mapped: Served) -> None:
    folder = mapped.settings.home / "map"
    folder.rename(folder.with_name("map-away"))
    try:
        names = _areas(_page(mapped, "expert", "zh-Hant", "/map"))
    finally:
        folder.with_name("map-away").rename(folder)
    assert ("半導體" in names, "拋光、晶圓" in names) == (True, False)


def test_a_night_draws_the_areas_again_where_they_are_gone(indexed_home: Path, own_home: Path) -> None:
    settings = Settings(home=own_home, encoders="bundled-use")
    first = redrawn(settings)
    kept = kept_areas(own_home, first.drawing.inputs)
    assert kept is not None
    next((own_home / "map").glob("*.json")).unlink()
    assert (redrawn(settings).drawing.changed, kept_areas(own_home, first.drawing.inputs)) == (False, kept)


def test_the_map_is_zoomed_and_read_by_keys(browser: Browser, mapped: Served) -> None:
    with browsing(browser, mapped, "expert", "zh-Hant") as somebody:
        page = somebody.open("/map")
        stage, card = page.locator(".stage"), page.locator(".map-card")
        first = page.locator(".points a[href='/labs/lab-1-01']")
        marks = first.bounding_box()
        stage.focus()
        # A key of an input method that composes, and one with Ctrl, are not the map's.
        still = first.get_attribute("transform")
        stage.dispatch_event("keydown", {"key": "+", "isComposing": True})
        stage.dispatch_event("keydown", {"key": "+", "ctrlKey": True})
        # With a Chinese keyboard on, the key of minus writes another sign: nothing is smaller than the whole map.
        stage.dispatch_event("keydown", {"key": "ㄦ", "code": "Minus"})
        page.wait_for_timeout(50)
        assert first.get_attribute("transform") == still
        stage.dispatch_event("keydown", {"key": "Process", "code": "Equal"})
        expect(page.locator("[data-zoom=out]")).to_have_attribute("aria-disabled", "false")
        assert first.get_attribute("transform") != still
        # Marks keep their size.
        near = first.bounding_box()
        assert marks is not None
        assert near is not None
        assert (round(near["width"]), round(near["height"])) == (round(marks["width"]), round(marks["height"]))
        page.keyboard.press("0")
        expect(page.locator("[data-zoom=out]")).to_have_attribute("aria-disabled", "true")
        page.keyboard.press("Tab")
        begun = page.evaluate("document.activeElement.getAttribute('href')")
        expect(card).to_be_visible()
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("document.activeElement.getAttribute('href')") != begun
        reached = page.evaluate("document.activeElement.querySelector('title').textContent").split("\n")
        assert card.locator("p").all_text_contents() == [line for line in reached if line]
        page.keyboard.press("Escape")
        expect(card).to_be_hidden()
        expect(stage).to_be_focused()
        # Filters act at once, and the address keeps them.
        page.get_by_label("顯示項目").select_option("labs")
        expect(page.locator(".points a[href^='/needs/']")).to_have_count(0)
        expect(page).to_have_url(re.compile(r"things=labs"))
        expect(page.locator(".stage.live")).to_have_count(1)


def test_near_places_are_one_spot_with_all_that_is_there() -> None:
    spots = spots_of({"臺北市": (4, 2), "基隆市": (1, 0), "臺中市": (8, 3), "澎湖縣": (1, 0)})
    assert [(spot.places, spot.schools, spot.companies) for spot in spots] == [
        (("臺北市", "基隆市"), 5, 2),
        (("臺中市",), 8, 3),
        (("澎湖縣",), 1, 0),
    ]


def test_taiwan_shows_schools_and_companies_and_says_whose_place_is_unknown(mapped: Served) -> None:
    page = _page(mapped, "office", "zh-Hant", "/map/taiwan")
    signs = [
        text for text in selected(page, "svg.taiwan-large a text") if "place" not in text.attributes.get("class", "")
    ]
    rows = [[cell.text_content().strip() for cell in row.elements()] for row in selected(page, "tbody tr")]
    places = [row for row in rows if row[0] not in ("國外", "所在地不明")]
    assert sum(int(text.text_content()) for text in signs) == sum(int(row[1]) + int(row[2]) for row in places) > 0
    [unknown] = [row for row in rows if row[0] == "所在地不明"]
    assert f"{unknown[2]} 家企業所在地不明" in _texts(page, "main > p")[0]
    # A spot leads to who is there.
    there = _page(
        mapped, "office", "zh-Hant", selected(page, "svg.taiwan-large a")[0].attributes["href"].partition("#")[0]
    )
    assert [one for one in _texts(there, "#there li") if "個實驗室" in one] != []
    listed = _page(mapped, "office", "zh-Hant", "/map/taiwan?place=unknown")
    assert "遠方公司" in _texts(listed, "#there li")
    # The control: an expert of an alliance that does not look after it does not see it.
    assert "遠方公司" not in _page(mapped, "expert", "zh-Hant", "/map/taiwan?place=unknown").text_content()
