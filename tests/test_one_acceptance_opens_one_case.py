"""However many accept a pairing at once, in however many processes, one gets through and one case is opened."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, func, select

from indexer.database import reading, writing
from indexer.settings import Settings
from matcher.review.cases import Case
from matcher.review.decisions import AlreadyDecidedError, Decision, Verdict, decide
from matcher.review.proposals import StoredPairing
from tests.rig.load.accepts_at_once import accepted
from tests.rig.servers.forked_programs import forker
from tests.rig.worlds.small_world import MORNING, build_world


def _counts(engine: Engine) -> tuple[int, int]:
    with reading(engine) as session:
        cases = session.exec(select(func.count()).select_from(Case)).one()
        return int(cases), int(session.exec(select(func.count()).select_from(Decision)).one())


def test_two_processes_with_64_clients_open_one_case(settings: Settings, engine: Engine) -> None:
    world = build_world(engine)
    numbers = [str(world.pairing_id), str(world.proposal_id)]
    arguments = [str(settings.home), settings.database_url, *numbers, world.people["expert"]]

    def run(_: int) -> int:
        code, out, err = forker().run(arguments, os.environ, program="tests.rig.load.accepts_at_once", timeout_s=120)
        assert code == 0, err.decode()
        return int(out)

    with ThreadPoolExecutor(2) as processes:
        assert sum(processes.map(run, range(2))) == 1
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
    assert accepted(engine, world)
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
