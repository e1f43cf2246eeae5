"""Texts in, texts in one script out: what is compared and encoded, never what is stored or shown.

In: a text as a person wrote it. Out: the same in Simplified characters, in one width, and for models also in the words
of the mainland; for names, numbers of contracts, words of a search and people the form by which each is compared. It
exists because Taiwan writes 軟體 where most of what encoders and dictionaries have read says 软件: with needs folded
before encoding, the reciprocal rank on Traditional titles rises from 0.74 to 0.83, and both scripts rank alike; because
a conflict of interest holds however a firm's name is spelled; and because K1-001 with a longer dash, or with the К of
another alphabet, is the same contract. There is a function for each purpose, since what must never be taken for the
same differs: letters that look alike in two scripts are one, letters of one script never are (O and 0, 1 and l), except
for `for_looks`, on which only a person's look may depend. Texts are kept as they were written; only what is compared is
folded. The only place that knows OpenCC and the list of confusable characters (Unicode UTS 39).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""A Chinese character."""
_LEGAL_FORM = re.compile(
    r"""(?: \s* (?: 股份\s*有限\s*公司 | \(股\)\s*(?:有限\s*)?公司 | \(股\) | 有限\s*公司 | 公司 )
        | (?<=[^\s,]) (?: \s*,\s* | \s+ )
          (?: (?:co\.?|company) \s* ,? \s* (?:ltd\.?|limited)
            | co\.? | ltd\.? | limited | inc\.? | corp\.? | corporation | gmbh )
        ) \s* $""",
    re.VERBOSE,
)
"""What a name ends with that says only of which legal form a firm is; Latin ones stand apart from what comes before."""
_TAX_ID = re.compile(r"(?<![0-9A-Za-z_-])[0-9]{8}(?![0-9A-Za-z_-])")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters that no reader sees: Default_Ignorable_Code_Point of Unicode, which Python's tables lack."""
_DASHES = "-_\u2212\u2500\u2501\u02d7\u2043\u06d4"
"""What is written for a hyphen beside the dashes proper (category Pd); 一 is a number and stays one."""
_NO_LONG_VOWEL = re.compile("(?<![\u3040-\u30ff])\u30fc")
"""The sign of a long vowel where none can be: typed for a dash."""
_SERIAL_WORDS = (
    "学生证号码", "学生证号", "学生编号", "学号", "身分证统一编号", "身分证字号", "身分证号码", "身分证号", "身分证",
    "身份证字号", "身份证号码", "身份证号", "身份证", "居留证号码", "居留证号", "护照号码", "护照", "员工编号", "员编",
    "出生年月日", "出生日期", "生日", "编号", "号码", "student identification number", "student number", "student no",
    "student id", "studentid", "stu id", "passport number", "passport no", "passport", "employee id", "employee no",
    "date of birth", "birthday", "number", "no", "id",
)  # fmt: skip
"""What stands before a number and says of which kind it is."""


@lru_cache(maxsize=2)
def _converter(name: str) -> Any:
    import opencc

    return opencc.OpenCC(name)


def one_width(text: str) -> str:
    """Return a text with each character in its usual width and form (Ａ is A, ² is 2), each where it was.

    A character that stands for several, such as ㎡, stays: those are for forms whose positions may move.
    """
    if text.isascii():
        return text
    return "".join(c if c.isascii() or len(plain := unicodedata.normalize("NFKC", c)) != 1 else plain for c in text)


def simplified(text: str) -> str:
    """Return a text in lower case, one width and Simplified characters, each character where it was."""
    lowered = one_width(text).lower()
    if len(lowered) != len(text):
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    found = str(_converter("t2s").convert(lowered))
    if len(found) == len(lowered):
        return found
    return "".join(str(_converter("t2s").convert(c))[:1] or c for c in lowered)


