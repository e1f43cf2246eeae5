"""Files that people attach to a need, to a pairing's conversation or to one of its meetings.

In: a file, who sends it, and what it hangs on. Out: a row that names the file by its SHA-256, and the file under it in
the home; who reads which follows from what it hangs on. It exists because half of what is said about a need is said in
drawings and data sheets, which otherwise go by private mail past everybody who has to know.

A file is taken only if its bytes are what its name says. Nothing of it is opened here, shown in a page or searched.
Unlike evidence of the ledger it can be taken away again: then row and file go, and so they do when whoever sent it is
erased, since nobody can look through a drawing for a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import BigInteger, CheckConstraint, delete, func, or_
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.kept_files import ENDINGS, is_what_it_is_called, kept_before, kept_path
from indexer.plain_text import clean
from indexer.settings import Settings
from indexer.wording import T_
from matcher.review.conversation.thread import READS, SIDES, WRITES, Audience, Side
from matcher.review.proposals import StoredPairing

FOLDER = "attachments"
MAX_NAME = 150
MOST_FILES = 100
"""So many files hang on one need with all of its conversations."""
_AUDIENCES = ", ".join(f"'{one.value}'" for one in Audience)


class AttachmentError(ValueError):
    """A file can't be attached; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class AttachedTwiceError(AttachmentError):
    """The same file hangs there already."""


class Attachment(SQLModel, table=True):
    """One file that hangs on a need or, with `pairing_id`, on a conversation about it. Never updated but to free names.

    `audience` is empty on a need, whose files are read by whoever reads its text.
    """

    __tablename__ = "attachment"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256_is_one"),
        CheckConstraint("size_bytes > 0", name="not_empty"),
        CheckConstraint(f"side IN ({SIDES})", name="side_known"),
        CheckConstraint(f"audience IS NULL OR audience IN ({_AUDIENCES})", name="audience_known"),
        CheckConstraint("(pairing_id IS NULL) = (audience IS NULL)", name="audience_of_a_conversation"),
        CheckConstraint("meeting_id IS NULL OR audience = 'both'", name="meeting_is_read_by_both"),
    )

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    pairing_id: int | None = Field(default=None, foreign_key="pairing.id", index=True)
    meeting_id: int | None = Field(default=None, foreign_key="meeting.id")
    alliance_id: str | None = Field(default=None, foreign_key="alliance.id")
    side: str
    audience: str | None = None
    name: str
    sha256: str = Field(index=True)
    size_bytes: int = Field(sa_type=BigInteger)
    by: str = Field(foreign_key="account.id", index=True)
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class AttachedMost:
    """How large one file may be, and all files of a need with its conversations."""

    file_bytes: int
    need_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> AttachedMost:
        """Return it as the settings say."""
        return cls(settings.attachment_mb * 1_000_000, settings.attachments_mb * 1_000_000)


@dataclass(frozen=True)
class Attaching:
    """Where a file is to hang, who sends it, and for whom; without a pairing on the need itself."""

    need_id: str
    side: Side
    by: str
    alliance_id: str | None
    pairing_id: int | None = None
    audience: Audience | None = None
    meeting_id: int | None = None
    lab_knows: bool = False


def checked_file(name: str, content: bytes, most: AttachedMost) -> str:
    """Return the name under which a file is kept.

    Raises:
        AttachmentError: it has no name, is empty or too large, or is not what its name says.
        TextError: its name has characters that no name has, such as those that turn it around in a list.
    """
    # Folders of whoever sent it are nobody's business.
    tail = name.replace("\\", "/").rpartition("/")[2]
    kept = clean(tail, max_chars=MAX_NAME, multiline=False).strip(". ")
    if not kept or kept.lower() in ENDINGS:
        raise AttachmentError(T_("give the file a name with an ending, such as drawing.pdf"), "name")
    if not 0 < len(content) <= most.file_bytes:
        mb = round(most.file_bytes / 1e6)
        raise AttachmentError(T_("a file that is attached has 1 byte to %(mb)s MB", mb=mb), "file")
    if kept.rpartition(".")[2].lower() not in ENDINGS:
        known = ", ".join(f".{one}" for one in ENDINGS)
        raise AttachmentError(T_("files that can be attached end in: %(endings)s", endings=known), "name")
    if not is_what_it_is_called(kept, content):
        raise AttachmentError(
            T_("the file is not what its name says, or carries macros: save it anew in that format"), "file"
        )
    return kept


