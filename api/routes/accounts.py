"""Accounts: who is let in, in which role, with which keys; and what everybody sets for themselves.

In: what the programme office decides on others; a person's own password, keys and declared interests. Out: accounts
with their roles and dates, and keys, shown once. It exists because an account is one thing, whether its owner or
the office holds it.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, or_, select

from api.access.credentials import (
    ApiKey,
    Password,
    confirm_session,
    end_keys,
    let_in_or_shut_out,
    make_key,
    revoke_key,
    set_password_hash,
    wake_key,
)
from api.access.guessable import must_not_be_guessable
from api.access.identities import AccountIdentity
from api.access.passwords import PasswordError, hash_password, password_fits
from api.access.policy import Action, Resource
from api.access.second_factor import SecondFactorError, factor_key, is_enrolled, shows, wrong_code
from api.documents.answers import MeAnswer, Page, StakeAnswer
from api.documents.bodies import (
    MAX_ROW_NUMBER,
    AccountBody,
    ConfirmBody,
    KeyBody,
    NewAccountBody,
    OwnKeyBody,
    OwnPasswordBody,
    PasswordBody,
    PhoneBody,
    RoleBody,
    StakeBody,
    StakeEndBody,
)
from api.documents.ledger import motion_document
from api.documents.people import AccountAnswer, KeyAnswer, KeysAnswer, ListedAccountAnswer, NewKeyAnswer
from api.letters.telling import tell_of_account, tell_of_motion
from api.requests.capacity import SIGNING_IN, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import COOKIE, PermittedRequest, etag_of, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import Cursor, Limit, ordered_page, page
from api.routes.sessions import (
    in_a_browser,
    must_not_be_guessing,
    note_guess,
    proven_by_password,
)
from indexer.database import reading
from indexer.wording import T_
from matcher.ledger.rules.granting import motions_on, move_grant
from matcher.review.people import (
    FOR_TWO,
    Account,
    Grant,
    Principal,
    Stake,
    active_grants,
    add_account,
    declare_stake,
    end_stake,
    grant,
    leave_an_office,
    rename,
    revoke,
    set_phone,
)
from matcher.review.roles import Role

router = APIRouter(prefix="/api", route_class=ThreadedRoute)


@router.get("/me", tags=["me"], response_model=MeAnswer)
def read_me(ask: Annotated[PermittedRequest, Depends(requires(Resource.PROFILE, Action.READ))]) -> Response:
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
            "phone": session.exec(select(Account.phone).where(Account.id == who.id)).one(),
        }
        if ask.request.state.csrf_token is not None:
            document["csrf_token"] = ask.request.state.csrf_token
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/me/stakes", tags=["me"], status_code=201, response_model=StakeAnswer)
def declare_interest(
    body: StakeBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.STAKE, Action.CREATE))]
) -> Response:
    """Declare an interest in a company or a lab: you no longer see or decide that party's pairings.

    Only the programme office ends it.
    """

    def work(session: Session, who: Principal) -> Reply:
        stake = declare_stake(session, account_id=who.id, party=body.party, party_id=body.party_id, now=ask.at)
        return Reply(201, {"id": stake.id, "party": stake.party, "party_id": stake.party_id}, {})

    return ask.write(work, body)


@router.get("/me/keys", tags=["me"], response_model=KeysAnswer)
def list_keys(ask: Annotated[PermittedRequest, Depends(requires(Resource.KEY, Action.LIST))]) -> Response:
    """List your keys by their prefixes; the keys themselves are stored nowhere."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, {"items": key_documents(session, who.id)}, {})

    return ask.read(work)


@router.post("/me/keys", tags=["me"], status_code=201, response_model=NewKeyAnswer)
@takes(SIGNING_IN)
def add_key(
    body: OwnKeyBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.KEY, Action.CREATE))]
) -> Response:
    """Make a key, which may do what you may. `key` is shown in this answer only.

    With your password, in a browser, it works at once. Without, it sleeps until you wake it with the password, within
    15 minutes: whoever finds a browser signed in, or a key, gets no way in that lasts longer.
    Sent again with the same Idempotency-Key the answer names the same key by its prefix, and `key` is null.
    """
    if body.password is not None:
        with reading(ask.engine) as session:
            in_a_browser(ask, ask.admitted(session))
        proven_by_password(ask, body.password)

    def work(session: Session, who: Principal) -> Reply:
        return key_made(session, who, who.id, body, ask, sleeps=body.password is None)

    # Of a password not even a fast hash may be stored.
    return ask.write(work, body.model_copy(update={"password": None}))


