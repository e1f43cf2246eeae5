"""The outbox from the side of who delivers: what is due, whose turn it is, and what came of a try.

In: letters that wait, a moment, and what the other side said. Out: a few letters, claimed for one deliverer; gathered
letters when their hour has come; each letter's end, or when to try again. It exists apart from the wires (SMTP, HTTP)
so that their faults meet one set of promises. A letter is claimed before it is handed over and ended after it was
taken: a deliverer that is killed in between leaves a claim that runs out, and the letter is tried again under the same
id, so that it is never lost, and whoever got it twice can tell. No transaction is open while the wire is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, func, select

from indexer.instants import TAIPEI
from matcher.notices.kinds import Cadence
from matcher.notices.outbox import Channel, Letter, LetterNotice, Notice, SendingState, post
from matcher.notices.readers import MailAddress

CLAIMED_FOR = timedelta(minutes=10)
"""After so long another deliverer takes up what one claimed and did not end."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=4)
MOST_TRIES = 20
"""So often one letter is tried that the other side takes and then refuses for now; about three days."""
GATHERED_AT = time(8)
"""The hour of Taipei at which gathered letters leave, the weekly ones on Mondays."""
KEPT_FOR = timedelta(days=180)
"""For so long a notice is kept after it was told."""
_PORTION = 500


@dataclass(frozen=True)
class Claim:
    """A letter that one deliverer has, with the notices that it tells of."""

    letter: Letter
    notices: tuple[Notice, ...]


def gather(session: Session, now: datetime) -> int:
    """Put what waits for its day into letters, one for each reader and cadence; return how many letters."""
    made = 0
    for cadence in (Cadence.DAILY, Cadence.WEEKLY):
        query = select(Notice).where(Notice.gathers == cadence.value, Notice.at < _last_hour(cadence, now))
        waiting: defaultdict[str, list[Notice]] = defaultdict(list)
        for notice in session.exec(query.order_by(col(Notice.id)).limit(_PORTION)).all():
            waiting[notice.reader].append(notice)
            notice.gathers = None
            session.add(notice)
        for reader, notices in sorted(waiting.items()):
            post(session, reader=reader, notices=notices, now=now, cadence=cadence)
            made += 1
    session.flush()
    return made


def _last_hour(cadence: Cadence, now: datetime) -> datetime:
    """Return the last moment before `now` at which letters of a cadence left."""
    there = now.astimezone(TAIPEI)
    day = there.date() if there.time() >= GATHERED_AT else there.date() - timedelta(days=1)
    if cadence is Cadence.WEEKLY:
        day -= timedelta(days=day.weekday())
    return datetime.combine(day, GATHERED_AT, TAIPEI)


def is_anything_due(session: Session, now: datetime) -> bool:
    """Whether a deliverer would find something to do."""
    due = select(Letter.id).where(*_due(now)).limit(1)
    if session.exec(due).first() is not None:
        return True
    return any(
        session.exec(
            select(Notice.id).where(Notice.gathers == one.value, Notice.at < _last_hour(one, now)).limit(1)
        ).first()
        for one in (Cadence.DAILY, Cadence.WEEKLY)
    )


def _due(now: datetime) -> tuple[Any, ...]:
    return (
        col(Letter.state) == SendingState.WAITING.value,
        col(Letter.due_at) <= now,
        or_(col(Letter.claimed_until).is_(None), col(Letter.claimed_until) < now),
    )


