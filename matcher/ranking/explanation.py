"""Why this lab: what speaks for it, what is missing, and what to know before trusting the answer.

In: a need, a lab, the scores of the lab's passages for the need and its asks; records and an index. Out: an
`Explanation` in Chinese and English, made of what the lab itself wrote, with the words that its passages share with
the need; and warnings, empty if there is nothing to warn of. It exists because experts accept a ranking only if
they can check it, and because a ranking always looks sure: a stale index, a mistyped exclusion or a need of three
words must be said, not guessed from the result. The sentence for the lab says nothing of the need's text or of who
asks: a need is confidential until it is released. Pure: no database, no model.

A search may use single characters and common words; an explanation that marks them convinces nobody, so shared
words are chosen as a person would mark them. Finding terms is most of what explaining costs, while the same
passages speak for many needs: each is read once and kept while it is in use, by whichever index holds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from indexer.arrays import DoubleArray
from indexer.index.snapshot import Snapshot
from indexer.index.words import Term, located_terms, terms
from indexer.records.passages import PROFILE, need_text, sentences
from indexer.records.profiles import Ask, Lab, Need
from indexer.vocabulary import AskKind, ResearchField, label
from indexer.wording import T_, Bilingual, Text, either, listed
from matcher.ranking.lab_table import unknown_exclusions
from matcher.ranking.near_ties import Drawn
from matcher.ranking.signals import NeedQuery, Query
from matcher.ranking.wishes import COVERED_FROM

WORDS_SHOWN = 6
RARE_IDF = 1.7
"""Terms in more than about half of all passages explain nothing (idf as in `indexer.index.words`)."""
FUNCTION_CHARACTERS = "的之了與和及或而並且在於由為以能可將被把也都就到從對讓使等每各其此該這那是來去中時"
"""Characters that begin or end a shared run without belonging to the word."""
_COMMON_ENGLISH = frozenset(
    terms(
        """about above across after again against all almost also although always among another any around because
        been before being below best better between beyond both bring call came cannot change come could day did do
        does done down during each early either end enough even ever every far few find first fit five found four
        from full further gave get give given go good got had half hand has have having he help her here high his
        hold hour how however if inside instead into its itself just keep kept kind know large last late least left
        less let like little long look low made main make many may might month more most move much must near need
        never new next no none nor nothing now number off often old once one only open or other our out outside over
        own part per place point possible problem put ran rather read ready real right run said same say second see
        seen set several shall she short should show side since six small so some something soon still such sure take
        taken tell ten than their them then there these they thing think third those though three through time today
        together too took top toward try turn two under until up upon us use used usual very want was way we week
        well went were what when where whether which while who whole whose why will within without work would year
        yet you your"""
    )
)
"""English words too common to explain a match; stop words of the search itself are left out there already."""


_COMMON_CHINESE = frozenset(
    re.findall(
        r"\S+",
        """一個 一起 以上 以下 不同 之前 之後 什麼 什麼樣 他們 以前 以後 但是 使用
        你們 其他 兩個 分別 可以 可能 同時 告訴 因為 如何 如果 完成 實際 導入 希望
        怎麼 情況 我們 我方 所以 提供 提出 提高 方式 方法 時間 最後 每次 現在 現有
        理由 留用 目前 相同 第一次 結果 能夠 自己 自行 處理 表現 要求 變成 這些
        進行 還是 那些 部分 開始 需要 已經 問題""",
    )
)
"""Chinese words that explain nothing where a dictionary finds them."""
TELLING_FROM = 0.25
"""What a stem must weigh (`WordIndex.weights`) for a pair of words to be a reason."""


def showable(found: Iterable[Term]) -> Iterator[Term]:
    """Yield those terms of a text that could mark a shared word: not a common word, not a single character."""
    for term in found:
        if term.end - term.start >= 2 and term.term not in _COMMON_ENGLISH:
            yield term


def shared_words(
    text: str,
    words: Iterable[Term],
    asked: Collection[str],
    rarity: Callable[[str], float],
    from_idf: float = RARE_IDF,
) -> tuple[str, ...]:
    """Return up to `WORDS_SHOWN` words of a text that an ask shares, rarest first.

    Args:
        text: the passage.
        words: what `showable` gives for it.
        asked: the terms of the ask.
        rarity: the idf of a term in the index, 0 for one that it lacks.
        from_idf: commoner terms are left out.

    Neighbouring Chinese pairs are joined to the phrase they come from; a single
    character is no word, nor is a number.
    """
    spans: list[tuple[int, int, float]] = []
    for term, start, end in words:
        if term not in asked or (rare := rarity(term)) < from_idf:
            continue
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], end, max(spans[-1][2], rare))
        else:
            spans.append((start, end, rare))
    found: dict[str, float] = {}
    for start, end, rare in spans:
        word = text[start:end].strip(FUNCTION_CHARACTERS)
        if len(word) >= 2 and not word.isdecimal():
            # Of equally rare words the longer one says more.
            found[word] = max(found.get(word, 0.0), rare + 0.1 * min(len(word), 10))
    distinct: dict[str, str] = {}
    for word in sorted(found, key=lambda word: (-found[word], word)):
        distinct.setdefault(word.casefold(), word)
    return tuple(distinct.values())[:WORDS_SHOWN]


def _is_common(word: str) -> bool:
    return word.isascii() and all(stem in _COMMON_ENGLISH for stem in terms(word))


KEPT_PASSAGES = 8192
"""Passages kept as read, about 10 KB each."""


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """A passage's title, its body, its sentences (or the title, if there are none) with their terms, and `words`."""

    title: str
    body: str
    parts: tuple[str, ...]
    part_terms: tuple[frozenset[str], ...]
    words: tuple[Term, ...]


