"""Accounts, for the programme office: who is let in, in which role, with which keys.

In: what the office decides. Out: accounts with their roles and dates. Somebody
is always left in the office, and nobody there shuts out themselves.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, or_, select

from api.answers import Page
from api.asking import Asking, asking, etag_of
from api.bodies import MAX_ID, AccountBody, KeyBody, NewAccountBody, RoleBody, StakeEndBody
from api.credentials import Password, end_sessions
from api.idempotency import Reply
from api.identities import AccountIdentity
from api.paging import Cursor, Limit, decoded, page
from api.people_answers import AccountAnswer, ListedAccountAnswer, NewKeyAnswer
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import ThreadedRoute
from api.routes.me import key_documents, key_ended, key_made
from indexer.wording import T_
from matcher.last_office import leave_an_office
from matcher.people import (
    Account,
    Grant,
    Principal,
    Stake,
    active_grants,
    add_account,
    end_stake,
    grant,
    rename,
    revoke,
    set_disabled,
)
from matcher.roles import Role

router = APIRouter(prefix="/api/accounts", tags=["accounts"], route_class=ThreadedRoute)

Edit = Annotated[Asking, Depends(asking(Resource.ACCOUNT, Action.EDIT))]
RowId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("", response_model=Page[ListedAccountAnswer])
def list_accounts(
    ask: Annotated[Asking, Depends(asking(Resource.ACCOUNT, Action.LIST))],
    role: Annotated[Role | None, Query(description="Only those who hold this role.")] = None,
    scope: Annotated[str | None, Query(max_length=200, description="Only those with a role in this.")] = None,
    text: Annotated[str, Query(max_length=200, description="Only those with this in name or address.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List accounts by id, with the roles that they hold now."""

    def work(session: Session, _who: Principal) -> Reply:
        query = select(Account).order_by(col(Account.id)).limit(limit + 1)
        after = decoded(cursor, str)
        if after is not None:
            query = query.where(col(Account.id) > after)
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
        return Reply(200, page([_listed(session, one) for one in session.exec(query).all()], limit, "id"), {})

    return ask.read(work)


@router.post("", status_code=201, response_model=AccountAnswer)
def create_account(
    body: NewAccountBody, ask: Annotated[Asking, Depends(asking(Resource.ACCOUNT, Action.CREATE))]
) -> Response:
    """Make an account, with roles. Who has it signs in through the sign-on provider by the same address.

    No password is given here: it would be known to two people.
    """

    def work(session: Session, who: Principal) -> Reply:
        account = add_account(session, email=body.email, name=body.name, now=ask.at)
        for given in body.roles:
            grant(session, account_id=account.id, role=given.role, scope_id=given.scope, by=who.id, now=ask.at)
        reply = _answer(session, account.id, 201)
        return Reply(201, reply.document, {**reply.headers, "Location": f"/api/accounts/{account.id}"})

    return ask.write(work, body)


@router.get("/{account_id}", response_model=AccountAnswer)
def read_account(account_id: str, ask: Annotated[Asking, Depends(asking(Resource.ACCOUNT, Action.READ))]) -> Response:
    """Read an account: roles and stakes with their dates, keys by prefix, linked identities."""

    def work(session: Session, _who: Principal) -> Reply:
        _find(session, account_id)
        return _answer(session, account_id)

    return ask.read(work)


@router.patch("/{account_id}", response_model=AccountAnswer)
def edit_account(account_id: str, body: AccountBody, ask: Edit) -> Response:
    """Rename an account, shut it out (its sessions end and its keys stop at once), or let it in again.

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
            set_disabled(session, account_id=account_id, disabled=body.disabled, now=ask.at)
            if body.disabled:
                end_sessions(session, account_id=account_id, now=ask.at)
        return _answer(session, account_id)

    return ask.write(work, body)


@router.post("/{account_id}/roles", status_code=201, response_model=AccountAnswer)
def give_role(account_id: str, body: RoleBody, ask: Edit) -> Response:
    """Give an account a role; giving it twice changes nothing."""

    def work(session: Session, who: Principal) -> Reply:
        _find(session, account_id)
        grant(session, account_id=account_id, role=body.role, scope_id=body.scope, by=who.id, now=ask.at)
        return _answer(session, account_id, 201)

    return ask.write(work, body)


@router.delete("/{account_id}/roles/{grant_id}", response_model=AccountAnswer)
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
        return _answer(session, account_id)

    return ask.write(work)


@router.post("/{account_id}/keys", status_code=201, response_model=NewKeyAnswer)
def add_program_key(account_id: str, body: KeyBody, ask: Edit) -> Response:
    """Make a key for a program, an account with the role job and no other; `key` is shown in this answer only.

    People make their own keys: with one made here somebody else could act as them.
    """

    def work(session: Session, _who: Principal) -> Reply:
        _find(session, account_id, lock=True)
        if {held.role for held in active_grants(session, account_id)} != {Role.JOB.value}:
            raise ProblemError(
                409, "people", T_("only a program gets a key from you: an account with the role job alone")
            )
        return key_made(session, account_id, body, ask)

    return ask.write(work, body)


@router.delete("/{account_id}/keys/{key_prefix}", status_code=204)
def end_account_key(account_id: str, key_prefix: str, ask: Edit) -> Response:
    """End a key of anybody; it stops at once."""

    def work(session: Session, _who: Principal) -> Reply:
        return key_ended(session, account_id, key_prefix, ask)

    return ask.write(work)


@router.post("/{account_id}/stakes/{stake_id}/end", response_model=AccountAnswer)
def end_account_stake(
    account_id: str,
    stake_id: RowId,
    body: StakeEndBody,
    ask: Annotated[Asking, Depends(asking(Resource.STAKE, Action.END))],
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
        **account.model_dump(mode="json"),
        "disabled": account.disabled_at is not None,
        "roles": [_dated(one.model_dump(mode="json", exclude={"account_id"})) for one in grants],
        "stakes": [one.model_dump(mode="json", exclude={"account_id"}) for one in stakes],
        "keys": key_documents(session, account_id),
        "has_password": password is not None,
        "identities": sorted((one.model_dump(mode="json", exclude={"account_id"}) for one in links), key=str),
    }


def _dated(document: dict[str, Any]) -> dict[str, Any]:
    """Name a role's scope as requests do."""
    document["scope"] = document.pop("scope_id")
    return document