def claim(session: Session, *, channel: Channel, by: str, now: datetime, most: int) -> list[Claim]:
    """Claim letters that are due for one deliverer, the oldest first; however many ask at once, each gets others."""
    wanted = select(Letter).where(*_due(now), Letter.channel == channel.value)
    found = session.exec(
        wanted.order_by(col(Letter.due_at), col(Letter.id)).limit(most).with_for_update(skip_locked=True)
    ).all()
    for letter in found:
        letter.claimed_by, letter.claimed_until, letter.tries = by, now + CLAIMED_FOR, letter.tries + 1
        session.add(letter)
    session.flush()
    told: defaultdict[int, list[Notice]] = defaultdict(list)
    ids = [letter.id or 0 for letter in found]
    query = (
        select(LetterNotice.letter_id, Notice)
        .join(Notice, col(Notice.id) == col(LetterNotice.notice_id))
        .where(col(LetterNotice.letter_id).in_(ids))
        .order_by(col(Notice.id))
    )
    for letter_id, notice in session.exec(query).all():
        told[letter_id].append(notice)
    return [Claim(letter, tuple(told[letter.id or 0])) for letter in found]


def end_letter(
    session: Session, letter: Letter, *, by: str, state: SendingState, now: datetime, said: str | None = None
) -> bool:
    """Note that a letter is sent, dropped or refused; False if another deliverer has it by now."""
    return _ours(session, letter, by, state=state.value, ended_at=now, said=said, claimed_by=None, claimed_until=None)


def try_again(session: Session, letter: Letter, *, by: str, now: datetime, said: str) -> SendingState:
    """Note that a letter was not taken for now: it waits longer each time, and in the end counts as refused."""
    if letter.tries >= MOST_TRIES:
        end_letter(session, letter, by=by, state=SendingState.REFUSED, now=now, said=said)
        return SendingState.REFUSED
    pause = min(FIRST_PAUSE * 2 ** (letter.tries - 1), LONGEST_PAUSE)
    _ours(session, letter, by, due_at=now + pause, said=said, claimed_by=None, claimed_until=None)
    return SendingState.WAITING


def give_back(session: Session, letters: Sequence[Letter], *, by: str, said: str | None = None) -> None:
    """Let letters wait as before, for a fault that is none of theirs: nobody listens, or the deliverer stops."""
    for letter in letters:
        _ours(session, letter, by, tries=max(0, letter.tries - 1), said=said, claimed_by=None, claimed_until=None)


def _ours(session: Session, letter: Letter, by: str, **values: object) -> bool:
    these = (col(Letter.id) == letter.id, col(Letter.claimed_by) == by, col(Letter.state) == SendingState.WAITING.value)
    return session.connection().execute(update(Letter).where(*these).values(**values)).rowcount == 1


def note_refused(session: Session, *, address: str, said: str, now: datetime) -> bool:
    """Mark an address that its server refuses for good; return whether it was not marked before."""
    known = session.get(MailAddress, address) or MailAddress(address=address)
    is_new = known.refused_at is None
    known.refused_at, known.said = known.refused_at or now, said
    session.add(known)
    session.flush()
    return is_new


def counts(session: Session) -> dict[str, int]:
    """Return how many letters are in each state."""
    found = dict(session.execute(select(Letter.state, func.count()).group_by(Letter.state)).all())
    return {state.value: int(found.get(state.value, 0)) for state in SendingState}


def forget(session: Session, *, now: datetime, most: int) -> int:
    """Delete at most so many of the notices that are past their time, with their letters; return how many."""
    before = now - KEPT_FOR
    waits = select(LetterNotice.notice_id).join(Letter, col(Letter.id) == col(LetterNotice.letter_id))
    waits = waits.where(Letter.state == SendingState.WAITING.value)
    old = select(Notice.id).where(Notice.at < before, col(Notice.gathers).is_(None), col(Notice.id).not_in(waits))
    ids = list(session.exec(old.limit(most)).all())
    session.connection().execute(delete(LetterNotice).where(col(LetterNotice.notice_id).in_(ids)))
    session.connection().execute(delete(Notice).where(col(Notice.id).in_(ids)))
    ended = (col(Letter.state) != SendingState.WAITING.value, col(Letter.made_at) < before)
    bare = col(Letter.id).not_in(select(LetterNotice.letter_id))
    session.connection().execute(delete(Letter).where(*ended, bare))
    return len(ids)
