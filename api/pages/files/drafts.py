"""A letter, a form or a telephone note becomes a need: read, shown with what each field was taken from, confirmed.

In: a document or a pasted text; then the form as the expert corrected it. Out: the form filled in, its passages beside
it; the need, or the list of one lab. It exists so that an expert takes a need down while the
company is still on the telephone. A researcher's CV is corrected the same way, and then imported as a list of one, so
that it is seen what becomes of a lab that is known already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col
from starlette.datastructures import UploadFile

from api.access.policy import Action, Resource, admits
from api.documents.bodies import TakenDownBody
from api.jobs.drafting_apart import values_of
from api.pages.shell.form_fields import (
    KINDS,
    MAX_TYPED,
    NEED_FIELDS,
    as_body,
    asked_fields,
    asks_wished,
    shown,
    typed,
)
from api.pages.shell.receiving import receiving
from api.pages.shell.record_names import every, scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal
from api.routes.companies import read_company
from api.routes.files.drafts import read_document, same_companies, take_need_down
from api.routes.imports.drafts import keep_list
from indexer.instants import day_in_taipei, now
from indexer.records.exchange import MAX_EVIDENCE, CompanyIn, EvidenceIn, LabIn, check
from indexer.records.field_notes import declared
from indexer.records.lists.made_ids import made_id
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import School
from indexer.vocabulary import Drafted, EvidenceKind, Kind, Mendable
from indexer.wording import T_
from matcher.ranking.elements import elements_stated
from matcher.review.roles import STAFF

router = APIRouter(prefix="/drafts", include_in_schema=False, route_class=ThreadedRoute)

PATHS_WITH_FILES = ("/drafts", "/drafts/need", "/drafts/lab")
LAB_FIELDS = asked_fields(LabIn)
_LAB_BESIDE = ("pi", "school", "orcid", "links")
"""What a CV says of a lab beside what forms ask its researcher."""
_BESIDE = ("company_name", "tax_id", "contact", "company", "came_by", "alliance", "school")
"""What the form asks for beside the need's own fields."""
_FIELDS_OF_DRAFT = {"company": "company_name"}
_LABELS: dict[str, Any] = {one.name: one.note.label for one in (*declared(LabIn), *declared(CompanyIn))}
_WORK_LABELS: dict[str, Any] = {one.name: one.note.label for one in declared(EvidenceIn)}
_LONG_FIELDS = ("description", "evidence", "summary", "summary_en")
"""Fields that are so much of the text that marking them would mark nothing."""


