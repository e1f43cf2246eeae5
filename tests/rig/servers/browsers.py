"""A real browser, signed-in people, what every page must be, and a browser that counts what it asks.

The browser is Debian's Chromium, driven by Playwright. Where there is none the tests are skipped with a line that
says so; with `GLORIA_BROWSER_REQUIRED=1` they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright
from sqlmodel import col, select

from api.access.credentials import open_session
from api.requests.permitted_request import COOKIE
from indexer.database import open_engine, reading, writing
from matcher.review.decisions import Decision
from matcher.review.proposals import StoredPairing
from tests.rig.servers.served import Served

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first of these that is installed. The shell is the same engine of the same release without the windows, menus and
address bar that nobody looks at here: a window takes a quarter of the processor time, a key half.
"""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LANGS = ("zh-Hant", "en")
WIDE, NARROW = 1280, 360
_WAIT_MS = 15_000
_FAULTS = """
async rules => {
    // What passes is not gathered, let alone sent: it is a thousand times what fails.
    const {violations} = await axe.run({runOnly: rules, resultTypes: ["violations"]});
    const ids = [...document.querySelectorAll("[id]")].map(element => element.id);
    // WCAG 2.2 no longer asks for this, but a label of a second element with the same id leads to the first.
    const doubled = [...new Set(ids.filter((id, place) => ids.indexOf(id) !== place))];
    const shown = nodes => nodes.slice(0, 3).map(node => node.html.slice(0, 120)).join(" | ");
    return [
        ...(doubled.length ? [`doubled ids: ${doubled}`] : []),
        ...violations.map(({id, nodes}) => `${id}: ${shown(nodes)}`),
    ];
}
"""


_looked_over: set[tuple[str, str]] = set()
"""Pages at which axe has looked, by name and path; a file's tests run in one process, in all languages."""


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start the system's Chromium; skip, or fail where it is required, if there is none."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if path is None:
        needed = "apt-get install chromium-headless-shell fonts-noto-cjk"
        said = f"no Chromium on this machine: the pages are not tested ({needed})"
        if os.environ.get("GLORIA_BROWSER_REQUIRED"):
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Somebody:
    """A person in front of a browser: their pages, and what those asked for elsewhere or complained of."""

    context: BrowserContext
    page: Page
    url: str
    elsewhere: list[str]
    complaints: list[str]

    def open(self, path: str, status: int = 200) -> Page:
        """Open a page of the server and return it once it has loaded."""
        answered = self.page.goto(self.url + path)
        assert answered is not None
        assert answered.status == status, f"{path}: {answered.status}"
        return self.page


@contextmanager
def browsing(
    browser: Browser,
    server: Served,
    who: str | None,
    lang: str = "zh-Hant",
    *,
    javascript: bool = True,
    width: int = 1280,
    height: int = 900,
) -> Iterator[Somebody]:
    """Sit somebody of `PEOPLE`, or a stranger, down in front of a browser of their own, signed in.

    At the end no page may have asked another server for anything, nor broken its own content policy.
    """
    context = browser.new_context(
        java_script_enabled=javascript,
        viewport={"width": width, "height": height},
        locale="zh-TW" if lang == "zh-Hant" else "en-GB",
        timezone_id="Asia/Taipei",
        # What comes in by fading has too little contrast for a fifth of a second.
        reduced_motion="reduce",
    )
    context.set_default_timeout(_WAIT_MS)
    here = urlsplit(server.url)
    cookies: list[Any] = [{"name": "gloria-lang", "value": lang, "url": server.url}]
    if who is not None:
        cookies.append(
            {
                "name": COOKIE,
                "value": session_token(server, who),
                "domain": here.hostname,
                "path": "/",
                "secure": True,
                "httpOnly": True,
                "sameSite": "Lax",
            }
        )
    context.add_cookies(cookies)
    elsewhere: list[str] = []
    complaints: list[str] = []

    def note_request(request: Request) -> None:
        if urlsplit(request.url).netloc not in (here.netloc, "") or urlsplit(request.url).scheme == "data":
            elsewhere.append(request.url)

    context.on("request", note_request)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield Somebody(context, page, server.url, elsewhere, complaints)
        assert elsewhere == []
        heard = [said for said in complaints if "Failed to load resource" not in said]
        assert heard == [], heard
    finally:
        context.close()


def session_token(server: Served, who: str) -> str:
    """Sign somebody in as the server itself does, without the tenth of a second that a password takes."""
    engine = open_engine(server.settings)
    with writing(engine) as session:
        now = datetime.now(UTC)
        token, _ = open_session(session, account_id=server.accounts[who], now=now, confirmed_at=now)
    engine.dispose()
    return token


