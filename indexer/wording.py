"""Every text that the product says, in both languages: English in the code, Traditional Chinese in catalogues.

In: an English sentence with named places for values, and the catalogues, one
folder `locale` of `.po` files in each package. Out: a `Text`, which is the
English sentence wherever a text is wanted, and which knows its Chinese. It
exists so that whoever says something does not need to know who reads it: the
reader's language is chosen where the text is shown. It lies below everything
else, and a package that has catalogues says so (`add_catalogues`), so that the
lower packages know nothing of the upper ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import SupportsIndex

_LOCALE = "zh_Hant"
_CONTEXT_END = "\x04"
"""Stands between a text and what tells it from the same words elsewhere, as in gettext's own compiled catalogues."""
_PLACE = re.compile(r"%\((\w+)\)[sr]")
_MAX_RECOGNISED = 1_000
"""Characters; a longer sentence is nothing that the product says."""
_reading = Lock()
_waiting: list[Path] = []
_known: dict[str, str | tuple[str, ...]] = {}


class Language(StrEnum):
    """The language of headings, labels, messages and explanations; records stay as they were written."""

    ZH = "zh"
    EN = "en"


class Text(str):
    """A sentence in English that can be said in Chinese too.

    It is the English sentence, so that it can be compared, stored and logged as any text. `str()` of it, and of an
    error that carries it, is the same object: what an error says can be said in Chinese wherever it is caught.
    Values may be texts themselves.
    """

    __slots__ = ("_chinese", "context", "message", "values")
    message: str
    context: str
    values: Mapping[str, object]
    _chinese: str | None

    def __new__(
        cls, message: str, values: Mapping[str, object] | None = None, context: str = "", chinese: str | None = None
    ) -> Text:
        """Make the text of a message; `chinese` is given by what has no catalogue, such as a record's own names."""
        made = super().__new__(cls, message % values if values else message)
        made.message, made.values, made.context, made._chinese = message, values or {}, context, chinese
        return made

    def __str__(self) -> str:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[Text], tuple[object, ...]]:
        return Text, (self.message, dict(self.values), self.context, self._chinese)

    @property
    def en(self) -> str:
        """The sentence in English, as a plain text."""
        return str.__str__(self)

    @property
    def zh(self) -> str:
        """The sentence in Traditional Chinese; in English where no catalogue has it."""
        if self._chinese is not None:
            return self._chinese
        said = chinese(self.message, self.context)
        return said % {name: in_chinese(value) for name, value in self.values.items()} if self.values else said

    @property
    def both(self) -> tuple[str, str]:
        """The sentence in Traditional Chinese and in English, for what shows or stores both."""
        return self.zh, self.en


def T_(message: str, /, **values: object) -> Text:  # noqa: N802 (named like gettext's N_, which marks without values)
    """Return a text of the catalogues with its values; the message is a literal, so that it can be found."""
    return Text(message, values)


def P_(context: str, message: str, /, **values: object) -> Text:  # noqa: N802 (as T_)
    """Return a text whose Chinese depends on where it is said; `context` names that place, as gettext's msgctxt."""
    return Text(message, values, context)


def either(zh: str, en: str) -> Text:
    """Return the two names that something has by itself, such as a school's or a year's, as one value of a text."""
    return Text(en, chinese=zh)


def joined(separator: str, parts: Sequence[str]) -> Text:
    """Return texts one after the other as one text."""
    places = {f"part_{n}": part for n, part in enumerate(parts)}
    return Text(separator.join(f"%({name})s" for name in places), places)


def listed(parts: Iterable[str]) -> Text:
    """Return names or texts as a list within a sentence, with the commas of each language."""
    given = list(parts)
    return either("、".join(str(in_chinese(part)) for part in given), ", ".join(given))


def replaced(text: str, old: str, new: str) -> str:
    """Return a text with `old` replaced in its values, such as a folder that is not for everybody."""
    if not isinstance(text, Text):
        return text.replace(old, new)
    if text._chinese is not None:
        return either(text._chinese.replace(old, new), text.en.replace(old, new))
    values = {
        name: replaced(value if isinstance(value, str) else str(value), old, new) for name, value in text.values.items()
    }
    return Text(text.message, values, text.context)


