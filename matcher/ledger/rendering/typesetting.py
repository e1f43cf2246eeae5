"""Typesetting: a template of typst, what is told to it, and pictures, made one PDF or a picture of each page.

In: a template, values for it, the bytes of pictures by name. Out: PDF with its fonts inside, or PNG or SVG by page. It
exists as the only place that knows typst and its font, so that whatever is put on paper (reports, shortlists, a lab's
dossier) looks alike and names that the font lacks are never boxes: what it can't show is shown as its Unicode number,
and whoever asks is told which characters that were. Values go in as JSON, whose texts typst sets as they are and never
reads as markup. No font and no file of the machine is used.
"""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
import typst
from fontTools.ttLib import TTFont
from pylopdf_fonts_zh_tw import sans_path


def typed(value: Any, missing: dict[str, None]) -> Any:
    """Return what is given to typst with each text as the font can show it; note what it can't in `missing`."""
    if isinstance(value, str):
        return "".join(_shown_character(one, missing) for one in value)
    if isinstance(value, list):
        return [typed(one, missing) for one in value]
    if isinstance(value, dict):
        return {name: typed(one, missing) for name, one in value.items()}
    return value


def code_point(character: str) -> str:
    """Return the number under which Unicode has a character."""
    return f"U+{ord(character):04X}"


def set_in_type(
    template: bytes, name: str, told: Mapping[str, Any], *, form: str = "pdf", pictures: Mapping[str, bytes] = {}
) -> list[bytes]:
    """Return one PDF, or one picture (`png`, `svg`) for each page.

    Args:
        template: the source, which reads its values as `sys.inputs` of this name.
        name: of the values.
        told: the values, each text as `typed` gives it.
        form: pdf, png or svg.
        pictures: SVG that the template may show, by the names of files; `framed` makes one of a PNG or JPEG.
    """
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[sans_path().parent])
    made = typst.compile(
        {"main.typ": template, **pictures} if pictures else template,
        format=form,  # type: ignore[call-overload]
        font_paths=fonts,
        sys_inputs={name: orjson.dumps(told).decode()},
    )
    return [made] if isinstance(made, bytes) else list(made)


@cache
def _in_the_font() -> frozenset[int]:
    with TTFont(sans_path(), lazy=True) as font:
        return frozenset(font.getBestCmap())


def _shown_character(character: str, missing: dict[str, None]) -> str:
    # A box would hide whose name it is; controls, joiners and selectors of a variant show nothing anyway.
    if ord(character) in _in_the_font() or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        return character
    if unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
        return ""
    missing[character] = None
    return f"〔{code_point(character)}〕"


def framed(picture: bytes, kind: str) -> bytes:
    """Return a PNG or JPEG (`png`, `jpeg`) as SVG: typst's bindings take files of text only."""
    content = b64encode(picture).decode()
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="100" height="100">'
        f'<image width="100" height="100" href="data:image/{kind};base64,{content}"/></svg>'
    ).encode()


_LARGEST_PT = 240
_DRAWING = b"""#let given = json(bytes(sys.inputs.drawing))
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image(given.file, width: given.side * 1pt, height: given.side * 1pt, fit: "contain")
"""


def redrawn(picture: bytes, kind: str) -> bytes:
    """Return a picture drawn anew as PNG, within a square, what is around it clear.

    Args:
        picture: its bytes.
        kind: png, jpeg or svg.

    Raises:
        ValueError: it can't be drawn.
    """
    drawing = picture if kind == "svg" else framed(picture, kind)
    told = {"file": "picture.svg", "side": _LARGEST_PT}
    try:
        (png,) = set_in_type(_DRAWING, "drawing", told, form="png", pictures={"picture.svg": drawing})
    except RuntimeError as error:
        raise ValueError("it can't be drawn") from error
    return png
