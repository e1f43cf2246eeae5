"""The reports of figures: `kpi`, the Ministry's table `b003`, and `alliance`.

In: a day, perhaps a year and alliances. Out: a document of each. `kpi` shows what was reached against every target
of the plan, what the plan itself says was reached, and money and international cases by each of their definitions,
for no definition is chosen. `b003` is the programme's rows of the table that has to be handed in (主要績效指標表),
in its layout and in Chinese as the Ministry reads it. `alliance` has one row for each alliance and one column for
each figure. They exist to show in one place what counts and what does not: committed, falling after the programme,
in review and forecast stand in columns of their own and are part of no actual.

Where the plan's places disagree, a cell of `b003` shows each reading with its place and the actual that it asks
for. A result that several alliances brought about is one entry: in `alliance` each shows its share, and the sum of
the shares is the programme's figure, to the last decimal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlmodel import Session, col, select

from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.figures.folds import ShareSlice, Slice, Status, decimal_of, end_of, share_slices
from matcher.ledger.figures.forecast import Forecast, Measure, forecast
from matcher.ledger.reports.document import (
    CellKind,
    ReportCell,
    ReportColumn,
    ReportDocument,
    ReportRequest,
    ReportTable,
)
from matcher.ledger.reports.target_standings import UNIT_LABELS, Programme, programme, programme_year, year_label
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi, Unit
from matcher.ledger.rows.periods import roc_year
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import (
    BASIS_LABELS,
    SCOPE_LABELS,
    STANDING_LABELS,
    CaseDefinition,
    Compared,
    MoneyDefinition,
    MoneyDefinitions,
    Standing,
    TargetBasis,
    standing,
)

_Cut = tuple[Text, str | None, Callable[[Slice], bool] | None]
"""A definition's title, its place in the plan, and the slices that it takes; None takes all."""

_DEFINITIONS_NOTE = T_(
    "The plan does not define its three wordings; which payers and purposes each takes in is configuration."
)


def _definition_tables(session: Session, shown: Programme, year: int | None) -> tuple[ReportTable, ReportTable]:
    """Return money by definition and international cases by definition, of one year or of all."""
    defined = current(session, MoneyDefinitions, at=end_of(shown.as_of))
    everything: _Cut = (T_("all money"), None, None)
    money = _definition_table(
        T_("Money by the plan's definitions"),
        _definition_rows(shown, Kpi.MONEY, [*map(_money_by_definition, defined.definitions), everything], year),
        CellKind.NTD,
        (_DEFINITIONS_NOTE,),
    )
    cases = _definition_table(
        T_("International cases with and without domestic ones"),
        _definition_rows(
            shown, Kpi.INTERNATIONAL_CASES, [*map(_cases_by_definition, defined.international_cases)], year
        ),
        CellKind.COUNT,
        (),
    )
    return money, cases


def _money_by_definition(definition: MoneyDefinition) -> _Cut:
    def takes(one: Slice) -> bool:
        return definition.takes(one.payer_country, one.payer_type, one.purpose)

    return either(definition.title_zh, definition.title_en), definition.source, takes


def _cases_by_definition(definition: CaseDefinition) -> _Cut:
    bases = frozenset(basis.value for basis in definition.bases)
    return either(definition.title_zh, definition.title_en), None, lambda one: one.basis in bases


def _definition_table(
    title: Text, rows: Iterator[tuple[ReportCell, ...]], kind: CellKind, notes: tuple[Text, ...]
) -> ReportTable:
    columns = (
        ReportColumn(T_("Definition")),
        ReportColumn(T_("Year")),
        ReportColumn(T_("Actual in the year"), kind),
        ReportColumn(T_("Actual up to the year"), kind),
        ReportColumn(T_("Committed"), kind),
        ReportColumn(T_("After the programme"), kind),
        ReportColumn(T_("In review"), kind),
        ReportColumn(T_("Place in the plan")),
    )
    return ReportTable(title, columns, tuple(rows), notes)