@router.post("/me/keys/{prefix}/awakening", tags=["me"], response_model=KeyAnswer)
@takes(SIGNING_IN)
def wake_own_key(
    prefix: str,
    body: OwnPasswordBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.KEY, Action.EDIT))],
) -> Response:
    """Let a key that sleeps open what you may, with your password."""
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        if session.exec(select(ApiKey.id).where(ApiKey.prefix == prefix, ApiKey.account_id == who.id)).first() is None:
            raise not_found("key")
        in_a_browser(ask, who)
    proven_by_password(ask, body.password)

    def work(session: Session, who: Principal) -> Reply:
        woken = wake_key(session, prefix=prefix, account_id=who.id, now=ask.at)
        if woken is None:
            raise ProblemError(409, "keys", T_("this key does not sleep, or slept too long; make another"))
        return Reply(200, _key_document(woken), {})

    return ask.write(work, once=False)


@router.delete("/me/keys/{prefix}", tags=["me"], status_code=204)
def end_key(prefix: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.KEY, Action.END))]) -> Response:
    """End one of your keys; it stops at once."""

    def work(session: Session, who: Principal) -> Reply:
        return key_ended(session, who.id, prefix, ask)

    return ask.write(work)


@router.put("/me/phone", tags=["me"], status_code=204)
def change_phone(
    body: PhoneBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.PROFILE, Action.EDIT))]
) -> Response:
    """Say under which number you want to be called: who works with you on a case sees it, and who gets a shortlist."""

    def work(session: Session, who: Principal) -> Reply:
        set_phone(session, account_id=who.id, phone=body.phone)
        return Reply(204, None, {})

    return ask.write(work, body)


@router.put("/me/password", tags=["me"], status_code=204)
@takes(SIGNING_IN)
def change_password(
    body: PasswordBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.PROFILE, Action.EDIT))]
) -> Response:
    """Set your password, with the old one if there is one; your other browsers are signed out, your keys if you say so.

    Takes no Idempotency-Key: of a password not even a fast hash may be stored, and setting it again changes nothing.
    """
    request = ask.request
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        name, email = session.execute(select(Account.name, Account.email).where(Account.id == who.id)).one()
        must_not_be_guessing(session, ask, who)
        before = session.exec(select(Password.hash).where(Password.account_id == who.id)).first()
    if before is None and request.state.csrf_token is None:
        # A key ends some day; it must not be turned into a way in that does not.
        raise PasswordError(T_("the first password is set from a signed-in browser, or by whoever runs the machine"))
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if before is not None and not password_fits(body.old or "", before):
        note_guess(ask, who)
        raise ProblemError(422, "password", T_("the old password is wrong"), "old")
    must_not_be_guessable(body.new, own=(name, email))
    stored = hash_password(body.new)

    def work(session: Session, who: Principal) -> Reply:
        held = session.exec(select(Password.hash).where(Password.account_id == who.id)).first()
        if held != before:
            raise ProblemError(412, "stale", T_("the password was changed in the meantime"))
        keep = None if request.state.csrf_token is None else request.cookies.get(COOKIE)
        set_password_hash(session, account_id=who.id, stored=stored, now=ask.at, keep=keep)
        tell_of_account(session, who.id, "password", by=who.id, now=ask.at)
        if body.end_keys:
            end_keys(session, account_id=who.id, now=ask.at)
        return Reply(204, None, {})

    return ask.write(work, once=False)


