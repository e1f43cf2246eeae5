"""Joint visits to a company: planned with a team and an agenda, held, reported; kept as they went.

In: a company, what it answered, the team that was proposed or chosen, changes to the agenda, findings, next steps. Out:
the visit with its state and a row for every step. It exists because a team of several schools goes to a factory once:
what it was asked, who was there and what is to come of it has to outlive the day, and a visit without a report is one
that the programme can't count. The labs stand with the words for which they were chosen, since their profiles go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, ColumnElement, update
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from indexer.wording import P_, T_, Text
from matcher.review import people  # noqa: F401 (its table is referred to)
from matcher.review.cases import ContactKind, add_contact


class VisitState(StrEnum):
    """How far a visit has come."""

    PLANNED = "planned"
    HELD = "held"
    REPORTED = "reported"
    CALLED_OFF = "called_off"


NEXT_VISIT_STATES: Mapping[VisitState, tuple[VisitState, ...]] = {
    VisitState.PLANNED: (VisitState.HELD, VisitState.CALLED_OFF),
    VisitState.HELD: (VisitState.REPORTED,),
    VisitState.REPORTED: (),
    VisitState.CALLED_OFF: (),
}
VISIT_STATE_LABELS: Mapping[VisitState, Text] = {
    VisitState.PLANNED: P_("state of a visit", "planned"),
    VisitState.HELD: P_("state of a visit", "held, report to be written"),
    VisitState.REPORTED: P_("state of a visit", "reported"),
    VisitState.CALLED_OFF: P_("state of a visit", "called off"),
}
_STATES = ", ".join(f"'{state.value}'" for state in VisitState)


class VisitError(ValueError):
    """A visit can't be changed that way; the message says why and `field` what is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class StaleVisitError(VisitError):
    """Somebody else changed the visit in the meantime."""


class DiagnosisVisit(SQLModel, table=True):
    """A visit of a team to a company; `version` counts its changes.

    `answers` is what the company was asked, by topic with degree and note; `team` the labs with the topics that each
    answers and the words that say so; `agenda` its items in order; `findings` what was found, by topic; `next_steps`
    have a title and a text each.
    """

    __tablename__ = "diagnosis_visit"
    __table_args__ = (CheckConstraint(f"state IN ({_STATES})", name="state_known"),)

    id: int | None = Field(default=None, primary_key=True)
    company_id: str = Field(foreign_key="company.id", index=True)
    alliance_id: str = Field(foreign_key="alliance.id", index=True)
    state: str = VisitState.PLANNED.value
    held_on: date
    place: str = ""
    answers: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    team: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    agenda: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    findings: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    next_steps: list[dict[str, str]] = Field(sa_column=Column(JSON, nullable=False))
    version: int = 0
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


class VisitStep(SQLModel, table=True):
    """One change of a visit's state: never updated, never deleted."""

    __tablename__ = "visit_step"

    id: int | None = Field(default=None, primary_key=True)
    visit_id: int = Field(foreign_key="diagnosis_visit.id", index=True)
    old: str | None
    new: str
    note: str = ""
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def visit_is_due(today: date) -> ColumnElement[bool]:
    """Return the condition of visits that wait for somebody: their day has come, or they were held without a report."""
    planned = (col(DiagnosisVisit.state) == VisitState.PLANNED.value) & (col(DiagnosisVisit.held_on) <= today)
    return planned | (col(DiagnosisVisit.state) == VisitState.HELD.value)


def plan_visit(
    session: Session,
    *,
    company_id: str,
    alliance_id: str,
    held_on: date,
    place: str,
    answers: Sequence[Mapping[str, Any]],
    team: Sequence[Mapping[str, Any]],
    agenda: Sequence[Mapping[str, Any]],
    by: str,
    now: datetime,
) -> DiagnosisVisit:
    """Plan a visit."""
    visit = DiagnosisVisit(
        company_id=company_id,
        alliance_id=alliance_id,
        held_on=held_on,
        place=place,
        answers=[dict(one) for one in answers],
        team=[dict(one) for one in team],
        agenda=[dict(one) for one in agenda],
        findings={},
        next_steps=[],
        by=by,
        at=now,
        changed_at=now,
    )
    session.add(visit)
    session.flush()
    _note(session, visit, None, VisitState.PLANNED, "", by, now)
    return visit


def change_visit(session: Session, visit: DiagnosisVisit, changes: Mapping[str, Any], *, now: datetime) -> None:
    """Change what a visit says: `held_on`, `place`, `team`, `agenda` until it was held, the rest until it is reported.

    Raises:
        VisitError: it is past that.
        StaleVisitError: somebody else changed it in the meantime.
    """
    state = VisitState(visit.state)
    if state in (VisitState.REPORTED, VisitState.CALLED_OFF):
        raise VisitError(T_("the visit is closed: nothing of it is changed any more"))
    team_changes = changes.keys() & {"team", "held_on"}
    if state is VisitState.HELD and any(changes[name] != getattr(visit, name) for name in team_changes):
        raise VisitError(T_("the visit was held: who was there and when stays as it was"), min(team_changes))
    _store(session, visit, dict(changes), now)


def move_visit(
    session: Session, visit: DiagnosisVisit, state: VisitState, *, by: str, now: datetime, note: str = ""
) -> None:
    """Move a visit on; one that was held is a contact with the company.

    Raises:
        VisitError: the state can't follow, it was not held yet, or nothing was found that could be reported.
        StaleVisitError: somebody else changed it in the meantime.
    """
    old = VisitState(visit.state)
    if state not in NEXT_VISIT_STATES[old]:
        raise VisitError(T_("a visit that is %(old)s can't become %(new)s", old=old, new=state), "state")
    if state is VisitState.REPORTED and not any(text.strip() for text in visit.findings.values()):
        raise VisitError(T_("write down what was found before the visit is reported"), "findings")
    _store(session, visit, {"state": state.value}, now)
    _note(session, visit, old, state, note, by, now)
    if state is VisitState.HELD:
        add_contact(
            session,
            alliance_id=visit.alliance_id,
            case=None,
            company_id=visit.company_id,
            kind=ContactKind.VISIT,
            held_on=visit.held_on,
            by=by,
            now=now,
            note=note,
        )


def _store(session: Session, visit: DiagnosisVisit, changes: dict[str, Any], now: datetime) -> None:
    same = (col(DiagnosisVisit.id) == visit.id, col(DiagnosisVisit.version) == visit.version)
    told = update(DiagnosisVisit).where(*same).values(**changes, version=visit.version + 1, changed_at=now)
    # Two people write a report at once; who comes second has not read what the first wrote.
    if session.connection().execute(told).rowcount != 1:
        raise StaleVisitError(T_("the visit was changed in the meantime; read it again"), "version")
    session.refresh(visit)


def _note(
    session: Session, visit: DiagnosisVisit, old: VisitState | None, new: VisitState, note: str, by: str, now: datetime
) -> None:
    row = VisitStep(
        visit_id=visit.id or 0, old=None if old is None else old.value, new=new.value, note=note, by=by, at=now
    )
    insert_fact(session, row)


def steps_of(session: Session, visit_id: int) -> Sequence[VisitStep]:
    """Return the steps of a visit, the first one first."""
    return session.exec(select(VisitStep).where(VisitStep.visit_id == visit_id).order_by(col(VisitStep.id))).all()
