"""Webhooks: programs that are told of what their account is told of, and the hosts that the office lets them be at.

In: an address, or a host. Out: the webhook with its secret, shown once; whether it answers. It exists because a program
should not have to ask again and again, and because the server calls no address that the programme office has not
allowed.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session, col, func, select

from api.access.policy import Action, Resource
from api.documents.bodies import MAX_ROW_NUMBER
from api.documents.letters.notices import (
    NewWebhookAnswer,
    WebhookBody,
    WebhookHostAnswer,
    WebhookHostBody,
    WebhookHostsAnswer,
    WebhooksAnswer,
)
from api.letters.sending.calling import host_of, secret_of
from api.letters.signed_links import LinkSigner
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.requests.problems import not_found
from indexer.settings import Settings
from matcher.notices.outbox import Letter, SendingState
from matcher.notices.readers import Webhook, WebhookHost, add_webhook, allowed_hosts, webhooks_of
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["webhooks"], route_class=ThreadedRoute)
WebhookId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]


@router.get("/me/webhooks", response_model=WebhooksAnswer)
def list_webhooks(ask: Annotated[PermittedRequest, Depends(requires(Resource.WEBHOOK, Action.LIST))]) -> Response:
    """List your webhooks, and whether messages wait for them."""

    def work(session: Session, who: Principal) -> Reply:
        return Reply(200, {"items": [_document(session, one) for one in webhooks_of(session, who.id)]}, {})

    return ask.read(work)


@router.post("/me/webhooks", status_code=201, response_model=NewWebhookAnswer)
def make_webhook(
    body: WebhookBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.WEBHOOK, Action.CREATE))]
) -> Response:
    """Let an address of a program be told of what you are told of: at a host that the programme office allowed.

    Each message is a POST, signed as Standard Webhooks has it (`webhook-id`, `webhook-timestamp`, `webhook-signature`)
    and sent again, later each time, until it is answered with 2xx; `secret` is shown in this answer only.
    """
    settings: Settings = ask.request.app.state.settings
    host, signer = host_of(body.url, settings), LinkSigner(settings.home)

    def work(session: Session, who: Principal) -> Reply:
        hook = add_webhook(session, account_id=who.id, url=body.url, host=host, kinds=body.kinds, now=ask.at)
        document = {**_document(session, hook), "secret": None}
        return Reply(201, document, {}, {"secret": secret_of(hook, signer)})

    return ask.write(work, body)


@router.delete("/me/webhooks/{webhook_id}", status_code=204)
def end_webhook(
    webhook_id: WebhookId, ask: Annotated[PermittedRequest, Depends(requires(Resource.WEBHOOK, Action.END))]
) -> Response:
    """End one of your webhooks: what waits for it is not sent any more."""

    def work(session: Session, who: Principal) -> Reply:
        hook = session.get(Webhook, webhook_id)
        if hook is None or hook.account_id != who.id or hook.ended_at is not None:
            raise not_found("webhook")
        hook.ended_at = ask.at
        session.add(hook)
        return Reply(204, None, {})

    return ask.write(work)


def _document(session: Session, hook: Webhook) -> dict[str, Any]:
    waits = (Letter.webhook_id == hook.id, Letter.state == SendingState.WAITING.value)
    waiting = session.execute(select(func.count()).where(*waits)).scalar_one()
    last = session.exec(select(Letter.said).where(*waits).order_by(col(Letter.id).desc()).limit(1)).first()
    return {
        **hook.model_dump(mode="json", include={"id", "url", "kinds", "made_at"}),
        "waiting": waiting,
        "last_said": last,
    }


@router.get("/webhook-hosts", response_model=WebhookHostsAnswer)
def list_webhook_hosts(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.WEBHOOK_HOST, Action.LIST))],
) -> Response:
    """List the hosts that webhooks may call."""

    def work(session: Session, _who: Principal) -> Reply:
        return Reply(200, {"items": [_host_document(one) for one in allowed_hosts(session)]}, {})

    return ask.read(work)


@router.post("/webhook-hosts", status_code=201, response_model=WebhookHostAnswer)
def allow_webhook_host(
    body: WebhookHostBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.WEBHOOK_HOST, Action.CREATE))]
) -> Response:
    """Allow webhooks to call a host; allowing it twice changes nothing. Addresses inside stay closed all the same."""
    host = body.host.lower()

    def work(session: Session, who: Principal) -> Reply:
        known = next((one for one in allowed_hosts(session) if one.host == host), None)
        if known is None:
            known = WebhookHost(host=host, allowed_by=who.id, allowed_at=ask.at)
            session.add(known)
            session.flush()
        return Reply(201, _host_document(known), {})

    return ask.write(work, body)


@router.delete("/webhook-hosts/{webhook_host}", status_code=204)
def forbid_webhook_host(
    webhook_host: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.WEBHOOK_HOST, Action.END))]
) -> Response:
    """Let webhooks no longer call a host; what waits for it is not sent."""

    def work(session: Session, who: Principal) -> Reply:
        known = next((one for one in allowed_hosts(session) if one.host == webhook_host.lower()), None)
        if known is None:
            raise not_found("host")
        known.ended_at, known.ended_by = ask.at, who.id
        session.add(known)
        return Reply(204, None, {})

    return ask.write(work)


def _host_document(host: WebhookHost) -> dict[str, Any]:
    return host.model_dump(mode="json", include={"host", "allowed_at"})
