"""Office and committee sign in with two factors: led to set one up, asked for a code, a recovery code works once."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlmodel import select

from api.access.credentials import FAILURES_PER_ACCOUNT, set_password_hash
from api.access.passwords import hash_password
from api.access.second_factor import DEMO_FILE, KEY_FILE, STEP_S, factor_key, roles_bound, wrong_code
from api.trail.audit_trail import AuditRow
from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.ledger.rows.motions import MotionEnd
from matcher.ledger.rule_documents import move_document
from matcher.ledger.rules.configuration import current, default
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.conftest import Databases, Gloria
from tests.rig.worlds.small_world import Asked, asked

PASSWORD = "old horse 電池 staple"
STORED = hash_password(PASSWORD)


@pytest.fixture
def here(databases: Databases, tmp_path: Path) -> Iterator[Asked]:
    home = tmp_path / "home"
    with asked(Settings(home=home, database_url=databases.at_head("sqlite", home), second_factor="auto")) as made:
        now = datetime.now(UTC)
        with writing(made.engine) as session:
            for who in ("office", "committee", "expert"):
                set_password_hash(session, account_id=made.accounts[who], stored=STORED, now=now)
        yield made


class Signed:
    """A browser of somebody: it keeps the session's cookie and token, as a browser would."""

    def __init__(self, here: Asked, who: str, code: str | None = None) -> None:
        self.here, self.headers = here, {"User-Agent": "a browser of the test"}
        body = {"email": f"{who}@example.org", "password": PASSWORD} | ({} if code is None else {"code": code})
        self.answer = self.ask("POST", "/api/session", body)
        self.document = self.answer.json()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        more = {} if body is None else {"json": body}
        answer = self.here.ask(None, method, path, headers=self.headers, **more)
        self.here.client.cookies.clear()
        if "set-cookie" in answer.headers and answer.is_success:
            self.headers["Cookie"] = answer.headers["set-cookie"].split(";")[0]
        if answer.is_success and answer.content and "csrf_token" in answer.json():
            self.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return answer

    def status(self, method: str, path: str, body: Any = None) -> int:
        return int(self.ask(method, path, body).status_code)

    def enrolled(self) -> tuple[pyotp.TOTP, list[str]]:
        """Set a second factor up; return the authenticator and the recovery codes."""
        begun = self.ask("POST", "/api/me/second-factor", {"password": PASSWORD})
        assert begun.status_code == 201, begun.text
        totp = pyotp.parse_uri(begun.json()["address"])
        assert isinstance(totp, pyotp.TOTP)
        assert (totp.secret, totp.issuer) == (begun.json()["secret"], "GLORIA Match")
        done = self.ask("POST", "/api/me/second-factor/enrolment", {"code": totp.at(time.time() - STEP_S)})
        assert done.status_code == 201, done.text
        return totp, done.json()["recovery_codes"]


def test_the_office_is_led_to_set_one_up_and_let_in_then(here: Asked) -> None:
    office = Signed(here, "office")
    # Nobody is locked out by a rule that came after the account: signing in works, and opens the place to follow it.
    assert (office.answer.status_code, office.document["second_factor"]) == (201, "enrol")
    refused = office.ask("GET", "/api/accounts")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:gloria:problem:second-factor")
    everything = ("/api/me", "/api/accounts", "/api/audit", "/api/me/keys", "/api/me/sessions", "/api/needs/n-1")
    assert {office.status("GET", path) for path in everything} == {403}
    assert office.status("POST", "/api/me/keys", {"name": "n", "password": PASSWORD}) == 403
    assert office.ask("GET", "/api/me/second-factor").json() == {
        "enrolled_at": None, "is_required": True, "recovery_codes_left": 0, "awaits": "enrol",
    }  # fmt: skip
    before, other = dict(office.headers), Signed(here, "office")
    _, codes = office.enrolled()
    assert len(set(codes)) == 10
    assert {office.status("GET", path) for path in everything[:-1]} == {200}
    # The session is another one than the one with one factor, which ended with all others.
    assert here.ask(None, "GET", "/api/me/second-factor", headers=before).status_code == 401
    assert other.status("GET", "/api/me/second-factor") == 401


