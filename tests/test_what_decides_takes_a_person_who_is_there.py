"""No key decides, seconds or grants, and no browser that was left open; rules that bind two are changed by two."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from api.access.credentials import CONFIRMED_FOR, FAILURES_PER_ACCOUNT, LoginSession, Proof, is_confirmed
from api.access.credentials import set_password_hash as store_hash
from api.access.passwords import hash_password
from api.access.policy import PERSON_ONLY
from api.app import permissions
from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.rows.school_totals import supply
from matcher.ledger.rules.reporting import report
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.signed_in import signed_in
from tests.rig.worlds.ledger_world import money
from tests.rig.worlds.small_world import Asked, asked

PASSWORD = "korrekt-pferd-batterie"
CONFIRM = "/api/session/confirm"


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        now = datetime.now(UTC)
        with writing(made.engine) as session:
            import_rows(session, "schools", [{"id": "sc-1", "name": "一號大學"}])
            for year in (2019, 2026):
                by = made.accounts["office"]
                supply(session, school_id="sc-1", year=year, amount_ntd=10**9, source="校務", by=by, now=now)
            second = add_account(session, email="second@example.org", name="second", now=now).id
            grant(session, account_id=second, role=Role.OFFICE, by=None, now=now)
            stored = hash_password(PASSWORD)
            for account_id in (second, made.accounts["office"], made.accounts["committee"]):
                store_hash(session, account_id=account_id, stored=stored, now=now)
        made.add_key("second", second)
        yield made


def _left_open(here: Asked, who: str) -> dict[str, str]:
    """Return the headers of a browser that its person left longer ago than counts."""
    headers = signed_in(here.engine, here.accounts[who])
    long_ago = datetime.now(UTC) - CONFIRMED_FOR - timedelta(seconds=1)
    with writing(here.engine) as session:
        session.connection().execute(update(LoginSession).values(confirmed_at=long_ago))
    return headers


def _kind(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("type", "").rpartition(":")[2]


_NUMBERS = ("motion_id", "grant_id", "stake_id", "claim_id")
_BODIES: dict[str, Any] = {
    "/check": {"note": ""},
    "/recognise": {"note": ""},
    "/accounts": {"email": "x@example.org"},
    "/roles": {"role": "expert"},
    "/keys": {"name": "n"},
    "/verdict": {"verdict": "approved"},
    "/second": None,
    "/scores": {"scores": {"capacity": {"score": 4, "reason": "佐證相符"}}},
    "/merge": {"kept": "u-1", "reason": "同一人"},
    "/{account_id}": {},
}
"""Bodies that validation lets through, by the end of the route; of the others a reason."""


def _requests(here: Asked) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every request that takes a person, of programs and of pages."""
    for method, path, permission in permissions(here.client.app):  # type: ignore[arg-type]
        if permission not in PERSON_ONLY or method == "GET":
            continue
        body = next((one for end, one in _BODIES.items() if path.endswith(end)), {"reason": "r"})
        more: dict[str, Any] = {"json": body} if body is not None and method != "DELETE" else {}
        if not path.startswith("/api/"):
            more = {"data": {"reason": "r"}}
        for name in _NUMBERS:
            path = path.replace(f"{{{name}}}", "1")  # noqa: PLW2901 (the path with its numbers)
        yield method, path.replace("{", "").replace("}", ""), more


@POSTGRESQL_AT_LENGTH
def test_no_key_and_no_browser_that_was_left_open_decides_anything(here: Asked) -> None:
    # The committee checks and scores, the office does all else.
    people = {
        who: ({"Authorization": f"Bearer {here.keys[who]}"}, _left_open(here, who)) for who in ("office", "committee")
    }
    wrong, asked_for = [], 0
    for method, path, more in _requests(here):
        key, left = people["committee" if path.endswith(("/check", "/scores")) else "office"]
        by_key = here.client.request(method, path, headers=key, follow_redirects=False, **more)
        by_left = here.client.request(method, path, headers=left, follow_redirects=False, **more)
        asked_for += 1
        if path.startswith("/api/"):
            if (_kind(by_key), _kind(by_left)) != ((403, "forbidden"), (403, "confirm")):
                wrong.append(f"{method} {path}: {by_key.text} {by_left.text}")
        elif [(one.status_code, 'name="confirm_password"' in one.text) for one in (by_key, by_left)] != [
            (403, False),
            (403, True),
        ]:
            wrong.append(f"{method} {path}: {by_key.status_code} {by_left.status_code}")
    assert wrong == []
    assert asked_for > 20


