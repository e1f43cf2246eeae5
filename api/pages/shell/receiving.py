"""Forms with files: many times larger than other forms, and received only from who may send one.

In: a browser's multipart request. Out: the visit with its form. It exists because a form is otherwise read before it is
known who sends it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import Message, Receive

from api.access.policy import Action, Resource
from api.pages.shell.visiting import AskingBeforeForm, Visit
from api.requests.permitted_request import COOKIE
from api.requests.problems import forbidden, unauthenticated
from indexer.database import reading, storing_file
from indexer.wording import T_
from matcher.ledger.rows.evidence import MAX_BYTES

MAX_FORM_BYTES = MAX_BYTES + 2**20
"""The files together as large as one alone may be, and what is typed."""
MAX_FILES = 20


def receiving(
    resource: Resource, action: Action, most_bytes: int = MAX_FORM_BYTES
) -> Callable[[Request], Awaitable[Visit]]:
    """Return the dependency of a page's route whose form has files."""

    async def receive(request: Request) -> Visit:
        if "Authorization" not in request.headers and COOKIE not in request.cookies:
            raise unauthenticated()
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise forbidden(T_("send this form from this site's own page"))
        await run_in_threadpool(_admit, AskingBeforeForm(request, resource, action))
        content = await request.app.state.uploads.received(request, most_bytes)
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
