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
from indexer.wording import T_
from matcher.ledger.configuration import current
from matcher.ledger.details import Gender
from matcher.ledger.document import Bilingual, Cell, CellKind, Column, ReportDocument, Table
from matcher.ledger.entries import LedgerError
from matcher.ledger.figures import end_of
from matcher.ledger.gender import GENDER_LABELS, GROUP_LABELS, GenderRules, Group, is_closed
from matcher.ledger.gender_figures import Imbalance, counts, imbalances, published
from matcher.ledger.heads import heads_of
from matcher.ledger.periods import roc_year, subsidy_days

_TOTAL = Bilingual("合計", "total")
_LEFT_OUT = Bilingual("不公開", "left out")


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
        Bilingual(
            f"未滿 {rules.small_below} 人之欄位及可由合計推算者不公開",
            f"cells below {rules.small_below}, and those that would give them away, are left out",
        ),
        Bilingual(
            "性別落差僅列出數字全部公開之聯盟", "low shares are listed only where all numbers of the row are printed"
        ),
    )
    return _document(session, "國際產學聯盟", "programme", year, as_of, now, tables, notes)


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
    notes = (
        Bilingual(
            "內部使用：含小於公開下限之數字，不得對外提供", "internal: has small numbers and is not to be passed on"
        ),
    )
    zh, en = names[alliance_id].zh, names[alliance_id].en
    return _document(session, zh, en, year, as_of, now, tables, notes)


def _document(
    session: Session,
    zh: str,
    en: str,
    year: int,
    as_of: date,
    now: datetime,
    tables: Sequence[Table],
    notes: tuple[Bilingual, ...],
) -> ReportDocument:
    first, last = subsidy_days(year)
    open_ = () if is_closed(year, end_of(as_of)) else (Bilingual("本年度尚未結束", "the year has not closed yet"),)
    return ReportDocument(
        name="gender",
        title=Bilingual(f"{zh} {roc_year(year)} 補助年度性別統計", f"{en}: gender statistics, subsidy year {year}"),
        as_of=as_of,
        tables=tuple(tables),
        heads=tuple(heads_of(session, now)),
        notes=(Bilingual(f"補助年度自 {first} 至 {last}", f"from {first} to {last}"), *open_, *notes),
    )


def _names(session: Session) -> dict[str, Bilingual]:
    rows = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
    return {row.id: Bilingual(row.name, row.name_en or row.name) for row in rows}


def _table(group: Group, lines: Sequence[tuple[Bilingual, Sequence[int | None]]]) -> Table:
    labels = [Bilingual(*GENDER_LABELS[gender]) for gender in Gender]
    columns = [Column(label, CellKind.COUNT) for label in (*labels, _TOTAL)]
    rows = tuple((Cell(name), *(_cell(count) for count in line)) for name, line in lines)
    return Table(Bilingual(*GROUP_LABELS[group]), (Column(Bilingual("聯盟", "alliance")), *columns), rows)


def _cell(count: int | None) -> Cell:
    return Cell(None, remark=_LEFT_OUT) if count is None else Cell(count)


def _findings(found: Sequence[Imbalance], names: Mapping[str, Bilingual], *, with_text: bool) -> Table:
    """Whose share is too low, and whether there is an analysis of causes."""
    columns = (
        Column(Bilingual("聯盟", "alliance")),
        Column(Bilingual("對象", "group")),
        Column(Bilingual("性別", "gender")),
        Column(Bilingual("比率", "share"), CellKind.PERCENT),
        Column(Bilingual("原因分析日期", "causes analysed on"), CellKind.DATE),
        *((Column(Bilingual("原因分析", "analysis of causes")),) if with_text else ()),
    )
    rows = []
    for one in found:
        analysed = None if one.analysis is None else day_in_taipei(one.analysis.at)
        row = [
            Cell(names[one.alliance]),
            Cell(Bilingual(*GROUP_LABELS[one.group])),
            Cell(Bilingual(*GENDER_LABELS[one.gender])),
            Cell(float(one.share)),
            Cell(analysed, remark=None if analysed else Bilingual("待分析", "still to be analysed")),
        ]
        if with_text:
            row.append(Cell(None if one.analysis is None else one.analysis.text))
        rows.append(tuple(row))
    return Table(Bilingual("性別落差", "low shares"), columns, tuple(rows))
