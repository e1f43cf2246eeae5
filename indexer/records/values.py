"""One value of a file into one typed value: numbers, dates, money, codes, links.

In: whatever JSON, CSV or a spreadsheet cell holds (text, number, date). Out:
the typed value, or a `FieldError` that says what is wrong and what would be
right. It exists so that every kind of record reads the same thing the same
way. ROC years (民國, 1 = 1912) are accepted where they are unmistakable.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import cache
from urllib.parse import unquote, urlsplit

from stdnum.iso7064 import mod_11_2

from indexer.plain_text import TextError, clean, shown
from indexer.vocabulary import (
    COUNTRIES,
    COUNTRY_WORDS,
    FIRST_YEAR,
    ID_LENGTH_MAX,
    LANGUAGE_WORDS,
    LANGUAGES,
    LAST_YEAR,
    MAX_NTD,
    MAX_WEIGHT,
    choices,
    find,
    folded,
)
from indexer.wording import T_

ROC_OFFSET = 1911
_ROC_YEAR = re.compile(r"(?:民國|中華民國)\s*(\d{1,3})\s*年?|(\d{2,3})\s*年")
_TIME = r"(?:[T ]\s*(?:[上下]午\s*)?\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:Z|[+-]\d{2}:?\d{2}|[AaPp][Mm])?)?"
_WEEKDAY = r"(?:\s*\(?(?:星期|週|周|禮拜)?[一二三四五六日天]\)?)?"
_COMMON_DATE = re.compile(
    rf"(\d{{4}})\s*[-/.]\s*(\d{{1,2}})\s*[-/.]\s*(\d{{1,2}}){_WEEKDAY}{_TIME}"
    rf"|(\d{{4}})\s*年\s*(\d{{1,2}})\s*月\s*(\d{{1,2}})\s*[日號]?{_WEEKDAY}{_TIME}"
    r"|((?:19|20|21)\d{2})(\d{2})(\d{2})"
)
_ROC_DATE = re.compile(
    rf"(?:中華民國|民國|民|R\.?O\.?C\.?)\s*(\d{{1,3}})\s*[-/.年]\s*(\d{{1,2}})\s*[-/.月]\s*(\d{{1,2}})\s*[日號]?{_WEEKDAY}{_TIME}"
    rf"|(\d{{2,3}})\s*年\s*(\d{{1,2}})\s*月\s*(\d{{1,2}})\s*[日號]?{_WEEKDAY}{_TIME}"
    rf"|(\d{{3}})\s*[-/.]\s*(\d{{1,2}})\s*[-/.]\s*(\d{{1,2}}){_WEEKDAY}{_TIME}"
    r"|(1\d{2})(\d{2})(\d{2})"
)
_ENGLISH_DATE = re.compile(
    r"(?:(\d{1,2})(?:st|nd|rd|th)?[ -]+([A-Za-z]{3,9})\.?,?[ -]+(\d{4}))"
    r"|(?:([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4}))"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_AMOUNT = re.compile(
    r"(?:(?:新[臺台]幣|NTD?\$?|NT\$|TWD|\$)\s*)?"
    r"(\d[\d,  ]*(?:\.\d+)?|[零〇一二兩三四五六七八九十百千]+)\s*(百萬|千萬|[千仟萬億])?\s*"
    r"(?:元整|圓整|元|圓|NTD?|TWD)?\s*(?:以內|以下|內|整|\(上限\)|上限)?",
    re.IGNORECASE,
)
_UNITS = {"": 1, "千": 10**3, "仟": 10**3, "萬": 10**4, "百萬": 10**6, "千萬": 10**7, "億": 10**8}
_GROUPED = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_NUMERALS = {c: n for n, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "兩": 2}
_TENS = {"十": 10, "百": 100, "千": 1000}
_MAX_LIST = 1_000
_ORCID = re.compile(r"(?:https?://(?:www\.)?orcid\.org/)?(\d{4})-?(\d{4})-?(\d{4})-?(\d{3}[\dXx])/?")
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_ROR = re.compile(rf"(?:(?:https?://)?ror\.org/)?0([{_CROCKFORD}]{{6}})(\d\d)/?")
_DOI = re.compile(
    r"(?:(?:https?://)?(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}(?:\.\d+)*/[^\s\x00-\x1f]{1,300})", re.IGNORECASE
)


class FieldError(TextError):
    """A value is not what its field takes; `field` names it when the rule spans several fields."""

    def __init__(self, wrong: str, right: str, field: str = "") -> None:
        super().__init__(wrong, right)
        self.field = field


def as_text(value: object) -> str:
    """Return a text or a number as text; a spreadsheet gives 17 as 17.0.

    Raises:
        FieldError: it is neither.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 200:
        return str(value)
    if isinstance(value, datetime) and value.time() == time.min:
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise FieldError(T_("%(value)s is not a text", value=shown(value)), T_("give a text"))


