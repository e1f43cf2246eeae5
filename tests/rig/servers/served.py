"""What tests of the server share: a started `gloria serve` on real sockets, with people of every role."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import httpx
from sqlalchemy import Engine, select
from sqlmodel import SQLModel

from api.access.credentials import make_key
from api.access.policy import Everybody
from api.app import permissions
from api.trail.nights import night_ids
from indexer.database import open_engine, reading, writing
from indexer.records.importing import import_file, import_rows
from indexer.settings import Settings
from matcher.ledger.reports.registry import REPORTS
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rule_documents import DOCUMENTS
from matcher.review.clients import take_on
from matcher.review.intake import adopt
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.rig.servers.forked_programs import Forked, forker
from tests.rig.servers.signed_in import headers_of, takes_a_person
from tests.rig.servers.warmed_application import application
from tests.rig.worlds.nights import made_up_night

REPOSITORY = Path(__file__).parents[3]
Process = subprocess.Popen[str] | Forked
PEOPLE: dict[str, tuple[Role | None, str]] = {
    "expert": (Role.EXPERT, "al-a"),
    "colleague": (Role.EXPERT, "al-a"),
    "lead": (Role.LEAD, "al-a"),
    "stranger": (Role.EXPERT, "al-b"),
    "company": (Role.COMPANY, "co-1-1"),
    "rival": (Role.COMPANY, "co-1-2"),
    "researcher": (Role.RESEARCHER, "lab-1-01"),
    "other_researcher": (Role.RESEARCHER, "lab-1-02"),
    "office": (Role.OFFICE, ""),
    "committee": (Role.COMMITTEE, "al-a"),
    "job": (Role.JOB, ""),
    "newcomer": (None, ""),
}


def holder(who: str) -> Role | Everybody:
    """Return what somebody stands under in the policy."""
    return PEOPLE[who][0] or Everybody.SIGNED_IN


@dataclass
class Served:
    """A running server: where, with which keys, and its database."""

    url: str
    keys: dict[str, str]
    accounts: dict[str, str]
    settings: Settings
    process: Process
    log: Path
    # One for all requests: making one for each takes longer than the answers.
    client: httpx.Client = field(default_factory=httpx.Client)
    _engine: Engine | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, who: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        """Send one request as somebody of `PEOPLE`, or as nobody."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers = self._headers(who, method, path) | headers
        return self.client.request(method, self.url + path, headers=headers, timeout=60, **more)

    def _headers(self, who: str, method: str, path: str) -> dict[str, str]:
        if not takes_a_person(method, path):
            return {"Authorization": f"Bearer {self.keys[who]}"}
        with self._opening:
            # Once for all: opening it takes longer than signing somebody in.
            self._engine = self._engine or open_engine(self.settings)
        return headers_of(self._engine, self.keys[who], method, path)

    def close(self) -> None:
        """Let go of the connections to the server and its database."""
        self.client.close()
        if self._engine is not None:
            self._engine.dispose()


def routes_of() -> list[tuple[str, str, Any]]:
    """Return method, path and permission of every route that programs use."""
    return [route for route in _all_routes() if not _is_page(route[1])]


def page_routes_of() -> list[tuple[str, str, Any]]:
    """Return method, path and permission of every route that people use."""
    return [route for route in _all_routes() if _is_page(route[1])]


def _is_page(path: str) -> bool:
    return not path.startswith(("/api/", "/feed/", "/healthz", "/readyz", "/metrics"))


@cache
def _all_routes() -> tuple[tuple[str, str, Any], ...]:
    """Return them as they are whatever the settings."""
    with TemporaryDirectory() as home:
        app = application(Settings(home=Path(home)))
        app.state.engine.dispose()
    return tuple(permissions(app))


_COLUMNS = {
    "case": ["case_file.id"],
    "claim": ["lab_claim.id", "external_claim.id"],
    "draft": ["need_draft.id"],
    "entry": ["ledger_entry.id"],
    "grant": ["role_grant.id"],
    "import": ["import_draft.id"],
    "key_prefix": ["api_key.prefix"],
    "mail_address": ["mail_address.address"],
    "mapping_name": ["saved_mapping.name"],
    "link": ["shortlist_link.id"],
    "merge": ["record_merge.id"],
    "money_row": ["sufficiency_row.id"],
    "motion": ["ledger_motion.id"],
    "period": ["ledger_entry.period"],
    "plan": ["portfolio_plan.id"],
    "prefix": ["api_key.prefix"],
    "question": ["lab_question.id"],
    "request": ["client_request.id"],
    "sha256": ["evidence_file.sha256"],
    "view": ["saved_view.id"],
    "visit": ["diagnosis_visit.id"],
    "webhook_host": ["webhook_host.host"],
    "word": ["need_said.id"],
}
"""Columns that are not named as the parameters that name their rows are."""
_TERMS = {
    "configuration_name": sorted(DOCUMENTS),
    "handed": ["need", "case", "company"],
    "kpi": [kpi.value for kpi in Kpi],
    "name": sorted(REPORTS),
    "step": ["about", "check"],
    "subject": ["need-1-01", "1"],
    "task": ["new_need", "to_review", "answer"],
}
"""What paths name that is no row."""


