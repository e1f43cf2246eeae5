"""What proves a result: files kept by their SHA-256, and links; who brought a file.

In: the bytes of a file and who sent them, or an address. Out: an item of evidence that an entry names, and a row that
says who sent the file. It exists so that a proof can't be exchanged after the fact: an entry names the hash, and the
file lies under it.

Who knows a hash does not thereby know the file: an entry may name a file only if its reporter sent it or sees it
already, so that nobody reads another alliance's contract by naming its hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import BigInteger, CheckConstraint, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.kept_files import is_kept, keep_file, kept_before, kept_path
from indexer.plain_text import clean
from indexer.settings import Settings
from indexer.vocabulary import ID_LENGTH_MAX
from indexer.wording import T_
from matcher.ledger.rows.entries import Entry, LedgerError
from matcher.ledger.rows.steps import Step
from matcher.review import people  # noqa: F401 (its table is referred to)
from matcher.review.conversation.signing import Signing

FOLDER = "evidence"
MAX_BYTES = 32 * 2**20
_MAX_ITEMS = 50
_MAX_URL = 2_000


def keep(home: Path, content: bytes) -> str:
    """Store a file durably and return its SHA-256; a file that is there already is left alone.

    Raises:
        LedgerError: it is empty or too large.
        StorageFullError: the disk is full; nothing of it is left.
    """
    if not 0 < len(content) <= MAX_BYTES:
        raise LedgerError(T_("a file of evidence has 1 to %(max_bytes)s bytes", max_bytes=f"{MAX_BYTES:,}"), "evidence")
    return keep_file(home, FOLDER, content)


def path_of(home: Path, digest: str) -> Path:
    """Return where the file of a SHA-256 lies."""
    return kept_path(home, FOLDER, digest)


def is_intact(home: Path, digest: str) -> bool:
    """Whether the file is there and is still the one that was stored."""
    return is_kept(home, FOLDER, digest)


def checked_items(home: Path, items: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return evidence as an entry may name it: `{"sha256", "name"}` of stored files, `{"url", "name"}` of links.

    Raises:
        LedgerError: an item is neither, its file was never stored or stands there twice, or there are too many.
    """
    if len(items) > _MAX_ITEMS:
        raise LedgerError(T_("name at most %(max_items)s pieces of evidence", max_items=_MAX_ITEMS), "evidence")
    checked = [_checked_item(home, item) for item in items]
    names: dict[str, str] = {}
    for digest, name in ((item["sha256"], item["name"]) for item in checked if "sha256" in item):
        if digest in names:
            both = f"{names[digest]}, {name}"
            raise LedgerError(T_("these are one file, byte for byte: %(both)s; name it once", both=both), "evidence")
        names[digest] = name
    return checked


def _checked_item(home: Path, item: dict[str, str]) -> dict[str, str]:
    name = clean(item.get("name", ""), max_chars=ID_LENGTH_MAX, multiline=False)
    digest, url = item.get("sha256"), item.get("url")
    if (digest is None) == (url is None) or not set(item) <= {"sha256", "url", "name"}:
        raise LedgerError(T_("a piece of evidence is a stored file (sha256) or a link (url), with a name"), "evidence")
    if digest is not None:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or not path_of(home, digest).is_file():
            raise LedgerError(T_("no file with this sha256 was stored; send the file first"), "evidence")
        return {"sha256": digest, "name": name}
    link = clean(str(url), max_chars=_MAX_URL, multiline=False)
    try:
        parts = urlsplit(link)
    except ValueError as error:
        raise LedgerError(T_("a link is an address such as https://example.org/contract"), "evidence") from error
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise LedgerError(T_("a link begins with https:// or http://"), "evidence")
    return {"url": link, "name": name}


class EvidenceFile(SQLModel, table=True):
    """That somebody sent a file: never updated; deleted only if no entry names the file, and with it."""

    __tablename__ = "evidence_file"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256_is_one"),
        CheckConstraint("size_bytes > 0", name="not_empty"),
    )

    sha256: str = Field(primary_key=True)
    sent_by: str = Field(primary_key=True, foreign_key="account.id")
    size_bytes: int = Field(sa_type=BigInteger)
    sent_at: datetime = Field(sa_type=Instant)


