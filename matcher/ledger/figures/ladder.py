"""The ladder of an alliance that is behind: warning, plan, help by the ministry, exit; or early graduation.

In: the programme office's word, with its reason; how targets stand on a day. Out: dated rows that nobody can
change, of which the last says where an alliance stands for a figure, since when and for how long; and what the
nightly job finds there: a warning that is proposed, a plan that is missing or past its date, a warning that may be
lifted. It exists because an alliance may lose its subsidy at the end of it: every step has a date, a reason and a
name, none can be left out, and the nightly job may only propose one. The database itself refuses a step that can't
follow the last.

Each figure of an alliance has a ladder, and so has its self-operation: a closed subsidy year in which it did not earn
what it has to. Graduation (自主營運) is a step of the alliance as a whole; it and an exit end all of its ladders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate
from indexer.instants import Instant, day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance
from indexer.wording import T_, either
from matcher.ledger.figures.alliance_targets import AllianceTargets, foundings, targets_of, year_targets_of
from matcher.ledger.figures.folds import end_of, figures
from matcher.ledger.figures.self_operation import Ladder, Matter, OperationReading, ladder_of, operation_readings
from matcher.ledger.figures.warnings import Level, PaceReading, WarningRules, chosen_book, readings
from matcher.ledger.rows.entries import MAX_TEXT, AlreadyReportedError, LedgerError
from matcher.ledger.rows.kpis import RECOGNISED_KPIS
from matcher.ledger.rows.periods import roc_year
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.targets import TargetBooks
from matcher.review.people import Account, principal
from matcher.review.roles import Role

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
_KNOWN_LADDERS = (*(kpi.value for kpi in RECOGNISED_KPIS), *Matter, WHOLE_ALLIANCE)
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


def warn(session: Session, *, gap: PaceReading | OperationReading, reason: str, by: str, now: datetime) -> LadderStep:
    """Give an alliance the warning that a gap proposes.

    Raises:
        LedgerError: the gap is the programme's or no warning, the caller is not of the programme office, no reason is
            given, or the alliance can't be warned as it stands.
        AlreadyReportedError: somebody took a step at the same time.
    """
    if gap.alliance is None or gap.level is not Level.WARNING:
        raise LedgerError(T_("only an alliance's gap that the rules call a warning can be one"), "gap")
    said = (Matter.SELF_OPERATION, gap.grounds()) if isinstance(gap, OperationReading) else (gap.kpi, _grounds(gap))
    ladder, grounds = said
    return _take(session, gap.alliance, ladder.value, Rung.WARNING, reason=reason, by=by, now=now, grounds=grounds)


def agree_plan(
    session: Session, *, alliance_id: str, kpi: Ladder, owner: str, due_on: date, reason: str, by: str, now: datetime
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
    session: Session, *, alliance_id: str, kpi: Ladder, rung: Rung, reason: str, by: str, now: datetime
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

    That it does is shown by its last subsidy year that closed: booked, and as it had to be.

    Raises:
        LedgerError: no such year is booked, or it was not as required; or as in `warn`.
        AlreadyReportedError: somebody took a step at the same time.
    """
    _refuse_unproven(session, alliance_id, day_in_taipei(now))
    return _take(session, alliance_id, WHOLE_ALLIANCE, Rung.GRADUATED, reason=reason, by=by, now=now)


def _refuse_unproven(session: Session, alliance_id: str, day: date) -> None:
    read = operation_readings(session, [alliance_id], day)
    if not read and session.get(Alliance, alliance_id) is not None:
        raise LedgerError(T_("no subsidy year of this alliance has closed yet"), "rung")
    for one in read:
        year = either(f"{roc_year(one.year)}", f"{one.year}")
        if not one.own.recorded:
            raise LedgerError(
                T_("subsidy year %(year)s is not filled in: book its income and expenses first", year=year), "rung"
            )
        if not one.own.kept:
            said = T_("in subsidy year %(year)s own income was not as required: it does not carry itself", year=year)
            raise LedgerError(said, "rung")


