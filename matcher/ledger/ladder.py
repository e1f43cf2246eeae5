"""The ladder of an alliance that is behind: warning, improvement plan, help by the ministry, exit; or early graduation.

In: the programme office's word, with its reason. Out: dated rows that nobody
can change, of which the last says where an alliance stands for a figure. It
exists because an alliance may lose its subsidy at the end of it: every step has
a date, a reason and a name, none can be left out, and the nightly job may only
propose one. The database itself refuses a step that can't follow the last.

Each figure of an alliance has a ladder. Graduation (自主營運) is a step of the
alliance as a whole; it and an exit end all of its ladders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate
from indexer.instants import Instant, day_in_taipei
from indexer.plain_text import clean
from indexer.records import Alliance
from indexer.wording import T_
from matcher.ledger.entries import MAX_TEXT, AlreadyReportedError, LedgerError
from matcher.ledger.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.warnings import Level, Reading
from matcher.people import Account, principal
from matcher.roles import Role

WHOLE_ALLIANCE = "alliance"
"""Stands where a figure's code stands in a row about the alliance as a whole."""


class Rung(StrEnum):
    """Where an alliance stands."""

    WARNING = "warning"
    PLAN = "plan"
    HELP = "help"
    EXIT = "exit"
    LIFTED = "lifted"
    GRADUATED = "graduated"


RUNG_LABELS = {
    Rung.WARNING: T_("warning"),
    Rung.PLAN: T_("improvement plan"),
    Rung.HELP: T_("help by the ministry"),
    Rung.EXIT: T_("exit"),
    Rung.LIFTED: T_("lifted"),
    Rung.GRADUATED: T_("graduated early, self-operating"),
}
"""Each rung in Chinese and English."""

NEXT_RUNGS: dict[Rung | None, tuple[Rung, ...]] = {
    None: (Rung.WARNING,),
    Rung.WARNING: (Rung.PLAN, Rung.LIFTED),
    Rung.PLAN: (Rung.PLAN, Rung.HELP, Rung.LIFTED),
    Rung.HELP: (Rung.PLAN, Rung.EXIT, Rung.LIFTED),
    Rung.LIFTED: (Rung.WARNING,),
    Rung.EXIT: (),
    Rung.GRADUATED: (),
}
"""Where a figure's ladder can go from each rung; a plan may be followed by a new plan."""

ENDS = (Rung.EXIT, Rung.GRADUATED)
_RUNGS = ", ".join(f"'{rung.value}'" for rung in Rung)
_KNOWN_LADDERS = (*(kpi.value for kpi in RECOGNISED_KPIS), WHOLE_ALLIANCE)
_LADDERS = ", ".join(f"'{code}'" for code in _KNOWN_LADDERS)
_ENDED = text("rung IN ('exit', 'graduated')")


