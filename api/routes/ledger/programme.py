"""The programme's own side of the ledger: its rules, schools' totals, other programmes' claims, quarters, heads.

In: what the programme office supplies and decides. Out: configuration as whole documents, read by everybody who is
judged by it; totals, claims and closed quarters; the heads of the chains.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.access.visibility import reached_alliances
from api.documents.answers import Page
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.ledger import (
    ExternalClaimAnswer,
    HeadsAnswer,
    ListedSchoolTotalAnswer,
    MotionAnswer,
    NewExternalClaimAnswer,
    PeriodsAnswer,
    ProbesAnswer,
    SchoolTotalAnswer,
    motion_document,
    total_document,
)
from api.documents.ledger_bodies import ConfigurationBody, ExternalClaimBody, ReasonBody, SchoolTotalBody
from api.documents.standing import ConfigurationAnswer, ConfigurationNameAnswer
from api.letters.telling import tell_of_motion
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, etag_of, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from api.routes.ledger.entries import KpiYear, standing_so
from api.trail.probing import probes
from indexer.instants import day_in_taipei
from indexer.wording import T_
from matcher.ledger.proving.heads import key_of, seal_of
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.motions import MotionKind, pending
from matcher.ledger.rows.periods import (
    PeriodClose,
    booking_period,
    common_year,
    move_close,
    quarter_after,
    roc_year,
    year_of,
)
from matcher.ledger.rows.result_claims import ExternalClaim, end_external, note_external
from matcher.ledger.rows.school_totals import SchoolTotal, supply
from matcher.ledger.rows.steps import State
from matcher.ledger.rule_documents import DOCUMENTS, checked_document, move_document
from matcher.ledger.rules.configuration import Configured, change, default, latest
from matcher.ledger.rules.reporting import checked_details
from matcher.review.people import Account, Principal

router = APIRouter(prefix="/api", route_class=ThreadedRoute)

DocumentName = Annotated[str, Path(max_length=100)]


@router.get("/configuration", tags=["configuration"], response_model=Page[ConfigurationNameAnswer])
def list_configuration(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONFIGURATION, Action.LIST))],
) -> Response:
    """List the documents of rules and values with their current versions."""

    def work(session: Session, _who: Principal) -> Reply:
        return Reply(200, {"items": [_head(session, name) for name in sorted(DOCUMENTS)], "next": None}, {})

    return ask.read(work)


@router.get("/configuration/{configuration_name}", tags=["configuration"], response_model=ConfigurationAnswer)
def read_configuration(
    configuration_name: DocumentName,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONFIGURATION, Action.READ))],
) -> Response:
    """Read a document, who set it, when and why; its ETag is what a change sends as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        return _answer(session, who, _kind(configuration_name))

    return ask.read(work)


@router.put("/configuration/{configuration_name}", tags=["configuration"], response_model=ConfigurationAnswer)
def set_configuration(
    configuration_name: DocumentName,
    body: ConfigurationBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONFIGURATION, Action.EDIT))],
) -> Response:
    """Set a document as a whole; it holds from now on, and what held before stays on record.

    Rules that bind two people (recognition, target books, definitions of money) are only moved: the answer is 202 with
    what still holds and the `motion`, and they hold once somebody else agrees. Send the ETag that you read as If-Match.
    """

    def work(session: Session, who: Principal) -> Reply:
        kind = _kind(configuration_name)
        ask.must_match(_etag(session, kind.name))
        document = checked_document(kind, body.document)
        if kind.takes_two:
            motion = move_document(session, document, reason=body.reason, by=who.id, now=ask.at)
            tell_of_motion(session, motion, now=ask.at)
            return _answer(session, who, kind, 202)
        change(session, document, reason=body.reason, by=who.id, now=ask.at)
        return _answer(session, who, kind)

    return ask.write(work, body)


def _kind(name: str) -> type[Configured]:
    if name not in DOCUMENTS:
        raise not_found("document")
    return DOCUMENTS[name]


def _head(session: Session, name: str) -> dict[str, Any]:
    stored = latest(session, name)
    known = {"version": 0, "reason": None, "by": None, "at": None}
    if stored is not None:
        known = stored.model_dump(mode="json", include=set(known))
    return {"name": name, **known, "href": f"/api/configuration/{name}"}


def _etag(session: Session, name: str) -> str:
    return etag_of(_head(session, name))


def _answer(session: Session, who: Principal, kind: type[Configured], status: int = 200) -> Reply:
    stored = latest(session, kind.name)
    document = orjson.loads(default(kind).model_dump_json()) if stored is None else stored.document
    moved = pending(session, MotionKind.CONFIGURE, kind.name) if kind.takes_two else None
    more = {
        "document": document,
        "takes_two": kind.takes_two,
        "motion": None if moved is None else motion_document(session, moved, who),
    }
    return Reply(status, {**_head(session, kind.name), **more}, {"ETag": _etag(session, kind.name)})


