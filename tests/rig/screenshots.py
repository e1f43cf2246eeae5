"""Pictures of the workbench, from the demo world: `python -m tests.rig.screenshots HOME PICTURES [SHEETS]`.

HOME is a home that `gloria demo` made. Each picture is what a person of the demo world sees in a real browser. PICTURES
is where those of the README go; SHEETS where every page of every role goes, side by side on contact sheets of every
language and width, for whoever draws pages to look at: in Chinese they are light, in English dark.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from playwright.sync_api import Browser
from sqlmodel import select

from indexer.database import open_engine, reading
from indexer.settings import Settings
from matcher.review.people import Account
from tests.rig.servers.browsers import LANGS, browsing, started_browser
from tests.rig.servers.served import Served, address_of, existing, page_routes_of, started

EXPERT, OFFICE = "expert-al-02@gloria.example", "office@gloria.example"
PICTURES = (
    ("need", EXPERT, "zh-Hant", "/needs/need-2-03?ranked=1", 776),
    ("kpi", OFFICE, "en", "/kpi?as_of=2020-12-31&year=109", 800),
    ("map", EXPERT, "zh-Hant", "/map", 840),
)
"""Name, who looks, language, page, height: as much of a page as says what it is."""
VISITORS = {
    "stranger": None,
    "expert": EXPERT,
    "lead": "lead@gloria.example",
    "committee": "committee@gloria.example",
    "office": OFFICE,
    "company": "company@gloria.example",
    "researcher": "researcher@gloria.example",
}
"""Who of the demo world stands for each role."""
_SHOWN_FIRST = {"need_id": ["need-2-03", "need-2-01"], "lab_id": ["lab-1-03"], "company_id": ["co-2-1"], "kpi": ["L"]}
"""Records that have something to show, and that the expert may see."""
_MORE = {
    "expert": ("/search?q=溫教授",),
    "committee": ("/kpi?as_of=2020-12-31&year=109",),
    "office": ("/kpi?as_of=2020-12-31&year=109", "/warnings?as_of=2020-12-31"),
}
"""Addresses at which a role's page has more to show than where it begins."""
_TRIED = 6
_A_SHEET = 21
"""Pages on a sheet: more of them nobody reads."""
_PICTURE_WIDTH = 1168
WIDTH, HEIGHT = 1280, 860
WIDTHS = (WIDTH, 768, 390)
_SHEET, _COLUMNS = 1800, {WIDTH: 3, 768: 4, 390: 7}
_FIRST_MATCH_MS = 120_000


@contextmanager
def serving(home: Path) -> Iterator[tuple[Served, Browser]]:
    """Serve a home, with a browser before it."""
    settings = Settings(home=home)
    engine = open_engine(settings)
    with reading(engine) as session:
        accounts = dict(session.exec(select(Account.email, Account.id)).all())
    engine.dispose()
    with started(settings) as (process, log), started_browser() as browser:
        yield Served(address_of(process, log), {}, accounts, settings, process, log), browser


def take(server: Served, browser: Browser, folder: Path) -> None:
    """Take every picture of the README."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, who, lang, path, height in PICTURES:
        with browsing(browser, server, who, lang, width=_PICTURE_WIDTH, height=height) as somebody:
            # The first match of a server waits for its models.
            somebody.context.set_default_timeout(_FIRST_MATCH_MS)
            page = somebody.open(path)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=str(folder / f"{name}.png"))
            print(folder / f"{name}.png")


def take_sheets(server: Served, browser: Browser, folder: Path) -> None:
    """Take every page of every role, and lay them on a sheet for each language and width."""
    folder.mkdir(parents=True, exist_ok=True)
    for role, who in VISITORS.items():
        paths = (*pages_of(server, browser, who), *_MORE.get(role, ()))
        for lang in LANGS:
            for width in WIDTHS:
                tiles = list(_tiles(server, browser, who, lang, width, paths))
                for number, begin in enumerate(range(0, len(tiles), _A_SHEET), start=1):
                    sheet = folder / f"{role}-{lang}-{width}-{number}.png"
                    _lay(browser, tiles[begin : begin + _A_SHEET], _COLUMNS[width], sheet)
                    print(sheet)


def pages_of(server: Served, browser: Browser, who: str | None) -> list[str]:
    """Return an address of every page that somebody may see, with the first record that the page is shown for."""
    paths = [path for method, path, _ in page_routes_of() if method == "GET"]
    ids = existing(server.settings, paths)
    ids = {name: [*_SHOWN_FIRST.get(name, ()), *of] for name, of in ids.items()}
    found = []
    with browsing(browser, server, who) as somebody:
        for path in paths:
            for number in range(_TRIED if "{" in path else 1):
                known = {name: of[number % len(of)] for name, of in ids.items() if of}
                place = path.format_map(defaultdict(lambda: "none", known))
                answer = somebody.context.request.get(server.url + place, max_redirects=0)
                # What is fetched into a page, and what is taken along, is none.
                if answer.status == 200 and answer.text()[:2000].lstrip().startswith("<!DOCTYPE html>"):
                    found.append(place)
                    break
    return found


def _tiles(
    server: Served, browser: Browser, who: str | None, lang: str, width: int, paths: tuple[str, ...]
) -> Iterator[tuple[str, bytes]]:
    with browsing(browser, server, who, lang, width=width, height=HEIGHT) as somebody:
        somebody.context.set_default_timeout(_FIRST_MATCH_MS)
        somebody.page.emulate_media(color_scheme="light" if lang == LANGS[0] else "dark")
        for path in paths:
            page = somebody.open(path)
            page.wait_for_load_state("networkidle")
            yield path, page.screenshot(type="jpeg", quality=80)


def _lay(browser: Browser, tiles: list[tuple[str, bytes]], columns: int, sheet: Path) -> None:
    """Lay pictures side by side with their addresses: the browser is the one program here that can."""
    figures = "".join(
        f'<figure><img src="data:image/jpeg;base64,{b64encode(picture).decode()}">'
        f"<figcaption>{escape(path)}</figcaption></figure>"
        for path, picture in tiles
    )
    style = (
        f"body{{margin:8px;display:grid;grid-template-columns:repeat({columns},1fr);gap:8px;background:#777;"
        "font:13px sans-serif;color:#fff}figure{margin:0}img{width:100%;display:block}"
    )
    page = browser.new_page(viewport={"width": _SHEET, "height": 600})
    page.set_content(f"<style>{style}</style>{figures}")
    page.screenshot(path=str(sheet), full_page=True)
    page.close()


if __name__ == "__main__":
    with serving(Path(sys.argv[1])) as (at, before):
        take(at, before, Path(sys.argv[2]))
        if len(sys.argv) > 3:
            take_sheets(at, before, Path(sys.argv[3]))
