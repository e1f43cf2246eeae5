"""Who signed in, who failed to and who was held off stands in the trail, by ids alone, and nobody can flood it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from api.access.credentials import FAILURES_PER_ACCOUNT, set_password_hash
from api.access.passwords import hash_password
from api.trail.audit_trail import AuditRow, AuditSubject, verify_trail
from api.trail.sign_ins import MOST_FAILURES, WINDOW, SignInFailures
from indexer.database import reading, writing
from indexer.settings import Settings
from tests.rig.worlds.small_world import Asked, asked

PASSWORD = "old horse 電池 staple"
STORED = hash_password(PASSWORD)


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            for who in ("expert", "office"):
                set_password_hash(session, account_id=made.accounts[who], stored=STORED, now=datetime.now(UTC))
        yield made


def _sign_in(here: Asked, email: str, password: str = PASSWORD, page: bool = False) -> Any:
    given = {"email": email, "password": password}
    more: dict[str, Any] = {"data": given} if page else {"json": given}
    answer = here.ask(None, "POST", "/sign-in" if page else "/api/session", follow_redirects=False, **more)
    here.client.cookies.clear()
    return answer


def _rows(here: Asked) -> list[tuple[Any, ...]]:
    """Return what the trail says of signing in: who, what, how, what came of it, and whose account it was."""
    views: Any = here.client.app.state.views  # type: ignore[attr-defined]
    assert views._store_all()
    names = {account_id: name for name, account_id in here.accounts.items()}
    with reading(here.engine) as session:
        query = (
            select(AuditRow, AuditSubject.subject_id)
            .join(AuditSubject, col(AuditSubject.seq) == col(AuditRow.seq), isouter=True)
            .where(col(AuditRow.resource).in_(["session", "second_factor", "profile"]))
            .order_by(col(AuditRow.seq))
        )
        found = session.exec(query).all()
        assert verify_trail(session).findings == ()
    assert "@" not in str(found)
    return [
        (names.get(row.account_id or ""), row.action, row.how, row.outcome, row.status, names.get(subject or ""))
        for row, subject in found
    ]


def test_who_signs_in_fails_and_leaves_is_in_the_trail(here: Asked) -> None:
    answer = _sign_in(here, "expert@example.org")
    assert (answer.status_code, _sign_in(here, "expert@example.org", page=True).status_code) == (201, 303)
    headers = {"Cookie": answer.headers["set-cookie"].split(";")[0], "X-CSRF-Token": answer.json()["csrf_token"]}
    assert here.ask(None, "POST", "/api/session/confirm", headers=headers, json={"password": "x"}).status_code == 422
    left = here.ask(None, "DELETE", "/api/session", headers=headers)
    assert (left.status_code, left.headers["Clear-Site-Data"]) == (204, '"cache", "storage"')
    # The control: a browser that is signed out already leaves no row.
    assert here.ask(None, "DELETE", "/api/session", headers=headers).status_code == 204
    assert _sign_in(here, "office@example.org", "wrong").status_code == 401
    assert _sign_in(here, "nobody-there@example.org").status_code == 401
    # What failed is written a moment later than what was done.
    done = [one for one in _rows(here) if one[3] == "done"]
    assert done == [
        ("expert", "create", "api", "done", 201, "expert"),
        ("expert", "create", "page", "done", 201, "expert"),
        ("expert", "end", "api", "done", 204, "expert"),
    ]
    assert [one for one in _rows(here) if one[3] == "refused"] == [
        ("expert", "create", "api", "refused", 422, "expert"),
        (None, "create", "api", "refused", 401, "office"),
        (None, "create", "api", "refused", 401, None),
    ]
    page = here.ask("office", "GET", "/admin/audit?resource=session&outcome=refused", headers={"Accept-Language": "zh"})
    assert ("未登入者" in page.text, "系統管理者" in page.text.partition("<tbody>")[2]) == (True, False)


def test_a_stranger_fills_no_more_than_its_share_of_the_trail(here: Asked) -> None:
    assert MOST_FAILURES == FAILURES_PER_ACCOUNT
    app: Any = here.client.app
    kept: list[Any] = []
    app.state.sign_in_failures = failures = SignInFailures(kept.append)
    request, at, office = app_request(), datetime.now(UTC), here.accounts["office"]
    for _ in range(2):
        _sign_in(here, "nobody-there@example.org", "wrong")
    for _ in range(MOST_FAILURES):
        failures.note(request, at=at, status=401, account_id=None)
    assert [act.status for act in kept] == [401] * (MOST_FAILURES - 1) + [429]
    # An account's own share is not used up by that, and begins anew after the window.
    for n in range(3 * MOST_FAILURES):
        failures.note(request, at=at + n * timedelta(seconds=1), status=401, account_id=office)
    assert len(kept) == 2 * MOST_FAILURES
    failures.note(request, at=at + WINDOW, status=401, account_id=office)
    assert [(act.status, act.subjects[0].id) for act in kept[2 * MOST_FAILURES :]] == [(401, office)]


def app_request() -> Any:
    """Return a request as far as the trail looks at it."""
    from fastapi import Request

    return Request({"type": "http", "path": "/api/session", "method": "POST", "headers": []})
