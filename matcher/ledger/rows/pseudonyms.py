"""People who were trained or found a job: known by pseudonym, so that they can be erased and every total stays.

In: a name, a number and a contact. Out: a pseudonym that stands in the ledger instead. It exists because entries are
never changed while a person may ask to be forgotten: the name is kept here, apart from the entries, and only here. The
same person gets the same pseudonym again, by a keyed hash of name and number that nobody can undo without the key,
which lies outside the database. Neither the order of a name's parts nor how a number is written (學號:B0612345,
b 0612345) makes somebody else of a person; a number that is known under another name is told, and what is reported for
either is held until somebody has looked.

With another key everybody would be somebody else, and be counted again. So the key is written whole or not at all, its
fingerprint lies in the database, and a key that is missing, cut off or foreign is refused with what to do.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import aliased
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.disk import sync, write_synced
from indexer.folding import for_people, for_serials
from indexer.instants import Instant
from indexer.plain_text import clean
from indexer.vocabulary import ID_LENGTH_MAX, folded
from indexer.wording import T_
from matcher.ledger.rows.entries import LedgerError

KEY_FILE = "persons.key"
KEY_BYTES = 32


class PersonsKeyError(LedgerError):
    """The key of the pseudonyms can't be the right one; the message says what to do."""


class Person(SQLModel, table=True):
    """A pseudonym and whom it stands for, until the person is erased. `number_digest` finds one number's people."""

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
    number_digest: str | None = Field(default=None, index=True)


class PersonKey(SQLModel, table=True):
    """The fingerprint of the one key by which everybody here is known: one row, never updated, never deleted."""

    __tablename__ = "ledger_person_key"
    __table_args__ = (CheckConstraint("length(fingerprint) = 64", name="fingerprint_is_sha256"),)

    fingerprint: str = Field(primary_key=True)
    noted_at: datetime = Field(sa_type=Instant)


def fingerprint_of(key: bytes) -> str:
    """Return what tells a key from others and gives nothing of it away."""
    return sha256(b"gloria persons.key\n" + key).hexdigest()


def make_key(home: Path) -> bytes:
    """Return the key of the keyed hash, made if there is no file; the file is whole, and its owner's only.

    Raises:
        PersonsKeyError: the file holds something else than a key.
    """
    path = home / KEY_FILE
    if not path.exists():
        partial = home / f".{KEY_FILE}.{secrets.token_hex(8)}"
        try:
            partial.touch(mode=0o600)
            write_synced(partial, secrets.token_bytes(KEY_BYTES))
            # A second process that was as quick finds the name taken and reads what the first one wrote.
            os.link(partial, path)
            sync(home)
        except FileExistsError:
            pass
        finally:
            partial.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise _damaged(len(key))
    return key


def read_key(session: Session, home: Path) -> bytes:
    """Return the key by which everybody here is known; the first time it is made.

    Raises:
        PersonsKeyError: it is missing although people are registered, is damaged, or is another home's.
    """
    problem = key_problem(session, home)
    if problem is not None:
        raise problem
    return make_key(home)


def key_problem(session: Session, home: Path) -> PersonsKeyError | None:
    """Return what is wrong with the key, None if it is the right one or nobody needs one yet."""
    noted = session.exec(select(PersonKey.fingerprint)).first()
    try:
        key = (home / KEY_FILE).read_bytes()
    except FileNotFoundError:
        needed = noted is not None or session.exec(select(Person.pseudonym).limit(1)).first() is not None
        return _missing() if needed else None
    if len(key) != KEY_BYTES:
        return _damaged(len(key))
    return None if noted in (None, fingerprint_of(key)) else _foreign()


def is_unnoted(session: Session, home: Path) -> bool:
    """Whether there is a key whose fingerprint nobody has noted, as earlier releases left it."""
    return (home / KEY_FILE).exists() and session.exec(select(PersonKey.fingerprint)).first() is None


def note_key(session: Session, key: bytes, now: datetime) -> None:
    """Note the key's fingerprint the first time; the caller commits.

    Raises:
        PersonsKeyError: another key is noted.
    """
    noted = session.exec(select(PersonKey.fingerprint)).first()
    if noted is None:
        session.add(PersonKey(fingerprint=fingerprint_of(key), noted_at=now))
        session.flush()
    elif noted != fingerprint_of(key):
        raise _foreign()


