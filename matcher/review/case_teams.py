"""Cases that are one piece of work: which cases of a need a team carries together, and who leads.

In: cases of one need that were accepted together or later made one team, and which of them leads. Out: an immutable
row per team with its members; for a case the team that it is in now. It exists because a need that takes three labs
is one conversation with the company and three introductions: each lab keeps its own case, with its own answers and
its own steps, and whoever opens one of them has to see the others. A case that joins a new team leaves the one before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy import select as select_columns
from sqlmodel import Field, Session, SQLModel, col, func, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.records.record_tables import Lab
from indexer.wording import T_
from matcher.review.cases import Case, CaseError, Stage


class CaseTeam(SQLModel, table=True):
    """Some cases of a need that are carried together from a moment on: never updated, never deleted."""

    __tablename__ = "case_team"

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    lead_case_id: int = Field(foreign_key="case_file.id")
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


class CaseTeamMember(SQLModel, table=True):
    """One of the cases of a team: never updated, never deleted."""

    __tablename__ = "case_team_member"
    __table_args__ = (UniqueConstraint("team_id", "case_id", name="once_in_a_team"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: int = Field(foreign_key="case_team.id")
    case_id: int = Field(foreign_key="case_file.id", index=True)


@dataclass(frozen=True)
class TeamCase:
    """A case of a team: its lab by id and name, how far it is, and whether it leads."""

    case_id: int
    lab_id: str
    name: str
    name_en: str
    stage: Stage
    leads: bool


def form_team(
    session: Session, *, cases: Sequence[Case], lead_case_id: int, alliance_id: str, by: str, now: datetime
) -> CaseTeam:
    """Make some cases of one need a team.

    Args:
        session: its transaction holds all rows.
        cases: two or more, each of another lab.
        lead_case_id: which of them leads.
        alliance_id: the alliance that works on them.
        by: who makes them one.
        now: the moment.

    Raises:
        CaseError: they are fewer than two, of several needs or alliances, or closed, or the lead is none of them.
    """
    if len({case.lab_id for case in cases}) < 2:
        raise CaseError(T_("a team has at least two labs"), "members")
    if {case.alliance_id for case in cases} != {alliance_id} or len({case.need_id for case in cases}) != 1:
        raise CaseError(T_("a team is of one need and one alliance"), "members")
    closed = next((case for case in cases if case.stage in (Stage.LOST, Stage.UNDONE)), None)
    if closed is not None:
        raise CaseError(T_("case %(id)s is closed: it can't be in a team", id=closed.id), "members")
    if lead_case_id not in {case.id for case in cases}:
        raise CaseError(T_("the lead is one of the team"), "lead")
    row = CaseTeam(need_id=cases[0].need_id, alliance_id=alliance_id, lead_case_id=lead_case_id, by=by, at=now)
    team = insert_fact(session, row)
    for case in sorted(cases, key=lambda one: one.id or 0):
        insert_fact(session, CaseTeamMember(team_id=team.id or 0, case_id=case.id or 0))
    return team


def teams_of(session: Session, case_ids: Collection[int]) -> dict[int, list[TeamCase]]:
    """Return for each of the cases that is in a team all cases of the newest one, the lead first, then by number.

    Cases whose acceptance was taken back are left out; who is left alone is in no team.
    """
    newest = (
        select(CaseTeamMember.case_id, func.max(CaseTeamMember.team_id).label("team_id"))
        .where(col(CaseTeamMember.case_id).in_(sorted(case_ids)))
        .group_by(col(CaseTeamMember.case_id))
        .subquery()
    )
    query = (
        select_columns(
            newest.c.case_id,
            col(CaseTeam.lead_case_id),
            col(Case.id),
            col(Case.stage),
            col(Case.lab_id),
            col(Lab.name),
            col(Lab.name_en),
        )
        .select_from(newest)
        .join(CaseTeam, col(CaseTeam.id) == newest.c.team_id)
        .join(CaseTeamMember, col(CaseTeamMember.team_id) == CaseTeam.id)
        .join(Case, col(Case.id) == CaseTeamMember.case_id)
        .join(Lab, col(Lab.id) == Case.lab_id)
        .where(col(Case.stage) != Stage.UNDONE.value)
        .order_by(col(Case.id))
    )
    found: dict[int, list[TeamCase]] = defaultdict(list)
    for of_case, lead, case_id, stage, lab_id, name, name_en in session.execute(query).all():
        found[of_case].append(TeamCase(case_id, lab_id, name, name_en, Stage(stage), leads=case_id == lead))
    return {
        of_case: sorted(team, key=lambda one: (not one.leads, one.case_id))
        for of_case, team in found.items()
        if len(team) > 1
    }
