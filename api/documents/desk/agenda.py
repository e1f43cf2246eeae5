"""What waits for a person by their roles: each kind of thing counted, and the first of each with its day and owner.

In: rows of the ledger, of needs, claims and motions. Out: JSON documents; models for the description of the API. It
exists apart from the route because the same line stands for ten kinds of things: what is missing in one is null.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from indexer.instants import day_in_taipei
from matcher.ledger.figures.ladder import LadderFinding, LadderStanding, Rung
from matcher.ledger.figures.self_operation import Ladder
from matcher.ledger.figures.waiting import MissingTotal, Waiting, WaitingEntry
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rows.motions import Motion, MotionKind
from matcher.review.desk.reminders import Reminder


class AgendaItem(Answer):
    """One thing that waits; `by` is whose it is, or whose word it waits on since `since`."""

    since: date
    due_on: date | None = Field(description="By when; null if there is no such day.")
    by: str | None
    need_id: str | None
    title: str | None = Field(description="Of a need whose text is yours to read.")
    entry_id: str | None
    kpi: Ladder | None
    amount: int | None
    unit: Unit | None
    alliances: list[str]
    motion_id: int | None
    motion_kind: MotionKind | None
    subject: str | None = Field(description="What a motion is on: rules, a quarter, an account.")
    rung: Rung | None
    school_id: str | None
    year: int | None
    count: int | None = Field(description="How many results wait for a school's total.")
    period: str | None
    lab_id: str | None
    company_id: str | None
    reason: str | None


class AgendaGroup(Answer):
    """A kind of thing that waits: how many in all, and the first."""

    kind: Waiting
    total: int
    items: list[AgendaItem]


class WaitingForOne(Answer):
    """How much waits for one expert (of the lead's alliances), or for an alliance; null stands for nobody."""

    account_id: str | None
    alliance_id: str | None
    waiting: dict[Reminder, int]


class AgendaAnswer(Answer):
    """What waits for you by your roles; an expert's own queue is `/api/queue`."""

    groups: list[AgendaGroup]
    experts: list[WaitingForOne] = Field(description="For a lead: the load of each expert.")
    alliances: list[WaitingForOne] = Field(description="For the programme office: what waits in each alliance.")


def line(since: datetime | date, **known: Any) -> dict[str, Any]:
    """Return one thing that waits, with what is known of it."""
    day = day_in_taipei(since) if isinstance(since, datetime) else since
    empty: dict[str, Any] = {**dict.fromkeys(AgendaItem.model_fields), "alliances": []}
    return {**empty, **known, "since": day.isoformat()}


def entry_line(one: WaitingEntry) -> dict[str, Any]:
    """Return a result that waits."""
    entry = one.entry
    facts = {"entry_id": entry.id, "kpi": entry.kpi, "amount": entry.amount, "unit": _unit(entry.kpi)}
    said = {"alliances": sorted(entry.shares), "by": one.by, "reason": one.reason or None}
    return line(one.since, **facts, **said, school_id=entry.school_id)


def motion_line(one: Motion) -> dict[str, Any]:
    """Return a motion that waits for a second person."""
    return line(
        one.moved_at,
        motion_id=one.id,
        motion_kind=one.kind,
        subject=one.subject,
        by=one.moved_by,
        reason=one.reason,
        period=one.subject if one.kind == MotionKind.CLOSE else None,
    )


def rung_line(one: LadderStanding) -> dict[str, Any]:
    """Return where an alliance stands; a plan with who carries it out and by when."""
    return line(
        one.since,
        alliances=[one.alliance],
        kpi=None if one.kpi is None else one.kpi.value,
        rung=one.rung.value,
        by=one.owner,
        due_on=None if one.due_on is None else one.due_on.isoformat(),
        reason=one.reason,
    )


def finding_line(one: LadderFinding, today: date) -> dict[str, Any]:
    """Return what was found on a ladder."""
    if one.standing is not None:
        return rung_line(one.standing)
    return line(today, alliances=[one.alliance], kpi=one.kpi.value)


def total_line(one: MissingTotal) -> dict[str, Any]:
    """Return a school's total that results wait for."""
    return line(one.since, school_id=one.school_id, year=one.year, count=one.entries)


def _unit(kpi: str) -> str:
    return KPI_FACTS[Kpi(kpi)].unit.value
