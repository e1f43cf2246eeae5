"""Rehearsing a restore: a backup is one only if a server has served from it.

In: a backup. Out: each check with how it ended, and nothing left behind. It exists because backups are found to be
useless on the day they are needed: every night one is brought back into a scratch folder, checked, served and
asked, and thrown away. The API is really started on the restored copy and asked the two things that matter most, a
match and an entry, because a database that passes every check of its own may still not serve. The account that asks
is made in the scratch copy only, and goes with it.

What can't be asked because there is none of it, such as a match where no index was ever built or an entry of an
empty ledger, is said and not counted as a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import Session, col, select

from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
from api.access.credentials import make_key
from api.backups.backup import ARCHIVE, DATABASE, BackupError, note_rehearsal, verified_manifest
from api.backups.restore import Restored, bring_back
from api.home import open_reading
from api.jobs.job_queue import Job, JobState, cancel
from indexer import database_copies
from indexer.database import open_engine, writing
from indexer.database_copies import sqlite_problems
from indexer.disk import exclusive
from indexer.records.importing import import_rows
from indexer.records.record_tables import Alliance, Need
from indexer.settings import Settings
from indexer.vocabulary import Kind
from indexer.wording import T_, Text, joined
from matcher.ledger.proving.heads import HEADS_FILE as HEADS
from matcher.ledger.proving.heads import read_heads
from matcher.ledger.proving.verification import LedgerProof, verify
from matcher.ledger.rows.chain import ExportedHead
from matcher.review.intake import OPEN_STATES, NeedIntake, adopt
from matcher.review.people import add_account, grant
from matcher.review.roles import Role

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


@dataclass(frozen=True)
class LetIn:
    """The keys of two accounts of a scratch home, and needs that the second one may match.

    Two, because whoever is of the office reads no sealed need: one is of the office, one an alliance's expert.
    """

    office_key: str
    expert_key: str
    need_ids: list[str]


class RehearsalServer:
    """A running server on a scratch home, and the accounts that it lets in."""

    def __init__(self, url: str, known: LetIn) -> None:
        self.known = known
        self._client = httpx.Client(base_url=url, timeout=ANSWER_S)

    def ask(self, path: str, key: str, **query: Any) -> Any:
        """Return what the server answers to whoever has the key, as plain values.

        Raises:
            RehearsalError: it does not answer, or refuses.
        """
        until = time.monotonic() + ANSWER_S
        while True:
            try:
                answer = self._client.get(path, params=query, headers={"Authorization": f"Bearer {key}"})
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
def started(settings: Settings, known: LetIn) -> Iterator[RehearsalServer]:
    """Start a server on a free port of this machine, and stop it at the end.

    Raises:
        RehearsalError: it did not start.
    """
    log = settings.home / "server.log"
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=Path(__file__).parent.parent.parent, env=_environment(settings), stdout=file, stderr=file
        )
    try:
        server = RehearsalServer(_address(process, log), known)
        try:
            yield server
        finally:
            server.close()
    finally:
        _stop(process)


def let_in(settings: Settings) -> LetIn:
    """Make an account of the office and one of an alliance's expert in a scratch database."""
    now = datetime.now(UTC)
    engine = open_engine(settings)
    try:
        with writing(engine) as session:
            for job_id in session.exec(select(Job.id).where(col(Job.state).in_(UNFINISHED))).all():
                # What waits is the business of the home in use.
                cancel(session, job_id=job_id, now=now)
            alliance_id, need_ids = _needs_of_an_alliance(session, now)
            office = _key_of(session, Role.OFFICE, "", now)
            expert = office if alliance_id is None else _key_of(session, Role.EXPERT, alliance_id, now)
    finally:
        engine.dispose()
    return LetIn(office, expert, need_ids)


def _key_of(session: Session, role: Role, scope_id: str, now: datetime) -> str:
    name = f"{_WHO} {role}"
    account = add_account(session, email=f"{role}@{_WHO}.invalid", name=name, now=now)
    grant(session, account_id=account.id, role=role, scope_id=scope_id, by=None, now=now)
    valid = timedelta(hours=1)
    return make_key(session, account_id=account.id, name=name, may_write=False, valid=valid, now=now)[1]


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
    # One client for all tries: each would read the certificates of all authorities anew.
    with httpx.Client(timeout=5) as client:
        while time.monotonic() < until and process.poll() is None:
            found = _ADDRESS.search(log.read_text(errors="replace"))
            if found is not None:
                try:
                    client.get(f"{found[0]}/healthz").raise_for_status()
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


