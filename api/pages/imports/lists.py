"""The import wizard up to the import: send a list, see what is understood, say what columns are, mend cells, begin.

In: a file from a browser, choices of kinds and fields, cells as they should be. Out: pages of the list as it is
understood now, each a plain form that works without script; with htmx the same page is renewed in place. It exists
so that an office's own list comes in as it is: every state of it lies on the server, as the API keeps it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from starlette.datastructures import UploadFile

from api.access.ownership import alliance_schools
from api.access.policy import Action, Resource
from api.documents.bodies import FillDownBody, ImportDraftBody, MappingBody
from api.jobs.import_drafts import MAX_CELLS
from api.jobs.job_queue import JobKind
from api.pages.imports.past import past_imports
from api.pages.imports.words import field_choices, field_words
from api.pages.shell.receiving import receiving
from api.pages.shell.record_names import alliance_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.routes.imports.drafts import (
    MAX_LIST_BYTES,
    correct_list,
    discard_list,
    fill_down,
    import_list,
    keep_list,
    keep_mapping,
    kinds_of,
    list_lists,
    list_mappings,
    look_through,
    read_rows,
)
from api.routes.jobs import list_jobs
from indexer.instants import TAIPEI, now
from indexer.plain_text import printable
from indexer.records.lists.rows import IGNORED
from indexer.records.readers import SUFFIXES
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.review.roles import STAFF

router = APIRouter(prefix="/imports", include_in_schema=False, route_class=ThreadedRoute)

MAX_LIST_FORM_BYTES = MAX_LIST_BYTES + 2**16
"""The file, and what stands around it in a form."""
_CELLS_ON_A_PAGE = 400
_MOST_ROWS = 25
_FEWEST_ROWS = 5
_PROBLEMS_SHOWN = 12
OTHER = "other"
"""What a form sends for a column that is kept beside our fields."""
ImportId = Annotated[str, Path(max_length=200)]
Looks = Annotated[Visit, Depends(visiting(Resource.IMPORT_DRAFT, Action.READ))]
Edits = Annotated[Visit, Depends(visiting(Resource.IMPORT_DRAFT, Action.EDIT))]


@router.get("")
def show_start(visit: Annotated[Visit, Depends(visiting(Resource.IMPORT_DRAFT, Action.LIST))]) -> Response:
    """Show where a list is sent, the lists that are open, templates, and the imports of before."""
    return _start(visit)


def _start(visit: Visit, refused: Refusal | None = None) -> Response:
    who = visit.who()
    jobs = visit.document(list_jobs, kind=JobKind.IMPORT, own=True, state=None, limit=20, cursor=None)
    own = sorted(who.scopes(*STAFF))
    return visit.show(
        "imports/start.html",
        refused.status if refused else 200,
        refused=refused,
        drafts=visit.document(list_lists)["items"],
        past=past_imports(visit, jobs["items"]),
        kinds=kinds_of(who),
        suffixes=SUFFIXES,
        alliances=visit.look(lambda session, _: alliance_names(session)),
        own=own,
        anything=len(kinds_of(who)) == len(Kind),
        max_mib=MAX_LIST_BYTES // 2**20,
        max_cells=MAX_CELLS,
    )


@router.post("")
def send(
    visit: Annotated[Visit, Depends(receiving(Resource.IMPORT_DRAFT, Action.CREATE, MAX_LIST_FORM_BYTES))],
) -> Response:
    """Keep the file that was sent, and show what is understood of it."""

    def work() -> Any:
        sent = visit.form.get("file")
        if not isinstance(sent, UploadFile) or not sent.filename:
            raise ProblemError(422, "invalid", T_("choose a file"), "file")
        name = printable(sent.filename.replace("\\", "/").rpartition("/")[2])[-150:] or "list"
        alliance = visit.values("alliance").get("alliance")
        content = sent.file.read()
        if not content:
            raise ProblemError(422, "invalid", T_("the file is empty"), "file")
        return visit.document(keep_list, name=name, alliance=alliance, content=content)

    kept = visit.attempt(work)
    if isinstance(kept, Refusal):
        return _start(visit, kept)
    return visit.go(f"/imports/{kept['id']}")


@router.get("/{import_id}")
def show_list(import_id: ImportId, visit: Looks) -> Response:
    """Show what is understood of a list, and what its import would do."""
    return _look(visit, import_id)


def _look(visit: Visit, import_id: str, refused: Refusal | None = None, said: str | None = None) -> Response:
    reply = visit.reply(look_through, import_id=import_id)
    found = reply.document
    who = visit.who()
    mappings = visit.document(list_mappings)["items"]
    day = now().astimezone(TAIPEI).date()
    alliance = found["alliance"]
    schools = visit.look(lambda session, _: alliance_schools(session, alliance, day) if alliance else {})
    kinds = kinds_of(who)
    return visit.show(
        "imports/_list.html" if visit.by_htmx else "imports/list.html",
        refused.status if refused and not visit.by_htmx else 200,
        found=found,
        etag=reply.headers["ETag"],
        kinds=kinds,
        fields={kind: field_choices(kind) for kind in {one["kind"] for one in found["tables"]} - {None}},
        field_words=field_words,
        totals=_totals(found),
        shown=_PROBLEMS_SHOWN,
        schools=schools,
        mappings=mappings,
        fitting={one["key"]: _fitting(one, mappings) for one in found["tables"]},
        ignored=IGNORED,
        other=OTHER,
        refused=refused,
        changed=said,
    )


def _totals(found: dict[str, Any]) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "refused", "values_changed", "values_emptied")
    return {name: sum(plan[name] for plan in found["plan"]) for name in names}


def _fitting(table: dict[str, Any], mappings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the kept mappings that know at least half of a table's headings, or half of whose own stand there."""
    headings = {column["heading"] for column in table["columns"]}
    return [one for one in mappings if 2 * len(headings & one["fields"].keys()) >= max(2, len(one["fields"]))]


