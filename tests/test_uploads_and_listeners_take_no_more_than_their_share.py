"""Large files only from who may send them, and only so large; any number of listeners leaves the server to others."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from api.requests.capacity import MAX_FILE_BYTES
from api.requests.middleware import MAX_BODY_BYTES
from indexer.settings import Settings
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import companies, job_of, listening, result_of, until, upload

LISTENERS = 60
"""More than there are request threads (40) or database connections (45)."""


def _without_end() -> Iterator[bytes]:
    chunk = b"x" * 2**20
    for _ in range(4 * MAX_FILE_BYTES // len(chunk)):
        yield chunk
    raise AssertionError("the server took four times what it may")


def _refused_early(server: Served, path: str, authorization: str, size: int) -> bytes:
    """Announce a body, send none of it, and return how the server answers."""
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as connection:
        lines = (f"POST {path} HTTP/1.1", "Host: x", authorization, f"Content-Length: {size}", "", "")
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(12)


def test_large_files(tmp_path: Path, indexed_home: Path, slice_of_world: Path) -> None:
    settings = Settings(home=tmp_path / "home", encoders="bundled-use", database_url="")
    with served(settings, indexed_home, slice_of_world) as server:
        rows = ({"id": f"c-{n}", "description": "x" * 40_000} for n in range(120))
        large = "".join(json.dumps(row) + "\n" for row in rows).encode()
        assert len(large) > MAX_BODY_BYTES
        path = "/api/imports?name=companies.jsonl&dry_run=true"
        # Only a file may be so large.
        assert server.ask("expert", "POST", "/api/needs", content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413
        assert server.ask("expert", "POST", path, content=b" " * (MAX_FILE_BYTES + 1)).status_code == 413
        # Who sends without saying how much is cut off too; the server goes on.
        try:
            cut = server.ask("expert", "POST", path, content=_without_end())
            assert cut.status_code == 413
        except httpx.TransportError:
            assert server.ask(None, "GET", "/healthz").status_code == 200
        # Who may not import is told so before anything of the file is taken.
        key = f"Authorization: Bearer {server.keys['company']}"
        assert _refused_early(server, path, key, MAX_FILE_BYTES) == b"HTTP/1.1 403"
        assert _refused_early(server, path, "Authorization: Bearer none", MAX_FILE_BYTES) == b"HTTP/1.1 401"
        job_id = job_of(server.ask("expert", "POST", path, content=large))
        assert result_of(server, "expert", job_id)["created"] == 120


@POSTGRESQL_AT_LENGTH
def test_many_listeners(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    with served(settings, indexed_home, slice_of_world) as server, ExitStack() as stack:
        job_id = job_of(upload(server, "expert", "companies.jsonl", companies(20_000)))
        streams = [stack.enter_context(listening(server, "expert", job_id)) for _ in range(LISTENERS)]
        ends: list[str] = []
        threads = [
            threading.Thread(target=lambda s=s: ends.append(json.loads(list(s)[-1]["data"])["state"])) for s in streams
        ]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        # Others read and write meanwhile.
        need = {"title": "in between", "company": "co-1-1"}
        for _ in range(5):
            assert server.ask("lead", "GET", "/api/queue").status_code == 200
            assert server.ask("lead", "POST", "/api/needs", json=need).status_code == 201
        assert time.monotonic() - begun < 20
        server.ask("expert", "POST", f"/api/jobs/{job_id}/cancel")
        until(server, "expert", job_id, "cancelled", "done")
        for thread in threads:
            thread.join(30)
    assert len(ends) == LISTENERS
    assert set(ends) <= {"cancelled", "done"}
