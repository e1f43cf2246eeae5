"""Pages for people who are not signed in: a forgotten password, and mail that is to stop.

In: an address, or the link of a letter. Out: the same answer whether anybody has the address; a form for the new
password; a button that stops mail, and one that begins it again. A link only shows its form: what it is for is done by
the button, so that a scanner of mail that opens every link does nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from api.access.passwords import PasswordError
from api.documents.letters.notices import NewPasswordBody, RenewalBody
from api.pages.shell.templating import rendered
from api.pages.shell.wording import lang_of, scheme_of
from api.requests.capacity import SIGNING_IN, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal, refusal_of
from api.routes.letters.renewals import (
    ask_for_password,
    renew_password,
    renewal_of,
    stop_asked,
    subscribe_again,
    unsubscribe,
)
from indexer.instants import now
from indexer.wording import T_

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)
_HEADERS = {"Cache-Control": "no-store"}


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=10)


Form = Annotated[FormData, Depends(_form)]


def _page(request: Request, template: str, status: int = 200, /, **context: Any) -> Response:
    content = rendered(template, lang_of(request), {"here": "/", "scheme": scheme_of(request), **context})
    return Response(content, status, _HEADERS, "text/html; charset=utf-8")


@router.get("/forgotten")
def show_forgotten(request: Request) -> Response:
    """Ask for the address."""
    return _page(request, "letters/forgotten.html", sent=False, refused=None)


@router.post("/forgotten")
@takes(SIGNING_IN)
def ask_for_link(request: Request, form: Form) -> Response:
    """Ask for a letter; what is said does not depend on whether anybody has the address."""
    try:
        ask_for_password(request, RenewalBody(email=str(form.get("email", "")).strip()))
    except ProblemError as error:
        return _page(request, "letters/forgotten.html", error.status, sent=False, refused=str(error))
    except ValidationError:
        told = T_("give an address such as name@example.org")
        return _page(request, "letters/forgotten.html", 422, sent=False, refused=told)
    return _page(request, "letters/forgotten.html", sent=True, refused=None)


@router.get("/forgotten/{token}")
def show_renewal(request: Request, token: str) -> Response:
    """Ask for the new password; the link is not used up by looking."""
    try:
        renewal_of(request, token, now())
    except ProblemError as error:
        return _page(request, "letters/gone.html", error.status, detail=error.detail, again="/forgotten")
    return _page(request, "letters/renewal.html", token=token, refused=None)


@router.post("/forgotten/{token}")
@takes(SIGNING_IN)
def take_renewal(request: Request, token: str, form: Form) -> Response:
    """Set the new password, and go to the sign-in."""
    try:
        renew_password(request, token, NewPasswordBody(new=str(form.get("new", ""))[:1_000]))
    except ProblemError as error:
        return _page(request, "letters/gone.html", error.status, detail=error.detail, again="/forgotten")
    except PasswordError as error:
        refused = Refusal(422, "password", str(refusal_of(error).detail), "new")
        return _page(request, "letters/renewal.html", 422, token=token, refused=refused)
    return _page(request, "letters/renewed.html")


@router.get("/mail/unsubscribe/{token}")
def show_unsubscribe(request: Request, token: str) -> Response:
    """Ask whether mail of a kind is to stop; nothing is changed by looking."""
    return _stopping(request, token, is_stopped=None)


def _stopping(request: Request, token: str, *, is_stopped: bool | None) -> Response:
    try:
        stop = stop_asked(request, token)
    except ProblemError as error:
        return _page(request, "letters/gone.html", error.status, detail=error.detail, again="/account/notices")
    return _page(request, "letters/unsubscribe.html", token=token, label=stop.label.both, is_stopped=is_stopped)


# By mail programs too (RFC 8058): no cookie, no form of ours, the token alone.
@router.post("/mail/unsubscribe/{token}")
def stop_mail(request: Request, token: str) -> Response:
    """Stop it."""
    return _stopped(request, token, stops=True)


@router.post("/mail/unsubscribe/{token}/undo")
def take_back(request: Request, token: str) -> Response:
    """Take it back."""
    return _stopped(request, token, stops=False)


def _stopped(request: Request, token: str, *, stops: bool) -> Response:
    try:
        (unsubscribe if stops else subscribe_again)(request, token)
    except ProblemError as error:
        return _page(request, "letters/gone.html", error.status, detail=error.detail, again="/account/notices")
    return _stopping(request, token, is_stopped=stops)
