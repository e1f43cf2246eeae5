"""Notices over HTTP and in pages: the bell, the list, choices, feeds, and mail that is stopped by its own link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from sqlmodel import select

from api.letters.sending.delivering import Delivered, Deliverer
from api.letters.signed_links import LinkSigner
from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice, _stored, notify
from matcher.review.people import active_grants, declare_stake, revoke
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.worlds.small_world import Asked, accept, asked

pytestmark = POSTGRESQL_AT_LENGTH


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def said(here: Asked, who: str) -> list[tuple[str, str]]:
    """Return what somebody is told of, the newest first, with where it leads."""
    items = here.done(who, "GET", "/api/me/notices")["items"]
    return [(one["said"]["en"], one["place"]) for one in items]


def deliver(here: Asked, settings: Settings, after: timedelta = timedelta(0)) -> Delivered:
    return Deliverer(here.engine, settings, lambda: datetime.now(UTC) + after).deliver()


def letters_to(settings: Settings, who: str) -> list[EmailMessage]:
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in settings.mail_path.glob("*.eml")]
    return [one for one in found if one["To"] == f"{who}@example.org"]


def test_everybody_concerned_is_told_and_nobody_else(here: Asked, settings: Settings) -> None:
    need = here.done(
        "company", "POST", "/api/needs", json={"title": "新需求", "description": "要更快", "company": "co-1"}
    )
    assert said(here, "expert") == [("A need is new for your alliance.", f"/needs/{need['id']}")]
    assert said(here, "company") == said(here, "rival") == said(here, "stranger") == []
    here.done("expert", "POST", f"/api/needs/{need['id']}/take-up")
    assert said(here, "company") == [("An expert took up your need.", f"/company/needs/{need['id']}")]
    here.done("lead", "POST", f"/api/needs/{need['id']}/shares", json={"alliance": "al-b", "consent": "電話同意"})
    assert said(here, "stranger") == [("A need is new for your alliance.", f"/needs/{need['id']}")]
    assert said(here, "company")[0] == ("Another alliance was let in to a need.", f"/company/needs/{need['id']}")
    reason = {"reason": "urgent safety question"}
    here.done("office", "POST", f"/api/needs/{need['id']}/break-glass", params=reason)
    opened = "The programme office broke a need's seal and read it; the page of the need says why."
    assert [said(here, one)[0][0] for one in ("company", "expert", "lead")] == [opened] * 3
    # The lab hears only once it is introduced, and then with its own page.
    here.done("expert", "PUT", f"/api/pairings/{here.world.pairing_id}/release")
    assert said(here, "company")[0] == ("A lab was suggested for your need.", "/company/needs/n-1")
    with writing(here.engine) as session:
        accept(session, here.world)
    assert said(here, "researcher") == []
    here.done("colleague", "POST", "/api/cases/1/transition", json={"stage": "introduced"})
    assert said(here, "researcher") == [("Your lab was introduced to a company.", "/conversations/1")]
    assert said(here, "expert")[0] == ("A case goes on: both sides were introduced.", "/cases/1")
    assert said(here, "other_researcher") == said(here, "rival") == []


def test_a_notice_is_told_only_while_its_reader_may_know(here: Asked, settings: Settings) -> None:
    with writing(here.engine) as session:
        for who in ("expert", "colleague", "lead"):
            notify(
                session,
                kind=NoticeKind.NEED_NEW,
                to=[here.accounts[who]],
                key=f"for {who}",
                place="/needs/n-1",
                facts={"need": "n-1", "company": "co-1"},
                now=datetime.now(UTC),
            )
        # Between what happened and the mail, one loses the role and one declares an interest.
        (held,) = active_grants(session, here.accounts["colleague"])
        revoke(session, grant_id=held.id or 0, by=here.accounts["office"], now=datetime.now(UTC))
        declare_stake(
            session, account_id=here.accounts["lead"], party="company", party_id="co-1", now=datetime.now(UTC)
        )
    assert deliver(here, settings) == Delivered(sent=1, dropped=2)
    assert [len(letters_to(settings, who)) for who in ("expert", "colleague", "lead")] == [1, 0, 0]
    assert said(here, "lead") == []
    # No word of the need, unless its reader chose so; then its title alone, and the trail has it.
    (plain,) = letters_to(settings, "expert")
    assert "拋光" not in plain.as_string()
    body = {"names_needs": True, "language": "en"}
    assert here.done("expert", "PUT", "/api/me/notices/choices", json=body)["names_needs"] is True
    with writing(here.engine) as session:
        to, facts = [here.accounts["expert"]], {"need": "n-1"}
        notify(
            session,
            kind=NoticeKind.NEED_NEW,
            to=to,
            key="titled",
            place="/needs/n-1",
            facts=facts,
            now=datetime.now(UTC),
        )
    assert deliver(here, settings) == Delivered(sent=1)
    (titled,) = [one for one in letters_to(settings, "expert") if one["Subject"].startswith("GLORIA Match: A")]
    body_of = titled.get_body(("plain",))
    assert body_of is not None
    assert "拋光太慢" in body_of.get_content()
    assert "要更快" not in titled.as_string()
    shown = here.done("office", "GET", "/api/audit", params={"need": "n-1"})["items"]
    assert [one["operation"] for one in shown if one["how"] == "server"] == ["mail"]


def test_a_company_reads_who_writes_to_it_and_how_to_answer(here: Asked, settings: Settings) -> None:
    assert here.ask("expert", "PUT", "/api/me/phone", json={"phone": "02-2345-6789"}).status_code == 204
    here.done("expert", "PUT", f"/api/pairings/{here.world.pairing_id}/release")
    here.done("company", "POST", "/api/needs", json={"title": "新需求", "description": "要更快", "company": "co-1"})
    deliver(here, settings)
    (letter,) = letters_to(settings, "company")
    assert letter["Reply-To"] == "expert@example.org"
    said_zh = "本案由甲聯盟的expert承辦。"
    for form in ("plain", "html"):
        body: Any = letter.get_body((form,))
        for part in (said_zh, "expert of 甲聯盟 looks after this.", "expert@example.org", "02-2345-6789"):
            assert part in body.get_content(), (form, part)
    # Whoever works in the alliance reads no such line, and mail to them is answered as before.
    (own,) = letters_to(settings, "expert")
    assert ("承辦" in own.as_string(), own["Reply-To"]) == (False, None)
    # Who left the alliance is named no more: the alliance alone is.
    with writing(here.engine) as session:
        (held,) = active_grants(session, here.accounts["expert"])
        revoke(session, grant_id=held.id or 0, by=here.accounts["office"], now=datetime.now(UTC))
        to, facts, now = [here.accounts["company"]], {"need": "n-1", "pairing": "1"}, datetime.now(UTC)
        notify(session, kind=NoticeKind.CASE_ASKED, to=to, key="later", place="/", facts=facts, now=now)
    deliver(here, settings)
    later = next(one for one in letters_to(settings, "company") if "question" in one["Subject"])
    assert later["Reply-To"] is None
    body = later.get_body(("plain",))
    assert ("甲聯盟" in body.get_content(), "expert" in body.get_content()) == (True, False)


def test_two_who_tell_of_the_same_at_once_tell_once(here: Asked) -> None:
    tell(here, "expert")
    now, to = datetime.now(UTC), [here.accounts[who] for who in ("expert", "lead")]
    with writing(here.engine) as session:
        # As a second writer finds it who looked before the first had stored: the row itself decides.
        fresh = [
            Notice(reader=one, account_id=one, kind="claim_decided", key="event 0", facts={}, place="/", at=now)
            for one in to
        ]
        assert [one.reader for one in _stored(session, fresh)] == [here.accounts["lead"]]
    assert (len(said(here, "expert")), len(said(here, "lead"))) == (1, 1)


def test_the_bell_counts_and_a_look_marks_nothing(here: Asked) -> None:
    tell(here, "expert", 3)
    page = here.ask("expert", "GET", "/notices")
    assert page.status_code == 200
    assert '<span class="count">3</span>' in page.text
    assert '<span class="count">3</span>' in here.ask("expert", "GET", "/account").text
    numbers = [one["id"] for one in here.done("expert", "GET", "/api/me/notices")["items"]]
    assert here.done("expert", "POST", "/api/me/notices/read", json={"ids": numbers[:1]}) == {"unread": 2}
    # Of somebody else's nothing is marked, whoever names it.
    assert here.done("colleague", "POST", "/api/me/notices/read", json={"ids": numbers}) == {"unread": 0}
    assert here.done("expert", "GET", "/api/me/notices")["unread"] == 2
    assert here.done("expert", "POST", "/api/me/notices/read", json={}) == {"unread": 0}
    assert '<span class="count">' not in here.ask("expert", "GET", "/notices").text
    first = here.done("expert", "GET", "/api/me/notices", params={"limit": 2})
    rest = here.done("expert", "GET", "/api/me/notices", params={"limit": 2, "cursor": first["next"]})
    assert [one["id"] for one in (*first["items"], *rest["items"])] == numbers


def tell(here: Asked, who: str, n: int = 1, kind: NoticeKind = NoticeKind.CLAIM_DECIDED) -> None:
    with writing(here.engine) as session:
        for i in range(n):
            key, facts, to = f"event {i}", {"verdict": "approved"}, [here.accounts[who]]
            notify(session, kind=kind, to=to, key=key, place="/claims/new", facts=facts, now=datetime.now(UTC))


def test_choices_are_ones_own_and_safety_is_always_told(here: Asked, settings: Settings) -> None:
    choices = here.done("researcher", "GET", "/api/me/notices/choices")
    assert "need_new" not in {one["kind"] for one in choices["kinds"]}
    assert {"claim_decided": "at_once"}.items() <= {one["kind"]: one["cadence"] for one in choices["kinds"]}.items()
    answer = here.ask("researcher", "PUT", "/api/me/notices/choices", json={"cadences": {"account_changed": "never"}})
    assert (answer.status_code, answer.json()["field"]) == (422, "cadences")
    body = {"cadences": {"claim_decided": "never"}}
    here.done("researcher", "PUT", "/api/me/notices/choices", json=body)
    tell(here, "researcher")
    tell(here, "researcher", kind=NoticeKind.ACCOUNT_CHANGED)
    assert deliver(here, settings) == Delivered(sent=0)
    with writing(here.engine) as session:
        to, now = [here.accounts["researcher"]], datetime.now(UTC)
        notify(session, kind=NoticeKind.ACCOUNT_CHANGED, to=to, key="safety", place="/account", now=now)
    assert deliver(here, settings) == Delivered(sent=1)
    (letter,) = letters_to(settings, "researcher")
    assert letter["List-Unsubscribe"] is None
    # The bell has both.
    assert len(said(here, "researcher")) == 2


def test_a_link_stops_mail_by_post_alone(here: Asked, settings: Settings) -> None:
    tell(here, "expert")
    deliver(here, settings)
    (letter,) = letters_to(settings, "expert")
    path = _path(letter["List-Unsubscribe"])
    # A scanner opens it, by any method that changes nothing, as often as it likes.
    for _ in range(2):
        opened = here.ask(None, "GET", path)
        assert opened.status_code == 200
        assert "expert" not in opened.text
    assert _cadence(here, "claim_decided") == "at_once"
    # A mail program posts, without a cookie; twice changes nothing more.
    for _ in range(2):
        assert here.ask(None, "POST", path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert _cadence(here, "claim_decided") == "never"
    assert _cadence(here, "need_new") == "at_once"
    assert here.ask(None, "POST", f"{path}/undo").status_code == 200
    assert _cadence(here, "claim_decided") == "at_once"
    # Another purpose, another token, a token of long ago: nothing.
    token = LinkSigner(settings.home).token(
        "password", {"reader": here.accounts["expert"]}, now=datetime.now(UTC), holds_for=timedelta(days=1)
    )
    old = LinkSigner(settings.home).token(
        "unsubscribe",
        {"reader": here.accounts["expert"], "kind": "claim_decided"},
        now=datetime.now(UTC) - timedelta(days=400),
        holds_for=timedelta(days=365),
    )
    for wrong in (token, old, path.rpartition("/")[2][:-2], "x"):
        assert here.ask(None, "POST", f"/mail/unsubscribe/{wrong}").status_code == 410
        assert here.ask(None, "GET", f"/mail/unsubscribe/{wrong}").status_code == 410
    assert _cadence(here, "claim_decided") == "at_once"


def _cadence(here: Asked, kind: str) -> str:
    kinds = here.done("expert", "GET", "/api/me/notices/choices")["kinds"]
    return next(one["cadence"] for one in kinds if one["kind"] == kind)


def _path(link: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:8000(/[^>\s]+)", link)
    assert found is not None
    return found[1]


def test_a_feed_is_read_by_its_secret_address_until_that_ends(here: Asked) -> None:
    tell(here, "expert")
    first = _path(here.done("expert", "POST", "/api/me/feed")["url"])
    feed = here.ask(None, "GET", first)
    assert (feed.status_code, feed.headers["Content-Type"]) == (200, "application/atom+xml; charset=utf-8")
    assert feed.text.count("<entry>") == 1
    assert "您認領的實驗室已核可" in feed.text
    second = _path(here.done("expert", "POST", "/api/me/feed")["url"])
    assert [here.ask(None, "GET", path).status_code for path in (first, second)] == [404, 200]
    assert here.ask("expert", "DELETE", "/api/me/feed").status_code == 204
    assert [here.ask(None, "GET", path).status_code for path in (first, second)] == [404, 404]
    # The secret lies nowhere.
    with reading(here.engine) as session:
        assert second.split("/")[2].removesuffix(".atom") not in str(session.exec(select(Notice)).all())


def test_pages_do_what_the_api_does(here: Asked, settings: Settings) -> None:
    tell(here, "expert")
    page = here.ask("expert", "GET", "/account/notices")
    assert page.status_code == 200
    for path, status in (("/admin/mail", 403), ("/account/notices", 200)):
        assert here.ask("expert", "GET", path).status_code == status
    assert here.ask("office", "GET", "/admin/mail").status_code == 200
    for path in ("/forgotten", "/sign-in"):
        assert here.ask(None, "GET", path).status_code == 200