def note_file(session: Session, *, sha256: str, size_bytes: int, by: str, now: datetime) -> datetime | None:
    """Note that somebody sent a file; sending it again changes nothing. The caller commits.

    Returns:
        when they sent it before, None if this is the first time.
    """
    before = session.get(EvidenceFile, (sha256, by))
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    statement: Any = dialect.insert(EvidenceFile).on_conflict_do_nothing()
    session.connection().execute(statement, {"sha256": sha256, "sent_by": by, "size_bytes": size_bytes, "sent_at": now})
    return None if before is None else before.sent_at


def files_sent(session: Session, by: str, digests: Iterable[str]) -> set[str]:
    """Return which of some files a person has sent."""
    query = select(EvidenceFile.sha256).where(EvidenceFile.sent_by == by, col(EvidenceFile.sha256).in_(list(digests)))
    return set(session.exec(query).all())


ALL_TOGETHER = 8
"""All accounts together may have so many times as much waiting as one."""


@dataclass(frozen=True)
class WaitingMost:
    """How much one account may have sent that no result names yet, and for how many days it stays."""

    files: int
    size_bytes: int
    days: int

    @classmethod
    def of(cls, settings: Settings) -> WaitingMost:
        """Return it as the settings say."""
        return cls(_MOST_WAITING_FILES, settings.evidence_waiting_mb * 1_000_000, settings.evidence_waiting_days)


_MOST_WAITING_FILES = 500


@dataclass(frozen=True)
class FileTotals:
    """So many files of so many bytes."""

    files: int
    size_bytes: int


@dataclass(frozen=True)
class WaitingFiles:
    """The files that no entry names: who sent them, how large, when, by their SHA-256."""

    rows: list[tuple[str, str, int, datetime]]

    def of(self, account_id: str | None) -> FileTotals:
        """Return how much one account has waiting; None: all, a file that several sent counting once."""
        sizes = {digest: size for digest, by, size, _ in self.rows if account_id in (None, by)}
        return FileTotals(len(sizes), sum(sizes.values()))


def waiting_files(session: Session) -> WaitingFiles:
    """Return the files that no entry names."""
    sent = select(EvidenceFile.sha256, EvidenceFile.sent_by, EvidenceFile.size_bytes, EvidenceFile.sent_at)
    rows = session.exec(sent).all()
    named = _named(session) if rows else set()
    return WaitingFiles([(digest, by, size, at) for digest, by, size, at in rows if digest not in named])


def _named(session: Session) -> set[str]:
    found: set[str] = set()
    for model in (Entry, Step):
        for items in session.exec(select(model.evidence)).all():
            found.update(item["sha256"] for item in items if "sha256" in item)
    # The contract of a signed case waits for the result that will name it.
    documents = session.exec(select(Signing.document)).all()
    return found | {one["sha256"] for one in documents if one is not None}


def forget_waiting(session: Session, home: Path, *, before: datetime) -> int:
    """Delete the files that were sent before a moment and that no entry names, with their rows; return how many.

    Args:
        session: its transaction holds the rows' end; nobody sends or names a file meanwhile. The caller commits.
        home: where the files lie.
        before: the moment. Files that lie there without a row, of somebody who was cut off, go as well.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql("LOCK TABLE evidence_file, ledger_entry, ledger_step IN EXCLUSIVE MODE")
    waiting = waiting_files(session).rows
    late = {digest for digest, _, _, at in waiting if at < before} - {
        digest for digest, _, _, at in waiting if at >= before
    }
    for digest in sorted(late):
        session.connection().execute(delete(EvidenceFile).where(col(EvidenceFile.sha256) == digest))
    known = set(session.exec(select(EvidenceFile.sha256)).all()) | _named(session)
    strays = {path.name for path in kept_before(home, FOLDER, before)} - known
    for digest in late | strays:
        path_of(home, digest).unlink(missing_ok=True)
    return len(late | strays)
