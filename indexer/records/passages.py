"""Records in, passages out: what of a lab or a need is embedded and searched.

In: labs and needs as frozen values. Out: for a lab its profile and each piece
of its evidence as a passage of its own, for a need its whole text, its asks
and its sentences. It exists because a lab is many passages: how they add up to
a lab decides the quality of a ranking, and averaging them first is the worst
choice. Pure: no files, no database, no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from indexer.records.profiles import Evidence, Lab, Need

PROFILE = "profile"
CHINESE, ENGLISH = "zh", "en"

_CHINESE_SHARE = 0.15
"""A Chinese character says about as much as a Latin word: a small share of them makes a text Chinese."""
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z\-']+")
_LATIN_WORDS_FOR_ENGLISH = 12
_LETTERS = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"(?<=[。!?！？])|(?<=[.])\s+|\n+")
_SENTENCE_MIN_CHARS = 6


@dataclass(frozen=True, slots=True)
class Passage:
    """One searchable text of a lab.

    `source` is the evidence's id, or `profile`; `kind` the evidence's kind, or
    `profile`; `weight` is what the lab's owner set, 1 for the profile.
    """

    lab_id: str
    source: str
    kind: str
    text: str
    language: str
    year: int | None
    weight: float


def _count(characters: re.Pattern[str], text: str) -> int:
    return sum(map(len, characters.findall(text)))


def language_of(text: str) -> str:
    """Return `zh` for a text that is Chinese for the most part, else `en`."""
    return CHINESE if _count(_HAN, text) > _CHINESE_SHARE * _count(_LETTERS, text) else ENGLISH


def languages_in(text: str) -> frozenset[str]:
    """Return all languages that a text says enough in to be searched by its words: `zh`, `en` or both.

    A few Latin abbreviations do not make a Chinese text English; a second half in English does.
    """
    main = language_of(text)
    words = len(_LATIN_WORD.findall(text))
    second = main == CHINESE and words >= max(_LATIN_WORDS_FOR_ENGLISH, _count(_HAN, text) // 4)
    return frozenset({main, ENGLISH} if second else {main})


def joined(*parts: str) -> str:
    """Return the parts of a text that say something, a line each or more."""
    return "\n".join(part.strip() for part in parts if part.strip())


def _passage(lab: Lab, text: str, evidence: Evidence | None = None) -> Passage:
    return Passage(
        lab_id=lab.id,
        source=evidence.id if evidence else PROFILE,
        kind=evidence.kind if evidence else PROFILE,
        text=text,
        language=language_of(text),
        year=evidence.year if evidence else None,
        weight=evidence.weight if evidence else 1.0,
    )


def lab_passages(lab: Lab) -> list[Passage]:
    """Return a lab's passages: its profile in each language it has, then its evidence in order.

    Evidence of weight 0 is retired by its owner and left out. A name alone says
    too little to be a passage, unless the lab has nothing else.
    """
    passages = []
    if lab.summary or lab.keywords:
        passages.append(_passage(lab, joined(lab.name, lab.summary, ", ".join(lab.keywords))))
    if lab.summary_en:
        passages.append(_passage(lab, joined(lab.name_en, lab.summary_en)))
    for evidence in lab.evidence:
        if evidence.weight > 0:
            passages.append(_passage(lab, joined(evidence.title, evidence.abstract), evidence))
    return passages or [_passage(lab, joined(lab.name, lab.name_en))]


def need_text(need: Need) -> str:
    """Return everything that a need says: title, description, asks."""
    return joined(need.title, need.description, *(ask.text for ask in need.asks))


def sentences(text: str) -> list[str]:
    """Split a text into its sentences, Chinese or English, leaving out scraps of a few characters."""
    parts = [part.strip() for part in _SENTENCE_END.split(text)]
    return [part for part in parts if len(part) >= _SENTENCE_MIN_CHARS]


def fingerprint(passages: Sequence[Passage]) -> str:
    """Return a hash over the texts, sources, years and weights of passages: equal hash, equal index rows."""
    digest = sha256()
    for passage in passages:
        fields = (passage.lab_id, passage.source, passage.kind, passage.text, passage.year, passage.weight)
        digest.update(repr(fields).encode())
    return digest.hexdigest()
