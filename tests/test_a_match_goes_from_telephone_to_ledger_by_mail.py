"""From a telephone call to the ledger: asked back, put on a list, answered by both sides by mail, met, signed, counted.

The mails are handed to a real mail server on this machine; people press their links without signing in. The story is
played by plain forms and by keyboard alone in a browser on a phone, in both languages.
"""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import icalendar
import pytest
from playwright.sync_api import Browser, expect
from pydantic import SecretStr
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
from tests.rig.servers.hands import Sitting, by_forms, by_keyboard
from tests.rig.servers.mail_server import Inbox, listening
from tests.rig.servers.served import Served, served

# Passwords without TLS are for tests on this machine.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
SECRET = "絕密製程"
LAB, CONTACT = "lab-1-01", "lin@factory.example.com"
CALL = """我是%s的林經理，我們的碳化矽晶圓矽面移除率太低。
希望找到提高移除率的拋光液配方。"""
ANSWERS = (
    "化學機械拋光八吋碳化矽晶圓，每月三十片，用於電動車功率元件。試過兩種市售漿料。"
    "移除率要到每小時 2 微米，粗糙度不得超過 0.1 奈米。"
)
"""What the company says when it is asked back."""


@dataclass(frozen=True)
class Mailed:
    """A server and the mail server that it hands its mail to."""

    server: Served
    inbox: Inbox
    where: str


@pytest.fixture(scope="module")
def mailed(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mailed]:
    folder, inbox = tmp_path_factory.mktemp("story") / "home", Inbox()
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with listening(inbox) as where:
        more = {"GLORIA_SMTP_URL": f"smtp://{where}", "GLORIA_MAIL_FROM": "gloria@example.org"}
        with served(settings, indexed_home, slice_of_world, more=more) as server:
            known = {"smtp_url": SecretStr(more["GLORIA_SMTP_URL"]), "mail_from": more["GLORIA_MAIL_FROM"]}
            yield Mailed(replace(server, settings=settings.model_copy(update=known)), inbox, where)


@pytest.fixture
def server(mailed: Mailed) -> Served:
    return mailed.server


