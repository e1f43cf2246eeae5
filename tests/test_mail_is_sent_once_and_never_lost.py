"""The outbox against a real SMTP server: with TLS, away, refusing, killed amid; nothing lost, nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from api import tables  # noqa: F401 (all models must be known)
from api.letters.sending.delivering import Delivered, Deliverer
from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.notices.kinds import Cadence, NoticeKind
from matcher.notices.outbox import Letter, Notice, notify, unread
from matcher.notices.readers import MailAddress, choose
from matcher.notices.sending import CLAIMED_FOR, FIRST_PAUSE
from matcher.review.people import add_account
from tests.conftest import POSTGRESQL_AT_LENGTH, Gloria
from tests.rig.servers.mail_server import Inbox, certified, listening
from tests.rig.worlds.small_world import World, build_world

# Passwords without TLS are for tests on this machine.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
NOW = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)


@pytest.fixture
def world(engine: Engine) -> World:
    return build_world(engine)


def told(engine: Engine, *readers: str, key: str = "event 1", now: datetime = NOW) -> None:
    """Tell somebody of a claim that is decided: a kind of everybody's, about nothing that could be withheld."""
    with writing(engine) as session:
        facts = {"verdict": "approved"}
        notify(session, kind=NoticeKind.CLAIM_DECIDED, to=readers, key=key, place="/claims/new", facts=facts, now=now)


def delivered(engine: Engine, settings: Settings, now: datetime = NOW, **changes: str) -> Delivered:
    given = {"mail_from": "gloria@example.org", **changes}
    return Deliverer(engine, settings.model_copy(update=_typed(given)), lambda: now).deliver()


def _typed(given: dict[str, str]) -> dict[str, object]:
    from pydantic import SecretStr

    return {name: SecretStr(value) if name == "smtp_url" else value for name, value in given.items()}


def folder_of(settings: Settings) -> list[EmailMessage]:
    """Return what lies in the folder of mail."""
    return [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in sorted(settings.mail_path.glob("*.eml"))
    ]


def states(engine: Engine) -> Counter[str]:
    with reading(engine) as session:
        return Counter(session.exec(select(Letter.state)).all())


def test_without_a_server_mail_lies_in_a_folder(engine: Engine, world: World, settings: Settings) -> None:
    told(engine, world.people["researcher"])
    assert delivered(engine, settings) == Delivered(sent=1)
    (message,) = folder_of(settings)
    assert message["To"] == "researcher@example.org"
    assert message["Subject"] == (
        "GLORIA Match: 您認領的實驗室已核可：自此由您維護其資料 / "
        "Your claim of a lab was approved: you keep its profile from now on"
    )
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    plain, page = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert "民國 115 年 11 月 30 日 14:00" in plain.get_content()
    assert "30 November 2026, 14:00" in plain.get_content()
    assert "http://127.0.0.1:8000/claims/new" in plain.get_content()
    assert "<script" not in page.get_content()
    # What was sent is not sent again, and the bell does not depend on mail.
    assert delivered(engine, settings) == Delivered()
    with reading(engine) as session:
        assert unread(session, world.people["researcher"]) == 1


