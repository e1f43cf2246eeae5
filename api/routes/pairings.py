"""Ranked labs for a need, a team of them, verdicts, what the company gets to see, and how often a school is shown.

In: an expert's question, then the expert's word; a number of days. Out: what was shown, stored as proposals;
verdicts; releases; counts per school of what was proposed and accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy import bindparam
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.access.policy import Action, Resource
from api.access.visibility import cases as visible_cases
from api.access.visibility import companies as visible_companies
from api.access.visibility import needs as visible
from api.access.visibility import needs as visible_needs
from api.access.visibility import readable, unconflicted
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER, DecisionBody, SteeringBody, TeamBody
from api.documents.conversation.talks import said_by_company
from api.documents.matching.matches import (
    ExposuresAnswer,
    KeptSteeringAnswer,
    LikeCompaniesAnswer,
    LikeNeedsAnswer,
    MatchAnswer,
    NewDecisionAnswer,
    PairingAnswer,
    ReleaseAnswer,
    ReleasedLabAnswer,
    kept_steering,
    like_companies,
    like_needs_document,
    match_document,
)
from api.documents.matching.teams import FormedTeamAnswer, TeamAnswer, team_document
from api.letters.telling import tell_of_released_lab
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import ChosenFilters, ChosenSteering, ChosenTeam
from api.routes.needs import find_need
from api.trail.request_trail import NeedReader
from indexer.database import OvertakenError
from indexer.instants import day_in_taipei
from indexer.records.profiles import Need as NeedProfile
from indexer.records.record_tables import Company, Lab, Need, load_companies, load_need, load_needs
from indexer.wording import T_
from matcher.ledger.rules.reporting import AcceptanceLedger
from matcher.ranking.lab_table import Filters
from matcher.ranking.pairings import MatchResult
from matcher.ranking.wishes import UNSTEERED, Steering
from matcher.review.case_teams import form_team
from matcher.review.cases import Case
from matcher.review.conversation.signing import labs_at_limit
from matcher.review.conversation.standing import stands_of
from matcher.review.decisions import Decision, Verdict, decide, undo
from matcher.review.intake import NeedIntake, NeedShare
from matcher.review.likeness import Said, alike, cases_of, of_company, of_need
from matcher.review.people import Account, Principal
from matcher.review.proposals import Proposal, Release, StoredPairing, end_release, exposures, record, release, shares
from matcher.review.roles import STAFF, Role
from matcher.review.steering import NeedSteering, keep_steering, kept_steerings, steering_of, steering_that_holds
from matcher.teams.teams import TeamPicks, team_for

router = APIRouter(prefix="/api", tags=["pairings"], route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
MAX_TOP = 100
_TRIES = 3
"""How often a need is ranked, if it is changed meanwhile or others look at it at the same moment."""
_LEDGER = AcceptanceLedger()
_SHOWN = "$response.body#/pairings/0"
_TO_DECISION = {
    "operationId": "decide_pairing",
    "description": "Say what you think of the first of them.",
    "parameters": {"pairing_id": f"{_SHOWN}/pairing_id"},
    "requestBody": {"verdict": "accept", "proposal_id": f"{_SHOWN}/proposal_id"},
}
_TO_CASE = {
    "operationId": "move_case_on",
    "description": "Go on with the case that an acceptance opened.",
    "parameters": {"case_id": "$response.body#/case_id"},
}
_ALLIANCE = select(NeedIntake.alliance_id).where(NeedIntake.need_id == bindparam("need_id"))


@router.get(
    "/needs/{need_id}/matches",
    response_model=MatchAnswer,
    responses={200: {"links": {"decide": _TO_DECISION}}},
)
@takes(MATCHING)
def match_need(
    need_id: str,
    filters: ChosenFilters,
    steering: ChosenSteering,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
    top: Annotated[int, Query(ge=1, le=MAX_TOP)] = 20,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """Rank the labs for a need, explained; what is shown is stored, so that a verdict refers to it.

    Ranks are those among all labs, also under a filter. `wishes` has what the need wishes beside its topic, how much
    each counts in this answer, and how many labs meet it or are hidden by it; bands stay as without steering. Without
    `wish` the answer is steered as your alliance keeps it with the need; `steering` says how, and whom that moves. Labs
    or companies in which you have declared an interest are left out and counted in `withheld`.
    """
    asked = _Asked(filters, steering, top, offset)
    for _ in range(_TRIES - 1):
        with suppress(OvertakenError):
            return ask.answered(_matched(ask, need_id, asked))
    return ask.answered(_matched(ask, need_id, asked))


@router.get("/needs/{need_id}/team", response_model=TeamAnswer)
@takes(MATCHING)
def find_team(
    need_id: str,
    picks: ChosenTeam,
    steering: ChosenSteering,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
) -> Response:
    """Find the fewest labs that together cover what a need asks; each is stored as shown, for a verdict to refer to.

    The best team covers what counts most, then has fewest members, then answers each ask best. An ask that is steered
    as a must has to be covered by one of them. Labs that carry as many cases as they can are left out unless you
    include them; two labs of one head, or in conflict with each other, are never in one team. Without `wish` the
    ranking below is steered as your alliance keeps it with the need.
    """
    for _ in range(_TRIES - 1):
        with suppress(OvertakenError):
            return ask.answered(_teamed(ask, need_id, picks, steering))
    return ask.answered(_teamed(ask, need_id, picks, steering))


@router.post("/needs/{need_id}/team", status_code=201, response_model=FormedTeamAnswer)
def accept_team(
    need_id: str, body: TeamBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.PAIRING, Action.DECIDE))]
) -> Response:
    """Accept several labs for a need as one team: all of them or none.

    For each a case is opened, or the one taken that your alliance has already; they are carried together, and each
    names the others. What was accepted is undone lab by lab.
    """

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.DECIDE, Resource.PAIRING)
        ask.about("need", need_id)
        alliance_id = alliance_for(session, who, need_id)
        cases: dict[int, Case] = {}
        for member in body.members:
            pairing = session.exec(_one_pairing(who, Action.DECIDE), params={"pairing_id": member.pairing_id}).first()
            if pairing is None or pairing.need_id != need_id:
                raise ProblemError(
                    422, "team", T_("pairing %(id)s is not one of this need", id=member.pairing_id), "members"
                )
            cases[member.pairing_id] = _accepted(session, ask, who, pairing, member.proposal_id, alliance_id)
        if body.lead not in cases:
            raise ProblemError(422, "team", T_("the lead is one of the team"), "lead")
        lead = cases[body.lead].id or 0
        team = form_team(
            session, cases=list(cases.values()), lead_case_id=lead, alliance_id=alliance_id, by=who.id, now=ask.at
        )
        formed = {"id": team.id, "need_id": need_id, "lead_case_id": lead}
        return Reply(201, {**formed, "case_ids": [case.id for case in cases.values()]}, {})

    return ask.write(work, body)


def _accepted(
    session: Session, ask: PermittedRequest, who: Principal, pairing: StoredPairing, proposal_id: int, alliance_id: str
) -> Case:
    """Return the case of a pairing: the one that the alliance has, or the one that accepting it now opens."""
    own = select(Case).where(Case.pairing_id == pairing.id, Case.stage != "undone", Case.alliance_id == alliance_id)
    held = session.exec(own).first()
    if held is not None:
        return held
    _, case = decide(
        session,
        pairing_id=pairing.id or 0,
        proposal_id=proposal_id,
        verdict=Verdict.ACCEPT,
        by=who.id,
        alliance_id=alliance_id,
        now=ask.at,
        ledger=_LEDGER,
    )
    if case is None:
        raise AssertionError("an acceptance opens a case")
    return case


@router.put("/needs/{need_id}/steering", response_model=KeptSteeringAnswer)
def put_steering(
    need_id: str, body: SteeringBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.EDIT))]
) -> Response:
    """Keep with the need how your alliance steers its ranking, for all who work on it; no words: as usual."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.EDIT, Resource.MATCH)
        ask.about("need", need_id)
        row = keep_steering(
            session,
            need_id=need_id,
            alliance_id=alliance_for(session, who, need_id),
            steering=Steering.read(body.words),
            by=who.id,
            now=ask.at,
        )
        name = session.exec(select(Account.name).where(Account.id == who.id)).one()
        return Reply(200, kept_steering(row, steering_of(session, row), name), {})

    return ask.write(work, body)


