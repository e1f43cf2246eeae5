"""Company and lab answer, ask and change their minds, each reading its own side only; the expert acts on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.settings import Settings
from matcher.review.cases import INTRODUCED_STAGES, Stage
from matcher.review.conversation.answers import SideWord
from matcher.review.conversation.standing import TOLD, TalkState, standing_of
from matcher.review.conversation.thread import Side, called_upon
from tests.conftest import Databases
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import Visitor, expect, visiting

LAB = "lab-1-01"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("answers") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


@dataclass
class Talk:
    """A confidential need of the company and its pairing with the researcher's lab."""

    server: Served
    need_id: str
    pairing_id: int
    proposal_id: int
    case_id: int = 0

    def at(self, who: str, status: int = 200) -> Any:
        return done(self.server.ask(who, "GET", f"/api/pairings/{self.pairing_id}/conversation"), status)

    def answer(self, who: str, status: int = 200, **said: str) -> Any:
        return done(self.server.ask(who, "PUT", f"/api/pairings/{self.pairing_id}/answer", json=said), status)

    def take_back(self, who: str, status: int = 200) -> Any:
        return done(self.server.ask(who, "DELETE", f"/api/pairings/{self.pairing_id}/answer"), status)

    def write(self, who: str, audience: str, text: str, status: int = 201) -> Any:
        body = {"audience": audience, "text": text}
        return done(self.server.ask(who, "POST", f"/api/pairings/{self.pairing_id}/messages", json=body), status)

    def release(self) -> None:
        done(self.server.ask("expert", "PUT", f"/api/pairings/{self.pairing_id}/release"), 200)

    def accept(self) -> None:
        word = {"verdict": "accept", "proposal_id": self.proposal_id}
        answer = self.server.ask("expert", "POST", f"/api/pairings/{self.pairing_id}/decision", json=word)
        self.case_id = int(done(answer, 201)["case_id"])

    def move(self, stage: str) -> None:
        done(self.server.ask("expert", "POST", f"/api/cases/{self.case_id}/transition", json={"stage": stage}), 200)


def done(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def talk(server: Served) -> Talk:
    need = {
        "title": "碳化矽拋光",
        "description": "矽面移除率太低，希望拋光液配方",
        "asks": [{"kind": "technology", "text": "提高移除率的拋光液"}],
        "confidentiality": "confidential",
    }
    need_id = done(server.ask("company", "POST", "/api/needs", json=need), 201)["id"]
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/take-up"), 200)
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}), 200)
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    return Talk(server, need_id, shown["pairing_id"], shown["proposal_id"])


def waiting(server: Served, pairing_id: int) -> list[tuple[str, str | None]]:
    queue = done(server.ask("expert", "GET", "/api/queue", params={"limit": 100}), 200)
    return [(one["side"], one["word"]) for one in queue["answers"] if one["pairing_id"] == pairing_id]


def test_a_company_answers_what_was_released_to_it_and_a_lab_what_it_was_introduced_to(talk: Talk) -> None:
    # Before the release there is nothing to answer, for anybody.
    talk.answer("company", 404, word="interested")
    talk.release()
    assert talk.at("company")["words"] == ["interested", "not_this_one", "has_a_question"]
    talk.at("researcher", 404)
    talk.at("rival", 404)
    talk.at("stranger", 404)
    talk.at("office", 403)
    talk.answer("expert", 403, word="interested")
    talk.answer("company", 422, word="willing")
    assert talk.answer("company", word="interested")["word"] == "interested"
    assert waiting(talk.server, talk.pairing_id) == [("company", "interested")]
    # A change of mind, for a reason, and back again: all of it is kept.
    talk.answer("company", 422, word="not_this_one")
    talk.answer("company", 422, word="not_this_one", reason="other")
    talk.answer("company", word="not_this_one", reason="too_far", note="在台南")
    assert talk.take_back("company")["word"] is None
    talk.take_back("company", 409)
    talk.answer("company", word="interested")
    said = [(one["word"], one["reason"], one["note"]) for one in talk.at("expert")["answers"]]
    assert said == [
        ("interested", None, ""),
        ("not_this_one", "too_far", "在台南"),
        ("retracted", None, ""),
        ("interested", None, ""),
    ]
    talk.accept()
    talk.move("introduced")
    # It was acted on: what the company said stands now, and the lab is asked.
    talk.answer("company", 409, word="not_this_one", reason="too_far")
    assert waiting(talk.server, talk.pairing_id) == []
    asked = talk.at("researcher")
    assert (asked["words"], asked["answers"], asked["case_id"]) == (["willing", "not_now", "declined"], [], None)
    talk.answer("researcher", word="declined", reason="no_capacity", note="今年滿了")
    assert waiting(talk.server, talk.pairing_id) == [("lab", "declined")]
    company = talk.at("company")
    assert (company["standing"], company["told"]["en"]) == (
        "declined",
        "The lab can't take it up. Your expert looks further.",
    )
    assert "今年滿了" not in str(company)
    assert "在台南" not in str(talk.at("researcher"))
    talk.answer("researcher", word="willing")
    talk.move("meeting")
    talk.answer("researcher", 409, word="not_now")


