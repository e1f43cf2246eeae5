"""Companies and who looks after them, and the names that one can choose from.

In: what experts take on and hand over; a part of a name. Out: the portfolio, with what is open and who was in touch
when; names of companies that can be taken on and of colleagues, and nothing that the names belong to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy import and_, exists, true
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, func, or_, select

from api.access.policy import Action, Resource
from api.access.visibility import Condition, companies_saying
from api.access.visibility import cases as visible_cases
from api.access.visibility import companies as visible
from api.access.visibility import needs as visible_needs
from api.documents.answers import Page, retired_said
from api.documents.bodies import MAX_ROW_NUMBER, ClientAnswerBody, ClientBody, ContactPersonBody
from api.documents.cases import ContactAnswer
from api.documents.people import (
    ClientRequestAnswer,
    ColleagueAnswer,
    CompanyAnswer,
    CompanyNameAnswer,
    ListedCompanyAnswer,
)
from api.letters.telling import tell_of_answered_request, tell_of_client_request
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import SAFE_METHODS, PermittedRequest, requires
from api.requests.problems import ProblemError, moved, not_found
from api.requests.query_parameters import Cursor, Limit, after_cursor, decoded, ordered_page, page
from indexer.records.exchange import check
from indexer.records.import_log import free_before
from indexer.records.mended.merged import RecordMerge, is_merged, kept_id, old_ids
from indexer.records.mended.retired import in_use, retirement_of
from indexer.records.record_tables import CONTACT_COLUMNS, Company, Need, contact_of
from indexer.vocabulary import Kind, Mendable, Tier
from indexer.wording import T_
from matcher.notices.readers import MailAddress
from matcher.review.cases import OPEN_STAGES, Case, Contact
from matcher.review.clients import (
    Client,
    ClientRequest,
    answer_request,
    let_go,
    take_back_request,
    take_on_or_ask,
)
from matcher.review.finding import Called, meant
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.people import Account, Grant, Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api", tags=["companies"], route_class=ThreadedRoute)

RequestId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_OPEN_NEEDS = (NeedState.SUBMITTED.value, NeedState.TAKEN_UP.value)


class CompanyOrder(StrEnum):
    """By what companies are listed."""

    NAME = "name"
    TIER = "tier"
    EXPERT = "expert"
    LAST_CONTACT = "last_contact"
    OPEN_NEEDS = "open_needs"
    OPEN_CASES = "open_cases"


@router.get("/companies", response_model=Page[ListedCompanyAnswer])
def list_companies(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.LIST))],
    q: Annotated[str, Query(max_length=200, description="Only those whose name, text, id or tax id has this.")] = "",
    mine: Annotated[bool, Query(description="Only those that you look after yourself.")] = False,
    sort: Annotated[CompanyOrder | None, Query(description="By what; otherwise by id.")] = None,
    descending: Annotated[bool, Query(description="With `sort`: the last first.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your alliance's portfolio (or your own company): who looks after each, and what is open."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(Company).where(visible(who, Action.LIST)).order_by(col(Company.id))
        if q.strip():
            query = query.where(companies_saying(session, q))
        if mine:
            query = query.where(_looked_after_by(who))
        if sort is not None:
            documents = {one["id"]: one for one in _documents(session, who, session.exec(query).all())}
            keys = [(company_id, _key(one, sort)) for company_id, one in documents.items()]
            ids = ordered_page(keys, cursor, limit, descending=descending)
            return Reply(200, page([documents[one] for one in ids], limit, "id"), {})
        after = decoded(cursor, str)
        query = query.limit(limit + 1)
        if after is not None:
            query = query.where(col(Company.id) > after)
        return Reply(200, page(_documents(session, who, session.exec(query).all()), limit, "id"), {})

    return ask.read(work)


_TIERS = tuple(tier.value for tier in Tier)


def _key(document: Mapping[str, Any], order: CompanyOrder) -> Any:
    """Return by what a company is sorted, as the list shows it."""
    if order is CompanyOrder.TIER:
        return _TIERS.index(document["tier"])
    if order is CompanyOrder.EXPERT:
        return min((one["expert"]["name"] for one in document["clients"] if one["expert"]), default=None)
    return document.get(order.value)


def _looked_after_by(who: Principal) -> Condition:
    own = (Client.company_id == Company.id, Client.expert_id == who.id, col(Client.until).is_(None))
    return exists(select(1).where(*own, col(Client.alliance_id).in_(who.scopes(*STAFF))).correlate(Company))


@router.get("/companies/{company_id}", response_model=CompanyAnswer)
def read_company(
    company_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.READ))]
) -> Response:
    """Read a company; its alliance and the office also see its contact persons."""

    def work(session: Session, who: Principal) -> Reply:
        company = _find(session, who, _kept(ask, session, who, company_id), Action.READ)
        return Reply(200, _full(session, who, company), {})

    return ask.read(work)


@router.put("/companies/{company_id}/contact", response_model=CompanyAnswer)
def set_contact(
    company_id: str,
    body: ContactPersonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.CONTACT))],
) -> Response:
    """Say whom to reach at a company of your portfolio, and how; what is left empty is taken away."""

    def work(session: Session, who: Principal) -> Reply:
        company = _find(session, who, company_id, Action.CONTACT)
        set_company_contact(session, company, body.model_dump())
        return Reply(200, _full(session, who, company), {})

    return ask.write(work, body)


def set_company_contact(session: Session, company: Company, said: Mapping[str, str]) -> None:
    """Store whom to reach at a company.

    Raises:
        ProblemError: 422, the address or the number is none.
    """
    found = check(Kind.COMPANIES, {"id": company.id, "name": company.name, **{k: v for k, v in said.items() if v}})
    fault = next((one for one in found.faults if one.field in CONTACT_COLUMNS), None)
    if fault is not None:
        message = T_("%(wrong)s; %(right)s", wrong=fault.wrong, right=fault.right)
        raise ProblemError(422, "invalid", message, fault.field)
    for name in CONTACT_COLUMNS:
        setattr(company, name, getattr(found.record, name))
    session.add(company)
    # An import that is over can't be taken back to whom somebody took off by hand, so it needn't remember them.
    none = dict.fromkeys(CONTACT_COLUMNS, "")
    free_before(session, ["company"], lambda _, was: was | none, of=company.id)


@router.get("/companies/{company_id}/contacts", response_model=Page[ContactAnswer])
def list_contacts(
    company_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONTACT, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List who of your alliance was in touch with a company, within cases and without, the last noted first.

    The programme office sees when and how, not what was noted.
    """

    def work(session: Session, who: Principal) -> Reply:
        _find(session, who, company_id, Action.READ)
        if ("company", company_id) in who.stakes:
            raise not_found("company")
        own = who.scopes(*STAFF)
        query = (
            select(Contact)
            .join(Case, col(Case.id) == Contact.case_id, isouter=True)
            .where(Contact.company_id == company_id)
            .where(col(Contact.case_id).is_(None) | visible_cases(who, Action.LIST))
            .order_by(col(Contact.id).desc())
            .limit(limit + 1)
        )
        if not who.holds(Role.OFFICE):
            query = query.where(col(Contact.alliance_id).in_(own))
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(Contact.id) < after)
        items = [
            one.model_dump(mode="json", exclude=set() if one.alliance_id in own else {"note", "next_step"})
            for one in session.exec(query).all()
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.put(
    "/companies/{company_id}/client",
    response_model=CompanyAnswer,
    responses={202: {"model": ClientRequestAnswer, "description": "Another alliance looks after it: they are asked."}},
)
def look_after(
    company_id: str,
    body: ClientBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.TAKE_UP))],
) -> Response:
    """Take a company into your alliance's portfolio, or hand it to another expert of the alliance.

    If another alliance looks after it, that alliance or the company is asked first: 202 and the request.
    """

    def work(session: Session, who: Principal) -> Reply:
        company = _find(session, who, company_id, Action.TAKE_UP)
        done = take_on_or_ask(
            session,
            company_id=company_id,
            alliance_id=_alliance(who, body.alliance),
            expert_id=body.expert or who.id,
            reason=body.reason,
            by=who.id,
            now=ask.at,
        )
        if isinstance(done, ClientRequest):
            tell_of_client_request(session, done, now=ask.at)
            (document,) = _request_documents(session, who, [done])
            return Reply(202, document, {"Location": f"/api/company-requests/{done.id}"})
        return Reply(200, _full(session, who, company), {})

    return ask.write(work, body)


