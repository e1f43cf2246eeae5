"""A reported result counts once it is recognised, by the rules; corrections reverse it; closed quarters stand still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from indexer.database import reading, writing
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.details import read_details
from matcher.ledger.rows.entries import AlreadyReportedError, Entry, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.periods import PeriodClose, move_close, second_close, totals_of
from matcher.ledger.rows.result_claims import (
    ClaimedElsewhereError,
    ExternalClaim,
    LiveFact,
    OtherProgramme,
    note_external,
)
from matcher.ledger.rows.steps import NewStep, State, Step, steps_of, take
from matcher.ledger.rules.recognition import (
    ConflictError,
    check,
    give_back,
    move_reversal,
    recognise,
    refuse,
    second_recognition,
    second_reversal,
    supplement,
    tell_apart,
    withdraw,
)
from matcher.ledger.rules.reporting import report
from matcher.ledger.rules.requirements import Requirement, unmet
from matcher.review.people import declare_stake
from tests.rig.worlds.ledger_world import NOON, PROOF, LedgerWorld, build_ledger_world, money, recognised

JULY = datetime(2019, 7, 3, 4, 0, tzinfo=UTC)
Q2 = "2019Q2"


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


def _states(session: Session, entry_id: str) -> list[str]:
    return [step.state for step in steps_of(session, entry_id)]


def test_a_result_counts_in_its_quarter_once_it_is_recognised(engine: Engine, world: LedgerWorld) -> None:
    given = money(shares={"al-a": 6_000, "al-b": 4_000})
    with writing(engine) as session:
        entry, state = report(session, given, by=world.people["reporter"], now=NOON)
        assert (state, totals_of(session, Q2)) == (State.REPORTED, {})
        check(session, entry_id=entry.id, by=world.people["committee"], now=NOON)
        assert totals_of(session, Q2) == {}
        recognise(session, entry_id=entry.id, by=world.people["office"], now=NOON)
    with reading(engine) as session:
        shares = {"al-a": 6_000_000_000, "al-b": 4_000_000_000}
        assert totals_of(session, Q2) == {"L": {"al-a": shares["al-a"], "al-b": shares["al-b"], "all": 1_000_000}}
        assert _states(session, "money-0001") == ["reported", "checked", "recognised"]
        assert verify(session).findings == []


def test_the_same_contract_and_instalment_is_refused_whoever_reports_it(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=NOON)
    again = money("money-0002", shares={"al-b": 10_000}, details={"contract": "c 108_001"})
    with pytest.raises(AlreadyReportedError, match=r"counted already, by al-a;") as refused, writing(engine) as session:
        report(session, again, by=world.people["other_reporter"], now=NOON)
    # Which entry it is, is for who has a share in it.
    assert ("money-0001" in str(refused.value), refused.value.tells_of) == (False, ("entry", "money-0001"))
    own = money("money-0003", details={"contract": "c 108_001"})
    with pytest.raises(AlreadyReportedError, match=r"entry money-0001 of al-a"), writing(engine) as session:
        report(session, own, by=world.people["reporter"], now=NOON)
    # Nobody reports for an alliance that they do not work for, by whatever way they come; nor does who was shut out.
    for who in ("reporter", "committee", "office"):
        with pytest.raises(LedgerError, match="give one of your own a share"), writing(engine) as session:
            report(session, replace(again, id="money-0004"), by=world.people[who], now=NOON)
    # The control: the next instalment is another result.
    with writing(engine) as session:
        report(session, money("money-0003", details={"instalment": 2}), by=world.people["reporter"], now=NOON)


def test_what_another_programme_claims_is_refused_with_its_name(engine: Engine, world: LedgerWorld) -> None:
    key = read_details(Kpi.MONEY, dict(money().details)).natural_key()
    claim = ExternalClaim(
        programme=OtherProgramme.VALUE_CREATION.value,
        kpi="L",
        natural_key=key,
        claimant="三號大學",
        reference="價創-107-12",
        party="甲公司",
        amount=1_000_000,
        occurred_on=date(2019, 5, 2),
        noted_by=world.people["office"],
        noted_at=NOON,
    )
    with writing(engine) as session:
        note_external(session, claim)
    with pytest.raises(ClaimedElsewhereError, match=r"價創.*三號大學, 價創-107-12"), writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=NOON)


def test_a_claim_that_comes_later_stops_recognition(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        entry, _ = report(session, money(), by=world.people["reporter"], now=NOON)
        check(session, entry_id=entry.id, by=world.people["committee"], now=NOON)
        claim = ExternalClaim(
            programme="patent",
            kpi="L",
            natural_key=entry.natural_key,
            claimant="三號大學",
            reference="P-1",
            party="甲公司",
            noted_by=world.people["office"],
            noted_at=NOON,
        )
        assert note_external(session, claim) == [entry.id]
    with pytest.raises(ClaimedElsewhereError), writing(engine) as session:
        recognise(session, entry_id="money-0001", by=world.people["office"], now=NOON)


def test_what_looks_alike_is_held_until_a_person_tells_them_apart(engine: Engine, world: LedgerWorld) -> None:
    twin = money(
        "money-0002", details={"contract": "A-77", "payer": "甲公司股份有限公司"}, occurred_on=date(2019, 5, 9)
    )
    with writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=NOON)
        entry, state = report(session, twin, by=world.people["reporter"], now=NOON)
        assert state is State.HELD
        with pytest.raises(LedgerError, match="is held"):
            check(session, entry_id=entry.id, by=world.people["committee"], now=NOON)
        tell_apart(session, entry_id=entry.id, reason="兩份合約", by=world.people["office"], now=NOON)
        assert _states(session, entry.id) == ["held", "reported"]
    # The control: another payer is not held.
    with writing(engine) as session:
        other = money("money-0003", details={"contract": "B-1", "payer": "磐石重工"})
        assert report(session, other, by=world.people["reporter"], now=NOON)[1] is State.REPORTED


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"value_added": " "}, "加值內容"),
        ({"evidence": []}, "no evidence"),
        ({"school_id": "sc-9"}, "there is no school 'sc-9'"),
    ],
    ids=["value added", "evidence", "unknown school"],
)
def test_nothing_counts_without_what_recognition_needs(
    engine: Engine, world: LedgerWorld, missing: dict[str, Any], message: str
) -> None:
    with pytest.raises(LedgerError, match=message), writing(engine) as session:
        recognised(session, world, money(**missing))


def test_a_schools_missing_total_is_said_and_holds_nothing_up(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        session.connection().execute(
            text("INSERT INTO school (id, name, name_en, city, kind) VALUES ('sc-3', '三號大學', '', '', '')")
        )
        without = recognised(session, world, money(school_id="sc-3"))
        (said,) = unmet(session, without)
        assert (said.requirement, said.blocks) == (Requirement.SCHOOL_TOTAL, False)
        assert "sc-3 has not supplied its whole cooperation total of 2019" in str(said.error)
        assert _states(session, without.id)[-1] == "recognised"
    # The control: a merged school's total is its successor's.
    with writing(engine) as session:
        other = money("money-0002", school_id="sc-old", details={"contract": "B-1", "payer": "磐石重工"})
        assert list(unmet(session, recognised(session, world, other))) == []


@pytest.mark.parametrize("verb", [check, give_back, refuse], ids=lambda verb: verb.__name__)
def test_who_reported_or_has_a_stake_says_nothing(
    engine: Engine, world: LedgerWorld, verb: Callable[..., None]
) -> None:
    reason = {} if verb is check else {"reason": "r"}
    with writing(engine) as session:
        entry, _ = report(session, money(), by=world.people["reporter"], now=NOON)
        declare_stake(session, account_id=world.people["committee"], party="company", party_id="co-1", now=NOON)
        for by in ("reporter", "committee"):
            with pytest.raises(ConflictError):
                verb(session, entry_id=entry.id, by=world.people[by], now=NOON, **reason)
        # The control: somebody else may.
        verb(session, entry_id=entry.id, by=world.people["second_committee"], now=NOON, **reason)


def test_the_database_refuses_the_reporters_own_word_too(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=NOON)
    with pytest.raises(DBAPIError, match=r"who (reported|has a part)"), writing(engine) as session:
        take(session, NewStep("money-0001", 1, State.CHECKED, world.people["reporter"], NOON))


def test_a_returned_result_comes_back_with_more_evidence(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        entry, _ = report(session, money(evidence=[]), by=world.people["reporter"], now=NOON)
        give_back(session, entry_id=entry.id, reason="缺合約", by=world.people["committee"], now=NOON)
        supplement(session, entry_id=entry.id, text="補合約", evidence=PROOF, by=world.people["reporter"], now=NOON)
        check(session, entry_id=entry.id, by=world.people["committee"], now=NOON)
        recognise(session, entry_id=entry.id, by=world.people["office"], now=NOON)
        assert _states(session, entry.id) == ["reported", "returned", "reported", "checked", "recognised"]


@pytest.mark.parametrize("verb", [refuse, withdraw], ids=lambda verb: verb.__name__)
def test_the_key_of_an_ended_report_is_free_again(
    engine: Engine, world: LedgerWorld, verb: Callable[..., None]
) -> None:
    by = world.people["committee" if verb is refuse else "reporter"]
    with writing(engine) as session:
        entry, _ = report(session, money(), by=world.people["reporter"], now=NOON)
        verb(session, entry_id=entry.id, reason="誤填", by=by, now=NOON)
        assert session.exec(select(LiveFact)).all() == []
        report(session, money("money-0002"), by=world.people["reporter"], now=NOON)
        assert verify(session).findings == []


def test_large_money_takes_two_people(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        entry, _ = report(session, money(amount=5_000_001), by=world.people["reporter"], now=NOON)
        check(session, entry_id=entry.id, by=world.people["committee"], now=NOON)
        motion = recognise(session, entry_id=entry.id, by=world.people["office"], now=NOON)
        assert motion is not None
        assert totals_of(session, Q2) == {}
        with pytest.raises(LedgerError, match="another person"):
            second_recognition(session, motion_id=motion.id or 0, by=world.people["office"], now=NOON)
        second_recognition(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
        assert totals_of(session, Q2)["L"]["all"] == 5_000_001


def test_a_correction_is_a_reversal_by_two_and_a_new_fact(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        entry = recognised(session, world, money())
        motion = move_reversal(session, entry_id=entry.id, reason="金額誤植", by=world.people["office"], now=NOON)
        with pytest.raises(LedgerError, match="another person"):
            second_reversal(session, motion_id=motion.id or 0, by=world.people["office"], now=NOON)
        reversal = second_reversal(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
        assert (reversal.kind, reversal.reverses, reversal.amount) == ("reversal", entry.id, 1_000_000)
        assert totals_of(session, Q2) == {"L": {"al-a": 0, "all": 0}}
        recognised(session, world, money("money-0002", amount=900_000, restates=entry.id))
        assert totals_of(session, Q2)["L"]["all"] == 900_000
        assert verify(session).findings == []
    with pytest.raises(DBAPIError), writing(engine) as session:
        session.connection().execute(text("UPDATE ledger_entry SET amount = 2"))


def _closed(session: Session, world: LedgerWorld, period: str, now: datetime) -> PeriodClose:
    motion = move_close(session, period=period, reason="季結", by=world.people["office"], now=now)
    return second_close(session, motion_id=motion.id or 0, by=world.people["second_office"], now=now)


def test_a_closed_quarter_stands_still_and_late_facts_count_in_the_open_one(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        recognised(session, world, money())
        with pytest.raises(LedgerError, match="is not over"):
            move_close(session, period=Q2, reason="季結", by=world.people["office"], now=NOON)
        close = _closed(session, world, Q2, JULY)
        assert close.totals == totals_of(session, Q2)
        late = recognised(session, world, money("money-0002", details={"instalment": 2}), JULY)
        assert (late.period, late.late_for) == ("2019Q3", Q2)
        assert close.totals == totals_of(session, Q2)
        assert totals_of(session, "2019Q3")["L"]["all"] == 1_000_000
        assert verify(session).findings == []
    with pytest.raises(LedgerError, match="2019Q2 is closed"), writing(engine) as session:
        move_close(session, period=Q2, reason="again", by=world.people["office"], now=JULY)


def test_a_reversal_of_a_closed_quarter_counts_in_the_open_one(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        entry = recognised(session, world, money())
        close = _closed(session, world, Q2, JULY)
        motion = move_reversal(session, entry_id=entry.id, reason="重複", by=world.people["office"], now=JULY)
        second_reversal(session, motion_id=motion.id or 0, by=world.people["second_office"], now=JULY)
        assert totals_of(session, Q2) == close.totals
        assert totals_of(session, "2019Q3") == {"L": {"al-a": -10_000_000_000, "all": -1_000_000}}
        assert verify(session).findings == []


def test_a_closing_whose_figures_changed_is_not_seconded(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        motion = move_close(session, period=Q2, reason="季結", by=world.people["office"], now=JULY)
        recognised(session, world, money(), NOON)
        with pytest.raises(LedgerError, match="figures changed"):
            second_close(session, motion_id=motion.id or 0, by=world.people["second_office"], now=JULY)


def test_a_year_that_was_shown_is_not_changed_by_what_comes_late(engine: Engine, world: LedgerWorld) -> None:
    january = datetime(2019, 1, 10, 4, 0, tzinfo=UTC)
    with writing(engine) as session:
        recognised(session, world, money(occurred_on=date(2018, 12, 20)), january)
        _closed(session, world, "2018Q4", january)
        late = money("money-0002", details={"instalment": 2}, occurred_on=date(2018, 12, 21))
        recognised(session, world, late, january)
        years = session.execute(select(Step.entry_id, Step.period, Step.kpi_year).where(Step.state == "recognised"))
        assert sorted(years.all()) == [("money-0001", "2018Q4", 2018), ("money-0002", "2019Q1", 2019)]
        assert [entry.late_for for entry in session.exec(select(Entry).order_by(Entry.seq)).all()] == [None, "2018Q4"]
