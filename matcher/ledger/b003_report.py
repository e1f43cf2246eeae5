"""The report `b003`: the programme's rows of the Ministry's table B003 (主要績效指標表), filled in.

In: a day and perhaps a year. Out: a document in the layout of that table, in
Chinese as the Ministry reads it. It exists because that table is what has to be
handed in. Where the plan's places disagree, a cell shows each reading with its
place and the actual that it asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from indexer.wording import P_, T_, Text, either
from matcher.ledger.comparisons import UNIT_LABELS, Programme, programme, programme_year
from matcher.ledger.document import Cell, Column, ReportDocument, Table
from matcher.ledger.heads import heads_of
from matcher.ledger.kpi_report import refuse_alliances
from matcher.ledger.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.periods import roc_year
from matcher.ledger.report_request import ReportRequest
from matcher.ledger.targets import BASIS_LABELS, STANDING_LABELS, Compared, Standing, TargetBasis, standing

_HUNDRED_MILLION = 100_000_000


@dataclass(frozen=True)
class _Line:
    """A row of the table: attribute and indicator as the Ministry names them, the figure, and what it is good for."""

    attribute: str
    indicator: str
    kpi: Kpi
    benefit: str


_LINES = (
    _Line("學術成就（科技基礎研究）", "C.培育及延攬人才", Kpi.TALENT, "為產業養成可用之人，一人一年計一次。"),
    _Line("技術創新（科技技術創新）", "其他：成立聯盟數", Kpi.ALLIANCES, "以聯盟整合學校能量，對外一個窗口。"),
    _Line("經濟效益（經濟產業促進）", "L.促成投資", Kpi.MONEY, "企業付給學校之合作經費，逐期認列。"),
    _Line("經濟效益（經濟產業促進）", "P.創業育成", Kpi.STARTUPS, "研發團隊成立之公司，以統一編號計。"),
    _Line(
        "經濟效益（經濟產業促進）", "T.促成與學界或產業團體合作研究", Kpi.INTERNATIONAL_CASES, "與國外夥伴成案之合作。"
    ),
    _Line("經濟效益（經濟產業促進）", "其他：國內外企業會員", Kpi.MEMBERS, "具代表性之企業，加入多個聯盟仍計一家。"),
    _Line("經濟效益（經濟產業促進）", "其他：促進就業", Kpi.JOBS, "因合作而補上之職缺。"),
    _Line("其他效益（科技政策管理及其他）", "其他：典範案例", Kpi.MODEL_CASES, "六個面向皆可為他人借鏡之案例。"),
)


def b003_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return table B003 as of a day; with a year, later years show their targets only.

    Raises:
        LedgerError: the programme has no such year, or single alliances are asked for.
    """
    refuse_alliances(request)
    shown = programme(session, as_of=request.as_of)
    year = programme_year(shown.years, request.year)
    last = min(request.as_of.year, shown.years[-1] if year is None else year)
    title = T_("Main indicators (table B003)")
    rows = tuple(_row(shown, line, last) for line in _LINES)
    return ReportDocument(
        name="b003",
        title=title,
        as_of=request.as_of,
        tables=(Table(title, _columns(shown), rows, _notes()),),
        heads=tuple(heads_of(session, request.now)),
    )


def amount_zh(amount: int, unit: Unit) -> str:
    """Return an amount as B003 writes it: money in 億元, all else with its unit."""
    if unit is not Unit.NTD:
        return f"{amount:,} {UNIT_LABELS[unit].zh}"
    whole, rest = divmod(abs(amount), _HUNDRED_MILLION)
    digits = f"{rest:08}".rstrip("0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole:,}{'.' if digits else ''}{digits} 億元"


def _columns(shown: Programme) -> tuple[Column, ...]:
    first, *later = shown.years
    return (
        Column(T_("Attribute")),
        Column(T_("Indicator")),
        Column(T_("%(first)s: reached", first=either(f"{roc_year(first)}", f"{first}"))),
        *(Column(P_("b003 report", "%(year)s", year=either(f"{roc_year(year)}", f"{year}"))) for year in later),
        Column(T_("Expected benefit")),
    )


def _row(shown: Programme, line: _Line, last: int) -> tuple[Cell, ...]:
    first, *later = shown.years
    return (
        Cell(line.attribute),
        Cell(line.indicator),
        _first_year(shown, line.kpi, first, last),
        *(_year(shown, line.kpi, year, begun=year <= last) for year in later),
        _whole(shown, line, last),
    )


def _first_year(shown: Programme, kpi: Kpi, year: int, last: int) -> Cell:
    """The plan's own figure and the ledger's, apart."""
    unit = KPI_FACTS[kpi].unit
    given = shown.books.given(kpi, year)
    lines = [] if given is None else [f"計畫書所載：{amount_zh(given.amount, unit)}"]
    counted = shown.actual_cell(kpi, [year])
    if year <= last:
        lines.append(f"帳冊認列：{amount_zh(shown.amount(kpi, [year]), unit)}")
    lines += _target_lines(shown.compared(kpi, year), unit)
    return Cell("\n".join(lines), counted.entries, counted.remark)


def _year(shown: Programme, kpi: Kpi, year: int, *, begun: bool) -> Cell:
    unit = KPI_FACTS[kpi].unit
    compared = shown.compared(kpi, year)
    lines = [*_target_lines(compared, unit)]
    if not begun:
        return Cell("\n".join(lines))
    bases = list(dict.fromkeys(one.target.basis for one in compared)) or [TargetBasis.ANNUAL]
    for basis in bases:
        years = [year] if basis is TargetBasis.ANNUAL else shown.until(year)
        lines.append(f"實際：{BASIS_LABELS[basis].zh} {amount_zh(shown.amount(kpi, years), unit)}")
    lines += _verdict(compared)
    years = shown.until(year) if TargetBasis.CUMULATIVE in bases else [year]
    cell = shown.actual_cell(kpi, years)
    return Cell("\n".join(lines), cell.entries, cell.remark)


def _whole(shown: Programme, line: _Line, last: int) -> Cell:
    unit = KPI_FACTS[line.kpi].unit
    compared = shown.compared(line.kpi, None)
    reached = shown.total(line.kpi, shown.until(last))
    at_day = [Compared(one.book, one.target, reached.amount) for one in compared]
    lines = [line.benefit, *_target_lines(at_day, unit), f"實際：全程 {amount_zh(reached.amount, unit)}"]
    return Cell("\n".join([*lines, *_verdict(at_day)]), reached.entries)


def _target_lines(compared: Sequence[Compared], unit: Unit) -> Iterator[str]:
    """Yield one line for each reading, with the places of the plan that have it."""
    places: dict[tuple[TargetBasis, int], list[str]] = {}
    for one in compared:
        places.setdefault((one.target.basis, one.target.amount), []).append(one.book.title_zh)
    for (basis, amount), titles in places.items():
        where = f"（{'、'.join(titles)}）" if len(places) > 1 else ""
        yield f"目標：{BASIS_LABELS[basis].zh} {amount_zh(amount, unit)}{where}"


def _verdict(compared: Sequence[Compared]) -> Iterator[str]:
    stands = standing(compared)
    if stands is None:
        return
    yield f"判定：{STANDING_LABELS[stands].zh}"
    if stands is Standing.DISPUTED:
        for one in compared:
            yield f"　{one.book.title_zh}：{STANDING_LABELS[one.standing].zh}"


def _notes() -> tuple[Text, ...]:
    return (
        T_("Actuals are what was recognised and is due; what the plan says of 106 stands apart and is not added."),
        T_("Where places of the plan disagree on a target, every reading is shown."),
    )
