"""Needs: submitted, read, edited until taken up, moved, shared.

In: what companies and experts say. Out: the need as the person may see it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import ColumnElement, case, or_, union_all
from sqlalchemy import null as sql_null
from sqlalchemy import select as select_columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from api.access.policy import Action, Resource
from api.access.visibility import companies_saying, own_needs, readable
from api.access.visibility import needs as visible
from api.documents.answers import NeedAnswer, Opening, Page, SharedAnswer, retired_said
from api.documents.bodies import AssignBody, NeedBody, NeedMoveBody, NewNeedBody, ShareBody
from api.letters.telling import tell_of_moved_need, tell_of_new_need, tell_of_opened_need
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, etag_of, requires
from api.requests.problems import ProblemError, forbidden, not_found
from api.requests.query_parameters import Cursor, Limit, decoded, ordered_page, page
from api.trail.audit_trail import BreakGlassRead, note_emergency_read
from api.trail.request_trail import APART, NeedReader
from indexer.folding import for_search
from indexer.records.exchange import NeedIn, check
from indexer.records.field_notes import Audience, declared
from indexer.records.mended.named_labs import ids_of, named_labs
from indexer.records.mended.retired import Retirement, is_retired
from indexer.records.record_tables import Ask, Company, Need, School
from indexer.vocabulary import Confidentiality, Kind, Mendable
from indexer.wording import T_
from matcher.ledger.figures.waiting import without_alliance
from matcher.review.clients import alliances_of
from matcher.review.intake import (
    OPEN_STATES,
    NeedIntake,
    NeedShare,
    NeedState,
    NeedStep,
    assign,
    edit,
    end_share,
    move,
    new_need_id,
    share,
    submit,
)
from matcher.review.people import Account, Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api", tags=["needs"], route_class=ThreadedRoute)


@router.post("/needs", status_code=201, response_model=NeedAnswer)
def submit_need(
    body: NewNeedBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.CREATE))]
) -> Response:
    """Submit a need. A company contact does so for the own company, an expert on behalf of one or of a school."""

    def work(session: Session, who: Principal) -> Reply:
        return submitted(session, who, body, ask)

    return ask.write(work, body)


def submitted(session: Session, who: Principal, body: NewNeedBody, ask: PermittedRequest) -> Reply:
    """Store a new need and answer it; the transaction is the caller's.

    Raises:
        ProblemError: it is not said whose it is, or something in it is not right.
    """
    company, alliance = _whose(session, who, body)
    given = body.model_dump(exclude={"company", "alliance", "school"}, exclude_none=True, mode="json")
    whose = {"company": company, "school": None if company else body.school}
    need = checked_need({**given, **excluded_of(session, given), "id": new_need_id(ask.at), **whose})
    submit(session, need=need, alliance_id=alliance, by=who.id, now=ask.at)
    tell_of_new_need(session, need.id, by=who.id, now=ask.at)
    return need_reply(session, who, need.id, ask)


def need_reply(session: Session, who: Principal, need_id: str, ask: PermittedRequest) -> Reply:
    """Answer a need that was just stored."""
    document = need_document(session, who, need_id, to=ask)
    return Reply(201, document, {"ETag": _etag(document), "Location": f"/api/needs/{need_id}"})


def _whose(session: Session, who: Principal, body: NewNeedBody) -> tuple[str | None, str | None]:
    """Return the company that a new need is of, None where a school states it, and the alliance that it goes to."""
    own, alliances = sorted(who.scopes(Role.COMPANY)), sorted(who.scopes(*STAFF))
    if body.school is not None:
        return None, _of_school(session, alliances, body)
    company = body.company or (own[0] if len(own) == 1 else None)
    if company is None:
        raise ProblemError(422, "invalid", T_("say which company needs it"), "company")
    if company in own:
        known = alliances_of(session, company)
        # Where several look after it, the one that did so first: a need goes to somebody.
        alliance = body.alliance or next(iter(known), None)
        if alliance is not None and alliance not in known:
            raise ProblemError(
                422, "invalid", T_("choose one of: %(known)s", known=", ".join(known) or T_("(none yet)")), "alliance"
            )
        return company, alliance
    if not alliances:
        raise not_found("company")
    alliance = body.alliance or (alliances[0] if len(alliances) == 1 else None)
    if alliance not in alliances:
        raise ProblemError(
            422, "invalid", T_("choose one of your own: %(alliances)s", alliances=", ".join(alliances)), "alliance"
        )
    if session.get(Company, company) is None:
        raise ProblemError(422, "invalid", T_("there is no such company; import it first"), "company")
    return company, alliance


def _of_school(session: Session, alliances: Sequence[str], body: NewNeedBody) -> str:
    """Return the alliance that takes up what a school states: only its experts say so.

    Raises:
        ProblemError: a company states it too, there is no such school, or it is not said for which alliance.
    """
    if not alliances:
        raise not_found("school")
    if body.company is not None:
        raise ProblemError(422, "invalid", T_("a need is stated by a company or by a school, not by both"), "school")
    if session.get(School, body.school) is None:
        raise ProblemError(422, "invalid", T_("there is no such school"), "school")
    alliance = body.alliance or (alliances[0] if len(alliances) == 1 else None)
    if alliance not in alliances:
        own = ", ".join(alliances)
        raise ProblemError(422, "invalid", T_("choose one of your own: %(alliances)s", alliances=own), "alliance")
    return str(alliance)


def excluded_of(session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ids of the labs that somebody wants kept out; a name that is nobody's would keep nobody out.

    Raises:
        ProblemError: 422, one of the names is no stored lab's; it says which ones may have been meant.
    """
    names = given.get("excluded_labs")
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        return {}
    found = named_labs(session, names)
    for n, one in enumerate(found, start=1):
        if not one.ids:
            raise ProblemError(422, "exclusion", _no_such_lab(n, one.meant), "excluded_labs")
    return {"excluded_labs": ids_of(found)} if found else {}


