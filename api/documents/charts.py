"""Charts, as Vega-Lite specifications: the ledger's figures in notebooks and on cards.

In: what the ledger knows of the programme (targets and actuals, a forecast, a backtest, shares of own income), or
rows of plain values as the API's documents have them. Out: Altair charts, in the house's colours. It exists so that
notebooks and pages show the same charts; nothing is computed here.

A forecast is always a chart of its own beside the actuals, never a part of their bars. Notebooks have both
languages in a chart, a page has its reader's. Marks of cards are told apart by shape as well as by colour, and each
says in words what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import altair as alt

from indexer.wording import P_, T_, Text, either
from matcher.ledger.figures.forecast import Backtest, Forecast, Measure
from matcher.ledger.reports.target_standings import UNIT_LABELS, Programme
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.periods import roc_year
from matcher.ledger.rules.targets import BASIS_LABELS, TargetBasis

INK, INK_SOFT, LINE, ACCENT, GOOD, WARN, BAD, FOCUS = (
    "#16242e",
    "#4a5b66",
    "#b9c5cd",
    "#0b4f6c",
    "#14613a",
    "#7a4a00",
    "#9b1c1c",
    "#b4460b",
)
"""The colours of the pages (`api/static/shell.css`)."""
BAR, GRID = "#6f9db3", "#e3e9ed"
_MARK, _DOT = FOCUS, INK
SERIES = [FOCUS, ACCENT, GOOD, "#6b3fa0", WARN, INK_SOFT]
_FONT = "Noto Sans TC, Noto Sans CJK TC, PingFang TC, Microsoft JhengHei, sans-serif"
_QUIET = {"labelColor": INK_SOFT, "titleColor": INK_SOFT, "labelFontSize": 12, "titleFontSize": 12}
_WIDTH, _HEIGHT = 260, 220


@alt.theme.register("gloria", enable=True)
def house_theme() -> alt.theme.ThemeConfig:
    """Return how charts look: the pages' font and colours, on whatever lies behind them."""
    config: Any = {
        "background": "transparent",
        "font": _FONT,
        "axis": {**_QUIET, "domainColor": LINE, "tickColor": LINE, "gridColor": GRID, "labelLimit": 240},
        "legend": {**_QUIET, "labelLimit": 320, "orient": "bottom", "direction": "vertical"},
        "title": {
            "color": INK,
            "fontSize": 14,
            "fontWeight": "bold",
            "anchor": "start",
            "subtitleColor": INK_SOFT,
            "subtitleFontSize": 12,
        },
        "range": {"category": SERIES},
        "view": {"stroke": None},
    }
    return alt.theme.ThemeConfig(config=config)


Chart: TypeAlias = alt.LayerChart | alt.FacetChart
"""What layers become once they have a size and a title."""

_MEASURE_TITLES = {
    Measure.MONEY: T_("forecast, more NTD"),
    Measure.SIGNED_CASES: T_("forecast, more signed cases"),
    Measure.INTERNATIONAL_CASES: T_("forecast, more international cases"),
}


def worded(text: Text, lang: str | None) -> str:
    """Return a text of a chart in one language, `en` or any tag of Chinese, or in both (None)."""
    if lang is None:
        return f"{text.zh} · {text.en}"
    return text.en if lang == "en" else text.zh


def targets_chart(shown: Programme, kpi: Kpi, lang: str | None = None) -> alt.HConcatChart:
    """Return actuals as bars and every book's targets as marks, by year, one panel for each way to count.

    Years that have not begun have targets only.
    """
    facts = KPI_FACTS[kpi]
    unit = UNIT_LABELS[facts.unit]
    panels = [_panel(shown, kpi, basis, lang) for basis in (TargetBasis.ANNUAL, TargetBasis.CUMULATIVE)]
    title = worded(T_("%(label)s (%(unit)s)", label=facts.label, unit=unit), lang)
    joined: alt.HConcatChart = alt.hconcat(*panels, title=title)
    return joined


