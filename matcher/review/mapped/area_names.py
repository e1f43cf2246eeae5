"""What areas of the map are called: the words that set labs which lie together apart from all others.

In: labs in groups. Out: for each group a few words in Chinese and a few in English. It exists because a map of points
says where something is only to whoever knows the points; a name on it says it to everybody.

Words come from what labs say in public of what they do: names, keywords, titles of evidence. Support is counted over
both languages: a Chinese word is said by an English lab that has the stems of one of its senses, an English one by a
Chinese lab with a word of that sense. Counting exact keywords names nothing (of the demo world's 766 twelve stand in
two labs), and words as they come name too much (差異, measured): so a word counts by how much more of the group
than of the others say it, times how rare it or its plainest translation is in the wide world. What needs say never
enters, since a name on the map is read by whoever may not read the need.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import log, log2
from typing import TypeVar

from indexer.folding import simplified
from indexer.index.background import background
from indexer.index.dictionary import Dictionary, Sense, Translation
from indexer.index.words import Term, located_terms, terms
from indexer.records.profiles import Lab

WORDS = 3
"""Words of a name: one says too little of a dozen labs; a map has room for the first two."""
_HAN = re.compile("[\u3400-\u9fff]")
_KEYWORD = re.compile("[\u3400-\u9fff]{3,6}")
_COMPOUND = range(3, 7)
_SENSES = 2
"""Senses that a word is taken in: those behind them are rare, and each lets more labs say it that do not."""
_LEAST_LABS, _LEAST_SHARE = 2, 0.12
"""What fewer labs of an area say, two or an eighth, is no name for all of them. With a fifth the demo world's
areas are called 健康 and 化學, which says less than two telling words of a part of them."""
_LEAST_CONTRAST = 2.0
_RARITY = 1.5
_LONGER = 0.8
"""What a compound is worth more than a word: 記憶體內運算 says more than 記憶."""
_NO_TOPIC_ZH = re.compile("實驗|研究|中心|系統|技術|開發|應用|分析|設計|方法|影響|評估|計畫|管理|服務")
_NO_TOPIC_EN = frozenset(
    terms(
        "laboratory labs group center centre institute research study team unit facility method system technology "
        "development application analysis design university studio clinic use based new effect evaluation project"
    )
)

Word = TypeVar("Word", str, tuple[str, ...])


@dataclass(frozen=True)
class AreaName:
    """What an area is called: words of each language, the most telling first; none where nothing sets it apart."""

    zh: tuple[str, ...]
    en: tuple[str, ...]


@dataclass
class _Said:
    """Which labs say what, by the number of the lab: anywhere, as a topic, or by a translation."""

    words: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    stems: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    meant: dict[Sense, set[int]] = field(default_factory=lambda: defaultdict(set))
    senses: dict[str, tuple[Sense, ...]] = field(default_factory=dict)
    zh_topics: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    en_topics: dict[Sense, set[int]] = field(default_factory=lambda: defaultdict(set))
    written: dict[Sense, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    compounds: set[str] = field(default_factory=set)


def area_names(groups: Sequence[Sequence[Lab]], dictionary: Dictionary) -> list[AreaName]:
    """Return what each group of labs is called.

    Args:
        groups: labs that lie together; what sets one apart is asked of all groups together.
        dictionary: the words that cross languages.
    """
    labs = [lab for group in groups for lab in group]
    said = _read(labs, dictionary)
    zh = {word: _who_says_word(said, word) for word in said.zh_topics if not _NO_TOPIC_ZH.search(word)}
    en = {phrase: _who_says_phrase(said, phrase) for phrase in said.en_topics if _is_topic(phrase)}
    rarity_zh = {word: _rarity_of_word(said, word) for word in zh}
    rarity_en = {phrase: _rarity(phrase) * (1 + _LONGER * (len(phrase) - 1)) for phrase in en}
    found, begin = [], 0
    for group in groups:
        members = set(range(begin, begin + len(group)))
        begin += len(group)
        telling = _Telling(members, len(labs))
        words = telling.first(zh, said.zh_topics, rarity_zh, _share_characters)
        phrases = telling.first(en, said.en_topics, rarity_en, _share_stems)
        found.append(AreaName(tuple(words), tuple(_as_written(said, phrase) for phrase in phrases)))
    return found


def _topics(lab: Lab) -> tuple[str, ...]:
    return (lab.name, lab.name_en, *lab.keywords)


def _rest(lab: Lab) -> tuple[str, ...]:
    return (lab.summary, lab.summary_en, *(one.title for one in lab.evidence))


def _read(labs: Sequence[Lab], dictionary: Dictionary) -> _Said:
    said = _Said()
    for number, lab in enumerate(labs):
        for text in (*_topics(lab), *_rest(lab)):
            for word in dictionary.plan(text):
                if len(word.word) > 1:
                    said.words[word.word].add(number)
                    said.senses.setdefault(word.word, word.senses[:_SENSES])
                    for sense in word.senses[:_SENSES]:
                        said.meant[sense].add(number)
            for term in located_terms(text):
                said.stems[term.term].add(number)
        for text in _topics(lab):
            _note_topics(said, number, text, dictionary.plan(text))
        said.compounds.update(word for word in lab.keywords if _KEYWORD.fullmatch(word))
    _note_compounds(said, labs)
    return said


def _note_topics(said: _Said, number: int, text: str, words: Sequence[Translation]) -> None:
    for word, following in zip_longest(words, words[1:]):
        if len(word.word) < 2:
            continue
        said.zh_topics[word.word].add(number)
        if following is not None and word.end == following.start and len(following.word) > 1:
            said.compounds.add(word.word + following.word)
    for phrase, written in _phrases(text):
        said.en_topics[phrase].add(number)
        said.written[phrase][written if _is_abbreviation(written) else written.lower()] += 1


def _phrases(text: str) -> Iterator[tuple[Sense, str]]:
    """Yield the English words of a text, and pairs that stand together, each as stems and as written."""
    found: list[Term] = [term for term in located_terms(text) if not _HAN.match(term.term)]
    for term, following in zip_longest(found, found[1:]):
        yield (term.term,), text[term.start : term.end]
        if following is not None and text[term.end : following.start] == " ":
            yield (term.term, following.term), text[term.start : following.end]


def _is_abbreviation(written: str) -> bool:
    return any(letter.isupper() for letter in written[1:]) and " " not in written


def _note_compounds(said: _Said, labs: Sequence[Lab]) -> None:
    """Count compounds and keywords where they stand in a text as a whole: the dictionary takes them apart."""
    keys = {simplified(word): word for word in sorted(said.compounds) if len(word) in _COMPOUND}
    for number, lab in enumerate(labs):
        text = simplified("\n".join((*_topics(lab), *_rest(lab))))
        stretches = {text[at : at + length] for length in _COMPOUND for at in range(len(text) - length + 1)}
        for key in stretches & keys.keys():
            said.words[keys[key]].add(number)
            said.zh_topics[keys[key]].add(number)


def _is_topic(phrase: Sense) -> bool:
    return not set(phrase) & _NO_TOPIC_EN and all(len(stem) > 2 and not stem[0].isdigit() for stem in phrase)


def _who_says_word(said: _Said, word: str) -> set[int]:
    found = set(said.words[word])
    for sense in said.senses.get(word, ()):
        found |= _all_of(said.stems.get(stem, set()) for stem in sense)
    return found


def _who_says_phrase(said: _Said, phrase: Sense) -> set[int]:
    anywhere = said.stems[phrase[0]] if len(phrase) == 1 else said.en_topics[phrase]
    return anywhere | said.meant.get(phrase, set())


def _all_of(sets: Iterable[set[int]]) -> set[int]:
    found = list(sets)
    return set.intersection(*found) if found else set()


def _rarity_of_word(said: _Said, word: str) -> float:
    own = _rarity([term for term in terms(word) if len(term) > 1])
    longer = 1 + _LONGER * (len(word) > 2)
    return min([own, *(_rarity(sense) for sense in said.senses.get(word, ()))]) * longer


def _rarity(stems: Sequence[str]) -> float:
    """Return how rare the rarest of some terms is in the wide world, from 0 (in every passage) to 1 (in none)."""
    world = background()
    if not stems or world.passages < _LEAST_LABS:
        return 1.0
    least = max(1, int(world.frequency(stems).min()))
    return float(1 - log(least) / log(world.passages))


def _share_characters(one: str, other: str) -> bool:
    return len(set(one) & set(other)) > 1 or one in other or other in one


def _share_stems(one: Sense, other: Sense) -> bool:
    return not set(one).isdisjoint(other)


def _as_written(said: _Said, phrase: Sense) -> str:
    forms = said.written[phrase]
    return min(forms, key=lambda form: (-forms[form], form))


@dataclass(frozen=True)
class _Telling:
    """What tells a group of labs from all others, `n` labs in all."""

    members: set[int]
    n: int

    def first(
        self,
        sayers: Mapping[Word, set[int]],
        topics: Mapping[Word, set[int]],
        rarity: Mapping[Word, float],
        alike: Callable[[Word, Word], bool],
    ) -> list[Word]:
        """Return the most telling words: after the first those that others of the group say, and unlike it."""
        scores = {word: self._score(labs) * rarity[word] ** _RARITY for word, labs in sayers.items()}
        left = {word: score for word, score in scores.items() if score > 0 and topics[word] & self.members}
        chosen: list[Word] = []
        named: set[int] = set()
        while left and len(chosen) < WORDS:
            best = min(left, key=lambda word: (-left[word] * self._news(sayers[word], named), word))
            chosen.append(best)
            named |= sayers[best] & self.members
            left = {word: score for word, score in left.items() if not alike(word, best)}
        return chosen

    def _news(self, labs: set[int], named: set[int]) -> float:
        inside = labs & self.members
        return 0.5 + 0.5 * len(inside - named) / len(inside)

    def _score(self, labs: set[int]) -> float:
        inside = len(labs & self.members)
        if inside < max(_LEAST_LABS, _LEAST_SHARE * len(self.members)):
            return 0.0
        here = inside / len(self.members)
        elsewhere = (len(labs) - inside + 0.5) / (self.n - len(self.members) + 1)
        return here * log2(here / elsewhere) if here >= _LEAST_CONTRAST * elsewhere else 0.0
