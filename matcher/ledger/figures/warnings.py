"""Warnings (預警): where an alliance, or the programme, is behind the pace of its target.

In: the figures as of a day, one target book as plain numbers by year, and the document `warning_rules`. Out: for
each target how it stands: what was expected, what is there, the gap and the entries behind it. It exists so that a
warning is arithmetic that anybody can repeat, not an impression; whether it is given is for a person to say
(`matcher.ledger.figures.ladder`).

What is expected on a day is the configured share of the year's target for the last quarter that was over
`settled_after_days` ago: results of a quarter are recognised after it has ended. Amounts are units × basis points,
rounded down once, in favour of who is judged. The plan has several books that disagree: a warning is read against
one of them, and says which; its actual is that of the definition that the book's target names. Less than one unit
that is missing is no warning, and in the quarter in which an alliance was founded and the next one there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict, Field, model_validator
from sqlmodel import Session

from indexer.wording import T_
from matcher.ledger.figures.alliance_targets import PacedTarget
from matcher.ledger.figures.folds import Figures, Status, entries_behind
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import last_quarter_over, quarter_of, year_of
from matcher.ledger.rules.configuration import Configured, ShareBp, TakesNoYesForANumber, current
from matcher.ledger.rules.targets import MoneyDefinitions, TargetBook, TargetBooks


class Pace(TakesNoYesForANumber):
    """How a year's target is expected to fill, in basis points of it, and from where on being behind is a warning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expected_bp: tuple[ShareBp, ShareBp, ShareBp, ShareBp] = Field(description="By the end of each quarter.")
    warning_below_bp: ShareBp = Field(description="Less than this share of what is expected is a warning.")

    @model_validator(mode="after")
    def _never_falls(self) -> Pace:
        if list(self.expected_bp) != sorted(self.expected_bp):
            raise ValueError(T_("expected_bp never falls from quarter to quarter"))
        return self


class WarningRules(Configured):
    """The pace of every figure; an alliance may have its own for some."""

    name: ClassVar[str] = "warning_rules"

    settled_after_days: int = Field(ge=0, le=366, description="So long after its end a quarter's share is expected.")
    pace: Pace = Field(description="For every figure that has none of its own.")
    kpis: dict[Kpi, Pace]
    alliances: dict[str, dict[Kpi, Pace]]

    def pace_of(self, kpi: Kpi, alliance: str | None) -> Pace:
        """Return the pace that holds for a figure of an alliance, or of the programme (None)."""
        own = self.alliances.get(alliance, {}).get(kpi) if alliance is not None else None
        return own or self.kpis.get(kpi, self.pace)


FREE_QUARTERS = 2
"""So many quarters, the one of its founding among them, an alliance is not warned."""


class Level(StrEnum):
    """How a target stands."""

    ON_PACE = "on_pace"
    BEHIND = "behind"
    WARNING = "warning"


LEVEL_LABELS = {
    Level.ON_PACE: T_("on pace"),
    Level.BEHIND: T_("behind"),
    Level.WARNING: T_("behind enough for a warning"),
}
"""Each level in Chinese and English."""


@dataclass(frozen=True)
class PaceReading:
    """How a target stands as of a day. Amounts are units × basis points; `entries` are named if it is behind.

    Expected is `before_bp` and, of the rest of the target, the share `pace_bp`; less than the share
    `warning_below_bp` of that is a warning.
    """

    kpi: Kpi
    alliance: str | None
    year: int
    quarter: str
    as_of: date
    target_bp: int
    before_bp: int
    pace_bp: int
    expected_bp: int
    warning_below_bp: int
    actual_bp: int
    in_review_bp: int
    level: Level
    entries: tuple[str, ...] = ()

    @property
    def gap_bp(self) -> int:
        """What is missing; 0 if nothing is."""
        return max(0, self.expected_bp - self.actual_bp)


def readings(
    session: Session, folded: Figures, targets: Sequence[PacedTarget], rules: WarningRules, day: date
) -> list[PaceReading]:
    """Return how targets stand on a day in Taipei.

    Args:
        session: one state of the database.
        folded: the figures as of the end of that day.
        targets: of any years; those of the year of the last settled quarter are read.
        rules: the pace.
        day: the day.
    """
    quarter = settled_quarter(rules, day)
    wanted = [target for target in targets if target.year == year_of(quarter) and _has_begun(target, quarter)]
    defined = current(session, MoneyDefinitions, at=folded.as_of)
    return [_reading(session, folded, target, rules, defined, quarter, day) for target in wanted]


def _quarter_number(quarter: str) -> int:
    return year_of(quarter) * 4 + int(quarter[-1])


def _has_begun(target: PacedTarget, quarter: str) -> bool:
    founded = target.founded
    return founded is None or _quarter_number(quarter_of(founded)) <= _quarter_number(quarter)


def _is_new(target: PacedTarget, quarter: str) -> bool:
    founded = target.founded
    return founded is not None and _quarter_number(quarter) - _quarter_number(quarter_of(founded)) < FREE_QUARTERS


def settled_quarter(rules: WarningRules, day: date) -> str:
    """Return the last quarter whose share is expected on a day."""
    return last_quarter_over(day - timedelta(days=rules.settled_after_days))


def expected_bp(target: PacedTarget, pace: Pace, quarter: str) -> int:
    """Return what a target expects by the end of a quarter of its year, rounded down."""
    rise = target.amount_bp - target.before_bp
    return target.before_bp + rise * share_bp(pace, quarter) // WHOLE_BP


def share_bp(pace: Pace, quarter: str) -> int:
    """Return the share of a year's target that a pace expects by the end of a quarter."""
    return pace.expected_bp[int(quarter[-1]) - 1]


def _reading(
    session: Session,
    folded: Figures,
    target: PacedTarget,
    rules: WarningRules,
    defined: MoneyDefinitions,
    quarter: str,
    day: date,
) -> PaceReading:
    kpi, alliance = target.kpi, target.alliance
    pace = rules.pace_of(kpi, alliance)
    where = defined.takes(kpi, target.definition)
    years = [year for year in folded.years() if year <= target.year] if target.cumulative else [target.year]
    expected = expected_bp(target, pace, quarter)
    actual = folded.amount_bp(kpi, years=years, alliance=alliance, where=where)
    level = Level.ON_PACE
    behind: tuple[str, ...] = ()
    if actual < expected:
        grave = actual * WHOLE_BP < expected * pace.warning_below_bp and expected - actual >= WHOLE_BP
        level = Level.WARNING if grave and not _is_new(target, quarter) else Level.BEHIND
        behind = tuple(entries_behind(session, kpi, as_of=folded.as_of, years=years, alliance=alliance, where=where))
    return PaceReading(
        kpi=kpi,
        alliance=alliance,
        year=target.year,
        quarter=quarter,
        as_of=day,
        target_bp=target.amount_bp,
        before_bp=target.before_bp,
        pace_bp=share_bp(pace, quarter),
        expected_bp=expected,
        warning_below_bp=pace.warning_below_bp,
        actual_bp=actual,
        in_review_bp=folded.amount_bp(kpi, years=years, alliance=alliance, status=Status.IN_REVIEW, where=where),
        level=level,
        entries=behind,
    )


def chosen_book(books: TargetBooks, code: str | None) -> TargetBook:
    """Return the book of a code; without one the first.

    Raises:
        LedgerError: there is no such book.
    """
    if code is None:
        return books.books[0]
    found = next((book for book in books.books if book.code == code), None)
    if found is None:
        raise LedgerError(
            T_("there is no such target book; there are %(books)s", books=", ".join(b.code for b in books.books)),
            "book",
        )
    return found