def text(max_chars: int, *, multiline: bool = False) -> Callable[[object], str]:
    """Return the reader of a text field of at most `max_chars` characters."""

    def read(value: object) -> str:
        return clean(as_text(value), max_chars=max_chars, multiline=multiline)

    return read


def identifier(value: object, max_chars: int = ID_LENGTH_MAX) -> str:
    """Return an id: no blanks inside, because ids stand in run files whose columns blanks separate."""
    # An id is compared, never read as prose: one width, so that the same id is the same key.
    word = unicodedata.normalize("NFKC", clean(as_text(value), max_chars=max_chars, multiline=False)).strip()
    if len(word) > max_chars:
        raise FieldError(
            T_("has %(characters)s characters", characters=len(word)),
            T_("give at most %(max_chars)s", max_chars=max_chars),
        )
    if not word:
        raise FieldError(T_("is empty"), T_("give an id of 1 to %(max_chars)s characters", max_chars=max_chars))
    if any(c.isspace() for c in word):
        raise FieldError(
            T_("%(word)s has a blank in it", word=shown(word)), T_('give an id without blanks, such as "lab-17"')
        )
    return word


def number(value: object) -> float | None:
    """Return a finite number, read from a number or from digits in a text, else None.

    A comma separates thousands only where three digits follow it each time; one that could be a decimal mark is none.
    """
    if isinstance(value, str):
        plain = unicodedata.normalize("NFKC", value).strip()
        try:
            value = float(plain.replace(",", "").replace(" ", "")) if _is_grouped(plain) else math.nan
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and value.bit_length() > 200:
        return None
    return float(value) if math.isfinite(value) else None


def _is_grouped(digits: str) -> bool:
    return len(digits) <= 40 and _GROUPED.fullmatch(digits) is not None


def numeral(text: str) -> int | None:
    """Return the number that Chinese numerals below ten thousand write, such as 兩百 or 一一二, else None."""
    if not text or any(c not in _NUMERALS and c not in _TENS for c in text):
        return None
    if not any(c in _TENS for c in text):
        return int("".join(str(_NUMERALS[c]) for c in text))
    total, digit = 0, 0
    for c in text:
        if c in _TENS:
            total += (digit or 1) * _TENS[c]
            digit = 0
        else:
            digit = _NUMERALS[c]
    return total + digit


def capacity(value: object) -> int:
    """Return a number of projects, 0 or more."""
    found = number(value)
    if found is None or not found.is_integer() or not 0 <= found <= 10_000:
        raise FieldError(
            T_("%(value)s is not a number of projects", value=shown(value)), T_("give 0, 1, 2 … or leave it empty")
        )
    return int(found)


def weight(value: object) -> float:
    """Return an owner's weight, 0 to 10."""
    found = number(value)
    if found is None or not 0 <= found <= MAX_WEIGHT:
        raise FieldError(
            T_("%(value)s is not a weight", value=shown(value)),
            T_("give a number from 0 to %(max_weight)s; 1 is usual", max_weight=MAX_WEIGHT),
        )
    return found


def year(value: object) -> int:
    """Return a year of the common era; ROC years are read only with 民國 or 年."""
    plain: object = value
    if isinstance(value, str) and len(value) <= 40:
        word = _with_digits(unicodedata.normalize("NFKC", value).strip())
        if roc := _ROC_YEAR.fullmatch(word):
            return int(roc[1] or roc[2]) + ROC_OFFSET
        plain = word.removesuffix("年").removesuffix("年度")
    found = number(plain)
    if found is None or not found.is_integer() or not FIRST_YEAR <= found <= LAST_YEAR:
        raise FieldError(T_("%(value)s is not a year", value=shown(value)), T_("give four digits such as 2018"))
    return int(found)


