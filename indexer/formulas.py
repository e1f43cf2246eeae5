"""Texts in spreadsheets that must never become formulas.

In: a text for a cell. Out: the text with an apostrophe before what a spreadsheet program would compute, and back.
It exists because what one person writes into a profile or a need another one opens in a spreadsheet.
"""

from __future__ import annotations

import re

# The characters that begin a formula, with their full-width, small, raised and lowered forms, and the breaks that a
# program may take for the beginning of another cell.
_LIVE = "=+\\-@\t\r\n＝＋－＠﹦﹢﹣﹫⁼⁺⁻₌₊₋"
# What a program may strip, or show nothing of, before it looks: blanks and characters without a width.
_STRIPPED = "\\s\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u2060-\u206f\ufe00-\ufe0f\ufeff"
_GUARD = re.compile(f"'*[{_STRIPPED}]*[{_LIVE}]")
_GUARDED = re.compile(f"'+[{_STRIPPED}]*[{_LIVE}]")


def guarded(text: str) -> str:
    """Return the text for a cell: an apostrophe before `=`, `+`, `-`, `@`, tab and line break at its beginning.

    Blanks and characters without a width before them do not hide them.
    A text that begins like a guarded one gets a further apostrophe, so that `unguarded` gives every text back.
    """
    return f"'{text}" if _GUARD.match(text) else text


def unguarded(text: str) -> str:
    """Return the text that a guarded cell stands for."""
    return text[1:] if _GUARDED.match(text) else text