@POSTGRESQL_AT_LENGTH
def test_the_password_confirms_this_browser_for_ten_minutes(here: Asked) -> None:
    path, body = f"/api/accounts/{here.accounts['newcomer']}/roles", {"role": "expert", "scope": "al-a"}
    left, other = _left_open(here, "office"), _left_open(here, "office")

    def ask(headers: dict[str, str], method: str, at: str, json: Any) -> Any:
        return here.client.request(method, at, headers=headers, json=json)

    assert _kind(ask(left, "POST", path, body)) == (403, "confirm")
    wrong = ask(left, "POST", CONFIRM, {"password": "some other password"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "password")
    assert _kind(ask(left, "POST", path, body)) == (403, "confirm")
    assert ask({"Cookie": left["Cookie"]}, "POST", CONFIRM, {"password": PASSWORD}).status_code == 403
    assert ask(left, "POST", CONFIRM, {"password": PASSWORD}).status_code == 204
    assert ask(left, "POST", path, body).status_code == 201
    assert _kind(ask(other, "POST", path, body)) == (403, "confirm")
    key = {"Authorization": f"Bearer {here.keys['office']}"}
    assert ask(key, "POST", CONFIRM, {"password": PASSWORD}).status_code == 422
    guesses = [ask(left, "POST", CONFIRM, {"password": f"guess {n}"}).status_code for n in range(FAILURES_PER_ACCOUNT)]
    assert guesses[-1] == 429


def test_confirmed_is_a_session_of_the_last_ten_minutes() -> None:
    now = datetime.now(UTC)
    cases = {
        timedelta(0): True,
        CONFIRMED_FOR: True,
        CONFIRMED_FOR + timedelta(seconds=1): False,
        -CONFIRMED_FOR - timedelta(seconds=1): False,
    }
    for ago, wanted in cases.items():
        assert is_confirmed(Proof("u", may_write=True, csrf_token="t", confirmed_at=now - ago), now) is wanted
    assert not is_confirmed(Proof("u", may_write=True, csrf_token="t"), now)
    assert not is_confirmed(Proof("u", may_write=True, key_id=1, confirmed_at=now), now)


def _reported(here: Asked, amount: int = 950_000_000) -> str:
    given = money("guard-0001", amount=amount, occurred_on=date(2026, 11, 2), details={"payer": "守門公司"})
    with writing(here.engine) as session:
        report(session, given, by=here.accounts["expert"], now=datetime.now(UTC))
    return given.id


@POSTGRESQL_AT_LENGTH
def test_a_page_asks_for_the_password_and_then_does_what_was_asked(here: Asked) -> None:
    entry_id, left = _reported(here), _left_open(here, "committee")
    path, typed = f"/review/{entry_id}/check", {"csrf_token": left["X-CSRF-Token"], "check_note": "<b>佐證</b>齊全"}
    browser = {"Cookie": f"{left['Cookie']}; gloria_lang=zh"}

    def send(**more: str) -> Any:
        return here.client.post(path, headers=browser, data={**typed, **more}, follow_redirects=False)

    asked_for = send()
    assert asked_for.status_code == 403
    assert "請確認是您本人" in asked_for.text
    assert 'value="&lt;b&gt;佐證&lt;/b&gt;齊全"' in asked_for.text
    wrong = send(confirm_password="wrong password!")
    assert ["密碼或驗證碼錯誤。" in one.text for one in (asked_for, wrong)] == [False, True]
    assert here.done("committee", "GET", f"/api/ledger/entries/{entry_id}")["state"] == "reported"
    # A form on another site has no token, so nobody is asked for a password by it.
    foreign = {"check_note": "x", "confirm_password": PASSWORD}
    strange = here.client.post(path, headers=browser, data=foreign, follow_redirects=False)
    assert (strange.status_code, "confirm_password" in strange.text) == (403, False)
    assert send(confirm_password=PASSWORD).status_code == 303
    entry = here.done("committee", "GET", f"/api/ledger/entries/{entry_id}")
    assert (entry["state"], entry["steps"][-1]["reason"]) == ("checked", "<b>佐證</b>齊全")


def _set(here: Asked, name: str, who: str = "office", **changed: Any) -> Any:
    stored = here.ask(who, "GET", f"/api/configuration/{name}")
    body = {"document": {**stored.json()["document"], **changed}, "reason": "調整"}
    return here.ask(who, "PUT", stored.request.url.path, json=body, headers={"If-Match": stored.headers["ETag"]})


GUARDS = {
    "the limit of two": ("recognition", {"two_people_from_ntd": 10**15}),
    "look-alikes": ("recognition", {"similar_days": 0, "similar_name_score": 100, "similar_amount_share": 0}),
    "the programme's dates": ("recognition", {"programme_end": "2099-12-31"}),
    "target books": ("target_books", {"disputes": []}),
    "definitions of money": ("money_definitions", {"note": "改過"}),
}


@POSTGRESQL_AT_LENGTH
@pytest.mark.parametrize("guard", GUARDS)
def test_nobody_loosens_a_guard_alone(here: Asked, guard: str) -> None:
    name, changed = GUARDS[guard]
    before = here.done("office", "GET", f"/api/configuration/{name}")["document"]
    moved = _set(here, name, **changed)
    assert (moved.status_code, moved.json()["document"]) == (202, before)
    second = f"/api/ledger/motions/{moved.json()['motion']['id']}/second"
    assert _kind(here.ask("office", "POST", second)) == (422, "ledger")
    key = {"Authorization": f"Bearer {here.keys['second']}"}
    assert _kind(here.client.post(second, headers=key)) == (403, "forbidden")
    assert here.ask("expert", "POST", second).status_code == 403
    # It is on both lists, and says to whom why it is not theirs.
    for who, bar in (("office", "mover"), ("second", None), ("committee", None)):
        (listed,) = here.done(who, "GET", "/api/ledger/motions")["items"]
        assert (listed["kind"], listed["subject"], listed["barred"]) == ("configure", name, bar)
        assert "調整" in here.ask(who, "GET", "/review/motions").text
    assert here.ask("committee", "POST", second).status_code == 200
    held = here.done("office", "GET", f"/api/configuration/{name}")
    assert held["document"] == {**before, **changed}
    assert (held["by"], held["motion"]) == (here.accounts["office"], None)
    assert here.ask("second", "POST", second).status_code == 422


@POSTGRESQL_AT_LENGTH
def test_what_is_reported_keeps_the_limit_that_it_met(here: Asked) -> None:
    entry_id = _reported(here)
    motion = _set(here, "recognition", two_people_from_ntd=10**15, programme_end="2099-12-31").json()["motion"]
    here.done("second", "POST", f"/api/ledger/motions/{motion['id']}/second")
    path = f"/api/ledger/entries/{entry_id}"
    here.done("committee", "POST", f"{path}/check", json={})
    assert _kind(here.ask("committee", "POST", f"{path}/recognise", json={})) == (403, "forbidden")
    moved = here.done("office", "POST", f"{path}/recognise", json={})
    assert (moved["state"], moved["motion"]["kind"]) == ("checked", "recognise")
    second = f"/api/ledger/motions/{moved['motion']['id']}/second"
    assert here.ask("committee", "POST", second).status_code == 403
    assert here.done("second", "POST", second)["ended"]["seconded"] is True
    assert here.done("office", "GET", path)["state"] == "recognised"


@POSTGRESQL_AT_LENGTH
def test_the_office_gets_a_colleague_by_two(here: Asked) -> None:
    made = here.done("office", "POST", "/api/accounts", json={"email": "third@example.org", "name": "third"})
    roles = f"/api/accounts/{made['id']}/roles"
    assert here.ask("office", "POST", roles, json={"role": "office"}).json()["field"] == "reason"
    moved = here.ask("office", "POST", roles, json={"role": "office", "reason": "新任"})
    assert (moved.status_code, moved.json()["roles"]) == (202, [])
    (motion,) = moved.json()["motions"]
    assert "新任" in here.ask("second", "GET", "/review/motions").text
    assert here.ask("office", "POST", f"/api/ledger/motions/{motion['id']}/second").status_code == 422
    here.done("second", "POST", f"/api/ledger/motions/{motion['id']}/second")
    (held,) = here.done("office", "GET", f"/api/accounts/{made['id']}")["roles"]
    assert (held["role"], held["granted_by"], held["motion_id"]) == ("office", here.accounts["office"], motion["id"])
    here.add_key("third", made["id"])
    # Who made the account, or moved its role, is not seconded by it; the other one is.
    for mover, wanted in (("office", (403, "conflict-of-interest")), ("second", (200, ""))):
        motion = _set(here, "recognition", who=mover, note=mover).json()["motion"]
        answer = here.ask("third", "POST", f"/api/ledger/motions/{motion['id']}/second")
        assert _kind(answer) == wanted
        if answer.status_code != 200:
            here.done(mover, "POST", f"/api/ledger/motions/{motion['id']}/drop", json={"reason": "撤"})


@POSTGRESQL_AT_LENGTH
def test_a_programs_account_is_no_persons(here: Asked) -> None:
    path = f"/api/accounts/{here.accounts['job']}"
    here.done("office", "POST", f"{path}/keys", json={"name": "夜間"})
    (held,) = here.done("office", "GET", path)["roles"]
    here.done("office", "DELETE", f"{path}/roles/{held['id']}")
    given = {"role": "expert", "scope": "al-a"}
    assert _kind(here.ask("second", "POST", f"{path}/roles", json=given)) == (409, "two-people")
    # And the other way round: who was a person gets no key from the office.
    person = f"/api/accounts/{here.accounts['newcomer']}"
    first = here.done("second", "POST", f"{person}/roles", json=given)["roles"][0]
    here.done("second", "DELETE", f"{person}/roles/{first['id']}")
    here.done("second", "POST", f"{person}/roles", json={"role": "job"})
    assert _kind(here.ask("office", "POST", f"{person}/keys", json={"name": "n"})) == (409, "two-people")
