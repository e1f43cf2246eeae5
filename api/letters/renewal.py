"""A forgotten password, renewed through the mail: asked for by anybody, opened by whoever reads the account's mail.

In: an address as somebody typed it, and later the secret of the letter that went there. Out: the account whose password
may be set anew, once, within the hour. It exists so that a forgotten password needs nobody who runs the machine. An
outsider learns nothing: to ask is the same work, and gets the same answer, whether an account has the address or not;
only when letters are sent is it looked up. The secret is computed from the home's key and never stored, and of several
letters to one account only the newest opens anything.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, func, update
from sqlmodel import Field, Session, SQLModel, col, select

from api.access.credentials import Password, digest
from indexer.folding import for_logins
from indexer.instants import Instant
from indexer.wording import T_
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import notify
from matcher.review.people import MAX_EMAIL, Account

HOLDS_FOR = timedelta(hours=1)
"""For how long the link of a letter opens."""
WINDOW = timedelta(hours=1)
MOST_FOR_ADDRESS, MOST_FROM_CLIENT = 3, 20
"""How many letters an address gets within the window, and how often one client may ask."""
PURPOSE = "password"


class RenewalError(ValueError):
    """The link opens nothing: it was used, is too old, or a newer one was sent."""

    def __init__(self) -> None:
        super().__init__(T_("this link was used, is too old, or a newer one was sent; ask for another"))


class TooManyRenewalsError(RuntimeError):
    """One client asks too often."""

    def __init__(self) -> None:
        super().__init__(T_("too many requests for new passwords from here; try again in an hour"))


class PasswordRenewal(SQLModel, table=True):
    """That somebody asked for a new password for an address; which account has it is looked up afterwards."""

    __tablename__ = "password_renewal"

    id: str = Field(primary_key=True)
    address: str = Field(index=True)
    asked_from: str = Field(index=True)
    """The hash of the client's address."""
    asked_at: datetime = Field(sa_type=Instant, index=True)
    account_id: str | None = Field(default=None, foreign_key="account.id", index=True)
    looked_up_at: datetime | None = Field(default=None, sa_type=Instant)
    used_at: datetime | None = Field(default=None, sa_type=Instant)


def ask_for_renewal(session: Session, *, email: str, client: str, now: datetime) -> None:
    """Note that somebody wants a new password for an address, which may be nobody's.

    Raises:
        TooManyRenewalsError: the client asked too often, whoever it asked for.
    """
    asked_from = digest("renewal " + client)
    mine = (PasswordRenewal.asked_from == asked_from, PasswordRenewal.asked_at > now - WINDOW)
    if session.execute(select(func.count()).where(*mine)).scalar_one() >= MOST_FROM_CLIENT:
        raise TooManyRenewalsError
    session.add(
        PasswordRenewal(
            id=secrets.token_hex(16),
            address=for_logins(email)[:MAX_EMAIL],
            asked_from=asked_from,
            asked_at=now,
        )
    )
    session.flush()


def look_up_renewals(session: Session, *, now: datetime, most: int = 100) -> int:
    """Put a letter into the outbox for each address that was asked for and is an account's; return how many.

    An account without a password of its own signs in through its provider, and gets none this way.
    """
    waiting = select(PasswordRenewal).where(col(PasswordRenewal.looked_up_at).is_(None)).limit(most)
    told = 0
    for asked in session.exec(waiting.order_by(col(PasswordRenewal.asked_at)).with_for_update(skip_locked=True)).all():
        asked.looked_up_at = now
        session.add(asked)
        account_id = _account_of(session, asked)
        if account_id is None:
            continue
        asked.account_id = account_id
        session.flush()
        told += len(
            notify(
                session,
                kind=NoticeKind.PASSWORD_FORGOTTEN,
                to=[account_id],
                key=f"renewal {asked.id}",
                place="/account",
                facts={"renewal": asked.id},
                now=now,
            )
        )
    session.flush()
    return told


def _account_of(session: Session, asked: PasswordRenewal) -> str | None:
    query = (
        select(Account.id)
        .join(Password, col(Password.account_id) == col(Account.id))
        .where(Account.email == asked.address, col(Account.disabled_at).is_(None))
    )
    account_id = session.exec(query).first()
    if account_id is None:
        return None
    sent = (PasswordRenewal.account_id == account_id, PasswordRenewal.asked_at > asked.asked_at - WINDOW)
    if session.execute(select(func.count()).where(*sent)).scalar_one() >= MOST_FOR_ADDRESS:
        return None
    return str(account_id)


def is_waiting(session: Session) -> bool:
    """Whether an address waits to be looked up."""
    query = select(PasswordRenewal.id).where(col(PasswordRenewal.looked_up_at).is_(None)).limit(1)
    return session.exec(query).first() is not None


def account_renewed(session: Session, renewal_id: str, now: datetime) -> str:
    """Return whose password the letter's link sets.

    Raises:
        RenewalError: it opens nothing, or no longer.
    """
    asked = session.get(PasswordRenewal, renewal_id)
    if asked is None or asked.account_id is None or asked.used_at is not None or now - asked.asked_at > HOLDS_FOR:
        raise RenewalError
    newer = (PasswordRenewal.account_id == asked.account_id, PasswordRenewal.asked_at > asked.asked_at)
    if session.exec(select(PasswordRenewal.id).where(*newer)).first() is not None:
        raise RenewalError
    account = session.get(Account, asked.account_id)
    if account is None or account.disabled_at is not None:
        raise RenewalError
    return asked.account_id


def spend_renewal(session: Session, renewal_id: str, now: datetime) -> str:
    """Let a link be used, by one of however many use it at once; return whose it is.

    Raises:
        RenewalError: it opens nothing, or no longer.
    """
    account_id = account_renewed(session, renewal_id, now)
    this = (col(PasswordRenewal.id) == renewal_id, col(PasswordRenewal.used_at).is_(None))
    if session.connection().execute(update(PasswordRenewal).where(*this).values(used_at=now)).rowcount != 1:
        raise RenewalError
    return account_id


def forget_renewals(session: Session, *, now: datetime, most: int) -> int:
    """Delete at most so many of what was asked for a day ago or longer; return how many."""
    old = select(PasswordRenewal.id).where(PasswordRenewal.asked_at < now - timedelta(days=1)).limit(most)
    return session.connection().execute(delete(PasswordRenewal).where(col(PasswordRenewal.id).in_(old))).rowcount