def _panel(shown: Programme, kpi: Kpi, basis: TargetBasis, lang: str | None) -> Chart:
    actuals, targets = _points(shown, kpi, basis, lang)
    year = alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(domain=_years(shown)))
    bars = (
        alt.Chart(alt.Data(values=actuals))
        .mark_bar(color=BAR, size=28)
        .encode(x=year, y=alt.Y("amount:Q", title=None), tooltip=["year:O", "amount:Q"])
    )
    marks = (
        alt.Chart(alt.Data(values=targets))
        .mark_tick(thickness=3, size=40)
        .encode(
            x=year,
            y="amount:Q",
            color=alt.Color("book:N", title=worded(P_("charts", "target"), lang)),
            tooltip=["year:O", "book:N", "amount:Q"],
        )
    )
    return alt.layer(bars, marks).properties(width=_WIDTH, height=_HEIGHT, title=worded(BASIS_LABELS[basis], lang))


def _years(shown: Programme) -> list[str]:
    return [str(roc_year(year)) for year in shown.years]


def _points(
    shown: Programme, kpi: Kpi, basis: TargetBasis, lang: str | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    actuals, targets = [], []
    for year in shown.years:
        label = str(roc_year(year))
        if year <= shown.as_of.year:
            years = [year] if basis is TargetBasis.ANNUAL else shown.until(year)
            actuals.append({"year": label, "amount": shown.amount(kpi, years)})
        for book, target in shown.books.targets(kpi, year):
            if target.basis is basis:
                title = worded(either(book.title_zh, book.title_en), lang)
                targets.append({"year": label, "amount": target.amount, "book": title})
    return actuals, targets


def forecast_chart(ahead: Forecast, measure: Measure, lang: str | None = None) -> Chart:
    """Return a forecast's expected amount as a dot and its interval as a line; actuals are no part of it."""
    found = ahead.ranges[measure]
    label = f"{ahead.as_of.date()} → {ahead.until.date()}"
    point = {"label": label, "expected": found.expected, "low": found.low, "high": found.high}
    base = alt.Chart(alt.Data(values=[point])).encode(x=alt.X("label:N", title=None, axis=alt.Axis(labelAngle=0)))
    interval = base.mark_rule(strokeDash=[6, 4], strokeWidth=2, color=_MARK).encode(
        y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=True)), y2="high:Q"
    )
    dot = base.mark_point(filled=True, size=90, color=_MARK).encode(
        y="expected:Q", tooltip=["expected:Q", "low:Q", "high:Q"]
    )
    basis = T_(
        "%(interval)s interval, from %(open_cases)s open cases, no part of actuals",
        interval=f"{ahead.interval:.0%}",
        open_cases=ahead.open_cases,
    )
    subtitle = worded(either(basis.zh, "interval, no part of actuals") if lang is None else basis, lang)
    title = alt.TitleParams(worded(_MEASURE_TITLES[measure], lang), subtitle=subtitle)
    return alt.layer(interval, dot).properties(width=_WIDTH, height=_HEIGHT, title=title)


def backtest_chart(tested: Backtest, measure: Measure, lang: str | None = None) -> Chart:
    """Return past forecasts' intervals as lines and what came as dots."""
    values = [
        {
            "day": row.as_of.date().isoformat(),
            "expected": row.forecast.expected,
            "low": row.forecast.low,
            "high": row.forecast.high,
            "came": row.came,
        }
        for row in tested.rows
        if row.measure is measure
    ]
    base = alt.Chart(alt.Data(values=values)).encode(x=alt.X("day:T", title=None))
    interval = base.mark_rule(strokeDash=[6, 4], color=_MARK).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
    said = base.mark_tick(color=_MARK, size=12, thickness=2).encode(y="expected:Q")
    came = base.mark_point(filled=True, color=_DOT).encode(y="came:Q", tooltip=["day:T", "expected:Q", "came:Q"])
    title = worded(T_("past forecasts (lines) and what came (dots)"), lang)
    return alt.layer(interval, said, came).properties(width=2 * _WIDTH, height=_HEIGHT, title=title)


