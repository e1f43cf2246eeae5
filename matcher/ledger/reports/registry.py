"""The reports that there are, by name.

In: a name and what is asked for. Out: the report's document. It exists so that
the command line and the server offer the same reports, and so that a new report
is one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from indexer.records.record_tables import Alliance
from indexer.wording import T_, Text
from matcher.ledger.figures.folds import end_of
from matcher.ledger.figures.warnings import YearTarget
from matcher.ledger.reports.document import ReportDocument, ReportRequest, ReportTable
from matcher.ledger.reports.entries_report import entries_report
from matcher.ledger.reports.kpi_reports import alliance_report, b003_report, kpi_report
from matcher.ledger.reports.review_pack import review_pack
from matcher.ledger.reports.subsidy_year_reports import alliance_gender_report, gender_report, sufficiency_report
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.periods import subsidy_year
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.targets import TargetBasis, TargetBook, TargetBooks


@dataclass(frozen=True)
class Report:
    """A report: what it is called, and the function that makes its document."""

    title: Text
    make: Callable[[Session, ReportRequest], ReportDocument]


def _gender(session: Session, request: ReportRequest) -> ReportDocument:
    """Of one alliance exactly, if it stays there; otherwise of all alliances at once, with small cells left out."""
    year = request.year or subsidy_year(request.as_of)
    if request.stays_inside and request.alliances is not None and len(request.alliances) == 1:
        (alliance_id,) = request.alliances
        return alliance_gender_report(session, alliance_id=alliance_id, year=year, as_of=request.as_of, now=request.now)
    return gender_report(session, year=year, as_of=request.as_of, now=request.now)


def _sufficiency(session: Session, request: ReportRequest) -> ReportDocument:
    year = request.year or subsidy_year(request.as_of)
    parts = [
        sufficiency_report(session, alliance_id=alliance_id, year=year, as_of=request.as_of, now=request.now)
        for alliance_id in _alliances(session, request)
    ]
    if len(parts) == 1:
        return parts[0]
    return ReportDocument(
        name="sufficiency",
        title=T_("self-sufficiency by alliance"),
        as_of=request.as_of,
        tables=tuple(_titled(part, table) for part in parts for table in part.tables),
        heads=tuple(heads_of(session, request.now)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _titled(part: ReportDocument, table: ReportTable) -> ReportTable:
    title = T_("%(part)s: %(table)s", part=part.title, table=table.title)
    return replace(table, title=title)


def _review_pack(session: Session, request: ReportRequest) -> ReportDocument:
    books = current(session, TargetBooks, at=end_of(request.as_of))
    return review_pack(
        session,
        alliances=_alliances(session, request),
        as_of=request.as_of,
        year_targets=_year_targets(books.books[0]),
        now=request.now,
    )


def _year_targets(book: TargetBook) -> list[YearTarget]:
    """Return a book's targets by year; those of the whole programme have no pace."""
    return [
        YearTarget(target.kpi, target.year, target.amount, cumulative=target.basis is TargetBasis.CUMULATIVE)
        for target in book.targets
        if target.year is not None
    ]


def _alliances(session: Session, request: ReportRequest) -> list[str]:
    if request.alliances is not None:
        return sorted(request.alliances)
    return list(session.exec(select(Alliance.id).order_by(col(Alliance.id))).all())


REPORTS: dict[str, Report] = {
    "entries": Report(T_("Entries of the ledger"), entries_report),
    "kpi": Report(T_("Figures against targets"), kpi_report),
    "b003": Report(T_("Main indicators (table B003)"), b003_report),
    "alliance": Report(T_("Figures by alliance"), alliance_report),
    "sufficiency": Report(T_("Self-sufficiency"), _sufficiency),
    "gender": Report(T_("Gender statistics"), _gender),
    "review-pack": Report(T_("Review pack of a committee group"), _review_pack),
}
"""Every report by the name that `gloria report NAME` and `GET /api/reports/NAME` know it by."""


def make_report(session: Session, name: str, request: ReportRequest) -> ReportDocument:
    """Return a report's document.

    Raises:
        LedgerError: there is no such report; the message names those that there are.
    """
    report = REPORTS.get(name)
    if report is None:
        raise LedgerError(
            T_(
                "there is no report %(name)r; choose one of: %(reports)s", name=name, reports=", ".join(sorted(REPORTS))
            ),
            "name",
        )
    return report.make(session, request)
