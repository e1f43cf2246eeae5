"""Files on needs, conversations and meetings: read by whom the thing is for, what they are called, bounded, scanned."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from api.backups.erased_people import erase_for_good
from api.requests.scanning import Scanner
from indexer.database import reading
from indexer.kept_files import ENDINGS, is_what_it_is_called
from indexer.settings import Settings
from matcher.erasure import ErasedKind
from matcher.notices.outbox import Notice
from matcher.review.conversation.attachments import FOLDER, Attachment, path_of
from tests.rig.worlds.nights import carried_out, only
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length

PDF = b"%PDF-1.7\n1 0 obj\n"
EVERYBODY = (
    *("expert", "colleague", "lead", "stranger", "company", "rival", "researcher", "other_researcher"),
    *("office", "committee", "job", "newcomer", None),
)
OWN = {"expert", "colleague", "lead"}


@dataclass
class Talk:
    """The need `n-1`, its pairing with `lab-1`, and the home where files lie."""

    here: Asked
    home: Path

    @property
    def pairing(self) -> int:
        return self.here.world.pairing_id

    def send(self, who: str, name: str, content: bytes = PDF, **to: Any) -> Any:
        return self.here.ask(who, "POST", "/api/attachments", params={"name": name, **to}, content=content)

    def sent(self, who: str, name: str, content: bytes = PDF, **to: Any) -> int:
        answer = self.send(who, name, content, **to)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def refused(self, who: str, name: str, content: bytes = PDF, **to: Any) -> tuple[int, str | None]:
        answer = self.send(who, name, content, **to)
        return answer.status_code, answer.json().get("field")

    def readers(self, number: int) -> set[str | None]:
        """Return those to whom the file is given, having looked that all others learn nothing of it."""
        answers = {who: self.here.ask(who, "GET", f"/api/attachments/{number}") for who in EVERYBODY}
        assert {answer.status_code for answer in answers.values()} <= {200, 401, 403, 404}
        assert [who for who, answer in answers.items() if answer.status_code != 200 and PDF in answer.content] == []
        return {who for who, answer in answers.items() if answer.status_code == 200}

    def listed(self, who: str, path: str) -> list[str] | int:
        answer = self.here.ask(who, "GET", f"/api/{path}/attachments")
        return [one["name"] for one in answer.json()["items"]] if answer.status_code == 200 else answer.status_code

    def introduce(self) -> None:
        word = {"verdict": "accept", "proposal_id": self.here.world.proposal_id}
        case = self.here.done("expert", "POST", f"/api/pairings/{self.pairing}/decision", json=word)["case_id"]
        self.here.done("expert", "PUT", f"/api/pairings/{self.pairing}/release")
        self.here.done("expert", "POST", f"/api/cases/{case}/transition", json={"stage": "introduced"})


@pytest.fixture
def talk(settings: Settings) -> Iterator[Talk]:
    with asked(settings) as here:
        here.done("expert", "POST", "/api/needs/n-1/take-up")
        yield Talk(here, settings.home)


def test_a_file_is_read_by_exactly_those_who_read_what_it_hangs_on(talk: Talk) -> None:
    of_need = talk.sent("company", "spec.pdf", need="n-1")
    early = {who: talk.refused(who, "x.pdf", need="n-1")[0] for who in ("researcher", "rival", "stranger", "office")}
    assert early == {"researcher": 404, "rival": 404, "stranger": 404, "office": 403}
    assert talk.readers(of_need) == OWN | {"company"}
    # For the lab nothing before it knows of the need, and for the company nothing before a lab is released to it.
    assert talk.refused("expert", "x.pdf", pairing=talk.pairing, audience="both") == (422, "audience")
    assert talk.refused("company", "x.pdf", pairing=talk.pairing, audience="company")[0] == 404
    talk.introduce()
    assert talk.readers(of_need) == OWN | {"company", "researcher"}
    numbers = {
        "internal": talk.sent("expert", "internal.pdf", pairing=talk.pairing, audience="internal"),
        "company": talk.sent("company", "company.pdf", pairing=talk.pairing, audience="company"),
        "lab": talk.sent("researcher", "lab.pdf", pairing=talk.pairing, audience="lab"),
        "both": talk.sent("researcher", "both.pdf", pairing=talk.pairing, audience="both"),
    }
    assert {audience: talk.readers(number) for audience, number in numbers.items()} == {
        "internal": OWN,
        "company": OWN | {"company"},
        "lab": OWN | {"researcher"},
        "both": OWN | {"company", "researcher"},
    }
    lists = {who: talk.listed(who, f"pairings/{talk.pairing}") for who in ("colleague", "company", "researcher")}
    assert lists == {
        "colleague": ["internal.pdf", "company.pdf", "lab.pdf", "both.pdf"],
        "company": ["company.pdf", "both.pdf"],
        "researcher": ["lab.pdf", "both.pdf"],
    }
    assert [talk.listed(who, f"pairings/{talk.pairing}") for who in ("rival", "stranger", "office")] == [404, 404, 403]
    assert [talk.listed(who, "needs/n-1") for who in ("company", "rival", "office")] == [["spec.pdf"], 404, 403]
    # A side writes to itself and to both, never to the other side alone.
    sides = (("company", "lab"), ("company", "internal"), ("researcher", "company"), ("researcher", None))
    for who, audience in sides:
        assert talk.refused(who, "x.pdf", b"%PDF-2", pairing=talk.pairing, audience=audience) == (422, "audience")


def test_a_meeting_has_files_for_everybody_who_comes(talk: Talk) -> None:
    talk.introduce()
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    path = f"/api/pairings/{talk.pairing}/meetings"
    meeting = talk.here.done("expert", "POST", path, json={"times": [soon], "place": ""})["id"]
    number = talk.sent("company", "agenda.pdf", pairing=talk.pairing, meeting=meeting)
    assert talk.readers(number) == OWN | {"company", "researcher"}
    one = talk.here.done("researcher", "GET", f"/api/pairings/{talk.pairing}/attachments")["items"][0]
    assert (one["meeting_id"], one["audience"], one["side"], one["sender"]) == (meeting, "both", "company", "company")
    assert talk.refused("company", "y.pdf", b"%PDF-2", pairing=talk.pairing, meeting=9_999)[0] == 404
    to_few = {"pairing": talk.pairing, "meeting": meeting, "audience": "company"}
    assert talk.refused("company", "y.pdf", b"%PDF-2", **to_few) == (422, "audience")


def test_those_whom_a_file_is_for_are_told_and_nothing_of_it_is_said(talk: Talk) -> None:
    talk.introduce()

    def told() -> set[str]:
        with reading(talk.here.engine) as session:
            rows = session.exec(select(Notice).where(Notice.kind == "case_asked")).all()
        assert all("secret" not in str(row.model_dump()) for row in rows)
        return {name for name, account in talk.here.accounts.items() for row in rows if row.account_id == account}

    talk.sent("expert", "secret-note.pdf", b"%PDF-1", pairing=talk.pairing, audience="internal")
    assert told() == set()
    talk.sent("researcher", "secret-lab.pdf", b"%PDF-2", pairing=talk.pairing, audience="lab")
    assert told() == {"expert"}
    talk.sent("expert", "secret-both.pdf", b"%PDF-3", pairing=talk.pairing, audience="both")
    assert told() == {"expert", "company", "researcher"}


def test_a_file_comes_as_a_download_and_as_nothing_else(talk: Talk) -> None:
    number = talk.sent("company", 'C:\\Users\\王\\規格 "1".pdf', need="n-1")
    got = talk.here.ask("expert", "GET", f"/api/attachments/{number}")
    assert got.content == PDF
    head = {name: got.headers[name] for name in ("content-type", "x-content-type-options", "cache-control")}
    assert head == {
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    assert got.headers["content-disposition"].startswith('attachment; filename="')
    assert "filename*=UTF-8''%E8%A6%8F%E6%A0%BC" in got.headers["content-disposition"]
    assert "Users" not in got.headers["content-disposition"]
    assert got.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    # Changed on the disk, it is no longer what was sent, and is not given out.
    with reading(talk.here.engine) as session:
        path = path_of(talk.home, session.get_one(Attachment, number).sha256)
    path.write_bytes(b"%PDF-other")
    assert talk.here.ask("expert", "GET", f"/api/attachments/{number}").status_code == 503


def packed(*names: str, mimetype: str = "") -> bytes:
    """Return a ZIP file with parts of these names."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        if mimetype:
            file.writestr("mimetype", mimetype)
        for name in names:
            file.writestr(name, "<x/>")
    return content.getvalue()


