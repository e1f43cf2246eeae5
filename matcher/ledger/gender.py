"""Gender statistics: what an alliance supplies once a subsidy year has closed.

In: counts of its principal investigators, liaison experts and participants by
gender, and analyses of causes. Out: dated rows that nobody can change, of which
the newest hold. It exists because the Ministry answers for these figures once a
year, after the closing in August. Trainees and jobs are not supplied: entries
tell of them (`matcher.ledger.gender_figures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from sqlalchemy import CheckConstraint
from sqlmodel import Field as ColumnField
from sqlmodel import Session, SQLModel

from indexer.instants import Instant, day_in_taipei
from indexer.plain_text import clean
from indexer.records import Alliance
from indexer.wording import P_, T_
from matcher.ledger.configuration import Configured
from matcher.ledger.dated_rows import stated
from matcher.ledger.details import Gender
from matcher.ledger.entries import MAX_TEXT, LedgerError
from matcher.ledger.kpis import Kpi
from matcher.ledger.periods import subsidy_days

MAX_COUNT = 1_000_000


class Group(StrEnum):
    """Whose genders are counted."""

    PI = "pi"
    LIAISON_EXPERT = "liaison_expert"
    PARTICIPANT = "participant"
    TRAINEE = "trainee"
    JOB = "job"


GROUP_LABELS = {
    Group.PI: T_("principal investigators"),
    Group.LIAISON_EXPERT: T_("liaison experts"),
    Group.PARTICIPANT: T_("participants"),
    Group.TRAINEE: T_("trainees"),
    Group.JOB: T_("jobs"),
}
"""Each group in Chinese and English."""
GENDER_LABELS = {
    Gender.FEMALE: P_("gender", "female"),
    Gender.MALE: P_("gender", "male"),
    Gender.SELF_DESCRIBED: P_("gender", "self-described"),
    Gender.UNDISCLOSED: T_("undisclosed"),
}
"""Each gender in Chinese and English."""
COUNTED_FROM = {Group.TRAINEE: Kpi.TALENT, Group.JOB: Kpi.JOBS}
"""The groups that entries tell of; an alliance supplies the counts of all others."""

_GROUPS = ", ".join(f"'{group.value}'" for group in Group)
_SUPPLIED = ", ".join(f"'{group.value}'" for group in Group if group not in COUNTED_FROM)
_GENDERS = ", ".join(f"'{gender.value}'" for gender in Gender)


class GenderRules(Configured):
    """When a share asks for an analysis, and which cells are small."""

    name: ClassVar[str] = "gender"

    least_share: tuple[int, int] = Field(description="A share below this fraction asks for an analysis of causes.")
    judged_from: int = Field(ge=1, description="Groups of fewer people than this are not judged.")
    small_below: int = Field(ge=1, le=100, description="Cells below this are left out of what leaves the alliance.")


class GenderCount(SQLModel, table=True):
    """How many people of a gender a group has, as supplied once: never updated; the newest row holds."""

    __tablename__ = "gender_count"
    __table_args__ = (
        CheckConstraint(f"group_code IN ({_SUPPLIED})", name="group_known"),
        CheckConstraint(f"gender IN ({_GENDERS})", name="gender_known"),
        CheckConstraint(f"people BETWEEN 0 AND {MAX_COUNT}", name="people_bounded"),
        CheckConstraint("length(source) > 0", name="has_a_source"),
    )

    id: int | None = ColumnField(default=None, primary_key=True)
    alliance_id: str = ColumnField(foreign_key="alliance.id", index=True)
    year: int
    group_code: str
    gender: str
    people: int
    source: str
    by: str = ColumnField(foreign_key="account.id")
    at: datetime = ColumnField(sa_type=Instant)


class GenderAnalysis(SQLModel, table=True):
    """Why a group of an alliance is as it is: never updated; the newest row holds."""

    __tablename__ = "gender_analysis"
    __table_args__ = (
        CheckConstraint(f"group_code IN ({_GROUPS})", name="group_known"),
        CheckConstraint("length(text) > 0", name="says_something"),
    )

    id: int | None = ColumnField(default=None, primary_key=True)
    alliance_id: str = ColumnField(foreign_key="alliance.id", index=True)
    year: int
    group_code: str
    text: str
    by: str = ColumnField(foreign_key="account.id")
    at: datetime = ColumnField(sa_type=Instant)


def supply_counts(
    session: Session,
    *,
    alliance_id: str,
    year: int,
    group: Group,
    people: Mapping[Gender, int],
    source: str,
    by: str,
    now: datetime,
) -> list[GenderCount]:
    """Store the counts of a group as of a subsidy year's closing; a gender that is not named has nobody.

    Raises:
        LedgerError: the year has not closed, entries tell of that group, or something else is not what it must be.
    """
    if session.get(Alliance, alliance_id) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    if group in COUNTED_FROM:
        raise LedgerError(T_("this group is counted from recognised entries"), "group")
    if not is_closed(year, now):
        raise LedgerError(
            T_(
                "the subsidy year %(year)s closes on %(last)s; supply its counts after",
                year=year,
                last=subsidy_days(year)[1],
            ),
            "year",
        )
    if any(not 0 <= count <= MAX_COUNT for count in people.values()):
        raise LedgerError(T_("give whole numbers from 0 to %(max_count)s", max_count=f"{MAX_COUNT:,}"), "people")
    said = stated(source, T_("say where the figures come from"), "source")
    rows = [
        GenderCount(
            alliance_id=alliance_id,
            year=year,
            group_code=group.value,
            gender=gender.value,
            people=people.get(gender, 0),
            source=said,
            by=by,
            at=now,
        )
        for gender in Gender
    ]
    session.add_all(rows)
    session.flush()
    return rows


def analyse(
    session: Session, *, alliance_id: str, year: int, group: Group, text: str, by: str, now: datetime
) -> GenderAnalysis:
    """Store an analysis of causes; a later one replaces it.

    Raises:
        LedgerError: there is no such alliance, the year has not closed, or nothing is said.
    """
    if session.get(Alliance, alliance_id) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    if not is_closed(year, now):
        raise LedgerError(
            T_(
                "the subsidy year %(year)s closes on %(last)s; analyse it after",
                year=year,
                last=subsidy_days(year)[1],
            ),
            "year",
        )
    said = clean(text, max_chars=MAX_TEXT, multiline=True)
    if not said:
        raise LedgerError(T_("say what the causes are"), "text")
    row = GenderAnalysis(alliance_id=alliance_id, year=year, group_code=group.value, text=said, by=by, at=now)
    session.add(row)
    session.flush()
    return row


def is_closed(year: int, moment: datetime) -> bool:
    """Whether a subsidy year is over at a moment: in Taipei it is after its 31 August."""
    return day_in_taipei(moment) > subsidy_days(year)[1]
