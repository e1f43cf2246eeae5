"""The server in this process on a real socket, and an indexed home that may be changed: both within a test's reach.

In: settings whose database is filled. Out: its address, the application, requests as somebody, and waiting for what
happens elsewhere. It exists for tests that take things from a server while it runs.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from indexer.database import writing
from indexer.index.building import reindex
from indexer.records.importing import import_file, import_rows
from indexer.records.profiles import Need
from indexer.records.record_tables import load_needs
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from tests.rig.servers.signed_in import headers_of
from tests.rig.servers.warmed_application import application

PATIENCE_S = 30.0


@dataclass
class Home:
    """An indexed home of the test's own, the files it was filled from, and one of its needs."""

    settings: Settings
    engine: Engine
    folder: Path
    need: Need

    def record(self, kind: str, place: int = 0) -> dict[str, Any]:
        """Return a record of the files, by its place or its id."""
        lines = (self.folder / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()
        return dict(json.loads(lines[place]))

    def lab(self, lab_id: str) -> dict[str, Any]:
        """Return a lab of the files."""
        lines = (self.folder / "labs.jsonl").read_text(encoding="utf-8").splitlines()
        return next(lab for lab in map(json.loads, lines) if lab["id"] == lab_id)

    def store(self, kind: Kind, record: dict[str, Any]) -> None:
        """Store a record as an import does."""
        with writing(self.engine) as session:
            report = import_rows(session, kind, [record])
            assert (report.refused, report.problems) == (0, [])

    def reindex(self) -> str:
        """Build the index anew and return the generation."""
        with writing(self.engine) as session:
            return reindex(session, self.settings).generation


def build_home(settings: Settings, engine: Engine, folder: Path, cache: Path) -> Home:
    """Fill a database from a folder of files and index it; vectors are taken from the home `cache`."""
    settings = settings.model_copy(update={"cache": cache})
    settings.home.mkdir(exist_ok=True)
    with writing(engine) as session:
        for kind in ("schools", "companies", "labs", "needs"):
            import_file(session, folder / f"{kind}.jsonl", kind)
        need = replace(load_needs(session)[0], excluded_labs=())
        reindex(session, settings)
    return Home(settings, engine, folder, need)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread brings about."""
    last = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > last:
            raise AssertionError(f"it did not come to hold within {PATIENCE_S} s")
        time.sleep(0.005)


def until_used(live: LiveMatcher, generation: str) -> None:
    """Wait until a generation has taken the place of the one before."""
    until(lambda: live.current().snapshot.generation == generation)


@dataclass
class Near:
    """A running server; `keys` are those of the people in its database."""

    app: FastAPI
    settings: Settings
    keys: dict[str, str]
    client: httpx.Client

    def ask(self, who: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request as somebody, or as nobody."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers = headers_of(self.app.state.engine, self.keys[who], method, path) | headers
        return self.client.request(method, path, headers=headers, **more)


@contextmanager
def near(settings: Settings, keys: dict[str, str], *, matching: bool = True) -> Iterator[Near]:
    """Serve until the block ends; without `matching` no encoder is loaded beforehand."""
    app = application(settings)
    if not matching:
        app.state.live.warm = lambda: None
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=5))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield Near(app, settings, keys, client)
        finally:
            server.should_exit = True
            thread.join(30)
