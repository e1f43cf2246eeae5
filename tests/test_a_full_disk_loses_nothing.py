"""A disk that fills up under a server stops what would be stored, and nothing else; with room again all goes on."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import text
from sqlmodel import select

from api.pages.shell.wording import LANG_COOKIE
from indexer.database import open_engine, reading, writing
from indexer.index.building import reindex
from indexer.records.importing import import_file
from indexer.records.record_tables import Need
from indexer.settings import Settings
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.kpis import Kpi
from matcher.review.decisions import Decision
from tests.conftest import Gloria
from tests.rig.faults.full_disk import SmallDisk, small_disk
from tests.rig.figures import figure
from tests.rig.load.decisions import stored_pairs
from tests.rig.servers.served import Served, address_of, generation_at, served, settled, started
from tests.rig.servers.served_here import until

TITLE = "on a small disk"
FULL = (507, "urn:gloria:problem:storage-full")
READS = (
    ("company", "/api/needs?limit=5"),
    ("expert", "/api/queue"),
    ("expert", "/api/needs/need-1-01"),
    ("expert", "/api/needs/need-1-01/matches?top=5"),
    ("expert", "/api/labs?q=polishing&top=5"),
    ("expert", "/api/exports/needs?format=xlsx"),
    ("office", "/api/kpi"),
    ("office", "/api/reports/kpi?format=csv"),
    ("expert", "/desk"),
    ("expert", "/needs/need-1-01"),
    (None, "/sign-in"),
    (None, "/healthz"),
    (None, "/readyz"),
    (None, "/metrics"),
)
"""What goes on; the matches were shown before."""


@dataclass
class Crowd:
    """What clients sent: answered with 201, by kind, and refused for want of room; and how readers fared meanwhile."""

    told: dict[str, set[Any]] = field(default_factory=lambda: {"needs": set(), "decision": set()})
    refused: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    read: Counter[int] = field(default_factory=Counter)

    def send(self, server: Served, who: str, path: str, body: dict[str, Any], key: str) -> bool:
        """Send one request; return whether there was room for it."""
        answer = server.ask(who, "POST", path, json=body, headers={"Idempotency-Key": key})
        if answer.status_code == 201:
            self.told[path.rpartition("/")[2]].add(answer.json()["id"])
            return True
        if (answer.status_code, answer.json()["type"]) == FULL:
            self.refused.append((who, path, body, key))
        else:
            self.other.append(f"{path}: {answer.status_code} {answer.text[:200]}")
        return False


@dataclass
class Place:
    """A disk, the server on it, and pairings that can be accepted there."""

    disk: SmallDisk
    server: Served
    pairs: Iterator[tuple[int, int]]

    @property
    def home(self) -> Path:
        """The server's home, on the disk."""
        return self.server.settings.home


@pytest.fixture(scope="module")
def place(indexed_home: Path, slice_of_world: Path) -> Iterator[Place]:
    """One for all tests of this file: each leaves it with room again."""
    with small_disk(96) as disk:
        settings = Settings(home=disk.place / "home", database_url="", encoders="bundled-use")
        # What happens once the reserve is used up too.
        with served(settings, indexed_home, slice_of_world, more={"GLORIA_DISK_RESERVE_MB": "0"}) as server:
            pairs = stored_pairs(server, 27 * 12)
            for who, path in READS:
                assert server.ask(who, "GET", path).status_code == 200, path
            yield Place(disk, server, iter(pairs))


@contextmanager
def _reading(server: Served, crowd: Crowd) -> Iterator[None]:
    """Let a reader ask for everything, again and again, while the block runs."""
    ended = threading.Event()

    def read() -> None:
        while True:
            for who, path in READS:
                answer = server.ask(who, "GET", path)
                crowd.read[answer.status_code] += 1
                if answer.status_code != 200:
                    crowd.other.append(f"GET {path}: {answer.status_code} {answer.text[:200]}")
            if ended.is_set():
                return

    with ThreadPoolExecutor(1) as threads:
        reader = threads.submit(read)
        try:
            yield
        finally:
            ended.set()
            reader.result()


