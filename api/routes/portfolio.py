"""Plans for all needs at once: asked for, listed, read, and held against each other.

In: picks and the plan that they change; the number of a plan. Out: a job that makes the plan; plans as far as whoever
reads one may read their needs. It exists apart from the pairings because a plan is about all needs and decides nothing:
a lab is accepted where it always is, on the need's own ranking.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Reach, Resource, reaches
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER, PortfolioBody
from api.documents.jobs import JobAnswer
from api.documents.matching.portfolio import ListedPlanAnswer, MadePlan, PlanAnswer, PlanReader, plan_document
from api.jobs.job_queue import JobKind, ask_for
from api.jobs.planning import plan_seen, to_plan, visible_plans
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from api.routes.jobs import job_document
from indexer.records.profiles import Need as NeedProfile
from indexer.records.record_tables import Alliance, Need, load_needs
from indexer.wording import T_
from matcher.portfolio.kept_plans import KeptPlan, plan_of
from matcher.portfolio.open_needs import names_of_carriers
from matcher.portfolio.picks import PlanError, PlanPicks
from matcher.portfolio.plans import Plan, changes
from matcher.review.people import Account, Principal

router = APIRouter(prefix="/api", tags=["portfolio"], route_class=ThreadedRoute)

PlanId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.post("/portfolio", status_code=202, response_model=JobAnswer)
def ask_for_plan(
    body: PortfolioBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.PORTFOLIO, Action.CREATE))]
) -> Response:
    """Plan all open needs of your alliance, or of the programme, in the background; the job's result is its number.

    The worst served need comes first, then the sum of the chances, within what labs and experts can carry. With
    `based_on` the candidates of that plan are used again. Nothing is decided by a plan.
    """

    def work(session: Session, who: Principal) -> Reply:
        picks = PlanPicks.read(body.words)
        alliance_id = _alliance_of(session, who, body.alliance)
        base = plan_seen(session, who, body.based_on)
        if body.based_on is not None and (base is None or base.alliance_id != alliance_id):
            raise ProblemError(422, "portfolio", T_("there is no such plan of yours"), "based_on")
        _check_named(session, who, picks, alliance_id, earlier=None if base is None else PlanPicks.read(base.words))
        job = ask_for(
            session,
            kind=JobKind.PORTFOLIO,
            account_id=who.id,
            alliance_id=alliance_id,
            parameters={"words": picks.words, "based_on": body.based_on, "afresh": body.afresh},
            now=ask.at,
            total=1,
        )
        return Reply(202, job_document(job, who), {"Location": f"/api/jobs/{job.id}"})

    response = ask.write(work, body)
    ask.request.app.state.jobs.wake()
    return response


def _alliance_of(session: Session, who: Principal, alliance: str | None) -> str | None:
    """Return for whom a plan is: an alliance, or None for the programme.

    Raises:
        ProblemError: 422, it is not theirs to plan for.
    """
    reach = reaches(who, Resource.PORTFOLIO, Action.CREATE)
    if Reach.ALL in reach.values():
        if alliance is not None and session.get(Alliance, alliance) is None:
            raise ProblemError(422, "invalid", T_("there is no such alliance"), "alliance")
        return alliance
    own = sorted(who.scopes(*reach))
    chosen = alliance or (own[0] if len(own) == 1 else None)
    if chosen not in own:
        raise ProblemError(422, "invalid", T_("choose one of your own: %(own)s", own=", ".join(own)), "alliance")
    return chosen


def _check_named(
    session: Session, who: Principal, picks: PlanPicks, alliance_id: str | None, *, earlier: PlanPicks | None
) -> None:
    """Refuse picks of needs that are not planned for; what an earlier plan had picked is dropped in silence."""
    named, _ = picks.named()
    if not named:
        return
    had, _ = (PlanPicks() if earlier is None else earlier).named()
    known = {one.need.id for one in to_plan(session, who, alliance_id).needs}
    for one in sorted(named - known - had):
        raise PlanError(T_("%(need)s is no open need without a lab", need=one))


@router.get("/portfolio", response_model=Page[ListedPlanAnswer])
def list_plans(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.PORTFOLIO, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the plans that were made for your alliance, the newest first."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(KeptPlan, Account.name).join(Account, col(Account.id) == KeptPlan.by)
        query = query.where(visible_plans(who, Action.LIST)).order_by(col(KeptPlan.id).desc()).limit(limit + 1)
        before = decoded(cursor, int)
        if before is not None:
            query = query.where(col(KeptPlan.id) < before)
        items = [_listed(row, name) for row, name in session.exec(query).all()]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


def _listed(row: KeptPlan, name: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "alliance": row.alliance_id,
        "based_on": row.based_on,
        "made_at": row.at.isoformat(),
        "made_by": name,
        "needs": len(row.result["given"]),
        "served": row.result["served"],
        "clashes": bool(row.result["clash"]),
    }


@router.get("/portfolio/{plan_id}", response_model=PlanAnswer)
def read_plan(
    plan_id: PlanId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.PORTFOLIO, Action.READ))],
    against: Annotated[
        int | None, Query(ge=1, le=MAX_ROW_NUMBER, description="Say what differs from this plan; default: `based_on`.")
    ] = None,
) -> Response:
    """Read a plan: for each need its lab, what stood in the way of its best, or which limits clash.

    Needs that you may not read now, or have an interest in, are counted and not named.
    """
    matcher = ask.request.app.state.live.current()

    def work(session: Session, who: Principal) -> Reply:
        row = plan_seen(session, who, plan_id)
        if row is None:
            raise not_found("plan")
        other = plan_seen(session, who, against or row.based_on)
        if against is not None and other is None:
            raise not_found("plan")
        plan = plan_of(row)
        before = None if other is None else _labs_by_need(plan_of(other))
        after = _labs_by_need(plan)
        made_by = session.exec(select(Account.name).where(Account.id == row.by)).first()
        made = MadePlan(
            words=row.words,
            left_out=row.result["left_out"],
            generation=row.generation,
            rests_on=row.rests_on,
            id=row.id,
            alliance_id=row.alliance_id,
            based_on=row.based_on,
            made_at=row.at,
            made_by=made_by,
            against=None if other is None else other.id,
        )
        reader = _reader(session, who, {*after, *(before or {})}, plan)
        differs = () if before is None or plan.clash else changes(before, after)
        return Reply(200, plan_document(matcher, plan, made, differs, reader, to=ask), {})

    return ask.read(work)


def _labs_by_need(plan: Plan) -> dict[str, str | None]:
    return {one.need_id: one.lab_id for one in plan.given}


def _reader(session: Session, who: Principal, need_ids: set[str], plan: Plan) -> PlanReader:
    """Return which needs of plans a person may read now, and what is called how for them."""
    may = visible_needs(who, Action.READ, Resource.PORTFOLIO)
    asked = select(Need.id).where(col(Need.id).in_(need_ids), may, readable(who))
    found: list[NeedProfile] = load_needs(session, session.exec(asked).all())
    needs = {need.id: need for need in found if not who.has_stake(company_id=need.company, lab_id=None)}
    limits = (*plan.clash, *plan.cheapest, *(one.limit for one in plan.given if one.limit is not None))
    carriers = {(one.of, one.whose) for one in limits if one.of in ("expert", "alliance")}
    labs = {party_id for party, party_id in who.stakes if party == "lab"}
    return PlanReader(needs, labs, names_of_carriers(session, carriers))
