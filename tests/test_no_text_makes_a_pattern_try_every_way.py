"""Texts at which a careless pattern tries every way to match them cost no more than others of their length."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable

from indexer.index.words import located_terms
from indexer.plain_text import clean
from indexer.records.passages import languages_in, sentences
from tests.rig.figures import figure

CHARS = 50_000
MOST_S = 2.0
UNITS = ("a-", "a'", "ab ", ". ", " \n", " ", "\u3000", "中a", "a_", "a\u0301", "。 ", "1.")


def _cleaned(text: str) -> str:
    return clean(text, max_chars=CHARS + 1, multiline=False)


READERS: tuple[Callable[[str], object], ...] = (_cleaned, languages_in, sentences, located_terms)


def _cost_s(reader: Callable[[str], object], text: str) -> float:
    # Of this thread alone and without collecting what other tests left: neither is a cost of the text.
    gc.disable()
    try:
        begun = time.thread_time()
        reader(text)
        return time.thread_time() - begun
    finally:
        gc.enable()


def test_no_text_takes_long() -> None:
    located_terms("first, what it needs is loaded, 中文也是")
    texts = [(unit * CHARS)[:CHARS] + "x" for unit in UNITS]
    costs = [_cost_s(reader, text) for text in texts for reader in READERS]
    assert max(costs) < MOST_S
    figure(
        "texts against patterns", texts=len(texts), readers=len(READERS), chars=CHARS, longest_s=round(max(costs), 2)
    )


def test_a_careless_pattern_is_found() -> None:
    careless = re.compile("[ \u3000]*[\t\n]")
    blanks = " " * (CHARS // 5)
    # Tried at each blank to the end of all: five times the blanks take 25 times as long.
    assert _cost_s(careless.search, blanks) * 25 > MOST_S
    assert _cost_s(_cleaned, blanks) * 25 < MOST_S
