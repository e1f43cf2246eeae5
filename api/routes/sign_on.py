"""Signing in through the sign-on provider of one's organisation.

In: a browser on its way there and back. Out: the same session in a cookie as after a password.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from api.credentials import note_failure, open_session
from api.identities import Identity, IdentityRefusedError, account_of
from api.people_answers import SignOnAnswer
from api.problems import ProblemError, answer, language_asked, not_found
from api.request_threads import SIGNING_ON, ThreadedRoute, takes
from api.routes.people import answer_json, hand_over, must_not_be_throttled
from api.sign_on import Attempt, Provider, SignOnError, SignOnUnavailableError
from indexer.database import reading, writing
from indexer.instants import now
from indexer.wording import T_

router = APIRouter(prefix="/api/oidc", tags=["people"], route_class=ThreadedRoute)

COOKIE = "__Host-gloria-sign-on"
TIME_TO_SIGN_IN_S = 600
AFTERWARDS = "/api/me"
# On this host only: two slashes, or one of them backwards, would lead to another.
_LOCAL = re.compile(r"/(?![/\\])[!-~]{0,199}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_ERROR = re.compile(r"[a-z_]{1,60}")
_ONLY_LATER = ("temporarily_unavailable", "server_error")


@router.get("", response_model=SignOnAnswer)
def describe_sign_on(request: Request) -> Response:
    """Say what the provider is called and where signing in begins; 404 where there is none."""
    return answer_json(200, {"name": _provider(request).name, "login": "/api/oidc/login"})


@router.get("/login", status_code=302)
@takes(SIGNING_ON)
def begin_sign_on(
    request: Request,
    then: Annotated[str, Query(max_length=200, description="Where to go afterwards, on this host.")] = AFTERWARDS,
) -> Response:
    """Send the browser to the provider. What belongs to this sign-in is kept in a cookie for ten minutes.

    Only this host can set a cookie with the prefix `__Host-`, so nobody can make a browser finish a
    sign-in that somebody else began.
    """
    provider = _provider(request)
    if not _LOCAL.fullmatch(then):
        raise ProblemError(422, "invalid", T_("give a path on this host, such as /api/me"), "then")
    attempt = Attempt.new()
    response = _sent_to(provider.address(attempt), 302)
    place = base64.urlsafe_b64encode(then.encode()).decode().rstrip("=")
    kept = f"{attempt.state}.{attempt.nonce}.{attempt.verifier}.{place}"
    response.set_cookie(COOKIE, kept, max_age=TIME_TO_SIGN_IN_S, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.get("/callback", status_code=303)
@takes(SIGNING_ON)
def finish_sign_on(
    request: Request,
    code: Annotated[str | None, Query(max_length=4_000)] = None,
    state: Annotated[str | None, Query(max_length=500)] = None,
    error: Annotated[str | None, Query(max_length=500)] = None,
    iss: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Come back from the provider: who signed in there is signed in here, then sent on.

    The first time, the account made for the person's verified address is linked, or one without roles is made
    where the address's domain allows that.
    """
    provider = _provider(request)
    attempt, then = _begun(request, state)
    language = language_asked(request)
    try:
        response = _finished(request, provider, attempt, then, code, error, iss)
    except ProblemError as problem:
        response = answer(problem.status, problem.name, problem.detail, problem.field, problem.headers, language)
    except SignOnError as problem:
        response = answer(400, "sign-on", str(problem), language=language)
    except IdentityRefusedError as problem:
        response = answer(403, "sign-on", str(problem), language=language)
    except SignOnUnavailableError as problem:
        response = answer(503, "sign-on", str(problem), language=language)
    # Used up, however it ended.
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


def _finished(
    request: Request,
    provider: Provider,
    attempt: Attempt,
    then: str,
    code: str | None,
    error: str | None,
    iss: str | None,
) -> Response:
    provider.check_issuer(iss)
    if error is not None or not code:
        said = error if error is not None and _ERROR.fullmatch(error) else "no code"
        raise (SignOnUnavailableError if said in _ONLY_LATER else SignOnError)(
            T_("the provider refused: %(said)s", said=said)
        )
    engine, at = request.app.state.engine, now()
    address = request.client.host if request.client else ""
    with reading(engine) as session:
        must_not_be_throttled(session, email=None, address=address, now=at)
    # Asked outside of any transaction: the provider may take seconds.
    try:
        identity = provider.who(code, attempt)
    except SignOnError:
        with writing(engine) as session:
            note_failure(session, email=None, address=address, now=at)
        raise
    with writing(engine) as session:
        account_id, token = _signed_in(session, request, identity, at)
    request.state.principal_id = account_id
    response = _sent_to(then, 303)
    hand_over(response, token)
    return response


def _signed_in(session: Session, request: Request, identity: Identity, at: datetime) -> tuple[str, str]:
    domains = request.app.state.oidc_domains
    account_id = account_of(session, identity=identity, domains=domains, now=at)
    token, _ = open_session(session, account_id=account_id, now=at)
    return account_id, token


def _begun(request: Request, state: str | None) -> tuple[Attempt, str]:
    """Return the sign-in that this browser began, and where it wanted to go.

    Raises:
        ProblemError: 400, this browser began none, or another one.
    """
    parts = request.cookies.get(COOKIE, "").split(".")
    if len(parts) == 4 and all(_TOKEN.fullmatch(part) for part in parts[:3]) and parts[0] == state:
        return Attempt(*parts[:3]), _place(parts[3])
    raise ProblemError(400, "sign-on", T_("this browser did not begin this sign-in, or it took too long; begin anew"))


def _place(kept: str) -> str:
    try:
        then = base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)).decode("ascii")
    except ValueError:
        return AFTERWARDS
    return then if _LOCAL.fullmatch(then) else AFTERWARDS


def _sent_to(address: str, status: int) -> Response:
    return Response(None, status, {"Location": address, "Cache-Control": "no-store"})


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise not_found("sign-on provider")
    return provider
