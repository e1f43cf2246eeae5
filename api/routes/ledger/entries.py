"""Results: reported by alliances with the files that prove them, listed, read with all that stands behind them.

In: what happened, and the bytes of a file. Out: entries of the ledger, each with its steps, evidence and chain; the
SHA-256 under which an entry names a file, and later the file for who may see an entry with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select as select_columns
from sqlalchemy import tuple_
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.access.visibility import cases as visible_cases
from api.access.visibility import entries as visible
from api.access.visibility import naming_file, shared_by
from api.documents.answers import Page, attachment_header, file_of
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.ledger import (
    EntryAnswer,
    EntryDocumentAnswer,
    NewEntriesAnswer,
    PseudonymAnswer,
    StoredFileAnswer,
    entry_document,
    entry_rows,
)
from api.documents.ledger_bodies import EntryBody, EvidenceBody, PersonBody
from api.letters.telling import tell_of_results
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.requests.query_parameters import Cursor, Limit, chosen_alliances, decoded, page
from indexer.database import reading
from indexer.folding import HAN
from indexer.wording import T_
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.evidence import (
    ALL_TOGETHER,
    MAX_BYTES,
    WaitingMost,
    checked_items,
    files_sent,
    is_intact,
    keep,
    note_file,
    path_of,
    waiting_files,
)
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import common_year
from matcher.ledger.rows.pseudonyms import read_key, register, same_number
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.recognition import is_with_committee
from matcher.ledger.rules.reporting import Instalment, NewResult, instalments_of, must_have_a_share, report
from matcher.review.cases import Case
from matcher.review.people import Account, Principal

router = APIRouter(prefix="/api", tags=["ledger"], route_class=ThreadedRoute)

_RAW = {
    "requestBody": {
        "required": True,
        "description": f"The file itself, up to {MAX_BYTES // 2**20} MiB.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FILE = file_of(["application/octet-stream"])
Digest = Annotated[str, Path(max_length=200, description="The SHA-256 of the file, in hexadecimal.")]


@router.post("/evidence", status_code=201, openapi_extra=_RAW, response_model=StoredFileAnswer)
async def send_evidence(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.EVIDENCE, Action.CREATE))],
) -> Response:
    """Send a file of evidence as the request body; an entry names it by the SHA-256 that comes back."""

    def admit() -> None:
        with reading(ask.engine) as session:
            must_have_a_place(session, ask, ask.admitted(session), 0)

    # Who asks is known before a byte of the file is taken.
    await run_in_threadpool(admit)
    content = await ask.request.app.state.uploads.received(ask.request, MAX_BYTES)
    return await run_in_threadpool(store_file, ask, content)


def store_file(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.EVIDENCE, Action.CREATE))],
    content: bytes,
    *,
    once: bool = True,
) -> Response:
    """Store a file that was received; with `once` false no `Idempotency-Key` is looked at: the file itself is one."""
    with ask.reading() as session:
        must_have_a_place(session, ask, ask.admitted(session), len(content))
    ask.let_go()
    ask.request.app.state.scanner.check(content)
    # Stored before the row that says so: a file without a row proves nothing, a row without a file would be a lie.
    digest = keep(ask.request.app.state.home, content)

    def work(session: Session, who: Principal) -> Reply:
        before = note_file(session, sha256=digest, size_bytes=len(content), by=who.id, now=ask.at)
        # It may have lain there already, and been deleted since as one that nobody names.
        keep(ask.request.app.state.home, content)
        said = {"sha256": digest, "size_bytes": len(content), "sent_before": before and before.isoformat()}
        return Reply(201, said, {"Location": f"/api/evidence/{digest}"})

    return ask.write(work, digest.encode(), once=once)


def must_have_a_place(session: Session, ask: PermittedRequest, who: Principal, size_bytes: int) -> None:
    """Let a file be sent only if not too many wait for a result that names them, and the disk has room.

    Raises:
        ProblemError: 409, so many wait.
        LowRoomError: the disk has not.
    """
    ask.must_leave_room(size_bytes)
    most: WaitingMost = ask.request.app.state.evidence_waiting
    waiting = waiting_files(session)
    of_one, of_all = waiting.of(who.id), waiting.of(None)
    if of_one.files >= most.files or of_one.size_bytes + size_bytes > most.size_bytes:
        detail = T_(
            "%(files)s of your files (%(mb)s MB) stand in no result yet: report with them, or wait %(days)s days until "
            "they are deleted",
            files=of_one.files,
            mb=round(of_one.size_bytes / 1e6),
            days=most.days,
        )
        raise ProblemError(409, "evidence-waiting", detail)
    if of_all.size_bytes + size_bytes > ALL_TOGETHER * most.size_bytes:
        detail = T_(
            "files of all (%(mb)s MB) stand in no result yet; they are deleted after %(days)s days",
            mb=round(of_all.size_bytes / 1e6),
            days=most.days,
        )
        raise ProblemError(409, "evidence-waiting", detail)


@router.get("/evidence/{sha256}", response_class=Response, responses=_FILE)
def read_evidence(
    sha256: Digest, ask: Annotated[PermittedRequest, Depends(requires(Resource.EVIDENCE, Action.READ))]
) -> Response:
    """Download a file that an entry names which you may see; it comes as an attachment, never to be shown."""
    home: FilePath = ask.request.app.state.home
    with reading(ask.engine) as session:
        who = ask.admitted(session)
        name = seen_name(session, who, sha256)
    if name is None:
        raise not_found("file of evidence")
    if not is_intact(home, sha256):
        raise ProblemError(503, "evidence", T_("the file is missing or is not the one that was stored"))
    headers = {"Cache-Control": "no-store", "Content-Disposition": attachment_header(name or sha256[:16])}
    return Response(path_of(home, sha256).read_bytes(), 200, headers, "application/octet-stream")


def seen_name(session: Session, who: Principal, digest: str) -> str | None:
    """Return what a file is called in an entry that a person may see, None if none of those names it."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return None
    query = (
        select(Entry).where(naming_file(digest), visible(who, Action.READ, Resource.EVIDENCE)).order_by(col(Entry.seq))
    )
    for entry in session.exec(query).all():
        for item in _items(session, entry):
            if item.get("sha256") == digest:
                return str(item.get("name", ""))
    return None


