"""What tests share: databases of both kinds, the command line, and an indexed home with a slice of the demo world."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from indexer.database import open_engine
from indexer.settings import Settings
from matcher.ledger.story import load_story
from tests.rig.servers.forked_programs import begin_in_children_of_the_warm_process, forker
from tests.rig.servers.warmed_application import (
    share_the_certificates,
    share_the_compiled_statements,
    share_the_encoder,
    share_the_schema,
)
from tests.rig.worlds.slice_of_world import write_slice

REPOSITORY = Path(__file__).parent.parent
# Most tests are about something else; those of the second factor switch it on.
os.environ["GLORIA_SECOND_FACTOR"] = "off"
LONGEST = (
    "made_up_requests_break_nothing",
    "secrets_stay_where_they_belong",
    "a_match_goes_from_telephone_to_ledger_by_mail",
    "everybody_may_do_what_the_policy_says",
    "figures_lead_to_their_entries_in_pages",
    "pages_keep_secrets_too",
    "tampering_is_found",
    "ledger_histories_keep_their_invariants",
    "a_paper_is_fit_to_hand_in",
    "imports_run_as_jobs",
    "operators_see_what_the_server_does",
    "an_older_database_is_brought_up",
    "ranking_reaches_its_targets",
    "experts_review_by_keyboard",
    "whoever_is_shown_a_need_is_in_the_trail",
    "a_page_is_one_state_of_the_database",
    "backups_restore_while_writes_go_on",
    "the_service_degrades_as_promised",
    "needs_show_their_labs",
    "the_committee_reviews_results",
    "experts_begin_their_day_at_the_desk",
    "a_power_cut_keeps_every_acknowledged_entry",
    "an_erased_person_is_gone_and_totals_stay",
    "names_in_notes_go_with_an_erasure",
    "new_labs_are_matchable_within_seconds",
    "cli_ledger",
    "the_written_pages_tell_the_truth",
    "a_need_is_taken_down_on_the_telephone",
    "a_worse_index_is_held_back",
    "the_audit_trail_says_who_saw_and_did_what",
    "researchers_keep_their_lab_in_pages",
    "judges_grade_in_pages",
    "a_company_submits_and_follows_its_need",
    "bundled_model_gives_its_vectors",
    "the_programmes_story_adds_up",
    "a_shortlist_leaves_the_house",
    "a_list_is_looked_through_before_it_is_imported",
    "an_office_learns_from_decisions",
    "people_keep_their_own_keys_and_password",
    "cli_demo",
)
"""Files that take longest, longest first: one of them begun last would keep one core while the others wait."""


_POSTGRESQL_FOLDER = "gloria-pg-"
_BEGUN_WITHIN_S = 600
"""After that long a server has written its process into its folder, or it has ended."""
ENOUGH_BYTES = 10 * 2**30
"""Of memory that is not taken: the files of a whole run and its workers need about as much."""


def pytest_configure(config: pytest.Config) -> None:
    """Load the quick encoder once; let all files lie in memory where there is room, so that nothing waits for a disk.

    What outlives a power cut is tested by the system calls, which are the same there.
    """
    share_the_encoder()
    share_the_compiled_statements()
    share_the_certificates()
    share_the_schema()
    begin_in_children_of_the_warm_process()
    memory = Path("/dev/shm")
    if hasattr(config, "workerinput") or not (memory.is_dir() and os.access(memory, os.W_OK)):
        return
    _sweep(memory)
    if min(shutil.disk_usage(memory).free, _memory_left_bytes()) >= ENOUGH_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def _sweep(memory: Path) -> None:
    """Delete the databases of test runs that were killed: what lies there takes memory until the machine restarts."""
    for folder in memory.glob(f"{_POSTGRESQL_FOLDER}*"):
        held = folder / "data" / "postmaster.pid"
        if held.exists():
            is_over = not Path(f"/proc/{held.read_text().split()[0]}").exists()
        else:
            is_over = time.time() - folder.stat().st_mtime > _BEGUN_WITHIN_S
        if is_over:
            shutil.rmtree(folder, ignore_errors=True)


def _memory_left_bytes() -> int:
    said = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(said["MemAvailable"].split()[0]) * 1024


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin first, and leave to `make test-long` what asks PostgreSQL at length.

    Within a file and among the rest the order stays.
    """
    for item in items:
        asked = getattr(item, "callspec", None)
        if (
            asked is not None
            and any(isinstance(value, str) and value == "postgresql" for value in asked.params.values())
            and item.get_closest_marker("postgresql_at_length")
            and not item.get_closest_marker("postgresql_too")
        ):
            item.add_marker("long")
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """Let the search for garbage pass over what the collected tests imported, which stays."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """All of stdout as one JSON document."""
        return json.loads(self.out)


Gloria = Callable[..., Answer]
POSTGRESQL_AT_LENGTH = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
"""For tests of the server: what it says hardly hangs on the database, so that most of them ask the second kind only in
`make test-long`. What the records and the ledger keep is tested on both kinds every time."""


def _environment(home: Path | None, columns: int, settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLORIA_")}
    # USE needs no torch, so that a command takes seconds; one thread, since other tests run beside it.
    environment |= {"GLORIA_ENCODERS": "bundled-use", "GLORIA_THREADS": "1"}
    environment |= {"PYTHONWARNINGS": "error", "HF_HUB_OFFLINE": "1", "GLORIA_SECOND_FACTOR": "off"}
    environment["COLUMNS"] = str(columns)
    environment |= {f"GLORIA_{name.upper()}": value for name, value in settings.items()}
    return environment if home is None else environment | {"GLORIA_HOME": str(home)}


@pytest.fixture(scope="session")
def gloria() -> Gloria:
    """Run `gloria ARGUMENTS...` as a user would; `home` and other GLORIA_* settings by keyword.

    In a child of a process that has the imports already; `gloria_from_cold` does without.
    """

    def run(
        *arguments: object, home: Path | None = None, columns: int = 100, given: bytes = b"", **settings: str
    ) -> Answer:
        environment = _environment(home, columns, settings)
        code, out, err = forker().run([*map(str, arguments)], environment, given=given)
        return Answer(code, out.decode(), err.decode())

    return run


@pytest.fixture(scope="session")
def gloria_from_cold() -> Gloria:
    """The same by a new interpreter, which has to import everything: for what a start itself must keep to."""

    def run(
        *arguments: object, home: Path | None = None, columns: int = 100, given: bytes = b"", **settings: str
    ) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *map(str, arguments)],
            cwd=REPOSITORY,
            env=_environment(home, columns, settings),
            input=given,
            capture_output=True,
            timeout=300,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def slice_of_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the records of the demo world's first cluster."""
    folder = tmp_path_factory.mktemp("slice")
    write_slice(folder)
    return folder


