"""The one list of an expert's day over HTTP, and what is done in it: put off, taken back, handed to a colleague.

In: who asks, whether the whole team's is wanted. Out: what waits, the most urgent first, with counts that are those of
the queue. It exists beside `/api/queue`, which gives the same things kind by kind.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import entries as visible_entries
from api.documents.bodies import PutOffBody
from api.documents.desk.today import DayPart, TodayAnswer, today_document, waiting_items
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.routes.companies import requests_answered_by
from api.routes.desk.queue import waiting_for
from indexer.instants import day_in_taipei
from matcher.ledger.figures.waiting import entries_waiting
from matcher.ledger.rows.steps import State
from matcher.review.clients import ClientRequest
from matcher.review.desk.putting_off import put_off_until, still_put_off, take_back
from matcher.review.desk.urgency import Task
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["queue"], route_class=ThreadedRoute)

MOST_OF_A_KIND = 200
"""So many of each kind are put in order; where more wait, the longest waiting of them."""
Subject = Annotated[str, Path(max_length=200)]


@router.get("/today", response_model=TodayAnswer)
def read_today(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.QUEUE, Action.READ))],
    *,
    whole_team: Annotated[bool, Query(description="Colleagues' too, not only yours and nobody's.")] = False,
    put_off: Annotated[bool, Query(description="Only what you have put off.")] = False,
    task: Annotated[Task | None, Query(description="Only of this kind.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50,
) -> Response:
    """Show what waits for you in one list: what is overdue, what is due, and of those what has more at stake first."""

    def work(session: Session, who: Principal) -> Reply:
        queue = waiting_for(session, who, ask.at, MOST_OF_A_KIND, to=ask)
        _, returned = entries_waiting(
            session, State.RETURNED, visible_entries(who, Action.SUPPLEMENT), limit=MOST_OF_A_KIND
        )
        requests = session.exec(
            select(ClientRequest)
            .where(col(ClientRequest.answer).is_(None), requests_answered_by(who))
            .order_by(col(ClientRequest.id))
            .limit(MOST_OF_A_KIND)
        ).all()
        today = day_in_taipei(ask.at)
        document = today_document(
            session,
            who,
            today,
            waiting_items(queue, returned, requests),
            still_put_off(session, who.id, today),
            DayPart(whole_team, put_off, task, limit),
        )
        return Reply(200, document, {})

    return ask.read(work)


@router.put("/today/{task}/{subject}/put-off", status_code=204)
def put_off_task(
    task: Task,
    subject: Subject,
    body: PutOffBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.QUEUE, Action.EDIT))],
) -> Response:
    """Put something off until a day; it leaves your list, and is back then or when something happens to it."""

    def work(session: Session, who: Principal) -> Reply:
        put_off_until(session, account_id=who.id, kind=task.value, subject=subject, until=body.until, now=ask.at)
        return Reply(204, None, {})

    return ask.write(work, body)


@router.delete("/today/{task}/{subject}/put-off", status_code=204)
def take_task_back(
    task: Task, subject: Subject, ask: Annotated[PermittedRequest, Depends(requires(Resource.QUEUE, Action.EDIT))]
) -> Response:
    """Have something on your list again that you put off."""

    def work(session: Session, who: Principal) -> Reply:
        take_back(session, account_id=who.id, kind=task.value, subject=subject)
        return Reply(204, None, {})

    return ask.write(work)
