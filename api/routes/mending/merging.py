"""Merging two records that are one: what would move, the merging, and taking it back.

In: two ids, and why they are one. Out: how many rows of each sort move, then the merging; all that hold. It exists
as an act of the office alone, for it changes what all alliances see.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session

from api.access.credentials import let_in_or_shut_out
from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.mending.merges import (
    MergeAnswer,
    MergeBody,
    MergesAnswer,
    PlanAnswer,
    merge_document,
    plan_document,
)
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from indexer.records.mended.merged import RecordMerge
from indexer.vocabulary import Mendable
from matcher.mending.merging import merge, mergings, plan, undo_merge
from matcher.mending.retiring import record_names
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["mending"], route_class=ThreadedRoute)

Reading = Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.READ))]
Editing = Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.EDIT))]
OfAccount = Annotated[PermittedRequest, Depends(requires(Resource.ACCOUNT, Action.EDIT))]
Kept = Annotated[str, Query(min_length=1, max_length=200, description="The id of the record that is kept.")]


@router.get("/merges", response_model=MergesAnswer)
def list_merges(ask: Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.LIST))]) -> Response:
    """List the mergings that hold, the newest first."""

    def work(session: Session, _who: Principal) -> Reply:
        return Reply(200, {"items": _documents(session, mergings(session), ask)}, {})

    return ask.read(work)


@router.post("/merges/{merge_id}/undo", response_model=MergeAnswer)
def undo_merging(merge_id: Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)], ask: Editing) -> Response:
    """Take a merging back within thirty days: every row is as it was."""

    def work(session: Session, who: Principal) -> Reply:
        row = undo_merge(session, merge_id=merge_id, by=who.id, now=ask.at)
        ask.about(_subject(Mendable(row.kind)), row.gone_id, row.kept_id)
        return Reply(200, _documents(session, [row], ask)[0], {})

    return ask.write(work)


@router.get("/labs/{lab_id}/merge", response_model=PlanAnswer)
def plan_lab_merge(lab_id: str, kept: Kept, ask: Reading) -> Response:
    """Say what merging a lab into another one would move; nothing is changed."""
    return _planned(ask, Mendable.LAB, lab_id, kept)


@router.post("/labs/{lab_id}/merge", response_model=MergeAnswer)
def merge_lab(lab_id: str, body: MergeBody, ask: Editing) -> Response:
    """Merge a lab into another one: what refers to either refers to that one, and this id leads to it."""
    return _merged(ask, Mendable.LAB, lab_id, body)


@router.get("/companies/{company_id}/merge", response_model=PlanAnswer)
def plan_company_merge(company_id: str, kept: Kept, ask: Reading) -> Response:
    """Say what merging a company into another one would move; nothing is changed."""
    return _planned(ask, Mendable.COMPANY, company_id, kept)


@router.post("/companies/{company_id}/merge", response_model=MergeAnswer)
def merge_company(company_id: str, body: MergeBody, ask: Editing) -> Response:
    """Merge a company into another one: what refers to either refers to that one, and this id leads to it."""
    return _merged(ask, Mendable.COMPANY, company_id, body)


@router.get("/schools/{school_id}/merge", response_model=PlanAnswer)
def plan_school_merge(school_id: str, kept: Kept, ask: Reading) -> Response:
    """Say what merging a school into another one would move; nothing is changed."""
    return _planned(ask, Mendable.SCHOOL, school_id, kept)


@router.post("/schools/{school_id}/merge", response_model=MergeAnswer)
def merge_school(school_id: str, body: MergeBody, ask: Editing) -> Response:
    """Merge a school that is stored twice into the other one; schools that became one on a day say so themselves."""
    return _merged(ask, Mendable.SCHOOL, school_id, body)


@router.get("/accounts/{account_id}/merge", response_model=PlanAnswer)
def plan_person_merge(account_id: str, kept: Kept, ask: OfAccount) -> Response:
    """Say what merging a person's account into another one of the same person would move; nothing is changed."""
    return _planned(ask, Mendable.PERSON, account_id, kept)


@router.post("/accounts/{account_id}/merge", response_model=MergeAnswer)
def merge_person(account_id: str, body: MergeBody, ask: OfAccount) -> Response:
    """Merge a person's account into another one of the same person: it is shut out, and the two count as one person."""
    return _merged(ask, Mendable.PERSON, account_id, body)


def _subject(kind: Mendable) -> str:
    """Return what a record of a kind is called in the trail."""
    return "account" if kind is Mendable.PERSON else kind.value


def _planned(ask: PermittedRequest, kind: Mendable, gone_id: str, kept: str) -> Response:
    def work(session: Session, _who: Principal) -> Reply:
        found = plan(session, kind=kind, gone_id=gone_id, kept_id=kept)
        ask.about(_subject(kind), kept)
        return Reply(200, plan_document(found, record_names(session, kind, [gone_id, kept])), {})

    return ask.read(work)


def _merged(ask: PermittedRequest, kind: Mendable, gone_id: str, body: MergeBody) -> Response:
    def work(session: Session, who: Principal) -> Reply:
        row = merge(session, kind=kind, gone_id=gone_id, kept_id=body.kept, reason=body.reason, by=who.id, now=ask.at)
        if kind is Mendable.PERSON:
            let_in_or_shut_out(session, account_id=gone_id, disabled=True, now=ask.at)
        ask.about(_subject(kind), body.kept)
        return Reply(200, _documents(session, [row], ask)[0], {})

    return ask.write(work, body)


def _documents(session: Session, rows: list[RecordMerge], ask: PermittedRequest) -> list[dict[str, Any]]:
    ids = {kind: {one for row in rows if row.kind == kind for one in (row.gone_id, row.kept_id)} for kind in Mendable}
    names = {kind: record_names(session, kind, some) for kind, some in ids.items() if some}
    return [merge_document(row, names[Mendable(row.kind)], ask.at) for row in rows]
