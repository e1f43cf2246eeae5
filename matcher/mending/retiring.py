"""Retiring a record and taking that back.

In: a record, why and since when it is no longer used, and who says so. Out: the row that says it, a note in the feed of
changes, so that running servers and the next index leave it out, or why it can't be. It exists because nothing that
cases and results name may be deleted, and what was imported by mistake must go out of everybody's sight all the same.

What is retired can still be read by whoever could read it before, with the reason; it is proposed, listed, exported
and chosen no more. What a person decided before stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Table
from sqlalchemy import select as select_columns
from sqlmodel import Session, SQLModel, col, select

from indexer.instants import day_in_taipei
from indexer.plain_text import TextError, clean
from indexer.records.mended.merged import kept_id
from indexer.records.mended.retired import Retirement, retirement_of
from indexer.records.record_tables import Company, Evidence, Lab, Need, School, note_changes
from indexer.vocabulary import Kind, Mendable
from indexer.wording import P_, T_, Text
from matcher.review.people import Account, leave_an_office, set_disabled

MODELS: Mapping[Mendable, type[SQLModel]] = {
    Mendable.LAB: Lab,
    Mendable.COMPANY: Company,
    Mendable.NEED: Need,
    Mendable.SCHOOL: School,
    Mendable.PERSON: Account,
}
_FEEDS = {
    Mendable.LAB: Kind.LABS,
    Mendable.EVIDENCE: Kind.LABS,
    Mendable.COMPANY: Kind.COMPANIES,
    Mendable.NEED: Kind.NEEDS,
    Mendable.SCHOOL: Kind.SCHOOLS,
}
MAX_REASON = 2_000


class MendingError(ValueError):
    """A record can't be mended that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NoSuchRecordError(MendingError):
    """There is no such record."""


@dataclass(frozen=True)
class RecordName:
    """What a record is called in Chinese and English: evidence by its title, a need by nothing, for that is its own."""

    name: str = ""
    name_en: str = ""


def record_name(session: Session, kind: Mendable, record_id: str, part: str = "") -> RecordName | None:
    """Return what a record is called, None if there is none."""
    if kind is Mendable.EVIDENCE:
        piece = session.get(Evidence, (record_id, part))
        return None if piece is None else RecordName(piece.title or part)
    return record_names(session, kind, [record_id]).get(record_id)


def record_names(session: Session, kind: Mendable, ids: Collection[str]) -> dict[str, RecordName]:
    """Return what some records of a kind are called, by id; of evidence there are none here."""
    wanted = list(ids)
    if kind is Mendable.EVIDENCE:
        return {}
    table: Table = MODELS[kind].__table__  # type: ignore[attr-defined]
    columns = _CALLED.get(kind, ("name", "name_en"))
    query = select_columns(table.c.id, *(table.c[name] for name in columns)).where(table.c.id.in_(wanted))
    return {str(row[0]): RecordName(*map(str, row[1:])) for row in session.connection().execute(query).all()}


_CALLED = {Mendable.NEED: (), Mendable.PERSON: ("name",)}


def stated_reason(reason: str) -> str:
    """Return a reason as it is stored.

    Raises:
        MendingError: there is none, or it is too long.
    """
    try:
        said = clean(reason, max_chars=MAX_REASON, multiline=True).strip()
    except TextError as error:
        raise MendingError(str(error), "reason") from error
    if not said:
        raise MendingError(T_("say why; it stays on record and is shown with it"), "reason")
    return said


def no_such(kind: Mendable, record_id: str, part: str = "") -> Text:
    """Return what is said of a record that there is not."""
    shown = f"{record_id} {part}".strip()
    return T_("there is no %(kind)s %(id)s; give its id as lists and exports show it", kind=_SAID[kind], id=shown)


