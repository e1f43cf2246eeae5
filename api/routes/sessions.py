"""Signing in, with a password or through the sign-on provider of one's organisation, and signing out.

In: an address with its password, or a browser on its way to the provider and back. Out: a session in a cookie that
no script can read. It exists because both ways end in the same session, under the same limits.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from api.access.credentials import (
    WINDOW,
    ThrottledError,
    check_throttle,
    end_session,
    note_failure,
    open_session,
    password_hash,
)
from api.access.identities import Identity, IdentityRefusedError, account_of
from api.access.known_browsers import KNOWN_COOKIE, KNOWN_FOR, KnownBrowser, KnownBrowsers
from api.access.pacing import CrowdedError
from api.access.passwords import password_fits
from api.access.sign_on import Attempt, Provider, SignOnError, SignOnUnavailableError
from api.documents.answers import SessionAnswer
from api.documents.bodies import SignInBody
from api.documents.people import SignOnAnswer
from api.requests.capacity import (
    SIGNING_IN,
    SIGNING_IN_AGAIN,
    SIGNING_ON,
    NotYetError,
    ThreadedRoute,
    ThreadShare,
    takes,
)
from api.requests.permitted_request import COOKIE
from api.requests.problems import ProblemError, answer, language_asked, not_found
from indexer.database import reading, writing
from indexer.instants import now
from indexer.wording import T_

router = APIRouter(prefix="/api", tags=["people"], route_class=ThreadedRoute)


def signing_in_share(request: Request) -> ThreadShare:
    """Return the threads that a sign-in takes: those who signed in here before do not stand behind strangers."""
    return SIGNING_IN if _browser(request, now()) is None else SIGNING_IN_AGAIN


def _browser(request: Request, at: datetime) -> KnownBrowser | None:
    browsers: KnownBrowsers = request.app.state.browsers
    return browsers.read(request.cookies.get(KNOWN_COOKIE), at)


@router.post("/session", status_code=201, response_model=SessionAnswer)
@takes(signing_in_share)
def sign_in(request: Request, body: SignInBody) -> Response:
    """Sign in. The answer has the CSRF token that changing requests send as X-CSRF-Token.

    Takes no Idempotency-Key: what it answers is a secret and must not be stored.
    """
    engine, at = request.app.state.engine, now()
    account_id = _checked(request, body.email, body.password, at)
    with writing(engine) as session:
        token, csrf_token = open_session(session, account_id=account_id, now=at, confirmed_at=at)
    response = answer_json(201, {"csrf_token": csrf_token})
    hand_over(response, token)
    remember(request, response, account_id, at)
    return response


def _checked(request: Request, email: str, password: str, at: datetime) -> str:
    """Return the account whose address and password these are.

    Raises:
        NotYetError: ask again after a while.
        ProblemError: 401 they are not, 429 too many tried.
    """
    engine, pace = request.app.state.engine, request.app.state.pace
    address = request.client.host if request.client else ""
    browser = _browser(request, at)
    with reading(engine) as session:
        found = password_hash(session, email)
        known = browser.id if browser is not None and found is not None and found[0] in browser.accounts else None
        is_slow = must_not_be_throttled(session, email=email, address=address, now=at, browser=known)
    subject = known or email.strip().lower()
    try:
        if is_slow and _is_first_time(request, "slow"):
            raise NotYetError(pace.wait_s(subject))
        if found is None and _is_first_time(request, "late"):
            # An address that no account has is not hashed, but answered as late as if it were.
            late_s = pace.pretended(subject)
            if late_s is not None:
                raise NotYetError(late_s)
            password_fits(password, None)
        fits = False
        if found is not None:
            with pace.trying(subject):
                # Hashed outside of any transaction: it takes a tenth of a second on purpose.
                fits = password_fits(password, found[1])
    except CrowdedError as error:
        raise ProblemError(429, "throttled", str(error), None, {"Retry-After": "5"}) from error
    if fits and found is not None:
        return found[0]
    with writing(engine) as session:
        note_failure(session, email=email, address=address, now=at, browser=known)
    raise ProblemError(401, "sign-in", T_("the address or the password is wrong"))


def _is_first_time(request: Request, what: str) -> bool:
    """Whether this request did not wait for the same before."""
    waited: set[str] = request.scope.setdefault("gloria_waited", set())
    is_first = what not in waited
    waited.add(what)
    return is_first


def must_not_be_throttled(
    session: Session, *, email: str | None, address: str, now: datetime, browser: str | None = None
) -> bool:
    """Let a password or a code be tried only if not far too many failed before; return whether it has to wait.

    Raises:
        ProblemError: 429, with the seconds to wait.
    """
    try:
        return check_throttle(session, email=email, address=address, now=now, browser=browser)
    except ThrottledError as error:
        wait_s = int(WINDOW.total_seconds())
        raise ProblemError(429, "throttled", str(error), None, {"Retry-After": str(wait_s)}) from error


def remember(request: Request, response: Response, account_id: str, at: datetime) -> None:
    """Let the browser show the next time that this account was signed in here before."""
    browsers: KnownBrowsers = request.app.state.browsers
    response.set_cookie(
        KNOWN_COOKIE,
        browsers.signed(_browser(request, at), account_id, at),
        max_age=int(KNOWN_FOR.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def hand_over(response: Response, token: str) -> None:
    """Give a session's token to the browser, for this host and HTTPS only, out of the reach of scripts."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="lax")


