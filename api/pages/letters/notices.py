"""What somebody is told of, and how: the list behind the bell, one's choices, feed and webhooks; the office's mail.

In: a person's visit. Out: their notices, newest first, each leading to the page that says more; forms for how they want
to be told; for the programme office, how the mail stands and where webhooks may go. Opening a page marks nothing as
read: a button does.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import select

from api.access.policy import Action, Resource
from api.documents.letters.notices import NoticeChoicesBody, ReadNoticesBody, WebhookBody, WebhookHostBody
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.letters.notices import (
    choose_notices,
    clear_address,
    list_notices,
    make_feed,
    read_mail,
    read_notice_choices,
    read_notices,
    stop_feed,
)
from api.routes.letters.webhooks import (
    allow_webhook_host,
    end_webhook,
    forbid_webhook_host,
    list_webhook_hosts,
    list_webhooks,
    make_webhook,
)
from matcher.notices.kinds import CADENCE_LABELS, KINDS, NoticeKind
from matcher.notices.outbox import Notice
from matcher.notices.readers import LANGUAGE_LABELS

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)
Reading = Annotated[Visit, Depends(visiting(Resource.NOTICE, Action.LIST))]
Choosing = Annotated[Visit, Depends(visiting(Resource.NOTICE, Action.EDIT))]


@router.get("/notices")
def show_notices(visit: Reading, cursor: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    """Show what somebody is told of."""
    return visit.show("letters/notices.html", notices=visit.document(list_notices, limit=30, cursor=cursor))


@router.post("/notices/read")
def mark_all_read(visit: Choosing) -> Response:
    """Mark all as read."""
    visit.document(read_notices, body=ReadNoticesBody())
    return visit.go("/notices", N_("All notices are marked as read."))


@router.post("/notices/{notice_id}/open")
def open_notice(notice_id: int, visit: Choosing) -> Response:
    """Mark one as read, and go on to the page that says more."""

    def place(session: Any, who: Any) -> str | None:
        query = select(Notice.place).where(Notice.id == notice_id, Notice.account_id == who.id)
        found: str | None = session.exec(query).first()
        return found

    there = visit.look(place)
    if there is None:
        raise not_found("notice")
    visit.document(read_notices, body=ReadNoticesBody(ids=[notice_id]))
    return visit.go(there)


@router.get("/account/notices")
def show_choices(visit: Reading) -> Response:
    """Show how somebody is told."""
    return _choices(visit)


def _choices(visit: Visit, refused: Refusal | None = None, form: str = "", **more: Any) -> Response:
    choices = visit.document(read_notice_choices)
    context: dict[str, Any] = {
        "choices": choices,
        "cadences": {cadence.value: label.both for cadence, label in CADENCE_LABELS.items()},
        "languages": {language.value: label.both for language, label in LANGUAGE_LABELS.items()},
        "webhooks": visit.document(list_webhooks)["items"],
        "hosts": visit.document(list_webhook_hosts)["items"],
        "kind_labels": {kind.value: facts.label.both for kind, facts in KINDS.items()},
        "refused": refused,
        "form": form,
        "feed_url": None,
        "secret": None,
        **more,
    }
    return visit.show("letters/choices.html", 200 if refused is None else refused.status, **context)


@router.post("/account/notices")
def keep_choices(visit: Choosing) -> Response:
    """Keep how somebody wants to be told."""

    def work() -> None:
        cadences = {
            kind.value: visit.form[f"kind-{kind.value}"] for kind in NoticeKind if f"kind-{kind.value}" in visit.form
        }
        given: dict[str, Any] = {**visit.values("language"), "cadences": cadences}
        given["names_needs"] = visit.form.get("names_needs") == "yes"
        visit.document(choose_notices, body=visit.body(NoticeChoicesBody, given))

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _choices(visit, refused, "choices")
    return visit.go("/account/notices", N_("Kept: from now on you are told this way."))


@router.post("/account/notices/all")
def choose_all(visit: Choosing) -> Response:
    """Let mail about everything come at one cadence."""
    kinds = [one["kind"] for one in visit.document(read_notice_choices)["kinds"]]
    given = {"cadences": dict.fromkeys(kinds, visit.form.get("cadence"))}
    refused = visit.attempt(lambda: visit.document(choose_notices, body=visit.body(NoticeChoicesBody, given)))
    if isinstance(refused, Refusal):
        return _choices(visit, refused, "choices")
    return visit.go("/account/notices", N_("Kept: from now on you are told this way."))


@router.post("/account/feed")
def renew_feed(visit: Annotated[Visit, Depends(visiting(Resource.FEED, Action.CREATE))]) -> Response:
    """Give the feed a new address, and show it this once."""
    made = visit.reply(make_feed)
    return _choices(visit, feed_url=made.secret.get("url"))


@router.post("/account/feed/end")
def end_feed(visit: Annotated[Visit, Depends(visiting(Resource.FEED, Action.END))]) -> Response:
    """End the feed's address."""
    visit.reply(stop_feed)
    return visit.go("/account/notices", N_("The feed's address opens nothing any more."))


