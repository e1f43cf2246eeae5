"""A need that an expert typed goes to its company by a link: shown to whom it was sent, confirmed or corrected."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import SQLModel, col

from api.app import STRANGERS_PER_MINUTE
from api.letters.conversation.confirming import PURPOSE
from api.letters.enclosing import ENCLOSURES
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, reading
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Notice
from tests.conftest import Databases
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

SECRET = "絕密製程"
ADDRESS = "lin@factory.example.com"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("confirm") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def done(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def need_id(server: Served) -> str:
    """A confidential need that an expert heard on the telephone and typed, and has taken up."""
    need = {
        "company": "co-1-1",
        "title": f"拋光 {SECRET}",
        "description": "移除率太低，每片九十分鐘",
        "asks": [{"kind": "technology", "text": "提高移除率"}],
        "confidentiality": "confidential",
    }
    made = done(server.ask("expert", "POST", "/api/needs", json=need), 201)["id"]
    done(server.ask("expert", "POST", f"/api/needs/{made}/take-up"), 200)
    return str(made)


def link(server: Served, need_id: str, now: datetime | None = None) -> str:
    """Return the path of the link that the newest letter has."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        query = select(Notice).where(Notice.reader == ADDRESS).order_by(col(Notice.id).desc())
        notice = session.execute(query).scalars().first()
        assert notice is not None
        assert (notice.kind, notice.facts) == ("need_to_confirm", {"need": need_id})
        signer = LinkSigner(server.settings.home)
        made = ENCLOSURES[NoticeKind.NEED_TO_CONFIRM](session, notice, signer, now or datetime.now(UTC))
    engine.dispose()
    return made.links[0].path


def ask(server: Served, need_id: str) -> str:
    body = {"address": ADDRESS}
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/confirmations", json=body), 201)
    return link(server, need_id)


def press(server: Served, path: str, status: int = 200, **form: str) -> str:
    answer = server.client.post(server.url + path, data=form, headers={"Cookie": "gloria-lang=en"})
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


def words(server: Served, need_id: str) -> list[tuple[str, list[str], bool]]:
    found = done(server.ask("expert", "GET", f"/api/needs/{need_id}/words"), 200)["items"]
    return [(one["word"], sorted(one["after"]), one["waits"]) for one in found]


def rows(server: Served) -> int:
    engine = open_engine(server.settings)
    with reading(engine) as session:
        tables = SQLModel.metadata.sorted_tables
        found = sum(session.execute(select(func.count()).select_from(one)).scalar_one() for one in tables)
    engine.dispose()
    return found


def test_the_need_is_shown_to_whom_the_link_was_sent_and_nobody_else(server: Served, need_id: str) -> None:
    path = ask(server, need_id)
    before = rows(server)
    for _ in range(3):
        page = server.client.get(server.url + path)
        assert (page.status_code, SECRET in page.text) == (200, False)
    assert rows(server) == before
    # Forwarded: whoever does not know the address sees nothing and says nothing.
    assert SECRET not in press(server, path, 403, address="mallory@example.org")
    assert SECRET not in press(server, f"{path}/word", 403, address="mallory@example.org", do="confirmed")
    assert SECRET not in press(server, f"{path}/word", 403, do="confirmed")
    assert words(server, need_id) == []
    assert SECRET in press(server, path, address=f" {ADDRESS.upper()} ")
    for bad, status in ((path[:-4], 404), (link(server, need_id, datetime.now(UTC) - timedelta(days=15)), 410)):
        assert SECRET not in press(server, bad, status, address=ADDRESS)
        press(server, f"{bad}/word", status, address=ADDRESS, do="confirmed")
    other = {"Sec-Fetch-Site": "cross-site"}
    form = {"address": ADDRESS, "do": "confirmed"}
    assert server.client.post(server.url + f"{path}/word", data=form, headers=other).status_code == 403
    assert words(server, need_id) == []
    # That somebody met the need stands in the trail that its company reads.
    seen = server.ask("company", "GET", f"/api/needs/{need_id}/seen")
    assert seen.status_code in (200, 404)


