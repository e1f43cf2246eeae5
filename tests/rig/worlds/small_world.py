"""A small world with people, a need and a proposal in a database, asked in this process with a key for everybody.

In: an empty database. Out: the world, the application on it, and a map of everything in it that needs no index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from api.access.credentials import make_key
from indexer.database import open_engine, writing
from indexer.records.exchange import NeedIn
from indexer.records.importing import import_rows
from indexer.records.record_tables import Lab, Need
from indexer.settings import Settings
from matcher.ranking.ranker import Band
from matcher.review.clients import take_on
from matcher.review.decisions import Ledger, Verdict, decide
from matcher.review.intake import submit
from matcher.review.mapped.field_map import Drawing, FieldMap, NeedStanding, Place, publish
from matcher.review.people import add_account, grant
from matcher.review.proposals import Proposal, StoredPairing
from matcher.review.roles import Role
from tests.rig.servers.signed_in import headers_of
from tests.rig.servers.warmed_application import application

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


@dataclass
class Asked:
    """The application, its database, and everybody's account and key by name; `newcomer` holds no role."""

    client: TestClient
    engine: Engine
    world: World
    accounts: dict[str, str]
    keys: dict[str, str]

    def ask(self, who: str | None, method: str, path: str, **more: Any) -> Any:
        """Send one request as somebody, or as nobody."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers = headers_of(self.engine, self.keys[who], method, path) | headers
        return self.client.request(method, path, headers=headers, **more)

    def done(self, who: str, method: str, path: str, **more: Any) -> Any:
        """Send one request that must succeed; return its document, None if it has none."""
        answer = self.ask(who, method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def add_key(self, name: str, account_id: str, *, may_write: bool = True) -> None:
        """Give somebody a key under a name of the test's own."""
        with writing(self.engine) as session:
            _, self.keys[name] = make_key(
                session,
                account_id=account_id,
                name="test",
                may_write=may_write,
                valid=timedelta(days=1),
                now=datetime.now(UTC),
            )
        self.accounts[name] = account_id


@contextmanager
def asked(settings: Settings) -> Iterator[Asked]:
    """Fill a database with the small world of `tests.rig.worlds.small_world`, and build the application on it."""
    app = application(settings)
    engine = app.state.engine
    world = build_world(engine)
    with writing(engine) as session:
        newcomer = add_account(session, email="newcomer@example.org", name="newcomer", now=datetime.now(UTC)).id
    try:
        with asking(app) as client:
            made = Asked(client, engine, world, {}, {})
            for name, account_id in {**world.people, "newcomer": newcomer}.items():
                made.add_key(name, account_id)
            yield made
    finally:
        engine.dispose()


@contextmanager
def asking(app: FastAPI) -> Iterator[TestClient]:
    """Ask an application in this process, by HTTPS, as the cookies ask for.

    All requests run in one event loop, as in a server: in one for each, those that wait for each other's turn would
    sleep until their time is up. The client itself is not entered: nothing is to be warmed up in the background.
    """
    client = TestClient(app, base_url="https://testserver")
    with start_blocking_portal() as portal:
        client.portal = portal
        yield client


MET = NeedStanding(9, Band.STRONG)


def drawing_of(session: Session, standings: Mapping[str, NeedStanding] | None = None, generation: str = "g") -> Drawing:
    """Return a map with every lab and need in a row; needs of which nothing is said are met."""
    labs = session.exec(select(Lab.id).order_by(col(Lab.id))).all()
    needs = session.exec(select(Need.id).order_by(col(Need.id))).all()
    places: dict[str, Place] = {lab_id: (float(n), 0.0) for n, lab_id in enumerate(labs)}
    of_needs: dict[str, Place] = {need_id: (float(n), 1.0) for n, need_id in enumerate(needs)}
    stated = dict.fromkeys(needs, MET) | dict(standings or {})
    return Drawing(generation, "1", generation, places, of_needs, stated, new=len(places) + len(of_needs), changed=True)


def draw_everything(settings: Settings, standings: Mapping[str, NeedStanding] | None = None) -> FieldMap:
    """Store such a map."""
    engine = open_engine(settings)
    with writing(engine) as session:
        drawn = publish(session, drawing_of(session, standings), now=datetime.now(UTC))
    engine.dispose()
    return drawn
