"""The report `entries`: the ledger's rows with where each stood on a day.

In: a day, perhaps a year and alliances. Out: a document with one row for each
entry. It exists for drilling down on paper, and for handing the ledger over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import extract
from sqlmodel import Session, col, select

from indexer.records.record_tables import Alliance, Company, School
from indexer.wording import P_, T_, Text, either, listed
from matcher.ledger.figures.folds import end_of
from matcher.ledger.reports.document import (
    CellKind,
    ReportCell,
    ReportColumn,
    ReportDocument,
    ReportRequest,
    ReportTable,
)
from matcher.ledger.reports.said_days import quarter_text, shares_text
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rows.steps import STATE_LABELS, State, Step

_COLUMNS = (
    ReportColumn(T_("Entry")),
    ReportColumn(P_("entries report", "Figure")),
    ReportColumn(T_("State")),
    ReportColumn(P_("entries report", "Amount"), CellKind.COUNT),
    ReportColumn(P_("entries report", "NTD"), CellKind.NTD),
    ReportColumn(T_("Alliances' shares")),
    ReportColumn(P_("entries report", "Occurred on"), CellKind.DATE),
    ReportColumn(P_("entries report", "Counts on"), CellKind.DATE),
    ReportColumn(P_("entries report", "Counted in")),
    ReportColumn(T_("School")),
    ReportColumn(P_("entries report", "Company")),
    ReportColumn(T_("Case")),
    ReportColumn(P_("entries report", "Evidence"), CellKind.COUNT),
    ReportColumn(T_("What GLORIA added")),
)
_BOOKED = P_("entries report", "booked")
_NOTES = (
    T_("Amounts of reversing entries are negative."),
    T_("What was counted in no quarter is part of no figure; accepted pairings are booked by the product itself."),
)


def entries_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return all entries of the asked year and alliances, oldest first, as they stood at the end of the day."""
    end = end_of(request.as_of)
    query = select(Entry).where(col(Entry.reported_at) <= end).order_by(col(Entry.seq))
    if request.year is not None:
        query = query.where(extract("year", col(Entry.counts_on)) == request.year)
    entries = [entry for entry in session.exec(query).all() if _wanted(entry, request)]
    last, counted = _steps(session, end)
    names = {one.id: either(one.name, one.name_en or one.name) for one in session.exec(select(Alliance)).all()}
    schools = {one.id: either(one.name, one.name_en or one.name) for one in session.exec(select(School)).all()}
    companies = {one.id: either(one.name, one.name_en or one.name) for one in session.exec(select(Company)).all()}
    rows = tuple(
        (
            *_row(entry, last.get(entry.id), counted.get(entry.id), names),
            ReportCell(_parties(entry.by_school(), schools)),
            ReportCell(_parties(entry.by_company(), companies)),
            ReportCell(None if entry.case_id is None else str(entry.case_id)),
            ReportCell(len(entry.evidence)),
            ReportCell(entry.value_added),
        )
        for entry in entries
    )
    title = T_("Entries of the ledger")
    return ReportDocument(
        name="entries",
        title=title,
        as_of=request.as_of,
        tables=(ReportTable(title, _COLUMNS, rows, _NOTES),),
        heads=tuple(heads_of(session, request.now)),
        notes=_scope(request, names),
    )


def _wanted(entry: Entry, request: ReportRequest) -> bool:
    return request.alliances is None or not request.alliances.isdisjoint(entry.shares)


def _steps(session: Session, end: datetime) -> tuple[dict[str, State], dict[str, str]]:
    """Return for each entry its last state at a moment, and the quarter in which it was counted."""
    query = select(Step.entry_id, Step.state, Step.period).where(col(Step.at) <= end).order_by(col(Step.seq))
    last: dict[str, State] = {}
    counted: dict[str, str] = {}
    for entry_id, state, period in session.execute(query).all():
        last[entry_id] = State(state)
        if period is not None:
            counted[entry_id] = period
    return last, counted


def _row(entry: Entry, state: State | None, counted: str | None, names: Mapping[str, Text]) -> tuple[ReportCell, ...]:
    """Return what is said of an entry up to the quarter in which it counts."""
    facts = KPI_FACTS[Kpi(entry.kpi)]
    is_money = facts.unit is Unit.NTD
    signed = -entry.amount if entry.kind == EntryKind.REVERSAL else entry.amount
    late = None
    if entry.late_for is not None:
        late = T_("came late for %(late_for)s", late_for=quarter_text(entry.late_for))
    return (
        ReportCell(entry.id, remark=_reversal(entry)),
        ReportCell(facts.label),
        ReportCell(_BOOKED if state is None else STATE_LABELS[state]),
        ReportCell(None if is_money else signed),
        ReportCell(signed if is_money else None),
        ReportCell(shares_text(entry.shares, names)),
        ReportCell(entry.occurred_on),
        ReportCell(entry.counts_on),
        ReportCell(None if counted is None else quarter_text(counted), remark=late),
    )


def _parties(shares: Mapping[str, int], names: Mapping[str, Text]) -> Text | None:
    """Return who has parts in an entry: one by name, several with their shares; a lost record by its id."""
    known = {one: names.get(one, either(one, one)) for one in shares}
    if len(shares) > 1:
        return shares_text(shares, known)
    return next(iter(known.values()), None)


def _reversal(entry: Entry) -> Text | None:
    if entry.reverses is not None:
        return T_("reverses %(reverses)s", reverses=entry.reverses)
    if entry.restates is not None:
        return T_("restates %(restates)s", restates=entry.restates)
    return None


def _scope(request: ReportRequest, known: Mapping[str, Text]) -> tuple[Text, ...]:
    if request.alliances is None:
        return ()
    names = listed([known[one] for one in sorted(request.alliances) if one in known])
    return (T_("only entries in which these have a share: %(names)s", names=names),)
