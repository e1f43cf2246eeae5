"""Rows of an alliance that say what happened on a day, and are reversed, never changed.

In: the number of such a row and why it was wrong. Out: a row of the same kind
that takes it back, at most once. It exists because income, expenses and points
are corrected in the same way as entries: the right row is a new one.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel

from indexer.database import is_duplicate
from indexer.instants import day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance
from indexer.vocabulary import ID_LENGTH_MAX
from indexer.wording import T_
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules

Row = TypeVar("Row", bound=SQLModel)


def refuse_impossible(session: Session, *, alliance_id: str, occurred_on: date, now: datetime) -> None:
    """Refuse a row of an alliance that does not exist, or of a day before the programme or still to come.

    Raises:
        LedgerError: the alliance or the day.
    """
    if session.get(Alliance, alliance_id) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    start = current(session, RecognitionRules).programme_start
    if not start <= occurred_on <= day_in_taipei(now):
        raise LedgerError(T_("give a day between %(start)s and today in Taipei", start=start), "occurred_on")


def reversed_row(session: Session, model: type[Row], row_id: int, *, reason: str, by: str, now: datetime) -> Row:
    """Store the row that takes another one back; the caller commits.

    Args:
        session: its transaction holds all writes.
        model: a table with `id`, `source`, `by`, `at` and a unique `reverses`.
        row_id: the row to take back.
        reason: why; it becomes the reversal's source.
        by: the account that reverses.
        now: the moment.

    Raises:
        LedgerError: there is no such row, it is a reversal itself, or no reason is given.
        AlreadyReportedError: it is reversed already.
    """
    row: Any = session.get(model, row_id)
    if row is None or row.reverses is not None:
        raise LedgerError(T_("there is no row %(row_id)s that could be taken back", row_id=row_id), "row")
    same = row.model_dump(exclude={"id", "source", "reverses", "by", "at"})
    reversal = model(**same, source=stated_line(reason, T_("say why"), "reason"), reverses=row_id, by=by, at=now)
    session.add(reversal)
    try:
        session.flush()
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(T_("row %(row_id)s is taken back already", row_id=row_id), "row") from error
    return reversal


def stated_line(text: str, otherwise: str, field: str) -> str:
    """Return a text of one line as it may be stored.

    Raises:
        LedgerError: it is empty; the message is `otherwise`.
    """
    said = clean(text, max_chars=ID_LENGTH_MAX, multiline=False)
    if not said:
        raise LedgerError(otherwise, field)
    return said