@router.get("/needs/{need_id}/steering", response_model=Page[KeptSteeringAnswer])
def list_steerings(
    need_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))]
) -> Response:
    """Read how your alliance steers and steered the ranking of a need, the last choice first; 50 at most."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.READ, Resource.MATCH)
        rows = kept_steerings(session, need_id, alliance_for(session, who, need_id))
        return Reply(
            200,
            {"items": [kept_steering(row, steering_of(session, row), name) for row, name in rows], "next": None},
            {},
        )

    return ask.read(work)


@router.get("/needs/{need_id}/similar", response_model=LikeNeedsAnswer)
@takes(MATCHING)
def similar_needs(
    need_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
    top: Annotated[int, Query(ge=1, le=50)] = 5,
) -> Response:
    """Which needs were about the same, and what came of them: only of needs that you may match, cases that you may see.

    Needs of companies in which you have declared an interest are left out and counted in `withheld`.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        need = load_need(session, need_id, visible_needs(who, Action.READ, Resource.MATCH))
    if need is None:
        raise not_found("need")
    document = like_needs(ask, of_need(need), top)
    return ask.answered(Reply(200, document, {}))


def like_needs(ask: PermittedRequest, said: Said, top: int) -> dict[str, Any]:
    """Return the needs that are about what is said, of those that the person may match, and what came of them."""
    with ask.reading() as session:
        who = ask.admitted(session)
        mine = select(Need.id).where(visible_needs(who, Action.READ, Resource.MATCH))
        needs = {need.id: need for need in load_needs(session, session.exec(mine).all())}
    free = [need for need in needs.values() if not who.has_stake(company_id=need.company, lab_id=None)]
    matcher = ask.request.app.state.live.current()
    found = alike(matcher, said, map(of_need, matcher.readable(free)), top=top)
    ids = [one.id for one in found]
    with ask.reading() as session:
        rows = session.exec(select(NeedIntake).where(col(NeedIntake.need_id).in_(ids))).all()
        states = {intake.need_id: intake.state for intake in rows}
        cases = cases_of(session, ids, visible_cases(who, Action.LIST))
        document = like_needs_document(matcher, found, needs=needs, states=states, cases=cases)
    document["withheld"] = len(needs) - len(free)
    return document


