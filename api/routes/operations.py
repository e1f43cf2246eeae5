"""How the service stands and what it did: whether it lives, the index it answers from, its nights, its audit trail.

In: a question of whoever watches over the service, of the programme office, or of the company whose need was met.
Out: health and metrics, generations of the index, nights with their steps and reports, rows of the audit trail. It
exists because these are read, and never written, by those who run the service or answer for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import text
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import own_needs
from api.documents.answers import AliveAnswer, Page, ReadyAnswer, file_of, index_is_old
from api.documents.audit import (
    SEEN_DAYS,
    AuditFilter,
    AuditRowAnswer,
    NeedSeenPageAnswer,
    audit_documents,
    need_seen,
    visible,
)
from api.documents.jobs import GenerationAnswer, ListedNightAnswer, NightAnswer
from api.jobs.job_queue import counts
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.metrics import exposition
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from api.routes.files.exports import ROWS_PER_PAGE, FileFormat, Source, exported
from api.routes.needs import find_need
from api.trail.audit_trail import AuditRow, Outcome
from api.trail.nights import REPORT_PAGE, Night, StepState, night_path, read_night, read_nights, who_is_at_it
from indexer.database import BusyError, DatabaseGoneError, reading
from indexer.index.generations import Listed, kept_generations
from indexer.instants import day_in_taipei
from indexer.records.record_tables import Need
from indexer.records.writers import MEDIA_TYPES, Document, Format, Sheet, Value
from matcher.review.people import Principal
from matcher.review.roles import Role

router = APIRouter(route_class=ThreadedRoute)


@router.get("/healthz", tags=["operation"], response_model=AliveAnswer)
async def healthz() -> Response:
    """Say that the process answers; touches neither database nor index."""
    return Response(b'{"status":"ok"}', media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
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
    tags=["operation"],
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
            "is_old": state.created_at is not None and index_is_old(state.created_at),
            "problem": None if state.problem is None else "see the log",
        },
        "views": asdict(request.app.state.views.state()),
    }
    body = orjson.dumps(document)
    return Response(body, 200 if database else 503, {"Cache-Control": "no-store"}, "application/json")


@router.get("/api/generations", tags=["operation"], response_model=Page[GenerationAnswer])
def list_generations(ask: Annotated[PermittedRequest, Depends(requires(Resource.GENERATION, Action.LIST))]) -> Response:
    """List the generations that are kept, the newest first; `serving` is the one that this server's answers rest on."""
    state = ask.request.app.state

    def work(_session: Session, _who: Principal) -> Reply:
        serving = state.live.state().on_disk
        items = [_document(one, serving) for one in kept_generations(state.home / "index")]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


def _document(one: Listed, serving: str | None) -> dict[str, Any]:
    manifest = one.manifest
    known: dict[str, Any] = {"created_at": None, "labs": None, "encoders": None, "size_bytes": None}
    if manifest is not None:
        known = {
            "created_at": manifest["created_at"],
            "labs": manifest["counts"]["labs"],
            "encoders": [encoder["name"] for encoder in manifest["encoders"]],
            "size_bytes": sum(file["bytes"] for file in manifest["files"].values()),
        }
    return {
        "name": one.name,
        "current": one.is_current,
        "serving": one.name == serving,
        "damaged": manifest is None,
        "held": one.held,
        **known,
    }


NightId = Annotated[str, Path(max_length=40, description="The day in Taipei and a number.", examples=["2026-11-24-1"])]
_HTML = "text/html; charset=utf-8"


@router.get("/api/nights", tags=["operation"], response_model=Page[ListedNightAnswer])
def list_nights(ask: Annotated[PermittedRequest, Depends(requires(Resource.NIGHT, Action.LIST))]) -> Response:
    """List the nights that are kept, the newest first, with what somebody should look at."""
    home = ask.request.app.state.home

    def work(_session: Session, _who: Principal) -> Reply:
        is_running = who_is_at_it(home) is not None
        # Only the newest can be the one that is carried out.
        items = [_listed(night, running=is_running and n == 0) for n, night in enumerate(read_nights(home))]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


@router.get("/api/nights/{night_id}", tags=["operation"], response_model=NightAnswer)
def follow_night(
    night_id: NightId, ask: Annotated[PermittedRequest, Depends(requires(Resource.NIGHT, Action.READ))]
) -> Response:
    """Read a night: every step with its state, times, figures and reasons; also while it is carried out."""
    home = ask.request.app.state.home

    def work(_session: Session, _who: Principal) -> Reply:
        night = read_night(home, night_id)
        if night is None:
            raise not_found("night")
        newest = next(iter(read_nights(home, limit=1)), night)
        state = night.state(running=night.id == newest.id and who_is_at_it(home) is not None)
        document = night.model_dump(mode="json")
        return Reply(200, {**document, "state": state.value, "total_s": night.total_s}, {})

    return ask.read(work)


@router.get("/api/nights/{night_id}/report", tags=["operation"], response_class=Response, responses=file_of([_HTML]))
def download_night_report(
    night_id: NightId, ask: Annotated[PermittedRequest, Depends(requires(Resource.NIGHT, Action.READ))]
) -> Response:
    """Download the report of a night, the page that is also mailed."""
    home = ask.request.app.state.home
    with reading(ask.engine) as session:
        ask.admitted(session)
    try:
        content = (night_path(home, night_id) / REPORT_PAGE).read_bytes()
    except (KeyError, FileNotFoundError):
        raise not_found("report of a night") from None
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="night-{night_id}.html"'}
    return Response(content, 200, headers, _HTML)


