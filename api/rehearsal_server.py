"""The API really started on a restored copy, and asked the two things that matter most: a match and an entry.

In: the settings of a scratch home. Out: what a server answered there. It exists
because a database that passes every check of its own may still not serve: a
rehearsal that asks nothing shows nothing. The account that asks is made in the
scratch copy only, and goes with it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import Session, col, select

from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
from api.credentials import make_key
from api.jobs import Job, JobState, cancel
from indexer.database import open_engine, writing
from indexer.importing import import_rows
from indexer.records import Alliance, Need
from indexer.settings import Settings
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher.intake import OPEN_STATES, NeedIntake, adopt
from matcher.people import add_account, grant
from matcher.roles import Role

START_S = 120.0
ANSWER_S = 180.0
"""How long an answer may take: the first match waits for the encoders to be loaded."""
RETRY_S = 1.0
BUSY = "urn:gloria:problem:busy"
STOP_S = 40.0
NEEDS = 5
"""How many needs may be asked for, one after the other, until one is answered with a lab."""
UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value)
_WHO = "rehearsal"
_ADDRESS = re.compile(r"http://\S+")


class RehearsalError(Exception):
    """The server did not start, or did not answer as it must; the message says what came instead."""


class RehearsalServer:
    """A running server on a scratch home, and a key that it takes."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_S)

    def ask(self, path: str, **query: Any) -> Any:
        """Return what the server answers, as plain values.

        Raises:
            RehearsalError: it does not answer, or refuses.
        """
        until = time.monotonic() + ANSWER_S
        while True:
            try:
                answer = self._client.get(path, params=query)
            except httpx.HTTPError as error:
                raise RehearsalError(T_("GET %(path)s: %(error)r", path=path, error=error)) from error
            is_busy = answer.status_code == 503 and answer.json().get("type") == BUSY
            if not is_busy or time.monotonic() > until:
                break
            # As while the encoders are loaded.
            time.sleep(RETRY_S)
        if answer.status_code != 200:
            raise RehearsalError(
                T_(
                    "GET %(path)s was answered with %(status_code)s: %(answer)s",
                    path=path,
                    status_code=answer.status_code,
                    answer=answer.text[:300],
                )
            )
        return answer.json()

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


@contextmanager
def started(settings: Settings, key: str) -> Iterator[RehearsalServer]:
    """Start a server on a free port of this machine, and stop it at the end.

    Raises:
        RehearsalError: it did not start.
    """
    log = settings.home / "server.log"
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=Path(__file__).parent.parent, env=_environment(settings), stdout=file, stderr=file
        )
    try:
        server = RehearsalServer(_address(process, log), key)
        try:
            yield server
        finally:
            server.close()
    finally:
        _stop(process)


def let_in(settings: Settings) -> tuple[str, list[str]]:
    """Make an account that may read everything, in a scratch database; return its key and needs that it may match."""
    now = datetime.now(UTC)
    engine = open_engine(settings)
    try:
        with writing(engine) as session:
            for job_id in session.exec(select(Job.id).where(col(Job.state).in_(UNFINISHED))).all():
                # What waits is the business of the home in use.
                cancel(session, job_id=job_id, now=now)
            account = add_account(session, email=f"{_WHO}@rehearsal.invalid", name=_WHO, now=now)
            grant(session, account_id=account.id, role=Role.OFFICE, scope_id="", by=None, now=now)
            alliance_id, need_ids = _needs_of_an_alliance(session, now)
            if alliance_id is not None:
                grant(session, account_id=account.id, role=Role.EXPERT, scope_id=alliance_id, by=None, now=now)
            valid = timedelta(hours=1)
            _, key = make_key(session, account_id=account.id, name=_WHO, may_write=False, valid=valid, now=now)
    finally:
        engine.dispose()
    return key, need_ids


def _needs_of_an_alliance(session: Session, now: datetime) -> tuple[str | None, list[str]]:
    """Return an alliance and needs that its experts may match; where none has any, one is given a need."""
    is_open = col(NeedIntake.state).in_([state.value for state in OPEN_STATES])
    held = select(NeedIntake).where(col(NeedIntake.alliance_id).is_not(None))
    first = session.exec(held.order_by(is_open.desc(), col(NeedIntake.need_id)).limit(1)).first()
    if first is not None:
        same = held.where(NeedIntake.alliance_id == first.alliance_id)
        found = session.exec(same.order_by(is_open.desc(), col(NeedIntake.need_id)).limit(NEEDS)).all()
        return first.alliance_id, [one.need_id for one in found]
    need_id = session.exec(select(Need.id).order_by(col(Need.id)).limit(1)).first()
    if need_id is None:
        return None, []
    alliance_id = session.exec(select(Alliance.id).limit(1)).first()
    if alliance_id is None:
        import_rows(session, Kind.ALLIANCES, [{"id": _WHO, "name": _WHO}])
        alliance_id = _WHO
    adopt(session, need_ids=[need_id], alliance_id=alliance_id, by=None, now=now)
    intake = session.get(NeedIntake, need_id)
    if intake is not None:
        intake.alliance_id = alliance_id
        session.add(intake)
    return alliance_id, [need_id]


def _environment(settings: Settings) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLORIA_")}
    return kept | {
        "GLORIA_HOME": str(settings.home),
        "GLORIA_CACHE": str(settings.cache or ""),
        "GLORIA_DATABASE_URL": settings.database_url,
        "GLORIA_ENCODERS": settings.encoders,
        "GLORIA_PRECISION": settings.precision,
        "GLORIA_THREADS": str(settings.threads),
        "GLORIA_LANG": "en",
    }


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        found = _ADDRESS.search(log.read_text(errors="replace"))
        if found is not None:
            try:
                httpx.get(f"{found[0]}/healthz", timeout=5).raise_for_status()
            except httpx.HTTPError:
                pass
            else:
                return found[0]
        time.sleep(0.05)
    raise RehearsalError(T_("the server did not start: %(said)s", said=log.read_text(errors="replace").strip()[-500:]))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
