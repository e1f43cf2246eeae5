"""A need with its ranked labs in a real browser: found, filtered, compared, shared, and readable by everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from indexer.settings import Settings
from tests.browsing import LANGS, accessibility_faults, browsing, keep_screenshot, scrolls_sideways
from tests.conftest import Databases
from tests.serving import Served, served

NEED = "/needs/need-1-01"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("needs") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def ranked(page: Page) -> None:
    """Wait until the labs have come."""
    expect(page.locator(".candidate").first).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("lang", LANGS)
def test_pages_of_needs_are_accessible(browser: Browser, server: Served, lang: str, width: int) -> None:
    with browsing(browser, server, "expert", lang, width=width) as somebody:
        for path, name in (("/needs", "list"), (NEED, "need"), ("/needs/exposure", "exposure")):
            page = somebody.open(path)
            if path == NEED:
                ranked(page)
            assert accessibility_faults(page) == [], path
            assert not scrolls_sideways(page), path
            keep_screenshot(page, f"needs-{name}-{lang}-{width}")
