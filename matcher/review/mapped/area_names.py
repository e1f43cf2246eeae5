"""What areas of the map are called: the topics of research that set labs which lie together apart from all others.

In: how much each lab is about each of some 150 topics, and labs in groups. Out: for each group up to three topics, in
Chinese and English. It exists because a map of points says where something is only to whoever knows the points; a name
on it says it to everybody.

The topics are a list of our own (`topics.txt`), from semiconductors to museums, and what a lab is about is read in the
space that the map is drawn in, so that it hangs on no language and on no single word. Names made of words that labs
use were tried first and measured on the demo world's 13 areas: a word says as much of a group as the two labs that
happen to use it (bucket, 烏龍茶, 差異), and keywords hardly repeat (of 766 twelve stand in two labs). What needs say
never enters, since a name on the map is read by whoever may not read the need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from indexer.arrays import FloatArray
from matcher.ranking.pairings import Matcher
from matcher.review.mapped.map_drawing import lab_rows, phrase_rows

WORDS = 3
"""Topics of a name: one says too little of a dozen labs; a map has room for the first two."""
_OF_A_LAB = 3
"""Topics that a lab is taken to be about: those that it is nearest to."""
_LEAST_LABS = 2
"""Labs of an area that a topic has to fit before it may name all of them."""
_NOT_NEWS = 0.3
"""What a topic is worth in a name whose other topics say all of its labs already."""
_ELSEWHERE = 5.0
"""So many times as common in the area as elsewhere is as telling as it gets, about."""


@dataclass(frozen=True)
class AreaName:
    """What an area is called: topics in each language, the most telling first; none where nothing sets it apart."""

    zh: tuple[str, ...]
    en: tuple[str, ...]


@cache
def topics() -> tuple[tuple[str, str], ...]:
    """Return the topics of research, in Chinese and English."""
    text = files("matcher.review.mapped").joinpath("topics.txt").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line)
    return tuple((zh, en) for zh, en in rows)


def topics_of_labs(matcher: Matcher) -> dict[str, FloatArray]:
    """Return how much each lab is about each topic, by the id of the lab: cosine similarity, in the order of `topics`.

    Raises:
        EncoderError: an encoder can't be loaded.
    """
    zh, en = zip(*topics(), strict=True)
    # A topic is what both of its names mean: either alone is nearer to the labs of its language.
    meant = _unit(_unit(phrase_rows(matcher, zh, "zh")) + _unit(phrase_rows(matcher, en, "en")))
    about = _unit(lab_rows(matcher.snapshot)) @ meant.T
    return dict(zip(matcher.snapshot.lab_ids, about, strict=True))


def _unit(rows: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))


def area_names(groups: Sequence[Sequence[FloatArray]]) -> list[AreaName]:
    """Return what each group of labs is called.

    Args:
        groups: for each lab of each group how much it is about each topic; what sets one apart is asked of all
            groups together.
    """
    about = _own_topics(np.array([row for group in groups for row in group]).reshape(-1, len(topics())))
    found, begin = [], 0
    for group in groups:
        inside = np.zeros(len(about), dtype=bool)
        inside[begin : begin + len(group)] = True
        begin += len(group)
        chosen = [topics()[number] for number in _telling(about[inside], about[~inside])]
        found.append(AreaName(tuple(zh for zh, _ in chosen), tuple(en for _, en in chosen)))
    return found


def _own_topics(about: FloatArray) -> FloatArray:
    """Keep of each lab the topics that it is nearest to, and of those no more than how near they are."""
    kept = np.argsort(-about, axis=1, kind="stable")[:, :_OF_A_LAB]
    own = np.zeros_like(about)
    np.put_along_axis(own, kept, np.take_along_axis(about, kept, axis=1), axis=1)
    return np.maximum(own, 0)


def _telling(inside: FloatArray, outside: FloatArray) -> list[int]:
    """Return the topics that tell a group from all others: after the first those that others of its labs are about."""
    here = inside.mean(axis=0)
    elsewhere = outside.mean(axis=0) if len(outside) else np.zeros_like(here)
    share = here / np.maximum(elsewhere + here / _ELSEWHERE, np.finfo(np.float32).tiny)
    telling = here * np.log2(1 + share)
    labs = (inside > 0).sum(axis=0)
    telling[labs < _LEAST_LABS] = 0
    unsaid = np.ones(len(inside), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < WORDS:
        news = (inside[unsaid] > 0).sum(axis=0) / np.maximum(labs, 1)
        worth = telling * (_NOT_NEWS + (1 - _NOT_NEWS) * news)
        best = int(worth.argmax())
        if worth[best] <= 0:
            break
        chosen.append(best)
        unsaid &= inside[:, best] == 0
        telling[best] = 0
    return chosen