def test_what_is_written_to_one_side_the_other_never_reads(talk: Talk) -> None:
    talk.release()
    talk.answer("company", word="has_a_question", note="公司問")
    assert waiting(talk.server, talk.pairing_id) == [("company", None)]
    talk.write("company", "both", "太早", 422)
    talk.write("expert", "lab", "太早", 422)
    talk.write("company", "internal", "不是同仁", 422)
    talk.write("expert", "company", "專家回公司")
    assert waiting(talk.server, talk.pairing_id) == []
    noted = talk.write("expert", "internal", "@colleague 幫我看一下；@stranger 不在本聯盟")
    assert [one["mentioned"] for one in noted["messages"]] == [[], [], ["colleague"]]
    talk.accept()
    talk.move("introduced")
    talk.write("expert", "lab", "專家問實驗室")
    talk.write("researcher", "lab", "實驗室回專家")
    talk.write("researcher", "both", "實驗室問公司")
    read = {who: [one["text"] for one in talk.at(who)["messages"]] for who in ("company", "researcher", "colleague")}
    assert read == {
        "company": ["公司問", "專家回公司", "實驗室問公司"],
        "researcher": ["專家問實驗室", "實驗室回專家", "實驗室問公司"],
        "colleague": [
            "公司問",
            "專家回公司",
            "@colleague 幫我看一下；@stranger 不在本聯盟",
            "專家問實驗室",
            "實驗室回專家",
            "實驗室問公司",
        ],
    }
    assert talk.at("researcher")["colleagues"] == talk.at("company")["colleagues"] == []
    assert waiting(talk.server, talk.pairing_id) == [("lab", None)]


def test_a_lab_that_is_no_longer_released_is_no_longer_spoken_of(talk: Talk) -> None:
    talk.release()
    talk.write("company", "company", "好")
    done(talk.server.ask("expert", "DELETE", f"/api/pairings/{talk.pairing_id}/release"), 200)
    talk.at("company", 404)
    talk.write("company", "company", "還在嗎", 404)
    assert [one["text"] for one in talk.at("expert")["messages"]] == ["好"]


def test_every_state_is_told_to_everybody_who_knows_of_it_in_their_own_words() -> None:
    assert set(TOLD) == set(TalkState)
    cells = [(state, side) for state in TalkState for side in Side]
    unknown = [(state, side) for state, side in cells if TOLD[state][side] is None]
    early = [state for state in TalkState if state in list(TalkState)[: list(TalkState).index(TalkState.INTRODUCED)]]
    # A lab is told nothing before it was introduced, a company nothing before a lab was shown to it.
    assert unknown == sorted(
        [(TalkState.CONSIDERED, Side.COMPANY), *((state, Side.LAB) for state in early)], key=cells.index
    )
    told = [str(TOLD[state][side]) for state, side in cells if TOLD[state][side] is not None]
    assert len(set(told)) == len(told)
    signed = TOLD[TalkState.SIGNED][Side.COMPANY]
    assert signed is not None
    assert signed.en == "Your cooperation with this lab is signed."
    # Every stage and word leads to one of them, and a side's word never hides that the case has gone on.
    words = (None, *SideWord)
    for stage in INTRODUCED_STAGES[1:]:
        reached = {
            standing_of(stage=stage, released=released, company=company, lab=lab)
            for released in (True, False)
            for company in words
            for lab in words
        }
        assert reached == {TalkState(stage.value)}
    assert standing_of(stage=Stage.ACCEPTED, released=True, company=SideWord.NOT_THIS_ONE) is TalkState.ACCEPTED


def test_colleagues_are_called_by_their_whole_names() -> None:
    names = {"a": "王小明", "b": "王小", "c": "Ann", "d": "Ann"}
    assert called_upon("@王小明 看", names) == ["a"]
    assert called_upon("@王小 與 ＠Ann", names) == ["b", "c", "d"]
    assert called_upon("王小明 @@ @李", names) == []


WORDS = {
    "zh-Hant": {
        "interested": "有興趣",
        "stood": "您有興趣，接下來由專家聯繫實驗室。",
        "question": "有問題想問 …",
        "send": "送出問題",
        "willing": "願意承接",
        "chip": "企業：有興趣",
        "desk": "企業：有興趣",
        "said": "有興趣",
        "signed": "您與這間實驗室的合作已簽約。",
    },
    "en": {
        "interested": "We are interested",
        "stood": "You are interested. Your expert speaks to the lab next.",
        "question": "We have a question …",
        "send": "Send the question",
        "willing": "Yes, I would take it up",
        "chip": "company: interested",
        "desk": "Company: interested",
        "said": "interested",
        "signed": "Your cooperation with this lab is signed.",
    },
}


