"""The reports of figures: `kpi`, and `alliance`.

In: a day, perhaps a year and alliances. Out: a document of each. `kpi` shows what was reached against every target
of the plan, each beside the figure of its own definition, what the plan itself says was reached, and money and
international cases by each of their definitions, for no definition is chosen. `alliance` has one row for each
alliance and one column for each figure. They exist to show in one place what counts and what does not: committed,
falling after the programme, in review and forecast stand in columns of their own and are part of no actual.

A result that several alliances brought about is one entry: in `alliance` each shows its share, and the sum of the
shares is the programme's figure, to the last decimal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlmodel import Session, col, select

from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.figures.folds import ShareSlice, Status, decimal_of, end_of, share_slices
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
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import (
    BASIS_LABELS,
    SCOPE_LABELS,
    STANDING_LABELS,
    CaseDefinition,
    Compared,
    MoneyDefinition,
    Takes,
    Target,
    standing,
)

_Cut = tuple[Text, str | None, Takes | None]
"""A definition's title, its place in the plan, and what it takes; None takes all."""

_DEFINITIONS_NOTE = T_(
    "The plan does not define its three wordings; which payers and purposes each takes in is configuration."
)


def _definition_tables(shown: Programme, year: int | None) -> tuple[ReportTable, ReportTable]:
    """Return money by definition and international cases by definition, of one year or of all."""
    everything: _Cut = (T_("all money, of public bodies and given too; no target is compared with it"), None, None)
    cuts = {kpi: [_cut_of(one) for one in shown.defined.of(kpi)] for kpi in (Kpi.MONEY, Kpi.INTERNATIONAL_CASES)}
    money = _definition_table(
        T_("Money by the plan's definitions"),
        _definition_rows(shown, Kpi.MONEY, [*cuts[Kpi.MONEY], everything], year),
        CellKind.NTD,
        (_DEFINITIONS_NOTE,),
    )
    cases = _definition_table(
        T_("International cases with and without domestic ones"),
        _definition_rows(shown, Kpi.INTERNATIONAL_CASES, cuts[Kpi.INTERNATIONAL_CASES], year),
        CellKind.COUNT,
        (),
    )
    return money, cases


def _cut_of(definition: MoneyDefinition | CaseDefinition) -> _Cut:
    source = definition.source if isinstance(definition, MoneyDefinition) else None
    return either(definition.title_zh, definition.title_en), source, definition.takes


def _definition_table(
    title: Text, rows: Iterator[tuple[ReportCell, ...]], kind: CellKind, notes: tuple[Text, ...]
) -> ReportTable:
    columns = (
        ReportColumn(T_("Definition"), merged=True, names=True),
        ReportColumn(T_("Year"), names=True),
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

        def cell(of: Sequence[int] | None, status: Status = Status.ACTUAL, takes: Takes | None = takes) -> ReportCell:
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
    T_("A target is compared with the figure of the definition that its wording means, and with no other one."),
    T_('Where it "depends on the reading", one place of the plan has its target reached and another has not.'),
)


