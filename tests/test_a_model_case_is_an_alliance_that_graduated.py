"""E5: a model case is an alliance that carried itself within three years, with six aspects and one measured proof."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from indexer.database import reading, writing
from indexer.records.record_tables import Alliance
from matcher.ledger.figures.ladder import graduate
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.details import Aspect, MemberDetails, read_details
from matcher.ledger.rows.entries import LedgerError, entry_of
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.steps import NewStep, State, standing, take
from matcher.ledger.rules.model_cases import Scored, holding_scores, scores_of
from matcher.ledger.rules.recognition import check, recognise, score
from matcher.ledger.rules.reporting import NewResult, report
from matcher.ledger.rules.requirements import unmet
from tests.rig.worlds.ledger_world import LedgerWorld, build_ledger_world, carry_itself, money

FOUNDED = date(2017, 11, 15)
ASPECTS = {aspect.value: "會員廠商量產三項成果" for aspect in Aspect}
PROOF = {"proof_kind": "sales", "proof_ntd": 1_000_000, "proof_of": "感測模組，109 年上半年"}
SCORES = {aspect: Scored(4, "三項成果已量產，佐證相符") for aspect in Aspect}
LATER = datetime(2021, 3, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    made = build_ledger_world(engine)
    with writing(engine) as session:
        session.get_one(Alliance, "al-a").since = FOUNDED
    return made


def _model(shares: dict[str, int] | None = None, **details: Any) -> NewResult:
    return NewResult(
        id="model-0001",
        kpi=Kpi.MODEL_CASES,
        amount=1,
        shares=shares or {"al-a": 10_000},
        details={"reference": "典範-1", "title": "甲聯盟自主營運", "aspects": ASPECTS, **PROOF, **details},
        occurred_on=date(2020, 11, 16),
        school_id="sc-1",
        value_added="聯盟以自有收入營運",
        evidence=[{"url": "https://example.org/evidence", "name": "佐證"}],
    )


def _graduated(session: Session, world: LedgerWorld, at: datetime) -> None:
    carry_itself(session, alliance_id="al-a", by=world.people["office"], now=at)
    graduate(session, alliance_id="al-a", reason="自主營運", by=world.people["office"], now=at)


def _missing(session: Session, world: LedgerWorld, given: NewResult) -> list[str]:
    report(session, given, by=world.people["reporter"], now=LATER)
    score(session, entry_id=given.id, scores=SCORES, by=world.people["committee"], now=LATER)
    return [str(one.error) for one in unmet(session, entry_of(session, given.id)) if one.blocks]


# The last moment of the third anniversary in Taipei, and the first of the day after it.
IN_TIME = datetime(2020, 11, 15, 15, 59, tzinfo=UTC)
TOO_LATE = datetime(2020, 11, 15, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "details", "shares", "missing"),
    [
        (IN_TIME, {}, None, None),
        (None, {}, None, "the alliance has graduated early, self-operating"),
        (TOO_LATE, {}, None, "the alliance graduated within 3 years of its founding"),
        (
            IN_TIME,
            {"aspects": dict.fromkeys(ASPECTS, "-")},
            None,
            "each of the six aspects says what speaks for the case",
        ),
        (IN_TIME, {"proof_ntd": None}, None, "one measured proof"),
        (IN_TIME, {}, {"al-a": 5_000, "al-b": 5_000}, "a model case is one alliance"),
    ],
)
def test_e5_what_a_model_case_lacks_is_named(
    engine: Engine,
    world: LedgerWorld,
    at: datetime | None,
    details: dict[str, Any],
    shares: dict[str, int] | None,
    missing: str | None,
) -> None:
    with writing(engine) as session:
        if at is not None:
            _graduated(session, world, at)
        found = _missing(session, world, _model(shares, **details))
    assert len(found) == (0 if missing is None else 1)
    assert missing is None or missing in found[0]


def test_e5_it_counts_only_with_all_of_it(engine: Engine, world: LedgerWorld) -> None:
    people = world.people
    with writing(engine) as session:
        report(session, _model(), by=people["reporter"], now=LATER)
        check(session, entry_id="model-0001", by=people["committee"], now=LATER)
    for missing in ("graduated early", "the committee's score of each"):
        with pytest.raises(LedgerError, match=f"no model case yet.*{missing}"), writing(engine) as session:
            recognise(session, entry_id="model-0001", by=people["office"], now=LATER)
        if missing == "graduated early":
            with writing(engine) as session:
                _graduated(session, world, IN_TIME)
    # Five of six are not enough, and the database itself says so.
    few = {one: SCORES[one] for one in list(Aspect)[:5]}
    with writing(engine) as session:
        score(session, entry_id="model-0001", scores=few, by=people["committee"], now=LATER)
        last = standing(session, "model-0001")
    step = NewStep(
        "model-0001", last.version, State.RECOGNISED, people["office"], LATER, "", period="2020Q4", kpi_year=2020
    )
    with pytest.raises(DatabaseError, match="scored in six aspects"), writing(engine) as session:
        take(session, step)
    with writing(engine) as session:
        score(session, entry_id="model-0001", scores=SCORES, by=people["second_committee"], now=LATER)
        assert recognise(session, entry_id="model-0001", by=people["office"], now=LATER) is None
    with reading(engine) as session:
        every, held = scores_of(session, "model-0001"), holding_scores(session, "model-0001")
        assert [(one.by, one.at) for one in every] == [(people["committee"], LATER)] * 5 + [
            (people["second_committee"], LATER)
        ] * 6
        assert {one.by for one in held.values()} == {people["second_committee"]}
        assert verify(session).findings == []


@pytest.mark.parametrize(
    ("scores", "by", "said"),
    [
        ({Aspect.CAPACITY: Scored(6, "成果顯著")}, "committee", "a score from 1 to 5"),
        ({Aspect.CAPACITY: Scored(3, " - ")}, "committee", "say why"),
        ({}, "committee", "at least one aspect"),
        ({Aspect.CAPACITY: Scored(3, "成果顯著")}, "reporter", "reported"),
    ],
)
def test_a_score_has_its_bounds_its_reason_and_its_committee(
    engine: Engine, world: LedgerWorld, scores: dict[Aspect, Scored], by: str, said: str
) -> None:
    with writing(engine) as session:
        report(session, _model(), by=world.people["reporter"], now=LATER)
    with pytest.raises(LedgerError, match=said), writing(engine) as session:
        score(session, entry_id="model-0001", scores=scores, by=world.people[by], now=LATER)
    with writing(engine) as session:
        report(session, money(occurred_on=date(2020, 5, 2)), by=world.people["reporter"], now=LATER)
    with pytest.raises(LedgerError, match="only a model case"), writing(engine) as session:
        score(session, entry_id="money-0001", scores=SCORES, by=world.people["committee"], now=LATER)


def test_six_dashes_and_a_made_up_tier_are_refused_when_they_are_reported(engine: Engine, world: LedgerWorld) -> None:
    few = dict.fromkeys([*ASPECTS][:5], "說明")
    member = NewResult(
        id="member-0001",
        kpi=Kpi.MEMBERS,
        amount=1,
        shares={"al-a": 10_000},
        details={"company": "co-1", "company_name": "甲公司", "country": "TW", "tier": "超級VIP"},
        occurred_on=date(2019, 5, 2),
        school_id="sc-1",
    )
    for given, field in ((_model(aspects=few), "details.aspects"), (member, "details.tier")):
        with pytest.raises(LedgerError) as refused, writing(engine) as session:
            report(session, given, by=world.people["reporter"], now=LATER)
        assert refused.value.field == field


def test_what_an_older_release_took_is_still_read() -> None:
    """Rows of before have a tier in words and no proof: they are read as they are, and nothing of the chain changes."""
    old = {"company": "co-1", "company_name": "甲公司", "country": "TW", "tier": "國際會員"}
    details = read_details(Kpi.MEMBERS, old)
    assert isinstance(details, MemberDetails)
    assert details.tier == "國際會員"
    model = read_details(Kpi.MODEL_CASES, {"reference": "r", "title": "t", "aspects": dict.fromkeys(ASPECTS, "-")})
    assert model.natural_key() == '["r"]'
