"""What still works when something breaks: every cell of the table in `api/OPERATING.md`, asked of a server."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

import api.documents.answers
from api.access.credentials import set_password_hash
from api.access.passwords import hash_password
from api.pages.shell.wording import LANG_COOKIE
from indexer.database import open_engine, writing
from indexer.index.building import reindex
from indexer.index.generations import POINTER, current_generation
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.faults.full_disk import SmallDisk, small_disk
from tests.rig.load.decisions import Pair, pairs_in
from tests.rig.servers.served import REPOSITORY, fill, settled
from tests.rig.servers.served_here import Near, near, until

HEADING = "## When something breaks"
PASSWORD = "long enough for everybody"
COLUMNS = ("when", "matching", "intake and review", "ledger and reports", "sign-in", "liveness")
"""The columns that are asked here one by one; the last one of that table, what is said, by each row."""
TABLE = {
    "nothing is broken": ("goes on", "goes on", "goes on", "goes on", "answers"),
    "the newest index is damaged": ("goes on with the one before it", "goes on", "goes on", "goes on", "answers"),
    "no index is usable": ("503", "goes on", "goes on", "goes on", "answers"),
    "the index is older than 48 hours": ("goes on", "goes on", "goes on", "goes on", "answers"),
    "the disk is full": (
        "what the index in use showed before goes on, else 507",
        "reads go on, writes 507",
        "reads go on, writes 507",
        "who is signed in goes on, signing in 507",
        "answers",
    ),
    "the SQLite file is gone": ("503", "503", "503", "503", "answers"),
    "PostgreSQL is stopped": ("503", "503", "503", "503", "answers"),
    "PostgreSQL hangs": ("503 or late", "503 or late", "503 or late", "503 or late", "answers"),
}
WORDS = {
    "no-index": ("沒有可用的索引", "there is no usable index"),
    "database": ("無法連上資料庫", "The database can't be reached"),
    "storage-full": ("磁碟已滿", "The disk is full"),
}
Answer = httpx.Response | None
"""None if none came within the time of the probe."""


@dataclass
class Place:
    """A server, and what its probes use up."""

    server: Near
    pairs: Iterator[Pair]
    unseen: Iterator[str]
    wait_s: float = 60.0
    """How long a probe waits for its answer."""
    seen: dict[str, list[Answer]] = field(default_factory=dict)

    def ask(self, who: str | None, method: str, path: str, wait_s: float | None = None, **more: Any) -> Answer:
        """Ask once."""
        try:
            return self.server.ask(who, method, path, timeout=wait_s or self.wait_s, **more)
        except (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError):
            # No answer in time, or on a connection that the server had given up while it waited.
            return None


def _matching(place: Place) -> tuple[list[Answer], list[Answer]]:
    """Ask for rankings that were shown before, and for one that never was."""
    before = [
        place.ask("expert", "GET", "/api/needs/need-1-01/matches?top=20"),
        place.ask("expert", "GET", "/needs/need-1-01/ranked"),
    ]
    return before, [place.ask("expert", "GET", f"/api/needs/{next(place.unseen)}")]


def _intake_and_review(place: Place) -> tuple[list[Answer], list[Answer]]:
    pairing_id, proposal_id = next(place.pairs)
    reads = [
        place.ask("company", "GET", "/api/needs?limit=5"),
        place.ask("expert", "GET", "/api/queue"),
        place.ask("expert", "GET", f"/api/pairings/{pairing_id}"),
        place.ask("expert", "GET", "/desk"),
    ]
    verdict = {"verdict": "accept", "proposal_id": proposal_id}
    return reads, [
        place.ask("company", "POST", "/api/needs", json={"title": "新需求"}),
        place.ask("expert", "POST", f"/api/pairings/{pairing_id}/decision", json=verdict),
    ]


def _ledger_and_reports(place: Place) -> tuple[list[Answer], list[Answer]]:
    reads = [
        place.ask("expert", "GET", "/api/ledger/entries"),
        place.ask("office", "GET", "/api/reports/kpi?format=csv"),
        place.ask("office", "GET", "/kpi"),
    ]
    total = {"school_id": "ysu", "year": 108, "amount_ntd": 900_000_000, "source": "年報"}
    return reads, [
        place.ask("office", "POST", "/api/ledger/school-totals", json=total),
        place.ask("expert", "POST", "/api/evidence", content=os.urandom(9_000)),
    ]


def _sign_in(place: Place) -> tuple[list[Answer], list[Answer]]:
    given = {"email": "expert@example.org", "password": PASSWORD}
    return [place.ask("expert", "GET", "/api/me")], [place.ask(None, "POST", "/api/session", json=given)]


def _liveness(place: Place) -> tuple[list[Answer], list[Answer]]:
    began = time.monotonic()
    answer = place.ask(None, "GET", "/healthz")
    assert time.monotonic() - began < 1
    return [answer], []


PROBES: dict[str, Callable[[Place], tuple[list[Answer], list[Answer]]]] = dict(
    zip(COLUMNS[1:], (_matching, _intake_and_review, _ledger_and_reports, _sign_in, _liveness), strict=True)
)


def _fine(answer: Answer) -> bool:
    return answer is not None and answer.status_code in (200, 201)


def _away(answer: Answer) -> bool:
    told = answer is not None and answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    return told and answer is not None and "gloria.db" not in answer.text and "/tmp/" not in answer.text


def _full(answer: Answer) -> bool:
    return answer is not None and answer.status_code == 507


CELLS: dict[str, tuple[Callable[[Answer], bool], Callable[[Answer], bool]]] = {
    "goes on": (_fine, _fine),
    "goes on with the one before it": (_fine, _fine),
    "answers": (_fine, _fine),
    "503": (_away, _away),
    "503 or late": (lambda answer: answer is None or _away(answer),) * 2,
    "reads go on, writes 507": (_fine, _full),
    "what the index in use showed before goes on, else 507": (_fine, _full),
    "who is signed in goes on, signing in 507": (_fine, _full),
}
"""What each entry of the table means for what is read, or was there before, and for what is to be stored."""


def _holds(place: Place, when: str) -> list[str]:
    """Return the cells of a row that don't hold, with the answers."""
    wrong = []
    for column, promised in zip(COLUMNS[1:], TABLE[when], strict=True):
        before, new = PROBES[column](place)
        place.seen[column] = [*before, *new]
        old_is, new_is = CELLS[promised]
        if not (all(map(old_is, before)) and all(map(new_is, new))):
            told = [None if one is None else f"{one.status_code} {one.text[:150]}" for one in (*before, *new)]
            wrong.append(f"{when}, {column}: not {promised!r} but {told}")
    return wrong


