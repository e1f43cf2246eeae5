"""A file as the body of a request, received only from who may send one.

In: the raw bytes of a request. Out: the same in memory, or a refusal. It exists because files may be many times
larger than any other body: few are received at once, none for long, and each is counted as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from api.problems import ProblemError
from indexer.wording import T_

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
