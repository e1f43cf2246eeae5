"""How a download is described.

In: the media types that a route sends. Out: what its description says of them. It exists apart from `answers`
because a file is no document with fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_FILE = {"type": "string", "format": "binary"}


def file_of(media_types: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses` for a file of one of some media types; JSON is an object, the rest is opaque."""
    names = [media_type.partition(";")[0] for media_type in media_types]
    content = {name: {"schema": {"type": "object"} if name == "application/json" else _FILE} for name in names}
    return {200: {"description": "The file.", "content": content}}
