"""The same request again gets the stored answer, but not who lost the right to see what it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session
from starlette.testclient import TestClient

from api.access.credentials import make_key
from indexer.database import writing
from indexer.settings import Settings
from matcher.review.people import active_grants, declare_stake, grant, revoke
from matcher.review.roles import Role
from tests.rig.servers.warmed_application import application
from tests.rig.worlds.small_world import World, build_world

NOTE = "only for our own alliance"


def _key(session: Session, account_id: str) -> str:
    now = datetime.now(UTC)
    return make_key(session, account_id=account_id, name="k", may_write=True, valid=timedelta(days=1), now=now)[1]


def _asked(settings: Settings, engine: Engine, world: World) -> tuple[Any, Any]:
    """Return what the expert sends, each time the same, and what it was answered."""
    with writing(engine) as session:
        key = _key(session, world.people["expert"])
    app = application(settings)
    client = TestClient(app, headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "once"})
    word = {"verdict": "accept", "proposal_id": world.proposal_id, "note": NOTE}

    def ask() -> Any:
        return client.post(f"/api/pairings/{world.pairing_id}/decision", json=word)

    first = ask()
    assert (first.status_code, first.json()["note"]) == (201, NOTE)
    again = ask()
    # The control: as long as nothing changes, the stored answer comes.
    assert (again.status_code, again.content, again.headers["Idempotent-Replay"]) == (201, first.content, "true")
    return app, ask


def test_who_declared_an_interest(settings: Settings, engine: Engine) -> None:
    world = build_world(engine)
    app, ask = _asked(settings, engine, world)
    with writing(engine) as session:
        declare_stake(session, account_id=world.people["expert"], party="lab", party_id="lab-1", now=datetime.now(UTC))
    answer = ask()
    assert (answer.status_code, answer.json()["field"], NOTE in answer.text) == (422, "Idempotency-Key", False)
    app.state.engine.dispose()


def test_who_went_to_another_alliance(settings: Settings, engine: Engine) -> None:
    world = build_world(engine)
    app, ask = _asked(settings, engine, world)
    now, account_id = datetime.now(UTC), world.people["expert"]
    with writing(engine) as session:
        (held,) = active_grants(session, account_id)
        revoke(session, grant_id=held.id or 0, by=world.people["office"], now=now)
        grant(session, account_id=account_id, role=Role.EXPERT, scope_id="al-b", by=None, now=now)
    answer = ask()
    assert (answer.status_code, answer.json()["field"], NOTE in answer.text) == (422, "Idempotency-Key", False)
    app.state.engine.dispose()


def test_an_interest_declared_twice_with_one_key_is_declared_once(settings: Settings, engine: Engine) -> None:
    world = build_world(engine)
    with writing(engine) as session:
        key = _key(session, world.people["lead"])
    app = application(settings)
    client = TestClient(app, headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "once"})
    interest = {"party": "lab", "party_id": "lab-1"}
    answers = [client.post("/api/me/stakes", json=interest) for _ in range(2)]
    app.state.engine.dispose()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert [answer.headers.get("Idempotent-Replay") for answer in answers] == [None, "true"]
    assert answers[0].content == answers[1].content
