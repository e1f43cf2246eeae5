"""What a server takes on at a time: threads for each kind of waiting, and few files on their way.

In: an endpoint, a plain function; the raw bytes of an upload. Out: the same as a coroutine that runs on a thread of
its share, or refuses it when none became free in time; the file in memory, or a refusal. It exists because requests
wait for different things (the turn to write, the encoders, password hashes): with one pool for all, whatever is
slow today would take every thread, and an overloaded server must answer 503 instead of nothing. Within a share
callers take turns, and none of them has more than a part of it: whoever asks for much waits behind himself, not in
front of others. Files may be many times larger than any other body: each account sends few at once, only who may send
one sends any, none comes for long, and each is counted as it comes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from hashlib import sha256
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from api.requests.problems import ProblemError
from indexer.database import DEADLINE_S, BusyError
from indexer.wording import T_

MAX_WAITING = 1_000
"""Requests of one share that may wait for a thread, whatever their deadline: each holds its body."""
MAX_WAITING_OF_ONE = 200
"""Of these, of one caller."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})

Endpoint = Callable[..., Response]
AnyEndpoint = TypeVar("AnyEndpoint", bound=Endpoint)


@dataclass(frozen=True)
class ThreadShare:
    """What one kind of request may take: so many threads, so many seconds of waiting for one, so many for one caller.

    `each` is 0 where one caller may have all.
    """

    name: str
    threads: int
    wait_s: float
    each: int = 0


READING = ThreadShare("reading", 12, DEADLINE_S, each=4)
WRITING = ThreadShare("writing", 10, DEADLINE_S, each=4)
MATCHING = ThreadShare("matching", 16, 2 * DEADLINE_S, each=2)
"""For requests that may wait for the encoders, with a deadline of their own."""
REPORTING = ThreadShare("reporting", 2, 6 * DEADLINE_S, each=1)
"""For requests that read much and set it as a file: they take the processor itself, not only time."""
SIGNING_IN = ThreadShare("signing-in", 16, 3 * DEADLINE_S)
"""For requests that hash a password, of which `api.access.passwords` lets two do so at a time."""
SIGNING_IN_AGAIN = ThreadShare("signing-in-again", 4, 3 * DEADLINE_S)
"""For the same from browsers that somebody signed in with before: a crowd of strangers does not stand before them."""
SIGNING_ON = ThreadShare("signing-on", 4, DEADLINE_S)
"""For requests that wait for somebody else's server."""
SHARES = (READING, WRITING, MATCHING, REPORTING, SIGNING_IN, SIGNING_IN_AGAIN, SIGNING_ON)
ShareOf = Callable[[Request], ThreadShare]


class NotYetError(Exception):
    """An endpoint wants to be called again after a while, and holds no thread until then."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


_MAX_KNOWN = 20_000


class Callers:
    """Who asks, as far as it is known before anything is read: an account that proved itself before, else an address.

    Only for taking turns: it proves nothing, and what was withdrawn is forgotten late.
    """

    def __init__(self) -> None:
        self._accounts: OrderedDict[bytes, str] = OrderedDict()

    def of(self, request: Request) -> str:
        """Return the name under which a request takes its turn."""
        account_id = self._accounts.get(_credential(request))
        if account_id is not None:
            return f"account {account_id}"
        return f"address {request.client.host if request.client else ''}"

    def note(self, request: Request, account_id: str) -> None:
        """Note that a request proved to be an account's; any thread may call this."""
        self._accounts[_credential(request)] = account_id
        while len(self._accounts) > _MAX_KNOWN:
            self._accounts.popitem(last=False)


def _credential(request: Request) -> bytes:
    given = request.headers.get("Authorization") or request.headers.get("Cookie", "")
    return sha256(given.encode("utf-8", "surrogatepass")).digest()


class RequestThreads:
    """The threads of one server process, used from its event loop only."""

    def __init__(self, shares: tuple[ThreadShare, ...] = SHARES) -> None:
        self._pools = {share: _Pool(share) for share in shares}
        self.callers = Callers()

    async def run(self, share: ThreadShare, work: Callable[[], Response], by: str = "") -> Response:
        """Do work on a thread of a share, in the turn of the caller.

        Raises:
            BusyError: none became free in time, or too many wait already; the work was not begun.
        """
        return await self._pools[share].run(work, by)

    def close(self) -> None:
        """End the threads once they have finished what they do."""
        for pool in self._pools.values():
            pool.threads.shutdown()


