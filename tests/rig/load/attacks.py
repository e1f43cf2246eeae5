"""What one account, or nobody at all, can do to a server, and how others fare meanwhile.

In: a running server and a size. Out: attacks, each going on as long as its block runs; how long another's requests took
meanwhile, by `watched`; how much memory the server took. It exists so that the quick tests and the long ones measure
the same, and the figures of a release can be compared with those of the one before.

`python -m tests.rig.load.attacks URL KEY OTHER_KEY EMAIL` measures a server that runs already, with a high limit of
requests per minute.
"""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

ME_P99_S = 0.5
IMPORT_S = 5.0
MEMORY_MB = 100.0


@dataclass(frozen=True)
class Target:
    """A server, the key of who attacks, the key of who works meanwhile, and an address that has a password."""

    url: str
    attacker: str
    worker: str
    email: str = ""

    def socket(self) -> socket.socket:
        """Return a new connection."""
        at = urlsplit(self.url)
        return socket.create_connection((at.hostname, at.port), timeout=20)

    def client(self, key: str) -> httpx.Client:
        """Return a client of somebody's."""
        limits = httpx.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, timeout=60, headers=headers, trust_env=False, limits=limits)


@dataclass
class Fared:
    """How another's requests fared."""

    me_s: list[float] = field(default_factory=list)
    import_s: float = 0.0
    refused: list[int] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        """So long took 99 of 100."""
        return sorted(self.me_s)[min(len(self.me_s) - 1, int(len(self.me_s) * 0.99))]


def watched(target: Target, seconds: float) -> Fared:
    """Let somebody ask who they are, again and again, and import one row, in a process of their own."""
    arguments = [sys.executable, "-m", "tests.rig.load.attacks", "watch", target.url, target.worker, str(seconds)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr[-2_000:])
    return Fared(**json.loads(done.stdout))


def _watch(target: Target, seconds: float) -> Fared:
    fared, ended = Fared(), threading.Event()

    def ask() -> None:
        until = time.monotonic() + seconds
        with target.client(target.worker) as client:
            while time.monotonic() < until or not ended.is_set():
                begun = time.monotonic()
                # On a new connection each time, as whoever comes now has.
                status = client.get("/api/me", headers={"Connection": "close"}).status_code
                fared.me_s.append(time.monotonic() - begun)
                if status != 200:
                    fared.refused.append(status)
                time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        fared.import_s = _imported(target)
    finally:
        ended.set()
        asking.join()
    return fared


def _imported(target: Target) -> float:
    begun = time.monotonic()
    row = f'{{"id": "c-{time.monotonic_ns()}", "name": "一列"}}\n'.encode()
    with target.client(target.worker) as client:
        job = client.post("/api/imports?name=companies.jsonl", content=row)
        assert job.status_code == 202, job.text
        while (state := client.get(f"/api/jobs/{job.json()['id']}").json()["state"]) in ("queued", "running"):
            assert time.monotonic() - begun < 90, state
            time.sleep(0.05)
    assert state == "done", state
    return time.monotonic() - begun


