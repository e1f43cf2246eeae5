"""Labs: found and read by experts, kept true by their researchers, claimed by who leads them.

In: a search, a researcher's changes, a claim with its statement, and a verdict on one. Out: profiles; for a lab the
needs it suits and how much it is asked for; claims. It exists because a lab's profile is worth what its researcher
answers for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.access.policy import Action, Resource
from api.access.visibility import claims as visible_claims
from api.access.visibility import companies as visible_companies
from api.access.visibility import labs as visible
from api.access.visibility import needs as visible_needs
from api.documents.answers import Page, retired_said
from api.documents.bodies import MAX_ROW_NUMBER, ClaimBody, ClaimVerdictBody, LabBody
from api.documents.matching.matches import (
    DemandAnswer,
    LabAnswer,
    LabCompaniesAnswer,
    LabMatchAnswer,
    LabSearchAnswer,
    LikeLabsAnswer,
    lab_companies_document,
    lab_document,
)
from api.documents.people import ClaimAnswer, CooperationAnswer, LabNameAnswer, WaitingClaimAnswer
from api.letters.telling import tell_of_claim, tell_of_decided_claim
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, etag_of, requires
from api.requests.problems import moved, not_found
from api.requests.query_parameters import ChosenFilters, Cursor, Limit, after_cursor, decoded, page
from indexer.instants import day_in_taipei
from indexer.records.mended.merged import kept_id, same_ids
from indexer.records.mended.retired import Retirement, in_use
from indexer.records.mended.same_work import each_once
from indexer.records.passages import joined
from indexer.records.record_tables import Company, Lab, Need, School, load_companies, load_needs
from indexer.vocabulary import Mendable
from matcher.ranking.lab_search import FoundLab
from matcher.review.conversation.signing import past_cooperation
from matcher.review.finding import Called, Naming, meant
from matcher.review.intake import OPEN_STATES, NeedIntake
from matcher.review.likeness import lab_companies
from matcher.review.own_lab.researchers import (
    FEWEST_TOLD,
    LabClaim,
    claim,
    decide_claim,
    demand_by_field,
    demand_by_kind,
    edit_profile,
    profile_document,
)
from matcher.review.people import Account, Principal

router = APIRouter(prefix="/api", route_class=ThreadedRoute)

_OPEN = [state.value for state in OPEN_STATES]
_MOST_SAID, _TITLES = 2_000, 8
"""Characters of a lab's own words that similar labs are looked for by, and titles where it has none."""


@router.get("/labs", tags=["labs"], response_model=LabSearchAnswer)
@takes(MATCHING)
def search_labs(
    filters: ChosenFilters,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.LIST))],
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
        "fitting": found.fitting,
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


@router.get("/labs/{lab_id}", tags=["labs"], response_model=LabAnswer)
def read_lab(lab_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.READ))]) -> Response:
    """Read a lab's profile with its evidence."""

    def work(session: Session, who: Principal) -> Reply:
        document = _find(session, who, lab_id, Action.READ)
        retired = _retired(session, lab_id)
        kept = kept_id(session, Mendable.LAB, lab_id) if "retired" in retired else None
        if kept is not None and ask.request.path_params.get("lab_id") == lab_id:
            raise moved(ask.request.url.path, lab_id, kept)
        counted = _counted(document["evidence"], retired.get("retired_evidence", {}))
        return Reply(200, document | {"evidence": counted} | retired, {"ETag": etag_of(document)})

    return ask.read(work)


def _counted(evidence: list[dict[str, Any]], retired: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each work once, of those in use; what is retired is there too, to be read."""
    counted = {one["id"] for one in each_once(one for one in evidence if one["id"] not in retired)}
    return [one for one in evidence if one["id"] in retired or one["id"] in counted]


def _retired(session: Session, lab_id: str) -> dict[str, Any]:
    """Return that a lab, or some of its evidence, is retired; nothing where all of it is in use."""
    these = (Retirement.record_id == lab_id, col(Retirement.kind).in_([Mendable.LAB.value, Mendable.EVIDENCE.value]))
    rows = session.exec(select(Retirement).where(*these, col(Retirement.ended_at).is_(None))).all()
    parts = {row.part: retired_said(row)["retired"] for row in rows if row.part}
    found = retired_said(next((row for row in rows if not row.part), None))
    return found | ({"retired_evidence": parts} if parts else {})


@router.patch("/labs/{lab_id}", tags=["labs"], response_model=LabAnswer)
def edit_lab(
    lab_id: str, body: LabBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.EDIT))]
) -> Response:
    """Change your own lab's profile; the next re-index ranks by it. Send the ETag that you read as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        document = _find(session, who, lab_id, Action.EDIT, lock=True)
        ask.must_match(etag_of(document))
        changes = body.model_dump(exclude_unset=True, mode="json")
        after = edit_profile(session, lab_id=lab_id, changes=changes, by=who.id, now=ask.at)
        return Reply(200, after, {"ETag": etag_of(after)})

    return ask.write(work, body)


@router.get("/labs/{lab_id}/demand", tags=["labs"], response_model=DemandAnswer)
def read_demand(
    lab_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.DEMAND, Action.READ))]
) -> Response:
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