def day(value: object) -> date:
    """Return a date from ISO (2019-08-31), 2019/8/31, 108/08/31, 民國108年8月31日 or a spreadsheet's date."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    wrong = FieldError(
        T_("%(value)s is not a date", value=shown(value)), T_("give one such as 2019-08-31 or 民國108年8月31日")
    )
    if not isinstance(value, str) or len(value) > 60:
        raise wrong
    word = _with_digits(unicodedata.normalize("NFKC", value).strip())
    if english := _ENGLISH_DATE.fullmatch(word):
        named = [part for part in english.groups() if part is not None]
        d, month, y = named if named[0].isdigit() else (named[1], named[0], named[2])
        if month[:3].lower() not in _MONTHS:
            raise wrong
        return _date(int(y), _MONTHS.index(month[:3].lower()) + 1, int(d), wrong)
    if common := _COMMON_DATE.fullmatch(word):
        groups, offset = common.groups(), 0
    elif roc := _ROC_DATE.fullmatch(word):
        groups, offset = roc.groups(), ROC_OFFSET
    else:
        raise wrong
    year_, month_, day_ = (int(part) for part in groups if part is not None)
    return _date(year_ + offset, month_, day_, wrong)


def _date(y: int, m: int, d: int, wrong: FieldError) -> date:
    try:
        return date(y, m, d)
    except ValueError:
        raise wrong from None


def _with_digits(word: str) -> str:
    """Return a date with digits where its year, month and day are written in Chinese numerals."""
    return re.sub(r"[〇零一二三四五六七八九十百]+(?=\s*[年月日號])", lambda found: str(numeral(found[0])), word)


def amount_in(text: str) -> tuple[Decimal, int] | None:
    """Return the number that a text writes as an amount, and the factor of the unit it names (0 if none), else None."""
    found = _AMOUNT.fullmatch(unicodedata.normalize("NFKC", text).strip()) if len(text) <= 60 else None
    if found is None:
        return None
    digits = found[1].strip()
    written = numeral(digits)
    if written is None and not _is_grouped(digits):
        return None
    plain = Decimal(written) if written is not None else Decimal(digits.replace(",", "").replace(" ", ""))
    return plain, _UNITS[found[2]] if found[2] else 0


def money(value: object) -> int:
    """Return whole New Taiwan dollars from 2400000, "2,400,000", "NT$2,400,000", "240萬" or "兩百萬元"."""
    wrong = FieldError(
        T_("%(value)s is not an amount in NTD", value=shown(value)),
        T_("give whole dollars such as 2400000, or leave it empty"),
    )
    if isinstance(value, str):
        read = amount_in(value)
        if read is None:
            raise wrong
        amount = read[0] * (read[1] or 1)
    else:
        found = number(value)
        if found is None:
            raise wrong
        amount = Decimal(found)
    if amount != int(amount) or not 0 <= amount <= MAX_NTD:
        raise wrong
    return int(amount)


def term(terms: type[StrEnum], what: str) -> Callable[[object], str]:
    """Return the reader of a closed list: codes and Chinese or English words become the code."""

    def read(value: object) -> str:
        found = find(terms, value) if isinstance(value, str) and len(value) <= 60 else None
        if found is None:
            raise FieldError(
                T_("%(value)s is not %(what)s", value=shown(value), what=what),
                T_("use one of %(terms)s", terms=choices(terms)),
            )
        return found.value

    return read


def language(value: object) -> str:
    """Return an ISO 639-1 code from a code, a tag such as zh-TW, or a word such as 中文."""
    word = value.strip() if isinstance(value, str) else ""
    code = LANGUAGE_WORDS.get(folded(word[:60]), word.replace("_", "-").split("-")[0].lower())
    if code not in LANGUAGES:
        raise FieldError(
            T_("%(value)s is not a language", value=shown(value)), T_("give a two-letter code such as zh, en or ja")
        )
    return code


def country(value: object) -> str:
    """Return an ISO 3166 alpha-2 code from a code or a word such as 臺灣."""
    word = value.strip() if isinstance(value, str) else ""
    code = COUNTRY_WORDS.get(folded(word[:60]), word.upper())
    if code not in COUNTRIES:
        code = _country_names().get(folded(word[:60]), "")
    if code not in COUNTRIES:
        raise FieldError(
            T_("%(value)s is not a country", value=shown(value)), T_("give a two-letter code such as TW, JP or DE")
        )
    return code


@cache
def _country_names() -> dict[str, str]:
    """Return the codes of countries by their names in Chinese and English, as Unicode's tables have them."""
    # Few lists write out a country's name that is not among the usual words; they wait for the tables.
    from babel import Locale

    named = [item for tag in ("en", "zh_Hans", "zh_Hant") for item in Locale.parse(tag).territories.items()]
    return {folded(name): code for code, name in named if code in COUNTRIES}


def link(value: object) -> str:
    """Return an http or https address; others could run code when clicked."""
    address = clean(as_text(value), max_chars=2_000, multiline=False)
    wrong = FieldError(
        T_("%(address)s is not a web address", address=shown(address)),
        T_("give one that starts with https:// or http://"),
    )
    if any(c.isspace() for c in address):
        raise wrong
    try:
        parts = urlsplit(address)
        named = parts.hostname
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not named:
        raise wrong
    return address


