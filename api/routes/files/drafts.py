"""A document that somebody sent becomes a draft, and a draft that an expert confirmed a need.

In: DOCX, PDF, an e-mail or a text; the fields as the expert corrected them. Out: the draft with its passages, of which
nothing is stored; the need, with its company registered where nobody knew it, and the contact noted. It exists because
a company telephones or writes, and does not fill in forms: taking a need down must not take longer than the call.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.answers import DraftAnswer, NeedAnswer
from api.documents.bodies import NewNeedBody, TakenDownBody
from api.jobs.drafting_apart import drafted
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError
from api.routes.companies import set_company_contact
from api.routes.needs import need_reply, submitted
from indexer.database import reading
from indexer.folding import for_names
from indexer.instants import day_in_taipei
from indexer.records.exchange import CompanyIn, check
from indexer.records.importing import import_rows
from indexer.records.lists.made_ids import made_id
from indexer.records.record_tables import CONTACT_COLUMNS, Company, contact_of
from indexer.sources.drafts.documents import MAX_BYTES, DocumentError
from indexer.sources.drafts.needs import reached_of
from indexer.vocabulary import Drafted, Kind
from indexer.wording import T_
from matcher.review.cases import add_contact
from matcher.review.clients import alliances_of, take_on
from matcher.review.intake import NeedState, move
from matcher.review.people import Principal
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api/drafts", tags=["needs"], route_class=ThreadedRoute)

_RAW = {
    "requestBody": {
        "required": True,
        "description": "The document itself: DOCX, PDF, an e-mail (.eml) or text, up to 20 MiB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", openapi_extra=_RAW, response_model=DraftAnswer)
async def draft_document(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.DRAFT, Action.READ))],
    name: Annotated[str, Query(max_length=200, description="The document's name.", examples=["letter.docx"])] = "",
    kind: Annotated[Drafted, Query(description="A company's need, or a researcher's CV.")] = Drafted.NEED,
) -> Response:
    """Read a document into a draft, each field with the passages it was taken from. Nothing is stored."""

    def admit() -> None:
        with reading(ask.engine) as session:
            ask.admitted(session)

    # Who asks is known before a byte of the file is taken.
    await run_in_threadpool(admit)
    content = await ask.request.app.state.uploads.received(ask.request, MAX_BYTES)
    document = await run_in_threadpool(read_document, content, name, kind, day_in_taipei(ask.at))
    return ask.answered(Reply(200, document, {}))


def read_document(content: bytes, name: str, kind: Drafted, received: date) -> dict[str, Any]:
    """Return the draft of a document as it is answered.

    Raises:
        ProblemError: it can't be read.
    """
    try:
        return drafted(content, name, kind, received)
    except DocumentError as error:
        raise ProblemError(422, "invalid", str(error), "file") from error


@router.post("/needs", status_code=201, response_model=NeedAnswer)
def take_need_down(
    body: TakenDownBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.DRAFT, Action.CREATE))]
) -> Response:
    """Take a need down for a company that called or wrote; a company nobody knows is registered with it."""

    def work(session: Session, who: Principal) -> Reply:
        alliance = _alliance(who, body.alliance)
        company = body.company
        if body.school is not None and (company is not None or body.company_name):
            raise ProblemError(
                422, "invalid", T_("a need is stated by a company or by a school, not by both"), "school"
            )
        if company is None and body.school is None:
            company = _company(session, who, body, alliance, ask.at)
        given = body.model_dump(exclude={"company_name", "tax_id", "contact", "came_by"}, exclude_unset=True)
        need = NewNeedBody.model_validate(given | {"company": company, "alliance": alliance})
        made = submitted(session, who, need, ask).document
        # Whoever took the call looks after it: it waits for nobody to take it up.
        move(session, need_id=made["id"], state=NeedState.TAKEN_UP, by=who.id, now=ask.at, expert_id=who.id)
        reply = need_reply(session, who, made["id"], ask)
        if company is not None and body.contact.strip() and alliance in alliances_of(session, company):
            _keep_contact(session, session.get_one(Company, company), body.contact)
            add_contact(
                session,
                alliance_id=alliance,
                case=None,
                company_id=company,
                kind=body.came_by,
                held_on=day_in_taipei(ask.at),
                by=who.id,
                now=ask.at,
                note=body.contact.strip(),
            )
        return reply

    return ask.write(work, body)


def _keep_contact(session: Session, company: Company, said: str) -> None:
    """Keep who called as whom to reach at a company that has nobody yet, as far as it is understood."""
    if any(contact_of(company).values()):
        return
    found = dict(zip(CONTACT_COLUMNS, reached_of(said), strict=True))
    if found["contact_email"] or found["contact_phone"]:
        set_company_contact(session, company, found)


def _alliance(who: Principal, named: str | None) -> str:
    own = sorted(who.scopes(*STAFF))
    chosen = named or (own[0] if len(own) == 1 else None)
    if chosen not in own:
        raise ProblemError(422, "invalid", T_("choose one of your own: %(own)s", own=", ".join(own)), "alliance")
    return str(chosen)


def same_companies(session: Session, name: str, tax_id: str | None) -> list[Company]:
    """Return the stored companies that a name or tax id is of, those of the tax id alone if there are such."""
    if tax_id:
        numbered = session.exec(select(Company).where(Company.tax_id == tax_id)).all()
        if numbered:
            return list(numbered)
    wanted = for_names(name)
    rows = session.exec(select(Company.id, Company.name, Company.name_en)).all()
    ids = [row[0] for row in rows if wanted and wanted in (for_names(row[1]), for_names(row[2]))]
    return list(session.exec(select(Company).where(col(Company.id).in_(ids)).order_by(col(Company.id))).all())


def _company(session: Session, who: Principal, body: TakenDownBody, alliance: str, now: datetime) -> str:
    """Return the company that is named, registered and taken on if nobody knows it.

    Raises:
        ProblemError: none is named, several are of that name, or what is said of it is not right.
    """
    name = (body.company_name or "").strip()
    if not name:
        raise ProblemError(422, "invalid", T_("say which company needs it"), "company_name")
    known = same_companies(session, name, body.tax_id)
    if len(known) > 1:
        raise ProblemError(422, "invalid", T_("several companies have this name; give the tax id"), "tax_id")
    if known:
        return known[0].id
    row = {"name": name, "tax_id": body.tax_id or None}
    found = check(Kind.COMPANIES, {**row, "id": made_id(Kind.COMPANIES, row)})
    if found.faults or not isinstance(found.record, CompanyIn):
        fault = found.faults[0]
        raise ProblemError(422, "invalid", fault.right, "tax_id" if fault.field == "tax_id" else "company_name")
    import_rows(session, Kind.COMPANIES, [found.record.model_dump(mode="json")], "draft")
    take_on(session, company_id=found.record.id, alliance_id=alliance, expert_id=who.id, by=who.id, now=now)
    return found.record.id
