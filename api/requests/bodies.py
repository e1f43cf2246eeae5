"""What the body of a request may cost: so many bytes, so many seconds, so many at a time from one address or account.

In: the messages of a request as they come, and how many bytes its route takes. Out: the same, or a refusal in their
midst. It exists because bodies are read before it is known who sent them. From anybody a little is taken, and not for
long; whoever sends more must have proved to be signed in by then, and even so has only a few of them at once. Of an
address that has many bodies on their way the one begun first goes, so that whoever sends a whole one gets through.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import anyio
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from api.requests.permitted_request import COOKIE, proof_of
from indexer.database import reading
from indexer.instants import now
from indexer.wording import T_

OPEN_BYTES = 64 * 2**10
"""So much is taken from anybody."""
OPEN_S = 20.0
"""And for so long."""
STALL_S = 15.0
"""So long nothing may come of a body whose sender is known."""
WITHIN_S = 300.0
MAX_OPEN_PER_ADDRESS = 64
MAX_OPEN_IN_ALL = 512
LARGE_PER_ACCOUNT = 4
"""Bodies of more than `OPEN_BYTES`, from their first byte until their request is answered."""
_NO_MORE = {"Connection": "close"}

Prover = Callable[[Request], Awaitable[str | None]]


def shows_a_credential(scope: Scope) -> bool:
    """Whether a request names a key or a session, good or not."""
    request = Request(scope)
    return "Authorization" in request.headers or COOKIE in request.cookies


async def account_behind(request: Request) -> str | None:
    """Return the account whose good key or session a request shows."""

    def found() -> str | None:
        with reading(request.app.state.engine) as session:
            proof = proof_of(session, request, now())
        return None if proof is None else proof.account_id

    return await run_in_threadpool(found)


class Bodies:
    """The bodies of a server process on their way; used by its event loop only."""

    def __init__(self, prove: Prover = account_behind) -> None:
        self._prove = prove
        self._open: dict[str, dict[_Body, None]] = {}
        self._large: Counter[str] = Counter()

    @contextmanager
    def coming(self, scope: Scope, receive: Receive, most: int) -> Iterator[Receive]:
        """Bound the body of a request for as long as the block runs: of at most so many bytes.

        What it yields raises HTTPException: 401 too large for somebody who is not signed in, 408 too slow, 413 too
        large, 503 too many at once.
        """
        headers = dict(scope["headers"])
        if headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
            yield receive
            return
        body = _Body(self, scope, receive, most)
        self._begin(body)
        try:
            yield body.receive
        finally:
            self.end(body)
            if body.account_id is not None:
                self._large[body.account_id] -= 1
                if not self._large[body.account_id]:
                    del self._large[body.account_id]

    def _begin(self, body: _Body) -> None:
        same = self._open.setdefault(body.address, {})
        same[body] = None
        if len(same) > MAX_OPEN_PER_ADDRESS:
            next(iter(same)).let_go()
        elif sum(map(len, self._open.values())) > MAX_OPEN_IN_ALL:
            most = max(map(len, self._open.values()))
            next(next(iter(some)) for some in self._open.values() if len(some) == most).let_go()

    def end(self, body: _Body) -> None:
        """Note that a body is whole, that its sender is known, or that it is given up."""
        same = self._open.get(body.address, {})
        same.pop(body, None)
        if not same:
            self._open.pop(body.address, None)

    async def must_be_known(self, body: _Body, request: Request) -> None:
        """Find out who sends more than anybody may."""
        account_id = getattr(request.state, "principal_id", None) or await self._prove(request)
        if account_id is None:
            raise HTTPException(401, T_("sign in, or send a valid key"), _NO_MORE)
        if self._large[account_id] >= LARGE_PER_ACCOUNT:
            told = T_("%(n)s large requests of yours are being received; send it again", n=LARGE_PER_ACCOUNT)
            raise HTTPException(503, told, {"Retry-After": "5", **_NO_MORE})
        self._large[account_id] += 1
        body.account_id = account_id
        self.end(body)


class _Body:
    def __init__(self, all_: Bodies, scope: Scope, receive: Receive, most: int) -> None:
        self._all, self._scope, self._receive, self._most = all_, scope, receive, most
        self.address = scope["client"][0] if scope.get("client") else ""
        self.account_id: str | None = None
        self._begun = time.monotonic()
        self._taken = 0
        self._is_whole = self._is_late = False
        self._waits: anyio.CancelScope | None = None

    def let_go(self) -> None:
        """Give it up: it is told so when it is asked for the next time, or now if it is waited for."""
        self._is_late = True
        self._all.end(self)
        if self._waits is not None:
            self._waits.cancel()

    async def receive(self) -> Message:
        """Receive the next message."""
        if self._is_whole:
            return await self._receive()
        at, message = time.monotonic(), None
        until = self._begun + OPEN_S if self.account_id is None else min(at + STALL_S, self._begun + WITHIN_S)
        if not self._is_late:
            with anyio.move_on_after(max(0.0, until - at)) as self._waits, suppress(TimeoutError):
                message = await self._receive()
            self._waits = None
        if message is None:
            raise HTTPException(408, T_("the body of the request did not come in time"), _NO_MORE)
        self._taken += len(message.get("body", b""))
        if self._taken > self._most:
            # An announced length was checked before; this one sent more than it said, or said nothing.
            raise HTTPException(413, T_("at most %(most)s bytes", most=self._most), _NO_MORE)
        if self._taken > OPEN_BYTES and self.account_id is None:
            await self._all.must_be_known(self, Request(self._scope))
        if not message.get("more_body", False):
            self._is_whole = True
            self._all.end(self)
        return message
