"""What a handout says of a lab: why it fits a need, in sentences with their evidence, or its whole profile.

In: a lab's record with its school and evidence, and how it was explained to the expert. Out: a section of a handout.
It exists because an explanation is made for an expert: beside what the lab wrote it holds what was decided on it
before, how near a tie was, and the need's own words. Here sentences are made anew, from what the need's company may
read of a lab (what a lab will not do, its conflicts and its capacity are not among that) and, only where the expert
wishes so, from what the company asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.folding import HAN
from indexer.records.passages import PROFILE
from indexer.records.record_tables import Ask, Evidence, Lab, School
from indexer.vocabulary import AskKind, EvidenceKind, ResearchField, city_in_english, label
from indexer.wording import P_, T_, Text, either, listed
from matcher.handouts.handout import Fact, Part, Point, Quote, Section
from matcher.ranking.explanation import OLD_YEARS

MOST_QUOTES = 4
_MOST_ASKS = 4
"""Of a need, in one lab's page."""
_SUMMARY_CHARS = 360
_WORKS = 3
_MOST_WORKS = 4
"""Of each kind in a dossier: the first, as the lab ordered them."""
_MOST_CHARS, _MOST_TITLE = 60, 110
_MOST_SAID, _MOST_LISTED = 600, 6
"""Characters of a lab's summary in a dossier, and pieces of equipment, members and links: it has two pages."""
_DOI = "https://doi.org/"
_ORCID = "https://orcid.org/"
_OF_KIND = {
    EvidenceKind.PAPER: T_("Publications"),
    EvidenceKind.PATENT: T_("Patents"),
    EvidenceKind.PROJECT: T_("Projects"),
    EvidenceKind.TECHNOLOGY: T_("Technologies"),
    EvidenceKind.THESIS: T_("Theses"),
}


@dataclass(frozen=True)
class ShownLab:
    """A lab's record with what belongs to it; `evidence` in the order that the lab chose, without what it retired."""

    lab: Lab
    school: School | None
    evidence: tuple[Evidence, ...]
    portrait: bytes = b""


def fitting_section(
    shown: ShownLab, explanation: Mapping[str, Any], asks: Sequence[Ask], *, names_need: bool
) -> Section:
    """Return the page of a lab in a shortlist.

    Args:
        shown: the lab.
        explanation: as it was stored when an expert saw the pairing.
        asks: of the need as it stands.
        names_need: whether the need's own words may be repeated; if not, an ask is told by its number and kind.
    """
    given = explanation.get("asks", ())[:_MOST_ASKS]
    explained = [_Explained.of(one, number, names_need) for number, one in enumerate(given, 1)]
    parts = (
        _about(shown),
        Part(T_("What fits"), points=tuple(_points(shown, explained))),
        Part(T_("What it offers"), facts=tuple(_offers(shown.lab))),
        Part(T_("To be clarified"), points=tuple(_open_questions(shown, explained, asks))),
    )
    return _section(shown, parts)


def profile_section(shown: ShownLab) -> Section:
    """Return a lab's whole profile, as far as others than experts may read it."""
    works = [_works(title, [one for one in shown.evidence if one.kind == kind]) for kind, title in _OF_KIND.items()]
    facts = (*_who(shown.lab), *_offers(shown.lab))
    return _section(shown, (_about(shown, whole=True), Part(T_("At a glance"), facts=facts), *works))


def _works(title: Text, works: Sequence[Evidence]) -> Part:
    points = [Point(either("", ""), (_quote(one),)) for one in works[:_MOST_WORKS]]
    if len(works) > _MOST_WORKS:
        points.append(Point(T_("and %(n)s more", n=len(works) - _MOST_WORKS)))
    return Part(title, points=tuple(points))


def _section(shown: ShownLab, parts: Sequence[Part]) -> Section:
    lab, school = shown.lab, shown.school
    name = either(_shortened(lab.name, _MOST_CHARS), _shortened(lab.name_en or lab.name, _MOST_CHARS))
    at = either(lab.school or "", lab.school or "")
    if school is not None:
        at = either(school.name, school.name_en or school.name)
        if school.city:
            at = T_("%(school)s, %(city)s", school=at, city=either(school.city, city_in_english(school.city)))
    head = T_("Head: %(name)s", name=_shortened(lab.pi, _MOST_CHARS)) if lab.pi else either("", "")
    return Section(name, at, head, tuple(part for part in parts if not part.is_empty), shown.portrait)


def _about(shown: ShownLab, *, whole: bool = False) -> Part:
    lab = shown.lab
    zh, en = lab.summary or lab.summary_en, lab.summary_en or lab.summary
    most = _MOST_SAID if whole else _SUMMARY_CHARS
    zh, en = _shortened(zh, most), _shortened(en, most)
    return Part(P_("handout", "What the lab does"), paragraphs=(either(zh, en),) if zh else ())


def _shortened(text: str, most: int = _SUMMARY_CHARS) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


@dataclass(frozen=True)
class _Explained:
    """One ask as it was explained, under the name that may be given to it."""

    name: Text
    kind: str | None
    covered: str
    passages: Sequence[Mapping[str, Any]]

    @staticmethod
    def of(ask: Mapping[str, Any], number: int, names_need: bool) -> _Explained:
        kind = ask["kind"]
        called = T_("your request") if kind is None else T_("your request %(n)s (%(kind)s)", n=number, kind=_kind(kind))
        if names_need and kind is not None:
            called = T_('"%(text)s"', text=_shortened(ask["text"], _MOST_CHARS))
        return _Explained(called, kind, ask["covered"], ask["passages"])


