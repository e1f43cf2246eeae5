"""A shortlist: chosen by hand, in three formats and by links, with nothing in it that is not its company's to read."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from playwright.sync_api import Browser
from pypdfium2 import PdfDocument
from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE
from sqlmodel import col, update

from indexer.database import open_engine, reading, writing
from indexer.instants import now
from indexer.settings import Settings
from matcher.handouts.shortlists import ShortlistLink
from matcher.ranking.ranker import Band
from matcher.review.proposals import Proposal
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting
from tests.rig.worlds.planted_secrets import Search, latin, told

LABS = ["lab-1-02", "lab-1-01"]
WORDS = "林經理您好：這兩間實驗室值得一見。\n\n下週四下午可以安排。"
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"><path d="M0 0H20V10H0Z" fill="#0b4f6c"/></svg>'
FORMATS = ("pdf", "docx", "eml")
LANGUAGES = ("zh", "en", "both")


class Left:
    """A server after the history with its telltales, and a shortlist for the confidential need."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self.history = told(server)
        self.search = Search(self.history.words)
        self.need, self.shared = self.history.ids["need_id"][:2]
        page = self.done("expert", "GET", f"/api/needs/{self.shared}/matches", params={"top": 5})
        # The first was rejected there.
        self.for_shared = [one["lab_id"] for one in page["pairings"] if one["state"] != "rejected"][:2]
        self.id = self.made(names_need=False)

    def done(self, who: str, method: str, path: str, **more: Any) -> Any:
        answer = self.server.ask(who, method, path, **more)
        assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
        return answer.json()

    def made(self, *, names_need: bool, need: str | None = None, labs: list[str] = LABS) -> int:
        body = {"labs": labs, "words": WORDS, "names_need": names_need}
        found: int = self.done("expert", "POST", f"/api/needs/{need or self.need}/shortlists", json=body)["id"]
        return found

    def file(self, shortlist_id: int, form: str, lang: str) -> str:
        """Return all text that a file holds."""
        path = f"/api/shortlists/{shortlist_id}/file"
        answer = self.server.ask("expert", "GET", path, params={"format": form, "lang": lang})
        assert answer.status_code == 200, answer.text
        return text_of(answer.content, form)

    def link(self, shortlist_id: int, language: str = "zh", days: int = 14) -> dict[str, Any]:
        body = {"language": language, "days": days}
        found: dict[str, Any] = self.done("expert", "POST", f"/api/shortlists/{shortlist_id}/links", json=body)
        return found

    def met(self, content: str) -> set[str]:
        """Return which secrets lie in a text, but the address of the liaison, which is there for the company."""
        assert "expert@example.org" in content
        return self.search.found(content.encode()) - {"liaisonaddress"}