def accessibility_faults(page: Page) -> list[str]:
    """Return what axe finds against WCAG 2.2 AA: rule, and the elements to blame."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(_FAULTS, {"type": "tag", "values": AXE_RULES})
    return found


def scrolls_sideways(page: Page) -> bool:
    """Whether the page as a whole is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def keep_screenshot(page: Page, name: str) -> None:
    """Keep a picture of the whole page in `GLORIA_SCREENSHOTS`, if that is set, for people to look at."""
    folder = os.environ.get("GLORIA_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def look_over(
    somebody: Somebody,
    lang: str,
    places: Mapping[str, str],
    prepare: Callable[[Page], None] | None = None,
    *,
    status: int = 200,
    of_own_language: Collection[str] = (),
) -> None:
    """Open pages, by their names for pictures, and see that they can be used: by everybody, and on a small screen.

    What is in `of_own_language` is in the language of what it shows, not of who looks.

    axe takes its time: it looks at every page once, in turn at one of both widths and in the light or the dark. In the
    second language only what that can change is looked at, whether long words fit a telephone and what the page says of
    its language; with `GLORIA_LOOK_OVER=whole`, as in `make test-long`, and for pictures, everything again.
    """
    everything = os.environ.get("GLORIA_LOOK_OVER") == "whole" or "GLORIA_SCREENSHOTS" in os.environ
    for number, (name, path) in enumerate(places.items()):
        whole = everything or (name, path) not in _looked_over
        _looked_over.add((name, path))
        turn = number + LANGS.index(lang)
        dark = (number // 2 + LANGS.index(lang)) % 2
        somebody.page.emulate_media(color_scheme="dark" if dark else "light")
        if not whole:
            somebody.page.set_viewport_size({"width": NARROW, "height": 900})
        page = somebody.open(path, status)
        if name not in of_own_language:
            assert page.evaluate("document.documentElement.lang") == lang
        if prepare is not None:
            prepare(page)
        for width in (WIDE, NARROW) if whole else (NARROW,):
            page.set_viewport_size({"width": width, "height": 900})
            assert (path, width, scrolls_sideways(page)) == (path, width, False)
            if whole and width == (WIDE, NARROW)[turn % 2]:
                faults = accessibility_faults(page)
                assert faults == [], (path, width, faults)
            keep_screenshot(page, f"{name}-{lang}-{width}")
        assert not page.title().startswith("xss")


@dataclass
class Counted:
    """The documents that a page loaded, that is, full page loads."""

    documents: list[str] = field(default_factory=list)


@contextmanager
def counting(page: Page) -> Iterator[Counted]:
    """Count full page loads from here on."""
    counted = Counted()
    page.on("request", lambda sent: counted.documents.append(sent.url) if sent.is_navigation_request() else None)
    yield counted


def ranked(page: Page) -> None:
    """Wait until the labs have come."""
    expect(page.locator(".candidate").first).to_be_visible(timeout=30_000)


def keep_cards(page: Page, count: int) -> None:
    """Take all but the first cards off the page: what looks for faults would look twenty times for the same ones."""
    page.evaluate(
        "count => [...document.querySelectorAll('.candidate')].slice(count).forEach(card => card.remove())", count
    )


def focused_lab(page: Page) -> str | None:
    """Return the number of the pairing whose card has the focus."""
    found: str | None = page.evaluate("document.activeElement.closest('.candidate')?.id ?? null")
    return found


def verdicts(server: Served, need_id: str) -> list[tuple[int, str, str | None, str]]:
    """Return every stored verdict on a need's pairings in order: pairing, verdict, reason, note."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        rows = session.exec(
            select(Decision)
            .join(StoredPairing, col(StoredPairing.id) == Decision.pairing_id)
            .where(StoredPairing.need_id == need_id)
            .order_by(col(Decision.id))
        ).all()
    engine.dispose()
    return [(row.pairing_id, row.verdict, row.reason, row.note) for row in rows]


def states(server: Served, need_id: str) -> dict[int, str]:
    """Return the state of every pairing of a need."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        rows = session.exec(select(StoredPairing).where(StoredPairing.need_id == need_id)).all()
    engine.dispose()
    return {row.id or 0: row.state for row in rows}


def served_ms(server: Served, method: str, route: str) -> list[float]:
    """Return how long the server took for each request of a route, by its own log."""
    lines = [orjson.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line["duration_ms"] for line in lines if (line.get("method"), line.get("route")) == (method, route)]
