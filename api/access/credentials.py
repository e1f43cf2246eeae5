"""Proof of who somebody is: sessions of people who signed in, and keys of programs.

In: a token or a key as a client sends it. Out: the account it belongs to. It
exists so that nothing in the database opens a door: of tokens and keys only
the SHA-256 is stored (they are 256 bits of chance, so a fast hash is enough),
of passwords the argon2id hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import CheckConstraint, bindparam, delete, func, or_, update
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.plain_text import printable
from indexer.wording import T_
from matcher.review.people import Account, Hand, set_disabled, tie

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=14)
SEEN_EVERY = timedelta(minutes=5)
CONFIRMED_FOR = timedelta(minutes=10)
"""How long the person at a browser counts as confirmed after proving to be there."""
WINDOW = timedelta(minutes=15)
FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS = 10, 50
"""So many failures are checked at once; each further attempt has to wait."""
REFUSED_FROM = 10
"""So many times as many, and none is checked any more, except from a browser that the account is known in."""
KEY_MARK = "glm"
MAX_KEYS, MAX_KEY_DAYS = 10, 365
"""How many keys of an account hold at once, and for how long one does at most."""
WAKE_WITHIN = timedelta(minutes=15)
"""For how long a key that was asked for without the password waits for it."""
MAX_AGENT = 200
HANDLE_LENGTH = 16


class ThrottledError(RuntimeError):
    """Too many failed sign-ins; the client is told when to come back."""

    def __init__(self) -> None:
        minutes = int(WINDOW.total_seconds() // 60)
        super().__init__(T_("too many failed sign-ins; try again in %(minutes)s minutes", minutes=minutes))


class KeyLimitError(ValueError):
    """An account has as many keys as it may, or one is to hold for too long."""


class Password(SQLModel, table=True):
    """The hash of an account's password; accounts that only use keys have none."""

    __tablename__ = "password"

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    hash: str
    changed_at: datetime = Field(sa_type=Instant)


class LoginSession(SQLModel, table=True):
    """One signed-in browser."""

    __tablename__ = "login_session"

    token_hash: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    csrf_token: str
    created_at: datetime = Field(sa_type=Instant)
    seen_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    confirmed_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the person last proved to be there: by signing in, or by the password once more."""
    agent: str | None = None
    """What the browser calls itself, so that its owner knows it again."""
    code_asked_at: datetime | None = Field(default=None, sa_type=Instant)
    """The account has a second factor: until that is shown, the session opens nothing but the place for it."""
    second_factor_at: datetime | None = Field(default=None, sa_type=Instant)

    @property
    def handle(self) -> str:
        """A name for it that opens nothing: the beginning of the hash of its token."""
        return self.token_hash[:HANDLE_LENGTH]


class ApiKey(SQLModel, table=True):
    """A program's way in; `may_write` is its scope. The key itself is shown once and never stored.

    A key that was asked for without its owner's password sleeps (`awake_at` is None): it opens nothing until the owner
    gives the password, and is gone if that does not happen soon.
    """

    __tablename__ = "api_key"
    __table_args__ = (CheckConstraint("length(key_hash) = 64", name="hash_only"),)

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    name: str
    prefix: str = Field(unique=True)
    key_hash: str = Field(unique=True)
    may_write: bool
    created_at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    awake_at: datetime | None = Field(default=None, sa_type=Instant)


class LoginFailure(SQLModel, table=True):
    """One failed sign-in, by the hash of the account's address or the client's."""

    __tablename__ = "login_failure"

    id: int | None = Field(default=None, primary_key=True)
    subject: str = Field(index=True)
    at: datetime = Field(sa_type=Instant, index=True)


# Built once, since every request asks it.
_KEY = select(ApiKey.account_id, ApiKey.may_write, ApiKey.expires_at, ApiKey.id).where(
    ApiKey.key_hash == bindparam("key_hash"), col(ApiKey.revoked_at).is_(None), col(ApiKey.awake_at).is_not(None)
)


@dataclass(frozen=True)
class Proof:
    """What a token or a key proves: the account, whether it may write, a browser's CSRF token, the key's number.

    `awaits_code` is a session of an account with a second factor that was not shown yet, `two_factors` one in which
    it was.
    `confirmed_at` is when the person at the browser last proved to be there; a key proves no person.
    """

    account_id: str
    may_write: bool
    csrf_token: str | None = None
    key_id: int | None = None
    awaits_code: bool = False
    two_factors: bool = False
    confirmed_at: datetime | None = None


def is_confirmed(proof: Proof, now: datetime) -> bool:
    """Whether a proof is a session whose person proved to be there within `CONFIRMED_FOR`: asked by every such act."""
    at = proof.confirmed_at
    return proof.key_id is None and at is not None and abs(now - at) <= CONFIRMED_FOR


def digest(secret: str) -> str:
    """Return the form in which a secret is stored."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def set_password_hash(
    session: Session, *, account_id: str, stored: str, now: datetime, keep: str | None = None
) -> None:
    """Store the hash of a new password and end the account's sessions, except the one whose token is `keep`."""
    password = session.get(Password, account_id) or Password(account_id=account_id, hash="", changed_at=now)
    password.hash, password.changed_at = stored, now
    session.add(password)
    end_sessions(session, account_id=account_id, now=now, keep=keep)
    session.flush()


