"""Where an alliance stands: its targets against their pace, what is proposed, and the steps that were taken.

In: a day; from the programme office a step with its reason. Out: readings with
the entries behind them, findings, and dated rungs. What can follow what is the
ledger's to say.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.asking import Asking, asking
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.ledger_visibility import reached_alliances
from api.policy import Action, Resource
from api.problems import ProblemError
from api.request_threads import ThreadedRoute
from api.routes.figures import AsOf
from api.standing_answers import LadderStepAnswer, StandingAnswer, WarningsAnswer
from api.standing_bodies import LadderBody
from api.standing_documents import finding_document, label, reading_document, rung_document
from indexer.instants import day_in_taipei
from indexer.records import Alliance
from indexer.wording import T_, either
from matcher.ledger.configuration import current
from matcher.ledger.figures import end_of
from matcher.ledger.kpis import Kpi
from matcher.ledger.ladder import LadderStep, Rung, agree_plan, graduate, step, steps_of, warn
from matcher.ledger.standings import findings, readings_on, standings
from matcher.ledger.targets import TargetBooks
from matcher.ledger.warnings import Level, Reading
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["alliances"], route_class=ThreadedRoute)

ThisAlliance = Annotated[str, Path(max_length=200)]
Book = Annotated[
    str | None, Query(max_length=100, description="The target book; the first if left out.", examples=["schedule"])
]
_FIELDS_OF = {"owner": Rung.PLAN, "due_on": Rung.PLAN, "as_of": Rung.WARNING, "book": Rung.WARNING}


@router.get("/alliances/{alliance_id}/standing", response_model=StandingAnswer)
def read_standing(
    alliance_id: ThisAlliance,
    ask: Annotated[Asking, Depends(asking(Resource.STANDING, Action.READ))],
    as_of: AsOf = None,
    book: Book = None,
) -> Response:
    """Read how an alliance stands: targets against pace with the entries behind, findings, rungs with their reasons."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        day = as_of or day_in_taipei(ask.at)
        code, read = readings_on(session, [alliance_id], day, book)
        moment = end_of(day)
        standing = standings(session, as_of=moment, alliances=[alliance_id])
        document = {
            "alliance": alliance_id,
            "as_of": day.isoformat(),
            "book": code,
            "readings": [reading_document(one) for one in read],
            "findings": [finding_document(one) for one in findings(read, standing, day)],
            "rungs": [rung_document(one) for one in standing],
            "steps": [row.model_dump(mode="json") for row in steps_of(session, alliance_id) if row.at <= moment],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.get("/warnings", response_model=WarningsAnswer)
def list_warnings(
    ask: Annotated[Asking, Depends(asking(Resource.STANDING, Action.READ))], as_of: AsOf = None, book: Book = None
) -> Response:
    """List your alliances with the targets that are behind, the steps that are proposed, and where each stands."""

    def work(session: Session, who: Principal) -> Reply:
        reached = reached_alliances(who, ask.resource, ask.action)
        known = session.exec(select(Alliance).order_by(col(Alliance.id))).all()
        shown = [one for one in known if reached is None or one.id in reached]
        day = as_of or day_in_taipei(ask.at)
        code, read = readings_on(session, [one.id for one in shown], day, book)
        standing = standings(session, as_of=end_of(day), alliances=[one.id for one in shown])
        found = findings(read, standing, day)
        books = current(session, TargetBooks, at=end_of(day)).books
        document = {
            "as_of": day.isoformat(),
            "book": code,
            "books": {one.code: label(either(one.title_zh, one.title_en)) for one in books},
            "alliances": [
                {
                    "alliance": one.id,
                    "name": label(either(one.name, one.name_en or one.name)),
                    "behind": [
                        reading_document(reading)
                        for reading in read
                        if reading.alliance == one.id and reading.level is not Level.ON_PACE
                    ],
                    "findings": [finding_document(finding) for finding in found if finding.alliance == one.id],
                    "rungs": [rung_document(rung) for rung in standing if rung.alliance == one.id],
                }
                for one in shown
            ],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/alliances/{alliance_id}/ladder", status_code=201, response_model=LadderStepAnswer)
def take_ladder_step(
    alliance_id: ThisAlliance, body: LadderBody, ask: Annotated[Asking, Depends(asking(Resource.LADDER, Action.CREATE))]
) -> Response:
    """Warn an alliance, agree a plan, help, let it exit, lift what stands, or let it graduate early.

    Every step is about a figure, but for graduation. A warning is for a gap that the rules call one; a plan names who
    carries it out and by when.
    """

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        _check_fields(body)
        taken = _taken(session, ask, alliance_id, body, who.id)
        return Reply(201, taken.model_dump(mode="json"), {})

    return ask.write(work, body)


def _check_fields(body: LadderBody) -> None:
    if (body.kpi is None) != (body.rung is Rung.GRADUATED):
        raise ProblemError(422, "invalid", T_("every step but graduation is about a figure, such as L"), "kpi")
    for name, rung in _FIELDS_OF.items():
        if getattr(body, name) is not None and body.rung is not rung:
            raise ProblemError(422, "invalid", T_("only a %(rung)s has this", rung=rung), name)
    for name in ("owner", "due_on"):
        if body.rung is Rung.PLAN and getattr(body, name) is None:
            raise ProblemError(422, "invalid", T_("a plan names who carries it out and by which day"), name)


def _taken(session: Session, ask: Asking, alliance_id: str, body: LadderBody, by: str) -> LadderStep:
    said: dict[str, Any] = {"reason": body.reason, "by": by, "now": ask.at}
    if body.kpi is None:
        return graduate(session, alliance_id=alliance_id, **said)
    if body.rung is Rung.WARNING:
        return warn(session, gap=_gap(session, ask, alliance_id, body, body.kpi), **said)
    if body.owner is not None and body.due_on is not None:
        said |= {"owner": body.owner, "due_on": body.due_on}
        return agree_plan(session, alliance_id=alliance_id, kpi=body.kpi, **said)
    return step(session, alliance_id=alliance_id, kpi=body.kpi, rung=body.rung, **said)


def _gap(session: Session, ask: Asking, alliance_id: str, body: LadderBody, kpi: Kpi) -> Reading:
    today = day_in_taipei(ask.at)
    day = body.as_of or today
    if not date(2000, 1, 1) <= day <= today:
        raise ProblemError(422, "invalid", T_("give a day from 2000-01-01 to today in Taipei"), "as_of")
    code, read = readings_on(session, [alliance_id], day, body.book)
    found = next((one for one in read if one.kpi is kpi), None)
    if found is None:
        raise ProblemError(
            422, "ledger", T_("the book %(code)s has no target of this figure for that year", code=code), "kpi"
        )
    return found
