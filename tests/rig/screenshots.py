"""Pictures of the workbench for the README, from the demo world: `python -m tests.rig.screenshots HOME FOLDER`.

HOME is a home that `gloria demo` made. Each picture is what a person of the demo world sees in a real browser.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sqlmodel import select

from indexer.database import open_engine, reading
from indexer.settings import Settings
from matcher.review.people import Account
from tests.rig.servers.browsers import browsing, started_browser
from tests.rig.servers.served import Served, address_of, started

PICTURES = (
    ("need", "expert-al-02@gloria.example", "zh-Hant", "/needs/need-2-03?ranked=1"),
    ("kpi", "office@gloria.example", "en", "/kpi?as_of=2020-12-31&year=109"),
    ("map", "expert-al-02@gloria.example", "zh-Hant", "/map"),
)
"""Name, who looks, language, page."""
WIDTH, HEIGHT = 1280, 860


def take(home: Path, folder: Path) -> None:
    """Take every picture."""
    settings = Settings(home=home)
    engine = open_engine(settings)
    with reading(engine) as session:
        accounts = dict(session.exec(select(Account.email, Account.id)).all())
    engine.dispose()
    folder.mkdir(parents=True, exist_ok=True)
    with started(settings) as (process, log), started_browser() as browser:
        server = Served(address_of(process, log), {}, accounts, settings, process, log)
        for name, who, lang, path in PICTURES:
            with browsing(browser, server, who, lang, width=WIDTH, height=HEIGHT) as somebody:
                # The first match of a server waits for its models.
                somebody.context.set_default_timeout(120_000)
                page = somebody.open(path)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=str(folder / f"{name}.png"))
                print(folder / f"{name}.png")


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
