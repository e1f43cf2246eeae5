"""`gloria user key`, `password` and `show`: what an account can sign in with, for whoever runs the machine.

In: an e-mail address, a password on stdin. Out: a key that is shown once, or
what there is, without any secret. It exists apart from accounts and roles
because secrets are handled with more care: they are never arguments, which
other users of the machine can read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.opening import note_command
from api.refusals import RefusedError
from api.screen import Screen, write_document
from api.users import Email, account_named, line_of_stdin, opened
from indexer.wording import P_, T_

if TYPE_CHECKING:
    from sqlmodel import Session

MAX_KEY_NAME = 100


def key(
    context: typer.Context,
    email: Email,
    *,
    name: Annotated[str | None, typer.Option(help="What a new key is for.")] = None,
    revoke: Annotated[str | None, typer.Option(help="Prefix of a key to end instead.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="The key may only read.")] = False,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How long it is valid.")] = 365,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make an API key and show it once, or end one."""
    if (name is None) == (revoke is None):
        raise typer.BadParameter(T_("give either --name, for a new key, or --revoke, to end one"))
    screen = Screen.of(context)
    if revoke is not None:
        _end_key(email, revoke)
        if as_json:
            write_document({"prefix": revoke, "revoked": True})
        else:
            screen.say(T_("key %(revoke)s has ended", revoke=revoke))
        return
    made = _made_key(email, name or "", read_only=read_only, days=days)
    if as_json:
        write_document(made)
        return
    screen.out.print(made["key"], soft_wrap=True, highlight=False)
    screen.note(T_("This key is shown only once."))


def _made_key(email: str, name: str, *, read_only: bool, days: int) -> dict[str, str]:
    from api.credentials import make_key
    from indexer.plain_text import TextError, clean

    try:
        label = clean(name, max_chars=MAX_KEY_NAME, multiline=False)
    except TextError as error:
        raise RefusedError(T_("--name: %(error)s", error=error)) from error
    if not label:
        raise RefusedError(T_("--name: say what the key is for"))
    with opened(writes=True) as session:
        made, secret = make_key(
            session,
            account_id=account_named(session, email).id,
            name=label,
            may_write=not read_only,
            valid=timedelta(days=days),
            now=datetime.now(UTC),
        )
        note_command(session, "key", "create", "user key", [("account", made.account_id), ("key", made.prefix)])
        return {"key": secret, "prefix": made.prefix, "expires_at": made.expires_at.isoformat()}


def _end_key(email: str, prefix: str) -> None:
    from api.credentials import revoke_key

    with opened(writes=True) as session:
        account_id = account_named(session, email).id
        if not revoke_key(session, prefix=prefix, account_id=account_id, now=datetime.now(UTC)):
            raise RefusedError(
                T_(
                    "%(email)s has no key %(prefix)s to end; see: gloria user show %(email)s",
                    email=email,
                    prefix=prefix,
                )
            )
        note_command(session, "key", "end", "user key --revoke", [("account", account_id), ("key", prefix)])


def password(context: typer.Context, email: Email) -> None:
    """Set a password, read from stdin; the account's browsers are signed out."""
    from api.credentials import set_password_hash
    from api.passwords import hashed

    stored = hashed(line_of_stdin())
    with opened(writes=True) as session:
        account_id = account_named(session, email).id
        set_password_hash(session, account_id=account_id, stored=stored, now=datetime.now(UTC))
        note_command(session, "profile", "edit", "user password", [("account", account_id)])
    Screen.of(context).say(T_("the password of %(email)s is set", email=email))


def show(
    context: typer.Context,
    email: Email,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show an account: its roles, its keys by prefix, and the sign-on providers that know it."""
    with opened(writes=False) as session:
        document = _document(session, email)
    if as_json:
        write_document(document)
        return
    screen = Screen.of(context)
    rows = [f"{document['email']}  {document['name']}"]
    role, key, until = screen.text(T_("role")), screen.text(P_("user secrets", "key")), screen.text(T_("until"))
    rows += [f"{role} {held['role']} {held['scope']}".rstrip() for held in document["roles"]]
    rows += [f"{key} {one['prefix']}  {one['name']}  {until} {one['expires_at'][:10]}" for one in document["keys"]]
    rows += [f"{screen.text(T_('sign-on'))} {issuer}" for issuer in document["issuers"]]
    for row in rows:
        screen.out.print(row, markup=False, soft_wrap=True)


def _document(session: Session, email: str) -> dict[str, Any]:
    from sqlmodel import col, select

    from api.credentials import ApiKey
    from api.identities import AccountIdentity
    from matcher.people import active_grants

    account = account_named(session, email)
    held = (ApiKey.account_id == account.id, col(ApiKey.revoked_at).is_(None))
    keys = session.exec(select(ApiKey).where(*held).order_by(col(ApiKey.id))).all()
    issuers = session.exec(select(AccountIdentity.issuer).where(AccountIdentity.account_id == account.id)).all()
    return {
        "email": account.email,
        "name": account.name,
        "disabled": account.disabled_at is not None,
        "roles": [{"role": one.role, "scope": one.scope_id} for one in active_grants(session, account.id)],
        "keys": [one.model_dump(mode="json", include={"prefix", "name", "may_write", "expires_at"}) for one in keys],
        "issuers": sorted(issuers),
    }