class PassageWords:
    """The passages of an index as `ReadPassage`. Any number of threads may use it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def of(self, row: int) -> ReadPassage:
        """Return a passage as read."""
        return _read(self.snapshot.passages[row].text)

    def rarity(self, term: str) -> float:
        """Return the idf of a term in this index, 0 for one that it lacks."""
        return self.snapshot.words.inverse_frequency(term)

    def pairs(self, asked: str, passage: str) -> list[tuple[str, str]]:
        """Return which words of what was asked stand for which of a passage in the other language, rarest first."""
        weigh = self.snapshot.words.weights
        found = self.snapshot.dictionary.pairs(asked, passage, lambda stem: float(weigh([stem])[0]))
        return [
            (pair.need.word, pair.passage.word)
            for pair in found
            if pair.weight >= TELLING_FROM
            and not {pair.need.word, pair.passage.word} & _COMMON_CHINESE
            and not any(_is_common(side.word) for side in (pair.need, pair.passage))
        ]

    def read_all(self) -> None:
        """Read as many passages as are kept, so that the first needs find them read."""
        for row in range(min(KEPT_PASSAGES, len(self.snapshot.passages))):
            self.of(row)


@lru_cache(maxsize=KEPT_PASSAGES)
def _read(text: str) -> ReadPassage:
    title, _, body = text.partition("\n")
    parts = tuple(sentences(body) or [title])
    return ReadPassage(
        title=title,
        body=body,
        parts=parts,
        part_terms=tuple(frozenset(terms(part)) for part in parts),
        words=tuple(showable(located_terms(text))),
    )


PASSAGES_PER_ASK = 2
EXCERPT_CHARS = 160
SECOND_PASSAGE_WITHIN = 0.3
"""A second passage is shown if its fit is at most this much lower."""
PARTLY_FROM = 0.2
"""The chance that a lab answers an ask from which it counts as covered in part."""
NEIGHBOUR_FROM = 0.4
"""A fit from which a passage is of a neighbouring subject."""
OLD_YEARS = 8


@dataclass(frozen=True)
class Speaking:
    """A passage that speaks for the lab: where it is from, an excerpt, and the words it shares with the ask.

    `translated` has of those that cross languages the word of the ask with that of the passage (自閉症, autism).
    """

    source: str
    kind: str
    year: int | None
    language: str
    title: str
    excerpt: str
    words: tuple[str, ...]
    score: float
    translated: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class AskEvidence:
    """What speaks for the lab on one ask; `covered` is yes, partly or no. Without asks, the whole need is one."""

    kind: str | None
    text: str
    covered: str
    passages: tuple[Speaking, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a lab is proposed for a need; `history` counts what was decided on it for like needs, None if nothing was.

    `drawn` says that a coin chose its place among near ties, None if none did. `seen_less` is true of one that stands
    earlier than its score alone would put it, since it fits equally and was seen less; None of all others.
    """

    asks: tuple[AskEvidence, ...]
    missing: tuple[Bilingual, ...]
    for_company: Bilingual
    for_lab: Bilingual
    history: Bilingual | None = None
    drawn: Drawn | None = None
    seen_less: bool | None = None

    def as_plain(self) -> dict[str, Any]:
        """Return plain values, as stored and sent; eight times as quick as `asdict`, while a writer waits."""
        plain: dict[str, Any] = orjson.loads(orjson.dumps(self))
        for name in ("history", "drawn", "seen_less"):
            # What was shown before there were any keeps its bytes.
            if plain[name] is None:
                del plain[name]
        return plain


