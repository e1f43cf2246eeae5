"""What tests of routes share: the application in this process on a small world, with a key for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from starlette.testclient import TestClient

from api.credentials import make_key
from indexer.database import writing
from indexer.settings import Settings
from matcher.people import add_account
from tests.deciding import World, build_world
from tests.warmed_application import application


@dataclass
class Asked:
    """The application, its database, and everybody's account and key by name; `newcomer` holds no role."""

    client: TestClient
    engine: Engine
    world: World
    accounts: dict[str, str]
    keys: dict[str, str]

    def ask(self, who: str | None, method: str, path: str, **more: Any) -> Any:
        """Send one request as somebody, or as nobody."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.keys[who]}"
        return self.client.request(method, path, headers=headers, **more)

    def done(self, who: str, method: str, path: str, **more: Any) -> Any:
        """Send one request that must succeed; return its document, None if it has none."""
        answer = self.ask(who, method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def add_key(self, name: str, account_id: str, *, may_write: bool = True) -> None:
        """Give somebody a key under a name of the test's own."""
        with writing(self.engine) as session:
            _, self.keys[name] = make_key(
                session,
                account_id=account_id,
                name="test",
                may_write=may_write,
                valid=timedelta(days=1),
                now=datetime.now(UTC),
            )
        self.accounts[name] = account_id


@contextmanager
def asked(settings: Settings) -> Iterator[Asked]:
    """Fill a database with the small world of `tests.deciding`, and build the application on it."""
    app = application(settings)
    engine = app.state.engine
    world = build_world(engine)
    with writing(engine) as session:
        newcomer = add_account(session, email="newcomer@example.org", name="newcomer", now=datetime.now(UTC)).id
    # Not entered: nothing is to be warmed up in the background. HTTPS, as the cookies ask for.
    made = Asked(TestClient(app, base_url="https://testserver"), engine, world, {}, {})
    for name, account_id in {**world.people, "newcomer": newcomer}.items():
        made.add_key(name, account_id)
    try:
        yield made
    finally:
        engine.dispose()
