"""Plans for all needs: what to keep to, the plans that were made, one plan with what was given up, picks by click.

In: limits and picks as forms send them. Out: a page that begins a plan, one that waits for it, and the plan: a sentence
on what it comes to or which limits clash, what changed since the one before, and for each need its lab, with the form
that pins, rules out, keeps apart and leaves out, and solves again. Nothing is decided here: each row leads to the need
with the lab opened, where labs are accepted as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER, PortfolioBody
from api.jobs.job_queue import FINISHED, JobKind
from api.pages.shell.record_names import BothNames, Names, names, titles
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import Refusal, not_found
from api.routes.jobs import read_job, read_result
from api.routes.pairings import find_team
from api.routes.portfolio import ask_for_plan, list_plans, read_plan
from indexer.records.record_tables import Alliance
from indexer.vocabulary import Tier
from matcher.portfolio.picks import SILENT_ROOM, PlanPicks
from matcher.review.people import Principal
from matcher.review.roles import Role
from matcher.teams.teams import TeamPicks

router = APIRouter(prefix="/portfolio", include_in_schema=False, route_class=ThreadedRoute)

PlanId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
JobId = Annotated[str, Path(max_length=200)]
RecordId = Annotated[str, Path(max_length=200)]
Against = Annotated[int | None, Query(ge=1, le=MAX_ROW_NUMBER)]
_TIERS = (Tier.GOLD, Tier.INTERNATIONAL, Tier.DOMESTIC, Tier.NONE)
_SHOWN_PLANS = 20


def _admitted(_: Session, who: Principal) -> Principal:
    """Look at nothing: whoever may not enter the page at all is told so before anything is looked for."""
    return who


@router.get("")
def show_plans(visit: Annotated[Visit, Depends(visiting(Resource.PORTFOLIO, Action.LIST))]) -> Response:
    """Show what a new plan keeps to, and the plans that were made."""
    visit.look(_admitted)
    return _start(visit, PlanPicks())


def _start(visit: Visit, picks: PlanPicks, refused: Refusal | None = None) -> Response:
    plans = visit.document(list_plans, limit=_SHOWN_PLANS, cursor=None)["items"]
    return visit.show(
        "portfolio/start.html",
        refused.status if refused else 200,
        plans=plans,
        picks=picks,
        tiers=_tiers(picks),
        silent_room=SILENT_ROOM,
        refused=refused,
        alliances=_alliances(visit),
    )


def _alliances(visit: Visit) -> Names:
    """Return the alliances of whoever leads several, who has to choose, with their names; nobody else has to."""

    def own(session: Session, who: Principal) -> Names:
        led = [] if who.holds(Role.OFFICE) else sorted(who.scopes(Role.LEAD))
        return names(session, Alliance, led) if len(led) > 1 else {}

    return visit.look(own)


def _tiers(picks: PlanPicks) -> list[tuple[Tier, int]]:
    asked = dict(picks.tiers)
    return [(tier, asked.get(tier, 0)) for tier in _TIERS]


@router.post("")
def begin_plan(visit: Annotated[Visit, Depends(visiting(Resource.PORTFOLIO, Action.CREATE))]) -> Response:
    """Begin a plan."""
    visit.look(_admitted)
    words = _limits(visit)
    asked = {"words": words, "alliance": str(visit.form.get("alliance", "")) or None}
    job = visit.attempt(lambda: visit.document(ask_for_plan, body=visit.body(PortfolioBody, asked)))
    if isinstance(job, Refusal):
        return _start(visit, _readable(words), job)
    return visit.go(f"/portfolio/jobs/{job['id']}")


def _limits(visit: Visit) -> list[str]:
    """Return the limits of the form as words; what is left empty limits nothing."""
    given = {name: str(visit.form.get(name, "")).strip() for name in ("expert", "alliance_load", "silent")}
    named = {"expert": "expert", "alliance_load": "alliance", "silent": "silent"}
    words = [f"{named[name]}:{value}" for name, value in given.items() if value]
    shares = {tier: str(visit.form.get(f"tier-{tier.value}", "")).strip() for tier in _TIERS}
    return [*words, *(f"tier:{tier.value}.{share}" for tier, share in shares.items() if share not in ("", "0"))]


def _readable(words: Sequence[str]) -> PlanPicks:
    """Return the picks of words that may be wrong."""
    try:
        return PlanPicks.read(words)
    except ValueError:
        return PlanPicks()


@router.get("/jobs/{job_id}")
def wait_for_plan(job_id: JobId, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.READ))]) -> Response:
    """Wait until a plan is made, and go there; or say why it was not."""
    visit.look(_admitted)
    job = visit.document(read_job, job_id=job_id)
    if job["kind"] != JobKind.PORTFOLIO:
        raise not_found("job")
    if job["state"] in FINISHED:
        made = visit.attempt(lambda: visit.document(read_result, job_id=job_id))
        if not isinstance(made, Refusal):
            return visit.go(f"/portfolio/{made['plan_id']}")
    return visit.show(
        "portfolio/_waiting.html" if visit.by_htmx else "portfolio/waiting.html",
        job=job,
        ended=job["state"] in FINISHED,
    )


@router.get("/needs/{need_id}/labs/{lab_id}")
@takes(MATCHING)
def open_lab(
    need_id: RecordId, lab_id: RecordId, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]
) -> Response:
    """Go to a need with one lab opened, which is stored as shown, so that it can be decided on."""
    visit.look(_admitted)
    picks = TeamPicks(most=1, included=(lab_id,))

    def found() -> dict[str, Any]:
        # What is shown is stored, and belongs to the state that storing it leaves.
        with visit.storing():
            shown: dict[str, Any] = visit.document(find_team, need_id=need_id, picks=picks, steering=None)
            return shown

    team = visit.attempt(found)
    if isinstance(team, Refusal):
        if team.status == 404:
            raise not_found("need")
        return visit.go(f"/needs/{need_id}/ranked", N_("This lab may not be proposed for the need any more."))
    return visit.go(f"/needs/{need_id}/pairings/{team['members'][0]['pairing_id']}")


@router.get("/{plan_id}")
def show_plan(
    plan_id: PlanId,
    visit: Annotated[Visit, Depends(visiting(Resource.PORTFOLIO, Action.READ))],
    against: Against = None,
) -> Response:
    """Show a plan."""
    visit.look(_admitted)
    return _plan(visit, plan_id, against)


def _plan(visit: Visit, plan_id: int, against: int | None, refused: Refusal | None = None) -> Response:
    plan = visit.document(read_plan, plan_id=plan_id, against=against)
    plans = visit.document(list_plans, limit=_SHOWN_PLANS, cursor=None)["items"]
    picks = PlanPicks.read(plan["words"])
    shown = {one["need_id"] for one in plan["needs"]}
    labs = visit.request.app.state.live.current().labs
    forbidden: dict[str, list[tuple[str, BothNames]]] = {}
    for need_id, lab_id in picks.forbidden:
        if lab_id in labs:
            forbidden.setdefault(need_id, []).append((lab_id, (labs[lab_id].name, labs[lab_id].name_en)))
    beside = {*picks.without, *(one for pair in picks.apart for one in pair)} - shown
    named = visit.look(lambda session, who: titles(session, who, beside, to=visit))
    return visit.show(
        "portfolio/plan.html",
        refused.status if refused else 200,
        plan=plan,
        others=[one for one in plans if one["id"] != plan_id],
        picks=picks,
        tiers=_tiers(picks),
        silent_room=SILENT_ROOM,
        forbidden=forbidden,
        left_out=[one for one in picks.without if one not in shown],
        apart=picks.apart,
        titles={**named, **{one["need_id"]: one["title"] for one in plan["needs"]}},
        refused=refused,
    )


@router.post("/{plan_id}/again")
def solve_again(
    plan_id: PlanId, visit: Annotated[Visit, Depends(visiting(Resource.PORTFOLIO, Action.CREATE))]
) -> Response:
    """Solve again with what was picked, from the same candidates unless they are to be ranked anew."""
    visit.look(_admitted)
    plan = visit.document(read_plan, plan_id=plan_id, against=None)
    asked = {
        "words": [*_limits(visit), *_picked(visit)],
        "alliance": plan["alliance"],
        "based_on": plan_id,
        "afresh": bool(visit.form.get("afresh")),
    }
    job = visit.attempt(lambda: visit.document(ask_for_plan, body=visit.body(PortfolioBody, asked)))
    if isinstance(job, Refusal):
        return _plan(visit, plan_id, None, job)
    return visit.go(f"/portfolio/jobs/{job['id']}")


def _picked(visit: Visit) -> list[str]:
    """Return what was picked in the rows: each field has the word itself, so that it means the same without script."""
    form = visit.form
    words = [str(one) for name in ("pin", "never", "without", "apart") for one in form.getlist(name) if str(one)]
    together = [str(form.get(name, "")) for name in ("apart_one", "apart_other")]
    if all(together) and together[0] != together[1]:
        words.append(f"apart:{together[0]},{together[1]}")
    return list(dict.fromkeys(words))
