"""Paging by cursor: a page names the place after which the next one begins.

In: a cursor as a client sends it back. Out: the key of the last row seen. It
exists because pages counted by offset skip or repeat rows while others write.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import orjson
from fastapi import Query

from api.problems import ProblemError
from indexer.wording import T_

MAX_PAGE = 100
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before.")]


def encoded(key: str | int) -> str:
    """Return the cursor that stands for a row's key."""
    return base64.urlsafe_b64encode(orjson.dumps([key])).decode().rstrip("=")


def decoded(cursor: str | None, kind: type[str] | type[int]) -> Any:
    """Return the key that a cursor stands for; None at the beginning.

    Raises:
        ProblemError: 422, the cursor was not made here.
    """
    if cursor is None:
        return None
    try:
        (key,) = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        key = None
    too_large = isinstance(key, int) and not 0 <= key < 2**31
    if not isinstance(key, kind) or too_large or (isinstance(key, str) and "\0" in key):
        raise ProblemError(422, "invalid", T_("give the cursor that came as next"), "cursor")
    return key


def page(items: list[Any], limit: int, key: str) -> dict[str, Any]:
    """Return a page of at most `limit` of the items, which hold one more if there is a next page."""
    more = len(items) > limit
    shown = items[:limit]
    return {"items": shown, "next": encoded(shown[-1][key]) if more else None}
