"""The pages of notices in a browser: bell, list, choices, feed, webhooks, the office's mail, forgotten passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlmodel import Session

from api.letters.renewal import PURPOSE, PasswordRenewal
from api.letters.sending.composing import UNSUBSCRIBE
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import notify
from matcher.notices.readers import MailAddress, WebhookHost
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("notices") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            _tell(session, server)
        engine.dispose()
        yield server


def _tell(session: Session, server: Served) -> None:
    told = (
        (NoticeKind.NEED_NEW, "/needs/need-1-01", {"need": "need-1-01"}),
        (NoticeKind.NEED_OPENED, "/needs/need-1-01", {"need": "need-1-01", "how": "glass"}),
        (NoticeKind.RESULT_RECOGNISED, "/results", {}),
        (NoticeKind.FOLLOW_UP_DUE, "/desk", {}),
        (NoticeKind.CLIENT_ASKED, "/companies", {"how": "asked"}),
    )
    for n, (kind, place, facts) in enumerate(told):
        at = NOW - timedelta(hours=5 * (len(told) - n))
        notify(session, kind=kind, to=[server.accounts["expert"]], key=f"e {n}", place=place, facts=facts, now=at)
    hosts = ("hooks.example.org", "told.example.tw")
    session.add_all(WebhookHost(host=one, allowed_by=server.accounts["office"], allowed_at=NOW) for one in hosts)
    session.add(MailAddress(address="company@example.org", refused_at=NOW, said="SMTP 550"))
    for n, asked_at in enumerate((NOW, NOW - timedelta(hours=2))):
        account = server.accounts[("newcomer", "rival")[n]]
        row = {
            "id": f"r{n}",
            "address": "x@example.org",
            "asked_from": "c",
            "asked_at": asked_at,
            "account_id": account,
        }
        session.add(PasswordRenewal(**row, looked_up_at=asked_at))


def _token(server: Served, purpose: str, **claims: str) -> str:
    return LinkSigner(server.settings.home).token(purpose, claims, now=NOW, holds_for=timedelta(days=1))


@pytest.mark.parametrize("lang", LANGS)
def test_pages_can_be_used_by_everybody(lang: str, browser: Browser, server: Served) -> None:
    stop = _token(server, UNSUBSCRIBE, reader=server.accounts["expert"], kind="need_new")
    outside = {
        "forgotten": "/forgotten",
        "renewal": f"/forgotten/{_token(server, PURPOSE, renewal='r0')}",
        "unsubscribe": f"/mail/unsubscribe/{stop}",
    }
    with browsing(browser, server, "expert", lang) as somebody:
        look_over(somebody, lang, {"notices": "/notices", "choices": "/account/notices"})
    with browsing(browser, server, "office", lang) as somebody:
        look_over(somebody, lang, {"mail": "/admin/mail"})
    with browsing(browser, server, None, lang) as somebody:
        look_over(somebody, lang, outside)
        look_over(somebody, lang, {"gone": f"/forgotten/{_token(server, PURPOSE, renewal='r1')}"}, status=410)


def test_a_notice_leads_to_its_page_and_the_bell_counts_down(browser: Browser, server: Served) -> None:
    with browsing(browser, server, "expert", "en") as somebody:
        page = somebody.open("/desk")
        bell = page.locator("a.bell")
        expect(bell).to_have_text(re.compile(r"Notices\s+5"))
        bell.click()
        page.get_by_role("button", name=re.compile("A need is new for your alliance")).click()
        expect(page).to_have_url(re.compile("/needs/need-1-01$"))
        expect(page.locator("a.bell")).to_have_text(re.compile(r"Notices\s+4"))
        page.locator("a.bell").click()
        page.get_by_role("button", name="Mark all 4 as read").click()
        expect(page.locator("a.bell .count")).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False])
def test_choices_feed_and_webhook_are_kept(javascript: bool, browser: Browser, server: Served) -> None:
    with browsing(browser, server, "lead", "en", javascript=javascript) as somebody:
        page = somebody.open("/account/notices")
        page.get_by_label("a case goes on").select_option("weekly")
        page.get_by_label("Mails may have the title").check()
        page.get_by_role("button", name="Keep").click()
        expect(page.get_by_label("a case goes on")).to_have_value("weekly")
        expect(page.get_by_label("Mails may have the title")).to_be_checked()
        page.get_by_role("button", name="no mail").click()
        expect(page.get_by_label("a need that is new for your alliance")).to_have_value("never")
        page.get_by_role("button", name=re.compile("Make a feed|Give it a new address")).click()
        expect(page.locator("code.secret", has_text="/feed/")).to_be_visible()
        page.get_by_label("Address of the program").fill("https://elsewhere.example.org/x")
        page.get_by_role("button", name="Add a webhook").click()
        expect(page.locator("#e-url")).to_contain_text("has not allowed webhooks to call elsewhere.example.org")
        page.get_by_label("Address of the program").fill(f"https://hooks.example.org/{javascript}")
        page.get_by_role("button", name="Add a webhook").click()
        expect(page.locator("code.secret", has_text="whsec_")).to_be_visible()
        page.get_by_role("button", name=f"End the webhook https://hooks.example.org/{javascript}").click()
        expect(page.get_by_text("The webhook is told nothing any more.")).to_be_visible()
