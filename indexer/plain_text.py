"""The one rule that every text goes through before it is stored, and the one before it enters a spreadsheet.

In: a text of a file, a form or a request, or one for a cell. Out: the same text with its characters as they were typed,
trimmed and bounded, or a `TextError` that says what is wrong and what would be right; for a cell with an apostrophe
before what a spreadsheet program would compute, and back. It exists so that search, display and export never meet
control characters, reversed writing directions or half characters, and because what one person writes into a profile or
a need another one opens in a spreadsheet. Exponents, units, width and rare characters stay: what is compared is folded
where it is compared (`indexer.folding`).
"""

from __future__ import annotations

import re
import unicodedata

from indexer.wording import T_, Text

# Unicode UAX 15 (stream-safe text): no real text stacks more than 30 marks on one letter, and
# normalising a long stack takes quadratic time.
_MARKS_PER_LETTER = 30
_MARK_STACK = re.compile(rb"[^\x00]{%d}" % (_MARKS_PER_LETTER + 1))
# Three Tibetan vowels count as letters but fall apart into marks.
_MARKS_IN_DISGUISE = dict.fromkeys((0x0F73, 0x0F75, 0x0F81), "\u0f71")
_REFUSED = re.compile("[\x00-\x08\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\u2028\u2029]")
_HARMLESS = re.compile(
    "[\x20-\x7e\u2010-\u2027\u2030-\u205e\u2070-\u20bf\u3000-\u3029\u3030-\u3096\u309b-\ua48c\uff01-\uff9d]*"
)
"""Letters and marks of which none has to be looked at: no breaks, no accents that are put on others, no control."""
# What programs put around a text to say which way it runs: nothing inside is reordered by it. With every blank, for
# `str.strip`: a pattern tries a long run of blanks inside of a text at each of them.
_AROUND = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" + "".join(
    character for character in map(chr, range(0x3001)) if character.isspace()
)
# The look-behind keeps a long run of blanks without a break from being tried at each of its blanks.
_BREAK_IN_LINE = re.compile("(?<![ \u3000])[ \u3000]*[\t\n][\t\n \u3000]*")
_SHOWN_CHARS = 60


class TextError(ValueError):
    """A value breaks a rule: `wrong` says how, `right` what would be accepted."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(T_("%(wrong)s; %(right)s", wrong=wrong, right=right))
        self.wrong = wrong
        self.right = right


def _repairs() -> dict[int, str]:
    """Windows-1252 characters that were decoded as Latin-1, and the byte order mark inside a text."""
    table = {0xFEFF: ""}
    for code in range(0x80, 0xA0):
        try:
            table[code] = bytes([code]).decode("cp1252")
        except UnicodeDecodeError:
            table[code] = " "
    return table


_REPAIRS = _repairs()


def clean(text: str, *, max_chars: int, multiline: bool) -> str:
    """Return the text as it may be stored.

    Args:
        text: any string.
        max_chars: the most code points.
        multiline: keep line breaks and tabs; otherwise each run of them becomes one space.

    Returns:
        As typed, without blanks and marks of direction at either end, line ends (those of Word and
        PowerPoint, U+000B, too) as newline. Characters U+0080 to U+009F are read as the
        Windows-1252 characters that they were before a wrong decoding; the five without a meaning
        become spaces. U+FEFF is dropped.

    Raises:
        TextError: a control or writing-direction character, a lone surrogate, or too long.
    """
    if len(text) > max_chars:
        raise TextError(
            T_("has %(characters)s characters", characters=f"{len(text):,}"),
            T_("give at most %(max_chars)s", max_chars=f"{max_chars:,}"),
        )
    if _HARMLESS.fullmatch(text):
        # Nearly every text of a list; what follows looks at each of its characters several times.
        return text.strip()
    if not text.isascii():
        text = text.translate(_REPAIRS).strip(_AROUND)
        _refuse_hostile(text)
        if _MARK_STACK.search(bytes(map(unicodedata.combining, text.translate(_MARKS_IN_DISGUISE)))):
            raise TextError(
                T_("has more than %(most)s accents on one letter", most=_MARKS_PER_LETTER),
                T_("remove them"),
            )
    else:
        _refuse_hostile(text)
    text = _LINE_END.sub("\n", text)
    if not multiline:
        text = _BREAK_IN_LINE.sub(" ", text)
    return text.strip()


def _refuse_hostile(text: str) -> None:
    found = _REFUSED.search(text)
    if found is None:
        return
    code = ord(found.group())
    place = T_("U+%(code)s at character %(n)s", code=f"{code:04X}", n=found.start() + 1)
    if 0xD800 <= code <= 0xDFFF:
        raise TextError(T_("contains half a character (%(place)s)", place=place), T_("save the text again as UTF-8"))
    if code > 0x7F:
        raise TextError(
            T_("contains a character that reverses the writing direction (%(place)s)", place=place), T_("remove it")
        )
    raise TextError(T_("contains the control character %(place)s", place=place), T_("remove it"))


def shown(value: object) -> str:
    """Return a value as a message may show it: quoted if a text, shortened, nothing unprintable."""
    text = value if isinstance(value, str) else _described(value)
    if isinstance(text, Text):
        return text
    short = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    safe = printable(short)
    return f'"{safe}"' if isinstance(value, str) else safe


def printable(text: str) -> str:
    """Return the text with each unprintable character written as its code."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _described(value: object) -> str:
    if isinstance(value, dict):
        return T_("an object")
    if isinstance(value, list):
        return T_("a list")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        return T_("a number of more than 60 digits")
    return str(value)


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