def steps_of(session: Session, alliance_id: str) -> Sequence[LadderStep]:
    """Return every step of an alliance, oldest first."""
    return session.exec(
        select(LadderStep).where(LadderStep.alliance_id == alliance_id).order_by(col(LadderStep.id))
    ).all()


def _grounds(gap: PaceReading) -> dict[str, Any]:
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
                recognised_kpis=", ".join([*RECOGNISED_KPIS, *Matter]),
            ),
            "kpi",
        )
    _lock_for_step(session, alliance_id, by)
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


def _lock_for_step(session: Session, alliance_id: str, by: str) -> None:
    speaker = principal(session, by)
    if speaker is None or not speaker.holds(Role.OFFICE):
        raise LedgerError(T_("a step is confirmed by a person of the programme office"), "by")
    # One step of an alliance at a time, whichever figure it is about: an end closes them all.
    if session.get(Alliance, alliance_id, with_for_update={"key_share": True}) is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")


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


@dataclass(frozen=True)
class LadderStanding:
    """Where an alliance stands on a ladder (None: as a whole), since when, and for how many days."""

    alliance: str
    kpi: Ladder | None
    rung: Rung
    since: date
    days: int
    reason: str
    owner: str | None
    due_on: date | None
    warned_for: str | None = None
    """The quarter of the last warning, where it has one."""
    warned_year: int | None = None
    """The subsidy year of the last warning on self-operation."""


class FindingKind(StrEnum):
    """What the nightly job found; a person decides."""

    WARN = "warn"
    PLAN_OVERDUE = "plan_overdue"
    PLAN_MISSING = "plan_missing"
    LIFT = "lift"


FINDING_LABELS = {
    FindingKind.WARN: T_("a warning is proposed"),
    FindingKind.PLAN_OVERDUE: T_("the improvement plan is past its date"),
    FindingKind.PLAN_MISSING: T_("warned, and no improvement plan yet"),
    FindingKind.LIFT: T_("there is no gap any more: lifting is proposed"),
}
"""Each finding in Chinese and English."""


@dataclass(frozen=True)
class LadderFinding:
    """A finding on a figure of an alliance, with the reading and the rung that it is about.

    A warning is proposed once for an alliance and quarter: on self-operation if that is short, else on the figure that
    lacks the largest part of what is expected, with the other ones that are behind enough for one in `also`.
    """

    finding: FindingKind
    alliance: str
    kpi: Ladder
    reading: PaceReading | OperationReading | None
    standing: LadderStanding | None
    also: tuple[PaceReading, ...] = ()


def readings_on(
    session: Session, alliances: Sequence[str], day: date, book: str | None = None
) -> tuple[str, list[PaceReading]]:
    """Return the code of the target book, and how alliances' targets stand by the rules that held on a day.

    Raises:
        LedgerError: there is no such book.
    """
    moment = end_of(day)
    chosen = chosen_book(current(session, TargetBooks, at=moment), book)
    document = current(session, AllianceTargets, at=moment)
    targets = targets_of(document, year_targets_of(chosen), alliances, foundings(session))
    rules = current(session, WarningRules, at=moment)
    return chosen.code, readings(session, figures(session, as_of=moment), targets, rules, day)


def standings(session: Session, *, as_of: datetime, alliances: Sequence[str] | None = None) -> list[LadderStanding]:
    """Return where alliances, or all, stand as of a moment: the last step of every ladder that was begun."""
    query = select(LadderStep).where(LadderStep.at <= as_of)
    if alliances is not None:
        query = query.where(col(LadderStep.alliance_id).in_(alliances))
    last: dict[tuple[str, str], LadderStep] = {}
    warned: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in session.exec(query.order_by(col(LadderStep.id))).all():
        key = row.alliance_id, row.ladder
        last[key] = row
        if Rung(row.rung) is Rung.WARNING:
            warned[key] = row.grounds
    return [_standing(row, day_in_taipei(as_of), warned.get(key, {})) for key, row in sorted(last.items())]