def test_a_code_opens_once_and_only_of_the_own_authenticator(here: Asked) -> None:
    totp, codes = Signed(here, "office").enrolled()
    elses, _ = Signed(here, "committee").enrolled()
    half = Signed(here, "office")
    assert (half.document["second_factor"], half.status("GET", "/api/me"), half.status("GET", "/api/accounts")) == (
        "code", 403, 403,
    )  # fmt: skip
    now, place = time.time(), "/api/session/second-factor"
    wrong = (
        "000000",
        elses.at(now),
        totp.at(now - 10 * STEP_S),
        totp.at(now - STEP_S),
        "１２３４５６",
        "",
        codes[0][:-1],
    )
    assert [half.status("POST", place, {"code": code}) for code in wrong] == [422] * len(wrong)
    assert half.status("GET", "/api/accounts") == 403
    code = totp.at(time.time())
    assert half.status("POST", place, {"code": f"{code[:3]} {code[3:]}"}) == 201
    assert half.status("GET", "/api/accounts") == 200
    # Whoever overheard it comes too late.
    assert Signed(here, "office", code).answer.status_code == 401
    assert Signed(here, "office").status("POST", place, {"code": code}) == 422


def test_a_recovery_code_opens_once_and_the_next_can_be_renewed(here: Asked) -> None:
    totp, codes = Signed(here, "office").enrolled()
    lost = Signed(here, "office", codes[3].upper().replace("-", " "))
    assert (lost.answer.status_code, "second_factor" in lost.document) == (201, False)
    assert lost.ask("GET", "/api/me/second-factor").json()["recovery_codes_left"] == 9
    assert Signed(here, "office", codes[3]).answer.status_code == 401
    renewed = lost.ask("POST", "/api/me/second-factor/recovery-codes", {"code": codes[4]}).json()["recovery_codes"]
    assert [Signed(here, "office", code).answer.status_code for code in (codes[5], renewed[0])] == [401, 201]
    # None of it is stored as it is.
    stored = Path(str(here.engine.url.database)).read_bytes() + b"".join(
        path.read_bytes() for path in Path(str(here.engine.url.database)).parent.glob("gloria.db-*")
    )
    secrets = (totp.secret, *codes, *(code.replace("-", "").upper() for code in codes))
    assert [secret for secret in secrets if secret.encode() in stored] == []
    assert lost.status("POST", "/api/me/second-factor/end", {"code": "000000"}) == 422
    assert lost.status("POST", "/api/me/second-factor/end", {"code": renewed[1]}) == 204
    assert (lost.status("GET", "/api/accounts"), lost.ask("GET", "/api/me/second-factor").json()["awaits"]) == (
        403, "enrol",
    )  # fmt: skip


def test_confirming_that_it_is_you_takes_both_factors(here: Asked) -> None:
    office = Signed(here, "office")
    totp, codes = office.enrolled()
    path = "/api/session/confirm"
    assert office.status("POST", path, {"password": PASSWORD}) == 422
    assert office.status("POST", path, {"password": PASSWORD, "code": "000000"}) == 422
    assert office.status("POST", path, {"password": "wrong", "code": codes[0]}) == 422
    assert office.status("POST", path, {"password": PASSWORD, "code": totp.at(time.time())}) == 204
    # The password alone does for whoever has no second factor.
    assert Signed(here, "expert").status("POST", path, {"password": PASSWORD}) == 204


def test_others_may_have_one_and_are_then_asked(here: Asked) -> None:
    expert = Signed(here, "expert")
    assert ("second_factor" in expert.document, expert.status("GET", "/api/me")) == (False, 200)
    assert expert.status("POST", "/api/me/second-factor", {"password": "wrong"}) == 422
    assert expert.status("POST", "/api/me/second-factor", {}) == 422
    expert.enrolled()
    assert expert.status("POST", "/api/me/second-factor", {"password": PASSWORD}) == 422
    half = Signed(here, "expert")
    assert (half.document["second_factor"], half.status("GET", "/api/queue")) == ("code", 403)
    # Programs go on with the keys that somebody with both factors made.
    assert here.ask("expert", "GET", "/api/queue").status_code == 200
    for path in ("", "/enrolment", "/recovery-codes", "/end"):
        body = {"password": PASSWORD} if path == "" else {"code": "000000"}
        assert here.ask("expert", "POST", f"/api/me/second-factor{path}", json=body).status_code == 422