@pytest.mark.parametrize("lang", ["zh-Hant", "en"])
def test_in_pages_the_company_the_lab_and_the_expert_speak(server: Served, talk: Talk, lang: str) -> None:
    words = WORDS[lang]
    talk.release()
    with visiting(server, "company", lang) as somebody:
        _company_answers(somebody, talk, words)
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open("/desk")
        assert page.locator("li[data-task='answer']").filter(has_text=words["desk"]).count() >= 1
        page = somebody.open(f"/needs/{talk.need_id}/pairings/{talk.pairing_id}")
        expect(page.get_by_text(words["chip"])).to_be_visible()
    talk.accept()
    talk.move("introduced")
    with visiting(server, "researcher", lang) as somebody:
        page = somebody.open(f"/my-lab/{LAB}")
        page.locator(f"a.button[href='/conversations/{talk.pairing_id}']").click()
        page.get_by_role("button", name=words["willing"]).click()
        expect(page.get_by_role("button", name=words["willing"])).to_be_disabled()
    for stage in ("meeting", "negotiating", "signed"):
        talk.move(stage)
    with visiting(server, "company", lang) as somebody:
        page = somebody.open(f"/company/needs/{talk.need_id}")
        expect(page.locator("section[aria-labelledby='h-state'] strong")).to_have_text(words["signed"])
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/cases/{talk.case_id}")
        expect(page.locator("section[aria-labelledby='h-talk'] dl")).to_contain_text(words["said"])


def _company_answers(somebody: Visitor, talk: Talk, words: dict[str, str]) -> None:
    page: Any = somebody.open(f"/company/needs/{talk.need_id}")
    page.get_by_role("button", name=words["interested"]).click()
    expect(page.locator(".stands")).to_have_text(words["stood"])
    page.locator("summary", has_text=words["question"]).click()
    page.locator("textarea[name='note']").last.fill("八吋可以嗎？")
    page.get_by_role("button", name=words["send"]).click()
    expect(page.locator(".message.own .text")).to_have_text("八吋可以嗎？")
    page.get_by_role("button", name=words["interested"]).click()


FILE_WORDS = {
    "zh-Hant": {
        "attach": "附加",
        "attached": "檔案已附加。",
        "wrong": "檔案內容與副檔名不符",
        "remove": "移除",
        "gone": "檔案已移除。",
    },
    "en": {
        "attach": "Attach",
        "attached": "The file is attached.",
        "wrong": "the file is not what its name says",
        "remove": "Take it away",
        "gone": "The file is taken away.",
    },
}


@pytest.mark.parametrize("lang", ["zh-Hant", "en"])
def test_in_pages_files_are_attached_downloaded_and_taken_away(server: Served, talk: Talk, lang: str) -> None:
    words = FILE_WORDS[lang]
    talk.release()
    talk.accept()
    talk.move("introduced")
    with visiting(server, "company", lang) as somebody:
        page: Any = somebody.open(f"/needs/{talk.need_id}/files")
        _attach(page, words, "規格.pdf", b"not a PDF")
        expect(page.locator("[role='alert']")).to_contain_text(words["wrong"])
        _attach(page, words, "規格.pdf", b"%PDF-1.7")
        expect(page.locator("#notice, .notice.good").first).to_contain_text(words["attached"])
        page = somebody.open(f"/conversations/{talk.pairing_id}")
        page.locator("form[action='/attachments'] select[name='audience']").select_option("both")
        _attach(page, words, "圖面.pdf", b"%PDF-2.0")
        expect(page.locator("#files li")).to_have_count(1)
    with visiting(server, "researcher", lang) as somebody:
        page = somebody.open(f"/needs/{talk.need_id}/files")
        expect(page.locator("form[action='/attachments']")).to_have_count(0)
        expect(page.locator(".files a")).to_have_text("規格.pdf")
        got = page.locator(".files a").fetched()
        assert (got.content, got.headers["content-disposition"].split(";")[0]) == (b"%PDF-1.7", "attachment")
        page = somebody.open(f"/conversations/{talk.pairing_id}")
        expect(page.locator("#files .files a")).to_have_text("圖面.pdf")
        expect(page.locator("#files").get_by_role("button", name=words["remove"])).to_have_count(0)
    with visiting(server, "expert", lang) as somebody:
        page = somebody.open(f"/conversations/{talk.pairing_id}")
        page.locator("#files").get_by_role("button", name=words["remove"]).click()
        expect(page.locator("#notice, .notice.good").first).to_contain_text(words["gone"])
        expect(page.locator("#files .files a")).to_have_count(0)


def _attach(page: Any, words: dict[str, str], name: str, content: bytes) -> None:
    sent = {"name": name, "mimeType": "application/pdf", "buffer": content}
    page.locator("form[action='/attachments'] input[type='file']").set_input_files(sent)
    page.locator("form[action='/attachments']").get_by_role("button", name=words["attach"]).click()
