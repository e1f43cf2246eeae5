"""The report on gender statistics for a subsidy year: one that may be passed on, and one that stays in the alliance.

In: a year and a day. Out: a document with a table for each group. It exists
twice because what leaves an alliance must not tell of single people: the
programme's report leaves small cells out, and says of a low share or an analysis
only where all cells of the row are printed; an alliance's own report is exact,
and says that it is not to be passed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.configuration import current
from matcher.ledger.details import Gender
from matcher.ledger.document import Cell, CellKind, Column, ReportDocument, Table
from matcher.ledger.entries import LedgerError
from matcher.ledger.figures import end_of
from matcher.ledger.gender import GENDER_LABELS, GROUP_LABELS, GenderRules, Group, is_closed
from matcher.ledger.gender_figures import Imbalance, counts, imbalances, published
from matcher.ledger.heads import heads_of
from matcher.ledger.periods import roc_year, subsidy_days

_TOTAL = T_("total")
_LEFT_OUT = T_("left out")


def gender_report(session: Session, *, year: int, as_of: date, now: datetime) -> ReportDocument:
    """Return the programme's report for a subsidy year as of the end of a day in Taipei; it may be passed on."""
    moment = end_of(as_of)
    rules = current(session, GenderRules, at=moment)
    names = _names(session)
    found = imbalances(session, year=year, rules=rules, as_of=moment)
    tables, whole = [], set()
    for group in Group:
        table = published(group, counts(session, year=year, group=group, as_of=moment), rules)
        lines = [*zip([*(names[one] for one in table.alliances), _TOTAL], table.rows, strict=False)]
        tables.append(_table(group, lines))
        whole |= {(group, who) for who, row in zip(table.alliances, table.rows, strict=False) if None not in row}
    shown = [one for one in found if (one.group, one.alliance) in whole]
    tables.append(_findings(shown, names, with_text=False))
    notes = (
        T_(
            "cells below %(small_below)s, and those that would give them away, are left out",
            small_below=rules.small_below,
        ),
        T_("low shares are listed only where all numbers of the row are printed"),
    )
    return _document(session, P_("gender report", "programme"), year, as_of, now, tables, notes)


def alliance_gender_report(
    session: Session, *, alliance_id: str, year: int, as_of: date, now: datetime
) -> ReportDocument:
    """Return an alliance's own report, exact; it stays in the alliance.

    Raises:
        LedgerError: there is no such alliance.
    """
    names = _names(session)
    if alliance_id not in names:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    moment = end_of(as_of)
    rules = current(session, GenderRules, at=moment)
    tables = []
    for group in Group:
        own = counts(session, year=year, group=group, as_of=moment).get(alliance_id)
        people = [] if own is None else [own.get(gender, 0) for gender in Gender]
        tables.append(_table(group, [] if own is None else [(names[alliance_id], (*people, sum(people)))]))
    found = [one for one in imbalances(session, year=year, rules=rules, as_of=moment) if one.alliance == alliance_id]
    tables.append(_findings(found, names, with_text=True))
    notes = (T_("internal: has small numbers and is not to be passed on"),)
    return _document(session, names[alliance_id], year, as_of, now, tables, notes)


def _document(
    session: Session,
    name: Text,
    year: int,
    as_of: date,
    now: datetime,
    tables: Sequence[Table],
    notes: tuple[Text, ...],
) -> ReportDocument:
    first, last = subsidy_days(year)
    open_ = () if is_closed(year, end_of(as_of)) else (T_("the year has not closed yet"),)
    return ReportDocument(
        name="gender",
        title=T_(
            "%(name)s: gender statistics, subsidy year %(year)s",
            name=name,
            year=either(f"{roc_year(year)}", f"{year}"),
        ),
        as_of=as_of,
        tables=tuple(tables),
        heads=tuple(heads_of(session, now)),
        notes=(T_("from %(first)s to %(last)s", first=first, last=last), *open_, *notes),
    )


def _names(session: Session) -> dict[str, Text]:
    rows = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    return {row.id: either(row.name, row.name_en or row.name) for row in rows}


def _table(group: Group, lines: Sequence[tuple[Text, Sequence[int | None]]]) -> Table:
    labels = [GENDER_LABELS[gender] for gender in Gender]
    columns = [Column(label, CellKind.COUNT) for label in (*labels, _TOTAL)]
    rows = tuple((Cell(name), *(_cell(count) for count in line)) for name, line in lines)
    return Table(GROUP_LABELS[group], (Column(P_("gender report", "alliance")), *columns), rows)


def _cell(count: int | None) -> Cell:
    return Cell(None, remark=_LEFT_OUT) if count is None else Cell(count)


def _findings(found: Sequence[Imbalance], names: Mapping[str, Text], *, with_text: bool) -> Table:
    """Whose share is too low, and whether there is an analysis of causes."""
    columns = (
        Column(P_("gender report", "alliance")),
        Column(T_("group")),
        Column(P_("gender report", "gender")),
        Column(T_("share"), CellKind.PERCENT),
        Column(T_("causes analysed on"), CellKind.DATE),
        *((Column(T_("analysis of causes")),) if with_text else ()),
    )
    rows = []
    for one in found:
        analysed = None if one.analysis is None else day_in_taipei(one.analysis.at)
        row = [
            Cell(names[one.alliance]),
            Cell(GROUP_LABELS[one.group]),
            Cell(GENDER_LABELS[one.gender]),
            Cell(float(one.share)),
            Cell(analysed, remark=None if analysed else T_("still to be analysed")),
        ]
        if with_text:
            row.append(Cell(None if one.analysis is None else one.analysis.text))
        rows.append(tuple(row))
    return Table(T_("low shares"), columns, tuple(rows))
