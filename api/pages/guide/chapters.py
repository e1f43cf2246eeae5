"""The guide: how to use the product, for its users in both languages, and the pages of its rooms for whoever runs it.

In: Markdown files that lie in the packages. Out: pages with a list of chapters beside the chapter that is open. It
exists so that what people read in the workbench and what developers read in the repository is one text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from api.access.policy import Action, Resource
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, lang_of
from api.requests.capacity import ThreadedRoute
from api.requests.problems import not_found

REPOSITORY = Path(__file__).parents[3]
router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)


@dataclass(frozen=True)
class Chapter:
    """One page of the guide: its address, its name, and its file, in which `LANG` stands for the language."""

    name: str
    title: str
    file: str

    @property
    def in_both_languages(self) -> bool:
        """Whether there is a file for each language; the others are in English."""
        return "LANG" in self.file

    def path_in(self, lang: Lang) -> str:
        """Return the file's path in the repository."""
        return self.file.replace("LANG", "zh" if lang is Lang.ZH else "en")


CHAPTERS = (
    Chapter("first-steps", N_("First steps"), "api/pages/guide/LANG/first-steps.md"),
    Chapter("experts", N_("For liaison experts"), "api/pages/guide/LANG/experts.md"),
    Chapter("companies", N_("For companies"), "api/pages/guide/LANG/companies.md"),
    Chapter("researchers", N_("For researchers"), "api/pages/guide/LANG/researchers.md"),
    Chapter("results", N_("Results and figures"), "api/pages/guide/LANG/results.md"),
    Chapter("records", N_("Forms of records"), "indexer/RECORDS.md"),
    Chapter("ranking", N_("How a ranking comes about"), "matcher/RANKING.md"),
    Chapter("ledger", N_("How the ledger works"), "matcher/ledger/LEDGER.md"),
    Chapter("plan", N_("What the plan asks, row by row"), "matcher/ledger/PLAN.md"),
    Chapter("service", N_("API and workbench"), "api/SERVICE.md"),
    Chapter("operating", N_("Operating"), "api/OPERATING.md"),
    Chapter("figures", N_("Measured figures"), "api/FIGURES.md"),
    Chapter("decisions-records", N_("Decisions: records and index"), "indexer/DECISIONS.md"),
    Chapter("decisions-matching", N_("Decisions: ranking, review, ledger"), "matcher/DECISIONS.md"),
    Chapter("decisions-service", N_("Decisions: interfaces"), "api/DECISIONS.md"),
)
"""Every chapter, in the order in which they are listed; those for users come first."""


@dataclass(frozen=True)
class Read:
    """A chapter as it is shown: its heading, its sections with their anchors, and its text as HTML."""

    heading: str
    sections: tuple[tuple[str, str], ...]
    content: Markup


@cache
def read_chapter(chapter: Chapter, lang: Lang) -> Read:
    """Return a chapter in a language. Links between the files lead to their pages.

    Raises:
        KeyError: the text links to a file that is no chapter.
    """
    path = chapter.path_in(lang)
    # No HTML of the text is passed on, so that a page of the guide can hold nothing but text.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse((REPOSITORY / path).read_text("utf-8"))
    heading = ""
    sections: list[tuple[str, str]] = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            heading = inline.content
        elif token.type == "heading_open" and token.tag == "h2":
            anchor = f"s{len(sections) + 1}"
            token.attrSet("id", anchor)
            sections.append((anchor, inline.content.replace("`", "")))
    body = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    _lead_to_pages(body, path, lang)
    _let_scroll(body)
    _join_chinese_lines(body)
    html = markdown.renderer.render(body, markdown.options, {})
    # The text is ours, and Markdown without HTML escapes whatever it holds.
    return Read(heading, tuple(sections), Markup(html))  # noqa: S704


def _lead_to_pages(tokens: Sequence[Token], path: str, lang: Lang) -> None:
    pages = {chapter.path_in(lang): f"/guide/{chapter.name}" for chapter in CHAPTERS}
    for token in tokens:
        for inline in token.children or ():
            href = inline.attrGet("href") if inline.type == "link_open" else None
            if isinstance(href, str) and "://" not in href:
                inline.attrSet("href", pages[posixpath.normpath(posixpath.join(posixpath.dirname(path), href))])


def _let_scroll(tokens: Sequence[Token]) -> None:
    for token in tokens:
        # What is wider than a phone scrolls in its own frame, which the keyboard must reach.
        if token.type in ("table_open", "fence"):
            token.attrSet("tabindex", "0")


def _join_chinese_lines(tokens: Sequence[Token]) -> None:
    """Take the line breaks between Chinese characters out: a browser would show each as a blank."""
    for children in (token.children for token in tokens if token.children):
        for before, token, after in zip(children, children[1:], children[2:], strict=False):
            if token.type == "softbreak" and before.content[-1:] > "\u2e80" and after.content[:1] > "\u2e80":
                token.type, token.content = "text", ""


@router.get("/guide")
@router.get("/guide/{name}")
def show_chapter(
    visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))], name: str = CHAPTERS[0].name
) -> Response:
    """Show a chapter, the first one if none is named."""
    chapter = next((chapter for chapter in CHAPTERS if chapter.name == name), None)
    if chapter is None:
        raise not_found("chapter")
    read = read_chapter(chapter, lang_of(visit.request))
    return visit.show("guide/chapter.html", chapters=CHAPTERS, open=chapter, read=read)