def _definition_rows(
    shown: Programme, kpi: Kpi, cuts: Sequence[_Cut], year: int | None
) -> Iterator[tuple[ReportCell, ...]]:
    years: Sequence[int | None] = [*shown.years, None] if year is None else [year]
    for title, source, takes in cuts:

        def cell(
            of: Sequence[int] | None, status: Status = Status.ACTUAL, takes: Callable[[Slice], bool] | None = takes
        ) -> ReportCell:
            found = shown.slices.total(kpi, years=of, status=status, where=takes)
            return ReportCell(found.amount, found.entries)

        for one in years:
            begun = one is None or one <= shown.as_of.year
            until = None if one is None else shown.until(one)
            yield (
                ReportCell(title),
                ReportCell(year_label(one)),
                cell([one]) if begun and one is not None else ReportCell(None),
                cell(until) if begun else ReportCell(None),
                cell(None if one is None else [one], Status.COMMITTED),
                cell(None, Status.AFTER_PROGRAMME) if one is None else ReportCell(None),
                cell(None if one is None else [one], Status.IN_REVIEW),
                ReportCell(source),
            )


_MEASURES = {Kpi.MONEY: Measure.MONEY, Kpi.INTERNATIONAL_CASES: Measure.INTERNATIONAL_CASES}
_NOTHING = ReportCell(None)
_KPI_NOTES = (
    T_(
        "Actuals are what was recognised and is due; committed, after the programme, in review and "
        "forecast stand in columns of their own and are part of no actual."
    ),
    T_('Where it "depends on the reading", one place of the plan has its target reached and another has not.'),
)


def kpi_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return the figures of the whole programme as of a day, of one year or of all.

    Raises:
        LedgerError: the programme has no such year, or single alliances are asked for.
    """
    _refuse_alliances(request)
    shown = programme(session, as_of=request.as_of)
    year = programme_year(shown.years, request.year)
    days_left = request.as_of.year in shown.years and request.as_of < date(request.as_of.year, 12, 31)
    ahead = forecast(session, as_of=request.as_of) if days_left else None
    tables = (
        _kpi_figures(shown, year, ahead),
        _given(shown),
        *_definition_tables(session, shown, year),
    )
    return ReportDocument(
        name="kpi",
        title=T_("Figures against targets"),
        as_of=request.as_of,
        tables=tables,
        heads=tuple(heads_of(session, request.now)),
        notes=(*(either(dispute.zh, dispute.en) for dispute in shown.books.disputes), _deadlines(shown)),
    )


def _deadlines(shown: Programme) -> Text:
    """Say within how many years alliances are to be self-sufficient, by each place of the plan."""
    said = [
        T_(
            "%(scope)s within %(years)s years (%(source)s)",
            scope=SCOPE_LABELS[one.scope],
            years=one.within_years,
            source=one.source,
        )
        for one in shown.books.self_sufficiency
    ]
    deadlines = either("；".join(one.zh for one in said), "; ".join(said))
    return T_("self-sufficient: %(deadlines)s", deadlines=deadlines)


def _refuse_alliances(request: ReportRequest) -> None:
    """Refuse a report of the whole programme to who asks for single alliances.

    Raises:
        LedgerError: alliances are named.
    """
    if request.alliances is not None:
        raise LedgerError(
            T_("this report is about the whole programme; the report alliance shows alliances"), "alliances"
        )


def _kpi_figures(shown: Programme, year: int | None, ahead: Forecast | None) -> ReportTable:
    books = [
        ReportColumn(T_("Target: %(title)s", title=either(b.title_zh, b.title_en)), CellKind.COUNT)
        for b in shown.books.books
    ]
    columns = (
        ReportColumn(T_("Figure")),
        ReportColumn(T_("Unit")),
        ReportColumn(T_("Year")),
        ReportColumn(T_("Actual in the year"), CellKind.COUNT),
        ReportColumn(T_("Actual up to the year"), CellKind.COUNT),
        *books,
        ReportColumn(T_("Standing")),
        ReportColumn(T_("Committed"), CellKind.COUNT),
        ReportColumn(T_("After the programme"), CellKind.COUNT),
        ReportColumn(T_("In review"), CellKind.COUNT),
        ReportColumn(T_("Forecast to year-end, more"), CellKind.SHARE),
    )
    years = shown.years if year is None else (year,)
    rows = [
        _kpi_row(shown, kpi, one, ahead)
        for kpi in RECOGNISED_KPIS
        for one in (*years, *([None] if year is None else []))
    ]
    return ReportTable(T_("Figures: targets and actuals"), columns, tuple(rows), _table_notes(shown))


def _kpi_row(shown: Programme, kpi: Kpi, year: int | None, ahead: Forecast | None) -> tuple[ReportCell, ...]:
    facts = KPI_FACTS[kpi]
    begun = year is None or year <= shown.as_of.year
    compared = shown.compared(kpi, year) if begun else []
    stands = standing(compared)
    until = shown.years if year is None else shown.until(year)
    return (
        ReportCell(facts.label),
        ReportCell(UNIT_LABELS[facts.unit]),
        ReportCell(year_label(year)),
        shown.actual_cell(kpi, [year]) if begun and year is not None else _NOTHING,
        shown.actual_cell(kpi, until) if begun else _NOTHING,
        *_targets(shown, kpi, year),
        ReportCell(None if stands is None else STANDING_LABELS[stands]),
        _beside(shown, kpi, year, Status.COMMITTED),
        _beside(shown, kpi, year, Status.AFTER_PROGRAMME) if year is None else _NOTHING,
        _beside(shown, kpi, year, Status.IN_REVIEW),
        _forecast(kpi, year, ahead),
    )


def _targets(shown: Programme, kpi: Kpi, year: int | None) -> Iterator[ReportCell]:
    """Yield each book's target; its basis is a remark."""
    said = {book.code: target for book, target in shown.books.targets(kpi, year)}
    for book in shown.books.books:
        target = said.get(book.code)
        yield _NOTHING if target is None else ReportCell(target.amount, remark=BASIS_LABELS[target.basis])


