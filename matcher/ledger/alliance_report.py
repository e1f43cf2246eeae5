"""The report `alliance`: what each alliance has a part in, in shares that add up to the programme's whole.

In: a day, perhaps a year and alliances. Out: a document with one row for each
alliance and one column for each figure. It exists because a result that several
alliances brought about is one entry: each shows its share, and the sum of the
shares is the programme's figure, to the last decimal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session, col, select

from indexer.records import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.comparisons import UNIT_LABELS, programme_year, year_label
from matcher.ledger.configuration import current
from matcher.ledger.document import Cell, CellKind, Column, ReportDocument, Table
from matcher.ledger.figures import Status, end_of
from matcher.ledger.heads import heads_of
from matcher.ledger.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.report_request import ReportRequest
from matcher.ledger.rules import RecognitionRules
from matcher.ledger.slices import ShareSlice, decimal_of, share_slices

_STATUSES = {
    Status.ACTUAL: T_("Actual"),
    Status.COMMITTED: T_("Committed"),
    Status.AFTER_PROGRAMME: T_("After the programme"),
    Status.IN_REVIEW: T_("In review"),
}
_NOTE = T_("A result of several alliances is shown by their shares; the alliances add up to the whole programme.")


@dataclass
class _Part:
    amount_bp: int = 0
    entries: list[str] = field(default_factory=list)

    def cell(self) -> Cell:
        return Cell(decimal_of(self.amount_bp), tuple(sorted(self.entries)))


def alliance_report(session: Session, request: ReportRequest) -> ReportDocument:
    """Return the alliances' shares in every figure as of a day, of one year or of all.

    Raises:
        LedgerError: the programme has no such year.
    """
    rules = current(session, RecognitionRules)
    years = range(rules.programme_start.year, rules.programme_end.year + 1)
    year = programme_year(years, request.year)
    cut = [one for one in share_slices(session, as_of=end_of(request.as_of)) if year in (None, one.year)]
    names = _names(session, request.alliances)
    of_year = year_label(year)
    return ReportDocument(
        name="alliance",
        title=T_("Figures by alliance (%(years)s)", years=of_year),
        as_of=request.as_of,
        tables=(_figures(cut, names, whole=request.alliances is None), _money(cut, names, request.alliances is None)),
        heads=tuple(heads_of(session, request.now)),
        notes=(_NOTE,),
    )


def _names(session: Session, wanted: frozenset[str] | None) -> dict[str, Text]:
    found = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    return {one.id: either(one.name, one.name_en or one.name) for one in found if wanted is None or one.id in wanted}


def _figures(cut: Sequence[ShareSlice], names: Mapping[str, Text], *, whole: bool) -> Table:
    titles = [
        T_(
            "%(label)s (%(unit)s)",
            label=f.label,
            unit=UNIT_LABELS[f.unit],
        )
        for f in (KPI_FACTS[kpi] for kpi in RECOGNISED_KPIS)
    ]
    actual = [one for one in cut if one.status is Status.ACTUAL]
    rows = _rows(actual, names, RECOGNISED_KPIS, lambda one: one.kpi, whole=whole)
    title = T_("Actuals by alliance")
    return Table(title, _columns(titles), rows)


def _money(cut: Sequence[ShareSlice], names: Mapping[str, Text], whole: bool) -> Table:
    money = [one for one in cut if one.kpi is Kpi.MONEY]
    rows = _rows(money, names, tuple(_STATUSES), lambda one: one.status, whole=whole)
    return Table(T_("Money by alliance (NTD)"), _columns(_STATUSES.values()), rows)


def _columns(titles: Iterable[Text]) -> tuple[Column, ...]:
    return (Column(T_("Alliance")), *(Column(title, CellKind.SHARE) for title in titles))


def _rows(
    cut: Iterable[ShareSlice],
    names: Mapping[str, Text],
    columns: Sequence[object],
    column_of: Callable[[ShareSlice], object],
    *,
    whole: bool,
) -> tuple[tuple[Cell, ...], ...]:
    """Return a row for each alliance and, for the whole programme, one with the sums."""
    parts: defaultdict[tuple[str | None, object], _Part] = defaultdict(_Part)
    for one in cut:
        for alliance, share in (*one.shares, (None, sum(share for _, share in one.shares))):
            part = parts[alliance, column_of(one)]
            part.amount_bp += one.amount * share
            part.entries += one.entries
    rows = [(Cell(name), *(parts[alliance, column].cell() for column in columns)) for alliance, name in names.items()]
    if whole:
        rows.append((Cell(P_("alliance report", "Programme")), *(parts[None, column].cell() for column in columns)))
    return tuple(rows)
