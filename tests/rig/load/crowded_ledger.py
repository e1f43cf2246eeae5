"""A ledger with as many entries as asked for, written in bulk: valid to its last hash, for tests of speed.

In: an open database with the ledger world, and a number. Out: entries of the
programme's figures over 106 to 109 with their steps, keys and heads, as the
verbs would have written them. `python -m tests.rig.load.crowded_ledger HOME 100000` makes
such a database and prints how long the KPI table takes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, insert, update
from sqlmodel import Session, col
from stdnum.tw import ubn

from indexer.database import note_written, open_engine, reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.ledger.reports.b003_report import b003_report
from matcher.ledger.reports.document import ReportRequest
from matcher.ledger.reports.kpi_reports import alliance_report, kpi_report
from matcher.ledger.rows.chain import Chain, ChainHead, hash_of, head, set_head
from matcher.ledger.rows.details import Circumstances, Details, read_details
from matcher.ledger.rows.entries import WHOLE_BP, Entry
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.periods import quarter_of
from matcher.ledger.rows.pseudonyms import Person
from matcher.ledger.rows.result_claims import LiveFact, live_row
from matcher.ledger.rows.steps import State, Step
from matcher.review.people import grant
from matcher.review.roles import Role
from tests.rig.worlds.ledger_world import FOUNDED, PROOF, LedgerWorld, build_ledger_world

FIRST_DAY = date(2017, 9, 1)
DAYS = 1_200
AT_ONCE = 10_000
ALLIANCES = 18
_PATHS = (
    *((State.REPORTED, State.CHECKED, State.RECOGNISED),) * 8,
    (State.REPORTED, State.CHECKED),
    (State.REPORTED,),
)
"""Which way an entry went: eight of ten are recognised."""
_KPIS = (*(Kpi.MONEY,) * 14, *(Kpi.TALENT,) * 3, Kpi.JOBS, Kpi.INTERNATIONAL_CASES, Kpi.STARTUPS)
_GENDERS = ("female", "male", "self_described", "undisclosed")


def fill_ledger(engine: Engine, world: LedgerWorld, entries: int = 100_000, seed: int = 7) -> None:
    """Write entries into a ledger that has none yet; the same seed gives the same rows."""
    chance = Random(seed)
    with writing(engine) as session:
        rows = [{"id": f"al-{n:02}", "name": f"聯盟 {n}"} for n in range(ALLIANCES)]
        import_rows(session, "alliances", rows)
        for name, role in (("reporter", Role.EXPERT), ("committee", Role.COMMITTEE)):
            for row in rows:
                who = world.people[name]
                grant(session, account_id=who, role=role, scope_id=row["id"], by=None, now=FOUNDED)
    facts = iter(sorted(_facts(world, chance, entries), key=lambda fact: fact["reported_at"]))
    for _ in range(0, entries, AT_ONCE):
        with writing(engine) as session:
            _write(session, world, [fact for _, fact in zip(range(AT_ONCE), facts, strict=False)], chance)


def _facts(world: LedgerWorld, chance: Random, count: int) -> Iterator[dict[str, Any]]:
    tax_ids = (f"{n:08}" for n in range(60_000, 100_000_000) if ubn.is_valid(f"{n:08}"))
    for number in range(count):
        kpi = _KPIS[number % len(_KPIS)]
        day = FIRST_DAY + timedelta(days=chance.randrange(DAYS))
        details = _details(kpi, number, day, chance, tax_ids)
        at = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
        counts_on = day + timedelta(days=400) if kpi is Kpi.MONEY and number % 10 == 0 else day
        first = chance.randrange(ALLIANCES)
        second = (first + 1) % ALLIANCES
        shares = {f"al-{first:02}": WHOLE_BP} if number % 5 else {f"al-{first:02}": 6_000, f"al-{second:02}": 4_000}
        yield {
            "id": f"crowd-{number:07}",
            "kind": "fact",
            "kpi": kpi.value,
            "amount": chance.randrange(1, 2_000) * 1_000 if kpi is Kpi.MONEY else 1,
            "unit": KPI_FACTS[kpi].unit.value,
            "shares": dict(sorted(shares.items())),
            "natural_key": details.natural_key(),
            "details": details.model_dump(mode="json"),
            "occurred_on": day,
            "counts_on": counts_on,
            "period": quarter_of(day),
            "late_for": None,
            "school_id": "sc-1",
            "company_id": None,
            "case_id": None,
            "decision_id": None,
            "reverses": None,
            "restates": None,
            "value_added": "聯盟促成",
            "evidence": PROOF,
            "reporter": world.people["reporter"],
            "reported_at": at,
        }


def _details(kpi: Kpi, number: int, day: date, chance: Random, tax_ids: Iterator[str]) -> Details:
    given: dict[Kpi, dict[str, Any]] = {
        Kpi.MONEY: {
            "contract": f"C-{number}",
            "instalment": 1,
            "payer": f"公司 {number}",
            "payer_country": chance.choice(("TW", "TW", "DE", "US")),
            "payer_type": chance.choice(("company", "company", "industry_body", "public_body")),
            "purpose": chance.choice(("research", "research", "licensing", "training", "donation")),
        },
        Kpi.TALENT: {
            "person": f"p-{number:016x}",
            "programme": "人才培育",
            "year": day.year,
            "gender": chance.choice(_GENDERS),
        },
        Kpi.JOBS: {
            "employer": f"公司 {number}",
            "post": "工程師",
            "start_on": day.isoformat(),
            "gender": chance.choice(_GENDERS),
        },
        Kpi.INTERNATIONAL_CASES: {
            "reference": f"T-{number}",
            "partner": f"夥伴 {number}",
            "partner_country": "DE",
            "basis": "foreign_partner",
        },
    }
    if kpi is Kpi.STARTUPS:
        return read_details(kpi, {"tax_id": next(tax_ids), "startup_name": f"新創 {number}"})
    return read_details(kpi, given[kpi])


def _write(session: Session, world: LedgerWorld, facts: list[dict[str, Any]], chance: Random) -> None:
    connection = session.connection()
    n, last = head(session, Chain.ENTRIES)
    for seq, row in enumerate(facts, start=n + 1):
        last = _chained(row, seq, last)
    persons = _persons(world, facts)
    connection.execute(insert(Person), persons)
    note_written(session, "ledger_person", *(one["pseudonym"] for one in persons))
    connection.execute(insert(Entry), facts)
    keys = [_key_of(row) for row in facts]
    connection.execute(insert(LiveFact), keys)
    _set(session, Chain.ENTRIES, n + len(facts), last)
    steps = [step for row in facts for step in _steps(row, world, _PATHS[chance.randrange(len(_PATHS))])]
    n, last = head(session, Chain.STEPS)
    for seq, row in enumerate(steps, start=n + 1):
        last = _chained(row, seq, last)
    connection.execute(insert(Step), steps)
    _set(session, Chain.STEPS, n + len(steps), last)


def _key_of(row: dict[str, Any]) -> dict[str, str]:
    kpi = Kpi(row["kpi"])
    about = Circumstances(row["id"], row["school_id"])
    return live_row(kpi, read_details(kpi, row["details"]), about)


def _chained(row: dict[str, Any], seq: int, previous: str) -> str:
    row |= {"seq": seq, "prev_hash": previous}
    row["hash"] = hash_of(row)
    return str(row["hash"])


def _set(session: Session, chain: Chain, n: int, last: str) -> None:
    session.connection().execute(update(ChainHead).where(col(ChainHead.chain) == chain.value).values(n=n))
    set_head(session, chain, last)


def _persons(world: LedgerWorld, facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "pseudonym": row["details"]["person"],
            "digest": row["details"]["person"][2:].rjust(64, "0"),
            "name": f"人 {row['id']}",
            "contact": None,
            "registered_by": world.people["reporter"],
            "registered_at": row["reported_at"],
            "erased_at": None,
            "erased_by": None,
        }
        for row in facts
        if row["kpi"] == Kpi.TALENT
    ]


def _steps(row: dict[str, Any], world: LedgerWorld, path: tuple[State, ...]) -> Iterator[dict[str, Any]]:
    by = {State.REPORTED: "reporter", State.CHECKED: "committee", State.RECOGNISED: "office"}
    for version, state in enumerate(path, start=1):
        counted = state is State.RECOGNISED
        yield {
            "entry_id": row["id"],
            "version": version,
            "state": state.value,
            "reason": "",
            "evidence": [],
            "period": row["period"] if counted else None,
            "kpi_year": row["counts_on"].year if counted else None,
            "by": world.people[by[state]],
            "at": row["reported_at"] + timedelta(hours=version - 1),
        }


def main(home: Path, entries: int) -> None:
    """Make a database of its own under `home`, unless one is there, and print how long the KPI report takes."""
    fresh = not (home / "gloria.db").exists()
    engine = open_engine(Settings(home=home))
    if fresh:
        started = time.perf_counter()
        fill_ledger(engine, build_ledger_world(engine), entries)
        print(f"{entries:,} entries written in {time.perf_counter() - started:.1f} s")
    request = ReportRequest(as_of=date(2020, 12, 31), now=datetime.now(UTC))
    for report in (kpi_report, b003_report, alliance_report):
        for _ in range(3):
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            with reading(engine) as session:
                made = report(session, request)
            wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            print(f"{made.name}: {wall_s:.2f} s, of which {cpu_s:.2f} s of processor time")
    engine.dispose()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
