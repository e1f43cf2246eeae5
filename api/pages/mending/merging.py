"""Merging records in pages: the other record is looked for, what would move is read, then it is done, or taken back.

In: the programme office. Out: both records with what would move and what stays, and the form that does it; after
that the record that is kept. It exists because nobody should merge two records without having seen both.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.mending.merges import MergeBody
from api.pages.mending.records import mendable
from api.pages.shell.record_names import names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.mending import merging
from indexer.records.record_tables import School
from indexer.vocabulary import Mendable
from matcher.mending.finding import find_records
from matcher.mending.merging import MERGEABLE, plan
from matcher.mending.retiring import MODELS, record_name

router = APIRouter(prefix="/admin/records", include_in_schema=False, route_class=ThreadedRoute)

Reading = Annotated[Visit, Depends(visiting(Resource.RECORD, Action.READ))]
Editing = Annotated[Visit, Depends(visiting(Resource.RECORD, Action.EDIT))]
_ROUTES: dict[Mendable, tuple[Any, Any, str]] = {
    Mendable.LAB: (merging.plan_lab_merge, merging.merge_lab, "lab_id"),
    Mendable.COMPANY: (merging.plan_company_merge, merging.merge_company, "company_id"),
    Mendable.SCHOOL: (merging.plan_school_merge, merging.merge_school, "school_id"),
    Mendable.PERSON: (merging.plan_person_merge, merging.merge_person, "account_id"),
}
FOUND = 20


@router.get("/{kind}/{record_id}/merge")
def show_merge(
    kind: str,
    record_id: str,
    visit: Reading,
    kept: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show what merging a record into another one would move; without the other one look for it."""
    return _page(visit, _kind(visit, kind), record_id, kept, q)


def _kind(visit: Visit, given: str) -> Mendable:
    kind = mendable(visit, given)
    if kind not in MERGEABLE:
        raise not_found("record")
    return kind


def _page(
    visit: Visit, kind: Mendable, record_id: str, kept: str, q: str = "", refused: Refusal | None = None
) -> Response:
    called = visit.look(lambda session, _: record_name(session, kind, record_id))
    if called is None:
        raise not_found(kind.value)
    context: dict[str, Any] = {"planned": None, "warnings": [], "found": None}
    if kept:
        endpoint, _, name = _ROUTES[kind]
        planned = visit.attempt(lambda: visit.document(endpoint, **{name: record_id}, kept=kept))
        if isinstance(planned, Refusal):
            refused = refused or planned
        else:
            context["planned"] = planned
            whole = visit.look(lambda session, _: plan(session, kind=kind, gone_id=record_id, kept_id=kept))
            context["compared"] = visit.look(lambda session, _: _compared(session, kind, record_id, kept))
            context |= {"warnings": whole.warnings, "moved": whole.moved, "by_old_id": whole.found_by_old_id}
    elif q.strip():
        found = visit.look(lambda session, _: find_records(session, kind, q, limit=FOUND))
        context["found"] = [one for one in found if one.id != record_id and not one.is_retired]
    return visit.show(
        "mending/merge.html",
        refused.status if refused else 200,
        kind=kind.value,
        record_id=record_id,
        called=called,
        kept=kept,
        q=q.strip(),
        refused=refused,
        reason=str(visit.form.get("reason") or ""),
        **context,
    )


_TOLD: dict[Mendable, tuple[tuple[str, str], ...]] = {
    Mendable.LAB: (("pi", N_("Head")), ("school", N_("School")), ("orcid", N_("ORCID iD"))),
    Mendable.COMPANY: (("tax_id", N_("Tax id (統一編號)")), ("city", N_("City")), ("description", N_("What it does"))),
    Mendable.SCHOOL: (("city", N_("City")), ("ror", N_("ROR id"))),
    Mendable.PERSON: (("email", N_("E-mail address")),),
}


def _compared(session: Session, kind: Mendable, gone_id: str, kept: str) -> list[tuple[str, str, str]]:
    """Return what tells two records of a kind apart: in words, and what each says."""
    model: Any = MODELS[kind]
    gone, other = session.get(model, gone_id), session.get(model, kept)
    schools = names(session, School, [getattr(one, "school", None) for one in (gone, other)])
    found = []
    for name, label in _TOLD[kind]:
        said = [str(getattr(one, name) or "") for one in (gone, other)]
        said = [schools[one][0] or schools[one][1] if name == "school" and one in schools else one for one in said]
        if any(said):
            found.append((label, said[0], said[1]))
    return found


@router.post("/{kind}/{record_id}/merge")
def merge_records(kind: str, record_id: str, visit: Editing) -> Response:
    """Merge a record into the other one."""
    chosen, kept = _kind(visit, kind), str(visit.form.get("kept") or "")
    _, endpoint, name = _ROUTES[chosen]

    def work() -> Any:
        body = visit.body(MergeBody, visit.values("kept", "reason"))
        return visit.document(endpoint, **{name: record_id}, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _page(visit, chosen, record_id, kept, refused=done)
    said = N_("The records are merged. This can be taken back within thirty days.")
    return visit.go(f"/admin/records/{chosen}/{done['kept_id']}", said)


@router.post("/merges/{merge_id}/undo")
def undo_merge(merge_id: int, visit: Editing) -> Response:
    """Take a merging back."""
    done = visit.document(merging.undo_merging, merge_id=merge_id)
    return visit.go(f"/admin/records/{done['kind']}/{done['gone_id']}", N_("The records are two again, as they were."))
