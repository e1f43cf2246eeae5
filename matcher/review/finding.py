"""Whose number or name somebody typed: schools, labs, people, companies and needs by what they are called.

In: what was typed, and the ids, numbers and names of those that the person may see. Out: those that are meant, the
surest first, with how sure that is; the language that a search wishes for beside its topic; whether a name in Latin
letters can be a spelling of one in characters (Chen Mei-Ling, 陳美玲). It exists because a tax id, a name or a title
such as 溫教授 means one thing, which no ranking by meaning should bury; because people slip when they type; and because
a lab's record has its head in characters, while a researcher who looks for it types what stands on the papers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property, lru_cache

from rapidfuzz import fuzz, process

from indexer.folding import HAN, for_keys, for_names, for_search, name_parts, whole_names
from indexer.index.dictionary import syllables
from indexer.vocabulary import LANGUAGE_WORDS

MAX_CHARS = 200
"""Of what is looked for as a number or a name; more is a text."""
_RANKS = ("助理", "副", "客座", "講座", "名譽", "特聘")
_POSTS = ("教授", "老師", "博士", "主任", "所長", "院長", "系主任", "校長", "經理", "協理", "總監", "董事長")
_POLITE = ("先生", "小姐", "女士")


def _either_script(words: Iterable[str]) -> str:
    """Return a pattern of words as they are written in Taiwan and as names are folded (Simplified)."""
    return "|".join(dict.fromkeys(form for word in words for form in (word, "".join(name_parts(word)))))


_TITLES = re.compile(rf"(?:{_either_script(_RANKS)})*(?:{_either_script((*_POSTS, *_POLITE))})$")
_TITLES_EN = re.compile(r"^(?:(?:assistant|associate|full)\s+)?(?:prof(?:essor)?|dr|mr|mrs|ms|miss)\b\.?\s*", re.I)
_LONGEST_SURNAME = 2
_FEWEST_FOR_SLIPS = 3
_LONG = 8
"""From so many characters on two slips are forgiven instead of one."""
_WHOLE = 100.0
_SHORT_SCHOOL = (2, 4)
"""How many characters a school's short name has."""


def untitled(name: str) -> str:
    """Return a name without the title that somebody is addressed by, in characters behind it or in English before."""
    plain = _TITLES_EN.sub("", _TITLES.sub("", name.strip()).strip())
    return plain if plain.strip() else ""


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
        return untitled(self.words)

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


