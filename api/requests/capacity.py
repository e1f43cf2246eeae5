"""What a server takes on at a time: threads for each kind of waiting, and few files on their way.

In: an endpoint, a plain function; the raw bytes of an upload. Out: the same as a coroutine that runs on a thread of
its share, or refuses it when none became free in time; the file in memory, or a refusal. It exists because requests
wait for different things (the turn to write, the encoders, password hashes): with one pool for all, whatever is
slow today would take every thread, and an overloaded server must answer 503 instead of nothing. Files may be many
times larger than any other body: few are received at once, only from who may send one, none for long, and each is
counted as it comes.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
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
_SAFE_METHODS = frozenset({"GET", "HEAD"})

Endpoint = Callable[..., Response]
AnyEndpoint = TypeVar("AnyEndpoint", bound=Endpoint)


@dataclass(frozen=True)
class ThreadShare:
    """What one kind of request may take: so many threads, and so many seconds of waiting for one."""

    name: str
    threads: int
    wait_s: float


READING = ThreadShare("reading", 12, DEADLINE_S)
WRITING = ThreadShare("writing", 10, DEADLINE_S)
MATCHING = ThreadShare("matching", 16, 2 * DEADLINE_S)
"""For requests that may wait for the encoders, with a deadline of their own."""
SIGNING_IN = ThreadShare("signing-in", 2, DEADLINE_S)
"""For requests that hash a password: as many as are hashed at a time."""
SIGNING_ON = ThreadShare("signing-on", 4, DEADLINE_S)
"""For requests that wait for somebody else's server."""
SHARES = (READING, WRITING, MATCHING, SIGNING_IN, SIGNING_ON)


class RequestThreads:
    """The threads of one server process, used from its event loop only."""

    def __init__(self, shares: tuple[ThreadShare, ...] = SHARES) -> None:
        self._pools = {share: _Pool(share) for share in shares}

    async def run(self, share: ThreadShare, work: Callable[[], Response]) -> Response:
        """Do work on a thread of a share.

        Raises:
            BusyError: none became free in time, or too many wait already; the work was not begun.
        """
        return await self._pools[share].run(work)

    def close(self) -> None:
        """End the threads once they have finished what they do."""
        for pool in self._pools.values():
            pool.threads.shutdown()


class _Pool:
    def __init__(self, share: ThreadShare) -> None:
        self.share = share
        self.threads = ThreadPoolExecutor(share.threads, thread_name_prefix=share.name)
        self.free = asyncio.Semaphore(share.threads)
        self.waiting = 0

    async def run(self, work: Callable[[], Response]) -> Response:
        if self.free.locked():
            await self._wait()
        else:
            await self.free.acquire()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, work)
        finally:
            self.free.release()

    async def _wait(self) -> None:
        if self.waiting >= MAX_WAITING:
            raise BusyError(T_("%(waiting)s requests wait for a thread", waiting=self.waiting))
        self.waiting += 1
        try:
            async with asyncio.timeout(self.share.wait_s):
                await self.free.acquire()
        except TimeoutError as error:
            raise BusyError(T_("no thread became free within %(wait_s)s s", wait_s=self.share.wait_s)) from error
        finally:
            self.waiting -= 1


def takes(share: ThreadShare) -> Callable[[AnyEndpoint], AnyEndpoint]:
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


def _threaded(endpoint: Endpoint, share: ThreadShare) -> Callable[..., Awaitable[Response]]:
    @wraps(endpoint)
    async def run(*, _threads: RequestThreads, **values: Any) -> Response:
        return await _threads.run(share, partial(_within, endpoint, values))

    # What FastAPI reads: the endpoint's own parameters, and the threads for us.
    own = inspect.signature(endpoint)
    ours = inspect.Parameter(
        "_threads", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[RequestThreads, Depends(_threads_of)]
    )
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), ours])  # type: ignore[attr-defined]
    return run


def _within(endpoint: Endpoint, values: Mapping[str, Any]) -> Response:
    """Run an endpoint within those of its arguments that are contexts: what they hold ends with it, on its thread."""
    with ExitStack() as stack:
        for value in values.values():
            if isinstance(value, AbstractContextManager):
                stack.enter_context(value)
        return endpoint(**values)


async def _threads_of(request: Request) -> RequestThreads:
    threads: RequestThreads = request.app.state.threads
    return threads


MAX_FILE_BYTES = 64 * 2**20
MAX_AT_ONCE = 4
"""Files that a server process receives at a time."""
WITHIN_S = 300.0
_NO_MORE = {"Connection": "close"}
"""Ends the connection too: what is still to come on it would have to be read to its end."""


class Uploads:
    """The uploads of a server process on their way; used by its event loop only."""

    def __init__(self) -> None:
        self._coming = 0

    async def received(self, request: Request, most: int = MAX_FILE_BYTES) -> bytes:
        """Return the body of a request.

        Raises:
            ProblemError: 503 too many at once, 408 too slow, 413 too large, 422 empty.
        """
        with self._counted():
            try:
                with anyio.fail_after(WITHIN_S):
                    content = b"".join([chunk async for chunk in request.stream()])
            except TimeoutError as error:
                detail = T_("the file did not come within %(seconds)s s", seconds=f"{WITHIN_S:.0f}")
                raise ProblemError(408, "too-slow", detail, None, _NO_MORE) from error
            except ClientDisconnect as error:
                # Either the client is gone and reads nothing, or it sent more than may come.
                raise ProblemError(413, "too-large", T_("at most %(most)s bytes", most=most), None, _NO_MORE) from error
        if not content:
            raise ProblemError(422, "invalid", T_("send the file's content as the request body"), "body")
        return content

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._coming >= MAX_AT_ONCE:
            headers = {"Retry-After": "5"}
            raise ProblemError(
                503,
                "busy",
                T_("%(max_at_once)s files are being received; send it again", max_at_once=MAX_AT_ONCE),
                None,
                headers,
            )
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
