"""Joint visits to a company: the questionnaire, the team that is proposed with its agenda, then findings and report.

In: what the company answered, as a form; changes to the team, the agenda, the findings. Out: the visits of a company
with the form for a new one; a visit as it stands, with what comes next. A need that is to be written goes to where
needs are taken down, filled in: it is confirmed there like any letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER, NewVisitBody, VisitBody, VisitMoveBody
from api.pages.shell.record_names import names
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal, not_found
from api.routes.companies import read_company
from api.routes.joint.visits import edit_visit, list_visits, move_company_visit, plan_company_visit, read_visit
from indexer.records.record_tables import Alliance, School
from matcher.handouts.visit_report import DEGREE_LABELS
from matcher.review.joint.diagnosis import AGENDA_LABELS, MOST_LINE, TOPICS, Topic
from matcher.review.joint.visits import NEXT_VISIT_STATES, VISIT_STATE_LABELS, VisitState
from matcher.review.people import Principal
from matcher.review.roles import STAFF

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

VisitId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
CompanyId = Annotated[str, Path(max_length=200)]
_SHOWN = 20
_ROOM = 2
"""Empty lines for more items of an agenda, and for more next steps."""
_LABELS = {
    "topics": {topic.value: facts.label for topic, facts in TOPICS.items()},
    "questions": {topic.value: facts.question for topic, facts in TOPICS.items()},
    "degrees": DEGREE_LABELS,
    "states": {state.value: label for state, label in VISIT_STATE_LABELS.items()},
    "agenda_parts": dict(AGENDA_LABELS),
    "most_line": MOST_LINE,
}


def _admitted(_: Session, who: Principal) -> Principal:
    """Look at nothing: whoever may not enter the page at all is told so before anything is looked for."""
    return who


@router.get("/companies/{company_id}/visits")
def show_visits(
    company_id: CompanyId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.LIST))]
) -> Response:
    """Show the visits to a company, and the questionnaire for a new one."""
    visit.look(_admitted)
    return _visits(visit, company_id)


def _visits(visit: Visit, company_id: str, refused: Refusal | None = None) -> Response:
    visits = visit.document(list_visits, company_id=company_id, limit=_SHOWN, cursor=None)["items"]
    company = visit.document(read_company, company_id=company_id)
    given = {name: str(value) for name, value in visit.form.items()} if refused else {}
    own = sorted(visit.who().scopes(*STAFF))
    # Whoever works for one alliance has nothing to choose.
    alliances = visit.look(lambda session, _: names(session, Alliance, own)) if len(own) > 1 else {}
    return visit.show(
        "joint/visits.html",
        refused.status if refused else 200,
        alliances=alliances,
        company=company,
        visits=visits,
        refused=refused,
        given=given,
        **_LABELS,
    )


@router.post("/companies/{company_id}/visits")
@takes(MATCHING)
def plan(company_id: CompanyId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.CREATE))]) -> Response:
    """Plan a visit from what the company answered."""
    visit.look(_admitted)
    form = visit.form
    answers = [
        {"topic": topic.value, "degree": degree, "line": str(form.get(f"line-{topic.value}", ""))}
        for topic in Topic
        if (degree := str(form.get(f"degree-{topic.value}", "0"))) not in ("", "0")
    ]
    given = {"answers": answers, **visit.values("held_on", "place", "alliance")}
    made = visit.attempt(
        lambda: visit.document(plan_company_visit, company_id=company_id, body=visit.body(NewVisitBody, given))
    )
    if isinstance(made, Refusal):
        if made.status == 404:
            raise not_found("company")
        return _visits(visit, company_id, made)
    return visit.go(f"/visits/{made['id']}", N_("The visit is planned. Nobody has been asked yet."))


@router.get("/visits/{visit_id}")
def show_visit(visit_id: VisitId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.READ))]) -> Response:
    """Show a visit."""
    visit.look(_admitted)
    return _visit(visit, visit_id)


def _visit(visit: Visit, visit_id: int, refused: Refusal | None = None, form: str = "") -> Response:
    reply = visit.reply(read_visit, visit_id=visit_id)
    shown: dict[str, Any] = reply.document
    state = VisitState(shown["state"])
    ids = sorted({one["school"] for one in shown["team"] if one["school"]})
    schools = visit.look(lambda session, _: names(session, School, ids))
    others = {one["lab_id"]: one for member in shown["team"] for one in member["stand_ins"]}
    return visit.show(
        "joint/visit.html",
        refused.status if refused else 200,
        visit=shown,
        etag=reply.headers["ETag"],
        schools=schools,
        others=[one for lab_id, one in others.items() if lab_id not in {one["lab_id"] for one in shown["team"]}],
        lab_names={one["lab_id"]: (one["name"], one["name_en"]) for one in [*others.values(), *shown["team"]]},
        ways=[one.value for one in NEXT_VISIT_STATES[state]],
        is_planned=state is VisitState.PLANNED,
        is_open=state in (VisitState.PLANNED, VisitState.HELD),
        room=_ROOM,
        marked=marked,
        refused=refused,
        form=form,
        given={name: str(value) for name, value in visit.form.items()} if refused else {},
        **_LABELS,
    )


@router.post("/visits/{visit_id}/plan")
@takes(MATCHING)
def change_plan(visit_id: VisitId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.EDIT))]) -> Response:
    """Change the day, the place and the team; another team makes another agenda."""
    visit.look(_admitted)
    known = visit.document(read_visit, visit_id=visit_id)
    labs = [str(one) for one in visit.form.getlist("lab")]
    given: dict[str, Any] = visit.values("held_on") | {"place": str(visit.form.get("place", ""))}
    if set(labs) != {one["lab_id"] for one in known["team"]}:
        given["labs"] = labs
    return _changed(visit, visit_id, given, "plan", N_("The plan is changed."))


@router.post("/visits/{visit_id}/agenda")
def change_agenda(
    visit_id: VisitId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.EDIT))]
) -> Response:
    """Change the agenda; a line without a time is left out."""
    visit.look(_admitted)
    return _changed(visit, visit_id, {"agenda": _agenda(visit.form)}, "agenda", N_("The agenda is changed."))


def _agenda(form: Mapping[str, Any]) -> list[dict[str, Any]]:
    numbers = sorted({int(found[1]) for name in form if (found := re.fullmatch(r"at-(\d{1,2})", name))})
    items = []
    for number in numbers:
        at, who = str(form.get(f"at-{number}", "")).strip(), str(form.get(f"who-{number}", ""))
        if at:
            items.append(
                {
                    "at": at[:5],
                    "part": str(form.get(f"part-{number}", "other")),
                    "labs": [one for one in who.split(",") if one],
                    "note": str(form.get(f"note-{number}", "")),
                }
            )
    return sorted(items, key=lambda one: one["at"])


@router.post("/visits/{visit_id}/findings")
def write_findings(
    visit_id: VisitId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.EDIT))]
) -> Response:
    """Write down what was found, and which needs are to be written."""
    visit.look(_admitted)
    form = visit.form
    findings = {topic.value: str(form[f"finding-{topic.value}"]) for topic in Topic if f"finding-{topic.value}" in form}
    numbers = sorted({int(found[1]) for name in form if (found := re.fullmatch(r"title-(\d{1,2})", name))})
    steps = [
        {"title": str(form.get(f"title-{n}", "")).strip(), "text": str(form.get(f"text-{n}", ""))} for n in numbers
    ]
    given = {"findings": findings, "next_steps": [one for one in steps if one["title"]]}
    return _changed(visit, visit_id, given, "findings", N_("It is written down."))


@router.post("/visits/{visit_id}/state")
def move(visit_id: VisitId, visit: Annotated[Visit, Depends(visiting(Resource.VISIT, Action.MOVE))]) -> Response:
    """Say that the visit was held, reported or called off."""
    visit.look(_admitted)
    body = visit.values("state", "note")

    def work() -> Any:
        return visit.document(move_company_visit, visit_id=visit_id, body=visit.body(VisitMoveBody, body))

    return _done(visit, visit_id, work, "state", N_("The visit has gone on."))


def _changed(visit: Visit, visit_id: int, given: dict[str, Any], form: str, said: str) -> Response:
    def work() -> Any:
        return visit.document(edit_visit, visit_id=visit_id, body=visit.body(VisitBody, given))

    return _done(visit, visit_id, work, form, said)


def _done(visit: Visit, visit_id: int, work: Callable[[], Any], form: str, said: str) -> Response:
    done = visit.attempt(work)
    if isinstance(done, Refusal):
        if done.status == 404:
            raise ProblemError(404, done.name, done.detail)
        return _visit(visit, visit_id, done, form)
    return visit.go(f"/visits/{visit_id}", said)
