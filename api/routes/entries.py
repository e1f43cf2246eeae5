"""Results: reported by alliances, listed, read with all that stands behind them.

In: what happened. Out: entries of the ledger, each with its steps, evidence,
look-alikes and, for who may see them, case, decision and explanation.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, func, select

from api.answers import Page
from api.asking import Asking, asking
from api.bodies import MAX_ID
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.ledger_answers import EntryAnswer, EntryDocumentAnswer, NewEntriesAnswer, PseudonymAnswer
from api.ledger_bodies import EntryBody, EvidenceBody, PersonBody
from api.ledger_documents import entry_document, entry_rows
from api.ledger_visibility import entries as visible
from api.ledger_visibility import shared_by
from api.paging import Cursor, Limit, decoded, page
from api.policy import Action, Resource
from api.problems import ProblemError, not_found
from api.request_threads import ThreadedRoute
from api.routes.evidence import seen_name
from api.visibility import cases as visible_cases
from indexer.wording import T_
from matcher.cases import Case
from matcher.ledger.entries import Entry
from matcher.ledger.evidence import checked
from matcher.ledger.evidence_files import sent
from matcher.ledger.instalments import Instalment, reports_of
from matcher.ledger.kpis import Kpi
from matcher.ledger.periods import common_year
from matcher.ledger.persons import read_key, register
from matcher.ledger.reporting import Report, report
from matcher.ledger.steps import State, Step
from matcher.people import Principal
from matcher.roles import Role

router = APIRouter(prefix="/api/ledger", tags=["ledger"], route_class=ThreadedRoute)

EntryId = Annotated[str, Path(max_length=200)]
KpiYear = Annotated[int | None, Query(ge=1, le=3_000, description="A KPI year in either count: 108 or 2019.")]
AllianceId = Annotated[str | None, Query(max_length=200, description="Only what this alliance has a share in.")]
_STAFF = (Role.EXPERT, Role.LEAD)


@router.post("/persons", status_code=201, response_model=PseudonymAnswer)
def register_person(
    body: PersonBody, ask: Annotated[Asking, Depends(asking(Resource.PERSON, Action.CREATE))]
) -> Response:
    """Register somebody who was trained or found a job. The pseudonym that comes back stands in entries instead.

    The same person gets the same pseudonym again. The name is kept apart from the entries and is never answered.
    """
    key = read_key(ask.request.app.state.home)

    def work(session: Session, who: Principal) -> Reply:
        pseudonym = register(session, key=key, by=who.id, now=ask.at, **body.model_dump())
        return Reply(201, {"pseudonym": pseudonym}, {})

    # What is kept to know the request again must not tell who was registered.
    return ask.write(work, hmac.new(key, body.model_dump_json().encode(), sha256).hexdigest().encode())


@router.post("/entries", status_code=201, response_model=NewEntriesAnswer)
def report_result(body: EntryBody, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.CREATE))]) -> Response:
    """Report a result of your alliance, or a contract with its instalments, each of which becomes an entry.

    What resembles another claim is `held` until somebody has told them apart; what is counted already is refused.
    """

    def work(session: Session, who: Principal) -> Reply:
        _check_own(session, who, body)
        given = _report(body, usable_evidence(session, who, ask, body.evidence))
        parts = [given]
        if body.instalments is not None:
            parts = reports_of(given, [Instalment(part.due_on, part.amount_ntd) for part in body.instalments])
        entries = [report(session, part, by=who.id, now=ask.at)[0] for part in parts]
        location = {"Location": f"/api/ledger/entries/{entries[0].id}"}
        return Reply(201, {"items": entry_rows(session, entries)}, location)

    return ask.write(work, body)


def _check_own(session: Session, who: Principal, body: EntryBody) -> None:
    own = who.scopes(*_STAFF)
    if own.isdisjoint(body.shares):
        raise ProblemError(
            422, "invalid", T_("give one of your own a share: %(own)s", own=", ".join(sorted(own))), "shares"
        )
    if body.case_id is not None:
        query = select(Case.id).where(Case.id == body.case_id, visible_cases(who, Action.READ))
        if session.exec(query).first() is None:
            raise ProblemError(422, "ledger", T_("there is no such case of an alliance that has a share"), "case_id")
    if body.restates is not None:
        find_entry(session, who, body.restates, Action.READ)


def _report(body: EntryBody, evidence: list[dict[str, str]]) -> Report:
    given = body.model_dump(exclude={"instalments", "evidence"})
    return Report(**given, evidence=evidence)


def usable_evidence(
    session: Session, who: Principal, ask: Asking, bodies: Sequence[EvidenceBody]
) -> list[dict[str, str]]:
    """Return evidence as an entry may name it: links, and files that the person sent or sees already.

    Raises:
        ProblemError: 422, a file is neither.
        LedgerError: a link or a stored file is not what it must be.
    """
    digests = {body.sha256 for body in bodies if body.sha256 is not None}
    known = sent(session, who.id, digests)
    if any(seen_name(session, who, digest) is None for digest in digests - known):
        raise ProblemError(422, "ledger", T_("no file with this sha256 was stored; send the file first"), "evidence")
    return checked(ask.request.app.state.home, [body.item() for body in bodies])


@router.get("/entries", response_model=Page[EntryAnswer])
def list_entries(
    ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.LIST))],
    kpi: Annotated[Kpi | None, Query(description="Only of this figure.")] = None,
    state: Annotated[State | None, Query(description="Only those that stand so now.")] = None,
    alliance: AllianceId = None,
    period: Annotated[str | None, Query(max_length=20, description="Only those booked in this quarter.")] = None,
    year: KpiYear = None,
    contract: Annotated[
        str | None, Query(max_length=200, description="Only the instalments of this contract.", examples=["C-108-001"])
    ] = None,
    case: Annotated[int | None, Query(ge=1, le=MAX_ID, description="Only what came of this case.")] = None,
    newest: Annotated[bool, Query(description="The last written first.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the entries that you may see, in the order they were written, or the other way round."""

    def work(session: Session, who: Principal) -> Reply:
        alliances = chosen_alliances(session, who, Resource.ENTRY, Action.LIST, alliance)
        order = col(Entry.seq).desc() if newest else col(Entry.seq)
        query = select(Entry).where(shared_by(alliances)).order_by(order).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            query = query.where(col(Entry.seq) < after if newest else col(Entry.seq) > after)
        if kpi is not None:
            query = query.where(Entry.kpi == kpi.value)
        if period is not None:
            query = query.where(Entry.period == period)
        if case is not None:
            query = query.where(Entry.case_id == case)
        if year is not None:
            first = common_year(year)
            query = query.where(col(Entry.counts_on).between(date(first, 1, 1), date(first, 12, 31)))
        if contract is not None:
            query = query.where(col(Entry.details)["contract"].as_string() == contract)
        if state is not None:
            query = query.where(col(Entry.id).in_(standing_so([state])))
        return Reply(200, page(entry_rows(session, session.exec(query).all()), limit, "seq"), {})

    return ask.read(work)


