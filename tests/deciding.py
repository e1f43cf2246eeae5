"""What tests of deciding share: a small world with people, a need and a proposal, in a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.database import writing
from indexer.exchange import NeedIn
from indexer.importing import import_rows
from matcher.booking import Ledger
from matcher.clients import take_on
from matcher.decisions import Verdict, decide
from matcher.intake import submit
from matcher.people import add_account, grant
from matcher.proposals import Proposal, StoredPairing
from matcher.roles import Role

MORNING = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Account ids by name, and numbers of the pairing and proposal of need `n-1` and lab `lab-1`."""

    people: dict[str, str]
    pairing_id: int
    proposal_id: int


PEOPLE = {
    "expert": (Role.EXPERT, "al-a"),
    "colleague": (Role.EXPERT, "al-a"),
    "lead": (Role.LEAD, "al-a"),
    "stranger": (Role.EXPERT, "al-b"),
    "company": (Role.COMPANY, "co-1"),
    "rival": (Role.COMPANY, "co-2"),
    "researcher": (Role.RESEARCHER, "lab-1"),
    "other_researcher": (Role.RESEARCHER, "lab-2"),
    "office": (Role.OFFICE, ""),
    "committee": (Role.COMMITTEE, "al-a"),
    "job": (Role.JOB, ""),
}


def build_world(engine: Engine) -> World:
    """Store two alliances, companies and labs, everybody of `PEOPLE`, and a need with one proposal."""
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}, {"id": "al-b", "name": "乙聯盟"}])
        import_rows(session, "companies", [{"id": "co-1", "name": "甲公司"}, {"id": "co-2", "name": "乙公司"}])
        labs: list[dict[str, Any]] = [
            {
                "id": "lab-1",
                "name": "一號實驗室",
                "summary": "碳化矽拋光",
                "evidence": [{"id": "e1", "title": "拋光液"}],
            },
            {"id": "lab-2", "name": "二號實驗室", "summary": "金融科技"},
        ]
        import_rows(session, "labs", labs)
        people = {}
        for name, (role, scope) in PEOPLE.items():
            account = add_account(session, email=f"{name}@example.org", name=name, now=MORNING)
            grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=MORNING)
            people[name] = account.id
        take_on(session, company_id="co-1", alliance_id="al-a", expert_id=people["expert"], now=MORNING)
        need = NeedIn(id="n-1", company="co-1", title="拋光太慢", description="要更快")
        submit(session, need=need, alliance_id="al-a", by=people["company"], now=MORNING)
        pairing_id, proposal_id = store_proposal(session, people["expert"])
    return World(people, pairing_id, proposal_id)


def store_proposal(session: Session, shown_to: str, lab_id: str = "lab-1") -> tuple[int, int]:
    """Store a pairing of `n-1` with a proposal, as a match would have."""
    pairing = StoredPairing(need_id="n-1", lab_id=lab_id)
    session.add(pairing)
    session.flush()
    assert pairing.id is not None
    proposal = proposal_of(pairing.id, shown_to)
    session.add(proposal)
    session.flush()
    return pairing.id, session.exec(select(Proposal.id).where(Proposal.pairing_id == pairing.id)).one() or 0


def proposal_of(pairing_id: int, shown_to: str) -> Proposal:
    """Return a proposal of a pairing as a match would have stored it."""
    return Proposal(
        pairing_id=pairing_id,
        digest="d",
        rank=1,
        score=1.5,
        band="strong",
        contributions={"words": 1.5},
        explanation={"for_company": {"zh": "相符", "en": "it fits"}},
        generation="g-1",
        ranker_version="1",
        shown_at=MORNING,
        shown_to=shown_to,
    )


def accept(session: Session, world: World, now: datetime = MORNING, ledger: Ledger | None = None) -> None:
    """Let the expert accept the pairing of `n-1` and `lab-1`."""
    decide(
        session,
        pairing_id=world.pairing_id,
        proposal_id=world.proposal_id,
        verdict=Verdict.ACCEPT,
        by=world.people["expert"],
        alliance_id="al-a",
        now=now,
        ledger=ledger,
    )
