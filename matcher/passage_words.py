"""What a passage says, read once: its sentences with their terms, and the words that may be shown as shared.

In: the passages of an index. Out: for a passage its sentences, the terms of
each, and where its rarer words stand. It exists because finding terms is most
of what explaining costs, while the same passages speak for many needs: each
is read once and kept while it is in use, by whichever index holds it, so that
a new index does not begin by reading what the one before had read. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from indexer.lexical import Term, located_terms, terms
from indexer.snapshot import Snapshot
from indexer.text import sentences
from matcher.shared_words import showable

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
