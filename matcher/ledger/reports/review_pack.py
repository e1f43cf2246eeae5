"""The committee's pack for its quarterly check of a group of alliances.

In: the group, a day and the programme's targets. Out: one document: what was reported since the quarter began that
is checked now, with its evidence; claims that look alike, side by side; what GLORIA added; the figures beside their
pace; rungs and findings; motions that wait; and the schools' own totals with GLORIA's share. It exists so that the
committee decides on one state of the ledger, from one paper. All figures come from `matcher.ledger.figures.folds`.

`Review` asks the database, once for all tables; what follows it is only their layout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property

from sqlalchemy import or_
from sqlmodel import Session, col, select

from indexer.instants import TAIPEI, day_in_taipei
from indexer.records.record_tables import Alliance
from indexer.wording import P_, T_, Text, either, listed
from matcher.ledger.figures.alliance_targets import AllianceTargets, YearTarget, foundings, targets_of
from matcher.ledger.figures.folds import Figures, end_of, entries_behind, figures
from matcher.ledger.figures.ladder import (
    FINDING_LABELS,
    RUNG_LABELS,
    LadderFinding,
    LadderStanding,
    findings,
    standings,
)
from matcher.ledger.figures.school_shares import SchoolShare, school_shares
from matcher.ledger.figures.self_operation import OperationReading, ladder_label, operation_readings
from matcher.ledger.figures.warnings import LEVEL_LABELS, Level, PaceReading, WarningRules, readings
from matcher.ledger.reports.document import CellKind, ReportCell, ReportColumn, ReportDocument, ReportTable
from matcher.ledger.reports.said_days import day_text, quarter_text, shares_text
from matcher.ledger.reports.target_standings import UNIT_LABELS
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.details import read_details
from matcher.ledger.rows.entries import WHOLE_BP, Entry, EntryKind, LedgerError
from matcher.ledger.rows.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi, Unit
from matcher.ledger.rows.motions import Motion, MotionEnd, MotionKind
from matcher.ledger.rows.periods import first_day, last_quarter_over, roc_year, year_of
from matcher.ledger.rows.result_claims import OTHER_PROGRAMME_LABELS, ExternalClaim, OtherProgramme
from matcher.ledger.rows.steps import STATE_LABELS, State, Step
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.similarity import Similarity


@dataclass
class Review:
    """One state of the ledger, read once for all tables. `year_targets` are the programme's targets, of one book."""

    session: Session
    alliances: Sequence[str]
    as_of: date
    year_targets: Sequence[YearTarget]

    @cached_property
    def moment(self) -> datetime:
        """The end of the day in Taipei."""
        return end_of(self.as_of)

    @cached_property
    def quarter(self) -> str:
        """The last quarter that is over by then."""
        return last_quarter_over(self.as_of)

    @cached_property
    def rules(self) -> WarningRules:
        """The pace that held then."""
        return current(self.session, WarningRules, at=self.moment)

    @cached_property
    def folded(self) -> Figures:
        """The programme's figures."""
        return figures(self.session, as_of=self.moment)

    @cached_property
    def reported(self) -> Sequence[Entry]:
        """What the group reported since the quarter began, oldest first."""
        since = datetime.combine(first_day(self.quarter), time.min, TAIPEI)
        query = select(Entry).where(Entry.reported_at >= since, Entry.reported_at <= self.moment)
        kpis = [kpi.value for kpi in RECOGNISED_KPIS]
        rows = self.session.exec(query.where(col(Entry.kpi).in_(kpis)).order_by(col(Entry.seq))).all()
        return [row for row in rows if self._is_ours(row)]

    @cached_property
    def steps(self) -> dict[str, list[Step]]:
        """The steps of what was reported, by entry."""
        ids = [entry.id for entry in self.reported]
        found: dict[str, list[Step]] = {entry_id: [] for entry_id in ids}
        query = select(Step).where(col(Step.entry_id).in_(ids), Step.at <= self.moment).order_by(col(Step.seq))
        for one in self.session.exec(query).all():
            found[one.entry_id].append(one)
        return found

    @cached_property
    def read(self) -> list[PaceReading]:
        """How the group's targets stand."""
        document = current(self.session, AllianceTargets, at=self.moment)
        targets = targets_of(document, self.year_targets, self.alliances, foundings(self.session))
        return readings(self.session, self.folded, targets, self.rules, self.as_of)

    @cached_property
    def standing(self) -> list[LadderStanding]:
        """Where the group's alliances stand on their ladders."""
        return standings(self.session, as_of=self.moment, alliances=self.alliances)

    @cached_property
    def operating(self) -> list[OperationReading]:
        """How the group's alliances carry themselves."""
        return operation_readings(self.session, self.alliances, self.as_of)

    @cached_property
    def alike(self) -> list[tuple[Similarity, Entry, Entry | ExternalClaim]]:
        """What was reported and resembles another claim, or is resembled by one: the entry and the other side."""
        ids = [entry.id for entry in self.reported]
        near = or_(col(Similarity.entry_id).in_(ids), col(Similarity.other_entry).in_(ids))
        found: list[tuple[Similarity, Entry, Entry | ExternalClaim]] = []
        for one in self.session.exec(select(Similarity).where(near).order_by(col(Similarity.id))).all():
            entry = self._entry(one.entry_id)
            if entry.reported_at > self.moment:
                continue
            other = self._claim(one) if one.other_entry is None else self._entry(one.other_entry)
            found.append((one, entry, other))
        return found

    @cached_property
    def motions(self) -> list[Motion]:
        """The motions on the group's entries that wait for a second person; to close a quarter is the office's."""
        ended = select(MotionEnd.motion_id).where(MotionEnd.at <= self.moment)
        these = (Motion.moved_at <= self.moment, col(Motion.id).not_in(ended))
        waiting = self.session.exec(select(Motion).where(*these).order_by(col(Motion.id))).all()
        return [one for one in waiting if one.kind != MotionKind.CLOSE and self._is_ours(self._entry(one.subject))]

    def _claim(self, one: Similarity) -> ExternalClaim:
        return self.session.exec(select(ExternalClaim).where(ExternalClaim.id == one.external_claim)).one()

    def _entry(self, entry_id: str) -> Entry:
        return self.session.exec(select(Entry).where(Entry.id == entry_id)).one()

    @cached_property
    def names(self) -> dict[str, Text]:
        """Every alliance's name, for entries are shared with others too."""
        return {one.id: either(one.name, one.name_en or one.name) for one in self.session.exec(select(Alliance)).all()}

    def named(self, alliance: str | None) -> ReportCell:
        """Return a cell with an alliance's name."""
        return ReportCell(None if alliance is None else self.names[alliance])

    @cached_property
    def found(self) -> list[LadderFinding]:
        """What waits for a decision on the group's ladders."""
        return findings(self.read, self.standing, self.as_of, self.operating)

    def _is_ours(self, entry: Entry) -> bool:
        return bool(set(entry.shares) & set(self.alliances))


