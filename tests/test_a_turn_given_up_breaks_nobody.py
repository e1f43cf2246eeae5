"""A request that stops waiting in the moment in which its turn comes costs neither itself nor the next one an error."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import PlainTextResponse, Response

from api.requests.capacity import ThreadShare, _Pool


def test_the_next_one_gets_the_turn() -> None:
    async def story() -> Response:
        pool = _Pool(ThreadShare("one", threads=1, wait_s=30, each=1))
        pool._busy["first"] = 1
        given_up = asyncio.create_task(pool.run(lambda: PlainTextResponse("given up"), "second"))
        waits = asyncio.create_task(pool.run(lambda: PlainTextResponse("done"), "third"))
        await asyncio.sleep(0)
        # As by its deadline, which cancels the future before whoever waits for it hears of that.
        pool._waiting["second"][0].cancel()
        pool._end("first")
        answer = await asyncio.wait_for(waits, 5)
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert (dict(pool._busy), dict(pool._waiting)) == ({}, {})
        return answer

    assert asyncio.run(story()).body == b"done"
