"""What of the programme waits for an office, a committee or an alliance: each kind of thing, row by row, with its day.

In: a state of the database, a day, and of which alliances. Out: results that wait for a word or for their alliance,
motions without a second person, plans that are missing or past their day, totals that schools still owe, the quarter
to close. It exists beside `matcher.review.desk.reminders`, which counts what waits for experts, as the one source of
the desks, the pages that these lead to and the night's report: three counts of one thing would disagree. It holds ids,
days and numbers, and no text of a need. Who may see a row is decided by whoever asks, by a condition on its table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select as select_columns
from sqlmodel import Session, col, func, select

from indexer.instants import day_in_taipei
from indexer.wording import T_
from matcher.ledger.figures.ladder import FindingKind, LadderFinding, LadderStanding, Rung, findings, standings
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.motions import Motion, MotionEnd, MotionKind
from matcher.ledger.rows.periods import last_closed, last_day, quarter_after
from matcher.ledger.rows.school_totals import SchoolTotal, successor
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.recognition import months_since
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.own_lab.researchers import LabClaim


class Waiting(StrEnum):
    """A kind of thing that waits for an office, a committee or an alliance."""

    UNASSIGNED_NEEDS = "unassigned_needs"
    HELD_ENTRIES = "held_entries"
    MOTIONS = "motions"
    PLANS_OVERDUE = "plans_overdue"
    PLANS_MISSING = "plans_missing"
    TOTALS_MISSING = "totals_missing"
    QUARTERS_TO_CLOSE = "quarters_to_close"
    MONTHS_UNSET = "months_unset"
    LAB_CLAIMS = "lab_claims"
    REPORTED_ENTRIES = "reported_entries"
    CHECKED_ENTRIES = "checked_entries"
    RETURNED_ENTRIES = "returned_entries"
    WARNINGS = "warnings"
    CLIENT_REQUESTS = "client_requests"


WAITING_LABELS = {
    Waiting.UNASSIGNED_NEEDS: T_("needs without an alliance"),
    Waiting.HELD_ENTRIES: T_("results held because they resemble another"),
    Waiting.MOTIONS: T_("motions that wait for a second person"),
    Waiting.PLANS_OVERDUE: T_("improvement plans past their day"),
    Waiting.PLANS_MISSING: T_("warnings without an improvement plan"),
    Waiting.TOTALS_MISSING: T_("schools' totals that results wait for"),
    Waiting.QUARTERS_TO_CLOSE: T_("quarters to close"),
    Waiting.MONTHS_UNSET: T_("months that no lead confirms yet"),
    Waiting.LAB_CLAIMS: T_("claims of labs"),
    Waiting.REPORTED_ENTRIES: T_("results to check"),
    Waiting.CHECKED_ENTRIES: T_("checked results to recognise"),
    Waiting.RETURNED_ENTRIES: T_("results that came back for more"),
    Waiting.WARNINGS: T_("warnings that stand"),
    Waiting.CLIENT_REQUESTS: T_("requests to look after a company too"),
}
"""Each kind in Chinese and English."""

ENTRY_STATES = {
    Waiting.HELD_ENTRIES: State.HELD,
    Waiting.REPORTED_ENTRIES: State.REPORTED,
    Waiting.CHECKED_ENTRIES: State.CHECKED,
    Waiting.RETURNED_ENTRIES: State.RETURNED,
}
"""Where a result stands that waits so."""
_OF_ALLIANCES = (Waiting.RETURNED_ENTRIES, Waiting.WARNINGS, Waiting.CLIENT_REQUESTS)
OF_OFFICE = tuple(one for one in Waiting if one not in _OF_ALLIANCES)
"""What waits for the programme office; the rest waits for alliances."""
_STANDING = (Rung.WARNING, Rung.PLAN, Rung.HELP)


@dataclass(frozen=True)
class WaitingEntry:
    """A result that waits, since its last step, with who took that step."""

    entry: Entry
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class MissingTotal:
    """A total that a school (what it was merged into) owes for a year, and since when how many results wait for it."""

    school_id: str
    year: int
    entries: int
    since: datetime


def entries_waiting(
    session: Session, state: State, *conditions: Any, limit: int | None = None
) -> tuple[int, Sequence[WaitingEntry]]:
    """Return how many reported facts stand so, and the first of them, longest waiting first.

    Args:
        session: one state of the database.
        state: where they stand.
        conditions: on `Entry`.
        limit: at most so many are returned; all are counted.
    """
    newest = select(Step.entry_id, func.max(Step.version).label("version")).group_by(col(Step.entry_id)).subquery()
    query = (
        select_columns(Entry, col(Step.at), col(Step.by), col(Step.reason), func.count().over())
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .join(newest, (newest.c.entry_id == Step.entry_id) & (newest.c.version == Step.version))
        .where(col(Entry.kind) == EntryKind.FACT.value, col(Step.state) == state.value, *conditions)
    )
    rows = session.execute(query.order_by(col(Step.at), col(Entry.seq)).limit(limit)).all()
    return rows[0][4] if rows else 0, [WaitingEntry(*row[:4]) for row in rows]


def motions_waiting(session: Session, *conditions: Any, limit: int | None = None) -> tuple[int, Sequence[Motion]]:
    """Return how many motions wait for a second person, and the first of them, oldest first; `conditions` on them."""
    query = select(Motion).join(MotionEnd, col(MotionEnd.motion_id) == col(Motion.id), isouter=True)
    query = query.where(col(MotionEnd.motion_id).is_(None), *conditions)
    total = session.exec(select(func.count()).select_from(query.subquery())).one()
    return total, session.exec(query.order_by(col(Motion.id)).limit(limit)).all()


def needs_unassigned(session: Session, *, limit: int | None = None) -> tuple[int, Sequence[NeedIntake]]:
    """Return how many submitted needs have no alliance, and the first of them, longest waiting first."""
    query = select(NeedIntake).where(*without_alliance())
    total = session.exec(select(func.count()).select_from(query.subquery())).one()
    return total, session.exec(query.order_by(col(NeedIntake.submitted_at), col(NeedIntake.need_id)).limit(limit)).all()


def without_alliance() -> tuple[Any, ...]:
    """Return the conditions on `NeedIntake` that a need waits for an alliance."""
    return NeedIntake.state == NeedState.SUBMITTED.value, col(NeedIntake.alliance_id).is_(None)


def claims_waiting(session: Session, *conditions: Any, limit: int | None = None) -> tuple[int, Sequence[LabClaim]]:
    """Return how many claims of labs nobody decided, and the first of them, oldest first; `conditions` on them."""
    query = select(LabClaim).where(col(LabClaim.verdict).is_(None), *conditions)
    total = session.exec(select(func.count()).select_from(query.subquery())).one()
    return total, session.exec(query.order_by(col(LabClaim.id)).limit(limit)).all()


def totals_missing(session: Session) -> list[MissingTotal]:
    """Return the totals that reported results wait for, the one of most results first."""
    waiting = (State.HELD, State.REPORTED, State.CHECKED)
    rows = [one.entry for state in waiting for one in entries_waiting(session, state)[1]]
    owing: Counter[tuple[str, int]] = Counter()
    since: dict[tuple[str, int], datetime] = {}
    heirs: dict[str, str] = {}
    for entry in rows:
        for school in entry.by_school():
            key = heirs.setdefault(school, successor(session, school)), entry.occurred_on.year
            owing[key] += 1
            since[key] = min(entry.reported_at, since.get(key, entry.reported_at))
    money = col(SchoolTotal.kpi).is_(None)
    supplied = set(session.exec(select(SchoolTotal.school_id, SchoolTotal.year).where(money).distinct()).all())
    missing = [MissingTotal(*key, entries=n, since=since[key]) for key, n in owing.items() if key not in supplied]
    return sorted(missing, key=lambda one: (-one.entries, one.school_id, one.year))


def quarter_to_close(session: Session, day: date) -> str | None:
    """Return the quarter that is closed next if it is over on a day in Taipei and nobody has moved that; else None."""
    closed = last_closed(session)
    first: str | None = session.execute(select(func.min(Entry.period))).scalar()
    following = first if closed is None else quarter_after(closed)
    if following is None or last_day(following) >= day:
        return None
    on_it = (Motion.kind == MotionKind.CLOSE.value, Motion.subject == following)
    return None if motions_waiting(session, *on_it, limit=1)[0] else following


def plans_behind(session: Session, now: datetime, alliances: Collection[str] | None = None) -> list[LadderFinding]:
    """Return the plans that are past their day, then the warnings that have none, of alliances or (None) of all."""
    chosen = None if alliances is None else sorted(alliances)
    standing = standings(session, as_of=now, alliances=chosen)
    wanted = (FindingKind.PLAN_OVERDUE, FindingKind.PLAN_MISSING)
    found = [one for one in findings([], standing, day_in_taipei(now)) if one.finding in wanted]
    return sorted(found, key=lambda one: (wanted.index(one.finding), _due(one.standing), one.alliance, one.kpi))


def warnings_standing(session: Session, now: datetime, alliances: Collection[str]) -> list[LadderStanding]:
    """Return where alliances stand on a ladder now, a plan by its day, the rest by how long it stands."""
    found = [one for one in standings(session, as_of=now, alliances=sorted(alliances)) if one.rung in _STANDING]
    return sorted(found, key=lambda one: (_due(one), one.alliance, one.kpi or Kpi.MONEY))


def _due(standing: LadderStanding | None) -> date:
    if standing is None:
        return date.max
    return standing.due_on or standing.since


def office_counts(session: Session, now: datetime) -> dict[Waiting, int]:
    """Return how much of each kind waits for the programme office, 0 included: what its desk says, for the night."""
    behind = plans_behind(session, now)
    counted = {kind: entries_waiting(session, state, limit=1)[0] for kind, state in ENTRY_STATES.items()}
    counted |= {
        Waiting.UNASSIGNED_NEEDS: needs_unassigned(session, limit=1)[0],
        Waiting.MOTIONS: motions_waiting(session, limit=1)[0],
        Waiting.PLANS_OVERDUE: sum(one.finding is FindingKind.PLAN_OVERDUE for one in behind),
        Waiting.PLANS_MISSING: sum(one.finding is FindingKind.PLAN_MISSING for one in behind),
        Waiting.TOTALS_MISSING: len(totals_missing(session)),
        Waiting.QUARTERS_TO_CLOSE: int(quarter_to_close(session, day_in_taipei(now)) is not None),
        Waiting.MONTHS_UNSET: int(months_since(session) is None),
        Waiting.LAB_CLAIMS: claims_waiting(session, limit=1)[0],
    }
    return {kind: counted[kind] for kind in OF_OFFICE}
