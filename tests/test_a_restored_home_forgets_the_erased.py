"""A restore brings nobody back who was erased after the backup, overwrites nothing, and lets nobody stay signed in."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select

import indexer
from api.access.credentials import LoginSession, key_proof, session_proof
from api.backups.backup import BackupError, back_up
from api.backups.erased_people import FILE, read_erasures
from api.backups.restore import Restored, bring_back
from indexer.database import BusyError, open_engine, reading, writing
from indexer.settings import Settings
from matcher.erasure import ErasedKind, erasures
from matcher.ledger.proving.heads import HEADS_FILE as HEADS
from matcher.ledger.proving.heads import export_heads
from matcher.ledger.proving.verification import verify
from tests.conftest import Databases
from tests.rig.worlds.erased_people import EVERY, RESEARCHER, erase_all, files, hold, met
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, money, recognised


@pytest.fixture
def held(engine: Engine, settings: Settings) -> dict[str, str]:
    """A database, an index and stored answers that name three people; and their ids."""
    return hold(engine, settings)


def restored(settings: Settings, backup: Path, into: Path, databases: Databases, *, over: bool = False) -> Restored:
    """Bring a backup back; one of PostgreSQL into a new database."""
    url = "" if settings.database_url.startswith("sqlite") else databases.empty("postgresql", into)
    return bring_back(settings, backup, into=into, database_url=url, over=over)


def _names_left(done: Restored, databases: Databases) -> set[str]:
    """Return which names the restored home and its database still hold."""
    url = done.settings.database_url or f"sqlite:///{done.home}/gloria.db"
    return met(files(done.settings.model_copy(update={"database_url": url}), databases))


def test_who_was_erased_after_the_backup_stays_forgotten(
    engine: Engine, settings: Settings, held: dict[str, str], databases: Databases, tmp_path: Path
) -> None:
    old = back_up(settings).path
    erase_all(settings, held)
    done = restored(settings, old, tmp_path / "restored", databases)
    assert (done.erased_again, done.reindex) == (3, True)
    assert _names_left(done, databases) == set()
    listed = [(kind.value, held[kind.value]) for kind in ErasedKind]
    assert [(one.kind, one.subject) for one in read_erasures(done.home / FILE)] == listed
    new = open_engine(done.settings)
    with reading(new) as session:
        assert [(one.kind, one.subject) for one in erasures(session)] == listed
        assert verify(session).findings == []
        assert session_proof(session, held["token"], NOON) is None
        assert key_proof(session, held["key"], NOON) is None
    new.dispose()
    indexer.build_index(done.settings)
    assert _names_left(done, databases) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_the_list_of_erasures_everybody_would_be_back(
    settings: Settings, held: dict[str, str], databases: Databases, tmp_path: Path
) -> None:
    """The control: a home that knows of no erasure brings every name back, and the same search finds them."""
    old = back_up(settings).path
    erase_all(settings, held)
    knows_nothing = settings.model_copy(update={"home": tmp_path / "other", "database_url": ""})
    done = bring_back(knows_nothing, old, into=tmp_path / "restored")
    assert (done.erased_again, done.reindex) == (0, False)
    assert _names_left(done, databases) == EVERY
    assert RESEARCHER["pi"] in met([done.home / "index"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_erasure_that_only_the_replaced_database_knows_is_repeated(
    engine: Engine, settings: Settings, held: dict[str, str], tmp_path: Path
) -> None:
    old = back_up(settings).path
    erase_all(settings, held)
    (settings.home / FILE).unlink()
    elsewhere = settings.model_copy(update={"home": tmp_path / "other", "database_url": ""})
    engine.dispose()
    done = bring_back(elsewhere, old, into=settings.home, over=True)
    assert done.erased_again == 3
    assert done.aside is not None
    others = [path for path in settings.home.iterdir() if path.name not in ("backups", done.aside.name)]
    assert met(others) == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_home_is_moved_aside_and_only_when_asked(engine: Engine, settings: Settings, held: dict[str, str]) -> None:
    old = back_up(settings).path
    world = LedgerWorld({name: _account(engine, f"{name}@example.org") for name in ("reporter", "committee", "office")})
    with writing(engine) as session:
        recognised(session, world, money("money-0002", amount=50, details={"contract": "C-2"}))
    with reading(engine) as session:
        export_heads(session, settings.home / HEADS, NOON)
    before = {path.name: path.read_bytes() for path in settings.home.iterdir() if path.is_file()}
    with pytest.raises(BackupError, match=r"holds .* already; choose another folder, or move what is there aside"):
        bring_back(settings, old, into=settings.home)
    with engine.connect(), pytest.raises(BusyError, match=r"is in use .* stop gloria serve first"):
        bring_back(settings, old, into=settings.home, over=True)
    assert {path.name: path.read_bytes() for path in settings.home.iterdir() if path.name in before} == before
    engine.dispose()
    done = bring_back(settings, old, into=settings.home, over=True)
    assert done.aside is not None
    assert done.aside.parent == settings.home
    assert (done.aside / HEADS).read_bytes() == before[HEADS]
    kept = open_engine(settings.model_copy(update={"home": done.aside, "database_url": ""}))
    with reading(kept) as session:
        assert verify(session).entries == 3
    kept.dispose()
    with reading(engine) as session:
        assert verify(session, home=settings.home).findings == []
        assert all(one.ended_at is not None for one in session.exec(select(LoginSession)).all())
    # What had been exported and is not in the backup is said.
    assert done.beyond == {"entries": 3, "steps": 9}


def _account(engine: Engine, email: str) -> str:
    from matcher.review.people import Account

    with reading(engine) as session:
        return session.exec(select(Account.id).where(Account.email == email)).one()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_database_with_tables_is_never_filled(settings: Settings, databases: Databases, tmp_path: Path) -> None:
    old = back_up(settings).path
    with pytest.raises(BackupError, match="is not empty"):
        bring_back(settings, old, into=tmp_path / "new", database_url=settings.database_url)
    with pytest.raises(BackupError, match="name an empty database"):
        bring_back(settings, old, into=tmp_path / "new")
    of_sqlite = back_up(Settings(home=_sqlite_home(databases, tmp_path))).path
    with pytest.raises(BackupError, match="leave GLORIA_DATABASE_URL empty"):
        bring_back(settings, of_sqlite, into=tmp_path / "new", database_url=settings.database_url)
    assert not (tmp_path / "new").exists()


def _sqlite_home(databases: Databases, folder: Path) -> Path:
    databases.at_head("sqlite", folder / "of-sqlite")
    return folder / "of-sqlite"
