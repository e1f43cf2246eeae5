"""`gloria user`: accounts, roles and keys from the first one on, for whoever runs the machine."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from api.access.credentials import key_proof, open_session, password_hash, session_proof
from api.access.passwords import password_fits
from api.access.second_factor import DEMO_FILE
from indexer.database import open_engine, reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.people import Account, principal
from matcher.review.roles import Role
from tests.conftest import Answer, Gloria

pytestmark = pytest.mark.postgresql_at_length
WHO = "lin@example.org"
PASSWORD = "長而好記的通關密語一二三"


def _gloria(settings: Settings, gloria: Gloria, *arguments: object, lang: str = "en") -> Answer:
    return gloria(*arguments, home=settings.home, database_url=settings.database_url, lang=lang)


def _add_with_password(settings: Settings, gloria: Gloria, given: bytes) -> Answer:
    """Run `gloria user add WHO --password-stdin` with these bytes on stdin."""
    return _with_stdin(settings, gloria, given, "add", WHO, "--role", "office", "--password-stdin")


def _with_stdin(settings: Settings, gloria: Gloria, given: bytes, *arguments: str) -> Answer:
    """Run `gloria user ARGUMENTS` with these bytes on stdin."""
    return gloria("user", *arguments, home=settings.home, database_url=settings.database_url, lang="en", given=given)


def _signs_in(engine: Engine, password: str) -> bool:
    with reading(engine) as session:
        found = password_hash(session, WHO)
    return password_fits(password, None if found is None else found[1])


def test_an_account_from_the_first_password_to_the_end(settings: Settings, engine: Engine, gloria: Gloria) -> None:
    made = _add_with_password(settings, gloria, PASSWORD.encode() + b"\r\n")
    assert (made.code, made.err) == (0, "")
    account_id = re.fullmatch(rf"made account {WHO} \((u-[0-9a-f]{{16}})\)\n", made.out)[1]  # type: ignore[index]
    assert _signs_in(engine, PASSWORD)
    assert not _signs_in(engine, PASSWORD + "\r")
    key = _gloria(settings, gloria, "user", "key", WHO, "--name", "報表", "--read-only", "--days", "3")
    assert (key.code, key.err) == (0, "This key is shown only once.\n")
    secret = key.out.strip()
    now = datetime.now(UTC)
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
        token, _ = open_session(session, account_id=account_id, now=now)
        proof = key_proof(session, secret, now)
        assert proof is not None
        assert (proof.account_id, proof.may_write) == (account_id, False)
        assert key_proof(session, secret, now + timedelta(days=3)) is None
    assert _gloria(settings, gloria, "user", "grant", WHO, "--role", "expert", "--scope", "al-a").code == 0
    assert _gloria(settings, gloria, "user", "revoke", WHO, "--role", "office").code == 0
    disabled = _gloria(settings, gloria, "user", "disable", WHO, lang="zh")
    assert (disabled.code, disabled.out) == (0, f"已停用 {WHO}\n")
    assert not _signs_in(engine, PASSWORD)
    with reading(engine) as session:
        assert session_proof(session, token, now) is None
        assert principal(session, account_id) is None
    listed = _gloria(settings, gloria, "user", "list", "--json")
    role = {"role": "expert", "scope": "al-a"}
    assert listed.document == {"accounts": [{"email": WHO, "name": WHO, "disabled": True, "roles": [role]}]}
    assert secret not in listed.out
    assert _gloria(settings, gloria, "user", "list").out == f"{WHO} (disabled)  expert al-a\n"
    assert _gloria(settings, gloria, "user", "enable", WHO).code == 0
    with reading(engine) as session:
        back = principal(session, account_id)
        # The sessions of before stay ended.
        assert session_proof(session, token, now) is None
    assert back is not None
    assert back.grants == frozenset({(Role.EXPERT, "al-a")})
    assert _signs_in(engine, PASSWORD)


@pytest.fixture
def sqlite_settings(tmp_path: Path) -> Settings:
    """Settings of a home of the test's own, with SQLite."""
    return Settings(home=tmp_path / "home", database_url="")


