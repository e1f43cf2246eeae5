"""The front door: the first page of each role, signing in and out, and the choice of a language.

In: a browser without or with a session. Out: a session in a cookie, as the API
opens it, and the way to the page where this person's work begins.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from api.bodies import SignInBody
from api.pages.finding_lang import LANG_COOKIE, lang_of
from api.pages.menu import first_place
from api.pages.refused import what_to_do
from api.pages.templating import rendered
from api.pages.visiting import Visit, visiting
from api.pages.wording import Lang
from api.policy import Action, Resource
from api.problems import ProblemError, forbidden
from api.request_threads import SIGNING_IN, ThreadedRoute, takes
from api.routes.people import sign_in as open_session
from api.routes.people import sign_out as close_session
from indexer.wording import T_

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

# On this host only: two slashes, or one of them backwards, would lead to another.
_LOCAL = re.compile(r"/(?![/\\])[!-~]{0,500}")
_A_YEAR_S = 365 * 24 * 3600
Then = Annotated[str, Query(max_length=600)]


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=10)


@router.get("/")
def open_first_page(
    visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))],
) -> Response:
    """Send somebody to where their work begins."""
    return visit.go(visit.look(lambda _, who: first_place(who)))


@router.get("/sign-in")
def show_sign_in(request: Request, then: Then = "/") -> Response:
    """Show the way in: address and password, or the sign-on provider."""
    return _sign_in_page(request, then)


def _sign_in_page(
    request: Request, then: str, email: str = "", refused: str | None = None, status: int = 200
) -> Response:
    provider = request.app.state.provider
    context = {
        "then": then if _LOCAL.fullmatch(then) else "/",
        "email": email,
        "refused": None if refused is None else what_to_do(refused),
        "provider": None if provider is None else provider.name,
        "here": "/sign-in",
    }
    content = rendered("sign_in.html", lang_of(request), context)
    return Response(content, status, {"Cache-Control": "no-store"}, "text/html; charset=utf-8")


@router.post("/sign-in")
@takes(SIGNING_IN)
def sign_in(request: Request, form: Annotated[FormData, Depends(_form)]) -> Response:
    """Sign in with a password and go on to the page that was wanted."""
    given = {name: str(form.get(name, "")) for name in ("email", "password", "then")}
    # A form on another site must not sign somebody in as somebody else.
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise forbidden(T_("sign in on this site's own page"))
    try:
        body = SignInBody(email=given["email"], password=given["password"])
        opened = open_session(request, body)
    except (ValidationError, ProblemError) as error:
        name, status = (error.name, error.status) if isinstance(error, ProblemError) else ("sign-in", 401)
        return _sign_in_page(request, given["then"], given["email"], name, status)
    response = _sent_to(given["then"])
    for value in opened.headers.getlist("set-cookie"):
        response.headers.append("set-cookie", value)
    return response


@router.post("/sign-out")
def sign_out(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))]) -> Response:
    """Sign this browser out."""
    visit.who()
    closed = close_session(visit.request)
    response = _sent_to("/sign-in")
    for value in closed.headers.getlist("set-cookie"):
        response.headers.append("set-cookie", value)
    return response


@router.get("/language/{lang}")
def choose_language(lang: Lang, then: Then = "/") -> Response:
    """Keep the language in which this browser reads, and go back to where it was."""
    response = _sent_to(then)
    response.set_cookie(LANG_COOKIE, lang.value, max_age=_A_YEAR_S, path="/", httponly=True, samesite="lax")
    return response


def _sent_to(place: str) -> Response:
    safe = place if _LOCAL.fullmatch(place) else "/"
    return Response(b"", 303, {"Location": safe, "Cache-Control": "no-store"})
