"""The reports that there are, by name.

In: a name and what is asked for. Out: the report's document. It exists so that
the command line and the server offer the same reports, and so that a new report
is one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypedDict

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.figures.alliance_targets import year_targets_of
from matcher.ledger.figures.folds import end_of
from matcher.ledger.figures.sufficiency import statements
from matcher.ledger.reports.b003_report import b003_report
from matcher.ledger.reports.document import Heading, ReportDocument, ReportRequest, ReportTable
from matcher.ledger.reports.entries_report import entries_report
from matcher.ledger.reports.kpi_reports import alliance_report, kpi_report
from matcher.ledger.reports.monthly_report import monthly_report
from matcher.ledger.reports.review_pack import review_pack
from matcher.ledger.reports.said_days import day_text
from matcher.ledger.reports.subsidy_year_reports import (
    alliance_gender_report,
    gender_report,
    sufficiency_report,
    sufficiency_summary,
)
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.periods import subsidy_year
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.headings import ReportHeading
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import TargetBooks


@dataclass(frozen=True)
class Report:
    """A report: what it is called, and the function that makes its document."""

    title: Text
    make: Callable[[Session, ReportRequest], ReportDocument]


class _Asked(TypedDict):
    year: int
    as_of: date


def reported_year(session: Session, day: date) -> int:
    """Return the subsidy year that a report is about if nobody names one: the last one that has closed.

    Before the programme's first one has closed it is that one. The year that runs is asked for by name: it has no
    figures yet that could be handed in, and after the programme's end it is none of the programme's.
    """
    rules = current(session, RecognitionRules, at=end_of(day))
    first, last = subsidy_year(rules.programme_start), subsidy_year(rules.programme_end)
    return max(first, min(subsidy_year(day) - 1, last))


def _gender(session: Session, request: ReportRequest) -> ReportDocument:
    """Exactly for those who must have it: of one alliance if it stays there, of all for the Ministry's own statistics.

    Otherwise of all alliances at once, with small cells left out.
    """
    year = request.year or reported_year(session, request.as_of)
    if request.stays_inside and request.alliances is not None and len(request.alliances) == 1:
        (alliance_id,) = request.alliances
        return alliance_gender_report(session, alliance_id=alliance_id, year=year, as_of=request.as_of, now=request.now)
    exact = request.stays_inside and request.alliances is None
    return gender_report(session, year=year, as_of=request.as_of, now=request.now, exact=exact)


def _sufficiency(session: Session, request: ReportRequest) -> ReportDocument:
    """Of one alliance its statement; of several a summary first, then the statements of those that filled in any."""
    year = request.year or reported_year(session, request.as_of)
    wanted = _alliances(session, request)
    asked: _Asked = {"year": year, "as_of": request.as_of}
    if len(wanted) == 1:
        return sufficiency_report(session, alliance_id=wanted[0], now=request.now, **asked)
    moment = end_of(request.as_of)
    parts = [
        sufficiency_report(session, alliance_id=one, now=request.now, **asked)
        for one in wanted
        if any(year.recorded for year in statements(session, alliance_id=one, until=year, as_of=moment))
    ]
    return ReportDocument(
        name="sufficiency",
        title=T_("self-sufficiency by alliance"),
        as_of=request.as_of,
        tables=(
            sufficiency_summary(session, alliances=wanted, **asked),
            *(_titled(part, table) for part in parts for table in part.tables),
        ),
        heads=tuple(heads_of(session, request.now)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _titled(part: ReportDocument, table: ReportTable) -> ReportTable:
    title = T_("%(part)s: %(table)s", part=part.title, table=table.title)
    return replace(table, title=title, below=table is not part.tables[0])


def _review_pack(session: Session, request: ReportRequest) -> ReportDocument:
    books = current(session, TargetBooks, at=end_of(request.as_of))
    return review_pack(
        session,
        alliances=_alliances(session, request),
        as_of=request.as_of,
        year_targets=year_targets_of(books.books[0]),
        now=request.now,
    )


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
    "month": Report(T_("Monthly report of alliances"), monthly_report),
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
    return replace(report.make(session, request), heading=_heading(session, request))


def _heading(session: Session, request: ReportRequest) -> Heading:
    """Return the block at the top of a paper, as it is set on the day on which it is made."""
    said = current(session, ReportHeading)
    lines = (
        (P_("heading", "Programme"), either(said.programme.zh, said.programme.en)),
        (T_("Number of review"), either(said.review_number, said.review_number)),
        (T_("Agency that applies"), either(said.agency.zh, said.agency.en)),
        (T_("Made on"), day_text(day_in_taipei(request.now))),
    )
    return Heading(lines, tuple(either(one.zh, one.en) for one in said.signers))
