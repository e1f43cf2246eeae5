"""The ledger's rules, asked again of every row that was ever written.

In: entries and steps as a proof walks along them, and what they rest on: motions, closings, rules, roles, ties,
totals of schools, claims of other programmes. Out: a finding for each row that no verb of the product would have
written. It exists because right hashes prove only that nobody changed a row afterwards: who holds the database can
write a row with all its hashes, and then it must at least have been possible. Each rule is a generator of its own over
what is known; the rules of separation are those of `matcher.ledger.rules.duties`, asked as of the moment of the step.

Moments may go back as far as a clock may have been wrong (`CLOCK_ERROR`), not further.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Row, Table
from sqlmodel import Session, SQLModel, select

from indexer.instants import day_in_taipei
from indexer.records.mended.merged import RecordMerge
from indexer.records.record_tables import Alliance
from indexer.vocabulary import Mendable
from indexer.wording import T_
from matcher.ledger.figures.ladder import NEXT_RUNGS, LadderStep, Rung
from matcher.ledger.figures.sufficiency import PointRow, SufficiencyRow
from matcher.ledger.proving.finding import ProofFinding
from matcher.ledger.rows.entries import ACCEPTANCE_PREFIX, REVERSAL_SUFFIX, WHOLE_BP, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi, Unit
from matcher.ledger.rows.motions import Motion, MotionEnd, MotionKind
from matcher.ledger.rows.periods import PeriodClose, last_day, quarter_after, quarter_of, year_of
from matcher.ledger.rows.result_claims import ExternalClaim
from matcher.ledger.rows.steps import State
from matcher.ledger.rules.configuration import ConfigurationVersion, default, versions
from matcher.ledger.rules.duties import (
    BARRED,
    Act,
    Deed,
    DutiesStart,
    Facts,
    barred,
    barred_second,
    deeds_of,
    parts_of,
    strictest,
)
from matcher.ledger.rules.model_cases import AspectScore
from matcher.ledger.rules.months import MonthReport, months_began
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.similarity import Similarity
from matcher.ledger.rules.targets import MoneyDefinitions, TargetBooks
from matcher.review.cases import Case
from matcher.review.decisions import Decision, Verdict
from matcher.review.own_lab.researchers import LabClaim
from matcher.review.people import FOR_TWO, AccountTie, Grant, Stake
from matcher.review.proposals import Proposal
from matcher.review.roles import STAFF, Role

CLOCK_ERROR = timedelta(hours=49)
"""How far moments may go back along a chain: a clock that was a day ahead, then a day behind."""
_FOR_TWO = tuple(kind.name for kind in (RecognitionRules, TargetBooks, MoneyDefinitions))
_DECIDERS = (Role.COMMITTEE, Role.OFFICE)
_SINGLE = (Unit.ALLIANCES, Unit.COMPANIES, Unit.CASES)
_ACTS = {
    State.CHECKED: Act.CHECK,
    State.RETURNED: Act.DECIDE,
    State.REFUSED: Act.DECIDE,
    State.RECOGNISED: Act.RECOGNISE,
    State.REVERSED: Act.AGREE,
}
_BEFORE_DUTIES = (State.CHECKED, State.RETURNED, State.RECOGNISED, State.REFUSED)
"""What the reporter never decided, also before the other duties held."""
_OF_A_FACT = (
    *("kpi", "amount", "natural_key", "occurred_on", "counts_on"),
    *("school_id", "school_shares", "company_id", "company_shares", "case_id"),
)
_Model = TypeVar("_Model", bound=SQLModel)


class Reported(NamedTuple):
    """What the rules ask of an entry."""

    seq: int
    id: str
    kind: str
    kpi: str
    amount: int
    shares: Mapping[str, int]
    natural_key: str
    occurred_on: Any
    counts_on: Any
    period: str
    late_for: str | None
    school_id: str | None
    school_shares: Mapping[str, int] | None
    company_id: str | None
    company_shares: Mapping[str, int] | None
    case_id: int | None
    decision_id: int | None
    reverses: str | None
    value_added: bool
    evidence: bool
    reporter: str
    reported_at: datetime


class Taken(NamedTuple):
    """What the rules ask of a step."""

    seq: int
    entry_id: str
    version: int
    state: str
    by: str
    at: datetime
    period: str | None
    kpi_year: int | None
    evidence: bool


class Replay:
    """What was walked along, and the rules over it."""

    def __init__(self) -> None:
        self._entries: dict[str, Reported] = {}
        self._steps: defaultdict[str, list[Taken]] = defaultdict(list)
        self._latest: dict[str, datetime] = {}
        self._there = set[tuple[str, str]]()

    def was_there(self, table: str, key: str) -> None:
        """Take note of a row from before anything was linked: two people were not asked of it then."""
        self._there.add((table, key))

    def entry(self, row: Mapping[str, Any], place: str) -> Iterator[ProofFinding]:
        """Take an entry in, as the walk passes it."""
        kept = {name: row[name] for name in Reported._fields}
        kept |= {"value_added": bool(row["value_added"].strip()), "evidence": bool(row["evidence"])}
        self._entries[row["id"]] = Reported(**kept)
        yield from self.moment("entries", row["reported_at"], place)

    def step(self, row: Mapping[str, Any], place: str) -> Iterator[ProofFinding]:
        """Take a step in, as the walk passes it."""
        kept = {name: row[name] for name in Taken._fields} | {"evidence": bool(row["evidence"])}
        self._steps[row["entry_id"]].append(Taken(**kept))
        yield from self.moment("steps", row["at"], place)

    def moment(self, of: str, at: datetime, place: str) -> Iterator[ProofFinding]:
        """Say whether a moment goes back behind the latest of its chain."""
        latest = self._latest.setdefault(of, at)
        if at < latest - CLOCK_ERROR:
            yield ProofFinding("rule", place, T_("is dated before what was written earlier"))
        self._latest[of] = max(at, latest)

    def findings(self, session: Session) -> Iterator[ProofFinding]:
        """Yield what no verb of the product would have written."""
        known = _Known(session)
        for entry in self._entries.values():
            steps = self._steps.get(entry.id, [])
            told = _entry_rules(known, entry, steps, self._entries)
            yield from (ProofFinding("rule", f"entry {entry.id}", one) for one in told)
        yield from self._motions(known)
        for place, one in (
            *_closings(known),
            *_roles(known, self._there),
            *_documents(known, self._there),
            *_standings(known),
            *_months(known),
        ):
            yield ProofFinding("rule", place, one)

    def _motions(self, known: _Known) -> Iterator[ProofFinding]:
        for motion in known.motions:
            place = f"motion {motion.id}"
            yield from self.moment("motions", motion.moved_at, place)
            end = known.ends.get(motion.id)
            if end is None:
                continue
            if end.at < motion.moved_at - CLOCK_ERROR:
                yield ProofFinding("rule", place, T_("ended before it was moved"))
            if not end.seconded:
                continue
            if barred_second(motion.moved_by, end.by, known.tied_to(end.by, end.at)) is not None:
                yield ProofFinding("rule", place, T_("was seconded by who is no second person"))
            if not self._carried_out(known, motion, end):
                yield ProofFinding("rule", place, T_("was seconded, and what it moved was not done"))

    def _carried_out(self, known: _Known, motion: Any, end: Any) -> bool:
        if motion.kind == MotionKind.CLOSE:
            close = known.closes.get(motion.subject)
            return close is not None and (close.moved_by, close.seconded_by, close.closed_at, close.totals) == (
                motion.moved_by,
                end.by,
                end.at,
                motion.payload["totals"],
            )
        if motion.kind in (MotionKind.RECOGNISE, MotionKind.REVERSE):
            wanted = State.RECOGNISED if motion.kind == MotionKind.RECOGNISE else State.REVERSED
            steps = self._steps.get(motion.subject, [])
            return any((one.state, one.by, one.at) == (wanted, end.by, end.at) for one in steps)
        return motion.id in known.by_motion


class _Known:
    """What entries and steps rest on, read once."""

    def __init__(self, session: Session) -> None:
        self.motions: list[Any] = _all(session, Motion)
        self.ends: dict[int, Any] = {one.motion_id: one for one in _all(session, MotionEnd, "motion_id")}
        self.motions_on = _grouped(self.motions, "subject")
        self.closes: dict[str, Any] = {one.period: one for one in _all(session, PeriodClose, "period")}
        in_order = list(self.closes.values())
        self._periods = [one.period for one in in_order]
        self._entries_n, self._steps_n = [one.entries_n for one in in_order], [one.steps_n for one in in_order]
        self.documents: list[Any] = _all(session, ConfigurationVersion)
        self.grants: list[Any] = _all(session, Grant)
        self.grants_of = _grouped(self.grants, "account_id")
        self.stakes_of = _grouped(_all(session, Stake), "account_id")
        self.claims_of = _grouped(_all(session, LabClaim), "account_id")
        self._ties: list[Any] = _all(session, AccountTie)
        merged: list[Any] = _all(session, RecordMerge)
        self._merged = [one for one in merged if one.kind == Mendable.PERSON]
        ways = [*self.documents, *self.grants]
        self.by_motion = {one.motion_id for one in ways} - {None}
        self.rules = [(at, one) for at, one in versions(session, RecognitionRules)]
        self.alliances = set(session.execute(select(Alliance.id)).scalars().all())
        self.elsewhere = _grouped(_all(session, ExternalClaim), "natural_key")
        self.alike = {one.entry_id for one in _all(session, Similarity)}
        self.cases: dict[int, Any] = {one.id: one for one in _all(session, Case)}
        self.decisions: dict[int, Any] = {one.id: one for one in _all(session, Decision)}
        self.shown = dict(session.execute(select(Proposal.id, Proposal.pairing_id)).all())
        self.ladders: list[Any] = _all(session, LadderStep)
        self.scores_of = _grouped(_all(session, AspectScore), "entry_id")
        self.months: list[Any] = _all(session, MonthReport)
        self.months_began = months_began(session)
        self.money: list[Any] = _all(session, SufficiencyRow)
        self.points: list[Any] = _all(session, PointRow)
        start = session.exec(select(DutiesStart)).first()
        self.duties_n = 0 if start is None else start.steps_n

    def tied_to(self, who: str, at: datetime) -> frozenset[str]:
        """Return the accounts that somebody was tied to at a moment."""
        pairs = [(one.account_id, one.by) for one in self._ties if one.at <= at and who in (one.account_id, one.by)]
        pairs += [
            (one.gone_id, one.kept_id)
            for one in self._merged
            if one.at <= at and (one.undone_at is None or one.undone_at > at) and who in (one.gone_id, one.kept_id)
        ]
        return frozenset(one for pair in pairs for one in pair) - {who}

    def holds(self, who: str, roles: Sequence[Role], scopes: Iterable[str], at: datetime) -> bool:
        """Whether somebody had one of the roles, in one of the scopes or in the whole programme, and not lost it."""
        within = {*scopes, ""}
        return any(
            one.role in roles
            and one.scope_id in within
            and (one.revoked_at is None or one.revoked_at > at - CLOCK_ERROR)
            for one in self.grants_of.get(who, ())
        )

    def closed_before(self, seq: int, *, of_steps: bool) -> str | None:
        """Return the last quarter that was closed when an entry or a step of this number was written."""
        place = bisect_left(self._steps_n if of_steps else self._entries_n, seq)
        return self._periods[place - 1] if place else None

    def rules_at(self, at: datetime) -> RecognitionRules:
        """Return the rules of recognition that held at a moment."""
        held = [one for since, one in self.rules if since <= at]
        return held[-1] if held else default(RecognitionRules)

    def was_confirmed(self, entry: Reported, at: datetime) -> bool:
        """Whether an entry lay before the committee at a moment."""
        since = self.rules_at(at).months_confirmed_from or self.months_began
        if since is None or day_in_taipei(entry.reported_at) < since:
            return True
        return any(one.alliance_id in entry.shares and entry.reported_at <= one.until for one in self.months)

    def is_large(self, entry: Reported, step: Taken) -> bool:
        """Whether recognising an entry took two people when it was done."""
        if entry.kpi != Kpi.MONEY:
            return False
        if step.seq <= self.duties_n:
            return entry.amount > self.rules_at(step.at).two_people_from_ntd
        limits = [(at, one.two_people_from_ntd) for at, one in self.rules if at <= step.at]
        otherwise = default(RecognitionRules).two_people_from_ntd
        return entry.amount > strictest(limits, entry.reported_at, otherwise=otherwise)

    def facts(self, entry: Reported, by: str, before: Sequence[Taken], at: datetime) -> Facts:
        """Return what was known of an entry and a person at a moment."""
        whole: Any = entry
        case = None if entry.case_id is None else self.cases.get(entry.case_id)
        moved = [one for one in self.motions_on.get(entry.id, ()) if one.moved_at <= at]
        steps: Any = before
        deeds = deeds_of(whole, steps, moved, None)
        decision = self.decisions.get(entry.decision_id or 0)
        if decision is not None:
            # Who accepted, not who leads the case by now.
            deeds.append(Deed(Act.ACCEPT, decision.by))
        mine = (self.grants_of.get(by, []), self.stakes_of.get(by, []), self.claims_of.get(by, []))
        parts = parts_of(whole, case, grants=mine[0], stakes=mine[1], claims=mine[2], at=at)
        return Facts(deeds, self.tied_to(by, at), parts)


def _all(session: Session, model: type[_Model], order: str = "id") -> list[Row[Any]]:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return list(session.connection().execute(table.select().order_by(table.c[order])).all())


def _grouped(rows: Iterable[Any], name: str) -> dict[Any, list[Any]]:
    found: defaultdict[Any, list[Any]] = defaultdict(list)
    for one in rows:
        found[getattr(one, name)].append(one)
    return found


def _entry_rules(
    known: _Known, entry: Reported, steps: Sequence[Taken], entries: Mapping[str, Reported]
) -> Iterator[str]:
    yield from _booked(known, entry)
    if entry.kind == EntryKind.REVERSAL:
        yield from _reversal(known, entry, steps, entries)
    elif entry.kpi == Kpi.ACCEPTANCES:
        yield from _acceptance(known, entry)
    else:
        yield from _report(known, entry, steps)
        for number, step in enumerate(steps):
            yield from _step_rules(known, entry, steps[:number], step)
        yield from _by_committee(known, entry, steps)


def _booked(known: _Known, entry: Reported) -> Iterator[str]:
    """An entry stands in its own quarter, or in the open one if that was closed."""
    own, closed = quarter_of(entry.occurred_on), known.closed_before(entry.seq, of_steps=False)
    wanted = (own, None) if closed is None or own > closed else (quarter_after(closed), own)
    if (entry.period, entry.late_for) != wanted:
        yield T_("is not booked in the quarter that was open for it")


def _report(known: _Known, entry: Reported, steps: Sequence[Taken]) -> Iterator[str]:
    if entry.id.startswith(ACCEPTANCE_PREFIX) or entry.id.endswith(REVERSAL_SUFFIX):
        yield T_("has an id that only the ledger itself gives")
    kpi = Kpi(entry.kpi)
    if entry.amount != 1 and (KPI_FACTS[kpi].unit in _SINGLE or kpi is Kpi.TALENT):
        yield T_("is one of its figure, and has another amount")
    start, today = known.rules_at(entry.reported_at).programme_start, day_in_taipei(entry.reported_at)
    if not start <= entry.occurred_on <= today:
        yield T_("happened outside of the programme, or after it was reported")
    if not known.alliances.issuperset(entry.shares):
        yield T_("has a share of an alliance that there is not")
    if entry.counts_on < entry.occurred_on or (entry.counts_on != entry.occurred_on and kpi is not Kpi.MONEY):
        yield T_("counts on a day on which it can't")
    if not known.holds(entry.reporter, STAFF, entry.shares, entry.reported_at):
        yield T_("was reported by who had no role in an alliance of its shares")
    first = steps[0] if steps else None
    if first is None:
        return
    if (first.by, first.at) != (entry.reporter, entry.reported_at):
        yield T_("its first step is not its report")
    if entry.id in known.alike and first.state != State.HELD:
        yield T_("resembled another claim and was not held")


def _acceptance(known: _Known, entry: Reported) -> Iterator[str]:
    decision = known.decisions.get(entry.decision_id or 0)
    if decision is None or decision.verdict != Verdict.ACCEPT:
        yield T_("no decision accepted it")
        return
    if known.shown.get(decision.proposal_id) != decision.pairing_id:
        yield T_("was accepted on a proposal of another pairing")
    said = (decision.by, decision.at, {decision.alliance_id: WHOLE_BP}, f"{ACCEPTANCE_PREFIX}{entry.case_id}")
    if (entry.reporter, entry.reported_at, dict(entry.shares), entry.id) != said or entry.amount != 1:
        yield T_("is not what its decision says")
    case = known.cases.get(entry.case_id or 0)
    if case is None or case.decision_id != entry.decision_id:
        yield T_("its case is not the one that its decision opened")


def _reversal(known: _Known, entry: Reported, steps: Sequence[Taken], entries: Mapping[str, Reported]) -> Iterator[str]:
    fact = entries.get(entry.reverses or "")
    if fact is None or fact.kind != EntryKind.FACT or fact.seq > entry.seq:
        yield T_("reverses what is no fact before it")
        return
    if any(getattr(fact, name) != getattr(entry, name) for name in _OF_A_FACT):
        yield T_("is not of the same result as what it reverses")
    if entry.kpi == Kpi.ACCEPTANCES:
        undone = [one for one in known.decisions.values() if one.undoes == fact.decision_id]
        if [one.by for one in undone] != [entry.reporter]:
            yield T_("no verdict was taken back for it")
        return
    said = (State.RECOGNISED.value, entry.reporter, entry.reported_at)
    if [(one.state, one.by, one.at) for one in steps] != [said]:
        yield T_("its step is not its reversal")
    if not _by_two(known, fact.id, MotionKind.REVERSE, entry.reporter, entry.reported_at):
        yield T_("was reversed without a motion that a second person agreed to")
    yield from _counted(known, fact, steps[-1] if steps else None)


def _step_rules(known: _Known, entry: Reported, before: Sequence[Taken], step: Taken) -> Iterator[str]:
    state, last = State(step.state), before[-1] if before else None
    said = f"{step.version} ({step.state})"
    if step.at < (last.at if last else entry.reported_at) - CLOCK_ERROR:
        yield T_("step %(said)s is dated before the one before it", said=said)
    told_apart = state is State.REPORTED and last is not None and last.state == State.HELD
    act = Act.DECIDE if told_apart else _ACTS.get(state)
    if act is None:
        return
    if act is Act.RECOGNISE and known.is_large(entry, step):
        act = Act.SECOND
    if step.seq > known.duties_n:
        bar = barred(act, step.by, known.facts(entry, step.by, before, step.at))
        if bar is not None:
            yield T_("step %(said)s was taken by who may not: %(bar)s", said=said, bar=BARRED[bar])
    elif state in _BEFORE_DUTIES and step.by == entry.reporter:
        yield T_("step %(said)s was taken by its reporter", said=said)
    if not known.holds(step.by, _DECIDERS, entry.shares, step.at):
        yield T_("step %(said)s was taken by who is of no committee of its alliances and not of the office", said=said)
    if state is State.RECOGNISED:
        yield from _recognised(known, entry, before, step)
    if state is State.REVERSED and not _by_two(known, entry.id, MotionKind.REVERSE, step.by, step.at):
        yield T_("was reversed without a motion that a second person agreed to")


def _by_committee(known: _Known, entry: Reported, steps: Sequence[Taken]) -> Iterator[str]:
    """The committee checks what a lead stands by, and its members alone score the aspects of a model case."""
    for step in steps:
        if step.state == State.CHECKED and not known.was_confirmed(entry, step.at):
            yield T_("was checked before a lead of its alliances confirmed the month")
    for one in known.scores_of.get(entry.id, ()):
        if not known.holds(one.by, (Role.COMMITTEE,), entry.shares, one.at):
            yield T_("was scored by who is of no committee of its alliances")


def _recognised(known: _Known, entry: Reported, before: Sequence[Taken], step: Taken) -> Iterator[str]:
    if not entry.value_added:
        yield T_("was recognised without a statement of what GLORIA added")
    if not (entry.evidence or any(one.evidence for one in before)):
        yield T_("was recognised without evidence")
    if entry.school_id is None:
        yield T_("was recognised without a school")
    for one in known.elsewhere.get(entry.natural_key, ()):
        stood = one.noted_at < step.at and (one.ended_at is None or one.ended_at > step.at)
        if one.kpi == entry.kpi and stood:
            yield T_("was recognised while another programme claimed it")
    if known.is_large(entry, step) and not _by_two(known, entry.id, MotionKind.RECOGNISE, step.by, step.at):
        yield T_("is large money and was recognised without a motion that a second person agreed to")
    yield from _counted(known, entry, step)


def _counted(known: _Known, entry: Reported, step: Taken | None) -> Iterator[str]:
    if step is None:
        return
    own, closed = quarter_of(entry.occurred_on), known.closed_before(step.seq, of_steps=True)
    if closed is None or own > closed:
        wanted = (own, entry.counts_on.year)
    else:
        open_one = quarter_after(closed)
        wanted = (open_one, max(entry.counts_on.year, year_of(open_one)))
    if (step.period, step.kpi_year) != wanted:
        yield T_("does not count in the quarter and year that were open for it")


def _by_two(known: _Known, subject: str, kind: MotionKind, by: str, at: datetime) -> bool:
    """Whether a motion on this was seconded by this person at this moment."""
    for motion in known.motions_on.get(subject, ()):
        end = known.ends.get(motion.id)
        if motion.kind == kind and end is not None and end.seconded and (end.by, end.at) == (by, at):
            return bool(motion.moved_by != by)
    return False


_Told = Iterator[tuple[str, str]]


def _closings(known: _Known) -> _Told:
    last = None
    for close in known.closes.values():
        place = f"quarter {close.period}"
        if last is not None and close.period != quarter_after(last.period):
            yield place, T_("was closed before the quarters before it")
        if last is not None and (close.entries_n < last.entries_n or close.steps_n < last.steps_n):
            yield place, T_("was closed on fewer rows than the quarter before it")
        if day_in_taipei(close.closed_at) <= last_day(close.period):
            yield place, T_("was closed before it was over")
        if close.moved_by == close.seconded_by:
            yield place, T_("was closed by one person")
        if not _by_two(known, close.period, MotionKind.CLOSE, close.seconded_by, close.closed_at):
            yield place, T_("was closed without a motion that a second person agreed to")
        last = close


def _roles(known: _Known, there: set[tuple[str, str]]) -> _Told:
    for one in known.grants:
        place = f"grant {one.id}"
        if one.granted_by == one.account_id:
            yield place, T_("was given by its own holder")
        late = ("role_grant", str(one.id)) not in there
        if late and one.role in FOR_TWO and one.granted_by is not None:
            motion = next((m for m in known.motions if m.id == one.motion_id), None)
            subject = f"{one.account_id} {one.role} {one.scope_id}"
            if motion is None or (motion.kind, motion.subject) != (MotionKind.GRANT, subject):
                yield place, T_("was given without a motion that a second person agreed to")


def _documents(known: _Known, there: set[tuple[str, str]]) -> _Told:
    last: defaultdict[str, int] = defaultdict(int)
    for one in sorted(known.documents, key=lambda row: (row.name, row.version)):
        place = f"rules {one.name} {one.version}"
        if one.version != last[one.name] + 1:
            yield place, T_("does not follow the version before it")
        last[one.name] = one.version
        late = ("configuration_version", str(one.id)) not in there
        if late and one.name in _FOR_TWO:
            motion = next((m for m in known.motions if m.id == one.motion_id), None)
            if motion is None or (motion.kind, motion.subject) != (MotionKind.CONFIGURE, one.name):
                yield place, T_("binds two people and was changed without a motion that a second person agreed to")


def _standings(known: _Known) -> _Told:
    stands: dict[tuple[str, str], Any] = {}
    for one in sorted(known.ladders, key=lambda row: (row.alliance_id, row.ladder, row.version)):
        last = stands.get((one.alliance_id, one.ladder))
        alone = last is None and one.rung == Rung.GRADUATED
        follows = alone or Rung(one.rung) in NEXT_RUNGS[None if last is None else Rung(last.rung)]
        if not follows or one.version != (0 if last is None else last.version) + 1:
            yield f"ladder step {one.id}", T_("does not follow the step before it")
        stands[one.alliance_id, one.ladder] = one
    alike = ("alliance_id", "item", "occurred_on", "amount_ntd")
    yield from _reversals("amount", known.money, alike)
    yield from _reversals("points", known.points, ("alliance_id", "person", "activity", "points", "occurred_on"))


def _months(known: _Known) -> _Told:
    last: dict[tuple[str, str], int] = defaultdict(int)
    for one in known.months:
        place, key = f"month {one.alliance_id} {one.month}", (one.alliance_id, one.month)
        if one.version != last[key] + 1:
            yield place, T_("does not follow the confirmation before it")
        last[key] = one.version
        if not known.holds(one.by, (Role.LEAD,), [one.alliance_id], one.at):
            yield place, T_("was confirmed by who did not lead its alliance")
        if one.until > one.at + CLOCK_ERROR:
            yield place, T_("was confirmed beyond the moment of it")


def _reversals(name: str, rows: Sequence[Any], alike: Sequence[str]) -> _Told:
    of = {one.id: one for one in rows}
    for one in rows:
        fact = of.get(one.reverses)
        if one.reverses is None:
            continue
        if fact is None or fact.reverses is not None or any(getattr(fact, c) != getattr(one, c) for c in alike):
            yield f"{name} {one.id}", T_("reverses what is not its like")