@router.post("/session/confirm", tags=["people"], status_code=204)
@takes(SIGNING_IN)
def confirm(
    body: ConfirmBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.PROFILE, Action.EDIT))]
) -> Response:
    """Prove that you are there: for ten minutes this session may check, recognise, second, grant.

    By your password; where you have a second factor, by a code of it too. Takes no Idempotency-Key: of a password not
    even a fast hash may be stored.
    """
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        if ask.request.state.csrf_token is None:
            raise ProblemError(422, "invalid", T_("a key has nobody to confirm: a person has to, signed in"))
        must_not_be_guessing(session, ask, who)
        stored = session.exec(select(Password.hash).where(Password.account_id == who.id)).first()
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if not password_fits(body.password, stored):
        note_guess(ask, who)
        raise ProblemError(422, "password", T_("the password is wrong"), "password")

    def work(session: Session, who: Principal) -> Reply:
        if is_enrolled(session, who.id):
            key = factor_key(ask.request.app.state.home)
            if not shows(session, key=key, account_id=who.id, code=body.code or "", now=ask.at):
                raise wrong_code()
        confirm_session(session, token=ask.request.cookies[COOKIE], now=ask.at)
        return Reply(204, None, {})

    try:
        return ask.write(work, once=False)
    except SecondFactorError:
        note_guess(ask, who, second=True)
        raise


def key_documents(session: Session, account_id: str) -> list[dict[str, Any]]:
    """Return an account's keys with their dates, oldest first; never their hashes."""
    query = select(ApiKey).where(ApiKey.account_id == account_id).order_by(col(ApiKey.id))
    return [_key_document(key) for key in session.exec(query).all()]


def _key_document(key: ApiKey) -> dict[str, Any]:
    return key.model_dump(
        mode="json", include={"prefix", "name", "may_write", "created_at", "expires_at", "revoked_at", "awake_at"}
    )


def key_made(
    session: Session, who: Principal, account_id: str, body: KeyBody, ask: PermittedRequest, *, sleeps: bool = False
) -> Reply:
    """Make a key of an account; its secret is a part of the answer that is not stored."""
    made, secret = make_key(
        session,
        account_id=account_id,
        name=body.name,
        may_write=body.may_write,
        valid=timedelta(days=body.days),
        now=ask.at,
        by=who.id,
        sleeps=sleeps,
    )
    return Reply(201, {**_key_document(made), "key": None}, {}, {"key": secret})


def key_ended(session: Session, account_id: str, prefix: str, ask: PermittedRequest) -> Reply:
    """End a key of an account.

    Raises:
        ProblemError: 404, the account has no such key that still holds.
    """
    if not revoke_key(session, prefix=prefix, account_id=account_id, now=ask.at):
        raise not_found("key")
    return Reply(204, None, {})


Edit = Annotated[PermittedRequest, Depends(requires(Resource.ACCOUNT, Action.EDIT))]
RowId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


class AccountOrder(StrEnum):
    """By what accounts are listed."""

    NAME = "name"
    EMAIL = "email"


@router.get("/accounts", tags=["accounts"], response_model=Page[ListedAccountAnswer])
def list_accounts(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ACCOUNT, Action.LIST))],
    role: Annotated[Role | None, Query(description="Only those who hold this role.")] = None,
    scope: Annotated[str | None, Query(max_length=200, description="Only those with a role in this.")] = None,
    text: Annotated[str, Query(max_length=200, description="Only those with this in name or address.")] = "",
    sort: Annotated[AccountOrder | None, Query(description="By what; otherwise by id.")] = None,
    descending: Annotated[bool, Query(description="With `sort`: the last first.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List accounts by id or by a column, with the roles that they hold now."""

    def work(session: Session, _who: Principal) -> Reply:
        query = select(Account)
        if text.strip():
            words = text.strip()
            query = query.where(
                or_(
                    col(Account.name).icontains(words, autoescape=True),
                    col(Account.email).icontains(words, autoescape=True),
                )
            )
        held = select(Grant.account_id).where(col(Grant.revoked_at).is_(None))
        if role is not None:
            held = held.where(Grant.role == role.value)
        if scope is not None:
            held = held.where(Grant.scope_id == scope)
        if role is not None or scope is not None:
            query = query.where(col(Account.id).in_(held))
        accounts = {one.id: one for one in session.exec(query).all()}
        keys = [(one.id, getattr(one, sort or "id").casefold()) for one in accounts.values()]
        ids = ordered_page(keys, cursor, limit, descending=descending and sort is not None)
        return Reply(200, page([_listed(session, accounts[one]) for one in ids], limit, "id"), {})

    return ask.read(work)


@router.post("/accounts", tags=["accounts"], status_code=201, response_model=AccountAnswer)
def create_account(
    body: NewAccountBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.ACCOUNT, Action.CREATE))]
) -> Response:
    """Make an account, with roles. Who has it signs in through the sign-on provider by the same address.

    No password is given here: it would be known to two people.
    """

    def work(session: Session, who: Principal) -> Reply:
        account = add_account(session, email=body.email, name=body.name, now=ask.at, by=who.id)
        for given in body.roles:
            _give(session, account.id, given, who, ask)
        reply = _answer(session, account.id, 201)
        return Reply(201, reply.document, {**reply.headers, "Location": f"/api/accounts/{account.id}"})

    return ask.write(work, body)