@contextmanager
def _serving(settings: Settings, indexed_home: Path, records: Path) -> Iterator[Place]:
    shutil.copytree(indexed_home, settings.home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("gloria.db*"))
    keys, accounts = fill(settings, records)
    pairs = pairs_in(settings, accounts["expert"], 27 * 5)
    engine = open_engine(settings)
    with writing(engine) as session:
        now, stored = datetime.now(UTC), hash_password(PASSWORD)
        set_password_hash(session, account_id=accounts["expert"], stored=stored, now=now)
    engine.dispose()
    with near(settings, keys) as server:
        until(lambda: httpx.get(f"{server.client.base_url}/readyz").json()["index"]["models_ready"])
        unseen = (f"need-1-{n:02}/matches?top=2&offset={2 * m}" for n in range(6, 13) for m in range(5))
        yield Place(server, iter(pairs), unseen)


@pytest.fixture(scope="module")
def disk() -> Iterator[SmallDisk | None]:
    """A disk that can be filled; None where none can be mounted."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(32))
        except pytest.skip.Exception:
            disk = None
        yield disk


@pytest.fixture(scope="module")
def place(
    disk: SmallDisk | None, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A server on SQLite that all is well with, for all tests: each puts right again what it breaks."""
    home = (tmp_path_factory.mktemp("degrading") if disk is None else disk.place) / "home"
    # What happens once the reserve is used up too.
    settings = Settings(home=home, database_url="", encoders="bundled-use", cache=indexed_home, disk_reserve_mb=0)
    with _serving(settings, indexed_home, slice_of_world) as place:
        assert _holds(place, "nothing is broken") == []
        yield place