def kpi_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return the figures of the whole programme as of a day, of one year or of all.

    Raises:
        LedgerError: the programme has no such year, or single alliances are asked for.
    """
    refuse_alliances(request)
    shown = programme(session, as_of=request.as_of)
    year = programme_year(shown.years, request.year)
    days_left = request.as_of.year in shown.years and request.as_of < date(request.as_of.year, 12, 31)
    ahead = forecast(session, as_of=request.as_of) if days_left else None
    tables = (
        *([_summary(shown)] if year is None else []),
        _kpi_figures(shown, year),
        _beside_table(shown, year, ahead),
        _given(shown),
        *_definition_tables(shown, year),
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


def refuse_alliances(request: ReportRequest) -> None:
    """Refuse a report of the whole programme to who asks for single alliances.

    Raises:
        LedgerError: alliances are named.
    """
    if request.alliances is not None:
        raise LedgerError(
            T_("this report is about the whole programme; the report alliance shows alliances"), "alliances"
        )


def defined_as(shown: Programme, one: Target) -> Text | None:
    """Return by which definition a target is counted, None for a figure that has one meaning."""
    found = shown.defined.named(one.kpi, one.definition)
    return None if found is None else either(found.title_zh, found.title_en)


def _summary(shown: Programme) -> ReportTable:
    """Every figure over the whole programme, by each definition that its targets name: what a reader has to know."""
    rows = []
    for kpi in RECOGNISED_KPIS:
        compared = shown.compared(kpi, None)
        by_definition: dict[str | None, list[Compared]] = {}
        for one in compared:
            by_definition.setdefault(one.target.definition, []).append(one)
        rows += [_summary_row(shown, kpi, code, these) for code, these in by_definition.items()]
    columns = (
        ReportColumn(T_("Figure"), merged=True, names=True),
        ReportColumn(T_("Counted by"), names=True),
        ReportColumn(T_("Unit")),
        ReportColumn(T_("Actual up to the day"), CellKind.COUNT),
        ReportColumn(T_("Targets")),
        ReportColumn(T_("Standing")),
    )
    return ReportTable(T_("Summary: the whole programme"), columns, tuple(rows))


def _summary_row(shown: Programme, kpi: Kpi, code: str | None, these: Sequence[Compared]) -> tuple[ReportCell, ...]:
    places: dict[int, list[Compared]] = {}
    for one in these:
        places.setdefault(one.target.amount, []).append(one)
    said = [
        T_(
            "%(amount)s (%(books)s)",
            amount=f"{amount:,}",
            books=either("、".join(one.book.title_zh for one in of), ", ".join(one.book.title_en for one in of)),
        )
        for amount, of in sorted(places.items())
    ]
    stands = standing(these)
    return (
        ReportCell(KPI_FACTS[kpi].label),
        ReportCell(defined_as(shown, these[0].target)),
        ReportCell(UNIT_LABELS[KPI_FACTS[kpi].unit]),
        shown.actual_cell(kpi, shown.years, shown.defined.takes(kpi, code)),
        ReportCell(either("；".join(one.zh for one in said), "; ".join(said))),
        ReportCell(None if stands is None else STANDING_LABELS[stands]),
    )


def _kpi_figures(shown: Programme, year: int | None) -> ReportTable:
    """Every target of every book beside the figure that its basis and its definition ask for."""
    columns = (
        ReportColumn(T_("Figure"), merged=True, names=True),
        ReportColumn(T_("Unit"), merged=True),
        ReportColumn(T_("Year"), merged=True, names=True),
        ReportColumn(T_("Target"), CellKind.COUNT),
        ReportColumn(T_("Basis")),
        ReportColumn(T_("Counted by"), names=True),
        ReportColumn(T_("Actual"), CellKind.COUNT),
        ReportColumn(T_("Standing")),
        ReportColumn(T_("Place in the plan")),
    )
    years: Sequence[int | None] = [*shown.years, None] if year is None else [year]
    rows = [row for kpi in RECOGNISED_KPIS for one in years for row in _kpi_rows(shown, kpi, one)]
    return ReportTable(T_("Figures: targets and actuals"), columns, tuple(rows), _KPI_NOTES)


def _kpi_rows(shown: Programme, kpi: Kpi, year: int | None) -> Iterator[tuple[ReportCell, ...]]:
    facts = KPI_FACTS[kpi]
    begun = year is None or year <= shown.as_of.year
    named = (ReportCell(facts.label), ReportCell(UNIT_LABELS[facts.unit]), ReportCell(year_label(year)))
    compared = shown.compared(kpi, year)
    for one in compared:
        years = one.target.years(shown.years)
        where = shown.defined.takes(kpi, one.target.definition)
        yield (
            *named,
            ReportCell(one.target.amount),
            ReportCell(BASIS_LABELS[one.target.basis]),
            ReportCell(defined_as(shown, one.target)),
            shown.actual_cell(kpi, years, where) if begun else _NOTHING,
            ReportCell(STANDING_LABELS[one.standing] if begun else None),
            ReportCell(one.target.source),
        )
    if not compared and begun and year is not None:
        without = ReportCell(T_("no target"))
        yield (*named, _NOTHING, without, _NOTHING, shown.actual_cell(kpi, [year]), _NOTHING, _NOTHING)


def _beside_table(shown: Programme, year: int | None, ahead: Forecast | None) -> ReportTable:
    """What was counted by year, and what stands beside it and is part of no actual."""
    columns = (
        ReportColumn(T_("Figure"), merged=True, names=True),
        ReportColumn(T_("Unit"), merged=True),
        ReportColumn(T_("Year"), names=True),
        ReportColumn(T_("Actual in the year"), CellKind.COUNT),
        ReportColumn(T_("Actual up to the year"), CellKind.COUNT),
        ReportColumn(T_("Committed"), CellKind.COUNT),
        ReportColumn(T_("After the programme"), CellKind.COUNT),
        ReportColumn(T_("In review"), CellKind.COUNT),
        ReportColumn(T_("Forecast to year-end, more"), CellKind.SHARE),
    )
    years: Sequence[int | None] = [*shown.years, None] if year is None else [year]
    rows = tuple(_beside_row(shown, kpi, one, ahead) for kpi in RECOGNISED_KPIS for one in years)
    return ReportTable(T_("What counts, and what stands beside it"), columns, rows)


def _beside_row(shown: Programme, kpi: Kpi, year: int | None, ahead: Forecast | None) -> tuple[ReportCell, ...]:
    facts = KPI_FACTS[kpi]
    begun = year is None or year <= shown.as_of.year
    until = shown.years if year is None else shown.until(year)
    return (
        ReportCell(facts.label),
        ReportCell(UNIT_LABELS[facts.unit]),
        ReportCell(year_label(year)),
        shown.actual_cell(kpi, [year]) if begun and year is not None else _NOTHING,
        shown.actual_cell(kpi, until) if begun else _NOTHING,
        _beside(shown, kpi, year, Status.COMMITTED),
        _beside(shown, kpi, year, Status.AFTER_PROGRAMME) if year is None else _NOTHING,
        _beside(shown, kpi, year, Status.IN_REVIEW),
        _forecast(kpi, year, ahead),
    )


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


def _given(shown: Programme) -> ReportTable:
    """What the plan says was reached beside what the ledger counts: compared, never added."""
    columns = (
        ReportColumn(T_("Figure"), names=True),
        ReportColumn(T_("Year"), names=True),
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