class _Pool:
    def __init__(self, share: ThreadShare) -> None:
        self.share = share
        self.threads = ThreadPoolExecutor(share.threads, thread_name_prefix=share.name)
        self._busy: Counter[str] = Counter()
        # Callers with a request that waits; whose turn came last stands last.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, work: Callable[[], Response], by: str) -> Response:
        if self._may_begin(by):
            self._busy[by] += 1
        else:
            await self._wait(by)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, work)
        finally:
            self._end(by)

    def _may_begin(self, by: str) -> bool:
        return self._busy.total() < self.share.threads and self._busy[by] < (self.share.each or self.share.threads)

    async def _wait(self, by: str) -> None:
        waiting = sum(map(len, self._waiting.values()))
        if waiting >= MAX_WAITING or len(self._waiting.get(by, ())) >= MAX_WAITING_OF_ONE:
            raise BusyError(T_("%(waiting)s requests wait for a thread", waiting=waiting))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(by, deque()).append(turn)
        try:
            async with asyncio.timeout(self.share.wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # The turn came in the same moment; it is passed on.
                self._end(by)
            else:
                self._forget(by, turn)
            if isinstance(error, TimeoutError):
                raise BusyError(T_("no thread became free within %(wait_s)s s", wait_s=self.share.wait_s)) from error
            raise

    def _forget(self, by: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting[by]
        turns.remove(turn)
        if not turns:
            del self._waiting[by]

    def _end(self, by: str) -> None:
        self._busy[by] -= 1
        if not self._busy[by]:
            del self._busy[by]
        for caller in list(self._waiting):
            if not self._may_begin(caller):
                continue
            # One whose wait ended in this very moment is done already, and forgets itself when it comes to it.
            turn = next((one for one in self._waiting[caller] if not one.done()), None)
            if turn is None:
                continue
            self._forget(caller, turn)
            if caller in self._waiting:
                self._waiting.move_to_end(caller)
            self._busy[caller] += 1
            turn.set_result(None)
            return


def takes(share: ThreadShare | ShareOf) -> Callable[[AnyEndpoint], AnyEndpoint]:
    """Say of an endpoint which share it takes; without this, its method decides between reading and writing."""

    def mark(endpoint: AnyEndpoint) -> AnyEndpoint:
        endpoint.share = share  # type: ignore[attr-defined]
        return endpoint

    return mark


class ThreadedRoute(APIRoute):
    """A route whose endpoint is a plain function and runs on a request thread; coroutines stay as they are."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            usual = READING if _SAFE_METHODS.issuperset(options.get("methods") or ("GET",)) else WRITING
            endpoint = _threaded(endpoint, getattr(endpoint, "share", usual))
        super().__init__(path, endpoint, **options)


def _threaded(endpoint: Endpoint, share: ThreadShare | ShareOf) -> Callable[..., Awaitable[Response]]:
    @wraps(endpoint)
    async def run(*, _asked: Request, **values: Any) -> Response:
        threads: RequestThreads = _asked.app.state.threads
        chosen = share if isinstance(share, ThreadShare) else share(_asked)
        by = threads.callers.of(_asked)
        while True:
            try:
                return await threads.run(chosen, partial(_within, endpoint, values), by)
            except NotYetError as error:
                await asyncio.sleep(error.wait_s)

    # What FastAPI reads: the endpoint's own parameters, and the request for us.
    own = inspect.signature(endpoint)
    ours = inspect.Parameter("_asked", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Request, Depends(_asking)])
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), ours])  # type: ignore[attr-defined]
    return run


def _within(endpoint: Endpoint, values: Mapping[str, Any]) -> Response:
    """Run an endpoint within those of its arguments that are contexts: what they hold ends with it, on its thread."""
    with ExitStack() as stack:
        for value in values.values():
            if isinstance(value, AbstractContextManager):
                stack.enter_context(value)
        return endpoint(**values)


async def _asking(request: Request) -> Request:
    return request


MAX_FILE_BYTES = 64 * 2**20
MAX_OF_ONE = 2
"""Files that a server process receives at a time from one account."""
MAX_AT_ONCE = 32
"""And from all."""
MAX_BYTES_AT_ONCE = 512 * 2**20
"""What all files on their way may have brought so far."""
WITHIN_S = 300.0
_NO_MORE = {"Connection": "close"}
"""Ends the connection too: what is still to come on it would have to be read to its end."""


class Uploads:
    """The uploads of a server process on their way; used by its event loop only."""

    def __init__(self) -> None:
        self._coming: Counter[str] = Counter()
        self._bytes = 0

    async def received(self, request: Request, most: int = MAX_FILE_BYTES) -> bytes:
        """Return the body of a request whose sender was admitted.

        Raises:
            ProblemError: 503 too many at once, 408 too slow, 413 too large, 422 empty.
        """
        with self._counted(request.state.principal_id):
            try:
                with anyio.fail_after(WITHIN_S):
                    content = await self._content(request)
            except TimeoutError as error:
                detail = T_("the file did not come within %(seconds)s s", seconds=f"{WITHIN_S:.0f}")
                raise ProblemError(408, "too-slow", detail, None, _NO_MORE) from error
            except ClientDisconnect as error:
                # Either the client is gone and reads nothing, or it sent more than may come.
                raise ProblemError(413, "too-large", T_("at most %(most)s bytes", most=most), None, _NO_MORE) from error
        if not content:
            raise ProblemError(422, "invalid", T_("send the file's content as the request body"), "body")
        return content

    async def _content(self, request: Request) -> bytes:
        chunks, size = [], 0
        try:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                self._bytes += len(chunk)
                if self._bytes > MAX_BYTES_AT_ONCE:
                    raise _busy(T_("too much is being received; send the file again"), _NO_MORE)
            return b"".join(chunks)
        finally:
            self._bytes -= size

    @contextmanager
    def _counted(self, account_id: str) -> Iterator[None]:
        if self._coming[account_id] >= MAX_OF_ONE:
            told = T_("%(max_of_one)s files of yours are being received; send it again", max_of_one=MAX_OF_ONE)
            raise _busy(told, _NO_MORE)
        if self._coming.total() >= MAX_AT_ONCE:
            told = T_("%(max_at_once)s files are being received; send it again", max_at_once=MAX_AT_ONCE)
            raise _busy(told, _NO_MORE)
        self._coming[account_id] += 1
        try:
            yield
        finally:
            self._coming[account_id] -= 1
            if not self._coming[account_id]:
                del self._coming[account_id]


def _busy(detail: str, headers: Mapping[str, str]) -> ProblemError:
    return ProblemError(503, "busy", detail, None, {"Retry-After": "5", **headers})