def test_told_in_the_transaction_or_not_at_all(engine: Engine, world: World, settings: Settings) -> None:
    def act_that_is_undone() -> None:
        with writing(engine) as session:
            reader = world.people["expert"]
            notify(session, kind=NoticeKind.CLAIM_DECIDED, to=[reader], key="gone", place="/", now=NOW)
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        act_that_is_undone()
    assert delivered(engine, settings) == Delivered()
    # Of one event one reader is told once; who did it is told nothing.
    told(engine, world.people["expert"])
    told(engine, world.people["expert"])
    with writing(engine) as session:
        by = world.people["lead"]
        assert notify(session, kind=NoticeKind.CLAIM_DECIDED, to=[by], key="own", place="/", now=NOW, by=by) == []
    assert delivered(engine, settings) == Delivered(sent=1)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_with_tls_that_asks_who_it_is(
    scheme: str, engine: Engine, world: World, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, certificate = certified(tmp_path)
    inbox = Inbox()
    how = {"starttls" if scheme == "smtp" else "smtps": context}
    told(engine, world.people["expert"])
    with listening(inbox, asks_for_login=True, **how) as where:  # type: ignore[arg-type]
        url = f"{scheme}://night:p%40ss@{where}"
        # Not under a certificate that nobody vouches for.
        done = delivered(engine, settings, smtp_url=url)
        assert (done.sent, done.waiting) == (0, 1)
        assert "SSLCertVerificationError" in str(done.problem) or "certificate" in str(done.problem).lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert delivered(engine, settings, smtp_url=url) == Delivered(sent=1)
    assert inbox.logins == [("night", "p@ss")]
    assert [to for to, _ in inbox.got] == [["expert@example.org"]]


def test_an_address_that_is_refused_is_marked_and_told(engine: Engine, world: World, settings: Settings) -> None:
    inbox = Inbox(unknown={"company@example.org"})
    told(engine, world.people["company"], world.people["rival"])
    with listening(inbox) as where:
        url = f"smtp://{where}"
        assert delivered(engine, settings, smtp_url=url) == Delivered(sent=1, refused=1)
        with reading(engine) as session:
            marked = session.get(MailAddress, "company@example.org")
            assert marked is not None
            assert marked.said == "SMTP 550"
            # Its expert hears of it; an address without one is the office's matter.
            told_of = session.exec(select(Notice).where(Notice.kind == NoticeKind.ADDRESS_REFUSED.value)).all()
            assert [(one.reader, one.place) for one in told_of] == [(world.people["expert"], "/companies/co-1")]
        # Nothing more goes there, until somebody says that it is in order.
        told(engine, world.people["company"], key="event 2")
        assert delivered(engine, settings, smtp_url=url) == Delivered(dropped=1)
        with writing(engine) as session:
            session.delete(session.get(MailAddress, "company@example.org"))
        inbox.unknown.clear()
        told(engine, world.people["company"], key="event 3")
        assert delivered(engine, settings, smtp_url=url) == Delivered(sent=1)


def test_what_is_put_off_is_tried_again_later(engine: Engine, world: World, settings: Settings) -> None:
    inbox = Inbox(busy_for=2)
    told(engine, world.people["expert"])
    with listening(inbox) as where:
        url = f"smtp://{where}"
        assert delivered(engine, settings, smtp_url=url) == Delivered(waiting=1)
        # Not at once, and the second time later than the first.
        assert delivered(engine, settings, smtp_url=url) == Delivered()
        later = NOW + FIRST_PAUSE
        assert delivered(engine, settings, later, smtp_url=url) == Delivered(waiting=1)
        assert delivered(engine, settings, later + FIRST_PAUSE, smtp_url=url) == Delivered()
        assert delivered(engine, settings, later + 2 * FIRST_PAUSE, smtp_url=url) == Delivered(sent=1)
    assert len(inbox.got) == 1


def test_gathered_letters_leave_at_their_hour(engine: Engine, world: World, settings: Settings) -> None:
    expert, lead = world.people["expert"], world.people["lead"]
    with writing(engine) as session:
        for who, cadence in ((expert, Cadence.DAILY), (lead, Cadence.WEEKLY), (world.people["office"], Cadence.NEVER)):
            choose(session, account_id=who, cadences={NoticeKind.CLAIM_DECIDED: cadence})
    for n in range(3):
        told(engine, expert, lead, world.people["office"], key=f"event {n}")
    # 30 November 2026 is a Monday; it is 14:00 in Taipei.
    assert delivered(engine, settings) == Delivered()
    assert delivered(engine, settings, NOW + timedelta(hours=17, minutes=59)) == Delivered()
    assert delivered(engine, settings, NOW + timedelta(hours=18, minutes=1)) == Delivered(sent=1)
    assert delivered(engine, settings, NOW + timedelta(days=6)) == Delivered()
    assert delivered(engine, settings, NOW + timedelta(days=7)) == Delivered(sent=1)
    assert sorted((one["To"], one["Subject"]) for one in folder_of(settings)) == [
        (who, "GLORIA Match: 3 則通知 / 3 notices") for who in ("expert@example.org", "lead@example.org")
    ]


@POSTGRESQL_AT_LENGTH
@pytest.mark.parametrize("many", [120, pytest.param(1_000, marks=pytest.mark.long)])
def test_many_mails_while_the_server_is_gone_and_a_kill(many: int, engine: Engine, settings: Settings) -> None:
    with writing(engine) as session:
        ids = [add_account(session, email=f"p{n}@example.org", name=f"p{n}", now=NOW).id for n in range(many)]
    began = datetime.now(UTC)
    told(engine, *ids, now=began)
    inbox = Inbox()
    # Nobody listens: all of it waits as it is.
    with listening(inbox) as where:
        pass
    done = delivered(engine, settings, datetime.now(UTC), smtp_url=f"smtp://{where}")
    assert (done.sent, done.refused, states(engine)) == (0, 0, Counter(waiting=many))
    assert "refused" in str(done.problem)
    # A deliverer of its own, killed in the middle of its work.
    with listening(inbox, port=int(where.rpartition(":")[2])) as where:
        environment = {
            **os.environ,
            "GLORIA_HOME": str(settings.home),
            "GLORIA_DATABASE_URL": settings.database_url or "",
            "GLORIA_SMTP_URL": f"smtp://{where}",
            "GLORIA_MAIL_FROM": "gloria@example.org",
        }
        running = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "mail", "deliver"], env=environment, start_new_session=True
        )
        try:
            until = time.monotonic() + 60
            while len(inbox.got) < many // 10 and time.monotonic() < until:
                time.sleep(0.01)
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        at_kill = len(inbox.got)
        assert many // 10 <= at_kill < many
        # What it had claimed comes free when its claim has run out.
        delivered(engine, settings, datetime.now(UTC) + CLAIMED_FOR, smtp_url=f"smtp://{where}")
    assert states(engine) == Counter(sent=many)
    seen = Counter(str(message["Message-ID"]) for _, message in inbox.got)
    assert Counter(to for (to,), _ in inbox.got).keys() == {f"p{n}@example.org" for n in range(many)}
    assert len(seen) == many
    # The one that was on the wire at the kill may come again, under the same Message-ID, by which it is known.
    assert len(inbox.got) - many <= 1


