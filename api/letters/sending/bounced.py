"""Mail that comes back after a server had taken it: which letter it was, and whether its address is no use any more.

In: returned messages (RFC 3464), from files, from a folder or from a mailbox (IMAP). Out: the letters of ours that they
speak of, noted as refused; addresses that are unknown for good, marked, and whoever looks after their owners told. It
exists because most servers accept first and find out later. Anybody can write to the mailbox that mail comes back to,
so a message counts only if it names the id of a letter of ours, which nobody knows but the letter's own reader; what
else it says of addresses is not believed.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine
from sqlmodel import Session, select

from api.letters.sending.delivering import mark_refused
from api.letters.sending.smtp import TIMEOUT_S, MailError, why
from indexer.database import writing
from indexer.settings import Settings
from indexer.wording import T_
from matcher.notices.outbox import Channel, Letter, SendingState
from matcher.review.people import Account

MAX_BYTES = 10 * 2**20
MOST_AT_ONCE = 1_000
"""So many messages are read in one night; the rest in the next."""
READ = ".read"
"""What the name of a file in the folder ends in, once it was read."""
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_UID = re.compile(r"<([0-9a-f]{32})@")
_ABOUT_THE_LETTER = re.compile(r"5\.(7|6)\.|5\.2\.[23]|5\.3\.[234]|4\.")
"""Statuses that say nothing against the address: refused for what it says or how large it is, a full mailbox."""


@dataclass(frozen=True)
class ReturnedMail:
    """What a returned message says: the ids of ours that it names, and the statuses of those whom it did not reach."""

    letters: tuple[str, ...]
    statuses: tuple[str, ...]


@dataclass
class Returned:
    """What came of some returned messages: addresses that were marked, letters noted, messages that were none of ours.

    `problem` is why the place where they lie could not be read, None if it could.
    """

    addresses: list[str]
    letters: int = 0
    others: int = 0
    problem: str | None = None


def returned_mail(content: bytes) -> ReturnedMail | None:
    """Return what a message says that came back; None if it is none, or says of nobody that he was not reached."""
    # The default policy parses headers of strangers and stumbles over some; this one takes them as they are.
    message = message_from_bytes(content, policy=policy.compat32)
    statuses = tuple(
        status
        for part in message.walk()
        if part.get_content_type() == "message/delivery-status" and part.is_multipart()
        for status in _failed(part.get_payload())
    )
    letters = tuple(dict.fromkeys(uid for part in _originals(message) for uid in _UID.findall(part)))
    return ReturnedMail(letters, statuses) if statuses else None


def _failed(blocks: Any) -> Iterator[str]:
    for block in blocks:
        status = str(block.get("Status", "")).strip()[:20]
        if str(block.get("Action", "")).strip().lower() == "failed" and status:
            yield status


def _originals(message: Message) -> Iterator[str]:
    """Yield the Message-ID of each letter that a returned message has in it, whole or its head alone."""
    for part in message.walk():
        kind = part.get_content_type()
        if kind == "message/rfc822" and part.is_multipart():
            inner: Any = part.get_payload()
            yield from (str(one.get("Message-ID", "")) for one in inner)
        elif kind == "text/rfc822-headers":
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                yield str(message_from_bytes(content, policy=policy.compat32).get("Message-ID", ""))


def note_returned(session: Session, contents: Iterable[bytes], *, now: datetime) -> Returned:
    """Note what some returned messages say; the caller commits."""
    done = Returned([])
    for content in contents:
        said = returned_mail(content)
        letters = [] if said is None else _letters(session, said.letters)
        if said is None or not letters:
            done.others += 1
            continue
        status = said.statuses[0]
        for letter in letters:
            done.letters += 1
            letter.state, letter.said = SendingState.REFUSED.value, f"returned {status}"
            session.add(letter)
            address = _address_of(session, letter.reader)
            if address is not None and not _ABOUT_THE_LETTER.match(status):
                mark_refused(session, address=address, said=status, now=now)
                done.addresses.append(address)
    session.flush()
    done.addresses = list(dict.fromkeys(done.addresses))
    return done


def _letters(session: Session, uids: Iterable[str]) -> list[Letter]:
    found = []
    for uid in uids:
        letter = session.exec(select(Letter).where(Letter.uid == uid, Letter.channel == Channel.MAIL.value)).first()
        # One that was noted already is not told of again.
        if letter is not None and letter.state == SendingState.SENT.value:
            found.append(letter)
    return found


def _address_of(session: Session, reader: str) -> str | None:
    if "@" in reader:
        return reader
    return session.exec(select(Account.email).where(Account.id == reader)).first()


def read_returned(engine: Engine, settings: Settings, *, now: datetime) -> Returned:
    """Read what lies where mail comes back to, by the settings; nothing where none is set."""
    place = settings.returned_mail.get_secret_value()
    if not place:
        return Returned([])
    try:
        if "://" in place:
            return _from_mailbox(engine, place, now)
        return _from_folder(engine, Path(place), now)
    except (MailError, OSError) as error:
        return Returned([], problem=str(error) if isinstance(error, MailError) else why(error))


def _from_folder(engine: Engine, folder: Path, now: datetime) -> Returned:
    paths = sorted(folder.glob("*.eml"))[:MOST_AT_ONCE]
    if not folder.is_dir():
        raise MailError(T_("%(server)s: %(error)s", server=str(folder), error="no such folder"))
    contents = [path.read_bytes() if path.stat().st_size <= MAX_BYTES else b"" for path in paths]
    with writing(engine) as session:
        done = note_returned(session, contents, now=now)
    # What was noted twice changes nothing, so the name changes after it is stored.
    for path in paths:
        path.replace(path.with_name(path.name + READ))
    return done


def _from_mailbox(engine: Engine, place: str, now: datetime) -> Returned:
    parts = urlsplit(place)
    name = f"{parts.hostname or ''}:{parts.port or (993 if parts.scheme == 'imaps' else 143)}"
    try:
        with _opened(place, name) as box:
            numbers = _asked(box.search(None, "UNSEEN"), name)[0].split()[:MOST_AT_ONCE]
            contents = {number: _message(box, number, name) for number in numbers}
            with writing(engine) as session:
                done = note_returned(session, contents.values(), now=now)
            # Read by us, whatever they were: the next night begins with what is new.
            for number in contents:
                box.store(number.decode(), "+FLAGS", "(\\Seen)")
            return done
    except imaplib.IMAP4.error as error:
        raise MailError(T_("%(server)s: %(error)s", server=name, error=type(error).__name__)) from error


def _message(box: imaplib.IMAP4, number: bytes, name: str) -> bytes:
    got = _asked(box.fetch(number.decode(), f"(BODY.PEEK[]<0.{MAX_BYTES}>)"), name)
    return next((part[1] for part in got if isinstance(part, tuple)), b"")


def _asked(reply: tuple[str, list[Any]], name: str) -> list[Any]:
    status, data = reply
    if status != "OK":
        raise MailError(T_("%(server)s: %(error)s", server=name, error=status))
    return [b"" if one is None else one for one in data] or [b""]


@contextmanager
def _opened(place: str, name: str) -> Iterator[imaplib.IMAP4]:
    parts = urlsplit(place)
    host = parts.hostname or ""
    if parts.scheme == "imaps":
        box: imaplib.IMAP4 = imaplib.IMAP4_SSL(
            host, parts.port or 993, ssl_context=ssl.create_default_context(), timeout=TIMEOUT_S
        )
    elif host in _THIS_MACHINE:
        # In the open only to this machine's own server: a password is on its way.
        box = imaplib.IMAP4(host, parts.port or 143, timeout=TIMEOUT_S)
    else:
        raise MailError(T_("%(server)s: mail that came back is read by imaps:// alone", server=name))
    try:
        box.login(unquote(parts.username or ""), unquote(parts.password or ""))
        _asked(box.select(unquote(parts.path.strip("/")) or "INBOX"), name)
        yield box
    finally:
        with suppress(imaplib.IMAP4.error, OSError):
            box.logout()