def simplified_phrases(text: str) -> str:
    """Return a text in Simplified characters and mainland words (軟體 becomes 软件); positions may move."""
    return str(_converter("tw2sp").convert(text))


def for_reading(text: str) -> str:
    """Return a text as the rules that look for figures, units and turns of phrase read it: NFKC, so ℃ is °C."""
    return unicodedata.normalize("NFKC", text)


def for_logins(text: str) -> str:
    """Return the form in which addresses that people sign in with are compared and kept: one width, no case."""
    return unicodedata.normalize("NFKC", text).strip().lower()


def for_encoders(text: str) -> str:
    """Return a text as encoders read it: one width (NFKC), and if it has Chinese, Simplified with mainland words."""
    plain = unicodedata.normalize("NFKC", text)
    return simplified_phrases(plain) if HAN.search(plain) else plain


@lru_cache(maxsize=2**17)
def for_names(text: str) -> str:
    """Return the form in which names of firms, labs and schools are compared: the same name has the same one.

    Put aside are width (NFKC), case, blanks, Traditional or Simplified characters (臺 and 台), and legal forms at the
    end: 股份有限公司, (股)公司, 有限公司, 公司, Co., Ltd., Inc., Corp., Corporation, Company Limited, GmbH. Nothing
    else is: every other letter, digit, hyphen or mark keeps names and ids apart. Folding twice changes nothing.
    """
    found = _folded_name(text)
    while (again := _folded_name(found)) != found:
        found = again
    return found


def _folded_name(text: str) -> str:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
    # A name that is nothing but a legal form stays: without anything left, all of these would be one.
    while (shorter := _LEGAL_FORM.sub("", plain)) and shorter != plain:
        plain = shorter
    # Blanks go first, since OpenCC reads whole words.
    joined = "".join(plain.split())
    return simplified(joined) if HAN.search(joined) else joined


def tax_ids_in(text: str) -> list[str]:
    """Return the numbers of eight digits in a text that stand alone, as 統一編號 do, in any width."""
    return _TAX_ID.findall(unicodedata.normalize("NFKC", text))


def for_search(text: str) -> str:
    """Return the form in which words are looked for in a text: one width, no case, Simplified, single blanks.

    Each character is folded by itself, so that a part of a text is found as it stands in the whole, and thousands of
    texts in a moment.
    """
    plain = " ".join(_visible(text).casefold().split())
    return plain.translate(_simple_characters()) if HAN.search(plain) else plain


@cache
def _simple_characters() -> dict[int, str]:
    characters = [chr(code) for first, last in ((0x3400, 0x4DBF), (0x4E00, 0x9FFF)) for code in range(first, last + 1)]
    pairs = zip(characters, (simplified(character) for character in characters), strict=True)
    return {ord(one): simple for one, simple in pairs if one != simple}


def whole_names(text: str) -> frozenset[str]:
    """Return a person's whole name with its parts in every order that keeps neighbours: the same name shares one."""
    parts = name_parts(text)
    return frozenset("".join(parts[n:] + parts[:n]) for n in range(len(parts)))


@lru_cache(maxsize=2**16)
def for_keys(text: str) -> str:
    """Return the form in which numbers of contracts, references and the like are compared: the same has the same one.

    Put aside are what cannot be seen, width (NFKC), case, blanks, Traditional or Simplified characters (臺 and 台), the
    alphabet of letters that look like Latin ones (UTS 39), and the kind of dash, with underscores among them; a dash
    between the letters before a number and the number (C-108, C108) goes too. Everything else keeps two keys apart:
    1-11 and 11-1, O and 0, 108/1 and 108-1.
    """
    plain = _one_alphabet(_visible(text)).casefold()
    joined = re.sub("-+", "-", "".join("-" if _is_dash(c) else c for c in plain if not c.isspace())).strip("-")
    joined = re.sub("^([a-z]+)-(?=[0-9])", r"\1", joined)
    return simplified(joined) if HAN.search(joined) else joined


