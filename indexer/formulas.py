"""Texts in spreadsheets that must never become formulas.

In: a text for a cell. Out: the text with an apostrophe before what a spreadsheet program would compute, and back.
It exists because what one person writes into a profile or a need another one opens in a spreadsheet.
"""

from __future__ import annotations

import re

# The characters that begin a formula, with their full-width forms, and those that a program may strip before it looks.
_LIVE = "=+\\-@\t\r\n＝＋－＠"
_GUARD = re.compile(f"'*[{_LIVE}]")
_GUARDED = re.compile(f"'+[{_LIVE}]")


def guarded(text: str) -> str:
    """Return the text for a cell: an apostrophe before `=`, `+`, `-`, `@`, tab and line break at its beginning.

    A text that begins like a guarded one gets a further apostrophe, so that `unguarded` gives every text back.
    """
    return f"'{text}" if _GUARD.match(text) else text


def unguarded(text: str) -> str:
    """Return the text that a guarded cell stands for."""
    return text[1:] if _GUARDED.match(text) else text
