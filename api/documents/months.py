"""What the API says of alliances' months: what a lead confirmed, and what was reported in it.

In: rows of `matcher.ledger.rules.months` and the entries of a month. Out: the documents of an alliance's month and of
all of them. It exists apart from the other documents of the ledger because the monthly report is the alliance's own
word, and the quarterly check the committee's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from api.documents.answers import Answer
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rules.months import MonthReport


class MonthReportAnswer(Answer):
    """What a lead confirmed of a month; `until` is how far it reaches: what was reported later waits for the next."""

    id: int
    alliance_id: str
    month: str
    version: int
    until: datetime
    achievements: str
    highlights: str
    gap: str
    measures: str
    help: str
    by: str
    at: datetime


class MonthAnswer(Answer):
    """An alliance's month: what holds of it (null: not confirmed), what was reported in it, what that waits for."""

    alliance_id: str
    month: str
    report: MonthReportAnswer | None
    entries: int
    unconfirmed: int = Field(description="Of these, how many no lead of their alliances has confirmed yet.")


class MonthDocumentAnswer(MonthAnswer):
    """An alliance's month with every confirmation of it, and the entries that were reported in it by id."""

    versions: list[MonthReportAnswer]
    reported: list[str]


class MonthsAnswer(Answer):
    """A month of all alliances that you may see; `since` is the day from which on the committee waits for it."""

    month: str
    since: str | None
    items: list[MonthAnswer]


def report_document(report: MonthReport) -> dict[str, Any]:
    """Return what a lead confirmed."""
    return report.model_dump(mode="json")


def month_document(
    alliance_id: str, month: str, report: MonthReport | None, entries: Sequence[Entry], unconfirmed: int
) -> dict[str, Any]:
    """Return an alliance's month."""
    return {
        "alliance_id": alliance_id,
        "month": month,
        "report": None if report is None else report_document(report),
        "entries": len(entries),
        "unconfirmed": unconfirmed,
    }