def password_hash(session: Session, email: str) -> tuple[str, str] | None:
    """Return account id and password hash of an address that may sign in, None if there is none."""
    query = (
        select(Account.id, Password.hash)
        .join(Password, col(Password.account_id) == col(Account.id))
        .where(Account.email == email.strip().lower(), col(Account.disabled_at).is_(None))
    )
    found = session.execute(query).first()
    return None if found is None else (str(found[0]), str(found[1]))


def open_session(
    session: Session,
    *,
    account_id: str,
    now: datetime,
    confirmed_at: datetime | None = None,
    agent: str = "",
    awaits_code: bool = False,
    two_factors: bool = False,
) -> tuple[str, str]:
    """Sign an account in; return the session's token, which is not stored, and its CSRF token.

    Args:
        session: the transaction.
        account_id: whose.
        now: the moment.
        confirmed_at: when the person proved to be there, None if nobody knows.
        agent: what the browser calls itself.
        awaits_code: whether a second factor has still to be shown.
        two_factors: whether it was shown.
    """
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(
        LoginSession(
            token_hash=digest(token),
            account_id=account_id,
            csrf_token=csrf_token,
            created_at=now,
            seen_at=now,
            agent=printable(agent)[:MAX_AGENT] or None,
            code_asked_at=now if awaits_code else None,
            second_factor_at=now if two_factors else None,
            confirmed_at=confirmed_at,
        )
    )
    session.flush()
    return token, csrf_token


def session_proof(session: Session, token: str, now: datetime) -> Proof | None:
    """Return what a session's token proves, None if it is unknown, ended or too old."""
    found = session.get(LoginSession, digest(token))
    if found is None or found.ended_at is not None:
        return None
    if now - found.seen_at > IDLE or now - found.created_at > LONGEST:
        return None
    return Proof(
        found.account_id,
        may_write=True,
        csrf_token=found.csrf_token,
        confirmed_at=found.confirmed_at,
        awaits_code=found.code_asked_at is not None and found.second_factor_at is None,
        two_factors=found.second_factor_at is not None,
    )


def open_sessions(session: Session, *, account_id: str, now: datetime) -> Sequence[LoginSession]:
    """Return the sessions of an account that still open something, the one seen last first."""
    query = select(LoginSession).where(
        LoginSession.account_id == account_id,
        col(LoginSession.ended_at).is_(None),
        col(LoginSession.seen_at) >= now - IDLE,
        col(LoginSession.created_at) >= now - LONGEST,
    )
    return session.exec(query.order_by(col(LoginSession.seen_at).desc(), col(LoginSession.token_hash))).all()


def end_one_session(session: Session, *, account_id: str, handle: str, now: datetime) -> bool:
    """Sign one browser of an account out, by the session's handle; return whether there was one to sign out."""
    found = next((one for one in open_sessions(session, account_id=account_id, now=now) if one.handle == handle), None)
    if found is None:
        return False
    found.ended_at = now
    session.add(found)
    session.flush()
    return True


def confirm_session(session: Session, *, token: str, now: datetime) -> None:
    """Note that the person at a browser proved to be there."""
    session.connection().execute(
        update(LoginSession).where(col(LoginSession.token_hash) == digest(token)).values(confirmed_at=now)
    )


