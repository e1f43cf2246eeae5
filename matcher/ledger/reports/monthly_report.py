"""The report `month`: what alliances say of a month, who confirmed it and when, and what was reported in it.

In: a day, of which it takes the month, and alliances. Out: a document with one row for each alliance first, then the
lead's words, then the entries. It exists because the monthly report (月報) is the alliance's own and goes to the
programme office and the committee before the quarterly check, which has its pack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.figures.folds import end_of
from matcher.ledger.reports.document import (
    CellKind,
    ReportCell,
    ReportColumn,
    ReportDocument,
    ReportRequest,
    ReportTable,
)
from matcher.ledger.reports.said_days import month_text, shares_text
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rules.months import MonthReport, entries_of_month, month_report
from matcher.review.people import Account

_WORDS: tuple[tuple[str, Text], ...] = (
    ("achievements", P_("month", "results")),
    ("highlights", P_("month", "highlights")),
    ("gap", P_("month", "what is missing")),
    ("measures", P_("month", "what is done about it")),
    ("help", P_("month", "help that is needed")),
)


def monthly_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return the months of the asked alliances, or of all, as they stood at the end of the day."""
    month, end = request.as_of.isoformat()[:7], end_of(request.as_of)
    every = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    names = {one.id: either(one.name, one.name_en or one.name) for one in every}
    wanted = [one.id for one in every if request.alliances is None or one.id in request.alliances]
    said = {one: month_report(session, one, month, as_of=end) for one in wanted}
    reported = {one: entries_of_month(session, one, month, as_of=end) for one in wanted}
    return ReportDocument(
        name="month",
        title=T_("monthly report, %(month)s", month=month_text(request.as_of)),
        as_of=request.as_of,
        tables=(
            _confirmations(session, names, said, reported),
            _words(names, said),
            _entries(names, reported, end),
        ),
        heads=tuple(heads_of(session, request.now)),
        notes=(T_("The lead of an alliance confirms its month; the committee's quarterly check comes after it."),),
    )


def _confirmations(
    session: Session,
    names: Mapping[str, Text],
    said: Mapping[str, MonthReport | None],
    reported: Mapping[str, Sequence[Entry]],
) -> ReportTable:
    leads = [one.by for one in said.values() if one is not None]
    people = dict(session.exec(select(Account.id, Account.name).where(col(Account.id).in_(leads))).all())
    rows = []
    for alliance, words in said.items():
        confirmed = T_("not confirmed yet") if words is None else people.get(words.by) or "—"
        day = None if words is None else day_in_taipei(words.at)
        count = len(reported[alliance])
        rows.append((ReportCell(names[alliance]), ReportCell(count), ReportCell(confirmed), ReportCell(day)))
    columns = (
        ReportColumn(P_("month", "alliance"), names=True),
        ReportColumn(P_("month", "reported"), CellKind.COUNT),
        ReportColumn(T_("confirmed by")),
        ReportColumn(T_("confirmed on"), CellKind.DATE),
    )
    return ReportTable(T_("alliances and their confirmation"), columns, tuple(rows))


def _words(names: Mapping[str, Text], said: Mapping[str, MonthReport | None]) -> ReportTable:
    rows = tuple(
        (ReportCell(names[alliance]), ReportCell(label), ReportCell(text))
        for alliance, words in said.items()
        if words is not None
        for name, label in _WORDS
        if (text := getattr(words, name))
    )
    columns = (
        ReportColumn(P_("month", "alliance"), merged=True, names=True),
        ReportColumn(P_("month", "about")),
        ReportColumn(T_("what the lead says")),
    )
    return ReportTable(T_("the leads' words"), columns, rows)


def _entries(names: Mapping[str, Text], reported: Mapping[str, Sequence[Entry]], end: datetime) -> ReportTable:
    once = {one.id: one for entries in reported.values() for one in entries if one.reported_at <= end}
    rows = []
    for entry in sorted(once.values(), key=lambda one: one.seq):
        facts = KPI_FACTS[Kpi(entry.kpi)]
        signed = -entry.amount if entry.kind == EntryKind.REVERSAL else entry.amount
        is_money = facts.unit is Unit.NTD
        rows.append(
            (
                ReportCell(shares_text(entry.shares, names)),
                ReportCell(facts.label),
                ReportCell(None if is_money else signed),
                ReportCell(signed if is_money else None),
                ReportCell(entry.occurred_on),
                ReportCell(day_in_taipei(entry.reported_at)),
                ReportCell(entry.value_added),
            )
        )
    columns = (
        ReportColumn(P_("month", "shares of alliances"), names=True),
        ReportColumn(P_("month", "figure"), names=True),
        ReportColumn(P_("month", "number"), CellKind.COUNT),
        ReportColumn(P_("month", "NTD"), CellKind.NTD),
        ReportColumn(P_("month", "occurred on"), CellKind.DATE),
        ReportColumn(P_("month", "reported on"), CellKind.DATE),
        ReportColumn(P_("month", "what GLORIA added")),
    )
    return ReportTable(T_("what was reported in the month"), columns, tuple(rows))
