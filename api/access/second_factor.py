"""The second factor: six digits that an authenticator computes (TOTP, RFC 6238), and codes for when it is lost.

In: an account, the secret key of the home, and what somebody typed. Out: the secret that an authenticator is given,
once; whether a code is right, each once. It exists because a password that was read over a shoulder or reused
elsewhere is enough to recognise money, where a rule of two people stands against one.

Nothing in the database opens this door either: an authenticator's secret is computed from the home's key file and a
number of chance that is stored, so whoever copies the database without the home has no secret, and of recovery codes
(120 bits of chance) only the SHA-256 is stored. A code is good for its half minute and the ones beside it, and only if
none that is as new was used before, so that a code that was overheard is spent.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pyotp
from sqlalchemy import CheckConstraint, delete, func, update
from sqlmodel import Field, Session, SQLModel, col, select

from api.access.credentials import digest
from indexer.disk import sync
from indexer.instants import Instant
from indexer.wording import T_
from matcher.review.people import Principal
from matcher.review.roles import Role

KEY_FILE = "second-factor.key"
DEMO_FILE = "demo.txt"
"""Lies in a home that `gloria demo` filled; by default nobody is asked for a second factor there."""
AUTO, OFF = "auto", "off"
ISSUER = "GLORIA Match"
STEP_S = 30
RECOVERY_CODES = 10
_KEY_BYTES, _SECRET_BYTES = 32, 20
_CODE_CHARS, _GROUP = 24, 4
_BESIDE = (0, -1, 1)
"""Half minutes by which an authenticator's clock may differ."""


class SecondFactorError(ValueError):
    """The second factor can't be set up or used as asked; `field` is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class SecondFactor(SQLModel, table=True):
    """That an account has, or begins to have, an authenticator; `last_step` is the half minute of the last code."""

    __tablename__ = "second_factor"

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    nonce: str
    begun_at: datetime = Field(sa_type=Instant)
    enrolled_at: datetime | None = Field(default=None, sa_type=Instant)
    last_step: int = 0


class RecoveryCode(SQLModel, table=True):
    """A code that stands in once for the authenticator."""

    __tablename__ = "recovery_code"
    __table_args__ = (CheckConstraint("length(code_hash) = 64", name="hash_only"),)

    code_hash: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    made_at: datetime = Field(sa_type=Instant)
    used_at: datetime | None = Field(default=None, sa_type=Instant)


def roles_bound(setting: str, home: Path) -> frozenset[Role]:
    """Return the roles that need a second factor by the setting: by default office and committee, but in a demo."""
    if setting == OFF or (setting == AUTO and (home / DEMO_FILE).exists()):
        return frozenset()
    if setting == AUTO:
        return frozenset({Role.OFFICE, Role.COMMITTEE})
    return frozenset(Role(name.strip()) for name in setting.split(","))


def is_bound(who: Principal, roles: Iterable[Role]) -> bool:
    """Whether somebody holds a role that needs a second factor."""
    return any(role in roles for role, _ in who.grants)


def factor_key(home: Path) -> bytes:
    """Return the home's key of the second factor, made whole at the first use, for its owner only.

    Raises:
        SecondFactorError: the file is there and is not a key.
    """
    path = home / KEY_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{KEY_FILE}.{secrets.token_hex(4)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # Fails where another process was faster, whose key then counts.
            os.link(partial, path)
        except FileExistsError:
            pass
        finally:
            partial.unlink()
        sync(home)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise SecondFactorError(
            T_("the key of the second factor is damaged; whoever runs the machine restores %(name)s", name=KEY_FILE)
        )
    return key


def _secret(key: bytes, factor: SecondFactor) -> str:
    said = f"totp\n{factor.account_id}\n{factor.nonce}".encode()
    return base64.b32encode(hmac.new(key, said, sha256).digest()[:_SECRET_BYTES]).decode()


def is_enrolled(session: Session, account_id: str) -> bool:
    """Whether an account has a second factor."""
    factor = session.get(SecondFactor, account_id)
    return factor is not None and factor.enrolled_at is not None


def begin(session: Session, *, key: bytes, account_id: str, now: datetime) -> str:
    """Begin to set up a second factor and return the secret for the authenticator; beginning again gives another.

    Raises:
        SecondFactorError: the account has one.
    """
    factor = session.get(SecondFactor, account_id, with_for_update=True)
    if factor is not None and factor.enrolled_at is not None:
        raise SecondFactorError(T_("you have a second factor; end it first, with a code of it"))
    factor = factor or SecondFactor(account_id=account_id, nonce="", begun_at=now)
    factor.nonce, factor.begun_at, factor.last_step = secrets.token_hex(16), now, 0
    session.add(factor)
    session.flush()
    return _secret(key, factor)


def address_of(secret: str, email: str) -> str:
    """Return the address by which an authenticator takes a secret in, for a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def enrol(session: Session, *, key: bytes, account_id: str, code: str, now: datetime) -> list[str]:
    """Have the second factor from now on, if the first code is right; return the recovery codes, which are shown once.

    Raises:
        SecondFactorError: nothing was begun, or the code is wrong.
    """
    factor = session.get(SecondFactor, account_id, with_for_update=True)
    if factor is None or factor.enrolled_at is not None:
        raise SecondFactorError(T_("begin to set up the second factor first"))
    if not _spend(session, key, factor, code, now):
        raise wrong_code()
    factor.enrolled_at = now
    session.add(factor)
    return renew_recovery_codes(session, account_id=account_id, now=now)


