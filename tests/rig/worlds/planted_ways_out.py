"""What leads out of the house: mail, links, webhooks, calendars and mended records, each with a telltale.

In: a running server with the history of `planted_secrets`. Out: the rows by the parameter that names them, and the
words that can't be chosen: what a link, a feed or a calendar is opened by.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from api.letters.sending.composing import UNSUBSCRIBE, UNSUBSCRIBE_HOLDS_FOR
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from matcher.notices.kinds import NoticeKind
from matcher.notices.readers import MailAddress, WebhookHost
from matcher.review.conversation.corrections import NeedWord, say_of_need
from tests.rig.servers.served import Served

_HOST = "programs.example.org"


def ways_out_told(
    server: Served, need_id: str, shortlist_id: str, planted: dict[str, str], words: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Let this part of the history happen; add the words that can't be chosen, return rows by parameter."""
    link = _done(server, "expert", "POST", f"/api/shortlists/{shortlist_id}/links", json={"days": 7})
    words["sharedsecret"] = [str(link["path"]).rpartition("/")[2]]
    words["feedsecret"] = [str(_done(server, "expert", "POST", "/api/me/feed")["url"]).rpartition("/")[2]]
    calendar = str(_done(server, "expert", "POST", "/api/me/calendar")["address"])
    words["calendartoken"] = [calendar.rpartition("/")[2].removesuffix(".ics")]
    address = f"{planted['refusedaddress'].partition('-')[0]}@example.org"
    _stored(server, need_id, address, planted)
    hook = {"url": f"https://{_HOST}/{planted['webhookurl'].partition('-')[0]}", "kinds": []}
    webhook = _done(server, "expert", "POST", "/api/me/webhooks", json=hook)
    words["webhooksecret"] = [str(webhook["secret"])]
    merged = {"kept": "co-kept", "reason": planted["mergereason"]}
    merge = _done(server, "office", "POST", "/api/companies/co-gone/merge", json=merged)
    retired = {"reason": planted["retirereason"]}
    _done(server, "office", "POST", "/api/schools/sc-spare/retire", json=retired)
    return {
        "link_id": [str(link["id"])],
        "mail_address": [address],
        "webhook_host": [_HOST],
        "webhook_id": [str(webhook["id"])],
        "merge_id": [str(merge["id"])],
        "school_id": ["sc-spare"],
        "kind": ["company"],
        "record_id": ["co-gone"],
        "token": [_token(server, address)],
        "secret": words["sharedsecret"],
    }


def _token(server: Served, address: str) -> str:
    """Return what the link below a letter to nobody's address says, by which it is unsubscribed."""
    of = LinkSigner(server.settings.home)
    now = datetime.now(UTC)
    return of.token(
        UNSUBSCRIBE, {"reader": address, "kind": NoticeKind.NEED_ENDED.value}, now=now, holds_for=UNSUBSCRIBE_HOLDS_FOR
    )


def _stored(server: Served, need_id: str, address: str, planted: dict[str, str]) -> None:
    """Store what only mail servers and people outside say, and records that nobody misses."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        session.add(MailAddress(address=address, refused_at=now, said=f"550 {planted['mailsaid']}"))
        session.add(WebhookHost(host=_HOST, allowed_by=server.accounts["office"], allowed_at=now))
        import_rows(session, "companies", [{"id": f"co-{name}", "name": "丁公司"} for name in ("kept", "gone")])
        import_rows(session, "schools", [{"id": "sc-spare", "name": "備用大學"}])
        say_of_need(
            session,
            need_id=need_id,
            word=NeedWord.CORRECTED,
            before={"title": "碳化矽拋光"},
            after={"title": planted["needword"]},
            reader="company@example.org",
            link="l-1",
            now=now,
        )
    engine.dispose()


def _done(server: Served, who: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document