@router.get("/companies/{company_id}/similar", response_model=LikeCompaniesAnswer)
@takes(MATCHING)
def similar_to_company(
    company_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.MATCH, Action.READ))],
    top: Annotated[int, Query(ge=1, le=50)] = 5,
) -> Response:
    """Which companies of your portfolio say about the same of themselves, and which needs that you may match are of it.

    What came of those needs is told as far as you may see it.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        ours = select(Company.id).where(visible_companies(who, Action.READ))
        companies = {one.id: one for one in load_companies(session, session.exec(ours).all())}
    if company_id not in companies or ("company", company_id) in who.stakes:
        raise not_found("company")
    matcher = ask.request.app.state.live.current()
    said = of_company(companies[company_id])
    others = [one for one in companies.values() if not who.has_stake(company_id=one.id, lab_id=None)]
    document = like_needs(ask, said, top)
    document["companies"] = like_companies(matcher, alike(matcher, said, map(of_company, others), top=top))
    return ask.answered(Reply(200, document, {}))


@dataclass(frozen=True)
class _Asked:
    """Which labs of a ranking are asked for, and under which steering; None: as it is kept with the need."""

    filters: Filters
    steering: Steering | None
    top: int
    offset: int


def _matched(ask: PermittedRequest, need_id: str, asked: _Asked) -> Reply:
    """Rank, and store what is shown.

    Raises:
        OvertakenError: the need was changed while it was ranked, or somebody else stored the same at the same moment.
    """
    # Ranking takes most of the time and no database: it happens between two short transactions.
    with ask.reading() as session:
        who = ask.admitted(session)
        need = load_need(session, need_id, visible_needs(who, Action.READ, Resource.MATCH))
        if need is None:
            raise not_found("need")
        kept, steering = _kept(session, who, need_id)
    ask.let_go()
    matcher = ask.request.app.state.live.current()
    result: MatchResult = matcher.match(
        need,
        top=asked.top,
        offset=asked.offset,
        filters=asked.filters,
        steering=steering if asked.steering is None else asked.steering,
    )
    free = tuple(p for p in result.pairings if not who.has_stake(company_id=need.company, lab_id=p.lab_id))
    moves = tuple(one for one in result.moves if not who.has_stake(company_id=need.company, lab_id=one.lab_id))
    shown = replace(result, pairings=free, moves=moves)
    # Most of what is shown was shown before and is stored.
    ask.must_leave_room(part=0.5)
    with ask.writing() as session:
        if load_need(session, need_id) != need:
            raise OvertakenError("the need was changed while it was ranked")
        numbers = record(session, result=shown, shown_to=who.id, now=ask.at)
    document = match_document(matcher, shown, to=ask)
    steered: Any = document["steering"]
    steered["kept"] = None if kept is None else kept_steering(kept[0], steering, kept[1])
    document["withheld"] = len(result.pairings) - len(free)
    pairings: Any = document["pairings"]
    for item in pairings:
        item.update(numbers[item["lab_id"]]._asdict())
    return Reply(200, document, {})


def _teamed(ask: PermittedRequest, need_id: str, picks: TeamPicks, asked: Steering | None) -> Reply:
    """Find a team, and store its members as shown.

    Raises:
        OvertakenError: as for a ranking.
        TeamError: what was picked makes no team.
    """
    with ask.reading() as session:
        who = ask.admitted(session)
        need = load_need(session, need_id, visible_needs(who, Action.READ, Resource.MATCH))
        if need is None:
            raise not_found("need")
        _, kept = _kept(session, who, need_id)
        matcher = ask.request.app.state.live.current()
        full = labs_at_limit(session, matcher.labs, need_id, day_in_taipei(ask.at))
    ask.let_go()
    barred = _barred(who, need, matcher.labs)
    steering = kept if asked is None else asked
    team = team_for(matcher, need, picks, steering=steering, full=full, barred=barred)
    ask.must_leave_room(part=0.5)
    with ask.writing() as session:
        if load_need(session, need_id) != need:
            raise OvertakenError("the need was changed while its team was found")
        numbers = record(session, result=team.result, shown_to=who.id, now=ask.at)
    document = team_document(matcher, team, to=ask)
    document["withheld"] = len(barred)
    for member in document["members"]:
        member.update(numbers[member["lab_id"]]._asdict())
    return Reply(200, document, {})


def _barred(who: Principal, need: NeedProfile, lab_ids: Iterable[str]) -> list[str]:
    """Return the labs that a declared interest keeps from a person for a need."""
    if not who.stakes:
        return []
    return [lab_id for lab_id in lab_ids if who.has_stake(company_id=need.company, lab_id=lab_id)]


def _kept(session: Session, who: Principal, need_id: str) -> tuple[tuple[NeedSteering, str] | None, Steering]:
    """Return what the person's alliance keeps with a need, by whose name, and the steering that it is today."""
    found = steering_that_holds(session, need_id, who.scopes(*STAFF))
    return (None, UNSTEERED) if found is None else (found, steering_of(session, found[0]))