@router.delete("/companies/{company_id}/client", status_code=204)
def stop_looking_after(
    company_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY, Action.END))],
    alliance: Annotated[str | None, Query(max_length=200, description="Needed with several alliances.")] = None,
) -> Response:
    """Take a company out of your alliance's portfolio; its needs and cases stay where they are."""

    def work(session: Session, who: Principal) -> Reply:
        _find(session, who, company_id, Action.END)
        alliance_id = _alliance(who, alliance)
        let_go(session, company_id=company_id, alliance_id=alliance_id, by=who.id, now=ask.at)
        return Reply(204, None, {})

    return ask.write(work)


@router.get("/company-requests", response_model=Page[ClientRequestAnswer])
def list_client_requests(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CLIENT_REQUEST, Action.LIST))],
    waiting: Annotated[bool, Query(description="Only those that nobody has answered.")] = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List who asks to look after your companies too, and what your alliance asked for; the latest first."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(ClientRequest).where(requests_seen(who)).order_by(col(ClientRequest.id).desc()).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(ClientRequest.id) < after)
        if waiting:
            query = query.where(col(ClientRequest.answer).is_(None))
        return Reply(200, page(_request_documents(session, who, session.exec(query).all()), limit, "id"), {})

    return ask.read(work)


@router.post("/company-requests/{request_id}/answer", response_model=ClientRequestAnswer)
def answer_client_request(
    request_id: RequestId,
    body: ClientAnswerBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CLIENT_REQUEST, Action.DECIDE))],
) -> Response:
    """Agree that another alliance looks after a company too, or refuse: as who looks after it, or as the company."""

    def work(session: Session, who: Principal) -> Reply:
        _find_request(session, who, request_id, requests_answered_by(who))
        done = answer_request(session, request_id=request_id, agreed=body.agreed, note=body.note, by=who.id, now=ask.at)
        tell_of_answered_request(session, done, by=who.id, now=ask.at)
        return Reply(200, _request_documents(session, who, [done])[0], {})

    return ask.write(work, body)


