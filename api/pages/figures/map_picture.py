"""The picture of the map: points with their shapes and colours, names of areas, and where each name has room.

In: points with a place, what they are and what is said of them, and areas with a name. Out: SVG for a page, which is
whole without a script: each point is a link with a title, colours are those of the style sheet by name. The script
(`field_map.js`) reads places, titles and names from it, and lays them out anew for the size of the screen and the zoom.

A point never hangs on colour alone: each carries its field's letter, needs are diamonds, those with plausible labs at
best have a ring, and those that nobody answers are large stars with an exclamation mark. Names are put where they
cover as few points as can be; no two overlap and none leaves the picture, so where there is no room one is left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from itertools import product

from markupsafe import Markup

from indexer.vocabulary import ResearchField
from indexer.wording import T_, Text

WIDTH, HEIGHT = 1200, 700
"""The picture in units of its own; a script stretches them to the screen."""
_MARGIN = 46
_STRETCH = 1.6
"""How much wider than high the same distance may be drawn, to fill the picture."""
_FONT, _SMALL, _LINE = 15.0, 12.0, 17.0
_AWAY = (0, -20, 20, -40, 40, -60, 60, -80, 80)
_ASIDE = (0, -35, 35, -70, 70, -105, 105, -140, 140)
_COVERING = 3
"""How much further aside a name goes rather than cover one more point."""
_LAND = 96
"""How wide the ground of a field is around each of its points."""


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
    PointKind.UNMET: T_("need that no lab answers"),
}
"""What the kinds are called on screen, in Chinese and English."""
UNSTATED = "-"
FIELDS: dict[str, tuple[str, Text]] = {
    ResearchField.GENERAL: ("general", T_("G general")),
    ResearchField.SEMICONDUCTORS: ("semiconductors", T_("S semiconductors")),
    ResearchField.FINTECH: ("fintech", T_("F fintech")),
    ResearchField.BIOMEDICAL: ("biomedical", T_("B biomedical")),
    ResearchField.AGRICULTURE: ("agriculture", T_("A new agriculture")),
    ResearchField.GREEN_ENERGY: ("green-energy", T_("E green energy")),
    ResearchField.SMART_MANUFACTURING: ("manufacturing", T_("M smart manufacturing")),
    UNSTATED: ("unstated", T_("? not stated")),
}
"""For each field what the style sheet calls its colour, and its letter or character with its name."""
_SHAPES = {
    PointKind.LAB: '<circle r="8.5"/>',
    PointKind.OTHER: '<path class="open" d="M0-10 10 0 0 10-10 0Z"/>',
    PointKind.MET: '<path d="M0-11.5 11.5 0 0 11.5-11.5 0Z"/>',
    PointKind.THIN: '<path class="ring" d="M0-17 17 0 0 17-17 0Z"/><path d="M0-11.5 11.5 0 0 11.5-11.5 0Z"/>',
    PointKind.UNMET: '<circle class="glow" r="23"/><path class="star" d="M0-19 5-8.7 13.4-13.4 8.7-5 19 0 8.7 5 '
    '13.4 13.4 5 8.7 0 19-5 8.7-13.4 13.4-8.7 5-19 0-8.7-5-13.4-13.4-5-8.7Z"/>',
}


@dataclass(frozen=True)
class MapPoint:
    """A lab or need as it is drawn: `lines` are its name and what else its card says, `href` where it leads."""

    x: float
    y: float
    kind: PointKind
    field: str | None
    lines: tuple[str, ...]
    href: str


@dataclass(frozen=True)
class MapName:
    """The name of an area, a line that is read first and one that may be empty; `weight` says who goes before whom."""

    x: float
    y: float
    words: str
    beneath: str
    weight: int


def known_field(field: str | None) -> str:
    """Return a field that has a colour."""
    return field if field in FIELDS else UNSTATED


def symbol(kind: PointKind, field: str, letter: str) -> Markup:
    """Return a mark as the picture has it, in its own middle: for the picture and for what explains it."""
    sign = "!" if kind is PointKind.UNMET else "?" if kind is PointKind.OTHER else letter
    return Markup(  # noqa: S704 (shapes of ours, and a letter that is escaped)
        f'<g class="mark {kind.value} f-{FIELDS[field][0]}">{_SHAPES[kind]}<text>{escape(sign)}</text></g>'
    )


def legend_symbol(kind: PointKind, field: str = UNSTATED, letter: str = "") -> Markup:
    """Return a mark as a small picture of its own, which says nothing by itself."""
    return Markup('<svg class="sign" viewBox="-24 -24 48 48" aria-hidden="true">{}</svg>').format(
        symbol(kind, field, letter)
    )


def map_picture(
    points: Sequence[MapPoint], names: Sequence[MapName], *, is_chinese: bool, title: str, description: str
) -> Markup:
    """Return the map.

    Points that stand later in `PointKind` lie on top: needs that nobody answers cover what is under them.

    Args:
        points: what is drawn.
        names: those of areas.
        is_chinese: whether fields have Chinese characters for letters.
        title: what the picture is called by who cannot see it.
        description: what it shows, in a sentence.
    """
    order = list(PointKind)
    drawn = sorted(points, key=lambda point: order.index(point.kind))
    at = _Frame.around(drawn)
    middles = [at.place(point.x, point.y) for point in drawn]
    placed = _placed([(name, *at.place(name.x, name.y)) for name in names], middles)
    parts = [
        f'<svg class="field-map" viewBox="0 0 {WIDTH} {HEIGHT}" role="group"',
        ' aria-labelledby="field-map-title" aria-describedby="field-map-description">',
        f'<title id="field-map-title">{escape(title)}</title>',
        f'<desc id="field-map-description">{escape(description)}</desc>',
        f"<defs>{''.join(_definitions(drawn, is_chinese=is_chinese))}</defs>",
        f'<g class="land" aria-hidden="true">{"".join(_land(drawn, middles))}</g>',
        '<g class="points">',
        *(_point(point, *place) for point, place in zip(drawn, middles, strict=True)),
        '</g><g class="names" aria-hidden="true">',
        *(_name(one) for one in placed),
        "</g></svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 (numbers and names of ours, and texts that are escaped)


@dataclass(frozen=True)
class _Frame:
    """How places of the map become places of the picture."""

    left: float
    top: float
    across: float
    down: float
    shift: tuple[float, float]

    @classmethod
    def around(cls, points: Sequence[MapPoint]) -> _Frame:
        xs, ys = [point.x for point in points] or [0.0], [point.y for point in points] or [0.0]
        across = (WIDTH - 2 * _MARGIN) / max(max(xs) - min(xs), 1e-9)
        down = (HEIGHT - 2 * _MARGIN) / max(max(ys) - min(ys), 1e-9)
        across, down = min(across, down * _STRETCH), min(down, across * _STRETCH)
        spare = (WIDTH - (max(xs) - min(xs)) * across, HEIGHT - (max(ys) - min(ys)) * down)
        return cls(min(xs), min(ys), across, down, (spare[0] / 2, spare[1] / 2))

    def place(self, x: float, y: float) -> tuple[float, float]:
        return self.shift[0] + (x - self.left) * self.across, HEIGHT - self.shift[1] - (y - self.top) * self.down


def _letter(field: str, *, is_chinese: bool) -> str:
    text = FIELDS[field][1]
    return (text.zh if is_chinese else text.en)[0]


def _mark_id(kind: PointKind, field: str) -> str:
    return f"m-{kind.value}-{FIELDS[field][0]}"


def _definitions(points: Sequence[MapPoint], *, is_chinese: bool) -> Iterator[str]:
    for kind, field in dict.fromkeys((point.kind, known_field(point.field)) for point in points):
        yield f'<g id="{_mark_id(kind, field)}">{symbol(kind, field, _letter(field, is_chinese=is_chinese))}</g>'


def _land(points: Sequence[MapPoint], middles: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Yield the ground of each field: one shape for all its labs, so that where they are many it is no darker."""
    for field, (css, _) in FIELDS.items():
        dots = [
            f"M{x:.0f} {y:.0f}h0"
            for point, (x, y) in zip(points, middles, strict=True)
            if known_field(point.field) == field and point.kind is PointKind.LAB
        ]
        if dots:
            yield f'<path class="f-{css}" stroke-width="{_LAND}" d="{"".join(dots)}"/>'