@pytest.fixture(scope="module")
def on_postgresql(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("degrading") / "home"
    settings = Settings(home=home, database_url=databases.at_head("postgresql", home), encoders="bundled-use")
    with _serving(settings, indexed_home, slice_of_world) as place:
        assert _holds(place, "nothing is broken") == []
        yield place


def _ready(place: Place) -> tuple[int, Any]:
    answer = httpx.get(f"{place.server.client.base_url}/readyz", timeout=60)
    return answer.status_code, answer.json()


def _said(place: Place, column: str, name: str, status: int) -> None:
    """Check that programs get the problem's name, and people its words in both languages."""
    problems = [one for one in place.seen[column] if one is not None and one.status_code == status]
    assert {one.json()["type"] for one in problems if "problem" in one.headers["Content-Type"]} == {
        f"urn:gloria:problem:{name}"
    }
    for lang, words in zip(("zh-Hant", "en"), WORDS[name], strict=True):
        cookies = {LANG_COOKIE: lang}
        with httpx.Client(base_url=place.server.client.base_url, cookies=cookies, timeout=60) as browser:
            expert = {"Authorization": f"Bearer {place.server.keys['expert']}"}
            page = (
                browser.get("/needs/need-1-01/ranked", headers=expert)
                if status == 503
                else browser.post("/sign-in", data={"email": "expert@example.org", "password": PASSWORD})
            )
        assert (page.status_code, words in page.text) == (status, True), page.text


def test_the_page_for_operators_says_what_is_tested_here() -> None:
    section = (
        (REPOSITORY / "api" / "OPERATING.md").read_text(encoding="utf-8").split(HEADING + "\n")[1].split("\n## ")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert rows[0] == [*COLUMNS, "what is said"]
    promised = {row[0]: tuple(row[1:-1]) for row in rows[2:]}
    assert promised == {when: cells for when, cells in TABLE.items() if when != "nothing is broken"}
    # Every name, route and field in the last column is one that is looked at below.
    assert set(re.findall(r"`([^`]+)`", " ".join(row[-1] for row in rows[2:]))) == {
        "/readyz",
        "newest_problem",
        "no-index",
        "index_is_old",
        "is_old",
        "storage-full",
        "database",
        "busy",
    }


def test_an_old_index_is_flagged(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = place.server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=20").json()
    assert (fresh["index_is_old"], _ready(place)[1]["index"]["is_old"]) == (False, False)
    monkeypatch.setattr(api.documents.answers, "OLD_AFTER", timedelta(0))
    assert _holds(place, "the index is older than 48 hours") == []
    assert place.seen["matching"][0].json()["index_is_old"] is True  # type: ignore[union-attr]
    assert place.server.ask("expert", "GET", "/api/labs/lab-1-02/matches").json()["index_is_old"] is True
    status, ready = _ready(place)
    assert (status, ready["matching"], ready["index"]["is_old"]) == (200, True, True)
    for path in ("/needs/need-1-01/ranked", "/desk"):
        page = place.server.ask("expert", "GET", path, headers={"Cookie": f"{LANG_COOKIE}=en"})
        assert "older than 48 hours" in page.text or "The index is of" in page.text


def test_a_database_file_that_is_gone(place: Place) -> None:
    path = place.server.settings.database_path
    aside = path.rename(path.with_name("aside.db"))
    for instead in (lambda: None, path.mkdir):
        instead()
        assert _holds(place, "the SQLite file is gone") == []
        _said(place, "intake and review", "database", 503)
        status, ready = _ready(place)
        assert (status, ready["intake"], ready["matching"]) == (503, False, False)
        # No empty database took its place.
        assert not path.is_file()
    path.rmdir()
    aside.rename(path)
    assert _holds(place, "nothing is broken") == []


def test_a_damaged_newest_index(place: Place, slice_of_world: Path, tmp_path: Path) -> None:
    settings, index = place.server.settings, place.server.settings.index_path
    before = current_generation(index)
    # Made out of the server's sight, which else opens it while it is still whole.
    shutil.copytree(index, tmp_path / "elsewhere" / "index")
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    engine = open_engine(settings)
    with writing(engine) as session:
        session.connection().execute(text("UPDATE lab SET summary = summary || '。' WHERE id = 'lab-1-09'"))
        newest = reindex(session, elsewhere).generation
    engine.dispose()
    assert newest != before
    (elsewhere.index_path / newest / "vectors-0.faiss").write_bytes(b"")
    shutil.copytree(elsewhere.index_path / newest, index / newest)
    shutil.copy(elsewhere.index_path / POINTER, index / POINTER)
    until(lambda: _ready(place)[1]["index"]["newest_problem"] is not None)
    assert _holds(place, "the newest index is damaged") == []
    made_at = _ready(place)[1]["index"]["created_at"]
    match = place.server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=20").json()
    # With what changed since taken in, or about to be.
    assert (match["generation"].partition("+")[0], match["created_at"]) == (before, made_at)
    assert any(made_at in warning["en"] for warning in match["warnings"])


def test_no_usable_index(place: Place, indexed_home: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(indexed_home, tmp_path / "home", ignore=shutil.ignore_patterns("gloria.db*")))
    (home / "index" / current_generation(home / "index") / "words.npz").write_bytes(b"")
    url = f"sqlite:///{place.server.settings.database_path}"
    settings = Settings(home=home, database_url=url, encoders="bundled-use")
    with near(settings, place.server.keys) as server:
        without = replace(place, server=server)
        until(lambda: _ready(without)[1]["index"]["models_ready"])
        assert _holds(without, "no index is usable") == []
        _said(without, "matching", "no-index", 503)
        status, ready = _ready(without)
        assert (status, ready["intake"], ready["review"], ready["matching"]) == (200, True, True, False)


def test_a_full_disk(place: Place, disk: SmallDisk | None) -> None:
    if disk is None:
        pytest.skip("a disk of a test's own can't be mounted here")
    # Needs that were stored before this move the rankings: once they are taken in, these are shown again.
    until(lambda: settled(str(place.server.client.base_url)))
    _matching(place)
    disk.fill(leaving=0)
    # What SQLite's log has room for still goes into it; nothing by which a ranking would be another than was shown.
    until(lambda: _full(place.ask("company", "POST", "/api/me/keys", json={"name": "新金鑰"})))
    assert _holds(place, "the disk is full") == []
    _said(place, "intake and review", "storage-full", 507)
    assert _ready(place)[0] == 200
    disk.make_room()
    assert _holds(place, "nothing is broken") == []


def test_a_stopped_postgresql(on_postgresql: Place, databases: Databases) -> None:
    with databases.stopped():
        assert _holds(on_postgresql, "PostgreSQL is stopped") == []
        _said(on_postgresql, "intake and review", "database", 503)
        status, ready = _ready(on_postgresql)
        assert (status, ready["intake"], ready["matching"]) == (503, False, False)
    # It goes on by itself.
    assert _holds(on_postgresql, "nothing is broken") == []


def test_a_hanging_postgresql(on_postgresql: Place, databases: Databases) -> None:
    place = on_postgresql
    with databases.hanging(), ThreadPoolExecutor(17) as crowd:
        # As many as wait for a thread, so that none is left for those who come now.
        waiting = [crowd.submit(place.ask, "expert", "GET", "/api/queue", wait_s=8) for _ in range(16)]
        ready = crowd.submit(_ready, place)
        place.wait_s = 0.3
        assert _holds(place, "PostgreSQL hangs") == []
        answers = [one.result() for one in waiting]
        assert [(a.status_code, a.text[:200]) for a in answers if a is not None and not _away(a)] == []
        told = {answer.json()["type"] for answer in answers if answer is not None}
        # No thread was free, or no connection could be opened.
        assert set() < told <= {"urn:gloria:problem:busy", "urn:gloria:problem:database"}
        assert ready.result()[0] == 503
    place.wait_s = 60
    until(lambda: _fine(place.ask("expert", "GET", "/api/queue")))
    assert _holds(place, "nothing is broken") == []