def _until_full(server: Served, crowd: Crowd, pairs: Iterator[tuple[int, int]], chance: Random) -> None:
    """Let four clients write until each was refused; each has its own chance."""

    def write(own: Random) -> None:
        while True:
            need = {"title": TITLE, "description": "需求" * own.randrange(1, 2_000)}
            if not crowd.send(server, "company", "/api/needs", need, f"{own.random()}"):
                return
            pairing_id, proposal_id = next(pairs, (0, 0))
            if not pairing_id:
                continue
            accepted = {"verdict": "accept", "proposal_id": proposal_id}
            path = f"/api/pairings/{pairing_id}/decision"
            if not crowd.send(server, "expert", path, accepted, f"{own.random()}"):
                return

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, [Random(chance.random()) for _ in range(4)]))


def _again(server: Served, crowd: Crowd) -> None:
    """Send what was refused once more, under the same keys."""
    waiting, crowd.refused = crowd.refused, []
    assert [request for request in waiting if not crowd.send(server, *request)] == []


def _stored(settings: Settings) -> dict[str, set[Any]]:
    engine = open_engine(settings)
    with reading(engine) as session:
        verdict = verify(session, home=settings.home)
        accepted = session.exec(select(Entry.case_id).where(Entry.kpi == Kpi.ACCEPTANCES)).all()
        found: dict[str, set[Any]] = {
            "needs": set(session.exec(select(Need.id).where(Need.title == TITLE)).all()),
            "decision": set(session.exec(select(Decision.id)).all()),
        }
        problems = session.connection().execute(text("PRAGMA integrity_check")).scalars().all()
    engine.dispose()
    assert (verdict.findings, problems) == ([], ["ok"])
    assert len(accepted) == len(found["decision"])
    return found


def _lost(settings: Settings, told: dict[str, set[Any]]) -> dict[str, set[Any]]:
    """Return what somebody was told is stored and is not."""
    stored = _stored(settings)
    return {kind: ids - stored[kind] for kind, ids in told.items()}


@pytest.mark.parametrize("times", [3, pytest.param(60, marks=pytest.mark.long)])
def test_what_was_acknowledged_is_there_and_reads_go_on(times: int, place: Place) -> None:
    chance, crowd, refused = Random(507), Crowd(), 0
    with _reading(place.server, crowd):
        for _ in range(times):
            # Each time it ends at another place of another write.
            place.disk.fill(leaving=chance.randrange(60) * 4096)
            _until_full(place.server, crowd, place.pairs, chance)
            refused += len(crowd.refused)
            place.disk.make_room()
            _again(place.server, crowd)
    assert crowd.other == []
    assert set(crowd.read) == {200}
    assert _stored(place.server.settings) == crowd.told
    assert refused >= 4 * times
    figure(
        "full disk",
        times_full=times,
        acknowledged=sum(map(len, crowd.told.values())),
        refused_and_sent_again=refused,
        reads_meanwhile=crowd.read.total(),
        lost=0,
    )
    _the_control_sees_a_lost_write(place.server.settings, crowd.told)


