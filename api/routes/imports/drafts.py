"""Lists on their way: sent, looked through, corrected, and imported as they are then; and mappings kept for the next.

In: a file of up to 8 MiB, and corrections by table, cell and row. Out: what is understood of it, where it is wrong,
what its import would do, and at last the job that does it. It exists so that the wizard in the pages is not the only
way to mend a list: a program can do whatever it does.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session

from api.access.ownership import ALLIANCES_KINDS, sender_of
from api.access.policy import Action, Reach, Resource, reaches
from api.documents.answers import Page
from api.documents.bodies import FillDownBody, ImportDraftBody, MappingBody, TableBody
from api.documents.jobs import ImportDraftAnswer, JobAnswer, ListRowsAnswer, LookedThroughAnswer, MappingAnswer
from api.jobs.import_drafts import (
    ImportDraft,
    Planned,
    begin,
    correct,
    discard,
    draft_of,
    drafts_of,
    meanings_in,
    opened,
    planned,
    read_draft,
    start,
)
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.routes.imports.looking import (
    cells_in,
    draft_document,
    filled_down,
    looked_through,
    problems_of,
    rows_document,
    table_named,
    typed_over,
    with_cells,
    with_rows_out,
)
from api.routes.jobs import alliance_of, checked_name, job_document
from api.trail.audit_trail import Subject, subject_kind
from indexer.database import reading
from indexer.plain_text import clean
from indexer.records.columns import COLUMNS
from indexer.records.import_log import SavedMapping, drop_own_mapping, keep_own_mapping, mappings_of, saved_mapping
from indexer.records.lists.corrections import Corrections, FoundTable, TableSaid
from indexer.records.lists.rows import IGNORED
from indexer.records.readers import Reading
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["imports"], route_class=ThreadedRoute)

MAX_LIST_BYTES = 8 * 2**20
_RAW = {
    "requestBody": {
        "required": True,
        "description": f"The file itself: JSON, CSV, XLSX, XLS or ODS, up to {MAX_LIST_BYTES // 2**20} MiB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
ImportId = Annotated[str, Path(max_length=200, description="The list's id.")]
MappingName = Annotated[str, Path(min_length=1, max_length=100, description="The name of a kept mapping.")]
_Name = Annotated[str, Query(min_length=1, max_length=200, description="The file's name.", examples=["labs.xlsx"])]
_Reads = Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.READ))]
_Edits = Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.EDIT))]
_MAX_ROWS = 200


@router.post("/import-drafts", status_code=201, openapi_extra=_RAW, response_model=ImportDraftAnswer)
async def send_list(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.CREATE))],
    name: _Name,
    alliance: Annotated[str | None, Query(max_length=200, description="To whom what is new goes.")] = None,
) -> Response:
    """Send a list to be looked through before it is imported. It is yours alone, and deleted 7 days after a change."""
    checked_name(name)

    def admit() -> None:
        with reading(ask.engine) as session:
            alliance_of(session, ask.admitted(session), None, alliance)
        ask.must_leave_room()

    # Who asks is known before a byte of the file is taken.
    await run_in_threadpool(admit)
    content = await ask.request.app.state.uploads.received(ask.request, MAX_LIST_BYTES)
    return await run_in_threadpool(keep_list, ask, name, alliance, content)


def keep_list(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.CREATE))],
    name: str,
    alliance: str | None,
    content: bytes,
) -> Response:
    """Keep a list that was received."""
    file_name = checked_name(name)
    ask.let_go()
    file = opened(content, file_name)
    # Before the database is held: the encoder may have to be loaded first.
    meant = meanings_in(file, file_name, ask.request.app.state.meanings)

    def work(session: Session, who: Principal) -> Reply:
        draft = begin(
            session,
            account_id=who.id,
            alliance_id=alliance_of(session, who, None, alliance),
            name=file_name,
            file=file,
            meant=meant,
            now=ask.at,
        )
        return Reply(201, draft_document(draft), _headers(draft) | {"Location": f"/api/import-drafts/{draft.id}"})

    return ask.write(work, sha256(content).hexdigest().encode())


@router.get("/import-drafts", response_model=Page[ImportDraftAnswer])
def list_lists(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.LIST))],
) -> Response:
    """List your lists that are kept, the newest first."""

    def work(session: Session, who: Principal) -> Reply:
        found = [draft_document(draft) for draft in reversed(drafts_of(session, who.id, ask.at))]
        return Reply(200, {"items": found, "next": None}, {})

    return ask.read(work)


@router.get("/import-drafts/{import_id}", response_model=LookedThroughAnswer)
def look_through(import_id: ImportId, ask: _Reads) -> Response:
    """Read what is understood of a list: tables, columns, problems where they stand, and what its import would do."""

    def work(session: Session, who: Principal) -> Reply:
        draft = _draft(session, who, ask, import_id)
        found = read_draft(draft)
        plans = _plans(session, who, ask, draft, found)
        return Reply(200, looked_through(draft, found, plans), _headers(draft))

    return ask.read(work)


@router.get("/import-drafts/{import_id}/rows", response_model=ListRowsAnswer)
def read_rows(
    import_id: ImportId,
    ask: _Reads,
    table: Annotated[str, Query(max_length=40, description="The table's key.", examples=["0-1"])],
    only_problems: Annotated[bool, Query(description="Only rows of which something is to be said.")] = False,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Go on after this row.")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MAX_ROWS)] = 50,
) -> Response:
    """Read rows of a table with what is wrong with each cell."""

    def work(session: Session, who: Principal) -> Reply:
        draft = _draft(session, who, ask, import_id)
        found = read_draft(draft)
        plans = _plans(session, who, ask, draft, found)
        rows = rows_document(
            _table(found, table), problems_of(found, plans), only_problems=only_problems, after=after, limit=limit
        )
        return Reply(200, rows, _headers(draft))

    return ask.read(work)


@router.patch("/import-drafts/{import_id}", response_model=ImportDraftAnswer)
def correct_list(import_id: ImportId, body: ImportDraftBody, ask: _Edits) -> Response:
    """Correct a list: what its tables and columns are, where headings stand, cells, and rows to be left out."""

    def change(session: Session, who: Principal, draft: ImportDraft) -> Corrections:
        del session
        corrections = draft.corrections
        if body.headers:
            headers = {**corrections.headers, **body.headers}
            kept = {sheet: row for sheet, row in headers.items() if row is not None}
            corrections = corrections.model_copy(update={"headers": kept})
        if body.tables:
            found = read_draft(draft)
            tables = dict(corrections.tables)
            for key, said in body.tables.items():
                tables[key] = _table_said(who, _table(found, key), corrections.of(key), said)
            corrections = corrections.model_copy(update={"tables": tables})
        stored = cells_in(read_draft(draft)) if body.cells else {}
        for cell in body.cells:
            # A number or a date stays one where nobody has written something else.
            typed = typed_over(stored.get((cell.sheet, cell.row, cell.column)), cell.value)
            if cell.value is None or typed is not None:
                corrections = with_cells(corrections, cell.sheet, [(cell.row, cell.column, typed)])
        for row in body.rows:
            corrections = with_rows_out(corrections, row.sheet, [(row.row, row.left_out)])
        return corrections

    return _corrected(import_id, ask, change, body)


def _plans(
    session: Session, who: Principal, ask: PermittedRequest, draft: ImportDraft, found: Reading
) -> list[Planned]:
    """Return what the import would do; which ids it says another alliance has, is kept in the trail."""
    plans = planned(session, draft, found, sender_of(who, draft.alliance_id), ask.at)
    ask.note_told(who, [Subject(subject_kind(plan.kind), one) for plan in plans for one in plan.anothers])
    return plans


def _table_said(who: Principal, table: FoundTable, before: TableSaid, body: TableBody) -> TableSaid:
    """Return what is said of a table; another kind has other fields, so that the columns begin anew."""
    kind = body.kind if body.kind is not None or "kind" in body.model_fields_set else before.kind
    if kind is not None and kind not in kinds_of(who):
        raise ProblemError(422, "invalid", T_("only the programme office imports %(kind)s", kind=kind), "kind")
    now = kind or table.kind
    same = now is (before.kind or table.kind)
    columns = dict(before.columns) if same else {}
    columns.update(body.columns or {})
    known = {"", IGNORED} | ({column.field for column in COLUMNS[now]} if now is not None else set())
    for heading, field in columns.items():
        if field not in known:
            raise ProblemError(422, "invalid", T_("there is no such field of %(kind)s", kind=now or "-"), heading)
    fixed = dict(before.fixed) if same else {}
    fixed.update({name: value for name, value in (body.fixed or {}).items() if name in known})
    left_out = body.left_out if "left_out" in body.model_fields_set else before.left_out
    return TableSaid(
        kind=kind, left_out=left_out, columns=columns, fixed={name: value for name, value in fixed.items() if value}
    )


@router.post("/import-drafts/{import_id}/fill-down", response_model=ImportDraftAnswer)
def fill_down(import_id: ImportId, body: FillDownBody, ask: _Edits) -> Response:
    """Put a cell's value into the cells below it, down to the next one that holds something right."""

    def change(session: Session, who: Principal, draft: ImportDraft) -> Corrections:
        found = read_draft(draft)
        plans = _plans(session, who, ask, draft, found)
        table = _table(found, body.table)
        return filled_down(table, problems_of(found, plans), draft.corrections, body.row, body.column)

    return _corrected(import_id, ask, change, body, any_version=True)