@router.get("/pairings/{pairing_id}", response_model=PairingAnswer)
def read_pairing(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.PAIRING, Action.READ))]
) -> Response:
    """Read a pairing: how it was shown, and every verdict on it. Notes are those of your own alliance only."""

    def work(session: Session, who: Principal) -> Reply:
        pairing = _find(session, who, pairing_id, Action.READ)
        return Reply(200, pairing_document(session, who, pairing, to=ask), {})

    return ask.read(work)


@router.post(
    "/pairings/{pairing_id}/decision",
    status_code=201,
    response_model=NewDecisionAnswer,
    responses={201: {"links": {"move": _TO_CASE}}},
)
def decide_pairing(
    pairing_id: PairingId,
    body: DecisionBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.PAIRING, Action.DECIDE))],
) -> Response:
    """Accept, defer until a date or reject a pairing with a coded reason, or undo your last verdict of today.

    Accepting opens exactly one case, however many accept at once; the others get 409.
    """

    def work(session: Session, who: Principal) -> Reply:
        pairing = _find(session, who, pairing_id, Action.DECIDE)
        ask.about("need", pairing.need_id)
        if body.verdict is Verdict.UNDO:
            decision, case = undo(session, pairing_id=pairing_id, by=who.id, now=ask.at, ledger=_LEDGER), None
        else:
            if body.proposal_id is None:
                raise ProblemError(422, "decision", T_("say which proposal you saw"), "proposal_id")
            decision, case = decide(
                session,
                pairing_id=pairing_id,
                proposal_id=body.proposal_id,
                verdict=body.verdict,
                by=who.id,
                alliance_id=alliance_for(session, who, pairing.need_id),
                now=ask.at,
                reason=body.reason,
                note=body.note,
                defer_until=body.defer_until,
                ledger=_LEDGER,
            )
        if body.verdict is Verdict.REJECT:
            end_release(session, pairing_id=pairing_id, by=who.id, now=ask.at)
        return Reply(201, {**_decision(decision, who), "case_id": None if case is None else case.id}, {})

    return ask.write(work, body)


