"""Acceptances are booked by the decision that makes them, in its transaction.

In: a case that an acceptance opened, or whose acceptance was undone. Out: a
fact, or its reversal. It exists so that no acceptance is without its entry and
none is counted twice; it is what `matcher.booking.Ledger` asks for. The
figure is the product's own and needs no recognition.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from indexer.instants import day_in_taipei
from matcher.cases import Case
from matcher.ledger.chain import lock_heads
from matcher.ledger.claims import free_key, take_key
from matcher.ledger.closing import booking_period
from matcher.ledger.details import AcceptanceDetails
from matcher.ledger.entries import ACCEPTANCE_PREFIX, WHOLE_BP, Entry, EntryKind, NewEntry, append
from matcher.ledger.kpis import Kpi
from matcher.ledger.reversals import write_reversal


class AcceptanceLedger:
    """Books acceptances; see `matcher.booking.Ledger`."""

    def accepted(self, session: Session, case: Case) -> None:
        """Book the acceptance that opened a case."""
        lock_heads(session)
        day = day_in_taipei(case.opened_at)
        period, late_for = booking_period(session, day)
        details = AcceptanceDetails(case=case.id or 0, pairing=case.pairing_id)
        entry_id, key = f"{ACCEPTANCE_PREFIX}{case.id}", details.natural_key()
        append(
            session,
            NewEntry(
                id=entry_id,
                kind=EntryKind.FACT,
                kpi=Kpi.ACCEPTANCES,
                amount=1,
                shares={case.alliance_id: WHOLE_BP},
                natural_key=key,
                details=details.model_dump(mode="json"),
                occurred_on=day,
                counts_on=day,
                period=period,
                late_for=late_for,
                company_id=case.company_id,
                case_id=case.id,
                decision_id=case.decision_id,
                reporter=case.owner_id,
                reported_at=case.opened_at,
            ),
        )
        take_key(session, kpi=Kpi.ACCEPTANCES, natural_key=key, entry_id=entry_id)

    def undone(self, session: Session, case: Case, *, by: str, now: datetime) -> None:
        """Reverse what was booked for a case; nothing is done for one that an older release opened."""
        lock_heads(session)
        entry = session.exec(select(Entry).where(Entry.id == f"{ACCEPTANCE_PREFIX}{case.id}")).first()
        if entry is not None:
            write_reversal(session, entry, reason="undone on the same day", by=by, now=now)
            free_key(session, entry.id)
