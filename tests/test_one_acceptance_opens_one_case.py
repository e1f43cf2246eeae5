"""However many accept a pairing at once, in however many processes, one gets through and one case is opened."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, func, select

from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.review.cases import Case
from matcher.review.decisions import AlreadyDecidedError, Decision, Verdict, decide
from matcher.review.proposals import StoredPairing
from tests.rig.worlds.small_world import MORNING, World, accept, build_world

CLIENTS = 32


def _accept(engine: Engine, world: World) -> bool:
    with writing(engine, deadline_s=60) as session:
        try:
            accept(session, world)
        except AlreadyDecidedError:
            return False
        return True


def _counts(engine: Engine) -> tuple[int, int]:
    with reading(engine) as session:
        cases = session.exec(select(func.count()).select_from(Case)).one()
        return int(cases), int(session.exec(select(func.count()).select_from(Decision)).one())


def accept_many(home: str, database_url: str, pairing_id: int, proposal_id: int, by: str) -> int:
    """Accept from 32 threads of this process; return how many got through."""
    engine = open_engine(Settings(home=Path(home), database_url=database_url))
    world = World({"expert": by}, pairing_id, proposal_id)
    with ThreadPoolExecutor(CLIENTS) as pool:
        accepted = sum(pool.map(lambda _: _accept(engine, world), range(CLIENTS)))
    engine.dispose()
    return accepted


def test_two_processes_with_64_clients_open_one_case(settings: Settings, engine: Engine) -> None:
    world = build_world(engine)
    arguments = (str(settings.home), settings.database_url, world.pairing_id, world.proposal_id, world.people["expert"])
    call = f"from tests.test_one_acceptance_opens_one_case import accept_many; print(accept_many(*{arguments!r}))"
    repository = Path(__file__).parent.parent
    processes = [
        subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE, cwd=repository, text=True) for _ in "12"
    ]
    accepted = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(accepted) == 1
    assert _counts(engine) == (1, 1)


def test_the_count_sees_what_reading_first_and_then_writing_does(engine: Engine) -> None:
    """The control: two that decide by what they read, instead of by the row, both accept."""
    world = build_world(engine)
    query = select(StoredPairing.state).where(StoredPairing.id == world.pairing_id)
    with Session(engine) as one, Session(engine) as two:
        read = [session.exec(query).one() for session in (one, two)]
    for state in read:
        with writing(engine) as session:
            if state == "proposed":
                session.add(
                    Decision(
                        pairing_id=world.pairing_id,
                        proposal_id=world.proposal_id,
                        verdict="accept",
                        reason=None,
                        defer_until=None,
                        alliance_id="al-a",
                        by=world.people["expert"],
                        at=MORNING,
                    )
                )
    assert _counts(engine) == (0, 2)


def test_the_losers_are_told_who_was_first_and_leave_nothing(engine: Engine) -> None:
    world = build_world(engine)
    assert _accept(engine, world)
    with pytest.raises(AlreadyDecidedError, match="is accepted already"), writing(engine) as session:
        decide(
            session,
            pairing_id=world.pairing_id,
            proposal_id=world.proposal_id,
            verdict=Verdict.ACCEPT,
            by=world.people["colleague"],
            alliance_id="al-a",
            now=MORNING,
        )
    assert _counts(engine) == (1, 1)
