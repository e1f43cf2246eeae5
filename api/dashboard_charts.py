"""Charts of the dashboard: figures by year, what may still come, own income as it was and as it might become.

In: rows of plain values, as the API's documents have them. Out: Altair charts
in one language, small enough for a card. It exists apart from `charts` because
a card is no notebook: its marks are told apart by shape as well as by colour,
and each says in words what it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from api.charts import ACCENT, BAR, FOCUS, INK, INK_SOFT, SERIES, Chart, worded
from indexer.wording import T_

_WIDTH, _HEIGHT = 250, 110
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
        _panel(
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


def _panel(title: str, bars: Sequence[Row], marks: Sequence[Row], color: alt.Color, shape: alt.Shape) -> Chart:
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
        width=_WIDTH, height=_HEIGHT, title=alt.TitleParams(title, fontSize=12)
    )
    return layered


def range_chart(expected: float, low: float, high: float, unit: str, words: str) -> Chart:
    """Return what a forecast expects as a point and its interval as a dashed line, on an axis of its own."""
    base = alt.Chart(alt.Data(values=[{"expected": expected, "low": low, "high": high, "words": words}]))
    axis = alt.X("low:Q", title=unit, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4))
    interval = base.mark_rule(strokeDash=[5, 4], strokeWidth=2, color=FOCUS).encode(x=axis, x2="high:Q")
    point = base.mark_point(filled=True, size=80, color=FOCUS, opacity=1).encode(x="expected:Q", description="words:N")
    layered: Chart = alt.layer(interval, point).properties(width=_WIDTH, height=26)
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
