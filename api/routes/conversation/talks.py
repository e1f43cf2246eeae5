"""Conversations: what company and lab answer to a pairing, and the thread in which all three write.

In: one side's word, or a message. Out: the conversation as this side reads it. For whom a person speaks follows from
their roles and from what they may see; nobody is asked.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import conversations as visible
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.conversation.talks import (
    AnswerBody,
    ConversationAnswer,
    InvitationAnswer,
    InvitationBody,
    MessageBody,
    Talk,
    conversation_document,
)
from api.letters.caring import looking_after
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import ProblemError, not_found
from api.routes.conversation.telling import (
    readers_of,
    tell_address,
    tell_answered,
    tell_said,
    tell_written,
)
from api.trail.request_trail import NeedReader
from indexer.records.record_tables import Company, Need
from indexer.wording import T_
from matcher.review.clients import alliances_of
from matcher.review.conversation.answers import answer, answers_of, is_open, must_be_open, take_back
from matcher.review.conversation.thread import (
    Audience,
    Conversation,
    Side,
    called_upon,
    conversation_of,
    messages_of,
    say,
)
from matcher.review.people import Account, Grant, Principal, mail_address
from matcher.review.proposals import Release, StoredPairing
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api/pairings", tags=["conversations"], route_class=ThreadedRoute)

_MOST_PEOPLE = 5
PairingId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/{pairing_id}/conversation", response_model=ConversationAnswer)
def read_conversation(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.CONVERSATION, Action.READ))]
) -> Response:
    """Read what was answered and written about a pairing, as much of it as your side may read."""

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.READ)
        return Reply(200, talk_document(session, who, side, about, to=ask), {})

    return ask.read(work)


@router.put("/{pairing_id}/answer", response_model=ConversationAnswer)
def give_answer(
    pairing_id: PairingId,
    body: AnswerBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONVERSATION, Action.ANSWER))],
) -> Response:
    """Answer as the company whether this lab interests you, or as the lab whether you would take the need up.

    The last answer stands. It can be changed until it was acted on.
    """

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.ANSWER)
        ask.about("need", about.need_id)
        said = answer(session, about=about, side=side, by=who.id, now=ask.at, **body.model_dump())
        tell_said(session, about, said, now=ask.at)
        return Reply(200, talk_document(session, who, side, about, to=ask), {})

    return ask.write(work, body)


@router.delete("/{pairing_id}/answer", response_model=ConversationAnswer)
def take_answer_back(
    pairing_id: PairingId, ask: Annotated[PermittedRequest, Depends(requires(Resource.CONVERSATION, Action.ANSWER))]
) -> Response:
    """Take your side's last answer back, as long as it was not acted on."""

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.ANSWER)
        ask.about("need", about.need_id)
        said = take_back(session, about=about, side=side, by=who.id, now=ask.at)
        tell_answered(session, about, said, now=ask.at)
        return Reply(200, talk_document(session, who, side, about, to=ask), {})

    return ask.write(work)


@router.post("/{pairing_id}/messages", status_code=201, response_model=ConversationAnswer)
def write_message(
    pairing_id: PairingId,
    body: MessageBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONVERSATION, Action.CREATE))],
) -> Response:
    """Write to one side or to both, or a note that stays among colleagues of your alliance."""

    def work(session: Session, who: Principal) -> Reply:
        side, about = find_conversation(session, who, pairing_id, Action.CREATE)
        ask.about("need", about.need_id)
        internal = body.audience is Audience.INTERNAL and side is Side.EXPERT
        called = called_upon(body.text, colleagues_of(session, who)) if internal else []
        said = say(session, about=about, side=side, by=who.id, now=ask.at, mentioned=called, **body.model_dump())
        tell_written(session, about, said, now=ask.at)
        return Reply(201, talk_document(session, who, side, about, to=ask), {})

    return ask.write(work, body)


@router.post("/{pairing_id}/invitations", status_code=201, response_model=InvitationAnswer)
def send_link(
    pairing_id: PairingId,
    body: InvitationBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.CONVERSATION, Action.RELEASE))],
) -> Response:
    """Send a link by which somebody without an account answers for the company, or for the lab once introduced."""

    def work(session: Session, who: Principal) -> Reply:
        _, about = find_conversation(session, who, pairing_id, Action.RELEASE)
        ask.about("need", about.need_id)
        address = mail_address(body.address)
        must_be_answerable(ask)
        must_be_open(session, about, body.side)
        tell_address(session, about, body.side, address, by=who.id, now=ask.at)
        return Reply(201, {"side": body.side.value, "address": address}, {})

    return ask.write(work, body)