def _beside(shown: Programme, kpi: Kpi, year: int | None, status: Status) -> ReportCell:
    found = shown.total(kpi, None if year is None else [year], status)
    return ReportCell(found.amount, found.entries)


def _forecast(kpi: Kpi, year: int | None, ahead: Forecast | None) -> ReportCell:
    measure = _MEASURES.get(kpi)
    if ahead is None or measure is None or year != ahead.until.year:
        return _NOTHING
    found = ahead.ranges[measure]
    chance = f"{ahead.interval:.0%}"
    remark = T_(
        "from %(open_cases)s open cases; %(chance)s interval %(low)s to %(high)s",
        open_cases=ahead.open_cases,
        chance=chance,
        low=f"{found.low:,}",
        high=f"{found.high:,}",
    )
    return ReportCell(round(found.expected, 2), remark=remark)


def _table_notes(shown: Programme) -> tuple[Text, ...]:
    places = []
    for book in shown.books.books:
        sources = list(dict.fromkeys(target.source for target in book.targets))
        places.append(
            T_(
                "%(title)s: %(sources)s",
                title=either(book.title_zh, book.title_en),
                sources=either("；".join(sources), "; ".join(sources)),
            )
        )
    return (*_KPI_NOTES, *places)


def _given(shown: Programme) -> ReportTable:
    """What the plan says was reached beside what the ledger counts: compared, never added."""
    columns = (
        ReportColumn(T_("Figure")),
        ReportColumn(T_("Year")),
        ReportColumn(T_("Actual by the plan"), CellKind.COUNT),
        ReportColumn(T_("Recognised in the ledger"), CellKind.COUNT),
        ReportColumn(T_("Difference"), CellKind.COUNT),
        ReportColumn(P_("kpi report", "Source")),
    )
    rows = []
    for given in shown.books.given_actuals:
        facts = KPI_FACTS[given.kpi]
        counted = shown.actual_cell(given.kpi, [given.year])
        difference = shown.amount(given.kpi, [given.year]) - given.amount
        rows.append(
            (
                ReportCell(facts.label),
                ReportCell(year_label(given.year)),
                ReportCell(given.amount),
                counted,
                ReportCell(difference),
                ReportCell(given.source),
            )
        )
    note = T_("What the plan says was reached is compared only; the ledger adds none of it.")
    return ReportTable(T_("Actuals that the plan names"), columns, tuple(rows), (note,))