# How a name in characters may be spelled: in Taiwan everybody chooses. Mostly Wade-Giles without its marks (Hsu, Tsai,
# Chien), some Tongyong (Syu, Jhong) or Pinyin (Xu, Zhong): each character has all of these spellings in all of its
# readings. Nothing is decided by it: it proposes, a person looks.
_LETTERS = re.compile("[a-z]+")
_INITIAL = re.compile("(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_FEWEST = 4
_CHARACTERS = re.compile(f"{HAN.pattern}{{2,}}")
_LONGEST = 5
_COMPOUND = frozenset(
    ["欧阳", "司马", "诸葛", "上官", "司徒", "夏侯", "皇甫", "公孙", "令狐", "端木", "尉迟", "东方", "张简", "范姜"]
)
"""Surnames of two characters, Simplified; a name of four begins with one of two in any case."""
_COMPOUND_LENGTH = 2
_INITIALS = {"b": "p", "d": "t", "g": "k", "j": "ch", "q": "ch", "zh": "ch", "x": "hs", "z": "ts", "c": "ts", "r": "j"}
"""Initials in Wade-Giles without its apostrophes; the others are as in Pinyin."""
_TONGYONG = {"zh": "jh", "q": "c", "x": "s"}
_BUZZING = {
    "zhi": ("chih", "jhih"),
    "chi": ("chih",),
    "shi": ("shih",),
    "ri": ("jih", "rih"),
    "zi": ("tzu", "tze", "zih"),
    "ci": ("tzu", "tsu", "cih"),
    "si": ("szu", "ssu", "sih", "sze"),
}
_WHOLE_SYLLABLES = {
    "ye": ("yeh",),
    "yan": ("yen",),
    "you": ("yu", "yiu"),
    "yong": ("yung",),
    "yue": ("yueh",),
    "er": ("erh",),
    "e": ("o",),
    "li": ("lee",),
    "lv": ("lu", "lyu", "leu"),
    "nv": ("nu", "nyu"),
    "lve": ("lueh", "lyue"),
    "nve": ("nueh", "nyue"),
    "yi": ("i",),
    "wen": ("wun",),
    "weng": ("wong", "ueng"),
    "feng": ("fong",),
    "jun": ("chun", "chyun", "jyun"),
    "luo": ("lo",),
}
_FINALS = {
    "ian": "ien",
    "ie": "ieh",
    "ong": "ung",
    "iong": "iung",
    "uo": "o",
    "ue": "ueh",
    "ui": "uei",
    "iu": "iou",
    "e": "o",
}


@lru_cache(maxsize=2_000)
def spellings(syllable: str) -> frozenset[str]:
    """Return how a syllable of Pinyin is written in passports and on papers, without marks."""
    plain = syllable.replace("v", "u")
    found = {plain, *_BUZZING.get(syllable, ()), *_WHOLE_SYLLABLES.get(syllable, ())}
    if syllable in _BUZZING:
        return frozenset(found)
    initial = re.match("zh|ch|sh|[bpmfdtnlgkhjqxrzcs]?", plain)
    first = initial.group() if initial is not None else ""
    final = plain[len(first) :]
    finals = {final, *([_FINALS[final]] if final in _FINALS else ())}
    for one in (first, _INITIALS.get(first, first), _TONGYONG.get(first, first)):
        found |= {one + end for end in finals}
    # Behind j, q and x a u is an ü, which Tongyong writes yu.
    if first in ("j", "q", "x") and final.startswith("u"):
        found |= {_TONGYONG.get(first, first) + "y" + end for end in finals}
    return frozenset(found)


@lru_cache(maxsize=20_000)
def _written(character: str) -> frozenset[str]:
    return frozenset(one for read in syllables().get(character, ()) for one in spellings(read))


@dataclass(frozen=True)
class LatinName:
    """A name in Latin letters: all of them in the order in which they are written; `initials`: some stand for more."""

    letters: str
    initials: bool


def latin_name(text: str) -> LatinName | None:
    """Return a name as it is compared; None if it has other letters, or too few to say anything."""
    letters = "".join(name_parts(text))
    if len(letters) < _FEWEST or not _LETTERS.fullmatch(letters):
        return None
    return LatinName(letters, _INITIAL.search(text) is not None)


def may_be_called(said: LatinName, name: str) -> bool:
    """Whether a name in Latin letters may be a spelling of one in Chinese characters, perhaps with a title behind it.

    Surname first or last, with the given name whole or by its initials; or the given name alone, where it has two
    characters or more.
    """
    characters = _characters(name)
    for cut in _cuts(characters):
        surname, given = characters[:cut], characters[cut:]
        ways = [_spells(said, (surname, False), (given, True)), _spells(said, (given, True), (surname, False))]
        if any(ways) or (len(given) > 1 and not said.initials and _spells(said, (given, False))):
            return True
    return False


def _cuts(characters: str) -> tuple[int, ...]:
    """Return how many characters the surname can have."""
    if len(characters) < _COMPOUND_LENGTH:
        return ()
    double = len(characters) > _COMPOUND_LENGTH + 1 or characters[:_COMPOUND_LENGTH] in _COMPOUND
    return (1, _COMPOUND_LENGTH) if double and len(characters) > _COMPOUND_LENGTH else (1,)


def _characters(name: str) -> str:
    found = _CHARACTERS.search("".join(name_parts(untitled(name))))
    whole = found.group() if found is not None else ""
    return whole if len(whole) <= _LONGEST else ""


def _spells(said: LatinName, *groups: tuple[str, bool]) -> bool:
    """Whether the letters are a spelling of groups of characters, each with whether it may be given by initials."""
    places = frozenset({0})
    for characters, short in groups:
        places = _reached(said.letters, characters, places, short=short and said.initials)
    return len(said.letters) in places


def _reached(letters: str, characters: str, places: frozenset[int], *, short: bool) -> frozenset[int]:
    """Return where the spellings of some characters can end that begin at one of some places."""
    for character in characters:
        written = _written(character)
        several = written | {one[0] for one in written} if short else written
        places = frozenset(at + len(one) for at in places for one in several if letters.startswith(one, at))
        if not places:
            break
    return places


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
