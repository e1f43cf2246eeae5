"""Mail that a server took and later returned: known by the letter's id alone, from files, a folder or a mailbox."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlmodel import select

from api import tables  # noqa: F401 (all models must be known)
from api.letters.sending.bounced import note_returned, read_returned, returned_mail
from api.letters.sending.delivering import Deliverer
from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Letter, Notice, notify
from matcher.notices.readers import MailAddress
from tests.rig.worlds.small_world import World, build_world

NOW = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)

# As the common servers write them; the addresses in them are not believed.
POSTFIX = """From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
To: gloria@example.org
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="A.1/mx"

--A.1/mx
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.org.
<someone@example.org>: host mail.example.org said: 550 5.1.1 User unknown

--A.1/mx
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org
X-Postfix-Queue-ID: 4F1
Arrival-Date: Mon, 30 Nov 2026 14:00:00 +0800 (CST)

Final-Recipient: rfc822; someone@example.org
Original-Recipient: rfc822;someone@example.org
Action: failed
Status: {status}
Remote-MTA: dns; mail.example.org
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--A.1/mx
Content-Description: Undelivered Message
Content-Type: message/rfc822

From: gloria@example.org
To: someone@example.org
Subject: =?utf-8?b?5oKo?=
Message-ID: <{uid}@example.org>

text
--A.1/mx--
"""
EXIM = """From: Mail Delivery System <Mailer-Daemon@mx.example.org>
To: gloria@example.org
Subject: Mail delivery failed: returning message to sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=x1

--x1
Content-type: text/plain; charset=utf-8

A message that you sent could not be delivered.

--x1
Content-type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Action: failed
Final-Recipient: rfc822;elsewhere@forwarded.example.org
Status: {status}

--x1
Content-type: text/rfc822-headers

Return-path: <gloria@example.org>
Subject: told
Message-id: <{uid}@example.org>

--x1--
"""
DELAYED = POSTFIX.replace("Action: failed", "Action: delayed")
AWAY = """From: someone@example.org
To: gloria@example.org
Subject: Out of office
In-Reply-To: <{uid}@example.org>
Content-Type: text/plain

I am away; Status: 5.1.1 is not said here.
"""
BARE = EXIM.replace("Message-id: <{uid}@example.org>\n", "")
BROKEN = "Content-Type: multipart/report; boundary=q\n\n--q\nContent-Type: message/delivery-status\n\n\x00\xff: \n"


@pytest.fixture
def world(engine: Engine) -> World:
    return build_world(engine)


def sent(engine: Engine, settings: Settings, *readers: str) -> dict[str, str]:
    """Let a letter leave for each reader; return the letters' ids by reader."""
    with writing(engine) as session:
        facts = {"verdict": "approved"}
        notify(session, kind=NoticeKind.CLAIM_DECIDED, to=readers, key="k", place="/claims/new", facts=facts, now=NOW)
    assert Deliverer(engine, settings, lambda: NOW).deliver().sent == len(readers)
    with reading(engine) as session:
        return {letter.reader: letter.uid for letter in session.exec(select(Letter)).all()}


def marked(engine: Engine) -> dict[str, str | None]:
    with reading(engine) as session:
        rows = session.exec(select(MailAddress).where(MailAddress.refused_at != None)).all()  # noqa: E711 (SQL)
        return {row.address: row.said for row in rows}


def told_of(engine: Engine) -> set[str]:
    with reading(engine) as session:
        rows = session.exec(select(Notice).where(Notice.kind == NoticeKind.ADDRESS_REFUSED.value)).all()
        return {row.reader for row in rows}


def test_a_returned_letter_marks_its_own_readers_address_whatever_it_says(
    engine: Engine, settings: Settings, world: World
) -> None:
    company, rival = world.people["company"], world.people["rival"]
    uids = sent(engine, settings, company, rival)
    contents = [
        text.format(uid=uid, status="5.1.1").encode()
        for text, uid in ((POSTFIX, uids[company]), (EXIM, uids[rival]), (EXIM, "0" * 32))
    ]
    with writing(engine) as session:
        done = note_returned(session, contents, now=NOW)
    assert (done.letters, done.others) == (2, 1)
    assert marked(engine) == {"company@example.org": "5.1.1", "rival@example.org": "5.1.1"}
    # Who looks after the company's somebody, and for one whom nobody looks after the office.
    assert told_of(engine) == {world.people["expert"], world.people["office"]}
    with reading(engine) as session:
        states = {letter.reader: (letter.state, letter.said) for letter in session.exec(select(Letter)).all()}
    assert {states[company], states[rival]} == {("refused", "returned 5.1.1")}
    # The same message once more is old news.
    with writing(engine) as session:
        assert note_returned(session, contents, now=NOW + timedelta(days=1)).letters == 0


