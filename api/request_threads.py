"""The threads that requests run on: each kind of waiting has its own, and nobody queues for one without end.

In: an endpoint, a plain function. Out: the same as a coroutine that runs it on
a thread of its share, or refuses it when none became free in time. It exists
because requests wait for different things (the turn to write, the encoders,
password hashes): with one pool for all, whatever is slow today would take every
thread, and an overloaded server must answer 503 instead of nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial, wraps
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from indexer.database import DEADLINE_S, BusyError
from indexer.wording import T_

MAX_WAITING = 1_000
"""Requests of one share that may wait for a thread, whatever their deadline: each holds its body."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})

Endpoint = Callable[..., Response]
AnyEndpoint = TypeVar("AnyEndpoint", bound=Endpoint)


@dataclass(frozen=True)
class Share:
    """What one kind of request may take: so many threads, and so many seconds of waiting for one."""

    name: str
    threads: int
    wait_s: float


READING = Share("reading", 12, DEADLINE_S)
WRITING = Share("writing", 10, DEADLINE_S)
MATCHING = Share("matching", 16, 2 * DEADLINE_S)
"""For requests that may wait for the encoders, with a deadline of their own."""
SIGNING_IN = Share("signing-in", 2, DEADLINE_S)
"""For requests that hash a password: as many as are hashed at a time."""
SIGNING_ON = Share("signing-on", 4, DEADLINE_S)
"""For requests that wait for somebody else's server."""
SHARES = (READING, WRITING, MATCHING, SIGNING_IN, SIGNING_ON)


class RequestThreads:
    """The threads of one server process, used from its event loop only."""

    def __init__(self, shares: tuple[Share, ...] = SHARES) -> None:
        self._pools = {share: _Pool(share) for share in shares}

    async def run(self, share: Share, work: Callable[[], Response]) -> Response:
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
    def __init__(self, share: Share) -> None:
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


def takes(share: Share) -> Callable[[AnyEndpoint], AnyEndpoint]:
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


def _threaded(endpoint: Endpoint, share: Share) -> Callable[..., Awaitable[Response]]:
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
