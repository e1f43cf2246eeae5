"""Chains: from a need to the lab that can build it and the companies of one's portfolio that would make it.

In: an expert's question, then the chain that the expert settles on. Out: the chain with its evidence, as far as the
expert may see companies and their past needs; a row that keeps it with the need. It exists apart from the pairings
because it names companies, and nothing is done by it: each link is introduced, or not, by somebody.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import companies as visible_companies
from api.access.visibility import needs as visible_needs
from api.documents.bodies import ChainBody
from api.documents.matching.chains import ChainAnswer, KeptChainAnswer, chain_document, link_document
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.routes.needs import find_need
from api.routes.pairings import alliance_for
from indexer.database import OvertakenError
from indexer.records.profiles import Company as CompanyProfile
from indexer.records.profiles import Need as NeedProfile
from indexer.records.record_tables import Company, Need, load_companies, load_need, load_needs
from indexer.wording import T_
from matcher.ranking.pairings import Matcher
from matcher.review.joint.chains import chain_for
from matcher.review.joint.kept_chains import NeedChain, chain_that_holds, is_signed, keep_chain, links_of
from matcher.review.people import Principal
from matcher.review.proposals import record
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api", tags=["joint"], route_class=ThreadedRoute)

_TRIES = 3
"""As for a ranking: how often it is tried again if the need is changed meanwhile."""


@router.get("/needs/{need_id}/chain", response_model=ChainAnswer)
@takes(MATCHING)
def find_chain(
    need_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
    lab: Annotated[
        str | None, Query(max_length=200, description="The lab that was chosen; default: the first.")
    ] = None,
) -> Response:
    """Find a chain for a need: the lab that can build it, then the companies of your portfolio that would make it.

    The first company makes such things; each further one speaks to an ask that those before it do not. Descriptions
    and past needs that you may match are the evidence, nothing else. The labs are stored as shown.
    """
    for _ in range(_TRIES - 1):
        with suppress(OvertakenError):
            return ask.answered(_chained(ask, need_id, lab))
    return ask.answered(_chained(ask, need_id, lab))


@router.put("/needs/{need_id}/chain", response_model=KeptChainAnswer)
def put_chain(
    need_id: str, body: ChainBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.EDIT))]
) -> Response:
    """Keep a chain with the need, for all who work on it: whoever looks after it is told of the next link.

    It is told once a case of the link before is signed, and nothing is ever done by it. No companies: no chain.
    """
    matcher: Matcher = ask.request.app.state.live.current()

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.EDIT, Resource.MATCH)
        ask.about("need", need_id)
        if body.lab is not None and body.lab not in matcher.labs:
            raise ProblemError(422, "invalid", T_("there is no lab %(lab_id)r", lab_id=body.lab), "lab")
        wanted = list(dict.fromkeys(body.companies))
        seen = select(Company.id).where(col(Company.id).in_(wanted), visible_companies(who, Action.READ))
        known = {one for one in session.exec(seen) if not who.has_stake(company_id=one, lab_id=None)}
        if known != set(wanted):
            raise ProblemError(422, "invalid", T_("there is no such company in your portfolio"), "companies")
        row = keep_chain(
            session,
            need_id=need_id,
            alliance_id=alliance_for(session, who, need_id),
            lab_id=body.lab,
            companies=wanted,
            by=who.id,
            now=ask.at,
        )
        return Reply(200, _kept(session, matcher, row, ""), {})

    return ask.write(work, body)


def _chained(ask: PermittedRequest, need_id: str, lab_id: str | None) -> Reply:
    """Find a chain, and store its labs as shown.

    Raises:
        OvertakenError: as for a ranking.
        ChainError: the lab may not be proposed.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        need = load_need(session, need_id, visible_needs(who, Action.READ, Resource.MATCH))
        if need is None:
            raise not_found("need")
        companies, needs, withheld = _seen(session, who)
    ask.let_go()
    matcher: Matcher = ask.request.app.state.live.current()
    barred = [one for one in matcher.labs if who.stakes and who.has_stake(company_id=need.company, lab_id=one)]
    chain = chain_for(matcher, need, companies, needs, lab_id=lab_id, barred=barred)
    ask.must_leave_room(part=0.5)
    with ask.writing() as session:
        if load_need(session, need_id) != need:
            raise OvertakenError("the need was changed while its chain was found")
        numbers = record(session, result=chain.result, shown_to=who.id, now=ask.at)
        held = chain_that_holds(session, need_id, who.scopes(*STAFF))
        kept = None if held is None else _kept(session, matcher, held[0], held[1])
    document = chain_document(matcher, chain, {one.id: one for one in needs}, to=ask, kept=kept)
    document["withheld"] = len(barred) + withheld
    for item in document["labs"]:
        item.update(numbers[item["lab_id"]]._asdict())
    return Reply(200, document, {})


def _seen(session: Session, who: Principal) -> tuple[list[CompanyProfile], list[NeedProfile], int]:
    """Return the companies and needs that a person may take as evidence, and how many companies a stake keeps out."""
    ours = session.exec(select(Company.id).where(visible_companies(who, Action.LIST))).all()
    free = [one for one in load_companies(session, ours) if not who.has_stake(company_id=one.id, lab_id=None)]
    mine = session.exec(
        select(Need.id).where(
            visible_needs(who, Action.READ, Resource.MATCH), col(Need.company).in_([c.id for c in free])
        )
    ).all()
    return free, load_needs(session, mine), len(ours) - len(free)


def _kept(session: Session, matcher: Matcher, row: NeedChain, by_name: str) -> dict[str, Any]:
    companies = links_of(session, row)
    coming = companies[0] if companies and is_signed(session, row.need_id, row.alliance_id) else None
    return {
        "lab_id": row.lab_id,
        "companies": [link_document(matcher, one) for one in companies],
        "by_name": by_name,
        "at": row.at.isoformat(),
        "next": coming,
    }
