"""`gloria` as a server without shares and deadlines would be: `python -m tests.rig.servers.faulty_server serve`.

In: the arguments of `gloria`. Out: a server on which writes never get a thread and matching breaks. It exists to
show that tests of a crowded server see both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import Response

from api import cli
from api.requests.capacity import MATCHING, READING, WRITING, RequestThreads, ThreadShare


async def _run(threads: RequestThreads, share: ThreadShare, work: Callable[[], Response], by: str) -> Response:
    if share is WRITING:
        await asyncio.sleep(3_600)
    if share is MATCHING:
        raise RuntimeError("planted")
    return await _as_it_is(threads, READING, work, by)


_as_it_is = RequestThreads.run

if __name__ == "__main__":
    RequestThreads.run = _run  # type: ignore[method-assign]
    cli.main()
