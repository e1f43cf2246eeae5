"""What the server tells its operator: one JSON line per request, ids only.

In: requests on their way through. Out: lines on stderr with request id, route,
status, time taken and account id. It exists as the only thing that logs: it
writes the route's template, never the path, the query or a text that somebody
sent, so that a log can be read by people who may not read a need.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
import time
import traceback
from contextlib import suppress
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import count_request
from api.problems import Refusal, Teller, as_problem
from indexer.wording import T_

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")


def configure_log() -> None:
    """Send the server's own events to stderr as JSON lines."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Writes lines to stderr; one that can't be written, as on a full disk, is lost, and nothing else is."""

    def msg(self, line: bytes) -> None:
        """Write a line, whole: straight to the system, so that nothing is left over for a later one to fail on."""
        with suppress(OSError):
            os.write(sys.stderr.fileno(), line + b"\n")

    log = debug = info = warning = error = critical = msg


class RequestLog:
    """Logs each request once it is answered, and turns a fault of ours into a problem that says nothing of it."""

    def __init__(self, app: ASGIApp, tell: Teller = as_problem) -> None:
        self.app, self.tell = app, tell
        self.log = structlog.get_logger("gloria")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and write down how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status, begun = 0, time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        failed: dict[str, Any] = {}
        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            failed = {"error": type(error).__name__, "at": _places(error)}
            if not status:
                fault = Refusal(500, "fault", T_("a fault of ours; it was logged"))
                await self.tell(Request(scope), fault)(scope, receive, noted)
        duration_s = time.perf_counter() - begun
        route = getattr(scope.get("route"), "path", None)
        # Methods are the client's to invent; only known ones become a figure of their own.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        count_request(method, route or "", status, duration_s)
        self.log.log(
            logging.ERROR if failed else logging.INFO,
            "request",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            duration_ms=round(duration_s * 1000, 1),
            account=scope["state"].get("principal_id"),
            **failed,
        )


def _places(error: Exception) -> list[str]:
    """Return where an error came through: places in the code only, since its message may quote what was sent."""
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