def test_the_command_says_what_waits(
    gloria: Gloria, engine: Engine, world: World, settings: Settings, tmp_path: Path
) -> None:
    told(engine, world.people["company"])
    bounced, forged = tmp_path / "returned.eml", tmp_path / "forged.eml"
    with reading(engine) as session:
        uid = session.exec(select(Letter.uid)).one()
    bounced.write_bytes(RETURNED.replace("UID", uid).replace("\n", "\r\n").encode())
    forged.write_bytes(RETURNED.replace("UID", "0" * 32).replace("\n", "\r\n").encode())
    run = partial(gloria, home=settings.home, database_url=settings.database_url or "")
    assert run("mail", "deliver", "--json").document["sent"] == 1
    assert run("mail", "bounces", str(forged)).code == 0
    assert run("mail", "show", "--json").document["addresses_refused"] == []
    assert run("mail", "bounces", str(bounced)).code == 0
    shown = run("mail", "show", "--json").document
    assert shown["addresses_refused"] == [{"address": "company@example.org", "said": "5.1.1"}]
    assert run("mail", "clear", "company@example.org").code == 0
    assert run("mail", "show", "--json").document["addresses_refused"] == []
    # What is no address of a mark, and a server that nobody runs, are said, with exit code 1.
    refused = run("--lang", "en", "mail", "clear", "nobody@example.org")
    assert (refused.code, refused.err.strip()) == (1, "nobody@example.org is not marked")
    told(engine, world.people["expert"], now=datetime.now(UTC))
    gone = run("--lang", "en", "mail", "deliver", smtp_url="smtp://127.0.0.1:9", mail_from="g@example.org")
    assert (gone.code, gone.err.strip()) == (1, "mail waits: 127.0.0.1:9: Connection refused")


RETURNED = """From: mailer-daemon@example.org
To: gloria@example.org
Subject: returned
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.org

Final-Recipient: rfc822; Company@example.org
Action: failed
Status: 5.1.1

Final-Recipient: rfc822; rival@example.org
Action: delayed
Status: 4.2.2

--b
Content-Type: text/rfc822-headers

Message-ID: <UID@example.org>
Subject: told

--b--
"""