ClaimId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_PERIOD = re.compile(r"20[0-9]{2}Q[1-4]")


@router.post("/ledger/school-totals", tags=["ledger"], status_code=201, response_model=SchoolTotalAnswer)
def supply_school_total(
    body: SchoolTotalBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.SCHOOL_TOTAL, Action.CREATE))]
) -> Response:
    """Supply what a school cooperates in as a whole, in money or in another figure; the newest of a year holds."""

    def work(session: Session, who: Principal) -> Reply:
        total = supply(session, by=who.id, now=ask.at, **body.model_dump())
        return Reply(201, total_document(total), {})

    return ask.write(work, body)


@router.get("/ledger/school-totals", tags=["ledger"], response_model=Page[ListedSchoolTotalAnswer])
def list_school_totals(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SCHOOL_TOTAL, Action.LIST))],
    school: Annotated[str | None, Query(max_length=200)] = None,
    year: KpiYear = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List schools' totals as they were supplied; `holds` marks the newest one of a school, year and figure."""

    def work(session: Session, who: Principal) -> Reply:
        of_one = col(SchoolTotal.school_id), col(SchoolTotal.year), col(SchoolTotal.kpi)
        newest = select(func.max(SchoolTotal.id)).group_by(*of_one)
        holding = set(session.exec(newest).all())
        query = select(SchoolTotal).order_by(col(SchoolTotal.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(SchoolTotal.id) > after)
        if school is not None:
            query = query.where(SchoolTotal.school_id == school)
        if year is not None:
            query = query.where(SchoolTotal.year == common_year(year))
        items = [{**total_document(total), "holds": total.id in holding} for total in session.exec(query).all()]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/ledger/external-claims", tags=["ledger"], status_code=201, response_model=NewExternalClaimAnswer)
def note_external_claim(
    body: ExternalClaimBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.EXTERNAL_CLAIM, Action.CREATE))]
) -> Response:
    """Note that another programme claims a result. `entries` are those here that claim exactly the same."""

    def work(session: Session, who: Principal) -> Reply:
        if not KPI_FACTS[body.kpi].needs_recognition:
            raise ProblemError(422, "invalid", T_("no other programme counts this figure"), "kpi")
        claim = ExternalClaim(
            **body.model_dump(exclude={"details"}), natural_key=_key(body), noted_by=who.id, noted_at=ask.at
        )
        entries = list(note_external(session, claim))
        return Reply(201, {**claim.model_dump(mode="json"), "entries": entries}, {})

    return ask.write(work, body)


def _key(body: ExternalClaimBody) -> str:
    if body.details is not None:
        return checked_details(body.kpi, body.details).natural_key()
    # Only resemblance can find it: no result has such a key.
    return orjson.dumps(["claim", body.programme.value, body.reference]).decode()


@router.get("/ledger/probes", tags=["ledger"], response_model=Page[ProbesAnswer])
def list_probes(ask: Annotated[PermittedRequest, Depends(requires(Resource.PROBE, Action.LIST))]) -> Response:
    """List who was told of something that is not their alliances', by reports, lists or registering people, most first.

    Anybody may be mistaken once; whoever is told so again and again asks what others have. Of refusals, those of a
    year count.
    """

    def work(session: Session, who: Principal) -> Reply:
        found = probes(session, ask.at)
        ids = [one.account_id for one in found]
        names = dict(session.exec(select(Account.id, Account.name).where(col(Account.id).in_(ids))).all())
        items = [
            {
                **asdict(one),
                "name": names.get(one.account_id),
                "alliances": sorted(one.alliances),
                "last_at": one.last_at.isoformat(),
            }
            for one in found
        ]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