def alliance_for(session: Session, who: Principal, need_id: str) -> str:
    """Return for which alliance a person works on a need: the need's own, or one that it was shared with."""
    alliances = who.scopes(*STAFF)
    own = session.connection().execute(_ALLIANCE, {"need_id": need_id}).scalar()
    if own in alliances:
        return str(own)
    shared = session.exec(
        select(NeedShare.alliance_id).where(NeedShare.need_id == need_id, col(NeedShare.ended_at).is_(None))
    )
    return min(alliances & set(shared.all()))


@router.put("/pairings/{pairing_id}/release", response_model=ReleaseAnswer)
def release_pairing(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.PAIRING, Action.RELEASE))]
) -> Response:
    """Let the need's company see this candidate."""

    def work(session: Session, who: Principal) -> Reply:
        pairing = _find(session, who, pairing_id, Action.RELEASE)
        ask.about("need", pairing.need_id)
        release(session, pairing=pairing, by=who.id, now=ask.at)
        tell_of_released_lab(session, pairing, by=who.id, now=ask.at)
        return Reply(200, {"pairing_id": pairing_id, "released": True}, {})

    return ask.write(work)


@router.delete("/pairings/{pairing_id}/release", response_model=ReleaseAnswer)
def end_pairing_release(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.PAIRING, Action.RELEASE))]
) -> Response:
    """Take a candidate out of the company's sight."""

    def work(session: Session, who: Principal) -> Reply:
        pairing = _find(session, who, pairing_id, Action.RELEASE)
        ask.about("need", pairing.need_id)
        end_release(session, pairing_id=pairing_id, by=who.id, now=ask.at)
        return Reply(200, {"pairing_id": pairing_id, "released": False}, {})

    return ask.write(work)


