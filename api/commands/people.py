"""`gloria user` and `gloria erase`: accounts, roles, secrets and forgetting, for whoever runs the machine.

In: an e-mail address and what it is to become, a password or a proof of who it is on stdin; whom to erase and why.
Out: the account as it stands, a key that is shown once, or what there is, without any secret; what was erased. Secrets
are handled with care: they are never arguments, which other users of the machine can read. Erasing exists because
somebody who asks to be forgotten must be: in the tables, in the database's files, in the index.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.matching import reindexed
from api.commands.refusals import RefusedError
from api.commands.screen import Screen, write_document
from api.home import note_command, read_settings
from indexer.wording import P_, T_
from matcher.review.roles import Role

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings
    from matcher.review.people import Account


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
    """Make an account with a role; of office and committee the first two, the others are let in by two of them."""
    from api.access.credentials import set_password_hash
    from matcher.ledger.rules.months import begin_months
    from matcher.review.people import add_account, grant

    now = datetime.now(UTC)
    stored = _hash_of_stdin(name, email) if password_stdin else None
    with opened(writes=True) as session:
        _must_be_first(session, role)
        begin_months(session, now=now)
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


@dataclass(frozen=True)
class Shown:
    """What somebody gave to prove that it is they: the password, and a code where they have a second factor."""

    password: str
    code: str


def proof_of_stdin(settings: Settings, account_id: str) -> Shown:
    """Read what an account's owner proves it by: a line with the password, and one with a code if they have any."""
    from api.access.second_factor import is_enrolled

    with opened(writes=False) as session:
        asks = is_enrolled(session, account_id)
    password = line_of_stdin()
    return Shown(password, line_of_stdin() if asks else "")


@contextmanager
def proven_person(settings: Settings, account_id: str, email: str, shown: Shown) -> Iterator[Session]:
    """Open a transaction in which somebody acts who proved to be there, as the pages ask for it; it is committed.

    What fails is counted with the account's other guesses, and kept in the trail.

    Raises:
        RefusedError: password or code are wrong, too many were, or a role of theirs needs a second factor here that
            is not set up.
    """
    from api.access.second_factor import factor_key, is_bound, is_enrolled, roles_bound, shows, wrong_code
    from matcher.review.people import principal

    now = datetime.now(UTC)
    _must_have_the_password(account_id, email, shown.password, now)
    with opened(writes=True) as session:
        who, asks = principal(session, account_id), is_enrolled(session, account_id)
        if not asks and who is not None and is_bound(who, roles_bound(settings.second_factor, settings.home)):
            raise RefusedError(
                T_("--by %(email)s: a role of theirs needs a second factor; sign in once and set it up", email=email)
            )
        key = factor_key(settings.home) if asks else b""
        if not asks or shows(session, key=key, account_id=account_id, code=shown.code, now=now):
            yield session
            return
    _note_wrong(account_id, now, "second_factor", "check")
    raise RefusedError(str(wrong_code()))


def _must_have_the_password(account_id: str, email: str, given: str, now: datetime) -> None:
    from api.access.credentials import Password, ThrottledError, check_throttle
    from api.access.passwords import password_fits

    with opened(writes=False) as session:
        stored = session.get(Password, account_id)
        known = None if stored is None else stored.hash
        try:
            if check_throttle(session, email=None, address=_HERE, now=now, browser=f"of {account_id}"):
                raise ThrottledError
        except ThrottledError as error:
            raise RefusedError(str(error)) from error
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    if not password_fits(given, known):
        _note_wrong(account_id, now, "profile", "edit")
        raise RefusedError(T_("--by %(email)s: the password is wrong", email=email))


_HERE = "command line"


def _note_wrong(account_id: str, now: datetime, resource: str, action: str) -> None:
    from api.access.credentials import note_failure

    with opened(writes=True) as session:
        note_failure(session, email=None, address=_HERE, now=now, browser=f"of {account_id}")
        note_command(session, resource, action, "ledger second", [("account", account_id)], refused=True)


def _hash_of_stdin(name: str, email: str) -> str:
    """Read a new password from stdin and return its hash.

    Raises:
        PasswordError: it is too short, no text, or would soon be guessed.
    """
    from api.access.guessable import must_not_be_guessable
    from api.access.passwords import hash_password

    given = line_of_stdin()
    stored = hash_password(given)
    must_not_be_guessable(given, own=(name, email))
    return stored


@user.command("grant")
def give(context: typer.Context, email: Email, role: Annotated[Role, typer.Option()], scope: Scope = "") -> None:
    """Give an account one more role; of office and committee to the first two, the others are let in by two of them."""
    from matcher.review.people import grant

    with opened(writes=True) as session:
        _must_be_first(session, role)
        account = account_named(session, email)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=datetime.now(UTC))
        note_command(session, "account", "edit", "user grant", [("account", account.id)])
    Screen.of(context).say(T_("%(email)s is now %(role)s", email=email, role=role))


def _must_be_first(session: Session, role: Role) -> None:
    """Let the roles of those who decide be given here only until there are two to agree.

    A home that `gloria demo` filled has its two already, and is for trying things out: there whoever tries makes more.

    Raises:
        RefusedError: there are two.
    """
    from api.access.second_factor import DEMO_FILE
    from matcher.review.people import FOR_TWO, may_be_first

    is_demo = (read_settings().home / DEMO_FILE).exists()
    if role in FOR_TWO and not is_demo and not may_be_first(session, role):
        raise RefusedError(
            T_(
                "two people hold the role %(role)s already: one of the office moves it in the pages (Administration, "
                "Accounts), and another person agrees under Review, Second person",
                role=role,
            )
        )