@router.post("/{import_id}")
def change_table(import_id: ImportId, visit: Edits) -> Response:
    """Take what the form says of a table: its kind, its headings' row, its columns; or keep or use a mapping."""
    found = visit.attempt(lambda: _changed(visit, import_id))
    if isinstance(found, Refusal):
        return _look(visit, import_id, found)
    if visit.by_htmx:
        return _look(visit, import_id, said=found)
    return visit.go(f"/imports/{import_id}", found)


def _changed(visit: Visit, import_id: str) -> str:
    key = str(visit.form.get("table", ""))[:40]
    if visit.form.get("do") == "keep":
        name = visit.values("mapping_name").get("mapping_name", "").strip()
        if not name:
            raise ProblemError(422, "invalid", T_("give a name"), "mapping_name")
        body = visit.body(MappingBody, {"name": name[:100], "table": key})
        visit.document(keep_mapping, import_id=import_id, body=body)
        return N_("The columns are kept under this name, for the next list of the same source.")
    said: dict[str, Any] = {"left_out": visit.form.get("left_out") == "yes"}
    if visit.form.get("do") == "use":
        wanted = visit.form.get("mapping")
        mapping = next((one for one in visit.document(list_mappings)["items"] if one["name"] == wanted), None)
        if mapping is None:
            raise ProblemError(422, "invalid", T_("choose a kept mapping"), "mapping")
        said = {"kind": mapping["kind"], "columns": mapping["fields"], "left_out": False}
    else:
        said["kind"] = visit.values("kind").get("kind")
        # Another kind has other fields: what the form says of the columns was said of the one before.
        if said["kind"] == visit.form.get("kind_before"):
            said["columns"] = _columns_said(visit)
        school = visit.values("school").get("school")
        said["fixed"] = {"school": school or ""} if "school" in visit.form else None
        if said["kind"] == visit.form.get("kind_guessed"):
            said["kind"] = None
    given: dict[str, Any] = {"tables": {key: said}}
    row = visit.values("header_row").get("header_row", "").strip()
    if row.isascii() and row.isdigit() and row != visit.form.get("header_before"):
        # The table is known by its headings' row: at another one it is another table.
        given = {"headers": {key.partition("-")[0]: int(row[:9])}}
    visit.document(correct_list, import_id=import_id, body=visit.body(ImportDraftBody, given))
    return N_("The list is read anew with that.")


def _columns_said(visit: Visit) -> dict[str, str]:
    """Return the columns whose field was chosen otherwise than it stood in the form."""
    said: dict[str, str] = {}
    for name, value in visit.form.multi_items():
        if not name.startswith("f-") or not isinstance(value, str):
            continue
        number = name.removeprefix("f-")
        heading, before = visit.form.get(f"h-{number}"), visit.form.get(f"b-{number}")
        if isinstance(heading, str) and heading and value != before:
            said[heading.replace("\r\n", "\n")] = "" if value == OTHER else value
    return said