def answer_json(status: int, document: dict[str, object]) -> Response:
    """Return a document that nobody may keep."""
    return Response(orjson.dumps(document), status, {"Cache-Control": "no-store"}, "application/json")


@router.delete("/session", status_code=204)
def sign_out(request: Request) -> Response:
    """Sign this browser out."""
    token = request.cookies.get(COOKIE)
    if not token:
        return answer(401, "unauthenticated", T_("you are not signed in"), language=language_asked(request))
    with writing(request.app.state.engine) as session:
        end_session(session, token=token, now=now())
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


SIGN_ON_COOKIE = "__Host-gloria-sign-on"
TIME_TO_SIGN_IN_S = 600
AFTERWARDS = "/api/me"
# On this host only: two slashes, or one of them backwards, would lead to another.
_LOCAL = re.compile(r"/(?![/\\])[!-~]{0,199}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_ERROR = re.compile(r"[a-z_]{1,60}")
_ONLY_LATER = ("temporarily_unavailable", "server_error")


@router.get("/oidc", response_model=SignOnAnswer)
def describe_sign_on(request: Request) -> Response:
    """Say what the provider is called and where signing in begins; 404 where there is none."""
    return answer_json(200, {"name": _provider(request).name, "login": "/api/oidc/login"})


@router.get("/oidc/login", status_code=302)
@takes(SIGNING_ON)
def begin_sign_on(
    request: Request,
    then: Annotated[str, Query(max_length=200, description="Where to go afterwards, on this host.")] = AFTERWARDS,
    anew: Annotated[bool, Query(description="Let the provider ask once more who it is.")] = False,
) -> Response:
    """Send the browser to the provider. What belongs to this sign-in is kept in a cookie for ten minutes.

    Only this host can set a cookie with the prefix `__Host-`, so nobody can make a browser finish a
    sign-in that somebody else began.
    """
    provider = _provider(request)
    if not _LOCAL.fullmatch(then):
        raise ProblemError(422, "invalid", T_("give a path on this host, such as /api/me"), "then")
    attempt = Attempt.new()
    response = _sent_to(provider.address(attempt, anew=anew), 302)
    place = base64.urlsafe_b64encode(then.encode()).decode().rstrip("=")
    kept = f"{attempt.state}.{attempt.nonce}.{attempt.verifier}.{place}"
    response.set_cookie(
        SIGN_ON_COOKIE, kept, max_age=TIME_TO_SIGN_IN_S, path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


@router.get("/oidc/callback", status_code=303)
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
    response.delete_cookie(SIGN_ON_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
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
    remember(request, response, account_id, at)
    return response


def _signed_in(session: Session, request: Request, identity: Identity, at: datetime) -> tuple[str, str]:
    domains = request.app.state.oidc_domains
    account_id = account_of(session, identity=identity, domains=domains, now=at)
    token, _ = open_session(session, account_id=account_id, now=at, confirmed_at=_there_at(identity, at))
    return account_id, token


def _there_at(identity: Identity, at: datetime) -> datetime | None:
    """Return when the provider last asked who it is; without its word a sign-in confirms nobody."""
    return None if identity.authenticated_at is None else min(identity.authenticated_at, at)


def _begun(request: Request, state: str | None) -> tuple[Attempt, str]:
    """Return the sign-in that this browser began, and where it wanted to go.

    Raises:
        ProblemError: 400, this browser began none, or another one.
    """
    parts = request.cookies.get(SIGN_ON_COOKIE, "").split(".")
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
