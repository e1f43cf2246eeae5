"""Whose number or name somebody typed: schools, labs, people, companies and needs by what they are called.

In: what was typed, and the ids, numbers and names of those that the person may see. Out: those that are meant, the
surest first, with how sure that is; and the language that a search wishes for beside its topic. It exists because a
tax id, a name or a title such as 溫教授 means one thing, which no ranking by meaning should bury; and because people
slip when they type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

from rapidfuzz import fuzz, process

from indexer.folding import HAN, for_keys, for_names, for_search, name_parts, whole_names
from indexer.vocabulary import LANGUAGE_WORDS
from matcher.review.romanised_names import LatinName, latin_name, may_be_called

MAX_CHARS = 200
"""Of what is looked for as a number or a name; more is a text."""
_TITLES = re.compile(
    r"(?:助理|副|客座|講座|名譽|特聘)*(?:教授|老師|博士|主任|所長|院長|系主任|校長|經理|協理|總監|董事長|先生|小姐|女士)$"
)
_TITLES_EN = re.compile(r"^(?:(?:assistant|associate|full)\s+)?(?:prof(?:essor)?|dr|mr|mrs|ms|miss)\b\.?\s*", re.I)
_LONGEST_SURNAME = 2
_FEWEST_FOR_SLIPS = 3
_LONG = 8
"""From so many characters on two slips are forgiven instead of one."""
_WHOLE = 100.0
_SHORT_SCHOOL = (2, 4)
"""How many characters a school's short name has."""


class Sureness(IntEnum):
    """How sure it is that somebody is meant, the surest first; TEXT is for callers who look into texts besides."""

    NUMBER = 1
    NAME = 2
    PART = 3
    TEXT = 4
    SLIP = 5


class Naming(StrEnum):
    """What a name is of: a person's parts change places, and a school is called by some of its characters (清大)."""

    PLAIN = "plain"
    PERSON = "person"
    SCHOOL = "school"


@dataclass(frozen=True)
class Called:
    """What one record, or one person of it, is called."""

    id: str
    names: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    naming: Naming = Naming.PLAIN


@dataclass(frozen=True)
class Meant:
    """One that was found: what of it answers to what was typed."""

    id: str
    said: str
    sureness: Sureness


@dataclass(frozen=True)
class Typed:
    """What somebody typed, in every form in which it is compared, each made once."""

    words: str

    @cached_property
    def number(self) -> str:
        """As numbers are compared."""
        return for_keys(self.words)

    @cached_property
    def name(self) -> str:
        """As names of firms, labs and schools are compared."""
        return for_names(self.words)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """As parts of a name are looked for: each must stand in it."""
        return tuple(for_search(self.words).split())

    @cached_property
    def person(self) -> str:
        """As a person: without the title that they are addressed by, which nobody is called by alone."""
        untitled = _TITLES_EN.sub("", _TITLES.sub("", self.words.strip()).strip())
        return untitled if untitled.strip() else ""

    @cached_property
    def is_titled(self) -> bool:
        """Whether somebody was addressed by a title, so that a surname alone is a name."""
        return bool(self.person) and self.person.strip() != self.words.strip()

    @cached_property
    def person_orders(self) -> frozenset[str]:
        """A whole name with its parts in every order."""
        return whole_names(self.person) - {""}

    @cached_property
    def latin(self) -> LatinName | None:
        """A person's name in Latin letters, which may be a spelling of one in characters."""
        return latin_name(self.person)

    @cached_property
    def person_parts(self) -> list[str]:
        """The parts of a person's name."""
        return name_parts(self.person)


def meant(words: str, those: Iterable[Called]) -> list[Meant]:
    """Return those that are called what was typed, the surest first, of these the shortest name.

    A name with a slip in it is somebody's only if nobody else is called that. Nothing typed means nobody.
    """
    typed, known = Typed(words.strip()[:MAX_CHARS]), list(those)
    if not typed.texts:
        return []
    found = [one for one in (_called(typed, record) for record in known) if one is not None]
    return sorted(found, key=lambda one: (one.sureness, len(one.said))) if found else _with_slips(typed, known)


def _called(typed: Typed, record: Called) -> Meant | None:
    names = [name for name in record.names if name]
    if record.naming is Naming.PERSON:
        sure = [(_of_person(typed, name), name) for name in names]
        best = min(((one, name) for one, name in sure if one is not None), default=None)
        return None if best is None else Meant(record.id, best[1], best[0])
    if any(for_keys(number) == typed.number for number in (record.id, *record.numbers)):
        return Meant(record.id, names[0] if names else record.id, Sureness.NUMBER)
    for name in names:
        if for_names(name) == typed.name:
            return Meant(record.id, name, Sureness.NAME)
    # In Chinese and in English, as in "laser 加工".
    text = for_search(" ".join(names))
    is_part = all(word in text for word in typed.texts)
    if is_part or (record.naming is Naming.SCHOOL and any(_is_short_for(typed.texts, name) for name in names)):
        return Meant(
            record.id, next((name for name in names if typed.texts[0] in for_search(name)), names[0]), Sureness.PART
        )
    return None


