"""An alliance's month: what its lead says of it, and that what was reported in it is the alliance's own word.

In: an alliance, a month, and the lead's words on results, highlights, the gap, what is done about it and what help is
needed. Out: a row that nobody can change; whoever has more to say confirms the month again. It exists because the
monthly report and the quarterly check are two things: the alliance answers for its month first, and only then does
the committee look at what was reported in it.

A home asks for it from its first day on (`begin_months`), or from the day that its office sets in the rules of
recognition; a home that has people since before this release goes on without it until then.

A confirmation covers what was reported until then, at most until the month's end in Taipei; what comes later in the
month waits for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, UniqueConstraint, exists, func, literal
from sqlalchemy import select as select_columns
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate, once
from indexer.instants import TAIPEI, Instant, day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance
from indexer.wording import T_
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.entries import MAX_TEXT, AlreadyReportedError, Entry, LedgerError
from matcher.review.people import Account, principal
from matcher.review.roles import Role

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
FIRST_MONTH = "2017-01"


class MonthReport(SQLModel, table=True):
    """What a lead confirmed of a month: never updated; the newest version holds. `until` is how far it reaches."""

    __tablename__ = "month_report"
    __table_args__ = (
        UniqueConstraint("alliance_id", "month", "version", name="one_report_per_version"),
        CheckConstraint("length(month) = 7", name="month_of_a_year"),
        CheckConstraint("version >= 1", name="counts_from_1"),
        CheckConstraint("length(achievements) > 0", name="says_something"),
    )

    id: int | None = Field(default=None, primary_key=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    month: str
    version: int
    until: datetime = Field(sa_type=Instant)
    achievements: str
    highlights: str
    gap: str
    measures: str
    help: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


class MonthsStart(SQLModel, table=True):
    """From which day on months are confirmed unless the rules say another one: one row, of a home's first day."""

    __tablename__ = "ledger_months_start"
    __table_args__ = (CheckConstraint("id = 1", name="one_start"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    since: date
    at: datetime = Field(sa_type=Instant)


def begin_months(session: Session, *, now: datetime) -> bool:
    """Have the months of a new home confirmed from today on; return False where it is none. The caller commits.

    A home is new as long as it has neither people nor results: with its first account it begins.
    """
    if session.exec(select(Account.id).limit(1)).first() or session.exec(select(Entry.seq).limit(1)).first():
        return False
    if session.get(MonthsStart, 1) is None:
        session.add(MonthsStart(since=day_in_taipei(now), at=now))
        session.flush()
    return True


def months_began(session: Session) -> date | None:
    """Return the day from which on a home confirms its months by itself; None for one that came before that."""
    return once(session, (months_began,), lambda: session.exec(select(col(MonthsStart.since))).first())


@dataclass(frozen=True)
class MonthWords:
    """What a lead says of a month: 成果、亮點、落差、改善措施、需協助; only the first has to be said."""

    achievements: str
    highlights: str = ""
    gap: str = ""
    measures: str = ""
    help: str = ""


def month_of(moment: datetime) -> str:
    """Return the month of a moment in Taipei, such as 2019-05."""
    return day_in_taipei(moment).isoformat()[:7]


def first_day(month: str) -> date:
    """Return the first day of a month.

    Raises:
        LedgerError: it is none.
    """
    if not _MONTH.fullmatch(month):
        raise LedgerError(T_("give a month such as 2019-05"), "month")
    return date.fromisoformat(f"{month}-01")


def end_of_month(month: str) -> datetime:
    """Return the moment at which a month ends in Taipei, which is the first of the next one."""
    following = (first_day(month) + timedelta(days=31)).replace(day=1)
    return datetime.combine(following, time(0), TAIPEI)


def confirm_month(
    session: Session, *, alliance_id: str, month: str, words: MonthWords, by: str, now: datetime
) -> MonthReport:
    """Confirm a month as the alliance's lead; the caller commits.

    Raises:
        LedgerError: there is no such alliance, the caller does not lead it, the month is none or has not begun, or
            nothing is said of its results.
        AlreadyReportedError: somebody confirmed it at the same time.
    """
    lock_heads(session)
    speaker = principal(session, by)
    if session.get(Alliance, alliance_id) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    if speaker is None or alliance_id not in speaker.scopes(Role.LEAD):
        raise LedgerError(T_("a month is confirmed by a lead of its alliance"), "by")
    if not FIRST_MONTH <= first_day(month).isoformat()[:7] <= month_of(now):
        raise LedgerError(T_("give a month from %(first)s to the one that runs", first=FIRST_MONTH), "month")
    said = {name: clean(text, max_chars=MAX_TEXT, multiline=True) for name, text in vars(words).items()}
    if not said["achievements"]:
        raise LedgerError(T_("say what came of the month; “nothing” is an answer too"), "achievements")
    last = month_report(session, alliance_id, month)
    confirmed = MonthReport(
        alliance_id=alliance_id,
        month=month,
        version=1 if last is None else last.version + 1,
        until=min(now, end_of_month(month)),
        achievements=said["achievements"],
        highlights=said["highlights"],
        gap=said["gap"],
        measures=said["measures"],
        help=said["help"],
        by=by,
        at=now,
    )
    session.add(confirmed)
    try:
        session.flush()
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(T_("the month was confirmed in the meantime; read it again"), "month") from error
    return confirmed


def month_report(
    session: Session, alliance_id: str, month: str, *, as_of: datetime | None = None
) -> MonthReport | None:
    """Return what holds of a month, as of a moment; None if nobody confirmed it."""
    these = [MonthReport.alliance_id == alliance_id, MonthReport.month == month]
    if as_of is not None:
        these.append(MonthReport.at <= as_of)
    return session.exec(select(MonthReport).where(*these).order_by(col(MonthReport.version).desc())).first()


def month_reports(session: Session, month: str, alliances: Iterable[str]) -> dict[str, MonthReport]:
    """Return what holds of a month by alliance, for those who confirmed it."""
    wanted = (MonthReport.month == month, col(MonthReport.alliance_id).in_(sorted(alliances)))
    rows = session.exec(select(MonthReport).where(*wanted).order_by(col(MonthReport.version))).all()
    return {row.alliance_id: row for row in rows}


def entries_of_month(
    session: Session, alliance_id: str, month: str, *, as_of: datetime | None = None
) -> Sequence[Entry]:
    """Return what was reported in a month with a share of an alliance, by a moment, in its order."""
    first, end = datetime.combine(first_day(month), time(0), TAIPEI), end_of_month(month)
    within = [col(Entry.reported_at) >= first, col(Entry.reported_at) < end, _shared_by(alliance_id)]
    if as_of is not None:
        within.append(col(Entry.reported_at) <= as_of)
    return session.exec(select(Entry).where(*within).order_by(col(Entry.seq))).all()


def _shared_by(alliance_id: str) -> ColumnElement[bool]:
    shares = func.json_each(col(Entry.shares)).table_valued("key", "value")
    return exists(select_columns(literal(1)).select_from(shares).where(shares.c.key == alliance_id))


def confirmed() -> ColumnElement[bool]:
    """Return the condition on `Entry` that a lead of one of its alliances confirmed the time of its report."""
    shares: Any = func.json_each(col(Entry.shares)).table_valued("key", "value")
    report = MonthReport.__table__  # type: ignore[attr-defined]
    covers = (report.c.alliance_id == shares.c.key) & (report.c.until >= col(Entry.reported_at))
    return exists(select_columns(literal(1)).select_from(shares.join(report, covers)))


def is_confirmed(session: Session, entry: Entry) -> bool:
    """Whether a lead of one of an entry's alliances confirmed the time of its report."""
    of_it = (col(MonthReport.alliance_id).in_(sorted(entry.shares)), MonthReport.until >= entry.reported_at)
    return session.exec(select(MonthReport.id).where(*of_it).limit(1)).first() is not None