def done(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@dataclass
class Mailbox:
    """The mails that the mail server took."""

    mailed: Mailed

    def newest(self, address: str, word: str) -> EmailMessage:
        """Return the newest mail to somebody that has a word in its subject; none has a word of the need."""
        self._delivered(self.mailed.server.settings)
        found: EmailMessage | None = None
        for to, mail in self.mailed.inbox.got:
            parts: list[Any] = [part for part in mail.walk() if part.get_content_maintype() == "text"]
            assert SECRET not in "".join(part.get_content() for part in parts)
            if to == [address] and word in mail["Subject"]:
                found = mail
        assert found is not None, f"no mail to {address} about {word}"
        return found

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


def taken_down(server: Served, sit: Sitting) -> str:
    """An expert types what is said on the telephone into a form, and stores it as a need of the company."""
    company = done(server.ask("expert", "GET", "/api/companies/co-1-1"))["name"]
    with sit("expert") as hands:
        hands.open("/drafts")
        hands.write("#f-text", CALL % company)
        hands.press("button[value='need']")
        hands.write("#f-title", f"碳化矽拋光 {SECRET}")
        hands.press("button[value='confirm']")
        need_id = hands.where().rpartition("/")[2].partition("?")[0]
        assert hands.count("#f-questions-1") == 1
    need = done(server.ask("expert", "GET", f"/api/needs/{need_id}"))
    assert (need["company"], need["confidentiality"]) == ("co-1-1", "confidential")
    return need_id


def asked_back(server: Served, sit: Sitting, mails: Mailbox, need_id: str) -> None:
    """The company answers what the need leaves open, by the link of a mail; the expert takes it over."""

    def open_questions() -> int:
        with sit("expert") as hands:
            hands.open(f"/needs/{need_id}")
            return hands.count(".elements details li")

    before = open_questions()
    with sit("expert") as hands:
        hands.open(f"/needs/{need_id}/words")
        hands.write("#f-address", CONTACT)
        hands.press("form[action$='/words'] button.main")
    with sit(None) as hands:
        hands.open(mails.link(CONTACT, "wrote down", "/confirm-need/"))
        hands.write("#f-address", CONTACT)
        hands.press("form button.main")
        hands.unfold("summary.button")
        hands.write("#f-description", ANSWERS)
        hands.press("button[value='corrected']")
    with sit("expert") as hands:
        hands.open(f"/needs/{need_id}/words")
        hands.press("button[name='taken'][value='yes']")
    assert done(server.ask("expert", "GET", f"/api/needs/{need_id}"))["description"] == ANSWERS
    assert (before, open_questions()) == (3, 0)


def put_on_a_list(mailed: Mailed, sit: Sitting, need_id: str) -> dict[str, Any]:
    """The expert puts a lab on a shortlist and sends it as PDF and DOCX; return the pairing as it was ranked."""
    server = mailed.server
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}))
    shown: dict[str, Any] = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    with sit("expert") as hands:
        hands.open(f"/needs/{need_id}/shortlists")
        hands.write("#f-words", "林經理您好，推薦這間實驗室。")
        hands.tick(f"input[name='labs'][value='{LAB}']")
        hands.press(".making button.main")
        path = f"/api{urlsplit(hands.where()).path}/file"
    forms = ("pdf", "docx", "eml")
    files = {form: server.ask("expert", "GET", path, params={"format": form}).content for form in forms}
    assert [files[form][:4] for form in ("pdf", "docx")] == [b"%PDF", b"PK\x03\x04"]
    draft: Any = message_from_bytes(files["eml"], policy=policy.default)
    for header in ("From", "To"):
        del draft[header]
    draft["From"], draft["To"] = "expert@example.org", "company@example.org"
    for form in ("pdf", "docx"):
        draft.add_attachment(files[form], maintype="application", subtype="octet-stream", filename=f"list.{form}")
    host, _, port = mailed.where.partition(":")
    with smtplib.SMTP(host, int(port)) as wire:
        wire.send_message(draft)
    got = mailed.inbox.got[-1][1]
    assert {part.get_filename() for part in got.iter_attachments()} >= {"list.pdf", "list.docx"}
    done(server.ask("expert", "PUT", f"/api/pairings/{shown['pairing_id']}/release"))
    return shown


def answered_by_both(server: Served, sit: Sitting, mails: Mailbox, shown: dict[str, Any]) -> int:
    """The company answers what is released to it from its mail, the lab the introduction; return the case's number."""
    pairing_id = shown["pairing_id"]
    with sit(None) as hands:
        hands.open(mails.link("company@example.org", "suggested", "/answer/"))
        hands.press("button[value='interested']")
        assert hands.count("form[action$='/undo']") == 1
    # Whoever the link was sent to is told of it at once, with the way to undo it.
    assert "/answer/" in mails.link("company@example.org", "you are interested", "/answer/")
    with sit("expert") as hands:
        hands.open("/desk")
        assert hands.count(f"li[data-task='answer'] .title a[href='/conversations/{pairing_id}']") == 1
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
    case_id = int(done(server.ask("expert", "POST", f"/api/pairings/{pairing_id}/decision", json=word), 201)["case_id"])
    with sit("expert") as hands:
        hands.open(f"/cases/{case_id}")
        hands.press("button[name='stage'][value='introduced']")
        # Nothing of a confidential need is introduced by one press.
        hands.press("button[name='stage'][value='introduced']")
    with sit(None) as hands:
        hands.open(mails.link("researcher@example.org", "introduced to a company", "/answer/"))
        hands.press("button[value='willing']")
        assert hands.count("form[action$='/undo']") == 1
    return case_id


def met(server: Served, sit: Sitting, mails: Mailbox, pairing_id: int) -> None:
    """The expert proposes two times, the company chooses one from its mail; both have it for their calendars."""
    soon = (now() + timedelta(days=7)).astimezone(TAIPEI).replace(second=0, microsecond=0)
    with sit("expert") as hands:
        hands.open(f"/conversations/{pairing_id}")
        for row, days in ((1, 0), (2, 1)):
            hands.write(f"#f-time-{row}", f"{soon + timedelta(days=days):%Y-%m-%dT%H:%M}")
        hands.press("form[action$='/meetings'] button.main")
    with sit(None) as hands:
        hands.open(mails.link("company@example.org", "Times for a meeting", "/meeting/"))
        hands.press(".times button", last=True)
    events = [mails.meeting(f"{who}@example.org") for who in ("company", "researcher")]
    assert {event.decoded("dtstart") for event in events} == {soon + timedelta(days=1)}
    assert len({str(event["uid"]) for event in events}) == 1