def test_guessing_codes_is_slowed_down(here: Asked) -> None:
    Signed(here, "office").enrolled()
    half, place = Signed(here, "office"), "/api/session/second-factor"
    answers = [half.status("POST", place, {"code": f"{n:06}"}) for n in range(FAILURES_PER_ACCOUNT + 1)]
    assert answers == [422] * FAILURES_PER_ACCOUNT + [429]


def test_a_role_that_is_given_later_asks_at_once(here: Asked) -> None:
    expert = Signed(here, "expert")
    assert expert.status("GET", "/api/me") == 200
    with writing(here.engine) as session:
        account_id, now = here.accounts["expert"], datetime.now(UTC)
        grant(session, account_id=account_id, role=Role.COMMITTEE, scope_id="al-b", by=None, now=now)
    assert (expert.status("GET", "/api/me"), expert.ask("GET", "/api/me/second-factor").json()["awaits"]) == (
        403, "enrol",
    )  # fmt: skip


def test_pages_lead_to_it_and_on_to_what_was_wanted(here: Asked) -> None:
    client = here.client

    def page(method: str, path: str, **form: str) -> Any:
        return client.request(method, path, follow_redirects=False, **({"data": form} if form else {}))

    def token(answer: Any) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
        assert found is not None
        return found[1]

    credentials = {"email": "office@example.org", "password": PASSWORD}
    sent = page("POST", "/sign-in", **credentials, then="/admin")
    assert (sent.status_code, sent.headers["location"]) == (303, "/second-factor?then=/admin")
    for path in ("/admin", "/account", "/kpi"):
        assert page("GET", path).headers["location"] == f"/second-factor?then={path}"
    lead = page("GET", "/second-factor?then=/admin")
    assert (lead.status_code, "menu" in lead.text) == (200, False)
    begun = page("POST", "/second-factor", csrf_token=token(lead), password=PASSWORD, then="/admin")
    secret = re.search(r'name="secret" value="([^"]+)"', begun.text)
    address = re.search(r'name="address" value="([^"]+)"', begun.text)
    assert secret
    assert address
    assert "<svg" in begun.text
    hidden = {"secret": secret[1], "address": address[1].replace("&amp;", "&"), "then": "/admin"}
    totp = pyotp.TOTP(secret[1].replace(" ", ""))
    again = page("POST", "/second-factor/enrolment", csrf_token=token(begun), code="000000", **hidden)
    # A mistyped digit does not begin everything anew: the same picture is there.
    assert (again.status_code, secret[0] in again.text, "<svg" in again.text) == (422, True, True)
    right = totp.at(time.time() - STEP_S)
    done = page("POST", "/second-factor/enrolment", csrf_token=token(again), code=right, **hidden)
    codes = re.findall(r"<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){5})</code>", done.text)
    assert (done.status_code, len(codes), 'href="/admin"' in done.text) == (200, 10, True)
    assert page("GET", "/admin").status_code == 200
    assert page("POST", "/sign-out", csrf_token=token(done)).status_code == 303
    client.cookies.clear()
    page("POST", "/sign-in", **credentials, then="/admin")
    asks = page("GET", "/second-factor?then=//evil.example")
    assert 'value="//evil.example"' not in asks.text
    # Who can't show it can leave.
    assert page("POST", "/sign-out", csrf_token=token(asks)).headers["location"] == "/sign-in"
    client.cookies.clear()
    page("POST", "/sign-in", **credentials)
    asks = page("GET", "/second-factor")
    let_in = page("POST", "/second-factor/code", csrf_token=token(asks), code=totp.at(time.time()), then="/admin")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/admin")
    assert page("GET", "/admin").status_code == 200