_MOTIONS = {
    MotionKind.RECOGNISE: T_("recognise"),
    MotionKind.REVERSE: T_("reverse"),
    MotionKind.CLOSE: T_("close the quarter"),
}


def review_pack(
    session: Session, *, alliances: Sequence[str], as_of: date, year_targets: Sequence[YearTarget], now: datetime
) -> ReportDocument:
    """Return the pack of a group for the last quarter that is over on a day in Taipei.

    Args:
        session: one state of the database.
        alliances: the ids of the group's alliances.
        as_of: the day; all that was decided on it is in.
        year_targets: the programme's targets as plain numbers, of one book.
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
    review = Review(session, sorted(known), as_of, year_targets)
    return ReportDocument(
        name="review_pack",
        title=T_("review pack for %(quarter)s", quarter=quarter_text(review.quarter)),
        as_of=as_of,
        tables=tuple(
            table(review)
            for table in (
                _summary,
                _findings,
                _rungs,
                _motions,
                _figures,
                _readings,
                _similar,
                _reported,
                _added,
                _evidence,
                _schools,
            )
        ),
        heads=tuple(heads_of(session, now)),
        notes=(
            T_("alliances: %(alliances)s", alliances=listed([review.names[one] for one in review.alliances])),
            T_("reported since %(quarter)s", quarter=day_text(first_day(review.quarter))),
            *review.rules.noted(),
        ),
    )


def _columns(*titles: Text | tuple[Text, CellKind]) -> tuple[ReportColumn, ...]:
    return tuple(ReportColumn(one) if isinstance(one, Text) else ReportColumn(*one) for one in titles)


def _amount(amount_bp: int) -> int | float:
    """Return units × basis points as units: whole where they are, so that no money is printed with a fraction."""
    return amount_bp // WHOLE_BP if amount_bp % WHOLE_BP == 0 else amount_bp / WHOLE_BP


def _paced(kpi: Kpi, amount_bp: int) -> int | float:
    """Return what a pace makes of a figure: money in whole NTD, for no form asks for parts of one."""
    return round(amount_bp / WHOLE_BP) if KPI_FACTS[kpi].unit is Unit.NTD else _amount(amount_bp)


def _kpi(kpi: Kpi) -> ReportCell:
    return ReportCell(KPI_FACTS[kpi].label)


def _summary(review: Review) -> ReportTable:
    """One row for each alliance: what the committee has before it, and room for its word."""
    rows = []
    for alliance in review.alliances:
        own = [entry for entry in review.reported if alliance in entry.shares]
        states = [State(review.steps[entry.id][-1].state) for entry in own if review.steps[entry.id]]
        waiting = sum(state in (State.HELD, State.REPORTED, State.CHECKED, State.RETURNED) for state in states)
        behind = [one for one in review.read if one.alliance == alliance and one.level is not Level.ON_PACE]
        proposed = [one for one in review.found if one.alliance == alliance]
        stands = [one for one in review.standing if one.alliance == alliance]
        rows.append(
            (
                review.named(alliance),
                ReportCell(len(own)),
                ReportCell(waiting),
                ReportCell(listed([KPI_FACTS[one.kpi].label for one in behind]) if behind else None),
                ReportCell(listed([FINDING_LABELS[one.finding] for one in proposed]) if proposed else None),
                ReportCell(listed([RUNG_LABELS[one.rung] for one in stands]) if stands else None),
                ReportCell(_self_operation(review, alliance)),
                ReportCell(None),
            )
        )
    columns = _columns(
        P_("review pack", "alliance"),
        (P_("review pack", "reported"), CellKind.COUNT),
        (T_("not recognised yet"), CellKind.COUNT),
        T_("behind its pace"),
        P_("review pack", "proposed"),
        P_("review pack", "stands at"),
        T_("self-operation"),
    )
    columns = (*columns, ReportColumn(T_("the committee's decision"), room=True))
    return ReportTable(T_("summary of the group"), columns, tuple(rows))


def _self_operation(review: Review, alliance: str) -> Text:
    """Return how the last closed subsidy year stands against what it has to be: the gap beside those of the figures."""
    last = next((one.own for one in review.operating if one.alliance == alliance), None)
    if last is None or last.kept is None:
        return T_("not filled in")
    if last.share is None or last.required is None:
        return T_("as required")
    words = T_("as required") if last.kept else T_("below what is required")
    shares = f"{float(last.share):.0%} / {float(last.required):.0%}"
    return T_("%(words)s (%(shares)s)", words=words, shares=shares)


def _reported(review: Review) -> ReportTable:
    rows = []
    for entry in review.reported:
        state = State(review.steps[entry.id][-1].state) if review.steps[entry.id] else State.REPORTED
        signed = -entry.amount if entry.kind == EntryKind.REVERSAL else entry.amount
        rows.append(
            (
                ReportCell(entry.id, (entry.id,)),
                _kpi(Kpi(entry.kpi)),
                ReportCell(signed, (entry.id,)),
                ReportCell(shares_text(entry.shares, review.names)),
                ReportCell(entry.occurred_on),
                ReportCell(day_in_taipei(entry.reported_at)),
                ReportCell(STATE_LABELS[state]),
                ReportCell(None if entry.late_for is None else quarter_text(entry.late_for)),
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
    return ReportTable(T_("what was reported"), columns, tuple(rows))


def _evidence(review: Review) -> ReportTable:
    rows = []
    for entry in review.reported:
        items = [*entry.evidence, *(item for step in review.steps[entry.id] for item in step.evidence)]
        rows += [
            (
                ReportCell(entry.id, (entry.id,)),
                ReportCell(item.get("name", "")),
                ReportCell(item.get("url") or item.get("sha256")),
            )
            for item in items
        ]
    columns = _columns(T_("entry"), T_("evidence"), T_("link or SHA-256"))
    return ReportTable(P_("review pack", "evidence"), columns, tuple(rows))


def _similar(review: Review) -> ReportTable:
    rows = tuple(
        (*_side(entry), *_side(other), ReportCell(f"{one.score:.0f}"), ReportCell(_grounds(one.grounds)))
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
    return ReportTable(T_("claims that look alike"), columns, rows)


def _added(review: Review) -> ReportTable:
    rows = tuple(
        (ReportCell(entry.id, (entry.id,)), _kpi(Kpi(entry.kpi)), ReportCell(entry.value_added))
        for entry in review.reported
        if entry.kind == EntryKind.FACT
    )
    columns = _columns(T_("entry"), T_("figure"), T_("what GLORIA added"))
    return ReportTable(T_("values added"), columns, rows)


def _figures(review: Review) -> ReportTable:
    year = year_of(review.quarter)
    rows = []
    for alliance in review.alliances:
        for label, years in ((either(f"{roc_year(year)} 年度", str(year)), [year]), (T_("so far"), None)):
            cells = []
            for kpi in RECOGNISED_KPIS:
                behind = entries_behind(review.session, kpi, as_of=review.moment, years=years, alliance=alliance)
                amount = _amount(review.folded.amount_bp(kpi, years=years, alliance=alliance))
                cells.append(ReportCell(amount, tuple(behind)))
            rows.append((review.named(alliance), ReportCell(label), *cells))
    columns = (
        ReportColumn(P_("review pack", "alliance"), merged=True, names=True),
        ReportColumn(P_("review pack", "time"), names=True),
        *(ReportColumn(KPI_FACTS[kpi].label, CellKind.SHARE) for kpi in RECOGNISED_KPIS),
    )
    return ReportTable(T_("recognised figures"), columns, tuple(rows))


def _readings(review: Review) -> ReportTable:
    rows = tuple(
        (
            review.named(one.alliance),
            _kpi(one.kpi),
            ReportCell(UNIT_LABELS[KPI_FACTS[one.kpi].unit]),
            ReportCell(_paced(one.kpi, one.target_bp)),
            ReportCell(_paced(one.kpi, one.expected_bp)),
            ReportCell(_paced(one.kpi, one.actual_bp), one.entries),
            ReportCell(_paced(one.kpi, one.in_review_bp)),
            ReportCell(_paced(one.kpi, one.gap_bp)),
            ReportCell(LEVEL_LABELS[one.level]),
        )
        for one in review.read
        if one.level is not Level.ON_PACE
    )
    columns = (
        ReportColumn(P_("review pack", "alliance"), merged=True, names=True),
        ReportColumn(T_("figure"), names=True),
        ReportColumn(T_("Unit")),
        *_columns(
            (T_("target"), CellKind.SHARE),
            (T_("expected"), CellKind.SHARE),
            (T_("actual"), CellKind.SHARE),
            (T_("in review"), CellKind.SHARE),
            (T_("gap"), CellKind.SHARE),
            T_("standing"),
        ),
    )
    note = T_("What is on its pace is left out.")
    return ReportTable(T_("figures beside their pace"), columns, rows, (note,))


def _rungs(review: Review) -> ReportTable:
    rows = tuple(_rung(review, one) for one in review.standing)
    columns = _columns(
        P_("review pack", "alliance"),
        T_("figure"),
        T_("rung"),
        (T_("since"), CellKind.DATE),
        (T_("days"), CellKind.COUNT),
        T_("reason"),
        (T_("plan due on"), CellKind.DATE),
    )
    return ReportTable(T_("warnings and their rungs"), columns, rows)


def _findings(review: Review) -> ReportTable:
    rows = tuple(_finding(review, one) for one in review.found)
    columns = _columns(P_("review pack", "alliance"), T_("figure"), T_("finding"))
    return ReportTable(T_("what waits for a decision"), columns, rows)


def _motions(review: Review) -> ReportTable:
    rows = tuple(
        (
            ReportCell(_MOTIONS[MotionKind(motion.kind)]),
            ReportCell(motion.subject),
            ReportCell(motion.reason),
            ReportCell(day_in_taipei(motion.moved_at)),
        )
        for motion in review.motions
    )
    columns = _columns(T_("motion"), T_("on"), T_("reason"), (P_("review pack", "moved on"), CellKind.DATE))
    return ReportTable(T_("motions that wait for a second person"), columns, rows)


def _schools(review: Review) -> ReportTable:
    year = year_of(review.quarter)
    found = school_shares(review.session, alliances=review.alliances, year=year, as_of=review.moment)
    columns = (
        ReportColumn(T_("school"), merged=True, names=True),
        ReportColumn(T_("figure"), names=True),
        *_columns(
            (T_("whole cooperation %(year)s", year=either(f"{roc_year(year)}", f"{year}")), CellKind.COUNT),
            (T_("recognised by GLORIA"), CellKind.SHARE),
            (T_("GLORIA's share"), CellKind.PERCENT),
            T_("source"),
        ),
    )
    return ReportTable(T_("school totals"), columns, tuple(_school(one) for one in found))


_DAY = re.compile(r"(\d{4}-\d\d-\d\d) / (\d{4}-\d\d-\d\d): (\d+) d")


def _grounds(grounds: Sequence[str]) -> Text:
    """Return why two claims look alike; the days in it as the paper's other days."""
    said = []
    for ground in grounds:
        found = _DAY.fullmatch(ground)
        if found is None:
            said.append(either(ground, ground))
            continue
        mine, theirs = (day_text(date.fromisoformat(day)) for day in found.groups()[:2])
        said.append(T_("%(day)s and %(other)s: %(days)s days apart", day=mine, other=theirs, days=found[3]))
    return either("；".join(one.zh for one in said), "; ".join(said))