def attach(
    session: Session,
    *,
    to: Attaching,
    name: str,
    sha256: str,
    size_bytes: int,
    most: AttachedMost,
    now: datetime,
) -> Attachment:
    """Attach a file that is kept; the caller commits.

    Raises:
        AttachmentError: it can't be for these readers, or too much hangs there.
        AttachedTwiceError: the same file hangs there for the same readers.
    """
    _check_readers(to)
    here = list(session.exec(select(Attachment).where(Attachment.need_id == to.need_id)).all())
    place = (to.pairing_id, to.meeting_id, None if to.audience is None else to.audience.value)
    twice = next((one for one in here if one.sha256 == sha256 and _place(one) == place and _same_reader(one, to)), None)
    if twice is not None:
        raise AttachedTwiceError(T_("this file is here already, as %(name)s", name=twice.name), "file")
    total = sum({one.sha256: one.size_bytes for one in here if one.sha256 != sha256}.values())
    if len(here) >= MOST_FILES or total + size_bytes > most.need_bytes:
        mb = round(most.need_bytes / 1e6)
        raise AttachmentError(
            T_("at most %(files)s files of %(mb)s MB hang on one need: remove some first", files=MOST_FILES, mb=mb),
            "file",
        )
    row = Attachment(
        need_id=to.need_id,
        pairing_id=to.pairing_id,
        meeting_id=to.meeting_id,
        alliance_id=to.alliance_id,
        side=to.side.value,
        audience=place[2],
        name=name,
        sha256=sha256,
        size_bytes=size_bytes,
        by=to.by,
        at=now,
    )
    return insert_fact(session, row)


def _check_readers(to: Attaching) -> None:
    if to.pairing_id is None:
        return
    if to.audience is None or to.audience not in WRITES[to.side]:
        raise AttachmentError(T_("you can't attach files for these readers"), "audience")
    if to.audience in (Audience.LAB, Audience.BOTH) and not to.lab_knows:
        raise AttachmentError(T_("the lab has not been introduced: it does not know of the need"), "audience")
    if to.meeting_id is not None and to.audience is not Audience.BOTH:
        raise AttachmentError(T_("a file for a meeting is read by both sides"), "audience")


def _place(row: Attachment) -> tuple[int | None, int | None, str | None]:
    return row.pairing_id, row.meeting_id, row.audience


def _same_reader(row: Attachment, to: Attaching) -> bool:
    # Of what another alliance attached among its own, nobody learns that it is there.
    return to.side is not Side.EXPERT or row.alliance_id == to.alliance_id


def of_need(session: Session, need_id: str) -> list[Attachment]:
    """Return the files that hang on a need itself, oldest first."""
    query = select(Attachment).where(Attachment.need_id == need_id, col(Attachment.pairing_id).is_(None))
    return list(session.exec(query.order_by(col(Attachment.id))).all())


def of_pairing(session: Session, pairing_id: int, *, side: Side, alliances: Collection[str] = ()) -> list[Attachment]:
    """Return the files of a conversation that one side reads, oldest first; of the alliances only their own."""
    query = select(Attachment).where(Attachment.pairing_id == pairing_id).order_by(col(Attachment.id))
    if side is Side.EXPERT:
        query = query.where(col(Attachment.alliance_id).in_(sorted(alliances)))
    else:
        query = query.where(col(Attachment.audience).in_([one.value for one in READS[side]]))
    return list(session.exec(query).all())


def counts_of_needs(session: Session, need_ids: Collection[str]) -> dict[str, int]:
    """Return by need how many files hang on it itself."""
    query = (
        select(Attachment.need_id, func.count())
        .where(col(Attachment.need_id).in_(sorted(need_ids)), col(Attachment.pairing_id).is_(None))
        .group_by(col(Attachment.need_id))
    )
    return dict(session.exec(query).all())


def remove(session: Session, attachment: Attachment) -> None:
    """Take a file away; its bytes go with `forget_strays`, in the night at the latest."""
    session.connection().execute(delete(Attachment).where(col(Attachment.id) == attachment.id))


def forget_files_of(session: Session, *, account_id: str | None = None, lab_id: str | None = None) -> int:
    """Take away what an account sent, or what was sent for a lab; return how many."""
    whose = []
    if account_id is not None:
        whose.append(col(Attachment.by) == account_id)
    if lab_id is not None:
        theirs = select(col(StoredPairing.id)).where(StoredPairing.lab_id == lab_id)
        whose.append((col(Attachment.side) == Side.LAB.value) & col(Attachment.pairing_id).in_(theirs))
    if not whose:
        return 0
    return int(session.connection().execute(delete(Attachment).where(or_(*whose))).rowcount)


def forget_strays(session: Session, home: Path, *, before: datetime) -> int:
    """Delete the files that no row names and that were written before a moment; return how many.

    Nobody attaches a file meanwhile; whoever is about to keeps it once more in the transaction of its row.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql("LOCK TABLE attachment IN EXCLUSIVE MODE")
    named = set(session.exec(select(Attachment.sha256)).all())
    strays = _strays(kept_before(home, FOLDER, before), named)
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)


def _strays(paths: Iterable[Path], named: set[str]) -> list[Path]:
    return [path for path in paths if path.name not in named]


def path_of(home: Path, digest: str) -> Path:
    """Return where the file of a SHA-256 lies."""
    return kept_path(home, FOLDER, digest)
