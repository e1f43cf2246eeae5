"""Labs: found and read by experts, kept true by their researchers.

In: a search, or a researcher's changes. Out: profiles; and for a lab the needs it should hear of.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.asking import Asking, asking, etag_of
from api.bodies import LabBody
from api.documents import lab_document
from api.filtering import Chosen
from api.idempotency import Reply
from api.match_answers import DemandAnswer, LabAnswer, LabMatchAnswer, LabSearchAnswer
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import MATCHING, ThreadedRoute, takes
from api.visibility import labs as visible
from api.visibility import needs as visible_needs
from indexer.loading import load_needs
from indexer.records import Lab, Need
from matcher.demand import FEWEST_TOLD, demand_by_field, demand_by_kind
from matcher.intake import OPEN_STATES, NeedIntake
from matcher.lab_search import FoundLab
from matcher.people import Principal
from matcher.profile_edits import edit_profile, profile_document

router = APIRouter(prefix="/api", tags=["labs"], route_class=ThreadedRoute)

_OPEN = [state.value for state in OPEN_STATES]


@router.get("/labs", response_model=LabSearchAnswer)
@takes(MATCHING)
def search_labs(
    filters: Chosen,
    ask: Annotated[Asking, Depends(asking(Resource.LAB, Action.LIST))],
    q: Annotated[str, Query(max_length=2_000, description="Words in Chinese or English; empty lists all.")] = "",
    top: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """Search labs by free text, best first, each with the passage that speaks best; with counts per filter."""
    with ask.reading() as session:
        who = ask.admitted(session)
        mine = set(session.exec(select(Lab.id).where(visible(who, Action.LIST))).all())
    found = ask.request.app.state.live.current().search_labs(q, top=top, offset=offset, filters=filters)
    document = {
        "items": [_found(item) for item in found.labs if item.lab.id in mine],
        "total": found.total,
        "facets": asdict(found.facets),
        "generation": found.generation,
    }
    return ask.answered(Reply(200, document, {}))


def _found(item: FoundLab) -> dict[str, Any]:
    return {
        "lab_id": item.lab.id,
        "name": item.lab.name,
        "name_en": item.lab.name_en,
        "school": item.lab.school,
        "rank": item.rank,
        "score": item.score,
        "band": None if item.band is None else item.band.value,
        "by_name": item.by_name,
        "speaking": None if item.speaking is None else asdict(item.speaking),
        "changed_since_index": item.changed_since_index,
    }


@router.get("/labs/{lab_id}", response_model=LabAnswer)
def read_lab(lab_id: str, ask: Annotated[Asking, Depends(asking(Resource.LAB, Action.READ))]) -> Response:
    """Read a lab's profile with its evidence."""

    def work(session: Session, who: Principal) -> Reply:
        document = _find(session, who, lab_id, Action.READ)
        return Reply(200, document, {"ETag": etag_of(document)})

    return ask.read(work)


@router.patch("/labs/{lab_id}", response_model=LabAnswer)
def edit_lab(
    lab_id: str, body: LabBody, ask: Annotated[Asking, Depends(asking(Resource.LAB, Action.EDIT))]
) -> Response:
    """Change your own lab's profile; the next re-index ranks by it. Send the ETag that you read as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        document = _find(session, who, lab_id, Action.EDIT, lock=True)
        ask.must_match(etag_of(document))
        changes = body.model_dump(exclude_unset=True, mode="json")
        after = edit_profile(session, lab_id=lab_id, changes=changes, by=who.id, now=ask.at)
        return Reply(200, after, {"ETag": etag_of(after)})

    return ask.write(work, body)


@router.get("/labs/{lab_id}/demand", response_model=DemandAnswer)
def read_demand(lab_id: str, ask: Annotated[Asking, Depends(asking(Resource.DEMAND, Action.READ))]) -> Response:
    """Read how many open needs ask for your lab's fields and offers: counts only, none of the needs."""

    def work(session: Session, who: Principal) -> Reply:
        profile = _find(session, who, lab_id, Action.EDIT)
        document = {
            "fewest_told": FEWEST_TOLD,
            "fields": [asdict(one) for one in demand_by_field(session, profile["fields"])],
            "offers": [asdict(one) for one in demand_by_kind(session, profile["offers"])],
        }
        return Reply(200, document, {})

    return ask.read(work)


@router.get("/labs/{lab_id}/matches", response_model=LabMatchAnswer)
@takes(MATCHING)
def match_lab(
    lab_id: str,
    ask: Annotated[Asking, Depends(asking(Resource.MATCH, Action.READ))],
    top: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """The other direction: which of the open needs that you may match should this lab hear of."""
    with ask.reading() as session:
        who = ask.admitted(session)
        if session.get(Lab, lab_id) is None or ("lab", lab_id) in who.stakes:
            raise not_found("lab")
        query = (
            select(Need.id)
            .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
            .where(
                visible_needs(who, Action.READ, Resource.MATCH),
                col(NeedIntake.state).in_([state.value for state in OPEN_STATES]),
            )
        )
        needs = load_needs(session, session.exec(query).all())
    matcher = ask.request.app.state.live.current()
    free = [need for need in needs if not who.has_stake(company_id=need.company, lab_id=None)]
    matches = matcher.match_lab(lab_id, free, top=top)
    document = lab_document(matcher, lab_id, matches)
    document["withheld"] = len(needs) - len(free)
    return ask.answered(Reply(200, document, {}))


def _find(session: Session, who: Principal, lab_id: str, action: Action, *, lock: bool = False) -> dict[str, Any]:
    query = select(Lab.id).where(Lab.id == lab_id, visible(who, action))
    if session.exec(query.with_for_update() if lock else query).first() is None:
        raise not_found("lab")
    return profile_document(session, lab_id) or {}
