"""A world for the ledger: alliances, schools, companies, people, and results as they are reported.

In: an empty database. Out: its ids; for tests of permissions an entry with a file and a motion that waits, for each
of two alliances.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from indexer.database import writing
from indexer.instants import day_in_taipei
from indexer.records.importing import import_rows
from matcher.ledger.figures.sufficiency import SufficiencyItem, book, earn
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.evidence import keep
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import subsidy_days, subsidy_year
from matcher.ledger.rows.pseudonyms import make_key, register
from matcher.ledger.rows.result_claims import ExternalClaim, note_external
from matcher.ledger.rows.school_totals import supply
from matcher.ledger.rules.recognition import check, recognise
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.people import add_account, grant
from matcher.review.roles import Role

NOON = datetime(2019, 5, 15, 4, 0, tzinfo=UTC)
"""Noon in Taipei on a day in the second quarter of 108."""
FOUNDED = datetime(2017, 9, 1, 1, 0, tzinfo=UTC)
"""When its people got their roles and its schools gave their totals."""
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
            account = add_account(session, email=f"{name}@example.org", name=name, now=FOUNDED)
            grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=FOUNDED)
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
                    now=FOUNDED,
                )
    return LedgerWorld(people)


def money(entry_id: str = "money-0001", **more: Any) -> NewResult:
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
    return NewResult(**{**given, **more})


def recognised(session: Session, world: LedgerWorld, given: NewResult, now: datetime = NOON) -> Entry:
    """Report a result and carry it through to recognition, which takes one person."""
    entry, _ = report(session, given, by=world.people["reporter"], now=now)
    check(session, entry_id=entry.id, by=world.people["committee"], now=now)
    assert recognise(session, entry_id=entry.id, by=world.people["office"], now=now) is None
    return entry


NAMES = ("entry_id", "motion_id", "sha256", "claim_id", "kpi", "name", "period")
MISSING = {
    "entry_id": "none",
    "motion_id": "999",
    "sha256": "0" * 64,
    "claim_id": "999",
    "request_id": "999",
    "kpi": "none",
    "name": "none",
    "period": "none",
    "money_row_id": "999",
    "point_row_id": "999",
    "configuration_name": "none",
}


def store_ledger_things(
    session: Session, home: Path, *, school_id: str, accounts: dict[str, str], reporters: dict[str, str], now: datetime
) -> list[dict[str, str]]:
    """Report large money of each alliance, check it and move its recognition; return for each what paths name.

    Args:
        session: its transaction holds all writes.
        home: where files of evidence lie.
        school_id: a stored school.
        accounts: account ids of `committee` and `office`.
        reporters: the reporter's account id by alliance.
        now: the moment.
    """
    by = accounts["office"]
    supply(session, school_id=school_id, year=2019, amount_ntd=10**9, source="校務公開資訊", by=by, now=now)
    found = []
    for alliance, reporter in reporters.items():
        digest = keep(home, f"contract of {alliance}".encode())
        given = report_of(f"money-{alliance}", alliance, school_id, digest)
        report(session, given, by=reporter, now=now)
        check(session, entry_id=given.id, by=accounts["committee"], now=now)
        motion = recognise(session, entry_id=given.id, by=by, now=now)
        assert motion is not None
        claim = ExternalClaim(
            programme="patent",
            kpi="L",
            natural_key=alliance,
            claimant="三號大學",
            reference=alliance,
            party="乙",
            noted_by=by,
            noted_at=now,
        )
        note_external(session, claim)
        names: dict[str, Any] = {"entry_id": given.id, "motion_id": motion.id, "sha256": digest, "claim_id": claim.id}
        names |= _rows_of(session, alliance, home, by, now)
        # So that it can graduate on the day on which it is asked.
        carry_itself(session, alliance_id=alliance, by=by, now=datetime.now(UTC))
        fixed = {"kpi": "L", "name": "entries", "period": "2019Q2", "configuration_name": "points"}
        found.append({**{k: str(v) for k, v in names.items()}, **fixed})
    return found


def report_of(entry_id: str, alliance: str, school_id: str, digest: str, amount: int = 6_000_000) -> NewResult:
    """Return a report of an alliance's money, with a file as evidence."""
    details = {
        "contract": f"C-{entry_id}",
        "instalment": 1,
        "payer": f"{alliance} 公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    return NewResult(
        id=entry_id,
        kpi=Kpi.MONEY,
        amount=amount,
        shares={alliance: 10_000},
        details=details,
        occurred_on=date(2019, 5, 2),
        school_id=school_id,
        value_added="聯盟專家促成合約",
        evidence=[{"sha256": digest, "name": "合約.pdf"}],
    )


def carry_itself(session: Session, *, alliance_id: str, by: str, now: datetime) -> None:
    """Book a last closed subsidy year in which an alliance pays all that it spends."""
    last = subsidy_days(subsidy_year(day_in_taipei(now)) - 1)[1]
    for item in (SufficiencyItem.OVERHEAD, SufficiencyItem.OPERATION):
        given = {"alliance_id": alliance_id, "occurred_on": last, "amount_ntd": 100}
        book(session, item=item, source="傳票", by=by, now=now, **given)


def _rows_of(session: Session, alliance: str, home: Path, by: str, now: datetime) -> dict[str, Any]:
    """Book money of an alliance, and points of a person."""
    person = register(session, key=make_key(home), name="王小明", identifier=alliance, contact=None, by=by, now=now)
    given: dict[str, Any] = {
        "alliance_id": alliance,
        "occurred_on": date(2019, 5, 2),
        "source": "傳票",
        "by": by,
        "now": now,
    }
    money = book(session, item=SufficiencyItem.OVERHEAD, amount_ntd=1, **given)
    points = earn(session, person=person, activity="company_visit", **given)
    return {"money_row_id": money.id, "point_row_id": points.id}
