"""Links of mails: opened by scanners, used twice, forwarded, expired, taken away, tampered with: none does harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import SQLModel, col

from api.access.credentials import open_session
from api.letters.conversation.answering import PURPOSE, AskedByLink, answer_token, asked_of_company, links_of
from api.letters.signed_links import LinkSigner
from api.requests.permitted_request import COOKIE
from api.trail.audit_trail import AuditRow
from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.notices.outbox import LetterNotice, Notice
from matcher.review.conversation.thread import Side
from matcher.review.people import active_grants, grant, revoke
from matcher.review.proposals import Release
from matcher.review.roles import Role
from tests.conftest import Databases
from tests.rig.servers.served import Served, served
from tests.rig.worlds.small_world import asked as small_world

SECRET = "絕密製程"
LAB = "lab-1-01"


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("links") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def done(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


@dataclass
class Asked:
    """A confidential need whose company is asked about a lab by a mail."""

    server: Served
    need_id: str
    pairing_id: int
    proposal_id: int

    def link(self, reader: str, now: datetime | None = None) -> str:
        """Return the path of the newest link that a letter to this reader has, as of a moment."""
        engine = open_engine(self.server.settings)
        with reading(engine) as session:
            query = select(Notice).where(Notice.reader == self.server.accounts.get(reader, reader))
            found = session.execute(query.order_by(col(Notice.id).desc())).scalars().all()
            mine = [one for one in found if one.facts.get("pairing") == str(self.pairing_id)]
            signer = LinkSigner(self.server.settings.home)
            paths = [path for one in mine for _, path in links_of(one, signer, now or datetime.now(UTC))]
        engine.dispose()
        return paths[0].partition("?")[0]

    def get(self, path: str, status: int = 200, **headers: str) -> str:
        answer = self.server.client.get(self.server.url + path, headers={"Cookie": "gloria-lang=en", **headers})
        assert answer.status_code == status, answer.text
        assert SECRET not in answer.text
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
        return answer.text

    def press(self, path: str, status: int = 303, headers: dict[str, str] | None = None, **form: str) -> str:
        answer = self.server.client.post(
            self.server.url + path, data=form, headers={"Cookie": "gloria-lang=en", **(headers or {})}
        )
        assert answer.status_code == status, answer.text
        assert SECRET not in answer.text
        return answer.text

    def said(self) -> list[tuple[str, str, str]]:
        path = f"/api/pairings/{self.pairing_id}/conversation"
        answers = done(self.server.ask("expert", "GET", path), 200)["answers"]
        return [(one["side"], one["word"], one["name"]) for one in answers]

    def introduce(self) -> int:
        word = {"verdict": "accept", "proposal_id": self.proposal_id}
        path = f"/api/pairings/{self.pairing_id}/decision"
        case_id = int(done(self.server.ask("expert", "POST", path, json=word), 201)["case_id"])
        self.move(case_id, "introduced")
        return case_id

    def move(self, case_id: int, stage: str) -> None:
        done(self.server.ask("expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": stage}), 200)


@pytest.fixture
def asked(server: Served) -> Asked:
    need = {"title": f"拋光 {SECRET}", "description": f"矽面移除率太低 {SECRET}", "confidentiality": "confidential"}
    need_id = done(server.ask("company", "POST", "/api/needs", json=need), 201)["id"]
    done(server.ask("expert", "POST", f"/api/needs/{need_id}/take-up"), 200)
    ranked = done(server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100}), 200)
    shown = next(one for one in ranked["pairings"] if one["lab_id"] == LAB)
    done(server.ask("expert", "PUT", f"/api/pairings/{shown['pairing_id']}/release"), 200)
    return Asked(server, need_id, shown["pairing_id"], shown["proposal_id"])


def rows(server: Served) -> dict[str, int]:
    """Count the rows of every table."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        found = {
            table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for table in SQLModel.metadata.sorted_tables
        }
    engine.dispose()
    return found


def test_opened_however_often_by_whomever_it_changes_nothing(asked: Asked) -> None:
    path = asked.link("company")
    before = rows(asked.server)
    for word in ("", "?word=interested", "?word=not_this_one", "?word=nonsense"):
        asked.get(path + word)
    asked.server.client.head(asked.server.url + path)
    asked.server.client.get(asked.server.url + f"{path}/undo")
    assert rows(asked.server) == before
    assert asked.said() == []
    # The control: pressed, it answers, and what it did is in the trail under the account that it was sent to.
    asked.press(path, word="interested")
    assert asked.said() == [("company", "interested", "company")]
    engine = open_engine(asked.server.settings)
    with reading(engine) as session:
        last = session.execute(select(AuditRow).order_by(col(AuditRow.seq).desc())).scalars().first()
    engine.dispose()
    assert last is not None
    assert (last.account_id, last.operation, last.rights) == (
        asked.server.accounts["company"],
        "answer_link",
        "link of a mail",
    )