@router.get("/needs/{need_id}/released-labs", response_model=Page[ReleasedLabAnswer])
def list_released_labs(
    need_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.RELEASED_LAB, Action.LIST))]
) -> Response:
    """List the labs released to the need's company: their public profile and why they fit, nothing of the ranking."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.LIST, Resource.RELEASED_LAB)
        query = (
            select(Release, Lab)
            .join(Lab, col(Lab.id) == Release.lab_id)
            .where(Release.need_id == need_id, col(Release.ended_at).is_(None))
            .order_by(col(Release.id))
        )
        stands = {one.pairing_id: one for one in stands_of(session, [need_id])}
        items = [
            {**_released(session, released, lab), **said_by_company(stands[released.pairing_id])}
            for released, lab in session.exec(query).all()
        ]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


def _released(session: Session, released: Release, lab: Lab) -> dict[str, Any]:
    query = select(Proposal.explanation).where(Proposal.pairing_id == released.pairing_id)
    explanation = session.exec(query.order_by(col(Proposal.id).desc())).first()
    return {
        "pairing_id": released.pairing_id,
        "lab_id": lab.id,
        "name": lab.name,
        "name_en": lab.name_en,
        "school": lab.school,
        "summary": lab.summary,
        "summary_en": lab.summary_en,
        "fields": lab.fields,
        "offers": lab.offers,
        "links": lab.links,
        "why": explanation["for_company"] if explanation else None,
        "released_at": released.released_at.isoformat(),
    }


def _find(session: Session, who: Principal, pairing_id: int, action: Action) -> StoredPairing:
    pairing = session.exec(_one_pairing(who, action), params={"pairing_id": pairing_id}).first()
    if pairing is None:
        raise not_found("pairing")
    return pairing


@lru_cache(maxsize=1_024)
def _one_pairing(who: Principal, action: Action) -> SelectOfScalar[StoredPairing]:
    return (
        select(StoredPairing)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            StoredPairing.id == bindparam("pairing_id"),
            visible_needs(who, action, Resource.PAIRING),
            unconflicted(who),
        )
    )


def pairing_document(session: Session, who: Principal, pairing: StoredPairing, *, to: NeedReader) -> dict[str, Any]:
    """Return a pairing as a person may see it: how it was shown, and the verdicts on it."""
    proposals = session.exec(
        select(Proposal).where(Proposal.pairing_id == pairing.id).order_by(col(Proposal.id).desc()).limit(20)
    ).all()
    decisions = session.exec(select(Decision).where(Decision.pairing_id == pairing.id).order_by(col(Decision.id))).all()
    case = session.exec(select(Case.id).where(Case.pairing_id == pairing.id, Case.stage != "undone")).first()
    # An explanation quotes the need, which the programme office reads only by breaking the glass.
    is_open = select(Need.id).where(Need.id == pairing.need_id, readable(who))
    quotes = not who.holds(Role.OFFICE) or (who.holds(*STAFF) and session.exec(is_open).first() is not None)
    left_out = {"digest"} if quotes else {"digest", "explanation"}
    to.reads(pairing.need_id, withheld=not quotes)
    return {
        "id": pairing.id,
        "need_id": pairing.need_id,
        "lab_id": pairing.lab_id,
        "state": pairing.state,
        "deferred_until": None if pairing.deferred_until is None else pairing.deferred_until.isoformat(),
        "case_id": case,
        "proposals": [item.model_dump(mode="json", exclude=left_out) for item in proposals],
        "decisions": [_decision(item, who) for item in decisions],
    }


def _decision(decision: Decision, who: Principal) -> dict[str, Any]:
    """Return a verdict; its note stays in the alliance that wrote it."""
    document = decision.model_dump(mode="json")
    if decision.alliance_id not in who.scopes(*STAFF):
        document["note"] = None
    return document


@router.get("/exposure", response_model=ExposuresAnswer)
def read_exposure(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.EXPOSURE, Action.READ))],
    days: Annotated[int, Query(ge=1, le=3_650, description="What was shown within so many days.")] = 90,
) -> Response:
    """Count how often each school's labs were shown and accepted, over the pairings of all needs that you may see."""

    def work(session: Session, who: Principal) -> Reply:
        since = ask.at - timedelta(days=days)
        needs = visible(who, Action.READ, Resource.EXPOSURE)
        found = exposures(session, needs=needs, since=since, today=day_in_taipei(ask.at))
        document = {
            "since": since.isoformat(),
            "schools": [asdict(one) for one in found],
            "by_prominence": [asdict(share) for share in shares(found)],
        }
        return Reply(200, document, {})

    return ask.read(work)