@router.get("")
def show_begin(
    visit: Annotated[Visit, Depends(visiting(Resource.DRAFT, Action.READ))],
    company: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show where a document is dropped or a text pasted, of a company that is known already or of any."""
    return _begin_page(visit, company=company)


def _begin_page(visit: Visit, refused: Refusal | None = None, text: str = "", company: str = "") -> Response:
    may_confirm = admits(visit.who(), Resource.DRAFT, Action.CREATE)
    status = refused.status if refused else 200
    return visit.show(
        "files/begin_draft.html",
        status,
        refused=refused,
        text=text,
        company=_company(visit, company),
        may_confirm=may_confirm,
    )


def _company(visit: Visit, company_id: str) -> dict[str, Any] | None:
    """Return the company that a need is taken down of; None where none is said, or none that somebody may read."""
    found = visit.attempt(lambda: visit.document(read_company, company_id=company_id)) if company_id else None
    return found if isinstance(found, dict) else None


@router.post("")
@takes(REPORTING)
def read(visit: Annotated[Visit, Depends(receiving(Resource.DRAFT, Action.READ))]) -> Response:
    """Read what was sent, and show the form filled in."""
    sent, pasted = visit.form.get("file"), str(visit.form.get("text") or "")
    content, name = pasted.encode(), ""
    if isinstance(sent, UploadFile) and sent.filename:
        content, name = sent.file.read(), sent.filename
    kind = Drafted.LAB if visit.form.get("kind") == Drafted.LAB.value else Drafted.NEED
    document = visit.attempt(lambda: read_document(content, name[-150:], kind, day_in_taipei(now())))
    if isinstance(document, Refusal):
        return _begin_page(visit, document, pasted, str(visit.form.get("company") or ""))
    if kind is Drafted.LAB:
        return _lab_page(visit, document, values_of(document))
    values = values_of(document)
    company = _company(visit, str(visit.form.get("company") or ""))
    if company is not None:
        # Whoever came from a company's page has said whose need it is.
        values = {**values, "company": company["id"], "company_name": company["name"] or company["name_en"]}
        values["tax_id"] = company.get("tax_id") or ""
    return _need_page(visit, document, values)


def _lab_page(
    visit: Visit, document: Mapping[str, Any], values: Mapping[str, Any], refused: Refusal | None = None
) -> Response:
    beside = {name: values.get(name) or "" for name in _LAB_BESIDE}
    beside["links"] = "\n".join(values.get("links") or ())
    return visit.show(
        "files/lab_draft.html",
        refused.status if refused else 200,
        draft=document,
        parts=_parts(document),
        taken=_taken(document),
        asked=LAB_FIELDS,
        form=shown(LAB_FIELDS, values) | beside,
        labels=_LABELS,
        work_labels=_WORK_LABELS,
        beside=_LAB_BESIDE,
        works=values.get("evidence") or [],
        kinds=[one.value for one in EvidenceKind],
        position=values.get("position") or "",
        may_import=admits(visit.who(), Resource.IMPORT_DRAFT, Action.CREATE),
        refused=refused,
    )


@router.post("/lab")
@takes(REPORTING)
def confirm_lab(visit: Annotated[Visit, Depends(receiving(Resource.DRAFT, Action.READ))]) -> Response:
    """Take a lab's draft as it was corrected: into the import, where it is seen what it becomes, or as a file."""
    visit.who()
    given = typed(visit.form, LAB_FIELDS) | {"evidence": _works_typed(visit)}
    for name in _LAB_BESIDE:
        given[name] = str(visit.form.get(name) or "").strip()[:MAX_TYPED]
    given["links"] = given["links"].split()
    made = visit.attempt(lambda: _record(given))
    if isinstance(made, Refusal):
        return _lab_page(visit, _read_again(visit, Drafted.LAB), given, made)
    if visit.form.get("do") == "import":
        kept = visit.attempt(lambda: visit.document(keep_list, name="labs.jsonl", alliance=None, content=made))
        if isinstance(kept, Refusal):
            return _lab_page(visit, _read_again(visit, Drafted.LAB), given, kept)
        return visit.go(f"/imports/{kept['id']}")
    headers = {"Content-Disposition": 'attachment; filename="labs.jsonl"', "Cache-Control": "no-store"}
    return Response(made, 200, headers, "application/x-ndjson")


def _works_typed(visit: Visit) -> list[dict[str, Any]]:
    """Return the works that are kept, as they were corrected; what the form does not ask of them stays."""
    works = []
    for number in visit.form.getlist("work"):
        try:
            rest = orjson.loads(str(visit.form.get(f"w-rest-{number}") or "{}"))
        except orjson.JSONDecodeError:
            rest = {}
        title = str(visit.form.get(f"w-title-{number}") or "").strip()[:MAX_TYPED]
        if title and isinstance(rest, dict):
            said = {name: str(visit.form.get(f"w-{name}-{number}") or "").strip() for name in ("year", "kind")}
            works.append({**rest, "title": title, **{name: value for name, value in said.items() if value}})
    return works[:MAX_EVIDENCE]


def _record(given: Mapping[str, Any]) -> bytes:
    """Return a lab as it was corrected as a line to import.

    Raises:
        ProblemError: a field can't be what was typed.
    """
    said = {**as_body(LAB_FIELDS, given), **{name: given[name] for name in (*_LAB_BESIDE, "evidence")}}
    said = {name: value for name, value in said.items() if value not in (None, "", [])}
    key = made_id(Kind.LABS, said)
    if key is None:
        raise ProblemError(422, "invalid", T_("give the lab's name, or its head's"), "name")
    for fault in check(Kind.LABS, {"id": key, **said}).faults:
        field = fault.field.partition("[")[0]
        raise ProblemError(422, "invalid", T_("%(wrong)s; %(right)s", wrong=fault.wrong, right=fault.right), field)
    return orjson.dumps(said) + b"\n"


def _read_again(visit: Visit, kind: Drafted) -> Mapping[str, Any]:
    """Return the draft of the text that a form was made from, for its passages."""
    text = str(visit.form.get("text") or " ")
    document = visit.attempt(lambda: read_document(text.encode(), "", kind, day_in_taipei(now())))
    return {"text": text, "fields": [], "notes": []} if isinstance(document, Refusal) else document


def _need_page(
    visit: Visit, document: Mapping[str, Any], values: Mapping[str, Any], refused: Refusal | None = None
) -> Response:
    company = str(values.get("company_name") or values.get("company") or "")
    form = shown(NEED_FIELDS, values) | {
        "company_name": company,
        "tax_id": values.get("tax_id") or "",
        "school": values.get("school") or "",
        "contact": values.get("contact_said") or _contact(values),
        "came_by": values.get("came_by") or ("email" if str(document["text"]).startswith("From: ") else "call"),
    }
    elements = elements_stated(as_body(NEED_FIELDS, form))
    known = visit.look(lambda session, _: _known(session, company, str(form["tax_id"]) or None))
    alliances = visit.look(lambda session, who: scope_names(session, sorted(who.scopes(*STAFF))))
    return visit.show(
        "files/need_draft.html",
        refused.status if refused else 200,
        draft=document,
        parts=_parts(document),
        taken=_taken(document),
        asked=NEED_FIELDS,
        form=form,
        open_questions=() if elements is None else elements.asked,
        kinds=KINDS,
        known=known,
        alliances=alliances,
        schools=visit.look(lambda session, _: every(session, School, in_use(Mendable.SCHOOL, col(School.id)))),
        alliance=values.get("alliance") or "",
        refused=refused,
    )


def _contact(values: Mapping[str, Any]) -> str:
    return " ".join(str(values[name]) for name in ("contact", "phone", "email") if values.get(name))


def _known(session: Session, name: str, tax_id: str | None) -> list[dict[str, Any]]:
    return [
        one.model_dump(include={"id", "name", "name_en", "city", "tax_id"})
        for one in same_companies(session, name, tax_id)
    ]


def _taken(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return for each field of the form the words that it was taken from."""
    found: dict[str, list[str]] = {}
    for one in document["fields"]:
        name = _FIELDS_OF_DRAFT.get(one["name"], "contact" if one["name"] in ("phone", "email") else one["name"])
        if one["name"] not in _LONG_FIELDS:
            found.setdefault(name, []).extend(place["text"] for place in one["passages"])
    return found


def _parts(document: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return the text in parts, each with the field that was taken from it, or None."""
    text, places = document["text"], []
    for one in document["fields"]:
        if one["name"] not in _LONG_FIELDS:
            places += [(place["start"], place["end"], one["name"]) for place in one["passages"]]
    parts: list[tuple[str, str | None]] = []
    at = 0
    for start, end, name in sorted(places, key=lambda place: (place[0], -place[1])):
        if start < at:
            continue
        parts += [(text[at:start], None), (text[start:end], name)]
        at = end
    return [part for part in [*parts, (text[at:], None)] if part[0]]


@router.post("/need")
@takes(REPORTING)
def confirm(visit: Annotated[Visit, Depends(receiving(Resource.DRAFT, Action.CREATE))]) -> Response:
    """Store the need as it was corrected; or add or take away an ask."""
    given = typed(visit.form, NEED_FIELDS)
    beside = {
        name: str(visit.form.get(name) or "").strip()[:MAX_TYPED]
        for name in (*_BESIDE, "company", "came_by", "alliance")
    }
    asks = asks_wished(str(visit.form.get("do", "")), given["asks"])
    if asks is not None:
        return _again(visit, given | {"asks": asks}, beside)
    said = {name: value for name, value in as_body(NEED_FIELDS, given).items() if value not in (None, "", [])}
    body = {**said, **{name: value for name, value in beside.items() if value}}
    done = visit.attempt(lambda: visit.document(take_need_down, body=visit.body(TakenDownBody, body)))
    if isinstance(done, Refusal):
        return _again(visit, given, beside, done)
    return visit.go(f"/needs/{done['id']}", N_("The need is taken down."))


def _again(visit: Visit, given: dict[str, Any], beside: dict[str, str], refused: Refusal | None = None) -> Response:
    """Show the form again as it was typed, its passages beside it."""
    document = _read_again(visit, Drafted.NEED)
    values = {**given, **beside, "contact_said": beside["contact"]}
    return _need_page(visit, document, values, refused)
