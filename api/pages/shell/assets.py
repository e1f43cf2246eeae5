"""Style sheets, scripts and icons, all from this server and named by what they hold.

In: the files of `api/static`. Out: their addresses for the templates, an icon of the sprite as it stands in a page, and
a route that serves them. An address carries the hash of the file's content, so a
browser may keep it for ever and a new release is never mixed with an old file.
"""

from __future__ import annotations

import gzip
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from api.requests.problems import not_found

STATIC_FOLDER = Path(__file__).parents[2] / "static"
_UNREAD = re.compile(rb"/\*.*?\*/\n?|(?<=\n)[ \t]+", re.DOTALL)
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """One file, as it is and packed."""

    content: bytes
    packed: bytes
    media_type: str
    version: str


@cache
def assets() -> dict[str, Asset]:
    """Return every file of `api/static` by its name."""
    found = {}
    for path in sorted(STATIC_FOLDER.iterdir()):
        content = path.read_bytes()
        if path.suffix == ".css":
            # Comments and indentation are for whoever writes it.
            content = _UNREAD.sub(b"", content)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        media_type = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        packed = gzip.compress(content, mtime=0)
        found[path.name] = Asset(content, packed, media_type, sha256(content).hexdigest()[:8])
    return found


def asset_url(name: str) -> str:
    """Return the address of a file.

    Raises:
        KeyError: there is no such file.
    """
    return f"/static/{name}?v={assets()[name].version}"


_SPRITE = "icons.svg"


@cache
def icons() -> frozenset[str]:
    """Return the names of the icons that the sprite holds; a new one is a symbol more, from lucide-static."""
    return frozenset(re.findall(r'<symbol id="([a-z0-9-]+)"', assets()[_SPRITE].content.decode()))


@cache
def icon(name: str) -> Markup:
    """Return an icon as it stands in a page: beside words that say the same, so nobody reads it aloud.

    Raises:
        KeyError: the sprite has no such icon.
    """
    if name not in icons():
        raise KeyError(name)
    drawn = Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>')
    return drawn.format(asset_url(_SPRITE), name)


@router.get("/static/{name}")
async def read_asset(request: Request, name: str) -> Response:
    """Serve a file; for ever where the address names the very content."""
    found = assets().get(name)
    if found is None:
        raise not_found("file")
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    headers = {
        "Cache-Control": _FOR_EVER if request.query_params.get("v") == found.version else "no-cache",
        "Vary": "Accept-Encoding",
        **({"Content-Encoding": "gzip"} if packs else {}),
    }
    return Response(found.packed if packs else found.content, 200, headers, found.media_type)
