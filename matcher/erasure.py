"""Forgetting a person: name and contact go, everything that was counted stays.

In: whom, why, and who carries it out. Out: rows without the person, and a row that says that somebody was erased, by
number and not by name. It exists as the one place that knows where the product holds people: those who were trained or
found a job (`matcher.ledger.rows.pseudonyms`), those who sign in (`matcher.review.people`) and the researchers whom a
lab's record names. What is written down of an erasure is enough to repeat it on a database that was restored from an
older copy.

The rows are one half of it: `api.backups.erased_people` ends what lets an account in, and sees to it that no page of
the database's files still holds the old text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.instants import Instant
from indexer.records.import_log import free_before
from indexer.records.record_tables import CONTACT_COLUMNS, Company, Evidence, Lab, note_changes
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.ledger.rows import pseudonyms
from matcher.notices.readers import forget_reader
from matcher.review.conversation.attachments import forget_files_of
from matcher.review.people import Account, active_grants, revoke, set_disabled

TOMBSTONE = "erased"
"""Stands where a name stood."""


class ErasedKind(StrEnum):
    """Who was erased: somebody trained or employed, somebody who signs in, or the researcher of a lab."""

    PERSON = "person"
    ACCOUNT = "account"
    RESEARCHER = "researcher"


_KINDS = ", ".join(f"'{kind.value}'" for kind in ErasedKind)


class ErasureError(ValueError):
    """Nobody can be erased as asked; `field` is to blame."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class Erasure(SQLModel, table=True):
    """That somebody was erased: a pseudonym, or the id of an account or lab. Never updated, never deleted."""

    __tablename__ = "erasure"
    __table_args__ = (
        CheckConstraint(f"kind IN ({_KINDS})", name="kind_known"),
        CheckConstraint("length(reason) > 0", name="for_a_reason"),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    subject: str
    reason: str
    by: str
    at: datetime = Field(sa_type=Instant)


def erase(session: Session, *, kind: ErasedKind, subject: str, reason: str, by: str, now: datetime) -> Erasure:
    """Forget somebody and write down that it was done; the caller commits.

    Args:
        session: its transaction holds all writes.
        kind: what `subject` names.
        subject: a pseudonym of the ledger, or the id of an account or a lab.
        reason: why, without the name.
        by: who carries it out.
        now: the moment.

    Raises:
        ErasureError: no reason is given, or there is nobody of this id.
    """
    if not reason.strip():
        raise ErasureError(T_("say why, without the name"), "reason")
    if not _forget(session, kind, subject, by=by, now=now):
        raise ErasureError(T_("there is no %(kind)s %(subject)r", kind=kind.value, subject=subject), "subject")
    erasure = Erasure(kind=kind.value, subject=subject, reason=reason.strip(), by=by, at=now)
    session.add(erasure)
    session.flush()
    return erasure


def repeat(session: Session, erasures: Iterable[Erasure], *, now: datetime) -> int:
    """Carry erasures out again on a database that may hold the people anew; return how many had somebody to forget."""
    return sum(_forget(session, ErasedKind(one.kind), one.subject, by=one.by, now=now) for one in erasures)


def _forget(session: Session, kind: ErasedKind, subject: str, *, by: str, now: datetime) -> bool:
    if kind is ErasedKind.PERSON:
        if session.get(pseudonyms.Person, subject) is None:
            return False
        pseudonyms.erase(session, pseudonym=subject, by=by, now=now)
        return True
    return (_account if kind is ErasedKind.ACCOUNT else _researcher)(session, subject, by, now)


def _account(session: Session, account_id: str, by: str, now: datetime) -> bool:
    account = session.get(Account, account_id, with_for_update=True)
    if account is None:
        return False
    address = account.email
    # The id stays, since decisions name it; the address is none that mail could reach.
    account.name, account.email, account.phone = TOMBSTONE, f"{account_id}@erased.invalid", ""
    session.add(account)
    _forget_contact(session, address)
    for held in active_grants(session, account_id):
        revoke(session, grant_id=held.id or 0, by=by, now=now)
    set_disabled(session, account_id=account_id, disabled=True, now=now)
    forget_reader(session, account_id=account_id, address=address, now=now)
    # Nobody can look through a drawing for a name: what somebody sent goes with them.
    forget_files_of(session, account_id=account_id)
    return True


def _forget_contact(session: Session, address: str) -> None:
    """Take somebody off the companies that name them as whom to reach."""
    for company in session.exec(select(Company).where(func.lower(Company.contact_email) == address)).all():
        company.contact = company.contact_email = company.contact_phone = ""
        session.add(company)

    def freed(_table: str, was: dict[str, Any]) -> dict[str, Any]:
        theirs = str(was.get("contact_email") or "").lower() == address
        return was | dict.fromkeys(CONTACT_COLUMNS, "") if theirs else was

    # What an import wrote over is kept to be put back, and would bring them back.
    free_before(session, ["company"], freed)


def _researcher(session: Session, lab_id: str, _by: str, _now: datetime) -> bool:
    """Take the researcher's name from the lab, and from every text of its record that repeats it."""
    lab = session.get(Lab, lab_id, with_for_update=True)
    if lab is None:
        return False
    name = lab.pi.strip()
    evidence = session.exec(select(Evidence).where(Evidence.lab_id == lab_id)).all()
    for record in (lab, *evidence):
        # A name of one character is part of too many words.
        for column, value in _texts(record) if len(name) > 1 else ():
            setattr(record, column, _freed(value, name))
        session.add(record)
    lab.pi = ""
    lab.other = _freed(lab.other, name) if len(name) > 1 else lab.other

    if len(name) > 1:
        free_before(session, ["lab", "evidence"], lambda _, was: _without(was, name), of=lab_id)
    forget_files_of(session, lab_id=lab_id)
    note_changes(session, Kind.LABS, [lab_id])
    session.flush()
    return True


_CODED = {"id", "lab_id", "school", "kind", "fields", "offers", "languages", "links"}


def _texts(record: SQLModel) -> list[tuple[str, Any]]:
    """Return what people wrote in a record, by column: texts and lists of them, but no id and no code."""
    values = record.model_dump()
    return [(name, value) for name, value in values.items() if name not in _CODED and isinstance(value, str | list)]


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a row as it is noted, without a name."""
    head = {"pi": ""} if str(row.get("pi", "")).strip() == name else {}
    return {key: value if key in _CODED else _freed(value, name) for key, value in row.items()} | head


def _freed(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return value.replace(name, TOMBSTONE)
    if isinstance(value, dict):
        return {key: _freed(item, name) for key, item in value.items()}
    return [_freed(item, name) for item in value] if isinstance(value, list) else value


def erasures(session: Session) -> list[Erasure]:
    """Return all erasures, oldest first."""
    return list(session.exec(select(Erasure).order_by(col(Erasure.id))).all())
