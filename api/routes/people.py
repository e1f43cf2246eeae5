"""Signing in with a password, and signing out.

In: an address with its password. Out: a session in a cookie that no script can read.
"""

from __future__ import annotations

from datetime import datetime

import orjson
from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from api.answers import SessionAnswer
from api.asking import COOKIE
from api.bodies import SignInBody
from api.credentials import (
    WINDOW,
    ThrottledError,
    check_throttle,
    end_session,
    note_failure,
    open_session,
    password_hash,
)
from api.passwords import fits
from api.problems import ProblemError, answer, language_asked
from api.request_threads import SIGNING_IN, ThreadedRoute, takes
from indexer.database import reading, writing
from indexer.instants import now
from indexer.wording import T_

router = APIRouter(prefix="/api", tags=["people"], route_class=ThreadedRoute)


@router.post("/session", status_code=201, response_model=SessionAnswer)
@takes(SIGNING_IN)
def sign_in(request: Request, body: SignInBody) -> Response:
    """Sign in. The answer has the CSRF token that changing requests send as X-CSRF-Token.

    Takes no Idempotency-Key: what it answers is a secret and must not be stored.
    """
    engine, at = request.app.state.engine, now()
    address = request.client.host if request.client else ""
    with reading(engine) as session:
        must_not_be_throttled(session, email=body.email, address=address, now=at)
        found = password_hash(session, body.email)
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if not fits(body.password, None if found is None else found[1]) or found is None:
        with writing(engine) as session:
            note_failure(session, email=body.email, address=address, now=at)
        raise ProblemError(401, "sign-in", T_("the address or the password is wrong"))
    with writing(engine) as session:
        token, csrf_token = open_session(session, account_id=found[0], now=at)
    response = answer_json(201, {"csrf_token": csrf_token})
    hand_over(response, token)
    return response


def must_not_be_throttled(session: Session, *, email: str | None, address: str, now: datetime) -> None:
    """Let a password or a code be tried only if not too many failed before.

    Raises:
        ProblemError: 429, with the seconds to wait.
    """
    try:
        check_throttle(session, email=email, address=address, now=now)
    except ThrottledError as error:
        wait_s = int(WINDOW.total_seconds())
        raise ProblemError(429, "throttled", str(error), None, {"Retry-After": str(wait_s)}) from error


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