@router.get("/accounts/{account_id}", tags=["accounts"], response_model=AccountAnswer)
def read_account(
    account_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.ACCOUNT, Action.READ))]
) -> Response:
    """Read an account: roles and stakes with their dates, keys by prefix, linked identities."""

    def work(session: Session, _who: Principal) -> Reply:
        _find(session, account_id)
        return _answer(session, account_id)

    return ask.read(work)


@router.patch("/accounts/{account_id}", tags=["accounts"], response_model=AccountAnswer)
def edit_account(account_id: str, body: AccountBody, ask: Edit) -> Response:
    """Rename an account, shut it out (its sessions and keys end), or let it in again, which revives none of them.

    Send the ETag that you read as If-Match.
    """

    def work(session: Session, who: Principal) -> Reply:
        _find(session, account_id)
        if body.disabled:
            _must_not_be_own(who, account_id, T_("you can't shut out yourself; ask a colleague"))
            leave_an_office(session, without=account_id)
        _find(session, account_id, lock=True)
        ask.must_match(etag_of(_document(session, account_id)))
        if body.name is not None:
            rename(session, account_id=account_id, name=body.name)
        if body.disabled is not None:
            let_in_or_shut_out(session, account_id=account_id, disabled=body.disabled, now=ask.at)
        return _answer(session, account_id)

    return ask.write(work, body)


@router.post("/accounts/{account_id}/roles", tags=["accounts"], status_code=201, response_model=AccountAnswer)
def give_role(account_id: str, body: RoleBody, ask: Edit) -> Response:
    """Give an account a role; giving it twice changes nothing.

    Office and committee are given by two people: the answer is 202, and the role holds once somebody else agrees; see
    `motions`. Nobody gives a role to the own account.
    """

    def work(session: Session, who: Principal) -> Reply:
        _find(session, account_id)
        return _answer(session, account_id, 202 if _give(session, account_id, body, who, ask) else 201)

    return ask.write(work, body)


def _give(session: Session, account_id: str, given: RoleBody, who: Principal, ask: PermittedRequest) -> bool:
    """Give a role, or move that it be given; return whether it is only moved."""
    if given.role in FOR_TWO:
        motion = move_grant(
            session,
            account_id=account_id,
            role=given.role,
            scope_id=given.scope,
            reason=given.reason,
            by=who.id,
            now=ask.at,
        )
        tell_of_motion(session, motion, now=ask.at)
        return True
    grant(session, account_id=account_id, role=given.role, scope_id=given.scope, by=who.id, now=ask.at)
    tell_of_account(session, account_id, "role_given", by=who.id, now=ask.at)
    return False


@router.delete("/accounts/{account_id}/roles/{grant_id}", tags=["accounts"], response_model=AccountAnswer)
def take_role(account_id: str, grant_id: RowId, ask: Edit) -> Response:
    """Take a role back; it bites at the next request, and stays on record with its dates."""

    def work(session: Session, who: Principal) -> Reply:
        held = next((one for one in active_grants(session, account_id) if one.id == grant_id), None)
        if held is None:
            raise not_found("role of this account")
        if held.role == Role.OFFICE:
            _must_not_be_own(who, account_id, T_("you can't take your own office role; ask a colleague"))
            leave_an_office(session, without=account_id)
        revoke(session, grant_id=grant_id, by=who.id, now=ask.at)
        tell_of_account(session, account_id, "role_taken", by=who.id, now=ask.at)
        return _answer(session, account_id)

    return ask.write(work)