def _no_such_lab(place: int, meant: Sequence[str]) -> str:
    if meant:
        return T_(
            "number %(n)s is the name of no lab and of no lab's head; perhaps: %(meant)s",
            n=place,
            meant=", ".join(meant),
        )
    return T_("number %(n)s is the name of no lab and of no lab's head; write the whole name, or leave it out", n=place)


def checked_need(given: dict[str, Any]) -> NeedIn:
    """Check a need by the exchange format, the same as for files."""
    found = check(Kind.NEEDS, given)
    if found.faults or not isinstance(found.record, NeedIn):
        fault = found.faults[0]
        # What is wrong with it would quote it; the field and what would be right say enough.
        raise ProblemError(422, "invalid", fault.right, fault.field or None)
    return found.record


class NeedOrder(StrEnum):
    """By what needs are listed."""

    TITLE = "title"
    COMPANY = "company"
    STATE = "state"
    EXPERT = "expert"
    WAITING = "waiting"


@router.get("/needs", response_model=Page[NeedAnswer])
def list_needs(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.LIST))],
    state: Annotated[NeedState | None, Query(description="Only those in this state.")] = None,
    q: Annotated[
        str, Query(max_length=200, description="Only those whose text, id or company has this; not in withheld texts.")
    ] = "",
    unassigned: Annotated[bool, Query(description="Only submitted ones that no alliance has.")] = False,
    sort: Annotated[NeedOrder | None, Query(description="By what; otherwise by id.")] = None,
    descending: Annotated[bool, Query(description="With `sort`: the last first.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the needs that you may see, by id or by a column."""

    def work(session: Session, who: Principal) -> Reply:
        query = chosen_needs(session, who, state=state, words=q, unassigned=unassigned)
        if sort is not None:
            ids = ordered_page(_keys(session, who, query, sort), cursor, limit, descending=descending)
            return Reply(200, page(need_documents(session, who, ids, to=ask), limit, "id"), {})
        query = query.order_by(col(Need.id)).limit(limit + 1)
        after = decoded(cursor, str)
        if after is not None:
            query = query.where(Need.id > after)
        items = need_documents(session, who, session.exec(query).all(), to=ask)
        return Reply(200, page(items, limit, "id"), {})

    return ask.read(work)


def _keys(session: Session, who: Principal, query: SelectOfScalar[str], order: NeedOrder) -> Sequence[tuple[str, Any]]:
    """Return by what each need is sorted; a title that the person may not read sorts nothing."""
    company, expert = aliased(Company), aliased(Account)
    by = {
        NeedOrder.TITLE: case((readable(who), col(Need.title))),
        NeedOrder.COMPANY: col(company.name),
        NeedOrder.STATE: col(NeedIntake.state),
        NeedOrder.EXPERT: col(expert.name),
        NeedOrder.WAITING: case((col(NeedIntake.state).in_(OPEN_STATES), col(NeedIntake.submitted_at))),
    }
    rows = query.join(company, col(company.id) == Need.company, isouter=True).join(
        expert, col(expert.id) == NeedIntake.expert_id, isouter=True
    )
    found = session.execute(rows.with_only_columns(col(Need.id), by[order])).all()
    if order is NeedOrder.WAITING:
        return [(need_id, None if since is None else -since.timestamp()) for need_id, since in found]
    return [(need_id, said) for need_id, said in found]


def chosen_needs(
    session: Session, who: Principal, *, state: NeedState | None = None, words: str = "", unassigned: bool = False
) -> SelectOfScalar[str]:
    """Select the ids of the needs that a person may list: in a state, with some words, without an alliance."""
    query = select(Need.id).join(NeedIntake, col(NeedIntake.need_id) == Need.id, isouter=True)
    query = query.where(visible(who, Action.LIST))
    if state is not None:
        query = query.where(NeedIntake.state == state.value)
    if unassigned:
        query = query.where(*without_alliance())
    return query.where(says(session, who, words)) if words.strip() else query


def says(session: Session, who: Principal, words: str) -> ColumnElement[bool]:
    """Return the condition on `Need` that it has these words where the person may read: not in withheld text."""
    wanted = for_search(words)
    run = session.connection().execute
    texts = run(select_columns(col(Need.id), col(Need.title), col(Need.description)).where(readable(who))).all()
    asks = run(
        select_columns(col(Ask.need_id), col(Ask.text)).join(Need, col(Need.id) == Ask.need_id).where(readable(who))
    )
    found = {row[0] for row in (*texts, *asks) if any(wanted in for_search(text) for text in row[1:] if text)}
    of_company = col(Need.company).in_(select(Company.id).where(companies_saying(session, words, names_only=True)))
    # An id is no secret of the need's: whoever may list it sees it.
    named = col(Need.id).icontains(words.strip(), autoescape=True)
    return or_(named, of_company, col(Need.id).in_(found))


@router.get("/needs/{need_id}", response_model=NeedAnswer)
def read_need(
    need_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.READ))]
) -> Response:
    """Read a need. The programme office sees the text of a confidential need only by breaking the glass."""

    def work(session: Session, who: Principal) -> Reply:
        document = need_document(session, who, need_id, visible(who, Action.READ), to=ask)
        return Reply(200, document, {"ETag": _etag(document)})

    return ask.read(work)


