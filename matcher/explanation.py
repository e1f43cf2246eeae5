"""Why this lab: the passages that speak for it, what is missing, and a sentence for each side.

In: a need, a lab, the scores of the lab's passages for the need and its asks.
Out: an `Explanation` in Chinese and English, made of what the lab itself wrote.
It exists because experts accept a ranking only if they can check it. The
sentence for the lab says nothing of the need's text or of who asks: a need is
confidential until it is released. Pure: no database, no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.profiles import Ask, Lab, Need
from indexer.snapshot import Snapshot
from indexer.text import PROFILE
from indexer.vocabulary import AskKind, ResearchField, label
from indexer.wording import T_, Text, either, listed
from matcher.features import NeedQuery
from matcher.passage_words import PassageWords
from matcher.shared_words import RARE_IDF, shared_words
from matcher.signals import Query

FloatArray = npt.NDArray[np.float64]

PASSAGES_PER_ASK = 2
EXCERPT_CHARS = 160
SECOND_PASSAGE_WITHIN = 1.0
"""A second passage is shown if its standard score is at most this much lower."""
COVERED_FROM = 2.0
PARTLY_FROM = 1.0
"""Standard scores from which an ask counts as covered, or covered in part."""
OLD_YEARS = 8
FEW_LABS = 20
"""Among fewer labs a standard score says little about one of them; there shared words decide."""


@dataclass(frozen=True)
class Speaking:
    """A passage that speaks for the lab: where it is from, an excerpt, and the words it shares with the ask."""

    source: str
    kind: str
    year: int | None
    language: str
    title: str
    excerpt: str
    words: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class AskEvidence:
    """What speaks for the lab on one ask; `covered` is yes, partly or no. Without asks, the whole need is one."""

    kind: str | None
    text: str
    covered: str
    passages: tuple[Speaking, ...]


@dataclass(frozen=True)
class Bilingual:
    """The same sentence in Traditional Chinese and English."""

    zh: str
    en: str

    @classmethod
    def of(cls, text: Text) -> Bilingual:
        """Return a text as it is shown and stored: in both languages."""
        return cls(text.zh, text.en)


@dataclass(frozen=True)
class Explanation:
    """Why a lab is proposed for a need."""

    asks: tuple[AskEvidence, ...]
    missing: tuple[Bilingual, ...]
    for_company: Bilingual
    for_lab: Bilingual


def explain(
    *,
    query: NeedQuery,
    lab: Lab,
    school_names: tuple[str, str],
    passages: PassageWords,
    rows: range,
    answers: FloatArray,
    ask_scores: FloatArray,
) -> Explanation:
    """Explain one pairing.

    Args:
        query: the need and its texts.
        lab: the lab.
        school_names: the lab's school in Chinese and English; empty if not stated.
        passages: those of the index.
        rows: numbers of the lab's passages.
        answers: scores of all passages, row 0 for the whole need, then one row per ask.
        ask_scores: the lab's standard score for each ask.
    """
    need = query.need
    if need.asks:
        asks = tuple(
            _ask_evidence(ask, said, float(score), lab=lab, passages=passages, rows=rows, answer=answers[i + 1])
            for i, (ask, said, score) in enumerate(zip(need.asks, query.asks, ask_scores, strict=True))
        )
    else:
        whole = answers[0]
        best_answer = float(whole[rows].max())
        asks = (_ask_evidence(None, query.whole, best_answer, lab=lab, passages=passages, rows=rows, answer=whole),)
    best = _best_passage(asks)
    return Explanation(
        asks=asks,
        missing=tuple(_missing(query, lab, asks, passages.snapshot, rows)),
        for_company=_for_company(lab, school_names, asks, best),
        for_lab=_for_lab(need, asks, best),
    )


def _ask_evidence(
    ask: Ask | None,
    query: Query,
    ask_score: float,
    *,
    lab: Lab,
    passages: PassageWords,
    rows: range,
    answer: FloatArray,
) -> AskEvidence:
    scores = dict(zip(rows, answer[rows.start : rows.stop].tolist(), strict=True))
    order = sorted(rows, key=lambda row: (-scores[row], row))[:PASSAGES_PER_ASK]
    chosen = [row for row in order if scores[row] >= scores[order[0]] - SECOND_PASSAGE_WITHIN]
    found = tuple(speaking(passages, row, query.term_set, scores[row]) for row in chosen)
    covered = _covered(ask_score, found, len(passages.snapshot.lab_ids))
    if covered == "yes" and ask is not None and lab.offers and ask.kind not in lab.offers:
        covered = "partly"
    return AskEvidence(ask.kind if ask else None, query.text, covered, found)


def _covered(ask_score: float, speaking: Sequence[Speaking], n_labs: int) -> str:
    if n_labs < FEW_LABS:
        return "partly" if any(passage.words for passage in speaking) else "no"
    return "yes" if ask_score >= COVERED_FROM else "partly" if ask_score >= PARTLY_FROM else "no"


def speaking(passages: PassageWords, row: int, asked: frozenset[str], score: float) -> Speaking:
    """Show one passage: the sentence that says most of what was asked, and the words shared with it.

    Args:
        passages: those of the index.
        row: which one.
        asked: the terms of what was asked.
        score: how well the passage answers.
    """
    snapshot = passages.snapshot
    passage, read = snapshot.passages[row], passages.of(row)
    shared = [sum(passages.rarity(t) for t in part & asked) for part in read.part_terms]
    # Where no word is shared, as between languages, the beginning says best what the passage is about.
    excerpt = read.parts[int(np.argmax(shared))] if max(shared) > 0 else read.body or read.title
    from_idf = RARE_IDF if len(snapshot.lab_ids) >= FEW_LABS else 0
    return Speaking(
        source=passage.source,
        kind=passage.kind,
        year=passage.year,
        language=passage.language,
        title=_shortened(read.title),
        excerpt=_shortened(excerpt),
        words=shared_words(passage.text, read.words, asked, passages.rarity, from_idf),
        score=score,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1].rstrip() + "…"


def _best_passage(asks: Sequence[AskEvidence]) -> Speaking:
    """A piece of evidence convinces more than the lab's own summary, if one of them speaks at all."""
    return max((p for ask in asks for p in ask.passages), key=lambda p: (p.kind != PROFILE, p.score, p.source))