def explain(
    *,
    query: NeedQuery,
    lab: Lab,
    school_names: tuple[str, str],
    passages: PassageWords,
    rows: range,
    answers: DoubleArray,
    chances: DoubleArray,
    decided: Text | None = None,
    drawn: Drawn | None = None,
    seen_less: bool = False,
) -> Explanation:
    """Explain one pairing.

    Args:
        query: the need and its texts.
        lab: the lab.
        school_names: the lab's school in Chinese and English; empty if not stated.
        passages: those of the index.
        rows: numbers of the lab's passages.
        answers: scores of all passages, row 0 for the whole need, then one row per ask.
        chances: that the lab answers each ask, or the whole need if it has no asks.
        decided: what was decided on the lab for needs like this one.
        drawn: how its place among near ties was drawn.
        seen_less: whether it stands earlier by the office's rule of reach.
    """
    need = query.need
    asked: list[tuple[Ask | None, Query, int]] = [
        (ask, said, row) for row, (ask, said) in enumerate(zip(need.asks, query.asks, strict=True), start=1)
    ]
    asks = tuple(
        _ask_evidence(ask, said, float(chance), lab=lab, passages=passages, rows=rows, answer=answers[row])
        for (ask, said, row), chance in zip(asked or [(None, query.whole, 0)], chances, strict=True)
    )
    best = _best_passage(asks)
    return Explanation(
        asks=asks,
        missing=tuple(_missing(query, lab, asks, passages.snapshot, rows)),
        for_company=_for_company(lab, school_names, asks, best),
        for_lab=_for_lab(need, asks, best),
        history=None if decided is None else Bilingual.of(decided),
        drawn=drawn,
        seen_less=seen_less or None,
    )


def _ask_evidence(
    ask: Ask | None,
    query: Query,
    chance: float,
    *,
    lab: Lab,
    passages: PassageWords,
    rows: range,
    answer: DoubleArray,
) -> AskEvidence:
    scores = dict(zip(rows, answer[rows.start : rows.stop].tolist(), strict=True))
    order = sorted(rows, key=lambda row: (-scores[row], row))[:PASSAGES_PER_ASK]
    chosen = [row for row in order if scores[row] >= scores[order[0]] - SECOND_PASSAGE_WITHIN]
    found = tuple(speaking(passages, row, query, scores[row]) for row in chosen)
    return AskEvidence(ask.kind if ask else None, query.text, coverage_of(chance, ask, lab), found)


def coverage_of(chance: float, ask: Ask | None, lab: Lab) -> str:
    """Return how far a lab covers an ask, or a need without asks: yes, partly or no.

    Args:
        chance: that the lab answers it.
        ask: what is asked for; None for the whole need.
        lab: whoever does not offer the kind of cooperation covers it in part at most.
    """
    if chance >= COVERED_FROM:
        return "partly" if ask is not None and lab.offers and ask.kind not in lab.offers else "yes"
    return "partly" if chance >= PARTLY_FROM else "no"