def standing_so(states: Sequence[State]) -> Any:
    """Select the ids of the entries whose last step has one of some states."""
    versions = select(Step.entry_id, func.max(Step.version).label("version")).group_by(col(Step.entry_id)).subquery()
    joined = (col(Step.entry_id) == versions.c.entry_id) & (col(Step.version) == versions.c.version)
    return select(Step.entry_id).join(versions, joined).where(col(Step.state).in_([state.value for state in states]))


@router.get("/entries/{entry_id}", response_model=EntryDocumentAnswer)
def read_entry(entry_id: EntryId, ask: Annotated[Asking, Depends(asking(Resource.ENTRY, Action.READ))]) -> Response:
    """Read an entry: steps, evidence, motions, look-alikes side by side, and what it came from.

    `came_from` leads to the case, the decision and the explanation that the expert saw, as far as you may see them.
    """

    def work(session: Session, who: Principal) -> Reply:
        entry = find_entry(session, who, entry_id, Action.READ)
        return Reply(200, entry_document(session, who, entry), {})

    return ask.read(work)


def find_entry(session: Session, who: Principal, entry_id: str, action: Action) -> Entry:
    """Return an entry that a person may do this with.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    entry = session.exec(select(Entry).where(Entry.id == entry_id, visible(who, action))).first()
    if entry is None:
        raise not_found("entry")
    return entry
