"""Schools that are called otherwise from a day on, and labs that go to another school on one.

In: a new name with its day; labs, the school they go to, and the day. Out: the record as it holds now, and beside it
what held before, so that a report of a year calls a school what it was called then and counts a lab where it was. It
exists because schools are renamed, divided and joined, and figures of years that are over must not move with them.

Two schools that became one on a day say so themselves (`merged_into`, `merged_on`); a school that is stored twice is
merged (`matcher.mending.merging`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.plain_text import TextError, clean
from indexer.records.mended.merged import kept_id
from indexer.records.mended.retired import retirement_of
from indexer.records.mended.schools import LabSchool, SchoolName
from indexer.records.record_tables import Lab, School, note_changes
from indexer.vocabulary import ID_LENGTH_MAX, Kind, Mendable
from indexer.wording import T_
from matcher.mending.retiring import MendingError, NoSuchRecordError, no_such

MOST_LABS = 5_000


def rename_school(session: Session, *, school_id: str, name: str, name_en: str, since: date, now: datetime) -> School:
    """Give a school another name from a day on; the one it had holds for the time before.

    Args:
        session: its transaction holds all writes.
        school_id: the school.
        name: the new Chinese name.
        name_en: the new English name; empty where there is none.
        since: the first day of the new name, today or before, and after every earlier renaming.
        now: the moment.

    Raises:
        NoSuchRecordError: there is no such school.
        MendingError: the name is none, it is called that already, or the day is not right.
    """
    school = _school(session, school_id, "record")
    new, new_en = _name(name, "name"), _name(name_en, "name_en")
    if not new:
        raise MendingError(T_("give the new name"), "name")
    if (new, new_en) == (school.name, school.name_en):
        raise MendingError(T_("it is called that already"), "name")
    _must_have_come(since, now)
    last = next(iter(earlier_names(session, school_id)), None)
    if last is not None and since <= last.until:
        raise MendingError(T_("it was renamed on %(day)s; give a later day", day=last.until.isoformat()), "since")
    session.add(SchoolName(school_id=school_id, until=since, name=school.name, name_en=school.name_en))
    school.name, school.name_en = new, new_en
    session.add(school)
    session.flush()
    note_changes(session, Kind.SCHOOLS, [school_id])
    return school


def move_labs(
    session: Session, *, school_id: str, to: str, lab_ids: Sequence[str], since: date, now: datetime
) -> list[str]:
    """Let labs of a school belong to another one from a day on, as when a school is divided; all of them or none.

    Args:
        session: its transaction holds all writes.
        school_id: the school that they leave.
        to: the school that they go to, which is stored.
        lab_ids: the labs, each of which belongs to the first school now.
        since: the first day, today or before, and after every earlier move of each.
        now: the moment.

    Returns:
        The labs that were moved, by id.

    Raises:
        NoSuchRecordError: there is no such school.
        MendingError: no lab is named, one of them is not the school's, or the day is not right.
    """
    _school(session, school_id, "record")
    if to == school_id or session.get(School, to) is None or retirement_of(session, Mendable.SCHOOL, to) is not None:
        raise MendingError(T_("name another school that is stored and in use"), "to")
    _must_have_come(since, now)
    wanted = sorted(set(lab_ids))
    if not wanted or len(wanted) > MOST_LABS:
        raise MendingError(T_("name the labs that go, %(most)s at most", most=MOST_LABS), "labs")
    labs = {lab.id: lab for lab in session.exec(select(Lab).where(col(Lab.id).in_(wanted))).all()}
    for lab_id in wanted:
        if lab_id not in labs or labs[lab_id].school != school_id:
            raise MendingError(T_("%(id)s is no lab of this school", id=lab_id), "labs")
    late = select(LabSchool).where(col(LabSchool.lab_id).in_(wanted), col(LabSchool.until) >= since)
    known = session.exec(late.order_by(col(LabSchool.lab_id))).first()
    if known is not None:
        raise MendingError(
            T_("%(id)s came to this school on %(day)s; give a later day", id=known.lab_id, day=known.until.isoformat()),
            "since",
        )
    for lab_id in wanted:
        session.add(LabSchool(lab_id=lab_id, until=since, school=school_id))
        labs[lab_id].school = to
        session.add(labs[lab_id])
    session.flush()
    note_changes(session, Kind.LABS, wanted)
    return wanted


def earlier_names(session: Session, school_id: str) -> list[SchoolName]:
    """Return what a school was called before, the latest first."""
    query = select(SchoolName).where(SchoolName.school_id == school_id)
    return list(session.exec(query.order_by(col(SchoolName.until).desc())).all())


def labs_of(session: Session, school_id: str) -> list[Lab]:
    """Return the labs that belong to a school now, by name."""
    return list(session.exec(select(Lab).where(Lab.school == school_id).order_by(col(Lab.name), col(Lab.id))).all())


def _school(session: Session, school_id: str, field: str) -> School:
    school = session.get(School, school_id)
    if school is None:
        raise NoSuchRecordError(no_such(Mendable.SCHOOL, school_id), field)
    kept = kept_id(session, Mendable.SCHOOL, school_id)
    if kept is not None:
        raise MendingError(T_("it was merged into %(kept)s; undo that instead", kept=kept), field)
    return school


def _name(given: str, field: str) -> str:
    try:
        return clean(given, max_chars=ID_LENGTH_MAX, multiline=False).strip()
    except TextError as error:
        raise MendingError(str(error), field) from error


def _must_have_come(since: date, now: datetime) -> None:
    if since > day_in_taipei(now):
        raise MendingError(T_("%(day)s has not come yet; do it on that day or later", day=since.isoformat()), "since")
