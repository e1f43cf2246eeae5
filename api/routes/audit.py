"""The audit trail: who saw and did what, read by those whom it concerns.

In: a question of the programme office, of a lead, or of the company whose need it is. Out: rows of the trail. To read
it is a view like any other and leaves its own row.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.answers import Page
from api.asking import Asking, asking
from api.audit_answers import AuditRowAnswer, NeedSeenPageAnswer
from api.audit_documents import SEEN_DAYS, AuditFilter, audit_documents, need_seen, visible
from api.audit_trail import AuditRow, Outcome
from api.file_answers import file_of
from api.idempotency import Reply
from api.paging import Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.routes.exports import ROWS_PER_PAGE, FileFormat, Source, exported
from api.routes.needs import find_need
from api.visibility import own_needs
from indexer.instants import day_in_taipei
from indexer.records import Need
from indexer.writers import MEDIA_TYPES, Document, Format, Sheet, Value
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(prefix="/api", tags=["audit"], route_class=ThreadedRoute)

_MAX_ID = 200
_FIRST, _LAST = date(1990, 1, 1), date(2200, 1, 1)


async def _filter(
    subject: Annotated[str | None, Query(max_length=_MAX_ID, description="Only rows about this record, by id.")] = None,
    kind: Annotated[str | None, Query(max_length=40, description="Of which kind it is, such as need.")] = None,
    account: Annotated[str | None, Query(max_length=_MAX_ID, description="Only this account's, by id.")] = None,
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


@router.get("/audit", response_model=Page[AuditRowAnswer])
def list_audit(
    chosen: AuditChosen,
    ask: Annotated[Asking, Depends(asking(Resource.AUDIT, Action.LIST))],
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


@router.get("/needs/{need_id}/audit", response_model=NeedSeenPageAnswer)
def read_need_audit(
    need_id: str,
    ask: Annotated[Asking, Depends(asking(Resource.AUDIT, Action.READ))],
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


@router.get("/exports/audit", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
def export_audit(
    chosen: AuditChosen,
    ask: Annotated[Asking, Depends(asking(Resource.AUDIT, Action.LIST))],
    file_format: FileFormat = Format.JSONL,
) -> Response:
    """Export who saw and did what as far as you may see it, the oldest first."""

    def rows(session: Session, who: Principal, after: Any, _: bool) -> list[tuple[Any, Document]]:
        query = select(AuditRow).where(visible(who), chosen.condition(), AuditRow.seq > (after or 0))
        found = session.exec(query.order_by(col(AuditRow.seq)).limit(ROWS_PER_PAGE)).all()
        return [(one["seq"], one) for one in audit_documents(session, who, found)]

    return exported(ask, "audit", Source((_SHEET,), rows), file_format)