def _point(point: MapPoint, x: float, y: float) -> str:
    # Hundreds of stops of the tab key, when the tables have the same links in order: the script leads from one to
    # the next by the arrow keys.
    title = escape("\n".join(line for line in point.lines if line))
    return (
        f'<a href="{escape(point.href)}" tabindex="-1" transform="translate({x:.1f} {y:.1f})"><title>{title}</title>'
        f'<use href="#{_mark_id(point.kind, known_field(point.field))}"/></a>'
    )


@dataclass(frozen=True)
class _Placed:
    """A name that has room: its anchor, and the middle of its box."""

    name: MapName
    anchor: tuple[float, float]
    x: float
    y: float


def _name(placed: _Placed) -> str:
    beneath = f'<tspan x="0" dy="1.25em">{escape(placed.name.beneath)}</tspan>' if placed.name.beneath else ""
    up = 3 if placed.name.beneath else -5
    at = f"translate({placed.x:.1f} {placed.y - up:.1f})"
    anchor = f"{placed.anchor[0]:.1f} {placed.anchor[1]:.1f}"
    first = f'<tspan x="0">{escape(placed.name.words)}</tspan>'
    return f'<text transform="{at}" data-at="{anchor}">{first}{beneath}</text>'


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is: a Chinese character is as wide as high, a Latin letter a little over half."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return (wide + 0.57 * (len(text) - wide)) * size


def _box(name: MapName) -> tuple[float, float]:
    width = max(text_width(name.words, _FONT), text_width(name.beneath, _SMALL)) + 10
    return width, _LINE * (2 if name.beneath else 1) + 6


def _placed(names: Sequence[tuple[MapName, float, float]], points: Sequence[tuple[float, float]]) -> list[_Placed]:
    """Return the names that have room, the weightiest first, each where it covers the fewest points."""
    taken: list[tuple[float, float, float, float]] = []
    found = []
    for name, x, y in sorted(names, key=lambda one: (-one[0].weight, one[0].words)):
        width, height = _box(name)
        best: tuple[float, float, float] | None = None
        for dy, dx in product(_AWAY, _ASIDE):
            middle_x = min(max(x + dx, width / 2 + 4), WIDTH - width / 2 - 4)
            middle_y = min(max(y + dy, height / 2 + 4), HEIGHT - height / 2 - 4)
            box = (middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2)
            if any(_overlap(box, other) for other in taken):
                continue
            covered = sum(box[0] - 8 < px < box[2] + 8 and box[1] - 8 < py < box[3] + 8 for px, py in points)
            cost = _COVERING * covered + (abs(dx) / 2 + abs(dy)) / 40
            if best is None or cost < best[0]:
                best = (cost, middle_x, middle_y)
        if best is not None:
            _, middle_x, middle_y = best
            taken.append((middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2))
            found.append(_Placed(name, (x, y), middle_x, middle_y))
    return found


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
