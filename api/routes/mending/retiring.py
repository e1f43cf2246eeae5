"""Retiring records and taking that back: labs with their evidence, companies, needs, schools, and accounts.

In: a record's id, why and since when. Out: how it is retired; what all is. It exists as an act of the office alone:
what is retired goes out of everybody's sight, so one alliance may not do it for the others.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session

from api.access.credentials import let_in_or_shut_out
from api.access.policy import Action, Resource
from api.documents.mending.records import RetireBody, RetirementAnswer, RetirementsAnswer, retirement_document
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from indexer.records.mended.retired import Retirement
from indexer.vocabulary import Mendable
from matcher.mending.retiring import record_name, record_names, reinstate, retire, retirements
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["mending"], route_class=ThreadedRoute)

Ending = Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.END))]
OfAccount = Annotated[PermittedRequest, Depends(requires(Resource.ACCOUNT, Action.EDIT))]
Piece = Annotated[str, Query(min_length=1, max_length=220, description="The id of the piece of evidence.")]


@router.get("/retired", response_model=RetirementsAnswer)
def list_retired(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.RECORD, Action.LIST))],
    ended: Annotated[bool, Query(description="What was taken back into use too.")] = False,
) -> Response:
    """List what is retired, the newest first."""

    def work(session: Session, _who: Principal) -> Reply:
        rows = retirements(session, ended=ended)
        names = {kind: record_names(session, kind, {row.record_id for row in rows}) for kind in Mendable}
        return Reply(200, {"items": [_named(session, row, names[Mendable(row.kind)]) for row in rows]}, {})

    return ask.read(work)


def _named(session: Session, row: Retirement, names: Any) -> dict[str, Any]:
    kind = Mendable(row.kind)
    found = record_name(session, kind, row.record_id, row.part) if row.part else names.get(row.record_id)
    return retirement_document(row, {} if found is None else asdict(found))


@router.post("/labs/{lab_id}/retire", response_model=RetirementAnswer)
def retire_lab(lab_id: str, body: RetireBody, ask: Ending) -> Response:
    """Retire a lab: it leaves the index, searches, rankings and exports; what it was part of stays readable."""
    return _retired(ask, body, Mendable.LAB, lab_id)


@router.post("/labs/{lab_id}/reinstate", response_model=RetirementAnswer)
def reinstate_lab(lab_id: str, ask: Ending) -> Response:
    """Take a retired lab back into use."""
    return _reinstated(ask, Mendable.LAB, lab_id)


@router.post("/labs/{lab_id}/evidence/retire", response_model=RetirementAnswer)
def retire_evidence(lab_id: str, body: RetireBody, piece: Piece, ask: Ending) -> Response:
    """Retire a piece of a lab's evidence: it speaks for the lab no more."""
    return _retired(ask, body, Mendable.EVIDENCE, lab_id, piece)


@router.post("/labs/{lab_id}/evidence/reinstate", response_model=RetirementAnswer)
def reinstate_evidence(lab_id: str, piece: Piece, ask: Ending) -> Response:
    """Take a retired piece of evidence back into use."""
    return _reinstated(ask, Mendable.EVIDENCE, lab_id, piece)


@router.post("/companies/{company_id}/retire", response_model=RetirementAnswer)
def retire_company(company_id: str, body: RetireBody, ask: Ending) -> Response:
    """Retire a company: it leaves lists and exports and submits no needs; its needs and cases stay."""
    return _retired(ask, body, Mendable.COMPANY, company_id)


@router.post("/companies/{company_id}/reinstate", response_model=RetirementAnswer)
def reinstate_company(company_id: str, ask: Ending) -> Response:
    """Take a retired company back into use."""
    return _reinstated(ask, Mendable.COMPANY, company_id)


@router.post("/needs/{need_id}/retire", response_model=RetirementAnswer)
def retire_need(need_id: str, body: RetireBody, ask: Ending) -> Response:
    """Retire a need, such as one that came in twice: it is listed and matched no more."""
    return _retired(ask, body, Mendable.NEED, need_id)


@router.post("/needs/{need_id}/reinstate", response_model=RetirementAnswer)
def reinstate_need(need_id: str, ask: Ending) -> Response:
    """Take a retired need back into use."""
    return _reinstated(ask, Mendable.NEED, need_id)


@router.post("/schools/{school_id}/retire", response_model=RetirementAnswer)
def retire_school(school_id: str, body: RetireBody, ask: Ending) -> Response:
    """Retire a school: nobody chooses it any more; its labs and results stay."""
    return _retired(ask, body, Mendable.SCHOOL, school_id)


@router.post("/schools/{school_id}/reinstate", response_model=RetirementAnswer)
def reinstate_school(school_id: str, ask: Ending) -> Response:
    """Take a retired school back into use."""
    return _reinstated(ask, Mendable.SCHOOL, school_id)


@router.post("/accounts/{account_id}/retire", response_model=RetirementAnswer)
def retire_person(account_id: str, body: RetireBody, ask: OfAccount) -> Response:
    """Retire a person's account for a reason: sessions and keys end; what the person did stays under the name."""
    return _retired(ask, body, Mendable.PERSON, account_id)


@router.post("/accounts/{account_id}/reinstate", response_model=RetirementAnswer)
def reinstate_person(account_id: str, ask: OfAccount) -> Response:
    """Let a retired person in again; no session and no key comes back with it."""
    return _reinstated(ask, Mendable.PERSON, account_id)


def _retired(ask: PermittedRequest, body: RetireBody, kind: Mendable, record_id: str, part: str = "") -> Response:
    def work(session: Session, who: Principal) -> Reply:
        row = retire(
            session,
            kind=kind,
            record_id=record_id,
            part=part,
            reason=body.reason,
            since=body.since,
            by=who.id,
            now=ask.at,
        )
        if kind is Mendable.PERSON:
            let_in_or_shut_out(session, account_id=record_id, disabled=True, now=ask.at)
        return Reply(200, _answered(session, row), {})

    return ask.write(work, body)


def _reinstated(ask: PermittedRequest, kind: Mendable, record_id: str, part: str = "") -> Response:
    def work(session: Session, who: Principal) -> Reply:
        row = reinstate(session, kind=kind, record_id=record_id, part=part, by=who.id, now=ask.at)
        return Reply(200, _answered(session, row), {})

    return ask.write(work)


def _answered(session: Session, row: Retirement) -> dict[str, Any]:
    names = record_name(session, Mendable(row.kind), row.record_id, row.part)
    return retirement_document(row, {} if names is None else asdict(names))
