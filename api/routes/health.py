"""Whether the process lives, and what it can do right now.

In: nothing. Out: two answers for whoever watches over the service.
"""

from __future__ import annotations

from dataclasses import asdict

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import text

from api.answers import AliveAnswer, ReadyAnswer
from api.index_age import is_old
from api.jobs import counts
from api.metrics import exposition
from api.request_threads import ThreadedRoute
from indexer.database import BusyError, DatabaseGoneError, reading

router = APIRouter(tags=["operation"], route_class=ThreadedRoute)


@router.get("/healthz", response_model=AliveAnswer)
async def healthz() -> Response:
    """Say that the process answers; touches neither database nor index."""
    return Response(b'{"status":"ok"}', media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Give counts and durations in Prometheus's text format; nothing of people or needs is in them."""
    try:
        with reading(request.app.state.engine) as session:
            jobs = counts(session)
    except (BusyError, DatabaseGoneError):
        # The other figures are wanted most when the database is away.
        jobs = {}
    return Response(exposition(jobs), media_type="text/plain; version=1.0.0; charset=utf-8")


@router.get(
    "/readyz",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer, "description": "The database can't be used."}},
)
def readyz(request: Request) -> Response:
    """Say function by function what can be served: intake, review and cases need the database, matches the index."""
    try:
        with reading(request.app.state.engine) as session:
            session.connection().execute(text("SELECT 1"))
        database = True
    except (BusyError, DatabaseGoneError):
        database = False
    state = request.app.state.live.state()
    matching = state.generation is not None
    document = {
        "intake": database,
        "review": database,
        "matching": database and matching,
        "index": {
            **asdict(state),
            "is_old": state.created_at is not None and is_old(state.created_at),
            "problem": None if state.problem is None else "see the log",
        },
        "views": asdict(request.app.state.views.state()),
    }
    body = orjson.dumps(document)
    return Response(body, 200 if database else 503, {"Cache-Control": "no-store"}, "application/json")
