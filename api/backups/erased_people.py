"""Erasing a person for good: rows, ways in, stored answers, and the bytes that a database leaves lying about.

In: whom to erase and why. Out: an erasure on record, in the database and in a
file beside it, files in which the name is no more, and where it still stands. It exists because a
changed row is not yet a forgotten one: the old text stays in SQLite's log and
free pages, in PostgreSQL's dead rows and statistics, in older generations of
the index. The file, which holds ids only, is what is repeated after an older
copy of the database was restored.

What is left to whoever runs the machine: copies made before, PostgreSQL's own
write-ahead log and its archive, and disks that keep what was overwritten.
Backups made before keep the name until they are pruned; restoring one repeats
the erasure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, delete, select, update
from sqlmodel import Session, col

from api.access.credentials import ApiKey, Password, end_sessions
from api.access.second_factor import forget_factor
from api.backups.named_texts import FREED, StandingName, free_texts
from api.home import note_command
from api.requests.idempotency import IdempotentReply
from indexer.database import DEADLINE_S, BusyError, open_engine, writing
from indexer.disk import exclusive
from indexer.index.generations import forget_older
from indexer.records.record_tables import Lab
from indexer.settings import Settings
from indexer.wording import T_
from matcher.erasure import TOMBSTONE, ErasedKind, Erasure, ErasureError, erase, erasures, repeat
from matcher.ledger.rows.pseudonyms import Person
from matcher.review.conversation.attachments import forget_strays
from matcher.review.people import Account

FILE = "erasures.jsonl"
_ERASING = {
    ErasedKind.PERSON: ("person", "end"),
    ErasedKind.ACCOUNT: ("account", "end"),
    ErasedKind.RESEARCHER: ("lab", "edit"),
}
"""What an erasure is in the words of the policy, for the audit trail, which has ids and never had the name."""
_SUBJECT = {ErasedKind.PERSON: "person", ErasedKind.ACCOUNT: "account", ErasedKind.RESEARCHER: "lab"}
_REWRITTEN = (
    *("account", "api_key", "company", "evidence", "idempotent_reply", "import_change", "lab", "ledger_person"),
    "password",
    *sorted(FREED),
    "pg_statistic",
)


@dataclass(frozen=True)
class Erased:
    """An erasure on record, and the places where the name still stands, for a person to decide."""

    erasure: Erasure
    standing: tuple[StandingName, ...]


def erase_for_good(settings: Settings, *, kind: ErasedKind, subject: str, reason: str, by: str) -> Erased:
    """Erase somebody: rows, ways in and what others wrote of them, then the files.

    A researcher is gone from the index after the next re-index.

    Raises:
        ErasureError: no reason is given, or there is nobody of this id.
        BusyError: readers kept the files from being cleaned; the rows are erased, so ask again for the files.
    """
    now = datetime.now(UTC)
    with _opened(settings) as engine:
        with writing(engine) as session:
            said = _said(session, kind, subject)
            erasure = erase(session, kind=kind, subject=subject, reason=reason, by=by, now=now)
            _end_ways_in(session, kind, subject, now)
            _forget_answers(session, said)
            standing = free_texts(session, said)
            note_command(session, *_ERASING[kind], "erase", [(_SUBJECT[kind], subject)])
            session.refresh(erasure)
            session.expunge(erasure)
        _note(settings.home / FILE, erasure)
        _forget_files(engine, settings, now)
        clean(engine)
    return Erased(erasure, tuple(standing))


def repeat_erasures(settings: Settings) -> int:
    """Carry out again what the file beside the database lists, after an older copy was restored; return how many.

    What the restored database does not list itself is listed there again, with the moment at which it was done.
    """
    now = datetime.now(UTC)
    listed = read_erasures(settings.home / FILE)
    with _opened(settings) as engine:
        with writing(engine) as session:
            session.add_all(_unlisted(session, listed))
            said = [text for one in listed for text in _said(session, ErasedKind(one.kind), one.subject)]
            done = repeat(session, listed, now=now)
            for one in listed:
                _end_ways_in(session, ErasedKind(one.kind), one.subject, now)
            _forget_answers(session, said)
            free_texts(session, said)
            for one in listed:
                kind = ErasedKind(one.kind)
                note_command(session, *_ERASING[kind], "erase --again", [(_SUBJECT[kind], one.subject)])
        _forget_files(engine, settings, now)
        clean(engine)
    return done


def _forget_files(engine: Engine, settings: Settings, now: datetime) -> None:
    """Delete the files whose rows went with somebody."""
    with writing(engine) as session:
        forget_strays(session, settings.home, before=now)


def read_erasures(path: Path) -> list[Erasure]:
    """Return the erasures that a file lists; none if there is no file.

    Raises:
        ErasureError: a line is none, so the file was changed or cut off.
    """
    listed = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], start=1):
        try:
            said = orjson.loads(line)
            said["at"], said["kind"] = datetime.fromisoformat(said["at"]), ErasedKind(said["kind"]).value
            listed.append(Erasure(**{name: said[name] for name in ("kind", "subject", "reason", "by", "at")}))
        except (ValueError, KeyError, TypeError) as error:
            raise ErasureError(
                T_("%(path)s:%(number)s is not an erasure; put it right or remove the line", path=path, number=number),
                "file",
            ) from error
    return listed


def write_erasures(path: Path, listed: list[Erasure]) -> None:
    """Write a file that lists erasures, each once, the oldest first; none if there is nothing to list."""
    each = {(one.kind, one.subject, one.at): one for one in listed}
    if each:
        path.write_bytes(b"".join(_line(each[key]) for key in sorted(each, key=lambda key: key[2])))
        path.chmod(0o600)


def _unlisted(session: Session, listed: list[Erasure]) -> list[Erasure]:
    known = {(one.kind, one.subject, one.at) for one in erasures(session)}
    return [Erasure(**one.model_dump()) for one in listed if (one.kind, one.subject, one.at) not in known]


def forget_index_texts(settings: Settings) -> int:
    """Delete the index generations before the current one; to be called after a re-index."""
    return forget_older(settings.index_path)


def clean(engine: Engine) -> None:
    """Rewrite what held erased texts, so that no byte of them stays in the database's files.

    Raises:
        BusyError: somebody read or wrote all the time.
    """
    if engine.dialect.name == "sqlite":
        _clean_sqlite(engine)
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in _REWRITTEN:
            # Dead rows go with the old file; the statistics on columns keep their commonest values.
            if table != "pg_statistic":
                connection.exec_driver_sql(f"ANALYZE {table}")
            connection.exec_driver_sql(f"VACUUM FULL {table}")


def _clean_sqlite(engine: Engine) -> None:
    """Rebuild the file, and write all of its log back into it and empty the log, as soon as no reader needs it."""
    pooled = engine.raw_connection()
    until = time.monotonic() + DEADLINE_S
    try:
        driver: Any = pooled.driver_connection
        driver.execute("PRAGMA query_only=0")
        # The new file is built on the disk, not in memory: it is as large as all records.
        driver.execute("PRAGMA temp_store=FILE")
        driver.execute("VACUUM")
        while driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                raise BusyError(T_("readers kept the write-ahead log from being emptied"))
            time.sleep(0.05)
    finally:
        pooled.close()


@contextmanager
def _opened(settings: Settings) -> Iterator[Engine]:
    engine = open_engine(settings)
    try:
        yield engine
    finally:
        engine.dispose()


def _said(session: Session, kind: ErasedKind, subject: str) -> list[str]:
    """Return the texts that name somebody, as long as they are there."""
    columns: dict[ErasedKind, tuple[Any, tuple[Any, ...]]] = {
        ErasedKind.PERSON: (col(Person.pseudonym), (col(Person.name), col(Person.contact))),
        ErasedKind.ACCOUNT: (col(Account.id), (col(Account.name), col(Account.email))),
        ErasedKind.RESEARCHER: (col(Lab.id), (col(Lab.pi),)),
    }
    key, wanted = columns[kind]
    found = session.execute(select(*wanted).where(key == subject)).first() or ()
    return [text for text in found if text and text != TOMBSTONE]


def _end_ways_in(session: Session, kind: ErasedKind, subject: str, now: datetime) -> None:
    if kind is not ErasedKind.ACCOUNT:
        return
    end_sessions(session, account_id=subject, now=now)
    run = session.connection().execute
    run(delete(Password).where(col(Password.account_id) == subject))
    keys = update(ApiKey).where(col(ApiKey.account_id) == subject)
    run(keys.where(col(ApiKey.revoked_at).is_(None)).values(revoked_at=now))
    # What a key is for is written by its owner, and may name one.
    run(keys.values(name=TOMBSTONE))
    run(delete(IdempotentReply).where(col(IdempotentReply.account_id) == subject))
    forget_factor(session, account_id=subject)


def _forget_answers(session: Session, said: list[str]) -> None:
    """Delete stored answers that name somebody; who repeats such a request is answered anew."""
    needles = [text.encode() for text in said]
    account, key, body = col(IdempotentReply.account_id), col(IdempotentReply.key), col(IdempotentReply.body)
    answers = session.execute(select(account, key, body)).all() if needles else ()
    for by, known_as, said_then in answers:
        if any(needle in said_then for needle in needles):
            session.connection().execute(delete(IdempotentReply).where(account == by, key == known_as))


def _note(path: Path, erasure: Erasure) -> None:
    with exclusive(path.with_name(path.name + ".lock")), path.open("ab") as file:
        file.write(_line(erasure))
        file.flush()
        os.fsync(file.fileno())


def _line(erasure: Erasure) -> bytes:
    return orjson.dumps(erasure.model_dump(mode="json", exclude={"id"})) + b"\n"