@router.post("/needs/{need_id}/break-glass", response_model=NeedAnswer)
def break_glass(
    need_id: str,
    reason: Annotated[str, Query(min_length=10, max_length=500, description="Why; it is kept for ever.")],
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.BREAK_GLASS))],
) -> Response:
    """Read the text of a confidential need for a stated reason; who did so and why is on record."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.BREAK_GLASS)
        note_emergency_read(session, need_id=need_id, account_id=who.id, reason=reason, now=ask.at)
        tell_of_opened_need(session, need_id, "glass", by=who.id, now=ask.at)
        return Reply(200, need_document(session, who, need_id, to=ask, unlocked=True), {})

    return ask.write(work)


@router.patch("/needs/{need_id}", response_model=NeedAnswer)
def edit_need(
    need_id: str, body: NeedBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.EDIT))]
) -> Response:
    """Edit a need until it is taken up; send the ETag that you read as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.EDIT, lock=True)
        must_own(session, who, need_id)
        ask.must_match(_etag(need_document(session, who, need_id, to=APART)))
        changed = body.model_dump(exclude_unset=True, mode="json")
        given = {**stored_need(session, need_id), **changed, **excluded_of(session, changed), "id": need_id}
        edit(session, need=checked_need(given), now=ask.at)
        document = need_document(session, who, need_id, to=ask)
        return Reply(200, document, {"ETag": _etag(document)})

    return ask.write(work, body)


