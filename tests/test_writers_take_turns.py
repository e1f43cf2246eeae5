"""Many write at once: nothing is lost, nobody waits past the deadline, nothing half done stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session

from indexer.database import POOL_SIZE, BusyError, DatabaseGoneError, Turns, open_engine, reading, writing
from indexer.settings import Settings

COUNT_UP = "UPDATE change_counter SET n = n + 1 WHERE kind = 'labs'"


def in_threads(number: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run `work(0)` to `work(number - 1)` at once; return what they raised."""
    raised: list[BaseException] = []
    begin = threading.Barrier(number)

    def run(this: int) -> None:
        begin.wait()
        try:
            work(this)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(this,), daemon=True) for this in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    return raised


def number(session: Session) -> int:
    found = session.connection().execute(text("SELECT n FROM change_counter WHERE kind = 'labs'")).scalar_one()
    return int(found)


def count_up_in_two_steps(session: Session) -> None:
    """Read, then write what was read plus one, with the row locked as far as the database needs that to be told."""
    if session.connection().dialect.name == "postgresql":
        session.connection().execute(text("SELECT n FROM change_counter WHERE kind = 'labs' FOR UPDATE"))
    n = number(session)
    session.connection().execute(text("UPDATE change_counter SET n = :n WHERE kind = 'labs'"), {"n": n + 1})


def test_64_writers_lose_nothing(engine: Engine) -> None:
    def work(_: int) -> None:
        for _ in range(5):
            with writing(engine, deadline_s=60) as session:
                count_up_in_two_steps(session)

    assert in_threads(64, work) == []
    with reading(engine) as session:
        assert number(session) == 320


def test_200_readers_and_writers_finish(engine: Engine) -> None:
    def work(this: int) -> None:
        for _ in range(2):
            with reading(engine) if this % 4 else writing(engine) as session:
                if not this % 4:
                    session.connection().execute(text(COUNT_UP))
                number(session)

    raised = in_threads(200, work)
    assert {type(error) for error in raised} <= {BusyError}
    with reading(engine) as session:
        assert number(session) >= 100 - len(raised)


def test_what_fails_leaves_nothing(engine: Engine) -> None:
    orphan = "INSERT INTO evidence VALUES ('nobody', 'e', 1, 'paper', '', '', NULL, 1)"
    for wrong in (orphan, "SELECT * FROM no_such_table"):
        with pytest.raises(DBAPIError), writing(engine) as session:  # noqa: PT012 (the first of the two succeeds)
            session.connection().execute(text(COUNT_UP))
            session.connection().execute(text(wrong))
    with reading(engine) as session:
        assert number(session) == 0


def test_a_commit_that_fails_reaches_the_caller(engine: Engine) -> None:
    """A rule that the database checks only when it commits; nobody may be told that it is stored."""
    columns = "id INTEGER PRIMARY KEY, above INTEGER REFERENCES late (id) DEFERRABLE INITIALLY DEFERRED"
    with writing(engine) as session:
        session.connection().execute(text(f"CREATE TABLE late ({columns})"))
    reached_the_end = False
    with pytest.raises(IntegrityError), writing(engine) as session:  # noqa: PT012 (it is the end that raises)
        session.connection().execute(text("INSERT INTO late VALUES (1, 2)"))
        reached_the_end = True
    assert reached_the_end
    with reading(engine) as session:
        assert session.connection().execute(text("SELECT count(*) FROM late")).scalar() == 0
    with writing(engine, deadline_s=1) as session:  # its place is free again
        session.connection().execute(text(COUNT_UP))


def test_a_reading_session_cannot_write(engine: Engine) -> None:
    """What it wrote would be undone without a word. It is a fault of ours, not "busy" or "gone"."""
    for _ in range(2):
        with pytest.raises(DBAPIError, match=r"read-?only"), reading(engine) as session:
            session.connection().execute(text(COUNT_UP))
        with writing(engine) as session:
            session.connection().execute(text(COUNT_UP))
    with reading(engine) as session:
        assert number(session) == 2


