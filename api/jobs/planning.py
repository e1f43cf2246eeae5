"""A plan for all needs, worked out by a worker: what is open now, ranked or taken from an earlier plan, solved, kept.

In: a job that names an alliance or the whole programme, picks, and maybe the plan that they change. Out: the plan,
kept, by its number. It exists apart from the worker because a plan is for whoever asked: only needs that they may read
and have no interest in, and only labs that they may be shown. Candidates of an earlier plan are used again, so that a
click is answered in seconds; what hard rules, verdicts and interests say is asked again all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, func, not_
from sqlmodel import Session, and_, col, false, or_, select, true

from api.access.policy import Action, Reach, Resource, reaches
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable
from api.jobs.job_queue import JobRefusedError, RunningJob
from api.trail.audit_trail import Subject
from indexer.database import reading
from indexer.encoders.query_vectors import EncodingBusyError
from indexer.instants import day_in_taipei, now
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.portfolio.kept_plans import KeptPlan, keep_plan, plan_of, prospects_kept
from matcher.portfolio.open_needs import carried, open_needs
from matcher.portfolio.picks import PlanError, PlanPicks
from matcher.portfolio.plans import Carried, OpenNeed, Prospects, fingerprint, planned, prospects_of
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher
from matcher.review.intake import OPEN_STATES, NeedIntake
from matcher.review.people import Principal

_AT_ONCE = 8
"""Needs ranked between two looks at whether to stop: few enough that nobody who waits for a match waits long."""
_TRIES = 10
_PAUSE_S = 2.0


@dataclass(frozen=True)
class ToPlan:
    """The needs that somebody may plan for, and how many open ones are left out, by why."""

    needs: tuple[OpenNeed, ...]
    left_out: dict[str, int]


def visible_plans(who: Principal, action: Action) -> ColumnElement[bool]:
    """Return the condition on `KeptPlan`: those of the own alliance, or all."""
    reach = reaches(who, Resource.PORTFOLIO, action)
    found = [
        true() if far is Reach.ALL else col(KeptPlan.alliance_id).in_(who.scopes(role)) for role, far in reach.items()
    ]
    return or_(false(), *found)


def to_plan(session: Session, who: Principal, alliance_id: str | None) -> ToPlan:
    """Return the open needs of an alliance, or of the programme, that a person may read and has no interest in."""
    allowed = visible_needs(who, Action.LIST, Resource.PORTFOLIO)
    if alliance_id is not None:
        allowed = and_(allowed, NeedIntake.alliance_id == alliance_id)
    found = open_needs(session, and_(allowed, readable(who)))
    free = tuple(one for one in found.needs if not who.has_stake(company_id=one.need.company, lab_id=None))
    unreadable = (
        select(func.count())
        .select_from(NeedIntake)
        .join(Need, col(Need.id) == NeedIntake.need_id)
        .where(allowed, not_(readable(who)), col(NeedIntake.state).in_([state.value for state in OPEN_STATES]))
    )
    left_out = {
        "with_lab": found.with_lab,
        "too_many": found.too_many,
        "unreadable": session.exec(unreadable).one(),
        "withheld": len(found.needs) - len(free),
    }
    return ToPlan(free, left_out)


def run_portfolio(running: RunningJob, live: LiveMatcher) -> None:
    """Carry out the making of a plan.

    Raises:
        JobRefusedError: the picks make no plan; whatever `RunningJob.step` raises.
    """
    if running.done_before():
        return
    parameters, alliance_id = running.job.parameters, running.job.alliance_id
    matcher = live.current()
    with reading(running.engine) as session:
        who = running.who(session)
        found = to_plan(session, who, alliance_id)
        load = carried(session, matcher.labs, day_in_taipei(now()))
        base = plan_seen(session, who, parameters["based_on"])
        earlier = {} if base is None or parameters["afresh"] else prospects_kept(session, base)
    barred = {party_id for party, party_id in who.stakes if party == "lab"}
    try:
        picks = PlanPicks.read(parameters["words"]).only(one.need.id for one in found.needs)
        asked = _Asked(matcher, picks, load, barred, running.check, running.stopping.wait)
        prospects, is_new = asked.prospects(found.needs, earlier)
    except PlanError as error:
        raise JobRefusedError(str(error)) from error
    had = {} if base is None else {one.need_id: one.lab_id for one in plan_of(base).given if one.lab_id}
    plan = planned(found.needs, prospects, load, picks, kept=had)

    def work(session: Session, who: Principal) -> dict[str, object]:
        if alliance_id is None and Reach.ALL not in reaches(who, Resource.PORTFOLIO, Action.CREATE).values():
            raise JobRefusedError(T_("the role that allowed it is gone"))
        row = keep_plan(
            session,
            plan=plan,
            left_out=found.left_out,
            prospects=prospects if is_new else None,
            alliance_id=alliance_id,
            words=picks.words,
            rests_on=fingerprint(found.needs, prospects, load, picks),
            generation=matcher.snapshot.generation,
            by=who.id,
            now=now(),
            based_on=base,
        )
        running.subjects.update(Subject("need", one.need_id) for one in plan.given)
        return {"plan_id": row.id}

    running.step(0, done=1, total=1, work=work)


def plan_seen(session: Session, who: Principal, plan_id: int | None) -> KeptPlan | None:
    """Return a plan that a person may read, None if there is none."""
    if plan_id is None:
        return None
    query = select(KeptPlan).where(KeptPlan.id == plan_id, visible_plans(who, Action.READ))
    return session.exec(query).first()


@dataclass(frozen=True)
class _Asked:
    """What candidates are asked for with."""

    matcher: Matcher
    picks: PlanPicks
    load: Carried
    barred: set[str]
    check: Callable[[], None]
    wait: Callable[[float], bool]

    def prospects(self, needs: Sequence[OpenNeed], earlier: dict[str, Prospects]) -> tuple[list[Prospects], bool]:
        """Return the candidates of each need, and whether any of them are other than those of an earlier plan."""
        pins = dict(self.picks.pins)
        known = {
            need_id: one for need_id, one in earlier.items() if need_id not in pins or one.of(pins[need_id]) is not None
        }
        missing = [one for one in needs if one.need.id not in known]
        for start in range(0, len(missing), _AT_ONCE):
            self.check()
            known |= {one.need_id: one for one in self._ranked(missing[start : start + _AT_ONCE])}
        return [self._still(one, known[one.need.id]) for one in needs], bool(missing)

    def _ranked(self, needs: Sequence[OpenNeed]) -> list[Prospects]:
        for left in range(_TRIES, -1, -1):
            try:
                return list(prospects_of(self.matcher, needs, self.picks, rooms=self.load.rooms, barred=self.barred))
            except EncodingBusyError:
                # Those who wait for an answer come first.
                if not left:
                    raise
                self.wait(_PAUSE_S)
                self.check()
        raise AssertionError("the last try returns or raises")

    def _still(self, one: OpenNeed, kept: Prospects) -> Prospects:
        """Return candidates without the labs that may not be proposed any more."""
        aside = self.matcher.table.set_aside(one.need, self.matcher.company_of(one.need))
        out = {lab_id for ids in aside.values() for lab_id in ids} | one.declined | self.barred
        labs = tuple(pair for pair in kept.labs if pair[0] not in out and pair[0] in self.matcher.labs)
        return replace(kept, labs=labs)