NAMES = {
    "files": T_("files intact"),
    "integrity": T_("database intact"),
    "restore": T_("restored, erasures repeated"),
    "ledger": T_("ledger chain"),
    "heads": T_("exported heads"),
    "server": T_("server started"),
    "match": T_("one match asked"),
    "entry": T_("one entry read"),
}
"""What is checked, in this order, in Chinese and English."""
_FATAL = ("files", "restore", "integrity", "heads", "server")
"""The checks after which, if they fail, the rest says nothing more."""
_SCRATCH = ".rehearsal-"


@dataclass(frozen=True)
class Check:
    """How one check ended: what was found, and how long it took. `name` is one of `NAMES`."""

    name: str
    passed: bool
    detail: str
    seconds: float

    @property
    def label(self) -> Text:
        """The check's name."""
        return NAMES[self.name]


@dataclass(frozen=True)
class Rehearsal:
    """All checks of one backup; those after one without which they mean nothing are left out."""

    backup: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all checks were made and passed."""
        return len(self.checks) == len(NAMES) and all(check.passed for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        checks = [
            {
                "name": check.name,
                "label": dict(zip(("zh", "en"), check.label.both, strict=True)),
                "passed": check.passed,
                "detail": check.detail,
                "seconds": round(check.seconds, 3),
            }
            for check in self.checks
        ]
        return {"backup": self.backup, "passed": self.passed, "checks": checks}


def rehearse(settings: Settings, backup: Path, *, scratch: Path | None = None) -> Rehearsal:
    """Bring a backup back into a scratch folder, check it, serve it, ask it, and remove it again.

    Args:
        settings: those of the home in use. A backup of PostgreSQL gets a scratch database on its server.
        backup: the backup's folder.
        scratch: where to do it; default: a folder beside the backups.
    """
    with _scratch_folder(settings, scratch) as folder:
        checks = tuple(_Rehearsal(settings, backup, folder).run())
    done = Rehearsal(backup.name, checks)
    note_rehearsal(settings, backup, passed=done.passed)
    return done


class _FailedError(Exception):
    """A check did not pass; the message says what was found instead."""


class _Rehearsal:
    """The checks of one rehearsal, each of which may need what those before it have made."""

    def __init__(self, settings: Settings, backup: Path, folder: Path) -> None:
        self._settings, self._backup, self._folder = settings, backup, folder
        self._manifest: dict[str, Any] = {}
        self._restored: Restored
        self._verdict: LedgerProof
        self._server: RehearsalServer

    def run(self) -> Iterator[Check]:
        """Make one check after the other; the first without which the others mean nothing ends it."""
        with ExitStack() as stack:
            steps: dict[str, Callable[[ExitStack], str]] = {
                "files": self._files,
                "integrity": self._integrity,
                "restore": self._restore,
                "ledger": self._ledger,
                "heads": self._heads,
                "server": self._serve,
                "match": self._match,
                "entry": self._entry,
            }
            for name, step in steps.items():
                check = _made(name, partial(step, stack))
                yield check
                if not check.passed and name in _FATAL:
                    return

    def _files(self, _stack: ExitStack) -> str:
        self._manifest = verified_manifest(self._backup)
        files = self._manifest["files"].values()
        return T_(
            "%(n_files)s files, %(files)s bytes",
            n_files=f"{len(files):,}",
            files=f"{sum(one['bytes'] for one in files):,}",
        )

    def _refuse_without_postgresql(self) -> None:
        if not self._settings.database_url.startswith("postgres"):
            raise _FailedError(T_("the backup is of PostgreSQL; set GLORIA_DATABASE_URL to a server for the rehearsal"))

    def _restore(self, stack: ExitStack) -> str:
        url = ""
        if self._manifest["database"] == "postgresql":
            self._refuse_without_postgresql()
            url = stack.enter_context(database_copies.scratch_database(self._settings.database_url))
        self._restored = bring_back(self._settings, self._backup, into=self._folder / "home", database_url=url)
        return T_("%(erased_again)s erasures repeated", erased_again=self._restored.erased_again)

    def _integrity(self, _stack: ExitStack) -> str:
        if self._manifest["database"] == "postgresql":
            self._refuse_without_postgresql()
            tables = database_copies.tables_in(self._settings.database_url, self._backup / ARCHIVE)
            return T_(
                "an archive of %(tables)s tables; every constraint is checked when it is read in", tables=f"{tables:,}"
            )
        # Before the restore, which writes the file anew and could put right what is wrong in it.
        problems = sqlite_problems(self._backup / DATABASE)
        if problems:
            raise _FailedError("; ".join(problems))
        return T_("integrity_check and foreign_key_check find nothing")

    def _ledger(self, _stack: ExitStack) -> str:
        kept = [ExportedHead(**one) for one in self._manifest["heads"]]
        # Of what was exported since, only what the backup must have too; by number, for clocks are put right.
        last = {one.chain: one.n for one in kept}
        kept += [one for one in read_heads(self._settings.home / HEADS) if one.n <= last.get(one.chain, 0)]
        kept += read_heads(self._restored.home / HEADS)
        with open_reading(self._restored.settings) as session:
            self._verdict = verify(session, home=self._restored.home, exported=kept)
        self._refuse([one for one in self._verdict.findings if one.check != "head"])
        return T_(
            "%(entries)s entries and %(steps)s steps fit together; only heads kept elsewhere would prove them",
            entries=f"{self._verdict.entries:,}",
            steps=f"{self._verdict.steps:,}",
        )

    def _heads(self, _stack: ExitStack) -> str:
        self._refuse([one for one in self._verdict.findings if one.check == "head"])
        said = ", ".join(f"{one['chain']} {one['n']:,}" for one in self._manifest["heads"])
        return T_("it holds what was acknowledged before it was made (%(said)s), and all exported heads", said=said)

    @staticmethod
    def _refuse(findings: list[Any]) -> None:
        if findings:
            told = "; ".join(f"{one.place} {one.message}" for one in findings[:5])
            raise _FailedError(T_("%(findings)s findings: %(told)s", findings=len(findings), told=told))

    def _serve(self, stack: ExitStack) -> str:
        cache = self._settings.cache or self._settings.home
        settings = self._restored.settings.model_copy(update={"cache": cache.absolute()})
        self._server = stack.enter_context(started(settings, let_in(settings)))
        ready = self._server.ask("/readyz", self._server.known.office_key)
        return T_("ready: intake %(intake)s, review %(review)s", intake=ready["intake"], review=ready["review"])

    def _match(self, _stack: ExitStack) -> str:
        if self._restored.reindex:
            why = self._manifest["index_problem"] or T_("it named somebody erased")
            return T_("not asked: the backup has no index (%(why)s)", why=why)
        known = self._server.known
        for need_id in known.need_ids:
            # Rules may set every lab aside for one need, but hardly for all.
            found = self._server.ask(f"/api/needs/{need_id}/matches", known.expert_key, top=5)["pairings"]
            if found:
                return T_(
                    "need %(need_id)s: %(n_found)s labs, first %(lab_id)s",
                    need_id=need_id,
                    n_found=len(found),
                    lab_id=found[0]["lab_id"],
                )
        if known.need_ids:
            raise _FailedError(T_("needs %(need_ids)s were answered with no lab", need_ids=", ".join(known.need_ids)))
        return T_("not asked: there is no need")

    def _entry(self, _stack: ExitStack) -> str:
        key = self._server.known.office_key
        listed = self._server.ask("/api/ledger/entries", key, limit=1)["items"]
        if not listed and self._verdict.entries:
            raise _FailedError(
                T_("the ledger holds %(entries)s entries and none is listed", entries=f"{self._verdict.entries:,}")
            )
        if not listed:
            return T_("not asked: the ledger is empty")
        entry = self._server.ask(f"/api/ledger/entries/{listed[0]['id']}", key)
        return T_("entry %(id)s", id=entry["id"])


def _made(name: str, step: Callable[[], str]) -> Check:
    began = time.perf_counter()
    try:
        detail, passed = step(), True
    except Exception as error:
        # Whatever a broken copy does to the product is what the rehearsal is to find.
        kind = "" if isinstance(error, _FailedError | BackupError | RehearsalError) else f"{type(error).__name__}: "
        detail, passed = joined("", [kind, str(error)]), False
    return Check(name, passed, detail, time.perf_counter() - began)


@contextmanager
def _scratch_folder(settings: Settings, scratch: Path | None) -> Iterator[Path]:
    """Make a folder for one rehearsal at a time, and remove it; one that a crash left is removed first."""
    beside = scratch or settings.backups_path
    for folder in (beside, settings.backups_path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # One lock whatever the folder: the scratch database on a server of PostgreSQL is one too.
    with exclusive(settings.backups_path / ".rehearsing.lock"):
        for left in beside.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=beside))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
