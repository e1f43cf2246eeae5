"""Notices: what somebody is told of, whether they read it, and how they want to be told.

In: a person's questions and choices. Out: their own notices, newest first, only what they may still know of; choices
for mail; the secret address of a feed, once. It exists as the own room of each account: nobody reads another's notices.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.letters.notices import (
    FeedAnswer,
    MailAnswer,
    NoticeChoicesAnswer,
    NoticeChoicesBody,
    NoticesAnswer,
    ReadNoticesBody,
    UnreadAnswer,
)
from api.letters.knowing import knowable, titles_of_needs
from api.letters.sentences import sentence
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from api.requests.query_parameters import Cursor, Limit, decoded, page
from indexer.settings import Settings
from matcher.notices.kinds import KINDS
from matcher.notices.outbox import mark_read, notices_of, unread
from matcher.notices.readers import MailAddress, choose, chosen, end_feed, reader_of, renew_feed
from matcher.notices.sending import counts
from matcher.review.people import Account, Principal

router = APIRouter(prefix="/api", tags=["notices"], route_class=ThreadedRoute)


@router.get("/me/notices", response_model=NoticesAnswer)
def list_notices(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.NOTICE, Action.LIST))],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List what you are told of, the newest first: only what you may still know of."""

    def work(session: Session, who: Principal) -> Reply:
        found = notices_of(session, who.id, before=decoded(cursor, int), limit=limit + 1)
        listed = page([{"id": one.id} for one in found], limit, "id")
        told = knowable(session, who, found[:limit])
        titles = titles_of_needs(session, who, told, to=ask)
        items = [
            {
                "id": one.id,
                "kind": one.kind,
                "at": one.at.isoformat(),
                "read": one.read_at is not None,
                "said": dict(zip(("zh", "en"), sentence(one).both, strict=True)),
                "about": one.facts,
                "place": one.place,
                "title": titles.get(one.facts.get("need", "")),
            }
            for one in told
        ]
        return Reply(200, {"items": items, "next": listed["next"], "unread": unread(session, who.id)}, {})

    return ask.read(work)


@router.post("/me/notices/read", response_model=UnreadAnswer)
def read_notices(
    body: ReadNoticesBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NOTICE, Action.EDIT))]
) -> Response:
    """Mark notices of yours as read: those that are named, or all."""

    def work(session: Session, who: Principal) -> Reply:
        mark_read(session, who.id, now=ask.at, ids=body.ids)
        return Reply(200, {"unread": unread(session, who.id)}, {})

    return ask.write(work, body)


@router.get("/me/notices/choices", response_model=NoticeChoicesAnswer)
def read_notice_choices(ask: Annotated[PermittedRequest, Depends(requires(Resource.NOTICE, Action.LIST))]) -> Response:
    """Read how you are told: by mail how soon of each kind, in which language, and whether you have a feed."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, _choices(session, who), {})

    return ask.read(work)


@router.put("/me/notices/choices", response_model=NoticeChoicesAnswer)
def choose_notices(
    body: NoticeChoicesBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.NOTICE, Action.EDIT))]
) -> Response:
    """Choose how you are told. Mail about the safety of your own account can't be turned off."""

    def work(session: Session, who: Principal) -> Reply:
        choose(
            session,
            account_id=who.id,
            cadences=body.cadences,
            language=body.language,
            names_needs=body.names_needs,
        )
        return Reply(200, _choices(session, who), {})

    return ask.write(work, body)


def _choices(session: Session, who: Principal) -> dict[str, Any]:
    reader = reader_of(session, who.id)
    roles = frozenset(role for role, _ in who.grants)
    refused = (
        select(MailAddress.address)
        .join(Account, col(Account.email) == col(MailAddress.address))
        .where(Account.id == who.id, col(MailAddress.refused_at).is_not(None))
    )
    return {
        "kinds": [
            {
                "kind": kind.value,
                "label": dict(zip(("zh", "en"), KINDS[kind].label.both, strict=True)),
                "cadence": cadence.value,
            }
            for kind, cadence in chosen(session, who.id, roles).items()
        ],
        "language": reader.language,
        "names_needs": reader.names_needs,
        "feed_made_at": None if reader.feed_made_at is None else reader.feed_made_at.isoformat(),
        "address_refused": session.exec(refused).first() is not None,
    }


@router.post("/me/feed", status_code=201, response_model=FeedAnswer)
def make_feed(ask: Annotated[PermittedRequest, Depends(requires(Resource.FEED, Action.CREATE))]) -> Response:
    """Give your feed (Atom) a secret address, shown in this answer only; the one before opens nothing from now on."""
    settings: Settings = ask.request.app.state.settings

    def work(session: Session, who: Principal) -> Reply:
        secret = renew_feed(session, account_id=who.id, now=ask.at)
        return Reply(201, {"url": None}, {}, {"url": settings.address_of(f"/feed/{secret}.atom")})

    return ask.write(work)


@router.delete("/me/feed", status_code=204)
def stop_feed(ask: Annotated[PermittedRequest, Depends(requires(Resource.FEED, Action.END))]) -> Response:
    """End the address of your feed."""

    def work(session: Session, who: Principal) -> Reply:
        end_feed(session, account_id=who.id)
        return Reply(204, None, {})

    return ask.write(work)


@router.get("/mail", tags=["mail"], response_model=MailAnswer)
def read_mail(ask: Annotated[PermittedRequest, Depends(requires(Resource.MAIL, Action.LIST))]) -> Response:
    """Read how the mail stands, and from which addresses it comes back."""

    def work(session: Session, _who: Principal) -> Reply:
        query = (
            select(MailAddress, Account.id)
            .join(Account, col(Account.email) == col(MailAddress.address), isouter=True)
            .where(col(MailAddress.refused_at).is_not(None))
            .order_by(col(MailAddress.address))
        )
        refused = [
            {
                "address": one.address,
                "account_id": account_id,
                "said": one.said,
                "refused_at": None if one.refused_at is None else one.refused_at.isoformat(),
            }
            for one, account_id in session.exec(query).all()
        ]
        return Reply(200, {**counts(session), "refused_addresses": refused}, {})

    return ask.read(work)


@router.delete("/mail/addresses/{mail_address}", tags=["mail"], status_code=204)
def clear_address(
    mail_address: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.MAIL, Action.EDIT))]
) -> Response:
    """Say that an address is in order: mail goes there again."""

    def work(session: Session, _who: Principal) -> Reply:
        known = session.get(MailAddress, mail_address)
        if known is None or known.refused_at is None:
            raise not_found("address")
        known.refused_at = known.said = None
        session.add(known)
        return Reply(204, None, {})

    return ask.write(work)
