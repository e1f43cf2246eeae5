"""Files that hang on needs, conversations and meetings: sent, listed, downloaded, taken away.

In: the bytes of a file, what it hangs on and whom it is for. Out: the files that this person reads, each as a download
alone. Who reads one is decided by what it hangs on: a need's files by whoever reads its text, those of a conversation
as its messages are. A file that is foreign is not found, as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import and_
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import needs as visible_needs
from api.access.visibility import own_needs
from api.documents.answers import Answer, Page, attachment_header, file_of
from api.documents.bodies import MAX_ROW_NUMBER
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.routes.conversation.talks import find_conversation
from api.routes.conversation.telling import tell_attached
from indexer.database import reading
from indexer.kept_files import is_kept, keep_file
from indexer.records.record_tables import Need
from indexer.wording import T_
from matcher.review.conversation.attachments import (
    FOLDER,
    AttachedMost,
    Attaching,
    Attachment,
    attach,
    checked_file,
    of_need,
    of_pairing,
    path_of,
    remove,
)
from matcher.review.conversation.meetings import Meeting
from matcher.review.conversation.thread import Audience, Conversation, Side
from matcher.review.intake import NeedIntake
from matcher.review.people import Account, Principal
from matcher.review.roles import STAFF, Role

router = APIRouter(prefix="/api", tags=["attachments"], route_class=ThreadedRoute)

MAX_ATTACHED_BYTES = 32 * 2**20
"""What no setting goes beyond."""
_RAW = {
    "requestBody": {
        "required": True,
        "description": "The file itself.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FILE = file_of(["application/octet-stream"])
AttachmentId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
NeedId = Annotated[str, Path(max_length=200)]
PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_Creates = Annotated[PermittedRequest, Depends(requires(Resource.ATTACHMENT, Action.CREATE))]
_Lists = Annotated[PermittedRequest, Depends(requires(Resource.ATTACHMENT, Action.LIST))]


class AttachmentAnswer(Answer):
    """A file that hangs on a need, or on a conversation about it; `can_remove` by whoever asks."""

    id: int
    need_id: str
    pairing_id: int | None
    meeting_id: int | None
    audience: Audience | None
    side: Side
    name: str
    size_bytes: int
    sender: str | None
    at: datetime
    can_remove: bool


def attachment_document(row: Attachment, names: Mapping[str, str], *, can_remove: bool) -> dict[str, Any]:
    """Return the document of a file; `names` are those of the senders by account."""
    return {
        "id": row.id,
        "need_id": row.need_id,
        "pairing_id": row.pairing_id,
        "meeting_id": row.meeting_id,
        "audience": row.audience,
        "side": row.side,
        "name": row.name,
        "size_bytes": row.size_bytes,
        "sender": names.get(row.by),
        "at": row.at.isoformat(),
        "can_remove": can_remove,
    }


@dataclass(frozen=True)
class FilePlace:
    """What a file is to hang on: a need, or a pairing's conversation with its readers, perhaps one of its meetings."""

    need: str | None = None
    pairing: int | None = None
    audience: Audience | None = None
    meeting: int | None = None


@router.post("/attachments", status_code=201, openapi_extra=_RAW, response_model=AttachmentAnswer)
async def send_attachment(
    ask: _Creates,
    name: Annotated[str, Query(min_length=1, max_length=300, description="The file's name.", examples=["plan.pdf"])],
    need: Annotated[str | None, Query(max_length=200, description="The need that it hangs on, or:")] = None,
    pairing: Annotated[int | None, Query(ge=1, le=MAX_ROW_NUMBER, description="The pairing, in its talk.")] = None,
    audience: Annotated[Audience | None, Query(description="In a talk: who reads it beside the alliance.")] = None,
    meeting: Annotated[int | None, Query(ge=1, le=MAX_ROW_NUMBER, description="A meeting of the pairing.")] = None,
) -> Response:
    """Attach a file, sent as the request body, to a need, or to a pairing's conversation or one of its meetings.

    It has to be what its name says (PDF, pictures, office documents without macros, text, CSV, STEP, DWG).
    """
    place = FilePlace(need, pairing, audience, meeting)

    def admit() -> None:
        with reading(ask.engine) as session:
            place_of(session, ask.admitted(session), place)
        ask.must_leave_room()

    # Who asks, and whether there is such a place for them, is known before a byte of the file is taken.
    await run_in_threadpool(admit)
    content = await ask.request.app.state.uploads.received(ask.request, MAX_ATTACHED_BYTES)
    return await run_in_threadpool(keep_attachment, ask, name, place, content)


