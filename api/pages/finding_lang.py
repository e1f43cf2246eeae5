"""Which language a browser reads, and what was said to it last.

In: a request's cookies. Out: a language, Traditional Chinese unless another was
chosen, and a text of the catalogue. It exists apart because pages for people
who are not signed in need it too. A cookie is never shown as it came: only a
text that the product itself has.
"""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import Request

from api.pages.wording import Lang
from indexer.wording import catalogues

LANG_COOKIE = "gloria-lang"


def lang_of(request: Request) -> Lang:
    """Return the language that was chosen in this browser, else Traditional Chinese."""
    return Lang.EN if request.cookies.get(LANG_COOKIE) == Lang.EN else Lang.ZH


def said_before(cookie: str | None) -> str | None:
    """Return the text that the last form left to be said, if it is one of ours."""
    said = unquote(cookie or "")
    return said if said in catalogues() else None
