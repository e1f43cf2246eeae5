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
from indexer.wording import P_, T_, Text, either, listed
from matcher.ledger.claims import PROGRAMME_LABELS, ExternalClaim, Programme
from matcher.ledger.details import read_details
from matcher.ledger.document import Cell, CellKind, Column, ReportDocument, Table
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
    MotionKind.RECOGNISE: T_("recognise"),
    MotionKind.REVERSE: T_("reverse"),
    MotionKind.CLOSE: T_("close the quarter"),
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
        title=T_("review pack for %(quarter)s", quarter=review.quarter),
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
            T_("alliances: %(alliances)s", alliances=listed(review.alliances)),
            T_("reported since %(quarter)s", quarter=first_day(review.quarter)),
            either(review.rules.note, review.rules.note),
        ),
    )


def _columns(*titles: Text | tuple[Text, CellKind]) -> tuple[Column, ...]:
    return tuple(Column(one) if isinstance(one, Text) else Column(*one) for one in titles)


def _amount(amount_bp: int) -> int | float:
    """Return units × basis points as units: whole where they are, so that no money is printed with a fraction."""
    return amount_bp // WHOLE_BP if amount_bp % WHOLE_BP == 0 else amount_bp / WHOLE_BP


def _kpi(kpi: Kpi) -> Cell:
    return Cell(KPI_FACTS[kpi].label)


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
                Cell(STATE_LABELS[state]),
                Cell(entry.late_for),
            )
        )
    columns = _columns(
        T_("entry"),
        T_("figure"),
        (T_("amount"), CellKind.COUNT),
        T_("shares"),
        (T_("occurred on"), CellKind.DATE),
        (T_("reported on"), CellKind.DATE),
        T_("state"),
        T_("late for"),
    )
    return Table(T_("what was reported"), columns, tuple(rows))


def _evidence(review: Review) -> Table:
    rows = []
    for entry in review.reported:
        items = [*entry.evidence, *(item for step in review.steps[entry.id] for item in step.evidence)]
        rows += [
            (Cell(entry.id, (entry.id,)), Cell(item.get("name", "")), Cell(item.get("url") or item.get("sha256")))
            for item in items
        ]
    columns = _columns(T_("entry"), T_("evidence"), T_("link or SHA-256"))
    return Table(P_("review pack", "evidence"), columns, tuple(rows))


def _similar(review: Review) -> Table:
    rows = tuple(
        (*_side(entry), *_side(other), Cell(f"{one.score:.0f}"), Cell("; ".join(one.grounds)))
        for one, entry, other in review.alike
    )
    columns = _columns(
        T_("entry"),
        T_("party"),
        (T_("amount"), CellKind.COUNT),
        (T_("day"), CellKind.DATE),
        T_("similar entry or claim"),
        T_("its party"),
        (T_("its amount"), CellKind.COUNT),
        (T_("its day"), CellKind.DATE),
        T_("likeness"),
        T_("grounds"),
    )
    return Table(T_("claims that look alike"), columns, rows)


def _added(review: Review) -> Table:
    rows = tuple(
        (Cell(entry.id, (entry.id,)), _kpi(Kpi(entry.kpi)), Cell(entry.value_added))
        for entry in review.reported
        if entry.kind == EntryKind.FACT
    )
    columns = _columns(T_("entry"), T_("figure"), T_("what GLORIA added"))
    return Table(T_("values added"), columns, rows)


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
        P_("review pack", "alliance"),
        T_("figure"),
        (either(f"{roc_year(year)} 年", str(year)), CellKind.SHARE),
        (T_("so far"), CellKind.SHARE),
    )
    return Table(T_("recognised figures"), columns, tuple(rows))


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
            Cell(LEVEL_LABELS[one.level]),
        )
        for one in review.read
    )
    columns = _columns(
        P_("review pack", "alliance"),
        T_("figure"),
        (T_("target"), CellKind.SHARE),
        (T_("expected"), CellKind.SHARE),
        (T_("actual"), CellKind.SHARE),
        (T_("in review"), CellKind.SHARE),
        (T_("gap"), CellKind.SHARE),
        T_("standing"),
    )
    return Table(T_("figures beside their pace"), columns, rows)


def _rungs(review: Review) -> Table:
    rows = tuple(_rung(one) for one in review.standing)
    columns = _columns(
        P_("review pack", "alliance"),
        T_("figure"),
        T_("rung"),
        (T_("since"), CellKind.DATE),
        (T_("days"), CellKind.COUNT),
        T_("reason"),
        (T_("plan due on"), CellKind.DATE),
    )
    return Table(T_("warnings and their rungs"), columns, rows)


def _findings(review: Review) -> Table:
    rows = tuple(_finding(one) for one in findings(review.read, review.standing, review.as_of))
    columns = _columns(P_("review pack", "alliance"), T_("figure"), T_("finding"))
    return Table(T_("what waits for a decision"), columns, rows)


def _motions(review: Review) -> Table:
    rows = tuple(
        (
            Cell(_MOTIONS[MotionKind(motion.kind)]),
            Cell(motion.subject),
            Cell(motion.reason),
            Cell(day_in_taipei(motion.moved_at)),
        )
        for motion in review.motions
    )
    columns = _columns(T_("motion"), T_("on"), T_("reason"), (P_("review pack", "moved on"), CellKind.DATE))
    return Table(T_("motions that wait for a second person"), columns, rows)


def _schools(review: Review) -> Table:
    year = year_of(review.quarter)
    found = school_shares(review.session, alliances=review.alliances, year=year, as_of=review.moment)
    columns = _columns(
        T_("school"),
        (T_("whole cooperation %(year)s (NTD)", year=either(f"{roc_year(year)}", f"{year}")), CellKind.NTD),
        (T_("recognised by GLORIA (NTD)"), CellKind.NTD),
        (T_("GLORIA's share"), CellKind.PERCENT),
        T_("source"),
    )
    return Table(T_("school totals"), columns, tuple(_school(one) for one in found))


def _side(one: Entry | ExternalClaim) -> tuple[Cell, ...]:
    if isinstance(one, Entry):
        party = read_details(Kpi(one.kpi), one.details).party()
        return Cell(one.id, (one.id,)), Cell(party), Cell(one.amount), Cell(one.counts_on)
    programme = PROGRAMME_LABELS[Programme(one.programme)]
    name = T_("%(programme)s %(reference)s", programme=programme, reference=one.reference)
    return Cell(name), Cell(one.party), Cell(one.amount), Cell(one.occurred_on)


def _rung(one: Standing) -> tuple[Cell, ...]:
    name = Cell(T_("as a whole")) if one.kpi is None else _kpi(one.kpi)
    rung = RUNG_LABELS[one.rung]
    return Cell(one.alliance), name, Cell(rung), Cell(one.since), Cell(one.days), Cell(one.reason), Cell(one.due_on)


def _finding(one: Found) -> tuple[Cell, ...]:
    behind = one.reading.entries if one.reading is not None else ()
    return Cell(one.alliance), _kpi(one.kpi), Cell(FINDING_LABELS[one.finding], behind)


def _school(one: SchoolShare) -> tuple[Cell, ...]:
    share = None if one.share is None else float(one.share)
    remark = None if one.total_ntd is not None else T_("not supplied")
    return (
        Cell(one.name),
        Cell(one.total_ntd, remark=remark),
        Cell(one.recognised_ntd, one.entries),
        Cell(share),
        Cell(one.source),
    )