DOCX = packed("[Content_Types].xml", "word/document.xml")
GENUINE = {
    "pdf": PDF,
    "png": b"\x89PNG\r\n\x1a\n\0",
    "jpg": b"\xff\xd8\xff\xe0",
    "jpeg": b"\xff\xd8\xff\xe0",
    "gif": b"GIF89a",
    "webp": b"RIFF\0\0\0\0WEBP",
    "docx": DOCX,
    "xlsx": packed("[Content_Types].xml", "xl/workbook.xml"),
    "pptx": packed("[Content_Types].xml", "ppt/presentation.xml"),
    "odt": packed("content.xml", mimetype="application/vnd.oasis.opendocument.text"),
    "ods": packed("content.xml", mimetype="application/vnd.oasis.opendocument.spreadsheet"),
    "odp": packed("content.xml", mimetype="application/vnd.oasis.opendocument.presentation"),
    "txt": "移除率\r\n".encode("big5"),
    "csv": "\ufeff移除率,1\n".encode(),
    "stp": b"ISO-10303-21;\nHEADER;",
    "step": b"ISO-10303-21;\nHEADER;",
    "dwg": b"AC1032\0\0",
}


def test_a_file_is_what_its_name_says_by_its_own_bytes() -> None:
    assert set(GENUINE) == set(ENDINGS)
    page, program = b"<!doctype html><script>alert(1)</script>", b"MZ\x90\0\3\0\0\0"
    wrong: dict[str, list[str]] = {}
    for ending in ENDINGS:
        assert is_what_it_is_called(f"A.{ending.upper()}", GENUINE[ending]), ending
        others = GENUINE | {"page": page, "program": program}
        wrong[ending] = [name for name, content in others.items() if is_what_it_is_called(f"a.{ending}", content)]
    same = {"jpg": ["jpg", "jpeg"], "jpeg": ["jpg", "jpeg"], "stp": ["stp", "step"], "step": ["stp", "step"]}
    # Whatever is plain text may be called so; it is never shown, so a page in it does nothing.
    texts = ["pdf", "gif", "txt", "csv", "stp", "step", "page"]
    assert wrong == {ending: same.get(ending, [ending]) for ending in ENDINGS} | {"txt": texts, "csv": texts}
    macros = packed("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin")
    assert not is_what_it_is_called("a.docx", macros)
    assert not is_what_it_is_called("a.docx", DOCX[:-30])
    assert not is_what_it_is_called("a.odt", packed("content.xml", mimetype="application/epub+zip"))
    assert not is_what_it_is_called("a.exe", program)


