"""The report `entries`: the ledger's rows with where each stood on a day.

In: a day, perhaps a year and alliances. Out: a document with one row for each
entry. It exists for drilling down on paper, and for handing the ledger over.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import extract
from sqlmodel import Session, col, select

from matcher.ledger.document import Bilingual, Cell, CellKind, Column, ReportDocument, Table
from matcher.ledger.entries import WHOLE_BP, Entry, EntryKind
from matcher.ledger.figures import end_of
from matcher.ledger.heads import heads_of
from matcher.ledger.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.report_request import ReportRequest
from matcher.ledger.steps import STATE_LABELS, State, Step

_COLUMNS = (
    Column(Bilingual("分錄代號", "Entry")),
    Column(Bilingual("指標", "Figure")),
    Column(Bilingual("狀態", "State")),
    Column(Bilingual("數量", "Amount"), CellKind.COUNT),
    Column(Bilingual("金額", "NTD"), CellKind.NTD),
    Column(Bilingual("聯盟占比", "Alliances' shares")),
    Column(Bilingual("發生日", "Occurred on"), CellKind.DATE),
    Column(Bilingual("歸屬日", "Counts on"), CellKind.DATE),
    Column(Bilingual("認列季", "Counted in")),
    Column(Bilingual("學校", "School")),
    Column(Bilingual("案件", "Case")),
    Column(Bilingual("佐證件數", "Evidence"), CellKind.COUNT),
    Column(Bilingual("加值內容", "What GLORIA added")),
)
_BOOKED = Bilingual("已入帳", "booked")
_NOTES = (
    Bilingual("沖銷分錄之數量與金額以負數表示。", "Amounts of reversing entries are negative."),
    Bilingual(
        "「認列季」空白者不計入任何指標；媒合接受件數由系統直接入帳。",
        "What was counted in no quarter is part of no figure; accepted pairings are booked by the product itself.",
    ),
)


def entries_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return all entries of the asked year and alliances, oldest first, as they stood at the end of the day."""
    end = end_of(request.as_of)
    query = select(Entry).where(col(Entry.reported_at) <= end).order_by(col(Entry.seq))
    if request.year is not None:
        query = query.where(extract("year", col(Entry.counts_on)) == request.year)
    entries = [entry for entry in session.exec(query).all() if _wanted(entry, request)]
    last, counted = _steps(session, end)
    rows = tuple(_row(entry, last.get(entry.id), counted.get(entry.id)) for entry in entries)
    title = Bilingual("分錄清冊", "Entries of the ledger")
    return ReportDocument(
        name="entries",
        title=title,
        as_of=request.as_of,
        tables=(Table(title, _COLUMNS, rows, _NOTES),),
        heads=tuple(heads_of(session, request.now)),
        notes=_scope(request),
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


def _row(entry: Entry, state: State | None, counted: str | None) -> tuple[Cell, ...]:
    facts = KPI_FACTS[Kpi(entry.kpi)]
    is_money = facts.unit is Unit.NTD
    signed = -entry.amount if entry.kind == EntryKind.REVERSAL else entry.amount
    late = None
    if entry.late_for is not None:
        late = Bilingual(f"{entry.late_for} 之補報", f"came late for {entry.late_for}")
    return (
        Cell(entry.id, remark=_reversal(entry)),
        Cell(Bilingual(facts.label_zh, facts.label_en)),
        Cell(_BOOKED if state is None else Bilingual(*STATE_LABELS[state])),
        Cell(None if is_money else signed),
        Cell(signed if is_money else None),
        Cell(", ".join(f"{name} {share * 100 / WHOLE_BP:g} %" for name, share in sorted(entry.shares.items()))),
        Cell(entry.occurred_on),
        Cell(entry.counts_on),
        Cell(counted, remark=late),
        Cell(entry.school_id),
        Cell(None if entry.case_id is None else str(entry.case_id)),
        Cell(len(entry.evidence)),
        Cell(entry.value_added),
    )


def _reversal(entry: Entry) -> Bilingual | None:
    if entry.reverses is not None:
        return Bilingual(f"沖銷 {entry.reverses}", f"reverses {entry.reverses}")
    if entry.restates is not None:
        return Bilingual(f"更正 {entry.restates}", f"restates {entry.restates}")
    return None


def _scope(request: ReportRequest) -> tuple[Bilingual, ...]:
    if request.alliances is None:
        return ()
    names = ", ".join(sorted(request.alliances))
    return (Bilingual(f"聯盟範圍：{names}", f"only entries in which these have a share: {names}"),)
