"""What each alliance is to reach: its own number, or else its part of the programme's, in whole units.

In: the programme's targets by year, the document `alliance_targets`, and the day on which each alliance was founded.
Out: targets of alliances that sum to the programme's. It exists because the plan sets targets for the programme only,
while alliances are judged one by one: nobody is judged before it exists, nobody has to found 0.83 of a startup, and
what all are asked for together is what the plan asks for.

An amount that was agreed with an alliance (`own`) is its target. What is left of the programme's is split among the
other alliances that are founded by the year, by their weights, in whole units: each gets the whole part of its share,
and the units that are left go one each to the largest remainders, of equal ones to the lower id. A cumulative target is
split by its yearly rise, so that nobody's falls when an alliance joins. An alliance whose founding day is not known is
taken to be there from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from pydantic import ConfigDict, Field
from sqlmodel import Session, select

from indexer.records.record_tables import Alliance
from matcher.ledger.figures.sufficiency import apportioned
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.rules.configuration import Configured, ShareBp, TakesNoYesForANumber
from matcher.ledger.rules.targets import TargetBasis, TargetBook


@dataclass(frozen=True)
class YearTarget:
    """A target: a plain number of the figure's unit for a year; a cumulative one counts from the programme's start.

    `definition` is the code of the one that its wording means; see `matcher.ledger.rules.targets.MoneyDefinitions`.
    """

    kpi: Kpi
    year: int
    amount: int
    cumulative: bool = False
    definition: str | None = None


class OwnTarget(TakesNoYesForANumber):
    """A target that was agreed with an alliance itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alliance: str
    kpi: Kpi
    year: int
    amount: int = Field(ge=0)
    cumulative: bool = False


class AllianceTargets(Configured):
    """What each alliance is to reach: its own number, or else a part of the programme's by its weight."""

    name: ClassVar[str] = "alliance_targets"

    own: list[OwnTarget]
    shares_bp: dict[str, ShareBp] = Field(description="Weights, beside each other.")
    other_share_bp: ShareBp = Field(description="The weight of an alliance that is not named in shares_bp.")

    def own_target(self, alliance: str | None, kpi: Kpi, year: int | None) -> OwnTarget | None:
        """Return what was agreed with an alliance for a figure and year, None if nothing was."""
        return next((one for one in self.own if (one.alliance, one.kpi, one.year) == (alliance, kpi, year)), None)

    def weight(self, alliance: str) -> int:
        """Return the weight of an alliance."""
        return self.shares_bp.get(alliance, self.other_share_bp)


@dataclass(frozen=True)
class PacedTarget:
    """A target of an alliance, or of the programme (None), in units × basis points.

    `before_bp` is what a cumulative target had to reach by the end of the year before; `founded` is the alliance's
    first day, None if it is not known.
    """

    kpi: Kpi
    alliance: str | None
    year: int
    amount_bp: int
    cumulative: bool
    before_bp: int = 0
    definition: str | None = None
    founded: date | None = None


Foundings = Mapping[str, date | None]
"""By alliance the day on which it was founded, None where nobody knows."""


def foundings(session: Session) -> dict[str, date | None]:
    """Return every alliance's founding day."""
    return {one.id: one.since for one in session.exec(select(Alliance)).all()}


def is_founded(founded: Foundings, alliance: str, year: int | None) -> bool:
    """Whether an alliance is there by the end of a year, or at any time (None)."""
    since = founded.get(alliance)
    return alliance in founded and (since is None or year is None or since.year <= year)


