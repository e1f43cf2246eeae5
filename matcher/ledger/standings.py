"""Where alliances stand on their ladders, and what the nightly job finds there.

In: the steps that were taken, how targets stand, and a day. Out: for each
ladder its rung, since when and for how long; and findings: a warning that is
proposed, a plan that is missing or past its date, a warning that may be lifted.
It exists apart from the steps because nothing here writes: a person of the
programme office decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.wording import T_
from matcher.ledger.aims import aims_of, chosen_book
from matcher.ledger.configuration import current
from matcher.ledger.figures import end_of, figures
from matcher.ledger.kpis import Kpi
from matcher.ledger.ladder import ENDS, WHOLE_ALLIANCE, LadderStep, Rung
from matcher.ledger.targets import TargetBooks
from matcher.ledger.warnings import AllianceTargets, Level, Reading, WarningRules, readings, targets_of


@dataclass(frozen=True)
class Standing:
    """Where an alliance stands for a figure (None: as a whole), since when, and for how many days."""

    alliance: str
    kpi: Kpi | None
    rung: Rung
    since: date
    days: int
    reason: str
    owner: str | None
    due_on: date | None


class Finding(StrEnum):
    """What the nightly job found; a person decides."""

    WARN = "warn"
    PLAN_OVERDUE = "plan_overdue"
    PLAN_MISSING = "plan_missing"
    LIFT = "lift"


FINDING_LABELS = {
    Finding.WARN: T_("a warning is proposed"),
    Finding.PLAN_OVERDUE: T_("the improvement plan is past its date"),
    Finding.PLAN_MISSING: T_("warned, and no improvement plan yet"),
    Finding.LIFT: T_("there is no gap any more: lifting is proposed"),
}
"""Each finding in Chinese and English."""


@dataclass(frozen=True)
class Found:
    """A finding on a figure of an alliance, with the reading and the rung that it is about."""

    finding: Finding
    alliance: str
    kpi: Kpi
    reading: Reading | None
    standing: Standing | None


def readings_on(
    session: Session, alliances: Sequence[str], day: date, book: str | None = None
) -> tuple[str, list[Reading]]:
    """Return the code of the target book, and how alliances' targets stand by the rules that held on a day.

    Raises:
        LedgerError: there is no such book.
    """
    moment = end_of(day)
    chosen = chosen_book(current(session, TargetBooks, at=moment), book)
    targets = targets_of(current(session, AllianceTargets, at=moment), aims_of(chosen), alliances)
    rules = current(session, WarningRules, at=moment)
    return chosen.code, readings(session, figures(session, as_of=moment), targets, rules, day)


def standings(session: Session, *, as_of: datetime, alliances: Sequence[str] | None = None) -> list[Standing]:
    """Return where alliances, or all, stand as of a moment: the last step of every ladder that was begun."""
    query = select(LadderStep).where(LadderStep.at <= as_of)
    if alliances is not None:
        query = query.where(col(LadderStep.alliance_id).in_(alliances))
    last = {(row.alliance_id, row.ladder): row for row in session.exec(query.order_by(col(LadderStep.id))).all()}
    return [_standing(row, day_in_taipei(as_of)) for _, row in sorted(last.items())]


def findings(read: Sequence[Reading], standing: Sequence[Standing], day: date) -> list[Found]:
    """Return what the nightly job proposes on a day; it writes nothing.

    Args:
        read: see `matcher.ledger.warnings.readings`; one of the programme as a whole is passed over.
        standing: where the alliances stand, see `standings`.
        day: the day in Taipei.
    """
    ended = {one.alliance for one in standing if one.rung in ENDS}
    at = {(one.alliance, one.kpi): one for one in standing}
    by_ladder = {(reading.alliance, reading.kpi): reading for reading in read}
    found = []
    for reading in by_ladder.values():
        alliance = reading.alliance
        stands = at.get((alliance or "", reading.kpi))
        open_ = stands is None or stands.rung is Rung.LIFTED
        if alliance is not None and alliance not in ended and open_ and reading.level is Level.WARNING:
            found.append(Found(Finding.WARN, alliance, reading.kpi, reading, stands))
    for one in standing:
        if one.kpi is not None and one.alliance not in ended:
            own = by_ladder.get((one.alliance, one.kpi))
            found += [Found(finding, one.alliance, one.kpi, own, one) for finding in _of_standing(one, own, day)]
    return found


def _of_standing(one: Standing, reading: Reading | None, day: date) -> list[Finding]:
    found = []
    if one.rung is Rung.PLAN and one.due_on is not None and one.due_on < day:
        found.append(Finding.PLAN_OVERDUE)
    if one.rung is Rung.WARNING:
        found.append(Finding.PLAN_MISSING)
    standing = (Rung.WARNING, Rung.PLAN, Rung.HELP)
    if reading is not None and reading.level is Level.ON_PACE and one.rung in standing:
        found.append(Finding.LIFT)
    return found


def _standing(row: LadderStep, day: date) -> Standing:
    since = day_in_taipei(row.at)
    kpi = None if row.ladder == WHOLE_ALLIANCE else Kpi(row.ladder)
    return Standing(row.alliance_id, kpi, Rung(row.rung), since, (day - since).days, row.reason, row.owner, row.due_on)
