"""Signing in and out, who I am, and the interests I declare.

In: an address with its password, or a declared stake. Out: a session in a cookie that no script can read.
"""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response
from sqlmodel import Session, col, select

from api.asking import COOKIE, Asking, asking, now
from api.bodies import SignInBody, StakeBody
from api.credentials import (
    ThrottledError,
    check_throttle,
    end_session,
    note_failure,
    open_session,
    password_hash,
)
from api.idempotency import Reply
from api.passwords import fits
from api.policy import Action, Resource
from api.problems import ProblemError, answer
from api.request_threads import SIGNING_IN, ThreadedRoute, takes
from indexer.database import reading, writing
from matcher.people import Principal, Stake, declare_stake

router = APIRouter(prefix="/api", tags=["people"], route_class=ThreadedRoute)


@router.post("/session", status_code=201)
@takes(SIGNING_IN)
def sign_in(request: Request, body: SignInBody) -> Response:
    """Sign in. The answer has the CSRF token that changing requests send as X-CSRF-Token.

    Takes no Idempotency-Key: what it answers is a secret and must not be stored.
    """
    engine, at = request.app.state.engine, now()
    address = request.client.host if request.client else ""
    with reading(engine) as session:
        try:
            check_throttle(session, email=body.email, address=address, now=at)
        except ThrottledError as error:
            raise ProblemError(429, "throttled", str(error), None, {"Retry-After": "900"}) from error
        found = password_hash(session, body.email)
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if not fits(body.password, None if found is None else found[1]) or found is None:
        with writing(engine) as session:
            note_failure(session, email=body.email, address=address, now=at)
        raise ProblemError(401, "sign-in", "the address or the password is wrong")
    with writing(engine) as session:
        token, csrf_token = open_session(session, account_id=found[0], now=at)
    response = answer_json(201, {"csrf_token": csrf_token})
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="lax")
    return response


def answer_json(status: int, document: dict[str, object]) -> Response:
    """Return a document that nobody may keep."""
    return Response(orjson.dumps(document), status, {"Cache-Control": "no-store"}, "application/json")


@router.delete("/session", status_code=204)
def sign_out(request: Request) -> Response:
    """Sign this browser out."""
    token = request.cookies.get(COOKIE)
    if not token:
        return answer(401, "unauthenticated", "you are not signed in")
    with writing(request.app.state.engine) as session:
        end_session(session, token=token, now=now())
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.get("/me")
def read_me(ask: Annotated[Asking, Depends(asking(Resource.STAKE, Action.LIST))]) -> Response:
    """Read who you are here: your roles and the interests that you declared."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Stake).where(Stake.account_id == who.id, col(Stake.ended_at).is_(None)).order_by(col(Stake.id))
        stakes = session.exec(query).all()
        document = {
            "id": who.id,
            "name": who.name,
            "roles": [{"role": role.value, "scope": scope} for role, scope in sorted(who.grants)],
            "stakes": [{"id": stake.id, "party": stake.party, "party_id": stake.party_id} for stake in stakes],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/me/stakes", status_code=201)
def declare(body: StakeBody, ask: Annotated[Asking, Depends(asking(Resource.STAKE, Action.CREATE))]) -> Response:
    """Declare an interest in a company or a lab: you no longer see or decide that party's pairings."""

    def work(session: Session, who: Principal) -> Reply:
        stake = declare_stake(session, account_id=who.id, party=body.party, party_id=body.party_id, now=ask.at)
        return Reply(201, {"id": stake.id, "party": stake.party, "party_id": stake.party_id}, {})

    return ask.write(work, body)