@router.post("/needs/{need_id}/take-up", response_model=NeedAnswer)
def take_up_need(
    need_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.TAKE_UP))]
) -> Response:
    """Take a need up as its expert; from then on it is no longer edited."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.TAKE_UP, lock=True)
        must_own(session, who, need_id)
        move(session, need_id=need_id, state=NeedState.TAKEN_UP, by=who.id, expert_id=who.id, now=ask.at)
        tell_of_moved_need(session, need_id, NeedState.TAKEN_UP, by=who.id, now=ask.at)
        return Reply(200, need_document(session, who, need_id, to=ask), {})

    return ask.write(work)


@router.post("/needs/{need_id}/state", response_model=NeedAnswer)
def move_need(
    need_id: str,
    body: NeedMoveBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.WITHDRAW))],
) -> Response:
    """Withdraw a need, or close it (experts)."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.WITHDRAW, lock=True)
        must_own(session, who, need_id)
        if body.state not in (NeedState.WITHDRAWN, NeedState.CLOSED):
            raise ProblemError(422, "invalid", T_("a need is moved to withdrawn or closed here"), "state")
        if body.state is NeedState.CLOSED and not who.holds(*STAFF):
            raise forbidden(T_("only the alliance closes a need; you can withdraw it"))
        move(session, need_id=need_id, state=body.state, by=who.id, note=body.note, now=ask.at)
        tell_of_moved_need(session, need_id, body.state, by=who.id, now=ask.at)
        return Reply(200, need_document(session, who, need_id, to=ask), {})

    return ask.write(work, body)


@router.post("/needs/{need_id}/shares", status_code=201, response_model=SharedAnswer)
def share_need(
    need_id: str, body: ShareBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.SHARE))]
) -> Response:
    """Share a need with another alliance; unless it is public, say what the company agreed to."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.SHARE, lock=True)
        if not who.holds(Role.OFFICE):
            must_own(session, who, need_id)
        share(session, need_id=need_id, alliance_id=body.alliance, consent=body.consent, by=who.id, now=ask.at)
        tell_of_opened_need(session, need_id, "shared", by=who.id, now=ask.at, alliance=body.alliance)
        return Reply(201, {"need_id": need_id, "alliance": body.alliance}, {})

    return ask.write(work, body)


@router.delete("/needs/{need_id}/shares/{alliance_id}", status_code=204)
def end_need_share(
    need_id: str, alliance_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.SHARE))]
) -> Response:
    """Stop sharing a need with an alliance: it no longer sees the need. What it decided stays on record."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.SHARE, lock=True)
        if not who.holds(Role.OFFICE):
            must_own(session, who, need_id)
        end_share(session, need_id=need_id, alliance_id=alliance_id, by=who.id, now=ask.at)
        tell_of_opened_need(session, need_id, "share_ended", by=who.id, now=ask.at, alliance=alliance_id)
        return Reply(204, None, {})

    return ask.write(work)