def recognised(told: str) -> str:
    """Return the text of the catalogues that an English sentence is; the sentence itself if it is none.

    For what comes from where a text can't be carried through: a row of the database, another process, a library.
    """
    if isinstance(told, Text) or len(told) > _MAX_RECOGNISED:
        return told
    known = catalogues()
    if told in known:
        return Text(told)
    for pattern, message in _with_places(len(known)):
        if found := pattern.fullmatch(told):
            # A single word is rather a name or a code than a sentence of ours.
            return Text(
                message, {name: recognised(one) if " " in one else one for name, one in found.groupdict().items()}
            )
    return told


@lru_cache(maxsize=1)
def _with_places(_known_texts: int) -> Sequence[tuple[re.Pattern[str], str]]:
    """Return how each text with places is recognised, those with the most words of their own first."""
    found: list[tuple[int, re.Pattern[str], str]] = []
    for message in catalogues():
        literal = _PLACE.sub("", message)
        if _CONTEXT_END in message or literal == message or not re.search("[A-Za-z]{2}|; ", literal):
            continue
        seen: set[str] = set()
        pattern, end = "", 0
        for place in _PLACE.finditer(message):
            pattern += re.escape(message[end : place.start()].replace("%%", "%"))
            pattern += f"(?P={place[1]})" if place[1] in seen else f"(?P<{place[1]}>.+?)"
            seen.add(place[1])
            end = place.end()
        pattern += re.escape(message[end:].replace("%%", "%"))
        found.append((len(literal), re.compile(pattern, re.DOTALL), message))
    found.sort(key=lambda one: (-one[0], one[2]))
    return [(pattern, message) for _, pattern, message in found]


def in_chinese(value: object) -> object:
    """Return a value as a Chinese sentence says it: a text, or an error's, in Chinese, anything else as it is."""
    if isinstance(value, Exception):
        value = str(value)
    return value.zh if isinstance(value, Text) else value


def said(text: str, language: Language) -> str:
    """Return a text in a language; what is no text of the catalogues stays as it is."""
    if isinstance(text, Text):
        return text.zh if language is Language.ZH else text.en
    return text


def chinese(message: str, context: str = "") -> str:
    """Return the Chinese of a message with its places still open; the message itself where there is none."""
    key = context + _CONTEXT_END + message if context else message
    found = _known.get(key)
    while found is None and _waiting:
        _read_next()
        found = _known.get(key)
    if found is None:
        return message
    return found if isinstance(found, str) else found[0]


def add_catalogues(folder: Path) -> None:
    """Let a package's `locale` folder be searched too, once a text is wanted that no folder before it has."""
    if folder not in _waiting:
        _waiting.append(folder)


def catalogues() -> Mapping[str, str | tuple[str, ...]]:
    """Return every text of all packages that were imported; a text with a context is preceded by it and U+0004."""
    while _waiting:
        _read_next()
    return _known


def _read_next() -> None:
    with _reading:
        # Taken off the list last: another thread that misses a text has to wait for it here, not do without.
        if _waiting:
            _known.update(read_catalogues(_waiting[0]))
            _waiting.pop(0)


def read_catalogues(folder: Path) -> dict[str, str | tuple[str, ...]]:
    """Return the Traditional Chinese of every text in a package's `locale` folder.

    Raises:
        ValueError: two files translate the same text differently.
    """
    # Only who reads Chinese pays for it, and a command that says nothing of the catalogues does not.
    from babel.messages.pofile import read_po

    found: dict[str, str | tuple[str, ...]] = {}
    for path in sorted((folder / _LOCALE).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=_LOCALE, abort_invalid=True):
                if not message.id or not message.string:
                    continue
                text = message.id if isinstance(message.id, str) else message.id[0]
                key = message.context + _CONTEXT_END + text if message.context else text
                translation = message.string if isinstance(message.string, str) else tuple(message.string)
                if found.setdefault(key, translation) != translation:
                    raise ValueError(f"{path.name}: another file translates {text!r} differently")
    return found


add_catalogues(Path(__file__).parent / "locale")


@dataclass(frozen=True)
class Bilingual:
    """The same text in Traditional Chinese and English."""

    zh: str
    en: str

    @classmethod
    def of(cls, text: Text) -> Bilingual:
        """Return a text as it is shown and stored: in both languages."""
        return cls(text.zh, text.en)


