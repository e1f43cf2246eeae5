"""With 96 and 200 clients at once nobody hangs: all are answered, or told when to come back."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlmodel import col, func, select

from indexer.database import open_engine, reading
from indexer.records import Need
from indexer.settings import Settings
from matcher.decisions import Decision
from tests.load_decisions import Pair, stored_pairs
from tests.serving import Served, served

DEADLINE_S = 90
PAIRINGS = 20
TITLE = "many at once"


@dataclass(frozen=True)
class Answered:
    """What was asked, the status, and whether a client was told when to come back."""

    asked: str
    status: int
    retry_after: str | None

    @property
    def fine(self) -> bool:
        """Whether it is an answer that a client can work with."""
        told_when = (self.retry_after or "").isdigit() and int(self.retry_after or 0) > 0
        return 200 <= self.status < 300 or self.status == 409 or (self.status == 503 and told_when)


def _client(server: Served, pair: Pair, number: int, start: threading.Barrier) -> list[Answered]:
    """Read and write as one of many: a submission, the queue, a verdict that others give too, a list, the case list."""
    pairing_id, proposal_id = pair
    requests: list[tuple[str, str, str, Any]] = [
        ("company", "POST", "/api/needs", {"title": TITLE, "description": f"number {number}"}),
        ("expert", "GET", "/api/queue", None),
        ("expert", "POST", f"/api/pairings/{pairing_id}/decision", {"verdict": "accept", "proposal_id": proposal_id}),
        ("company", "GET", "/api/needs?limit=20", None),
        ("lead", "GET", "/api/cases?limit=20", None),
    ]
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=DEADLINE_S)
    start.wait(timeout=DEADLINE_S)
    answers = []
    # Not all in the same order, so that reads and writes meet.
    for who, method, path, body in requests[number % 5 :] + requests[: number % 5]:
        headers = {"Authorization": f"Bearer {server.keys[who]}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        answers.append(Answered(f"{method} {path}", answer.status, answer.headers["Retry-After"]))
    connection.close()
    return answers


def _at_once(server: Served, pairs: list[Pair], clients: int) -> tuple[list[Answered], int]:
    """Return all answers, and how many clients were not done in time."""
    start = threading.Barrier(clients)
    threads = ThreadPoolExecutor(clients)
    futures: list[Future[list[Answered]]] = [
        threads.submit(partial(_client, server, pairs[n % len(pairs)], n, start)) for n in range(clients)
    ]
    done, hanging = wait(futures, timeout=DEADLINE_S)
    threads.shutdown(wait=False, cancel_futures=True)
    return [answer for future in done for answer in future.result()], len(hanging)


def _stored(settings: Settings) -> tuple[int, int]:
    engine = open_engine(settings)
    with reading(engine) as session:
        needs = session.exec(select(func.count(col(Need.id))).where(Need.title == TITLE)).one()
        decisions = session.exec(select(func.count(col(Decision.id)))).one()
    engine.dispose()
    return needs, decisions


def test_nobody_hangs(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    made: Counter[str] = Counter()
    with served(settings, indexed_home, slice_of_world) as server:
        pairs = stored_pairs(server, PAIRINGS)
        for clients in (96, 200):
            began = time.monotonic()
            answers, hanging = _at_once(server, pairs, clients)
            counts = Counter((answer.status, answer.retry_after) for answer in answers)
            print(f"{clients} clients, {time.monotonic() - began:.1f} s: {dict(counts)}")
            assert ([answer for answer in answers if not answer.fine], hanging, len(answers)) == ([], 0, clients * 5)
            made.update(answer.asked.split("?")[0][-8:] for answer in answers if answer.status == 201)
    # Whoever was told that it is stored can rely on it, and nothing else is.
    assert _stored(settings) == (made["pi/needs"], made["decision"])
    assert made["decision"] == PAIRINGS


@pytest.mark.parametrize(
    ("status", "retry_after", "fine"),
    [(201, None, True), (409, None, True), (503, "1", True), (503, None, False), (503, "0", False), (500, "1", False)],
)
def test_the_control_tells_good_answers_from_bad(status: int, retry_after: str | None, *, fine: bool) -> None:
    assert Answered("GET /", status, retry_after).fine == fine
