"""A near miss: the smallest statement that would lift a lab for a need, and how far it would.

In: a matcher, a need, a lab. Out: for each ask that the lab does not cover the fewest words of it that a piece of the
lab's evidence would have to say for the ask to count as covered, or covered in part; where the lab would stand then,
by rank, band and coverage; and the question that could be put to the lab. It exists because a lab that is left out for
what it never wrote down may well do it: somebody has to ask, and has to know what for. Nothing is guessed: the
statement is added to the lab as a piece of evidence that says just that, and ranked by the ranking itself.

The question is made of the element words of the ask (object, process, figure, use) and of nothing else: no sentence of
the need, no limit that it sets, no name stands in it. Pure: no database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from indexer.encoders.query_vectors import Vectors
from indexer.folding import for_reading
from indexer.index.building import Material, composed
from indexer.index.snapshot import Snapshot, copies, in_memory
from indexer.index.vectors import VectorIndex, centred
from indexer.index.words import OneMore, WordIndex, terms
from indexer.records.passages import CHINESE, Passage, language_of
from indexer.records.profiles import Ask, Company, Need
from indexer.vocabulary import EvidenceKind
from indexer.wording import P_, T_, Bilingual, Text, either
from matcher.ranking.elements import Element, elements_of
from matcher.ranking.explanation import coverage_of
from matcher.ranking.lab_table import LabTable
from matcher.ranking.pairings import Matcher, UnknownRecordError
from matcher.ranking.ranker import BAND_LABELS, Band, Ranking
from matcher.ranking.signals import Searcher, features

MOST_WORDS = 5
"""So many words of an ask are tried; which of them are enough is found by trying them alone, in pairs, and all."""
LONGEST_WORD = {CHINESE: 12, "en": 40}
"""Characters of a word that a question may have; what is longer is no word but a piece of the need's text."""
_SAYS = (Element.METHOD, Element.PROPERTY, Element.OBJECT, Element.APPLICATION)
"""The elements that a lab can have evidence on; what a need limits is nobody else's business."""
_LEVELS = ("no", "partly", "yes")


@dataclass(frozen=True)
class Standing:
    """Where a lab stands for a need: its rank among all labs, its band, and how far it covers the ask."""

    rank: int
    band: Band
    covered: str


@dataclass(frozen=True)
class NearMiss:
    """An ask, by number from 1, that a lab does not cover, and the statement that would lift it.

    `words` are what nothing of the lab says, as the ask has them; `enough` the fewest of them that lift the lab to
    `after`, none if even all of them do not. `question` asks the lab for evidence on `enough`, in the language of the
    ask.
    """

    ask: int
    kind: str
    words: tuple[str, ...]
    enough: tuple[str, ...]
    before: Standing
    after: Standing | None

    @property
    def said(self) -> Text:
        """What is missing, in a sentence."""
        if not self.words:
            return T_("ask %(n)s is not covered, and names nothing that a lab could be asked about", n=self.ask)
        words = quoted(self.enough or self.words)
        if self.after is None:
            return T_(
                "no evidence on %(words)s; asked in ask %(n)s, and not enough even with it", words=words, n=self.ask
            )
        return T_("no evidence on %(words)s; asked in ask %(n)s", words=words, n=self.ask)

    @property
    def effect(self) -> Text | None:
        """How far the statement would lift the lab, in a sentence; None where it would not."""
        if self.after is None:
            return None
        place = T_("place %(after)s as now", after=self.after.rank)
        if self.after.rank != self.before.rank:
            place = T_("place %(after)s instead of %(before)s", after=self.after.rank, before=self.before.rank)
        return T_(
            "with evidence that says so: ask %(n)s %(covered)s, %(band)s, %(place)s",
            n=self.ask,
            covered=_COVERED[self.after.covered],
            band=BAND_LABELS[self.after.band],
            place=place,
        )

    @property
    def question(self) -> str:
        """What the lab could be asked; empty where there is nothing to ask."""
        words = self.enough or self.words
        if not words:
            return ""
        both = question_on(words)
        return both.zh if language_of("".join(words)) == CHINESE else both.en