@pytest.fixture(scope="session")
def indexed_home(gloria: Gloria, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with that slice imported and indexed. Shared: never write to it, take `own_home` for that."""
    home = tmp_path_factory.mktemp("homes") / "indexed"
    files = [slice_of_world / f"{name}.jsonl" for name in ("schools", "companies", "labs", "needs")]
    for arguments in (["import", *files], ["reindex"]):
        answer = gloria(*arguments, home=home)
        assert answer.code == 0, answer.err
    # Whether an index harms who opens it is tested apart: not every server and command has to try in a child first.
    for generation in (home / "index").iterdir():
        forker().remember(generation.name)
    return home


@pytest.fixture
def own_home(indexed_home: Path, tmp_path: Path) -> Path:
    """A copy of the indexed home that a test may change."""
    return Path(shutil.copytree(indexed_home, tmp_path / "home"))


@pytest.fixture(scope="session")
def story_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database, an SQLite file, holds the story of the programme. Shared: write to a copy of it only."""
    home = tmp_path_factory.mktemp("told") / "home"
    engine = open_engine(Settings(home=home))
    load_story(engine, home=home)
    engine.dispose()
    return home


class Databases:
    """Makes databases of a test's own: empty ones, or copies of one that is at this release's schema."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self._server: Any = None
        self._templates: set[str] = set()

    def empty(self, kind: str, folder: Path) -> str:
        """Return the URL of a database without any table; an SQLite file lies in `folder`."""
        if kind == "sqlite":
            folder.mkdir(parents=True, exist_ok=True)
            return f"sqlite:///{folder}/gloria.db"
        return self._created("template0")

    def at_head(self, kind: str, folder: Path) -> str:
        """Return the URL of an empty database at this release's schema."""
        if kind == "sqlite":
            template = self._folder / "gloria.db"
            url = self.empty(kind, folder)
            self._migrate_once(kind, f"sqlite:///{template}")
            shutil.copy(template, folder / "gloria.db")
            return url
        self.server()
        if kind not in self._templates:
            self._execute("CREATE DATABASE gloria_template")
        self._migrate_once(kind, self.server().get_uri("gloria_template"))
        return self._created("gloria_template")

    def drop(self, url: str) -> None:
        """Delete a PostgreSQL database that no test will ask again; those of a whole run would fill the memory."""
        if not url.startswith("sqlite"):
            self._execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def server(self) -> Any:
        """Return the PostgreSQL server of this test run, started at the first call."""
        if self._server is None:
            # Not below pytest's own folder, which the next run closes to the server's account.
            folder = tempfile.mkdtemp(prefix=_POSTGRESQL_FOLDER, dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))
            os.environ.setdefault("XDG_RUNTIME_DIR", folder)
            pgserver = pytest.importorskip("pgserver", reason="no PostgreSQL wheel for this platform")
            self._server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
            for setting in ("fsync = off", "max_connections = 300"):
                self._execute(f"ALTER SYSTEM SET {setting}")
            self._control("-l", str(self._server.log), "restart")
        return self._server

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let no process of the server run while the block does, as on a machine whose disk does not answer."""
        first = int((self.server().pgdata / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children")
        if not children.exists():
            pytest.skip("the system does not tell a process's children that way")
        held = [first]
        try:
            # The first one before the others, since it makes more.
            os.kill(first, signal.SIGSTOP)
            held += map(int, children.read_text().split())
            for number in held[1:]:
                os.kill(number, signal.SIGSTOP)
            yield
        finally:
            for number in held:
                os.kill(number, signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server while the block runs."""
        # As it was started; only `restart` would know that by itself.
        program, *options = shlex.split((self.server().pgdata / "postmaster.opts").read_text())
        del program
        self._control("-m", "fast", "stop")
        try:
            yield
        finally:
            self._control("-l", str(self._server.log), "-o", shlex.join(options), "start")

    def close(self) -> None:
        """Stop the server and delete its files."""
        if self._server is not None:
            # The wheel knows only the process that it started itself, not the restarted one.
            self._control("-m", "immediate", "stop")
            self._server.cleanup()
            shutil.rmtree(self._server.pgdata.parent)

    def _control(self, *arguments: str) -> None:
        import pgserver

        pgserver.pg_ctl(["-w", *arguments], pgdata=self._server.pgdata, user=self._server.system_user)

    def _migrate_once(self, kind: str, url: str) -> None:
        if kind not in self._templates:
            open_engine(Settings(home=self._folder, database_url=url)).dispose()
            self._templates.add(kind)

    def _created(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self.server()
        # Copied as files: through the log, as is the default, it takes twice as long.
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return str(self.server().get_uri(name))

    def _execute(self, statement: str) -> None:
        url = self._server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Both kinds of databases."""
    made = Databases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the test's own, without any table: first SQLite, then PostgreSQL."""
    url = databases.empty(request.param, tmp_path / "home")
    yield url
    databases.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the test's own at this release's schema, empty: first SQLite, then PostgreSQL."""
    url = databases.at_head(request.param, tmp_path / "home")
    yield url
    databases.drop(url)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings with that database, a home of the test's own and the quickest encoder."""
    return Settings(home=tmp_path / "home", database_url=database_url, encoders="bundled-use")


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """That database, opened."""
    opened = open_engine(settings)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's Chromium, started once, with the event loop by which it is driven.

    That loop runs in this thread as long as the browser does: between the files that use it, it is hidden, since other
    files start loops of their own.
    """
    from tests.rig.servers.browsers import started_browser

    with started_browser() as browser:
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    """The browser for all tests of a file; each test opens windows of its own."""
    browser, loop = chromium
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)