def test_what_is_refused_says_why_and_leaves_nothing(talk: Talk, settings: Settings) -> None:
    cases: list[tuple[str, bytes, tuple[int, str]]] = [
        ("x.html", b"<p>", (422, "name")),
        ("pdf", PDF, (422, "name")),
        ("..", PDF, (422, "name")),
        ("x.pdf", b"MZ", (422, "file")),
        ("x.pdf", b"", (422, "body")),
        ("x.pdf", PDF + bytes(settings.attachment_mb * 1_000_000), (422, "file")),
    ]
    for name, content, why in cases:
        assert talk.refused("company", name, content, need="n-1") == why, name
    # A name that turns around in a list ("x" + "fdp.exe" backwards) is no name.
    assert talk.refused("company", "x\N{RIGHT-TO-LEFT OVERRIDE}fdp.pdf", need="n-1")[0] == 422
    assert talk.refused("company", "x.pdf")[0] == 422
    assert talk.refused("company", "x.pdf", need="n-1", pairing=1)[0] == 422
    assert not list((talk.home / FOLDER).glob("*/*"))
    talk.sent("company", "a.pdf", need="n-1")
    again = talk.send("expert", "b.pdf", need="n-1")
    assert (again.status_code, again.json()["detail"]) == (409, "this file is here already, as a.pdf")
    other = talk.sent("company", "c.pdf", b"%PDF-2", need="n-1")
    talk.here.done("company", "DELETE", f"/api/attachments/{other}")
    talk.sent("company", "c.pdf", b"%PDF-2", need="n-1")


@pytest.mark.postgresql_too
def test_files_of_a_need_are_bounded_together(settings: Settings) -> None:
    small = settings.model_copy(update={"attachment_mb": 1, "attachments_mb": 1})
    with asked(small) as here:
        talk = Talk(here, small.home)
        talk.sent("company", "a.pdf", PDF + bytes(600_000), need="n-1")
        assert talk.refused("company", "b.pdf", PDF + bytes(500_000), need="n-1") == (422, "file")
        talk.sent("company", "c.pdf", PDF + bytes(300_000), need="n-1")


SCANNER = """#!/bin/sh
# Ends as clamdscan does: 0 clean, 1 infected, 2 something went wrong; and sleeps where it is told to.
content=$(cat)
case "$content" in
  *INFECTED*) exit 1;;
  *BROKEN*) exit 2;;
  *SLOW*) sleep 5;;
esac
exit 0
"""


