"""Texts that a program has spoilt on their way, as they were meant.

In: a text of somebody's file. Out: the same with its characters decoded rightly, its entities as characters and its
inline markup gone, and what was done; or a refusal of what cannot be told any more. It exists because registers give
titles as `CO<sub>2</sub> &amp; water`, and because a list that was once opened in the wrong encoding looks like a list
and is none. A text that merely contains `<` or `&` stays as it is, and so does every text without such damage.
"""

from __future__ import annotations

import html
import re
from functools import cache
from html.entities import html5

from indexer.plain_text import TextError
from indexer.wording import T_

DECODED, UNMARKED = "decoded", "unmarked"
"""What may have been done to a text."""

_SUSPECT = re.compile(
    "[\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2044\u20ac\u2122]"
)
_LOST = "\ufffd"
_HAN = re.compile("[\u3400-\u9fff]")
_MISREAD = re.compile("銝|嚗|蝟|撖|擃|嚙踝蕭|锟斤拷|鍦|鐨|勭|閲忓|瀹為|妯|涓|浣犲|鈥|偊|隞|蝡|憭批飛|瘙|摰|璅")
"""Characters that UTF-8 read as Big5 or GBK is full of, and texts are not."""
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ENTITY_PASSES = 3
_TAG = re.compile(
    r"<(/?)((?:jats|mml|m|xhtml):)?([A-Za-z][A-Za-z0-9\-]*)((?:\s+[\w:\-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(/?)>"
)
_INLINE = frozenset(
    [
        "i",
        "b",
        "em",
        "strong",
        "u",
        "s",
        "sc",
        "small",
        "sub",
        "sup",
        "italic",
        "bold",
        "underline",
        "strike",
        "monospace",
        "span",
        "font",
        "a",
        "tt",
        "scp",
        "ovl",
        "roman",
        "sansserif",
        "inline-formula",
        "tex-math",
        "math",
        "mi",
        "mo",
        "mn",
        "mrow",
        "msub",
        "msup",
        "msubsup",
        "mfrac",
        "mtext",
        "mspace",
        "mover",
        "munder",
        "msqrt",
        "mfenced",
        "mstyle",
        "ext-link",
        "xref",
        "styled-content",
        "named-content",
        "code",
        "kbd",
        "var",
        "cite",
        "abbr",
        "mark",
        "ins",
        "del",
    ]
)
_BLOCKS = frozenset("p br div title sec section li ul ol list list-item label h1 h2 h3 h4 h5 h6 tr abstract hr".split())  # noqa: SIM905
_ALONE = frozenset({"br", "hr", "p", "li", "mspace"})
_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_SHIFTED = re.compile(r"<((?:jats:)?(sup|sub))(?:\s[^<>]*)?>([^<>]{1,40})</\1>")
_FEWEST_REPAIRED = 2


def repaired(text: str) -> tuple[str, frozenset[str]]:
    """Return a text as it was meant, and what was done to it.

    Raises:
        TextError: it is garbled, and what it said can't be told.
    """
    done = set()
    if not text.isascii():
        decoded = _decoded(text)
        if decoded != text:
            done.add(DECODED)
            text = decoded
    if "<" in text or "&" in text:
        plain = without_markup(text)
        if plain != text:
            done.add(UNMARKED)
            text = plain
    return text, frozenset(done)


_PERHAPS = re.compile(f"[{_LOST}{_SUSPECT.pattern[1:-1]}{''.join(one[0] for one in _MISREAD.pattern.split('|'))}]")
"""A character with which a damage begins; most texts have none of them, and are not looked at again."""


def _decoded(text: str) -> str:
    if not _PERHAPS.search(text):
        return text
    if _LOST in text:
        raise TextError(T_("has lost characters to a wrong encoding (�)"), T_("save the original list again as UTF-8"))
    if _SUSPECT.search(text) and (found := _from_latin(text)) is not None:
        return found
    if _HAN.search(text) and (found := _from_chinese(text)) is not None:
        return found
    return text


