"""A figure's card: its actual, every book's target beside it, its pace, and what may still come, drawn and in words.

In: what the API says of a figure and of its targets. Out: values for a template
and two drawings. It exists apart from the page so that what is an actual and
what is not stands in one place: a bar is an actual, nothing else is.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import Any

import orjson
from markupsafe import Markup

from api.dashboard_charts import range_chart, year_chart
from api.pages.drawing import drawn
from api.pages.figure_views import View, amount_words, chart_scale, kpi_words, year_words
from api.pages.wording import N_, Lang
from matcher.ledger.periods import roc_year
from matcher.ledger.targets import BASIS_LABELS, TargetBasis

_CHIPS = {"reached": "good", "open": "warn", "disputed": "warn"}
_SIGNS = {"reached": "✓", "open": "△", "disputed": "⚖"}
_Document = dict[str, Any]


def card_of(
    view: View, plan: _Document, year: int | None, every: _Document, of_year: _Document, restated: _Document
) -> _Document:
    """Return a figure's card.

    Args:
        view: whose figure it is, as of when.
        plan: the figure's targets, of all years.
        year: the year that is shown; None is the whole programme.
        every: the figure by year.
        of_year: the figure of the shown year.
        restated: the same by the days that results are about.
    """
    years = [one["year"] for one in plan["years"] if one["year"] is not None]
    in_year = {one["year"]: one["actual"]["amount"] for one in every["years"]}
    annual = [in_year.get(one, 0) for one in years]
    up_to = dict(zip(years, accumulate(annual), strict=True))
    shown = next(one for one in plan["years"] if one["year"] == year)
    actual = of_year["total"]["actual"]["amount"]
    by_day = restated["total"]["actual"]["amount"]
    rows = [_row(view, one, in_year, up_to, annual) for one in plan["years"]]
    return {
        "kpi": plan["kpi"],
        "unit": plan["unit"],
        "actual": actual,
        "up_to": sum(annual) if year is None else up_to[year],
        "restated": None if by_day == actual else by_day,
        "shown": shown,
        "chip": _CHIPS.get(shown["standing"] or "", ""),
        "sign": _SIGNS.get(shown["standing"] or "", ""),
        "disputes": plan["disputes"] if shown["disputed"] or shown["standing"] == "disputed" else [],
        "beside": {
            "committed": of_year["total"]["committed"]["amount"],
            "after_programme": every["total"]["after_programme"]["amount"],
            "in_review": of_year["total"]["in_review"]["amount"],
        },
        "forecast": plan["forecast"],
        "rows": rows,
        "books": list(dict.fromkeys(book["book"] for one in plan["years"] for book in one["books"])),
        "drawing": _drawing(view, plan, years, annual, up_to),
        "forecast_drawing": _forecast_drawing(view, plan),
    }


def _row(
    view: View, one: _Document, in_year: dict[int, float], up_to: dict[int, float], annual: list[float]
) -> _Document:
    """Return a line of the table: a year that has not begun has targets only."""
    year = one["year"]
    begun = year is None or year <= view.as_of.year
    return {
        **one,
        "in_year": in_year.get(year, 0) if begun and year is not None else None,
        "up_to": (sum(annual) if year is None else up_to[year]) if begun else None,
    }


def _drawing(
    view: View, plan: _Document, years: list[int], annual: list[float], up_to: dict[int, float]
) -> Markup | None:
    """Return the figure by year; None where there is nothing to draw."""
    wording = view.wording
    scale, unit = chart_scale(wording, plan["unit"])
    pace = wording.text(N_("pace (expected by now)"))
    bases = {book["basis"] for one in plan["years"] if one["year"] for book in one["books"]} or {"cumulative"}
    panels = []
    for basis in (TargetBasis.ANNUAL, TargetBasis.CUMULATIVE):
        if basis.value not in bases:
            continue
        amounts = annual if basis is TargetBasis.ANNUAL else [up_to[year] for year in years]
        title = f"{wording.text(BASIS_LABELS[basis])} ({unit})"
        bars = [
            _point(view, plan, year, amount, scale, wording.text(N_("actual")))
            for year, amount in zip(years, amounts, strict=True)
            if year <= view.as_of.year
        ]
        panels.append((title, bars, _marks(view, plan, basis, scale, pace)))
    if not any(marks or any(bar["amount"] for bar in bars) for _, bars, marks in panels):
        return None
    label = kpi_words(wording, plan["kpi"])
    said = wording.text(
        N_("Bars are actuals; marks are the targets of each book and the pace. The table below says the same.")
    )
    name = f"chart-{plan['kpi'].lower().replace('_', '-')}"
    return _year_drawing(orjson.dumps((panels, pace)), name, label, said)


@lru_cache(maxsize=256)
def _year_drawing(shown: bytes, name: str, title: str, description: str) -> Markup:
    """Return a drawing; the same again costs nothing, for to state a chart takes longer than to draw it."""
    panels, pace = orjson.loads(shown)
    return drawn(year_chart(panels, pace), name=name, title=title, description=description)


def _marks(view: View, plan: _Document, basis: TargetBasis, scale: int, pace: str) -> list[_Document]:
    """Return the targets of one way to count, and their pace where it is less than the whole target."""
    found: dict[tuple[int, str], _Document] = {}
    for one in plan["years"]:
        for book in one["books"]:
            if one["year"] is None or book["basis"] != basis.value:
                continue
            title = view.wording.plain(book["title"]["zh"], book["title"]["en"])
            mark = _point(view, plan, one["year"], book["target"], scale, title)
            found[one["year"], title] = {**mark, "mark": title}
            if book["expected"] not in (None, book["target"]):
                mark = _point(view, plan, one["year"], book["expected"], scale, pace)
                found[one["year"], pace] = {**mark, "mark": pace}
    return list(found.values())


def _point(view: View, plan: _Document, year: int, amount: float, scale: int, what: str) -> _Document:
    label = str(year) if view.wording.lang is Lang.EN else str(roc_year(year))
    said = amount_words(view.wording, amount, plan["unit"])
    return {
        "year": label,
        "amount": amount / scale,
        "words": f"{year_words(view.wording, year)} · {what} · {said}",
    }


def _forecast_drawing(view: View, plan: _Document) -> Markup | None:
    found = plan["forecast"]
    if found is None:
        return None
    scale, unit = chart_scale(view.wording, plan["unit"])
    amounts = {name: found[name] for name in ("low", "expected", "high")}
    words = " – ".join(amount_words(view.wording, amount, plan["unit"]) for amount in amounts.values())
    chart = range_chart(**{name: amount / scale for name, amount in amounts.items()}, unit=unit, words=words)
    title = view.wording.text(N_("Forecast to the end of the year, on top of what is counted"))
    return drawn(chart, name=f"forecast-{plan['kpi'].lower()}", title=title, description=words)
