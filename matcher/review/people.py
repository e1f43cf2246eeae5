"""Who works with the product, in which role, and what they have a stake in.

In: what the programme office and the people themselves state. Out: accounts, grants (a role within one alliance,
company or lab), declared stakes and ties (who made, granted or keyed whose account); and a refusal where a change
would leave nobody in the programme office, whatever happens at the same time. It exists below decisions and cases
because each of those names who did it. Only the office gives roles: were its last account gone, nobody could let
anybody in over HTTP any more. Nobody gives a role to the own account, and an account is a person's or a program's for
good: one that ever had a key from somebody else is no person. Passwords and keys are not here: how a person proves to
be one is a matter of the server. Roles are those of the Ministry's plan.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    CompoundSelect,
    Index,
    String,
    UniqueConstraint,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    text,
    union_all,
)
from sqlalchemy import select as select_columns
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from indexer.folding import for_logins, for_names, tax_ids_in
from indexer.instants import Instant
from indexer.plain_text import TextError, clean
from indexer.records.mended.merged import RecordMerge, kept_id
from indexer.records.record_tables import Alliance, Company, Lab
from indexer.records.values import FieldError
from indexer.records.values import phone as phone_number
from indexer.vocabulary import ID_LENGTH_MAX, Mendable
from indexer.wording import T_
from matcher.review.roles import Role

MAX_EMAIL = 254


SCOPE_OF: dict[Role, type[SQLModel] | None] = {
    Role.EXPERT: Alliance,
    Role.LEAD: Alliance,
    Role.COMMITTEE: Alliance,
    Role.COMPANY: Company,
    Role.RESEARCHER: Lab,
    Role.OFFICE: None,
    Role.JOB: None,
}
"""What a role is held in; None for roles that are held in the programme as a whole."""

_SCOPED = ", ".join(f"'{role.value}'" for role, scope in SCOPE_OF.items() if scope is not None)
_ALL = ", ".join(f"'{role.value}'" for role in Role)


FOR_TWO = (Role.OFFICE, Role.COMMITTEE)
"""Roles that one person alone gives to nobody: who holds them decides what counts."""


class PeopleError(ValueError):
    """An account, a grant or a stake can't be made as asked; `field` is to blame."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class SamePersonError(PeopleError):
    """It takes somebody else, or an account that is a person's; the message says which."""


class Account(SQLModel, table=True):
    """A person or a program that may sign in. Never deleted: what it decided names it."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("length(email) > 0 AND email = lower(email)", name="email_lower"),)

    id: str = Field(primary_key=True)
    email: str = Field(unique=True)
    name: str
    created_at: datetime = Field(sa_type=Instant)
    disabled_at: datetime | None = Field(default=None, sa_type=Instant)
    phone: str = Field(default="", sa_column=Column(String, nullable=False, server_default=""))
    """Under which number they want to be called; empty if they do not say."""


class Grant(SQLModel, table=True):
    """A role that an account holds in one alliance, company or lab (`scope_id`), or in the whole programme ("")."""

    __tablename__ = "role_grant"
    __table_args__ = (
        CheckConstraint(f"role IN ({_ALL})", name="role_known"),
        CheckConstraint(f"(role IN ({_SCOPED})) = (scope_id <> '')", name="scope_fits_role"),
        Index(
            "ix_role_grant_active",
            "account_id",
            "role",
            "scope_id",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id")
    role: str
    scope_id: str = ""
    granted_at: datetime = Field(sa_type=Instant)
    granted_by: str | None
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    revoked_by: str | None = None
    motion_id: int | None = None
    """The motion of two people by which it was given, where it took one."""


class Hand(StrEnum):
    """What somebody had a hand in, on another one's account."""

    MADE = "made"
    GRANTED = "granted"
    KEYED = "keyed"


class AccountTie(SQLModel, table=True):
    """That somebody made, granted or keyed another one's account: never updated, never deleted.

    Two accounts that are tied may be one human's, so neither is a second person to the other.
    """

    __tablename__ = "account_tie"
    __table_args__ = (
        CheckConstraint("how IN ('made', 'granted', 'keyed')", name="how_known"),
        CheckConstraint("by <> account_id", name="of_two_accounts"),
        UniqueConstraint("account_id", "by", "how", name="one_of_a_kind"),
    )

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id")
    by: str = Field(foreign_key="account.id", index=True)
    how: str
    at: datetime = Field(sa_type=Instant)


