"""The committee's pack for its quarterly check of a group of alliances.

In: the group, a day and the programme's targets. Out: one document: what was
reported since the quarter began that is checked now, with its evidence; claims
that look alike, side by side; what GLORIA added; the figures beside their pace;
rungs and findings; motions that wait; and the schools' own totals with GLORIA's
share. It exists so that the committee decides on one state of the ledger, from
one paper. All figures come from `matcher.ledger.figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlmodel import Session, col, select

from indexer.instants import day_in_taipei
from indexer.records import Alliance
from indexer.wording import T_
from matcher.ledger.claims import PROGRAMME_LABELS, ExternalClaim, Programme
from matcher.ledger.details import read_details
from matcher.ledger.document import Bilingual, Cell, CellKind, Column, ReportDocument, Table
from matcher.ledger.entries import WHOLE_BP, Entry, EntryKind, LedgerError
from matcher.ledger.figures import entries_behind
from matcher.ledger.heads import heads_of
from matcher.ledger.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.ladder import RUNG_LABELS
from matcher.ledger.motions import MotionKind
from matcher.ledger.periods import first_day, roc_year, year_of
from matcher.ledger.review import Review
from matcher.ledger.school_shares import SchoolShare, school_shares
from matcher.ledger.standings import FINDING_LABELS, Found, Standing, findings
from matcher.ledger.steps import STATE_LABELS, State
from matcher.ledger.warnings import LEVEL_LABELS, Aim

_MOTIONS = {
    MotionKind.RECOGNISE: ("認列", "recognise"),
    MotionKind.REVERSE: ("沖銷", "reverse"),
    MotionKind.CLOSE: ("季結", "close the quarter"),
}


def review_pack(
    session: Session, *, alliances: Sequence[str], as_of: date, aims: Sequence[Aim], now: datetime
) -> ReportDocument:
    """Return the pack of a group for the last quarter that is over on a day in Taipei.

    Args:
        session: one state of the database.
        alliances: the ids of the group's alliances.
        as_of: the day; all that was decided on it is in.
        aims: the programme's targets as plain numbers, of one book.
        now: the moment at which it is made.

    Raises:
        LedgerError: the group is empty, or one of its alliances is unknown.
    """
    known = session.exec(select(Alliance.id).where(col(Alliance.id).in_(alliances))).all()
    missing = sorted(set(alliances) - set(known))
    if not alliances:
        raise LedgerError(T_("name the group's alliances"), "alliances")
    if missing:
        raise LedgerError(T_("there is no alliance %(missing)r", missing=missing[0]), "alliances")
    review = Review(session, sorted(known), as_of, aims)
    return ReportDocument(
        name="review_pack",
        title=Bilingual(f"{review.quarter} 分組查核資料", f"review pack for {review.quarter}"),
        as_of=as_of,
        tables=tuple(
            table(review)
            for table in (
                _reported,
                _evidence,
                _similar,
                _added,
                _figures,
                _readings,
                _rungs,
                _findings,
                _motions,
                _schools,
            )
        ),
        heads=tuple(heads_of(session, now)),
        notes=(
            Bilingual(f"聯盟：{'、'.join(review.alliances)}", f"alliances: {', '.join(review.alliances)}"),
            Bilingual(f"填報自 {first_day(review.quarter)} 起", f"reported since {first_day(review.quarter)}"),
            Bilingual(review.rules.note, review.rules.note),
        ),
    )


def _columns(*titles: tuple[str, str] | tuple[str, str, CellKind]) -> tuple[Column, ...]:
    return tuple(Column(Bilingual(one[0], one[1]), one[2] if len(one) > 2 else CellKind.TEXT) for one in titles)


def _amount(amount_bp: int) -> int | float:
    """Return units × basis points as units: whole where they are, so that no money is printed with a fraction."""
    return amount_bp // WHOLE_BP if amount_bp % WHOLE_BP == 0 else amount_bp / WHOLE_BP


def _kpi(kpi: Kpi) -> Cell:
    return Cell(Bilingual(KPI_FACTS[kpi].label_zh, KPI_FACTS[kpi].label_en))


def _reported(review: Review) -> Table:
    rows = []
    for entry in review.reported:
        state = State(review.steps[entry.id][-1].state) if review.steps[entry.id] else State.REPORTED
        signed = -entry.amount if entry.kind == EntryKind.REVERSAL else entry.amount
        shares = ", ".join(f"{alliance} {share / 100:g} %" for alliance, share in entry.shares.items())
        rows.append(
            (
                Cell(entry.id, (entry.id,)),
                _kpi(Kpi(entry.kpi)),
                Cell(signed, (entry.id,)),
                Cell(shares),
                Cell(entry.occurred_on),
                Cell(day_in_taipei(entry.reported_at)),
                Cell(Bilingual(*STATE_LABELS[state])),
                Cell(entry.late_for),
            )
        )
    columns = _columns(
        ("編號", "entry"),
        ("指標", "figure"),
        ("數量", "amount", CellKind.COUNT),
        ("聯盟分攤", "shares"),
        ("發生日", "occurred on", CellKind.DATE),
        ("填報日", "reported on", CellKind.DATE),
        ("狀態", "state"),
        ("補報季別", "late for"),
    )
    return Table(Bilingual("本季填報成果", "what was reported"), columns, tuple(rows))


def _evidence(review: Review) -> Table:
    rows = []
    for entry in review.reported:
        items = [*entry.evidence, *(item for step in review.steps[entry.id] for item in step.evidence)]
        rows += [
            (Cell(entry.id, (entry.id,)), Cell(item.get("name", "")), Cell(item.get("url") or item.get("sha256")))
            for item in items
        ]
    columns = _columns(("編號", "entry"), ("佐證", "evidence"), ("連結或 SHA-256", "link or SHA-256"))
    return Table(Bilingual("佐證清單", "evidence"), columns, tuple(rows))


def _similar(review: Review) -> Table:
    rows = tuple(
        (*_side(entry), *_side(other), Cell(f"{one.score:.0f}"), Cell("; ".join(one.grounds)))
        for one, entry, other in review.alike
    )
    columns = _columns(
        ("編號", "entry"),
        ("對象", "party"),
        ("數量", "amount", CellKind.COUNT),
        ("日期", "day", CellKind.DATE),
        ("相似編號", "similar entry or claim"),
        ("相似對象", "its party"),
        ("相似數量", "its amount", CellKind.COUNT),
        ("相似日期", "its day", CellKind.DATE),
        ("相似度", "likeness"),
        ("理由", "grounds"),
    )
    return Table(Bilingual("相似主張對照", "claims that look alike"), columns, rows)


def _added(review: Review) -> Table:
    rows = tuple(
        (Cell(entry.id, (entry.id,)), _kpi(Kpi(entry.kpi)), Cell(entry.value_added))
        for entry in review.reported
        if entry.kind == EntryKind.FACT
    )
    columns = _columns(("編號", "entry"), ("指標", "figure"), ("加值內容", "what GLORIA added"))
    return Table(Bilingual("加值內容", "values added"), columns, rows)


def _figures(review: Review) -> Table:
    year = year_of(review.quarter)
    rows = []
    for alliance in review.alliances:
        for kpi in RECOGNISED_KPIS:
            behind = entries_behind(review.session, kpi, as_of=review.moment, years=[year], alliance=alliance)
            amount = _amount(review.folded.amount_bp(kpi, years=[year], alliance=alliance))
            all_ = _amount(review.folded.amount_bp(kpi, alliance=alliance))
            rows.append((Cell(alliance), _kpi(kpi), Cell(amount, tuple(behind)), Cell(all_)))
    columns = _columns(
        ("聯盟", "alliance"),
        ("指標", "figure"),
        (f"{roc_year(year)} 年", str(year), CellKind.SHARE),
        ("累計", "so far", CellKind.SHARE),
    )
    return Table(Bilingual("已認列成果", "recognised figures"), columns, tuple(rows))


def _readings(review: Review) -> Table:
    rows = tuple(
        (
            Cell(one.alliance),
            _kpi(one.kpi),
            Cell(_amount(one.target_bp)),
            Cell(_amount(one.expected_bp)),
            Cell(_amount(one.actual_bp), one.entries),
            Cell(_amount(one.in_review_bp)),
            Cell(_amount(one.gap_bp)),
            Cell(Bilingual(*LEVEL_LABELS[one.level])),
        )
        for one in review.read
    )
    columns = _columns(
        ("聯盟", "alliance"),
        ("指標", "figure"),
        ("年度目標", "target", CellKind.SHARE),
        ("應達", "expected", CellKind.SHARE),
        ("實際", "actual", CellKind.SHARE),
        ("審查中", "in review", CellKind.SHARE),
        ("落差", "gap", CellKind.SHARE),
        ("進度", "standing"),
    )
    return Table(Bilingual("進度與預警標準", "figures beside their pace"), columns, rows)


def _rungs(review: Review) -> Table:
    rows = tuple(_rung(one) for one in review.standing)
    columns = _columns(
        ("聯盟", "alliance"),
        ("指標", "figure"),
        ("階段", "rung"),
        ("自", "since", CellKind.DATE),
        ("天數", "days", CellKind.COUNT),
        ("理由", "reason"),
        ("改善期限", "plan due on", CellKind.DATE),
    )
    return Table(Bilingual("預警與改善階段", "warnings and their rungs"), columns, rows)


def _findings(review: Review) -> Table:
    rows = tuple(_finding(one) for one in findings(review.read, review.standing, review.as_of))
    columns = _columns(("聯盟", "alliance"), ("指標", "figure"), ("發現", "finding"))
    return Table(Bilingual("待處理事項", "what waits for a decision"), columns, rows)


def _motions(review: Review) -> Table:
    rows = tuple(
        (
            Cell(Bilingual(*_MOTIONS[MotionKind(motion.kind)])),
            Cell(motion.subject),
            Cell(motion.reason),
            Cell(day_in_taipei(motion.moved_at)),
        )
        for motion in review.motions
    )
    columns = _columns(("動議", "motion"), ("對象", "on"), ("理由", "reason"), ("提出日", "moved on", CellKind.DATE))
    return Table(Bilingual("待附議動議", "motions that wait for a second person"), columns, rows)


def _schools(review: Review) -> Table:
    year = year_of(review.quarter)
    found = school_shares(review.session, alliances=review.alliances, year=year, as_of=review.moment)
    columns = _columns(
        ("學校", "school"),
        (f"{roc_year(year)} 年全校產學合作總額", f"whole cooperation {year} (NTD)", CellKind.NTD),
        ("GLORIA 認列金額", "recognised by GLORIA (NTD)", CellKind.NTD),
        ("占比", "GLORIA's share", CellKind.PERCENT),
        ("來源", "source"),
    )
    return Table(Bilingual("全校總額與 GLORIA 占比", "school totals"), columns, tuple(_school(one) for one in found))


def _side(one: Entry | ExternalClaim) -> tuple[Cell, ...]:
    if isinstance(one, Entry):
        party = read_details(Kpi(one.kpi), one.details).party()
        return Cell(one.id, (one.id,)), Cell(party), Cell(one.amount), Cell(one.counts_on)
    zh, en = PROGRAMME_LABELS[Programme(one.programme)]
    name = Bilingual(f"{zh} {one.reference}", f"{en} {one.reference}")
    return Cell(name), Cell(one.party), Cell(one.amount), Cell(one.occurred_on)


def _rung(one: Standing) -> tuple[Cell, ...]:
    name = Cell(Bilingual("整體", "as a whole")) if one.kpi is None else _kpi(one.kpi)
    rung = Bilingual(*RUNG_LABELS[one.rung])
    return Cell(one.alliance), name, Cell(rung), Cell(one.since), Cell(one.days), Cell(one.reason), Cell(one.due_on)


def _finding(one: Found) -> tuple[Cell, ...]:
    behind = one.reading.entries if one.reading is not None else ()
    return Cell(one.alliance), _kpi(one.kpi), Cell(Bilingual(*FINDING_LABELS[one.finding]), behind)


def _school(one: SchoolShare) -> tuple[Cell, ...]:
    share = None if one.share is None else float(one.share)
    remark = None if one.total_ntd is not None else Bilingual("未提供", "not supplied")
    return (
        Cell(one.name),
        Cell(one.total_ntd, remark=remark),
        Cell(one.recognised_ntd, one.entries),
        Cell(share),
        Cell(one.source),
    )