def findings(
    read: Sequence[PaceReading],
    standing: Sequence[LadderStanding],
    day: date,
    operating: Sequence[OperationReading] = (),
) -> list[LadderFinding]:
    """Return what the nightly job proposes on a day; it writes nothing.

    Args:
        read: see `matcher.ledger.figures.warnings.readings`; one of the programme as a whole is passed over.
        standing: where the alliances stand, see `standings`.
        day: the day in Taipei.
        operating: see `matcher.ledger.figures.self_operation.operation_readings`.
    """
    ended = {one.alliance for one in standing if one.rung in ENDS}
    at = {(one.alliance, one.kpi): one for one in standing}
    warned = {(one.alliance, one.warned_for) for one in standing}
    by_ladder: dict[tuple[str, Ladder], PaceReading | OperationReading] = {
        (one.alliance, one.kpi): one for one in read if one.alliance is not None
    }
    by_ladder |= {(one.alliance, Matter.SELF_OPERATION): one for one in operating}
    proposed: dict[str, list[PaceReading | OperationReading]] = {}
    for (alliance, ladder), reading in by_ladder.items():
        stands = at.get((alliance, ladder))
        open_ = stands is None or stands.rung is Rung.LIFTED
        if isinstance(reading, OperationReading) and stands is not None and stands.warned_year == reading.year:
            open_ = False
        new = alliance not in ended and (alliance, reading.quarter) not in warned
        if new and open_ and reading.level is Level.WARNING:
            proposed.setdefault(alliance, []).append(reading)
    found = [_proposal(alliance, behind, at) for alliance, behind in proposed.items()]
    for one in standing:
        if one.kpi is not None and one.alliance not in ended:
            own = by_ladder.get((one.alliance, one.kpi))
            found += [
                LadderFinding(finding, one.alliance, one.kpi, own, one) for finding in _of_standing(one, own, day)
            ]
    return found


def _proposal(
    alliance: str,
    behind: Sequence[PaceReading | OperationReading],
    at: Mapping[tuple[str, Ladder | None], LadderStanding],
) -> LadderFinding:
    figures_ = [one for one in behind if isinstance(one, PaceReading)]
    figures_.sort(key=lambda one: (Fraction(one.actual_bp, one.expected_bp), one.kpi))
    own = next((one for one in behind if isinstance(one, OperationReading)), None)
    if own is not None:
        stands = at.get((alliance, Matter.SELF_OPERATION))
        return LadderFinding(FindingKind.WARN, alliance, Matter.SELF_OPERATION, own, stands, tuple(figures_))
    worst, *others = figures_
    return LadderFinding(FindingKind.WARN, alliance, worst.kpi, worst, at.get((alliance, worst.kpi)), tuple(others))


def _of_standing(one: LadderStanding, reading: PaceReading | OperationReading | None, day: date) -> list[FindingKind]:
    found = []
    if one.rung is Rung.PLAN and one.due_on is not None and one.due_on < day:
        found.append(FindingKind.PLAN_OVERDUE)
    if one.rung is Rung.WARNING:
        found.append(FindingKind.PLAN_MISSING)
    standing = (Rung.WARNING, Rung.PLAN, Rung.HELP)
    if reading is not None and reading.level is Level.ON_PACE and one.rung in standing:
        found.append(FindingKind.LIFT)
    return found


def _standing(row: LadderStep, day: date, warned: Mapping[str, Any]) -> LadderStanding:
    since = day_in_taipei(row.at)
    return LadderStanding(
        alliance=row.alliance_id,
        kpi=None if row.ladder == WHOLE_ALLIANCE else ladder_of(row.ladder),
        rung=Rung(row.rung),
        since=since,
        days=(day - since).days,
        reason=row.reason,
        owner=row.owner,
        due_on=row.due_on,
        warned_for=warned.get("quarter"),
        warned_year=warned.get("subsidy_year"),
    )
