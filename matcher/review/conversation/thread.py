"""One thread for each pairing: what company, lab and expert ask and answer, and apart from it the experts' own notes.

In: who says what to whom, about a pairing. Out: the messages that one side reads, in order. It exists because a match
happens between people, and each of them must be able to write freely: what is meant for one side is in no list that
the other side gets, and a note between colleagues is in none but theirs. The thread hangs on the pairing, not on the
case: it begins when a lab is released to a company, before there is a case, and goes on through it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, Column
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.review.cases import INTRODUCED_STAGES, Case, Stage
from matcher.review.intake import NeedIntake
from matcher.review.proposals import StoredPairing

MAX_MESSAGE = 5_000


class Side(StrEnum):
    """Who speaks: somebody of the company, of the lab, or of the alliance between them."""

    COMPANY = "company"
    LAB = "lab"
    EXPERT = "expert"


class Audience(StrEnum):
    """Who reads a message beside the alliance that works on the pairing."""

    COMPANY = "company"
    LAB = "lab"
    BOTH = "both"
    INTERNAL = "internal"


READS = {
    Side.COMPANY: (Audience.COMPANY, Audience.BOTH),
    Side.LAB: (Audience.LAB, Audience.BOTH),
    Side.EXPERT: tuple(Audience),
}
"""Which messages each side reads; the alliance reads its own threads in full."""
WRITES = {
    Side.COMPANY: (Audience.COMPANY, Audience.BOTH),
    Side.LAB: (Audience.LAB, Audience.BOTH),
    Side.EXPERT: tuple(Audience),
}
"""To whom each side can write. A side never writes past the alliance: what it says is always read there."""
_AUDIENCES = ", ".join(f"'{one.value}'" for one in Audience)
SIDES = ", ".join(f"'{one.value}'" for one in Side)


class ThreadError(ValueError):
    """Nothing can be said that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Message(SQLModel, table=True):
    """One message: never updated, never deleted. `by` is empty where it came by a link to a mere address."""

    __tablename__ = "thread_message"
    __table_args__ = (
        CheckConstraint(f"side IN ({SIDES})", name="side_known"),
        CheckConstraint(f"audience IN ({_AUDIENCES})", name="audience_known"),
        CheckConstraint("side <> 'company' OR audience IN ('company', 'both')", name="company_to_itself"),
        CheckConstraint("side <> 'lab' OR audience IN ('lab', 'both')", name="lab_to_itself"),
        CheckConstraint("length(text) > 0", name="says_something"),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id", index=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    side: str
    audience: str
    text: str
    mentioned: list[str] = Field(sa_column=Column(JSON, nullable=False))
    by: str | None = Field(default=None, foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


@dataclass(frozen=True)
class Conversation:
    """What a thread is about: the pairing's parties, the alliance that works on it, and its case if there is one."""

    pairing_id: int
    need_id: str
    lab_id: str
    company_id: str | None
    alliance_id: str
    case: Case | None

    @property
    def is_introduced(self) -> bool:
        """Whether the lab knows of the need."""
        return self.case is not None and self.case.stage in INTRODUCED_STAGES


def conversation_of(session: Session, pairing: StoredPairing) -> Conversation:
    """Return what a pairing's thread is about.

    Raises:
        ThreadError: no alliance works on it yet.
    """
    live = (Case.pairing_id == pairing.id, Case.stage != Stage.UNDONE.value)
    case = session.exec(select(Case).where(*live).order_by(col(Case.id).desc())).first()
    company, alliance = session.exec(
        select(Need.company, NeedIntake.alliance_id)
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id, isouter=True)
        .where(Need.id == pairing.need_id)
    ).one()
    working = case.alliance_id if case is not None else alliance
    if working is None:
        raise ThreadError(T_("no alliance works on this need yet"))
    return Conversation(pairing.id or 0, pairing.need_id, pairing.lab_id, company, working, case)


def say(
    session: Session,
    *,
    about: Conversation,
    side: Side,
    audience: Audience,
    text: str,
    by: str | None,
    now: datetime,
    mentioned: Collection[str] = (),
) -> Message:
    """Say something.

    Args:
        session: its transaction holds the message.
        about: the pairing.
        side: who speaks.
        audience: who reads it beside the alliance.
        text: what is said.
        by: the account that says it; None where a mere address does, by a link.
        now: the moment.
        mentioned: accounts of colleagues who are to look at it, in a note between colleagues only.

    Raises:
        ThreadError: it says nothing, this side can't write to them, or the lab does not know of the need yet.
    """
    if not text.strip():
        raise ThreadError(T_("write what you want to say"), "text")
    if audience not in WRITES[side]:
        raise ThreadError(T_("you can't write to these readers"), "audience")
    if audience in (Audience.LAB, Audience.BOTH) and not about.is_introduced:
        raise ThreadError(T_("the lab has not been introduced: it does not know of the need"), "audience")
    if mentioned and audience is not Audience.INTERNAL:
        raise ThreadError(T_("colleagues are called upon in internal notes only"), "audience")
    message = Message(
        pairing_id=about.pairing_id,
        alliance_id=about.alliance_id,
        side=side.value,
        audience=audience.value,
        text=text,
        mentioned=sorted(mentioned),
        by=by,
        at=now,
    )
    return insert_fact(session, message)


def messages_of(session: Session, pairing_id: int, *, side: Side, alliances: Collection[str] = ()) -> list[Message]:
    """Return what one side reads of a thread, oldest first; of the alliances only their own messages."""
    query = select(Message).where(Message.pairing_id == pairing_id).order_by(col(Message.id))
    if side is Side.EXPERT:
        query = query.where(col(Message.alliance_id).in_(sorted(alliances)))
    else:
        query = query.where(col(Message.audience).in_([one.value for one in READS[side]]))
    return list(session.exec(query).all())


def called_upon(text: str, colleagues: Mapping[str, str]) -> list[str]:
    """Return the accounts of those whom a text calls by `@` and their name; of two that fit the longer name.

    Args:
        text: the note.
        colleagues: names by account.
    """
    found: list[str] = []
    for start in (place for place, character in enumerate(text) if character in "@＠"):
        rest = text[start + 1 :]
        fitting = [(name, account) for account, name in colleagues.items() if name and rest.startswith(name)]
        longest = max((len(name) for name, _ in fitting), default=0)
        # Two colleagues of one name are both called: neither should miss it.
        found += [account for name, account in fitting if len(name) == longest]
    return list(dict.fromkeys(found))


def waiting_messages(session: Session, pairing_ids: Iterable[int]) -> dict[int, Message]:
    """Return by pairing the last message of a side that nobody of the alliance has answered since."""
    query = (
        select(Message)
        .where(col(Message.pairing_id).in_(list(pairing_ids)), col(Message.audience) != Audience.INTERNAL.value)
        .order_by(col(Message.id))
    )
    last = {message.pairing_id: message for message in session.exec(query).all()}
    return {number: message for number, message in last.items() if message.side != Side.EXPERT}
