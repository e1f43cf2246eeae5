"""A pairing's conversation in a page: how it stands, one's own answer, and the thread, for all three sides.

In: a pairing's number, and from one side an answer or a message. Out: the same page for all three, with what this side
may read and do. It exists as one page because the three speak of the same thing; what each gets to see is decided where
the API reads it, not here.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.conversation.talks import AnswerBody, InvitationBody, MessageBody
from api.pages.shell.record_names import NamedOrPerson, called
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.conversation.attachments import list_pairing_attachments
from api.routes.conversation.meetings import list_meetings
from api.routes.conversation.talks import give_answer, read_conversation, send_link, take_answer_back, write_message
from api.routes.needs import read_need
from indexer.kept_files import ENDINGS
from indexer.records.record_tables import Alliance, Company, Lab
from matcher.review.conversation.answers import REFUSING, SideWord
from matcher.review.conversation.meetings import MOST_TIMES
from matcher.review.conversation.standing import TalkState
from matcher.review.conversation.thread import Audience, Side

router = APIRouter(prefix="/conversations", include_in_schema=False, route_class=ThreadedRoute)

PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_ANSWERED = {
    SideWord.INTERESTED: N_("Your expert is told that you are interested. You can change your answer here."),
    SideWord.NOT_THIS_ONE: N_("Your expert is told, with your reason. You can change your answer here."),
    SideWord.QUESTION: N_("Your question is sent. The answer appears here."),
    SideWord.WILLING: N_("Your alliance is told that you are willing. You can change your answer here."),
    SideWord.NOT_NOW: N_("Your alliance is told that you can't at the moment. You can change your answer here."),
    SideWord.DECLINED: N_("Your alliance is told, with your reason. You can change your answer here."),
}
ANSWER_LABELS = {
    SideWord.INTERESTED: N_("We are interested"),
    SideWord.NOT_THIS_ONE: N_("Not this one"),
    SideWord.QUESTION: N_("We have a question"),
    SideWord.WILLING: N_("Yes, I would take it up"),
    SideWord.NOT_NOW: N_("Not now"),
    SideWord.DECLINED: N_("No"),
}
"""What stands on the button of each answer."""
AUDIENCE_LABELS: dict[Side, dict[Audience, str]] = {
    Side.COMPANY: {Audience.COMPANY: N_("your expert only"), Audience.BOTH: N_("your expert and the lab")},
    Side.LAB: {Audience.LAB: N_("your alliance only"), Audience.BOTH: N_("your alliance and the company")},
    Side.EXPERT: {
        Audience.COMPANY: N_("the company"),
        Audience.LAB: N_("the lab"),
        Audience.BOTH: N_("the company and the lab"),
        Audience.INTERNAL: N_("colleagues only (internal note)"),
    },
}
"""To whom a side can write, in its own words."""
SIDE_LABELS = {Side.COMPANY: N_("Company"), Side.LAB: N_("Lab"), Side.EXPERT: N_("Alliance")}


_MEETING = (TalkState.INTRODUCED, TalkState.WILLING, TalkState.LATER, TalkState.MEETING, TalkState.NEGOTIATING)
"""The states in which a meeting can be proposed."""
_INVITED = {
    **dict.fromkeys((TalkState.SHOWN, TalkState.ASKED, TalkState.WANTED, TalkState.NOT_WANTED), Side.COMPANY),
    **dict.fromkeys((TalkState.INTRODUCED, TalkState.WILLING, TalkState.LATER, TalkState.DECLINED), Side.LAB),
}
"""For which side somebody without an account can be asked, by the state that waits for its answer."""


@router.get("/{pairing_id}")
def show_conversation(
    pairing_id: PairingId, visit: Annotated[Visit, Depends(visiting(Resource.CONVERSATION, Action.READ))]
) -> Response:
    """Show a conversation."""
    return conversation_page(visit, pairing_id)


def conversation_page(visit: Visit, pairing_id: int, refused: Refusal | None = None, form: str = "") -> Response:
    """Return the page of a conversation, with why a form of it was refused."""
    talk = visit.document(read_conversation, pairing_id=pairing_id)
    need: Any = visit.attempt(lambda: visit.document(read_need, need_id=talk["need_id"]))
    ids: dict[NamedOrPerson, list[str | None]] = {
        Lab: [talk["lab_id"]],
        Company: [talk["company_id"]],
        Alliance: [talk["alliance_id"]],
    }
    names = visit.look(lambda session, _: called(session, ids))
    side = Side(talk["side"])
    return visit.show(
        "conversation/talk.html",
        refused.status if refused else 200,
        talk=talk,
        need=None if isinstance(need, Refusal) else need,
        lab=names[Lab].get(talk["lab_id"], ("", "")),
        company=names[Company].get(talk["company_id"] or "", ("", "")),
        alliance=names[Alliance].get(talk["alliance_id"], ("", "")),
        back=_back(talk),
        meetings=visit.document(list_meetings, pairing_id=pairing_id)["items"],
        files=visit.document(list_pairing_attachments, pairing_id=pairing_id)["items"],
        accepted=ENDINGS,
        can_meet=talk["standing"] in _MEETING,
        time_rows=range(1, MOST_TIMES + 1),
        labels=ANSWER_LABELS,
        refusing=REFUSING,
        invited=_INVITED.get(TalkState(talk["standing"])) if side is Side.EXPERT else None,
        audiences=[(one, AUDIENCE_LABELS[side][Audience(one)]) for one in talk["audiences"]],
        audience_labels=AUDIENCE_LABELS[side],
        sides=SIDE_LABELS,
        refused=refused,
        form=form,
        given=visit.form if refused is not None else {},
    )


def _back(talk: dict[str, Any]) -> tuple[str, str]:
    """Return the page of this side that the conversation belongs to, and what it is called."""
    if talk["side"] == Side.COMPANY:
        return f"/company/needs/{talk['need_id']}", N_("My need")
    if talk["side"] == Side.LAB:
        return f"/my-lab/{talk['lab_id']}", N_("My lab")
    if talk["case_id"] is not None:
        return f"/cases/{talk['case_id']}", N_("Case")
    return f"/needs/{talk['need_id']}", N_("Need")


@router.post("/{pairing_id}/answer")
def send_answer(
    pairing_id: PairingId, visit: Annotated[Visit, Depends(visiting(Resource.CONVERSATION, Action.ANSWER))]
) -> Response:
    """Answer, or change the answer."""

    def work() -> SideWord:
        body = visit.body(AnswerBody, visit.values("word", "reason", "note"))
        visit.reply(give_answer, pairing_id=pairing_id, body=body)
        return body.word

    said = visit.attempt(work)
    if isinstance(said, Refusal):
        return conversation_page(visit, pairing_id, said, str(visit.form.get("word", "")))
    return visit.go(f"/conversations/{pairing_id}", _ANSWERED[said])


@router.post("/{pairing_id}/answer/take-back")
def retract(
    pairing_id: PairingId, visit: Annotated[Visit, Depends(visiting(Resource.CONVERSATION, Action.ANSWER))]
) -> Response:
    """Take the answer back."""
    refused = visit.attempt(lambda: visit.document(take_answer_back, pairing_id=pairing_id))
    if isinstance(refused, Refusal):
        return conversation_page(visit, pairing_id, refused, "take-back")
    return visit.go(f"/conversations/{pairing_id}", N_("Your answer is taken back."))


@router.post("/{pairing_id}/invitations")
def invite(
    pairing_id: PairingId, visit: Annotated[Visit, Depends(visiting(Resource.CONVERSATION, Action.RELEASE))]
) -> Response:
    """Send a link to somebody without an account."""

    def work() -> None:
        body = visit.body(InvitationBody, visit.values("side", "address"))
        visit.reply(send_link, pairing_id=pairing_id, body=body)

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return conversation_page(visit, pairing_id, refused, "invitation")
    return visit.go(f"/conversations/{pairing_id}", N_("A mail with the links that answer is on its way."))


@router.post("/{pairing_id}/messages")
def send_message(
    pairing_id: PairingId, visit: Annotated[Visit, Depends(visiting(Resource.CONVERSATION, Action.CREATE))]
) -> Response:
    """Write into the thread."""

    def work() -> Audience:
        body = visit.body(MessageBody, {"text": visit.form.get("text", ""), **visit.values("audience")})
        visit.reply(write_message, pairing_id=pairing_id, body=body)
        return body.audience

    said = visit.attempt(work)
    if isinstance(said, Refusal):
        return conversation_page(visit, pairing_id, said, "message")
    done = N_("The note is kept; only your alliance reads it.") if said is Audience.INTERNAL else N_("It is sent.")
    return visit.go(f"/conversations/{pairing_id}#thread", done)
