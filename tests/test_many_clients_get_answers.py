"""With 96 and 200 clients at once nobody hangs: all are answered, or told when to come back, and 201 means stored."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import Response
from sqlmodel import col, select

from api.requests import capacity
from api.requests.capacity import READING, RequestThreads, ThreadShare
from indexer.database import BusyError, open_engine, reading
from indexer.records.record_tables import Need
from indexer.settings import Settings
from matcher.review.cases import Contact
from matcher.review.decisions import Decision
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.load.decisions import Pair, stored_pairs
from tests.rig.servers.served import served

pytestmark = pytest.mark.alone

DEADLINE_S = 60.0
Asked = tuple[str, str, str, Any]
"""Who, method, path and body."""


@dataclass
class Seen:
    """What clients saw: statuses by route, whatever is no good answer, and what they were told is stored."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stored: defaultdict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))

    def add(self, asked: Asked, status: int, retry_after: str | None, body: bytes) -> None:
        """Note one answer."""
        _, method, path, _ = asked
        kind = path.partition("?")[0].rsplit("/", 1)[-1]
        self.statuses[kind, status] += 1
        told_when = status == 503 and (retry_after or "").isdigit() and int(retry_after or 0) > 0
        if not (200 <= status < 300 or told_when):
            self.wrong.append(f"{method} {path}: {status} {body[:200]!r}")
        if status == 201:
            self.stored[kind].add(json.loads(body)["id"])


def _requests(number: int, pair: Pair) -> list[Asked]:
    """Return what one client asks: three writes of its own, a list, the queue, and matches."""
    pairing_id, proposal_id = pair
    contact = {"kind": "call", "held_on": "2026-11-20", "note": f"number {number}"}
    requests: list[Asked] = [
        ("company", "POST", "/api/needs", {"title": "many at once", "description": f"number {number}"}),
        ("expert", "GET", "/api/queue", None),
        ("expert", "POST", f"/api/pairings/{pairing_id}/decision", {"verdict": "accept", "proposal_id": proposal_id}),
        ("expert", "GET", "/api/needs/need-1-01/matches?top=5", None),
        ("expert", "POST", "/api/companies/co-1-1/contacts", contact),
        # Every fourth brings a text that was never encoded.
        ("expert", "GET", f"/api/labs?q=polishing+number+{number}&top=5", None)
        if number % 4 == 0
        else ("company", "GET", "/api/needs?limit=5", None),
    ]
    # Not all in the same order, so that reads, writes and matches meet.
    turn = number % len(requests)
    return requests[turn:] + requests[:turn]