def keep_attachment(ask: _Creates, name: str, place: FilePlace, content: bytes) -> Response:
    """Attach a file that was received."""
    most = AttachedMost.of(ask.request.app.state.settings)
    file_name = checked_file(name, content, most)
    with ask.reading() as session:
        place_of(session, ask.admitted(session), place)
    ask.let_go()
    ask.request.app.state.scanner.check(content)
    home: FilePath = ask.request.app.state.home
    ask.must_leave_room(len(content))
    digest = keep_file(home, FOLDER, content)

    def work(session: Session, who: Principal) -> Reply:
        to, about = place_of(session, who, place)
        ask.about("need", to.need_id)
        # Held while the bounds are counted, so that two files at once keep to them.
        session.exec(select(Need.id).where(Need.id == to.need_id).with_for_update()).one()
        row = attach(session, to=to, name=file_name, sha256=digest, size_bytes=len(content), most=most, now=ask.at)
        # It may have lain there already, and been deleted since as one that nobody names.
        keep_file(home, FOLDER, content)
        if about is not None:
            tell_attached(session, about, row, now=ask.at)
        document = attachment_document(row, {who.id: who.name}, can_remove=True)
        return Reply(201, document, {"Location": f"/api/attachments/{row.id}"})

    return ask.write(work, digest.encode())


def place_of(session: Session, who: Principal, place: FilePlace) -> tuple[Attaching, Conversation | None]:
    """Return where somebody attaches a file, and the conversation if it is one.

    Raises:
        ProblemError: 404, there is no such place for them; 422, it is none.
    """
    if (place.need is None) == (place.pairing is None):
        raise ProblemError(422, "invalid", T_("name either a need or a pairing that the file hangs on"), "need")
    if place.need is not None:
        if place.audience is not None or place.meeting is not None:
            raise ProblemError(422, "invalid", T_("only in a conversation readers and meetings are chosen"), "audience")
        return _need_place(session, who, place.need), None
    side, about = find_conversation(session, who, place.pairing or 0, Action.CREATE, Resource.ATTACHMENT)
    if side is Side.EXPERT and about.alliance_id not in who.scopes(*STAFF):
        raise not_found("pairing")
    if place.meeting is not None:
        meeting = session.get(Meeting, place.meeting)
        if meeting is None or meeting.pairing_id != about.pairing_id:
            raise not_found("meeting")
    readers = Audience.BOTH if place.meeting is not None and place.audience is None else place.audience
    to = Attaching(
        need_id=about.need_id,
        side=side,
        by=who.id,
        alliance_id=about.alliance_id,
        pairing_id=about.pairing_id,
        audience=readers,
        meeting_id=place.meeting,
        lab_knows=about.is_introduced,
    )
    return to, about


def _need_place(session: Session, who: Principal, need_id: str) -> Attaching:
    # A need's files are its own people's to send: a lab, or an alliance that it was shared with, has the conversation.
    mine = and_(visible_needs(who, Action.CREATE, Resource.ATTACHMENT), own_needs(who))
    row = session.exec(
        select(Need.company, NeedIntake.alliance_id)
        .join(NeedIntake, col(NeedIntake.need_id) == Need.id, isouter=True)
        .where(Need.id == need_id, mine)
    ).first()
    if row is None:
        raise not_found("need")
    side = Side.COMPANY if row[0] in who.scopes(Role.COMPANY) else Side.EXPERT
    return Attaching(need_id, side, who.id, row[1])


@router.get("/needs/{need_id}/attachments", response_model=Page[AttachmentAnswer])
def list_need_attachments(need_id: NeedId, ask: _Lists) -> Response:
    """List the files that hang on a need."""

    def work(session: Session, who: Principal) -> Reply:
        _readable_need(session, who, need_id, Action.READ)
        ask.reads(need_id)
        return Reply(200, {"items": _documents(session, who, of_need(session, need_id)), "next": None}, {})

    return ask.read(work)