@pytest.mark.parametrize("encoding", ["utf-8:surrogateescape", "big5:strict"])
def test_a_password_is_read_as_utf_8_whatever_the_terminal(
    sqlite_settings: Settings, gloria_from_cold: Gloria, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    # Which encoding a terminal has is found out when an interpreter starts.
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    broken = _add_with_password(sqlite_settings, gloria_from_cold, b"\xff\xfe" + b"a" * 20 + b"\n")
    assert (broken.code, broken.err) == (1, "the password is not valid UTF-8; type it again\n")
    made = _add_with_password(sqlite_settings, gloria_from_cold, PASSWORD.encode() + b"\n")
    assert (made.code, made.err) == (0, "")
    engine = open_engine(sqlite_settings)
    try:
        assert _signs_in(engine, PASSWORD)
    finally:
        engine.dispose()


@pytest.mark.parametrize("given", [b"", b"too short\n"])
def test_a_password_that_is_too_short_makes_no_account(sqlite_settings: Settings, gloria: Gloria, given: bytes) -> None:
    answer = _add_with_password(sqlite_settings, gloria, given)
    assert (answer.code, answer.err) == (1, "give a password of 12 to 1000 characters\n")
    assert _gloria(sqlite_settings, gloria, "user", "list", "--json").document == {"accounts": []}


def test_what_can_not_be_done_is_said_in_one_line(sqlite_settings: Settings, gloria: Gloria) -> None:
    assert _gloria(sqlite_settings, gloria, "user", "add", WHO, "--role", "office").code == 0
    refused = {
        ("add", WHO, "--role", "job"): f"{WHO} has an account already",
        ("add", "a@example.org", "--role", "expert", "--scope", "al-x"): (
            "there is no alliance 'al-x'; the role expert is held in one alliance"
        ),
        ("revoke", WHO, "--role", "job"): f"{WHO} does not hold the role job in the programme",
        ("disable", "a@example.org"): (
            "there is no account a@example.org; make one: gloria user add a@example.org --role ..."
        ),
        ("key", WHO, "--name", " "): "--name: say what the key is for",
        ("key", WHO, "--name", "a\x1b[31m"): (
            "--name: contains the control character U+001B at character 2; remove it"
        ),
    }
    told = {}
    for arguments in refused:
        answer = _gloria(sqlite_settings, gloria, "user", *arguments)
        told[arguments] = answer.err.removesuffix("\n")
        assert (answer.code, answer.out) == (1, "")
    assert told == refused
    wrong_usage = _gloria(sqlite_settings, gloria, "user", "key", WHO, "--name", "n", "--days", "0")
    assert (wrong_usage.code, wrong_usage.out) == (2, "")
    # Nothing of it left a trace, not even half an account.
    accounts = _gloria(sqlite_settings, gloria, "user", "list", "--json").document["accounts"]
    assert [(account["email"], account["roles"]) for account in accounts] == [(WHO, [{"role": "office", "scope": ""}])]


def test_the_command_makes_a_third_of_the_office_only_where_a_demo_is(
    sqlite_settings: Settings, gloria: Gloria
) -> None:
    def made(email: str) -> tuple[int, str]:
        answer = _gloria(sqlite_settings, gloria, "user", "add", email, "--role", "office")
        return answer.code, answer.err[:37]

    assert [made("one@example.org"), made("two@example.org")] == [(0, "")] * 2
    assert made("three@example.org") == (1, "two people hold the role office alrea")
    sqlite_settings.home.joinpath(DEMO_FILE).touch()
    assert made("three@example.org") == (0, "")


def test_each_key_is_another_and_json_has_it_once(sqlite_settings: Settings, gloria: Gloria) -> None:
    assert _gloria(sqlite_settings, gloria, "user", "add", WHO, "--role", "office").code == 0
    answers = [_gloria(sqlite_settings, gloria, "user", "key", WHO, "--name", "ci", "--json") for _ in range(2)]
    assert [answer.err for answer in answers] == ["", ""]
    assert [set(answer.document) for answer in answers] == [{"key", "prefix", "expires_at"}] * 2
    assert answers[0].document["key"] != answers[1].document["key"]
    stored = b"".join(path.read_bytes() for path in sqlite_settings.home.glob("gloria.db*"))
    assert [answer.document["prefix"].encode() in stored for answer in answers] == [True, True]
    assert [answer.document["key"].encode() in stored for answer in answers] == [False, False]


def test_a_key_and_a_password_end_when_told(settings: Settings, engine: Engine, gloria: Gloria) -> None:
    assert _add_with_password(settings, gloria, PASSWORD.encode() + b"\n").code == 0
    made = _gloria(settings, gloria, "user", "key", WHO, "--name", "報表", "--json").document
    _gloria(settings, gloria, "user", "key", WHO, "--name", "kept", "--read-only")
    shown = _gloria(settings, gloria, "user", "show", WHO, "--json").document
    assert [(one["name"], one["may_write"]) for one in shown["keys"]] == [("報表", True), ("kept", False)]
    assert (shown["roles"], shown["issuers"]) == ([{"role": "office", "scope": ""}], [])
    ended = _gloria(settings, gloria, "user", "key", WHO, "--revoke", made["prefix"], lang="zh")
    assert (ended.code, ended.out) == (0, f"已廢止金鑰 {made['prefix']}\n")
    again = _gloria(settings, gloria, "user", "key", WHO, "--revoke", made["prefix"])
    assert (again.code, again.err) == (
        1,
        f"{WHO} has no key {made['prefix']} to end; see: gloria user show {WHO}\n",
    )
    now = datetime.now(UTC)
    with writing(engine) as session:
        assert key_proof(session, made["key"], now) is None
        token, _ = open_session(session, account_id=_id(session), now=now)
    lines = _gloria(settings, gloria, "user", "show", WHO).out.splitlines()
    assert (lines[:2], len(lines)) == ([f"{WHO}  {WHO}", "role office"], 3)
    assert re.fullmatch(r"key [0-9a-f]{8}  kept  until \d{4}-\d\d-\d\d", lines[2])
    changed = _with_stdin(settings, gloria, b"another long password\n", "password", WHO)
    assert (changed.code, changed.out) == (0, f"the password of {WHO} is set\n")
    assert (_signs_in(engine, PASSWORD), _signs_in(engine, "another long password")) == (False, True)
    with reading(engine) as session:
        assert session_proof(session, token, now) is None
    assert _with_stdin(settings, gloria, b"short\n", "password", WHO).code == 1
    for arguments in ((), ("--name", "n", "--revoke", "p")):
        assert _gloria(settings, gloria, "user", "key", WHO, *arguments).code == 2


def _id(session: Session) -> str:
    return session.exec(select(Account.id).where(Account.email == WHO)).one()