@router.delete("/company-requests/{request_id}", status_code=204)
def take_back_client_request(
    request_id: RequestId, ask: Annotated[PermittedRequest, Depends(requires(Resource.CLIENT_REQUEST, Action.END))]
) -> Response:
    """Take back a request of your alliance that nobody has answered."""

    def work(session: Session, who: Principal) -> Reply:
        _find_request(session, who, request_id, col(ClientRequest.alliance_id).in_(who.scopes(*STAFF)))
        take_back_request(session, request_id=request_id, by=who.id, now=ask.at)
        return Reply(204, None, {})

    return ask.write(work)


def requests_answered_by(who: Principal) -> Condition:
    """Return the condition on `ClientRequest` that a person is one of those who are asked."""
    looks_after = exists(
        select(1)
        .where(
            Client.company_id == ClientRequest.company_id,
            col(Client.until).is_(None),
            col(Client.alliance_id).in_(who.scopes(*STAFF)),
        )
        .correlate(ClientRequest)
    )
    asked = or_(looks_after, col(ClientRequest.company_id).in_(who.scopes(Role.COMPANY)))
    return and_(asked, col(ClientRequest.alliance_id).not_in(who.scopes(*STAFF)))


def requests_seen(who: Principal) -> Condition:
    """Return the condition on `ClientRequest` that a person asked, is asked, or is of the office."""
    if who.holds(Role.OFFICE):
        return true()
    return or_(requests_answered_by(who), col(ClientRequest.alliance_id).in_(who.scopes(*STAFF)))


def _find_request(session: Session, who: Principal, request_id: int, these: Condition) -> ClientRequest:
    request = session.exec(select(ClientRequest).where(ClientRequest.id == request_id, these)).first()
    if request is None:
        raise not_found("request")
    return request


def _request_documents(session: Session, who: Principal, found: Sequence[ClientRequest]) -> list[dict[str, Any]]:
    if not found:
        return []
    ids = [one.id for one in found]
    asked = set(session.exec(select(ClientRequest.id).where(col(ClientRequest.id).in_(ids), requests_answered_by(who))))
    companies = {
        one.id: one
        for one in session.exec(select(Company).where(col(Company.id).in_([one.company_id for one in found]))).all()
    }
    people = dict(
        session.exec(select(Account.id, Account.name).where(col(Account.id).in_([one.asked_by for one in found]))).all()
    )
    plain = {"id", "asked_by", "reason", "asked_at", "answer", "note", "answered_at"}
    return [
        {
            **one.model_dump(mode="json", include=plain),
            "company": one.company_id,
            "company_name": companies[one.company_id].name,
            "company_name_en": companies[one.company_id].name_en,
            "alliance": one.alliance_id,
            "asked_by_name": people.get(one.asked_by, ""),
            "may_answer": one.answer is None and one.id in asked,
            "may_take_back": one.answer is None and one.alliance_id in who.scopes(*STAFF),
        }
        for one in found
    ]


