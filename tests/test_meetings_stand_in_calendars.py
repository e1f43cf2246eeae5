"""Meetings: proposed by anybody, chosen by either side in the page or by a link, in calendars by mail and by feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import icalendar
import pytest
from sqlalchemy import select
from sqlmodel import col

from api.letters.enclosing import ENCLOSURES
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, reading, writing
from indexer.instants import TAIPEI
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice
from matcher.review.people import set_disabled
from tests.conftest import Databases
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

SECRET = "絕密製程"
LAB = "lab-1-01"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
TIMES = [(NOW + timedelta(days=days)).isoformat() for days in (3, 4)]


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("meetings") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def done(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@dataclass
class Known:
    """A confidential need whose lab was introduced."""

    server: Served
    pairing_id: int
    case_id: int

    def propose(self, who: str, status: int = 201, **more: Any) -> Any:
        body = {"times": TIMES, "place": "工程一館 302 室", **more}
        return done(self.server.ask(who, "POST", f"/api/pairings/{self.pairing_id}/meetings", json=body), status)

    def accept(self, who: str, meeting_id: int, time: str, status: int = 200) -> Any:
        path = f"/api/meetings/{meeting_id}/acceptance"
        return done(self.server.ask(who, "POST", path, json={"starts_at": time}), status)

    def call_off(self, who: str, meeting_id: int, status: int = 200) -> Any:
        return done(self.server.ask(who, "POST", f"/api/meetings/{meeting_id}/calling-off"), status)

    def notices(self, reader: str) -> list[Notice]:
        """Return what somebody was told of meetings of this pairing, oldest first."""
        engine = open_engine(self.server.settings)
        with reading(engine) as session:
            query = select(Notice).where(Notice.reader == self.server.accounts.get(reader, reader))
            rows = session.execute(query.where(Notice.kind == "meeting").order_by(col(Notice.id))).scalars().all()
            session.expunge_all()
        engine.dispose()
        return [one for one in rows if one.facts["pairing"] == str(self.pairing_id)]

    def letter(
        self, notice: Notice, now: datetime | None = None
    ) -> tuple[list[str], list[tuple[str, icalendar.Calendar]]]:
        """Return the links and the calendar files of the letter that tells of a notice, made at a moment."""
        engine = open_engine(self.server.settings)
        with reading(engine) as session:
            signer = LinkSigner(self.server.settings.home)
            found = ENCLOSURES[NoticeKind.MEETING](session, notice, signer, now or datetime.now(UTC))
        engine.dispose()
        assert all(SECRET.encode() not in one.content for one in found.files)
        files = [(one.method, icalendar.Calendar.from_ical(one.content)) for one in found.files]
        return [one.path for one in found.links], files


@pytest.fixture
def known(server: Served) -> Known:
    need = {"title": f"拋光 {SECRET}", "description": f"矽面移除率太低 {SECRET}", "confidentiality": "confidential"}
    need_id = done(server.ask("company", "POST", "/api/needs", json=need), 201)["id"]
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/take-up"), 200)
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}), 200)
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"]}
    accepted = server.ask("expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)
    case_id = done(accepted, 201)["case_id"]
    early = {"times": TIMES}
    refused = server.ask("expert", "POST", f"/api/pairings/{shown['pairing_id']}/meetings", json=early)
    assert refused.status_code == 422
    done(server.ask("expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": "introduced"}), 200)
    return Known(server, shown["pairing_id"], case_id)


def event_of(calendar: icalendar.Calendar) -> Any:
    (event,) = calendar.walk("VEVENT")
    return event


def test_either_side_chooses_a_time_and_everybody_gets_it_for_their_calendar(known: Known) -> None:
    meeting = known.propose("expert")
    assert [one.facts["how"] for one in known.notices("company")] == ["proposed"]
    assert known.notices("expert") == []
    known.accept("expert", meeting["id"], TIMES[0], 422)
    known.accept("rival", meeting["id"], TIMES[0], 404)
    known.accept("company", meeting["id"], (NOW + timedelta(days=9)).isoformat(), 422)
    agreed = known.accept("company", meeting["id"], TIMES[1])
    assert (agreed["state"], datetime.fromisoformat(agreed["starts_at"])) == (
        "agreed",
        datetime.fromisoformat(TIMES[1]),
    )
    # Whoever comes second is told that it was fixed meanwhile.
    known.accept("researcher", meeting["id"], TIMES[0], 409)
    files = {}
    for who in ("company", "researcher", "expert"):
        links, found = known.letter(known.notices(who)[-1])
        ((method, calendar),) = found
        event = event_of(calendar)
        assert (links, method, str(calendar["method"])) == ([], "REQUEST", "REQUEST")
        assert str(event["attendee"]) == f"mailto:{who}@example.org"
        assert str(event["organizer"]) == "mailto:expert@example.org"
        files[who] = (str(event["uid"]), int(event["sequence"]), event.decoded("dtstart"), str(event["location"]))
    assert len(set(files.values())) == 1
    # In the language that each reader chose for mails: as first both, then one.
    titles = {}
    for language in ("both", "zh", "en"):
        done(known.server.ask("company", "PUT", "/api/me/notices/choices", json={"language": language}), 200)
        titles[language] = str(event_of(known.letter(known.notices("company")[-1])[1][0][1])["summary"])
    done(known.server.ask("company", "PUT", "/api/me/notices/choices", json={"language": "both"}), 200)
    assert titles["both"] == f"{titles['zh']} / {titles['en']}"
    assert (titles["zh"].partition("：")[0], titles["en"].partition(":")[0]) == ("會面", "Meeting")
    # Moved, and then called off, under the same number, with a higher count each time.
    place = {"place": "https://meet.example.org/abc"}
    done(known.server.ask("researcher", "PUT", f"/api/meetings/{meeting['id']}/place", json=place), 200)
    moved = event_of(known.letter(known.notices("company")[-1])[1][0][1])
    assert (str(moved["uid"]), int(moved["sequence"])) == (files["company"][0], 1)
    known.call_off("company", meeting["id"])
    known.call_off("company", meeting["id"], 409)
    ((method, calendar),) = known.letter(known.notices("researcher")[-1])[1]
    ended = event_of(calendar)
    assert (method, str(ended["status"]), str(ended["uid"]), int(ended["sequence"])) == (
        "CANCEL",
        "CANCELLED",
        files["company"][0],
        2,
    )
    # A letter that leaves late does not invite to what was called off meanwhile.
    late = next(one for one in known.notices("company") if one.facts["how"] == "agreed")
    assert known.letter(late) == ([], [])


def test_what_is_proposed_anew_replaces_what_nobody_chose(known: Known) -> None:
    first = known.propose("company")
    second = known.propose("researcher", minutes=90)
    known.accept("researcher", first["id"], TIMES[0], 409)
    listed = done(known.server.ask("expert", "GET", f"/api/pairings/{known.pairing_id}/meetings"), 200)["items"]
    assert [(one["id"], one["state"], one["can_accept"]) for one in listed] == [
        (second["id"], "proposed", True),
        (first["id"], "called_off", False),
    ]
    for wrong in ({"times": []}, {"times": [(NOW - timedelta(days=1)).isoformat()]}, {"minutes": 5}):
        known.propose("company", 422, **wrong)
    assert known.accept("expert", second["id"], TIMES[0])["minutes"] == 90


def test_a_link_chooses_a_time_once_and_opening_it_does_nothing(known: Known) -> None:
    known.propose("expert")
    ((path,), _) = known.letter(known.notices("researcher")[-1])
    page = known.server.client.get(known.server.url + path, headers={"Cookie": "gloria-lang=en"})
    assert (page.status_code, SECRET in page.text, page.text.count('name="starts_at"')) == (200, False, 2)
    # Forwarded, it chooses as the one it was sent to, and says so.
    assert "This link answers as researcher." in page.text
    ((expired,), _) = known.letter(known.notices("researcher")[-1], datetime.now(UTC) - timedelta(days=31))
    late = known.server.client.post(known.server.url + expired, data={"starts_at": TIMES[0]})
    assert late.status_code == known.server.client.get(known.server.url + expired).status_code == 410
    stated = done(known.server.ask("expert", "GET", f"/api/pairings/{known.pairing_id}/meetings"), 200)["items"][0]
    assert stated["state"] == "proposed"
    press = known.server.client.post
    assert press(known.server.url + path, data={"starts_at": "whenever"}).status_code == 422
    other = {"Sec-Fetch-Site": "cross-site"}
    assert press(known.server.url + path, data={"starts_at": TIMES[0]}, headers=other).status_code == 403
    assert press(known.server.url + path, data={"starts_at": TIMES[0]}).status_code == 303
    assert press(known.server.url + path, data={"starts_at": TIMES[1]}).status_code == 409
    stated = done(known.server.ask("expert", "GET", f"/api/pairings/{known.pairing_id}/meetings"), 200)["items"][0]
    assert datetime.fromisoformat(stated["starts_at"]) == datetime.fromisoformat(TIMES[0])
    assert known.server.client.get(known.server.url + path[:-3]).status_code == 404


def test_what_a_link_did_is_undone_by_it_and_calendars_follow(known: Known) -> None:
    meeting = known.propose("expert")
    ((path,), _) = known.letter(known.notices("researcher")[-1])
    here, client = known.server.url + path, known.server.client

    def state() -> tuple[str, str | None]:
        one = done(known.server.ask("expert", "GET", f"/api/pairings/{known.pairing_id}/meetings"), 200)["items"][0]
        return one["state"], one["starts_at"]

    def pressed(place: str, status: int = 303, **form: str) -> None:
        assert client.post(here + place, data=form).status_code == status

    def looked_at(status: int = 200) -> str:
        for place in ("", "/undo", "/call-off"):
            client.get(here + place)
        page = client.get(here, headers={"Cookie": "gloria-lang=en"})
        assert page.status_code == status
        return page.text

    pressed("/undo", 409)
    pressed("", starts_at=TIMES[1])
    chosen = state()
    assert "Undo it, and choose another time" in looked_at()
    # Another link of the same meeting did nothing, and undoes nothing.
    ((other,), _) = known.letter(known.notices("company")[0])
    assert client.post(f"{known.server.url}{other}/undo").status_code == 409
    assert (chosen[0], state()) == ("agreed", chosen)
    pressed("/undo")
    assert state() == ("proposed", None)
    assert looked_at().count('name="starts_at"') == 2
    # Everybody's calendar takes out what was agreed; who may choose is asked again, who proposed is not.
    letters = {who: known.letter(known.notices(who)[-1]) for who in ("expert", "company", "researcher")}
    assert {who: len(links) for who, (links, _) in letters.items()} == {"expert": 0, "company": 1, "researcher": 1}
    assert {method for _, ((method, _),) in letters.values()} == {"CANCEL"}
    gone = event_of(letters["company"][1][0][1])
    assert gone.decoded("dtstart") == datetime.fromisoformat(TIMES[1])
    pressed("", starts_at=TIMES[0])
    anew = event_of(known.letter(known.notices("company")[-1])[1][0][1])
    assert (str(anew["uid"]), int(gone["sequence"]), int(anew["sequence"])) == (str(gone["uid"]), 1, 2)
    # Called off, it stands again; what was gone on from stays.
    pressed("/call-off")
    assert "You called it off." in looked_at()
    assert state()[0] == "called_off"
    pressed("/undo")
    assert state()[0] == "agreed"
    pressed("/undo", 409)
    pressed("/call-off")
    known.propose("company")
    looked_at(410)
    pressed("/undo", 410)
    assert meeting["can_take_back"] is False


def test_who_is_signed_in_undoes_what_they_pressed_themselves(known: Known) -> None:
    meeting = known.propose("expert")
    known.accept("company", meeting["id"], TIMES[0])
    back = f"/api/meetings/{meeting['id']}/taking-back"
    done(known.server.ask("researcher", "POST", back), 409)
    done(known.server.ask("rival", "POST", back), 404)
    with visiting(known.server, "company", "en") as somebody:
        page: Any = somebody.open(f"/conversations/{known.pairing_id}")
        page.get_by_role("button", name="Undo it, and choose another time", exact=True).click()
        expect(page.get_by_role("button", name="Choose this time").first).to_be_visible()
        page.get_by_role("button", name="None of them suits").click()
        page.get_by_role("button", name="Undo it", exact=True).click()
        expect(page.get_by_role("button", name="Choose this time").first).to_be_visible()
    assert done(known.server.ask("company", "POST", back), 409)["detail"]


def test_a_feed_shows_its_owner_their_meetings_and_nobody_else(known: Known) -> None:
    known.accept("company", known.propose("expert")["id"], TIMES[0])
    feeds = {}
    for who in ("company", "researcher", "expert", "colleague", "rival"):
        assert done(known.server.ask(who, "GET", "/api/me/calendar"), 200) == {"address": None}
        address = done(known.server.ask(who, "POST", "/api/me/calendar"), 200)["address"]
        path = address[address.index("/calendar/") :]
        answer = known.server.client.get(known.server.url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
        assert SECRET not in answer.text
        uids = {str(one["uid"]) for one in icalendar.Calendar.from_ical(answer.content).walk("VEVENT")}
        feeds[who] = (path, uids)
    mine = feeds["company"][1] & feeds["researcher"][1] & feeds["expert"][1]
    assert len(mine) >= 1
    # A colleague has the meetings of the own cases alone, another company none.
    assert (feeds["colleague"][1], feeds["rival"][1]) == (set(), set())
    # Renewed, the old address is void; ended, there is none; shut out, nobody is told anything.
    old, get = feeds["company"][0], known.server.client.get
    done(known.server.ask("company", "POST", "/api/me/calendar"), 200)
    assert get(known.server.url + old).status_code == 404
    done(known.server.ask("researcher", "DELETE", "/api/me/calendar"), 200)
    assert get(known.server.url + feeds["researcher"][0]).status_code == 404
    engine = open_engine(known.server.settings)
    for disabled, status in ((True, 404), (False, 200)):
        with writing(engine) as session:
            rival = known.server.accounts["rival"]
            set_disabled(session, account_id=rival, disabled=disabled, now=datetime.now(UTC))
        assert get(known.server.url + feeds["rival"][0]).status_code == status
    engine.dispose()


WORDS = {
    "zh-Hant": ("提出", "選擇這個時間", "已約定的會面", "建立網址"),
    "en": ("Propose", "Choose this time", "Agreed meetings", "Make an address"),
}


@pytest.mark.parametrize("lang", ["zh-Hant", "en"])
def test_in_pages_times_are_those_of_taipei(known: Known, lang: str) -> None:
    propose, choose, agreed, make = WORDS[lang]
    there = (NOW + timedelta(days=5)).astimezone(TAIPEI)
    with visiting(known.server, "company", lang) as somebody:
        page: Any = somebody.open(f"/conversations/{known.pairing_id}")
        page.locator("#f-time-1").fill(f"{there:%Y-%m-%dT%H:%M}")
        page.get_by_role("button", name=propose, exact=True).click()
    with visiting(known.server, "researcher", lang) as somebody:
        page = somebody.open(f"/conversations/{known.pairing_id}")
        page.get_by_role("button", name=choose).first.click()
        expect(page.locator(".meeting .stands")).to_contain_text(f"{there:%H:%M}")
        page = somebody.open("/calendar")
        expect(page.locator("#h-ahead")).to_have_text(agreed)
        assert page.get_by_role("button", name=make).count() + page.locator("#f-address").count() == 1
    stated = done(known.server.ask("expert", "GET", f"/api/pairings/{known.pairing_id}/meetings"), 200)["items"][0]
    assert datetime.fromisoformat(stated["starts_at"]) == there
