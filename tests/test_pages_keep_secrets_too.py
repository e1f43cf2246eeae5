"""The same telltales as over the API: no page shows anybody a secret that is not theirs, and no refusal quotes one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from sqlmodel import col, select

from api.letters.sending.calling import called
from api.letters.sending.delivering import Deliverer
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Channel, Notice, notify, post
from matcher.notices.readers import Webhook, WebhookHost
from matcher.notices.sending import claim
from tests.conftest import Databases
from tests.rig.servers.served import PEOPLE, page_routes_of, served
from tests.rig.worlds.planted_secrets import SECRETS, Search, telltale, told
from tests.test_secrets_stay_where_they_belong import Planted, Route, Tour, _leaks, _note, _paths

DRAFT = telltale("draft", len(SECRETS) + 1)


@pytest.fixture(scope="module")
def plant(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    """A server after the history, on SQLite: pages ask the routes that are tested on both databases."""
    folder = tmp_path_factory.mktemp("secret-pages") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        history = told(server)
        place = server.ask("company", "POST", "/company/drafts").headers["location"]
        assert server.ask("company", "POST", place, data={"title": DRAFT}).status_code == 303
        yield Planted(server, history, Search({**history.words, "draft": [DRAFT]}))


def _looked_at(plant: Planted, who: str | None, routes: list[Route], ids: dict[str, list[str]]) -> Tour:
    tour = Tour()
    with plant.client(who) as client:
        for _, template, _ in routes:
            for path in _paths(template, ids):
                answer = client.get(path)
                assert answer.status_code < 500, f"{who} {path}: {answer.text[-500:]}"
                _note(tour, answer, f"GET {template}", plant.search)
    return tour


def test_pages_show_everybody_what_is_theirs_and_nothing_else(plant: Planted) -> None:
    routes = [route for route in page_routes_of() if route[0] == "GET" and route[2] is not None]
    known = plant.ids(routes)
    # What the history made, and what is not there: the rest of the slice holds no secrets.
    ids = {name: [*plant.history.ids.get(name, values[:1]), values[-1]] for name, values in known.items()}
    # Every figure is drilled into: each has entries of another shape.
    ids["kpi"] = known["kpi"]
    tours = {who: _looked_at(plant, who, routes, ids) for who in (*PEOPLE, None)}
    # A draft is its company's alone.
    assert [who for who, tour in tours.items() if tour.met.pop("draft", None)] == ["company"]
    assert [refusal for tour in tours.values() for refusal in tour.refusals] == []
    assert [leak for who, tour in tours.items() for leak in _leaks(who, tour)] == []
    # The control: by the same search its expert and its company find the need's text, and why others were let in.
    theirs = {"title", "consent", "breakreason"}
    assert {who: theirs - set(tours[who].met) for who in ("expert", "company")} == {"expert": set(), "company": set()}
    assert theirs <= set(SECRETS)
    print(f"{sum(tour.answers for tour in tours.values())} pages of {len(routes)} routes, {len(tours)} people")


def _mails(plant: Planted, after: timedelta) -> dict[str, bytes]:
    """Deliver all mail that the history led to, with what is gathered; return what each letter says, by
    its reader and file.
    """
    settings = plant.server.settings
    engine = open_engine(settings)
    try:
        Deliverer(engine, settings, lambda: datetime.now(UTC) + after).deliver()
    finally:
        engine.dispose()
    found = {}
    for path in settings.mail_path.glob("*.eml"):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        # Their own address, to which it goes, is no secret to its reader.
        headers = [one for one in message.items() if one[0] != "To"]
        parts = [str(headers), *(str(one.get_content()) for one in message.walk() if not one.is_multipart())]
        found[f"{message['To']} {path.name}"] = "\n".join(parts).encode()
    return found


def _calls(plant: Planted) -> list[bytes]:
    """Return what a webhook of everybody would be sent of all that they were told."""
    settings, now = plant.server.settings, datetime.now(UTC)
    signer = LinkSigner(settings.home)
    engine = open_engine(settings)
    try:
        with writing(engine) as session:
            by = plant.server.accounts["office"]
            session.add(WebhookHost(host="hooks.example.org", allowed_by=by, allowed_at=now))
            for notice in session.exec(select(Notice).where(col(Notice.account_id).is_not(None))).all():
                url, account_id = "https://hooks.example.org/", notice.account_id or ""
                hook = Webhook(account_id=account_id, url=url, kinds=[], nonce="n", made_at=now)
                session.add(hook)
                session.flush()
                post(session, reader=account_id, notices=[notice], now=now, webhook_id=hook.id)
            claims = claim(session, channel=Channel.WEBHOOK, by="a test", now=now, most=10_000)
            calls = [called(session, one, settings=settings, signer=signer, now=now) for one in claims]
            for hook in session.exec(select(Webhook)).all():
                hook.ended_at = now
            return [call.body + str(call.headers).encode() for call in calls if call is not None]
    finally:
        engine.dispose()


def test_mails_feeds_and_webhooks_hold_no_secret(plant: Planted) -> None:
    leaving = _mails(plant, timedelta(days=8))
    calls = _calls(plant)
    feeds = []
    for who in PEOPLE:
        secret = plant.server.ask(who, "POST", "/api/me/feed").json()["url"].rpartition("/")[2]
        feeds.append(plant.server.ask(None, "GET", f"/feed/{secret}").content)
    met = {name: found for name, said in leaving.items() if (found := plant.search.found(said))}
    # A company and a lab read how to reach the expert who writes to them; nobody reads anything else, nor anybody else.
    assert {name: found for name, found in met.items() if found != {"liaisonaddress"}} == {}
    assert {name.partition("@")[0] for name in met} == {"company", "researcher"}
    assert [plant.search.found(said) for said in (*calls, *feeds) if plant.search.found(said)] == []
    assert min(len(leaving), len(calls)) > 20
    assert sum(feed.count(b"<entry>") for feed in feeds) > 20
    # The control: who chose titles in their mails is sent the title, and no more; the same search finds it.
    body = {"names_needs": True}
    assert plant.server.ask("expert", "PUT", "/api/me/notices/choices", json=body).status_code == 200
    engine = open_engine(plant.server.settings)
    need_id = plant.history.ids["need_id"][0]
    with writing(engine) as session:
        to, facts, now = [plant.server.accounts[who] for who in PEOPLE], {"need": need_id}, datetime.now(UTC)
        notify(session, kind=NoticeKind.NEED_ENDED, to=to, key="control", place="/", facts=facts, now=now)
    engine.dispose()
    fresh = {name: said for name, said in _mails(plant, timedelta(days=16)).items() if name not in leaving}
    found_anew = [plant.search.found(said) - {"liaisonaddress"} for said in fresh.values()]
    assert [one for one in found_anew if one] == [{"title"}]
