"""What everybody does for themselves: who I am, my keys, my password, the interests I declare.

In: the person who is signed in, with or without a role. Out: their own things only.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, col, select

from api.answers import MeAnswer, StakeAnswer
from api.asking import COOKIE, Asking, asking
from api.bodies import KeyBody, PasswordBody, StakeBody
from api.credentials import ApiKey, Password, make_key, note_failure, revoke_key, set_password_hash
from api.idempotency import Reply
from api.passwords import PasswordError, fits, hashed
from api.people_answers import KeysAnswer, NewKeyAnswer
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import SIGNING_IN, ThreadedRoute, takes
from api.routes.people import must_not_be_throttled
from indexer.database import reading, writing
from indexer.wording import T_
from matcher.people import Account, Principal, Stake, declare_stake

router = APIRouter(prefix="/api/me", tags=["me"], route_class=ThreadedRoute)


@router.get("", response_model=MeAnswer)
def read_me(ask: Annotated[Asking, Depends(asking(Resource.PROFILE, Action.READ))]) -> Response:
    """Read who you are here: your roles and the interests that you declared.

    In a browser's session also the CSRF token that changing requests send as X-CSRF-Token.
    """

    def work(session: Session, who: Principal) -> Reply:
        query = select(Stake).where(Stake.account_id == who.id, col(Stake.ended_at).is_(None)).order_by(col(Stake.id))
        stakes = session.exec(query).all()
        document: dict[str, Any] = {
            "id": who.id,
            "name": who.name,
            "roles": [{"role": role.value, "scope": scope} for role, scope in sorted(who.grants)],
            "stakes": [{"id": stake.id, "party": stake.party, "party_id": stake.party_id} for stake in stakes],
        }
        if ask.request.state.csrf_token is not None:
            document["csrf_token"] = ask.request.state.csrf_token
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/stakes", status_code=201, response_model=StakeAnswer)
def declare_interest(
    body: StakeBody, ask: Annotated[Asking, Depends(asking(Resource.STAKE, Action.CREATE))]
) -> Response:
    """Declare an interest in a company or a lab: you no longer see or decide that party's pairings.

    Only the programme office ends it.
    """

    def work(session: Session, who: Principal) -> Reply:
        stake = declare_stake(session, account_id=who.id, party=body.party, party_id=body.party_id, now=ask.at)
        return Reply(201, {"id": stake.id, "party": stake.party, "party_id": stake.party_id}, {})

    return ask.write(work, body)


@router.get("/keys", response_model=KeysAnswer)
def list_keys(ask: Annotated[Asking, Depends(asking(Resource.KEY, Action.LIST))]) -> Response:
    """List your keys by their prefixes; the keys themselves are stored nowhere."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, {"items": key_documents(session, who.id)}, {})

    return ask.read(work)


@router.post("/keys", status_code=201, response_model=NewKeyAnswer)
def add_key(body: KeyBody, ask: Annotated[Asking, Depends(asking(Resource.KEY, Action.CREATE))]) -> Response:
    """Make a key, which may do what you may. `key` is shown in this answer only.

    Sent again with the same Idempotency-Key the answer names the same key by its prefix, and `key` is null.
    """

    def work(session: Session, who: Principal) -> Reply:
        return key_made(session, who.id, body, ask)

    return ask.write(work, body)


@router.delete("/keys/{prefix}", status_code=204)
def end_key(prefix: str, ask: Annotated[Asking, Depends(asking(Resource.KEY, Action.END))]) -> Response:
    """End one of your keys; it stops at once."""

    def work(session: Session, who: Principal) -> Reply:
        return key_ended(session, who.id, prefix, ask)

    return ask.write(work)


@router.put("/password", status_code=204)
@takes(SIGNING_IN)
def change_password(
    body: PasswordBody, ask: Annotated[Asking, Depends(asking(Resource.PROFILE, Action.EDIT))]
) -> Response:
    """Set your password, with the old one if there is one; your other browsers are signed out.

    Takes no Idempotency-Key: of a password not even a fast hash may be stored, and setting it again changes nothing.
    """
    request = ask.request
    address = request.client.host if request.client else ""
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        email = session.exec(select(Account.email).where(Account.id == who.id)).one()
        must_not_be_throttled(session, email=email, address=address, now=ask.at)
        before = session.exec(select(Password.hash).where(Password.account_id == who.id)).first()
    if before is None and request.state.csrf_token is None:
        # A key ends some day; it must not be turned into a way in that does not.
        raise PasswordError(T_("the first password is set from a signed-in browser, or by whoever runs the machine"))
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if before is not None and not fits(body.old or "", before):
        with writing(ask.engine) as session:
            note_failure(session, email=email, address=address, now=ask.at)
        raise ProblemError(422, "password", T_("the old password is wrong"), "old")
    stored = hashed(body.new)

    def work(session: Session, who: Principal) -> Reply:
        held = session.exec(select(Password.hash).where(Password.account_id == who.id)).first()
        if held != before:
            raise ProblemError(412, "stale", T_("the password was changed in the meantime"))
        keep = None if request.state.csrf_token is None else request.cookies.get(COOKIE)
        set_password_hash(session, account_id=who.id, stored=stored, now=ask.at, keep=keep)
        return Reply(204, None, {})

    return ask.write(work, once=False)


def key_documents(session: Session, account_id: str) -> list[dict[str, Any]]:
    """Return an account's keys with their dates, oldest first; never their hashes."""
    query = select(ApiKey).where(ApiKey.account_id == account_id).order_by(col(ApiKey.id))
    return [_key_document(key) for key in session.exec(query).all()]


def _key_document(key: ApiKey) -> dict[str, Any]:
    return key.model_dump(
        mode="json", include={"prefix", "name", "may_write", "created_at", "expires_at", "revoked_at"}
    )


def key_made(session: Session, account_id: str, body: KeyBody, ask: Asking) -> Reply:
    """Make a key of an account; its secret is a part of the answer that is not stored."""
    made, secret = make_key(
        session,
        account_id=account_id,
        name=body.name,
        may_write=body.may_write,
        valid=timedelta(days=body.days),
        now=ask.at,
    )
    return Reply(201, {**_key_document(made), "key": None}, {}, {"key": secret})


def key_ended(session: Session, account_id: str, prefix: str, ask: Asking) -> Reply:
    """End a key of an account.

    Raises:
        ProblemError: 404, the account has no such key that still holds.
    """
    if not revoke_key(session, prefix=prefix, account_id=account_id, now=ask.at):
        raise not_found("key")
    return Reply(204, None, {})
