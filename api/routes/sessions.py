"""Signing in, with a password or through the sign-on provider of one's organisation, the second factor, signing out.

In: an address with its password, or a browser on its way to the provider and back; codes of an authenticator. Out: a
session in a cookie that no script can read, and which of one's browsers are signed in. It exists because both ways
end in the same session, under the same limits. Where somebody has a second factor, the session opens nothing but the
place for its code until that was given, and is then another one; where a role needs one that is not set up yet, it
opens nothing but the place to set it up: nobody is locked out by a rule that came after the account.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import Session, select

from api.access.credentials import (
    WINDOW,
    LoginSession,
    Password,
    ThrottledError,
    check_throttle,
    digest,
    end_one_session,
    end_session,
    end_sessions,
    note_failure,
    open_session,
    open_sessions,
    password_hash,
)
from api.access.identities import Identity, IdentityRefusedError, account_of
from api.access.known_browsers import KNOWN_COOKIE, KNOWN_FOR, KnownBrowser, KnownBrowsers
from api.access.pacing import CrowdedError
from api.access.passwords import PasswordError, password_fits
from api.access.policy import Action, Resource
from api.access.second_factor import (
    SecondFactor,
    SecondFactorError,
    address_of,
    begin,
    enrol,
    factor_key,
    forget_factor,
    is_bound,
    is_enrolled,
    recovery_codes_left,
    renew_recovery_codes,
    shows,
    wrong_code,
)
from api.access.sign_on import Attempt, Provider, SignOnError, SignOnUnavailableError
from api.documents.answers import SessionAnswer
from api.documents.bodies import CodeBody, OwnPasswordBody, SignInBody
from api.documents.people import (
    BegunFactorAnswer,
    EnrolledFactorAnswer,
    OwnSessionsAnswer,
    RecoveryCodesAnswer,
    SecondFactorAnswer,
    SignOnAnswer,
)
from api.requests.capacity import (
    SIGNING_IN,
    SIGNING_IN_AGAIN,
    SIGNING_ON,
    NotYetError,
    ThreadedRoute,
    ThreadShare,
    takes,
)
from api.requests.idempotency import Reply
from api.requests.permitted_request import COOKIE, PermittedRequest, requires
from api.requests.problems import ProblemError, answer, language_asked, not_found
from api.trail.sign_ins import SignInFailures, note_sign_in, note_sign_out
from indexer.database import reading, writing
from indexer.instants import now
from indexer.wording import T_
from matcher.review.people import Account, Principal, principal

router = APIRouter(prefix="/api", tags=["people"], route_class=ThreadedRoute)
JUST_SIGNED_ON = timedelta(minutes=10)
"""For so long a sign-in at the provider stands for a password, for who has none here."""


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
    try:
        account_id = _checked(request, body.email, body.password, at)
    except ProblemError as error:
        _note_failed(request, at, error.status, getattr(request.state, "tried", None))
        raise
    with writing(engine) as session:
        opened = _opened(session, request, account_id, at, there_at=at, code=body.code)
        if opened is None:
            address = request.client.host if request.client else ""
            note_failure(session, email=body.email, address=address, now=at)
    if opened is None:
        _note_failed(request, at, 401, account_id, second=True)
        raise ProblemError(401, "sign-in", str(wrong_code()), "code")
    asked = {} if opened.awaits is None else {"second_factor": opened.awaits}
    response = answer_json(201, {"csrf_token": opened.csrf_token, **asked})
    hand_over(response, opened.token)
    remember(request, response, account_id, at)
    return response


def _note_failed(
    request: Request,
    at: datetime,
    status: int,
    account_id: str | None = None,
    *,
    second: bool = False,
    is_in: bool = False,
) -> None:
    failures: SignInFailures = request.app.state.sign_in_failures
    failures.note(request, at=at, status=status, account_id=account_id, second=second, is_in=is_in)


@dataclass(frozen=True)
class _Opened:
    """A session just opened, and what it has to show before it opens anything: `code`, `enrol` or nothing."""

    token: str
    csrf_token: str
    awaits: str | None


def _opened(
    session: Session,
    request: Request,
    account_id: str,
    at: datetime,
    *,
    there_at: datetime | None,
    code: str | None = None,
) -> _Opened | None:
    """Sign an account in, once its first factor is proven; None if a code was given and is wrong."""
    asks = is_enrolled(session, account_id)
    shown = False
    if asks and code is not None:
        key = factor_key(request.app.state.home)
        shown = shows(session, key=key, account_id=account_id, code=code, now=at)
        if not shown:
            return None
    token, csrf_token = open_session(
        session,
        account_id=account_id,
        now=at,
        confirmed_at=there_at,
        agent=request.headers.get("User-Agent", ""),
        awaits_code=asks and not shown,
        two_factors=shown,
    )
    note_sign_in(session, request, account_id, at=at, two_factors=shown)
    who = principal(session, account_id)
    bound = who is not None and is_bound(who, request.app.state.bound_roles)
    return _Opened(token, csrf_token, None if shown else "code" if asks else "enrol" if bound else None)


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
        request.state.tried = None if found is None else found[0]
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
            password_fits(password, None, by_stranger=True)
        fits = False
        if found is not None:
            with pace.trying(subject):
                # Hashed outside of any transaction: it takes a tenth of a second on purpose.
                fits = password_fits(password, found[1], by_stranger=known is None)
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
    at = now()
    with writing(request.app.state.engine) as session:
        opened = session.get(LoginSession, digest(token))
        if opened is not None and opened.ended_at is None:
            end_session(session, token=token, now=at)
            note_sign_out(session, request, opened.account_id, at)
    # Chapter 14 of ASVS: what the browser kept of the pages goes too. The cookie of a known browser stays.
    response = Response(status_code=204, headers={"Clear-Site-Data": '"cache", "storage"'})
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
        with writing(engine) as session:
            account_id, token = _signed_in(session, request, identity, at)
    except SignOnError:
        with writing(engine) as session:
            note_failure(session, email=None, address=address, now=at)
        _note_failed(request, at, 400)
        raise
    except IdentityRefusedError:
        _note_failed(request, at, 403)
        raise
    request.state.principal_id = account_id
    response = _sent_to(then, 303)
    hand_over(response, token)
    remember(request, response, account_id, at)
    return response


def _signed_in(session: Session, request: Request, identity: Identity, at: datetime) -> tuple[str, str]:
    domains = request.app.state.oidc_domains
    account_id = account_of(session, identity=identity, domains=domains, now=at)
    opened = _opened(session, request, account_id, at, there_at=_there_at(identity, at))
    # Without a code it is always opened.
    return account_id, "" if opened is None else opened.token


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


def proven_by_password(ask: PermittedRequest, given: str | None, field: str = "password") -> None:
    """Let a request go on only if the own password proves that it is still its owner who sits there.

    Who has none here, and signs in at the provider, proves it by having done so a moment ago.

    Raises:
        ProblemError: 422 the password is wrong or missing, 429 too many wrong ones were tried.
    """
    request = ask.request
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        must_not_be_guessing(session, ask, who)
        stored = session.exec(select(Password.hash).where(Password.account_id == who.id)).first()
        opened = session.get(LoginSession, digest(request.cookies.get(COOKIE, "")))
    if stored is None:
        if opened is None or ask.at - opened.created_at > JUST_SIGNED_ON:
            raise ProblemError(422, "password", T_("sign in at your provider again, then repeat this"), field)
        return
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if not password_fits(given or "", stored):
        note_guess(ask, who)
        raise ProblemError(422, "password", T_("the password is wrong"), field)


def must_not_be_guessing(session: Session, ask: PermittedRequest, who: Principal) -> None:
    """Let somebody who is signed in prove something only if not too many proofs failed before.

    Counted apart from sign-ins, at which anybody can fail in anybody's name.

    Raises:
        ProblemError: 429, with the seconds to wait.
    """
    address = ask.request.client.host if ask.request.client else ""
    if must_not_be_throttled(session, email=None, address=address, now=ask.at, browser=f"of {who.id}"):
        wait_s = int(WINDOW.total_seconds())
        raise ProblemError(429, "throttled", str(ThrottledError()), None, {"Retry-After": str(wait_s)})


def note_guess(ask: PermittedRequest, who: Principal, *, second: bool = False) -> None:
    """Count a proof that failed, of the password or, as the `second` factor, of a code; and keep it in the trail."""
    address = ask.request.client.host if ask.request.client else ""
    with writing(ask.engine) as session:
        note_failure(session, email=None, address=address, now=ask.at, browser=f"of {who.id}")
    _note_failed(ask.request, ask.at, 422, who.id, second=second, is_in=True)


def in_a_browser(ask: PermittedRequest, who: Principal) -> str:
    """Return the token of the session that asks; a key neither sets up nor ends what keys come from.

    Raises:
        PasswordError: a key asks.
    """
    token = ask.request.cookies.get(COOKIE)
    if token is None or ask.request.state.csrf_token is None:
        raise PasswordError(T_("this is done in a signed-in browser, not with a key"))
    del who
    return token


@router.get("/me/sessions", tags=["me"], response_model=OwnSessionsAnswer)
def list_sessions(ask: Annotated[PermittedRequest, Depends(requires(Resource.SESSION, Action.LIST))]) -> Response:
    """List the browsers in which you are signed in, the one seen last first."""

    def work(session: Session, who: Principal) -> Reply:
        this = digest(ask.request.cookies.get(COOKIE, ""))
        items = [
            {
                "id": one.handle,
                "agent": one.agent,
                "created_at": one.created_at.isoformat(),
                "seen_at": one.seen_at.isoformat(),
                "is_this": one.token_hash == this,
                "two_factors": one.second_factor_at is not None,
            }
            for one in open_sessions(session, account_id=who.id, now=ask.at)
        ]
        return Reply(200, {"items": items}, {})

    return ask.read(work)


@router.delete("/me/sessions", tags=["me"], status_code=204)
def end_other_sessions(ask: Annotated[PermittedRequest, Depends(requires(Resource.SESSION, Action.END))]) -> Response:
    """Sign all your browsers out, except the one that asks."""

    def work(session: Session, who: Principal) -> Reply:
        keep = None if ask.request.state.csrf_token is None else ask.request.cookies.get(COOKIE)
        end_sessions(session, account_id=who.id, now=ask.at, keep=keep)
        return Reply(204, None, {})

    return ask.write(work)


@router.delete("/me/sessions/{session_id}", tags=["me"], status_code=204)
def end_own_session(
    session_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.SESSION, Action.END))]
) -> Response:
    """Sign one of your browsers out."""

    def work(session: Session, who: Principal) -> Reply:
        if not end_one_session(session, account_id=who.id, handle=session_id, now=ask.at):
            raise not_found("session")
        return Reply(204, None, {})

    return ask.write(work)


@router.get("/me/second-factor", tags=["me"], response_model=SecondFactorAnswer)
def read_second_factor(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SECOND_FACTOR, Action.READ))],
) -> Response:
    """Read whether you have a second factor, whether a role of yours needs one, and what this session has to show."""

    def work(session: Session, who: Principal) -> Reply:
        factor = session.get(SecondFactor, who.id)
        enrolled = None if factor is None else factor.enrolled_at
        awaits = ask.awaits(session)
        document = {
            "enrolled_at": None if enrolled is None else enrolled.isoformat(),
            "is_required": is_bound(who, ask.request.app.state.bound_roles),
            "recovery_codes_left": recovery_codes_left(session, who.id),
            "awaits": "code" if awaits == "enrol" and enrolled is not None else awaits,
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/me/second-factor", tags=["me"], status_code=201, response_model=BegunFactorAnswer)
@takes(SIGNING_IN)
def begin_second_factor(
    body: OwnPasswordBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SECOND_FACTOR, Action.CREATE))]
) -> Response:
    """Begin to set up a second factor, with your password: the secret is shown in this answer only."""
    with reading(ask.engine) as session:
        in_a_browser(ask, ask.admitted(session))
    proven_by_password(ask, body.password)
    key = factor_key(ask.request.app.state.home)

    def work(session: Session, who: Principal) -> Reply:
        secret = begin(session, key=key, account_id=who.id, now=ask.at)
        email = session.exec(select(Account.email).where(Account.id == who.id)).one()
        return Reply(201, {}, {}, {"secret": secret, "address": address_of(secret, email)})

    return ask.write(work, once=False)


@router.post("/me/second-factor/enrolment", tags=["me"], status_code=201, response_model=EnrolledFactorAnswer)
def enrol_second_factor(
    body: CodeBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SECOND_FACTOR, Action.CREATE))]
) -> Response:
    """Have the second factor from now on: give the first code that your authenticator shows.

    Your other browsers are signed out, and this one's session is replaced. The recovery codes are shown this once.
    """

    def work(session: Session, who: Principal) -> Reply:
        codes = enrol(session, key=_key(ask), account_id=who.id, code=body.code, now=ask.at)
        end_sessions(session, account_id=who.id, now=ask.at)
        csrf_token, headers = _anew(session, ask, who)
        return Reply(201, {}, headers, {"recovery_codes": codes, "csrf_token": csrf_token})

    return _with_code(ask, work)


@router.post("/session/second-factor", status_code=201, response_model=SessionAnswer)
def show_second_factor(
    body: CodeBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SECOND_FACTOR, Action.CHECK))]
) -> Response:
    """Give a code of your second factor; the session that signing in began is replaced by one that opens what you may.

    A recovery code stands in for the authenticator once.
    """

    def work(session: Session, who: Principal) -> Reply:
        token = in_a_browser(ask, who)
        if not shows(session, key=_key(ask), account_id=who.id, code=body.code, now=ask.at):
            raise wrong_code()
        end_session(session, token=token, now=ask.at)
        csrf_token, headers = _anew(session, ask, who)
        return Reply(201, {}, headers, {"csrf_token": csrf_token})

    return _with_code(ask, work)


@router.post("/me/second-factor/recovery-codes", tags=["me"], status_code=201, response_model=RecoveryCodesAnswer)
def renew_codes(
    body: CodeBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SECOND_FACTOR, Action.EDIT))]
) -> Response:
    """Get new recovery codes, with a code of your second factor; all earlier ones end. They are shown this once."""

    def work(session: Session, who: Principal) -> Reply:
        if not shows(session, key=_key(ask), account_id=who.id, code=body.code, now=ask.at):
            raise wrong_code()
        codes = renew_recovery_codes(session, account_id=who.id, now=ask.at)
        return Reply(201, {}, {}, {"recovery_codes": codes})

    return _with_code(ask, work)


@router.post("/me/second-factor/end", tags=["me"], status_code=204)
def end_second_factor(
    body: CodeBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SECOND_FACTOR, Action.END))]
) -> Response:
    """End your second factor, with a code of it, to set up another authenticator or to go without.

    Where your role needs one, you are led to set it up again at once.
    """

    def work(session: Session, who: Principal) -> Reply:
        if not shows(session, key=_key(ask), account_id=who.id, code=body.code, now=ask.at):
            raise wrong_code()
        forget_factor(session, account_id=who.id)
        end_sessions(session, account_id=who.id, now=ask.at, keep=in_a_browser(ask, who))
        kept = session.get(LoginSession, digest(in_a_browser(ask, who)))
        if kept is not None:
            kept.second_factor_at = None
            session.add(kept)
        return Reply(204, None, {})

    return _with_code(ask, work)


def _key(ask: PermittedRequest) -> bytes:
    return factor_key(ask.request.app.state.home)


def _with_code(ask: PermittedRequest, work: Callable[[Session, Principal], Reply]) -> Response:
    """Do work that a code of the second factor opens; wrong ones count as failed sign-ins do."""
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        in_a_browser(ask, who)
        must_not_be_guessing(session, ask, who)
    try:
        # Without a stored answer: it is a secret, or spends one.
        return ask.write(work, once=False)
    except SecondFactorError as error:
        if error.field == "code":
            note_guess(ask, who, second=True)
        raise


def _anew(session: Session, ask: PermittedRequest, who: Principal) -> tuple[str, dict[str, Any]]:
    """Open the session that takes the place of the one that asks; return its CSRF token, and its token as a header."""
    agent = ask.request.headers.get("User-Agent", "")
    token, csrf_token = open_session(
        session, account_id=who.id, now=ask.at, confirmed_at=ask.at, agent=agent, two_factors=True
    )
    response = Response()
    hand_over(response, token)
    return csrf_token, {"Set-Cookie": response.headers["set-cookie"]}