def _the_control_sees_a_lost_write(settings: Settings, told: dict[str, set[Any]]) -> None:
    some = sorted(told["needs"])[0]
    # Past the foreign keys, which this connection does not check.
    with closing(sqlite.connect(settings.database_path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM need WHERE id = ?", (some,))
    assert _lost(settings, told) == {"needs": {some}, "decision": set()}


def test_everybody_is_told_that_the_disk_is_full(place: Place) -> None:
    server = place.server
    place.disk.fill(leaving=0)
    # What SQLite's log has room for still goes into it.
    until(lambda: server.ask("company", "POST", "/api/needs", json={"title": TITLE}).status_code == 507)
    signing_in = {"email": "expert@example.org", "password": "a wrong one"}
    for answer in (
        server.ask("company", "POST", "/api/needs", json={"title": TITLE}),
        server.ask("expert", "POST", "/api/evidence", content=b"contract" * 100_000),
        server.ask("expert", "POST", "/api/imports?name=needs.jsonl", content=b'{"id": "n", "title": "t"}\n' * 9),
        server.ask(None, "POST", "/api/session", json=signing_in),
        # Shown to nobody before, so it would have to be stored.
        server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=5&offset=7"),
    ):
        assert (answer.status_code, answer.json()["type"]) == FULL, answer.text
        assert str(place.disk.place) not in answer.text
    # Not a byte of the file that did not fit is left.
    assert [path for path in (place.home / "evidence").rglob("*") if path.is_file()] == []
    expert = {"Authorization": f"Bearer {server.keys['expert']}"}
    for lang, words in (("zh-Hant", "磁碟已滿"), ("en", "The disk is full")):
        with httpx.Client(base_url=server.url, cookies={LANG_COOKIE: lang}) as browser:
            for page in (
                browser.post("/sign-in", data=signing_in),
                browser.get("/needs/need-1-01/ranked?offset=9", headers=expert),
            ):
                assert (page.status_code, words in page.text) == (507, True), page.text
    place.disk.make_room()
    for size in (1, 100_000):
        assert server.ask("expert", "POST", "/api/evidence", content=b"contract" * size).status_code == 201
    assert server.ask("company", "POST", "/api/needs", json={"title": TITLE}).status_code == 201
    assert server.ask(None, "POST", "/api/session", json=signing_in).status_code == 401


def test_commands_on_a_full_disk_leave_what_there_was(
    place: Place, slice_of_world: Path, gloria: Gloria, tmp_path: Path
) -> None:
    # Vectors lie elsewhere, so that it is the generation that finds no room.
    cache = Path(shutil.copytree(place.home, tmp_path / "cache", ignore=shutil.ignore_patterns("gloria.db*", "index")))
    environment = {"cache": str(cache), "lang": "en"}
    lab = json.loads((slice_of_world / "labs.jsonl").read_text(encoding="utf-8").splitlines()[0])
    files = tmp_path / "labs.jsonl"
    files.write_text("".join(json.dumps(lab | {"id": f"lab-new-{n}"}) + "\n" for n in range(100)), encoding="utf-8")
    pointer = (place.home / "index" / "CURRENT").read_bytes()
    # What the index in use has shown is shown again; needs stored by other tests are taken into it first.
    until(lambda: settled(place.server.url))
    assert place.server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=5").status_code == 200
    # Room for the database's own files, none for a generation or for a hundred labs.
    place.disk.fill(leaving=100_000)
    for arguments in (["reindex", "--full"], ["import", files]):
        answer = gloria(*arguments, home=place.home, **environment)
        assert (answer.code, "Traceback" in answer.err) == (1, False), answer.out + answer.err
        assert "disk is full" in answer.err or "No space left on device" in answer.err, answer.err
    assert (place.home / "index" / "CURRENT").read_bytes() == pointer
    assert place.server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=5").status_code == 200
    assert place.server.ask("expert", "GET", "/api/labs/lab-new-1").status_code == 404
    place.disk.make_room()
    settings = place.server.settings.model_copy(update={"cache": cache})
    engine = open_engine(settings)
    with writing(engine) as session:
        assert import_file(session, files, "labs").created == 100
        generation = reindex(session, settings).generation
    engine.dispose()
    until(lambda: generation_at(place.server.url).partition("+")[0] == generation)
    assert place.server.ask("expert", "GET", "/api/labs/lab-new-1").status_code == 200


def test_a_server_killed_on_a_full_disk_is_started_there_again(place: Place, tmp_path: Path, gloria: Gloria) -> None:
    place.disk.fill(leaving=0)
    place.server.process.kill()
    place.server.process.wait()
    with started(place.server.settings, log=tmp_path / "server.log") as (process, log):
        url, key = address_of(process, log), place.server.keys["expert"]
        asked = httpx.get(url + "/api/queue", headers={"Authorization": f"Bearer {key}"})
        assert asked.status_code == 200
    # Stopped properly it has put its side files away, and needs room for them: that is said, and it does not start.
    place.disk.make_room()
    open_engine(place.server.settings).dispose()
    assert not (place.home / "gloria.db-shm").exists()
    place.disk.fill(leaving=0)
    answer = gloria("serve", "--port", "0", home=place.home, lang="en")
    assert (answer.code, answer.err.strip()) == (
        1,
        "the disk is full: what was to be stored now is not stored; make room and run it again",
    )
    place.disk.make_room()
