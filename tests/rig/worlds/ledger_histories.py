"""What histories of the ledger are made of: results in every shape, and databases that begin anew in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import delete, event, update
from sqlmodel import SQLModel, col

from indexer.database import open_engine, reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.rows.chain import GENESIS, Chain, ChainHead, head
from matcher.ledger.rows.details import read_details
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.links import Link
from matcher.ledger.rows.pseudonyms import register
from matcher.ledger.rules.reporting import NewResult
from tests.rig.worlds.ledger_model import Fact
from tests.rig.worlds.ledger_world import NOON, PROOF, LedgerWorld, build_ledger_world

NAMES = (
    ("晴山精密股份有限公司", "晴山精密"),
    ("Blue Harbour Robotics GmbH", "Blue Harbour Robotics"),
    ("湖光生技有限公司", "湖光生技"),
)
TAX_IDS = ("24536828", "24536849", "24536926", "24536947")
KPIS = ("L", "L", "C", "jobs", "P", "members", "T")
ALONE = 10_000
TOGETHER = ({"al-a": 6_000, "al-b": 4_000}, {"al-a": 3_333, "al-b": 6_667})
MONEY = (1_000_000, 1_005_000, 2_000_000, 6_000_000)
SCHOOLS = ("sc-1", "sc-2", "sc-old", "sc-3")

# In the order in which rows refer to each other.
_WRITTEN = (
    "ledger_similarity",
    "ledger_live_fact",
    "ledger_motion_end",
    "ledger_motion",
    "ledger_period_close",
    "ledger_step",
    "ledger_entry",
    "external_claim",
    "stake",
)


def result(number: int, chance: Random, day: date, by: tuple[str, str], people: list[str]) -> tuple[NewResult, Fact]:
    """Return a result as the product takes it and as the model does; `by` are its reporter and their alliance.

    Nobody reports what their alliance has no share in: routes refuse it, and a proof finds whoever got it in.
    """
    reporter, own = by
    kpi, which, form = chance.choice(KPIS), chance.randrange(4), chance.randrange(2)
    shares = chance.choice(({own: ALONE}, *TOGETHER)) if chance.random() < 0.9 else {own: ALONE - 1}
    school = chance.choice(SCHOOLS) if chance.random() < 0.3 else "sc-1"
    says_added, proven = chance.random() < 0.9, chance.random() < 0.8
    group = which // 2
    name = NAMES[group][form]
    amount, counts, series, company = 1, day, None, None
    if kpi == "L":
        amount, instalment = chance.choice(MONEY), chance.choice((1, 1, 2))
        counts = day + timedelta(days=chance.choice((0, 0, 0, 200, 800)))
        series, company = f"c-{which} of {school}", "co-1"
        key: tuple[Any, ...] = (which, instalment)
        details: dict[str, Any] = {"contract": f"C-{which}", "instalment": instalment, "payer": name}
        details |= {"payer_country": "TW", "payer_type": "company", "purpose": "research"}
    elif kpi == "C":
        person, year = people[which % 2], 2018 + chance.randrange(2)
        key = (person, group, year)
        details = {"person": person, "programme": f"P-{group}", "year": year}
    elif kpi == "jobs":
        amount, key, series = chance.choice((1, 1, 3)), (name, which), name
        details = {"employer": name, "post": f"post-{which}", "start_on": "2018-12-01"}
    elif kpi == "P":
        key, details = (which,), {"tax_id": TAX_IDS[which], "startup_name": name}
    elif kpi == "members":
        company = f"co-{1 + which % 3}"
        key = (company,)
        details = {"company": company, "company_name": name, "country": "TW", "tier": "international"}
    else:
        key, company = (which,), "co-2"
        details = {"reference": f"R-{which}", "partner": name, "partner_country": "DE", "basis": "foreign_partner"}
    text = "聯盟專家促成" if says_added else ""
    given = NewResult(
        id=f"result-{number:04}",
        kpi=Kpi(kpi),
        amount=amount,
        shares=shares,
        details=details,
        occurred_on=day,
        school_id=school,
        counts_on=counts if counts != day else None,
        company_id=company if kpi != "members" else None,
        value_added=text,
        evidence=PROOF if proven else [],
    )
    named = None if kpi == "C" else group
    fact = Fact(
        given.id, kpi, key, amount, shares, day, counts, company, named, series, reporter, says_added, proven, school
    )
    return given, fact


def key_text(given: NewResult) -> str:
    """Return a result's natural key as the product writes it."""
    return read_details(given.kpi, dict(given.details)).natural_key()


def again(given: NewResult, fact: Fact, number: int) -> tuple[NewResult, Fact]:
    """Return the same result under another id."""
    return replace(given, id=f"result-{number:04}"), replace(
        fact, id=f"result-{number:04}", states=[], checked_by=set(), moved_by=set()
    )


class Beginning:
    """One database in which histories follow each other; each begins with the same people and records."""

    def __init__(self, settings: Settings) -> None:
        self.engine = open_engine(settings)
        if self.engine.dialect.name == "sqlite":
            # What is tested here is what the ledger says, not what survives a power cut.
            event.listen(self.engine, "connect", _hasty)
            self.engine.dispose()
        self.world: LedgerWorld = build_ledger_world(self.engine)
        with writing(self.engine) as session:
            import_rows(session, "schools", [{"id": "sc-3", "name": "三號大學"}])
            import_rows(session, "companies", [{"id": "co-3", "name": "丙公司"}])
            by = self.world.people["office"]
            self.trained = [
                register(session, key=b"k", name=name, identifier="1", contact=None, by=by, now=NOON)
                for name in ("林一", "林二")
            ]
        with reading(self.engine) as session:
            self._links = head(session, Chain.LINKS)
        self.again: Callable[[], None] = self._restored if self.engine.dialect.name == "sqlite" else self._emptied
        self._template = settings.home / "template.db"
        if self.engine.dialect.name == "sqlite":
            with closing(sqlite.connect(str(self._template))) as template, self.engine.connect() as connection:
                _driver(connection).backup(template)

    def _restored(self) -> None:
        with closing(sqlite.connect(str(self._template))) as template, self.engine.connect() as connection:
            connection.rollback()
            template.backup(_driver(connection))

    def _emptied(self) -> None:
        """Empty the tables as only the owner of the server can: with all triggers off."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for table in _WRITTEN:
                connection.execute(delete(SQLModel.metadata.tables[table]))
            connection.execute(delete(Link).where(col(Link.seq) > self._links[0]))
            connection.execute(update(ChainHead).values(n=0, hash=GENESIS))
            n, last = self._links
            connection.execute(update(ChainHead).where(col(ChainHead.chain) == Chain.LINKS).values(n=n, hash=last))


def _hasty(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _driver(connection: Any) -> Any:
    return connection.connection.driver_connection