_HUNDRED_MILLION = 100_000_000


@dataclass(frozen=True)
class _B003Line:
    """A row of the table: attribute and indicator as the Ministry names them, the figure, and what it is good for."""

    attribute: str
    indicator: str
    kpi: Kpi
    benefit: str


_B003_LINES = (
    _B003Line("學術成就（科技基礎研究）", "C.培育及延攬人才", Kpi.TALENT, "為產業養成可用之人，一人一年計一次。"),
    _B003Line("技術創新（科技技術創新）", "其他：成立聯盟數", Kpi.ALLIANCES, "以聯盟整合學校能量，對外一個窗口。"),
    _B003Line("經濟效益（經濟產業促進）", "L.促成投資", Kpi.MONEY, "企業付給學校之合作經費，逐期認列。"),
    _B003Line("經濟效益（經濟產業促進）", "P.創業育成", Kpi.STARTUPS, "研發團隊成立之公司，以統一編號計。"),
    _B003Line(
        "經濟效益（經濟產業促進）", "T.促成與學界或產業團體合作研究", Kpi.INTERNATIONAL_CASES, "與國外夥伴成案之合作。"
    ),
    _B003Line(
        "經濟效益（經濟產業促進）", "其他：國內外企業會員", Kpi.MEMBERS, "具代表性之企業，加入多個聯盟仍計一家。"
    ),
    _B003Line("經濟效益（經濟產業促進）", "其他：促進就業", Kpi.JOBS, "因合作而補上之職缺。"),
    _B003Line("其他效益（科技政策管理及其他）", "其他：典範案例", Kpi.MODEL_CASES, "六個面向皆可為他人借鏡之案例。"),
)


