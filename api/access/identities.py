"""Which account a person is who signed in at the sign-on provider.

In: what the provider says of the person, checked. Out: the account: the one
that is linked to this subject, the one made for the person's verified address,
or a new one without roles. It exists apart from talking to the provider because
this is where a mistake would let one person in as another.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.review.people import Account, PeopleError, add_account

MAX_SUBJECT = 255


class IdentityRefusedError(RuntimeError):
    """The provider vouches for the person, but nobody here does."""


class AccountIdentity(SQLModel, table=True):
    """That a subject of a provider is an account: never updated, never deleted. An account has one per provider."""

    __tablename__ = "account_identity"
    __table_args__ = (
        CheckConstraint(f"length(subject) BETWEEN 1 AND {MAX_SUBJECT}", name="subject_bounded"),
        UniqueConstraint("account_id", "issuer", name="one_subject_per_issuer"),
    )

    issuer: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    account_id: str = Field(foreign_key="account.id")
    linked_at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class Identity:
    """What a provider says of who signed in; the address counts only if the provider verified it."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str
    authenticated_at: datetime | None = None
    """When the provider last asked the person to prove who they are; None if it does not say."""


def account_of(session: Session, *, identity: Identity, domains: Collection[str], now: datetime) -> str:
    """Return the id of the account that a person signs in to, linked or made now if need be.

    Args:
        session: its transaction holds all writes.
        identity: what the provider says.
        domains: the parts of addresses after the @ for which accounts are made, in lower case.
        now: the moment.

    Raises:
        IdentityRefusedError: no account is the person's, or it is disabled.
    """
    linked = session.get(AccountIdentity, (identity.issuer, identity.subject))
    account = _known(session, identity, domains, now) if linked is None else session.get(Account, linked.account_id)
    if account is None or account.disabled_at is not None:
        raise IdentityRefusedError(T_("this account is disabled; ask the programme office"))
    if linked is None:
        _link(session, identity, account.id, now)
    return account.id


def _known(session: Session, identity: Identity, domains: Collection[str], now: datetime) -> Account:
    """Return the account of a person who comes for the first time."""
    # Who only states an address at the provider could state anybody's.
    if not identity.email or not identity.email_verified:
        raise IdentityRefusedError(T_("your sign-on provider has not verified an e-mail address of yours"))
    address = identity.email.strip().lower()
    account = session.exec(select(Account).where(Account.email == address)).first()
    if account is not None:
        return account
    if address.rpartition("@")[2] not in domains:
        raise IdentityRefusedError(T_("there is no account for your e-mail address; ask the programme office for one"))
    try:
        return add_account(session, email=address, name=identity.name, now=now)
    except PeopleError as error:
        # Made by another request of the same person a moment ago, or else the address is none.
        made = session.exec(select(Account).where(Account.email == address)).first()
        if made is None:
            raise IdentityRefusedError(T_("no account could be made for you: %(error)s", error=error)) from error
        return made


def _link(session: Session, identity: Identity, account_id: str, now: datetime) -> None:
    row = AccountIdentity(issuer=identity.issuer, subject=identity.subject, account_id=account_id, linked_at=now)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        linked = session.get(AccountIdentity, (identity.issuer, identity.subject))
        if linked is not None and linked.account_id == account_id:
            return
        # Addresses are given to new people when old ones leave: the second one is not let in as the first.
        raise IdentityRefusedError(
            T_(
                "the account for your e-mail address belongs to another identity of your provider; ask the "
                "programme office"
            )
        ) from error