def _corrected(
    import_id: str,
    ask: PermittedRequest,
    change: Callable[[Session, Principal, ImportDraft], Corrections],
    body: ImportDraftBody | FillDownBody,
    *,
    any_version: bool = False,
) -> Response:
    def work(session: Session, who: Principal) -> Reply:
        draft = _draft(session, who, ask, import_id)
        if not any_version:
            ask.must_match(_etag(draft))
        correct(session, draft, change(session, who, draft), ask.at)
        return Reply(200, draft_document(draft), _headers(draft))

    return ask.write(work, body)


@router.post("/import-drafts/{import_id}/import", status_code=202, response_model=JobAnswer)
def import_list(import_id: ImportId, ask: _Edits) -> Response:
    """Import a list as it is corrected now, in the background. It is kept for what is still to be mended."""

    def work(session: Session, who: Principal) -> Reply:
        draft = _draft(session, who, ask, import_id)
        # Whoever has left an alliance since brings nothing into it.
        alliance_of(session, who, None, draft.alliance_id)
        job = start(session, draft, now=ask.at)
        ask.about("job", job.id)
        return Reply(202, job_document(job, who), {"Location": f"/api/jobs/{job.id}"})

    response = ask.write(work)
    ask.request.app.state.jobs.wake()
    return response


