"""Every page for every role: who may enter is the policy's, a stranger is led to the door, forms need their token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.access.policy import POLICY, Action, Resource
from api.app import OPEN_ROUTES
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.browsers import session_token
from tests.rig.servers.served import PEOPLE, Served, holder, page_routes_of, served
from tests.rig.servers.visits import CONTENT_POLICY, policy_of


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pages") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def pages(server: Served, method: str) -> list[tuple[str, tuple[Resource, Action]]]:
    """Return address and permission of every page that needs one; what the address names does not exist."""
    found = []
    for one, template, permission in page_routes_of():
        if one == method and (method, template) not in OPEN_ROUTES:
            path = re.sub(r"\{(\w*_id|n|prefix|key_prefix)\}", "999", template)
            found.append((re.sub(r"\{\w+\}", "none", path), permission))
    return found


def test_every_page_admits_whom_the_policy_admits(server: Served) -> None:
    wrong, cells = [], 0
    for path, permission in pages(server, "GET"):
        for who in PEOPLE:
            answer = server.ask(who, "GET", path)
            holders = POLICY[permission]
            admitted = holder(who) in holders or any(str(one) == "signed_in" for one in holders)
            # What does not exist is found by nobody; some pages lead on to another one.
            expected = {200, 303, 404, 422} if admitted else {403}
            cells += 1
            if answer.status_code not in expected:
                wrong.append(f"{who} {path}: {answer.status_code}")
            kind = answer.headers.get("content-type", "")
            if not kind.startswith("text/html") and answer.status_code != 303:
                wrong.append(f"{who} {path}: {kind}")
    assert wrong == []
    assert cells > 100
    print(f"{cells} cells of page x role")


def test_nobody_is_led_to_the_door_and_back(server: Served) -> None:
    for path, _ in pages(server, "GET"):
        answer = server.client.get(server.url + path)
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/sign-in" if path == "/" else f"/sign-in?then={path}",
        )


def test_a_part_of_a_page_sends_the_whole_browser_to_the_door(server: Served) -> None:
    answer = httpx.get(server.url + "/account", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"], answer.content) == (200, "/sign-in", b"")


@pytest.mark.parametrize("token", ["", "x" * 43])
def test_no_form_is_taken_without_its_token(server: Served, token: str) -> None:
    cookies = {who: {"__Host-gloria": session_token(server, who)} for who in PEOPLE}
    taken, asked = [], 0
    with httpx.Client() as client:
        for path, permission in pages(server, "POST"):
            who = next(one for one in PEOPLE if holder(one) in POLICY[permission])
            headers = {"Cookie": f"__Host-gloria={cookies[who]['__Host-gloria']}"}
            answer = client.post(server.url + path, data={"csrf_token": token}, headers=headers)
            asked += 1
            if answer.status_code != 403:
                taken.append(f"{who} {path}: {answer.status_code}")
    assert taken == []
    assert asked > 5


def test_with_its_token_a_form_is_taken(server: Served) -> None:
    """The control: the same request with the token is not refused for want of it."""
    cookie = {"Cookie": f"__Host-gloria={session_token(server, 'expert')}"}
    page = httpx.get(server.url + "/account", headers=cookie)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf_token": token[1], "name": "k", "days": "1"}
    assert httpx.post(server.url + "/account/keys", data=form, headers=cookie).status_code == 200


def test_headers_of_pages_let_nothing_in_from_elsewhere(server: Served) -> None:
    page = server.ask("expert", "GET", "/account")
    assert policy_of(page) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    # What everybody who visits a page in the other tests holds it to.
    assert policy_of(page) == CONTENT_POLICY
    assert page.headers["cache-control"] == "no-store"
    assert re.findall(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page.text) == []
