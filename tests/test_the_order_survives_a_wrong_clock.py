"""A clock that jumps a day ahead and back between writes leaves their order, everybody's way in, and no job waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from api.access.credentials import FAILURES_PER_ACCOUNT, REFUSED_FROM, note_failure, set_password_hash
from api.access.passwords import hash_password
from api.jobs.job_queue import Claimed, JobKind, LeaseLostError, ask_for, begin_part, claim, is_waiting
from api.requests import permitted_request
from indexer import instants
from indexer.database import open_engine, reading, writing
from indexer.records.record_tables import Change, changes_since
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import ACCEPTANCE_PREFIX, Entry
from matcher.ledger.rows.steps import Step
from matcher.review.cases import Case, CaseStep
from matcher.review.decisions import Decision
from matcher.review.intake import NeedStep
from matcher.review.people import add_account
from tests.rig.figures import figure
from tests.rig.load.decisions import Pair, pairs_in
from tests.rig.servers.served import fill
from tests.rig.servers.served_here import Near, near, until

DAY = timedelta(days=1)
PASSWORD = "long enough for everybody"
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


class Clock:
    """The server's clock, ahead of the true one by `ahead`; it stands in for `datetime` in the one place that asks."""

    ahead = timedelta(0)

    @classmethod
    def now(cls, zone: tzinfo) -> datetime:
        """Return what the clock says."""
        return datetime.now(zone) + cls.ahead


