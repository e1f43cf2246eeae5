"""What would lift a lab is computed, not guessed; the lab is asked for it without learning of the need; it answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import Session, col

from api.letters.conversation.lab_asking import question_link
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, reading, writing
from indexer.encoders.embeddings import EmbeddingCache
from indexer.encoders.encoder import load_encoders
from indexer.index.building import overlaid
from indexer.records.passages import fingerprint, lab_passages
from indexer.records.profiles import Evidence
from indexer.settings import Settings
from matcher.notices.outbox import Letter, Notice
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.pairings import Matcher, UnknownRecordError
from matcher.review.conversation.lab_questions import LabQuestion, QuestionLateError, about_of, ask_lab, given_away
from matcher.review.proposals import StoredPairing
from matcher.teams.near_misses import NearMiss, near_misses, question_on
from tests.conftest import Databases
from tests.rig.servers.served import Served, served

LAB, ADDRESS = "lab-1-01", "head@lab.example.org"
SECRET = "絕密製程"
ASK = "以雷射切割鈦合金並監控翹曲"
LONG = "並在三個月內交出可量產的參數"
PATIENCE_S = 40


@pytest.fixture(scope="module")
def matcher(indexed_home: Path) -> Matcher:
    return Matcher.open(Settings(home=indexed_home, encoders="bundled-use"))


def further_down(matcher: Matcher, need_id: str, places: range) -> list[tuple[str, NearMiss]]:
    """Return the near misses of some labs of a need, those that something would lift."""
    need = matcher.needs[need_id]
    labs = [matcher.snapshot.lab_ids[row] for row in matcher.ranking(need).order[places.start : places.stop]]
    return [(lab_id, one) for lab_id in labs for one in near_misses(matcher, need, lab_id) if one.after is not None]


def with_evidence(matcher: Matcher, lab_id: str, text: str) -> Matcher:
    """Return the matcher as it is once a lab has one more piece of evidence, indexed as any other."""
    labs = dict(matcher.labs)
    piece = Evidence("e-new", "project", text, "", None, 1.0)
    labs[lab_id] = replace(labs[lab_id], evidence=(*labs[lab_id].evidence, piece))
    snapshot = overlaid(
        matcher.snapshot,
        known=matcher.snapshot,
        labs=labs,
        fingerprints={one: fingerprint(lab_passages(lab)) for one, lab in labs.items()},
        encoders=load_encoders(matcher.settings),
        cache=EmbeddingCache(matcher.settings.embeddings_path),
        watermark={},
    )
    catalogue = replace(matcher.catalogue, labs=labs)
    index = OpenedIndex.of(snapshot)
    return Matcher(settings=matcher.settings, index=index, catalogue=catalogue, queries=matcher.queries)


def test_the_lift_is_the_one_that_the_evidence_brings(matcher: Matcher) -> None:
    lifted = further_down(matcher, "need-1-01", range(4, 16))
    assert len(lifted) >= 4
    for lab_id, one in lifted[:: max(1, len(lifted) // 3)]:
        after = one.after
        assert after is not None
        need = matcher.needs["need-1-01"]
        other = with_evidence(matcher, lab_id, "、".join(one.enough))
        row = other.searcher.lab_rows[lab_id]
        ranking = other.ranking(need)
        shown = other.explained(ranking, [row], total=1).pairings[0]
        covered = shown.explanation.asks[one.ask - 1].covered
        assert (shown.rank, shown.band, covered) == (after.rank, after.band, after.covered)
        # The control: without it the lab stands where it is said to stand now.
        now = matcher.explained(matcher.ranking(need), [matcher.searcher.lab_rows[lab_id]], total=1).pairings[0]
        assert (now.rank, now.band) == (one.before.rank, one.before.band)
        assert now.explanation.asks[one.ask - 1].covered == one.before.covered


def test_the_statement_is_the_smallest_and_of_the_asks_words_alone(matcher: Matcher) -> None:
    looked = 0
    for need_id in ("need-1-01", "need-1-05"):
        need = matcher.needs[need_id]
        for lab_id, one in further_down(matcher, need_id, range(2, 12)):
            ask = need.asks[one.ask - 1].text
            assert set(one.enough) <= set(one.words)
            assert all(word in ask for word in one.words)
            both = question_on(one.enough)
            assert one.question in (both.zh, both.en)
            if len(one.enough) > 1:
                looked += 1
                for word in one.enough:
                    alone = with_evidence(matcher, lab_id, word)
                    row = alone.searcher.lab_rows[lab_id]
                    covered = alone.explained(alone.ranking(need), [row], total=1).pairings[0].explanation.asks
                    assert covered[one.ask - 1].covered == one.before.covered
                    if looked > 3:
                        break
    assert looked


def test_a_lab_that_covers_everything_misses_nothing(matcher: Matcher) -> None:
    need = matcher.needs["need-1-01"]
    whole = replace(need, asks=())
    assert near_misses(matcher, whole, LAB) == ()
    with pytest.raises(UnknownRecordError):
        near_misses(matcher, need, "lab-none")


def test_the_command_says_what_would_lift_a_lab(gloria: Any, indexed_home: Path) -> None:
    found = gloria("--lang", "en", "match", "need-1-01", "--lab", LAB, "--json", home=indexed_home)
    assert found.code == 0, found.err
    assert {one["ask"] for one in found.document["near_misses"]} <= {1, 2, 3}
    told = gloria("--lang", "en", "match", "need-1-01", "--lab", LAB, home=indexed_home)
    assert "What would lift it" in told.out
    both = gloria("match", "need-1-01", "--lab", LAB, "--company", "co-1-1", home=indexed_home)
    assert both.code == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("請問貴實驗室是否有「雷射切割」方面的佐證？", []),
        ("甲公司想知道是否有雷射切割的佐證", ["甲公司"]),
        ("請問有沒有辦法把每片九十分鐘的製程縮短一半？", ["把每片九十分鐘的製程"]),
        ("ＡＢ１２ 的雷射切割", ["AB12"]),
        ("evidence on wavelengths, weight and lab12", []),
    ],
)
def test_a_text_that_gives_the_need_away_is_known(text: str, found: list[str]) -> None:
    texts = ["我們想把每片九十分鐘的製程縮短一半，並以雷射切割"]
    assert given_away(text, names=["甲公司", "AB12", "GT"], texts=texts, words=["雷射切割"]) == found


@dataclass
class Here:
    """A confidential need, the pairing of a lab with it that does not cover its ask, and the server."""

    server: Served
    need_id: str
    pairing_id: int

    def missing(self) -> dict[str, Any]:
        return dict(done(self.server.ask("expert", "GET", f"/api/pairings/{self.pairing_id}/near-misses"), 200))

    def put(self, status: int = 201, who: str = "expert", **more: Any) -> Any:
        one = self.missing()["near_misses"][0]
        body = {"ask": 1, "words": one["enough"] or one["words"], "text": one["question"], "confirmed": True, **more}
        return done(self.server.ask(who, "POST", f"/api/pairings/{self.pairing_id}/lab-questions", json=body), status)

    def link(self, reader: str, now: datetime | None = None) -> str:
        """Return the path of the newest link that a letter to this reader has."""
        with self.session() as session:
            query = select(Notice).where(Notice.reader == self.server.accounts.get(reader, reader))
            newest = query.where(Notice.kind.in_(["lab_asked", "link_answered"])).order_by(col(Notice.id).desc())  # type: ignore[attr-defined]
            notice = session.execute(newest).scalars().first()
            assert notice is not None
            assert "need" not in notice.facts
            _, path = question_link(notice, LinkSigner(self.server.settings.home), now or datetime.now(UTC))
        return path

    def session(self) -> Any:
        return reading(open_engine(self.server.settings))

    def get(self, path: str, status: int = 200) -> str:
        answer = self.server.client.get(self.server.url + path, headers={"Cookie": "gloria-lang=en"})
        assert answer.status_code == status, answer.text
        assert SECRET not in answer.text
        return answer.text

    def press(self, path: str, status: int = 303, **form: str) -> str:
        cookies = {"Cookie": "gloria-lang=en"}
        answer = self.server.client.post(self.server.url + path, data=form, headers=cookies)
        assert answer.status_code == status, answer.text
        assert SECRET not in answer.text
        return answer.text

    def told(self, reader: str, kind: str) -> list[str]:
        with self.session() as session:
            query = select(Notice.facts).where(Notice.reader == self.server.accounts[reader], Notice.kind == kind)
            return [facts.get("word", "") for facts in session.execute(query.order_by(col(Notice.id))).scalars()]

    def letters(self) -> int:
        with self.session() as session:
            return int(session.execute(select(func.count()).select_from(Letter)).scalar_one())


def done(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("lacks") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def here_for(server: Served, ask: str, lab_id: str = LAB) -> Here:
    need = {
        "company": "co-1-1",
        "title": f"切割 {SECRET}",
        "description": f"每片九十分鐘的製程要縮短一半 {SECRET}",
        "asks": [{"kind": "technology", "text": ask}],
        "confidentiality": "confidential",
    }
    need_id = done(server.ask("expert", "POST", "/api/needs", json=need), 201)["id"]
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/take-up"), 200)
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}), 200)
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == lab_id)
    return Here(server, need_id, shown["pairing_id"])


def test_what_gives_the_need_away_does_not_leave(server: Served) -> None:
    here = here_for(server, f"{ASK}，{LONG}")
    found = here.missing()
    assert found["must_confirm"]
    assert found["has_reader"]
    (one,) = found["near_misses"]
    assert set(one["words"]) == {"雷射切割", "鈦合金", "翹曲"}
    assert one["after"]["rank"] <= one["before"]["rank"]
    assert SECRET not in one["question"]
    assert here.put(422, confirmed=False)["field"] == "confirmed"
    for text in (f"為了 切割 {SECRET}", "每片九十分鐘的製程要縮短一半，可以嗎", f"關於{here.need_id}"):
        assert here.put(422, text=text)["field"] == "text"
    # Nor is a piece of the ask excused by calling it a word.
    assert here.put(422, text=f"請問：{LONG}", words=[LONG])["field"] == "text"
    company = next(
        one["name"]
        for one in done(server.ask("expert", "GET", "/api/companies"), 200)["items"]
        if one["id"] == "co-1-1"
    )
    assert here.put(422, text=f"{company}想請問雷射切割")["field"] == "text"
    assert here.told("researcher", "lab_asked") == []
    # The card leads to it, and says who sees what before anything is sent.
    place = f"/needs/{here.need_id}/pairings/{here.pairing_id}/missing"
    assert place in server.ask("expert", "GET", f"/needs/{here.need_id}/ranked?top=100").text
    page = server.ask("expert", "GET", place, headers={"Cookie": "gloria-lang=en"}).text
    assert one["question"] in page
    assert 'name="confirmed"' in page
    assert "The lab does not see the company" in page
    assert server.ask("colleague", "GET", f"/needs/need-1-01/pairings/{here.pairing_id}/missing").status_code == 404


def test_a_lab_answers_confirms_and_is_found(server: Served) -> None:
    here = here_for(server, ASK)
    before = here.missing()["near_misses"][0]["before"]
    (item,) = here.put()["items"]
    assert (item["was_sent"], item["word"]) == (True, None)
    # What the lab has: the question, who asks, and nothing of a need; the mail has not even the question.
    (asked,) = done(server.ask("researcher", "GET", f"/api/labs/{LAB}/questions"), 200)["items"]
    assert (asked["text"], asked["expert"], asked["alliance"]) == (item["text"], "expert", "甲聯盟")
    assert not {SECRET, here.need_id, "co-1-1"} & set(str(asked).split("'"))
    pages = [
        server.ask("researcher", "GET", path).text
        for path in (f"/my-lab/{LAB}", f"/my-lab/{LAB}/questions/{item['id']}")
    ]
    assert [(item["text"] in page, SECRET in page, here.need_id in page) for page in pages] == [
        (True, False, False)
    ] * 2
    mail = mail_to(server, "researcher@example.org", "asks whether your lab has evidence")
    assert SECRET not in mail
    assert "雷射切割" not in mail
    assert here.need_id not in mail
    # Others of the alliance, of another, and of another lab.
    assert server.ask("other_researcher", "GET", f"/api/labs/{LAB}/questions").status_code == 404
    path = f"/api/lab-questions/{item['id']}"
    body = {"word": "evidence", "title": "鈦合金雷射切割之翹曲監控", "kind": "project", "year": "2025"}
    assert server.ask("other_researcher", "PUT", f"{path}/answer", json=body).status_code == 404
    assert done(server.ask("researcher", "PUT", f"{path}/answer", json={"word": "evidence"}), 422)["field"] == "title"
    said = done(server.ask("researcher", "PUT", f"{path}/answer", json=body), 200)
    assert (said["waits"], said["work"]["title"]) == (True, body["title"])
    lab = done(server.ask("researcher", "GET", f"/api/labs/{LAB}"), 200)
    assert body["title"] not in {one["title"] for one in lab["evidence"]}
    done(server.ask("researcher", "POST", f"{path}/confirmation"), 201)
    assert server.ask("researcher", "POST", f"{path}/confirmation").status_code == 409
    assert server.ask("researcher", "DELETE", f"{path}/answer").status_code == 409
    lab = done(server.ask("researcher", "GET", f"/api/labs/{LAB}"), 200)
    assert body["title"] in {one["title"] for one in lab["evidence"]}
    assert here.told("expert", "lab_said") == ["evidence", "confirmed"]
    until = time.monotonic() + PATIENCE_S
    while here.missing()["near_misses"] and time.monotonic() < until:
        time.sleep(0.2)
    after = done(server.ask("expert", "GET", f"/api/needs/{here.need_id}/matches", params={"top": 100}), 200)
    shown = next(one for one in after["pairings"] if one["lab_id"] == LAB)
    assert shown["explanation"]["asks"][0]["covered"] == "yes"
    assert shown["rank"] < before["rank"]
    assert here.missing()["questions"][0]["word"]["word"] == "confirmed"


def mail_to(server: Served, address: str, words: str) -> str:
    """Return the newest mail to an address that says some words, waiting for it to leave."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for path in sorted(server.settings.mail_path.glob("*.eml"), reverse=True):
            message: Any = message_from_bytes(path.read_bytes(), policy=policy.default)
            plain = str(message.get_body(("plain",)).get_content())
            if message["To"] == address and words in plain:
                return str(message["Subject"]) + plain
        time.sleep(0.2)
    raise AssertionError(f"no mail to {address} says {words}")