class Stake(SQLModel, table=True):
    """A declared interest in a company or a lab: its owner may neither see nor decide that party's pairings."""

    __tablename__ = "stake"
    __table_args__ = (
        CheckConstraint("party IN ('company', 'lab')", name="party_known"),
        CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_for_a_reason"),
        Index(
            "ix_stake_active",
            "account_id",
            "party",
            "party_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    account_id: str = Field(foreign_key="account.id")
    party: str
    party_id: str
    declared_at: datetime = Field(sa_type=Instant)
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None
    end_reason: str | None = None


@dataclass(frozen=True)
class Principal:
    """Who asks: an account with the grants and stakes that hold at this moment."""

    id: str
    name: str
    grants: frozenset[tuple[Role, str]]
    stakes: frozenset[tuple[str, str]]

    def scopes(self, *roles: Role) -> frozenset[str]:
        """Return the ids of the alliances, companies or labs in which any of the roles is held."""
        return frozenset(scope for role, scope in self.grants if role in roles)

    def holds(self, *roles: Role) -> bool:
        """Whether any of the roles is held anywhere."""
        return any(role in roles for role, _ in self.grants)

    def has_stake(self, *, company_id: str | None, lab_id: str | None) -> bool:
        """Whether a declared interest bars this person from a pairing of the company and the lab."""
        return ("company", company_id) in self.stakes or ("lab", lab_id) in self.stakes


_IN_USE = (col(Account.id) == bindparam("account_id"), col(Account.disabled_at).is_(None))
# A role in a lab or company that was merged is one in the record that is kept; grants themselves never change.
_SCOPE_KEPT = and_(
    col(RecordMerge.gone_id) == col(Grant.scope_id),
    col(RecordMerge.undone_at).is_(None),
    or_(
        and_(col(Grant.role) == Role.RESEARCHER.value, col(RecordMerge.kind) == Mendable.LAB.value),
        and_(col(Grant.role) == Role.COMPANY.value, col(RecordMerge.kind) == Mendable.COMPANY.value),
    ),
)
# An interest holds in every record that was made one with the party: what stands under an old id is the party's too.
_Own, _Other = aliased(RecordMerge), aliased(RecordMerge)


def of_person(account: Any, who: Any) -> ColumnElement[bool]:
    """Return the condition that an account is that of a person, or one that was merged into it."""
    merged = select(RecordMerge.gone_id).where(
        RecordMerge.kind == Mendable.PERSON.value, col(RecordMerge.kept_id) == who, col(RecordMerge.undone_at).is_(None)
    )
    return or_(account == who, account.in_(merged.correlate_except(RecordMerge)))


# An interest that somebody declared under another account binds them under this one.
_HELD_STAKE = and_(of_person(col(Stake.account_id), col(Account.id)), col(Stake.ended_at).is_(None))
_PARTY_KEPT = and_(
    col(_Own.kind) == col(Stake.party), col(_Own.gone_id) == col(Stake.party_id), col(_Own.undone_at).is_(None)
)
_KEPT_PARTY = func.coalesce(col(_Own.kept_id), col(Stake.party_id))
_PARTY_TOO = and_(
    col(_Other.kind) == col(Stake.party), col(_Other.kept_id) == _KEPT_PARTY, col(_Other.undone_at).is_(None)
)
_STAKE: ColumnElement[str] = literal_column("'stake'")
# Built once and asked in one go, since every request asks it. An account without any grant gives one row.
_STANDING: CompoundSelect[Any] = union_all(
    select_columns(
        col(Account.name).label("name"),
        literal_column("'grant'").label("what"),
        col(Grant.role).label("kind"),
        func.coalesce(col(RecordMerge.kept_id), col(Grant.scope_id)).label("scope"),
    )
    .join(Grant, (col(Grant.account_id) == col(Account.id)) & col(Grant.revoked_at).is_(None), isouter=True)
    .join(RecordMerge, _SCOPE_KEPT, isouter=True)
    .where(*_IN_USE),
    select_columns(col(Account.name), _STAKE, col(Stake.party), col(Stake.party_id))
    .select_from(Account)
    .join(Stake, _HELD_STAKE)
    .where(*_IN_USE),
    select_columns(col(Account.name), _STAKE, col(Stake.party), _KEPT_PARTY)
    .select_from(Account)
    .join(Stake, _HELD_STAKE)
    .join(_Own, _PARTY_KEPT)
    .where(*_IN_USE),
    select_columns(col(Account.name), _STAKE, col(Stake.party), col(_Other.gone_id))
    .select_from(Account)
    .join(Stake, _HELD_STAKE)
    .join(_Own, _PARTY_KEPT, isouter=True)
    .join(_Other, _PARTY_TOO)
    .where(*_IN_USE),
)


def principal(session: Session, account_id: str) -> Principal | None:
    """Return the account as it stands now; None if it does not exist or is disabled."""
    rows = session.connection().execute(_STANDING, {"account_id": account_id}).all()
    if not rows:
        return None
    return Principal(
        id=account_id,
        name=rows[0].name,
        grants=frozenset((Role(row.kind), row.scope) for row in rows if row.what == "grant" and row.kind is not None),
        stakes=frozenset((row.kind, row.scope) for row in rows if row.what == "stake"),
    )


def add_account(session: Session, *, email: str, name: str, now: datetime, by: str | None = None) -> Account:
    """Make an account without any role; `by` is the account that makes it, None for whoever runs the machine.

    Raises:
        PeopleError: the address is not one, or is taken.
    """
    address = _email(email)
    account = Account(id=f"u-{secrets.token_hex(8)}", email=address, name=_name(name) or address, created_at=now)
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError as error:
        raise PeopleError("email", T_("%(address)s has an account already", address=address)) from error
    tie(session, account_id=account.id, by=by, how=Hand.MADE, now=now)
    return account


def tie(session: Session, *, account_id: str, by: str | None, how: Hand, now: datetime) -> None:
    """Write down that somebody had a hand in another one's account; the own and the operator's hand leave no tie.

    Raises:
        SamePersonError: a key for an account that ever held a role for people.
    """
    if by is None or by == account_id:
        return
    people = (Grant.account_id == account_id, Grant.role != Role.JOB.value)
    if how is Hand.KEYED and session.exec(select(Grant.id).where(*people)).first() is not None:
        raise SamePersonError(
            "account", T_("this account held a role for people; a key from somebody else is for programs only")
        )
    same = (AccountTie.account_id == account_id, AccountTie.by == by, AccountTie.how == how.value)
    if session.exec(select(AccountTie.id).where(*same)).first() is None:
        session.add(AccountTie(account_id=account_id, by=by, how=how.value, at=now))
        session.flush()


def rename(session: Session, *, account_id: str, name: str) -> Account:
    """Give an account another name; an empty one makes it go by its address.

    Raises:
        PeopleError: there is no such account, or the name is not text.
    """
    account = _held(session, account_id)
    account.name = _name(name) or account.email
    session.add(account)
    session.flush()
    return account


def set_phone(session: Session, *, account_id: str, phone: str) -> Account:
    """Note under which number somebody wants to be called; an empty one takes it away.

    Raises:
        PeopleError: there is no such account, or it is no telephone number.
    """
    account = _held(session, account_id)
    try:
        account.phone = phone_number(phone) if phone.strip() else ""
    except FieldError as error:
        raise PeopleError("phone", T_("%(wrong)s; %(right)s", wrong=error.wrong, right=error.right)) from error
    session.add(account)
    session.flush()
    return account


def _name(given: str) -> str:
    try:
        return clean(given, max_chars=ID_LENGTH_MAX, multiline=False)
    except TextError as error:
        raise PeopleError("name", str(error)) from error


def mail_address(given: str) -> str:
    """Return a mail address as accounts have it.

    Raises:
        PeopleError: it is none.
    """
    return _email(given)


def _email(given: str) -> str:
    try:
        address = for_logins(clean(given, max_chars=MAX_EMAIL, multiline=False))
    except TextError as error:
        raise PeopleError("email", str(error)) from error
    name, at, host = address.partition("@")
    if not (name and at and "." in host) or any(c.isspace() for c in address) or "@" in host:
        raise PeopleError(
            "email", T_("%(address)r is not an e-mail address; give one such as name@example.org", address=address)
        )
    return address


# Built once: every decision on an entry asks it.
_WHO: ColumnElement[str] = bindparam("who")
_TIES = union_all(
    select_columns(col(AccountTie.account_id), col(AccountTie.by)).where(
        or_(of_person(col(AccountTie.account_id), _WHO), of_person(col(AccountTie.by), _WHO))
    ),
    select_columns(col(RecordMerge.gone_id), col(RecordMerge.kept_id)).where(
        col(RecordMerge.kind) == Mendable.PERSON.value,
        col(RecordMerge.undone_at).is_(None),
        or_(col(RecordMerge.gone_id) == _WHO, col(RecordMerge.kept_id) == _WHO),
    ),
)


def tied_to(session: Session, account_id: str) -> frozenset[str]:
    """Return the accounts that somebody made, granted or keyed, those that did so to theirs, and their other ones."""
    rows = session.execute(_TIES, {"who": account_id}).all()
    return frozenset(one for row in rows for one in row) - {account_id}


def grant(
    session: Session,
    *,
    account_id: str,
    role: Role,
    scope_id: str = "",
    by: str | None,
    now: datetime,
    motion_id: int | None = None,
) -> Grant:
    """Give an account a role; giving it twice changes nothing.

    Args:
        session: its transaction holds the account.
        account_id: who gets it.
        role: the role.
        scope_id: the alliance, company or lab, where the role is held in one.
        by: the account that gives it, None for whoever runs the machine.
        now: the moment.
        motion_id: the motion that two people agreed to; one of `FOR_TWO` is not given by one person without.

    Raises:
        PeopleError: there is no such account, alliance, company or lab, or the role takes none.
        SamePersonError: it is the own account, a program's, or it takes a second person.
    """
    must_be_grantable(session, account_id=account_id, role=role, scope_id=scope_id, by=by)
    if role in FOR_TWO and by is not None and motion_id is None:
        raise SamePersonError("role", T_("two people give the role %(role)s: one moves it, another agrees", role=role))
    held = session.exec(_active(account_id).where(Grant.role == role.value, Grant.scope_id == scope_id)).first()
    if held is not None:
        return held
    given = Grant(
        account_id=account_id, role=role.value, scope_id=scope_id, granted_at=now, granted_by=by, motion_id=motion_id
    )
    session.add(given)
    session.flush()
    tie(session, account_id=account_id, by=by, how=Hand.GRANTED, now=now)
    return given


def must_be_grantable(session: Session, *, account_id: str, role: Role, scope_id: str, by: str | None) -> None:
    """Let a role be given only if the account may have it from somebody; the account is held.

    Raises:
        PeopleError: there is no such account, alliance, company or lab, or the role takes none.
        SamePersonError: it is the own account, or one that had a key from somebody else and so is a program's.
    """
    _held(session, account_id)
    if by == account_id:
        raise SamePersonError("account", T_("nobody gives a role to the own account; ask a colleague"))
    keyed = (AccountTie.account_id == account_id, AccountTie.how == Hand.KEYED.value)
    if role is not Role.JOB and session.exec(select(AccountTie.id).where(*keyed)).first() is not None:
        raise SamePersonError(
            "account", T_("this account had a key from somebody else; it is a program's and gets no role for people")
        )
    model = SCOPE_OF[role]
    if model is None and scope_id:
        raise PeopleError(
            "scope", T_("the role %(role)s is held in the whole programme; leave the scope empty", role=role)
        )
    if model is not None and session.get(model, scope_id) is None:
        kind = model.__name__.lower()
        raise PeopleError(
            "scope",
            T_(
                "there is no %(kind)s %(scope_id)r; the role %(role)s is held in one %(kind)s",
                kind=kind,
                scope_id=scope_id,
                role=role,
            ),
        )


def _held(session: Session, account_id: str) -> Account:
    """Return an account, held until the transaction ends: what is added to it is added by one writer at a time."""
    # Not against references: whoever names the account in another row need not wait.
    account = session.get(Account, account_id, with_for_update={"key_share": True})
    if account is None:
        raise PeopleError("account", T_("there is no account %(account_id)r", account_id=account_id))
    return account


def revoke(session: Session, *, grant_id: int, by: str, now: datetime) -> None:
    """Take a role back; it stays on record with its dates.

    Raises:
        PeopleError: there is no such grant, or it was taken back before.
    """
    held = session.get(Grant, grant_id, with_for_update=True)
    if held is None or held.revoked_at is not None:
        raise PeopleError("grant", T_("there is no active grant %(grant_id)s", grant_id=grant_id))
    held.revoked_at, held.revoked_by = now, by
    session.add(held)
    session.flush()


def active_grants(session: Session, account_id: str) -> Sequence[Grant]:
    """Return the grants that an account holds now, oldest first."""
    return session.exec(_active(account_id).order_by(col(Grant.id))).all()


def _active(account_id: str) -> SelectOfScalar[Grant]:
    return select(Grant).where(Grant.account_id == account_id, col(Grant.revoked_at).is_(None))


def set_disabled(session: Session, *, account_id: str, disabled: bool, now: datetime) -> Account:
    """Shut an account out, or let it in again.

    Raises:
        PeopleError: there is no such account, or it was merged into another one and can't be let in.
    """
    account = _held(session, account_id)
    if not disabled and (kept := kept_id(session, Mendable.PERSON, account_id)) is not None:
        raise PeopleError("account", T_("it was merged into %(kept)s; undo that instead", kept=kept))
    if disabled != (account.disabled_at is not None):
        account.disabled_at = now if disabled else None
        session.add(account)
        session.flush()
    return account


def declare_stake(session: Session, *, account_id: str, party: str, party_id: str, now: datetime) -> Stake:
    """Declare an interest in a company or a lab; declaring it twice changes nothing.

    Args:
        session: the transaction.
        account_id: whose interest it is.
        party: `company` or `lab`.
        party_id: its id, its whole name in either language and script, or a company's 統一編號: people know no ids.
        now: the moment.

    Raises:
        PeopleError: there is no such company or lab, or several are called that.
    """
    party_id = _party_called(session, party, party_id)
    _held(session, account_id)
    same = (Stake.account_id == account_id, Stake.party == party, Stake.party_id == party_id)
    held = session.exec(select(Stake).where(*same, col(Stake.ended_at).is_(None))).first()
    if held is not None:
        return held
    stake = Stake(account_id=account_id, party=party, party_id=party_id, declared_at=now)
    session.add(stake)
    session.flush()
    return stake


def _party_called(session: Session, party: str, said: str) -> str:
    """Return the id of the company or lab that is meant.

    Raises:
        PeopleError: there is none, or there are several.
    """
    models: dict[str, type[Company] | type[Lab]] = {"company": Company, "lab": Lab}
    if party not in models:
        raise PeopleError("party", T_("name a company or a lab"))
    model = models[party]
    if session.get(model, said) is not None:
        return said
    wanted, numbers = for_names(said), tax_ids_in(said)
    if party == "company" and numbers:
        found = list(session.exec(select(Company.id).where(col(Company.tax_id).in_(numbers))).all())
    else:
        rows = session.exec(select(model.id, model.name, model.name_en)).all()
        found = [row[0] for row in rows if any(for_names(name) == wanted for name in row[1:] if name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise PeopleError("party_id", T_("nothing is called that; give its whole name, or a company's tax id"))
    raise PeopleError("party_id", T_("%(n)s are called that; give the tax id or the id", n=len(found)))


def end_stake(session: Session, *, stake_id: int, by: str, reason: str, now: datetime) -> Stake:
    """End a declared interest for a reason, which stays on record; who may do so is decided by the caller.

    Raises:
        PeopleError: there is no such stake, it has ended, or no reason is given.
    """
    if not reason.strip():
        raise PeopleError("reason", T_("say why the interest no longer exists; it stays on record"))
    stake = session.get(Stake, stake_id, with_for_update=True)
    if stake is None or stake.ended_at is not None:
        raise PeopleError("stake", T_("there is no active stake %(stake_id)s", stake_id=stake_id))
    stake.ended_at, stake.ended_by, stake.end_reason = now, by, reason
    session.add(stake)
    session.flush()
    return stake


def may_be_first(session: Session, role: Role) -> bool:
    """Whether whoever runs the machine may give a role of `FOR_TWO`: fewer than two people in use hold it.

    From then on there are two to agree, and nobody outside of the programme lets anybody in who decides.
    """
    held = (Grant.role == role.value, col(Grant.revoked_at).is_(None), col(Account.disabled_at).is_(None))
    query = select(Account.id).join(Grant, col(Grant.account_id) == col(Account.id)).where(*held)
    return len(set(session.exec(query).all())) < 2


class LastOfficeError(PeopleError):
    """The programme office would be left without anybody."""

    def __init__(self) -> None:
        super().__init__("account", "nobody would be left in the programme office; give somebody else the role first")


def leave_an_office(session: Session, *, without: str) -> None:
    """Let a change go on only if the office has an enabled account beside `without`.

    All the office's rows are held until the transaction ends, in one order: of two that would shut each other out,
    the second waits for the first and then finds itself alone. Call it before anything else is held.

    Raises:
        LastOfficeError: there is no other.
    """
    held = (Grant.role == Role.OFFICE.value, col(Grant.revoked_at).is_(None), col(Account.disabled_at).is_(None))
    query = select(Account.id).join(Grant, col(Grant.account_id) == col(Account.id)).where(*held)
    found = session.exec(query.order_by(col(Account.id), col(Grant.id)).with_for_update(key_share=True)).all()
    if not set(found) - {without}:
        raise LastOfficeError
