"""Whether a lab would be found for a question, and what is missing if not.

In: a matcher, a lab, and words that its own researcher typed. Out: how far in front the lab is found, what of it
speaks, and in sentences what is missing: words that nothing of the lab says, a language, a kind of cooperation,
something that was retired. It exists because "why am I never asked?" has an answer that no need has to be told for:
the researcher's own words are enough, and nothing else is read. Pure: no database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from indexer.index.words import located_terms, terms
from indexer.records.passages import CHINESE, PROFILE, lab_passages, language_of, languages_in
from indexer.vocabulary import AskKind, label
from indexer.wording import T_, Text, either, listed
from matcher.ranking.explanation import FUNCTION_CHARACTERS, Speaking, showable
from matcher.ranking.pairings import Matcher

FIRST, FURTHER = 5, 30
_MOST_WORDS, _MOST_RETIRED, _SHORTEST = 8, 3, 2


class Place(StrEnum):
    """How far in front a lab is found: among the first, further behind, or too far for anybody to look."""

    FIRST = "first"
    FURTHER = "further"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class Findable:
    """What came of a question. `is_current` is false while the index takes in what changed in the lab."""

    place: Place
    speaking: Speaking | None
    missing: tuple[Text, ...]
    is_current: bool


def findable(matcher: Matcher, lab_id: str, asked: str, kind: AskKind | None = None) -> Findable:
    """Return whether a lab is found for some words.

    Args:
        matcher: ranks.
        lab_id: the lab.
        asked: what somebody might ask, in Chinese or English.
        kind: the cooperation that is asked for, None for any.
    """
    found = matcher.search_labs(asked, top=FURTHER)
    rank, speaking = next(
        ((n, one.speaking) for n, one in enumerate(found.labs, start=1) if one.lab.id == lab_id), (None, None)
    )
    place = Place.NOWHERE if rank is None else Place.FIRST if rank <= FIRST else Place.FURTHER
    is_current = lab_id not in matcher.not_indexed and lab_id not in matcher.changed_labs
    return Findable(place, speaking, tuple(_missing(matcher, lab_id, asked, kind)), is_current)


def _missing(matcher: Matcher, lab_id: str, asked: str, kind: AskKind | None) -> list[Text]:
    lab = matcher.labs[lab_id]
    found: list[Text] = []
    if lab.capacity == 0:
        found.append(T_("You state that you can take on nothing more: that takes the lab out of all rankings."))
    if lab_id in matcher.not_indexed:
        found.append(T_("The lab is just being taken into the index: ask again in a moment."))
        return found
    passages = lab_passages(lab)
    languages = frozenset().union(*(languages_in(passage.text) for passage in passages))
    language = language_of(asked)
    if language not in languages:
        said = T_("Chinese") if language == CHINESE else T_("English")
        found.append(
            T_("Everything of your lab is in the other language: a summary in %(language)s helps.", language=said)
        )
    elif unsaid := _unsaid(asked, [passage.text for passage in passages]):
        words = either("、".join(unsaid), ", ".join(unsaid))
        found.append(T_("Nothing of your lab says: %(words)s. If it is what you do, write it.", words=words))
    if kind is not None and lab.offers and kind.value not in lab.offers:
        found.append(T_("You do not offer %(kind)s: tick it if you do.", kind=either(label(kind), kind.value)))
    if all(passage.source == PROFILE for passage in passages):
        found.append(T_("No work stands for the lab: a paper, a patent or a project convinces more than a summary."))
    wanted = set(_showable(asked))
    retired = [
        one for one in lab.evidence if one.weight == 0 and wanted & set(_showable(f"{one.title}\n{one.abstract}"))
    ]
    if retired:
        titles = listed(one.title for one in retired[:_MOST_RETIRED])
        found.append(T_("Retired, though it says some of it: %(titles)s.", titles=titles))
    return found


def _showable(text: str) -> list[str]:
    return [term.term for term in showable(located_terms(text))]


def _unsaid(asked: str, texts: Sequence[str]) -> list[str]:
    """Return the words of a question that no text has, as they stand in it, neighbouring ones together."""
    said = {term for text in texts for term in terms(text)}
    covered, open_ = bytearray(len(asked)), bytearray(len(asked))
    for term in showable(located_terms(asked)):
        marks = covered if term.term in said else open_
        marks[term.start : term.end] = b"\1" * (term.end - term.start)
    words, begins = [], None
    for at in range(len(asked) + 1):
        is_open = at < len(asked) and open_[at] and not covered[at]
        if is_open and begins is None:
            begins = at
        elif not is_open and begins is not None:
            words.append(asked[begins:at].strip(FUNCTION_CHARACTERS))
            begins = None
    return list(dict.fromkeys(word for word in words if len(word) >= _SHORTEST))[:_MOST_WORDS]