def must_be_answerable(ask: PermittedRequest) -> None:
    """Let somebody without an account be asked by a link only where a link answers without signing in.

    Raises:
        ProblemError: 409, it does not.
    """
    if ask.request.app.state.settings.links_need_sign_in:
        raise ProblemError(
            409, "links", T_("here links answer only for who is signed in: let the office make an account first")
        )


def find_conversation(
    session: Session, who: Principal, pairing_id: int, action: Action, resource: Resource = Resource.CONVERSATION
) -> tuple[Side, Conversation]:
    """Return for which side somebody speaks about a pairing, and what it is about.

    Raises:
        ProblemError: 404, there is no such pairing, or not for this person.
    """
    for side in (Side.EXPERT, Side.COMPANY, Side.LAB):
        query = (
            select(StoredPairing)
            .join(Need, col(Need.id) == StoredPairing.need_id)
            .where(StoredPairing.id == pairing_id, visible(who, action, side, resource))
        )
        pairing = session.exec(query).first()
        if pairing is not None:
            return side, conversation_of(session, pairing)
    raise not_found("pairing")


def talk_document(
    session: Session, who: Principal, side: Side, about: Conversation, *, to: NeedReader
) -> dict[str, Any]:
    """Return a conversation as a person of a side reads it; what is written may quote the need."""
    to.reads(about.need_id)
    answers = answers_of(session, about.pairing_id)
    messages = messages_of(session, about.pairing_id, side=side, alliances=who.scopes(*STAFF))
    shown = (Release.pairing_id == about.pairing_id, col(Release.ended_at).is_(None))
    ids = (
        {row.by for row in answers} | {row.by for row in messages} | {one for row in messages for one in row.mentioned}
    )
    rows = session.exec(select(Account.id, Account.name).where(col(Account.id).in_([one for one in ids if one])))
    talk = Talk(
        about=about,
        side=side,
        released=session.exec(select(Release.id).where(*shown)).first() is not None,
        is_open=is_open(session, about, side),
        answers=answers,
        messages=messages,
        names=dict(rows.all()),
        colleagues=colleagues_of(session, who) if side is Side.EXPERT else {},
        people=people_of(session, who, side, about),
    )
    return conversation_document(talk)


def people_of(session: Session, who: Principal, side: Side, about: Conversation) -> list[tuple[Side, str, str, str]]:
    """Return whom a side works with, and how they are reached: the expert, for the expert those of both sides.

    Of a company only who looks after it learns whom to reach there, not whom its need was shared with.
    """
    others = [Side.EXPERT] if side is not Side.EXPERT else [Side.LAB]
    found: list[tuple[Side, str, str, str]] = []
    company = session.get(Company, about.company_id) if side is Side.EXPERT and about.company_id else None
    if company is not None and who.scopes(*STAFF) & set(alliances_of(session, company.id)):
        others.insert(0, Side.COMPANY)
        if company.contact_email or company.contact_phone:
            found.append((Side.COMPANY, company.contact, company.contact_email, company.contact_phone))
    for other in others:
        ids = looking_after(session, about) if other is Side.EXPERT else readers_of(session, about, other)
        query = select(Account.name, Account.email, Account.phone).where(col(Account.id).in_(ids[:_MOST_PEOPLE]))
        # Both sides call their expert by name and number; addresses stay among those who look after the case.
        told = session.exec(query.order_by(col(Account.id))).all()
        found += [(other, name, "" if other is Side.EXPERT else email, phone) for name, email, phone in told]
    return found


def colleagues_of(session: Session, who: Principal) -> dict[str, str]:
    """Return the names of those who work in somebody's alliances, without the person, by account."""
    query = (
        select(Account.id, Account.name)
        .join(Grant, col(Grant.account_id) == Account.id)
        .where(
            col(Grant.role).in_([role.value for role in STAFF]),
            col(Grant.scope_id).in_(who.scopes(*STAFF)),
            col(Grant.revoked_at).is_(None),
            col(Account.disabled_at).is_(None),
            Account.id != who.id,
        )
    )
    return dict(session.exec(query).all())
