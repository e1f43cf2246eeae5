"""Warnings (預警): where an alliance, or the programme, is behind the pace of its target.

In: the figures as of a day, one target book as plain numbers by year, and the document `warning_rules`. Out: for
each target how it stands: what was expected, what is there, the gap and the entries behind it. It exists so that a
warning is arithmetic that anybody can repeat, not an impression; whether it is given is for a person to say
(`matcher.ledger.figures.ladder`).

What is expected on a day is the configured share of the year's target for the last quarter that was over
`settled_after_days` ago: results of a quarter are recognised after it has ended. Amounts are units × basis points,
rounded down once, in favour of who is judged. The plan has several books that disagree: a warning is read against
one of them, and says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel import Session

from indexer.wording import T_
from matcher.ledger.figures.folds import Figures, Status, entries_behind
from matcher.ledger.rows.entries import WHOLE_BP, LedgerError
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.rows.periods import last_quarter_over, year_of
from matcher.ledger.rules.configuration import Configured, ShareBp
from matcher.ledger.rules.targets import TargetBasis, TargetBook, TargetBooks


class Pace(BaseModel):
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


@dataclass(frozen=True)
class YearTarget:
    """A target: a plain number of the figure's unit for a year; a cumulative one counts from the programme's start."""

    kpi: Kpi
    year: int
    amount: int
    cumulative: bool = False


class OwnTarget(BaseModel):
    """A target that was set for an alliance itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alliance: str
    kpi: Kpi
    year: int
    amount: int = Field(ge=0)
    cumulative: bool = False


class AllianceTargets(Configured):
    """What each alliance is to reach: its own number, or else a share of the programme's."""

    name: ClassVar[str] = "alliance_targets"

    own: list[OwnTarget]
    shares_bp: dict[str, ShareBp]
    other_share_bp: ShareBp = Field(description="For an alliance that is not named in shares_bp.")


@dataclass(frozen=True)
class PacedTarget:
    """A target of an alliance, or of the programme (None), in units × basis points.

    `before_bp` is what a cumulative target had to reach by the end of the year before.
    """

    kpi: Kpi
    alliance: str | None
    year: int
    amount_bp: int
    cumulative: bool
    before_bp: int = 0


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


def targets_of(
    document: AllianceTargets, year_targets: Sequence[YearTarget], alliances: Sequence[str | None]
) -> list[PacedTarget]:
    """Return the targets of alliances, and of the programme where None is among them.

    Args:
        document: whose own numbers come first.
        year_targets: the programme's targets, of one book: at most one for each figure and year.
        alliances: whose targets are wanted.
    """
    found: dict[tuple[str | None, Kpi, int], tuple[int, bool]] = {}
    for alliance in alliances:
        share = WHOLE_BP if alliance is None else document.shares_bp.get(alliance, document.other_share_bp)
        found |= {(alliance, one.kpi, one.year): (one.amount * share, one.cumulative) for one in year_targets}
    for own in document.own:
        if own.alliance in alliances:
            found[own.alliance, own.kpi, own.year] = own.amount * WHOLE_BP, own.cumulative
    return [
        PacedTarget(
            kpi, alliance, year, amount_bp, cumulative, _before(found, alliance, kpi, year) if cumulative else 0
        )
        for (alliance, kpi, year), (amount_bp, cumulative) in found.items()
    ]


def _before(
    found: dict[tuple[str | None, Kpi, int], tuple[int, bool]], alliance: str | None, kpi: Kpi, year: int
) -> int:
    amount_bp, cumulative = found.get((alliance, kpi, year - 1), (0, False))
    return amount_bp if cumulative else 0


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
    wanted = [target for target in targets if target.year == year_of(quarter)]
    return [
        _reading(session, folded, target, rules.pace_of(target.kpi, target.alliance), day, quarter) for target in wanted
    ]


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
    session: Session, folded: Figures, target: PacedTarget, pace: Pace, day: date, quarter: str
) -> PaceReading:
    kpi, alliance = target.kpi, target.alliance
    years = [year for year in folded.years() if year <= target.year] if target.cumulative else [target.year]
    expected = expected_bp(target, pace, quarter)
    actual = folded.amount_bp(kpi, years=years, alliance=alliance)
    level = Level.ON_PACE
    behind: tuple[str, ...] = ()
    if actual < expected:
        level = Level.WARNING if actual * WHOLE_BP < expected * pace.warning_below_bp else Level.BEHIND
        behind = tuple(entries_behind(session, kpi, as_of=folded.as_of, years=years, alliance=alliance))
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
        in_review_bp=folded.amount_bp(kpi, years=years, alliance=alliance, status=Status.IN_REVIEW),
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


def year_targets_of(book: TargetBook) -> list[YearTarget]:
    """Return a book's targets by year; those of the whole programme have no pace, and acceptances have no ladder."""
    return [
        YearTarget(target.kpi, target.year, target.amount, cumulative=target.basis is TargetBasis.CUMULATIVE)
        for target in book.targets
        if target.year is not None and target.kpi in RECOGNISED_KPIS
    ]
