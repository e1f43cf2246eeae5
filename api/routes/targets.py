"""The plan's targets beside what was reached, for the programme or one alliance.

In: a day and perhaps an alliance. Out: for each figure and year the targets of
every book with their actuals, what the pace expects, and where the plan
disagrees with itself; apart from those, what open cases may still bring.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.asking import Asking, asking
from api.figure_answers import TargetsAnswer
from api.filtering import chosen_alliances
from api.idempotency import Reply
from api.policy import Action, Resource
from api.problems import ProblemError
from api.request_threads import ThreadedRoute
from api.routes.entries import AllianceId
from api.routes.figures import AsOf
from api.standing_documents import label, units
from indexer.instants import day_in_taipei
from indexer.wording import T_, either
from matcher.ledger.forecast import Forecast, Measure, forecast
from matcher.ledger.kpis import KPI_FACTS, RECOGNISED_KPIS, Kpi
from matcher.ledger.periods import roc_year
from matcher.ledger.target_standings import BookStanding, TargetStandings, YearStanding, target_standings
from matcher.ledger.targets import BASIS_LABELS, STANDING_LABELS
from matcher.people import Principal

router = APIRouter(prefix="/api/kpi", tags=["figures"], route_class=ThreadedRoute)

MEASURES = {Kpi.MONEY: Measure.MONEY, Kpi.INTERNATIONAL_CASES: Measure.INTERNATIONAL_CASES}
"""What is forecast of which figure."""


@router.get("/targets", response_model=TargetsAnswer)
def read_targets(
    ask: Annotated[Asking, Depends(asking(Resource.FIGURE, Action.READ))],
    as_of: AsOf = None,
    alliance: AllianceId = None,
) -> Response:
    """Read every target of the plan, of all its books, beside its actual.

    Who sees single alliances only gets their own; with several of them, name one. An alliance has its share of each
    target, or the amount that was set for itself.
    """

    def work(session: Session, who: Principal) -> Reply:
        day = as_of or day_in_taipei(ask.at)
        about = chosen_alliances(session, who, ask.resource, ask.action, alliance)
        if about is not None and len(about) != 1:
            raise ProblemError(422, "invalid", T_("name one of your alliances"), "alliance")
        (chosen,) = (None,) if about is None else about
        found = target_standings(session, as_of=day, alliance=chosen)
        ahead = _ahead(session, found) if chosen is None else None
        return Reply(200, targets_document(found, ahead), {})

    return ask.read(work)


def _ahead(session: Session, found: TargetStandings) -> Forecast | None:
    """Return the forecast to the end of the running year, as long as days of it are left."""
    day = found.as_of
    return forecast(session, as_of=day) if day.year in found.years and day < date(day.year, 12, 31) else None


def targets_document(found: TargetStandings, ahead: Forecast | None) -> dict[str, Any]:
    """Return all figures against the plan."""
    return {
        "as_of": found.as_of.isoformat(),
        "alliance": found.alliance,
        "quarter": found.quarter,
        "years": list(found.years),
        "figures": [_figure(found, kpi, ahead) for kpi in RECOGNISED_KPIS],
    }


def _figure(found: TargetStandings, kpi: Kpi, ahead: Forecast | None) -> dict[str, Any]:
    facts = KPI_FACTS[kpi]
    return {
        "kpi": kpi.value,
        "label": label(facts.label),
        "unit": facts.unit.value,
        "years": [_year(one) for one in found.of(kpi)],
        "disputes": [label(either(one.zh, one.en)) for one in found.books.disputes if one.kpi is kpi],
        "forecast": _range(ahead, kpi),
    }


def _year(one: YearStanding) -> dict[str, Any]:
    return {
        "year": one.year,
        "roc_year": None if one.year is None else roc_year(one.year),
        "books": [_book(book) for book in one.books],
        "disputed": one.disputed,
        "standing": None if one.standing is None else one.standing.value,
        "standing_label": None if one.standing is None else label(STANDING_LABELS[one.standing]),
    }


def _book(one: BookStanding) -> dict[str, Any]:
    return {
        "book": one.book.code,
        "title": label(either(one.book.title_zh, one.book.title_en)),
        "basis": one.basis.value,
        "basis_label": label(BASIS_LABELS[one.basis]),
        "source": one.source,
        "own": one.own,
        "target": units(one.target_bp),
        "actual": units(one.actual_bp),
        "expected": None if one.expected_bp is None else units(one.expected_bp),
        "standing": one.standing.value,
    }


def _range(ahead: Forecast | None, kpi: Kpi) -> dict[str, Any] | None:
    measure = MEASURES.get(kpi)
    if ahead is None or measure is None:
        return None
    found = ahead.ranges[measure]
    return {
        "expected": round(found.expected, 2),
        "low": found.low,
        "high": found.high,
        "interval": ahead.interval,
        "open_cases": ahead.open_cases,
        "until": ahead.until.date().isoformat(),
    }
