"""Charts show targets beside actuals, and a forecast apart from them; they are valid Vega-Lite."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from api.documents.charts import backtest_chart, forecast_chart, own_income_chart, targets_chart
from indexer.database import reading, writing
from matcher.ledger.figures.forecast import CaseHistory, ForecastRules, Measure, backtest, forecast_from
from matcher.ledger.reports.target_standings import Programme, programme
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rules.configuration import default
from matcher.review.cases import Stage
from tests.rig.worlds.ledger_world import build_ledger_world, money, recognised

RULES = default(ForecastRules)
START = datetime(2019, 1, 1, tzinfo=UTC)
CASES = [
    CaseHistory(n, "al-a", ((Stage.ACCEPTED, START + timedelta(days=9 * n)),), 100_000 * n, False) for n in range(1, 9)
]


@pytest.fixture
def shown(engine: Engine) -> Programme:
    world = build_ledger_world(engine)
    with writing(engine) as session:
        recognised(session, world, money())
    with reading(engine) as session:
        return programme(session, as_of=date(2019, 12, 31))


def _values(chart: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data of a chart's layers in their order."""
    held: dict[str, list[dict[str, Any]]] = chart.get("datasets", {})
    layers = chart.get("layer", [])
    found = [layer.get("data", chart.get("data", {})) for layer in layers] or [chart.get("data", {})]
    return [row for data in found for row in data.get("values", held.get(data.get("name", ""), []))]


def test_actuals_stand_beside_the_targets_of_their_basis(shown: Programme) -> None:
    annual, cumulative = targets_chart(shown, Kpi.MONEY).to_dict()["hconcat"]
    assert _values(annual) == [
        {"year": "106", "amount": 0},
        {"year": "107", "amount": 0},
        {"year": "108", "amount": 1_000_000},
    ]
    book = "目標實現時間規劃 · schedule of targets"
    assert _values(cumulative) == [
        {"year": "106", "amount": 0},
        {"year": "107", "amount": 0},
        {"year": "108", "amount": 1_000_000},
        {"year": "106", "amount": 100_000_000, "book": book},
        {"year": "107", "amount": 500_000_000, "book": book},
        {"year": "108", "amount": 1_200_000_000, "book": book},
        {"year": "109", "amount": 2_500_000_000, "book": book},
    ]


def test_a_forecast_is_a_chart_of_its_own() -> None:
    now = START + timedelta(days=100)
    made = forecast_from(CASES, as_of=now, until=now + timedelta(days=30), rules=RULES)
    found = made.ranges[Measure.MONEY]
    chart = forecast_chart(made, Measure.MONEY).to_dict()
    (point,) = {tuple(row.items()) for row in _values(chart)}
    assert dict(point) == {
        "label": "2019-04-11 → 2019-05-11",
        "expected": found.expected,
        "low": found.low,
        "high": found.high,
    }


def test_past_forecasts_stand_beside_what_came() -> None:
    moments = [START + timedelta(days=days) for days in (50, 80)]
    tested = backtest(CASES, moments=moments, horizon=timedelta(days=30), rules=RULES)
    chart = backtest_chart(tested, Measure.SIGNED_CASES).to_dict()
    assert {(row["day"], row["came"]) for row in _values(chart)} == {("2019-02-20", 0), ("2019-03-22", 0)}


def test_own_income_is_drawn_against_what_is_required() -> None:
    chart = own_income_chart([(2018, 0.1, 0.2), (2019, 0.35, 0.3)]).to_dict()
    rows = [{"year": "107", "share": 0.1, "required": 0.2}, {"year": "108", "share": 0.35, "required": 0.3}]
    assert [row for row in rows if row not in _values(chart)] == []
    assert {row["year"] for row in _values(chart)} == {"107", "108"}
