"""A signed-in browser sends files: who asks is found out without writing, before a byte is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from api.access.credentials import open_session
from api.requests.permitted_request import COOKIE
from indexer.database import writing
from indexer.settings import Settings
from tests.rig.worlds.small_world import Asked, asked

NEEDS = b'{"id": "need-new", "title": "a"}\n'


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


@pytest.mark.parametrize(("path", "status"), [("/api/imports?name=needs.jsonl", 202), ("/api/evidence", 201)])
def test_only_the_request_itself_writes(here: Asked, path: str, status: int) -> None:
    account_id = here.accounts["expert"]
    with writing(here.engine) as session:
        token, csrf_token = open_session(session, account_id=account_id, now=datetime.now(UTC))
    noted: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE login_session"):
            noted.append(statement)

    event.listen(here.engine, "before_cursor_execute", note)
    headers = {"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": csrf_token}
    answer = here.client.post(path, content=NEEDS, headers=headers)
    assert (answer.status_code, len(noted)) == (status, 1), answer.text
    # The same without the token is refused, and notes nothing.
    refused = here.client.post(path, content=NEEDS, headers={"Cookie": headers["Cookie"]})
    assert (refused.status_code, len(noted)) == (403, 1)
