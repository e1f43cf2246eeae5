"""The seam between decisions and the KPI ledger.

In: an acceptance or its undoing, in the transaction that stores it. Out: what
the ledger books for it. It exists so that a decision and its ledger entry are
stored together or not at all, while decisions know nothing of how entries are
made: whoever opens the product passes its ledger to `decide` and `undo`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from matcher.cases import Case


class Ledger(Protocol):
    """What decisions ask of a ledger; an exception undoes the decision too."""

    def accepted(self, session: Session, case: Case) -> None:
        """Book that a pairing was accepted and its case opened."""

    def undone(self, session: Session, case: Case, *, by: str, now: datetime) -> None:
        """Reverse what was booked for the case."""