class Apportionment:
    """The programme's targets of one book, split among its alliances."""

    def __init__(self, document: AllianceTargets, targets: Sequence[YearTarget], founded: Foundings) -> None:
        self._document = document
        self._targets = {(one.kpi, one.year): one for one in targets}
        self._founded = founded
        self._splits: dict[tuple[Kpi, int], dict[str, int]] = {}

    def amount(self, alliance: str, kpi: Kpi, year: int) -> int | None:
        """Return an alliance's target in whole units; None if it is not founded by then, or there is no target."""
        own = self._document.own_target(alliance, kpi, year)
        if own is not None:
            return own.amount
        if (kpi, year) not in self._targets or not is_founded(self._founded, alliance, year):
            return None
        return self._split(kpi, year).get(alliance, 0)

    def whole(self, alliance: str, kpi: Kpi, amount: int) -> int | None:
        """Return an alliance's part of a target of the whole programme; None if it is not founded."""
        return self._parts(kpi, None, amount).get(alliance)

    def _split(self, kpi: Kpi, year: int) -> dict[str, int]:
        found = self._splits.get((kpi, year))
        if found is None:
            found = self._splits[kpi, year] = self._new_split(self._targets[kpi, year])
        return found

    def _new_split(self, target: YearTarget) -> dict[str, int]:
        before = self._targets.get((target.kpi, target.year - 1))
        if not target.cumulative or before is None or not before.cumulative or before.amount > target.amount:
            return self._parts(target.kpi, target.year, target.amount)
        had = self._split(target.kpi, target.year - 1)
        if any(one.kpi is target.kpi and one.year in (target.year, before.year) for one in self._document.own):
            return self._parts(target.kpi, target.year, target.amount)
        # What is split anew is the rise; those who join take part in it only, as they do in time.
        return _joined(had, self._weights(target.kpi, target.year), target.amount)

    def _weights(self, kpi: Kpi, year: int | None) -> dict[str, int]:
        return {
            alliance: self._document.weight(alliance)
            for alliance in self._founded
            if is_founded(self._founded, alliance, year)
            and self._document.own_target(alliance, kpi, year) is None
            and self._document.weight(alliance) > 0
        }

    def _parts(self, kpi: Kpi, year: int | None, amount: int) -> dict[str, int]:
        agreed = sum(
            one.amount
            for one in self._document.own
            if (one.kpi, one.year) == (kpi, year) and is_founded(self._founded, one.alliance, year)
        )
        return apportioned(max(0, amount - agreed), self._weights(kpi, year))


def _joined(had: Mapping[str, int], weights: Mapping[str, int], amount: int) -> dict[str, int]:
    """Split an amount by weights so that nobody gets less than they had."""
    wanted = apportioned(amount, weights)
    least = {one: max(had.get(one, 0), 0) for one in weights}
    short = [one for one in weights if wanted[one] < least[one]]
    if not short:
        return wanted
    kept = {one: least[one] for one in short}
    others = {one: weight for one, weight in weights.items() if one not in kept}
    return kept | _joined(had, others, amount - sum(kept.values())) if others else kept


def year_targets_of(book: TargetBook) -> list[YearTarget]:
    """Return a book's targets by year; those of the whole programme have no pace, and acceptances have no ladder."""
    return [
        YearTarget(
            target.kpi,
            target.year,
            target.amount,
            cumulative=target.basis is TargetBasis.CUMULATIVE,
            definition=target.definition,
        )
        for target in book.targets
        if target.year is not None and target.kpi in RECOGNISED_KPIS
    ]


def targets_of(
    document: AllianceTargets,
    year_targets: Sequence[YearTarget],
    alliances: Sequence[str | None],
    founded: Foundings,
) -> list[PacedTarget]:
    """Return the targets of alliances that are founded by their year, and of the programme where None is among them.

    Args:
        document: whose own numbers come first.
        year_targets: the programme's targets, of one book: at most one for each figure and year.
        alliances: whose targets are wanted.
        founded: all alliances of the programme, wanted or not: they share its targets.
    """
    split = Apportionment(document, year_targets, founded)
    found: dict[tuple[str | None, Kpi, int], tuple[int, bool, str | None]] = {}
    for alliance in alliances:
        for one in year_targets:
            amount = one.amount if alliance is None else split.amount(alliance, one.kpi, one.year)
            if amount is not None:
                found[alliance, one.kpi, one.year] = amount * WHOLE_BP, one.cumulative, one.definition
    for own in document.own:
        if own.alliance in alliances and is_founded(founded, own.alliance, own.year):
            key = (own.alliance, own.kpi, own.year)
            found[key] = own.amount * WHOLE_BP, own.cumulative, found.get(key, (0, False, None))[2]
    return [
        PacedTarget(
            kpi=kpi,
            alliance=alliance,
            year=year,
            amount_bp=amount_bp,
            cumulative=cumulative,
            before_bp=_before(found, alliance, kpi, year) if cumulative else 0,
            definition=definition,
            founded=None if alliance is None else founded.get(alliance),
        )
        for (alliance, kpi, year), (amount_bp, cumulative, definition) in found.items()
    ]


def _before(
    found: Mapping[tuple[str | None, Kpi, int], tuple[int, bool, str | None]],
    alliance: str | None,
    kpi: Kpi,
    year: int,
) -> int:
    amount_bp, cumulative, _ = found.get((alliance, kpi, year - 1), (0, False, None))
    return amount_bp if cumulative else 0
