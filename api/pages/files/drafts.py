"""A letter, a form or a telephone note becomes a need: read, shown with what each field was taken from, confirmed.

In: a document or a pasted text; then the form as the expert corrected it. Out: the form filled in, its passages beside
it; the need. A researcher's CV becomes a record to import. It exists so that an expert takes a need down while the
company is still on the telephone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Response
from sqlmodel import Session
from starlette.datastructures import UploadFile

from api.access.policy import Action, Resource, admits
from api.documents.bodies import TakenDownBody
from api.jobs.drafting_apart import Drafted, values_of
from api.pages.shell.form_fields import KINDS, MAX_TYPED, NEED_FIELDS, as_body, asks_wished, shown, typed
from api.pages.shell.receiving import receiving
from api.pages.shell.record_names import scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.problems import Refusal
from api.routes.files.drafts import read_document, same_companies, take_need_down
from indexer.instants import day_in_taipei, now
from indexer.records.exchange import CompanyIn, LabIn
from indexer.records.field_notes import declared
from matcher.review.roles import STAFF

router = APIRouter(prefix="/drafts", include_in_schema=False, route_class=ThreadedRoute)

PATHS_WITH_FILES = ("/drafts", "/drafts/need")
_BESIDE = ("company_name", "tax_id", "contact", "company", "came_by", "alliance")
"""What the form asks for beside the need's own fields."""
_FIELDS_OF_DRAFT = {"company": "company_name"}
_LABELS: dict[str, Any] = {one.name: one.note.label for one in (*declared(LabIn), *declared(CompanyIn))}
_LONG_FIELDS = ("description", "evidence", "summary", "summary_en")
"""Fields that are so much of the text that marking them would mark nothing."""


@router.get("")
def show_begin(visit: Annotated[Visit, Depends(visiting(Resource.DRAFT, Action.READ))]) -> Response:
    """Show where a document is dropped or a text pasted."""
    return _begin_page(visit)


def _begin_page(visit: Visit, refused: Refusal | None = None, text: str = "") -> Response:
    may_confirm = admits(visit.who(), Resource.DRAFT, Action.CREATE)
    status = refused.status if refused else 200
    return visit.show("files/begin_draft.html", status, refused=refused, text=text, may_confirm=may_confirm)


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
        return _begin_page(visit, document, pasted)
    if kind is Drafted.LAB:
        return visit.show(
            "files/lab_draft.html", draft=document, labels=_LABELS, parts=_parts(document), record=_record(document)
        )
    return _need_page(visit, document, values_of(document))


def _record(document: Mapping[str, Any]) -> str:
    """Return a lab's draft as a line to import: what is not of the exchange format is left out."""
    fields = set(LabIn.model_fields)
    return orjson.dumps({name: value for name, value in values_of(document).items() if name in fields}).decode()


@router.post("/lab")
def download_lab(visit: Annotated[Visit, Depends(visiting(Resource.DRAFT, Action.READ))]) -> Response:
    """Give a lab's draft back as a file that can be looked through and imported."""
    visit.who()
    headers = {"Content-Disposition": 'attachment; filename="labs.jsonl"', "Cache-Control": "no-store"}
    return Response(str(visit.form.get("record") or "") + "\n", 200, headers, "application/x-ndjson")


def _need_page(
    visit: Visit, document: Mapping[str, Any], values: Mapping[str, Any], refused: Refusal | None = None
) -> Response:
    company = str(values.get("company_name") or values.get("company") or "")
    form = shown(NEED_FIELDS, values) | {
        "company_name": company,
        "tax_id": values.get("tax_id") or "",
        "contact": values.get("contact_said") or _contact(values),
        "came_by": values.get("came_by") or ("email" if str(document["text"]).startswith("From: ") else "call"),
    }
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
        kinds=KINDS,
        known=known,
        alliances=alliances,
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
    text = str(visit.form.get("text") or " ")
    document = visit.attempt(lambda: read_document(text.encode(), "", Drafted.NEED, day_in_taipei(now())))
    if isinstance(document, Refusal):
        document = {"text": text, "fields": [], "notes": []}
    values = {**given, **beside, "contact_said": beside["contact"]}
    return _need_page(visit, document, values, refused)