def _listed(night: Night, *, running: bool) -> dict[str, Any]:
    def named(state: StepState) -> list[str]:
        return [step.name for step in night.steps if step.state is state]

    return {
        "id": night.id,
        "day": night.day.isoformat(),
        "state": night.state(running=running).value,
        "started_at": night.starts[0].isoformat(),
        "finished_at": night.finished_at and night.finished_at.isoformat(),
        "total_s": night.total_s,
        "done": len(named(StepState.DONE)),
        "steps": len(night.steps),
        "failed": named(StepState.FAILED),
        "skipped": named(StepState.SKIPPED),
        "held": named(StepState.HELD),
    }


_MAX_ID_CHARS = 200
_FIRST, _LAST = date(1990, 1, 1), date(2200, 1, 1)


async def _filter(
    subject: Annotated[
        str | None, Query(max_length=_MAX_ID_CHARS, description="Only rows about this record, by id.")
    ] = None,
    kind: Annotated[str | None, Query(max_length=40, description="Of which kind it is, such as need.")] = None,
    account: Annotated[str | None, Query(max_length=_MAX_ID_CHARS, description="Only this account's, by id.")] = None,
    resource: Annotated[Resource | None, Query(description="Only views and changes of this.")] = None,
    action: Annotated[Action | None, Query(description="Only this.")] = None,
    outcome: Annotated[Outcome | None, Query(description="Only what ended like this.")] = None,
    since: Annotated[
        date | None, Query(alias="from", ge=_FIRST, le=_LAST, description="From this day on, in Taipei.")
    ] = None,
    until: Annotated[
        date | None, Query(alias="to", ge=_FIRST, le=_LAST, description="Until this day, in Taipei.")
    ] = None,
) -> AuditFilter:
    return AuditFilter(subject, kind, account, resource, action, outcome, since, until)


AuditChosen = Annotated[AuditFilter, Depends(_filter)]
"""The filters of a request."""


@router.get("/api/audit", tags=["audit"], response_model=Page[AuditRowAnswer])
def list_audit(
    chosen: AuditChosen,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.AUDIT, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List who saw and did what, the newest first: the office all, a lead what concerns the own alliance's needs."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(AuditRow).where(visible(who), chosen.condition()).order_by(col(AuditRow.seq).desc())
        before = decoded(cursor, int)
        if before is not None:
            query = query.where(AuditRow.seq < before)
        rows = session.exec(query.limit(limit + 1)).all()
        return Reply(200, page(audit_documents(session, who, rows), limit, "seq"), {})

    return ask.read(work)


@router.get("/api/needs/{need_id}/audit", tags=["audit"], response_model=NeedSeenPageAnswer)
def read_need_audit(
    need_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.AUDIT, Action.READ))],
    since: Annotated[
        date | None, Query(alias="from", ge=_FIRST, le=_LAST, description="The first day; 90 days ago if not said.")
    ] = None,
) -> Response:
    """Read who saw and changed a need, by day: for its company, its own alliance and the office."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.READ, Resource.AUDIT)
        if not who.holds(Role.OFFICE):
            own = select(Need.id).where(Need.id == need_id, own_needs(who))
            if session.exec(own).first() is None:
                raise not_found("need")
        first = since or day_in_taipei(ask.at) - timedelta(days=SEEN_DAYS)
        items = need_seen(session, who, need_id, first)
        return Reply(200, {"need_id": need_id, "since": first.isoformat(), "items": items}, {})

    return ask.read(work)


_HEADINGS = {
    "seq": "序號",
    "at": "時間",
    "account_id": "帳號",
    "name": "姓名",
    "key_id": "金鑰",
    "rights": "權限",
    "resource": "對象",
    "action": "動作",
    "how": "途徑",
    "method": "方法",
    "operation": "作業",
    "outcome": "結果",
    "status": "狀態碼",
    "request_id": "請求編號",
    "lost": "遺失筆數",
}


def _line(row: Document) -> Iterator[list[Value]]:
    subjects = "\n".join(f"{one['kind']} {one['id']}{' (withheld)' * one['withheld']}" for one in row["subjects"])
    yield [*(row[name] for name in _HEADINGS), subjects]


_SHEET = Sheet(
    "audit 稽核軌跡", (*(f"{name} {label}" for name, label in _HEADINGS.items()), "subjects 涉及紀錄"), _line
)


@router.get("/api/exports/audit", tags=["audit"], response_class=Response, responses=file_of(MEDIA_TYPES.values()))
def export_audit(
    chosen: AuditChosen,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.AUDIT, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export who saw and did what as far as you may see it, the oldest first."""

    def rows(session: Session, who: Principal, after: Any, _: bool) -> list[tuple[Any, Document]]:
        query = select(AuditRow).where(visible(who), chosen.condition(), AuditRow.seq > (after or 0))
        found = session.exec(query.order_by(col(AuditRow.seq)).limit(ROWS_PER_PAGE)).all()
        return [(one["seq"], one) for one in audit_documents(session, who, found)]

    return exported(ask, "audit", Source((_SHEET,), rows), file_format)
