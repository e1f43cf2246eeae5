"""The shared words of a passage, marked where they stand.

In: a text as somebody wrote it and the words that it shares with an ask. Out:
the text as HTML, every character of it escaped, with `<mark>` around those
words. It exists because a reader believes a passage whose words they see again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

_LATIN = r"[0-9A-Za-zÀ-ɏ]"


def marked(text: str, words: Sequence[str]) -> Markup:
    """Return the text with each of the words marked; Latin words only where they are whole words."""
    wanted = sorted({word for word in words if word}, key=lambda word: (-len(word), word))
    if not wanted:
        return escape(text)
    pattern = re.compile("|".join(_whole(word) for word in wanted), re.IGNORECASE)
    parts, end = [], 0
    for found in pattern.finditer(text):
        parts += [escape(text[end : found.start()]), Markup("<mark>{}</mark>").format(found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _whole(word: str) -> str:
    before = rf"(?<!{_LATIN})" if re.match(_LATIN, word) else ""
    after = rf"(?!{_LATIN})" if re.match(_LATIN, word[-1]) else ""
    return f"{before}{re.escape(word)}{after}"