def test_what_is_against_the_letter_marks_no_address(engine: Engine, settings: Settings, world: World) -> None:
    statuses = ("5.7.1", "5.2.2", "5.3.4", "5.6.0", "4.4.7")
    uids = sent(engine, settings, *list(world.people.values())[: len(statuses)]).values()
    back = [POSTFIX.format(uid=uid, status=one).encode() for uid, one in zip(uids, statuses, strict=True)]
    with writing(engine) as session:
        done = note_returned(session, back, now=NOW)
    assert (done.letters, done.addresses, marked(engine)) == (len(statuses), [], {})


def test_what_is_no_return_of_a_letter_is_none() -> None:
    known = {"uid": "a" * 32, "status": "5.1.1"}
    found = returned_mail(POSTFIX.format(**known).encode())
    assert found is not None
    assert (found.letters, found.statuses) == (("a" * 32,), ("5.1.1",))
    assert [returned_mail(text.format(**known).encode()) for text in (DELAYED, AWAY)] == [None, None]
    bare = returned_mail(BARE.format(**known).encode())
    assert bare is not None
    assert bare.letters == ()
    assert [returned_mail(one) for one in (b"", b"\xff\xfe\x00", BROKEN.encode("latin-1"))] == [None] * 3


def settings_with(settings: Settings, place: str) -> Settings:
    return settings.model_copy(update={"returned_mail": SecretStr(place)})


def test_a_folder_is_read_once(engine: Engine, settings: Settings, world: World, tmp_path: Path) -> None:
    company, folder = world.people["company"], tmp_path / "back"
    uid = sent(engine, settings, company)[company]
    there = settings_with(settings, str(folder))
    assert read_returned(engine, there, now=NOW).problem is not None
    folder.mkdir()
    (folder / "1.eml").write_text(POSTFIX.format(uid=uid, status="5.1.1"))
    (folder / "2.eml").write_text(AWAY.format(uid=uid))
    done = read_returned(engine, there, now=NOW)
    assert (done.letters, done.others, done.addresses, done.problem) == (1, 1, ["company@example.org"], None)
    assert sorted(path.name for path in folder.iterdir()) == ["1.eml.read", "2.eml.read"]
    assert read_returned(engine, there, now=NOW).letters == 0


class Mailbox(socketserver.StreamRequestHandler):
    """As much of an IMAP server as is asked for: one folder, a password, what is read and what is not."""

    messages: ClassVar[list[bytes]] = []
    seen: ClassVar[set[int]] = set()
    folder: ClassVar[str] = ""

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("* OK ready")
        for line in self.rfile:
            tag, _, rest = line.decode().strip().partition(" ")
            word, _, more = rest.partition(" ")
            if word == "CAPABILITY":
                self.say("* CAPABILITY IMAP4rev1")
            elif word == "LOGIN" and more != 'gloria "p w"':
                self.say(f"{tag} NO wrong")
                continue
            elif word == "SELECT":
                type(self).folder = more.strip('"')
                self.say(f"* {len(self.messages)} EXISTS")
            elif word == "SEARCH":
                self.say("* SEARCH " + " ".join(str(n) for n in range(1, len(self.messages) + 1) if n not in self.seen))
            elif word == "FETCH":
                number = int(more.split()[0])
                content = self.messages[number - 1]
                self.say(f"* {number} FETCH (BODY[]<0> {{{len(content)}}}")
                self.wfile.write(content + b")\r\n")
            elif word == "STORE":
                self.seen.add(int(more.split()[0]))
            elif word == "LOGOUT":
                self.say("* BYE")
            self.say(f"{tag} OK done")


@contextmanager
def mailbox(*messages: str) -> Iterator[int]:
    Mailbox.messages, Mailbox.seen, Mailbox.folder = [one.encode() for one in messages], set(), ""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def test_a_mailbox_is_read_and_only_what_is_new(engine: Engine, settings: Settings, world: World) -> None:
    company = world.people["company"]
    uid = sent(engine, settings, company)[company]
    with mailbox(AWAY.format(uid=uid), POSTFIX.format(uid=uid, status="5.1.1")) as port:
        there = settings_with(settings, f"imap://gloria:p%20w@127.0.0.1:{port}/Returned")
        done = read_returned(engine, there, now=NOW)
        assert (done.letters, done.others, done.addresses, done.problem) == (1, 1, ["company@example.org"], None)
        assert (Mailbox.seen, Mailbox.folder) == ({1, 2}, "Returned")
        assert read_returned(engine, there, now=NOW).others == 0
        wrong = settings_with(settings, f"imap://gloria:secret@127.0.0.1:{port}")
        problem = read_returned(engine, wrong, now=NOW).problem
    gone = read_returned(engine, there, now=NOW).problem
    # Said with the server's name, never with the password; and in the open to this machine only.
    assert (problem, gone) == (f"127.0.0.1:{port}: error", "Connection refused")
    elsewhere = read_returned(engine, settings_with(settings, "imap://a:b@mail.example.org"), now=NOW).problem
    assert elsewhere == "mail.example.org:143: mail that came back is read by imaps:// alone"