def test_used_twice_it_answers_once_and_can_be_undone(asked: Asked) -> None:
    path = asked.link("company")
    asked.press(path, word="interested")
    assert "Your answer is recorded: We are interested." in asked.get(path)
    assert "this link has answered already" in asked.press(path, 409, word="not_this_one", reason="too_far")
    assert asked.said() == [("company", "interested", "company")]
    asked.press(f"{path}/undo")
    assert "Undo it" not in asked.get(path)
    asked.press(f"{path}/undo", 409)
    asked.press(path, 422, word="not_this_one")
    asked.press(path, 422, word="has_a_question")
    asked.press(path, 422, word="willing")
    asked.press(path, 422)
    asked.press(path, word="not_this_one", reason="too_far")
    assert [word for _, word, _ in asked.said()] == ["interested", "retracted", "not_this_one"]
    # What was answered elsewhere since stands, and the link does not undo it.
    body = {"word": "interested"}
    done(asked.server.ask("company", "PUT", f"/api/pairings/{asked.pairing_id}/answer", json=body), 200)
    assert "Undo it" not in asked.get(path)
    asked.press(f"{path}/undo", 409)
    assert asked.said()[-1] == ("company", "interested", "company")


def test_it_answers_one_question_of_one_side(asked: Asked) -> None:
    old = asked.link("company")
    release = f"/api/pairings/{asked.pairing_id}/release"
    done(asked.server.ask("expert", "DELETE", release), 200)
    assert "Nothing is asked by this link any more" in asked.get(old, 410)
    asked.press(old, 410, word="interested")
    done(asked.server.ask("expert", "PUT", release), 200)
    # Released anew, it is asked anew: by another link.
    asked.press(old, 410, word="interested")
    asked.press(asked.link("company"), word="interested")
    case_id = asked.introduce()
    asked.press(f"{asked.link('company')}/undo", 409)
    lab = asked.link("researcher")
    assert lab != old
    assert "A need for your lab" in asked.get(lab)
    asked.press(lab, 422, word="interested")
    asked.press(lab, word="willing")
    asked.move(case_id, "meeting")
    assert "It was acted on" in asked.get(lab)
    asked.press(f"{lab}/undo", 409)
    assert [word for _, word, _ in asked.said()] == ["interested", "willing"]


def test_expired_tampered_with_or_of_another_purpose_it_opens_nothing(asked: Asked) -> None:
    expired = asked.link("company", datetime.now(UTC) - timedelta(days=31))
    assert "This link has expired" in asked.get(expired, 410)
    asked.press(expired, 410, word="interested")
    good = asked.link("company")
    token = good.removeprefix("/answer/")
    signer = LinkSigner(asked.server.settings.home)
    other = signer.token("password", {"renewal": "x"}, now=datetime.now(UTC), holds_for=timedelta(days=1))
    middle = len(token) // 2
    flipped = f"{token[:middle]}{'A' if token[middle] != 'A' else 'B'}{token[middle + 1 :]}"
    for bad in (token[:-4], token[4:], flipped, token + "AAAA", other, "x", "x.y", "é", "x" * 3_000):
        assert "This link opens nothing" in asked.get(f"/answer/{bad}", 404)
        asked.press(f"/answer/{bad}", 404, word="interested")
    assert asked.said() == []
    # The control.
    asked.press(good, word="interested")
    assert signer.read(PURPOSE, token, now=datetime.now(UTC))["p"] == asked.pairing_id


def test_it_is_of_whom_it_was_sent_to_and_no_other_site_presses_it(asked: Asked) -> None:
    path = asked.link("company")
    for site in ("cross-site", "same-site"):
        asked.press(path, 403, headers={"Sec-Fetch-Site": site}, word="interested")
    # Forwarded, it answers as the one it was sent to, whoever is signed in. The page says so beforehand, and the one
    # it was sent to is told at once, with the way to undo it.
    assert "This link answers as company." in asked.get(path)
    asked.press(path, word="interested", headers={"Authorization": f"Bearer {asked.server.keys['rival']}"})
    assert asked.said() == [("company", "interested", "company")]
    assert told_of_links(asked) == [("interested", 1)]
    undo = asked.link("company")
    assert "Undo it" in asked.get(undo)
    asked.press(f"{undo}/undo")
    assert [word for _, word, _ in asked.said()] == ["interested", "retracted"]
    assert told_of_links(asked) == [("interested", 1), ("retracted", 1)]
    asked.press(path, word="interested")
    engine, now = open_engine(asked.server.settings), datetime.now(UTC)
    with writing(engine) as session:
        (held,) = active_grants(session, asked.server.accounts["company"])
        revoke(session, grant_id=held.id or 0, by=asked.server.accounts["office"], now=now)
    assert "Nothing is asked by this link any more" in asked.get(path, 410)
    asked.press(f"{path}/undo", 410)
    with writing(engine) as session:
        account_id = asked.server.accounts["company"]
        grant(session, account_id=account_id, role=Role.COMPANY, scope_id="co-1-1", by=None, now=now)
    engine.dispose()
    asked.press(f"{path}/undo")