def note_seen(session: Session, token: str, now: datetime) -> None:
    """Keep a session that is in use from going idle; written only now and then."""
    session.connection().execute(
        update(LoginSession)
        .where(col(LoginSession.token_hash) == digest(token), col(LoginSession.seen_at) < now - SEEN_EVERY)
        .values(seen_at=now)
    )


def end_session(session: Session, *, token: str, now: datetime) -> None:
    """Sign one browser out."""
    these = (col(LoginSession.token_hash) == digest(token), col(LoginSession.ended_at).is_(None))
    session.connection().execute(update(LoginSession).where(*these).values(ended_at=now))


def end_sessions(session: Session, *, account_id: str, now: datetime, keep: str | None = None) -> None:
    """Sign all browsers of an account out, except the one whose token is `keep`."""
    kept = "" if keep is None else digest(keep)
    these = (
        col(LoginSession.account_id) == account_id,
        col(LoginSession.ended_at).is_(None),
        col(LoginSession.token_hash) != kept,
    )
    session.connection().execute(update(LoginSession).where(*these).values(ended_at=now))


def forget_sessions(session: Session, *, now: datetime, most: int) -> int:
    """Delete at most so many of the sessions that open nothing any more; return how many."""
    over = or_(
        col(LoginSession.ended_at).is_not(None),
        col(LoginSession.seen_at) < now - IDLE,
        col(LoginSession.created_at) < now - LONGEST,
    )
    old = select(LoginSession.token_hash).where(over).limit(most)
    gone = delete(LoginSession).where(col(LoginSession.token_hash).in_(old))
    return session.connection().execute(gone).rowcount


def end_all_sessions(session: Session, *, now: datetime) -> None:
    """Sign everybody out: after a restore, who was signed in at the time of the backup may no longer be."""
    session.connection().execute(update(LoginSession).where(col(LoginSession.ended_at).is_(None)).values(ended_at=now))


def make_key(
    session: Session,
    *,
    account_id: str,
    name: str,
    may_write: bool,
    valid: timedelta,
    now: datetime,
    by: str | None = None,
    sleeps: bool = False,
) -> tuple[ApiKey, str]:
    """Make a key; return its row and the key itself, which is shown once.

    Args:
        session: the transaction.
        account_id: whose; its row is held, so that two requests can't both make the last one.
        name: what it is for.
        may_write: whether it may change anything.
        valid: for how long.
        now: the moment.
        by: the account that makes it, None for whoever runs the machine. Made for another one's account it ties the
            two, and makes that account a program's for good.
        sleeps: whether it opens nothing until `wake_key`.

    Raises:
        KeyLimitError: it would be one too many, or hold for too long.
        SamePersonError: it is for another one's account that ever held a role for people.
    """
    if valid > timedelta(days=MAX_KEY_DAYS):
        raise KeyLimitError(T_("a key holds for at most %(days)s days", days=MAX_KEY_DAYS))
    session.get(Account, account_id, with_for_update={"key_share": True})
    held = (ApiKey.account_id == account_id, col(ApiKey.revoked_at).is_(None), ApiKey.expires_at > now)
    # Those that sleep too: a crowd of them would be as many rows.
    waits = or_(col(ApiKey.awake_at).is_not(None), col(ApiKey.created_at) > now - WAKE_WITHIN)
    if session.execute(select(func.count()).where(*held, waits)).scalar_one() >= MAX_KEYS:
        raise KeyLimitError(T_("an account has at most %(n)s keys at a time; end one first", n=MAX_KEYS))
    tie(session, account_id=account_id, by=by, how=Hand.KEYED, now=now)
    prefix = secrets.token_hex(4)
    secret = f"{KEY_MARK}_{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        account_id=account_id,
        name=name,
        prefix=prefix,
        key_hash=digest(secret),
        may_write=may_write,
        created_at=now,
        expires_at=now + valid,
        awake_at=None if sleeps else now,
    )
    session.add(key)
    session.flush()
    return key, secret


def key_proof(session: Session, secret: str, now: datetime) -> Proof | None:
    """Return what a key proves, None if it is unknown, revoked or expired."""
    found = session.connection().execute(_KEY, {"key_hash": digest(secret)}).first()
    if found is None or found[2] <= now:
        return None
    return Proof(str(found[0]), bool(found[1]), key_id=int(found[3]))


