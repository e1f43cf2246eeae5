"""What open cases will bring by a day: a range with its probability, never part of what was reached.

In: histories of cases as of a moment. Out: for money, signed cases and
international ones the expected amount and an interval. It exists so that the
programme office sees a gap while there is time to act on it.

The chance of a case in a stage to be signed within the days that are left is
read from past cases: of all the time that they stood in that stage, the share
from which they were signed within so many days. (Asking of the cases that came
to the stage instead would promise too much: those that still stand in it are
the slow ones.) What is unsure about that share is a Beta distribution with a
configured prior; the interval is drawn from it and from the cases' chances, with
a fixed seed. Amounts are taken as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator
from sqlmodel import Session

from indexer.wording import T_
from matcher.cases import OPEN_STAGES, Stage
from matcher.ledger.case_histories import CaseHistory, case_histories
from matcher.ledger.configuration import Configured, current
from matcher.ledger.figures import end_of


class ForecastRules(Configured):
    """How forecasts are made."""

    name: ClassVar[str] = "forecast"

    priors: dict[Stage, tuple[float, float]] = Field(description="For each open stage: signed, not signed.")
    default_amount_ntd: int = Field(ge=0, description="What a case is worth if nothing else tells.")
    similar_cases_needed: int = Field(ge=1, description="From how many similar cases a median is taken.")
    interval: float = Field(gt=0, lt=1, description="The probability that the interval holds.")
    draws: int = Field(ge=100, le=1_000_000)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _every_open_stage(self) -> Self:
        missing = [stage.value for stage in OPEN_STAGES if stage not in self.priors]
        if missing:
            raise ValueError(T_("give a prior for every open stage; missing: %(missing)s", missing=", ".join(missing)))
        if any(min(prior) <= 0 for prior in self.priors.values()):
            raise ValueError(T_("both numbers of a prior are above 0"))
        return self


class Measure(StrEnum):
    """What is forecast."""

    MONEY = "money"
    SIGNED_CASES = "signed_cases"
    INTERNATIONAL_CASES = "international_cases"


@dataclass(frozen=True)
class StageChance:
    """Of the time that `past` cases stood in a stage, the `share` from which they were signed soon enough."""

    stage: Stage
    past: int
    share: float
    prior: tuple[float, float]

    @property
    def beta(self) -> tuple[float, float]:
        """The two numbers of the Beta distribution: the prior's, and one for each past case."""
        signed, not_signed = self.prior
        return signed + self.past * self.share, not_signed + self.past * (1 - self.share)

    @property
    def chance(self) -> float:
        """The mean of that distribution."""
        signed, not_signed = self.beta
        return signed / (signed + not_signed)


@dataclass(frozen=True)
class Range:
    """An expected amount and the interval that holds it with the forecast's probability; money in NTD."""

    expected: float
    low: int
    high: int


@dataclass(frozen=True)
class Forecast:
    """What the cases open at `as_of` will bring by `until`."""

    as_of: datetime
    until: datetime
    interval: float
    open_cases: int
    chances: tuple[StageChance, ...]
    ranges: dict[Measure, Range]


def forecast(session: Session, *, as_of: date, until: date | None = None) -> Forecast:
    """Forecast from the cases that are open at the end of a day.

    Args:
        session: one state of the database.
        as_of: the day; what came later is not looked at.
        until: the last day that counts; None is the end of the year.
    """
    rules = current(session, ForecastRules)
    moment = end_of(as_of)
    histories = case_histories(session, as_of=moment, similar_cases_needed=rules.similar_cases_needed)
    return forecast_from(histories, as_of=moment, until=end_of(until or date(as_of.year, 12, 31)), rules=rules)


def forecast_from(
    histories: Sequence[CaseHistory], *, as_of: datetime, until: datetime, rules: ForecastRules
) -> Forecast:
    """Forecast from histories; what they say of the time after `as_of` is not looked at."""
    left = max(until - as_of, timedelta(0))
    chances = {stage: _chance(histories, stage, as_of=as_of, within=left, rules=rules) for stage in OPEN_STAGES}
    still_open = open_at(histories, as_of)
    stages = [stage for _, stage in still_open]
    weights_of = worth([history for history, _ in still_open], rules)
    signed = _drawn(stages, chances, rules)
    mean = np.array([chances[stage].chance for stage in stages])
    tail = (1 - rules.interval) / 2
    ranges = {}
    for measure, weights in weights_of.items():
        totals = signed @ weights
        # Whole amounts of what was drawn, so that the interval ends at amounts that can come about.
        low, high = (int(np.quantile(totals, q, method="inverted_cdf")) for q in (tail, 1 - tail))
        ranges[measure] = Range(float(mean @ weights), low, high)
    return Forecast(as_of, until, rules.interval, len(stages), tuple(chances.values()), ranges)


def open_at(histories: Sequence[CaseHistory], moment: datetime) -> list[tuple[CaseHistory, Stage]]:
    """Return the cases that are open at a moment, with their stages."""
    standing = [(history, history.stage_at(moment)) for history in histories]
    return [(history, stage) for history, stage in standing if stage is not None and stage in OPEN_STAGES]


def _chance(
    histories: Sequence[CaseHistory], stage: Stage, *, as_of: datetime, within: timedelta, rules: ForecastRules
) -> StageChance:
    past, stood, soon_enough = 0, timedelta(0), timedelta(0)
    for history in histories:
        entered = history.entered(stage)
        if entered is None:
            continue
        # Only time after which as much passed as is left now: of other time nobody can know what came of it.
        end = min(history.left(stage) or as_of, as_of - within)
        if end <= entered:
            continue
        past += 1
        stood += end - entered
        signed = history.entered(Stage.SIGNED)
        if signed is not None and signed <= as_of:
            soon_enough += max(end - max(entered, signed - within), timedelta(0))
    return StageChance(stage, past, soon_enough / stood if past else 0.0, rules.priors[stage])


def worth(histories: Sequence[CaseHistory], rules: ForecastRules) -> dict[Measure, np.ndarray]:
    """Return for each measure what every case adds to it if it is signed."""
    amounts = [rules.default_amount_ntd if h.amount_ntd is None else h.amount_ntd for h in histories]
    return {
        Measure.MONEY: np.array(amounts, dtype=np.int64),
        Measure.SIGNED_CASES: np.ones(len(histories), dtype=np.int64),
        Measure.INTERNATIONAL_CASES: np.array([int(h.international) for h in histories], dtype=np.int64),
    }


def _drawn(stages: Sequence[Stage], chances: dict[Stage, StageChance], rules: ForecastRules) -> np.ndarray:
    """Return for each draw and case whether it is signed: first the chance of its stage is drawn, then the case."""
    generator = np.random.default_rng(rules.seed)
    place = {stage: column for column, stage in enumerate(OPEN_STAGES)}
    drawn = np.column_stack([generator.beta(*chances[stage].beta, rules.draws) for stage in OPEN_STAGES])
    by_case = drawn[:, [place[stage] for stage in stages]]
    return (generator.random(by_case.shape) < by_case).astype(np.int64)
