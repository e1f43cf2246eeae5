"""The dashboard: every figure against every target of the plan, and what stands beside the actuals.

In: a day, a year, and the programme or an alliance. Out: a card for each figure
with its actual, the targets of all books, its pace and what may still come, each
apart from the other, and every amount leading on to the entries behind it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.pages.figure_cards import card_of
from api.pages.figure_views import (
    ALL_YEARS,
    View,
    amount_words,
    kpi_words,
    unit_words,
    view_of,
    year_of_text,
    year_words,
)
from api.pages.visiting import Visit, visiting
from api.pages.wording import Lang
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from api.routes.figures import read_figures
from api.routes.reports import list_reports
from api.routes.targets import read_targets
from matcher.ledger.figures import YearBasis

router = APIRouter(prefix="/kpi", include_in_schema=False, route_class=ThreadedRoute)

DAY = Annotated[str, Query(max_length=20)]
ID = Annotated[str, Query(max_length=200)]
PROGRAMME_REPORTS = ("b003", "kpi")
"""Reports that are about the whole programme only."""


@router.get("")
def show_dashboard(
    visit: Annotated[Visit, Depends(visiting(Resource.REPORT, Action.READ))],
    as_of: DAY = "",
    year: DAY = "",
    alliance: ID = "",
) -> Response:
    """Show the dashboard."""
    view = view_of(visit, Resource.FIGURE, as_of, alliance)
    asked: dict[str, Any] = {"as_of": view.as_of, "alliance": view.alliance}
    plan = visit.document(read_targets, **asked)
    chosen = year_of_text(year, plan["years"], view.as_of)
    every = visit.document(read_figures, **asked, year=None, basis=YearBasis.COUNTED)
    of_year = every if chosen is None else visit.document(read_figures, **asked, year=chosen, basis=YearBasis.COUNTED)
    restated = visit.document(read_figures, **asked, year=chosen, basis=YearBasis.OCCURRED)
    by_kpi = [{one["kpi"]: one for one in found["figures"]} for found in (every, of_year, restated)]
    cards = [card_of(view, figure, chosen, *(found[figure["kpi"]] for found in by_kpi)) for figure in plan["figures"]]
    return visit.show(
        "kpi.html",
        **common(view),
        years=plan["years"],
        year=chosen,
        year_value=ALL_YEARS if chosen is None else chosen,
        quarter=plan["quarter"],
        cards=cards,
        shares=_shares(view, of_year) if view.alliance is None else [],
        unreviewed=[one for one in of_year["figures"] if one["kpi"] not in {card["kpi"] for card in cards}],
        reports=reports_of(visit, view),
        ALL_YEARS=ALL_YEARS,
    )


def common(view: View) -> dict[str, Any]:
    """Return what templates of figures need to word amounts and years."""
    wording = view.wording
    return {
        "view": view,
        "amount": lambda value, unit: amount_words(wording, value, unit),
        "unit": lambda unit: unit_words(wording, unit),
        "of_year": lambda year: year_words(wording, year),
        "called": lambda kpi: kpi_words(wording, kpi),
        "report_lang": "zh" if wording.lang is Lang.ZH else "en",
    }


def _shares(view: View, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for each alliance its part in each figure."""
    rows = []
    for alliance, name in view.alliances:
        parts = {
            figure["kpi"]: next(
                (one["actual"]["amount"] for one in figure["by_alliance"] if one["alliance"] == alliance), 0
            )
            for figure in found["figures"]
        }
        rows.append({"alliance": alliance, "name": name, "parts": parts})
    return rows


def reports_of(visit: Visit, view: View) -> dict[str, Any]:
    """Return the reports that can be made of what the page is about, and their formats."""
    found: dict[str, Any] = visit.document(list_reports)
    whole = view.may_see_all and view.alliance is None
    items = [one for one in found["items"] if whole or one["name"] not in PROGRAMME_REPORTS]
    return {"items": items, "formats": found["formats"]}