def test_a_link_answers_shows_nothing_of_the_need_and_is_undone(server: Served) -> None:
    here = here_for(server, "以放電加工鎂合金並監控粗糙度")
    (item,) = here.put()["items"]
    path = here.link("researcher")
    for _ in range(2):
        page = here.get(path)
        assert item["text"] in page
        assert here.need_id not in page
    assert here.missing()["questions"][0]["word"] is None
    here.press(path, 422, word="evidence")
    here.press(path, word="text", note="正在整理")
    here.press(path, 409, word="none")
    assert "正在整理" in here.get(path)
    # Whoever it was sent to is told, with a link that undoes it.
    assert here.told("researcher", "link_answered")[-1] == "text"
    here.press(here.link("researcher") + "/undo")
    here.press(path, word="evidence", title="鎂合金放電加工", kind="project")
    # Evidence that came by a link is the lab's only when somebody signed in says so.
    lab = done(server.ask("researcher", "GET", f"/api/labs/{LAB}"), 200)
    assert "鎂合金放電加工" not in {one["title"] for one in lab["evidence"]}
    assert here.told("expert", "lab_said")[-3:] == ["text", "retracted", "evidence"]
    assert here.get(path[:-3], 404)
    late = here.link("researcher", datetime.now(UTC) - timedelta(days=61))
    here.get(late, 410)
    here.press(late, 410, word="none")
    cross = server.client.post(server.url + path + "/undo", headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 403


def test_the_same_is_not_sent_twice_and_all_who_asked_hear(server: Served) -> None:
    ask = "以濺鍍鍍膜處理不鏽鋼"
    first, second = here_for(server, ask), here_for(server, ask)
    (item,) = first.put()["items"]
    sent = first.letters()
    assert first.put(409)["type"].endswith("question-late")
    assert second.missing()["near_misses"][0]["asked_at"] is not None
    (again,) = second.put()["items"]
    assert (again["was_sent"], first.letters()) == (False, sent)
    before = len(first.told("expert", "lab_said"))
    done(server.ask("researcher", "PUT", f"/api/lab-questions/{item['id']}/answer", json={"word": "none"}), 200)
    assert (
        server.ask("researcher", "PUT", f"/api/lab-questions/{again['id']}/answer", json={"word": "none"}).status_code
        == 404
    )
    assert first.told("expert", "lab_said")[before:] == ["none", "none"]
    assert second.missing()["questions"][0]["word"]["word"] == "none"


def test_a_lab_without_an_account_is_asked_at_an_address(server: Served) -> None:
    here = here_for(server, "以育種改良烏龍並監控毒性", "lab-1-07")
    assert not here.missing()["has_reader"]
    assert here.put(422)["field"] == "address"
    here.put(address=ADDRESS)
    path = here.link(ADDRESS)
    assert "h…@lab.example.org" in here.get(path)
    here.press(path, word="none")
    assert here.missing()["questions"][0]["word"]["word"] == "none"
    # Whom an interest binds, and who works on other needs, neither reads nor asks.
    for who in ("stranger", "office", "company", "researcher"):
        read = server.ask(who, "GET", f"/api/pairings/{here.pairing_id}/near-misses")
        assert read.status_code in (403, 404), who
        assert SECRET not in read.text


def test_two_who_ask_at_once_send_one_question(server: Served) -> None:
    here = here_for(server, "以蒸鍍處理陶瓷並量測純度")
    engine = open_engine(server.settings)
    with writing(engine) as session:
        pairing = session.get_one(StoredPairing, here.pairing_id)
        given: dict[str, Any] = {
            "pairing": pairing, "ask": 1, "words": ["蒸鍍"], "text": "有蒸鍍的佐證嗎", "reader": None,
            "by": server.accounts["expert"], "now": datetime.now(UTC),
        }  # fmt: skip
        one = ask_lab(session, alliance_id="al-a", **given)
        other = ask_lab(session, alliance_id="al-b", **{**given, "text": "請問蒸鍍"})
        assert (one.same_as, other.same_as) == (None, one.id)
        with pytest.raises(QuestionLateError):
            ask_lab(session, alliance_id="al-b", **given)
        assert _count(session, about_of(["蒸鍍"], "")) == 2
        session.rollback()
    engine.dispose()


def _count(session: Session, about: str) -> int:
    return len(session.execute(select(LabQuestion.id).where(LabQuestion.about == about)).all())
