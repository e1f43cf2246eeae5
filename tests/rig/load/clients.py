"""Clients that load a server as hard as they can: plain sockets in two processes.

In: for each client what it asks, one request after the other. Out: the status of every
answer and how long it took. The clients take as little as possible of the processor that
they share with the server, so that the figures are the server's.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLIENT_PROCESSES = 2
Request = tuple[str, str, dict[str, Any] | None]
"""Method, path with query, and the body if there is one."""
Answer = tuple[int, float]
"""Status and seconds."""


@dataclass(frozen=True)
class Share:
    """What one client does: these requests, one after the other, until they or the seconds have run out."""

    url: str
    key: str
    requests: list[Request]
    seconds: float = math.inf


@dataclass
class Crowd:
    """The processes of the clients, started before any clock."""

    processes: ProcessPoolExecutor

    def ask(self, shares: list[Share]) -> list[Answer]:
        """Let all clients ask at once; return all their answers."""
        groups = [shares[n::CLIENT_PROCESSES] for n in range(CLIENT_PROCESSES)]
        return [answer for part in self.processes.map(several, [g for g in groups if g]) for answer in part]


@contextmanager
def crowd() -> Iterator[Crowd]:
    """Start the processes."""
    with ProcessPoolExecutor(CLIENT_PROCESSES, mp_context=get_context("spawn")) as processes:
        list(processes.map(len, [()] * CLIENT_PROCESSES))
        yield Crowd(processes)


def several(shares: list[Share]) -> list[Answer]:
    """Run several clients at once in this process."""
    with ThreadPoolExecutor(len(shares)) as threads:
        return [answer for answers in threads.map(client, shares) for answer in answers]


def client(share: Share) -> list[Answer]:
    """Send one request after the other on one connection; return status and seconds of each."""
    host = urlsplit(share.url)
    until = time.perf_counter() + share.seconds
    answers = []
    with socket.create_connection((host.hostname, host.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for method, path, document in share.requests:
            began = time.perf_counter()
            if began > until:
                break
            body = b"" if document is None else json.dumps(document).encode()
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {host.netloc}\r\n"
                f"Authorization: Bearer {share.key}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            answers.append((_status(connection), time.perf_counter() - began))
    return answers


def _status(connection: socket.socket) -> int:
    """Read one whole answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    missing = length - len(body)
    while missing > 0:
        missing -= len(_more(connection))
    return int(head.split(b" ", 2)[1])


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(65_536)
    if not part:
        raise ConnectionError("the server closed the connection")
    return part


def waits_ms(answers: list[Answer]) -> str:
    """Say how long clients waited."""
    waits = sorted(seconds * 1000 for _, seconds in answers)
    at = {share: waits[min(len(waits) - 1, int(share * len(waits)))] for share in (0.5, 0.99)}
    return f"p50 {at[0.5]:.0f} ms, p99 {at[0.99]:.0f} ms, max {waits[-1]:.0f} ms"


def processor_s(process_id: int) -> float | None:
    """Return the processor time that a process has used, in seconds; None where the system does not tell that way."""
    stat = Path(f"/proc/{process_id}/stat")
    if not stat.exists():
        return None
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
