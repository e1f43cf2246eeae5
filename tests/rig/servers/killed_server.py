"""A server that is killed and started again while clients go on, and what came of their work.

In: a database with pairings that wait to be accepted, and a seeded chance. Out: what the clients were told, and what
is stored. It exists as a part of its own so that a faulty server, or clients that retry carelessly, go through the
very same.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from random import Random

from sqlmodel import col, func, select

from indexer.database import open_engine, reading
from indexer.settings import Settings
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.kpis import Kpi
from matcher.review.cases import Case
from matcher.review.decisions import Decision
from tests.rig.load.decisions import Pair
from tests.rig.servers.forked_programs import Alive, forker
from tests.rig.servers.served import launched

PATIENCE_S = 60.0
_AGAIN = frozenset({408, 429, 502, 503})


@dataclass
class Told:
    """What clients were told: the decision of each pairing, other answers by status; and how often they retried."""

    decisions: dict[int, int] = field(default_factory=dict)
    other: Counter[int] = field(default_factory=Counter)
    retries: int = 0
    replays: int = 0


@dataclass(frozen=True)
class Stored:
    """What is in the database: decisions by pairing, and how many cases and entries of acceptances there are."""

    decisions: dict[int, int]
    cases: int
    entries: int
    problems: list[str]


class Work:
    """Pairings that wait, handed out one by one; and how many were answered for good."""

    def __init__(self, pairs: list[Pair]) -> None:
        self._pairs = iter(pairs)
        self._lock = threading.Lock()
        self.n = len(pairs)
        self.answered = 0
        self.told = Told()

    def next(self) -> Pair | None:
        """Return the next pairing, None after the last."""
        with self._lock:
            return next(self._pairs, None)

    def note(self, pair: Pair, status: int, decision: int | None, retries: int, *, replayed: bool) -> None:
        """Keep what a client was told at last."""
        with self._lock:
            self.answered += 1
            self.told.retries += retries
            self.told.replays += replayed
            if decision is None:
                self.told.other[status] += 1
            else:
                self.told.decisions[pair[0]] = decision


@dataclass
class Client:
    """Accepts pairings one after the other; asks again after every broken connection until it gets an answer.

    With `careless` every try has a key of its own, as from a client that doesn't know about them.
    """

    port: int
    key: str
    careless: bool = False

    def run(self, work: Work) -> None:
        """Accept until nothing waits."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        while (pair := work.next()) is not None:
            once, retries, until = secrets.token_hex(16), 0, time.monotonic() + PATIENCE_S
            while True:
                try:
                    status, decision, replayed = self._asked(connection, pair, once)
                except (OSError, HTTPException, ValueError):
                    connection.close()
                    status, decision, replayed = 503, None, False
                if status not in _AGAIN:
                    break
                if time.monotonic() > until:
                    raise AssertionError(f"no answer within {PATIENCE_S} s")
                retries += 1
                time.sleep(0.05)
                if self.careless:
                    once = secrets.token_hex(16)
            work.note(pair, status, decision, retries, replayed=replayed)
        connection.close()

    def _asked(self, connection: HTTPConnection, pair: Pair, once: str) -> tuple[int, int | None, bool]:
        pairing_id, proposal_id = pair
        body = json.dumps({"verdict": "accept", "proposal_id": proposal_id})
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": once,
        }
        connection.request("POST", f"/api/pairings/{pairing_id}/decision", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        decision = int(json.loads(content)["id"]) if answer.status == 201 else None
        return answer.status, decision, answer.headers["Idempotent-Replay"] == "true"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def killed_again_and_again(
    settings: Settings,
    key: str,
    pairs: list[Pair],
    *,
    kills: int,
    chance: Random,
    program: str = "api.cli",
    workers: int = 1,
    careless: bool = False,
    clients: int = 8,
) -> Told:
    """Let clients accept all pairs while the server is killed so many times; return what they were told."""
    port, work = free_port(), Work(pairs)
    # At random moments of the work: each after so many answers and a little while.
    places = sorted(chance.sample(range(len(pairs) // 20, len(pairs) * 19 // 20), kills))
    with ThreadPoolExecutor(clients) as threads:
        running = [threads.submit(Client(port, key, careless).run, work) for _ in range(clients)]
        for place in [*places, None]:
            with _server(settings, port, workers, program) as is_alive:
                while any(not one.done() for one in running) and (place is None or work.answered < place):
                    time.sleep(0.001)
                    if not is_alive():
                        raise AssertionError("the server ended by itself")
                if place is not None:
                    time.sleep(chance.random() * 0.02)
        for one in running:
            one.result()
    return work.told


@contextmanager
def _server(settings: Settings, port: int, workers: int, program: str) -> Iterator[Alive]:
    """Run a server until the block ends, then kill it with all its workers."""
    if workers == 1:
        with forker().server(settings, port, program) as is_alive:
            yield is_alive
        return
    process = launched(settings, workers, None, program, port, settings.home / "server.log")
    try:
        yield lambda: process.poll() is None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def stored(settings: Settings) -> Stored:
    """Return what is in the database."""
    engine = open_engine(settings)
    with reading(engine) as session:
        decisions = session.exec(select(Decision.id, Decision.pairing_id)).all()
        cases = session.exec(select(func.count(col(Case.id)))).one()
        entries = session.exec(select(func.count(col(Entry.id))).where(Entry.kpi == Kpi.ACCEPTANCES)).one()
        problems = [f"{one.check} {one.place}: {one.message}" for one in verify(session).findings]
    engine.dispose()
    return Stored({pairing_id: number or 0 for number, pairing_id in decisions}, cases, entries, problems)
