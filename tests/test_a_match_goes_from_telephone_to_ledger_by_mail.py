"""From a telephone call to the ledger: a need confirmed, answered by both sides by mail, met about, signed, reported.

The mails are those that the server's outbox delivers into its folder; people press their links without signing in.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import icalendar
import pytest
from playwright.sync_api import Browser, expect
from sqlmodel import select

from api.letters.sending.delivering import Deliverer
from indexer.database import open_engine, reading
from indexer.instants import TAIPEI, day_in_taipei, now
from indexer.settings import Settings
from matcher.notices.outbox import Channel, Letter, SendingState
from tests.conftest import Databases
from tests.rig.servers.browsers import (
    LANGS,
    WIDE,
    accessibility_faults,
    browsing,
    keep_screenshot,
    look_over,
)
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import visiting

SECRET = "絕密製程"
LAB, CONTACT = "lab-1-01", "lin@factory.example.com"


class Sitting(Protocol):
    """How somebody, or a stranger, sits down at the pages."""

    def __call__(self, who: str | None) -> AbstractContextManager[Any]: ...


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("story") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def done(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@dataclass
class Mailbox:
    """The mails of a server, as they lie in its folder."""

    server: Served

    def newest(self, address: str, word: str) -> EmailMessage:
        """Return the newest mail to somebody that has a word in its subject; none has a word of the need."""
        settings = self.server.settings
        self._delivered(settings)
        found = []
        for path in settings.mail_path.glob("*.eml"):
            mail: Any = message_from_bytes(path.read_bytes(), policy=policy.default)
            texts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
            assert SECRET not in "".join(texts)
            if mail["To"] == address and word in mail["Subject"]:
                found.append((path.stat().st_mtime_ns, path.name, mail))
        assert found, f"no mail to {address} about {word}"
        newest: EmailMessage = max(found)[2]
        return newest

    def _delivered(self, settings: Settings) -> None:
        """Deliver what waits; what the server itself is about to deliver is waited for."""
        engine = open_engine(settings)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            Deliverer(engine, settings).deliver()
            with reading(engine) as session:
                waits = (Letter.state == SendingState.WAITING.value, Letter.channel == Channel.MAIL.value)
                if session.execute(select(Letter.id).where(*waits)).first() is None:
                    break
            time.sleep(0.05)
        engine.dispose()

    def link(self, address: str, word: str, place: str) -> str:
        """Return the path of the link in that mail which leads to a place."""
        body = self.newest(address, word).get_body(("plain",))
        assert body is not None
        links = [urlsplit(one) for one in re.findall(r"https?://\S+", body.get_content())]
        return next(f"{one.path}?{one.query}" if one.query else one.path for one in links if one.path.startswith(place))

    def meeting(self, address: str) -> Any:
        """Return the event in the calendar file of the newest mail about an agreed meeting."""
        mail = self.newest(address, "agreed")
        (file,) = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
        assert file.get_param("method") == "REQUEST"
        (event,) = icalendar.Calendar.from_ical(file.get_content()).walk("VEVENT")
        return event


def told_and_confirmed(server: Served, sit: Sitting, mails: Mailbox) -> str:
    """An expert types what was told by telephone; the company corrects it by the link; the expert takes that over."""
    need = {
        "company": "co-1-1",
        "title": f"碳化矽拋光 {SECRET}",
        "description": "矽面移除率太低，每片九十分鐘",
        "confidentiality": "confidential",
    }
    need_id = str(done(server.ask("expert", "POST", "/api/needs", json=need), 201)["id"])
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/take-up"))
    with sit("expert") as somebody:
        page = somebody.open(f"/needs/{need_id}/words")
        page.locator("#f-address").fill(CONTACT)
        page.get_by_role("button", name="Send the link").click()
    with sit(None) as somebody:
        page = somebody.open(mails.link(CONTACT, "wrote down", "/confirm-need/"))
        page.locator("#f-address").fill(CONTACT)
        page.get_by_role("button", name="Show the need").click()
        page.locator("summary", has_text="Correct it").click()
        page.locator("#f-description").fill("矽面移除率太低，每片三十分鐘")
        page.get_by_role("button", name="Send the correction").click()
    with sit("expert") as somebody:
        page = somebody.open(f"/needs/{need_id}/words")
        page.get_by_role("button", name="Take it over").click()
    assert done(server.ask("expert", "GET", f"/api/needs/{need_id}"))["description"] == "矽面移除率太低，每片三十分鐘"
    return need_id


def answered_by_both(server: Served, sit: Sitting, mails: Mailbox, need_id: str) -> tuple[int, int]:
    """The company answers what is released to it from its mail, the lab the introduction; return pairing and case."""
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}))
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    pairing_id = int(shown["pairing_id"])
    done(server.ask("expert", "PUT", f"/api/pairings/{pairing_id}/release"))
    with sit(None) as somebody:
        page = somebody.open(mails.link("company@example.org", "suggested", "/answer/"))
        page.get_by_role("button", name="We are interested").click()
        assert page.get_by_role("button", name="Undo it").count() == 1
    with sit("expert") as somebody:
        page = somebody.open("/desk")
        assert page.locator(f"section[aria-labelledby='h-said'] a[href='/conversations/{pairing_id}']").count() == 1
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
    case_id = int(done(server.ask("expert", "POST", f"/api/pairings/{pairing_id}/decision", json=word), 201)["case_id"])
    with sit("expert") as somebody:
        page = somebody.open(f"/cases/{case_id}")
        page.get_by_role("button", name="introduced").click()
        page.get_by_role("button", name="Yes, introduce the lab").click()
    with sit(None) as somebody:
        page = somebody.open(mails.link("researcher@example.org", "introduced to a company", "/answer/"))
        page.get_by_role("button", name="Yes, I would take it up").click()
        assert page.get_by_role("button", name="Undo it").count() == 1
    return pairing_id, case_id


def met(server: Served, sit: Sitting, mails: Mailbox, pairing_id: int) -> None:
    """The expert proposes two times, the company chooses one from its mail; both have it for their calendars."""
    soon = (now() + timedelta(days=7)).astimezone(TAIPEI).replace(second=0, microsecond=0)
    with sit("expert") as somebody:
        page = somebody.open(f"/conversations/{pairing_id}")
        for row, days in ((1, 0), (2, 1)):
            page.locator(f"#f-time-{row}").fill(f"{soon + timedelta(days=days):%Y-%m-%dT%H:%M}")
        page.get_by_role("button", name="Propose", exact=True).click()
    with sit(None) as somebody:
        page = somebody.open(mails.link("company@example.org", "Times for a meeting", "/meeting/"))
        page.get_by_role("button", name="Choose this time").last.click()
    events = [mails.meeting(f"{who}@example.org") for who in ("company", "researcher")]
    assert {event.decoded("dtstart") for event in events} == {soon + timedelta(days=1)}
    assert len({str(event["uid"]) for event in events}) == 1


def signed_and_reported(server: Served, sit: Sitting, case_id: int, contract: str) -> None:
    """The signature is entered once and fills in the result, which is reported with one more sentence."""
    for stage in ("meeting", "negotiating"):
        done(server.ask("expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": stage}))
    with sit("expert") as somebody:
        page = somebody.open(f"/cases/{case_id}")
        page.get_by_role("button", name="signed").click()
        page.locator("#f-contract").fill(contract)
        page.locator("#f-amount_ntd").fill("90萬")
        page.locator("#f-purpose").select_option("research")
        file = {"name": "合約.pdf", "mimeType": "application/pdf", "buffer": f"%PDF-1.7 {contract}".encode()}
        page.locator("#f-document").set_input_files([file])
        page.get_by_role("button", name="The case is signed").click()
        page = somebody.open(f"/results/new?case={case_id}&kpi=L")
        page.locator("#f-value_added").fill("三月三日媒合，參與四次會議並草擬合約")
        page.get_by_role("button", name="Report", exact=True).click()
        assert page.locator(".receipt").count() == 1
    entries = done(server.ask("expert", "GET", "/api/ledger/entries", params={"case": case_id}))["items"]
    reported = [(one["amount"], one["details"]["contract"], one["occurred_on"]) for one in entries if one["kpi"] == "L"]
    assert reported == [(900_000, contract, day_in_taipei(now()).isoformat())]


def told(server: Served, sit: Sitting, contract: str) -> None:
    mails = Mailbox(server)
    need_id = told_and_confirmed(server, sit, mails)
    pairing_id, case_id = answered_by_both(server, sit, mails, need_id)
    met(server, sit, mails, pairing_id)
    signed_and_reported(server, sit, case_id, contract)
    with sit("company") as somebody:
        page = somebody.open(f"/company/needs/{need_id}")
        assert page.locator("section[aria-labelledby='h-state'] strong").inner_text() == (
            "Your cooperation with this lab is signed."
        )


def asked_and_answered(server: Served, pairing: str) -> None:
    """The company asks, the expert replies, a colleague is called upon, the company is interested."""
    question = {"word": "has_a_question", "note": "八吋晶圓可以嗎？每月三十片。"}
    done(server.ask("company", "PUT", f"{pairing}/answer", json=question))
    said = {"audience": "company", "text": "可以，實驗室去年做過兩批。"}
    done(server.ask("expert", "POST", f"{pairing}/messages", json=said), 201)
    noted = {"audience": "internal", "text": "@colleague 請確認設備檔期"}
    done(server.ask("expert", "POST", f"{pairing}/messages", json=noted), 201)
    done(server.ask("company", "PUT", f"{pairing}/answer", json={"word": "interested"}))


@pytest.mark.parametrize("lang", LANGS)
def test_every_page_of_it_can_be_used_by_everybody(browser: Browser, server: Served, lang: str) -> None:
    mails = Mailbox(server)
    need_id = told_and_confirmed(server, lambda who: visiting(server, who, "en"), mails)
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}))
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    pairing = f"/api/pairings/{shown['pairing_id']}"
    done(server.ask("expert", "PUT", f"{pairing}/release"))
    talk = f"/conversations/{shown['pairing_id']}"
    pages = {
        "talk-company-asked": talk,
        "my-need-asked": f"/company/needs/{need_id}",
    }
    with browsing(browser, server, "company", lang) as somebody:
        look_over(somebody, lang, pages)
    with browsing(browser, server, None, lang) as somebody:
        confirm = mails.link(CONTACT, "wrote down", "/confirm-need/")
        look_over(
            somebody,
            lang,
            {"link-answer": mails.link("company@example.org", "suggested", "/answer/"), "link-need": confirm},
        )
        page = somebody.open(confirm)
        page.locator("#f-address").fill(CONTACT)
        page.locator("form button.main").click()
        expect(page.locator("#h-now")).to_have_count(1)
        keep_screenshot(page, f"link-need-shown-{lang}-{WIDE}")
        assert accessibility_faults(page) == []
    asked_and_answered(server, pairing)
    accepted = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
    case_id = done(server.ask("expert", "POST", f"{pairing}/decision", json=accepted), 201)["case_id"]
    with browsing(browser, server, "expert", lang) as somebody:
        page = somebody.open(f"/cases/{case_id}")
        page.locator("button[name='stage'][value='introduced']").click()
        expect(page.locator("#h-shown")).to_have_count(1)
        keep_screenshot(page, f"introduce-{lang}-{WIDE}")
        assert accessibility_faults(page) == []
    done(server.ask("expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": "introduced"}))
    times = [(now() + timedelta(days=days)).isoformat() for days in (5, 6, 7)]
    body = {"times": times, "place": "工程一館 302 室"}
    done(server.ask("expert", "POST", f"{pairing}/meetings", json=body), 201)
    with browsing(browser, server, "researcher", lang) as somebody:
        look_over(somebody, lang, {"talk-lab": talk, "my-lab-asked": f"/my-lab/{LAB}"})
    with browsing(browser, server, None, lang) as somebody:
        look_over(somebody, lang, {"link-meeting": mails.link("company@example.org", "Times for", "/meeting/")})
    meeting = done(server.ask("expert", "GET", f"{pairing}/meetings"))["items"][0]
    accepted = {"starts_at": meeting["times"][0]}
    done(server.ask("company", "POST", f"/api/meetings/{meeting['id']}/acceptance", json=accepted))
    done(server.ask("company", "POST", "/api/me/calendar"))
    with browsing(browser, server, "company", lang) as somebody:
        look_over(somebody, lang, {"calendar": "/calendar", "talk-company": talk})
    done(server.ask("expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": "negotiating"}))
    with browsing(browser, server, "expert", lang) as somebody:
        places = {
            "talk-expert": talk,
            "need-words": f"/needs/{need_id}/words",
            "signature": f"/cases/{case_id}/signature",
            "desk-answers": "/desk",
            "case-talk": f"/cases/{case_id}",
        }
        look_over(somebody, lang, places)


def test_by_forms_and_mail_alone(server: Served) -> None:
    told(server, lambda who: visiting(server, who, "en"), "115-A-001")


def test_in_a_browser(browser: Browser, server: Served) -> None:
    told(server, lambda who: browsing(browser, server, who, "en"), "115-B-002")