def own_income_chart(points: Sequence[tuple[int, float, float]], lang: str | None = None) -> Chart:
    """Return the share of own income by year as bars and the required share as marks.

    Args:
        points: for each year of the common era the share and the required share, both from 0 to 1.
        lang: the language of the title; both if None.
    """
    values = [{"year": str(roc_year(year)), "share": share, "required": required} for year, share, required in points]
    base = alt.Chart(alt.Data(values=values)).encode(x=alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0)))
    share = alt.Y("share:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    bars = base.mark_bar(color=BAR, size=28).encode(y=share, tooltip=["year:O", "share:Q", "required:Q"])
    marks = base.mark_tick(color=_MARK, thickness=3, size=40).encode(y="required:Q")
    title = worded(T_("own-income share (bars) and required share (marks)"), lang)
    return alt.layer(bars, marks).properties(width=_WIDTH, height=_HEIGHT, title=title)


_CARD_WIDTH, _CARD_HEIGHT = 250, 110
_WIDE = 330
_SHAPES = ["diamond", "triangle-down", "square", "triangle-up", "cross"]
_PACE_SHAPE, _PACE_COLOR = "stroke", INK_SOFT
_NOTHING = [{"year": None, "amount": None, "mark": None, "words": ""}]

Row = dict[str, Any]


def year_chart(panels: Sequence[tuple[str, Sequence[Row], Sequence[Row]]], pace: str) -> alt.VConcatChart:
    """Return a figure by year: actuals as bars, every book's target and the pace as marks of their own shapes.

    Args:
        panels: for each way to count its title, the bars and the marks. A bar has `year`, `amount`, `words`; a mark
            has `mark` besides, what the legend calls it.
        pace: what the legend calls the pace.
    """
    called = list(dict.fromkeys(mark["mark"] for _, _, marks in panels for mark in marks if mark["mark"] != pace))
    said = [*called, pace] if any(mark["mark"] == pace for _, _, marks in panels for mark in marks) else called
    shapes = [*_SHAPES[: len(called)], _PACE_SHAPE][: len(said)]
    colors = [*SERIES[: len(called)], _PACE_COLOR][: len(said)]
    # A legend without a line would be infinitely wide.
    legend = alt.Legend(title=None, symbolSize=90, symbolStrokeWidth=2) if said else None
    drawn = [
        _card_panel(
            title,
            bars,
            marks,
            alt.Color("mark:N", legend=legend, scale=alt.Scale(domain=said, range=colors)),
            alt.Shape("mark:N", legend=legend, scale=alt.Scale(domain=said, range=shapes)),
        )
        for title, bars, marks in panels
    ]
    joined: alt.VConcatChart = alt.vconcat(*drawn, spacing=10)
    return joined


def _card_panel(title: str, bars: Sequence[Row], marks: Sequence[Row], color: alt.Color, shape: alt.Shape) -> Chart:
    years = list(dict.fromkeys(row["year"] for row in (*bars, *marks)))
    year = alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0, ticks=False), scale=alt.Scale(domain=years))
    amount = alt.Y("amount:Q", title=None, axis=alt.Axis(tickCount=4, domain=False, ticks=False))
    reached = (
        alt.Chart(alt.Data(values=list(bars) or _NOTHING))
        .mark_bar(color=BAR, size=24)
        .encode(x=year, y=amount, description="words:N")
    )
    said = (
        alt.Chart(alt.Data(values=list(marks) or _NOTHING))
        .mark_point(filled=False, size=70, strokeWidth=2, opacity=1)
        .encode(x=year, y=amount, color=color, shape=shape, description="words:N")
    )
    layered: Chart = alt.layer(reached, said).properties(
        width=_CARD_WIDTH, height=_CARD_HEIGHT, title=alt.TitleParams(title, fontSize=12)
    )
    return layered