AMOUNTS = {"九十萬": 900_000, "50萬": 500_000, "１，２００，０００": 1_200_000, "75萬元": 750_000}
"""Sums as people write them, each of one run of the story: contracts of one sum would look alike to the ledger."""


def signed_and_counted(server: Served, sit: Sitting, mails: Mailbox, case_id: int, amount: str) -> None:
    """The signature is entered once and fills in the result, which is reported, checked and recognised."""
    with sit("expert") as hands:
        hands.open(f"/cases/{case_id}")
        for stage in ("meeting", "negotiating", "signed"):
            hands.press(f"button[name='stage'][value='{stage}']")
        hands.write("#f-contract", f"115-{case_id}")
        hands.write("#f-amount_ntd", amount)
        hands.choose("#f-purpose", "research")
        hands.attach("#f-document", "合約.pdf", f"%PDF-1.7 {case_id}".encode())
        hands.press("form[action='/cases/signatures'] button.main")
        hands.open(f"/results/new?case={case_id}&kpi=L")
        hands.write("#f-value_added", "三月三日媒合，參與四次會議並草擬合約")
        hands.press("button.main:not([name])")
        assert hands.count(".receipt") == 1
    entries = done(server.ask("expert", "GET", "/api/ledger/entries", params={"case": case_id}))["items"]
    (entry,) = [one for one in entries if one["kpi"] == "L"]
    reported = (entry["amount"], entry["details"]["contract"], entry["occurred_on"])
    assert reported == (AMOUNTS[amount], f"115-{case_id}", day_in_taipei(now()).isoformat())
    place = f"/api/ledger/entries/{entry['id']}"
    done(server.ask("committee", "POST", f"{place}/check", json={}))
    done(server.ask("office", "POST", f"{place}/recognise", json={}))
    assert "recognised" in mails.newest("expert@example.org", "recognised")["Subject"]


def told(mailed: Mailed, sit: Sitting, amount: str) -> None:
    server, mails = mailed.server, Mailbox(mailed)
    need_id = taken_down(server, sit)
    asked_back(server, sit, mails, need_id)
    shown = put_on_a_list(mailed, sit, need_id)
    case_id = answered_by_both(server, sit, mails, shown)
    met(server, sit, mails, shown["pairing_id"])
    signed_and_counted(server, sit, mails, case_id, amount)
    # Everybody is told, each in their own words.
    with sit("company") as hands:
        hands.open(f"/company/needs/{need_id}")
        said = hands.text("section[aria-labelledby='h-state'] strong")
    assert said in ("Your cooperation with this lab is signed.", "您與這間實驗室的合作已簽約。")
    for who in ("company", "researcher"):
        notices = done(server.ask(who, "GET", "/api/me/notices"))["items"]
        assert "signed" in str([one for one in notices if one["kind"] == "case_moved"][:3])


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
def test_every_page_of_it_can_be_used_by_everybody(browser: Browser, mailed: Mailed, lang: str) -> None:
    server, mails = mailed.server, Mailbox(mailed)
    need_id = taken_down(server, by_forms(server, "en"))
    asked_back(server, by_forms(server, "en"), mails, need_id)
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


# Both languages by both pairs of hands, each with another way to write an amount.
_ZH, _EN, _ZH_BY_KEY, _EN_BY_KEY = zip((*LANGS, *LANGS), AMOUNTS, strict=True)


@pytest.mark.parametrize(("lang", "amount"), [_ZH, _EN])
def test_by_forms_and_mail_alone(mailed: Mailed, lang: str, amount: str) -> None:
    told(mailed, by_forms(mailed.server, lang), amount)


@pytest.mark.parametrize(("lang", "amount"), [_ZH_BY_KEY, _EN_BY_KEY])
def test_by_keyboard_alone_on_a_phone(browser: Browser, mailed: Mailed, lang: str, amount: str) -> None:
    told(mailed, by_keyboard(browser, mailed.server, lang), amount)