def _client(url: str, keys: dict[str, str], requests: list[Asked], seen: Seen, start: threading.Barrier) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=DEADLINE_S)
    start.wait(timeout=DEADLINE_S)
    for asked in requests:
        who, method, path, body = asked
        headers = {"Authorization": f"Bearer {keys[who]}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        seen.add(asked, answer.status, answer.headers["Retry-After"], answer.read())
    connection.close()


def _at_once(url: str, keys: dict[str, str], pairs: list[Pair], within_s: float = DEADLINE_S) -> tuple[Seen, int]:
    """Let a client for each pairing ask at once; return what they saw, and how many were not done in time."""
    seen, start = Seen(), threading.Barrier(len(pairs))
    threads = ThreadPoolExecutor(len(pairs))
    futures: list[Future[None]] = [
        threads.submit(partial(_client, url, keys, _requests(n, pair), seen, start)) for n, pair in enumerate(pairs)
    ]
    done, hanging = wait(futures, timeout=within_s)
    threads.shutdown(wait=False, cancel_futures=True)
    seen.wrong += [repr(error) for future in done if (error := future.exception()) is not None]
    return seen, len(hanging)


def _stored(settings: Settings) -> dict[str, set[Any]]:
    engine = open_engine(settings)
    with reading(engine) as session:
        found: dict[str, set[Any]] = {
            "needs": set(session.exec(select(Need.id).where(Need.title == "many at once")).all()),
            "decision": set(session.exec(select(Decision.id)).all()),
            "contacts": set(session.exec(select(Contact.id).where(col(Contact.case_id).is_(None))).all()),
        }
    engine.dispose()
    return found


@POSTGRESQL_AT_LENGTH
def test_nobody_hangs(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    told: defaultdict[str, set[Any]] = defaultdict(set)
    with served(settings, indexed_home, slice_of_world) as server:
        pairs = stored_pairs(server, 96 + 200 + 1)
        # Loaded before the crowd comes, as a server is.
        assert server.ask("expert", "GET", "/api/needs/need-1-01/matches?top=5").status_code == 200
        for some in (pairs[:96], pairs[96:-1]):
            began = time.monotonic()
            seen, hanging = _at_once(server.url, server.keys, some)
            print(f"{len(some)} clients, {time.monotonic() - began:.1f} s: {dict(seen.statuses)}")
            assert (seen.wrong, hanging, seen.statuses.total()) == ([], 0, 6 * len(some))
            for kind, ids in seen.stored.items():
                told[kind] |= ids
        # Afterwards it works as before.
        for who, method, path, body in _requests(1_000, pairs[-1]):
            answer = server.ask(who, method, path, json=body)
            assert answer.status_code == (201 if method == "POST" else 200), answer.text
            if method == "POST":
                told[path.rsplit("/", 1)[-1]].add(answer.json()["id"])
    # Whoever was told that it is stored can rely on it, and nothing else is.
    assert _stored(settings) == told


def test_the_crowd_sees_what_hangs_and_what_breaks(indexed_home: Path, slice_of_world: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url="", encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world, program="tests.rig.servers.faulty_server") as server:
        seen, hanging = _at_once(server.url, server.keys, [(1, 1)] * 6, within_s=5)
        # It would wait for those that hang.
        server.process.kill()
    # All six meet a write sooner or later; one of them asks for matches before.
    assert hanging == 6
    assert [wrong.split(": ")[1][:3] for wrong in seen.wrong] == ["500"]
    assert {kind for kind, status in seen.statuses if status != 200} == {"matches"}


@pytest.mark.parametrize(
    ("status", "retry_after", "fine"),
    [(201, None, True), (503, "1", True), (503, None, False), (503, "0", False), (409, None, False), (500, "1", False)],
)
def test_the_control_tells_good_answers_from_bad(status: int, retry_after: str | None, *, fine: bool) -> None:
    seen = Seen()
    seen.add(("expert", "POST", "/api/needs", None), status, retry_after, b'{"id": 1}')
    assert (seen.wrong == []) == fine


def _blocked(share: ThreadShare, waiting: int) -> list[str]:
    """Hold the only thread of a share, and return how requests that come meanwhile fare, then how one fares after."""

    async def told(threads: RequestThreads, share: ThreadShare) -> str:
        try:
            return (await threads.run(share, Response)).headers["content-length"]
        except BusyError as error:
            return str(error)

    async def fare() -> list[str]:
        threads, held = RequestThreads((share, READING)), threading.Event()
        first = asyncio.create_task(threads.run(share, lambda: Response(str(held.wait(DEADLINE_S)))))
        await asyncio.sleep(0)
        others = await asyncio.gather(*(told(threads, share) for _ in range(waiting)), told(threads, READING))
        held.set()
        await first
        after = await told(threads, share)
        threads.close()
        return [*others, after]

    return asyncio.run(fare())


def test_who_waits_too_long_for_a_thread_is_told_and_others_are_served() -> None:
    assert _blocked(ThreadShare("short", 1, 0.05), 2) == ["no thread became free within 0.05 s"] * 2 + ["0", "0"]


def test_a_long_queue_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "MAX_WAITING", 1)
    told = ["no thread became free within 0.05 s", "1 requests wait for a thread"]
    assert _blocked(ThreadShare("short", 1, 0.05), 2) == [*told, "0", "0"]
