"""Whether a name in Latin letters may be that of somebody who is known by Chinese characters: Chen Mei-Ling, 陳美玲.

In: a name as its bearer writes it abroad, and one in characters. Out: whether the letters can be a spelling of the
characters. It exists because a lab's record has its head in characters, while a researcher who looks for it types what
stands on the papers. In Taiwan everybody chooses a spelling: mostly Wade-Giles without its marks (Hsu, Tsai, Chien),
some Tongyong (Syu, Jhong) or Pinyin (Xu, Zhong). So each character has all of these spellings in all of its readings,
and nothing is decided by it: it proposes, a person looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from indexer.folding import HAN, name_parts
from indexer.index.dictionary import syllables

_LETTERS = re.compile("[a-z]+")
_INITIAL = re.compile("(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_FEWEST = 4
_CHARACTERS = re.compile(f"{HAN.pattern}{{2,}}")
_TITLES = ("副教授", "助理教授", "特聘教授", "讲座教授", "教授", "博士", "老师", "院长", "主任")
"""What stands behind a name and is none, as the names are folded: Simplified."""
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
_WHOLE = {
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
    found = {plain, *_BUZZING.get(syllable, ()), *_WHOLE.get(syllable, ())}
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
    found = _CHARACTERS.search("".join(name_parts(name)))
    whole = found.group() if found is not None else ""
    title = next((one for one in _TITLES if whole.endswith(one) and len(whole) > len(one) + 1), "")
    plain = whole.removesuffix(title)
    return plain if len(plain) <= _LONGEST else ""


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