def _alliance(who: Principal, named: str | None) -> str:
    own = sorted(who.scopes(*STAFF))
    chosen = named or (own[0] if len(own) == 1 else None)
    if chosen not in own:
        raise ProblemError(422, "invalid", T_("choose one of your own: %(own)s", own=", ".join(own)), "alliance")
    return str(chosen)


def _find(session: Session, who: Principal, company_id: str, action: Action) -> Company:
    company = session.exec(select(Company).where(Company.id == company_id, visible(who, action))).first()
    if company is None:
        raise not_found("company")
    return company


def _kept(ask: PermittedRequest, session: Session, who: Principal, company_id: str) -> str:
    """Return the id, unless it leads to another company that the person may read: the request is sent there.

    Raises:
        ProblemError: 308 with the address of the company that is kept.
    """
    kept = kept_id(session, Mendable.COMPANY, company_id)
    here = ask.request.path_params.get("company_id") == company_id and ask.request.method in SAFE_METHODS
    if kept is not None and here:
        _find(session, who, kept, Action.READ)
        raise moved(ask.request.url.path, company_id, kept)
    return company_id


def _full(session: Session, who: Principal, company: Company) -> dict[str, Any]:
    (listed,) = _documents(session, who, [company])
    document = {**company.model_dump(mode="json"), **listed}
    if who.holds(Role.OFFICE) or document["clients"]:
        document |= contact_of(company)
        document["contact_persons"] = _contact_persons(session, company.id)
    return document | retired_said(retirement_of(session, Mendable.COMPANY, company.id))


def _contact_persons(session: Session, company_id: str) -> list[dict[str, Any]]:
    ours = or_(Grant.scope_id == company_id, col(Grant.scope_id).in_(old_ids(Mendable.COMPANY, [company_id])))
    held = (col(Grant.role) == Role.COMPANY.value, ours, col(Grant.revoked_at).is_(None))
    rows = session.execute(
        select_columns(
            col(Account.id), col(Account.name), col(Account.email), col(MailAddress.refused_at), col(Account.phone)
        )
        .join(MailAddress, col(MailAddress.address) == col(Account.email), isouter=True)
        .join(Grant, col(Grant.account_id) == col(Account.id))
        .where(*held, col(Account.disabled_at).is_(None))
        .order_by(col(Account.id))
    ).all()
    return [
        {"id": row[0], "name": row[1], "email": row[2], "mail_comes_back": row[3] is not None, "phone": row[4]}
        for row in rows
    ]


def _documents(session: Session, who: Principal, companies: Sequence[Company]) -> list[dict[str, Any]]:
    """Return what a list shows; all figures count only what the person may see."""
    ids = [company.id for company in companies]
    needs, cases = _open_needs(session, who, ids), _open_cases(session, who, ids)
    clients, contacts = _clients(session, who, ids), _last_contacts(session, who, ids)
    inside = who.holds(*STAFF, Role.OFFICE)
    documents = []
    for company in companies:
        document: dict[str, Any] = {
            "id": company.id,
            "name": company.name,
            "name_en": company.name_en,
            "tier": company.tier,
            "open_needs": needs.get(company.id, 0),
            "clients": clients.get(company.id, []),
        }
        if inside:
            document |= {"open_cases": cases.get(company.id, 0), "last_contact": contacts.get(company.id)}
        documents.append(document)
    return documents


def _open_needs(session: Session, who: Principal, ids: list[str]) -> dict[str, int]:
    rows = session.execute(
        select(Need.company, func.count())
        .join(NeedIntake, col(NeedIntake.need_id) == col(Need.id))
        .where(visible_needs(who, Action.LIST), col(Need.company).in_(ids), col(NeedIntake.state).in_(_OPEN_NEEDS))
        .group_by(col(Need.company))
    ).all()
    return {str(row[0]): int(row[1]) for row in rows}


