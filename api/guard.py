"""What holds for every request and every answer, whichever route it is for.

In: requests as they come in. Out: the same without what no route could take, and answers with the headers that tell a
browser what not to do. It exists as one place around all routes, so that a new one can't be without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Refusal, Teller, as_problem
from indexer.wording import T_

MAX_BODY_BYTES = 4 * 2**20
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: what this server serves, and no script or style inside the page."""
_PROGRAM_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"strict-transport-security", b"max-age=31536000"),
)


class Guard:
    """Adds the security headers to every answer; refuses NUL in the address and bodies that are too large.

    Args:
        app: what answers.
        tell: tells a client of a refusal.
        limits: the methods and paths that take more than other bodies, and how many bytes.
    """

    def __init__(
        self, app: ASGIApp, tell: Teller = as_problem, limits: Mapping[tuple[str, str], int] | None = None
    ) -> None:
        self.app, self.tell, self.limits = app, tell, limits or {}

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
            large = Refusal(413, "too-large", T_("at most %(most)s bytes", most=most))
            await self.tell(Request(scope), large)(scope, receive, _guarded(send))
            return
        await self.app(scope, _counted(receive, most), _guarded(send))


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *_HEADERS]
            page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
            policy = _PAGE_POLICY if page else _PROGRAM_POLICY
            message["headers"] = [*headers, (b"content-security-policy", policy)]
        await send(message)

    return guarded


def _counted(receive: Receive, most: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            # An announced length was checked before; this one sent more than it said, or said nothing.
            return {"type": "http.disconnect"}
        return message

    return counted
