"""Self-operation (自主營運) as what the ladder judges beside the figures: what an alliance earns, what it has to.

In: alliances and a day. Out: for each how its last closed subsidy year stands against the subsidy's way down and the
year before. It exists because the gap that matters to the programme is this one: an alliance may reach every figure
and still live on the subsidy alone. A year in which nothing was booked says nothing: it is 未填報, no gap and never
as required.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any

from sqlmodel import Session, col, select

from indexer.records.record_tables import Alliance
from indexer.wording import T_, Text
from matcher.ledger.figures.folds import end_of
from matcher.ledger.figures.subsidy import OwnShare, SubsidyPath, own_shares
from matcher.ledger.figures.sufficiency import statements
from matcher.ledger.figures.warnings import Level
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.periods import last_quarter_over, subsidy_year
from matcher.ledger.rules.configuration import current


class Matter(StrEnum):
    """What has a ladder and is no figure."""

    SELF_OPERATION = "self_operation"


Ladder = Kpi | Matter
"""What a ladder is about."""


def ladder_of(code: str) -> Ladder:
    """Return what a ladder of this code is about."""
    return Matter(code) if code in list(Matter) else Kpi(code)


def ladder_label(ladder: Ladder) -> Text:
    """Return what a ladder is about, in words."""
    return T_("self-operation") if isinstance(ladder, Matter) else KPI_FACTS[ladder].label


@dataclass(frozen=True)
class OperationReading:
    """How an alliance's last closed subsidy year stands as of a day, with what it was asked in that year."""

    alliance: str
    as_of: date
    quarter: str
    own: OwnShare

    @property
    def year(self) -> int:
        """The subsidy year."""
        return self.own.year

    @property
    def level(self) -> Level | None:
        """How it stands; None where nothing was booked."""
        if self.own.kept is None:
            return None
        return Level.ON_PACE if self.own.kept else Level.WARNING

    def grounds(self) -> dict[str, Any]:
        """Return what a warning is given for, as a step keeps it; shares are rounded down to basis points."""
        return {
            "quarter": self.quarter,
            "as_of": self.as_of.isoformat(),
            "subsidy_year": self.year,
            "own_income_ntd": self.own.own_income_ntd,
            "share_bp": _basis_points(self.own.share),
            "required_bp": _basis_points(self.own.required),
            "rose": self.own.rose,
        }


def _basis_points(share: Fraction | None) -> int | None:
    return None if share is None else int(share * WHOLE_BP)


def operation_readings(session: Session, alliances: Sequence[str], day: date) -> list[OperationReading]:
    """Return how alliances carry themselves as of the end of a day in Taipei; none of one that is younger than that."""
    moment, year = end_of(day), subsidy_year(day) - 1
    path = current(session, SubsidyPath, at=moment)
    query = select(Alliance).where(col(Alliance.id).in_(alliances)).order_by(col(Alliance.id))
    found = []
    for one in session.exec(query).all():
        if one.since is not None and subsidy_year(one.since) > year:
            continue
        past = statements(session, alliance_id=one.id, until=year, as_of=moment)
        found.append(OperationReading(one.id, day, last_quarter_over(day), own_shares(path, past)[-1]))
    return found
