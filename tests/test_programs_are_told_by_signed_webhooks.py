"""Webhooks against a real server: signed, sent again until taken, and never to where the office does not want it."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from api.letters.sending import calling
from api.letters.sending.calling import Call, CallError, is_outside
from api.letters.sending.delivering import Delivered, Deliverer
from indexer.database import writing
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import notify
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.worlds.small_world import Asked, asked


@dataclass
class Program:
    """A program that keeps what it is sent, and answers as it is told."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def running(program: Program) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            program.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(program.answers.pop(0) if program.answers else 204)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/told?by=gloria"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings.model_copy(update={"webhooks_inside": True})) as made:
        yield made


def tell(here: Asked, key: str = "event", kind: NoticeKind = NoticeKind.CLAIM_DECIDED) -> None:
    with writing(here.engine) as session:
        facts = {"verdict": "approved"}
        to, now = [here.accounts["expert"]], datetime.now(UTC)
        notify(session, kind=kind, to=to, key=key, place="/claims/new", facts=facts, now=now)


def calls(here: Asked, settings: Settings, after: timedelta = timedelta(0), *, inside: bool = True) -> Delivered:
    """Deliver; the mails of the same events are put into the folder beside."""
    at = settings.model_copy(update={"webhooks_inside": inside})
    return Deliverer(here.engine, at, lambda: datetime.now(UTC) + after).deliver()


@POSTGRESQL_AT_LENGTH
def test_a_message_is_signed_and_sent_until_it_is_taken(here: Asked, settings: Settings) -> None:
    program = Program(answers=[500, 302])
    with running(program) as url:
        refused = here.ask("expert", "POST", "/api/me/webhooks", json={"url": url})
        assert (refused.status_code, refused.json()["field"]) == (422, "url")
        assert here.ask("expert", "POST", "/api/webhook-hosts", json={"host": "127.0.0.1"}).status_code == 403
        here.done("office", "POST", "/api/webhook-hosts", json={"host": "127.0.0.1"})
        made = here.done("expert", "POST", "/api/me/webhooks", json={"url": url, "kinds": ["claim_decided"]})
        tell(here)
        tell(here, "safety", NoticeKind.ACCOUNT_CHANGED)
        # Not taken, and a redirect is followed nowhere; then taken, under the same id, and never again.
        assert calls(here, settings) == Delivered(sent=2, waiting=1)
        assert here.done("expert", "GET", "/api/me/webhooks")["items"][0]["last_said"] == "HTTP 500"
        assert calls(here, settings, timedelta(minutes=1)) == Delivered(waiting=1)
        assert calls(here, settings, timedelta(minutes=3, seconds=1)) == Delivered(sent=1)
        assert calls(here, settings, timedelta(days=1)) == Delivered()
    assert len(program.got) == 3
    assert len({headers["webhook-id"] for headers, _ in program.got}) == 1
    headers, body = program.got[-1]
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
    document = json.loads(body)
    assert (document["type"], document["data"]["about"]) == ("claim_decided", {"verdict": "approved"})
    assert document["data"]["said"]["en"].startswith("Your claim of a lab was approved")
    assert document["data"]["url"] == "http://127.0.0.1:8000/claims/new"
    # The secret is told once and lies nowhere.
    assert "secret" not in here.done("expert", "GET", "/api/me/webhooks")["items"][0]


@POSTGRESQL_AT_LENGTH
def test_a_webhook_ends_with_its_host_or_by_its_owner(here: Asked, settings: Settings) -> None:
    program = Program()
    with running(program) as url:
        here.done("office", "POST", "/api/webhook-hosts", json={"host": "127.0.0.1"})
        made = here.done("expert", "POST", "/api/me/webhooks", json={"url": url})
        tell(here, "first")
        assert here.ask("office", "DELETE", "/api/webhook-hosts/127.0.0.1").status_code == 204
        assert calls(here, settings) == Delivered(sent=1, dropped=1)
        here.done("office", "POST", "/api/webhook-hosts", json={"host": "127.0.0.1"})
        tell(here, "second")
        assert here.ask("colleague", "DELETE", f"/api/me/webhooks/{made['id']}").status_code == 404
        assert here.ask("expert", "DELETE", f"/api/me/webhooks/{made['id']}").status_code == 204
        assert calls(here, settings) == Delivered(sent=1, dropped=1)
    assert program.got == []


@POSTGRESQL_AT_LENGTH
def test_no_address_inside_is_called(here: Asked, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program()
    with running(program) as url:
        here.done("office", "POST", "/api/webhook-hosts", json={"host": "127.0.0.1"})
        here.done("expert", "POST", "/api/me/webhooks", json={"url": url})
        tell(here)
        # By default: what was made while it was open is closed too.
        assert calls(here, settings, inside=False) == Delivered(sent=1, waiting=1)
        assert here.done("expert", "GET", "/api/me/webhooks")["items"][0]["last_said"] == "address inside"
        # A name that means two addresses, one of them inside, is none to call; one that answers otherwise the second
        # time is connected to as it was checked.
        port = url.rpartition(":")[2].partition("/")[0]
        answers: list[list[str]] = [["93.184.216.34", "10.0.0.1"], ["93.184.216.34"], ["127.0.0.1"]]
        tried: list[str] = []

        def looked_up(_host: str, at: int, **_: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, at)) for one in answers.pop(0)]

        def connected(address: tuple[str, int], _timeout: float) -> socket.socket:
            tried.append(address[0])
            raise ConnectionRefusedError

        monkeypatch.setattr(calling.socket, "getaddrinfo", looked_up)
        monkeypatch.setattr(calling.socket, "create_connection", connected)
        call = Call(f"https://rebinding.example.org:{port}/", b"{}", {}, inside=False)
        with pytest.raises(CallError, match="address inside"):
            call.send()
        with pytest.raises(CallError, match="ConnectionRefusedError"):
            call.send()
        assert tried == ["93.184.216.34"]
        assert len(answers) == 1
    assert program.got == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 (an address that is to be refused)
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:0a00:0001::",
    ],
)
def test_an_address_inside_is_known(address: str) -> None:
    assert not is_outside(address)


def test_addresses_outside_are_open() -> None:
    assert is_outside("93.184.216.34")
    assert is_outside("2606:4700::1111")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "https://user:secret@hooks.example.org/",
        "https://hooks.example.org/#part",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.exa mple.org/",
        "https:///told",
        "javascript:alert(1)",
        "hooks.example.org",
        "https://鉤子.example.org/",
    ],
)
def test_what_is_no_address_of_a_program_is_refused(url: str, settings: Settings) -> None:
    with pytest.raises(calling.ReaderError, match="such as https://hooks"):
        calling.host_of(url, settings)
    assert calling.host_of("https://Hooks.example.org/told", settings) == "hooks.example.org"
