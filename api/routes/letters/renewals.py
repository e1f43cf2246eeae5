"""A forgotten password, renewed through the mail, and mail that is stopped: what needs no signing in.

In: an address, or the token of a letter's link. Out: nothing that says whether the address is an account's; a new
password, once; mail of one kind that stops, and begins again. It exists for people outside of any session, so every
route here proves by the token alone what it may do, and none does anything on a GET: scanners of mail servers open all
links.
"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response
from sqlmodel import Session, select

from api.access.credentials import set_password_hash
from api.access.guessable import must_not_be_guessable
from api.access.passwords import hash_password
from api.documents.answers import file_of
from api.documents.letters.notices import NewPasswordBody, RenewalBody
from api.letters.feed import FEED_TYPE, feed_of
from api.letters.renewal import (
    PURPOSE,
    RenewalError,
    TooManyRenewalsError,
    account_renewed,
    ask_for_renewal,
    spend_renewal,
)
from api.letters.signed_links import LinkError, LinkSigner
from api.letters.stopping import Stop, begin_again, stop_mail, stop_of
from api.letters.telling import tell_of_account
from api.requests.capacity import SIGNING_IN, ThreadedRoute, takes
from api.requests.problems import ProblemError, not_found
from api.trail.sign_ins import note_renewal
from indexer.database import reading, writing
from indexer.instants import now
from indexer.wording import T_
from matcher.review.people import Account

router = APIRouter(tags=["people"], route_class=ThreadedRoute)


@router.post("/api/password-renewals", status_code=202, response_class=Response)
@takes(SIGNING_IN)
def ask_for_password(request: Request, body: RenewalBody) -> Response:
    """Ask for a letter with a link that sets a new password. The answer is the same whether anybody has the address."""
    client = request.client.host if request.client else ""
    try:
        with writing(request.app.state.engine) as session:
            ask_for_renewal(session, email=body.email, client=client, now=now())
    except TooManyRenewalsError as error:
        raise ProblemError(429, "throttled", str(error), None, {"Retry-After": "3600"}) from error
    return Response(b"", 202, {"Cache-Control": "no-store"})


@router.post("/api/password-renewals/{token}", status_code=204)
@takes(SIGNING_IN)
def renew_password(request: Request, token: str, body: NewPasswordBody) -> Response:
    """Set a new password by the link of a letter, once; all browsers are signed out. A second factor stays."""
    at = now()
    renewal_id = renewal_of(request, token, at)
    with reading(request.app.state.engine) as session:
        account_id = _renewable(session, renewal_id, at)
        name, email = session.exec(select(Account.name, Account.email).where(Account.id == account_id)).one()
    must_not_be_guessable(body.new, own=(name, email))
    # Hashed outside of any transaction: it takes a tenth of a second on purpose.
    stored = hash_password(body.new)
    try:
        with writing(request.app.state.engine) as session:
            account_id = spend_renewal(session, renewal_id, at)
            set_password_hash(session, account_id=account_id, stored=stored, now=at)
            tell_of_account(session, account_id, "password", by=None, now=at)
            note_renewal(session, request, account_id, at)
    except RenewalError as error:
        raise _gone(error) from error
    return Response(b"", 204, {"Cache-Control": "no-store"})


def renewal_of(request: Request, token: str, at: datetime) -> str:
    """Return which letter a link is of, if it may still be used.

    Raises:
        ProblemError: 410, it opens nothing, or no longer.
    """
    try:
        claims = LinkSigner(request.app.state.home).read(PURPOSE, token, now=at)
        renewal_id = str(claims["renewal"])
        with reading(request.app.state.engine) as session:
            account_renewed(session, renewal_id, at)
    except (LinkError, KeyError, RenewalError) as error:
        raise _gone(error) from error
    return renewal_id


def _renewable(session: Session, renewal_id: str, at: datetime) -> str:
    try:
        return account_renewed(session, renewal_id, at)
    except RenewalError as error:
        raise _gone(error) from error


def _gone(error: Exception) -> ProblemError:
    told = error if isinstance(error, RenewalError) else RenewalError()
    return ProblemError(410, "link", str(told))


@router.get("/feed/{secret}.atom", tags=["notices"], response_class=Response, responses=file_of([FEED_TYPE]))
def read_feed(request: Request, secret: str) -> Response:
    """Read somebody's feed by its secret address: what they are told of, without any text of a record."""
    with reading(request.app.state.engine) as session:
        content = feed_of(session, secret, request.app.state.settings)
    if content is None:
        raise not_found("feed")
    return Response(content, 200, {"Cache-Control": "private, no-store"}, FEED_TYPE)


def stop_asked(request: Request, token: str) -> Stop:
    """Return which mail a link stops.

    Raises:
        ProblemError: 410, it opens nothing.
    """
    try:
        return stop_of(LinkSigner(request.app.state.home), token, now())
    except LinkError as error:
        raise ProblemError(
            410, "link", T_("this link is too old, or not one of ours; choose on the page of your account")
        ) from error


@router.post("/api/mail/unsubscribe/{token}", tags=["notices"], status_code=204)
def unsubscribe(request: Request, token: str) -> Response:
    """Stop mail of the kind that a letter was of; doing so twice changes nothing."""
    stop = stop_asked(request, token)
    with writing(request.app.state.engine) as session:
        stop_mail(session, stop, now())
    return Response(b"", 204)


@router.delete("/api/mail/unsubscribe/{token}", tags=["notices"], status_code=204)
def subscribe_again(request: Request, token: str) -> Response:
    """Take that back: mail comes as it did."""
    stop = stop_asked(request, token)
    with writing(request.app.state.engine) as session:
        begin_again(session, stop)
    return Response(b"", 204)