def speaking(passages: PassageWords, row: int, query: Query, score: float) -> Speaking:
    """Show one passage: the sentence that says most of what was asked, and the words shared with it.

    Args:
        passages: those of the index.
        row: which one.
        query: what was asked.
        score: how well the passage answers.
    """
    passage, read, asked = passages.snapshot.passages[row], passages.of(row), query.term_set
    words = shared_words(passage.text, read.words, asked, passages.rarity)
    pairs = () if passage.language == query.language else passages.pairs(query.text, passage.text)
    shared = [sum(passages.rarity(t) for t in part & asked) for part in read.part_terms]
    if pairs and not any(shared):
        shared = [sum(there in part for _, there in pairs) for part in read.parts]
    # Where no word is shared at all, the beginning says best what the passage is about.
    excerpt = read.parts[int(np.argmax(shared))] if max(shared) > 0 else read.body or read.title
    return Speaking(
        source=passage.source,
        kind=passage.kind,
        year=passage.year,
        language=passage.language,
        title=_shortened(read.title),
        excerpt=_shortened(excerpt),
        words=tuple(dict.fromkeys((*words, *(there for _, there in pairs))))[:WORDS_SHOWN],
        translated=tuple(pairs),
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
        found.append(T_("need and lab are written in different languages: words are translated, and meaning says more"))
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
    if covered == 0 and not best.words and best.score < NEIGHBOUR_FROM:
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


def changed_labs(now: Mapping[str, str], snapshot: Snapshot) -> frozenset[str]:
    """Return the indexed labs whose texts are no longer those of the index; `now` has a fingerprint per stored lab."""
    indexed = snapshot.lab_fingerprints
    return frozenset(lab_id for lab_id in now.keys() & indexed.keys() if now[lab_id] != indexed[lab_id])


def stale_warnings(now: Mapping[str, str], snapshot: Snapshot, *, taken_in: bool = False) -> tuple[Bilingual, ...]:
    """Say how many labs are new, changed or gone since the index was built.

    Args:
        now: as in `changed_labs`.
        snapshot: the index.
        taken_in: whether they are being taken in, so that nobody has to do anything.
    """
    indexed = snapshot.lab_fingerprints
    new, changed, removed = now.keys() - indexed.keys(), changed_labs(now, snapshot), indexed.keys() - now.keys()
    counts = [
        *([T_("%(n)s new", n=len(new))] if new else ()),
        *([T_("%(n)s changed", n=len(changed))] if changed else ()),
        *([T_("%(n)s removed", n=len(removed))] if removed else ()),
    ]
    if not counts:
        return ()
    labs = listed(counts)
    if taken_in:
        return (
            Bilingual.of(
                T_(
                    "the index is just taking in what changed in the records (%(labs)s labs); ask again in a moment",
                    labs=labs,
                )
            ),
        )
    return (
        Bilingual.of(
            T_(
                "the index of %(created_at)s is older than the records (%(labs)s labs); run: gloria reindex",
                created_at=snapshot.created_at,
                labs=labs,
            )
        ),
    )


def earlier_index_warnings(problem: str | None, snapshot: Snapshot) -> tuple[Bilingual, ...]:
    """Say that an earlier index answers, since the newest can't be used; `problem` says why, None if it can."""
    if problem is None:
        return ()
    return (
        Bilingual.of(
            T_(
                "the newest index can't be used (%(problem)s); the index of %(created_at)s answers instead",
                problem=problem,
                created_at=snapshot.created_at,
            )
        ),
    )


def exclusion_warnings(need: Need, labs: Collection[Lab]) -> tuple[Bilingual, ...]:
    """Name what a need excludes that is nobody: the lab that was meant would be shown."""
    unknown = ", ".join(unknown_exclusions(need, labs))
    if not unknown:
        return ()
    return (
        Bilingual.of(
            T_(
                "%(id)s excludes labs that are not stored: %(unknown)s; correct the id or name",
                id=need.id,
                unknown=unknown,
            )
        ),
    )


def too_little_warnings(need: Need, *, is_clear: bool) -> tuple[Bilingual, ...]:
    """Say that a need has no word to search with, or so few that no lab can be called fitting."""
    if not terms(need_text(need)):
        return (Bilingual.of(T_("%(id)s says too little to be matched", id=need.id)),)
    if is_clear:
        return ()
    return (
        Bilingual.of(
            T_(
                "%(id)s says little: ask the company what it is about, by which method, for what use and with which "
                "figures; until then every lab is shown as weak",
                id=need.id,
            )
        ),
    )
