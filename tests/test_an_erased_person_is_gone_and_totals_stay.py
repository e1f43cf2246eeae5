"""Who asks to be forgotten is: no file holds name or contact any more, and not one figure changes."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine
from sqlmodel import col, select

from api.access.credentials import ApiKey, LoginSession, Password, key_proof, session_proof
from api.backups.erased_people import FILE, erase_for_good, repeat_erasures
from api.requests.idempotency import IdempotentReply
from indexer.database import reading
from indexer.records.import_log import ImportChange
from indexer.records.record_tables import Lab
from indexer.settings import Settings
from matcher.erasure import ErasedKind, Erasure, ErasureError, erasures
from matcher.ledger.figures.folds import Status, figures
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.pseudonyms import Person
from matcher.review.people import Account, principal
from tests.conftest import Answer, Databases, Gloria
from tests.rig.worlds.erased_people import EVERY, RESEARCHER, TRAINED, erase_all, files, hold, met
from tests.rig.worlds.ledger_world import NOON, build_ledger_world


@pytest.fixture
def held(engine: Engine, settings: Settings) -> dict[str, str]:
    """A database, an index and stored answers that name three people; and their ids."""
    return hold(engine, settings)


def _figures(engine: Engine) -> Any:
    with reading(engine) as session:
        found = figures(session, as_of=NOON + timedelta(days=1))
        wholes = {(kpi, status): found.whole(kpi, status=status) for kpi in Kpi for status in Status}
        verdict = verify(session)
        heads = heads_of(session, NOON)
    assert verdict.findings == []
    assert wholes[Kpi.TALENT, Status.ACTUAL] == 1
    # An erasure is one more link; the ledger's own chains stay as they were.
    return wholes, (verdict.entries, verdict.steps), heads


def test_no_file_holds_an_erased_name_and_no_figure_changes(
    engine: Engine, settings: Settings, held: dict[str, str], databases: Databases
) -> None:
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    before = _figures(engine)
    # The control: the same search finds every one of them.
    assert met(files(settings, databases)) == EVERY
    assert RESEARCHER["pi"] in met([settings.index_path])
    erase_all(settings, held)
    assert met(files(settings, databases)) == set()
    assert _figures(engine) == before
    with reading(engine) as session:
        listed = [(one.kind, one.subject, one.reason, one.by) for one in erasures(session)]
        assert listed == [(kind.value, held[kind.value], "本人要求", "office") for kind in ErasedKind]
        lab = session.get(Lab, "lab-1")
        assert lab is not None
        assert (lab.pi, "碳化矽拋光" in lab.summary) == ("", True)
        # What an import would be taken back to names nobody either, and says the rest as before.
        was = [one.before for one in session.exec(select(ImportChange).order_by(col(ImportChange.n))).all()]
    assert was == [
        {"id": "co-1", "name": "某公司", "contact": "", "contact_email": "", "contact_phone": ""},
        {"id": "lab-1", "name": "erased研究室", "pi": "", "other": {"備註": "erased老師"}},
        {"lab_id": "lab-1", "id": "e1", "title": "erased的專利", "year": 2019},
    ]


def test_the_next_backup_holds_no_erased_name(
    engine: Engine, settings: Settings, held: dict[str, str], tmp_path: Path
) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL is backed up by its own tools; its table files are searched above")
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    _back_up(settings, before)
    erase_all(settings, held)
    _back_up(settings, after)
    assert (met([before]), met([after])) == (EVERY, set())


def _back_up(settings: Settings, path: Path) -> None:
    with closing(sqlite.connect(str(settings.database_path))) as original, closing(sqlite.connect(str(path))) as copy:
        original.backup(copy)


def test_an_erased_account_lets_nobody_in(engine: Engine, settings: Settings, held: dict[str, str]) -> None:
    with reading(engine) as session:
        assert key_proof(session, held["key"], NOON) is not None
        assert session_proof(session, held["token"], NOON) is not None
    erase_for_good(settings, kind=ErasedKind.ACCOUNT, subject=held["account"], reason="離職", by="office")
    with reading(engine) as session:
        assert principal(session, held["account"]) is None
        assert key_proof(session, held["key"], NOON) is None
        assert session_proof(session, held["token"], NOON) is None
        assert session.exec(select(Password)).all() == []
        assert [key.name for key in session.exec(select(ApiKey)).all()] == ["erased"]
        assert all(one.ended_at is not None for one in session.exec(select(LoginSession)).all())
        account = session.get(Account, held["account"])
        assert account is not None
        assert (account.name, account.email) == ("erased", f"{held['account']}@erased.invalid")


def test_only_answers_that_name_the_person_are_forgotten(
    engine: Engine, settings: Settings, held: dict[str, str]
) -> None:
    erase_for_good(settings, kind=ErasedKind.PERSON, subject=held["person"], reason="本人要求", by="office")
    with reading(engine) as session:
        left = {row.key: row.body.decode() for row in session.exec(select(IdempotentReply)).all()}
        assert len(left) == 1 + len(EVERY) - len(TRAINED)
        assert not any(said in body for said in TRAINED.values() for body in left.values())
        person = session.get(Person, held["person"])
        assert person is not None
        assert (person.name, person.contact, person.erased_by) == (None, None, "office")


def test_erasures_are_repeated_on_a_restored_copy(
    engine: Engine, settings: Settings, held: dict[str, str], tmp_path: Path
) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("restoring PostgreSQL is its own tools' work; the rows are erased by the same verbs")
    old = tmp_path / "old.db"
    _back_up(settings, old)
    erase_all(settings, held)
    assert len((settings.home / FILE).read_bytes().splitlines()) == 3
    engine.dispose()
    for name in ("gloria.db", "gloria.db-wal", "gloria.db-shm"):
        (settings.home / name).unlink(missing_ok=True)
    shutil.copy(old, settings.home / "gloria.db")
    assert met([settings.home]) == EVERY
    assert repeat_erasures(settings) == 3
    assert met([settings.home]) == set()


def test_nobody_is_erased_without_a_reason_or_an_id(engine: Engine, settings: Settings) -> None:
    build_ledger_world(engine)
    for kind in ErasedKind:
        with pytest.raises(ErasureError, match=f"there is no {kind.value} 'nobody'"):
            erase_for_good(settings, kind=kind, subject="nobody", reason="x", by="office")
        with pytest.raises(ErasureError, match="say why"):
            erase_for_good(settings, kind=kind, subject="nobody", reason=" ", by="office")
    with reading(engine) as session:
        assert session.exec(select(Erasure)).all() == []
    assert not (settings.home / FILE).exists()


def test_the_command_erases_and_says_what_is_wrong(
    engine: Engine, settings: Settings, held: dict[str, str], gloria: Gloria
) -> None:
    def ask(*arguments: str) -> Answer:
        return gloria("--lang", "en", "erase", *arguments, home=settings.home, database_url=settings.database_url)

    assert (ask("lab", "lab-1", "--reason", "x").code, ask("person", "p-0", "--reason", "x").code) == (1, 1)
    assert "reason: say why" in ask("person", held["person"]).err
    done = ask("researcher", "lab-1", "--reason", "on request")
    assert (done.code, "erased name and contact of researcher lab-1" in done.out) == (0, True), done.err
    assert RESEARCHER["pi"] not in met([settings.index_path])
    assert len([path for path in settings.index_path.iterdir() if path.is_dir()]) == 1
    assert "repeated 1 erasures" in ask("--again").out