def _points(shown: ShownLab, explained: Sequence[_Explained]) -> Iterator[Point]:
    works = {one.id: one for one in shown.evidence}
    told: set[str] = set()
    for ask in explained:
        if ask.covered == "no":
            continue
        found = [one for one in ask.passages if one["source"] in works or one["source"] == PROFILE]
        fresh = [one for one in found if one["source"] not in told and len(told) < MOST_QUOTES]
        quotes = []
        for one in fresh:
            told.add(one["source"])
            quotes.append(_quoted(one, works.get(one["source"])))
        yield Point(_sentence(ask, found, works), tuple(quotes))
    if not told:
        # Nothing of what was shown speaks for itself any more: what stands first for the lab.
        best = [_quote(one) for one in shown.evidence[:_WORKS]]
        if best:
            yield Point(T_("What the lab itself shows first:"), tuple(best))


def _sentence(ask: _Explained, found: Sequence[Mapping[str, Any]], works: Mapping[str, Evidence]) -> Text:
    shown = [one for one in found if one["source"] in works]
    if ask.covered == "yes":
        if shown:
            return T_("For %(what)s, the lab has work to show that speaks to it directly.", what=ask.name)
        return T_("For %(what)s, the lab says that it works on exactly this.", what=ask.name)
    return T_("For %(what)s, the lab works on a neighbouring question.", what=ask.name)


def _quoted(passage: Mapping[str, Any], work: Evidence | None) -> Quote:
    excerpt = passage["excerpt"] if passage["excerpt"] != passage["title"] else ""
    if work is None:
        return Quote("", excerpt or passage["title"], T_("from the lab's own description"))
    return Quote(_title(work) or passage["title"], excerpt, _source(work), _address(work))


def _quote(work: Evidence) -> Quote:
    return Quote(_title(work), "", _source(work), _address(work))


def _title(work: Evidence) -> str:
    return _shortened(work.title or work.abstract, _MOST_TITLE)


def _source(work: Evidence) -> Text:
    kind = either(label(EvidenceKind(work.kind)), work.kind)
    return T_("%(kind)s, %(year)s", kind=kind, year=work.year) if work.year else T_("%(kind)s", kind=kind)


def _address(work: Evidence) -> str:
    return _DOI + work.doi if work.doi else ""


def _open_questions(shown: ShownLab, explained: Sequence[_Explained], asks: Sequence[Ask]) -> Iterator[Point]:
    lab = shown.lab
    for ask in explained:
        if ask.covered == "no":
            yield Point(
                T_("Whether the lab can also help with %(what)s: it has shown nothing on it yet.", what=ask.name)
            )
    for kind in dict.fromkeys(ask.kind for ask in asks):
        if lab.offers and kind not in lab.offers:
            yield Point(T_("Whether it takes on %(kind)s, which it does not list.", kind=_kind(kind)))
    newest = max((one.year or 0 for one in shown.evidence), default=0)
    years = [one["year"] for ask in explained for one in ask.passages if one["year"]]
    if years and newest and newest - max(years) >= OLD_YEARS:
        yield Point(T_("Whether it still works on this: what it shows of it is of %(year)s.", year=max(years)))
    yield Point(T_("From when, for how long and with whom the lab could work on it, and who would own the results."))


def _offers(lab: Lab) -> Iterator[Fact]:
    if lab.offers:
        yield Fact(T_("Cooperation"), (listed(_kind(kind) for kind in lab.offers),))
    if lab.equipment:
        yield Fact(T_("Equipment"), _as_written(lab.equipment))
    if lab.fields:
        yield Fact(T_("Fields"), (listed(map(_field, lab.fields)),))


def _who(lab: Lab) -> Iterator[Fact]:
    if lab.members:
        yield Fact(T_("Members"), _as_written(lab.members))
    if lab.orcid:
        yield Fact(T_("ORCID iD"), (either(lab.orcid, lab.orcid),), (_ORCID + lab.orcid,))
    if lab.keywords:
        words = [_shortened(word, _MOST_CHARS) for word in lab.keywords[:_MOST_LISTED]]
        # They are in the lab's own language, whichever the paper is in: said once.
        words_in_row = ("、" if any(HAN.search(word) for word in words) else ", ").join(words)
        yield Fact(T_("Keywords"), (either(words_in_row, words_in_row),))
    if lab.links:
        yield Fact(P_("handout", "Links"), _as_written(lab.links), tuple(lab.links[:_MOST_LISTED]))


def _as_written(words: Sequence[str]) -> tuple[Text, ...]:
    listed_ones = [_shortened(word, _MOST_CHARS) for word in words[:_MOST_LISTED]]
    said = [either(word, word) for word in listed_ones]
    return (*said, T_("and %(n)s more", n=len(words) - _MOST_LISTED)) if len(words) > _MOST_LISTED else tuple(said)


def _kind(kind: str) -> Text:
    return either(label(AskKind(kind)), _KINDS[AskKind(kind)])


def _field(name: str) -> Text:
    return either(name, ResearchField(name).name.lower().replace("_", " "))


_KINDS = {
    AskKind.TECHNOLOGY: "research and development",
    AskKind.TALENT: "talent",
    AskKind.FACILITY: "equipment and testing",
    AskKind.LICENSING: "licensing",
    AskKind.TRAINING: "training",
    AskKind.INVESTMENT: "investment",
}
