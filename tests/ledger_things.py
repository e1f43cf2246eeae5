"""What tests of permissions share: for each of two alliances an entry with a file, and a motion that waits."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from matcher.ledger.claims import ExternalClaim, note_external
from matcher.ledger.evidence import keep
from matcher.ledger.kpis import Kpi
from matcher.ledger.persons import read_key, register
from matcher.ledger.points import earn
from matcher.ledger.recognition import check, recognise
from matcher.ledger.reporting import Report, report
from matcher.ledger.school_totals import supply
from matcher.ledger.sufficiency import Item, book

NAMES = ("entry_id", "motion_id", "sha256", "claim_id", "kpi", "name", "period")
MISSING = {
    "entry_id": "none",
    "motion_id": "999",
    "sha256": "0" * 64,
    "claim_id": "999",
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
        fixed = {"kpi": "L", "name": "entries", "period": "2019Q2", "configuration_name": "points"}
        found.append({**{k: str(v) for k, v in names.items()}, **fixed})
    return found


def report_of(entry_id: str, alliance: str, school_id: str, digest: str, amount: int = 6_000_000) -> Report:
    """Return a report of an alliance's money, with a file as evidence."""
    details = {
        "contract": f"C-{entry_id}",
        "instalment": 1,
        "payer": f"{alliance} 公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    return Report(
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


def _rows_of(session: Session, alliance: str, home: Path, by: str, now: datetime) -> dict[str, Any]:
    """Book money of an alliance, and points of a person."""
    person = register(session, key=read_key(home), name="王小明", identifier=alliance, contact=None, by=by, now=now)
    given: dict[str, Any] = {
        "alliance_id": alliance,
        "occurred_on": date(2019, 5, 2),
        "source": "傳票",
        "by": by,
        "now": now,
    }
    money = book(session, item=Item.OVERHEAD, amount_ntd=1, **given)
    points = earn(session, person=person, activity="company_visit", **given)
    return {"money_row_id": money.id, "point_row_id": points.id}