_COVERED = {
    "no": P_("an ask", "not covered"),
    "partly": P_("an ask", "covered in part"),
    "yes": P_("an ask", "covered"),
}


def quoted(words: Sequence[str]) -> Text:
    """Return words of an ask as they stand in a sentence."""
    return either("".join(f"「{word}」" for word in words), ", ".join(f"“{word}”" for word in words))


def question_on(words: Sequence[str]) -> Bilingual:
    """Return the question whether a lab has evidence on some words, and nothing else."""
    return Bilingual.of(
        T_(
            "Does your lab have evidence – a paper, a patent, a project, a technology or equipment – that shows "
            "%(words)s? If so, please tell us which; a title and a few sentences are enough.",
            words=quoted(words),
        )
    )


def near_misses(matcher: Matcher, need: Need, lab_id: str, company: Company | None = None) -> tuple[NearMiss, ...]:
    """Return for each ask that a lab does not cover the smallest statement that would lift it.

    Args:
        matcher: ranks.
        need: any need; one without asks has none.
        lab_id: the lab.
        company: the need's company if it is not among the matcher's.

    Raises:
        UnknownRecordError: there is no such lab, it is not in the index yet, or it may not be proposed for this need.
    """
    row = matcher.searcher.lab_rows.get(lab_id)
    ranking = matcher.ranking(need, company)
    if row is None or lab_id not in matcher.labs or not ranking.ranks[row]:
        raise UnknownRecordError(T_("lab %(lab_id)r is not among the labs of this need", lab_id=lab_id))
    lab, chances = matcher.labs[lab_id], ranking.chances(row)
    open_asks = {
        number: ask
        for number, ask in enumerate(need.asks, start=1)
        if coverage_of(float(chances[number - 1]), ask, lab) != "yes"
    }
    words = {number: words_to_ask(matcher, ask, row) for number, ask in open_asks.items()}
    tried = [(number, some) for number in open_asks for some in _parts(words[number])]
    after = dict(zip(tried, _with_statements(matcher, ranking, row, tried), strict=True))
    found = []
    for number, ask in open_asks.items():
        before = Standing(int(ranking.ranks[row]), ranking.band(row), coverage_of(float(chances[number - 1]), ask, lab))
        lifts = [
            (some, stands)
            for (of, some), stands in after.items()
            if of == number and _LEVELS.index(stands.covered) > _LEVELS.index(before.covered)
        ]
        # The fewest words; of as many those that lift it furthest, and then the first ones of the ask.
        best = min(lifts, key=lambda one: (len(one[0]), one[1].rank), default=((), None))
        found.append(NearMiss(number, ask.kind, words[number], best[0], before, best[1]))
    return tuple(found)


def words_to_ask(matcher: Matcher, ask: Ask, row: int) -> tuple[str, ...]:
    """Return the element words of an ask that no passage of a lab says; all of them if each is said somewhere.

    Args:
        matcher: has the lab's passages.
        ask: what is asked for.
        row: the lab's row in the index.
    """
    stated = elements_of(for_reading(ask.text)).by_element
    spans = sorted((one for element in _SAYS for one in stated.get(element, ())), key=lambda one: one.start)
    words = [one.text.strip() for one in spans]
    short = [word for word in dict.fromkeys(words) if len(word) <= LONGEST_WORD[language_of(word)]]
    unsaid = [word for word in short if not _says(matcher, row, word)]
    return tuple((unsaid or short)[:MOST_WORDS])


def _says(matcher: Matcher, row: int, word: str) -> bool:
    """Whether a passage of a lab has a word, or one that stands for it in the other language."""
    wanted, passages = set(terms(word)), matcher.index.passages
    for number in matcher.searcher.passages_of(row):
        passage = matcher.snapshot.passages[number]
        if wanted and wanted <= set(terms(passage.text)):
            return True
        if passage.language != language_of(word) and passages.pairs(word, passage.text):
            return True
    return False


