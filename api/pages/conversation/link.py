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

from api.access.policy import Action, Resource
from api.documents.conversation.talks import AnswerBody
from api.letters.conversation.answering import AskedByLink
from api.letters.signed_links import LinkError, LinkSigner
from api.pages.conversation.talk import ANSWER_LABELS
from api.pages.shell.templating import rendered
from api.pages.shell.wording import lang_of
from api.requests.capacity import ThreadedRoute
from api.requests.permitted_request import proof_of
from api.requests.problems import Refusal, forbidden, refusal_of
from api.routes.conversation.links import LinkState, answer_by_link, note_by_link, opened_link, undo_by_link
from api.trail.audit_trail import Subject
from indexer.database import LowRoomError, reading, writing
from indexer.disk import DiskReserve
from indexer.instants import now
from indexer.wording import T_
from matcher.review.conversation.answers import REASONS, REFUSING, WORDS, AnswerError, SideAnswer
from matcher.review.conversation.thread import ThreadError

router = APIRouter(prefix="/answer", include_in_schema=False, route_class=ThreadedRoute)

HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
GONE = 410


async def form_of(request: Request) -> FormData:
    """Return the fields of a small form."""
    return await request.form(max_files=0, max_fields=10)


Form = Annotated[FormData, Depends(form_of)]


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
    at = now()
    try:
        must_press_here(request)
        asked = AskedByLink.read(signer_of(request), token, now=at)
        with writing(request.app.state.engine) as session:
            must_be_signed_in(session, request, asked.reader, at)
            said = work(session, asked, at)
            subject = Subject("pairing", str(said.pairing_id))
            note_by_link(session, request, subject, Resource.CONVERSATION, Action.ANSWER, by=said.by, at=at)
    except LinkError:
        return _page(request, token)
    except SignInFirstError:
        return _page(request, token, status=403)
    except (AnswerError, ThreadError, RequestValidationError) as error:
        return _page(request, token, word=word, refused=refusal_of(error))
    return Response(b"", 303, {**HEADERS, "Location": f"/answer/{token}"})


def must_press_here(request: Request) -> None:
    """Let a button be pressed only on this site's own page, and while there is room to store what it does.

    Raises:
        ProblemError: another site's page sent it.
        LowRoomError: the disk is almost full.
    """
    # Whatever link another site got hold of.
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise forbidden(T_("answer on this site's own page"))
    reserve: DiskReserve = request.app.state.reserve
    if not reserve.holds():
        raise LowRoomError(T_("the disk is almost full: nothing of this was stored"))


class SignInFirstError(Exception):
    """A link answers here only for whoever is signed in as the one it was sent to."""


def must_be_signed_in(session: Session, request: Request, reader: str, at: datetime) -> None:
    """Let a link answer for the one it was sent to; where the office wants it, only if they are signed in.

    Raises:
        SignInFirstError: they are not.
    """
    if not is_answerable(session, request, reader, at):
        raise SignInFirstError


def is_answerable(session: Session, request: Request, reader: str, at: datetime) -> bool:
    """Whether a link answers for who opened it now."""
    if not request.app.state.settings.links_need_sign_in:
        return True
    proof = proof_of(session, request, at)
    return proof is not None and proof.account_id == reader and not proof.awaits_code


def signer_of(request: Request) -> LinkSigner:
    """Return who signs the links of this home."""
    return LinkSigner(request.app.state.home)


def _page(
    request: Request, token: str, *, word: str = "", refused: Refusal | None = None, status: int = 200
) -> Response:
    context: dict[str, Any] = {"here": f"/answer/{token}", "token": token, "refused": refused, "expired": None}
    status = status if refused is None else refused.status
    at = now()
    try:
        asked = AskedByLink.read(signer_of(request), token, now=at)
    except LinkError as error:
        context["expired"] = error.expired
        return shown_link(request, "conversation/link.html", context, GONE if error.expired else 404)
    with reading(request.app.state.engine) as session:
        link = opened_link(session, asked)
        context["sign_in"] = None if is_answerable(session, request, asked.reader, at) else context["here"]
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
    return shown_link(request, "conversation/link.html", context, GONE if link.state is LinkState.CLOSED else status)


def shown_link(request: Request, template: str, context: dict[str, Any], status: int) -> Response:
    """Return the page of a link, for somebody who is not signed in."""
    content = rendered(template, lang_of(request), context)
    return Response(content, status, HEADERS, "text/html; charset=utf-8")