def _missing(
    query: NeedQuery, lab: Lab, asks: Sequence[AskEvidence], snapshot: Snapshot, rows: range
) -> list[Bilingual]:
    need = query.need
    found: list[Text] = []
    for ask in asks:
        if ask.covered == "no":
            what = _shortened(ask.text)
            found.append(T_("nothing speaks directly for: %(what)s", what=what))
        if ask.kind and lab.offers and ask.kind not in lab.offers:
            found.append(T_("the lab does not list %(kind)s among what it offers", kind=_kind_name(ask.kind)))
    if query.whole.terms and query.whole.languages.isdisjoint(snapshot.passages[row].language for row in rows):
        found.append(T_("need and lab are written in different languages: meaning stands in for words"))
    if lab.capacity is None:
        found.append(T_("capacity is not stated"))
    newest = max((snapshot.passages[row].year or 0 for row in rows), default=0)
    if need.year and newest and need.year - newest >= OLD_YEARS:
        found.append(T_("the newest evidence is of %(newest)s", newest=newest))
    if need.languages and lab.languages and not set(need.languages) & set(lab.languages):
        spoken = ", ".join(lab.languages)
        found.append(T_("the lab works in %(spoken)s", spoken=spoken))
    found += [T_("the lab states: %(text)s", text=text) for text in lab.will_not_do]
    return [Bilingual.of(text) for text in dict.fromkeys(found)]


def _kind_name(kind: str) -> Text:
    return either(label(AskKind(kind)), kind)


def _for_company(lab: Lab, school_names: tuple[str, str], asks: Sequence[AskEvidence], best: Speaking) -> Bilingual:
    name = either(lab.name, lab.name_en or lab.name)
    if school_names[0]:
        name = T_("%(name)s (%(school)s)", name=name, school=either(*school_names))
    covered = sum(ask.covered != "no" for ask in asks)
    if covered == 0 and not best.words and best.score < PARTLY_FROM:
        return Bilingual.of(T_("Nothing that %(name)s shows speaks to this need.", name=name))
    part = T_("speaks to this need")
    if covered == 0:
        part = T_("works in a neighbouring subject")
    elif len(asks) > 1:
        part = T_("speaks to %(covered)s of %(asks)s asks", covered=covered, asks=len(asks))
    kinds = dict.fromkeys(ask.kind for ask in asks if ask.kind and ask.covered != "no")
    if kinds:
        part = T_("%(part)s (%(kinds)s)", part=part, kinds=listed(map(_kind_name, kinds)))
    title = T_("“%(title)s”", title=best.title)
    if best.year:
        title = T_("“%(title)s” (%(year)s)", title=best.title, year=best.year)
    words = T_("is close in meaning")
    if best.words:
        shared = best.words[:3]
        words = T_("shares %(words)s with the need", words=either("」「".join(shared), ", ".join(shared)))
    return Bilingual.of(
        T_("%(name)s %(part)s: %(title)s, which %(words)s.", name=name, part=part, title=title, words=words)
    )


def _for_lab(need: Need, asks: Sequence[AskEvidence], best: Speaking) -> Bilingual:
    """Say why the lab is asked without repeating the need: only kinds, fields and the lab's own work."""
    kinds = listed(_kind_name(kind) for kind in dict.fromkeys(ask.kind for ask in need.asks) or [AskKind.TECHNOLOGY])
    if not need.fields:
        return Bilingual.of(
            T_(
                "A need for %(kinds)s relates to your “%(title)s”; would you like to hear more?",
                kinds=kinds,
                title=best.title,
            )
        )
    fields = listed(either(name, ResearchField(name).name.lower().replace("_", " ")) for name in need.fields)
    return Bilingual.of(
        T_(
            "A need for %(kinds)s in %(fields)s relates to your “%(title)s”; would you like to hear more?",
            kinds=kinds,
            fields=fields,
            title=best.title,
        )
    )