_MOST_OTHER, _OTHER_CHARS = 100, 2_000


def other(value: object) -> dict[str, str]:
    """Return what a file says beside our fields, by heading, shortened to what a page can show."""
    if not isinstance(value, dict):
        raise FieldError(T_("%(value)s is not an object", value=shown(value)), T_('give one such as {"id": …}'))
    found = {}
    for key, said in list(value.items())[:_MOST_OTHER]:
        if not is_blank(said):
            heading = clean(as_text(key)[:200], max_chars=200, multiline=False)
            found[heading] = clean(as_text(said)[:_OTHER_CHARS], max_chars=_OTHER_CHARS, multiline=True)
    return found


def orcid(value: object) -> str:
    """Return a person's ORCID iD as 0000-0000-0000-000X, from the number or its address.

    Its last character is a check digit (ISO 7064 MOD 11-2), so that one mistyped digit is seen.
    """
    word = as_text(value).strip()
    found = _ORCID.fullmatch(word)
    if found is None or not mod_11_2.is_valid("".join(found.groups()).upper()):
        raise FieldError(
            T_("%(value)s is not an ORCID iD", value=shown(value)),
            T_("give one such as 0000-0002-1825-0097, with its check digit"),
        )
    return "-".join(found.groups()).upper()


def ror(value: object) -> str:
    """Return an organisation's ROR id, nine characters such as 03yrm5c26, from the id or its address.

    Two check digits over the six characters before them, as ROR's documentation gives them.
    """
    found = _ROR.fullmatch(as_text(value).strip().lower())
    number = 0
    for letter in found[1] if found else "":
        number = number * len(_CROCKFORD) + _CROCKFORD.index(letter)
    if found is None or 98 - number * 100 % 97 != int(found[2]):
        raise FieldError(
            T_("%(value)s is not a ROR id", value=shown(value)), T_("give one such as https://ror.org/03yrm5c26")
        )
    return f"0{found[1]}{found[2]}"


def doi(value: object) -> str:
    """Return a DOI in small letters without doi: or an address before it; DOIs differ not by case."""
    word = as_text(value).strip()
    found = _DOI.fullmatch(unquote(word) if "://" in word else word)
    if found is None:
        raise FieldError(T_("%(value)s is not a DOI", value=shown(value)), T_("give one such as 10.1000/182"))
    return found[1].lower()


_MAIL_ADDRESS = re.compile(r"[^\s@<>\"]{1,64}@[^\s@<>\"]{1,190}\.[A-Za-z]{2,24}")
_PHONE_CHARS = 40
_FEWEST_DIGITS = 6
_EXTENSION = re.compile(r"\s*(?:#|轉|分機|ext\.?|x)\s*(?=[0-9])", re.IGNORECASE)


def mail_address(value: object) -> str:
    """Return a mail address, without mailto: before it."""
    word = clean(as_text(value), max_chars=254, multiline=False).removeprefix("mailto:")
    if _MAIL_ADDRESS.fullmatch(word) is None:
        raise FieldError(
            T_("%(value)s is not an e-mail address", value=shown(value)), T_("give one such as name@example.org")
        )
    return word


def phone(value: object) -> str:
    """Return a telephone number as it is written, an extension behind #."""
    word = unicodedata.normalize("NFKC", clean(as_text(value), max_chars=200, multiline=False))
    word = _EXTENSION.sub(" #", re.sub(r"\s+", " ", word).strip().removeprefix("tel:"))
    digits = sum(c.isdecimal() for c in word)
    if len(word) > _PHONE_CHARS or digits < _FEWEST_DIGITS or re.fullmatch(r"\+?[0-9 ()\-./#]+", word) is None:
        raise FieldError(
            T_("%(value)s is not a telephone number", value=shown(value)), T_("give one such as 049-2345678 #12")
        )
    return word


def items(value: object) -> list[object]:
    """Return a list without its empty elements.

    Raises:
        FieldError: it is not a list, or an unreasonably long one.
    """
    if not isinstance(value, list | tuple):
        raise FieldError(T_("%(value)s is not a list", value=shown(value)), T_('give a list such as ["a", "b"]'))
    if len(value) > _MAX_LIST:
        raise FieldError(
            T_("has %(elements)s elements", elements=f"{len(value):,}"),
            T_("give at most %(max_list)s", max_list=f"{_MAX_LIST:,}"),
        )
    return [element for element in value if not is_blank(element)]


def is_blank(value: object) -> bool:
    """Say whether a value means "not given": null or a text of blanks."""
    return value is None or (isinstance(value, str) and (not value or value.isspace()))