def existing(settings: Settings, texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return ids of rows, the first and the last, for every name in the texts that stands for rows of a table.

    A name is a word that ends in `_id`, or the table's own: `need_id` and `need` are both ids of needs; what is named
    otherwise stands in `_COLUMNS`. A name without a row has an empty list.
    """
    names = {name for text in texts for name in re.findall(r"[a-z_0-9]+", text)}
    found: dict[str, list[Any]] = {name: values for name, values in _TERMS.items() if name in names}
    engine = open_engine(settings)
    with reading(engine) as session:
        for name in sorted(names):
            kind = name.removesuffix("_id")
            for place in _COLUMNS.get(kind, [f"{kind}.id"]):
                table = SQLModel.metadata.tables.get(place.partition(".")[0])
                if table is not None and place.partition(".")[2] in table.c:
                    column = table.c[place.partition(".")[2]]
                    ids = list(session.execute(select(column).distinct().order_by(column)).scalars())
                    found[name] = list(dict.fromkeys([*found.get(name, []), *ids[:3], *ids[-3:]]))
    engine.dispose()
    # Nights are files.
    return found | {name: night_ids(settings.home) for name in names if name == "night_id"}


@contextmanager
def served(
    settings: Settings,
    indexed_home: Path,
    records: Path,
    workers: int = 1,
    more: Mapping[str, str] | None = None,
    program: str = "api.cli",
    *,
    afresh: bool = False,
) -> Iterator[Served]:
    """Serve, with `more` settings, a database with a slice of the demo world and everybody of `PEOPLE`.

    With `afresh` all its processes are new interpreters, as its users start it.
    """
    shutil.copytree(indexed_home, settings.home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("gloria.db*"))
    keys, accounts = fill(settings, records)
    made_up_night(settings.home)
    with started(settings, workers, more, program, afresh=afresh) as (process, log):
        server = Served(address_of(process, log), keys, accounts, settings, process, log)
        with closing(server):
            yield server


@contextmanager
def started(
    settings: Settings,
    workers: int = 1,
    more: Mapping[str, str] | None = None,
    program: str = "api.cli",
    port: int = 0,
    log: Path | None = None,
    *,
    afresh: bool = False,
) -> Iterator[tuple[Process, Path]]:
    """Start a server, of the product or of another program, with `more` settings on a database as it is."""
    log = log or settings.home / "server.log"
    process = launched(settings, workers, more, program, port, log, afresh=afresh)
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(timeout=40)


def launched(
    settings: Settings,
    workers: int,
    more: Mapping[str, str] | None,
    program: str,
    port: int,
    log: Path,
    *,
    afresh: bool = False,
) -> Process:
    """Start a server in a process group of its own; whoever starts it ends it."""
    arguments = ["serve", "--port", str(port), "--workers", str(workers)]
    environment = environment_of(settings, more)
    with log.open("w") as file, Path(os.devnull).open("r+") as nothing:
        if not afresh:
            streams = [nothing.fileno(), nothing.fileno(), file.fileno()]
            return forker().begun(arguments, environment, streams=streams, program=program, own_group=True)
        return subprocess.Popen(
            [sys.executable, "-m", program, *arguments],
            cwd=REPOSITORY,
            env=environment,
            stderr=file,
            text=True,
            process_group=0,
        )


def environment_of(settings: Settings, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a server with these settings, and `more`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLORIA_")}
    return environment | {
        "GLORIA_HOME": str(settings.home),
        "GLORIA_ENCODERS": settings.encoders,
        "GLORIA_THREADS": str(settings.threads),
        "GLORIA_DATABASE_URL": settings.database_url,
        "GLORIA_REQUESTS_PER_MINUTE": "1000000",
        "GLORIA_LANG": "en",
        "GLORIA_JOB_LEASE_S": str(settings.job_lease_s),
        "GLORIA_SECOND_FACTOR": settings.second_factor,
        **(more or {}),
    }


def address_of(process: Process, log: Path) -> str:
    """Return where a started server listens, once it answers."""
    until = datetime.now(UTC) + timedelta(seconds=60)
    while datetime.now(UTC) < until and process.poll() is None:
        found = re.search(r"serving at (http://\S+)", log.read_text())
        if found:
            with suppress(URLError), urlopen(found[1] + "/healthz", timeout=5):  # noqa: S310 (our own server)
                return found[1]
        # Not at once: the server needs the processor that asking takes.
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


def fill(settings: Settings, records: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Store the records and everybody of `PEOPLE`; return their keys and account ids by name."""
    now = datetime.now(UTC)
    engine = open_engine(settings)
    keys, accounts = {}, {}
    with writing(engine) as session:
        for name in ("schools", "companies", "labs", "needs"):
            import_file(session, records / f"{name}.jsonl")
        # The school of lab-1-01 leads the one, nobody here the other.
        alliances = [{"id": "al-a", "name": "甲聯盟", "center": "yltu"}, {"id": "al-b", "name": "乙聯盟"}]
        import_rows(session, "alliances", alliances)
        adopt(session, need_ids=["need-1-01"], alliance_id="al-a", by=None, now=now)
        adopt(session, need_ids=["need-1-03"], alliance_id="al-b", by=None, now=now)
        for name, (role, scope) in PEOPLE.items():
            account = add_account(session, email=f"{name}@example.org", name=name, now=now)
            if role is not None:
                grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
            _, keys[name] = make_key(
                session, account_id=account.id, name="test", may_write=True, valid=timedelta(days=30), now=now
            )
            accounts[name] = account.id
        take_on(session, company_id="co-1-1", alliance_id="al-a", expert_id=accounts["expert"], now=now)
    engine.dispose()
    return keys, accounts


def settled(url: str) -> bool:
    """Whether the index that a server answers from stays the same for longer than taking in takes."""
    before = generation_at(url)
    time.sleep(3)
    return generation_at(url) == before


def generation_at(url: str) -> str:
    """Return the generation that a server answers from."""
    return str(httpx.get(f"{url}/readyz").json()["index"]["generation"])
