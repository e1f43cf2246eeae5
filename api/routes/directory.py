"""Names to choose from: companies that can be taken on, and the colleagues to whom one can be handed.

In: a part of a name. Out: names, and nothing that an alliance knows of a company beside it. It exists because an expert
may take on any company, and so must be able to find one that is not in the portfolio yet.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, or_, select

from api.answers import Page
from api.asking import Asking, asking
from api.idempotency import Reply
from api.paging import Cursor, Limit, decoded, page
from api.people_answers import ColleagueAnswer, CompanyNameAnswer
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from indexer.records import Company
from matcher.clients import Client
from matcher.people import Account, Grant, Principal
from matcher.roles import Role

router = APIRouter(prefix="/api", tags=["companies"], route_class=ThreadedRoute)

_STAFF = (Role.EXPERT, Role.LEAD)


@router.get("/company-names", response_model=Page[CompanyNameAnswer])
def find_company_names(
    q: Annotated[str, Query(min_length=2, max_length=100, description="Part of the name, or the whole tax id.")],
    ask: Annotated[Asking, Depends(asking(Resource.COMPANY_NAME, Action.LIST))],
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Find a company by a part of its name or by its tax id (統一編號), to take it on."""

    def work(session: Session, who: Principal) -> Reply:
        query = (
            select(Company)
            .where(
                or_(
                    col(Company.name).icontains(q, autoescape=True),
                    col(Company.name_en).icontains(q, autoescape=True),
                    Company.tax_id == q,
                )
            )
            .order_by(col(Company.id))
            .limit(limit + 1)
        )
        after = decoded(cursor, str)
        if after is not None:
            query = query.where(col(Company.id) > after)
        found = session.exec(query).all()
        held = session.exec(
            select(Client.company_id).where(
                col(Client.company_id).in_([company.id for company in found]),
                col(Client.alliance_id).in_(who.scopes(*_STAFF)),
                col(Client.until).is_(None),
            )
        ).all()
        items = [
            {"id": one.id, "name": one.name, "name_en": one.name_en, "in_portfolio": one.id in held} for one in found
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.get("/experts", response_model=Page[ColleagueAnswer])
def list_experts(ask: Annotated[Asking, Depends(asking(Resource.EXPERT, Action.LIST))]) -> Response:
    """List who works in your alliances' liaison centers: to whom a company can be handed."""

    def work(session: Session, who: Principal) -> Reply:
        rows = session.exec(
            select(Account.id, Account.name, Grant.scope_id)
            .join(Grant, col(Grant.account_id) == col(Account.id))
            .where(
                col(Grant.role).in_([role.value for role in _STAFF]),
                col(Grant.scope_id).in_(who.scopes(*_STAFF)),
                col(Grant.revoked_at).is_(None),
                col(Account.disabled_at).is_(None),
            )
            .distinct()
            .order_by(col(Grant.scope_id), col(Account.name), col(Account.id))
        ).all()
        items = [{"id": account_id, "name": name, "alliance": alliance} for account_id, name, alliance in rows]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)
