"""Who asks to be forgotten is: no file holds name or contact any more, and not one figure changes."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Engine
from sqlmodel import select

import indexer
from api.credentials import (
    ApiKey,
    LoginSession,
    Password,
    key_proof,
    make_key,
    open_session,
    session_proof,
    set_password_hash,
)
from api.erasing import FILE, erase_for_good, forget_index_texts, repeat_erasures
from api.idempotency import IdempotentReply, Reply, keep_reply
from indexer.database import open_engine, reading, writing
from indexer.importing import import_rows
from indexer.records import Lab
from indexer.settings import Settings
from matcher.erasure import ErasedKind, Erasure, ErasureError, erasures
from matcher.ledger.figures import Status, figures
from matcher.ledger.heads import heads_of
from matcher.ledger.kpis import Kpi
from matcher.ledger.persons import Person, register
from matcher.ledger.verification import verify
from matcher.people import Account, add_account, grant, principal
from matcher.roles import Role
from tests.conftest import Answer, Databases, Gloria
from tests.ledger_world import NOON, build_ledger_world, money, recognised

TRAINED = {"name": "歐陽雲帆", "contact": "yunfan.ouyang@student.example.org"}
SIGNED_IN = {"name": "司徒曉嵐", "email": "situ.xiaolan@example.org"}
RESEARCHER = {"pi": "端木知微"}
EVERY = {*TRAINED.values(), *SIGNED_IN.values(), *RESEARCHER.values()}


@pytest.fixture
def held(engine: Engine, settings: Settings) -> dict[str, str]:
    """A database, an index and stored answers that name three people; and their ids."""
    world = build_ledger_world(engine)
    office = world.people["office"]
    with writing(engine) as session:
        pseudonym = register(session, key=b"k", identifier="A1", by=office, now=NOON, **TRAINED)
        details = {"person": pseudonym, "programme": "暑期班", "year": 2019, "gender": "female"}
        given = money("talent-0001", kpi=Kpi.TALENT, amount=1, company_id=None)
        recognised(session, world, type(given)(**{**given.__dict__, "details": details}))
        recognised(session, world, money())
        account = add_account(session, now=NOON, **SIGNED_IN)
        account_id = account.id
        grant(session, account_id=account.id, role=Role.EXPERT, scope_id="al-a", by=None, now=NOON)
        set_password_hash(session, account_id=account.id, stored="argon2", now=NOON)
        day = timedelta(days=9_999)
        _, key = make_key(session, account_id=account.id, name=SIGNED_IN["name"], may_write=True, valid=day, now=NOON)
        token, _ = open_session(session, account_id=account.id, now=NOON)
        lab = {
            "id": "lab-1",
            "name": f"{RESEARCHER['pi']}研究室",
            "summary": f"{RESEARCHER['pi']}老師研究碳化矽拋光",
            "evidence": [{"id": "e1", "title": f"{RESEARCHER['pi']}的拋光液"}, {"id": "e2", "title": "研磨墊"}],
            **RESEARCHER,
        }
        others = [{"id": f"lab-{n}", "name": f"{n}號", "summary": "金融科技", "pi": f"某{n}"} for n in range(2, 40)]
        import_rows(session, "labs", [lab, *others])
        for number, said in enumerate(sorted(EVERY)):
            answer = Reply(200, {"said": said}, {})
            keep_reply(session, account_id=office, key=str(number), asked="x", reply=answer, now=NOON)
        keep_reply(session, account_id=office, key="other", asked="x", reply=Reply(200, {"n": 1}, {}), now=NOON)
    indexer.build_index(settings)
    return {"person": pseudonym, "account": account_id, "researcher": "lab-1", "key": key, "token": token}


def _forms(said: str) -> set[bytes]:
    """Every way in which a text may lie in a file."""
    escaped = json.dumps(said)[1:-1]
    forms = {said.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}
    return forms | {escaped.encode(), escaped.upper().replace("\\U", "\\u").encode()}


def _met(paths: list[Path]) -> set[str]:
    """Return which texts any of the files or folders hold, also inside of packed arrays."""
    met = set()
    for path in [file for given in paths for file in ([given] if given.is_file() else sorted(given.rglob("*")))]:
        content = path.read_bytes() if path.is_file() else b""
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                content += b"".join(packed.read(name) for name in packed.namelist())
        met |= {said for said in EVERY if any(form in content for form in _forms(said))}
    return met


def _files(settings: Settings, databases: Databases) -> list[Path]:
    """All files that may hold a name: the home, and PostgreSQL's tables once they are written down."""
    if settings.database_url.startswith("sqlite"):
        return [settings.home]
    engine = open_engine(settings)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CHECKPOINT")
        oid = connection.exec_driver_sql("SELECT oid FROM pg_database WHERE datname = current_database()").scalar()
    engine.dispose()
    return [settings.home, databases.server().pgdata / "base" / str(oid)]


def _figures(engine: Engine) -> Any:
    with reading(engine) as session:
        found = figures(session, as_of=NOON + timedelta(days=1))
        wholes = {(kpi, status): found.whole(kpi, status=status) for kpi in Kpi for status in Status}
        verdict = verify(session)
        heads = heads_of(session, NOON)
    assert verdict.findings == []
    assert wholes[Kpi.TALENT, Status.ACTUAL] == 1
    return wholes, verdict, heads


def _erase_all(settings: Settings, held: dict[str, str]) -> None:
    for kind in ErasedKind:
        erase_for_good(settings, kind=kind, subject=held[kind.value], reason="本人要求", by="office")
    indexer.build_index(settings)
    forget_index_texts(settings)


def test_no_file_holds_an_erased_name_and_no_figure_changes(
    engine: Engine, settings: Settings, held: dict[str, str], databases: Databases
) -> None:
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    before = _figures(engine)
    # The control: the same search finds every one of them.
    assert _met(_files(settings, databases)) == EVERY
    assert RESEARCHER["pi"] in _met([settings.index_path])
    _erase_all(settings, held)
    assert _met(_files(settings, databases)) == set()
    assert _figures(engine) == before
    with reading(engine) as session:
        listed = [(one.kind, one.subject, one.reason, one.by) for one in erasures(session)]
        assert listed == [(kind.value, held[kind.value], "本人要求", "office") for kind in ErasedKind]
        lab = session.get(Lab, "lab-1")
        assert lab is not None
        assert (lab.pi, "碳化矽拋光" in lab.summary) == ("", True)


def test_the_next_backup_holds_no_erased_name(
    engine: Engine, settings: Settings, held: dict[str, str], tmp_path: Path
) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL is backed up by its own tools; its table files are searched above")
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    _back_up(settings, before)
    _erase_all(settings, held)
    _back_up(settings, after)
    assert (_met([before]), _met([after])) == (EVERY, set())


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
    _erase_all(settings, held)
    assert len((settings.home / FILE).read_bytes().splitlines()) == 3
    engine.dispose()
    for name in ("gloria.db", "gloria.db-wal", "gloria.db-shm"):
        (settings.home / name).unlink(missing_ok=True)
    shutil.copy(old, settings.home / "gloria.db")
    assert _met([settings.home]) == EVERY
    assert repeat_erasures(settings) == 3
    assert _met([settings.home]) == set()


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
    assert RESEARCHER["pi"] not in _met([settings.index_path])
    assert len([path for path in settings.index_path.iterdir() if path.is_dir()]) == 1
    assert "repeated 1 erasures" in ask("--again").out
