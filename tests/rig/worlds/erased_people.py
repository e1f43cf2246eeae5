"""What tests of erasures share: three people whom database, index and stored answers name, and a search for the names.

In: a database. Out: the people's ids; later which of their names any file still holds, however it is written there.
"""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

import indexer
from api.access.credentials import make_key, open_session, set_password_hash
from api.backups.erased_people import erase_for_good, forget_index_texts
from api.requests.idempotency import Reply, keep_reply
from indexer.database import open_engine, writing
from indexer.records.import_log import WrittenRow, begin_batch, note_written
from indexer.records.importing import import_rows
from indexer.records.record_tables import Company
from indexer.settings import Settings
from matcher.erasure import ErasedKind
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.pseudonyms import make_key as make_persons_key
from matcher.ledger.rows.pseudonyms import register
from matcher.review.people import add_account, grant
from matcher.review.roles import Role
from tests.conftest import Databases
from tests.rig.worlds.ledger_world import NOON, build_ledger_world, money, recognised

TRAINED = {"name": "歐陽雲帆", "contact": "yunfan.ouyang@student.example.org"}
SIGNED_IN = {"name": "司徒曉嵐", "email": "situ.xiaolan@example.org"}
RESEARCHER = {"pi": "端木知微"}
EVERY = {*TRAINED.values(), *SIGNED_IN.values(), *RESEARCHER.values()}


def hold(engine: Engine, settings: Settings) -> dict[str, str]:
    """Fill a database, an index and stored answers that name three people; return their ids."""
    world = build_ledger_world(engine)
    office = world.people["office"]
    settings.home.mkdir(parents=True, exist_ok=True)
    key = make_persons_key(settings.home)
    with writing(engine) as session:
        pseudonym = register(session, key=key, identifier="A1", by=office, now=NOON, **TRAINED)
        details = {"person": pseudonym, "programme": "暑期班", "year": 2019, "gender": "female"}
        given = money("talent-0001", kpi=Kpi.TALENT, amount=1, company_id=None)
        recognised(session, world, type(given)(**{**given.__dict__, "details": details}))
        recognised(session, world, money())
        account = add_account(session, now=NOON, **SIGNED_IN)
        account_id = account.id
        grant(session, account_id=account.id, role=Role.EXPERT, scope_id="al-a", by=None, now=NOON)
        set_password_hash(session, account_id=account.id, stored="argon2", now=NOON)
        day = timedelta(days=365)
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
        _imported_over(session)
        for number, said in enumerate(sorted(EVERY)):
            answer = Reply(200, {"said": said}, {})
            keep_reply(session, account_id=office, key=str(number), asked="x", reply=answer, now=NOON)
        keep_reply(session, account_id=office, key="other", asked="x", reply=Reply(200, {"n": 1}, {}), now=NOON)
    indexer.build_index(settings)
    return {"person": pseudonym, "account": account_id, "researcher": "lab-1", "key": key, "token": token}


def _imported_over(session: Session) -> None:
    """Note what imports wrote over: a company that named the one who signs in, a lab, and its evidence."""
    begin_batch(session, "a list", "list.csv", NOON)
    whom = {"contact": SIGNED_IN["name"], "contact_email": SIGNED_IN["email"].title(), "contact_phone": "1"}
    company = session.exec(select(Company)).first()
    assert company is not None
    for name, value in whom.items():
        setattr(company, name, value)
    session.add(company)
    pi = RESEARCHER["pi"]
    befores: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
        ("company", ("co-1",), {"id": "co-1", "name": "某公司", **whom}),
        ("lab", ("lab-1",), {"id": "lab-1", "name": f"{pi}研究室", "pi": pi, "other": {"備註": f"{pi}老師"}}),
        ("evidence", ("lab-1", "e1"), {"lab_id": "lab-1", "id": "e1", "title": f"{pi}的專利", "year": 2019}),
    ]
    note_written(session, "a list", [WrittenRow(table, key, was, {"id": "x"}) for table, key, was in befores])


def _forms(said: str) -> set[bytes]:
    """Every way in which a text may lie in a file."""
    escaped = json.dumps(said)[1:-1]
    forms = {said.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")}
    return forms | {escaped.encode(), escaped.upper().replace("\\U", "\\u").encode()}


def met(paths: list[Path]) -> set[str]:
    """Return which texts any of the files or folders hold, also inside of packed arrays."""
    met = set()
    for path in [file for given in paths for file in ([given] if given.is_file() else sorted(given.rglob("*")))]:
        content = path.read_bytes() if path.is_file() else b""
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                content += b"".join(packed.read(name) for name in packed.namelist())
        met |= {said for said in EVERY if any(form in content for form in _forms(said))}
    return met


def files(settings: Settings, databases: Databases) -> list[Path]:
    """All files that may hold a name: the home, and PostgreSQL's tables once they are written down."""
    if settings.database_url.startswith("sqlite"):
        return [settings.home]
    engine = open_engine(settings)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CHECKPOINT")
        oid = connection.exec_driver_sql("SELECT oid FROM pg_database WHERE datname = current_database()").scalar()
    engine.dispose()
    return [settings.home, databases.server().pgdata / "base" / str(oid)]


def erase_all(settings: Settings, held: dict[str, str]) -> None:
    """Erase all three, and build the index anew."""
    for kind in ErasedKind:
        erase_for_good(settings, kind=kind, subject=held[kind.value], reason="本人要求", by="office")
    indexer.build_index(settings)
    forget_index_texts(settings)