def test_the_address_can_not_be_guessed_by_trying(server: Served, need_id: str) -> None:
    path = ask(server, need_id)
    for number in range(STRANGERS_PER_MINUTE):
        press(server, path, 403, address=f"guess-{number}@factory.example.com")
    # Neither a wrong one nor the right one is looked at any more, in any way.
    for one in (path, f"{path}/word"):
        for address in ("guess@factory.example.com", ADDRESS):
            answer = server.client.post(server.url + one, data={"address": address, "do": "confirmed"})
            assert (answer.status_code, int(answer.headers["retry-after"]) in range(1, 61)) == (429, True)
    assert words(server, need_id) == []
    assert server.client.get(server.url + path).status_code == 200


def test_a_forwarded_link_tells_neither_its_reader_nor_the_need(server: Served, need_id: str) -> None:
    token = ask(server, need_id).rpartition("/")[2]
    secrets = [ADDRESS, ADDRESS.partition("@")[0], need_id]

    def told(content: bytes) -> list[str]:
        return [secret for secret in secrets if secret.encode() in content]

    assert told(urlsafe_b64decode(token + "=" * (-len(token) % 4))) == []
    # The control: they stand in what the seal closes over.
    claims = LinkSigner(server.settings.home).read(PURPOSE, token, now=datetime.now(UTC))
    assert told(repr(claims).encode()) == secrets


def test_a_correction_waits_for_the_expert_who_sees_both_versions(server: Served, need_id: str) -> None:
    path = ask(server, need_id)
    said = {"address": ADDRESS, "do": "corrected", "title": f"拋光 {SECRET}", "ask_kind": "technology"}
    said |= {"ask_text": "提高移除率", "description": "移除率太低，每片三十分鐘"}
    assert "nothing is changed" in press(
        server, f"{path}/word", 409, **{**said, "description": "移除率太低，每片九十分鐘"}
    )
    press(server, f"{path}/word", 422, **{**said, "deadline": "whenever"})
    press(server, f"{path}/word", **said)
    assert words(server, need_id) == [("corrected", ["description"], True)]
    stored = done(server.ask("expert", "GET", f"/api/needs/{need_id}"), 200)
    assert stored["description"] == "移除率太低，每片九十分鐘"
    # Taken back, and sent once more.
    press(server, f"{path}/word", address=ADDRESS, do="retracted")
    press(server, f"{path}/word", 409, address=ADDRESS, do="retracted")
    press(server, f"{path}/word", **said)
    for who, status in (("company", 403), ("stranger", 404), ("office", 403)):
        done(server.ask(who, "GET", f"/api/needs/{need_id}/words"), status)
    with visiting(server, "expert", "zh-Hant") as somebody:
        page: Any = somebody.open(f"/needs/{need_id}/words")
        versions = page.locator(".versions").first
        expect(versions.locator("del")).to_have_text("九")
        expect(versions.locator("ins")).to_have_text("三")
        page.get_by_role("button", name="採用").click()
    stored = done(server.ask("expert", "GET", f"/api/needs/{need_id}"), 200)
    assert (stored["description"], stored["state"]) == ("移除率太低，每片三十分鐘", "taken_up")
    assert [waits for _, _, waits in words(server, need_id)] == [False, False, False]
    settled_page = press(server, path, address=ADDRESS)
    assert ("Your correction is with your expert" in settled_page, "Undo it" in settled_page) == (True, False)
    number = done(server.ask("expert", "GET", f"/api/needs/{need_id}/words"), 200)["items"][0]["id"]
    settled = server.ask("expert", "POST", f"/api/needs/{need_id}/words/{number}/settlement", json={"taken": False})
    done(settled, 409)