class LadderStep(SQLModel, table=True):
    """One step: never updated, never deleted. `grounds` is the gap that a warning was given for."""

    __tablename__ = "ladder_step"
    __table_args__ = (
        UniqueConstraint("alliance_id", "ladder", "version", name="one_rung_per_version"),
        CheckConstraint(f"rung IN ({_RUNGS})", name="rung_known"),
        CheckConstraint(f"ladder IN ({_LADDERS})", name="ladder_known"),
        CheckConstraint("(ladder = 'alliance') = (rung = 'graduated')", name="graduates_as_a_whole"),
        CheckConstraint("length(reason) > 0", name="said_why"),
        CheckConstraint("(rung = 'plan') = (owner IS NOT NULL)", name="plan_has_an_owner"),
        CheckConstraint("(rung = 'plan') = (due_on IS NOT NULL)", name="plan_is_due"),
        Index("ix_ladder_step_ended", "alliance_id", unique=True, sqlite_where=_ENDED, postgresql_where=_ENDED),
    )

    id: int | None = Field(default=None, primary_key=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    ladder: str
    version: int
    rung: str
    reason: str
    owner: str | None = Field(foreign_key="account.id")
    due_on: date | None
    grounds: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def warn(session: Session, *, gap: Reading, reason: str, by: str, now: datetime) -> LadderStep:
    """Give an alliance the warning that a gap proposes.

    Raises:
        LedgerError: the gap is the programme's or no warning, the caller is not of the programme office, no reason is
            given, or the alliance can't be warned as it stands.
        AlreadyReportedError: somebody took a step at the same time.
    """
    if gap.alliance is None or gap.level is not Level.WARNING:
        raise LedgerError(T_("only an alliance's gap that the rules call a warning can be one"), "gap")
    return _take(
        session, gap.alliance, gap.kpi.value, Rung.WARNING, reason=reason, by=by, now=now, grounds=_grounds(gap)
    )


def agree_plan(
    session: Session, *, alliance_id: str, kpi: Kpi, owner: str, due_on: date, reason: str, by: str, now: datetime
) -> LadderStep:
    """Note an improvement plan with who carries it out and by which day (in Taipei, included).

    Raises:
        LedgerError: as in `warn`; or there is no such owner, or the day is past.
        AlreadyReportedError: somebody took a step at the same time.
    """
    if session.get(Account, owner) is None:
        raise LedgerError(T_("there is no such account; name who carries the plan out"), "owner")
    if due_on <= day_in_taipei(now):
        raise LedgerError(T_("a plan is due on a later day than today in Taipei"), "due_on")
    return _take(session, alliance_id, kpi.value, Rung.PLAN, reason=reason, by=by, now=now, owner=owner, due_on=due_on)


def step(
    session: Session, *, alliance_id: str, kpi: Kpi, rung: Rung, reason: str, by: str, now: datetime
) -> LadderStep:
    """Take a step that needs nothing but a reason: help, exit, or lifting what stands.

    Raises:
        LedgerError: as in `warn`; or the rung is another one.
        AlreadyReportedError: somebody took a step at the same time.
    """
    if rung not in (Rung.HELP, Rung.EXIT, Rung.LIFTED):
        raise LedgerError(
            T_("this is for help, exit and lifted; a warning needs a gap, a plan an owner and a day"), "rung"
        )
    return _take(session, alliance_id, kpi.value, rung, reason=reason, by=by, now=now)


def graduate(session: Session, *, alliance_id: str, reason: str, by: str, now: datetime) -> LadderStep:
    """Let an alliance go early because it carries itself (自主營運), wherever it stands; all its ladders end.

    Raises:
        LedgerError: as in `warn`.
        AlreadyReportedError: somebody took a step at the same time.
    """
    return _take(session, alliance_id, WHOLE_ALLIANCE, Rung.GRADUATED, reason=reason, by=by, now=now)


def steps_of(session: Session, alliance_id: str) -> Sequence[LadderStep]:
    """Return every step of an alliance, oldest first."""
    return session.exec(
        select(LadderStep).where(LadderStep.alliance_id == alliance_id).order_by(col(LadderStep.id))
    ).all()


def _grounds(gap: Reading) -> dict[str, Any]:
    return {
        "year": gap.year,
        "quarter": gap.quarter,
        "as_of": gap.as_of.isoformat(),
        "target_bp": gap.target_bp,
        "expected_bp": gap.expected_bp,
        "actual_bp": gap.actual_bp,
        "entries": list(gap.entries),
    }


def _take(
    session: Session,
    alliance_id: str,
    ladder: str,
    rung: Rung,
    *,
    reason: str,
    by: str,
    now: datetime,
    owner: str | None = None,
    due_on: date | None = None,
    grounds: Mapping[str, Any] | None = None,
) -> LadderStep:
    said = clean(reason, max_chars=MAX_TEXT, multiline=True)
    if not said:
        raise LedgerError(T_("say why"), "reason")
    if ladder not in _KNOWN_LADDERS:
        raise LedgerError(
            T_(
                "%(ladder)s has no ladder; give one of %(recognised_kpis)s",
                ladder=ladder,
                recognised_kpis=", ".join(RECOGNISED_KPIS),
            ),
            "kpi",
        )
    speaker = principal(session, by)
    if speaker is None or not speaker.holds(Role.OFFICE):
        raise LedgerError(T_("a step is confirmed by a person of the programme office"), "by")
    # One step of an alliance at a time, whichever figure it is about: an end closes them all.
    if session.get(Alliance, alliance_id, with_for_update={"key_share": True}) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    version = _version_after(session, alliance_id, ladder, rung)
    taken = LadderStep(
        alliance_id=alliance_id,
        ladder=ladder,
        version=version,
        rung=rung.value,
        reason=said,
        owner=owner,
        due_on=due_on,
        grounds=dict(grounds or {}),
        by=by,
        at=now,
    )
    session.add(taken)
    try:
        session.flush()
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(
            T_("%(alliance_id)s went on in the meantime; read it again", alliance_id=alliance_id)
        ) from error
    return taken


def _version_after(session: Session, alliance_id: str, ladder: str, rung: Rung) -> int:
    steps = steps_of(session, alliance_id)
    ended = next((row for row in steps if Rung(row.rung) in ENDS), None)
    if ended is not None:
        raise LedgerError(
            T_(
                "%(alliance_id)s has left the programme: %(rung)s on %(day)s",
                alliance_id=alliance_id,
                rung=ended.rung,
                day=day_in_taipei(ended.at),
            ),
            "rung",
        )
    own = [row for row in steps if row.ladder == ladder]
    if ladder == WHOLE_ALLIANCE:
        return len(own) + 1
    stands = Rung(own[-1].rung) if own else None
    if rung not in NEXT_RUNGS[stands]:
        allowed = ", ".join(NEXT_RUNGS[stands])
        raise LedgerError(
            T_(
                "%(rung)s can't follow %(stands)s; %(allowed)s can",
                rung=rung,
                stands=stands or T_("no warning"),
                allowed=allowed,
            ),
            "rung",
        )
    return len(own) + 1
