"""A handout on paper: PDF, set by the same typesetting and in the same font as the reports.

In: a handout and a language. Out: a tagged PDF, or a picture of each page. In a shortlist every lab has one page, set
smaller where it says much; a dossier runs on. Characters that the font lacks are told as their numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexer.wording import T_, Text
from matcher.handouts.handout import Handout, Part, Section, initials_of, lines_of
from matcher.ledger.rendering.report_texts import LANG_TAGS, NOT_IN_THE_FONT, ReportLanguage, said, writable
from matcher.ledger.rendering.typesetting import code_point, framed, set_in_type, typed

_TEMPLATE = Path(__file__).parent / "templates" / "handout.typ"
GOES_THROUGH = T_("Every contact goes through the liaison named here.")


def render_pdf(handout: Handout, language: ReportLanguage) -> bytes:
    """Return a handout as PDF."""
    (pdf,) = pages_of(handout, language, "pdf")
    return pdf


def pages_of(handout: Handout, language: ReportLanguage, form: str) -> list[bytes]:
    """Return a handout as one PDF, or as one picture (`png`, `svg`) of each page."""
    pictures = {f"portrait-{n}.svg": one.portrait for n, one in enumerate(handout.sections) if one.portrait}
    if handout.logo:
        pictures["logo.svg"] = handout.logo
    missing: dict[str, None] = {}
    told: dict[str, Any] = typed(_told(handout, language), missing)
    if missing:
        told["foot"] += " " + said(NOT_IN_THE_FONT, language) + ", ".join(map(code_point, missing))
    drawings = {name: framed(content, "png") for name, content in pictures.items()}
    return set_in_type(_TEMPLATE.read_bytes(), "handout", told, form=form, pictures=drawings)


def _told(handout: Handout, language: ReportLanguage) -> dict[str, Any]:
    def lines(text: Text) -> list[str]:
        return [writable(line) for _, line in lines_of(text, language)]

    return {
        "lang": LANG_TAGS[language].partition("-")[0],
        "title": lines(handout.title),
        "issuer": " ".join(lines(handout.issuer)),
        "made_on": " · ".join(lines(handout.made_on)),
        "about": lines(handout.about),
        "logo": "logo.svg" if handout.logo else "",
        "letters": initials_of(handout.issuer),
        "words": list(map(writable, handout.words)),
        "contents": len(handout.sections) > 1 or bool(handout.words or handout.contact),
        "contact": [lines(one) for one in handout.contact],
        "foot": " ".join(" ".join(lines(one)) for one in (handout.notes or (GOES_THROUGH,))),
        "sections": [_section(one, n, lines) for n, one in enumerate(handout.sections)],
    }


def _section(one: Section, number: int, lines: Any) -> dict[str, Any]:
    return {
        "name": lines(one.name),
        "school": lines(one.school),
        "head": lines(one.head),
        "picture": f"portrait-{number}.svg" if one.portrait else "",
        "letters": initials_of(one.name),
        "parts": [_part(part, lines) for part in one.parts],
    }


def _part(part: Part, lines: Any) -> dict[str, Any]:
    return {
        "title": lines(part.title),
        "paragraphs": [lines(one) for one in part.paragraphs],
        "points": [
            {
                "text": lines(point.text),
                "quotes": [
                    {
                        "title": writable(one.title),
                        "excerpt": writable(one.excerpt),
                        "source": lines(one.source),
                        "address": writable(one.address),
                    }
                    for one in point.quotes
                ],
            }
            for point in part.points
        ],
        "facts": [
            {
                "label": lines(fact.label),
                "values": [
                    {"text": lines(value), "address": fact.addresses[n] if n < len(fact.addresses) else ""}
                    for n, value in enumerate(fact.values)
                ],
            }
            for fact in part.facts
        ],
    }