@router.post("/needs/{need_id}/alliance", response_model=NeedAnswer)
def assign_need(
    need_id: str, body: AssignBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NEED, Action.ASSIGN))]
) -> Response:
    """Give a need that nobody has taken up to an alliance."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.ASSIGN, lock=True)
        assign(session, need_id=need_id, alliance_id=body.alliance, now=ask.at)
        tell_of_new_need(session, need_id, by=who.id, now=ask.at)
        return Reply(200, need_document(session, who, need_id, to=ask), {})

    return ask.write(work, body)


def find_need(
    session: Session,
    who: Principal,
    need_id: str,
    action: Action,
    resource: Resource = Resource.NEED,
    *,
    lock: bool = False,
) -> Need:
    """Return a need that a person may do this with.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    query = select(Need).where(Need.id == need_id, visible(who, action, resource))
    need = session.exec(query.with_for_update() if lock else query).first()
    if need is None:
        raise not_found("need")
    return need


def must_own(session: Session, who: Principal, need_id: str) -> None:
    """Refuse what only the need's own alliance or company may do, not one that it was shared with."""
    if session.exec(select(Need.id).where(Need.id == need_id, own_needs(who))).first() is None:
        raise forbidden(T_("only the need's own alliance or company may do this"))


def need_document(
    session: Session,
    who: Principal,
    need_id: str,
    *conditions: ColumnElement[bool],
    to: NeedReader,
    unlocked: bool = False,
) -> dict[str, Any]:
    """Return a need as a person may see it.

    Who reads which field is declared with it. A researcher sees what the need says but not its money, whom it
    excludes or how it is handled. The programme office sees the text of needs that are public; of others only after
    breaking the glass (`unlocked`), whatever other roles somebody of the office holds.

    Raises:
        ProblemError: 404, there is none that fulfils the conditions.
    """
    for document in need_documents(session, who, [need_id], *conditions, to=to, unlocked=unlocked):
        return document
    raise not_found("need")


def need_documents(
    session: Session,
    who: Principal,
    need_ids: Iterable[str],
    *conditions: ColumnElement[bool],
    to: NeedReader,
    unlocked: bool = False,
) -> list[dict[str, Any]]:
    """Return needs in the order of their ids as given; see `need_document`. An id without a need gives none."""
    wanted = list(need_ids)
    if not wanted:
        return []
    query = select(Need, NeedIntake, own_needs(who), Retirement).where(col(Need.id).in_(wanted), *conditions)
    query = query.join(NeedIntake, col(NeedIntake.need_id) == Need.id, isouter=True)
    rows = session.exec(query.join(Retirement, is_retired(Mendable.NEED, col(Need.id)), isouter=True)).all()
    asks = defaultdict(list)
    for item in session.exec(select(Ask).where(col(Ask.need_id).in_(wanted)).order_by(col(Ask.position))):
        asks[item.need_id].append({"kind": item.kind, "text": item.text})
    openings, shares = _openings(session, wanted)
    steps = defaultdict(list)
    for step in session.exec(select(NeedStep).where(col(NeedStep.need_id).in_(wanted)).order_by(col(NeedStep.id))):
        steps[step.need_id].append({"state": step.new, "at": step.at.isoformat()})
    found = {
        need.id: _seen(
            who,
            {**need.model_dump(mode="json"), "asks": asks[need.id], "other": need.other},
            {**_standing(intake), "steps": steps[need.id]},
            shared=shares[need.id],
            openings=openings[need.id],
            inside=bool(inside),
            unlocked=unlocked,
        )
        | retired_said(retired)
        for need, intake, inside, retired in rows
    }
    shown = [found[need_id] for need_id in wanted if need_id in found]
    for document in shown:
        to.reads(document["id"], withheld=document["redacted"])
    return shown