def text_of(content: bytes, form: str) -> str:
    """Return all text of a file, with what only a program reads."""
    if form == "pdf":
        read = PdfDocument(content)
        pages = [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in read]
        return "\n".join([*pages, *read.get_metadata_dict().values()])
    if form == "docx":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return "\n".join(packed.read(name).decode("utf-8", "replace") for name in packed.namelist())
    message = message_from_bytes(content, policy=policy.default)
    parts = [str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"]
    return "\n".join([*(f"{name}: {value}" for name, value in message.items()), *parts])


@pytest.fixture(scope="module")
def left(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("shortlists") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield Left(server)


def _scores(left: Left) -> list[str]:
    engine = open_engine(left.server.settings)
    with reading(engine) as session:
        found = [f"{score:.2f}" for score in session.connection().execute(Proposal.__table__.select()).scalars("score")]  # type: ignore[attr-defined]
    engine.dispose()
    assert len(found) > 10
    return found


def test_no_file_says_what_is_not_the_companys(left: Left) -> None:
    scores = _scores(left)
    named = left.made(names_need=True)
    of_shared = left.made(names_need=False, need=left.shared, labs=left.for_shared)
    for form in FORMATS:
        for lang in LANGUAGES:
            silent, naming = left.file(left.id, form, lang), left.file(named, form, lang)
            assert (form, lang, left.met(silent)) == (form, lang, set())
            # The control: where the expert lets it be named, its title and what it asks for stand there, no more.
            assert (form, lang, left.met(naming)) == (form, lang, {"title", "ask"})
            assert left.met(left.file(of_shared, form, lang)) == set()
            for content in (silent, naming):
                assert [one for one in (*scores, *(band.value for band in Band)) if f" {one}" in content] == []
                assert [lab_id for lab_id in LABS if lab_id in content] == []
    assert "林經理您好" in left.file(left.id, "eml", "en")


def _pictures(left: Left, form: str) -> int:
    """Return how many pictures a file holds."""
    path = f"/api/shortlists/{left.id}/file"
    content = left.server.ask("expert", "GET", path, params={"format": form, "lang": "zh"}).content
    if form == "pdf":
        return sum(one.type == FPDF_PAGEOBJ_IMAGE for page in PdfDocument(content) for one in page.get_objects())
    if form == "docx":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            return sum(name.startswith("word/media/") for name in packed.namelist())
    return sum(part.get_content_maintype() == "image" for part in message_from_bytes(content).walk())


def test_the_logo_of_the_alliance_stands_on_it(left: Left) -> None:
    logo = {"content": base64.b64encode(LOGO).decode()}
    before = {form: _pictures(left, form) for form in FORMATS}
    assert left.server.ask("lead", "PUT", "/api/alliances/al-a/logo", json=logo).status_code == 200
    assert {form: _pictures(left, form) - before[form] for form in FORMATS} == dict.fromkeys(FORMATS, 1)
    assert left.server.ask("lead", "DELETE", "/api/alliances/al-a/logo").status_code == 200
    assert {form: _pictures(left, form) for form in FORMATS} == before


def test_a_draft_is_no_mail_that_was_sent(left: Left) -> None:
    answer = left.server.ask("expert", "GET", f"/api/shortlists/{left.id}/file", params={"format": "eml"})
    message = message_from_bytes(answer.content, policy=policy.default)
    assert (message["X-Unsent"], message["To"], message.get_content_type()) == ("1", None, "multipart/alternative")
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["From"].addresses[0].addr_spec == "expert@example.org"


def test_labs_that_were_not_chosen_by_the_need_s_rules_are_refused(left: Left) -> None:
    path = f"/api/needs/{left.need}/shortlists"
    refused = {
        # Rejected; never ranked, such as one that the company excludes; none at all.
        "rejected": {"labs": ["lab-1-03"]},
        "not ranked": {"labs": ["none"]},
        "none": {"labs": []},
        "too many words": {"labs": LABS, "words": "長" * 3_001},
    }
    answers = {name: left.server.ask("expert", "POST", path, json=body) for name, body in refused.items()}
    assert {name: (one.status_code, one.json()["field"]) for name, one in answers.items()} == {
        "rejected": (422, "labs"),
        "not ranked": (422, "labs"),
        "none": (422, "labs"),
        "too many words": (422, "words"),
    }


def test_only_the_alliance_that_made_it_has_it(left: Left) -> None:
    path = f"/api/shortlists/{left.id}"
    seen = {who: left.server.ask(who, "GET", path).status_code for who in ("expert", "colleague", "lead", "stranger")}
    assert seen == {"expert": 200, "colleague": 200, "lead": 200, "stranger": 404}
    others = {who: left.server.ask(who, "GET", path).status_code for who in ("company", "researcher", "office")}
    assert others == dict.fromkeys(("company", "researcher", "office"), 403)
    # The shared need is the stranger's to see, what another alliance says on it is not.
    left.made(names_need=True, need=left.shared, labs=left.for_shared)
    path = f"/api/needs/{left.shared}/shortlists"
    assert left.done("stranger", "GET", path)["items"] == []
    assert len(left.done("colleague", "GET", path)["items"]) >= 1


def test_a_change_is_made_on_what_was_read(left: Left) -> None:
    path = f"/api/shortlists/{left.made(names_need=False)}"
    etag = left.server.ask("colleague", "GET", path).headers["ETag"]
    change = {"labs": ["lab-1-01"], "words": "只留一間。"}
    assert left.server.ask("colleague", "PATCH", path, json=change).status_code == 428
    first = left.server.ask("colleague", "PATCH", path, json=change, headers={"If-Match": etag})
    assert (first.status_code, first.json()["labs"], first.json()["words"]) == (200, ["lab-1-01"], "只留一間。")
    assert left.server.ask("expert", "PATCH", path, json=change, headers={"If-Match": etag}).status_code == 412


def test_a_link_opens_until_it_is_taken_back_or_expires(left: Left) -> None:
    client, url = left.server.client, left.server.url
    named = left.made(names_need=True)
    links = {language: left.link(named, language) for language in LANGUAGES}
    for language, link in links.items():
        answer = client.get(url + link["path"])
        assert answer.status_code == 200
        # Even where the files may name it: who has a link may pass it on.
        assert (language, left.met(answer.text)) == (language, set())
        assert answer.headers["x-robots-tag"] == "noindex, nofollow, noarchive"
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert "<script" not in answer.text
        for form in ("pdf", "docx"):
            file = client.get(f"{url}{link['path']}/file", params={"format": form})
            assert (file.status_code, left.met(text_of(file.content, form))) == (200, set())
    assert client.get(f"{url}{links['zh']['path']}/file", params={"format": "eml"}).status_code == 404
    opened = {one["id"]: one["opened"] for one in left.done("expert", "GET", f"/api/shortlists/{named}")["links"]}
    assert opened == {link["id"]: 1 for link in links.values()}
    # One is taken back, one expires, one goes on; whoever guesses is told the same as who comes too late.
    taken, late, on = (links[language] for language in LANGUAGES)
    left.done("colleague", "DELETE", f"/api/shortlists/{named}/links/{taken['id']}")
    _let_expire(left, late["id"])
    gone = [client.get(url + one) for one in (taken["path"], late["path"], "/shared/never-was")]
    assert [one.status_code for one in gone] == [404, 404, 404]
    assert len({one.text for one in gone}) == 1
    assert client.get(url + on["path"]).status_code == 200
    assert client.get(f"{url}{taken['path']}/file").status_code == 404
    # Another shortlist's link is nobody's to take back by this one.
    assert left.server.ask("expert", "DELETE", f"/api/shortlists/{left.id}/links/{on['id']}").status_code == 404


def _let_expire(left: Left, link_id: int) -> None:
    engine, past = open_engine(left.server.settings), now() - timedelta(days=40)
    with writing(engine) as session:
        session.connection().execute(
            update(ShortlistLink)
            .where(col(ShortlistLink.id) == link_id)
            .values(made_at=past, expires_at=past + timedelta(days=14))
        )
    engine.dispose()


def test_a_links_secret_is_told_once_and_kept_nowhere(left: Left) -> None:
    path, key = f"/api/shortlists/{left.id}/links", {"Idempotency-Key": "one-link"}
    first, again = (left.server.ask("expert", "POST", path, json={"days": 7}, headers=key).json() for _ in range(2))
    assert (first["id"], again["path"]) == (again["id"], None)
    secret = first["path"].removeprefix("/shared/")
    assert len(secret) >= 32
    left.server.client.get(left.server.url + first["path"])
    search = Search({"secret": [secret]})
    assert search.in_files(left.server.settings.home, but_not="none") == {}
    assert left.server.ask("expert", "POST", path, json={"days": 400}).status_code == 422


def test_an_opening_stands_in_the_trail(left: Left) -> None:
    link = left.link(left.id)
    left.server.client.get(left.server.url + link["path"])
    asked = {"subject": str(link["id"]), "kind": "shortlist_link"}
    until = now() + timedelta(seconds=20)
    trail: list[dict[str, Any]] = []
    while not trail and now() < until:
        # Views are stored a moment later, together with others.
        trail = [
            one for one in left.done("office", "GET", "/api/audit", params=asked)["items"] if not one["account_id"]
        ]
        sleep(0.1)
    assert [(one["resource"], one["action"], one["outcome"]) for one in trail] == [("shortlist", "read", "seen")]


def test_an_expert_makes_one_in_pages_without_script(left: Left) -> None:
    for lang in LANGS:
        with visiting(left.server, "expert", lang) as somebody:
            page = somebody.open(f"/needs/{left.need}/shortlists")
            # Those accepted are ticked; the one rejected is not offered.
            ticked = [one for one in page.locator("input[name=labs]").all() if one.one().has("checked")]
            assert sorted(one.one().attributes["value"] for one in ticked) == sorted(LABS)
            assert "lab-1-03" not in [one.one().attributes["value"] for one in page.locator("input[name=labs]").all()]
            page.locator("textarea[name=words]").fill(WORDS)
            page.locator(".making button.main").click()
            expect(page.locator(".handout .words")).to_contain_text("下週四下午可以安排。")
            expect(page.locator(".handout section.lab")).to_have_count(2)
            page.locator("form[action$='/links'] button").click()
            address = page.locator("code.address").inner_text()
            assert left.server.client.get(address).status_code == 200
            page.locator("form[action$='/end'] button").click()
            assert left.server.client.get(address).status_code == 404


def test_the_pages_can_be_used_by_everybody(left: Left, browser: Browser) -> None:
    public = left.link(left.id, "both")["path"]
    for lang in LANGS:
        with browsing(browser, left.server, "expert", lang) as somebody:
            places = {"shortlist-new": f"/needs/{left.need}/shortlists", "shortlist": f"/shortlists/{left.id}"}
            look_over(somebody, lang, {**places, "shortlist-shared": public}, of_own_language=("shortlist-shared",))


def test_a_stranger_who_asks_again_and_again_is_told_to_wait(left: Left) -> None:
    asked = [left.server.client.get(f"{left.server.url}/shared/{latin('guess')}{n}") for n in range(40)]
    assert {one.status_code for one in asked} == {404, 429}
    assert asked[-1].headers["retry-after"].isdigit()