def _items(session: Session, entry: Entry) -> Iterator[dict[str, Any]]:
    yield from entry.evidence
    for items in session.exec(select(Step.evidence).where(Step.entry_id == entry.id)).all():
        yield from items


EntryId = Annotated[str, Path(max_length=200)]
_LATIN_NAME = 4
"""Letters; a shorter one is part of too many words."""
KpiYear = Annotated[int | None, Query(ge=1, le=3_000, description="A KPI year in either count: 108 or 2019.")]
AllianceId = Annotated[str | None, Query(max_length=200, description="Only what this alliance has a share in.")]


@router.post("/ledger/persons", status_code=201, response_model=PseudonymAnswer)
def register_person(
    body: PersonBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.PERSON, Action.CREATE))]
) -> Response:
    """Register somebody who was trained or found a job. The pseudonym that comes back stands in entries instead.

    The same person gets the same pseudonym again. The name is kept apart from the entries and is never answered.
    `same_number` says that the number is known under another name: what is reported of either is held then.
    """
    with reading(ask.engine) as session:
        ask.admitted(session)
        key = read_key(session, ask.request.app.state.home)

    def work(session: Session, who: Principal) -> Reply:
        pseudonym = register(session, key=key, by=who.id, now=ask.at, **body.model_dump())
        return Reply(201, {"pseudonym": pseudonym, "same_number": bool(same_number(session, pseudonym))}, {})

    # What is kept to know the request again must not tell who was registered.
    return ask.write(work, hmac.new(key, body.model_dump_json().encode(), sha256).hexdigest().encode())


@router.post("/ledger/entries", status_code=201, response_model=NewEntriesAnswer)
def report_result(
    body: EntryBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.CREATE))]
) -> Response:
    """Report a result of your alliance, or a contract with its instalments, each of which becomes an entry.

    What resembles another claim is `held` until somebody has told them apart; what is counted already is refused.
    """

    def work(session: Session, who: Principal) -> Reply:
        _check_own(session, who, body)
        must_not_name_oneself(session, who, [body.details, body.value_added, *(one.item() for one in body.evidence)])
        given = _report(body, usable_evidence(session, who, ask, body.evidence))
        parts = [given]
        if body.instalments is not None:
            parts = instalments_of(given, [Instalment(part.due_on, part.amount_ntd) for part in body.instalments])
        entries = [report(session, part, by=who.id, now=ask.at)[0] for part in parts]
        # What waits for its month is told of when a lead confirms that.
        tell_of_results(session, [one for one in entries if is_with_committee(session, one)], by=who.id, now=ask.at)
        location = {"Location": f"/api/ledger/entries/{entries[0].id}"}
        return Reply(201, {"items": entry_rows(session, entries)}, location)

    return ask.write(work, body)