def test_a_company_confirms_and_the_expert_is_told(server: Served, need_id: str) -> None:
    path = ask(server, need_id)
    assert "You confirmed the need." in press(server, f"{path}/word", address=ADDRESS, do="confirmed")
    assert words(server, need_id) == [("confirmed", [], False)]
    engine = open_engine(server.settings)
    with reading(engine) as session:
        told = session.execute(select(Notice).where(Notice.kind == "need_answered")).scalars().all()
        readers = {one.reader for one in told if one.facts["need"] == need_id}
    engine.dispose()
    assert readers == {server.accounts["expert"]}
    body = {"state": "closed"}
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/state", json=body), 200)
    assert SECRET not in press(server, path, 410, address=ADDRESS)
    press(server, f"{path}/word", 410, address=ADDRESS, do="confirmed")
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/confirmations", json={"address": ADDRESS}), 409)


def test_an_expert_changes_it_with_the_companys_consent(server: Served, need_id: str) -> None:
    path = f"/api/needs/{need_id}/agreed-version"
    agreed = {"description": "每片六十分鐘即可", "consent": "十一月二十日電話，林經理同意"}
    done(server.ask("company", "POST", path, json=agreed), 403)
    done(server.ask("stranger", "POST", path, json=agreed), 404)
    done(server.ask("expert", "POST", path, json={**agreed, "consent": " "}), 409)
    done(server.ask("expert", "POST", path, json={"consent": "電話"}), 409)
    (word,) = done(server.ask("expert", "POST", path, json=agreed), 201)["items"]
    assert (word["consent"], word["waits"], word["after"]) == (
        agreed["consent"],
        False,
        {"description": agreed["description"]},
    )
    assert done(server.ask("expert", "GET", f"/api/needs/{need_id}"), 200)["description"] == agreed["description"]
    with visiting(server, "expert", "en") as somebody:
        page: Any = somebody.open(f"/needs/{need_id}/words")
        page.locator("summary.button").click()
        page.locator("#f-title").fill(f"拋光太慢 {SECRET}")
        page.locator("#f-consent").fill(" ")
        page.get_by_role("button", name="Change it", exact=True).click()
        # It is not said how the company agreed: nothing is changed, and what was typed is there.
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.locator("#f-title").input_value() == f"拋光太慢 {SECRET}"
        page.locator("#f-consent").fill("以電子郵件確認")
        page.get_by_role("button", name="Change it", exact=True).click()
        expect(page.locator("article.word").first).to_contain_text("以電子郵件確認")
        expect(page.locator("article.word").first.locator("ins")).to_contain_text("太慢")
    assert done(server.ask("expert", "GET", f"/api/needs/{need_id}"), 200)["title"] == f"拋光太慢 {SECRET}"


def test_the_link_says_who_wrote_and_asks_what_is_open(server: Served, need_id: str) -> None:
    path = ask(server, need_id)
    headers = {"Cookie": "gloria-lang=en"}
    door = server.client.get(server.url + path, headers=headers).text
    assert ("甲聯盟" in door, "Your expert would also like to know" in door, SECRET in door) == (True, False, False)
    shown = server.client.post(server.url + path, data={"address": ADDRESS}, headers=headers).text
    assert "Whoever wrote it down: expert" in shown
    assert "Your expert would also like to know" in shown
    said = {"address": ADDRESS, "do": "corrected", "title": "拋光", "description": "化學機械拋光碳化矽，每小時兩微米"}
    corrected = server.client.post(f"{server.url}{path}/word", data=said, headers=headers).text
    assert ("What you said" in corrected, "每小時兩微米" in corrected, "Yes, that is right" in corrected) == (
        True,
        True,
        False,
    )
    with visiting(server, "expert", "en") as somebody:
        page: Any = somebody.open(f"/needs/{need_id}/words")
        expect(page.locator("section[aria-labelledby='h-ask']")).to_contain_text(f"Asked {ADDRESS} on")
