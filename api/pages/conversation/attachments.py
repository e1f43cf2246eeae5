"""Files in pages: those of a need on a page of their own, those of a conversation in its page; sent and taken away.

In: a form with a file. Out: the page that it came from, with the file in its list. It exists as one way for all three
sides: what each sees and may take away is decided where the API reads it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from starlette.datastructures import UploadFile

from api.access.policy import Action, Resource, admits
from api.documents.bodies import MAX_ROW_NUMBER
from api.pages.conversation.talk import conversation_page
from api.pages.shell.receiving import receiving
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal, not_found
from api.routes.conversation.attachments import (
    MAX_ATTACHED_BYTES,
    FilePlace,
    find_attachment,
    keep_attachment,
    list_need_attachments,
    place_of,
    remove_attachment,
)
from api.routes.needs import read_need
from indexer.kept_files import ENDINGS
from indexer.wording import T_
from matcher.review.conversation.thread import Audience
from matcher.review.roles import STAFF, Role

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

MAX_ATTACHED_FORM_BYTES = MAX_ATTACHED_BYTES + 2**20
AttachmentId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/needs/{need_id}/files")
def show_need_files(
    need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.ATTACHMENT, Action.LIST))]
) -> Response:
    """Show the files of a need, and the form that adds one for whoever may."""
    return _need_page(visit, need_id)


def _need_page(visit: Visit, need_id: str, refused: Refusal | None = None) -> Response:
    files = visit.document(list_need_attachments, need_id=need_id)["items"]
    need = visit.document(read_need, need_id=need_id)

    def can_attach() -> bool:
        try:
            visit.look(lambda session, who: place_of(session, who, FilePlace(need=need_id)))
        except ProblemError:
            return False
        return admits(visit.who(), Resource.ATTACHMENT, Action.CREATE)

    who = visit.who()
    back = f"/needs/{need_id}" if who.holds(*STAFF, Role.OFFICE) else f"/company/needs/{need_id}"
    return visit.show(
        "conversation/need_files.html",
        refused.status if refused else 200,
        need=need,
        files=files,
        can_attach=can_attach(),
        accepted=ENDINGS,
        back=back if not who.holds(Role.RESEARCHER) or who.holds(*STAFF, Role.OFFICE, Role.COMPANY) else "/my-lab",
        refused=refused,
    )


@router.post("/attachments")
def send(
    visit: Annotated[Visit, Depends(receiving(Resource.ATTACHMENT, Action.CREATE, MAX_ATTACHED_FORM_BYTES))],
) -> Response:
    """Attach a file to the need or the conversation that its form belongs to."""
    place = _place(visit)

    def work() -> Any:
        sent = visit.form.get("file")
        if not isinstance(sent, UploadFile) or not sent.filename:
            raise ProblemError(422, "invalid", T_("choose a file"), "file")
        return visit.document(keep_attachment, name=sent.filename[-300:], place=place, content=sent.file.read())

    done = visit.attempt(work)
    refused = done if isinstance(done, Refusal) else None
    if place.pairing is not None:
        if refused is not None:
            return conversation_page(visit, place.pairing, refused, "file")
        return visit.go(f"/conversations/{place.pairing}#files", N_("The file is attached."))
    if place.need is None:
        raise not_found("need")
    if refused is not None:
        return _need_page(visit, place.need, refused)
    return visit.go(f"/needs/{place.need}/files", N_("The file is attached."))


def _place(visit: Visit) -> FilePlace:
    given = visit.values("need", "pairing", "audience", "meeting")
    numbers = {name: given[name] for name in ("pairing", "meeting") if name in given}
    if any(not (one.isascii() and one.isdigit() and 0 < int(one) <= MAX_ROW_NUMBER) for one in numbers.values()):
        raise not_found("pairing")
    audience = next((one for one in Audience if one == given.get("audience")), None)
    if "meeting" in numbers:
        audience = Audience.BOTH
    return FilePlace(
        need=given.get("need") if "pairing" not in numbers else None,
        pairing=int(numbers["pairing"]) if "pairing" in numbers else None,
        audience=audience if "pairing" in numbers else None,
        meeting=int(numbers["meeting"]) if "meeting" in numbers else None,
    )


@router.post("/attachments/{attachment_id}/remove")
def take_away(
    attachment_id: AttachmentId, visit: Annotated[Visit, Depends(visiting(Resource.ATTACHMENT, Action.END))]
) -> Response:
    """Take a file away."""
    row = visit.look(lambda session, who: find_attachment(session, who, attachment_id, Action.END))
    pairing_id, need_id = row.pairing_id, row.need_id
    refused = visit.attempt(lambda: visit.reply(remove_attachment, attachment_id=attachment_id))
    if isinstance(refused, Refusal):
        if pairing_id is not None:
            return conversation_page(visit, pairing_id, refused, "file")
        return _need_page(visit, need_id, refused)
    place = f"/needs/{need_id}/files" if pairing_id is None else f"/conversations/{pairing_id}#files"
    return visit.go(place, N_("The file is taken away."))
