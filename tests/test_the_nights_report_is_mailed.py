"""The report by mail, to a real SMTP server: both forms, nothing of any record; a server that fails fails no night."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.trail.nights import Night
from tests.rig.servers.mail_server import Inbox, listening
from tests.rig.worlds.nights import carried_out, only, settings_of

# Passwords without TLS are for tests on this machine.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
STEPS = only("reminders", "verify", "report")


def _night(home: Path, url: str, to: str = "a@example.org, b@example.org") -> Night:
    settings = settings_of(home, mail_to=to, mail_from="gloria@example.org", smtp_url=url)
    return carried_out(settings, STEPS)


def test_who_asked_for_it_gets_the_report(own_home: Path) -> None:
    inbox = Inbox()
    with listening(inbox, asks_for_login=True) as where:
        night = _night(own_home, f"smtp://night:p%40ss@{where}")
    assert (night.outcome, night.step("report").figures) == ("done", {"mailed_to": 2})
    assert inbox.logins == [("night", "p@ss")]
    # A letter to each, so that one address that is refused keeps it from nobody else.
    assert sorted(to for to, _ in inbox.got) == [["a@example.org"], ["b@example.org"]]
    message = inbox.got[0][1]
    assert message["Subject"] == f"GLORIA Match {night.id}: 全部完成 / all done"
    assert message["Auto-Submitted"] == "auto-generated"
    plain, page = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert "核對帳本 Proof of the ledger: 完成 done" in plain.get_content()
    assert "夜間作業報告" in page.get_content()
    assert "<script" not in page.get_content()
    assert "需求" in page.get_content()
    # The password is nowhere.
    kept = "".join(path.read_text() for path in (own_home / "nightly" / night.id).iterdir())
    assert "p@ss" not in kept
    assert "p%40ss" not in kept


@pytest.mark.parametrize("fault", ["nobody listens", "refused", "wrong password", "no TLS on the way elsewhere"])
def test_a_mail_that_is_not_sent_fails_no_night_and_is_said(own_home: Path, fault: str) -> None:
    inbox = Inbox(refuses=fault == "refused")
    # Not this machine's own name, so that nothing may be sent in the open.
    hostname = "127.0.0.2" if fault == "no TLS on the way elsewhere" else "127.0.0.1"
    user = "night:wrong@" if fault == "wrong password" else ""
    with listening(inbox, hostname) as where:
        url = f"smtp://{user}{where if fault != 'nobody listens' else '127.0.0.1:9'}"
        night = _night(own_home, url)
    step = night.step("report")
    assert (night.outcome, step.figures) == ("done", {"mailed_to": 0})
    assert step.message is not None
    said = {
        "nobody listens": "Connection refused",
        "refused": "SMTP 554",
        "wrong password": "SMTPAuthenticationError, code 535",
        "no TLS on the way elsewhere": "offers no STARTTLS",
    }[fault]
    assert said in step.message.en
    page = (own_home / "nightly" / night.id / "report.html").read_text()
    assert said in page
    assert "wrong" not in page.replace("What is wrong", "")
    assert inbox.got == []


def test_nobody_asked_for_it(own_home: Path) -> None:
    night = carried_out(settings_of(own_home), STEPS)
    assert night.step("report").figures == {"mailed_to": 0}
    assert night.step("report").message is None