@dataclass
class Place:
    """A server whose clock a test sets, and pairings that wait."""

    server: Near
    pairs: list[Pair]

    def done(self, who: str, method: str, path: str, **more: Any) -> Any:
        """Send one request that must succeed."""
        answer = self.server.ask(who, method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(instants, "datetime", Clock)
    monkeypatch.setattr(Clock, "ahead", timedelta(0))
    return Clock


@pytest.fixture
def place(settings: Settings, slice_of_world: Path, clock: type[Clock]) -> Iterator[Place]:
    del clock
    settings.home.mkdir(exist_ok=True)
    keys, accounts = fill(settings, slice_of_world)
    pairs = pairs_in(settings, accounts["expert"], 27 * 12)
    engine = open_engine(settings)
    with writing(engine) as session:
        set_password_hash(session, account_id=accounts["expert"], stored=hash_password(PASSWORD), now=datetime.now(UTC))
    engine.dispose()
    with near(settings, keys, matching=False) as server:
        yield Place(server, pairs)


def _by_time(rows: list[tuple[Any, datetime]]) -> list[Any]:
    return [what for what, _ in sorted(rows, key=lambda row: row[1])]


@pytest.mark.parametrize("writes", [20, pytest.param(150, marks=pytest.mark.long)])
def test_what_was_written_later_stands_later(writes: int, place: Place, clock: type[Clock]) -> None:
    chance = Random(24)
    needs, cases, results, entries = [], [], [], []
    for pairing_id, proposal_id in place.pairs[:writes]:
        clock.ahead = chance.choice((-DAY, timedelta(0), DAY))
        needs.append(place.done("company", "POST", "/api/needs", json={"title": "一"})["id"])
        clock.ahead = chance.choice((-DAY, timedelta(0), DAY))
        accepted = {"verdict": "accept", "proposal_id": proposal_id}
        case_id = place.done("expert", "POST", f"/api/pairings/{pairing_id}/decision", json=accepted)["case_id"]
        cases.append(case_id)
        clock.ahead = chance.choice((-DAY, timedelta(0), DAY))
        result = _result(case_id)
        place.done("expert", "POST", "/api/ledger/entries", json=result)
        results.append(result["id"])
        entries += [f"{ACCEPTANCE_PREFIX}{case_id}", results[-1]]
        clock.ahead = chance.choice((-DAY, timedelta(0), DAY))
        etag = place.server.ask("expert", "GET", f"/api/cases/{case_id}").headers["ETag"]
        moved = {"stage": "introduced", "note": ""}
        place.done("expert", "POST", f"/api/cases/{case_id}/transition", json=moved, headers={"If-Match": etag})
    clock.ahead = timedelta(0)
    with reading(place.server.app.state.engine) as session:
        seen = _orders(session)
        assert verify(session).findings == []
        feed = session.exec(select(Change.record_id).where(Change.kind == Kind.NEEDS).order_by(col(Change.n))).all()
        assert changes_since(session, Kind.NEEDS, 0)[1] == sorted(set(feed))
    new = set(needs)
    assert [need_id for need_id in feed if need_id in new] == needs
    told = {
        "ledger entries": entries,
        "ledger steps": results,
        "decisions": cases,
        "cases": cases,
        "steps of needs": needs,
    }
    for name, rows in seen.items():
        asked = told[name]
        wanted = set(asked)
        assert [what for what, _ in rows if what in wanted] == asked, name
        # The control: the times alone would tell another order.
        assert [what for what in _by_time(rows) if what in wanted] != asked, name
    assert all(versions == sorted(versions) for versions in _versions(place.server.app.state.engine).values())
    figure("clock jumps of a day", writes=4 * writes, kinds_of_rows=len(seen) + 1, out_of_order=0)


def _result(number: int) -> dict[str, Any]:
    """Return a contract as an expert reports it."""
    details = {
        "contract": f"C-{number}",
        "instalment": 1,
        "payer": "甲公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    what = {"id": f"money-{number:06}", "kpi": "L", "amount": 1_000_000, "shares": {"al-a": 10_000}, "details": details}
    return {**what, "occurred_on": "2019-05-02", "school_id": "yltu"}


def _orders(session: Session) -> dict[str, list[tuple[Any, datetime]]]:
    """Return for each kind of rows, in the order of their numbers, what each is about and when it says it was."""
    entries = session.exec(select(Entry.id, Entry.reported_at).order_by(col(Entry.seq))).all()
    of_decision = dict(session.exec(select(Case.decision_id, Case.id)).all())
    steps = session.exec(select(Step.entry_id, Step.at).order_by(col(Step.seq))).all()
    decisions = session.exec(select(Decision.id, Decision.at).order_by(col(Decision.id))).all()
    return {
        "ledger entries": list(entries),
        "ledger steps": list(steps),
        "decisions": [(of_decision[number or 0], at) for number, at in decisions],
        "cases": list(session.exec(select(Case.id, Case.opened_at).order_by(col(Case.id))).all()),
        "steps of needs": list(session.exec(select(NeedStep.need_id, NeedStep.at).order_by(col(NeedStep.id))).all()),
    }


def _versions(engine: Engine) -> dict[int, list[int]]:
    """Return the versions of each case's steps in the order in which they were stored."""
    found: dict[int, list[int]] = {}
    with reading(engine) as session:
        for step in session.exec(select(CaseStep).order_by(col(CaseStep.id))).all():
            found.setdefault(step.case_id, []).append(step.version)
    return found


def test_nobody_is_locked_out_by_a_clock_that_was_ahead(place: Place, clock: type[Clock]) -> None:
    def signed_in(password: str) -> int:
        given = {"email": "expert@example.org", "password": password}
        return place.server.ask(None, "POST", "/api/session", json=given).status_code

    def failed_often() -> None:
        # As so many wrong passwords would, each of which takes a tenth of a second to look at.
        with writing(place.server.app.state.engine) as session:
            for _ in range(FAILURES_PER_ACCOUNT * REFUSED_FROM):
                note_failure(session, email="expert@example.org", address="192.0.2.1", now=instants.now())

    clock.ahead = DAY
    failed_often()
    assert signed_in(PASSWORD) == 429
    clock.ahead = timedelta(0)
    assert signed_in(PASSWORD) == 201
    # The control: those of now do count, also on a server whose clock is a little behind.
    failed_often()
    clock.ahead = -timedelta(minutes=1)
    assert signed_in(PASSWORD) == 429


def test_a_session_is_kept_and_a_verdict_undone_when_the_clock_is_put_right(place: Place, clock: type[Clock]) -> None:
    given = {"email": "expert@example.org", "password": PASSWORD}
    (pairing_id, proposal_id), path = place.pairs[0], f"/api/pairings/{place.pairs[0][0]}/decision"
    token = place.server.ask(None, "POST", "/api/session", json=given).cookies[permitted_request.COOKIE]

    def signed_in() -> int:
        return place.server.ask(
            None, "GET", "/api/me", headers={"Cookie": f"{permitted_request.COOKIE}={token}"}
        ).status_code

    assert signed_in() == 200
    clock.ahead = DAY
    assert signed_in() == 401
    accepted, key = {"verdict": "accept", "proposal_id": proposal_id}, {"Idempotency-Key": "once"}
    first = place.server.ask("expert", "POST", path, json=accepted, headers=key)
    clock.ahead = timedelta(0)
    assert signed_in() == 200
    again = place.server.ask("expert", "POST", path, json=accepted, headers=key)
    assert (again.status_code, again.json(), again.headers["Idempotent-Replay"]) == (201, first.json(), "true")
    for page in (f"/cases/{first.json()['case_id']}", "/desk", f"/needs/{_need_of(place, pairing_id)}"):
        assert place.server.ask("expert", "GET", page).status_code == 200
    assert place.server.ask("expert", "POST", path, json={"verdict": "undo"}).status_code == 201
    # The control: what was given yesterday stays.
    clock.ahead = -DAY
    assert place.server.ask("expert", "POST", path, json=accepted).status_code == 201
    clock.ahead = timedelta(0)
    assert place.server.ask("expert", "POST", path, json={"verdict": "undo"}).status_code == 422


def _need_of(place: Place, pairing_id: int) -> str:
    return str(place.done("expert", "GET", f"/api/pairings/{pairing_id}")["need_id"])


def test_a_job_is_carried_out_once_while_the_clock_jumps(place: Place, clock: type[Clock]) -> None:
    lines = b"".join(b'{"id": "c-%d", "name": "n"}\n' % n for n in range(600))
    job = place.done("office", "POST", "/api/imports?name=companies.jsonl", content=lines)["id"]

    def state() -> str:
        # It jumps while the job is on its way.
        clock.ahead = DAY if clock.ahead <= timedelta(0) else -DAY
        return str(place.done("office", "GET", f"/api/jobs/{job}")["state"])

    until(lambda: state() in ("done", "failed"))
    result = place.done("office", "GET", f"/api/jobs/{job}/result")
    assert (place.done("office", "GET", f"/api/jobs/{job}")["state"], result["created"]) == ("done", 600)


def test_no_lease_outlives_the_clock_that_gave_it(engine: Engine) -> None:
    with writing(engine) as session:
        account = add_account(session, email="a@example.org", name="a", now=NOW).id
        ask_for(session, kind=JobKind.IMPORT, account_id=account, alliance_id=None, parameters={}, now=NOW)

    def claimed(worker: str, now: datetime) -> Claimed | None:
        with writing(engine) as session:
            waits = is_waiting(session, lease_s=30, now=now)
            found = claim(session, worker=worker, lease_s=30, now=now)
        assert waits == (found is not None)
        return found

    dead = claimed("died a day ahead", NOW + DAY)
    assert dead is not None
    # Whose clock runs a little behind does not take it for that.
    assert claimed("another", NOW + DAY - timedelta(seconds=20)) is None
    heir = claimed("the next", NOW)
    assert heir is not None
    assert claimed("a third", NOW + timedelta(seconds=5)) is None
    with pytest.raises(LeaseLostError), writing(engine) as session:
        begin_part(session, job=dead, done=1, total=1, lease_s=30, now=NOW)
