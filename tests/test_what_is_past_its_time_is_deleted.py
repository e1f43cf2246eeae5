"""The night deletes replies, ended sessions, sleeping keys and finished jobs past their time, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, SQLModel, select

import api.nightly.night_steps
from api.access.credentials import (
    IDLE,
    LONGEST,
    WAKE_WITHIN,
    WINDOW,
    ApiKey,
    LoginFailure,
    LoginSession,
    make_key,
    open_session,
)
from api.jobs import job_queue
from api.jobs.job_queue import Job, JobKind, JobState, ask_for
from api.letters.renewal import PasswordRenewal
from api.nightly.night_steps import MAIL_KEPT_FOR
from api.requests import idempotency
from api.requests.idempotency import IdempotentReply
from api.trail.nights import KEPT_NIGHTS, night_ids
from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Letter, Notice, notify
from matcher.notices.sending import KEPT_FOR
from tests.rig.worlds.nights import carried_out, made_up_night, only
from tests.rig.worlds.small_world import Asked, asked

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _reply(session: Session, account_id: str, key: str, at: datetime) -> None:
    session.add(
        IdempotentReply(account_id=account_id, key=key, request_hash="h", status=201, body=b"{}", headers="{}", at=at)
    )


def _session(session: Session, account_id: str, *, created: datetime, seen: datetime, ended: bool = False) -> None:
    _, csrf = open_session(session, account_id=account_id, now=created)
    row = session.exec(select(LoginSession).where(LoginSession.csrf_token == csrf)).one()
    row.seen_at = seen
    row.ended_at = NOW if ended else None


def _key(session: Session, account_id: str, name: str, created: datetime, *, sleeps: bool) -> None:
    valid = timedelta(days=30)
    make_key(session, account_id=account_id, name=name, may_write=False, valid=valid, now=created, sleeps=sleeps)


def _job(session: Session, account_id: str, finished: datetime | None) -> None:
    parameters = {"needs": ["n-1"], "top": 1}
    job = ask_for(
        session, kind=JobKind.MATCH_BATCH, account_id=account_id, alliance_id=None, parameters=parameters, now=NOW
    )
    if finished is not None:
        job.state, job.finished_at = JobState.DONE.value, finished


def _count(here: Asked, model: type[SQLModel]) -> int:
    with reading(here.engine) as session:
        return len(session.exec(select(model)).all())


def test_each_is_kept_for_its_time(here: Asked, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.nightly.night_steps, "PORTION", 2)
    account = here.accounts["expert"]
    with writing(here.engine) as session:
        for n in range(5):
            _reply(session, account, f"old-{n}", NOW - idempotency.KEPT - HOUR)
        _reply(session, account, "new", NOW - idempotency.KEPT + HOUR)
        _session(session, account, created=NOW - HOUR, seen=NOW, ended=True)
        _session(session, account, created=NOW - IDLE - HOUR, seen=NOW - IDLE - HOUR)
        _session(session, account, created=NOW - LONGEST - HOUR, seen=NOW)
        _session(session, account, created=NOW - LONGEST + HOUR, seen=NOW)
        session.add_all(
            [LoginFailure(subject="s", at=NOW - WINDOW - HOUR), LoginFailure(subject="s", at=datetime.now(UTC))]
        )
        for finished in (NOW - job_queue.KEPT - HOUR, NOW - job_queue.KEPT + HOUR, None):
            _job(session, account, finished)
        for n, at in enumerate((NOW - KEPT_FOR - HOUR, NOW - KEPT_FOR + HOUR)):
            notify(session, kind=NoticeKind.CLAIM_DECIDED, to=[account], key=f"event {n}", place="/", now=at)
        session.connection().execute(update(Letter).values(state="sent"))
        for n, at in enumerate((NOW - timedelta(days=1) - HOUR, NOW)):
            session.add(PasswordRenewal(id=str(n), address="a@example.org", asked_from="c", asked_at=at))
        # Beside the keys of the world's own accounts, which are all awake and called "test".
        for n in range(3):
            _key(session, account, f"never woken {n}", NOW - WAKE_WITHIN - HOUR, sleeps=True)
        _key(session, account, "sleeps still", datetime.now(UTC), sleeps=True)
        _key(session, account, "awake", NOW - WAKE_WITHIN - HOUR, sleeps=False)
    settings.mail_path.mkdir(parents=True)
    for n, at in enumerate((NOW - MAIL_KEPT_FOR - HOUR, NOW)):
        (settings.mail_path / f"{n}.eml").write_bytes(b"")
        os.utime(settings.mail_path / f"{n}.eml", (at.timestamp(), at.timestamp()))
    night = carried_out(settings, only("expired"))
    signing_in = {"sessions": 3, "failed_sign_ins": 1, "keys_never_woken": 3}
    figures = {
        "replies": 5,
        **signing_in,
        "jobs": 1,
        "notices": 1,
        "renewals": 1,
        "evidence": 0,
        "attachments": 0,
        "mail_files": 1,
        "nights": 0,
    }
    assert night.step("expired").figures == figures
    assert [_count(here, model) for model in (IdempotentReply, LoginSession, LoginFailure, Job)] == [1, 1, 1, 2]
    assert [_count(here, model) for model in (Notice, Letter, PasswordRenewal)] == [1, 1, 1]
    with reading(here.engine) as session:
        own = select(ApiKey.name).where(ApiKey.name != "test")
        assert sorted(session.exec(own).all()) == ["awake", "sleeps still"]
    # The session that is left still opens what it did.
    again = carried_out(settings, only("expired"))
    assert set(again.step("expired").figures.values()) == {0}


def test_old_nights_go_the_newest_stay(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for n in range(KEPT_NIGHTS + 2):
        made_up_night(home, at=NOW - timedelta(days=n))
    before = night_ids(home)
    night = carried_out(Settings(home=home, database_url="", encoders="bundled-use"), only("expired"))
    assert night.step("expired").figures["nights"] == 3
    assert night_ids(home) == [night.id, *before[: KEPT_NIGHTS - 1]]