def _from_latin(text: str) -> str | None:
    """Undo UTF-8 or Big5 that was read as Latin-1 or Windows-1252."""
    import ftfy
    from ftfy.badness import is_bad

    found = ftfy.fix_encoding(text) if is_bad(text) else text
    if found != text:
        if _LOST in found:
            raise _garbled()
        return found
    big5 = _big5_in(text)
    if big5 is not None:
        return big5
    # Signs beside signs where letters should be: damaged, and not in a way that can be undone.
    if (
        len(re.findall("[\u0080-\u009f]", text)) >= _FEWEST_REPAIRED
        and len(re.findall("[\u00c0-\u00ff]", text)) >= _FEWEST_REPAIRED
    ):
        raise _garbled()
    return None


def _big5_in(text: str) -> str | None:
    if _HAN.search(text) or len(re.findall("[\u00a1-\u00fe]", text)) < 2 * _FEWEST_REPAIRED:
        return None
    for encoding in ("latin-1", "cp1252"):
        try:
            found = text.encode(encoding).decode("cp950")
        except UnicodeError:
            continue
        letters = [c for c in found if not c.isascii()]
        frequent = sum(0xA4 <= c.encode("cp950")[0] < 0xC9 for c in letters)
        # Words in a European language have their marked letters one by one, among plain ones.
        marked = sum(not c.isascii() for c in text)
        if (
            frequent >= _FEWEST_REPAIRED
            and frequent > 0.8 * len(letters)
            and marked > 0.5 * sum(not c.isspace() for c in text)
        ):
            return found
    return None


def _from_chinese(text: str) -> str | None:
    """Undo UTF-8 that was read as Big5 or GBK; the other way round no text of some length is valid by chance."""
    if not _MISREAD.search(text):
        return None
    for encoding in ("cp950", "gbk", "gb18030"):
        try:
            found = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if len(_HAN.findall(found)) >= 1 and found != text:
            return found
    signs = len(_MISREAD.findall(text))
    if signs >= _FEWEST_REPAIRED and signs * 4 >= len(_HAN.findall(text)):
        raise _garbled()
    return None


def _garbled() -> TextError:
    return TextError(
        T_("is garbled: it was once read in a wrong encoding"), T_("save the original list again as UTF-8")
    )


@cache
def _known_entities() -> frozenset[str]:
    return frozenset(html5)


def without_markup(text: str) -> str:
    """Return a text with entities as characters and without the inline markup of registers; other `<` and `&` stay."""
    found = _untagged(text)
    for _ in range(_ENTITY_PASSES):
        decoded = _ENTITY.sub(_character, found)
        if decoded == found:
            break
        found = decoded
    if found != text and "<" in found:
        found = _untagged(found)
    return found if found == text else re.sub(r"[ \t]{2,}", " ", re.sub(r"\s*\n\s*", "\n", found)).strip()


def _character(match: re.Match[str]) -> str:
    name = match[0]
    if not name.startswith("&#") and name[1:] not in _known_entities():
        return name
    found = html.unescape(name)
    return name if found == _LOST or (len(found) == 1 and ord(found) < 32 and found not in "\t\n\r") else found


def _untagged(text: str) -> str:
    if "<" not in text:
        return text
    text = _SHIFTED.sub(_shifted, text)
    tags = list(_TAG.finditer(text))
    closed = {(match[2] or "", match[3].lower()) for match in tags if match[1]}

    def replaced(match: re.Match[str]) -> str:
        prefix, name = match[2] or "", match[3].lower()
        if not (prefix or name in _INLINE or name in _BLOCKS):
            return match[0]
        # A tag that nothing closes may be a text that says a < b and c > d.
        if not prefix and (prefix, name) not in closed and name not in _ALONE and not match[5]:
            return match[0]
        return "\n" if name in _BLOCKS else ""

    return _TAG.sub(replaced, text)


def _shifted(match: re.Match[str]) -> str:
    table = _RAISED if match[2] == "sup" else _LOWERED
    said = html.unescape(match[3])
    if all(ord(c) in table for c in said):
        return said.translate(table)
    # An exponent must not become a digit of the number before it.
    return f"^{said}" if match[2] == "sup" and said[:1].isalnum() else said