_SAID = {
    Mendable.LAB: P_("record", "lab"),
    Mendable.COMPANY: P_("record", "company"),
    Mendable.NEED: P_("record", "need"),
    Mendable.SCHOOL: P_("record", "school"),
    Mendable.EVIDENCE: P_("record", "piece of evidence"),
    Mendable.PERSON: P_("record", "person"),
}


def _must_exist(session: Session, kind: Mendable, record_id: str, part: str) -> None:
    if kind is Mendable.EVIDENCE and record_name(session, Mendable.LAB, record_id) is None:
        raise NoSuchRecordError(no_such(Mendable.LAB, record_id), "record")
    if record_name(session, kind, record_id, part) is None:
        missing = MendingError if kind is Mendable.EVIDENCE else NoSuchRecordError
        raise missing(no_such(kind, record_id, part), "piece" if part else "record")


def retire(
    session: Session,
    *,
    kind: Mendable,
    record_id: str,
    reason: str,
    by: str | None,
    now: datetime,
    since: date | None = None,
    part: str = "",
) -> Retirement:
    """Retire a record.

    Args:
        session: its transaction holds all writes.
        kind: what it is.
        record_id: its id; of a piece of evidence the lab's.
        reason: why; shown with it from then on.
        by: the account that says so, None for whoever runs the machine.
        now: the moment.
        since: the day since when it is no longer used, today or before; None for today.
        part: the id of a piece of evidence, "" otherwise.

    Raises:
        MendingError: there is no such record, it is retired or merged already, the day has not come, or no reason is
            given.
        LastOfficeError: nobody would be left in the programme office.
    """
    if kind is Mendable.PERSON:
        leave_an_office(session, without=record_id)
    _must_exist(session, kind, record_id, part)
    said, today = stated_reason(reason), day_in_taipei(now)
    if since is not None and since > today:
        raise MendingError(
            T_("%(day)s has not come yet; a record is retired since a day that has", day=since.isoformat()), "since"
        )
    kept = kept_id(session, kind, record_id)
    if kept is not None:
        raise MendingError(T_("it was merged into %(kept)s; undo that first, or retire the other", kept=kept), "record")
    if retirement_of(session, kind, record_id, part) is not None:
        raise MendingError(T_("it is retired already"), "record")
    retired = Retirement(
        kind=kind.value, record_id=record_id, part=part, since=since or today, reason=said, by=by, at=now
    )
    session.add(retired)
    session.flush()
    tell(session, kind, [record_id])
    if kind is Mendable.PERSON:
        set_disabled(session, account_id=record_id, disabled=True, now=now)
    return retired


def reinstate(
    session: Session, *, kind: Mendable, record_id: str, by: str | None, now: datetime, part: str = ""
) -> Retirement:
    """Take a record back into use; that it was retired stays on record.

    Raises:
        MendingError: it is not retired, or it was merged, which is undone instead.
    """
    retired = retirement_of(session, kind, record_id, part)
    if retired is None:
        _must_exist(session, kind, record_id, part)
    if retired is None:
        raise MendingError(T_("it is in use: there is nothing to take back"), "record")
    kept = kept_id(session, kind, record_id)
    if kept is not None:
        raise MendingError(T_("it was merged into %(kept)s; undo that instead", kept=kept), "record")
    retired.ended_at, retired.ended_by = now, by
    session.add(retired)
    session.flush()
    tell(session, kind, [record_id])
    if kind is Mendable.PERSON:
        set_disabled(session, account_id=record_id, disabled=False, now=now)
    return retired


def tell(session: Session, kind: Mendable, ids: Collection[str]) -> None:
    """Note in the feed of changes that records went or came back; of accounts nobody is told there."""
    if kind in _FEEDS:
        note_changes(session, _FEEDS[kind], ids)


def retirements(session: Session, *, ended: bool = False) -> list[Retirement]:
    """Return what is retired now, the newest first; with `ended` what was taken back too."""
    query = select(Retirement).order_by(col(Retirement.id).desc())
    if not ended:
        query = query.where(col(Retirement.ended_at).is_(None))
    return list(session.exec(query).all())