def _is_short_for(texts: tuple[str, ...], school: str) -> bool:
    """Whether 清大 or 北科大 is short for a school: some of its characters in their order, 大 the last."""
    short = texts[0]
    if len(texts) > 1 or not (_SHORT_SCHOOL[0] <= len(short) <= _SHORT_SCHOOL[1]) or not short.endswith("大"):
        return False
    rest = iter(for_search(school))
    return all(character in rest for character in short)


def _of_person(typed: Typed, name: str) -> Sureness | None:
    if not typed.person_parts:
        return None
    if typed.person_orders & whole_names(name):
        return Sureness.NAME
    theirs = name_parts(name)
    if HAN.match(typed.person_parts[0]):
        whole, wanted = "".join(theirs), "".join(typed.person_parts)
        # A surname alone is a part only of whom it begins, and only with a title: 林 stands in many words.
        if len(wanted) <= _LONGEST_SURNAME and whole.startswith(wanted) and (typed.is_titled or len(wanted) > 1):
            return Sureness.PART
        return Sureness.PART if len(wanted) > 1 and wanted in whole else None
    if all(any(one.startswith(part) for one in theirs) for part in typed.person_parts):
        return Sureness.PART if len("".join(typed.person_parts)) > 1 else None
    # As it stands on papers: a spelling proposes somebody, and is nobody's alone.
    return Sureness.SLIP if typed.latin is not None and may_be_called(typed.latin, name) else None


def _with_slips(typed: Typed, those: list[Called]) -> list[Meant]:
    """Return those whose name was typed with a character wrong, missing or too many, nearest first."""
    wanted = typed.name
    if len(wanted) < _FEWEST_FOR_SLIPS:
        return []
    slips = 1 if len(wanted) < _LONG else 2
    names: dict[str, tuple[Called, str]] = {}
    for record in those:
        for name in filter(None, record.names):
            forms = whole_names(name) if record.naming is Naming.PERSON else {for_names(name)}
            for form in forms:
                if len(form) >= len(wanted) - slips:
                    names.setdefault(form, (record, name))
    # A wrong character is one too many and one missing, of those of both sides together.
    cutoff = _WHOLE * (1 - slips / len(wanted))
    alike = process.extract(wanted, list(names), scorer=fuzz.partial_ratio, score_cutoff=cutoff, limit=None)
    found: dict[str, Meant] = {}
    for form, _, _ in alike:
        record, name = names[form]
        found.setdefault(record.id, Meant(record.id, name, Sureness.SLIP))
    return list(found.values())


_SPOKEN = "|".join(sorted((word for word in LANGUAGE_WORDS if HAN.match(word)), key=len, reverse=True))
_SPOKEN_EN = "|".join(sorted((word for word in LANGUAGE_WORDS if word.isascii()), key=len, reverse=True))
_WISHES = (
    re.compile(
        rf"(?:可以?|能夠?|會|須|需要?|要)?(?:用|以|講|說|使用|懂)({_SPOKEN})(?:來)?(?:溝通|交談|對談|開會|討論|會談)?的?"
    ),
    re.compile(rf"(?:可以?|能夠?|會|須|需要?|要)?({_SPOKEN})(?:溝通|交談|對談|開會|討論|會談)(?:能力|無礙|可)?的?"),
    re.compile(rf"\b(?:who\s+|that\s+|which\s+)?(?:can\s+)?(?:speak(?:s|ing)?)\s+({_SPOKEN_EN})\b", re.I),
    re.compile(rf"\b({_SPOKEN_EN})[-\s]speaking\b", re.I),
    re.compile(rf"\b(?:meetings?|working|discussions?)\s+in\s+({_SPOKEN_EN})\b", re.I),
)


def wished_languages(words: str) -> tuple[str, list[str]]:
    """Return a search without the language that it wishes to be spoken, and the codes of those languages.

    能用日文溝通的雷射實驗室 is looked for as 雷射實驗室, in labs that speak Japanese; 日文手寫辨識 and "English grammar
    checking" are topics and stay whole.
    """
    rest, codes = words, []
    for wish in _WISHES:
        while found := wish.search(rest):
            codes.append(LANGUAGE_WORDS[found[1].lower()])
            rest = f"{rest[: found.start()]} {rest[found.end() :]}"
    return " ".join(rest.split()) if codes else words, list(dict.fromkeys(codes))
