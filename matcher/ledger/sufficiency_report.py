"""The report on an alliance's self-sufficiency for a subsidy year.

In: an alliance's rows, the configured path, and if wanted its plan. Out: a
document with the income and expense statement beside the year before, the
own-income share beside the one required, the points' payout, and the income
that the plan needs. It exists because every alliance hands this in each year.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from fractions import Fraction

from sqlmodel import Session

from indexer.records import Alliance
from indexer.wording import P_, T_, Text, either
from matcher.ledger.configuration import current
from matcher.ledger.document import Cell, CellKind, Column, ReportDocument, Table, Value
from matcher.ledger.entries import LedgerError
from matcher.ledger.figures import end_of
from matcher.ledger.heads import heads_of
from matcher.ledger.periods import roc_year, subsidy_days
from matcher.ledger.points import Payout, PointRules, payout
from matcher.ledger.subsidy import Base, Needed, OwnShare, SubsidyPath, own_shares
from matcher.ledger.sufficiency import (
    EXPENSES,
    FEE_TIERS,
    ITEM_LABELS,
    OWN_INCOME,
    TIER_LABELS,
    Item,
    Statement,
    statements,
)

_BASES = {
    Base.EXPENSES: T_("the subsidy is a share of the year's expenses"),
    Base.FIRST_YEAR: T_("the subsidy is a share of the first year's subsidy"),
}


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
        needed: what the alliance's plan needs, see `matcher.ledger.subsidy.needed_income`.

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
        tables=tuple(tables),
        heads=tuple(heads_of(session, now)),
        notes=(
            T_("the subsidy year runs from %(first)s to %(last)s", first=first, last=last),
            *(() if years[-1].closed else (T_("the year has not closed yet"),)),
        ),
    )


def _columns(*titles: tuple[Text, CellKind]) -> tuple[Column, ...]:
    return tuple(Column(title, kind) for title, kind in titles)


def _statement(years: Sequence[Statement]) -> Table:
    """The year and the one before, item by item."""
    shown = [*years[-2:]] if len(years) > 1 else [*years]
    rows = []
    for item in OWN_INCOME:
        rows.append(_item(item, shown))
        if item is Item.MEMBER_FEES:
            rows += [
                (
                    Cell(
                        T_(
                            "  of %(tier)s members",
                            tier=TIER_LABELS[tier],
                        )
                    ),
                    *(Cell(one.fees[tier]) for one in shown),
                )
                for tier in FEE_TIERS
            ]
    rows.append((Cell(T_("own income")), *(Cell(one.own_income_ntd) for one in shown)))
    rows += [_item(item, shown) for item in EXPENSES]
    rows.append((Cell(P_("sufficiency report", "expenses")), *(Cell(one.expenses_ntd) for one in shown)))
    rows.append(_item(Item.SUBSIDY, shown))
    rows.append((Cell(T_("balance")), *(Cell(one.balance_ntd) for one in shown)))
    titles = [
        (T_("%(year)s (NTD)", year=either(f"{roc_year(one.year)}", f"{one.year}")), CellKind.NTD) for one in shown
    ]
    return Table(
        T_("income and expense statement"),
        _columns((T_("item"), CellKind.TEXT), *titles),
        tuple(rows),
    )


def _item(item: Item, shown: Sequence[Statement]) -> tuple[Cell, ...]:
    cells = [Cell(one.items[item], tuple(f"sufficiency-{row}" for row in one.rows[item])) for one in shown]
    return (Cell(ITEM_LABELS[item]), *cells)


def _shares(years: Sequence[OwnShare], path: SubsidyPath) -> Table:
    rows = tuple(
        (
            Cell(str(roc_year(one.year))),
            Cell(one.own_income_ntd),
            Cell(_percent(one.share)),
            Cell(_percent(one.required)),
            Cell(_word(one.rose)),
            Cell(_word(one.kept), remark=None if one.closed else T_("the year has not closed")),
        )
        for one in years
    )
    return Table(
        T_("own-income share"),
        _columns(
            (T_("subsidy year (ROC)"), CellKind.TEXT),
            (T_("own income (NTD)"), CellKind.NTD),
            (T_("own income / expenses"), CellKind.PERCENT),
            (P_("sufficiency report", "required"), CellKind.PERCENT),
            (T_("rose"), CellKind.TEXT),
            (P_("sufficiency report", "kept"), CellKind.TEXT),
        ),
        rows,
        notes=(_BASES[path.base], either(path.note, path.note)),
    )


def _points(paid: Payout, rules: PointRules) -> Table:
    """Who gets what, by pseudonym."""
    rows = tuple((Cell(person), Cell(paid.points[person]), Cell(paid.ntd[person])) for person in paid.points)
    total = (Cell(T_("total")), Cell(sum(paid.points.values())), Cell(sum(paid.ntd.values())))
    return Table(
        T_("payout by points"),
        _columns(
            (T_("person (pseudonym)"), CellKind.TEXT),
            (T_("points"), CellKind.COUNT),
            (T_("paid (NTD)"), CellKind.NTD),
        ),
        (*rows, total),
        notes=(
            T_("the pot is NT$ %(pot_ntd)s", pot_ntd=f"{paid.pot_ntd:,}"),
            either(rules.note, rules.note),
        ),
    )


def _needed(needed: Needed) -> Table:
    rows = tuple(
        tuple(
            Cell(value)
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
    return Table(
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
