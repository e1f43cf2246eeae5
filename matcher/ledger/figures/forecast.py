"""What open cases will bring by a day: a range with its probability, never part of what was reached.

In: how cases went as of a moment and what each is worth (their steps, their needs, recognised money). Out: for
money, signed cases and international cases the expected amount and an interval; and for past moments each forecast
beside what came. It exists so that the programme sees what may still come, and can judge it: an interval is worth
what its record is.

Each open stage has a chance of being signed in the time that is left, learnt from how long past cases stood in it,
with the prior of the document `forecast`; chances and cases are drawn many times from one seed. A case is worth its
need's budget, else the median of similar ones. Forecasting is arithmetic over histories, with no database in it; a
back-test uses today's amounts, since budgets have no history.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator
from sqlmodel import Session, col, select

from indexer.records.record_tables import Company, Need
from indexer.wording import T_
from matcher.ledger.figures.folds import end_of
from matcher.ledger.rows.entries import Entry, EntryKind
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.steps import State, Step
from matcher.ledger.rules.configuration import Configured, current
from matcher.review.cases import OPEN_STAGES, Case, CaseStep, Stage

_HOME_COUNTRY = "TW"


@dataclass(frozen=True)
class CaseHistory:
    """A case, the stages that it came to with their moments (the first is `accepted`), and what it is worth.

    `amount_ntd` is None where nothing tells; `international`: the company is from abroad.
    """

    case_id: int
    alliance_id: str
    stages: tuple[tuple[Stage, datetime], ...]
    amount_ntd: int | None
    international: bool

    def stage_at(self, moment: datetime) -> Stage | None:
        """Return the stage at a moment, None before the case was opened."""
        return next((stage for stage, at in reversed(self.stages) if at <= moment), None)

    def entered(self, stage: Stage) -> datetime | None:
        """Return when the case came to a stage, None if it never did."""
        return next((at for reached, at in self.stages if reached is stage), None)

    def left(self, stage: Stage) -> datetime | None:
        """Return when the case went on from a stage, None if it never came to it or still stands in it."""
        following = zip(self.stages, self.stages[1:], strict=False)
        return next((at for (reached, _), (_, at) in following if reached is stage), None)


def case_histories(session: Session, *, as_of: datetime, similar_cases_needed: int) -> list[CaseHistory]:
    """Return all cases that were opened by a moment and not undone, as they stood then.

    A case is worth its need's budget; without one the median of recognised money of cases whose needs share a field,
    if there are enough of them.
    """
    query = (
        select(Case, Need.budget_ntd, Need.fields, Company.country)
        .join(Need, col(Need.id) == col(Case.need_id))
        .join(Company, col(Company.id) == col(Case.company_id), isouter=True)
        .where(col(Case.opened_at) <= as_of)
        .order_by(col(Case.id))
    )
    rows = session.execute(query).all()
    steps = _steps(session, as_of)
    fields = {case.id: frozenset(said or ()) for case, _, said, _ in rows}
    known = _recognised_money(session, as_of)
    histories = []
    for case, budget, said, country in rows:
        stages = ((Stage.ACCEPTED, case.opened_at), *steps.get(case.id, ()))
        if stages[-1][0] is Stage.UNDONE:
            continue
        amount = budget or _typical(frozenset(said or ()), known, fields, similar_cases_needed)
        abroad = country is not None and country != _HOME_COUNTRY
        histories.append(CaseHistory(case.id, case.alliance_id, stages, amount, abroad))
    return histories


def _steps(session: Session, as_of: datetime) -> dict[int, list[tuple[Stage, datetime]]]:
    query = select(CaseStep.case_id, CaseStep.new, CaseStep.at).where(col(CaseStep.at) <= as_of)
    found: defaultdict[int, list[tuple[Stage, datetime]]] = defaultdict(list)
    for case_id, new, at in session.execute(query.order_by(col(CaseStep.case_id), col(CaseStep.version))).all():
        found[case_id].append((Stage(new), at))
    return found


def _recognised_money(session: Session, as_of: datetime) -> dict[int, int]:
    """Return what was recognised of each case's money, in NTD."""
    query = (
        select(Entry.case_id, Entry.kind, Entry.amount)
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .where(Step.state == State.RECOGNISED.value, col(Step.at) <= as_of)
        .where(Entry.kpi == Kpi.MONEY.value, col(Entry.case_id).is_not(None))
    )
    sums: defaultdict[int, int] = defaultdict(int)
    for case_id, kind, amount in session.execute(query).all():
        sums[case_id] += -amount if kind == EntryKind.REVERSAL else amount
    return {case_id: amount for case_id, amount in sums.items() if amount > 0}


def _typical(
    said: frozenset[str], known: Mapping[int, int], fields: Mapping[int | None, frozenset[str]], needed: int
) -> int | None:
    return _median([amount for case_id, amount in known.items() if said & fields.get(case_id, frozenset())], needed)


def _median(amounts: Iterable[int], needed: int) -> int | None:
    found: Sequence[int] = list(amounts)
    return round(median(found)) if len(found) >= max(1, needed) else None


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
    still_open = _open_at(histories, as_of)
    stages = [stage for _, stage in still_open]
    weights_of = _worth([history for history, _ in still_open], rules)
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


def _open_at(histories: Sequence[CaseHistory], moment: datetime) -> list[tuple[CaseHistory, Stage]]:
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


def _worth(histories: Sequence[CaseHistory], rules: ForecastRules) -> dict[Measure, np.ndarray]:
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
        still_open = _open_at(known, moment)
        came = [h.stage_at(moment + horizon) is Stage.SIGNED for h, _ in still_open]
        for measure, weights in _worth([h for h, _ in still_open], rules).items():
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
