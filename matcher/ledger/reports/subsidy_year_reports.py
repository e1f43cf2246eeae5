"""The reports for a subsidy year: an alliance's self-sufficiency, and gender statistics.

In: a subsidy year and a day; an alliance's rows, the configured path, and if wanted its plan. Out: the income and
expense statement beside the year before, the own-income share beside the one required, the points' payout and the
income that the plan needs; and a table of genders for each group. They exist because alliances hand these in each
year after its closing in August.

There are two gender reports because what leaves an alliance must not tell of single people: the programme's leaves
small cells out, and says of a low share or an analysis only where all cells of the row are printed; an alliance's
own is exact, and says that it is not to be passed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_, Text, either, listed
from matcher.ledger.figures.folds import end_of
from matcher.ledger.figures.gender import (
    COUNTED_FROM,
    GENDER_LABELS,
    GROUP_LABELS,
    Counts,
    GenderGroup,
    GenderRules,
    Imbalance,
    counts,
    imbalances,
    is_closed,
    published,
)
from matcher.ledger.figures.subsidy import Needed, OwnShare, SubsidyBase, SubsidyPath, own_shares
from matcher.ledger.figures.sufficiency import (
    EXPENSES,
    FEE_TIERS,
    ITEM_LABELS,
    OWN_INCOME,
    TIER_LABELS,
    Payout,
    PointRules,
    Statement,
    SufficiencyItem,
    payout,
    statements,
)
from matcher.ledger.reports.document import CellKind, ReportCell, ReportColumn, ReportDocument, ReportTable, Value
from matcher.ledger.reports.said_days import day_text
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.details import Gender
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.periods import roc_year, subsidy_days
from matcher.ledger.rules.configuration import current

_THOUSAND = 1_000
NOT_FILLED_IN = T_("not filled in")
_BASES = {
    SubsidyBase.EXPENSES: T_("the subsidy is a share of the year's expenses"),
    SubsidyBase.FIRST_YEAR: T_("the subsidy is a share of the first year's subsidy"),
}


def sufficiency_summary(session: Session, *, alliances: Sequence[str], year: int, as_of: date) -> ReportTable:
    """Return one row for each alliance: its year at a glance, or that it filled nothing in."""
    moment = end_of(as_of)
    path = current(session, SubsidyPath, at=moment)
    names = _names(session)
    rows = []
    for alliance_id in alliances:
        years = statements(session, alliance_id=alliance_id, until=year, as_of=moment)
        own, stands = years[-1], own_shares(path, years)[-1]
        amounts = (own.own_income_ntd, own.expenses_ntd, own.subsidy_ntd, own.balance_ntd)
        rows.append(
            (
                ReportCell(names[alliance_id]),
                *(_money(own, amount) for amount in amounts),
                ReportCell(_percent(stands.share)),
                ReportCell(_percent(stands.required)),
                ReportCell(_word(stands.kept) if own.recorded else NOT_FILLED_IN),
            )
        )
    columns = _columns(
        (P_("gender report", "alliance"), CellKind.TEXT),
        (T_("own income (NTD thousand)"), CellKind.THOUSANDS),
        (T_("expenses (NTD thousand)"), CellKind.THOUSANDS),
        (T_("subsidy (NTD thousand)"), CellKind.THOUSANDS),
        (T_("balance (NTD thousand)"), CellKind.THOUSANDS),
        (T_("own income / expenses"), CellKind.PERCENT),
        (P_("sufficiency report", "required"), CellKind.PERCENT),
        (P_("sufficiency report", "kept"), CellKind.TEXT),
    )
    title = T_("summary, subsidy year %(year)s", year=either(f"{roc_year(year)}", f"{year}"))
    return ReportTable(title, columns, tuple(rows))


def sufficiency_report(
    session: Session, *, alliance_id: str, year: int, as_of: date, now: datetime, needed: Needed | None = None
) -> ReportDocument:
    """Return the report of an alliance for a subsidy year, with all that was booked by the end of a day in Taipei.

    Args:
        session: one state of the database.
        alliance_id: the alliance.
        year: the subsidy year, named by the year in which it closes.
        as_of: the day.
        now: the moment at which it is made.
        needed: what the alliance's plan needs, see `matcher.ledger.figures.subsidy.needed_income`.

    Raises:
        LedgerError: there is no such alliance.
    """
    alliance = session.get(Alliance, alliance_id)
    if alliance is None:
        raise LedgerError(T_("there is no alliance %(alliance_id)r", alliance_id=alliance_id), "alliance_id")
    moment = end_of(as_of)
    path = current(session, SubsidyPath, at=moment)
    years = statements(session, alliance_id=alliance_id, until=year, as_of=moment)
    paid = payout(session, alliance_id=alliance_id, year=year, as_of=moment)
    tables = [_statement(years), _shares(own_shares(path, years), path), _points(paid, current(session, PointRules))]
    if needed is not None:
        tables.append(_needed(needed))
    first, last = subsidy_days(year)
    name, name_en = alliance.name, alliance.name_en or alliance.name
    return ReportDocument(
        name="sufficiency",
        title=T_(
            "%(name)s: income and expense, subsidy year %(year)s",
            name=either(name, name_en),
            year=either(f"{roc_year(year)}", f"{year}"),
        ),
        as_of=as_of,
        tables=_on_one_sheet(tables),
        heads=tuple(heads_of(session, now)),
        notes=(
            T_("the subsidy year runs from %(first)s to %(last)s", first=day_text(first), last=day_text(last)),
            *(() if years[-1].closed else (T_("the year has not closed yet"),)),
        ),
    )


def _on_one_sheet(tables: Sequence[ReportTable]) -> tuple[ReportTable, ...]:
    return tuple(replace(table, below=number > 0) for number, table in enumerate(tables))


def _columns(*titles: tuple[Text, CellKind]) -> tuple[ReportColumn, ...]:
    return tuple(ReportColumn(title, kind) for title, kind in titles)


def _statement(years: Sequence[Statement]) -> ReportTable:
    """The year and the one before, item by item."""
    shown = [*years[-2:]] if len(years) > 1 else [*years]
    rows = []
    for item in OWN_INCOME:
        rows.append(_item(item, shown))
        if item is SufficiencyItem.MEMBER_FEES:
            rows += [
                (
                    ReportCell(
                        T_(
                            "  of %(tier)s members",
                            tier=TIER_LABELS[tier],
                        )
                    ),
                    *(_money(one, one.fees[tier]) for one in shown),
                )
                for tier in FEE_TIERS
            ]
    rows.append((ReportCell(T_("own income")), *(_money(one, one.own_income_ntd) for one in shown)))
    rows += [_item(item, shown) for item in EXPENSES]
    rows.append((ReportCell(P_("sufficiency report", "expenses")), *(_money(one, one.expenses_ntd) for one in shown)))
    rows.append(_item(SufficiencyItem.SUBSIDY, shown))
    rows.append((ReportCell(T_("balance")), *(_money(one, one.balance_ntd) for one in shown)))
    titles = [
        (T_("%(year)s (NTD thousand)", year=either(f"{roc_year(one.year)}", f"{one.year}")), CellKind.THOUSANDS)
        for one in shown
    ]
    if len(shown) > 1:
        # What the plan asks of a year is that it differs from the one before.
        titles.append((T_("change (NTD thousand)"), CellKind.THOUSANDS))
        rows = [(*row, _change(row[-2].value, row[-1].value)) for row in rows]
    return ReportTable(
        T_("income and expense statement"),
        _columns((T_("item"), CellKind.TEXT), *titles),
        tuple(rows),
    )


def _change(before: Value, after: Value) -> ReportCell:
    if isinstance(before, int | float) and isinstance(after, int | float):
        return ReportCell(after - before)
    return ReportCell(None)


def _money(one: Statement, amount_ntd: int, entries: tuple[str, ...] = ()) -> ReportCell:
    return ReportCell(_thousands(amount_ntd), entries) if one.recorded else ReportCell(NOT_FILLED_IN)


def _item(item: SufficiencyItem, shown: Sequence[Statement]) -> tuple[ReportCell, ...]:
    cells = [_money(one, one.items[item], tuple(f"sufficiency-{row}" for row in one.rows[item])) for one in shown]
    return (ReportCell(ITEM_LABELS[item]), *cells)


def _shares(years: Sequence[OwnShare], path: SubsidyPath) -> ReportTable:
    rows = tuple(
        (
            ReportCell(str(roc_year(one.year))),
            ReportCell(_thousands(one.own_income_ntd) if one.recorded else NOT_FILLED_IN),
            ReportCell(_percent(one.share)),
            ReportCell(_percent(one.required)),
            ReportCell(_word(one.rose)),
            ReportCell(
                _word(one.kept) if one.recorded else NOT_FILLED_IN,
                remark=None if one.closed else T_("the year has not closed"),
            ),
        )
        for one in years
    )
    return ReportTable(
        T_("own-income share"),
        _columns(
            (T_("subsidy year (ROC)"), CellKind.TEXT),
            (T_("own income (NTD thousand)"), CellKind.THOUSANDS),
            (T_("own income / expenses"), CellKind.PERCENT),
            (P_("sufficiency report", "required"), CellKind.PERCENT),
            (T_("rose"), CellKind.TEXT),
            (P_("sufficiency report", "kept"), CellKind.TEXT),
        ),
        rows,
        notes=(_BASES[path.base], *path.noted()),
    )


def _points(paid: Payout, rules: PointRules) -> ReportTable:
    """Who gets what, by pseudonym."""
    rows = tuple(
        (ReportCell(person), ReportCell(paid.points[person]), ReportCell(paid.ntd[person])) for person in paid.points
    )
    total = (ReportCell(T_("total")), ReportCell(sum(paid.points.values())), ReportCell(sum(paid.ntd.values())))
    return ReportTable(
        T_("payout by points"),
        _columns(
            (T_("person (pseudonym)"), CellKind.TEXT),
            (T_("points"), CellKind.COUNT),
            (T_("paid (NTD)"), CellKind.NTD),
        ),
        (*rows, total),
        notes=(
            T_("the pot is NT$ %(pot_ntd)s", pot_ntd=f"{paid.pot_ntd:,}"),
            *rules.noted(),
        ),
    )


def _needed(needed: Needed) -> ReportTable:
    rows = tuple(
        tuple(
            ReportCell(value)
            for value in (
                str(roc_year(one.year)),
                one.expenses_ntd,
                one.subsidy_ntd,
                one.needed_ntd,
                one.projected_ntd,
                one.gap_ntd,
            )
        )
        for one in needed.years
    )
    growth = "—" if needed.growth_bp is None else f"{needed.growth_bp / 100:.2f} %"
    return ReportTable(
        T_("what own income must be"),
        _columns(
            (T_("subsidy year (ROC)"), CellKind.TEXT),
            (T_("planned expenses (NTD)"), CellKind.NTD),
            (T_("subsidy (NTD)"), CellKind.NTD),
            (T_("own income needed (NTD)"), CellKind.NTD),
            (T_("own income projected (NTD)"), CellKind.NTD),
            (T_("gap (NTD)"), CellKind.NTD),
        ),
        rows,
        notes=(T_("yearly growth that closes every gap: %(growth)s", growth=growth),),
    )


def _percent(share: Fraction | None) -> Value:
    return None if share is None else float(share)


def _word(truth: bool | None) -> Value:
    return None if truth is None else T_("yes") if truth else T_("no")


def _thousands(amount_ntd: int) -> int | float:
    """Return an amount in thousands of NTD (千元), as the forms of the budget have it."""
    whole, rest = divmod(amount_ntd, _THOUSAND)
    return whole if rest == 0 else amount_ntd / _THOUSAND


_TOTAL = T_("total")
_LEFT_OUT = T_("left out")


def gender_report(session: Session, *, year: int, as_of: date, now: datetime, exact: bool = False) -> ReportDocument:
    """Return the programme's report for a subsidy year as of the end of a day in Taipei.

    Args:
        session: one state of the database.
        year: the subsidy year.
        as_of: the day.
        now: the moment at which it is made.
        exact: for the Ministry, which counts and analyses itself; otherwise it may be passed on, without small cells.
    """
    moment = end_of(as_of)
    rules = current(session, GenderRules, at=moment)
    names = _names(session)
    found = imbalances(session, year=year, rules=rules, as_of=moment)
    tables, whole = [], set()
    for group in GenderGroup:
        counted = counts(session, year=year, group=group, as_of=moment)
        if exact:
            tables.append(_exact(group, counted, names))
            whole |= {(group, who) for who in counted}
            continue
        table = published(group, counted, rules)
        lines = [*zip([*(names[one] for one in table.alliances), _TOTAL], table.rows, strict=False)]
        tables.append(_table(group, lines))
        whole |= {(group, who) for who, row in zip(table.alliances, table.rows, strict=False) if None not in row}
    shown = [one for one in found if (one.group, one.alliance) in whole]
    tables.append(_findings(shown, names, with_text=exact))
    notes: tuple[Text, ...] = (T_("internal: has small numbers and is not to be passed on"),)
    if not exact:
        notes = (
            T_(
                "cells below %(small_below)s, and those that would give them away, are left out",
                small_below=rules.small_below,
            ),
            T_("low shares are listed only where all numbers of the row are printed"),
        )
    return _document(session, P_("gender report", "programme"), year, as_of, now, tables, notes)


def _exact(group: GenderGroup, counted: Counts, names: Mapping[str, Text]) -> ReportTable:
    """Every alliance that counted anybody, and the sums; those that did not are named below."""
    lines = [(names[one], [counted[one].get(gender, 0) for gender in Gender]) for one in names if one in counted]
    if not lines:
        return _table(group, [])
    summed = [sum(people[place] for _, people in lines) for place in range(len(Gender))]
    rows = tuple((ReportCell(name), *_cells(people)) for name, people in (*lines, (_TOTAL, summed)))
    missing = listed([names[one] for one in names if one not in counted])
    said = (
        T_("nothing recognised: %(alliances)s", alliances=missing)
        if group in COUNTED_FROM
        else T_("not filled in: %(alliances)s", alliances=missing)
    )
    return ReportTable(GROUP_LABELS[group], _gender_columns(), rows, (said,) if len(lines) < len(names) else ())


def _cells(people: Sequence[int]) -> list[ReportCell]:
    return [ReportCell(count) for count in (*people, sum(people))]


def _gender_columns() -> tuple[ReportColumn, ...]:
    labels = [GENDER_LABELS[gender] for gender in Gender]
    columns = [ReportColumn(label, CellKind.COUNT) for label in (*labels, _TOTAL)]
    return (ReportColumn(P_("gender report", "alliance")), *columns)


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
    for group in GenderGroup:
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
    tables: Sequence[ReportTable],
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
        tables=_on_one_sheet(tables),
        heads=tuple(heads_of(session, now)),
        notes=(T_("from %(first)s to %(last)s", first=day_text(first), last=day_text(last)), *open_, *notes),
    )


def _names(session: Session) -> dict[str, Text]:
    rows = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    return {row.id: either(row.name, row.name_en or row.name) for row in rows}


def _table(group: GenderGroup, lines: Sequence[tuple[Text, Sequence[int | None]]]) -> ReportTable:
    rows = tuple((ReportCell(name), *(_cell(count) for count in line)) for name, line in lines)
    nobody = (ReportCell(NOT_FILLED_IN), *(ReportCell(None) for _ in (*Gender, None)))
    return ReportTable(GROUP_LABELS[group], _gender_columns(), rows or (nobody,))


def _cell(count: int | None) -> ReportCell:
    return ReportCell(None, remark=_LEFT_OUT) if count is None else ReportCell(count)


def _findings(found: Sequence[Imbalance], names: Mapping[str, Text], *, with_text: bool) -> ReportTable:
    """Whose share is too low, and whether there is an analysis of causes."""
    columns = (
        ReportColumn(P_("gender report", "alliance")),
        ReportColumn(T_("group")),
        ReportColumn(P_("gender report", "gender")),
        ReportColumn(T_("share"), CellKind.PERCENT),
        ReportColumn(T_("causes analysed on"), CellKind.DATE),
        *((ReportColumn(T_("analysis of causes")),) if with_text else ()),
    )
    rows = []
    for one in found:
        analysed = None if one.analysis is None else day_in_taipei(one.analysis.at)
        row = [
            ReportCell(names[one.alliance]),
            ReportCell(GROUP_LABELS[one.group]),
            ReportCell(GENDER_LABELS[one.gender]),
            ReportCell(float(one.share)),
            ReportCell(analysed, remark=None if analysed else T_("still to be analysed")),
        ]
        if with_text:
            row.append(ReportCell(None if one.analysis is None else one.analysis.text))
        rows.append(tuple(row))
    return ReportTable(T_("low shares"), columns, tuple(rows))