@router.delete("/import-drafts/{import_id}", status_code=204)
def discard_list(
    import_id: ImportId, ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.END))]
) -> Response:
    """Delete a list; what was imported from it stays."""

    def work(session: Session, who: Principal) -> Reply:
        discard(session, _draft(session, who, ask, import_id))
        return Reply(204, None, {})

    return ask.write(work)


@router.post("/import-drafts/{import_id}/mappings", response_model=MappingAnswer)
def keep_mapping(import_id: ImportId, body: MappingBody, ask: _Edits) -> Response:
    """Keep what the columns of a table are taken for under a name, for the next list of the same source."""
    name = clean(body.name, max_chars=100, multiline=False)

    def work(session: Session, who: Principal) -> Reply:
        table = _table(read_draft(_draft(session, who, ask, import_id)), body.table)
        if table.read is None or table.kind is None:
            raise ProblemError(422, "invalid", T_("say first what its rows are"), "table")
        fields = {
            column.heading: column.field if column.field in {one.field for one in COLUMNS[table.kind]} else IGNORED
            for column in table.read.columns
            if column.heading and column.field is not None
        }
        keep_own_mapping(session, name, account_id=who.id, kind=table.kind, fields=fields, now=ask.at)
        kept = saved_mapping(session, name)
        return Reply(200, None if kept is None else _mapping_document(kept, who), {})

    return ask.write(work, body)


@router.get("/import-mappings", response_model=Page[MappingAnswer])
def list_mappings(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.LIST))],
) -> Response:
    """List the mappings of columns that you may use: your own, and those that the operators keep for everybody."""

    def work(session: Session, who: Principal) -> Reply:
        found = [_mapping_document(one, who) for one in mappings_of(session, who.id)]
        return Reply(200, {"items": found, "next": None}, {})

    return ask.read(work)


@router.delete("/import-mappings/{mapping_name}", status_code=204)
def drop_mapping(
    mapping_name: MappingName, ask: Annotated[PermittedRequest, Depends(requires(Resource.IMPORT_DRAFT, Action.END))]
) -> Response:
    """Delete a mapping of your own."""

    def work(session: Session, who: Principal) -> Reply:
        if not drop_own_mapping(session, mapping_name, account_id=who.id):
            raise not_found("mapping")
        return Reply(204, None, {})

    return ask.write(work)


def kinds_of(who: Principal) -> tuple[Kind, ...]:
    """Return the kinds of rows that a person may bring in."""
    anything = Reach.ALL in reaches(who, Resource.IMPORT, Action.CREATE).values()
    return tuple(Kind) if anything else ALLIANCES_KINDS


def _mapping_document(one: SavedMapping, who: Principal) -> dict[str, Any]:
    return {
        "name": one.title or one.name,
        "kind": one.kind,
        "fields": one.fields,
        "own": one.account_id == who.id,
        "saved_at": one.saved_at.isoformat(),
    }


def _draft(session: Session, who: Principal, ask: PermittedRequest, import_id: str) -> ImportDraft:
    draft = draft_of(session, who.id, import_id, ask.at)
    if draft is None:
        raise not_found("list")
    return draft


def _table(found: Reading, key: str) -> FoundTable:
    table = table_named(found, key)
    if table is None:
        raise ProblemError(422, "invalid", T_("the list has no such table"), "table")
    return table


def _etag(draft: ImportDraft) -> str:
    return f'"{draft.version}"'


def _headers(draft: ImportDraft) -> dict[str, str]:
    return {"ETag": _etag(draft)}
