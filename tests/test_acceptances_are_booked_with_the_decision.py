"""An acceptance and its ledger entry are stored together or not at all; an undo reverses the entry."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from indexer.database import reading, writing
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rows.result_claims import LiveFact
from matcher.ledger.rules.reporting import AcceptanceLedger
from matcher.review.cases import Case
from matcher.review.decisions import Decision, undo
from tests.rig.worlds.small_world import MORNING, World, accept, build_world

LEDGER = AcceptanceLedger()


class BrokenLedger(AcceptanceLedger):
    def accepted(self, session: Session, case: Case) -> None:
        super().accepted(session, case)
        raise RuntimeError("planted")


def _accept(engine: Engine, world: World, ledger: AcceptanceLedger = LEDGER) -> None:
    with writing(engine) as session:
        accept(session, world, ledger=ledger)


def test_accepting_undoing_and_accepting_again(engine: Engine) -> None:
    world = build_world(engine)
    _accept(engine, world)
    with writing(engine) as session:
        undo(session, pairing_id=world.pairing_id, by=world.people["expert"], now=MORNING, ledger=LEDGER)
    _accept(engine, world)
    with reading(engine) as session:
        entries = session.exec(select(Entry).order_by(Entry.seq)).all()
        cases = session.exec(select(Case.id).order_by(Case.id)).all()
        rows = [(entry.kind, entry.case_id, entry.amount, entry.shares, entry.reporter) for entry in entries]
        expert = world.people["expert"]
        assert rows == [
            ("fact", cases[0], 1, {"al-a": 10_000}, expert),
            ("reversal", cases[0], 1, {"al-a": 10_000}, expert),
            ("fact", cases[1], 1, {"al-a": 10_000}, expert),
        ]
        assert [entry.decision_id for entry in entries] == [1, 1, 3]
        assert [live.entry_id for live in session.exec(select(LiveFact)).all()] == [entries[2].id]
        assert verify(session).findings == []


def test_a_booking_that_fails_undoes_the_decision(engine: Engine) -> None:
    world = build_world(engine)
    with pytest.raises(RuntimeError, match="planted"):
        _accept(engine, world, BrokenLedger())
    with reading(engine) as session:
        for model in (Decision, Case, Entry, LiveFact):
            assert session.exec(select(model)).all() == []
    # The control: the same decision with a ledger that works.
    _accept(engine, world)
    with reading(engine) as session:
        assert len(session.exec(select(Entry)).all()) == len(session.exec(select(Decision)).all()) == 1