def b003_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return table B003 as of a day; with a year, later years show their targets only.

    Raises:
        LedgerError: the programme has no such year, or single alliances are asked for.
    """
    _refuse_alliances(request)
    shown = programme(session, as_of=request.as_of)
    year = programme_year(shown.years, request.year)
    last = min(request.as_of.year, shown.years[-1] if year is None else year)
    title = T_("Main indicators (table B003)")
    rows = tuple(_b003_row(shown, line, last) for line in _B003_LINES)
    return ReportDocument(
        name="b003",
        title=title,
        as_of=request.as_of,
        tables=(ReportTable(title, _b003_columns(shown), rows, _b003_notes()),),
        heads=tuple(heads_of(session, request.now)),
    )


def _amount_zh(amount: int, unit: Unit) -> str:
    """Return an amount as B003 writes it: money in 億元, all else with its unit."""
    if unit is not Unit.NTD:
        return f"{amount:,} {UNIT_LABELS[unit].zh}"
    whole, rest = divmod(abs(amount), _HUNDRED_MILLION)
    digits = f"{rest:08}".rstrip("0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole:,}{'.' if digits else ''}{digits} 億元"


def _b003_columns(shown: Programme) -> tuple[ReportColumn, ...]:
    first, *later = shown.years
    return (
        ReportColumn(T_("Attribute")),
        ReportColumn(T_("Indicator")),
        ReportColumn(T_("%(first)s: reached", first=either(f"{roc_year(first)}", f"{first}"))),
        *(ReportColumn(P_("b003 report", "%(year)s", year=either(f"{roc_year(year)}", f"{year}"))) for year in later),
        ReportColumn(T_("Expected benefit")),
    )


def _b003_row(shown: Programme, line: _B003Line, last: int) -> tuple[ReportCell, ...]:
    first, *later = shown.years
    return (
        ReportCell(line.attribute),
        ReportCell(line.indicator),
        _first_year(shown, line.kpi, first, last),
        *(_year(shown, line.kpi, year, begun=year <= last) for year in later),
        _whole(shown, line, last),
    )


def _first_year(shown: Programme, kpi: Kpi, year: int, last: int) -> ReportCell:
    """The plan's own figure and the ledger's, apart."""
    unit = KPI_FACTS[kpi].unit
    given = shown.books.given(kpi, year)
    lines = [] if given is None else [f"計畫書所載：{_amount_zh(given.amount, unit)}"]
    counted = shown.actual_cell(kpi, [year])
    if year <= last:
        lines.append(f"帳冊認列：{_amount_zh(shown.amount(kpi, [year]), unit)}")
    lines += _target_lines(shown.compared(kpi, year), unit)
    return ReportCell("\n".join(lines), counted.entries, counted.remark)


def _year(shown: Programme, kpi: Kpi, year: int, *, begun: bool) -> ReportCell:
    unit = KPI_FACTS[kpi].unit
    compared = shown.compared(kpi, year)
    lines = [*_target_lines(compared, unit)]
    if not begun:
        return ReportCell("\n".join(lines))
    bases = list(dict.fromkeys(one.target.basis for one in compared)) or [TargetBasis.ANNUAL]
    for basis in bases:
        years = [year] if basis is TargetBasis.ANNUAL else shown.until(year)
        lines.append(f"實際：{BASIS_LABELS[basis].zh} {_amount_zh(shown.amount(kpi, years), unit)}")
    lines += _verdict(compared)
    years = shown.until(year) if TargetBasis.CUMULATIVE in bases else [year]
    cell = shown.actual_cell(kpi, years)
    return ReportCell("\n".join(lines), cell.entries, cell.remark)


def _whole(shown: Programme, line: _B003Line, last: int) -> ReportCell:
    unit = KPI_FACTS[line.kpi].unit
    compared = shown.compared(line.kpi, None)
    reached = shown.total(line.kpi, shown.until(last))
    at_day = [Compared(one.book, one.target, reached.amount) for one in compared]
    lines = [line.benefit, *_target_lines(at_day, unit), f"實際：全程 {_amount_zh(reached.amount, unit)}"]
    return ReportCell("\n".join([*lines, *_verdict(at_day)]), reached.entries)


def _target_lines(compared: Sequence[Compared], unit: Unit) -> Iterator[str]:
    """Yield one line for each reading, with the places of the plan that have it."""
    places: dict[tuple[TargetBasis, int], list[str]] = {}
    for one in compared:
        places.setdefault((one.target.basis, one.target.amount), []).append(one.book.title_zh)
    for (basis, amount), titles in places.items():
        where = f"（{'、'.join(titles)}）" if len(places) > 1 else ""
        yield f"目標：{BASIS_LABELS[basis].zh} {_amount_zh(amount, unit)}{where}"


def _verdict(compared: Sequence[Compared]) -> Iterator[str]:
    stands = standing(compared)
    if stands is None:
        return
    yield f"判定：{STANDING_LABELS[stands].zh}"
    if stands is Standing.DISPUTED:
        for one in compared:
            yield f"　{one.book.title_zh}：{STANDING_LABELS[one.standing].zh}"


def _b003_notes() -> tuple[Text, ...]:
    return (
        T_("Actuals are what was recognised and is due; what the plan says of 106 stands apart and is not added."),
        T_("Where places of the plan disagree on a target, every reading is shown."),
    )


_STATUSES = {
    Status.ACTUAL: T_("Actual"),
    Status.COMMITTED: T_("Committed"),
    Status.AFTER_PROGRAMME: T_("After the programme"),
    Status.IN_REVIEW: T_("In review"),
}
_SHARES_NOTE = T_(
    "A result of several alliances is shown by their shares; the alliances add up to the whole programme."
)


@dataclass
class _Part:
    amount_bp: int = 0
    entries: list[str] = field(default_factory=list)

    def cell(self) -> ReportCell:
        return ReportCell(decimal_of(self.amount_bp), tuple(sorted(self.entries)))


def alliance_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return the alliances' shares in every figure as of a day, of one year or of all.

    Raises:
        LedgerError: the programme has no such year.
    """
    rules = current(session, RecognitionRules)
    years = range(rules.programme_start.year, rules.programme_end.year + 1)
    year = programme_year(years, request.year)
    cut = [one for one in share_slices(session, as_of=end_of(request.as_of)) if year in (None, one.year)]
    names = _alliance_names(session, request.alliances)
    of_year = year_label(year)
    return ReportDocument(
        name="alliance",
        title=T_("Figures by alliance (%(years)s)", years=of_year),
        as_of=request.as_of,
        tables=(
            _alliance_figures(cut, names, whole=request.alliances is None),
            _alliance_money(cut, names, request.alliances is None),
        ),
        heads=tuple(heads_of(session, request.now)),
        notes=(_SHARES_NOTE,),
    )