def wake_key(session: Session, *, prefix: str, account_id: str, now: datetime) -> ApiKey | None:
    """Let a sleeping key of an account open what it may; return it, None if there is none that still can be woken."""
    query = select(ApiKey).where(ApiKey.prefix == prefix, ApiKey.account_id == account_id).with_for_update()
    key = session.exec(query).first()
    if key is None or key.revoked_at is not None or key.awake_at is not None or key.created_at <= now - WAKE_WITHIN:
        return None
    key.awake_at = now
    session.add(key)
    session.flush()
    return key


def end_keys(session: Session, *, account_id: str, now: datetime) -> int:
    """End all keys of an account; return how many held."""
    these = (col(ApiKey.account_id) == account_id, col(ApiKey.revoked_at).is_(None))
    return session.connection().execute(update(ApiKey).where(*these).values(revoked_at=now)).rowcount


def let_in_or_shut_out(session: Session, *, account_id: str, disabled: bool, now: datetime) -> None:
    """Disable or enable an account: either ends all its sessions and keys, so that enabling revives nothing.

    Raises:
        PeopleError: there is no such account.
    """
    account = session.get(Account, account_id)
    was_disabled = account is not None and account.disabled_at is not None
    set_disabled(session, account_id=account_id, disabled=disabled, now=now)
    if disabled or was_disabled:
        end_sessions(session, account_id=account_id, now=now)
        end_keys(session, account_id=account_id, now=now)


def revoke_key(session: Session, *, prefix: str, account_id: str, now: datetime) -> bool:
    """End a key of an account; return whether there was one to end."""
    these = (col(ApiKey.prefix) == prefix, col(ApiKey.account_id) == account_id, col(ApiKey.revoked_at).is_(None))
    return session.connection().execute(update(ApiKey).where(*these).values(revoked_at=now)).rowcount == 1


def check_throttle(
    session: Session, *, email: str | None, address: str, now: datetime, browser: str | None = None
) -> bool:
    """Return whether so many sign-ins failed that this one has to wait.

    Args:
        session: reads.
        email: the account's address; None where it is not known yet, so that only the client's counts.
        address: the client's address.
        now: the moment.
        browser: a browser that is known to the account: only its own failures count.

    Raises:
        ThrottledError: far too many failed for this account, or from this address, in the last minutes.
    """
    is_slow = False
    for subject, most in _subjects(email, address) if browser is None else _subjects_of(browser):
        # Those of a clock that was ahead by more don't count, or nobody could sign in until that moment has come.
        recent = (LoginFailure.at > now - WINDOW, LoginFailure.at < now + WINDOW)
        query = select(func.count()).where(LoginFailure.subject == subject, *recent)
        failed = session.execute(query).scalar_one()
        if failed >= most * REFUSED_FROM:
            raise ThrottledError
        is_slow = is_slow or failed >= most
    return is_slow


def note_failure(
    session: Session, *, email: str | None, address: str, now: datetime, browser: str | None = None
) -> None:
    """Count a failed sign-in, and forget those that no longer count."""
    session.connection().execute(delete(LoginFailure).where(col(LoginFailure.at) < now - WINDOW))
    subjects = _subjects(email, address) if browser is None else _subjects_of(browser)
    session.add_all([LoginFailure(subject=subject, at=now) for subject, _ in subjects])
    session.flush()


def forget_sleepers(session: Session, *, now: datetime, most: int) -> int:
    """Delete at most so many of the keys that nobody woke in time; return how many."""
    these = (col(ApiKey.awake_at).is_(None), col(ApiKey.created_at) <= now - WAKE_WITHIN)
    old = select(ApiKey.id).where(*these).limit(most)
    return session.connection().execute(delete(ApiKey).where(col(ApiKey.id).in_(old))).rowcount


def forget_failures(session: Session, *, now: datetime, most: int) -> int:
    """Delete at most so many of the failed sign-ins that no longer count; return how many."""
    old = select(LoginFailure.id).where(LoginFailure.at < now - WINDOW).limit(most)
    return session.connection().execute(delete(LoginFailure).where(col(LoginFailure.id).in_(old))).rowcount


def _subjects(email: str | None, address: str) -> list[tuple[str, int]]:
    subjects = [(digest("address " + address), FAILURES_PER_ADDRESS)]
    if email is not None:
        subjects.append((digest("account " + email.strip().lower()), FAILURES_PER_ACCOUNT))
    return subjects


def _subjects_of(browser: str) -> list[tuple[str, int]]:
    return [(digest("browser " + browser), FAILURES_PER_ACCOUNT)]