def wrong_code() -> SecondFactorError:
    """Return the refusal for a code that is wrong, spent or too old: nobody is told which."""
    return SecondFactorError(
        T_("the code is wrong or was used; take the one that your authenticator shows now, or a recovery code"), "code"
    )


def shows(session: Session, *, key: bytes, account_id: str, code: str, now: datetime) -> bool:
    """Whether a code is one of the account's second factor; a right one is spent by this."""
    factor = session.get(SecondFactor, account_id, with_for_update=True)
    if factor is None or factor.enrolled_at is None:
        return False
    return _spend(session, key, factor, code, now) or _spend_recovery(session, account_id, code, now)


def _spend(session: Session, key: bytes, factor: SecondFactor, code: str, now: datetime) -> bool:
    given = "".join(code.split())
    if not (len(given) == 6 and given.isascii() and given.isdecimal()):
        return False
    totp, step = pyotp.TOTP(_secret(key, factor)), int(now.timestamp()) // STEP_S
    for at in (step + beside for beside in _BESIDE):
        if at > factor.last_step and hmac.compare_digest(totp.at(at * STEP_S), given):
            factor.last_step = at
            session.add(factor)
            session.flush()
            return True
    return False


def _spend_recovery(session: Session, account_id: str, code: str, now: datetime) -> bool:
    plain = "".join(c for c in code.upper() if c.isascii() and c.isalnum())
    if len(plain) != _CODE_CHARS:
        return False
    these = (
        col(RecoveryCode.code_hash) == digest(plain),
        col(RecoveryCode.account_id) == account_id,
        col(RecoveryCode.used_at).is_(None),
    )
    return session.connection().execute(update(RecoveryCode).where(*these).values(used_at=now)).rowcount == 1


def renew_recovery_codes(session: Session, *, account_id: str, now: datetime) -> list[str]:
    """Put new recovery codes in the place of all earlier ones; return them as they are shown, once."""
    session.connection().execute(delete(RecoveryCode).where(col(RecoveryCode.account_id) == account_id))
    plain = [base64.b32encode(secrets.token_bytes(15)).decode() for _ in range(RECOVERY_CODES)]
    session.add_all([RecoveryCode(code_hash=digest(one), account_id=account_id, made_at=now) for one in plain])
    session.flush()
    return ["-".join(one[at : at + _GROUP] for at in range(0, _CODE_CHARS, _GROUP)).lower() for one in plain]


def recovery_codes_left(session: Session, account_id: str) -> int:
    """Return how many recovery codes were not used yet."""
    left = (RecoveryCode.account_id == account_id, col(RecoveryCode.used_at).is_(None))
    return int(session.execute(select(func.count()).where(*left)).scalar_one())


def forget_factor(session: Session, *, account_id: str) -> bool:
    """Take an account's second factor and its codes away; return whether it had one."""
    had = is_enrolled(session, account_id)
    run = session.connection().execute
    run(delete(RecoveryCode).where(col(RecoveryCode.account_id) == account_id))
    run(delete(SecondFactor).where(col(SecondFactor.account_id) == account_id))
    session.expire_all()
    return had
