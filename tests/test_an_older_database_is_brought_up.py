"""A database of an earlier release is brought up when it is opened: no row is lost, and a copy is made first."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection, Date, DateTime, Engine, MetaData, Table, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from indexer.database import open_engine
from indexer.records.record_tables import load_labs, load_needs
from indexer.schema import SchemaError, _alone, head, migrate
from indexer.settings import Settings
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.chain import ExportedHead
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.links import LINKED
from matcher.ledger.rows.school_totals import SchoolTotal
from matcher.ledger.rules.recognition import months_since

FIRST_RELEASE = (Path(__file__).parent / "first_release.sql").read_text(encoding="utf-8")


def plain_engine(url: str) -> Engine:
    """The database as any program opens it, by none of our code."""
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))


def make_first_release(url: str) -> None:
    engine = plain_engine(url)
    with engine.begin() as connection:
        for statement in FIRST_RELEASE.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()


def all_rows(
    url: str, tables: list[str] | None = None, without: dict[str, set[str]] | None = None
) -> dict[str, list[Any]]:
    """Every row of the tables, as the database gives them, `without` columns that have to be empty."""
    engine = plain_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names() if tables is None else tables
        metadata = MetaData()
        metadata.reflect(connection, only=names)
        rows = {}
        for name in names:
            found = [dict(row) for row in connection.execute(metadata.tables[name].select()).mappings()]
            gone = (without or {}).get(name, set())
            assert [row.pop(column) or None for row in found for column in gone] == [None] * len(found) * len(gone)
            rows[name] = sorted(map(repr, found))
    engine.dispose()
    return rows


def columns_of(url: str) -> dict[str, set[str]]:
    """The columns of every table."""
    engine = plain_engine(url)
    found = inspect(engine)
    columns = {name: {column["name"] for column in found.get_columns(name)} for name in found.get_table_names()}
    engine.dispose()
    return columns


def version(url: str) -> str | None:
    return "".join(all_rows(url, ["alembic_version"])["alembic_version"]).partition(": '")[2][:4] or None


@pytest.fixture
def first_release_url(empty_database_url: str) -> str:
    make_first_release(empty_database_url)
    return empty_database_url


@pytest.fixture
def settings(empty_database_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=empty_database_url)


def test_every_row_of_the_first_release_is_kept(first_release_url: str, settings: Settings) -> None:
    before, had = all_rows(first_release_url), columns_of(first_release_url)
    assert sorted((name, len(rows)) for name, rows in before.items()) == [
        ("alliance", 1), ("alliance_partner", 1), ("ask", 1), ("company", 1), ("evidence", 2), ("lab", 2),
        ("need", 1), ("school", 2),
    ]  # fmt: skip
    engine = open_engine(settings)
    with Session(engine) as session:
        assert [lab.id for lab in load_labs(session)] == ["lab-frost", "lab-kiln"]
        assert [(item.id, item.weight) for item in load_labs(session)[0].evidence] == [("f-2", 1.0), ("f-1", 2.5)]
        assert [(need.budget_ntd, need.excluded_labs) for need in load_needs(session)] == [
            (9_000_000_000, ("lab-kiln",))
        ]
    engine.dispose()
    # Fields that came since are empty.
    more = {name: columns - had[name] for name, columns in columns_of(first_release_url).items() if name in had}
    assert all_rows(first_release_url, list(before), more) == before
    assert version(first_release_url) == head()


def test_opening_it_again_changes_nothing(first_release_url: str, settings: Settings) -> None:
    open_engine(settings).dispose()
    before = all_rows(first_release_url)
    backups = sorted(settings.home.glob("backups/*"))
    open_engine(settings).dispose()
    assert all_rows(first_release_url) == before
    assert sorted(settings.home.glob("backups/*")) == backups


def test_an_sqlite_file_with_records_is_copied_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    url = f"sqlite:///{home}/gloria.db"
    make_first_release(url)
    before = all_rows(url)
    open_engine(Settings(home=home)).dispose()
    (copy,) = home.glob("backups/*")
    assert copy.name.startswith(f"before-schema-{head()}-from-0001-")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert all_rows(f"sqlite:///{copy}") == before


def test_a_new_sqlite_file_needs_no_copy(tmp_path: Path) -> None:
    open_engine(Settings(home=tmp_path)).dispose()
    assert not (tmp_path / "backups").exists()


def test_an_upgrade_that_fails_leaves_everything_as_it_was(first_release_url: str, settings: Settings) -> None:
    engine = plain_engine(first_release_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE lab_edit (id INTEGER)"))  # a later step of the upgrade makes it too
    engine.dispose()
    before = all_rows(first_release_url)
    with pytest.raises(DBAPIError, match="already exists"):
        open_engine(settings)
    assert all_rows(first_release_url) == before


def test_a_database_of_a_newer_release_is_refused(settings: Settings) -> None:
    open_engine(settings).dispose()
    engine = plain_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    before = all_rows(settings.database_url)
    with pytest.raises(SchemaError) as refused:
        open_engine(settings)
    assert str(refused.value) == (
        f"the database is of a newer release (schema 9999, this program knows {head()}); "
        "install that release, or name another database: GLORIA_HOME or GLORIA_DATABASE_URL"
    )
    assert all_rows(settings.database_url) == before


_OPEN = """
import sys
from pathlib import Path
from indexer.database import open_engine
from indexer.settings import Settings
print("ready", flush=True)
sys.stdin.readline()
open_engine(Settings(home=Path(sys.argv[1]), database_url=sys.argv[2])).dispose()
"""


@pytest.mark.parametrize("old", [False, True])
def test_processes_that_open_it_at_once_all_succeed(settings: Settings, old: bool) -> None:
    if old:
        make_first_release(settings.database_url)
    command = [sys.executable, "-W", "error", "-c", _OPEN, str(settings.home), settings.database_url]
    pipe = subprocess.PIPE
    root = Path(__file__).parent.parent
    running = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root) for _ in range(4)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    assert ends == [("", 0)] * 4
    assert version(settings.database_url) == head()
    assert len(list(settings.home.glob("backups/*"))) == int(old and settings.database_url.startswith("sqlite"))


_FIRST_COLUMNS = {
    "lab": "id, name, name_en, pi, school, fields, summary, summary_en, keywords, offers, will_not_do, capacity, "
    "languages, conflicts, links",
    "evidence": "lab_id, id, position, kind, title, abstract, year, weight",
}


@pytest.mark.parametrize("guarded", [True, False])
def test_rebuilding_a_table_keeps_the_rows_below_it(tmp_path: Path, guarded: bool) -> None:
    """Without the guard the evidence of every lab is deleted with the old table: so the guard is needed."""
    engine = open_engine(Settings(home=tmp_path))
    with engine.begin() as connection:
        for statement in FIRST_RELEASE.split(";\n"):
            for table, columns in _FIRST_COLUMNS.items():
                if f"INSERT INTO {table} VALUES" in statement:
                    connection.exec_driver_sql(statement.replace(f"INTO {table} ", f"INTO {table} ({columns}) "))
    with _alone(engine) if guarded else engine.begin() as connection:
        for statement in (
            "CREATE TABLE lab_new AS SELECT * FROM lab",
            "DROP TABLE lab",
            "CREATE TABLE lab (id VARCHAR PRIMARY KEY)",
            "INSERT INTO lab SELECT id FROM lab_new",
        ):
            connection.exec_driver_sql(statement)
    with engine.begin() as connection:
        kept = connection.execute(text("SELECT count(*) FROM evidence")).scalar()
        foreign_keys = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
    engine.dispose()
    assert (kept, foreign_keys) == (2 if guarded else 0, 1)


def test_an_upgrade_that_would_leave_references_to_nothing_is_undone(tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path))
    orphan = (
        "INSERT INTO evidence (lab_id, id, position, kind, title, abstract, year, weight) "
        "VALUES ('nobody', 'e', 1, 'paper', '', '', NULL, 1)"
    )
    with pytest.raises(SchemaError, match="references to nothing, in evidence"), _alone(engine) as connection:
        connection.exec_driver_sql(orphan)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM evidence")).scalar() == 0
    engine.dispose()


def test_opening_a_database_that_is_up_to_date_loads_no_migration_tool(settings: Settings) -> None:
    open_engine(settings).dispose()
    report = (
        "import sys; sys.stdout.write(str(sorted(n for n in sys.modules if n.split('.')[0] in ('alembic', 'mako'))))"
    )
    code = _OPEN.replace('print("ready", flush=True)\nsys.stdin.readline()\n', "") + report
    command = [sys.executable, "-c", code, str(settings.home), settings.database_url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    assert done.stdout == "[]"


def test_a_copy_of_a_whole_database_opens(tmp_path: Path) -> None:
    """The copy is a database in its own right, without the files that lie beside the one in use."""
    make_first_release(f"sqlite:///{tmp_path}/gloria.db")
    open_engine(Settings(home=tmp_path)).dispose()
    (copy,) = tmp_path.glob("backups/*.db")
    connection = sqlite.connect(str(copy))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


EARLIER = "0026"
EARLIER_LEDGER = [
    orjson.loads(line) for line in (Path(__file__).parent / "earlier_ledger.jsonl").read_bytes().splitlines()
]
"""Table and row of a ledger of every kind of row, as the release with this schema wrote and proved it."""
PROVEN = {
    "entries": "11 da6cb4564e0091d3df633beadfa967c2b592f0dae80f15b2adea37122a8cb09f",
    "steps": "23 8edeef5c35dc9703167d9662ff9bc7458d57d6d2571e6f7179ab025ca8f15055",
    "links": "8 669f4cc9cf6e32e7c75561d5b59ac4203e3feb67a8dc8d03bc364d7cb1c52fb4",
}
"""The heads that `gloria ledger verify` of that release printed."""


def make_earlier_ledger(url: str) -> None:
    engine = plain_engine(url)
    with engine.connect() as connection:
        migrate(connection, EARLIER)
        connection.commit()
    with engine.begin() as connection:
        _without_triggers(connection)
        metadata = MetaData()
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            rows = [row for name, row in EARLIER_LEDGER if name == table.name]
            if rows:
                connection.execute(table.delete())
                for row in rows:
                    connection.execute(table.insert().values(_typed(table, row)))
        for trigger in connection.info.pop("triggers", []):
            connection.exec_driver_sql(trigger)
    engine.dispose()


def _without_triggers(connection: Connection) -> None:
    """Rows are put as they were, not written again: in any order, closed quarters too."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        return
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").all()
    for name, _ in found:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
    connection.info["triggers"] = [sql for _, sql in found]


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    typed = {}
    for name, value in row.items():
        kind = table.c[name].type
        if value is None:
            continue
        if isinstance(value, dict) and set(value) == {"bytes"}:
            typed[name] = bytes.fromhex(value["bytes"])
        elif isinstance(kind, DateTime):
            moment = datetime.fromisoformat(value)
            typed[name] = moment if kind.timezone else moment.replace(tzinfo=None)
        else:
            typed[name] = date.fromisoformat(value) if isinstance(kind, Date) else value
    return typed


