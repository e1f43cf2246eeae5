"""Pages on paper: a need with its ranked labs takes at most four sheets, and no sheet has a button on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from pypdfium2 import PdfDocument

from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, ranked
from tests.rig.servers.served import Served, served

MOST_SHEETS = 4


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("printed") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def test_a_need_page_prints_on_four_sheets_and_others_on_fewer(server: Served, browser: Browser) -> None:
    pages = {"/needs/need-1-01": MOST_SHEETS, "/labs/lab-1-01": 2, "/desk": 2, "/cases": 2, "/labs": 4}
    for lang in LANGS:
        with browsing(browser, server, "expert", lang) as somebody:
            for path, most in pages.items() if lang == LANGS[0] else [*pages.items()][:1]:
                page = somebody.open(path)
                if path.startswith("/needs/"):
                    ranked(page)
                    assert page.locator(".candidate").count() >= 10
                read = PdfDocument(page.pdf(prefer_css_page_size=True))
                text = "\n".join(one.get_textpage().get_text_bounded() for one in read)
                assert (path, lang, len(read) <= most) == (path, lang, True)
                # Neither the menu nor what one does at the screen.
                undone = [word for word in ("登出", "Sign out", "Accept", "退回") if word in text]
                assert (path, undone) == (path, [])
                assert page.title().partition(" ·")[0].split("…")[0][:12] in text.replace("\r\n", "")
