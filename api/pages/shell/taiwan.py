"""A small map of Taiwan with one place marked, drawn here.

In: the name of a city or county as a school states it. Out: SVG for a page, None where the place is not known. It
exists because "how far is it to the lab" is among the first questions of a company, and because a map from elsewhere
would tell its maker who looks at which lab. The outline is a sketch by a few dozen points of our own; an
outlying island stands in a box of its own, nearer than it lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from indexer.vocabulary import folded

_SHORE = (
    (121.54, 25.30), (121.63, 25.20), (121.78, 25.15), (121.93, 25.12), (122.00, 25.00), (121.90, 24.90),
    (121.83, 24.83), (121.86, 24.60), (121.80, 24.42), (121.74, 24.26), (121.65, 24.10), (121.63, 23.95),
    (121.57, 23.75), (121.50, 23.48), (121.43, 23.22), (121.36, 23.02), (121.19, 22.79), (121.05, 22.62),
    (120.93, 22.40), (120.88, 22.20), (120.86, 22.02), (120.84, 21.90), (120.74, 21.96), (120.69, 22.12),
    (120.62, 22.30), (120.46, 22.45), (120.28, 22.60), (120.20, 22.78), (120.12, 22.95), (120.05, 23.08),
    (120.10, 23.28), (120.14, 23.50), (120.15, 23.68), (120.20, 23.84), (120.36, 24.00), (120.46, 24.15),
    (120.57, 24.35), (120.68, 24.52), (120.80, 24.70), (120.92, 24.85), (121.02, 25.01), (121.18, 25.10),
    (121.36, 25.14), (121.43, 25.24),
)  # fmt: skip
"""Longitude and latitude of the main island's shore, clockwise from the north."""
_PLACES = {
    "臺北市": (121.56, 25.04), "新北市": (121.47, 25.01), "基隆市": (121.74, 25.13), "桃園市": (121.30, 24.99),
    "新竹市": (120.97, 24.80), "新竹縣": (121.01, 24.83), "苗栗縣": (120.82, 24.56), "臺中市": (120.68, 24.15),
    "彰化縣": (120.54, 24.08), "南投縣": (120.69, 23.91), "雲林縣": (120.53, 23.71), "嘉義市": (120.45, 23.48),
    "嘉義縣": (120.32, 23.46), "臺南市": (120.21, 22.99), "高雄市": (120.31, 22.63), "屏東縣": (120.49, 22.67),
    "宜蘭縣": (121.75, 24.75), "花蓮縣": (121.61, 23.98), "臺東縣": (121.15, 22.76),
}  # fmt: skip
_ISLANDS = ("連江縣", "金門縣", "澎湖縣")
"""In the order in which they stand at the left, from the north."""
_ENGLISH = {
    "taipei": "臺北市", "newtaipei": "新北市", "keelung": "基隆市", "taoyuan": "桃園市", "hsinchu": "新竹市",
    "miaoli": "苗栗縣", "taichung": "臺中市", "changhua": "彰化縣", "nantou": "南投縣", "yunlin": "雲林縣",
    "chiayi": "嘉義市", "tainan": "臺南市", "kaohsiung": "高雄市", "pingtung": "屏東縣", "yilan": "宜蘭縣",
    "hualien": "花蓮縣", "taitung": "臺東縣", "penghu": "澎湖縣", "kinmen": "金門縣", "matsu": "連江縣",
}  # fmt: skip
_WEST, _NORTH, _SCALE, _SQUEEZE = 119.5, 25.45, 60.0, 0.915
"""Where the drawing begins, how many units a degree is, and how much shorter one of longitude is there."""
_WIDTH, _HEIGHT = 150, 220


@dataclass(frozen=True)
class Place:
    """A city or county, and where it stands in the drawing."""

    name: str
    x: float
    y: float


def place_of(city: str) -> Place | None:
    """Return the place that a city or county is, None if it is none of Taiwan's."""
    name = city.strip().replace("台", "臺")
    known = [*_PLACES, *_ISLANDS]
    found = next((one for one in known if name.startswith(one) or (len(name) >= 2 and one.startswith(name[:2]))), None)
    if found is None:
        word = folded(name).removesuffix("city").removesuffix("county")
        found = _ENGLISH.get(word)
    if found is None:
        return None
    if found in _ISLANDS:
        return Place(found, 14.0, 80.0 + 36 * _ISLANDS.index(found))
    return Place(found, *_at(*_PLACES[found]))


def map_of(place: Place, title: str) -> Markup:
    """Return the drawing with a place marked.

    Args:
        place: which one.
        title: what the drawing is called by who cannot see it.
    """
    shore = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_at(*point) for point in _SHORE))
    box = ""
    if place.name in _ISLANDS:
        box = f'<rect class="island" x="{place.x - 12}" y="{place.y - 12}" width="24" height="24" rx="3"/>'
    return Markup(  # noqa: S704 (numbers of ours, and one text that is escaped)
        f'<svg class="taiwan" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-labelledby="taiwan-title"><title id="taiwan-title">{escape(title)}</title>'
        f'<polygon class="shore" points="{shore}"/>{box}'
        f'<circle class="halo" cx="{place.x:.1f}" cy="{place.y:.1f}" r="9"/>'
        f'<circle class="spot" cx="{place.x:.1f}" cy="{place.y:.1f}" r="4.5"/></svg>'
    )


def _at(longitude: float, latitude: float) -> tuple[float, float]:
    return (longitude - _WEST) * _SCALE * _SQUEEZE, (_NORTH - latitude) * _SCALE