def told_of_links(asked: Asked) -> list[tuple[str, int]]:
    """Return what the company was told was done by links of mails to it, each with the letters that tell of it."""
    engine = open_engine(asked.server.settings)
    with reading(engine) as session:
        query = select(Notice).where(Notice.kind == "link_answered").order_by(col(Notice.id))
        notices = session.execute(query.where(Notice.account_id == asked.server.accounts["company"])).scalars().all()
        mine = [one for one in notices if one.facts["pairing"] == str(asked.pairing_id)]
        letters = [
            session.execute(
                select(func.count()).select_from(LetterNotice).where(col(LetterNotice.notice_id) == one.id)
            ).scalar_one()
            for one in mine
        ]
    engine.dispose()
    return [(one.facts["word"], n) for one, n in zip(mine, letters, strict=True)]


def test_where_the_office_wants_it_a_link_answers_only_for_who_is_signed_in(settings: Settings) -> None:
    with small_world(settings.model_copy(update={"links_need_sign_in": True})) as here:
        pairing, accounts = here.world.pairing_id, here.accounts
        here.done("expert", "PUT", f"/api/pairings/{pairing}/release")
        invite = {"side": "company", "address": "lin@factory.example.com"}
        assert here.ask("expert", "POST", f"/api/pairings/{pairing}/invitations", json=invite).status_code == 409
        with writing(here.engine) as session:
            number = session.execute(select(Release.id)).scalar_one()
            now = datetime.now(UTC)
            tokens = {who: open_session(session, account_id=accounts[who], now=now)[0] for who in ("company", "rival")}
        given = AskedByLink(pairing, Side.COMPANY, accounts["company"], asked_of_company(number), "1")
        path = f"/answer/{answer_token(LinkSigner(settings.home), given, now=datetime.now(UTC))}"
        cookies = {who: {"Cookie": f"{COOKIE}={token}; gloria-lang=en"} for who, token in tokens.items()}
        nobody = {"Cookie": "gloria-lang=en"}
        for headers in (nobody, cookies["rival"]):
            page = here.client.get(path, headers=headers).text
            assert f"/sign-in?then={quote(path)}" in page
            assert '<form method="post" action="/answer' not in page
            for place in (path, f"{path}/undo"):
                form = {"word": "interested"}
                assert here.client.post(place, data=form, headers=headers).status_code == 403
        said = f"/api/pairings/{pairing}/conversation"
        assert here.done("expert", "GET", said)["answers"] == []
        pressed = here.client.post(
            path, data={"word": "interested"}, headers=cookies["company"], follow_redirects=False
        )
        assert pressed.status_code == 303
        assert [one["word"] for one in here.done("expert", "GET", said)["answers"]] == ["interested"]


def test_somebody_without_an_account_answers_by_a_link_to_an_address(asked: Asked) -> None:
    invite = f"/api/pairings/{asked.pairing_id}/invitations"
    to = {"side": "company", "address": "Lin@Factory.example.com"}
    assert done(asked.server.ask("expert", "POST", invite, json=to), 201)["address"] == "lin@factory.example.com"
    done(asked.server.ask("company", "POST", invite, json=to), 403)
    done(asked.server.ask("stranger", "POST", invite, json=to), 404)
    done(asked.server.ask("expert", "POST", invite, json={**to, "address": "nobody"}), 422)
    done(asked.server.ask("expert", "POST", invite, json={**to, "side": "lab"}), 409)
    path = asked.link("lin@factory.example.com")
    # The page says as whom it answers, but not to whom the mail went.
    page = asked.get(path)
    assert "This link answers as l…@factory.example.com." in page
    assert "lin@factory" not in page
    asked.press(path, word="has_a_question", note="八吋可以嗎？")
    assert asked.said() == [("company", "has_a_question", "")]
    asked.introduce()
    done(asked.server.ask("expert", "POST", invite, json={"side": "lab", "address": "pi@lab.example.edu"}), 201)
    asked.press(asked.link("pi@lab.example.edu"), word="declined", reason="other", note="今年不行")
    assert asked.said()[-1] == ("lab", "declined", "")
