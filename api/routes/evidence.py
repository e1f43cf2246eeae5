"""Files that prove results.

In: the bytes of a file. Out: its SHA-256, under which an entry names it, and
later the file itself for who may see an entry that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Response
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session, col, select

from api.asking import Asking, asking
from api.file_answers import file_of
from api.idempotency import Reply
from api.ledger_answers import StoredFileAnswer
from api.ledger_visibility import entries as visible
from api.ledger_visibility import naming
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import ThreadedRoute
from indexer.database import reading
from indexer.wording import T_
from matcher.ledger.entries import Entry
from matcher.ledger.evidence import MAX_BYTES, is_intact, keep, path_of
from matcher.ledger.evidence_files import note_file
from matcher.ledger.steps import Step
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["ledger"], route_class=ThreadedRoute)

_RAW = {
    "requestBody": {
        "required": True,
        "description": f"The file itself, up to {MAX_BYTES // 2**20} MiB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FILE = file_of(["application/octet-stream"])
Digest = Annotated[str, Path(max_length=200, description="The SHA-256 of the file, in hexadecimal.")]


@router.post("/evidence", status_code=201, openapi_extra=_RAW, response_model=StoredFileAnswer)
async def send_evidence(ask: Annotated[Asking, Depends(asking(Resource.EVIDENCE, Action.CREATE))]) -> Response:
    """Send a file of evidence as the request body; an entry names it by the SHA-256 that comes back."""

    def admit() -> None:
        with reading(ask.engine) as session:
            ask.admitted(session)

    # Who asks is known before a byte of the file is taken.
    await run_in_threadpool(admit)
    content = await ask.request.app.state.uploads.received(ask.request, MAX_BYTES)
    return await run_in_threadpool(store_file, ask, content)


def store_file(
    ask: Annotated[Asking, Depends(asking(Resource.EVIDENCE, Action.CREATE))], content: bytes, *, once: bool = True
) -> Response:
    """Store a file that was received; with `once` false no `Idempotency-Key` is looked at: the file itself is one."""
    # Stored before the row that says so: a file without a row proves nothing, a row without a file would be a lie.
    digest = keep(ask.request.app.state.home, content)

    def work(session: Session, who: Principal) -> Reply:
        note_file(session, sha256=digest, size_bytes=len(content), by=who.id, now=ask.at)
        return Reply(201, {"sha256": digest, "size_bytes": len(content)}, {"Location": f"/api/evidence/{digest}"})

    return ask.write(work, digest.encode(), once=once)


@router.get("/evidence/{sha256}", response_class=Response, responses=_FILE)
def read_evidence(sha256: Digest, ask: Annotated[Asking, Depends(asking(Resource.EVIDENCE, Action.READ))]) -> Response:
    """Download a file that an entry names which you may see; it comes as an attachment, never to be shown."""
    home: FilePath = ask.request.app.state.home
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        name = seen_name(session, who, sha256)
    if name is None:
        raise not_found("file of evidence")
    if not is_intact(home, sha256):
        raise ProblemError(503, "evidence", T_("the file is missing or is not the one that was stored"))
    headers = {"Cache-Control": "no-store", "Content-Disposition": _attachment(name or sha256[:16])}
    return Response(path_of(home, sha256).read_bytes(), 200, headers, "application/octet-stream")


def seen_name(session: Session, who: Principal, digest: str) -> str | None:
    """Return what a file is called in an entry that a person may see, None if none of those names it."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return None
    query = select(Entry).where(naming(digest), visible(who, Action.READ, Resource.EVIDENCE)).order_by(col(Entry.seq))
    for entry in session.exec(query).all():
        for item in _items(session, entry):
            if item.get("sha256") == digest:
                return str(item.get("name", ""))
    return None


def _items(session: Session, entry: Entry) -> Iterator[dict[str, Any]]:
    yield from entry.evidence
    for items in session.exec(select(Step.evidence).where(Step.entry_id == entry.id)).all():
        yield from items


def _attachment(name: str) -> str:
    """Return the header that names a download: any name as UTF-8, and one in plain ASCII for older clients."""
    one = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).strip(". ")[:150] or "evidence"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in one)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(one, safe='')}"
