"""What open cases will bring by year-end: chances from past cases, an interval, and how well past forecasts did."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from indexer.database import reading, writing
from matcher.ledger.figures.folds import end_of
from matcher.ledger.figures.forecast import (
    CaseHistory,
    ForecastRules,
    Measure,
    Range,
    backtest,
    case_histories,
    forecast,
    forecast_from,
)
from matcher.ledger.rules.configuration import default
from matcher.review.cases import LostReason, Stage, move_case
from matcher.review.decisions import Verdict, decide
from tests.rig.worlds.small_world import MORNING, build_world, store_proposal

RULES = default(ForecastRules)
JULY = datetime(2020, 7, 1, tzinfo=UTC)
DECEMBER = datetime(2020, 12, 31, tzinfo=UTC)
NOTHING = Range(0.0, 0, 0)


def _case(number: int, start: datetime, *steps: tuple[Stage, int], amount: int | None = 1_000_000) -> CaseHistory:
    """Return a case with its stages, each so many days after its start."""
    stages = ((Stage.ACCEPTED, start), *((stage, start + timedelta(days=days)) for stage, days in steps))
    return CaseHistory(number, "al-a", stages, amount, international=number % 2 == 0)


NEGOTIATING = ((Stage.INTRODUCED, 5), (Stage.NEGOTIATING, 10))


def test_chances_are_the_share_of_time_from_which_past_cases_were_signed_soon_enough() -> None:
    long_ago = datetime(2019, 1, 1, tzinfo=UTC)
    past = [
        *(_case(n, long_ago, *NEGOTIATING, (Stage.SIGNED, 60)) for n in range(6)),
        _case(6, long_ago, *NEGOTIATING, (Stage.SIGNED, 400)),
        _case(7, long_ago, *NEGOTIATING, (Stage.LOST, 30)),
    ]
    now_open = _case(8, JULY - timedelta(days=20), *NEGOTIATING, amount=None)
    made = forecast_from([*past, now_open], as_of=JULY, until=DECEMBER, rules=RULES)
    # 183 days are left, so only time up to 2019-12-31, day 364 of these cases, is looked at. The first six stood in
    # negotiation for 50 days each and were signed soon enough from all of them; the seventh stood from day 10 to 364
    # and was signed soon enough, on day 400, from day 217 on; the last stood for 20 days.
    share = (6 * 50 + 364 - 217) / (6 * 50 + 354 + 20)
    chances = {one.stage.value: (one.past, round(one.share, 4), round(one.chance, 4)) for one in made.chances}
    assert chances == {
        "accepted": (8, 0.75, round((1 + 6) / (5 + 8), 4)),
        "introduced": (8, 0.75, round((1 + 6) / (4 + 8), 4)),
        "meeting": (0, 0.0, round(1 / 3, 4)),
        "negotiating": (8, round(share, 4), round((1 + 8 * share) / (2 + 8), 4)),
    }
    expected = (1 + 8 * share) / 10
    assert made.open_cases == 1
    assert made.ranges[Measure.MONEY] == Range(pytest.approx(expected * RULES.default_amount_ntd), 0, 1_000_000)
    assert made.ranges[Measure.INTERNATIONAL_CASES] == Range(pytest.approx(expected), 0, 1)


def test_cases_that_had_less_time_than_is_left_teach_nothing() -> None:
    recent = [_case(n, JULY - timedelta(days=100), *NEGOTIATING, (Stage.SIGNED, 20)) for n in range(5)]
    half_a_year = forecast_from(recent, as_of=JULY, until=DECEMBER, rules=RULES)
    a_month = forecast_from(recent, as_of=JULY, until=JULY + timedelta(days=30), rules=RULES)
    assert [chance.past for chance in half_a_year.chances] == [0, 0, 0, 0]
    assert [chance.past for chance in a_month.chances] == [5, 5, 0, 5]


def test_nothing_open_brings_nothing_and_the_same_seed_the_same_range() -> None:
    assert set(forecast_from([], as_of=JULY, until=DECEMBER, rules=RULES).ranges.values()) == {NOTHING}
    cases = [_case(n, JULY - timedelta(days=30), *NEGOTIATING, amount=n * 100_000) for n in range(1, 30)]
    first = forecast_from(cases, as_of=JULY, until=DECEMBER, rules=RULES)
    assert first == forecast_from(cases, as_of=JULY, until=DECEMBER, rules=RULES)
    money = first.ranges[Measure.MONEY]
    assert 0 < money.low < money.expected < money.high < sum(n * 100_000 for n in range(1, 30))


def test_what_came_after_the_day_is_not_looked_at() -> None:
    later = _case(1, JULY + timedelta(days=1), *NEGOTIATING, (Stage.SIGNED, 20))
    until_july = _case(2, JULY - timedelta(days=12), *NEGOTIATING)
    signed_later = _case(2, JULY - timedelta(days=12), *NEGOTIATING, (Stage.SIGNED, 30))
    seen = [
        forecast_from(cases, as_of=JULY, until=DECEMBER, rules=RULES) for cases in ([until_july], [later, signed_later])
    ]
    assert seen[0] == seen[1]


def _invented(chance: Random, n: int) -> CaseHistory:
    """Return a case of a world in which 30 of 100 are signed, most within four months."""
    start = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(900))
    if chance.random() < 0.3:
        return _case(n, start, *NEGOTIATING, (Stage.SIGNED, 20 + chance.randrange(100)))
    return _case(n, start, *NEGOTIATING[: chance.randrange(3)], (Stage.LOST, 20 + chance.randrange(100)))


def test_past_forecasts_held_about_as_often_as_they_say() -> None:
    chance = Random(3)
    histories = [_invented(chance, n) for n in range(600)]
    moments = [datetime(2018, 7, 1, tzinfo=UTC) + timedelta(days=30 * n) for n in range(24)]
    tested = backtest(histories, moments=moments, horizon=timedelta(days=90), rules=RULES)
    assert tested.held is not None
    assert 0.7 <= tested.held <= 1
    assert tested.brier is not None
    # The control: chances that were all wrong the same way would be caught.
    twisted = RULES.model_copy(update={"priors": dict.fromkeys(RULES.priors, (5000.0, 1.0))})
    wrong = backtest(histories, moments=moments, horizon=timedelta(days=90), rules=twisted)
    assert wrong.held is not None
    assert wrong.held < 0.2
    assert wrong.brier is not None
    assert wrong.brier > tested.brier
    assert all(abs(one.said - one.signed) < 0.1 for one in tested.calibration)


def test_histories_are_read_as_they_stood(engine: Engine) -> None:
    world = build_world(engine)
    with writing(engine) as session:
        by, days = world.people["expert"], timedelta(days=1)
        accept = {"verdict": Verdict.ACCEPT, "by": by, "alliance_id": "al-a"}
        _, case = decide(session, pairing_id=world.pairing_id, proposal_id=world.proposal_id, now=MORNING, **accept)
        assert case is not None
        assert case.id is not None
        move_case(session, case_id=case.id, stage=Stage.INTRODUCED, by=by, now=MORNING + 2 * days)
        pairing_id, proposal_id = store_proposal(session, by, "lab-2")
        _, other = decide(session, pairing_id=pairing_id, proposal_id=proposal_id, now=MORNING, **accept)
        assert other is not None
        assert other.id is not None
        move_case(session, case_id=other.id, stage=Stage.LOST, reason=LostReason.BUDGET, by=by, now=MORNING + 3 * days)
        numbers = (case.id, other.id)
    with reading(engine) as session:
        before = case_histories(session, as_of=MORNING - days, similar_cases_needed=3)
        then = case_histories(session, as_of=MORNING + 2 * days, similar_cases_needed=3)
        made = forecast(session, as_of=date(2026, 12, 1))
    assert before == []
    assert [(h.case_id, h.stage_at(MORNING + 9 * days)) for h in then] == [
        (numbers[0], Stage.INTRODUCED),
        (numbers[1], Stage.ACCEPTED),
    ]
    assert (made.open_cases, made.until) == (1, end_of(date(2026, 12, 31)))


def test_rules_without_a_prior_are_refused() -> None:
    content = RULES.model_dump(mode="json")
    del content["priors"]["meeting"]
    with pytest.raises(ValidationError, match="missing: meeting"):
        ForecastRules.model_validate(content)
    content["priors"]["meeting"] = [0, 1]
    with pytest.raises(ValidationError, match="above 0"):
        ForecastRules.model_validate(content)