def range_chart(expected: float, low: float, high: float, unit: str, words: str) -> Chart:
    """Return what a forecast expects as a point and its interval as a dashed line, on an axis of its own."""
    base = alt.Chart(alt.Data(values=[{"expected": expected, "low": low, "high": high, "words": words}]))
    axis = alt.X("low:Q", title=unit, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4))
    interval = base.mark_rule(strokeDash=[5, 4], strokeWidth=2, color=FOCUS).encode(x=axis, x2="high:Q")
    point = base.mark_point(filled=True, size=80, color=FOCUS, opacity=1).encode(x="expected:Q", description="words:N")
    layered: Chart = alt.layer(interval, point).properties(width=_CARD_WIDTH, height=26)
    return layered


def own_share_chart(rows: Sequence[Row], lang: str) -> Chart:
    """Return own income's share of the expenses year by year, with the required share as a line.

    Args:
        rows: `year`, `share` and `required` from 0 to 1 or None, `simulated`, and `words`; in the order of years.
        lang: the language of the legend.
    """
    names = (
        worded(T_("own income of expenses, booked"), lang),
        worded(T_("own income of expenses, simulated"), lang),
        worded(T_("required share"), lang),
    )
    bars = [{**row, "what": names[1] if row["simulated"] else names[0]} for row in rows if row["share"] is not None]
    needed = [{**row, "what": names[2]} for row in rows if row["required"] is not None]
    year = alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(domain=[r["year"] for r in rows]))
    scale = alt.Scale(domain=list(names), range=[BAR, "#ffffff", FOCUS])
    color = alt.Color("what:N", title=None, scale=scale, legend=alt.Legend(symbolStrokeColor=ACCENT))
    percent = alt.Axis(format="%", title=None, tickCount=5)
    base = alt.Chart(alt.Data(values=bars or _NOTHING))
    shares = base.mark_bar(size=20, stroke=ACCENT, strokeWidth=1.5).encode(
        x=year,
        y=alt.Y("share:Q", axis=percent),
        color=color,
        strokeDash=alt.StrokeDash("what:N", scale=alt.Scale(domain=list(names), range=[[1, 0], [4, 3], [1, 0]])),
        description="words:N",
    )
    lines = alt.Chart(alt.Data(values=needed or _NOTHING))
    curve = lines.mark_line(color=FOCUS, strokeWidth=2, point=alt.OverlayMarkDef(color=FOCUS, size=40)).encode(
        x=year, y=alt.Y("required:Q", axis=percent)
    )
    layered: Chart = alt.layer(shares, curve).properties(width=_WIDE, height=200)
    return layered


def money_chart(rows: Sequence[Row], unit: str, lang: str) -> Chart:
    """Return income by kind, stacked, with the expenses as marks, year by year.

    Args:
        rows: `year`, `what` (one of the kinds), `amount`, `words`, and for expenses `is_expense`.
        unit: what the axis counts.
        lang: the language of the legend.
    """
    income = [row for row in rows if not row["is_expense"]]
    spent = [row for row in rows if row["is_expense"]]
    years = list(dict.fromkeys(row["year"] for row in rows))
    kinds = list(dict.fromkeys(row["what"] for row in income))
    year = alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(domain=years))
    color = alt.Color(
        "what:N",
        title=None,
        scale=alt.Scale(domain=kinds, range=[ACCENT, BAR, "#b8d3df", "#d9d9d9"][: len(kinds)]),
    )
    bars = (
        alt.Chart(alt.Data(values=income or _NOTHING))
        .mark_bar(size=22, stroke=INK_SOFT, strokeWidth=0.5)
        .encode(
            x=year, y=alt.Y("amount:Q", title=unit, stack="zero"), color=color, order="order:Q", description="words:N"
        )
    )
    marks = (
        alt.Chart(alt.Data(values=spent or _NOTHING))
        .mark_tick(thickness=3, size=30, color=INK)
        .encode(x=year, y="amount:Q", description="words:N")
    )
    subtitle = worded(T_("bars: income; marks: expenses"), lang)
    layered: Chart = alt.layer(bars, marks).properties(
        width=_WIDE, height=180, title=alt.TitleParams("", subtitle=subtitle)
    )
    return layered
