"""Accounts over HTTP: made, given roles, shut out, by the programme office; somebody is always left there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import col, select

from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.review.people import Account, Grant, add_account, grant, set_disabled
from matcher.review.roles import Role
from tests.rig.worlds.small_world import Asked, asked

pytestmark = pytest.mark.postgresql_at_length


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _account(here: Asked, who: str, by: str = "office") -> tuple[dict[str, Any], str]:
    answer = here.ask(by, "GET", f"/api/accounts/{here.accounts[who]}")
    assert answer.status_code == 200
    return answer.json(), answer.headers["ETag"]


def _shut_out(here: Asked, who: str, by: str = "office", *, disabled: bool = True) -> int:
    path = f"/api/accounts/{here.accounts[who]}"
    answer = here.ask(by, "PATCH", path, json={"disabled": disabled}, headers={"If-Match": "*"})
    return int(answer.status_code)


def _second_office(here: Asked) -> None:
    """As whoever runs the machine lets in the first two."""
    with writing(here.engine) as session:
        made = add_account(session, email="second@example.org", name="第二位", now=datetime.now(UTC))
        grant(session, account_id=made.id, role=Role.OFFICE, by=None, now=datetime.now(UTC))
        account_id = made.id
    here.add_key("second", account_id)


def test_an_account_from_the_first_role_to_the_last(here: Asked) -> None:
    body = {"email": "Chen@Example.org", "name": "陳先生", "roles": [{"role": "expert", "scope": "al-a"}]}
    answer = here.ask("office", "POST", "/api/accounts", json=body)
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/accounts/{made['id']}")
    assert (made["email"], made["disabled"], made["has_password"]) == ("chen@example.org", False, False)
    here.add_key("chen", made["id"])
    path = f"/api/accounts/{made['id']}"
    assert here.ask("chen", "GET", "/api/needs/n-1").status_code == 200
    # A role bites at the next request, both ways, and stays on record.
    (held,) = made["roles"]
    assert (
        here.done("office", "DELETE", f"{path}/roles/{held['id']}")["roles"][0]["revoked_by"] == here.accounts["office"]
    )
    assert here.ask("chen", "GET", "/api/needs/n-1").status_code == 403
    assert here.ask("office", "DELETE", f"{path}/roles/{held['id']}").status_code == 404
    given = here.done("office", "POST", f"{path}/roles", json={"role": "company", "scope": "co-1"})
    again = here.done("office", "POST", f"{path}/roles", json={"role": "company", "scope": "co-1"})
    assert given == again
    assert [(one["role"], one["revoked_at"] is None) for one in given["roles"]] == [
        ("expert", False),
        ("company", True),
    ]
    assert here.ask("chen", "GET", "/api/needs/n-1").status_code == 200
    assert _shut_out(here, "chen") == 200
    assert here.ask("chen", "GET", "/api/me").status_code == 401
    assert _shut_out(here, "chen", disabled=False) == 200
    # What ended stays ended: whoever held the key may be why the account was shut.
    assert here.ask("chen", "GET", "/api/me").status_code == 401
    here.add_key("chen again", here.accounts["chen"])
    assert here.ask("chen again", "GET", "/api/me").status_code == 200


def test_what_can_not_be_is_refused(here: Asked) -> None:
    def post(path: str, **body: Any) -> tuple[int, str | None]:
        answer = here.ask("office", "POST", path, json=body)
        return answer.status_code, answer.json()["field"]

    path = f"/api/accounts/{here.accounts['newcomer']}"
    assert post("/api/accounts", email="expert@example.org") == (422, "email")
    assert post("/api/accounts", email="nobody") == (422, "email")
    # Nothing is left of an account whose role can't be given.
    assert post("/api/accounts", email="a@example.org", roles=[{"role": "expert", "scope": "al-x"}]) == (422, "scope")
    assert post("/api/accounts", email="a@example.org", roles=[{"role": "expert", "scope": "al-y"}]) == (422, "scope")
    assert post(f"{path}/roles", role="office", scope="al-a") == (422, "scope")
    assert post("/api/accounts/none/roles", role="office") == (404, None)
    assert here.ask("lead", "GET", path).status_code == 403


def test_edits_go_on_what_was_read(here: Asked) -> None:
    path = f"/api/accounts/{here.accounts['newcomer']}"
    _, etag = _account(here, "newcomer")
    assert here.ask("office", "PATCH", path, json={"name": "新人"}).status_code == 428
    answer = here.ask("office", "PATCH", path, json={"name": "新人"}, headers={"If-Match": etag})
    assert (answer.status_code, answer.json()["name"]) == (200, "新人")
    assert here.ask("office", "PATCH", path, json={"disabled": True}, headers={"If-Match": etag}).status_code == 412
    fresh = answer.headers["ETag"]
    assert here.ask("office", "PATCH", path, json={"name": ""}, headers={"If-Match": fresh}).json()["name"] == (
        "newcomer@example.org"
    )


def test_lists_are_paged_and_filtered(here: Asked) -> None:
    found, cursor = [], None
    while True:
        page = here.done(
            "office", "GET", "/api/accounts", params={"limit": 5, **({"cursor": cursor} if cursor else {})}
        )
        found += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == sorted(here.accounts.values())

    def listed(**query: str) -> set[str]:
        return {one["name"] for one in here.done("office", "GET", "/api/accounts", params=query)["items"]}

    assert listed(role="expert") == {"expert", "colleague", "stranger"}
    assert listed(role="expert", scope="al-a") == {"expert", "colleague"}
    assert listed(scope="al-a") == {"expert", "colleague", "lead", "committee"}
    assert here.ask("office", "GET", "/api/accounts", params={"role": "king"}).status_code == 422


def test_nobody_in_the_office_shuts_out_themselves(here: Asked) -> None:
    _second_office(here)
    (held,) = _account(here, "office")[0]["roles"]
    assert _shut_out(here, "office") == 409
    path = f"/api/accounts/{here.accounts['office']}/roles/{held['id']}"
    assert here.ask("office", "DELETE", path).json()["type"] == "urn:gloria:problem:own-account"
    # The control: a colleague may.
    assert here.ask("second", "DELETE", path).status_code == 200
    assert here.ask("office", "GET", "/api/accounts").status_code == 403


@pytest.mark.postgresql_too
@pytest.mark.parametrize("way", ["disable", "revoke"])
def test_two_who_shut_each_other_out_leave_one(here: Asked, way: str) -> None:
    _second_office(here)
    both = {"office": "second", "second": "office"}
    grants = {who: _account(here, who)[0]["roles"][0]["id"] for who in both}
    for _ in range(5):
        statuses: dict[str, int] = {}
        begin = threading.Barrier(2)

        def shut_out(by: str, statuses: dict[str, int] = statuses, begin: threading.Barrier = begin) -> None:
            other = both[by]
            begin.wait()
            if way == "disable":
                statuses[by] = _shut_out(here, other, by)
            else:
                path = f"/api/accounts/{here.accounts[other]}/roles/{grants[other]}"
                statuses[by] = here.ask(by, "DELETE", path).status_code

        threads = [threading.Thread(target=shut_out, args=(by,)) for by in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        left = [by for by in both if here.ask(by, "GET", "/api/accounts").status_code == 200]
        assert len(left) == 1, statuses
        # The one who lost was refused as the last one's, or had no way in any more.
        assert sorted(statuses.values())[0] == 200
        assert sorted(statuses.values())[1] in (401, 403, 409)
        out = both[left[0]]
        if way == "disable":
            assert _shut_out(here, out, left[0], disabled=False) == 200
        else:
            with writing(here.engine) as session:
                given = grant(session, account_id=here.accounts[out], role=Role.OFFICE, by=None, now=datetime.now(UTC))
                grants[out] = given.id


def test_only_programs_get_keys_from_the_office(here: Asked) -> None:
    def keys(who: str) -> str:
        return f"/api/accounts/{here.accounts[who]}/keys"

    assert here.ask("office", "POST", keys("expert"), json={"name": "n"}).status_code == 409
    assert here.ask("office", "POST", keys("newcomer"), json={"name": "n"}).status_code == 409
    made = here.done("office", "POST", keys("job"), json={"name": "夜間", "may_write": True, "days": 30})
    here.keys["night"] = made["key"]
    assert here.done("night", "GET", "/api/me")["roles"] == [{"role": "job", "scope": ""}]
    document, _ = _account(here, "job")
    assert [one["prefix"] for one in document["keys"]][-1] == made["prefix"]
    assert made["key"] not in str(document)
    assert "hash" not in str(document)
    assert here.ask("office", "DELETE", f"{keys('expert')}/{made['prefix']}").status_code == 404
    assert here.ask("office", "DELETE", f"{keys('job')}/{made['prefix']}").status_code == 204
    assert here.ask("night", "GET", "/api/me").status_code == 401
    # Anybody's key can be ended.
    prefix = here.keys["expert"].split("_")[1]
    assert here.ask("office", "DELETE", f"{keys('expert')}/{prefix}").status_code == 204
    assert here.ask("expert", "GET", "/api/me").status_code == 401


def test_only_the_office_ends_a_stake_and_says_why(here: Asked) -> None:
    stake = here.done("expert", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    own = here.done("office", "POST", "/api/me/stakes", json={"party": "lab", "party_id": "lab-1"})
    path = f"/api/accounts/{here.accounts['expert']}/stakes/{stake['id']}/end"
    assert here.ask("expert", "POST", path, json={"reason": "sold"}).status_code == 403
    assert here.ask("office", "POST", path, json={"reason": " "}).json()["field"] == "reason"
    other = f"/api/accounts/{here.accounts['lead']}/stakes/{stake['id']}/end"
    assert here.ask("office", "POST", other, json={"reason": "sold"}).status_code == 404
    mine = f"/api/accounts/{here.accounts['office']}/stakes/{own['id']}/end"
    assert here.ask("office", "POST", mine, json={"reason": "sold"}).status_code == 409
    (ended,) = here.done("office", "POST", path, json={"reason": "持股已售"})["stakes"]
    assert (ended["end_reason"], ended["ended_by"]) == ("持股已售", here.accounts["office"])
    assert here.done("expert", "GET", "/api/me")["stakes"] == []
    assert here.ask("office", "POST", path, json={"reason": "again"}).status_code == 404


@pytest.mark.postgresql_too
def test_the_race_is_seen_when_nobody_is_held(here: Asked) -> None:
    """The control: two that look who is left before either writes shut each other out."""
    _second_office(here)
    both = {"office": "second", "second": "office"}
    left = {}
    for by, other in both.items():
        with reading(here.engine) as session:
            query = select(Account.id).join(Grant).where(Grant.role == Role.OFFICE.value)
            left[by] = set(session.exec(query.where(col(Account.disabled_at).is_(None))).all()) - {here.accounts[other]}
    for by, other in both.items():
        assert left[by]
        with writing(here.engine) as session:
            set_disabled(session, account_id=here.accounts[other], disabled=True, now=datetime.now(UTC))
    assert {here.ask(by, "GET", "/api/accounts").status_code for by in both} == {401}