def test_a_reading_session_sees_one_state(tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path))
    with reading(engine) as session:
        assert number(session) == 0
        with writing(engine) as other:
            other.connection().execute(text(COUNT_UP))
        assert number(session) == 0
    with reading(engine) as session:
        assert number(session) == 1
    engine.dispose()


def test_waiting_for_another_writer_ends_at_the_deadline(engine: Engine) -> None:
    waited: list[float] = []

    def late(_: int) -> None:
        begin = time.monotonic()
        try:
            with writing(engine, deadline_s=0.3) as session:
                session.connection().execute(text(COUNT_UP))
        finally:
            waited.append(time.monotonic() - begin)

    with writing(engine) as session:
        session.connection().execute(text(COUNT_UP))
        raised = in_threads(3, late)
    assert [type(error) for error in raised] == [BusyError] * 3
    assert 0.25 < min(waited) <= max(waited) < 3
    assert in_threads(1, late) == []


def test_a_writer_in_another_process_is_waited_for_no_longer_than_the_deadline(tmp_path: Path) -> None:
    engine = open_engine(Settings(home=tmp_path))
    other = sqlite.connect(str(tmp_path / "gloria.db"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begin = time.monotonic()
    with pytest.raises(BusyError), writing(engine, deadline_s=0.3):
        pass
    assert 0.25 < time.monotonic() - begin < 3
    other.execute("ROLLBACK")
    other.close()
    with writing(engine, deadline_s=0.3) as session:
        session.connection().execute(text(COUNT_UP))
    engine.dispose()


def test_no_free_connection_is_busy(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.pool, "_timeout", 0.2)
    held = [engine.connect() for _ in range(POOL_SIZE)]
    with pytest.raises(BusyError, match="no connection became free"), reading(engine):
        pass
    held.pop().close()
    with reading(engine) as session:
        assert number(session) == 0
    for connection in held:
        connection.close()


def test_turns_come_in_the_order_of_asking() -> None:
    turns, came, asked = Turns(), [], threading.Semaphore(0)

    def work(this: int) -> None:
        asked.release()
        assert turns.take(30)
        came.append(this)
        turns.give()

    assert turns.take(0)
    threads = [threading.Thread(target=work, args=(this,)) for this in range(8)]
    for length, thread in enumerate(threads, start=1):
        thread.start()
        asked.acquire()
        while len(turns._waiting) < length:
            time.sleep(0.001)
    assert not turns.take(0.01)
    turns.give()
    for thread in threads:
        thread.join(30)
    assert came == list(range(8))
    assert turns.take(0)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody@127.0.0.1:1/nothing", "connection"),
        ("sqlite:////none/at/all.db", "unable to open database file"),
    ],
)
def test_a_database_that_cannot_be_reached_is_gone(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(DatabaseGoneError, match=said):
        open_engine(Settings(home=tmp_path, database_url=url))


def test_a_server_that_went_away_is_gone_and_comes_back(settings: Settings, engine: Engine) -> None:
    if not settings.database_url.startswith("postgresql"):
        path = settings.home / "gloria.db"
        content = path.read_bytes()
        engine.dispose()
        path.write_bytes(b"x" * len(content))
        with pytest.raises(DatabaseGoneError, match="not a database"), reading(engine) as session:
            number(session)
        path.write_bytes(content)
    else:
        with pytest.raises(DatabaseGoneError), reading(engine) as session:  # noqa: PT012 (the last of them raises)
            mine = session.connection().execute(text("SELECT pg_backend_pid()")).scalar()
            with engine.connect() as other:
                other.execute(text(f"SELECT pg_terminate_backend({mine})"))
            number(session)
    with writing(engine) as session:
        session.connection().execute(text(COUNT_UP))
    with reading(engine) as session:
        assert number(session) == 1


def test_a_fault_of_ours_is_neither_busy_nor_gone(engine: Engine) -> None:
    with pytest.raises(DBAPIError, match="no_such_table"), reading(engine) as session:
        session.connection().execute(text("SELECT * FROM no_such_table"))