def test_an_earlier_ledger_is_proven_before_and_after(empty_database_url: str, settings: Settings) -> None:
    make_earlier_ledger(empty_database_url)
    chained = {"ledger_entry", "ledger_step", "ledger_link", *LINKED} & set(columns_of(empty_database_url))
    before = all_rows(empty_database_url, sorted(chained))
    engine = open_engine(settings)
    kept = [ExportedHead(chain, int(said.split()[0]), said.split()[1], "") for chain, said in PROVEN.items()]
    with Session(engine) as session:
        proof = verify(session, exported=kept)
        assert [(one.check, one.place, str(one.message)) for one in proof.findings] == []
        assert (proof.heads, proof.entries, proof.steps) == (PROVEN, 11, 23)
        assert [one.by_school() for one in session.exec(select(Entry).where(Entry.id == "money-0001"))] == [
            {"sc-1": 10_000}
        ]
        assert {one.figure for one in session.exec(select(SchoolTotal))} == {Kpi.MONEY}
        # Who worked without it goes on: no month waits for its lead until the office sets a day.
        assert months_since(session) is None
    more = {"ledger_entry": {"school_shares", "company_shares"}, "school_total": {"kpi", "count"}, "account": {"phone"}}
    assert all_rows(empty_database_url, list(before), more) == before
    # Control: the same proof, after one total was changed past every rule.
    with engine.begin() as connection:
        _without_triggers(connection)
        connection.execute(text("UPDATE school_total SET amount_ntd = 1 WHERE id = 1"))
        for trigger in connection.info.pop("triggers", []):
            connection.exec_driver_sql(trigger)
    with Session(engine) as session:
        assert [(one.check, one.place) for one in verify(session).findings] == [("link", "school_total 1")]
    engine.dispose()
