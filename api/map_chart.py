"""The map of the field as a picture: labs as circles, needs as diamonds, the unmet ones large with a strong outline.

In: points with a place, a field, how a need stands, words and an address. Out:
an Altair chart in one language. It exists apart from `charts` because it draws no
figure of the ledger. No field is told by its colour alone: every point carries
its field's first letter, and the legend says which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import altair as alt

from api.charts import ACCENT, BAD, GOOD, INK, INK_SOFT, WARN, Chart, worded
from indexer.vocabulary import ResearchField
from indexer.wording import T_, Text

_WIDTH, _HEIGHT = 860, 640
_MARGIN = 0.04
_HIT_PX2 = 460
"""The area that answers to the pointer: a circle of 24 pixels."""


class PointKind(StrEnum):
    """What a point stands for, the least conspicuous first."""

    LAB = "lab"
    OTHER = "other"
    MET = "met"
    THIN = "thin"
    UNMET = "unmet"


KIND_LABELS = {
    PointKind.LAB: T_("lab"),
    PointKind.OTHER: T_("need, standing not known"),
    PointKind.MET: T_("need with a strong lab"),
    PointKind.THIN: T_("need with a plausible lab at best"),
    PointKind.UNMET: T_("unmet need (large, white, strong outline)"),
}
"""What the kinds are called on screen, in Chinese and English."""
_SHAPES = ["circle", "diamond", "diamond", "diamond", "diamond"]
_SIZES = [150, 190, 190, 260, 520]
_OUTLINES = [1.0, 1.0, 1.0, 2.5, 4.5]
_UNSTATED = "-"
_FIELDS: dict[str, tuple[Text, str]] = {
    ResearchField.GENERAL: (T_("G general"), INK_SOFT),
    ResearchField.SEMICONDUCTORS: (T_("S semiconductors"), ACCENT),
    ResearchField.FINTECH: (T_("F fintech"), "#6b3fa0"),
    ResearchField.BIOMEDICAL: (T_("B biomedical"), BAD),
    ResearchField.AGRICULTURE: (T_("A new agriculture"), "#3f6212"),
    ResearchField.GREEN_ENERGY: (T_("E green energy"), GOOD),
    ResearchField.SMART_MANUFACTURING: (T_("M smart manufacturing"), WARN),
    _UNSTATED: (T_("? not stated"), INK),
}
"""For each field its letter or character with its name, and its colour, dark enough for white letters."""


@dataclass(frozen=True)
class MapPoint:
    """A lab or need as it is drawn: `words` is what the pointer reads, `href` where a click leads."""

    x: float
    y: float
    kind: PointKind
    field: str | None
    words: str
    href: str


def field_map_chart(points: Sequence[MapPoint], lang: str | None = None) -> Chart:
    """Return the map in one language, `en` or any tag of Chinese, or in both (None).

    Points that are drawn later lie on top: unmet needs cover what is under them.
    """
    order = list(PointKind)
    rows = [_row(point, lang) for point in sorted(points, key=lambda point: order.index(point.kind))]
    used_kinds = [kind for kind in order if any(point.kind is kind for point in points)]
    used_fields = [code for code in _FIELDS if any(_known(point.field) == code for point in points)]
    places = _places(points)
    base = alt.Chart(alt.Data(values=rows)).encode(**places)
    kinds = [worded(KIND_LABELS[kind], lang) for kind in used_kinds]
    at = [order.index(kind) for kind in used_kinds]
    what = alt.Legend(title=None, columns=1, symbolFillColor=INK_SOFT)
    marks = base.mark_point(filled=True, opacity=1).encode(
        stroke=alt.value(INK),
        fill=alt.condition(
            # White, so that it is seen among all colours.
            alt.datum.is_unmet,
            alt.value("#ffffff"),
            alt.Fill(
                "field:N",
                scale=alt.Scale(
                    domain=[_label(code, lang) for code in used_fields],
                    range=[_FIELDS[code][1] for code in used_fields],
                ),
                legend=alt.Legend(title=None, columns=2, symbolType="circle", symbolStrokeWidth=0),
            ),
        ),
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=[_SHAPES[i] for i in at]), legend=what),
        size=alt.Size(
            "kind:N", scale=alt.Scale(type="ordinal", domain=kinds, range=[_SIZES[i] for i in at]), legend=what
        ),
        strokeWidth=alt.StrokeWidth(
            "kind:N", scale=alt.Scale(type="ordinal", domain=kinds, range=[_OUTLINES[i] for i in at]), legend=what
        ),
    )
    letters = base.mark_text(fontSize=9, fontWeight="bold").encode(
        text="letter:N", color=alt.condition(alt.datum.is_unmet, alt.value(INK), alt.value("#ffffff"))
    )
    # On top, so that the letter is no hole in the link.
    links = base.mark_circle(opacity=0, size=_HIT_PX2).encode(description="words:N", href="href:N", tooltip="words:N")
    return alt.layer(marks, letters, links).properties(width=_WIDTH, height=_HEIGHT)


def _row(point: MapPoint, lang: str | None) -> dict[str, Any]:
    field, _ = _FIELDS[_known(point.field)]
    return {
        "x": point.x,
        "y": point.y,
        "kind": worded(KIND_LABELS[point.kind], lang),
        "field": _label(_known(point.field), lang),
        "is_unmet": point.kind is PointKind.UNMET,
        "letter": (field.en if lang == "en" else field.zh)[0],
        "words": point.words,
        "href": point.href,
    }


def _known(field: str | None) -> str:
    return field if field in _FIELDS else _UNSTATED


def _label(code: str, lang: str | None) -> str:
    field, _ = _FIELDS[code]
    return worded(field, lang)


def _places(points: Sequence[MapPoint]) -> dict[str, Any]:
    """Return the axes: one unit is as long in both directions, since only distances mean something."""
    xs, ys = [point.x for point in points] or [0.0], [point.y for point in points] or [0.0]
    middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    per_px = max((max(xs) - min(xs)) / _WIDTH, (max(ys) - min(ys)) / _HEIGHT, 1e-9) * (1 + 2 * _MARGIN)
    axes: dict[str, Any] = {}
    for name, at, length, axis in (("x", middle[0], _WIDTH, alt.X), ("y", middle[1], _HEIGHT, alt.Y)):
        half = per_px * length / 2
        scale = alt.Scale(domain=[at - half, at + half], nice=False, zero=False)
        axes[name] = axis(f"{name}:Q", axis=None, scale=scale)
    return axes
