"""What a connection may cost before it is known who speaks: the size, number and time of what precedes a request.

In: bytes of a connection, from anybody. Out: the requests that uvicorn makes of them, or a refusal and the end of the
connection. It exists because the parser in use bounds none of this: a head without end is kept in memory, one that is
never finished keeps its connection, and any number of connections may wait. Who waits for the rest of a head is let
go when its time is over, or when its address has too many that wait: the one that has waited longest goes, so that
whoever sends a whole request at once gets through beside thousands that never do.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any, NoReturn, cast
from weakref import WeakKeyDictionary

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.requests.problems import answer
from indexer.wording import T_

MAX_HEAD_BYTES = 32 * 2**10
"""Of the address, all headers, and the trailers of a body."""
MAX_HEADERS = 100
HEAD_S = 10.0
"""How long a head may take, from the moment at which it could begin."""
MAX_WAITING_PER_ADDRESS = 128
"""Connections of one address without a whole head; a trusted proxy has as many as there may be in all."""
MAX_WAITING_IN_ALL = 1_024
MAX_PIPELINED = 16
"""Requests sent ahead of the answer to the first one."""
_TOO_LARGE = T_("the head of a request has at most %(most)s bytes", most=f"{MAX_HEAD_BYTES:,}")
_TOO_MANY = T_("a request has at most %(most)s headers", most=MAX_HEADERS)
_SWEEP_S = 0.5
_FILES = 65_536


class OwingConnections:
    """The connections of a process that owe it a head, those that have waited longest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, proxies: Iterable[str]) -> None:
        self._loop, self._proxies = loop, [ip_network(one) for one in proxies]
        self._since: dict[BoundedProtocol, float] = {}
        self._by_address: dict[str, dict[BoundedProtocol, None]] = {}
        self._sweeping = False

    def __len__(self) -> int:
        return len(self._since)

    def add(self, one: BoundedProtocol) -> None:
        """Note that a connection owes a head from now on, and let another go if there are too many."""
        self.remove(one)
        self._since[one] = self._loop.time()
        same = self._by_address.setdefault(one.address, {})
        same[one] = None
        if len(same) > MAX_WAITING_PER_ADDRESS and not self._is_proxy(one.address):
            self._let_go(next(iter(same)))
        elif len(self._since) > MAX_WAITING_IN_ALL:
            most = max(map(len, self._by_address.values()))
            self._let_go(next(next(iter(some)) for some in self._by_address.values() if len(some) == most))
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP_S, self._sweep)

    def remove(self, one: BoundedProtocol) -> None:
        """Note that a connection has sent its head, or is gone."""
        if self._since.pop(one, None) is None:
            return
        same = self._by_address[one.address]
        del same[one]
        if not same:
            del self._by_address[one.address]

    def _is_proxy(self, address: str) -> bool:
        return bool(address) and any(ip_address(address) in network for network in self._proxies)

    def _let_go(self, one: BoundedProtocol) -> None:
        self.remove(one)
        one.refuse(408, "too-slow", T_("the head of the request did not come in time"))

    def _sweep(self) -> None:
        late = self._loop.time() - HEAD_S
        while self._since:
            oldest, since = next(iter(self._since.items()))
            if since > late:
                break
            self._let_go(oldest)
        self._sweeping = bool(self._since)
        if self._sweeping:
            self._loop.call_later(_SWEEP_S, self._sweep)


_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, OwingConnections] = WeakKeyDictionary()
"""Those of each event loop; a server process has one."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's connection, with bounds on all that precedes a request."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        proxies = config.forwarded_allow_ips if config.proxy_headers else ()
        self.address = ""
        if self.loop not in _waiting:
            _waiting[self.loop] = OwingConnections(self.loop, () if isinstance(proxies, str) else proxies)
        self._waiting = _waiting[self.loop]
        self._head_bytes = self._unread_bytes = 0
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.address = "" if self.client is None else self.client[0]
        self._waiting.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._waiting.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is more than may come before a request."""
        if self._refused:
            return
        # Whatever the parser makes something of sets it back: only what it keeps for itself adds up.
        self._unread_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            # Not logged, as uvicorn does: whoever sends such things could fill a disk with lines.
            if not self._refused:
                self._refused = True
                self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade:
            # There is nothing here to upgrade to; the request is answered as it is.
            pass
        if self._unread_bytes > MAX_HEAD_BYTES:
            self.refuse(431, "too-large", _TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin to count anew."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._take(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._take(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            self._stop(_TOO_MANY)
        super().on_header(name, value)

    def _take(self, size: int) -> None:
        self._unread_bytes = 0
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop(_TOO_LARGE)

    def _stop(self, detail: str) -> NoReturn:
        """Refuse, and let the parser go no further in what it was given."""
        self.refuse(431, "too-large", detail)
        raise ValueError(detail)

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._unread_bytes = 0
        self._waiting.remove(self)
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self._stop(_TOO_MANY)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._unread_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._waiting.add(self)

    def _is_answering(self) -> bool:
        # The attribute is declared otherwise than it is before the first request.
        cycle = cast(RequestResponseCycle | None, self.cycle)
        return cycle is not None and not cycle.response_complete

    def refuse(self, status: int, name: str, detail: str) -> None:
        """End the connection, with a word to whoever waits for none."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if not self._is_answering():
            told = answer(status, name, detail, headers={"Connection": "close"})
            lines = [name + b": " + value + b"\r\n" for name, value in told.raw_headers]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", bytes(told.body)]))
        self.transport.close()


def allow_many_files() -> None:
    """Let this process have as many connections as the system lets it have, up to a bound that is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
