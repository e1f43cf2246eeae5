"""The reports that there are, by name.

In: a name and what is asked for. Out: the report's document. It exists so that
the command line and the server offer the same reports, and so that a new report
is one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session

from matcher.ledger.document import Bilingual, ReportDocument
from matcher.ledger.entries import LedgerError
from matcher.ledger.entries_report import entries_report
from matcher.ledger.report_request import ReportRequest


@dataclass(frozen=True)
class Report:
    """A report: what it is called, and the function that makes its document."""

    title: Bilingual
    make: Callable[[Session, ReportRequest], ReportDocument]


REPORTS: dict[str, Report] = {
    "entries": Report(Bilingual("分錄清冊", "Entries of the ledger"), entries_report),
}
"""Every report by the name that `gloria report NAME` and `GET /api/reports/NAME` know it by."""


def make_report(session: Session, name: str, request: ReportRequest) -> ReportDocument:
    """Return a report's document.

    Raises:
        LedgerError: there is no such report; the message names those that there are.
    """
    report = REPORTS.get(name)
    if report is None:
        raise LedgerError(f"there is no report {name!r}; choose one of: {', '.join(sorted(REPORTS))}", "name")
    return report.make(session, request)