def memory_mb(pid: int) -> float:
    """Return what a process holds of memory now."""
    (line,) = (one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1e3


@contextmanager
def _dripping(target: Target, size: int, begin: bytes, drip: bytes) -> Iterator[None]:
    """Keep so many connections at which something is begun and goes on a little at a time; those cut off come again."""
    ended = threading.Event()
    open_: list[socket.socket] = []

    def opened() -> None:
        with suppress(OSError):
            one = target.socket()
            one.sendall(begin)
            one.settimeout(0.05)
            open_.append(one)

    def drip_on() -> None:
        while not ended.wait(0.3):
            for one in list(open_):
                try:
                    one.sendall(drip)
                except OSError:
                    open_.remove(one)
                    one.close()
            for _ in range(min(10, size - len(open_))):
                opened()

    for _ in range(size):
        opened()
    thread = threading.Thread(target=drip_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for one in open_:
            one.close()


@contextmanager
def _asking(target: Target, size: int, ask: Callable[[httpx.Client], object], key: str = "") -> Iterator[None]:
    """Let so many clients ask the same, again and again."""
    ended = threading.Event()

    def go_on() -> None:
        with target.client(key) as client:
            while not ended.is_set():
                with suppress(httpx.HTTPError):
                    ask(client)

    threads = [threading.Thread(target=go_on) for _ in range(size)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@contextmanager
def silent_connections(target: Target, size: int) -> Iterator[None]:
    """Connections on which nothing is said."""
    with _dripping(target, size, b"", b""):
        yield


@contextmanager
def slow_heads(target: Target, size: int) -> Iterator[None]:
    """Heads that are never finished."""
    with _dripping(target, size, b"GET /api/me HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n"):
        yield


@contextmanager
def endless_heads(target: Target, size: int) -> Iterator[None]:
    """Heads of one header without end, 100 kB at a time."""
    with _dripping(target, size, b"GET /api/me HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 100_000):
        yield


@contextmanager
def many_headers(target: Target, size: int) -> Iterator[None]:
    """Heads of headers without end."""
    with _dripping(target, size, b"GET /api/me HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 10_000):
        yield


@contextmanager
def endless_trailers(target: Target, size: int) -> Iterator[None]:
    """Bodies after which headers without end come."""
    begin = b"POST /api/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"
    with _dripping(target, size, begin, b"X-A: b\r\n" * 10_000):
        yield


@contextmanager
def slow_bodies(target: Target, size: int) -> Iterator[None]:
    """Bodies of sign-ins that come a little at a time."""
    head = b"POST /api/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
    with _dripping(target, size, head + b" " * 30_000, b" "):
        yield


@contextmanager
def forged_bodies(target: Target, size: int) -> Iterator[None]:
    """Large bodies under a key that is none."""
    head = b"POST /api/needs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer glm_0_0\r\nContent-Length: 4000000\r\n\r\n"
    with _dripping(target, size, head + b" " * 64_000, b" " * 64_000):
        yield


@contextmanager
def pipelined(target: Target, size: int) -> Iterator[None]:
    """Thousands of requests ahead of the first answer."""
    with _dripping(target, size, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000, b""):
        yield


@contextmanager
def endless_uploads(target: Target, size: int) -> Iterator[None]:
    """Files of one account that never end."""
    head = (
        f"POST /api/evidence HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.attacker}\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n"
    )
    with _dripping(target, size, head.encode() + b"ab", b"a"):
        yield


@contextmanager
def unknown_addresses(target: Target, size: int) -> Iterator[None]:
    """Wrong passwords for addresses that nobody has."""
    names = iter(range(10**9))

    def ask(client: httpx.Client) -> None:
        client.post("/api/session", json={"email": f"nobody{next(names)}@x.example", "password": "wrong-password-1"})

    with _asking(target, size, ask):
        yield


@contextmanager
def wrong_passwords(target: Target, size: int) -> Iterator[None]:
    """Wrong passwords for one address that somebody has."""

    def ask(client: httpx.Client) -> None:
        client.post("/api/session", json={"email": target.email, "password": "wrong-password-1"})

    with _asking(target, size, ask):
        yield


@contextmanager
def forged_sessions(target: Target, size: int) -> Iterator[None]:
    """Requests under sessions that are none."""
    names = iter(range(10**9))
    with _asking(
        target, size, lambda client: client.get("/api/me", headers={"Cookie": f"__Host-gloria=forged{next(names)}"})
    ):
        yield


@contextmanager
def workbooks(target: Target, size: int) -> Iterator[None]:
    """Small files that hold much, imported by one account."""
    content = workbook_of_much()
    with target.client(target.attacker) as client:
        jobs = [client.post("/api/imports?name=companies.xlsx&dry_run=true", content=content) for _ in range(size)]
        assert {job.status_code for job in jobs} == {202}, jobs[0].text
        # The first of them is at work.
        time.sleep(1.0)
        yield
        for job in jobs:
            client.post(f"/api/jobs/{job.json()['id']}/cancel")


def workbook_of_much(rows: int = 60_000) -> bytes:
    """Return a workbook of few bytes and many rows."""
    cells = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in ("id", "name", "description"))
    row = '<row><c t="inlineStr"><is><t>c-{n}</t></is></c>' + '<c t="inlineStr"><is><t>名</t></is></c>' * 2 + "</row>"
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        f"<row>{cells}</row>" + "".join(row.replace("{n}", str(n)) for n in range(rows)) + "</sheetData></worksheet>"
    )
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r='
        '"http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="companies" '
        'sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": sheet,
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return made.getvalue()


@contextmanager
def reports(target: Target, size: int) -> Iterator[None]:
    """Reports asked for by one account, all at once and again."""
    with _asking(target, size, lambda client: client.get("/api/reports/kpi?format=xlsx"), target.attacker):
        yield


@contextmanager
def exports(target: Target, size: int) -> Iterator[None]:
    """Exports asked for by one account, all at once and again."""
    with _asking(target, size, lambda client: client.get("/api/exports/labs?format=xlsx"), target.attacker):
        yield


@contextmanager
def matches(target: Target, size: int) -> Iterator[None]:
    """Rankings asked for by one account, all at once and again."""
    with _asking(target, size, lambda client: client.get("/api/needs/need-1-01/matches"), target.attacker):
        yield


@contextmanager
def batches(target: Target, size: int) -> Iterator[None]:
    """Jobs of one account, as many as it may have."""
    row = b'{"id": "c-batch", "name": "b"}\n' * 2_000
    with target.client(target.attacker) as client:
        jobs = [client.post("/api/imports?name=companies.jsonl&dry_run=true", content=row) for _ in range(size)]
        yield
        for job in jobs:
            if job.status_code == 202:
                client.post(f"/api/jobs/{job.json()['id']}/cancel")


@contextmanager
def nothing(target: Target, size: int) -> Iterator[None]:
    """No attack, for comparison."""
    del target, size
    yield


Attack = Callable[[Target, int], AbstractContextManager[None]]
OF_NOBODY: dict[Attack, tuple[int, int]] = {
    silent_connections: (40, 600),
    slow_heads: (40, 600),
    endless_heads: (3, 200),
    many_headers: (3, 200),
    endless_trailers: (3, 200),
    slow_bodies: (40, 400),
    forged_bodies: (5, 200),
    pipelined: (3, 100),
    unknown_addresses: (4, 40),
    wrong_passwords: (2, 40),
    forged_sessions: (1, 40),
}
"""What needs no account: with how many at a time it is tried, quickly and at length."""
OF_ONE_ACCOUNT: dict[Attack, tuple[int, int]] = {
    workbooks: (1, 8),
    reports: (2, 16),
    exports: (2, 16),
    matches: (2, 32),
    batches: (10, 20),
    endless_uploads: (6, 40),
}
"""What one account does."""


def main(url: str, attacker: str, worker: str, email: str, *names: str) -> None:
    """Measure all at length, or those named, and print a line for each."""
    target = Target(url, attacker, worker, email)
    for attack, (_, size) in {nothing: (0, 0), **OF_NOBODY, **OF_ONE_ACCOUNT}.items():
        if names and attack.__name__ not in names:
            continue
        with attack(target, size):
            fared = watched(target, 4)
        told = f"p99 {fared.p99_s:6.3f} s of {len(fared.me_s)}, import {fared.import_s:5.2f} s"
        print(f"{attack.__name__:20} {told}, refused {len(fared.refused)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        print(json.dumps(asdict(_watch(Target(sys.argv[2], "", sys.argv[3]), float(sys.argv[4])))))
    else:
        main(*sys.argv[1:])
