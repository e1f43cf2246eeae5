"""However many workers there are, one has a job; whose lease is over can store nothing; the table keeps its rules."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from api.jobs.job_queue import (
    KEPT,
    MAX_UNFINISHED,
    Claimed,
    Job,
    JobError,
    JobKind,
    JobState,
    LeaseLostError,
    RunningJob,
    ask_for,
    claim,
    end,
    forget,
    give_back,
    parts_done,
)
from indexer.database import reading, writing
from matcher.review.people import Principal, add_account

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


@pytest.fixture
def asked(engine: Engine) -> list[str]:
    """Ten jobs of one account."""
    with writing(engine) as session:
        account = add_account(session, email="a@example.org", name="a", now=NOW)
        return [_asked(session, account.id, f"{n}") for n in range(10)]


def _asked(session: Session, account_id: str, name: str) -> str:
    return ask_for(
        session,
        kind=JobKind.IMPORT,
        account_id=account_id,
        alliance_id=None,
        parameters={"name": name},
        now=NOW,
        file=("x.jsonl", b"{}"),
    ).id


def _claimed(engine: Engine, worker: str, now: datetime = NOW) -> Claimed | None:
    with writing(engine, deadline_s=30) as session:
        return claim(session, worker=worker, lease_s=30, now=now)


def _one(engine: Engine, query: str) -> Any:
    with reading(engine) as session:
        return session.connection().execute(text(query)).scalar()


def test_many_workers_get_each_job_once(engine: Engine) -> None:
    with writing(engine) as session:
        people = [add_account(session, email=f"p{n}@example.org", name="p", now=NOW).id for n in range(10)]
        asked = [_asked(session, account_id, account_id) for account_id in people]
    with ThreadPoolExecutor(16) as pool:
        got = [job for job in pool.map(lambda n: _claimed(engine, f"w{n}"), range(40)) if job is not None]
    assert sorted(job.id for job in got) == sorted(asked)
    assert _one(engine, "SELECT count(DISTINCT worker) FROM job") == len(asked)
    assert _one(engine, "SELECT max(attempts) FROM job") == 1


def test_accounts_take_turns(engine: Engine, asked: list[str]) -> None:
    first = _claimed(engine, "w0")
    assert first is not None
    # The other nine of the same account wait for it; whoever asks later does not wait behind them.
    assert _claimed(engine, "w1") is None
    with writing(engine) as session:
        late = {name: add_account(session, email=f"{name}@example.org", name=name, now=NOW).id for name in "bc"}
        of_b, of_c = (_asked(session, late[name], name) for name in "bc")
    claimed = [_claimed(engine, f"w{n}", NOW + timedelta(seconds=n)) for n in (2, 3, 4)]
    assert [None if job is None else job.id for job in claimed] == [*sorted([of_b, of_c]), None]
    # Once all are done, it is the turn of who had his last one the longest ago.
    with writing(engine) as session:
        more_of_b = _asked(session, late["b"], "b")
        for job in (first, *claimed):
            if job is not None:
                end(session, job=job, state=JobState.DONE, now=NOW + timedelta(seconds=5))
    nexts = [_claimed(engine, f"w{n}", NOW + timedelta(seconds=n)) for n in (6, 7, 8)]
    left = sorted(set(asked) - {first.id})
    assert [None if job is None else job.id for job in nexts] == [left[0], more_of_b, None]
    # One whose worker died is taken up again, and holds nobody up meanwhile.
    again = _claimed(engine, "w9", NOW + timedelta(seconds=60))
    assert again is not None
    assert again.id in (left[0], more_of_b)


def _nothing(_session: Session, _who: Principal) -> dict[str, Any]:
    return {"renamed": False}


def test_whose_lease_is_over_stores_nothing(engine: Engine, asked: list[str]) -> None:
    first = _claimed(engine, "first")
    assert first is not None
    slow = RunningJob(engine, first, 30, threading.Event())
    later = NOW + timedelta(seconds=31)
    with writing(engine) as session:
        # Nothing else waits, so that the next claim is of this job.
        session.connection().execute(text("DELETE FROM job WHERE state = 'queued'"))
    assert _claimed(engine, "early", NOW + timedelta(seconds=29)) is None
    second = _claimed(engine, "second", later)
    assert second is not None
    assert second.id == first.id

    def renamed(session: Session, _who: Principal) -> dict[str, Any]:
        session.connection().execute(text("UPDATE account SET name = 'changed'"))
        return {"renamed": True}

    with pytest.raises(LeaseLostError):
        slow.step(0, done=1, total=1, work=renamed)
    with writing(engine) as session, pytest.raises(LeaseLostError):
        end(session, job=first, state=JobState.DONE, now=later)
    assert (_one(engine, "SELECT name FROM account"), _one(engine, "SELECT count(*) FROM job_part")) == ("a", 0)
    # The control: who has the lease stores both, once.
    holder = RunningJob(engine, second, 30, threading.Event())
    holder.step(0, done=1, total=1, work=renamed)
    assert (_one(engine, "SELECT name FROM account"), _one(engine, "SELECT done FROM job")) == ("changed", 1)
    with pytest.raises(IntegrityError):
        holder.step(0, done=1, total=1, work=_nothing)
    with reading(engine) as session:
        assert parts_done(session, second.id) == {0}


def test_a_job_given_back_is_not_held_against_it(engine: Engine, asked: list[str]) -> None:
    for n in range(5):
        job = _claimed(engine, f"w{n}")
        assert job is not None
        assert job.id == min(asked)
        with writing(engine) as session:
            give_back(session, job=job)
    assert _one(engine, "SELECT max(attempts) FROM job") == 0


def test_bounds(engine: Engine, asked: list[str]) -> None:
    with writing(engine) as session:
        known = session.get(Job, asked[0])
        assert known is not None
        for n in range(MAX_UNFINISHED - len(asked)):
            _asked(session, known.account_id, f"more {n}")
        with pytest.raises(JobError, match="not finished yet"):
            _asked(session, known.account_id, "one too many")
    job = _claimed(engine, "w")
    assert job is not None
    with writing(engine) as session:
        end(session, job=job, state=JobState.DONE, now=NOW)
    assert _one(engine, "SELECT count(*) FROM job_file") == MAX_UNFINISHED - 1
    for moment, left in ((NOW + KEPT, MAX_UNFINISHED), (NOW + KEPT + timedelta(seconds=1), MAX_UNFINISHED - 1)):
        with writing(engine) as session:
            forget(session, now=moment)
        assert _one(engine, "SELECT count(*) FROM job") == left


@pytest.mark.parametrize(
    "change",
    [
        "state = 'paused'",
        "kind = 'reindex'",
        "state = 'running'",
        "worker = 'w'",
        "state = 'done'",
        "state = 'failed', finished_at = created_at",
        "refusal = 'why'",
        "done = -1",
        "done = 2, total = 1",
        "attempts = 4",
    ],
)
def test_a_state_that_says_too_little_is_refused(engine: Engine, asked: list[str], change: str) -> None:
    # The control: the same statement with what belongs to it.
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE job SET state = 'done', finished_at = created_at WHERE id = :id"), {"id": asked[1]}
        )
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(f"UPDATE job SET {change} WHERE id = :id"), {"id": asked[0]})  # noqa: S608 (our own)
