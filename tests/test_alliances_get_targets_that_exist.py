"""E6: only founded alliances have targets, in whole units that sum to the programme's; warnings are few and bounded."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import Engine

from indexer.database import reading, writing
from matcher.ledger.figures.alliance_targets import (
    AllianceTargets,
    OwnTarget,
    YearTarget,
    targets_of,
    year_targets_of,
)
from matcher.ledger.figures.folds import end_of, figures
from matcher.ledger.figures.ladder import FindingKind, findings, standings, warn
from matcher.ledger.figures.warnings import Level, Pace, WarningRules, readings
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.targets import TargetBooks
from tests.rig.worlds.ledger_world import NOON, build_ledger_world

ALIKE = default(AllianceTargets)
FOUNDED: dict[str, date | None] = {
    **{f"al-{n:02}": date(2017, 11, 15) for n in range(1, 16)},
    **{f"al-{n:02}": date(2019, 3, 1) for n in range(16, 19)},
}
SCHEDULE = year_targets_of(default(TargetBooks).books[0])


def _by_alliance(year: int, kpi: Kpi, document: AllianceTargets = ALIKE) -> dict[str | None, float]:
    found = targets_of(document, SCHEDULE, [*FOUNDED], FOUNDED)
    return {one.alliance: one.amount_bp / WHOLE_BP for one in found if (one.year, one.kpi) == (year, kpi)}


@pytest.mark.parametrize("target", SCHEDULE, ids=lambda one: f"{one.kpi.value}-{one.year}")
def test_e6_targets_of_founded_alliances_are_whole_units_and_sum_to_the_programmes(target: YearTarget) -> None:
    parts = _by_alliance(target.year, target.kpi)
    assert sum(parts.values()) == target.amount
    assert all(part == int(part) for part in parts.values())
    assert len(parts) == (15 if target.year < 2019 else 18)
    # Alike weights: nobody has two units more than another one, but for what others had before they came.
    assert max(parts.values()) - min(parts.values()) <= 1


def test_e6_an_alliance_founded_in_108_has_no_target_in_107() -> None:
    assert "al-16" not in _by_alliance(2018, Kpi.MONEY)
    assert "al-16" in _by_alliance(2019, Kpi.MONEY)
    # Nobody has to found 0.83 of an alliance.
    assert set(_by_alliance(2018, Kpi.ALLIANCES).values()) == {1.0}
    assert sorted(_by_alliance(2018, Kpi.STARTUPS).values()) == [0.0] * 10 + [1.0] * 5


def test_e6_what_was_agreed_at_the_proposal_comes_first_and_the_sum_stays() -> None:
    own = ALIKE.model_copy(update={"own": [OwnTarget(alliance="al-03", kpi=Kpi.TALENT, year=2018, amount=60)]})
    parts = _by_alliance(2018, Kpi.TALENT, own)
    assert (parts["al-03"], sum(parts.values())) == (60, 300)


RULES = WarningRules(
    note="test",
    settled_after_days=0,
    pace=Pace(expected_bp=(2_500, 5_000, 7_500, 10_000), warning_below_bp=8_000),
    kpis={},
    alliances={},
)


@pytest.mark.parametrize(
    ("founded", "amount", "level"),
    [
        # Nothing is there of two units: a warning, from the third quarter of an alliance on.
        (None, 4, Level.WARNING),
        (date(2018, 12, 31), 4, Level.WARNING),
        (date(2019, 1, 1), 4, Level.BEHIND),
        (date(2019, 6, 30), 4, Level.BEHIND),
        # Half a unit is missing by the second quarter: that is none.
        (None, 1, Level.BEHIND),
        (None, 2, Level.WARNING),
    ],
)
def test_e6_no_warning_below_one_unit_or_in_the_first_two_quarters(
    engine: Engine, founded: date | None, amount: int, level: Level
) -> None:
    build_ledger_world(engine)
    day = date(2019, 6, 30)
    targets = targets_of(ALIKE, [YearTarget(Kpi.JOBS, 2019, amount)], ["al-a"], {"al-a": founded})
    with reading(engine) as session:
        (read,) = readings(session, figures(session, as_of=end_of(day)), targets, RULES, day)
    assert read.level is level


def test_e6_one_warning_is_proposed_for_an_alliance_and_quarter(engine: Engine) -> None:
    world = build_ledger_world(engine)
    day = date(2019, 6, 30)
    wanted = [YearTarget(kpi, 2019, 40) for kpi in (Kpi.JOBS, Kpi.TALENT, Kpi.STARTUPS)]
    targets = targets_of(ALIKE, wanted, ["al-a", "al-b"], {"al-a": None, "al-b": None})
    with writing(engine) as session:
        read = readings(session, figures(session, as_of=end_of(day)), targets, RULES, day)
        found = findings(read, standings(session, as_of=NOON), day)
        assert [(one.finding, one.alliance, len(one.also)) for one in found] == [
            (FindingKind.WARN, "al-a", 2),
            (FindingKind.WARN, "al-b", 2),
        ]
        assert found[0].reading is not None
        warn(session, gap=found[0].reading, reason="落後", by=world.people["office"], now=NOON)
        later = findings(read, standings(session, as_of=NOON), day)
    # It was warned in this quarter: what is proposed now is the other one's.
    assert [one.alliance for one in later if one.finding is FindingKind.WARN] == ["al-b"]