def _missing() -> PersonsKeyError:
    return PersonsKeyError(
        T_(
            "%(file)s is missing although people are registered: with a new one they would be counted again; put it "
            "back from the newest good backup",
            file=KEY_FILE,
        )
    )


def _damaged(bytes_found: int) -> PersonsKeyError:
    return PersonsKeyError(
        T_(
            "%(file)s is damaged: it has %(found)s bytes, not %(wanted)s; put it back from the newest good backup",
            file=KEY_FILE,
            found=bytes_found,
            wanted=KEY_BYTES,
        )
    )


def _foreign() -> PersonsKeyError:
    return PersonsKeyError(
        T_(
            "%(file)s is not the key by which people are known here; put the right one back from a backup of this home",
            file=KEY_FILE,
        )
    )


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
        PersonsKeyError: the key is not the one by which people are known here.
    """
    shown = clean(name, max_chars=ID_LENGTH_MAX, multiline=False)
    number = for_serials(identifier)
    if not shown or not number:
        raise LedgerError(T_("give the person's name and what tells people of one name apart"), "person")
    note_key(session, key, now)
    digest = _digest(key, f"person\n{for_people(shown)}\n{number}")
    older = [_digest(key, spelling) for spelling in _older_spellings(shown, identifier, number)]
    known = session.exec(select(Person).where(col(Person.digest).in_([digest, *older]))).all()
    number_digest = _digest(key, f"number\n{number}") if _is_ones_own(number) else None
    if known:
        person = next((one for one in known if one.digest == digest), known[0])
        if person.number_digest is None and number_digest is not None:
            person.number_digest = number_digest
            session.add(person)
            session.flush()
        return person.pseudonym
    kept = None if contact is None else clean(contact, max_chars=ID_LENGTH_MAX, multiline=False)
    person = Person(
        pseudonym=f"p-{digest[:16]}",
        digest=digest,
        name=shown,
        contact=kept,
        registered_by=by,
        registered_at=now,
        number_digest=number_digest,
    )
    session.add(person)
    session.flush()
    return person.pseudonym


def same_number(session: Session, pseudonym: str) -> list[str]:
    """Return the other people who are registered with a person's number, under other names."""
    mine = select(Person.number_digest).where(Person.pseudonym == pseudonym).scalar_subquery()
    query = select(Person.pseudonym).where(Person.number_digest == mine, Person.pseudonym != pseudonym)
    return sorted(session.exec(query).all())


def numbers_shared(session: Session) -> Sequence[tuple[str, str, datetime]]:
    """Return who registered a person whose number was known under another name: by whom, the other's by whom, when."""
    other = aliased(Person)
    query = (
        select(Person.registered_by, other.registered_by, Person.registered_at)
        .join(other, col(other.number_digest) == col(Person.number_digest))
        .where(col(other.pseudonym) != col(Person.pseudonym), col(other.registered_at) < col(Person.registered_at))
    )
    return [(str(by), str(others), at) for by, others, at in session.exec(query).all()]


def _digest(key: bytes, said: str) -> str:
    return hmac.new(key, said.encode(), sha256).hexdigest()


def _older_spellings(name: str, identifier: str, number: str) -> Iterator[str]:
    """Yield what earlier releases hashed of the same person: they took the identifier as it was written."""
    for spelling in {folded(identifier), number, *(folded(f"{word}{number}") for word in ("學號", "學號:", "學號: "))}:
        yield f"{folded(name)}\n{spelling}"


_LONG_ENOUGH = 6
_DAY = re.compile(r"((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})")


def _is_ones_own(number: str) -> bool:
    """Whether a number is one person's alone, as a student number is and a birthday is not."""
    digits = sum(character.isdigit() for character in number)
    if len(number) < _LONG_ENOUGH or digits < _LONG_ENOUGH - 2 or (number.isdigit() and len(number) == _LONG_ENOUGH):
        return False
    day = _DAY.fullmatch(number)
    if day is None:
        return True
    try:
        date(*map(int, day.groups()))
    except ValueError:
        return True
    return False


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
