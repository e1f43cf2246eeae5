"""The import wizard: an office's own list becomes reviewed matches in three steps, with a browser or without."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import text

from indexer.database import open_engine, reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from tests.conftest import Databases, Gloria
from tests.rig.servers.browsers import (
    LANGS,
    accessibility_faults,
    browsing,
    keep_screenshot,
    ranked,
    scrolls_sideways,
    verdicts,
)
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import VisitedPage, Visitor, expect, visiting
from tests.rig.worlds.office_lists import company_association, research_office, school_office

PARTNERS = [{"school": "s-1"}, {"school": "s-2"}, {"school": "s-3"}]
SCHOOLS = [("s-1", "霧社科技大學"), ("s-2", "合歡大學"), ("s-3", "奇萊醫學院"), ("s-9", "別處大學")]
MOST_BYTES = 80_000
"""A page of the grid of 100 rows and 15 columns."""
MOST_MS = 3_000


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("wizard") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            import_rows(session, "schools", [{"id": key, "name": name} for key, name in SCHOOLS])
            import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟", "partners": PARTNERS}])
        engine.dispose()
        yield server


def _stored(server: Served, query: str) -> list[Any]:
    engine = open_engine(server.settings)
    with reading(engine) as session:
        found = list(session.execute(text(query)).scalars())
    engine.dispose()
    return found


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "mimeType": "application/octet-stream", "buffer": path.read_bytes()}


def _sent(somebody: Visitor, path: Path) -> VisitedPage:
    page = somebody.open("/imports")
    page.locator("#f-file").set_input_files(_file(path))
    page.get_by_role("button", name="檢視內容").click()
    return page


def _imported(page: VisitedPage, button: str) -> VisitedPage:
    """Press the button that imports, and load the page that follows the job until it has ended."""
    page.get_by_role("button", name=button).click()
    until = time.monotonic() + 60
    while page.locator("noscript").count() and time.monotonic() < until:
        time.sleep(0.1)
        page.reload()
    return page


def _counts(page: VisitedPage) -> list[str]:
    return [" ".join(one.split()) for one in page.locator(".sum li").all_inner_texts()]


def test_a_school_offices_list_becomes_reviewed_matches(browser: Browser, server: Served, tmp_path: Path) -> None:
    path = school_office(tmp_path / "115 年師資與需求.xlsx")
    with browsing(browser, server, "expert", "zh-Hant", width=375, height=812) as somebody:
        # One: the list as the office keeps it.
        page = somebody.open("/imports")
        assert accessibility_faults(page) == []
        page.set_input_files("#f-file", str(path))
        page.get_by_role("button", name="檢視內容").click()
        page.wait_for_url("**/imports/list-*")
        expect(page.locator(".sum li").first).to_have_text("18新增")
        _fits_everybody(page, "imports-list")
        # Two: what it becomes is right.
        page.get_by_role("button", name="匯入 18 筆").click()
        page.wait_for_url("**/imports/jobs/*")
        expect(page.get_by_role("button", name="整批復原這次匯入")).to_be_visible(timeout=60_000)
        assert page.locator(".go-on a").count() == 6
        _fits_everybody(page, "imports-done")
        # Three: a new need beside its labs, the new ones among them, and a word on the first.
        page.get_by_role("link", name="冬季葉片結冰停機").click()
        ranked(page)
        need_id = page.url.rpartition("/")[2].partition("?")[0]
        first = page.locator(".candidate").first
        expect(first).to_contain_text("葉片結冰實驗室")
        first.get_by_role("button", name=re.compile("接受")).first.click()
        _until(lambda: len(verdicts(server, need_id)) == 1)
        assert [verdict for _, verdict, _, _ in verdicts(server, need_id)] == ["accept"]


def _until(holds: Any) -> None:
    until = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def _fits_everybody(page: Page, name: str) -> None:
    for width in (375, 1280):
        page.set_viewport_size({"width": width, "height": 812})
        assert (name, width, scrolls_sideways(page)) == (name, width, False)
        assert (name, width, accessibility_faults(page)) == (name, width, [])
        keep_screenshot(page, f"{name}-{width}")
    page.set_viewport_size({"width": 375, "height": 812})


def test_a_list_is_mended_without_script(server: Served, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["某院可合作實驗室"])
    sheet.append(["實驗室名稱", "學校", "計畫主持人", "研究專長", "可承接件數"])
    sheet.append(["感測甲室", "奇萊醫學院", "那思齊", "步態感測", "約三件"])
    sheet.append(["感測乙室", "別處大學", "翁百川", "微針", 1])
    sheet.append(["感測丙室", None, "卜以寧", "氧化鋯", 2])
    book.save(tmp_path / "合作.xlsx")
    with visiting(server, "lead") as somebody:
        page = _sent(somebody, tmp_path / "合作.xlsx")
        assert _counts(page) == ["1新增", "0更新", "2列未匯入"]
        page.get_by_role("link", name="修正問題").last.click()
        cells = page.locator(".grid .wrong input")
        assert [one.input_value() for one in cells.all()] == ["別處大學", ""]
        page.locator(".grid .doubt input").one()
        cells.first.fill("合歡大學")
        page.locator(".grid .wrong button").first.click()
        assert page.locator(".grid .wrong").count() == 0
        page.locator(".grid .doubt input").fill("3")
        page.get_by_role("button", name="儲存修正").first.click()
        expect(page.locator("#notice")).to_contain_text("已儲存修正")
        page.get_by_role("link", name="前往匯入").first.click()
        assert _counts(page) == ["3新增", "0更新"]
        # A column is said to be something else, and the columns are kept under a name.
        page.get_by_label("研究專長").select_option("keywords")
        page.get_by_role("button", name="重新讀取").last.click()
        assert page.get_by_label("研究專長").locator("option[selected]").get_attribute("value") == "keywords"
        page.get_by_label("來源名稱").fill("某院")
        page.get_by_role("button", name="記住這些欄位對應").click()
        expect(page.locator("#notice")).to_contain_text("下次同一來源的名單可直接套用")
        page = _imported(page, "匯入 3 筆")
        assert _counts(page) == ["3新增", "0更新", "0與原資料相同"]
        names = "SELECT name || ' ' || school || ' ' || capacity FROM lab WHERE name LIKE '感測%' ORDER BY name"
        assert _stored(server, names) == ["感測丙室 s-2 2", "感測乙室 s-2 1", "感測甲室 s-3 3"]
        # The next list of the same source: the columns that were kept are offered.
        page = _sent(somebody, tmp_path / "合作.xlsx")
        page.get_by_role("button", name="套用欄位對應").click()
        assert page.get_by_label("研究專長").locator("option[selected]").get_attribute("value") == "keywords"
        page = somebody.open("/imports")
        page.locator("form[action*=undo] button").first.click()
        expect(page.locator("#notice")).to_contain_text("已復原這次匯入")
        assert _stored(server, names) == []


@pytest.mark.parametrize("lang", LANGS)
def test_the_start_offers_templates_and_refuses_what_is_no_list(server: Served, tmp_path: Path, lang: str) -> None:
    with visiting(server, "office", lang) as somebody:
        page = somebody.open("/imports")
        links = page.locator(".templates a")
        assert links.count() == 12
        for n in range(links.count()):
            answer = links.nth(n).fetched()
            assert (answer.status_code, "attachment" in answer.headers["content-disposition"]) == (200, True)
        (tmp_path / "x.xlsx").write_bytes(b"PK\x03\x04 no workbook")
        page.locator("#f-file").set_input_files(_file(tmp_path / "x.xlsx"))
        page.locator("form[enctype] button").click()
        assert page.answer is not None
        assert page.answer.status_code == 422
        expect(page.get_by_role("alert")).to_contain_text("XLSX")
    with visiting(server, "company", lang) as somebody:
        somebody.open("/imports", 403)


def test_a_hundred_rows_stay_quick(server: Served, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    names = [
        "實驗室名稱",
        "學校",
        "計畫主持人",
        "研究專長",
        "關鍵字",
        "可承接件數",
        "迴避廠商",
        "電話",
        "電子郵件",
        "職稱",
    ]
    sheet.append([*names, "網址", "地址", "分機", "系所", "樓層"])
    for n in range(100):
        row = [f"大名單 {n} 室", "霧社科技大學", f"藺若川{n}", "風機葉片結冰的早期偵測與除冰", "結冰；聲射", "約三件"]
        sheet.append(
            [*row, "無", "02-1234", "a@b.example", "教授", f"https://lab.example/{n}", "某路", n, "機械", "三"]
        )
    book.save(tmp_path / "大名單.xlsx")
    with visiting(server, "colleague") as somebody:
        page = _sent(somebody, tmp_path / "大名單.xlsx")
        for path in ("/rows", "/rows?show=all", "/rows?show=all&after=27"):
            begun = time.perf_counter()
            there = somebody.open(page.url.removeprefix(server.url).partition("/rows")[0] + path)
            took_ms = (time.perf_counter() - begun) * 1_000
            size = len(there.content().encode())
            print(f"{path}: {size} bytes, {took_ms:.0f} ms")
            assert (path, size < MOST_BYTES, took_ms < MOST_MS) == (path, True, True)
            assert there.locator(".grid tbody tr").count() == 25


@pytest.mark.parametrize(("write", "labs", "needs"), [(research_office, 5, 0), (company_association, 0, 2)])
def test_lists_in_other_styles_come_in_by_page_and_by_command(
    server: Served, gloria: Gloria, own_home: Path, tmp_path: Path, write: Any, labs: int, needs: int
) -> None:
    path = write(tmp_path / ("能量調查.csv" if labs else "會員.xlsx"))
    with visiting(server, "colleague") as somebody:
        page = _sent(somebody, path)
        total = labs or 2 + needs
        page = _imported(page, f"匯入 {total} 筆")
        # Some of the labs may have come in with the list of another office.
        assert sum(int(re.sub(r"\D", "", one)) for one in _counts(page)[:2]) == total
        if needs:
            # A new need opens beside its labs.
            page.locator(".go-on a").first.click()
            assert page.answer is not None
            assert page.answer.status_code == 200
        page = somebody.open("/imports")
    # The same by command: import, index, match.
    imported = gloria("import", path, "--json", home=own_home)
    assert (imported.code, sum(one["created"] for one in imported.document["files"])) == (0, total), imported.err
    assert gloria("reindex", home=own_home).code == 0
    ids = _ids(own_home, "need", "title = '葉片巡檢'") or ["need-1-01"]
    matched = gloria("match", ids[0], "--top", "100", "--json", home=own_home)
    assert matched.code == 0, matched.err
    ranked_labs = {one["lab_id"] for one in matched.document["pairings"]}
    assert len(ranked_labs & set(_ids(own_home, "lab", "school = '霧社科技大學'"))) == min(4, labs)


def _ids(home: Path, table: str, where: str) -> list[str]:
    engine = open_engine(Settings(home=home))
    with reading(engine) as session:
        found = [str(one) for one in session.execute(text(f"SELECT id FROM {table} WHERE {where}")).scalars()]  # noqa: S608 (our own words)
    engine.dispose()
    return found
