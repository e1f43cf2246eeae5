"""Languages and countries as people call them.

In: the codes that records hold (`zh`, `TW`). Out: Chinese and English names. It exists because a code is for programs.
"""

from __future__ import annotations

from babel import Locale, UnknownLocaleError

_READERS = (Locale("zh", script="Hant"), Locale("en"))
Bilingual = tuple[str, str]


def language(code: str) -> Bilingual:
    """Return a language's names in Chinese and English; of one that is not known, its code."""
    try:
        spoken = Locale.parse(code)
    except (UnknownLocaleError, ValueError):
        return code, code
    zh, en = (spoken.get_display_name(reader) or code for reader in _READERS)
    return zh, en


def country(code: str) -> Bilingual:
    """Return a country's names in Chinese and English; of one that is not known, its code."""
    zh, en = (reader.territories.get(code, code) for reader in _READERS)
    return zh, en