def _open_cases(session: Session, who: Principal, ids: list[str]) -> dict[str, int]:
    stages = [stage.value for stage in OPEN_STAGES]
    merged = is_merged(Mendable.COMPANY, col(Case.company_id))
    kept = func.coalesce(col(RecordMerge.kept_id), col(Case.company_id))
    rows = session.execute(
        select(kept, func.count())
        .select_from(Case)
        .join(RecordMerge, merged, isouter=True)
        .where(visible_cases(who, Action.LIST), kept.in_(ids), col(Case.stage).in_(stages))
        .group_by(kept)
    ).all()
    return {str(row[0]): int(row[1]) for row in rows}


def _clients(session: Session, who: Principal, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return who looks after each company: the own alliance's experts, all for the office, none for companies."""
    query = (
        select(Client, Account.name)
        .join(Account, col(Account.id) == col(Client.expert_id), isouter=True)
        .where(col(Client.company_id).in_(ids), col(Client.until).is_(None))
        .order_by(col(Client.alliance_id))
    )
    if not who.holds(Role.OFFICE):
        query = query.where(col(Client.alliance_id).in_(who.scopes(*STAFF)))
    found: dict[str, list[dict[str, Any]]] = {}
    for client, name in session.execute(query).all():
        expert = None if client.expert_id is None else {"id": client.expert_id, "name": name}
        shown = {"alliance": client.alliance_id, "expert": expert, "since": client.since.isoformat()}
        found.setdefault(client.company_id, []).append(shown)
    return found


def _last_contacts(session: Session, who: Principal, ids: list[str]) -> dict[str, str]:
    query = select(Contact.company_id, func.max(Contact.held_on)).where(col(Contact.company_id).in_(ids))
    if not who.holds(Role.OFFICE):
        query = query.where(col(Contact.alliance_id).in_(who.scopes(*STAFF)))
    return {str(row[0]): row[1].isoformat() for row in session.execute(query.group_by(col(Contact.company_id))).all()}


@router.get("/company-names", response_model=Page[CompanyNameAnswer])
def find_company_names(
    q: Annotated[str, Query(min_length=2, max_length=100, description="Part of the name, or the whole tax id.")],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.COMPANY_NAME, Action.LIST))],
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Find a company by a part of its name or by its tax id (統一編號), to take it on."""

    def work(session: Session, who: Principal) -> Reply:
        columns = select_columns(col(Company.id), col(Company.name), col(Company.name_en), col(Company.tax_id))
        names = session.connection().execute(columns.where(in_use(Mendable.COMPANY, col(Company.id)))).all()
        called = [Called(row.id, (row.name, row.name_en or ""), (row.tax_id,) if row.tax_id else ()) for row in names]
        ids = after_cursor({one.id for one in meant(q, called)}, cursor, limit)
        rows = session.exec(select(Company).where(col(Company.id).in_(ids))).all()
        found = sorted(rows, key=lambda company: company.id)
        held = session.exec(
            select(Client.company_id).where(
                col(Client.company_id).in_([company.id for company in found]),
                col(Client.alliance_id).in_(who.scopes(*STAFF)),
                col(Client.until).is_(None),
            )
        ).all()
        items = [
            {"id": one.id, "name": one.name, "name_en": one.name_en, "in_portfolio": one.id in held} for one in found
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.get("/experts", response_model=Page[ColleagueAnswer])
def list_experts(ask: Annotated[PermittedRequest, Depends(requires(Resource.EXPERT, Action.LIST))]) -> Response:
    """List who works in your alliances' liaison centers: to whom a company can be handed."""

    def work(session: Session, who: Principal) -> Reply:
        rows = session.exec(
            select(Account.id, Account.name, Grant.scope_id)
            .join(Grant, col(Grant.account_id) == col(Account.id))
            .where(
                col(Grant.role).in_([role.value for role in STAFF]),
                col(Grant.scope_id).in_(who.scopes(*STAFF)),
                col(Grant.revoked_at).is_(None),
                col(Account.disabled_at).is_(None),
            )
            .distinct()
            .order_by(col(Grant.scope_id), col(Account.name), col(Account.id))
        ).all()
        items = [{"id": account_id, "name": name, "alliance": alliance} for account_id, name, alliance in rows]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)
