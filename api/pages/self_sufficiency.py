"""Self-sufficiency: an alliance's statement, its own income against what is required, and what if.

In: an alliance, a subsidy year, and assumptions that a person changes. Out: the
statement with the rows behind it, the curve of own income, and the curve as it
would be under the assumptions; the address holds them, so a simulation can be
passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response
from markupsafe import Markup

from api.dashboard_charts import money_chart, own_share_chart
from api.pages.drawing import drawn
from api.pages.figure_views import View, view_of, year_words
from api.pages.kpi import DAY, ID, common, reports_of
from api.pages.visiting import Visit, visiting
from api.pages.wording import N_, Lang
from api.policy import Action, Resource
from api.problems import ProblemError, Refusal
from api.request_threads import ThreadedRoute
from api.routes.sufficiency import read_simulation, read_sufficiency
from indexer.wording import T_
from matcher.ledger.entries import WHOLE_BP
from matcher.ledger.periods import common_year, roc_year, subsidy_year
from matcher.ledger.simulation import MAX_FEE_NTD, MAX_GROWTH_BP, MAX_NEW_MEMBERS, MAX_SIMULATED_YEARS, Assumptions

router = APIRouter(prefix="/sufficiency", include_in_schema=False, route_class=ThreadedRoute)

_Document = dict[str, Any]
_BP_OF_PERCENT = 100
_MILLION = 1_000_000


@dataclass(frozen=True)
class Dial:
    """One assumption: its name in the address, its words, its bounds, and by what it is multiplied for the API."""

    name: str
    field: str
    words: str
    least: int
    most: int
    times: int = 1


_GROWN = (-WHOLE_BP // _BP_OF_PERCENT, MAX_GROWTH_BP // _BP_OF_PERCENT, _BP_OF_PERCENT)
DIALS = (
    Dial("fees", "fees_growth_bp", N_("Member fees grow a year, in percent"), *_GROWN),
    Dial("members", "new_members", N_("New members a year"), 0, MAX_NEW_MEMBERS),
    Dial("fee", "fee_ntd", N_("Yearly fee of a new member (NT$)"), 0, MAX_FEE_NTD),
    Dial("overhead", "overhead_growth_bp", N_("Overhead from cooperation grows a year, in percent"), *_GROWN),
    Dial("other", "other_growth_bp", N_("Other income grows a year, in percent"), *_GROWN),
    Dial("expenses", "expenses_growth_bp", N_("Expenses grow a year, in percent"), *_GROWN),
    Dial("subsidy", "subsidy_change_bp", N_("Subsidy's share beside the path (percentage points)"), -100, 100, 100),
    Dial("years", "years", N_("How many years"), 1, MAX_SIMULATED_YEARS),
)
"""What a person can change."""
Typed = Annotated[str, Query(max_length=20)]


async def _typed(
    fees: Typed = "",
    members: Typed = "",
    fee: Typed = "",
    overhead: Typed = "",
    other: Typed = "",
    expenses: Typed = "",
    subsidy: Typed = "",
    years: Typed = "",
) -> dict[str, str]:
    return {
        "fees": fees,
        "members": members,
        "fee": fee,
        "overhead": overhead,
        "other": other,
        "expenses": expenses,
        "subsidy": subsidy,
        "years": years,
    }


@router.get("")
def show_sufficiency(
    visit: Annotated[Visit, Depends(visiting(Resource.SUFFICIENCY, Action.READ))],
    typed: Annotated[dict[str, str], Depends(_typed)],
    as_of: DAY = "",
    year: DAY = "",
    alliance: ID = "",
) -> Response:
    """Show an alliance's self-sufficiency, or only the simulation where that is asked for by htmx."""
    view = view_of(visit, Resource.SUFFICIENCY, as_of, alliance, one_alliance=True)
    if view.alliance is None:
        return visit.show("sufficiency_none.html")
    running = subsidy_year(view.as_of)
    asked: _Document = {"alliance_id": view.alliance, "as_of": view.as_of}
    every = visit.document(read_sufficiency, **asked, year=running)
    past = [one for one in every["years"] if one["own_income_ntd"] or one["share"] is not None]
    chosen = _chosen(year, past[-1]["year"] if past else running)
    booked = every if chosen == running else visit.document(read_sufficiency, **asked, year=chosen)
    refused = visit.attempt(lambda: _simulated(visit, view, typed))
    simulation = None if isinstance(refused, Refusal) else refused
    known = {one["year"] for one in every["years"]} | {chosen}
    context: _Document = {
        **common(view),
        "booked": booked,
        "years": sorted(known, reverse=True),
        "past": past,
        "year": chosen,
        "simulation": simulation,
        "refused": refused if isinstance(refused, Refusal) else None,
        "dials": DIALS,
        "typed": typed,
        "curve": _curve(view, past, simulation),
        "money": None if simulation is None else _money(view, simulation),
        "reports": reports_of(visit, view),
        "income": [one for one in booked["items"] if one["item"] in ("member_fees", "overhead", "other_income")],
        "spent": [one for one in booked["items"] if one["item"] in ("personnel", "operation", "other_expense")],
    }
    status = context["refused"].status if context["refused"] else 200
    return visit.show("sufficiency_simulation.html" if visit.by_htmx else "sufficiency.html", status, **context)


