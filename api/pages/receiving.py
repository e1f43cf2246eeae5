"""A form with files, received only from who may send one.

In: a browser's multipart request, many times larger than other forms. Out: a visit with its form and files. It exists
because the token of a form stands in its body: the session, the permission and where the form was opened are looked
at before a byte of it is taken, and the form comes as every other upload does: few at once, none for long, counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import PurePosixPath

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.types import Message, Receive

from api.asking import COOKIE
from api.pages.visiting import AskingBeforeForm, Visit
from api.policy import Action, Resource
from api.problems import forbidden, unauthenticated
from api.routes.evidence import store_file
from indexer.database import reading, storing_file
from indexer.plain_text import printable
from indexer.wording import T_
from matcher.ledger.evidence import MAX_BYTES

MAX_FORM_BYTES = MAX_BYTES + 2**20
"""The files together as large as one alone may be, and what is typed."""
MAX_FILES = 20
_MAX_NAME = 150


def receiving(resource: Resource, action: Action) -> Callable[[Request], Awaitable[Visit]]:
    """Return the dependency of a page's route whose form has files."""

    async def receive(request: Request) -> Visit:
        if "Authorization" not in request.headers and COOKIE not in request.cookies:
            raise unauthenticated()
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise forbidden(T_("send this form from this site's own page"))
        await run_in_threadpool(_admit, AskingBeforeForm(request, resource, action))
        content = await request.app.state.uploads.received(request, MAX_FORM_BYTES)
        with storing_file():
            form = await Request(request.scope, _again(content)).form(max_files=MAX_FILES, max_fields=2_000)
        visit = Visit(request, resource, action, form)
        # The form is here now, and its token with it.
        await run_in_threadpool(visit.look, lambda _, who: who)
        return visit

    receive.permission = (resource, action)  # type: ignore[attr-defined]
    return receive


def _admit(asking: AskingBeforeForm) -> None:
    with reading(asking.engine) as session:
        asking.admitted(session)


def _again(content: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    return receive


def store_files(visit: Visit) -> Iterator[dict[str, str]]:
    """Store the files of a form one by one; yield each as an entry names it.

    Raises:
        Exception: one of `REFUSED`, whatever storing evidence refuses; the files before it stay stored.
    """
    for sent in visit.form.getlist("files"):
        if isinstance(sent, UploadFile) and sent.filename:
            stored = visit.document(store_file, content=sent.file.read(), once=False)
            yield {"sha256": stored["sha256"], "name": _name(sent.filename)}


def _name(given: str) -> str:
    """Return a file's name without folders, as much of its end as an entry keeps."""
    return printable(PurePosixPath(given.replace("\\", "/")).name)[-_MAX_NAME:] or "file"
