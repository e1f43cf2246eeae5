"""Charts as pictures inside a page: a Vega-Lite specification drawn on the server as SVG.

In: a chart, a name for it on its page, a title and a description. Out: SVG
that stands in the page itself, without a script and without a style that the
content policy would refuse. It exists because what vega draws is made for a
page of its own: here every element and attribute is one of those that a
picture needs, a link leads only to a place of ours, and text has the page's font.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree as ET

import vl_convert
from markupsafe import Markup
from pylopdf_fonts_zh_tw import sans_path

from api.documents import charts

# vega makes every address absolute with this.
_VEGA_BASE = "https://vega.github.io/vega-datasets/"
# Two slashes, or one of them backwards, would lead to another host.
_OWN_PATH = re.compile(r"/(?![/\\])[!-~]*")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
_WORD = re.compile(r"[\w-]+")
_ELEMENTS = frozenset(
    _WORD.findall("svg g path line rect circle text tspan a title defs clipPath linearGradient radialGradient stop")
)
_ATTRIBUTES = frozenset(
    _WORD.findall(
        "d x y x1 y1 x2 y2 cx cy r rx ry dx dy width height viewBox transform opacity fill fill-opacity fill-rule "
        "stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin "
        "stroke-miterlimit font-size font-weight font-style text-anchor dominant-baseline pointer-events clip-path "
        "offset stop-color stop-opacity gradientUnits gradientTransform"
    )
)
_TOKENS = {
    charts.INK: "ink",
    charts.INK_SOFT: "ink-soft",
    charts.LINE: "line",
    charts.ACCENT: "accent",
    charts.GOOD: "good",
    charts.WARN: "warn",
    charts.BAD: "bad",
    charts.FOCUS: "focus",
    charts.BAR: "bar",
    charts.GRID: "grid",
}
"""Colours of charts as the style sheet calls them: a page in the dark has others for the same names."""
_KEPT_CHARTS = 256


class Drawable(Protocol):
    """What can say itself as a Vega-Lite specification; every chart of Altair can."""

    def to_dict(self) -> dict[str, Any]:
        """Return the specification."""


def drawn(chart: Drawable, *, name: str, title: str, description: str = "") -> Markup:
    """Return a chart as SVG for a page.

    A mark shows its `description` encoding where the pointer rests; a mark with an `href` encoding is a link of that
    name if the address is a path of this server, and no link otherwise.

    Args:
        chart: what is drawn.
        name: letters, digits and hyphens, once on its page; all ids of the drawing begin with it.
        title: what the chart is called by who cannot see it, in the page's language.
        description: what it shows, in a sentence.

    Raises:
        ValueError: the name is none, or vega refuses the specification.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a chart's name has lower-case letters, digits and hyphens: {name!r}")
    spec = chart.to_dict()
    _harmless(spec, frozenset(_link_fields(spec)))
    return _drawn(json.dumps(spec, sort_keys=True), name, title, description)


def warm() -> None:
    """Start the drawing engine, which takes a third of a second, before somebody waits for it."""
    point = {"values": [{"a": "國", "b": 1}]}
    encoding = {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}}
    _svg(json.dumps({"data": point, "mark": "bar", "encoding": encoding}))


@cache
def _engine() -> Any:
    # Widths of Chinese labels are measured with the font that pages name first.
    vl_convert.register_font_directory(str(Path(sans_path()).parent))
    return vl_convert


def _svg(spec: str) -> str:
    drawn_by_vega: str = _engine().vegalite_to_svg(spec, allowed_base_urls=[])
    return drawn_by_vega


@lru_cache(maxsize=_KEPT_CHARTS)
def _drawn(spec: str, name: str, title: str, description: str) -> Markup:
    root = ET.fromstring(_svg(spec))  # noqa: S314 (written by vega in this process, with no entities of its own)
    links = [element for element in root.iter() if _tag(element) == "a" and _own_path(element) is not None]
    drawing = ET.Element(
        "svg",
        {
            "viewBox": root.get("viewBox", ""),
            "width": root.get("width", ""),
            "height": root.get("height", ""),
            # What has links inside is no single picture.
            "role": "group" if links else "img",
            "aria-labelledby": f"{name}-title",
            **({"aria-describedby": f"{name}-description"} if description else {}),
        },
    )
    ET.SubElement(drawing, "title", {"id": f"{name}-title"}).text = title
    if description:
        ET.SubElement(drawing, "desc", {"id": f"{name}-description"}).text = description
    for child in root:
        _copy(child, drawing, name)
    return Markup(ET.tostring(drawing, encoding="unicode"))  # noqa: S704 (made of elements, so every text is escaped)


def _copy(element: ET.Element, into: ET.Element, name: str) -> None:
    """Copy what a picture needs of an element; a link that leads elsewhere is left out, its content is not."""
    tag = _tag(element)
    if tag not in _ELEMENTS or element.get("display") == "none" or element.get("d") in ("", "M0,0h0v0h0Z"):
        return
    target = into
    if tag != "a":
        target = ET.SubElement(into, tag, dict(_attributes(element, name)))
        target.text = element.text
    elif (path := _own_path(element)) is not None:
        target = ET.SubElement(into, "a", {"href": path})
        label = next((mark.get("aria-label") for mark in element if mark.get("aria-label")), None)
        if label:
            target.set("aria-label", label)
    # Axes, legends and titles have labels as well, which vega words in English.
    if element.get("aria-label") and tag in ("path", "line", "rect", "text") and not _is_part_of_frame(element):
        ET.SubElement(target, "title").text = element.get("aria-label")
    for child in element:
        _copy(child, target, name)


def _is_part_of_frame(element: ET.Element) -> bool:
    return element.get("aria-roledescription") in ("axis", "legend", "title")


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _own_path(link: ET.Element) -> str | None:
    address = (link.get(_XLINK_HREF) or link.get("href") or "").removeprefix(_VEGA_BASE)
    return address if _OWN_PATH.fullmatch(address) else None


def _attributes(element: ET.Element, name: str) -> Iterator[tuple[str, str]]:
    """Yield what a picture needs of an element's attributes; ids are made the page's own."""
    styled = (rule.partition(":") for rule in element.get("style", "").split(";"))
    said = {**element.attrib, **{key.strip(): value.strip() for key, _, value in styled}}
    for key, value in said.items():
        if key == "id":
            yield key, f"{name}-{value}"
        elif key in _ATTRIBUTES:
            token = _TOKENS.get(value.lower()) if key in ("fill", "stroke") else None
            yield key, f"var(--{token}, {value})" if token else _REFERENCE.sub(rf"url(#{name}-\1)", value)


def _link_fields(part: Any) -> Iterator[str]:
    """Yield the names of the fields whose values a specification makes links of."""
    if isinstance(part, Mapping):
        href = part.get("href")
        if isinstance(href, Mapping) and isinstance(href.get("field"), str):
            yield href["field"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _link_fields(one)


def _harmless(part: Any, link_fields: frozenset[str]) -> Any:
    """Change a specification in place: no character that XML lacks, no address of others, which vega fails on."""
    if isinstance(part, str):
        return _NO_XML.sub("\ufffd", part)
    if isinstance(part, dict):
        for key, value in part.items():
            if key in link_fields and not isinstance(value, dict | list):
                part[key] = value if isinstance(value, str) and _OWN_PATH.fullmatch(value) else "#"
            else:
                part[key] = _harmless(value, link_fields)
    elif isinstance(part, list):
        part[:] = [_harmless(one, link_fields) for one in part]
    return part