def _side(one: Entry | ExternalClaim) -> tuple[ReportCell, ...]:
    if isinstance(one, Entry):
        party = read_details(Kpi(one.kpi), one.details).party()
        return ReportCell(one.id, (one.id,)), ReportCell(party), ReportCell(one.amount), ReportCell(one.counts_on)
    programme = OTHER_PROGRAMME_LABELS[OtherProgramme(one.programme)]
    name = T_("%(programme)s %(reference)s", programme=programme, reference=one.reference)
    return ReportCell(name), ReportCell(one.party), ReportCell(one.amount), ReportCell(one.occurred_on)


def _rung(review: Review, one: LadderStanding) -> tuple[ReportCell, ...]:
    name = ReportCell(T_("as a whole") if one.kpi is None else ladder_label(one.kpi))
    rung = RUNG_LABELS[one.rung]
    return (
        review.named(one.alliance),
        name,
        ReportCell(rung),
        ReportCell(one.since),
        ReportCell(one.days),
        ReportCell(one.reason),
        ReportCell(one.due_on),
    )


def _finding(review: Review, one: LadderFinding) -> tuple[ReportCell, ...]:
    behind = one.reading.entries if isinstance(one.reading, PaceReading) else ()
    figures_ = listed([ladder_label(ladder) for ladder in (one.kpi, *(other.kpi for other in one.also))])
    return review.named(one.alliance), ReportCell(figures_), ReportCell(FINDING_LABELS[one.finding], behind)


def _school(one: SchoolShare) -> tuple[ReportCell, ...]:
    share = None if one.share is None else float(one.share)
    remark = None if one.total is not None else T_("not supplied")
    return (
        ReportCell(one.name),
        _kpi(one.kpi),
        ReportCell(one.total, remark=remark),
        ReportCell(_amount(one.recognised_bp), one.entries),
        ReportCell(share),
        ReportCell(one.source),
    )
