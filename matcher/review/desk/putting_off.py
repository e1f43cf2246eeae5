"""What somebody put off until a day: it leaves their own list, not the counts of the alliance.

In: somebody, one thing that waits for them, a day. Out: one row for each thing, which the person may take back. It
exists because a list on which nothing can be moved to Thursday is soon read by nobody. Putting off is a person's own:
a colleague's list and the night's report still have the thing, and whatever happens to it brings it back at once.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement
from sqlmodel import Field, Session, SQLModel, col, delete, func, select

from indexer.instants import Instant, day_in_taipei
from indexer.wording import T_

MOST_DAYS = 90
"""So far ahead something can be put off: what may rest longer is better deferred or closed."""
MOST_THINGS = 300


class PutOffError(ValueError):
    """Something can't be put off until that day; `field` is to blame."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class PutOff(SQLModel, table=True):
    """One thing that an account does not want to see before a day; `kind` and `subject` say which."""

    __tablename__ = "put_off"

    account_id: str = Field(primary_key=True, foreign_key="account.id")
    kind: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    until: date
    at: datetime = Field(sa_type=Instant)


def put_off_until(session: Session, *, account_id: str, kind: str, subject: str, until: date, now: datetime) -> PutOff:
    """Put something off until a day, on which it is back; a second time moves the day.

    Raises:
        PutOffError: the day is not after today or too far ahead, or too much is put off already.
    """
    today = day_in_taipei(now)
    if not today < until <= today + timedelta(days=MOST_DAYS):
        raise PutOffError(
            T_("choose a day from tomorrow on, at most %(days)s days ahead", days=MOST_DAYS),
            "until",
        )
    row = session.get(PutOff, (account_id, kind, subject))
    if row is None:
        # What is back is no longer needed; of the rest nobody keeps more than a list that can be read.
        session.execute(delete(PutOff).where(col(PutOff.account_id) == account_id, col(PutOff.until) <= today))
        kept = session.exec(select(func.count()).where(col(PutOff.account_id) == account_id)).one()
        if kept >= MOST_THINGS:
            raise PutOffError(
                T_("you have put off %(most)s things already; take some back first", most=MOST_THINGS), "until"
            )
        row = PutOff(account_id=account_id, kind=kind, subject=subject, until=until, at=now)
    row.until, row.at = until, now
    session.add(row)
    session.flush()
    return row


def take_back(session: Session, *, account_id: str, kind: str, subject: str) -> None:
    """Let something wait again; if it was not put off, nothing changes."""
    session.execute(delete(PutOff).where(*_one(account_id, kind, subject)))


def still_put_off(session: Session, account_id: str, today: date) -> dict[tuple[str, str], PutOff]:
    """Return what an account has put off beyond a day, by kind and subject."""
    rows = session.exec(select(PutOff).where(PutOff.account_id == account_id, col(PutOff.until) > today)).all()
    return {(row.kind, row.subject): row for row in rows}


def _one(account_id: str, kind: str, subject: str) -> tuple[ColumnElement[bool], ...]:
    return col(PutOff.account_id) == account_id, col(PutOff.kind) == kind, col(PutOff.subject) == subject
