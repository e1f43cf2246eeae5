"""The server in this process, on a real socket: quick to start, and within reach of a test that takes things from it.

In: settings whose database is filled. Out: its address, the application, and requests as somebody. It exists for tests
that break what a server stands on, or its clock, and then ask it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from indexer.settings import Settings
from tests.live_home import until
from tests.warmed_application import application


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
            headers["Authorization"] = f"Bearer {self.keys[who]}"
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
