"""Alliances' months over HTTP: read, and confirmed by a lead before the committee sees what was reported in them.

In: a month, and a lead's words on it. Out: the month as it stands, for one alliance or for all that somebody may see.
It exists because the monthly report is the alliance's and the quarterly check the committee's: what a month holds goes
to the committee, and its people are told, once the lead stands by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field
from sqlalchemy import not_
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import reached_alliances
from api.documents.answers import Answer
from api.documents.ledger_bodies import MonthBody
from api.letters.telling import tell_of_results
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.query_parameters import chosen_alliances
from api.routes.ledger.entries import standing_so
from indexer.records.record_tables import Alliance
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.steps import State
from matcher.ledger.rules.months import (
    MonthReport,
    MonthWords,
    confirm_month,
    confirmed,
    entries_of_month,
    first_day,
    is_confirmed,
    month_of,
    month_reports,
)
from matcher.ledger.rules.recognition import months_since
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["ledger"], route_class=ThreadedRoute)

OfMonth = Annotated[
    str | None, Query(max_length=20, description="The month; the one that runs if left out.", examples=["2019-05"])
]
_Alliance = Annotated[str, Path(max_length=200)]


class MonthReportAnswer(Answer):
    """What a lead confirmed of a month; `until` is how far it reaches: what was reported later waits for the next."""

    id: int
    alliance_id: str
    month: str
    version: int
    until: datetime
    achievements: str
    highlights: str
    gap: str
    measures: str
    help: str
    by: str
    at: datetime


class MonthAnswer(Answer):
    """An alliance's month: what holds of it (null: not confirmed), what was reported in it, what that waits for."""

    alliance_id: str
    month: str
    report: MonthReportAnswer | None
    entries: int
    unconfirmed: int = Field(description="Of these, how many no lead of their alliances has confirmed yet.")


class MonthDocumentAnswer(MonthAnswer):
    """An alliance's month with every confirmation of it, and the entries that were reported in it by id."""

    versions: list[MonthReportAnswer]
    reported: list[str]


class MonthsAnswer(Answer):
    """A month of all alliances that you may see; `since` is the day from which on the committee waits for it."""

    month: str
    since: str | None
    items: list[MonthAnswer]


def report_document(report: MonthReport) -> dict[str, Any]:
    """Return what a lead confirmed."""
    return report.model_dump(mode="json")


def month_document(
    alliance_id: str, month: str, report: MonthReport | None, entries: Sequence[Entry], unconfirmed: int
) -> dict[str, Any]:
    """Return an alliance's month."""
    return {
        "alliance_id": alliance_id,
        "month": month,
        "report": None if report is None else report_document(report),
        "entries": len(entries),
        "unconfirmed": unconfirmed,
    }


@router.get("/months", response_model=MonthsAnswer)
def list_months(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MONTH, Action.LIST))], month: OfMonth = None
) -> Response:
    """List a month of all alliances that you may see: who confirmed it, and what waits for that."""

    def work(session: Session, who: Principal) -> Reply:
        chosen = month_of(ask.at) if month is None else first_day(month).isoformat()[:7]
        reached = reached_alliances(who, ask.resource, ask.action)
        query = select(Alliance.id).order_by(col(Alliance.id))
        if reached is not None:
            query = query.where(col(Alliance.id).in_(reached))
        alliances = session.exec(query).all()
        held = month_reports(session, chosen, alliances)
        items = [_month(session, one, chosen, held.get(one)) for one in alliances]
        since = months_since(session)
        return Reply(200, {"month": chosen, "since": None if since is None else since.isoformat(), "items": items}, {})

    return ask.read(work)


@router.get("/alliances/{alliance_id}/month", response_model=MonthDocumentAnswer)
def read_month(
    alliance_id: _Alliance,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MONTH, Action.READ))],
    month: OfMonth = None,
) -> Response:
    """Read an alliance's month: every confirmation of it, and what was reported in it."""

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        chosen = month_of(ask.at) if month is None else first_day(month).isoformat()[:7]
        these = (MonthReport.alliance_id == alliance_id, MonthReport.month == chosen)
        versions = session.exec(select(MonthReport).where(*these).order_by(col(MonthReport.version))).all()
        entries = entries_of_month(session, alliance_id, chosen)
        document = {
            **_month(session, alliance_id, chosen, versions[-1] if versions else None),
            "versions": [report_document(one) for one in versions],
            "reported": [one.id for one in entries],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.post("/alliances/{alliance_id}/month", status_code=201, response_model=MonthReportAnswer)
def confirm_alliance_month(
    alliance_id: _Alliance,
    body: MonthBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MONTH, Action.CREATE))],
) -> Response:
    """Confirm a month as the alliance's lead: from now on what was reported in it lies before the committee.

    It is never changed; what comes later in the month waits until the month is confirmed again.
    """

    def work(session: Session, who: Principal) -> Reply:
        chosen_alliances(session, who, ask.resource, ask.action, alliance_id)
        waiting = _unconfirmed(session, entries_of_month(session, alliance_id, first_day(body.month).isoformat()[:7]))
        words = MonthWords(**body.model_dump(exclude={"month"}))
        report = confirm_month(session, alliance_id=alliance_id, month=body.month, words=words, by=who.id, now=ask.at)
        tell_of_results(session, [one for one in waiting if is_confirmed(session, one)], by=who.id, now=ask.at)
        return Reply(201, report_document(report), {})

    return ask.write(work, body)


def _month(session: Session, alliance_id: str, month: str, report: MonthReport | None) -> dict[str, Any]:
    entries = entries_of_month(session, alliance_id, month)
    return month_document(alliance_id, month, report, entries, len(_unconfirmed(session, entries)))


def _unconfirmed(session: Session, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the entries that still wait for somebody's word and that no lead stands by yet."""
    ids = [one.id for one in entries]
    waiting = col(Entry.id).in_(standing_so([State.HELD, State.REPORTED, State.RETURNED]))
    return session.exec(select(Entry).where(col(Entry.id).in_(ids), waiting, not_(confirmed()))).all() if ids else []
