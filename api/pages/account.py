"""The front door and everybody's own page: signing in and out, language, roles held, password, keys, interests.

In: a browser without or with a session, and what people change about themselves. Out: a session, the first page of
each role, and the same as the API's `/api/me` in a form.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from api.access.policy import Action, Resource
from api.documents.bodies import KeyBody, PasswordBody, SignInBody, StakeBody
from api.pages.shell.templating import rendered
from api.pages.shell.visiting import Visit, first_place, visiting, what_to_do
from api.pages.shell.wording import LANG_COOKIE, N_, Lang, lang_of
from api.requests.capacity import SIGNING_IN, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal, forbidden
from api.routes.accounts import add_key, change_password, declare_interest, end_key, list_keys, read_me
from api.routes.sessions import sign_in as open_session
from api.routes.sessions import sign_out as close_session
from api.routes.sessions import signing_in_share
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
    content = rendered("account/sign_in.html", lang_of(request), context)
    return Response(content, status, {"Cache-Control": "no-store"}, "text/html; charset=utf-8")


@router.post("/sign-in")
@takes(signing_in_share)
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


@router.get("/confirm")
def show_confirmation(
    visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))], then: Then = "/"
) -> Response:
    """Ask for the password once more, for what only a person does who is there."""
    place = then if _LOCAL.fullmatch(then) else "/"
    provider = getattr(visit.request.app.state.provider, "name", None)
    return visit.show(
        "account/confirm.html", action="/confirm", kept=[("then", place)], was_wrong=False, provider=provider
    )


@router.post("/confirm")
@takes(SIGNING_IN)
def take_confirmation(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.EDIT))]) -> Response:
    """Go on to where it was needed: the password that came with the form is known to be right."""
    visit.who()
    return _sent_to(str(visit.form.get("then", "/")))


@router.get("/language/{lang}")
def choose_language(lang: Lang, then: Then = "/") -> Response:
    """Keep the language in which this browser reads, and go back to where it was."""
    response = _sent_to(then)
    response.set_cookie(LANG_COOKIE, lang.value, max_age=_A_YEAR_S, path="/", httponly=True, samesite="lax")
    return response


def _sent_to(place: str) -> Response:
    safe = place if _LOCAL.fullmatch(place) else "/"
    return Response(b"", 303, {"Location": safe, "Cache-Control": "no-store"})


@router.get("/account")
def show_account(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))]) -> Response:
    """Show the page."""
    return _page(visit)


def _page(visit: Visit, refused: Refusal | None = None, form: str = "", new_key: str | None = None) -> Response:
    context: dict[str, Any] = {
        "account": visit.document(read_me),
        "keys": visit.document(list_keys)["items"],
        "refused": refused,
        "form": form,
        "made_key": new_key,
    }
    return visit.show("account/own.html", refused.status if refused else 200, **context)


@router.post("/account/password")
@takes(SIGNING_IN)
def set_password(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.EDIT))]) -> Response:
    """Change the password."""

    def work() -> None:
        body = visit.body(PasswordBody, visit.values("old", "new"))
        visit.reply(change_password, body=body)

    refused = visit.attempt(work)
    if refused is not None:
        return _page(visit, refused, "password")
    return visit.go("/account", N_("Your password is changed. Your other browsers are signed out."))


@router.post("/account/keys")
def make_key(visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.CREATE))]) -> Response:
    """Make a key and show it, this once."""

    def work() -> str:
        given: dict[str, Any] = visit.values("name", "days")
        given["may_write"] = visit.form.get("may_write") == "yes"
        return visit.reply(add_key, body=visit.body(KeyBody, given)).secret.get("key", "")

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _page(visit, made, "key")
    return _page(visit, new_key=made)


@router.post("/account/keys/{prefix}/end")
def stop_key(prefix: str, visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.END))]) -> Response:
    """End a key."""
    visit.reply(end_key, prefix=prefix)
    return visit.go("/account", N_("The key no longer works."))


@router.post("/account/stakes")
def declare(visit: Annotated[Visit, Depends(visiting(Resource.STAKE, Action.CREATE))]) -> Response:
    """Declare an interest in a company or a lab."""
    refused = visit.attempt(
        lambda: visit.document(declare_interest, body=visit.body(StakeBody, visit.values("party", "party_id")))
    )
    if isinstance(refused, Refusal):
        return _page(visit, refused, "stake")
    return visit.go("/account", N_("Your interest is declared. That party's pairings are no longer shown to you."))
