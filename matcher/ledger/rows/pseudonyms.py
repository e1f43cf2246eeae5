"""People who were trained or found a job: known by pseudonym, so that they can be erased and every total stays.

In: a name and a contact. Out: a pseudonym that stands in the ledger instead. It
exists because entries are never changed while a person may ask to be forgotten:
the name is kept here, apart from the entries, and only here. The same person
gets the same pseudonym again, by a keyed hash of name and identifier that
nobody can undo without the key, which lies outside the database.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import CheckConstraint
from sqlmodel import Field, Session, SQLModel, select

from indexer.instants import Instant
from indexer.plain_text import clean
from indexer.vocabulary import ID_LENGTH_MAX, folded
from indexer.wording import T_
from matcher.ledger.rows.entries import LedgerError

KEY_FILE = "persons.key"


class Person(SQLModel, table=True):
    """A pseudonym and whom it stands for, until the person is erased."""

    __tablename__ = "ledger_person"
    __table_args__ = (
        CheckConstraint("length(digest) = 64", name="digest_is_sha256"),
        CheckConstraint("(erased_at IS NULL) = (name IS NOT NULL)", name="erased_has_no_name"),
        CheckConstraint("erased_at IS NULL OR contact IS NULL", name="erased_has_no_contact"),
    )

    pseudonym: str = Field(primary_key=True)
    digest: str = Field(unique=True)
    name: str | None
    contact: str | None
    registered_by: str = Field(foreign_key="account.id")
    registered_at: datetime = Field(sa_type=Instant)
    erased_at: datetime | None = Field(default=None, sa_type=Instant)
    erased_by: str | None = None


def read_key(home: Path) -> bytes:
    """Return the key of the keyed hash, made at the first use; its file is readable by its owner only."""
    path = home / KEY_FILE
    try:
        with path.open("xb") as file:
            path.chmod(0o600)
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    return path.read_bytes()


def register(
    session: Session, *, key: bytes, name: str, identifier: str, contact: str | None, by: str, now: datetime
) -> str:
    """Return the pseudonym of a person, known or new; the caller commits.

    Args:
        session: its transaction holds all writes.
        key: see `read_key`.
        name: the person's name.
        identifier: what tells people of one name apart, such as a student number or a birthday; it is not stored.
        contact: an address, kept beside the name.
        by: the account that registers the person.
        now: the moment.

    Raises:
        LedgerError: no name or identifier is given.
    """
    shown = clean(name, max_chars=ID_LENGTH_MAX, multiline=False)
    if not shown or not identifier.strip():
        raise LedgerError(T_("give the person's name and what tells people of one name apart"), "person")
    digest = hmac.new(key, f"{folded(shown)}\n{folded(identifier)}".encode(), sha256).hexdigest()
    known = session.exec(select(Person.pseudonym).where(Person.digest == digest)).first()
    if known is not None:
        return known
    kept = None if contact is None else clean(contact, max_chars=ID_LENGTH_MAX, multiline=False)
    person = Person(
        pseudonym=f"p-{digest[:16]}", digest=digest, name=shown, contact=kept, registered_by=by, registered_at=now
    )
    session.add(person)
    session.flush()
    return person.pseudonym


def erase(session: Session, *, pseudonym: str, by: str, now: datetime) -> Person:
    """Forget a person's name and contact; entries keep the pseudonym, totals stay. Erasing twice changes nothing.

    The keyed hash stays, so that the same person is never counted twice; without the key it tells nothing.

    Raises:
        LedgerError: there is no such person.
    """
    person = session.get(Person, pseudonym, with_for_update=True)
    if person is None:
        raise LedgerError(T_("there is no person %(pseudonym)r", pseudonym=pseudonym), "person")
    if person.erased_at is None:
        person.name, person.contact, person.erased_at, person.erased_by = None, None, now, by
        session.add(person)
        session.flush()
    return person
