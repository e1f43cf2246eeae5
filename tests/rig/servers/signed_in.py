"""Signing people in without their passwords, and telling which requests no key may make.

In: a database and an account, or a request's method and path. Out: the headers of a browser whose person was there a
moment ago; whether the policy asks for such a one. It exists so that most tests may ask by keys, which need no token.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from sqlalchemy import Engine
from sqlmodel import col, select
from starlette.routing import compile_path

from api.access.credentials import ApiKey, digest, open_session
from api.access.policy import PERSON_ONLY
from api.app import permissions
from indexer.database import reading, writing
from indexer.settings import Settings
from tests.rig.servers.warmed_application import application

_BUILDING = threading.Lock()
"""Threads that ask at once would each build the application, and bringing a database up is for one at a time."""


@cache
def _person_only() -> tuple[tuple[str, re.Pattern[str]], ...]:
    with TemporaryDirectory() as home:
        app = application(Settings(home=Path(home)))
        app.state.engine.dispose()
    return tuple(
        (method, compile_path(path)[0])
        for method, path, permission in permissions(app)
        if permission in PERSON_ONLY and method != "GET"
    )


def takes_a_person(method: str, path: str) -> bool:
    """Whether a request is refused to every key."""
    place = urlsplit(path).path
    with _BUILDING:
        known = _person_only()
    return any(method == one and pattern.match(place) for one, pattern in known)


def signed_in(engine: Engine, account_id: str) -> dict[str, str]:
    """Return the headers of a browser in which somebody has just signed in."""
    now = datetime.now(UTC)
    with writing(engine) as session:
        token, csrf_token = open_session(session, account_id=account_id, now=now, confirmed_at=now)
    return {"Cookie": f"__Host-gloria={token}", "X-CSRF-Token": csrf_token}


def headers_of(engine: Engine, key: str, method: str, path: str) -> dict[str, str]:
    """Return the headers by which whoever has a key makes a request: where no key may, the person's, signed in."""
    if takes_a_person(method, path):
        held = (ApiKey.key_hash == digest(key), col(ApiKey.revoked_at).is_(None), ApiKey.may_write)
        with reading(engine) as session:
            account_id = session.exec(select(ApiKey.account_id).where(*held)).first()
        if account_id is not None:
            return signed_in(engine, account_id)
    return {"Authorization": f"Bearer {key}"}