def _openings(
    session: Session, need_ids: Sequence[str]
) -> tuple[defaultdict[str, list[dict[str, Any]]], defaultdict[str, list[str]]]:
    """Return by need who was let in to it, oldest first, as its own people are told, and whom it is shared with now.

    Shares and readings of the office are asked for in one statement: every page that shows a need asks this.
    """
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    shares: defaultdict[str, list[str]] = defaultdict(list)
    shared = select_columns(
        col(NeedShare.need_id),
        col(NeedShare.alliance_id),
        col(NeedShare.consent),
        col(NeedShare.shared_at),
        col(NeedShare.ended_at),
    ).where(col(NeedShare.need_id).in_(need_ids))
    read = select_columns(
        col(BreakGlassRead.need_id), sql_null(), col(BreakGlassRead.reason), col(BreakGlassRead.at), sql_null()
    ).where(col(BreakGlassRead.need_id).in_(need_ids))
    rows: Sequence[Any] = session.connection().execute(union_all(shared, read)).all()
    for need_id, alliance_id, reason, at, ended_at in rows:
        what = Opening.BREAK_GLASS if alliance_id is None else Opening.SHARED
        told = {"what": what.value, "at": at.isoformat(), "alliance": alliance_id, "reason": reason}
        found[need_id].append(told)
        if ended_at is not None:
            ended = {"what": Opening.SHARE_ENDED.value, "at": ended_at.isoformat(), "reason": ""}
            found[need_id].append(told | ended)
        elif alliance_id is not None:
            shares[need_id].append(alliance_id)
    for openings in found.values():
        openings.sort(key=lambda one: str(one["at"]))
    return found, shares


def _standing(intake: NeedIntake | None) -> dict[str, Any]:
    return {
        "state": NeedState.SUBMITTED.value if intake is None else intake.state,
        "alliance": None if intake is None else intake.alliance_id,
        "expert": None if intake is None else intake.expert_id,
        "submitted_at": None if intake is None else intake.submitted_at.isoformat(),
    }


def _seen(
    who: Principal,
    document: dict[str, Any],
    standing: dict[str, Any],
    *,
    shared: list[str],
    openings: list[dict[str, Any]],
    inside: bool,
    unlocked: bool,
) -> dict[str, Any]:
    """Return of what a need says and where it stands as much as a person may read."""
    # What a file said beside our fields is for those who work on the need.
    other = document.pop("other", None)
    is_office = who.holds(Role.OFFICE)
    with_us = not is_office and (inside or bool(set(shared) & who.scopes(*STAFF)))
    document["redacted"] = False
    if is_office and not unlocked:
        if document["confidentiality"] != Confidentiality.PUBLIC:
            document |= dict.fromkeys(_names(Audience.INTRODUCED, Audience.INSIDE)) | {"redacted": True}
    elif not with_us and not unlocked:
        return document | {name: [] if isinstance(document[name], list) else None for name in _names(Audience.INSIDE)}
    document |= standing
    if with_us and other:
        document["other"] = other
    if with_us or is_office:
        document["shared_with"] = sorted(shared)
        document["openings"] = openings if inside and not is_office else []
    return document


def _names(*audiences: Audience) -> list[str]:
    """Return the fields of a need that are for these."""
    return [one.name for one in declared(NeedIn) if one.note.audience in audiences]


def stored_need(session: Session, need_id: str) -> dict[str, Any]:
    """Return all that a need says, as the exchange format has it.

    Raises:
        ProblemError: 404, there is none.
    """
    need = session.get(Need, need_id)
    if need is None:
        raise not_found("need")
    asks = session.exec(select(Ask).where(Ask.need_id == need_id).order_by(col(Ask.position))).all()
    document = need.model_dump(mode="json")
    document["asks"] = [{"kind": item.kind, "text": item.text} for item in asks]
    return document


def _etag(document: dict[str, Any]) -> str:
    # Who was let in changes nothing that is edited.
    return etag_of({name: value for name, value in document.items() if name != "openings"})