@router.get("/labs/{lab_id}/similar", tags=["labs"], response_model=LikeLabsAnswer)
@takes(MATCHING)
def similar_labs(
    lab_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.READ))],
    top: Annotated[int, Query(ge=1, le=20)] = 5,
) -> Response:
    """Which labs do about the same: those that a search for what the lab says of itself finds, of those you may see."""
    with ask.reading() as session:
        who = ask.admitted(session)
        profile = _find(session, who, lab_id, Action.READ)
        mine = set(session.exec(select(Lab.id).where(visible(who, Action.LIST))).all())
    said = joined(profile["summary"], profile["summary_en"], " ".join(profile["keywords"]))[:_MOST_SAID]
    if not said:
        said = joined(*(one["title"] for one in profile["evidence"][:_TITLES]))[:_MOST_SAID]
    items: list[dict[str, Any]] = []
    if said:
        found = ask.request.app.state.live.current().search_labs(said, top=top + 1)
        items = [_found(item) for item in found.labs if item.lab.id in mine and item.lab.id != lab_id][:top]
    return ask.answered(Reply(200, {"items": items}, {}))


@router.get("/labs/{lab_id}/matches", tags=["labs"], response_model=LabMatchAnswer)
@takes(MATCHING)
def match_lab(
    lab_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
    top: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """The other direction: which of the open needs that you may match should this lab hear of."""
    with ask.reading() as session:
        who = ask.admitted(session)
        if session.get(Lab, lab_id) is None or ("lab", lab_id) in who.stakes:
            raise not_found("lab")
        needs = load_needs(session, session.exec(_open_needs(who)).all())
    matcher = ask.request.app.state.live.current()
    free = [need for need in needs if not who.has_stake(company_id=need.company, lab_id=None)]
    read = matcher.readable(free)
    matches = matcher.match_lab(lab_id, read, top=top)
    document = lab_document(matcher, lab_id, matches, to=ask)
    document["withheld"] = len(needs) - len(free)
    document["unread"] = len(free) - len(read)
    return ask.answered(Reply(200, document, {}))


@router.get("/labs/{lab_id}/companies", tags=["labs"], response_model=LabCompaniesAnswer)
@takes(MATCHING)
def match_lab_with_companies(
    lab_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
    top: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Response:
    """Which companies of your portfolio should hear of this lab: by an open need that you may match, or by their work.

    Scores and bands are those of labs for a need.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        if session.get(Lab, lab_id) is None or ("lab", lab_id) in who.stakes:
            raise not_found("lab")
        needs = load_needs(session, session.exec(_open_needs(who)).all())
        ours = select(Company.id).where(visible_companies(who, Action.READ))
        companies = load_companies(session, session.exec(ours).all())
    matcher = ask.request.app.state.live.current()
    free = [one for one in companies if not who.has_stake(company_id=one.id, lab_id=None)]
    found = lab_companies(matcher, lab_id, free, matcher.readable(needs), top=top)
    document = lab_companies_document(matcher, lab_id, found)
    document["withheld"] = len(companies) - len(free)
    return ask.answered(Reply(200, document, {}))


def _open_needs(who: Principal) -> SelectOfScalar[str]:
    """Select the open needs that a person may match."""
    return (
        select(Need.id)
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id)
        .where(visible_needs(who, Action.READ, Resource.MATCH), col(NeedIntake.state).in_(_OPEN))
    )


def _find(session: Session, who: Principal, lab_id: str, action: Action, *, lock: bool = False) -> dict[str, Any]:
    query = select(Lab.id).where(Lab.id == lab_id, visible(who, action))
    if session.exec(query.with_for_update() if lock else query).first() is None:
        raise not_found("lab")
    return profile_document(session, lab_id) or {}


@router.get("/labs/{lab_id}/cooperation", tags=["labs"], response_model=CooperationAnswer)
def read_cooperation(
    lab_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.READ))]
) -> Response:
    """Read what was signed with a lab before, in all alliances: how much, since when, and in what where many did."""

    def work(session: Session, who: Principal) -> Reply:
        _find(session, who, lab_id, Action.READ)
        found = past_cooperation(session, same_ids(session, Mendable.LAB, lab_id))
        counted = {
            name: [{"name": word, "cases": n} for word, n in getattr(found, name)] for name in ("fields", "kinds")
        }
        return Reply(200, {**asdict(found), **counted}, {})

    return ask.read(work)


ClaimId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/lab-names", tags=["claims"], response_model=Page[LabNameAnswer])
def find_lab_names(
    q: Annotated[str, Query(min_length=2, max_length=100, description="Part of the name of the lab or its head.")],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB_NAME, Action.LIST))],
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Find a lab by a part of its name or its head's, in any order and script, to claim it: name, head, school.

    A head in Chinese characters is found by the spellings of Taiwan in Latin letters too; whether it is the same person
    is for people to say.
    """

    def work(session: Session, _who: Principal) -> Reply:
        columns = select_columns(col(Lab.id), col(Lab.name), col(Lab.name_en), col(Lab.pi))
        names = session.connection().execute(columns.where(in_use(Mendable.LAB, col(Lab.id)))).all()
        called = [Called(row.id, (row.name, row.name_en or "")) for row in names]
        heads = [Called(row.id, (row.pi,), naming=Naming.PERSON) for row in names]
        found = after_cursor({one.id for one in meant(q, [*called, *heads])}, cursor, limit)
        query = (
            select(Lab, School.name)
            .join(School, col(School.id) == col(Lab.school), isouter=True)
            .where(col(Lab.id).in_(found))
        )
        items = [
            {"id": lab.id, "name": lab.name, "name_en": lab.name_en, "head": lab.pi, "school": school or lab.school}
            for lab, school in sorted(session.exec(query).all(), key=lambda row: row[0].id)
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/labs/{lab_id}/claims", tags=["claims"], status_code=201, response_model=ClaimAnswer)
def claim_lab(
    lab_id: str, body: ClaimBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.CLAIM, Action.CREATE))]
) -> Response:
    """Ask for a lab that is yours; say what shows it."""

    def work(session: Session, who: Principal) -> Reply:
        if session.exec(select(Lab.id).where(Lab.id == lab_id)).first() is None:
            raise not_found("lab")
        asked = claim(session, account_id=who.id, lab_id=lab_id, statement=body.statement, now=ask.at)
        tell_of_claim(session, asked, now=ask.at)
        return Reply(201, _document(asked), {})

    return ask.write(work, body)


