"""What an import brought goes to an alliance: needs come in to it, companies join its portfolio.

In: the report of an import and an alliance. Out: the way in of its new needs, or its new clients. It exists so that
the command line and the server hand imported records over in the same way.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from indexer.importing import ImportReport
from indexer.records import Alliance
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.clients import Client
from matcher.intake import IntakeError, adopt


def hand_over(
    session: Session,
    report: ImportReport,
    *,
    alliance_id: str,
    by: str | None,
    expert_id: str | None,
    now: datetime,
) -> None:
    """Give what an import created to an alliance; what was there before stays whose it is.

    Args:
        session: its transaction holds all writes.
        report: what the import created.
        alliance_id: who gets it.
        by: the account that imported, None for an operator.
        expert_id: the expert who looks after the new companies, if it is known.
        now: the moment.

    Raises:
        IntakeError: there is no such alliance.
    """
    if session.get(Alliance, alliance_id) is None:
        raise IntakeError(
            T_(
                "there is no alliance %(alliance_id)s; import it first: gloria import alliances.jsonl",
                alliance_id=alliance_id,
            ),
            "alliance",
        )
    if report.kind is Kind.NEEDS:
        adopt(session, need_ids=report.created_ids, alliance_id=alliance_id, by=by, now=now)
    if report.kind is Kind.COMPANIES:
        # Nobody can look after them yet: they were created in this transaction.
        session.add_all(
            Client(company_id=company_id, alliance_id=alliance_id, expert_id=expert_id, since=now)
            for company_id in report.created_ids
        )
        session.flush()
