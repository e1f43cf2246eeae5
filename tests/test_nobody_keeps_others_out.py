"""One account, or nobody at all, does its worst: others are answered meanwhile, and their imports are done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
import pytest
from pydantic import ValidationError
from sqlmodel import delete, select

from api.access.credentials import LoginFailure, digest, set_password_hash
from api.access.known_browsers import KEY_FILE, KNOWN_FOR, MOST_ACCOUNTS, KnownBrowsers
from api.access.pacing import AT_ONCE
from api.access.passwords import hash_password
from api.requests.bodies import OPEN_BYTES
from api.requests.capacity import MAX_OF_ONE
from api.requests.connections import MAX_HEAD_BYTES, MAX_HEADERS, MAX_WAITING_PER_ADDRESS
from indexer.database import open_engine, writing
from indexer.settings import Settings
from tests.rig.figures import figure
from tests.rig.load import attacks
from tests.rig.load.attacks import (
    IMPORT_S,
    ME_P99_S,
    MEMORY_MB,
    OF_NOBODY,
    OF_ONE_ACCOUNT,
    Attack,
    Target,
    memory_mb,
    watched,
)
from tests.rig.servers.served import Served, served

PASSWORD = "correct horse 電池 staple"
PEOPLE = ("office", "rival", "company")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, indexed_home: Path, slice_of_world: Path) -> Iterator[Served]:
    """One for all tests of this file, behind a proxy at 127.0.0.2; some people have a password."""
    home = tmp_path_factory.mktemp("attacked") / "home"
    settings = Settings(home=home, encoders="bundled-use", database_url="")
    more = {"GLORIA_TRUSTED_PROXIES": "127.0.0.2"}
    with served(settings, indexed_home, slice_of_world, more=more) as running:
        stored = hash_password(PASSWORD)
        engine = open_engine(settings)
        with writing(engine) as session:
            for who in PEOPLE:
                set_password_hash(session, account_id=running.accounts[who], stored=stored, now=datetime.now(UTC))
        engine.dispose()
        assert running.ask("expert", "GET", "/api/needs/need-1-01/matches?top=5").status_code == 200
        yield running


@pytest.fixture(autouse=True)
def _no_failures(server: Served) -> None:
    """Let nobody be slow because of an earlier test."""
    engine = open_engine(server.settings)
    with writing(engine) as session:
        session.connection().execute(delete(LoginFailure))
    engine.dispose()


@pytest.fixture
def target(server: Served) -> Target:
    """The expert attacks, the stranger works."""
    return Target(server.url, server.keys["expert"], server.keys["stranger"], "rival@example.org")


ALL = {**OF_NOBODY, **OF_ONE_ACCOUNT}


@pytest.mark.alone
@pytest.mark.parametrize("together", [OF_NOBODY, OF_ONE_ACCOUNT], ids=["nobody", "one account"])
def test_others_are_answered_meanwhile(server: Served, target: Target, together: dict[Attack, tuple[int, int]]) -> None:
    before = memory_mb(server.process.pid)
    with ExitStack() as stack:
        for attack, (few, _) in together.items():
            stack.enter_context(attack(target, few))
        fared = watched(target, 1)
        more_mb = memory_mb(server.process.pid) - before
    assert (fared.refused, fared.import_s <= IMPORT_S, median(fared.me_s) <= ME_P99_S) == ([], True, True), fared
    assert together is not OF_NOBODY or more_mb <= MEMORY_MB


@pytest.mark.long
@pytest.mark.parametrize("name", [attack.__name__ for attack in ALL])
def test_others_are_answered_meanwhile_at_length(server: Served, target: Target, name: str) -> None:
    attack = getattr(attacks, name)
    before = memory_mb(server.process.pid)
    with attack(target, ALL[attack][1]):
        fared = watched(target, 20)
        more_mb = memory_mb(server.process.pid) - before
    figure(
        f"others under {name}", p99_s=round(fared.p99_s, 3), import_s=round(fared.import_s, 2), more_mb=round(more_mb)
    )
    assert (fared.refused, fared.p99_s <= ME_P99_S, fared.import_s <= IMPORT_S) == ([], True, True), fared.p99_s
    assert attack not in OF_NOBODY or more_mb <= MEMORY_MB


def _answer(target: Target, *parts: bytes) -> bytes:
    """Send bytes on a connection, a part at a time, and return how the server ends it."""
    with target.socket() as one:
        for part in parts:
            one.sendall(part)
            time.sleep(0.05)
        found = b""
        while got := one.recv(65_536):
            found += got
        return found


HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


def test_heads_have_bounds(target: Target) -> None:
    fits = b"".join(b"X-%d: a\r\n" % n for n in range(MAX_HEADERS - 2))
    told = {
        "as many headers as may be": _answer(target, HEAD + fits + b"\r\n"),
        "one more": _answer(target, HEAD + fits + b"X: a\r\n\r\n"),
        "a header without end": _answer(target, HEAD + b"X: ", b"a" * (MAX_HEAD_BYTES + 100)),
        "a name without end": _answer(target, HEAD, b"a", b"a" * (MAX_HEAD_BYTES + 100)),
        "an address without end": _answer(target, b"GET /" + b"a" * (MAX_HEAD_BYTES + 100)),
        "large together": _answer(target, HEAD + b"".join(b"X: %s\r\n" % (b"a" * 4_000) for _ in range(9)) + b"\r\n"),
        "nonsense": _answer(target, b"\x00\x01\r\n\r\n"),
    }
    assert {name: said[9:12] for name, said in told.items()} == {
        "as many headers as may be": b"200",
        **dict.fromkeys(("one more", "a header without end", "a name without end", "an address without end"), b"431"),
        "large together": b"431",
        "nonsense": b"400",
    }
    assert b'"detail":"a request has at most 100 headers"' in told["one more"]


def test_a_body_from_anybody_is_small(server: Served, target: Target) -> None:
    large = b'{"email": "' + b"a" * OPEN_BYTES + b'"}'
    unknown = server.client.post(server.url + "/api/session", content=large)
    forged = server.ask(None, "POST", "/api/needs", content=large, headers={"Authorization": "Bearer glm_0_0"})
    assert (unknown.status_code, forged.status_code) == (401, 401)
    # Without saying how much it will be, too.
    chunk = b"%x\r\n%s\r\n" % (len(large), large)
    head = b"POST /api/session HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert _answer(target, head + chunk)[9:12] == b"401"
    # The control: who is known may send it, and is told what is wrong with it.
    assert server.ask("company", "POST", "/api/needs", content=large).status_code == 422


def test_whoever_waits_longest_is_let_go(target: Target) -> None:
    waiting = [target.socket() for _ in range(MAX_WAITING_PER_ADDRESS + 8)]
    try:
        time.sleep(0.3)
        for one in waiting:
            one.settimeout(0.001)
        ended = []
        for n, one in enumerate(waiting):
            try:
                ended += [n] if one.recv(12) == b"HTTP/1.1 408" else []
            except TimeoutError:
                continue
        # The first ones, as many as are too many; the watcher's own connections may be among those that stay.
        assert ended == list(range(len(ended)))
        assert 8 <= len(ended) <= 16
        waiting[-1].settimeout(20)
        waiting[-1].sendall(HEAD + b"\r\n")
        assert waiting[-1].recv(12) == b"HTTP/1.1 200"
    finally:
        for one in waiting:
            one.close()


def test_one_account_sends_few_files_at_once(server: Served, target: Target) -> None:
    with attacks.endless_uploads(target, MAX_OF_ONE):
        time.sleep(0.3)
        own = server.ask("expert", "POST", "/api/evidence", content=b"x")
        other = server.ask("lead", "POST", "/api/evidence", content=b"x")
        # The same account's other key, and its other ways of sending files, are the same account.
        again = server.ask("expert", "POST", "/api/imports?name=companies.jsonl", content=b"{}")
    assert (own.status_code, other.status_code, again.status_code) == (503, 201, 503)
    assert (own.json()["detail"], own.headers["Retry-After"]) == (
        "2 files of yours are being received; send it again",
        "5",
    )


def _sign_in(server: Served, email: str, password: str = PASSWORD, address: str = "", through: str = "") -> int:
    """Sign in, perhaps through a proxy or something that says it is one."""
    headers = {"X-Forwarded-For": address} if address else {}
    transport = httpx.HTTPTransport(local_address=through) if through else None
    with httpx.Client(transport=transport, timeout=60) as client:
        given = {"email": email, "password": password}
        return client.post(server.url + "/api/session", json=given, headers=headers).status_code


def test_who_has_no_account_takes_nobodys_turn(server: Served) -> None:
    with ThreadPoolExecutor(31) as crowd:
        wrong = [crowd.submit(_sign_in, server, f"nobody{n}@x.example", "wrong-password-1") for n in range(30)]
        assert _sign_in(server, "office@example.org") == 201
        assert Counter(one.result() for one in wrong) == {401: 30}


def test_few_passwords_of_one_account_are_tried_at_once(server: Served) -> None:
    def tried(email: str) -> Counter[int]:
        with ThreadPoolExecutor(9) as crowd:
            return Counter(crowd.map(lambda _: _sign_in(server, email, "wrong-password-1"), range(9)))

    # An account and none are told apart by nothing.
    for email in ("company@example.org", "nobody@x.example"):
        found = tried(email)
        assert (set(found) <= {401, 429}, found[401] >= AT_ONCE) == (True, True), found


def test_only_a_trusted_proxy_is_believed(server: Served) -> None:
    def noted(address: str, through: str) -> set[str]:
        """Fail to sign in, and return which of the addresses it was counted for."""
        assert _sign_in(server, "office@example.org", "wrong-password-1", address, through) == 401
        engine = open_engine(server.settings)
        with writing(engine) as session:
            subjects = set(session.exec(select(LoginFailure.subject)).all())
            session.connection().execute(delete(LoginFailure))
        engine.dispose()
        asked = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "203.0.113.5", "203.0.113.6", address)
        return {one for one in asked if digest(f"address {one}") in subjects}

    # From the proxy each client has its own address; what the client writes into the header stands further left.
    assert noted("203.0.113.5", "127.0.0.2") == {"203.0.113.5"}
    assert noted("203.0.113.6, 203.0.113.5", "127.0.0.2") == {"203.0.113.5"}
    # From anybody else, this machine too, it is nothing.
    assert noted("203.0.113.5", "127.0.0.3") == {"127.0.0.3"}
    assert noted("203.0.113.5", "127.0.0.1") == {"127.0.0.1"}


@pytest.mark.parametrize("named", ["*", "0.0.0.0/0", "::/0", "proxy.example", "10.0.0.1/24", "10.0.0.1;10.0.0.2"])
def test_everybody_is_no_proxy(named: str) -> None:
    with pytest.raises(ValidationError, match="GLORIA_TRUSTED_PROXIES"):
        Settings(trusted_proxies=named)


def test_proxies_are_addresses_and_networks() -> None:
    assert Settings(trusted_proxies="").proxies() == []
    assert Settings(trusted_proxies=" 10.0.0.1, 10.1.0.0/16,::1 ").proxies() == ["10.0.0.1", "10.1.0.0/16", "::1"]


def test_cookies_of_known_browsers(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ours = KnownBrowsers(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    cookie = ours.signed(None, "a", now)
    found = ours.read(cookie, now)
    assert found is not None
    assert set(found.accounts) == {"a"}
    # Another process of this home reads it; another home, a changed one and an old one do not.
    assert KnownBrowsers(tmp_path).read(cookie, now) == found
    (tmp_path / "other").mkdir()
    assert KnownBrowsers(tmp_path / "other").read(cookie, now) is None
    assert [ours.read(one, now) for one in ("", None, "x", cookie[:-2], cookie + "x", "x" * 5_000)] == [None] * 6
    assert ours.read(cookie, now + KNOWN_FOR) is None
    # Several people share a browser, the last of them are known.
    browser = found
    for n in range(MOST_ACCOUNTS):
        signed = ours.signed(browser, f"p{n}", now.replace(microsecond=0) + KNOWN_FOR / 200 * (n + 1))
        again = ours.read(signed, now)
        assert again is not None
        browser = again
    assert (browser.id, set(browser.accounts)) == (found.id, {f"p{n}" for n in range(MOST_ACCOUNTS)})


def test_a_key_cut_off_is_made_anew_and_none_is_made_where_nothing_can_be(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    cookie = KnownBrowsers(tmp_path).signed(None, "a", datetime.now(UTC))
    assert len((tmp_path / KEY_FILE).read_bytes()) == 32
    assert KnownBrowsers(tmp_path).read(cookie, datetime.now(UTC)) is not None
    nowhere = KnownBrowsers(tmp_path / "missing")
    assert nowhere.read(nowhere.signed(None, "a", datetime.now(UTC)), datetime.now(UTC)) is not None
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
