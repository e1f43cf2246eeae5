"""How well forecasts of the past fared, by which today's can be trusted or not.

In: histories of cases and some past moments. Out: each moment's forecast beside
what came, how often the interval held, and for each stage the chance that was
said beside the share that came. It exists because an interval is worth what
its record is. A case's amount is that of today: budgets have no history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from matcher.cases import OPEN_STAGES, Stage
from matcher.ledger.case_histories import CaseHistory
from matcher.ledger.forecast import ForecastRules, Measure, Range, forecast_from, open_at, worth


@dataclass(frozen=True)
class BacktestRow:
    """A forecast made in the past beside what came of its cases."""

    as_of: datetime
    measure: Measure
    forecast: Range
    came: int

    @property
    def held(self) -> bool:
        """Whether the interval held what came."""
        return self.forecast.low <= self.came <= self.forecast.high


@dataclass(frozen=True)
class Calibration:
    """Past forecasts of one chance: the mean chance said, and the share that was signed in time."""

    stage: Stage
    cases: int
    said: float
    signed: float


@dataclass(frozen=True)
class Backtest:
    """How past forecasts fared. `brier` is the mean squared error of the chances: 0 is perfect, 0.25 a coin's."""

    rows: tuple[BacktestRow, ...]
    calibration: tuple[Calibration, ...]
    brier: float | None
    held: float | None


def backtest(
    histories: Sequence[CaseHistory], *, moments: Sequence[datetime], horizon: timedelta, rules: ForecastRules
) -> Backtest:
    """Forecast from each of some past moments with what was known then, and look at what came.

    Args:
        histories: all cases; a moment's forecast sees of them what had happened by then.
        moments: when to forecast; the last one plus `horizon` must be known by now.
        horizon: how far to forecast.
        rules: how forecasts are made.
    """
    rows: list[BacktestRow] = []
    said: list[tuple[Stage, float, bool]] = []
    for moment in moments:
        known = [h for h in histories if h.stages[0][1] <= moment]
        made = forecast_from(known, as_of=moment, until=moment + horizon, rules=rules)
        chance = {one.stage: one.chance for one in made.chances}
        still_open = open_at(known, moment)
        came = [h.stage_at(moment + horizon) is Stage.SIGNED for h, _ in still_open]
        for measure, weights in worth([h for h, _ in still_open], rules).items():
            rows.append(BacktestRow(moment, measure, made.ranges[measure], int(np.array(came, dtype=int) @ weights)))
        said += [(stage, chance[stage], signed) for (_, stage), signed in zip(still_open, came, strict=True)]
    brier = float(np.mean([(chance - signed) ** 2 for _, chance, signed in said])) if said else None
    held = float(np.mean([row.held for row in rows])) if rows else None
    return Backtest(tuple(rows), _calibration(said), brier, held)


def _calibration(said: Sequence[tuple[Stage, float, bool]]) -> tuple[Calibration, ...]:
    counts = Counter(stage for stage, _, _ in said)
    return tuple(
        Calibration(
            stage,
            counts[stage],
            float(np.mean([chance for of, chance, _ in said if of is stage])),
            float(np.mean([signed for of, _, signed in said if of is stage])),
        )
        for stage in OPEN_STAGES
        if counts[stage]
    )
