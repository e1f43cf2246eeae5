"""`gloria user`: accounts and roles from the command line, for whoever runs the machine.

In: an e-mail address and what it is to become. Out: the account. It exists
because somebody must be let in before anybody can sign in. Keys and passwords
are in `user_secrets`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from api.opening import note_command, read_settings
from api.refusals import RefusedError
from api.screen import Screen, write_document
from indexer.wording import T_
from matcher.roles import Role

if TYPE_CHECKING:
    from sqlmodel import Session

    from matcher.people import Account

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
    stored = hashed(line_of_stdin()) if password_stdin else None
    with opened(writes=True) as session:
        account = add_account(session, email=email, name=name or email, now=now)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
        if stored is not None:
            set_password_hash(session, account_id=account.id, stored=stored, now=now)
        account_id = account.id
        note_command(session, "account", "create", "user add", [("account", account_id)])
    Screen.of(context).say(T_("made account %(email)s (%(account_id)s)", email=email, account_id=account_id))


def line_of_stdin() -> str:
    """Read one line as UTF-8, whatever the terminal's encoding is; a byte that is none becomes half a character."""
    return sys.stdin.buffer.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")


@user.command("grant")
def give(context: typer.Context, email: Email, role: Annotated[Role, typer.Option()], scope: Scope = "") -> None:
    """Give an account one more role."""
    from matcher.people import grant

    with opened(writes=True) as session:
        account = account_named(session, email)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=datetime.now(UTC))
        note_command(session, "account", "edit", "user grant", [("account", account.id)])
    Screen.of(context).say(T_("%(email)s is now %(role)s", email=email, role=role))


@user.command("revoke")
def take_back(context: typer.Context, email: Email, role: Annotated[Role, typer.Option()], scope: Scope = "") -> None:
    """Take a role back; it bites at the next request."""
    from matcher.people import active_grants, revoke

    with opened(writes=True) as session:
        account_id = account_named(session, email).id
        held = [one for one in active_grants(session, account_id) if (one.role, one.scope_id) == (role, scope)]
        if not held:
            raise RefusedError(
                T_(
                    "%(email)s does not hold the role %(role)s in %(scope)s",
                    email=email,
                    role=role,
                    scope=scope or T_("the programme"),
                )
            )
        revoke(session, grant_id=held[0].id or 0, by="command line", now=datetime.now(UTC))
        note_command(session, "account", "edit", "user revoke", [("account", account_id), ("grant", held[0].id)])
    Screen.of(context).say(T_("%(email)s is no longer %(role)s", email=email, role=role))


@user.command("list")
def listing(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List accounts with their roles."""
    from sqlmodel import col, select

    from matcher.people import Account, active_grants

    documents = []
    with opened(writes=False) as session:
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
        state = screen.text(T_(" (disabled)")) if document["disabled"] else ""
        screen.out.print(f"{document['email']}{state}  {roles_text}", markup=False, soft_wrap=True)


@user.command("disable")
def disable(context: typer.Context, email: Email) -> None:
    """Shut an account out: its sessions end and its keys stop at once."""
    _set(email, disabled=True)
    Screen.of(context).say(T_("%(email)s is disabled", email=email))


@user.command("enable")
def enable(context: typer.Context, email: Email) -> None:
    """Let a disabled account in again."""
    _set(email, disabled=False)
    Screen.of(context).say(T_("%(email)s is enabled", email=email))


def _set(email: str, *, disabled: bool) -> None:
    from api.credentials import end_sessions
    from matcher.people import set_disabled

    now = datetime.now(UTC)
    with opened(writes=True) as session:
        account = account_named(session, email)
        set_disabled(session, account_id=account.id, disabled=disabled, now=now)
        if disabled:
            end_sessions(session, account_id=account.id, now=now)
        command = "user disable" if disabled else "user enable"
        note_command(session, "account", "edit", command, [("account", account.id)])


@contextmanager
def opened(*, writes: bool) -> Iterator[Session]:
    """Open the database for one transaction, and leave no connection behind."""
    from indexer.database import open_engine, reading, writing

    engine = open_engine(read_settings())
    try:
        with writing(engine) if writes else reading(engine) as session:
            yield session
    finally:
        engine.dispose()


def account_named(session: Session, email: str) -> Account:
    """Return the account of an address.

    Raises:
        RefusedError: there is none.
    """
    from sqlmodel import select

    from matcher.people import Account

    account = session.exec(select(Account).where(Account.email == email.strip().lower())).first()
    if account is None:
        raise RefusedError(
            T_("there is no account %(email)s; make one: gloria user add %(email)s --role ...", email=email)
        )
    return account