@router.post("/account/webhooks")
def add_webhook(visit: Annotated[Visit, Depends(visiting(Resource.WEBHOOK, Action.CREATE))]) -> Response:
    """Add a webhook, and show its secret this once."""
    made = visit.attempt(lambda: visit.reply(make_webhook, body=visit.body(WebhookBody, visit.values("url"))))
    if isinstance(made, Refusal):
        return _choices(visit, made, "webhook")
    return _choices(visit, secret=made.secret.get("secret"))


@router.post("/account/webhooks/{webhook_id}/end")
def stop_webhook(webhook_id: int, visit: Annotated[Visit, Depends(visiting(Resource.WEBHOOK, Action.END))]) -> Response:
    """End a webhook."""
    visit.reply(end_webhook, webhook_id=webhook_id)
    return visit.go("/account/notices", N_("The webhook is told nothing any more."))


@router.get("/admin/mail")
def show_mail(visit: Annotated[Visit, Depends(visiting(Resource.MAIL, Action.LIST))]) -> Response:
    """Show how the mail stands, and where webhooks may go."""
    return _mail(visit)


def _mail(visit: Visit, refused: Refusal | None = None) -> Response:
    settings = visit.request.app.state.settings
    return visit.show(
        "letters/mail.html",
        200 if refused is None else refused.status,
        mail=visit.document(read_mail),
        hosts=visit.document(list_webhook_hosts)["items"],
        has_server=bool(settings.smtp_url.get_secret_value()),
        refused=refused,
    )


@router.post("/admin/mail/clear")
def mend_address(visit: Annotated[Visit, Depends(visiting(Resource.MAIL, Action.EDIT))]) -> Response:
    """Say that an address is in order."""
    visit.reply(clear_address, mail_address=str(visit.form.get("address", "")))
    return visit.go("/admin/mail", N_("Mail goes to that address again."))


@router.post("/admin/mail/hosts")
def allow_host(visit: Annotated[Visit, Depends(visiting(Resource.WEBHOOK_HOST, Action.CREATE))]) -> Response:
    """Allow webhooks to call a host."""
    refused = visit.attempt(
        lambda: visit.reply(allow_webhook_host, body=visit.body(WebhookHostBody, visit.values("host")))
    )
    if isinstance(refused, Refusal):
        return _mail(visit, refused)
    return visit.go("/admin/mail", N_("Webhooks may call this host."))


@router.post("/admin/mail/hosts/end")
def forbid_host(visit: Annotated[Visit, Depends(visiting(Resource.WEBHOOK_HOST, Action.END))]) -> Response:
    """Let webhooks no longer call a host."""
    visit.reply(forbid_webhook_host, webhook_host=str(visit.form.get("host", "")))
    return visit.go("/admin/mail", N_("Webhooks no longer call this host."))