@router.get("/pairings/{pairing_id}/attachments", response_model=Page[AttachmentAnswer])
def list_pairing_attachments(pairing_id: PairingId, ask: _Lists) -> Response:
    """List the files of a pairing's conversation and its meetings that your side reads."""

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.READ, Resource.ATTACHMENT)
        ask.reads(about.need_id)
        rows = of_pairing(session, pairing_id, side=side, alliances=who.scopes(*STAFF))
        return Reply(200, {"items": _documents(session, who, rows), "next": None}, {})

    return ask.read(work)


@router.get("/attachments/{attachment_id}", response_class=Response, responses=_FILE)
def read_attachment(
    attachment_id: AttachmentId, ask: Annotated[PermittedRequest, Depends(requires(Resource.ATTACHMENT, Action.READ))]
) -> Response:
    """Download a file that hangs on what you read; it comes as an attachment, never to be shown."""
    home: FilePath = ask.request.app.state.home
    with reading(ask.engine) as session:
        row = find_attachment(session, ask.admitted(session), attachment_id, Action.READ)
        ask.reads(row.need_id)
        name, digest = row.name, row.sha256
    if not is_kept(home, FOLDER, digest):
        raise ProblemError(503, "attachment", T_("the file is missing or is not the one that was stored"))
    headers = {"Cache-Control": "no-store", "Content-Disposition": attachment_header(name)}
    return Response(path_of(home, digest).read_bytes(), 200, headers, "application/octet-stream")


@router.delete("/attachments/{attachment_id}", status_code=204, response_class=Response)
def remove_attachment(
    attachment_id: AttachmentId, ask: Annotated[PermittedRequest, Depends(requires(Resource.ATTACHMENT, Action.END))]
) -> Response:
    """Take a file away: one that you sent, or as the alliance that works on the need any of them."""

    def work(session: Session, who: Principal) -> Reply:
        row = find_attachment(session, who, attachment_id, Action.END)
        ask.about("need", row.need_id)
        if not _can_remove(session, who, row):
            detail = T_("whoever sent a file takes it away, or the alliance of the need")
            raise ProblemError(409, "attachment", detail)
        remove(session, row)
        return Reply(204, {}, {})

    return ask.write(work)


def find_attachment(session: Session, who: Principal, attachment_id: int, action: Action) -> Attachment:
    """Return a file that somebody reads.

    Raises:
        ProblemError: 404, there is none, or not for this person.
    """
    row = session.get(Attachment, attachment_id)
    if row is None:
        raise not_found("attachment")
    try:
        if row.pairing_id is None:
            _readable_need(session, who, row.need_id, action)
            return row
        side, _ = find_conversation(session, who, row.pairing_id, action, Resource.ATTACHMENT)
    except ProblemError as error:
        raise not_found("attachment") from error
    theirs = of_pairing(session, row.pairing_id, side=side, alliances=who.scopes(*STAFF))
    if attachment_id not in {one.id for one in theirs}:
        raise not_found("attachment")
    return row


def _readable_need(session: Session, who: Principal, need_id: str, action: Action) -> None:
    read = select(Need.id).where(Need.id == need_id, visible_needs(who, action, Resource.ATTACHMENT))
    if session.exec(read).first() is None:
        raise not_found("need")


def _can_remove(session: Session, who: Principal, row: Attachment) -> bool:
    if row.by == who.id:
        return True
    alliance = session.exec(select(NeedIntake.alliance_id).where(NeedIntake.need_id == row.need_id)).first()
    return alliance is not None and alliance in who.scopes(*STAFF)


def _documents(session: Session, who: Principal, rows: list[Attachment]) -> list[dict[str, Any]]:
    senders = session.exec(select(Account.id, Account.name).where(col(Account.id).in_({row.by for row in rows})))
    names = dict(senders.all())
    return [attachment_document(row, names, can_remove=_can_remove(session, who, row)) for row in rows]