def _chosen(text: str, otherwise: int) -> int:
    if not text:
        return otherwise
    if not text.isdecimal() or len(text) > 4:
        raise ProblemError(422, "invalid", T_("give a subsidy year such as 109 or 2020"), "year")
    return common_year(int(text))


def _simulated(visit: Visit, view: View, typed: dict[str, str]) -> _Document:
    assumed = Assumptions(**{dial.field: _number(dial, typed[dial.name]) for dial in DIALS if typed[dial.name]})
    found: _Document = visit.document(read_simulation, alliance_id=view.alliance, assumed=assumed, as_of=view.as_of)
    return found


def _number(dial: Dial, text: str) -> int:
    """Return what somebody typed, in the API's unit.

    Raises:
        ProblemError: 422, it is no number within the bounds.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not dial.least <= value <= dial.most:
        raise ProblemError(
            422,
            "invalid",
            T_("give a number from %(least)s to %(most)s", least=f"{dial.least:,}", most=f"{dial.most:,}"),
            dial.name,
        )
    return round(value * dial.times)


def _curve(view: View, past: list[_Document], simulation: _Document | None) -> Markup:
    begin = None if simulation is None else simulation["years"][0]["year"]
    rows = [_share_row(view, one, simulated=False) for one in past if begin is None or one["year"] < begin]
    rows += [_share_row(view, one, simulated=True) for one in (simulation or {"years": []})["years"]]
    title = view.wording.text(N_("Own income's share of the expenses, and the share that is required"))
    said = view.wording.text(
        N_("Bars with a full edge are booked, with a dashed edge simulated. The tables beside say the same.")
    )
    return _share_drawing(orjson.dumps(rows), view.wording.lang.value, title, said)


@lru_cache(maxsize=128)
def _share_drawing(rows: bytes, lang: str, title: str, said: str) -> Markup:
    return drawn(own_share_chart(orjson.loads(rows), lang), name="chart-shares", title=title, description=said)


def _share_row(view: View, one: _Document, *, simulated: bool) -> _Document:
    wording = view.wording
    share, required = one["share"], one["required"]
    said = "—" if share is None else wording.percent(share, 1)
    needed = "—" if required is None else wording.percent(required, 1)
    what = wording.text(N_("simulated")) if simulated else wording.text(N_("booked"))
    return {
        "year": _axis(view, one["year"]),
        "share": share,
        "required": required,
        "simulated": simulated,
        "words": f"{year_words(wording, one['year'])} ({what}): {said} / {needed}",
    }


def _axis(view: View, year: int) -> str:
    return str(year) if view.wording.lang is Lang.EN else str(roc_year(year))


def _money(view: View, simulation: _Document) -> Markup:
    wording = view.wording
    kinds = (
        ("fees_ntd", N_("member fees")),
        ("overhead_ntd", N_("overhead from cooperation")),
        ("other_ntd", N_("other income")),
        ("subsidy_ntd", N_("subsidy allowed")),
        ("expenses_ntd", N_("expenses")),
    )
    rows = [
        {
            "year": _axis(view, one["year"]),
            "what": wording.text(words),
            "amount": one[field] / _MILLION,
            "order": order,
            "is_expense": field == "expenses_ntd",
            "words": f"{year_words(wording, one['year'])} · {wording.text(words)} · {wording.money(one[field])}",
        }
        for one in simulation["years"]
        for order, (field, words) in enumerate(kinds)
    ]
    title = wording.text(N_("Simulated income and expenses"))
    return _money_drawing(orjson.dumps(rows), wording.text(N_("NT$ million")), wording.lang.value, title)


@lru_cache(maxsize=128)
def _money_drawing(rows: bytes, unit: str, lang: str, title: str) -> Markup:
    return drawn(money_chart(orjson.loads(rows), unit, lang), name="chart-money", title=title)
