"""What tests of the ledger share: alliances, schools, companies, people, and results as they are reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from indexer.database import writing
from indexer.importing import import_rows
from matcher.ledger.entries import Entry
from matcher.ledger.kpis import Kpi
from matcher.ledger.recognition import check, recognise
from matcher.ledger.reporting import Report, report
from matcher.ledger.school_totals import supply
from matcher.people import add_account, grant
from matcher.roles import Role

NOON = datetime(2019, 5, 15, 4, 0, tzinfo=UTC)
"""Noon in Taipei on a day in the second quarter of 108."""
PEOPLE = {
    "reporter": (Role.EXPERT, "al-a"),
    "other_reporter": (Role.EXPERT, "al-b"),
    "committee": (Role.COMMITTEE, "al-a"),
    "second_committee": (Role.COMMITTEE, "al-a"),
    "office": (Role.OFFICE, ""),
    "second_office": (Role.OFFICE, ""),
}
PROOF = [{"url": "https://example.org/contract", "name": "合約"}]


@dataclass(frozen=True)
class LedgerWorld:
    """Account ids by name."""

    people: dict[str, str]


def build_ledger_world(engine: Engine) -> LedgerWorld:
    """Store two alliances, three schools of which one was merged, companies, everybody of `PEOPLE`, school totals."""
    with writing(engine) as session:
        schools = [
            {"id": "sc-1", "name": "一號大學"},
            {"id": "sc-2", "name": "二號大學"},
            {"id": "sc-old", "name": "舊學院", "merged_into": "sc-2", "merged_on": "2018-02-01"},
        ]
        import_rows(session, "schools", schools)
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}, {"id": "al-b", "name": "乙聯盟"}])
        companies = [
            {"id": "co-1", "name": "甲公司", "country": "TW"},
            {"id": "co-2", "name": "乙公司", "country": "DE"},
        ]
        import_rows(session, "companies", companies)
        people = {}
        for name, (role, scope) in PEOPLE.items():
            account = add_account(session, email=f"{name}@example.org", name=name, now=NOON)
            grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=NOON)
            people[name] = account.id
        for school_id in ("sc-1", "sc-2"):
            for year in (2017, 2018, 2019, 2020):
                supply(
                    session,
                    school_id=school_id,
                    year=year,
                    amount_ntd=900_000_000,
                    source="校務公開資訊",
                    by=people["office"],
                    now=NOON,
                )
    return LedgerWorld(people)


def money(entry_id: str = "money-0001", **more: Any) -> Report:
    """Return the report of an instalment of NT$ 1,000,000."""
    details = {
        "contract": "C-108-001",
        "instalment": 1,
        "payer": "甲公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    given: dict[str, Any] = {
        "id": entry_id,
        "kpi": Kpi.MONEY,
        "amount": 1_000_000,
        "shares": {"al-a": 10_000},
        "details": {**details, **more.pop("details", {})},
        "occurred_on": date(2019, 5, 2),
        "school_id": "sc-1",
        "company_id": "co-1",
        "value_added": "聯盟專家促成合約",
        "evidence": PROOF,
    }
    return Report(**{**given, **more})


def recognised(session: Session, world: LedgerWorld, given: Report, now: datetime = NOON) -> Entry:
    """Report a result and carry it through to recognition, which takes one person."""
    entry, _ = report(session, given, by=world.people["reporter"], now=now)
    check(session, entry_id=entry.id, by=world.people["committee"], now=now)
    assert recognise(session, entry_id=entry.id, by=world.people["office"], now=now) is None
    return entry
