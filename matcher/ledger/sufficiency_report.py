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
from indexer.wording import T_
from matcher.ledger.configuration import current
from matcher.ledger.document import Bilingual, Cell, CellKind, Column, ReportDocument, Table, Value
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
    Base.EXPENSES: Bilingual("補助款以當年度支出為基準", "the subsidy is a share of the year's expenses"),
    Base.FIRST_YEAR: Bilingual("補助款以第一年補助款為基準", "the subsidy is a share of the first year's subsidy"),
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
        title=Bilingual(
            f"{name} {roc_year(year)} 補助年度營運收入支出報告表", f"{name_en}: income and expense, subsidy year {year}"
        ),
        as_of=as_of,
        tables=tuple(tables),
        heads=tuple(heads_of(session, now)),
        notes=(
            Bilingual(f"補助年度自 {first} 至 {last}", f"the subsidy year runs from {first} to {last}"),
            *(() if years[-1].closed else (Bilingual("本年度尚未結束", "the year has not closed yet"),)),
        ),
    )


def _columns(*titles: tuple[str, str, CellKind]) -> tuple[Column, ...]:
    return tuple(Column(Bilingual(zh, en), kind) for zh, en, kind in titles)


def _statement(years: Sequence[Statement]) -> Table:
    """The year and the one before, item by item."""
    shown = [*years[-2:]] if len(years) > 1 else [*years]
    rows = []
    for item in OWN_INCOME:
        rows.append(_item(item, shown))
        if item is Item.MEMBER_FEES:
            rows += [
                (
                    Cell(Bilingual(f"　{TIER_LABELS[tier][0]}", f"  of {TIER_LABELS[tier][1]} members")),
                    *(Cell(one.fees[tier]) for one in shown),
                )
                for tier in FEE_TIERS
            ]
    rows.append((Cell(Bilingual("自有收入合計", "own income")), *(Cell(one.own_income_ntd) for one in shown)))
    rows += [_item(item, shown) for item in EXPENSES]
    rows.append((Cell(Bilingual("支出合計", "expenses")), *(Cell(one.expenses_ntd) for one in shown)))
    rows.append(_item(Item.SUBSIDY, shown))
    rows.append((Cell(Bilingual("餘絀", "balance")), *(Cell(one.balance_ntd) for one in shown)))
    titles = [(f"{roc_year(one.year)} 年度（元）", f"{one.year} (NTD)", CellKind.NTD) for one in shown]
    return Table(
        Bilingual("收入支出表", "income and expense statement"),
        _columns(("項目", "item", CellKind.TEXT), *titles),
        tuple(rows),
    )


def _item(item: Item, shown: Sequence[Statement]) -> tuple[Cell, ...]:
    cells = [Cell(one.items[item], tuple(f"sufficiency-{row}" for row in one.rows[item])) for one in shown]
    return (Cell(Bilingual(*ITEM_LABELS[item])), *cells)


def _shares(years: Sequence[OwnShare], path: SubsidyPath) -> Table:
    rows = tuple(
        (
            Cell(str(roc_year(one.year))),
            Cell(one.own_income_ntd),
            Cell(_percent(one.share)),
            Cell(_percent(one.required)),
            Cell(_word(one.rose)),
            Cell(_word(one.kept), remark=None if one.closed else Bilingual("年度未結束", "the year has not closed")),
        )
        for one in years
    )
    return Table(
        Bilingual("自主營運進度", "own-income share"),
        _columns(
            ("補助年度", "subsidy year (ROC)", CellKind.TEXT),
            ("自有收入", "own income (NTD)", CellKind.NTD),
            ("自有收入占支出比率", "own income / expenses", CellKind.PERCENT),
            ("應達比率", "required", CellKind.PERCENT),
            ("逐年遞增", "rose", CellKind.TEXT),
            ("符合", "kept", CellKind.TEXT),
        ),
        rows,
        notes=(_BASES[path.base], Bilingual(path.note, path.note)),
    )


def _points(paid: Payout, rules: PointRules) -> Table:
    """Who gets what, by pseudonym."""
    rows = tuple((Cell(person), Cell(paid.points[person]), Cell(paid.ntd[person])) for person in paid.points)
    total = (Cell(Bilingual("合計", "total")), Cell(sum(paid.points.values())), Cell(sum(paid.ntd.values())))
    return Table(
        Bilingual("點數獎勵分配", "payout by points"),
        _columns(
            ("人員（代號）", "person (pseudonym)", CellKind.TEXT),
            ("點數", "points", CellKind.COUNT),
            ("金額（元）", "paid (NTD)", CellKind.NTD),
        ),
        (*rows, total),
        notes=(
            Bilingual(f"可分配金額 {paid.pot_ntd:,} 元", f"the pot is NT$ {paid.pot_ntd:,}"),
            Bilingual(rules.note, rules.note),
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
        Bilingual("自有收入試算", "what own income must be"),
        _columns(
            ("補助年度", "subsidy year (ROC)", CellKind.TEXT),
            ("預計支出", "planned expenses (NTD)", CellKind.NTD),
            ("補助款上限", "subsidy (NTD)", CellKind.NTD),
            ("應有自有收入", "own income needed (NTD)", CellKind.NTD),
            ("預估自有收入", "own income projected (NTD)", CellKind.NTD),
            ("缺口", "gap (NTD)", CellKind.NTD),
        ),
        rows,
        notes=(Bilingual(f"消除全部缺口所需年成長率 {growth}", f"yearly growth that closes every gap: {growth}"),),
    )


def _percent(share: Fraction | None) -> Value:
    return None if share is None else float(share)


def _word(truth: bool | None) -> Value:
    return None if truth is None else Bilingual("是", "yes") if truth else Bilingual("否", "no")