@router.get("/me/claims", tags=["claims"], response_model=Page[ClaimAnswer])
def list_own_claims(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CLAIM, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List your claims with what became of them, oldest first."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(LabClaim).where(LabClaim.account_id == who.id).order_by(col(LabClaim.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(LabClaim.id) > after)
        return Reply(200, page([_document(asked) for asked in session.exec(query).all()], limit, "id"), {})

    return ask.read(work)


@router.get("/claims", tags=["claims"], response_model=Page[WaitingClaimAnswer])
def list_waiting_claims(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CLAIM, Action.DECIDE))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the claims that wait for you, oldest first: of labs at your alliance's schools, or all for the office."""

    def work(session: Session, who: Principal) -> Reply:
        query = (
            select(LabClaim, Lab, Account)
            .join(Lab, col(Lab.id) == col(LabClaim.lab_id))
            .join(Account, col(Account.id) == col(LabClaim.account_id))
            .where(visible_claims(who, Action.DECIDE, _today(ask)), col(LabClaim.verdict).is_(None))
            .order_by(col(LabClaim.id))
            .limit(limit + 1)
        )
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(LabClaim.id) > after)
        items = [
            {
                **_document(asked),
                "lab_name": lab.name,
                "school": lab.school,
                "claimant": {"name": claimant.name, "email": claimant.email},
            }
            for asked, lab, claimant in session.exec(query).all()
        ]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/claims/{claim_id}/verdict", tags=["claims"], response_model=ClaimAnswer)
def decide_on_claim(
    claim_id: ClaimId,
    body: ClaimVerdictBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CLAIM, Action.DECIDE))],
) -> Response:
    """Approve a claim, which makes the claimant a researcher of the lab at once, or refuse it with a reason."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(LabClaim.id).where(LabClaim.id == claim_id, visible_claims(who, Action.DECIDE, _today(ask)))
        if session.exec(query).first() is None:
            raise not_found("claim")
        decided = decide_claim(
            session, claim_id=claim_id, verdict=body.verdict, reason=body.reason, by=who.id, now=ask.at
        )
        tell_of_decided_claim(session, decided, now=ask.at)
        return Reply(200, _document(decided), {})

    return ask.write(work, body)


def _today(ask: PermittedRequest) -> Any:
    return day_in_taipei(ask.at)


def _document(asked: LabClaim) -> dict[str, Any]:
    return asked.model_dump(mode="json", exclude={"decided_by"}) | {"state": asked.verdict or "waiting"}