LIBRARY_TEXTS = (
    # pydantic
    T_("Field required"),
    T_("Value error, %(error)s"),
    T_("Assertion failed, %(error)s"),
    T_("Extra inputs are not permitted"),
    T_("Input should be a valid string"),
    T_("Input should be a valid number"),
    T_("Input should be a valid number, unable to parse string as a number"),
    T_("Input should be a finite number"),
    T_("Input should be a valid integer"),
    T_("Input should be a valid integer, unable to parse string as an integer"),
    T_("Input should be a valid integer, got a number with a fractional part"),
    T_("Input should be a valid boolean"),
    T_("Input should be a valid boolean, unable to interpret input"),
    T_("Input should be a valid list"),
    T_("Input should be a valid tuple"),
    T_("Input should be a valid dictionary"),
    T_("Input should be a valid dictionary or object to extract fields from"),
    T_("Input should be a valid dictionary or instance of %(name)s"),
    T_("Input should be an object"),
    T_("Input should be a valid date"),
    T_("Input should be a valid date or datetime, %(error)s"),
    T_("Input should be a valid date in the format YYYY-MM-DD, %(error)s"),
    T_("Input should be a valid datetime"),
    T_("Input should be a valid datetime, %(error)s"),
    T_("Input should be a valid datetime or date, %(error)s"),
    T_("Input should have timezone info"),
    T_("Input should be %(expected)s"),
    T_("Input should be %(expected)s or %(last)s"),
    T_("Input should be greater than %(least)s"),
    T_("Input should be greater than or equal to %(least)s"),
    T_("Input should be less than %(most)s"),
    T_("Input should be less than or equal to %(most)s"),
    T_("Input should be None"),
    T_("String should have at least %(least)s character"),
    T_("String should have at least %(least)s characters"),
    T_("String should have at most %(most)s character"),
    T_("String should have at most %(most)s characters"),
    T_("String should match pattern '%(pattern)s'"),
    T_("Input should be a valid string, unable to parse raw data as a unicode string"),
    T_("List should have at least %(least)s item after validation, not %(given)s"),
    T_("List should have at least %(least)s items after validation, not %(given)s"),
    T_("List should have at most %(most)s item after validation, not %(given)s"),
    T_("List should have at most %(most)s items after validation, not %(given)s"),
    T_("Dictionary should have at most %(most)s items after validation, not %(given)s"),
    T_("Unable to extract tag using discriminator %(name)s"),
    T_("JSON decode error"),
    T_("Invalid JSON: %(error)s"),
    # Python's JSON parser
    T_("Expecting value"),
    T_("Expecting property name enclosed in double quotes"),
    T_("Expecting ',' delimiter"),
    T_("Expecting ':' delimiter"),
    T_("Illegal trailing comma before end of object"),
    T_("Illegal trailing comma before end of array"),
    T_("Extra data"),
    T_("Unterminated string starting at"),
    T_("Invalid control character at"),
    # the operating system
    T_("No such file or directory"),
    T_("Permission denied"),
    T_("Is a directory"),
    T_("Not a directory"),
    T_("File exists"),
    T_("File name too long"),
    T_("Input/output error"),
    T_("No space left on device"),
    T_("Read-only file system"),
    T_("Too many open files"),
    T_("Address already in use"),
    # Starlette
    T_("Not Found"),
    T_("Method Not Allowed"),
    T_("There was an error parsing the body"),
    # typer
    T_("No such command %(name)s."),
    T_("No such option: %(name)s"),
    T_("No such option: %(name)s (Possible options: %(names)s)"),
    T_("Missing argument %(name)s."),
    T_("Missing option %(name)s."),
    T_("Missing command."),
    T_("Option %(name)s requires an argument."),
    T_("Got unexpected extra argument(s) (%(arguments)s)"),
    T_("Invalid value: %(error)s"),
    T_("Invalid value for %(name)s: %(error)s"),
    T_("%(value)s is not one of %(values)s."),
)
"""What libraries say in the product's place: pydantic, Python's JSON parser, the operating system, Starlette, typer.

It comes as finished sentences; `recognised` finds them among the texts of the catalogues, so they stand here.
"""
