"""What a school was called on a day, and to which school a lab belonged on it.

In: a new name with its day, labs that go to another school with theirs. Out: the name, and the school, of any day. It
exists because a report of a year must call a school what it was called then, and count a lab where it was then,
though the record says what holds now.

A row says what held before its day `until`; what holds now stands in the record itself, so that all that knows
nothing of the past reads it as ever.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy import Column, ForeignKey, String
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.records.record_tables import Lab, School


class SchoolName(SQLModel, table=True):
    """The names that a school had before a day."""

    __tablename__ = "school_name"

    school_id: str = Field(sa_column=Column(String, ForeignKey("school.id", ondelete="CASCADE"), primary_key=True))
    until: date = Field(primary_key=True)
    name: str
    name_en: str


class LabSchool(SQLModel, table=True):
    """The school that a lab belonged to before a day."""

    __tablename__ = "lab_school"

    lab_id: str = Field(sa_column=Column(String, ForeignKey("lab.id", ondelete="CASCADE"), primary_key=True))
    until: date = Field(primary_key=True)
    school: str | None


def school_names_on(session: Session, day: date, ids: Collection[str] | None = None) -> dict[str, tuple[str, str]]:
    """Return the Chinese and English names of schools on a day, of all or of some."""
    now = select(School.id, School.name, School.name_en)
    before = select(SchoolName).where(col(SchoolName.until) > day).order_by(col(SchoolName.until).desc())
    if ids is not None:
        now = now.where(col(School.id).in_(list(ids)))
        before = before.where(col(SchoolName.school_id).in_(list(ids)))
    names = {key: (name, name_en) for key, name, name_en in session.exec(now).all()}
    # The earliest that ended after the day held on it.
    for row in session.exec(before).all():
        names[row.school_id] = (row.name, row.name_en)
    return names


def lab_schools_on(session: Session, day: date) -> dict[str, str | None]:
    """Return the school of every lab on a day."""
    schools = dict(session.exec(select(Lab.id, Lab.school)).all())
    before = select(LabSchool).where(col(LabSchool.until) > day).order_by(col(LabSchool.until).desc())
    for row in session.exec(before).all():
        schools[row.lab_id] = row.school
    return schools