@router.get("/ledger/external-claims", tags=["ledger"], response_model=Page[ExternalClaimAnswer])
def list_external_claims(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.EXTERNAL_CLAIM, Action.LIST))],
    active: Annotated[bool, Query(description="Only those that were not withdrawn.")] = True,
    kpi: Annotated[Kpi | None, Query(description="Only of this figure.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List what other programmes claim."""

    def work(session: Session, who: Principal) -> Reply:
        query = select(ExternalClaim).order_by(col(ExternalClaim.id)).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(ExternalClaim.id) > after)
        if active:
            query = query.where(col(ExternalClaim.ended_at).is_(None))
        if kpi is not None:
            query = query.where(ExternalClaim.kpi == kpi.value)
        items = [claim.model_dump(mode="json") for claim in session.exec(query).all()]
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


@router.post("/ledger/external-claims/{claim_id}/end", tags=["ledger"], response_model=ExternalClaimAnswer)
def end_external_claim(
    claim_id: ClaimId, ask: Annotated[PermittedRequest, Depends(requires(Resource.EXTERNAL_CLAIM, Action.END))]
) -> Response:
    """Note that another programme withdrew its claim."""

    def work(session: Session, who: Principal) -> Reply:
        if session.get(ExternalClaim, claim_id) is None:
            raise not_found("claim")
        claim = end_external(session, claim_id=claim_id, by=who.id, now=ask.at)
        return Reply(200, claim.model_dump(mode="json"), {})

    return ask.write(work)


@router.get("/ledger/periods", tags=["ledger"], response_model=PeriodsAnswer)
def list_periods(ask: Annotated[PermittedRequest, Depends(requires(Resource.PERIOD, Action.LIST))]) -> Response:
    """List the quarters that have entries, are closed or are the next to close, and where today's results go."""

    def work(session: Session, who: Principal) -> Reply:
        closed = {row.period: row for row in session.exec(select(PeriodClose)).all()}
        used = session.execute(select(Entry.period, func.count()).group_by(col(Entry.period))).all()
        entries = {str(period): int(count) for period, count in used}
        waiting = _by_state(session)
        open_period, _ = booking_period(session, day_in_taipei(ask.at))
        following = [quarter_after(max(closed))] if closed else []
        names = sorted({*closed, *entries, *following, open_period})
        items = [
            {**_period(session, who, name, entries.get(name, 0), closed.get(name)), "by_state": waiting.get(name, {})}
            for name in names
        ]
        return Reply(200, {"items": items, "next": None, "open": open_period}, {})

    return ask.read(work)


def _by_state(session: Session) -> dict[str, dict[str, int]]:
    """Return by quarter how many of its reported results stand where."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for state in State:
        query = select(Entry.period, func.count()).where(
            Entry.kind == EntryKind.FACT.value, col(Entry.id).in_(standing_so([state]))
        )
        for period, count in session.execute(query.group_by(col(Entry.period))).all():
            found[str(period)][state.value] = int(count)
    return found


def _period(session: Session, who: Principal, name: str, entries: int, closed: PeriodClose | None) -> dict[str, Any]:
    """Return a quarter: everybody who lists quarters sees how it stands, of motions and totals only what is theirs."""
    waiting = None
    if closed is None and reached_alliances(who, Resource.MOTION, Action.LIST) is None:
        waiting = pending(session, MotionKind.CLOSE, name)
    return {
        "period": name,
        "year": year_of(name),
        "roc_year": roc_year(year_of(name)),
        "after": quarter_after(name),
        "entries": entries,
        "closed": None if closed is None else {**closed.model_dump(mode="json"), "totals": _totals(who, closed)},
        "motion": None if waiting is None else motion_document(session, waiting, who),
    }


def _totals(who: Principal, closed: PeriodClose) -> dict[str, dict[str, int]]:
    reached = reached_alliances(who, Resource.FIGURE, Action.READ)
    return {
        kpi: {name: amount for name, amount in of.items() if reached is None or name in reached}
        for kpi, of in closed.totals.items()
    }


@router.post("/ledger/periods/{period}/close", tags=["ledger"], status_code=202, response_model=MotionAnswer)
def close_period(
    period: Annotated[str, Path(max_length=20, description="A quarter such as 2019Q2.")],
    body: ReasonBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.PERIOD, Action.CLOSE))],
) -> Response:
    """Move that a quarter be closed; it is once a second person agrees, with its totals as they stand now."""

    def work(session: Session, who: Principal) -> Reply:
        if _PERIOD.fullmatch(period) is None:
            raise not_found("quarter")
        motion = move_close(session, period=period, reason=body.reason, by=who.id, now=ask.at)
        tell_of_motion(session, motion, now=ask.at)
        return Reply(202, motion_document(session, motion), {})

    return ask.write(work, body)


@router.get("/ledger/heads", tags=["ledger"], response_model=HeadsAnswer)
def read_heads(ask: Annotated[PermittedRequest, Depends(requires(Resource.LEDGER_HEAD, Action.READ))]) -> Response:
    """Read the heads of both chains, to be kept elsewhere: who has them can tell whether the ledger was cut off.

    `signed_heads` is a seal that `gloria ledger verify --head FILE` takes; this answer as a file is enough.
    """

    def work(session: Session, who: Principal) -> Reply:
        heads = [{"chain": h.chain, "n": h.n, "hash": h.hash, "at": h.at} for h in heads_of(session, ask.at)]
        seal = seal_of(session, key_of(ask.request.app.state.settings), ask.at)
        return Reply(200, {"items": heads, "next": None, "signed_heads": seal}, {})

    return ask.read(work)