@router.get("/{import_id}/rows")
def show_rows(
    import_id: ImportId,
    visit: Looks,
    table: Annotated[str, Query(max_length=40)] = "",
    show: Annotated[str, Query(max_length=20)] = "problems",
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    """Show rows of a table as a grid in which cells are mended."""
    return _rows(visit, import_id, table, show, after)


def _rows(
    visit: Visit,
    import_id: str,
    key: str,
    show: str,
    after: int,
    refused: Refusal | None = None,
    said: str | None = None,
) -> Response:
    reply = visit.reply(look_through, import_id=import_id)
    found = reply.document
    tables = [one for one in found["tables"] if not one["left_out"]]
    table = next((one for one in tables if one["key"] == key), None)
    if table is None:
        table = next((one for one in tables if one["errors"] or one["warnings"]), tables[0] if tables else None)
    if table is None:
        return _look(visit, import_id, refused, said)
    columns = table["columns"][: _CELLS_ON_A_PAGE // _FEWEST_ROWS][:60]
    limit = max(_FEWEST_ROWS, min(_MOST_ROWS, _CELLS_ON_A_PAGE // max(1, len(columns))))
    grid = visit.document(
        read_rows,
        import_id=import_id,
        table=table["key"],
        only_problems=show != "all",
        after=after,
        limit=limit,
    )
    for row in grid["rows"]:
        row["at"] = {}
        for problem in row["problems"]:
            row["at"].setdefault(problem["column"], []).append(problem)
    return visit.show(
        "imports/_rows.html" if visit.by_htmx else "imports/rows.html",
        refused.status if refused and not visit.by_htmx else 200,
        found=found,
        tables=tables,
        table=table,
        columns=columns,
        grid=grid,
        general=[
            one for one in found["problems"] if one["table"] == table["key"] and one["row"] in (0, table["header_row"])
        ],
        show="all" if show == "all" else "problems",
        after=after,
        etag=reply.headers["ETag"],
        field_words=field_words,
        refused=refused,
        changed=said,
    )


@router.post("/{import_id}/rows")
def mend_rows(import_id: ImportId, visit: Edits) -> Response:
    """Take cells as they were typed, and rows to be left out; fill a value down if a button asks for it."""
    key, show = str(visit.form.get("table", ""))[:40], str(visit.form.get("show", ""))
    given = str(visit.form.get("after", "0"))
    after = int(given[:9]) if given.isascii() and given.isdigit() else 0
    said = visit.attempt(lambda: _mended(visit, import_id, key))
    if isinstance(said, Refusal):
        return _rows(visit, import_id, key, show, after, said)
    if visit.by_htmx:
        return _rows(visit, import_id, key, show, after, said=said)
    return visit.go(f"/imports/{import_id}/rows?table={key}&show={show}&after={after}", said)


def _mended(visit: Visit, import_id: str, key: str) -> str:
    sheet = key.partition("-")[0]
    if not sheet.isdigit():
        raise ProblemError(422, "invalid", T_("the list has no such table"), "table")
    cells, shown = [], []
    for name, value in visit.form.multi_items():
        place = name.split("-")
        if name.startswith("c-") and len(place) == 3 and place[1].isdigit() and place[2].isdigit():
            # A browser sends line ends of its own.
            typed = str(value).replace("\r\n", "\n")
            cells.append({"sheet": sheet, "row": place[1], "column": place[2], "value": typed})
        elif name == "shown" and str(value).isdigit():
            shown.append(str(value))
    out = {str(one) for one in visit.form.getlist("out")}
    rows = [{"sheet": sheet, "row": row, "left_out": row in out} for row in shown]
    body = visit.body(ImportDraftBody, {"cells": cells, "rows": rows})
    visit.document(correct_list, import_id=import_id, body=body)
    place = str(visit.form.get("down", "")).split("-")
    if place == ["chosen"]:
        place = [str(visit.form.get("down_row", "")).strip(), str(visit.form.get("down_column", ""))]
    if len(place) == 2:
        down = {"table": key, "row": place[0], "column": place[1]}
        visit.document(fill_down, import_id=import_id, body=visit.body(FillDownBody, down))
        return N_("The value is filled down.")
    return N_("What you mended is kept.")


@router.post("/{import_id}/import")
def begin_import(import_id: ImportId, visit: Edits) -> Response:
    """Begin the import of a list as it is now."""
    begun = visit.attempt(lambda: visit.document(import_list, import_id=import_id))
    if isinstance(begun, Refusal):
        if begun.status == 404:
            raise ProblemError(404, begun.name, begun.detail)
        return _look(visit, import_id, begun)
    return visit.go(f"/imports/jobs/{begun['id']}")


@router.post("/{import_id}/discard")
def discard(
    import_id: ImportId, visit: Annotated[Visit, Depends(visiting(Resource.IMPORT_DRAFT, Action.END))]
) -> Response:
    """Delete a list."""
    visit.reply(discard_list, import_id=import_id)
    return visit.go("/imports", N_("The list is deleted; what was imported from it stays."))