def test_a_scanner_refuses_what_is_infected_and_what_it_can_not_look_at(
    talk: Talk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "scan er.sh"
    script.write_text(SCANNER)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    said = Settings(home=talk.home, scanner=f"'{script}' --quiet", scanner_s=1)
    state = talk.here.client.app.state  # type: ignore[attr-defined]
    state.scanner = Scanner.of(said)
    talk.sent("company", "clean.txt", b"clean", need="n-1")
    infected, broken, slow = b"INFECTED", b"BROKEN", b"SLOW"
    found = {word: talk.refused("company", "x.txt", word, need="n-1")[0] for word in (infected, broken, slow)}
    assert found == {infected: 422, broken: 503, slow: 503}
    # The files that prove a result go the same way.
    proofs = {word: talk.here.ask("expert", "POST", "/api/evidence", content=word).status_code for word in found}
    assert proofs == {infected: 422, broken: 503, slow: 503}
    assert talk.here.ask("expert", "POST", "/api/evidence", content=b"clean").status_code == 201
    # A scanner that is not there refuses everything, and without one nothing is asked.
    state.scanner = Scanner.of(Settings(home=talk.home, scanner=str(tmp_path / "none")))
    assert talk.refused("company", "y.txt", b"clean too", need="n-1")[0] == 503
    state.scanner = Scanner.of(Settings(home=talk.home))
    talk.sent("company", "y.txt", infected, need="n-1")
    kept = {path.read_bytes() for path in (talk.home / FOLDER).glob("*/*")}
    assert kept == {b"clean", infected}
    assert "INFECTED" not in capsys.readouterr().out


def test_a_file_is_taken_away_by_whoever_sent_it_or_by_the_alliance_and_its_bytes_in_the_night(
    talk: Talk, settings: Settings
) -> None:
    talk.introduce()
    mine = talk.sent("researcher", "mine.pdf", b"%PDF-1", pairing=talk.pairing, audience="both")
    theirs = talk.sent("company", "theirs.pdf", b"%PDF-2", pairing=talk.pairing, audience="both")
    stays = talk.sent("company", "stays.pdf", b"%PDF-3", need="n-1")
    status = {who: talk.here.ask(who, "DELETE", f"/api/attachments/{mine}").status_code for who in ("company", "rival")}
    assert status == {"company": 409, "rival": 404}
    assert talk.here.ask("researcher", "DELETE", f"/api/attachments/{mine}").status_code == 204
    assert talk.here.ask("colleague", "DELETE", f"/api/attachments/{theirs}").status_code == 204
    assert talk.readers(mine) == talk.readers(theirs) == set()
    then = datetime.now(UTC) - timedelta(hours=2)
    for path in (talk.home / FOLDER).glob("*/*"):
        os.utime(path, (then.timestamp(), then.timestamp()))
    cut_off = talk.home / FOLDER / "ab"
    cut_off.mkdir(exist_ok=True)
    (cut_off / "young").write_bytes(b"whose row is about to be stored")
    assert carried_out(settings, only("expired")).step("expired").figures["attachments"] == 2
    kept = sorted(path.read_bytes() for path in (talk.home / FOLDER).glob("*/*"))
    assert kept == [b"%PDF-3", b"whose row is about to be stored"]
    assert talk.readers(stays) == OWN | {"company", "researcher"}


@pytest.mark.parametrize("kind", [ErasedKind.ACCOUNT, ErasedKind.RESEARCHER])
def test_what_an_erased_person_sent_is_gone_with_them(talk: Talk, settings: Settings, kind: ErasedKind) -> None:
    talk.introduce()
    by_lab = talk.sent("researcher", "cv.pdf", b"%PDF-cv", pairing=talk.pairing, audience="both")
    by_company = talk.sent("company", "researcher 的圖.pdf", b"%PDF-drawing", need="n-1")
    talk.here.client.app.state.engine.dispose()  # type: ignore[attr-defined]
    subject = talk.here.accounts["researcher"] if kind is ErasedKind.ACCOUNT else "lab-1"
    erase_for_good(settings, kind=kind, subject=subject, reason="asked", by="office")
    with reading(talk.here.engine) as session:
        rows = {row.id: row.name for row in session.exec(select(Attachment)).all()}
    # A name in what others called their file is taken out of it, where there was one to take out.
    name = "erased 的圖.pdf" if kind is ErasedKind.ACCOUNT else "researcher 的圖.pdf"
    assert rows == {by_company: name}
    assert [path.read_bytes() for path in (talk.home / FOLDER).glob("*/*")] == [b"%PDF-drawing"]
    assert by_lab not in rows