def _parts(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield what is tried: each word alone, each pair, and all together."""
    for size in sorted({1, 2, len(words)} & set(range(1, len(words) + 1))):
        yield from combinations(words, size)


def _with_statements(
    matcher: Matcher, ranking: Ranking, row: int, tried: Sequence[tuple[int, Sequence[str]]]
) -> list[Standing]:
    """Return where a lab would stand with each statement as one more piece of its evidence.

    Each is ranked in a small index that holds the lab alone: what a passage is worth hangs on no other lab, so that
    the small index gives it the score that the large one would.
    """
    lab, need = matcher.labs[matcher.snapshot.lab_ids[row]], ranking.query.need
    texts = ["、".join(words) if language_of("".join(words)) == CHINESE else ", ".join(words) for _, words in tried]
    table = LabTable.of([lab.id], {lab.id: lab}, matcher.schools)
    now = float(ranking.ranker.scores(ranking.table.values[row : row + 1])[0])
    standings = []
    for (number, _), text, vectors in zip(tried, texts, matcher.queries.as_passages(texts), strict=True):
        searcher = Searcher(_with_passage(matcher, row, text, vectors))
        found = features(ranking.query, searcher, table, matcher.company_asking(need))
        lift = float(ranking.ranker.scores(found.values)[0]) - now
        usual = float(ranking.usual[row]) + lift
        chance = float(ranking.ranker.covers(found.ask_scores[number - 1, 0], usual))
        rank = _rank_with(matcher, ranking, row, float(ranking.scores[row]) + lift)
        standings.append(Standing(rank, ranking.ranker.band(usual), coverage_of(chance, need.asks[number - 1], lab)))
    return standings


def _rank_with(matcher: Matcher, ranking: Ranking, row: int, score: float) -> int:
    """Return the rank that a lab would have with another score, all others as they are."""
    others = np.flatnonzero(ranking.ranks > 0)
    others = others[others != row]
    first = matcher.searcher.id_rank
    ahead = (ranking.scores[others] > score) | ((ranking.scores[others] == score) & (first[others] < first[row]))
    return 1 + int(ahead.sum())


def _with_passage(matcher: Matcher, row: int, text: str, vectors: Vectors) -> Snapshot:
    """Return a small index of one lab with one more passage.

    Args:
        matcher: has the lab.
        row: the lab's row in the index.
        text: the passage.
        vectors: of the text as a passage, by the names of the encoders.
    """
    whole, own = matcher.snapshot, list(matcher.searcher.passages_of(row))
    lab_id, language = whole.lab_ids[row], language_of(text)
    passages = [whole.passages[number] for number in own]
    passages.append(Passage(lab_id, "statement", EvidenceKind.PROJECT, text, language, None, 1.0))
    fields = []
    for view in whole.fields:
        places = {int(number): place for place, number in enumerate(view.rows)}
        held = [at for at, number in enumerate(own) if number in places]
        rows = view.index.some_rows([places[own[at]] for at in held])
        if view.name in vectors:
            # Centred as the passages of the index are.
            fresh = centred(np.asarray(vectors[view.name])[None, :], [language], view.passage_means)
            rows, held = np.concatenate([rows, fresh]), [*held, len(own)]
        fields.append(replace(view, index=VectorIndex.build(rows), rows=np.array(held, dtype=np.int64)))
    material = Material({lab_id: ""}, passages, whole.own_terms)
    contents = composed(material, fields, inputs="", watermark={})
    # Words weigh what they would in the whole index: in the small one each would be common.
    weighing = OneMore(whole.words, frozenset(terms(text)))
    labs = np.zeros(len(passages), dtype=np.int64)
    words = WordIndex(contents.words.counts, copies(fields, labs), weighed_by=weighing)
    return in_memory(replace(contents, words=words), generation=whole.generation, created_at=whole.created_at)
