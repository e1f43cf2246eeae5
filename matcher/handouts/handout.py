"""A handout before it has a format: a title, somebody's own words, and a section for each lab.

In: texts in both languages. Out: one value that is made PDF, DOCX, HTML or a mail draft. It exists so that a shortlist
and a lab's dossier are written once and say the same in every format, and as the only way out: what has no place here
(a score, a rank, a band, a note of ours) can't stand in any of the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from indexer.wording import Text, either
from matcher.ledger.rendering.report_texts import ReportLanguage


@dataclass(frozen=True)
class Quote:
    """What a lab wrote: the title of the work, a sentence of it, what kind of work of which year, where it is found."""

    title: str
    excerpt: str
    source: Text
    address: str = ""


@dataclass(frozen=True)
class Point:
    """One sentence, and what was written that shows it."""

    text: Text
    quotes: tuple[Quote, ...] = ()


@dataclass(frozen=True)
class Fact:
    """A label and what is known under it; `addresses` has for each value where it leads, "" for nowhere."""

    label: Text
    values: tuple[Text, ...]
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A titled part of a section: paragraphs, points or facts."""

    title: Text
    paragraphs: tuple[Text, ...] = ()
    points: tuple[Point, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing."""
        return not (self.paragraphs or self.points or self.facts)


@dataclass(frozen=True)
class Section:
    """What is said of one lab; `portrait` is a PNG, b"" where there is none."""

    name: Text
    school: Text
    head: Text
    parts: tuple[Part, ...]
    portrait: bytes = b""


@dataclass(frozen=True)
class Handout:
    """A whole handout.

    `words` are the expert's own, a paragraph each. `logo` is the alliance's as PNG, b"" where it has none: its name
    stands by itself then, with its initials.
    """

    title: Text
    issuer: Text
    made_on: Text
    sections: tuple[Section, ...]
    about: Text = field(default=either("", ""))
    words: tuple[str, ...] = ()
    contact: tuple[Text, ...] = ()
    logo: bytes = b""
    notes: tuple[Text, ...] = ()


def lines_of(text: Text, language: ReportLanguage) -> list[tuple[str, str]]:
    """Return a text as one line in each language that is wanted, with the code of the language ("" for as written)."""
    if text.zh == text.en:
        return [("", text.en)] if text.en else []
    both = [("zh-Hant-TW", text.zh), ("en", text.en)]
    wanted = {ReportLanguage.ZH: both[:1], ReportLanguage.EN: both[1:], ReportLanguage.BOTH: both}
    return [(code, line) for code, line in wanted[language] if line]


def initials_of(name: Text) -> str:
    """Return what stands for somebody without a picture: a Chinese name's first character, else two capitals."""
    for word in (name.zh, name.en):
        if word and "\u3400" <= word[0] <= "\u9fff":
            return word[0]
    return "".join(word[0] for word in _words(name.en))[:2].upper() or "?"


def _words(name: str) -> Iterator[str]:
    return (word for word in name.split() if word[0].isalnum())
