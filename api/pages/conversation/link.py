"""The page behind a link of a mail: one question, a button that answers it, and the way back.

In: a token, from whoever follows the link, signed in or not. Out: a page that shows what is asked without a word of the
need; the answer, when a button is pressed; how to undo it. It exists for people who answer from their mail. Opening it
changes nothing, however often and by whomever: scanners of mail follow every link.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlmodel import Session
from starlette.datastructures import FormData

from api.documents.conversation.talks import AnswerBody
from api.letters.conversation.answering import AskedByLink
from api.letters.signed_links import LinkError, LinkSigner
from api.pages.conversation.talk import ANSWER_LABELS
from api.pages.shell.templating import rendered
from api.pages.shell.wording import lang_of
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, forbidden, refusal_of
from api.routes.conversation.links import LinkState, answer_by_link, note_by_link, opened_link, undo_by_link
from indexer.database import LowRoomError, reading, writing
from indexer.disk import DiskReserve
from indexer.instants import now
from indexer.wording import T_
from matcher.review.conversation.answers import REASONS, REFUSING, WORDS, AnswerError, SideAnswer
from matcher.review.conversation.thread import ThreadError

router = APIRouter(prefix="/answer", include_in_schema=False, route_class=ThreadedRoute)

_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
_GONE = 410


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=10)


Form = Annotated[FormData, Depends(_form)]


@router.get("/{token}")
def show_link(request: Request, token: str, word: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Show what is asked; nothing is changed."""
    return _page(request, token, word=word)


@router.post("/{token}")
def answer_link(request: Request, token: str, form: Form) -> Response:
    """Answer."""

    def work(session: Session, asked: AskedByLink, at: datetime) -> SideAnswer:
        given = {
            name: value for name in ("word", "reason", "note") if isinstance(value := form.get(name), str) and value
        }
        try:
            body = AnswerBody.model_validate(given)
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        return answer_by_link(session, asked, word=body.word, reason=body.reason, note=body.note, now=at)

    return _done(request, token, work, str(form.get("word", "")))


@router.post("/{token}/undo")
def undo_link(request: Request, token: str, form: Form) -> Response:
    """Take the answer back."""
    return _done(request, token, lambda session, asked, at: undo_by_link(session, asked, now=at), "")


def _done(
    request: Request, token: str, work: Callable[[Session, AskedByLink, datetime], SideAnswer], word: str
) -> Response:
    # No other site may press a button here, whatever link it got hold of.
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise forbidden(T_("answer on this site's own page"))
    reserve: DiskReserve = request.app.state.reserve
    if not reserve.holds():
        raise LowRoomError(T_("the disk is almost full: nothing of this was stored"))
    at = now()
    try:
        asked = AskedByLink.read(_signer(request), token, now=at)
        with writing(request.app.state.engine) as session:
            said = work(session, asked, at)
            note_by_link(session, request, said, at=at)
    except LinkError:
        return _page(request, token)
    except (AnswerError, ThreadError, RequestValidationError) as error:
        return _page(request, token, word=word, refused=refusal_of(error))
    return Response(b"", 303, {**_HEADERS, "Location": f"/answer/{token}"})


def _signer(request: Request) -> LinkSigner:
    return LinkSigner(request.app.state.home)


def _page(request: Request, token: str, *, word: str = "", refused: Refusal | None = None) -> Response:
    context: dict[str, Any] = {"here": f"/answer/{token}", "token": token, "refused": refused, "expired": None}
    status = 200 if refused is None else refused.status
    try:
        asked = AskedByLink.read(_signer(request), token, now=now())
    except LinkError as error:
        context["expired"] = error.expired
        return _shown(request, context, _GONE if error.expired else 404)
    with reading(request.app.state.engine) as session:
        link = opened_link(session, asked)
    words = list(WORDS[link.side]) if link.state is LinkState.OPEN else []
    chosen = next((one for one in words if one == word), None)
    context |= {
        "link": link,
        "words": [chosen, *(one for one in words if one is not chosen)] if chosen else words,
        "chosen": chosen,
        "labels": ANSWER_LABELS,
        "refusing": REFUSING,
        "reasons": REASONS[link.side],
    }
    return _shown(request, context, _GONE if link.state is LinkState.CLOSED else status)


def _shown(request: Request, context: dict[str, Any], status: int) -> Response:
    content = rendered("conversation/link.html", lang_of(request), context)
    return Response(content, status, _HEADERS, "text/html; charset=utf-8")
