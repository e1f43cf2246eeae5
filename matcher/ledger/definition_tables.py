"""Money and international cases by each definition that the plan can be read to mean.

In: the programme's fold. Out: two tables, one row for each definition and year.
They exist because no definition is chosen: a reader sees how much hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlmodel import Session

from indexer.wording import T_, Text, either
from matcher.ledger.comparisons import Programme, year_label
from matcher.ledger.configuration import current
from matcher.ledger.document import Cell, CellKind, Column, Table
from matcher.ledger.figures import Status, end_of
from matcher.ledger.kpis import Kpi
from matcher.ledger.money_definitions import CaseDefinition, MoneyDefinition, MoneyDefinitions
from matcher.ledger.slices import Slice

_Cut = tuple[Text, str | None, Callable[[Slice], bool] | None]
"""A definition's title, its place in the plan, and the slices that it takes; None takes all."""

_NOTE = T_("The plan does not define its three wordings; which payers and purposes each takes in is configuration.")


def definition_tables(session: Session, shown: Programme, year: int | None) -> tuple[Table, Table]:
    """Return money by definition and international cases by definition, of one year or of all."""
    defined = current(session, MoneyDefinitions, at=end_of(shown.as_of))
    everything: _Cut = (T_("all money"), None, None)
    money = _table(
        T_("Money by the plan's definitions"),
        _rows(shown, Kpi.MONEY, [*map(_money, defined.definitions), everything], year),
        CellKind.NTD,
        (_NOTE,),
    )
    cases = _table(
        T_("International cases with and without domestic ones"),
        _rows(shown, Kpi.INTERNATIONAL_CASES, [*map(_cases, defined.international_cases)], year),
        CellKind.COUNT,
        (),
    )
    return money, cases


def _money(definition: MoneyDefinition) -> _Cut:
    def takes(one: Slice) -> bool:
        return definition.takes(one.payer_country, one.payer_type, one.purpose)

    return either(definition.title_zh, definition.title_en), definition.source, takes


def _cases(definition: CaseDefinition) -> _Cut:
    bases = frozenset(basis.value for basis in definition.bases)
    return either(definition.title_zh, definition.title_en), None, lambda one: one.basis in bases


def _table(title: Text, rows: Iterator[tuple[Cell, ...]], kind: CellKind, notes: tuple[Text, ...]) -> Table:
    columns = (
        Column(T_("Definition")),
        Column(T_("Year")),
        Column(T_("Actual in the year"), kind),
        Column(T_("Actual up to the year"), kind),
        Column(T_("Committed"), kind),
        Column(T_("After the programme"), kind),
        Column(T_("In review"), kind),
        Column(T_("Place in the plan")),
    )
    return Table(title, columns, tuple(rows), notes)


def _rows(shown: Programme, kpi: Kpi, cuts: Sequence[_Cut], year: int | None) -> Iterator[tuple[Cell, ...]]:
    years: Sequence[int | None] = [*shown.years, None] if year is None else [year]
    for title, source, takes in cuts:

        def cell(
            of: Sequence[int] | None, status: Status = Status.ACTUAL, takes: Callable[[Slice], bool] | None = takes
        ) -> Cell:
            found = shown.slices.total(kpi, years=of, status=status, where=takes)
            return Cell(found.amount, found.entries)

        for one in years:
            begun = one is None or one <= shown.as_of.year
            until = None if one is None else shown.until(one)
            yield (
                Cell(title),
                Cell(year_label(one)),
                cell([one]) if begun and one is not None else Cell(None),
                cell(until) if begun else Cell(None),
                cell(None if one is None else [one], Status.COMMITTED),
                cell(None, Status.AFTER_PROGRAMME) if one is None else Cell(None),
                cell(None if one is None else [one], Status.IN_REVIEW),
                Cell(source),
            )