@user.command("revoke")
def take_back(context: typer.Context, email: Email, role: Annotated[Role, typer.Option()], scope: Scope = "") -> None:
    """Take a role back; it bites at the next request."""
    from matcher.review.people import active_grants, revoke

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

    from matcher.review.people import Account, active_grants

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
    """Shut an account out: its sessions and keys end at once."""
    _set(email, disabled=True)
    Screen.of(context).say(T_("%(email)s is disabled", email=email))


@user.command("enable")
def enable(context: typer.Context, email: Email) -> None:
    """Let a disabled account in again; its keys stay ended."""
    _set(email, disabled=False)
    Screen.of(context).say(T_("%(email)s is enabled", email=email))


def _set(email: str, *, disabled: bool) -> None:
    from api.access.credentials import let_in_or_shut_out

    now = datetime.now(UTC)
    with opened(writes=True) as session:
        account = account_named(session, email)
        let_in_or_shut_out(session, account_id=account.id, disabled=disabled, now=now)
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

    from matcher.review.people import Account

    account = session.exec(select(Account).where(Account.email == email.strip().lower())).first()
    if account is None:
        raise RefusedError(
            T_("there is no account %(email)s; make one: gloria user add %(email)s --role ...", email=email)
        )
    return account


MAX_KEY_NAME = 100


def key(
    context: typer.Context,
    email: Email,
    *,
    name: Annotated[str | None, typer.Option(help="What a new key is for.")] = None,
    revoke: Annotated[str | None, typer.Option(help="Prefix of a key to end instead.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="The key may only read.")] = False,
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it is valid.")] = 365,
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
    from api.access.credentials import make_key
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
    from api.access.credentials import revoke_key

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


def password(
    context: typer.Context,
    email: Email,
    *,
    ending_keys: Annotated[bool, typer.Option("--end-keys", help="End the account's keys too.")] = False,
) -> None:
    """Set a password, read from stdin; the account's browsers are signed out, its keys stay unless --end-keys."""
    from api.access.credentials import end_keys, set_password_hash

    with opened(writes=False) as session:
        name = account_named(session, email).name
    stored = _hash_of_stdin(name, email)
    now = datetime.now(UTC)
    with opened(writes=True) as session:
        account_id = account_named(session, email).id
        set_password_hash(session, account_id=account_id, stored=stored, now=now)
        if ending_keys:
            end_keys(session, account_id=account_id, now=now)
        note_command(session, "profile", "edit", "user password", [("account", account_id)])
    Screen.of(context).say(T_("the password of %(email)s is set", email=email))


def reset(context: typer.Context, email: Email) -> None:
    """Take an account's second factor away, for somebody who lost authenticator and recovery codes.

    Make sure first that it is them. Their browsers are signed out; where a role of theirs needs a second factor, they
    are led to set one up at the next sign-in.
    """
    from api.access.credentials import end_sessions
    from api.access.second_factor import forget_factor

    with opened(writes=True) as session:
        account_id = account_named(session, email).id
        had = forget_factor(session, account_id=account_id)
        end_sessions(session, account_id=account_id, now=datetime.now(UTC))
        note_command(session, "second_factor", "end", "user reset", [("account", account_id)])
    told = T_("%(email)s has no second factor any more", email=email)
    Screen.of(context).say(told if had else T_("%(email)s had no second factor", email=email))


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
    rows += [screen.text(T_("second factor"))] if document["second_factor"] else []
    for row in rows:
        screen.out.print(row, markup=False, soft_wrap=True)


def _document(session: Session, email: str) -> dict[str, Any]:
    from sqlmodel import col, select

    from api.access.credentials import ApiKey
    from api.access.identities import AccountIdentity
    from api.access.second_factor import is_enrolled
    from matcher.review.people import active_grants

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
        "second_factor": is_enrolled(session, account.id),
    }


_KINDS = ("person", "account", "researcher")


def forget(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="person (by pseudonym), account or researcher (by the lab's id).")] = "",
    subject: Annotated[str, typer.Argument(help="Pseudonym, id of the account, or id of the lab.")] = "",
    *,
    reason: Annotated[str, typer.Option(help="Why, without the name.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Repeat all erasures, after a restore.")] = False,
) -> None:
    """Erase a person's name and contact for good; every total stays."""
    from api.backups.erased_people import erase_for_good, forget_index_texts, repeat_erasures
    from matcher.erasure import ErasedKind, ErasureError

    screen, settings = Screen.of(context), read_settings()
    if again:
        done = repeat_erasures(settings)
        screen.say(T_("repeated %(done)s erasures", done=done))
    elif kind not in _KINDS:
        raise RefusedError(T_("%(kind)r can't be erased; give one of: %(kinds)s", kind=kind, kinds=", ".join(_KINDS)))
    else:
        try:
            done_now = erase_for_good(
                settings, kind=ErasedKind(kind), subject=subject, reason=reason, by="command line"
            )
        except ErasureError as error:
            raise RefusedError(T_("%(field)s: %(error)s", field=error.field, error=error)) from error
        screen.say(T_("erased name and contact of %(kind)s %(subject)s", kind=kind, subject=subject))
        for place in done_now.standing:
            screen.warn(T_("the name still stands in %(place)s", place=place.said))
    if (again or kind == "researcher") and settings.index_path.exists():
        # In full, so that an index that was held back can't leave the one in use that names the person.
        reindexed(screen, settings, full=True)
        forget_index_texts(settings)
