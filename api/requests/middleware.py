"""What holds for every request and every answer, whichever route it is for: the guard, the log, the trail of views.

In: requests as they come in. Out: the same without what no route could take, answers with the headers that tell a
browser what not to do, one JSON line per request for the operator, and in the audit trail at most one act for each
request that changed nothing, and the refusals that are kept. It exists as one place around all routes, so that a
new one can't be without it, and because only here it is known how a request ended. The log is the only thing that
logs: it writes the route's template, never the path, the query or a text that somebody sent, so that it can be read
by people who may not read a need.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.requests.bodies import OPEN_BYTES, Bodies, shows_a_credential
from api.requests.metrics import count_request
from api.requests.problems import Refusal, Teller, as_problem
from api.trail.audit_trail import Outcome
from api.trail.request_trail import REFUSALS, RequestTrail, subjects_named, trail_of
from api.trail.view_buffer import ViewBuffer
from indexer.wording import T_

MAX_BODY_BYTES = 4 * 2**20
_NO_MORE = {"Connection": "close"}
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: what this server serves, and no script or style inside the page."""
_PROGRAM_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_DOWNLOAD_POLICY = b"sandbox; " + _PROGRAM_POLICY
"""Wherever a browser shows a download in spite of its header, nothing in it runs or is of this site."""
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000"),
)


class Guard:
    """Adds the security headers to every answer; refuses NUL in the address, and bodies too large, too slow, too many.

    Args:
        app: what answers.
        tell: tells a client of a refusal.
        limits: the methods and paths that take more than other bodies, and how many bytes.
    """

    def __init__(
        self, app: ASGIApp, tell: Teller = as_problem, limits: Mapping[tuple[str, str], int] | None = None
    ) -> None:
        self.app, self.tell, self.limits = app, tell, limits or {}
        self.bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # No text in the records has one, and PostgreSQL refuses to compare with it.
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            nul = Refusal(400, "bad-request", T_("the address has the character NUL"))
            await self.tell(Request(scope), nul)(scope, receive, _guarded(send))
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        most = self.limits.get((scope["method"], scope["path"]), MAX_BODY_BYTES)
        if not announced.isdigit() or int(announced) > most:
            large = Refusal(413, "too-large", T_("at most %(most)s bytes", most=most), None, _NO_MORE)
            await self.tell(Request(scope), large)(scope, receive, _guarded(send))
            return
        if int(announced) > OPEN_BYTES and not shows_a_credential(scope):
            unknown = Refusal(401, "unauthenticated", T_("sign in, or send a valid key"), None, _NO_MORE)
            await as_problem(Request(scope), unknown)(scope, receive, _guarded(send))
            return
        with self.bodies.coming(scope, receive, most) as bounded:
            await self.app(scope, bounded, _guarded(send))


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *_HEADERS]
            page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
            policy = _PAGE_POLICY if page else _PROGRAM_POLICY
            if any(name == b"content-disposition" and value.startswith(b"attachment") for name, value in headers):
                policy = _DOWNLOAD_POLICY
            message["headers"] = [*headers, (b"content-security-policy", policy)]
        await send(message)

    return guarded


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
        logger_factory=lambda *_: _LogLines(),
        cache_logger_on_first_use=False,
    )


class _LogLines:
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


_FIRST_REFUSAL = 400


class ViewLog:
    """Hands over what was seen and what was refused."""

    def __init__(self, app: ASGIApp, views: ViewBuffer) -> None:
        self.app, self.views = app, views

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note who saw what."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, at = 0, datetime.now(UTC)

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        request = Request(scope)
        trail = trail_of(request)
        try:
            await self.app(scope, receive, noted)
        finally:
            # A client that went away in the middle has seen what it was sent.
            if trail.resource is not None and status:
                self._note(request, trail, at, status)

    def _note(self, request: Request, trail: RequestTrail, at: datetime, status: int) -> None:
        for act in trail.refused:
            self.views.put(act)
        named = subjects_named(request.path_params, trail.resource)
        if status >= _FIRST_REFUSAL:
            if status in REFUSALS and not trail.refused:
                self.views.put(trail.act(request, at, outcome=Outcome.REFUSED, status=status, subjects=named))
            return
        if trail.stored:
            # A change or a part of an export: what was seen besides is a view of its own.
            seen = trail.subjects - trail.changed
            if not seen:
                return
        else:
            if not trail.watched:
                return
            seen = trail.subjects | named
        self.views.put(trail.act(request, at, outcome=Outcome.SEEN, status=status, subjects=seen))