def _alliance_names(session: Session, wanted: frozenset[str] | None) -> dict[str, Text]:
    found = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    return {one.id: either(one.name, one.name_en or one.name) for one in found if wanted is None or one.id in wanted}


def _alliance_figures(cut: Sequence[ShareSlice], names: Mapping[str, Text], *, whole: bool) -> ReportTable:
    titles = [
        T_(
            "%(label)s (%(unit)s)",
            label=f.label,
            unit=UNIT_LABELS[f.unit],
        )
        for f in (KPI_FACTS[kpi] for kpi in RECOGNISED_KPIS)
    ]
    actual = [one for one in cut if one.status is Status.ACTUAL]
    rows = _alliance_rows(actual, names, RECOGNISED_KPIS, lambda one: one.kpi, whole=whole)
    title = T_("Actuals by alliance")
    return ReportTable(title, _alliance_columns(titles), rows)


def _alliance_money(cut: Sequence[ShareSlice], names: Mapping[str, Text], whole: bool) -> ReportTable:
    money = [one for one in cut if one.kpi is Kpi.MONEY]
    rows = _alliance_rows(money, names, tuple(_STATUSES), lambda one: one.status, whole=whole)
    return ReportTable(T_("Money by alliance (NTD)"), _alliance_columns(_STATUSES.values()), rows)


def _alliance_columns(titles: Iterable[Text]) -> tuple[ReportColumn, ...]:
    return (ReportColumn(T_("Alliance")), *(ReportColumn(title, CellKind.SHARE) for title in titles))


def _alliance_rows(
    cut: Iterable[ShareSlice],
    names: Mapping[str, Text],
    columns: Sequence[object],
    column_of: Callable[[ShareSlice], object],
    *,
    whole: bool,
) -> tuple[tuple[ReportCell, ...], ...]:
    """Return a row for each alliance and, for the whole programme, one with the sums."""
    parts: defaultdict[tuple[str | None, object], _Part] = defaultdict(_Part)
    for one in cut:
        for alliance, share in (*one.shares, (None, sum(share for _, share in one.shares))):
            part = parts[alliance, column_of(one)]
            part.amount_bp += one.amount * share
            part.entries += one.entries
    rows = [
        (ReportCell(name), *(parts[alliance, column].cell() for column in columns)) for alliance, name in names.items()
    ]
    if whole:
        rows.append(
            (ReportCell(P_("alliance report", "Programme")), *(parts[None, column].cell() for column in columns))
        )
    return tuple(rows)
