"""A verdict is never changed; it can be taken back on its day, by who gave it, as long as nothing came of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from indexer.database import reading, writing
from matcher.review.cases import Case, CaseError, Stage, move_case
from matcher.review.decisions import Decision, DecisionError, Reason, Verdict, decide, undo
from matcher.review.proposals import StoredPairing
from tests.rig.worlds.small_world import MORNING, World, build_world


@pytest.fixture
def world(engine: Engine) -> World:
    return build_world(engine)


def _decide(engine: Engine, world: World, verdict: Verdict, **more: Any) -> int:
    by = more.pop("by", "expert")
    with writing(engine) as session:
        decision, _ = decide(
            session,
            pairing_id=world.pairing_id,
            proposal_id=more.pop("proposal_id", world.proposal_id),
            verdict=verdict,
            by=world.people[by],
            alliance_id="al-a",
            now=more.pop("now", MORNING),
            **more,
        )
        return decision.id or 0


def _undo(engine: Engine, world: World, by: str = "expert", now: datetime = MORNING) -> None:
    with writing(engine) as session:
        undo(session, pairing_id=world.pairing_id, by=world.people[by], now=now)


def _state(engine: Engine) -> str:
    with reading(engine) as session:
        return session.exec(select(StoredPairing.state)).one()


def test_an_acceptance_taken_back_leaves_both_rows_and_no_open_case(engine: Engine, world: World) -> None:
    first = _decide(engine, world, Verdict.ACCEPT)
    _undo(engine, world)
    with reading(engine) as session:
        rows = session.exec(select(Decision).order_by(Decision.id)).all()
        assert [(row.verdict, row.undoes) for row in rows] == [("accept", None), ("undo", first)]
        assert session.exec(select(Case.stage)).all() == ["undone"]
    assert _state(engine) == "proposed"
    _decide(engine, world, Verdict.ACCEPT)
    with reading(engine) as session:
        assert sorted(session.exec(select(Case.stage)).all()) == ["accepted", "undone"]


def test_undoing_a_rejection_brings_the_deferral_before_it_back(engine: Engine, world: World) -> None:
    until = date(2026, 12, 24)
    _decide(engine, world, Verdict.DEFER, reason=Reason.TOO_EARLY, defer_until=until)
    _decide(engine, world, Verdict.REJECT, reason=Reason.BUDGET)
    assert _state(engine) == "rejected"
    _undo(engine, world)
    with reading(engine) as session:
        pairing = session.exec(select(StoredPairing)).one()
        assert (pairing.state, pairing.deferred_until) == ("deferred", until)


# 24 November 2026 ends in Taipei at 16:00 UTC.
@pytest.mark.parametrize(("at", "allowed"), [("15:59", True), ("16:00", False)])
def test_the_day_ends_at_midnight_in_taipei(engine: Engine, world: World, at: str, allowed: bool) -> None:
    _decide(engine, world, Verdict.ACCEPT)
    hour, minute = map(int, at.split(":"))
    now = datetime(2026, 11, 24, hour, minute, tzinfo=UTC)
    if allowed:
        _undo(engine, world, now=now)
        assert _state(engine) == "proposed"
    else:
        with pytest.raises(DecisionError, match="only the same day's"):
            _undo(engine, world, now=now)
        assert _state(engine) == "accepted"


def test_nobody_takes_back_what_another_said(engine: Engine, world: World) -> None:
    _decide(engine, world, Verdict.ACCEPT)
    with pytest.raises(DecisionError, match="only who gave"):
        _undo(engine, world, by="colleague")


def test_an_acceptance_whose_case_went_on_stays(engine: Engine, world: World) -> None:
    _decide(engine, world, Verdict.ACCEPT)
    with writing(engine) as session:
        case_id = session.exec(select(Case.id)).one() or 0
        move_case(session, case_id=case_id, stage=Stage.INTRODUCED, by=world.people["expert"], now=MORNING)
    with pytest.raises(CaseError, match="has gone on"):
        _undo(engine, world)
    assert _state(engine) == "accepted"


@pytest.mark.parametrize(
    ("verdict", "more", "field"),
    [
        (Verdict.REJECT, {}, "reason"),
        (Verdict.ACCEPT, {"reason": Reason.BUDGET}, "reason"),
        (Verdict.REJECT, {"reason": Reason.OTHER}, "note"),
        (Verdict.DEFER, {"reason": Reason.TOO_EARLY}, "defer_until"),
        (Verdict.DEFER, {"reason": Reason.TOO_EARLY, "defer_until": date(2026, 11, 24)}, "defer_until"),
        (Verdict.REJECT, {"reason": Reason.BUDGET, "defer_until": date(2027, 1, 1)}, "defer_until"),
        (Verdict.ACCEPT, {"proposal_id": 999}, "proposal_id"),
        (Verdict.UNDO, {}, "verdict"),
    ],
)
def test_an_incomplete_verdict_is_refused_by_field(
    engine: Engine, world: World, verdict: Verdict, more: dict[str, Any], field: str
) -> None:
    with pytest.raises(DecisionError) as refused:
        _decide(engine, world, verdict, **more)
    assert refused.value.field == field
    assert _state(engine) == "proposed"


def test_the_database_refuses_to_change_or_delete_a_verdict(engine: Engine, world: World) -> None:
    _decide(engine, world, Verdict.ACCEPT)
    for statement in (
        "UPDATE decision SET verdict = 'reject'",
        "DELETE FROM decision",
        "UPDATE proposal SET score = 9",
        "DELETE FROM need_step",
    ):
        with pytest.raises(DBAPIError, match="append-only"), writing(engine) as session:
            session.connection().execute(text(statement))
    # The control: rows that are no facts can be changed by the same means.
    with writing(engine) as session:
        session.connection().execute(text("UPDATE pairing SET version = version + 1"))


class _Ledger:
    """Books into a table of its own, or fails."""

    def __init__(self, fail: bool = False) -> None:
        self.fail = fail

    def accepted(self, session: Session, case: Case) -> None:
        session.connection().execute(text("INSERT INTO booked VALUES (:case)"), {"case": case.id})
        if self.fail:
            raise RuntimeError("the ledger refuses")

    def undone(self, session: Session, case: Case) -> None:
        session.connection().execute(text("DELETE FROM booked WHERE case_id = :case"), {"case": case.id})


@pytest.mark.parametrize("fail", [False, True])
def test_an_acceptance_and_its_booking_are_stored_together_or_not_at_all(
    engine: Engine, world: World, fail: bool
) -> None:
    with writing(engine) as session:
        session.connection().execute(text("CREATE TABLE booked (case_id INTEGER)"))
    if fail:
        with pytest.raises(RuntimeError, match="the ledger refuses"):
            _decide(engine, world, Verdict.ACCEPT, ledger=_Ledger(fail=True))
    else:
        _decide(engine, world, Verdict.ACCEPT, ledger=_Ledger())
    with reading(engine) as session:
        booked = session.connection().execute(text("SELECT count(*) FROM booked")).scalar()
        cases = len(session.exec(select(Case.id)).all())
    assert (booked, cases, _state(engine)) == ((0, 0, "proposed") if fail else (1, 1, "accepted"))


def test_a_deferred_pairing_can_be_accepted_later(engine: Engine, world: World) -> None:
    _decide(engine, world, Verdict.DEFER, reason=Reason.TOO_EARLY, defer_until=date(2026, 12, 1))
    _decide(engine, world, Verdict.ACCEPT, now=MORNING + timedelta(days=8))
    assert _state(engine) == "accepted"
