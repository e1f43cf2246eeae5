"""How somebody works a page: its plain forms as without a script, or a real browser by keyboard alone on a phone.

In: an open page, and what is to be pressed, written or chosen, by selector, so that one story is told in every
language. Out: the page as it is then. It exists so that a whole story is written once and played by all pairs of hands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Protocol

from playwright.sync_api import Browser, FileChooser, Page

from tests.rig.servers.browsers import browsing, scrolls_sideways
from tests.rig.servers.served import Served
from tests.rig.servers.visits import visiting

PHONE = 390
_MOST_TABS = 600
_WAIT_S = 15.0
_STEPS_BEFORE = """
one => {
    const radios = new Set();
    const stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
        .filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility())
        // Of buttons of which one is chosen, Tab stops at one.
        .filter(each => each.type !== "radio" || each === one || !(radios.has(each.name) || !radios.add(each.name)));
    return Math.max(0, stops.indexOf(one) - stops.indexOf(document.activeElement) - 2);
}
"""
"""How many steps forward lead nearly to an element."""


class Hands(Protocol):
    """What somebody does at a page."""

    def open(self, path: str) -> None:
        """Go to a page."""

    def press(self, selector: str, *, last: bool = False) -> None:
        """Press a button or follow a link, of several the first or the last, and wait for what comes of it."""

    def unfold(self, selector: str) -> None:
        """Open what is folded."""

    def write(self, selector: str, text: str) -> None:
        """Write into a field instead of what it holds."""

    def choose(self, selector: str, value: str) -> None:
        """Choose one of a list."""

    def tick(self, selector: str) -> None:
        """Tick a box."""

    def attach(self, selector: str, name: str, content: bytes) -> None:
        """Choose a file."""

    def count(self, selector: str) -> int:
        """Return how many there are of something."""

    def text(self, selector: str) -> str:
        """Return what the only one says."""

    def where(self) -> str:
        """Return the address of the page."""


Sitting = Callable[[str | None], AbstractContextManager[Hands]]


class FormHands:
    """Plain forms: what a browser without script sends."""

    def __init__(self, somebody: Any) -> None:
        self._somebody, self._page = somebody, None

    def open(self, path: str) -> None:
        """Go to a page."""
        self._page = self._somebody.open(path)

    def _one(self, selector: str, *, last: bool = False) -> Any:
        found = self._page.locator(selector)  # type: ignore[attr-defined]
        return found.last if last else found.first

    def press(self, selector: str, *, last: bool = False) -> None:
        """Press a button or follow a link."""
        self._one(selector, last=last).click()

    unfold = press

    def write(self, selector: str, text: str) -> None:
        """Write into a field."""
        self._one(selector).fill(text)

    def choose(self, selector: str, value: str) -> None:
        """Choose one of a list."""
        self._one(selector).select_option(value)

    def tick(self, selector: str) -> None:
        """Tick a box."""
        self._one(selector).check()

    def attach(self, selector: str, name: str, content: bytes) -> None:
        """Choose a file."""
        self._one(selector).set_input_files({"name": name, "mimeType": "application/pdf", "buffer": content})

    def count(self, selector: str) -> int:
        """Return how many there are."""
        return int(self._page.locator(selector).count())  # type: ignore[attr-defined]

    def text(self, selector: str) -> str:
        """Return what the only one says."""
        return str(self._page.locator(selector).inner_text())  # type: ignore[attr-defined]

    def where(self) -> str:
        """Return the address of the page."""
        return str(self._page.url)  # type: ignore[attr-defined]


class KeyHands:
    """A browser on a phone's width, and nothing but its keyboard."""

    def __init__(self, somebody: Any) -> None:
        self._somebody = somebody
        self._page: Page = somebody.page
        self._choosers: list[FileChooser] = []
        # Listened to from the start: begun with the press, it may come too late for it.
        self._page.on("filechooser", self._asked_for_a_file)

    def _asked_for_a_file(self, chooser: FileChooser) -> None:
        self._choosers.append(chooser)

    def open(self, path: str) -> None:
        """Go to a page."""
        self._page = self._somebody.open(path)
        assert not scrolls_sideways(self._page), path

    def _reach(self, selector: str, *, last: bool = False) -> Any:
        """Go to an element by Tab alone, and see that it is seen to be there."""
        found = self._page.locator(selector)
        wanted: Any = (found.last if last else found.first).element_handle()
        # Near it without asking at every step where one is; whether it is reached is looked at, not counted.
        for _ in range(self._page.evaluate(_STEPS_BEFORE, wanted)):
            self._page.keyboard.press("Tab")
        for _ in range(_MOST_TABS):
            if self._page.evaluate("one => document.activeElement === one", wanted):
                box = wanted.bounding_box()
                assert box is not None, f"nobody sees {selector}"
                return wanted
            self._page.keyboard.press("Tab")
        raise AssertionError(f"no key leads to {selector}")

    def press(self, selector: str, *, last: bool = False) -> None:
        """Press a button or follow a link."""
        self._reach(selector, last=last)
        with self._page.expect_navigation():
            self._page.keyboard.press("Enter")
        assert not scrolls_sideways(self._page), self._page.url

    def unfold(self, selector: str) -> None:
        """Open what is folded."""
        self._reach(selector)
        self._page.keyboard.press("Enter")

    def write(self, selector: str, text: str) -> None:
        """Write into a field."""
        field = self._reach(selector)
        if field.get_attribute("type") == "datetime-local":
            at = datetime.fromisoformat(text)
            # Month, day and year; the hour of a clock of twelve, minutes, and which half of the day.
            self._page.keyboard.type(f"{at:%m%d%Y}")
            self._page.keyboard.press("ArrowRight")
            self._page.keyboard.type(f"{at:%I%M%p}")
        else:
            self._page.keyboard.press("ControlOrMeta+A")
            self._page.keyboard.insert_text(text)
        assert field.input_value() == text

    def choose(self, selector: str, value: str) -> None:
        """Choose one of a list."""
        field = self._reach(selector)
        for _ in range(100):
            if field.input_value() == value:
                return
            self._page.keyboard.press("ArrowDown")
        raise AssertionError(f"{selector} has no {value}")

    def tick(self, selector: str) -> None:
        """Tick a box."""
        box = self._reach(selector)
        if not box.is_checked():
            self._page.keyboard.press("Space")
        assert box.is_checked()

    def attach(self, selector: str, name: str, content: bytes) -> None:
        """Choose a file."""
        self._reach(selector)
        self._page.keyboard.press("Enter")
        until = time.monotonic() + _WAIT_S
        while not self._choosers and time.monotonic() < until:
            self._page.wait_for_timeout(50)
        self._choosers.pop().set_files({"name": name, "mimeType": "application/pdf", "buffer": content})

    def count(self, selector: str) -> int:
        """Return how many there are."""
        return self._page.locator(selector).count()

    def text(self, selector: str) -> str:
        """Return what the only one says."""
        return self._page.locator(selector).inner_text()

    def where(self) -> str:
        """Return the address of the page."""
        return self._page.url


def by_forms(server: Served, lang: str) -> Sitting:
    """Return how people sit down at plain forms."""

    @contextmanager
    def sit(who: str | None) -> Iterator[Hands]:
        with visiting(server, who, lang) as somebody:
            yield FormHands(somebody)

    return sit


def by_keyboard(browser: Browser, server: Served, lang: str) -> Sitting:
    """Return how people sit down at a phone with a keyboard."""

    @contextmanager
    def sit(who: str | None) -> Iterator[Hands]:
        with browsing(browser, server, who, lang, width=PHONE, height=800) as somebody:
            yield KeyHands(somebody)

    return sit