@router.post("/accounts/{account_id}/keys", tags=["accounts"], status_code=201, response_model=NewKeyAnswer)
def add_program_key(account_id: str, body: KeyBody, ask: Edit) -> Response:
    """Make a key for a program, an account with the role job and no other; `key` is shown in this answer only.

    People make their own keys: with one made here somebody else could act as them.
    """

    def work(session: Session, who: Principal) -> Reply:
        _find(session, account_id, lock=True)
        if {held.role for held in active_grants(session, account_id)} != {Role.JOB.value}:
            raise ProblemError(
                409, "people", T_("only a program gets a key from you: an account with the role job alone")
            )
        return key_made(session, who, account_id, body, ask)

    return ask.write(work, body)


@router.delete("/accounts/{account_id}/keys/{key_prefix}", tags=["accounts"], status_code=204)
def end_account_key(account_id: str, key_prefix: str, ask: Edit) -> Response:
    """End a key of anybody; it stops at once."""

    def work(session: Session, _who: Principal) -> Reply:
        return key_ended(session, account_id, key_prefix, ask)

    return ask.write(work)


@router.post("/accounts/{account_id}/stakes/{stake_id}/end", tags=["accounts"], response_model=AccountAnswer)
def end_account_stake(
    account_id: str,
    stake_id: RowId,
    body: StakeEndBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.STAKE, Action.END))],
) -> Response:
    """End a declared interest, for a reason that stays on record. Nobody ends the own one."""

    def work(session: Session, who: Principal) -> Reply:
        same = (Stake.id == stake_id, Stake.account_id == account_id, col(Stake.ended_at).is_(None))
        if session.exec(select(Stake.id).where(*same)).first() is None:
            raise not_found("interest of this account")
        _must_not_be_own(who, account_id, T_("nobody ends the own interest; ask a colleague"))
        end_stake(session, stake_id=stake_id, by=who.id, reason=body.reason, now=ask.at)
        return _answer(session, account_id)

    return ask.write(work, body)


def _find(session: Session, account_id: str, *, lock: bool = False) -> None:
    query = select(Account.id).where(Account.id == account_id)
    if session.exec(query.with_for_update(key_share=True) if lock else query).first() is None:
        raise not_found("account")


def _must_not_be_own(who: Principal, account_id: str, detail: str) -> None:
    if who.id == account_id:
        raise ProblemError(409, "own-account", detail)


def _answer(session: Session, account_id: str, status: int = 200) -> Reply:
    document = _document(session, account_id)
    return Reply(status, document, {"ETag": etag_of(document)})


def _listed(session: Session, account: Account) -> dict[str, Any]:
    held = active_grants(session, account.id)
    return {
        "id": account.id,
        "email": account.email,
        "name": account.name,
        "disabled": account.disabled_at is not None,
        "roles": [{"id": one.id, "role": one.role, "scope": one.scope_id} for one in held],
    }


def _document(session: Session, account_id: str) -> dict[str, Any]:
    account = session.exec(select(Account).where(Account.id == account_id)).one()
    grants = session.exec(select(Grant).where(Grant.account_id == account_id).order_by(col(Grant.id))).all()
    stakes = session.exec(select(Stake).where(Stake.account_id == account_id).order_by(col(Stake.id))).all()
    links = session.exec(select(AccountIdentity).where(AccountIdentity.account_id == account_id)).all()
    password = session.exec(select(Password.account_id).where(Password.account_id == account_id)).first()
    return {
        **account.model_dump(mode="json", exclude={"phone"}),
        "disabled": account.disabled_at is not None,
        "roles": [_dated(one.model_dump(mode="json", exclude={"account_id"})) for one in grants],
        "stakes": [one.model_dump(mode="json", exclude={"account_id"}) for one in stakes],
        "keys": key_documents(session, account_id),
        "motions": [motion_document(session, one) for one in motions_on(session, account_id)],
        "has_password": password is not None,
        "identities": sorted((one.model_dump(mode="json", exclude={"account_id"}) for one in links), key=str),
    }


def _dated(document: dict[str, Any]) -> dict[str, Any]:
    """Name a role's scope as requests do."""
    document["scope"] = document.pop("scope_id")
    return document