def test_whoever_runs_the_machine_lets_somebody_begin_anew(here: Asked, gloria: Gloria) -> None:
    office = Signed(here, "office")
    office.enrolled()
    home, url = Path(str(here.engine.url.database)).parent, str(here.engine.url).replace("+pysqlite", "")
    told = gloria("--lang", "en", "user", "reset", "office@example.org", home=home, database_url=url)
    assert (told.code, told.out) == (0, "office@example.org has no second factor any more\n"), told.err
    assert office.status("GET", "/api/me/second-factor") == 401
    assert Signed(here, "office").document["second_factor"] == "enrol"
    again = gloria("--lang", "en", "user", "reset", "office@example.org", home=home, database_url=url)
    assert again.out == "office@example.org had no second factor\n"


def test_the_second_person_at_the_command_line_shows_it_too(here: Asked, gloria: Gloria) -> None:
    home, url = Path(str(here.engine.url.database)).parent, str(here.engine.url).replace("+pysqlite", "")
    with writing(here.engine) as session:
        other = add_account(session, email="other@example.org", name="另一位", now=datetime.now(UTC)).id
        grant(session, account_id=other, role=Role.OFFICE, scope_id="", by=None, now=datetime.now(UTC))
        document = default(RecognitionRules).model_copy(update={"similar_days": 30})
        moved = move_document(session, document, reason="試行", by=other, now=datetime.now(UTC)).id

    def second(*lines: str) -> tuple[int, str]:
        command = ("--lang", "en", "ledger", "second", moved, "--by", "office@example.org")
        given = "".join(f"{line}\n" for line in lines).encode()
        told = gloria(*command, home=home, database_url=url, second_factor="auto", given=given)
        return told.code, (told.err or told.out).replace("\n", " ")

    assert second("wrong") == (1, "--by office@example.org: the password is wrong ")
    # Whose role needs one is not let in without.
    code, said = second(PASSWORD)
    assert (code, "a role of theirs needs a second factor" in said) == (1, True), said
    totp, codes = Signed(here, "office").enrolled()
    assert second(PASSWORD) == second(PASSWORD, "000000") == (1, f"{wrong_code()} ")
    assert second("wrong", codes[0])[0] == 1
    with reading(here.engine) as session:
        assert session.exec(select(MotionEnd)).all() == []
        rows = session.exec(select(AuditRow.resource).where(AuditRow.operation == "ledger second")).all()
        assert rows == ["profile", "second_factor", "second_factor", "profile"]
    assert second(PASSWORD, totp.at(time.time())) == (0, "agreed: it is carried out ")
    with reading(here.engine) as session:
        assert session.exec(select(MotionEnd.by)).all() == [here.accounts["office"]]
        assert current(session, RecognitionRules).similar_days == 30


def test_the_setting_says_whose_roles_are_bound(tmp_path: Path) -> None:
    decides = frozenset({Role.OFFICE, Role.COMMITTEE})
    assert roles_bound("auto", tmp_path) == decides
    assert roles_bound("off", tmp_path) == frozenset()
    assert roles_bound("office,lead", tmp_path) == {Role.OFFICE, Role.LEAD}
    (tmp_path / DEMO_FILE).touch()
    assert (roles_bound("auto", tmp_path), roles_bound("office", tmp_path)) == (frozenset(), {Role.OFFICE})
    for wrong in ("everybody", "office;lead", "office, lead", "job"):
        with pytest.raises(ValueError, match="second_factor"):
            Settings(home=tmp_path, second_factor=wrong)


def test_the_key_is_made_once_whole_and_for_its_owner(tmp_path: Path) -> None:
    key = factor_key(tmp_path)
    assert (len(key), factor_key(tmp_path), [path.name for path in tmp_path.iterdir()]) == (32, key, [KEY_FILE])
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    for damaged in (b"", key[:-1], key + b"\n"):
        (tmp_path / KEY_FILE).write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            factor_key(tmp_path)