def must_not_name_oneself(session: Session, who: Principal, texts: Iterable[Any]) -> None:
    """Keep a reporter's own name and address out of what the ledger keeps: it could never be taken out again.

    Who reported is on record by id. Those who were trained are registered, and stand in entries by pseudonym.

    Raises:
        ProblemError: 422, a text has the name or the address.
    """
    email = session.exec(select(Account.email).where(Account.id == who.id)).one()
    own = [word.casefold() for word in (who.name, email) if len(word) >= (2 if HAN.search(word) else _LATIN_NAME)]
    said = orjson.dumps(list(texts), default=str).decode().casefold()
    if any(word in said for word in own):
        raise ProblemError(
            422,
            "ledger",
            T_("leave your own name and address out: the ledger keeps every word for ever, and knows who reported"),
            "evidence",
        )


def _check_own(session: Session, who: Principal, body: EntryBody) -> None:
    # First, so that nobody learns from another refusal what is not theirs to report.
    must_have_a_share(session, who.id, body.shares)
    if body.case_id is not None:
        query = select(Case.id).where(Case.id == body.case_id, visible_cases(who, Action.READ))
        if session.exec(query).first() is None:
            raise ProblemError(422, "ledger", T_("there is no such case of an alliance that has a share"), "case_id")
    if body.restates is not None:
        find_entry(session, who, body.restates, Action.READ)


def _report(body: EntryBody, evidence: list[dict[str, str]]) -> NewResult:
    given = body.model_dump(exclude={"instalments", "evidence"})
    return NewResult(**given, evidence=evidence)


def usable_evidence(
    session: Session, who: Principal, ask: PermittedRequest, bodies: Sequence[EvidenceBody]
) -> list[dict[str, str]]:
    """Return evidence as an entry may name it: links, and files that the person sent or sees already.

    Raises:
        ProblemError: 422, a file is neither.
        LedgerError: a link or a stored file is not what it must be.
    """
    digests = {body.sha256 for body in bodies if body.sha256 is not None}
    known = files_sent(session, who.id, digests)
    if any(seen_name(session, who, digest) is None for digest in digests - known):
        raise ProblemError(422, "ledger", T_("no file with this sha256 was stored; send the file first"), "evidence")
    return checked_items(ask.request.app.state.home, [body.item() for body in bodies])


class EntryOrder(StrEnum):
    """By what entries are listed beside the order in which they were written."""

    KPI = "kpi"
    AMOUNT = "amount"
    PERIOD = "period"
    COUNTS_ON = "counts_on"


@router.get("/ledger/entries", response_model=Page[EntryAnswer])
def list_entries(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.LIST))],
    kpi: Annotated[Kpi | None, Query(description="Only of this figure.")] = None,
    state: Annotated[State | None, Query(description="Only those that stand so now.")] = None,
    alliance: AllianceId = None,
    period: Annotated[str | None, Query(max_length=20, description="Only those booked in this quarter.")] = None,
    year: KpiYear = None,
    contract: Annotated[
        str | None, Query(max_length=200, description="Only the instalments of this contract.", examples=["C-108-001"])
    ] = None,
    case: Annotated[int | None, Query(ge=1, le=MAX_ROW_NUMBER, description="Only what came of this case.")] = None,
    newest: Annotated[bool, Query(description="The last written first; with `sort` the largest first.")] = False,
    sort: Annotated[EntryOrder | None, Query(description="By what; otherwise as they were written.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the entries that you may see, in the order they were written or by a column, or the other way round."""

    def work(session: Session, who: Principal) -> Reply:
        alliances = chosen_alliances(session, who, Resource.ENTRY, Action.LIST, alliance)
        by = [col(Entry.seq)] if sort is None else [col(getattr(Entry, sort.value)), col(Entry.seq)]
        order = [one.desc() for one in by] if newest else by
        query = select(Entry).where(shared_by(alliances)).order_by(*order).limit(limit + 1)
        after = decoded(cursor, int)
        if after is not None:
            last = session.execute(select_columns(*by).where(col(Entry.seq) == after)).one_or_none() or (after,)
            if len(last) < len(by):
                raise ProblemError(422, "invalid", T_("give the cursor that came as next"), "cursor")
            query = query.where(tuple_(*by) < tuple_(*last) if newest else tuple_(*by) > tuple_(*last))
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


@router.get("/ledger/entries/{entry_id}", response_model=EntryDocumentAnswer)
def read_entry(
    entry_id: EntryId, ask: Annotated[PermittedRequest, Depends(requires(Resource.ENTRY, Action.READ))]
) -> Response:
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
