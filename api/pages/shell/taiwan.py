"""Maps of Taiwan, drawn here: a small one with one place marked, a large one with what there is at each place.

In: the name of a city or county as a school or company states it; how many of them there are where. Out: SVG for a
page, None where the place is not known. It
exists because "how far is it to the lab" is among the first questions of a company, and because a map from elsewhere
would tell its maker who looks at which lab. The outline is a sketch by a few dozen points of our own; an
outlying island stands in a box of its own, nearer than it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
NAMES_EN = {
    "臺北市": "Taipei", "新北市": "New Taipei", "基隆市": "Keelung", "桃園市": "Taoyuan", "新竹市": "Hsinchu City",
    "新竹縣": "Hsinchu County", "苗栗縣": "Miaoli", "臺中市": "Taichung", "彰化縣": "Changhua", "南投縣": "Nantou",
    "雲林縣": "Yunlin", "嘉義市": "Chiayi City", "嘉義縣": "Chiayi County", "臺南市": "Tainan", "高雄市": "Kaohsiung",
    "屏東縣": "Pingtung", "宜蘭縣": "Yilan", "花蓮縣": "Hualien", "臺東縣": "Taitung", "連江縣": "Matsu",
    "金門縣": "Kinmen", "澎湖縣": "Penghu",
}  # fmt: skip
"""Every city and county in English, from north to south, then those of the east and the islands."""
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


_LARGE = 3.0
_ISLANDS_AT = -26.0
_LEFT, _LARGE_WIDTH, _LARGE_HEIGHT = -95, 630, 640
_NEAR = 36.0
"""Places whose signs would lie on each other are one spot."""
_EAST = frozenset({"臺北市", "新北市", "基隆市", "宜蘭縣", "花蓮縣", "臺東縣"})
"""Where a name stands at the right of its spot, in the sea."""


@dataclass(frozen=True)
class Spot:
    """Places near each other, and how many schools and companies there are."""

    places: tuple[str, ...]
    x: float
    y: float
    schools: int
    companies: int


def spots_of(counts: Mapping[str, tuple[int, int]]) -> list[Spot]:
    """Return what the large map marks, from north to south.

    Args:
        counts: schools and companies by city or county, as `place_of` names it.
    """
    left = [name for name in NAMES_EN if name in counts]
    found = []
    while left:
        x, y = _large(left[0])
        near = [name for name in left if _apart(_large(name), (x, y)) < _NEAR]
        left = [name for name in left if name not in near]
        schools, companies = (sum(counts[name][i] for name in near) for i in (0, 1))
        found.append(Spot(tuple(near), x, y, schools, companies))
    return sorted(found, key=lambda spot: (spot.y, spot.x))


def map_with(spots: Sequence[tuple[Spot, str, str, str]], title: str, chosen: frozenset[str]) -> Markup:
    """Return the large map: each spot is a link with a circle for its schools and a square for its companies.

    Args:
        spots: each with what it is called in the map, what it says in full, and where it leads.
        title: what the map is called by who cannot see it.
        chosen: the places that are looked at.
    """
    shore = " ".join(f"{_LARGE * x:.1f},{_LARGE * y:.1f}" for x, y in (_at(*point) for point in _SHORE))
    parts = [
        f'<svg class="taiwan-large" viewBox="{_LEFT} 0 {_LARGE_WIDTH} {_LARGE_HEIGHT}" role="group"',
        f' aria-labelledby="taiwan-large-title"><title id="taiwan-large-title">{escape(title)}</title>',
        f'<polygon class="shore" points="{shore}"/>',
    ]
    for spot, name, words, href in spots:
        here = ' aria-current="true"' if set(spot.places) == chosen else ""
        parts.append(f'<a href="{escape(href)}"{here}><title>{escape(words)}</title>{_signs(spot, name)}</a>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 (numbers of ours, and texts that are escaped)


def _signs(spot: Spot, name: str) -> str:
    """Return the signs of a spot side by side, with its name beside them."""
    is_island = spot.places[0] in _ISLANDS
    box = ""
    if is_island:
        box = f'<rect class="island" x="{spot.x - 34:.0f}" y="{spot.y - 22:.0f}" width="68" height="44" rx="6"/>'
    counts = {"schools": spot.schools, "companies": spot.companies}
    radii = {kind: 12 + min(8.0, 2 * n**0.5) for kind, n in counts.items() if n}
    across = 2 * sum(radii.values())
    is_east = not _EAST.isdisjoint(spot.places)
    # Two signs grow towards the sea, where no other spot is.
    left = spot.x - across / 2 if is_island else spot.x - 12 if is_east else spot.x + 12 - across
    at, drawn = left, []
    for kind, radius in radii.items():
        drawn.append(_sign(kind, at + radius, spot.y, radius, counts[kind]))
        at += 2 * radius
    if is_island:
        x, y, anchor = spot.x, spot.y + 36, "middle"
    else:
        x, y, anchor = (at + 6, spot.y, "start") if is_east else (left - 6, spot.y, "end")
    return f'{box}{"".join(drawn)}<text class="place {anchor}" x="{x:.1f}" y="{y:.1f}">{escape(name)}</text>'


def _sign(kind: str, x: float, y: float, radius: float, n: int) -> str:
    side = 1.8 * radius
    shape = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>'
    if kind == "companies":
        corner = f'x="{x - side / 2:.1f}" y="{y - side / 2:.1f}"'
        shape = f'<rect class="{kind}" {corner} width="{side:.1f}" height="{side:.1f}" rx="3"/>'
    return f'{shape}<text x="{x:.1f}" y="{y:.1f}">{n}</text>'


def _large(name: str) -> tuple[float, float]:
    if name in _ISLANDS:
        return _ISLANDS_AT, 200.0 + 85 * _ISLANDS.index(name)
    x, y = _at(*_PLACES[name])
    return _LARGE * x, _LARGE * y


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) ** 0.5)
