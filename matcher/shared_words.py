"""Which words of a passage a need shares, as a person would mark them.

In: a passage's text and its terms, the terms of an ask, how rare terms are.
Out: the shared words as the passage writes them, rarest first. It exists apart
from search because a search may use single characters and common words, but
an explanation that marks them convinces nobody. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from indexer.lexical import Term, terms

WORDS_SHOWN = 6
RARE_IDF = 1.7
"""Terms in more than about half of all passages explain nothing (idf as in `indexer.tfidf`)."""
_FUNCTION_CHARACTERS = "的之了與和及或而並且在於由為以能可將被把也都就到從對讓使等每各其此該這那是來去中時"
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
        word = text[start:end].strip(_FUNCTION_CHARACTERS)
        if len(word) >= 2 and not word.isdecimal():
            # Of equally rare words the longer one says more.
            found[word] = max(found.get(word, 0.0), rare + 0.1 * min(len(word), 10))
    distinct: dict[str, str] = {}
    for word in sorted(found, key=lambda word: (-found[word], word)):
        distinct.setdefault(word.casefold(), word)
    return tuple(distinct.values())[:WORDS_SHOWN]
