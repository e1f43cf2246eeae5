"""Accounts: who is let in, with roles, keys and declared interests.

In: what the programme office decides of an account. Out: the list of accounts and each with all that was ever given
to it. It exists because who may do what is itself a matter of record.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.documents.bodies import AccountBody, KeyBody, NewAccountBody, RoleBody, StakeEndBody
from api.pages.desk.views import Sorting
from api.pages.shell.record_names import ScopeNames, alliance_names, scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.accounts import (
    AccountOrder,
    add_program_key,
    create_account,
    edit_account,
    end_account_key,
    end_account_stake,
    give_role,
    list_accounts,
    read_account,
    take_role,
)
from indexer.records.mended.retired import retirement_of
from indexer.vocabulary import Mendable
from matcher.review.people import SCOPE_OF
from matcher.review.roles import Role

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=ThreadedRoute)

Edit = Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.EDIT))]


@router.get("/accounts")
def show_accounts(
    visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.LIST))],
    role: Annotated[str, Query(max_length=40)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    sort: Annotated[str, Query(max_length=20)] = "",
    descending: Annotated[str, Query(max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show accounts, by role and by words of name and address."""
    chosen = Role(role) if role in set(Role) else None
    kept = {name: said for name, said in (("q", q), ("role", chosen.value if chosen else "")) if said}
    order = sort if sort in set(AccountOrder) else ""
    return _accounts_page(visit, Sorting("/admin/accounts", kept, order, descending=descending == "true"), cursor)


def _accounts_page(
    visit: Visit, sorting: Sorting | None = None, cursor: str | None = None, refused: Refusal | None = None
) -> Response:
    sorting = sorting or Sorting("/admin/accounts", {})
    role, q = Role(sorting.kept["role"]) if "role" in sorting.kept else None, sorting.kept.get("q", "")
    by = {"sort": AccountOrder(sorting.by) if sorting.by else None, "descending": sorting.descending}
    found = visit.document(list_accounts, role=role, scope=None, text=q, **by, limit=50, cursor=cursor)
    return visit.show(
        "admin/accounts.html",
        refused.status if refused else 200,
        accounts=found,
        names=_names(visit, [held["scope"] for one in found["items"] for held in one["roles"]]),
        role=role,
        roles=list(Role),
        q=q,
        sorting=sorting,
        scoped=_scoped(),
        alliances=visit.look(lambda session, _: alliance_names(session)),
        refused=refused,
        given=dict(visit.form),
    )


def _names(visit: Visit, ids: list[str]) -> ScopeNames:
    return visit.look(lambda session, _: scope_names(session, ids))


def _scoped() -> list[Role]:
    return [role for role, scope in SCOPE_OF.items() if scope is not None]


@router.post("/accounts")
def make_account(visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.CREATE))]) -> Response:
    """Make an account, with its first role."""

    def work() -> Any:
        given: dict[str, Any] = visit.values("email", "name")
        if visit.values("role"):
            more = {name: visit.form.get(name) or "" for name in ("scope", "reason")}
            given["roles"] = [{"role": visit.form.get("role"), **more}]
        return visit.document(create_account, body=visit.body(NewAccountBody, given))

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _accounts_page(visit, refused=made)
    return visit.go(f"/admin/accounts/{made['id']}", N_("The account is made."))


@router.get("/accounts/{account_id}")
def show_account(
    account_id: str, visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.READ))]
) -> Response:
    """Show an account with all that was ever given to it."""
    return _account_page(visit, account_id)


def _account_page(
    visit: Visit, account_id: str, refused: Refusal | None = None, made_key: str | None = None
) -> Response:
    reply = visit.reply(read_account, account_id=account_id)
    account = reply.document
    ids = [held["scope"] for held in account["roles"]] + [stake["party_id"] for stake in account["stakes"]]
    return visit.show(
        "admin/account.html",
        refused.status if refused else 200,
        account=account,
        etag=reply.headers["ETag"],
        names=_names(visit, ids),
        roles=list(Role),
        alliances=visit.look(lambda session, _: alliance_names(session)),
        refused=refused,
        made_key=made_key,
        retired=visit.look(lambda session, _: retirement_of(session, Mendable.PERSON, account_id)),
        is_program={held["role"] for held in account["roles"] if held["revoked_at"] is None} == {Role.JOB.value},
    )


def _changed(visit: Visit, account_id: str, work: Any, said: str) -> Response:
    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _account_page(visit, account_id, refused)
    return visit.go(f"/admin/accounts/{account_id}", said)


@router.post("/accounts/{account_id}")
def change_account(account_id: str, visit: Edit) -> Response:
    """Rename an account, shut it out, or let it in again."""

    def work() -> Any:
        given: dict[str, Any] = visit.values("name")
        if visit.values("disabled"):
            given["disabled"] = visit.form.get("disabled") == "yes"
        return visit.document(edit_account, account_id=account_id, body=visit.body(AccountBody, given))

    return _changed(visit, account_id, work, N_("The account is changed."))


@router.post("/accounts/{account_id}/roles")
def add_role(account_id: str, visit: Edit) -> Response:
    """Give a role."""
    given = {"role": visit.form.get("role"), **{name: visit.form.get(name) or "" for name in ("scope", "reason")}}
    done = visit.attempt(lambda: visit.reply(give_role, account_id=account_id, body=visit.body(RoleBody, given)))
    if isinstance(done, Refusal):
        return _account_page(visit, account_id, done)
    moved = done.status == 202
    said = N_("Moved. It takes effect once a second person agrees.") if moved else N_("The role is given.")
    return visit.go(f"/admin/accounts/{account_id}", said)


@router.post("/accounts/{account_id}/roles/{grant_id}/end")
def end_role(account_id: str, grant_id: int, visit: Edit) -> Response:
    """Take a role back."""
    work = lambda: visit.document(take_role, account_id=account_id, grant_id=grant_id)  # noqa: E731 (passed on)
    return _changed(visit, account_id, work, N_("The role is taken back; that holds from the next request on."))


@router.post("/accounts/{account_id}/keys")
def add_key(account_id: str, visit: Edit) -> Response:
    """Make a key for a program, and show it this once."""

    def work() -> str:
        given: dict[str, Any] = visit.values("name", "days")
        given["may_write"] = visit.form.get("may_write") == "yes"
        reply = visit.reply(add_program_key, account_id=account_id, body=visit.body(KeyBody, given))
        return str(reply.secret.get("key", ""))

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _account_page(visit, account_id, made)
    return _account_page(visit, account_id, made_key=made)


@router.post("/accounts/{account_id}/keys/{key_prefix}/end")
def end_key(account_id: str, key_prefix: str, visit: Edit) -> Response:
    """End a key."""

    def work() -> Any:
        return visit.reply(end_account_key, account_id=account_id, key_prefix=key_prefix)

    return _changed(visit, account_id, work, N_("The key no longer works."))


@router.post("/accounts/{account_id}/stakes/{stake_id}/end")
def end_stake(
    account_id: str, stake_id: int, visit: Annotated[Visit, Depends(visiting(Resource.STAKE, Action.END))]
) -> Response:
    """End a declared interest, for a reason that stays on record."""

    def work() -> Any:
        body = visit.body(StakeEndBody, {"reason": visit.form.get("reason") or ""})
        return visit.document(end_account_stake, account_id=account_id, stake_id=stake_id, body=body)

    return _changed(visit, account_id, work, N_("The interest is ended."))
