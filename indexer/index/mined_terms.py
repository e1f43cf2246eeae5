"""Pairs of terms that labs' own records give away: a word with its translation in brackets, keywords in both languages.

In: labs with their texts. Out: Chinese and English terms that somebody wrote side by side, each with the labs that did
so, in the form of the exchange format's terms. It exists because a lab that writes 斷詞 (word segmentation) has
translated a word that no open dictionary has. They are a proposal: an office looks through the file and imports it,
and only then do they count, since a wrong pair would lead every need with that word astray.

Nothing is guessed from statistics. A pair counts only where both its ends are certain: brackets behind a word that
begins where a sentence, a list or a quotation begins, or two lists of keywords of equal length of which the
dictionary knows some pairs to stand in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from indexer.index.dictionary import Dictionary
from indexer.index.words import terms
from indexer.records.profiles import Lab

_HAN = "\u3400-\u9fff"
_CHINESE = rf"[{_HAN}]{{2,10}}"
_ENGLISH = r"[A-Za-z][A-Za-z0-9'\-]*(?:[ /][A-Za-z0-9'\-]+){0,4}"
_BEGIN = r"(?:^|[\s，。、；：,.;:!?！？「『《〈\"“(（])"
_IN_BRACKETS = (
    re.compile(rf"{_BEGIN}(?P<zh>{_CHINESE})[」』》〉”\"]?\s*[(（]\s*(?P<en>{_ENGLISH})\s*[)）]", re.MULTILINE),
    re.compile(rf"(?:^|[^A-Za-z0-9'\- ]\s*)(?P<en>{_ENGLISH})\s*[(（]\s*(?P<zh>{_CHINESE})\s*[)）]", re.MULTILINE),
)
_LIST_MINIMUM = 3
_LIST_AGREEMENT = 1 / 3
"""Of the pairs of two keyword lists so many must be known to the dictionary, in place, for the rest to be believed."""


@dataclass(frozen=True, slots=True)
class MinedTerm:
    """A Chinese and an English term that stand side by side, and in which labs' records."""

    zh: str
    en: str
    labs: tuple[str, ...]

    @property
    def id(self) -> str:
        """What it is known by as a term of the exchange format."""
        return "=".join("_".join(word.split()) for word in (self.zh, self.en))


def mined_terms(labs: Iterable[Lab], dictionary: Dictionary) -> tuple[MinedTerm, ...]:
    """Return the pairs that labs' records hold and the dictionary does not, those of most labs first.

    Args:
        labs: all whose texts are searched.
        dictionary: says which pairs are known, so that only news is shown.
    """
    found: dict[tuple[str, str], dict[str, None]] = {}
    for lab in labs:
        for zh, en in [*_bracketed(_texts(lab)), *_listed(lab.keywords, dictionary)]:
            if not _known(zh, en, dictionary):
                found.setdefault((zh, en), {})[lab.id] = None
    mined = [MinedTerm(zh, en, tuple(ids)) for (zh, en), ids in found.items()]
    return tuple(sorted(mined, key=lambda one: (-len(one.labs), one.zh, one.en)))


def _texts(lab: Lab) -> Iterator[str]:
    yield from (lab.summary, lab.summary_en, *lab.keywords)
    for one in lab.evidence:
        yield from (one.title, one.abstract)


def _bracketed(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        for pattern in _IN_BRACKETS:
            for match in pattern.finditer(text):
                yield match["zh"], match["en"].strip()


def _listed(keywords: Sequence[str], dictionary: Dictionary) -> Iterator[tuple[str, str]]:
    chinese = [word for word in keywords if re.search(f"[{_HAN}]", word)]
    english = [word for word in keywords if not re.search(f"[{_HAN}]", word) and re.search("[A-Za-z]{2}", word)]
    if len(chinese) < _LIST_MINIMUM or len(chinese) != len(english):
        return
    pairs = list(zip(chinese, english, strict=True))
    if sum(_known(zh, en, dictionary, partly=True) for zh, en in pairs) >= _LIST_AGREEMENT * len(pairs):
        yield from pairs


def _known(zh: str, en: str, dictionary: Dictionary, *, partly: bool = False) -> bool:
    """Say whether the dictionary leads from a Chinese term to all of an English one, or to part of it."""
    wanted = set(terms(en))
    reached = {stem for word in dictionary.plan(zh) for sense in word.senses for stem in sense}
    return bool(wanted & reached) if partly else wanted <= reached