@lru_cache(maxsize=2**16)
def for_looks(text: str) -> str:
    """Return what is left of a key or a name to the eye: two that look alike have the same one.

    Beside what `for_keys` puts aside, all marks go, and letters of one script that look alike are one too (O and 0, 1,
    I and l, 士 and 土, 一 and a dash). What has the same look is for a person to tell apart, never the same by itself.
    """
    key = "".join(c for c in for_keys(text) if c.isalnum() and c != "一")
    return "".join(_look(c) for c in key)


@lru_cache(maxsize=2**14)
def for_serials(text: str) -> str:
    """Return the number that tells people apart, such as a student number, without its kind and punctuation.

    `學號:B0612345` and `b 0612345` are one. A day keeps its parts apart: 1999-1-11 is not 1999-11-1.
    """
    plain = " ".join(_one_alphabet(_visible(text)).casefold().split())
    plain = simplified(plain) if HAN.search(plain) else plain
    while (shorter := _without_kind(plain)) != plain:
        plain = shorter
    day = re.fullmatch(r"(?:民国)?\s*([0-9]{2,4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?", plain)
    if day:
        return "".join((day[1], day[2].zfill(2), day[3].zfill(2)))
    return "".join(c for c in plain if c.isalnum())


def _without_kind(serial: str) -> str:
    for word in _SERIAL_WORDS:
        rest = serial.removeprefix(word)
        # A Latin word ends where letters and digits end: the serial id7 is no number 7.
        if rest != serial and rest and (not word.isascii() or not rest[0].isalnum()):
            return rest.lstrip(" :：.。,，#＃-_")
    return serial


def for_people(text: str) -> str:
    """Return the form in which people's names are compared: the order of their parts and hyphens do not matter."""
    return " ".join(sorted(name_parts(text)))


def name_parts(text: str) -> list[str]:
    """Return the parts of a person's name, folded: Tsou, Hsiang-Yun becomes tsou and hsiangyun."""
    plain = _one_alphabet(_visible(text)).casefold()
    plain = simplified(plain) if HAN.search(plain) else plain
    parts = re.split(r"[\s,，、;]+", "".join("" if _is_dash(c) or c in "'’.·・" else c for c in plain))
    found = [part for part in parts if part]
    # A name in Chinese characters has no parts: 李 四 is 李四.
    return ["".join(found)] if found and all(HAN.match(part) for part in found) else found


def _visible(text: str) -> str:
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", _UNSEEN.sub("", text)))


def _is_dash(character: str) -> bool:
    return character in _DASHES or unicodedata.category(character) == "Pd"


def _one_alphabet(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _latin(c) for c in _NO_LONG_VOWEL.sub("-", text))


@cache
def _latin(character: str) -> str:
    """Return the ASCII letter, digit or mark that a character of another script looks like, otherwise itself."""
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    if character == "\u3007":
        return "0"
    if HAN.match(character) or _is_dash(character):
        return character
    for form in (character, character.upper()):
        # UTS 39 names I, l and | by the letter l; a capital of another alphabet stands for the capital.
        like = [one for one in _confusables(form) if len(one) == 1 and one.isascii()]
        if like:
            return "I" if like[0] == "l" and form.isupper() else like[0]
    return character


@cache
def _list_of_confusables() -> Callable[[str], list[str]]:
    from confusable_homoglyphs.confusables import confusables_data

    return lambda character: [str(one["c"]) for one in confusables_data.get(character, ())]


def _confusables(character: str) -> list[str]:
    return _list_of_confusables()(character)


_ONE_LOOK = str.maketrans("01i|ロエニタカハト", "olll口工二夕力八卜")


@cache
def _look(character: str) -> str:
    character = character.translate(_ONE_LOOK)
    alike = [one for one in _confusables(character) if len(one) == 1 and HAN.match(one)]
    return min([character, *alike]) if HAN.match(character) else character
