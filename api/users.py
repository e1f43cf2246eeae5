"""`gloria user`: accounts, roles and keys from the command line, for whoever runs the machine.

In: an e-mail address and what it is to become. Out: the account, or a key that
is shown once. It exists because somebody must be let in before anybody can
sign in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import read_settings
from api.refusals import RefusedError
from api.screen import Screen, write_document
from matcher.roles import Role

if TYPE_CHECKING:
    from sqlmodel import Session

    from matcher.people import Account

MAX_KEY_NAME = 100

user = typer.Typer(no_args_is_help=True, help="Accounts, roles and keys.")

Email = Annotated[str, typer.Argument(help="The account's e-mail address.")]
Scope = Annotated[str, typer.Option(help="Id of the alliance, company or lab that the role is held in.")]


@user.command("add")
def add(
    context: typer.Context,
    email: Email,
    *,
    role: Annotated[Role, typer.Option(help="What the person is in the programme.")],
    scope: Scope = "",
    name: Annotated[str, typer.Option(help="The person's name.")] = "",
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read a password from stdin.")] = False,
) -> None:
    """Make an account with a role."""
    from api.credentials import set_password_hash
    from api.passwords import hashed
    from matcher.people import add_account, grant

    now = datetime.now(UTC)
    stored = hashed(_line_of_stdin()) if password_stdin else None
    with _database(writes=True) as session:
        account = add_account(session, email=email, name=name or email, now=now)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
        if stored is not None:
            set_password_hash(session, account_id=account.id, stored=stored, now=now)
        account_id = account.id
    Screen.of(context).say(f"已建立帳號 {email}（{account_id}）", f"made account {email} ({account_id})")


def _line_of_stdin() -> str:
    """Read one line as UTF-8, whatever the terminal's encoding is; a byte that is none becomes half a character."""
    return sys.stdin.buffer.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")


@user.command("grant")
def give(context: typer.Context, email: Email, role: Annotated[Role, typer.Option()], scope: Scope = "") -> None:
    """Give an account one more role."""
    from matcher.people import grant

    with _database(writes=True) as session:
        account = _account(session, email)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=datetime.now(UTC))
    Screen.of(context).say(f"已授予 {email} {role}", f"{email} is now {role}")


@user.command("revoke")
def take_back(context: typer.Context, email: Email, role: Annotated[Role, typer.Option()], scope: Scope = "") -> None:
    """Take a role back; it bites at the next request."""
    from matcher.people import active_grants, revoke

    with _database(writes=True) as session:
        held = [g for g in active_grants(session, _account(session, email).id) if (g.role, g.scope_id) == (role, scope)]
        if not held:
            raise RefusedError(f"{email} does not hold the role {role} in {scope or 'the programme'}")
        revoke(session, grant_id=held[0].id or 0, by="command line", now=datetime.now(UTC))
    Screen.of(context).say(f"已收回 {email} 的 {role}", f"{email} is no longer {role}")


@user.command("list")
def listing(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List accounts with their roles."""
    from sqlmodel import col, select

    from matcher.people import Account, active_grants

    documents = []
    with _database(writes=False) as session:
        for account in session.exec(select(Account).order_by(col(Account.email))).all():
            roles = [{"role": held.role, "scope": held.scope_id} for held in active_grants(session, account.id)]
            documents.append(
                {
                    "email": account.email,
                    "name": account.name,
                    "disabled": account.disabled_at is not None,
                    "roles": roles,
                }
            )
    if as_json:
        write_document({"accounts": documents})
        return
    screen = Screen.of(context)
    for document in documents:
        roles_text = ", ".join(f"{held['role']} {held['scope']}".strip() for held in document["roles"])  # type: ignore[attr-defined]
        state = screen.text("（停用）", " (disabled)") if document["disabled"] else ""
        screen.out.print(f"{document['email']}{state}  {roles_text}", markup=False, soft_wrap=True)


@user.command("disable")
def disable(context: typer.Context, email: Email) -> None:
    """Shut an account out: its sessions end and its keys stop at once."""
    _set(email, disabled=True)
    Screen.of(context).say(f"已停用 {email}", f"{email} is disabled")


@user.command("enable")
def enable(context: typer.Context, email: Email) -> None:
    """Let a disabled account in again."""
    _set(email, disabled=False)
    Screen.of(context).say(f"已啟用 {email}", f"{email} is enabled")


def _set(email: str, *, disabled: bool) -> None:
    from api.credentials import end_sessions
    from matcher.people import set_disabled

    now = datetime.now(UTC)
    with _database(writes=True) as session:
        account = _account(session, email)
        set_disabled(session, account_id=account.id, disabled=disabled, now=now)
        if disabled:
            end_sessions(session, account_id=account.id, now=now)


@user.command("key")
def key(
    context: typer.Context,
    email: Email,
    *,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    read_only: Annotated[bool, typer.Option("--read-only", help="The key may only read.")] = False,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How long it is valid.")] = 365,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make an API key and show it once."""
    from api.credentials import make_key
    from indexer.plain_text import TextError, clean

    try:
        label = clean(name, max_chars=MAX_KEY_NAME, multiline=False)
    except TextError as error:
        raise RefusedError(f"--name: {error}") from error
    if not label:
        raise RefusedError("--name: say what the key is for")
    now = datetime.now(UTC)
    with _database(writes=True) as session:
        made, secret = make_key(
            session,
            account_id=_account(session, email).id,
            name=label,
            may_write=not read_only,
            valid=timedelta(days=days),
            now=now,
        )
        prefix, expires_at = made.prefix, made.expires_at
    if as_json:
        write_document({"key": secret, "prefix": prefix, "expires_at": expires_at.isoformat()})
        return
    screen = Screen.of(context)
    screen.out.print(secret, soft_wrap=True, highlight=False)
    screen.note("此金鑰只顯示這一次。", "This key is shown only once.")


@contextmanager
def _database(*, writes: bool) -> Iterator[Session]:
    """Open the database for one transaction, and leave no connection behind."""
    from indexer.database import open_engine, reading, writing

    engine = open_engine(read_settings())
    try:
        with writing(engine) if writes else reading(engine) as session:
            yield session
    finally:
        engine.dispose()


def _account(session: Session, email: str) -> Account:
    from sqlmodel import select

    from matcher.people import Account

    account = session.exec(select(Account).where(Account.email == email.strip().lower())).first()
    if account is None:
        raise RefusedError(f"there is no account {email}; make one: gloria user add {email} --role ...")
    return account
