"""What a need wishes of a lab beside its topic, and how an expert steers a ranking.

In: a need with its company, what the labs state, and an expert's *steering*: *less*, *normal*, *more* or *must* for
each wish that the need states and for each ask, wishes of the expert's own, labs and schools to leave out. Out: one
column of features for each statement, what steering adds to a lab's score, and which labs it hides. It exists apart
from the signals because none of this is evidence: no judgement tells its worth, so the weights are given and not
learned (`matcher.judging.learning`), small enough that no wish outweighs a real difference in fit, and an expert who
knows the company sets them. Pure.

A steering is a list of words, as it stands in an address, a command and the database: `region.more` for a wish that
the need states, `region:south.more` for one of the expert's own, `ask:2.must`, `lab:ID.never`, `school:ID.never`.
Only what records state is a wish: no record says whether a lab has worked with small companies, and it is not guessed
at from prose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from indexer.arrays import BoolArray, DoubleArray
from indexer.records.profiles import Company, Need
from indexer.vocabulary import LANGUAGES, Region, ResearchField, SchoolType
from indexer.wording import P_, T_
from matcher.ranking.lab_table import LabTable

UNSTATED_OFFER = 0.5


class Wish(StrEnum):
    """What can be steered; the value is the name of its feature."""

    FIELD = "field"
    COMPANY = "company"
    LANGUAGE = "language"
    REGION = "region"


WISH_LABELS = {
    Wish.FIELD: T_("same field"),
    Wish.COMPANY: T_("field of the company"),
    Wish.LANGUAGE: T_("working language"),
    Wish.REGION: T_("region"),
}
"""What the wishes are called on screen, in Chinese and English."""


class Stress(StrEnum):
    """How much a wish counts in one answer."""

    LESS = "less"
    NORMAL = "normal"
    MORE = "more"
    MUST = "must"


STRESS_LABELS = {
    Stress.LESS: P_("stress", "less"),
    Stress.NORMAL: P_("stress", "normal"),
    Stress.MORE: P_("stress", "more"),
    Stress.MUST: P_("stress", "must"),
}
"""What the choices are called on screen, in Chinese and English."""
FACTORS = {Stress.LESS: 0.3, Stress.NORMAL: 1.0, Stress.MORE: 3.0, Stress.MUST: 1.0}
"""How many times its usual weight a wish has. Who has to meet it hides the others: more weight would tell nothing."""


class OwnWish(StrEnum):
    """What an expert may wish of a lab that the need does not state."""

    REGION = "region"
    LANGUAGE = "language"
    FIELD = "field"
    SCHOOL_TYPE = "school_type"


OWN_VALUES: Mapping[OwnWish, frozenset[str]] = {
    OwnWish.REGION: frozenset(Region),
    OwnWish.LANGUAGE: LANGUAGES,
    OwnWish.FIELD: frozenset(ResearchField),
    OwnWish.SCHOOL_TYPE: frozenset(SchoolType),
}
"""What can be wished for."""


class LeftOut(StrEnum):
    """What an expert may leave out of a ranking."""

    LAB = "lab"
    SCHOOL = "school"


_ASK, _NEVER = "ask", "never"
MOST_WORDS = 60
MOST_ASKS = 99


@dataclass(frozen=True)
class Steering:
    """How much each wish of the need counts, under the wish's own name, and what else an expert chose.

    `own` has an expert's own wishes: which, the value, how much it counts. `asks` has by number from 1 how much an
    ask counts beside the others; one that is a *must* hides the labs that are not likely to answer it. `without` has
    labs and schools, by id, that are not proposed.
    """

    field: Stress = Stress.NORMAL
    company: Stress = Stress.NORMAL
    language: Stress = Stress.NORMAL
    region: Stress = Stress.NORMAL
    own: tuple[tuple[OwnWish, str, Stress], ...] = ()
    asks: tuple[tuple[int, Stress], ...] = ()
    without: tuple[tuple[LeftOut, str], ...] = ()

    @classmethod
    def of(cls, chosen: Mapping[Wish, Stress]) -> Steering:
        """Return the steering that has these choices and leaves the rest as it is."""
        named: dict[str, Any] = {wish.value: stress for wish, stress in chosen.items()}
        return cls(**named)

    @classmethod
    def read(cls, words: Iterable[str]) -> Steering:
        """Return the steering that words ask for, see the module; of several for the same thing the last counts.

        Raises:
            ValueError: a word is of another form, or names what is on no list; the message says which.
        """
        stated: dict[Wish, Stress] = {}
        own: dict[tuple[OwnWish, str], Stress] = {}
        asks: dict[int, Stress] = {}
        without: dict[tuple[LeftOut, str], None] = {}
        for word in words:
            what, _, how = word.rpartition(".")
            name, _, value = what.partition(":")
            if name in set(LeftOut) and value and how == _NEVER:
                without[LeftOut(name), value] = None
            elif how not in set(Stress):
                raise ValueError(_no_word(word))
            elif name == _ASK and value.isdecimal() and 1 <= int(value) <= MOST_ASKS:
                asks[int(value)] = Stress(how)
            elif name in set(OwnWish) and value in OWN_VALUES[OwnWish(name)]:
                own[OwnWish(name), value] = Stress(how)
            elif what in set(Wish):
                stated[Wish(what)] = Stress(how)
            else:
                raise ValueError(_no_word(word))
        return replace(
            cls.of(stated),
            own=tuple(sorted((name, value, stress) for (name, value), stress in own.items())),
            asks=tuple(sorted((ask, stress) for ask, stress in asks.items() if stress is not Stress.NORMAL)),
            without=tuple(sorted(without)),
        )

    @property
    def words(self) -> list[str]:
        """The words of which `read` makes the same."""
        return [
            *(f"{wish.value}.{stress.value}" for wish, stress in self.chosen.items()),
            *(f"{name.value}:{value}.{stress.value}" for name, value, stress in self.own),
            *(f"{_ASK}:{ask}.{stress.value}" for ask, stress in self.asks),
            *(f"{kind.value}:{one}.{_NEVER}" for kind, one in self.without),
        ]

    @property
    def chosen(self) -> dict[Wish, Stress]:
        """The wishes of the need that do not count as usual."""
        found = {wish: getattr(self, wish.value) for wish in Wish}
        return {wish: stress for wish, stress in found.items() if stress is not Stress.NORMAL}

    def only(self, stated: Collection[Wish], asks: int) -> Steering:
        """Return the same without what is about a wish that is not stated or an ask that is not there."""
        silent: dict[str, Any] = {wish.value: Stress.NORMAL for wish in Wish if wish not in stated}
        return replace(self, **silent, asks=tuple(one for one in self.asks if one[0] <= asks))

    @property
    def note(self) -> str:
        """What to say beside the version of a ranker of what moves scores or hides; empty if nothing does."""
        counted = (word for word in replace(self, without=()).words)
        return "".join(f", {' '.join(word.rsplit('.', 1))}" for word in counted)


def _no_word(word: str) -> str:
    return T_(
        "%(word)r steers nothing; right is for instance region.more, region:south.must, ask:1.more, lab:ID.never or "
        "school:ID.never, with less, normal, more or must",
        word=word,
    )


UNSTEERED = Steering()
_HOW = "|".join(Stress)
_OWN = "|".join(f"{name.value}:({'|'.join(sorted(values))})" for name, values in OWN_VALUES.items())
WORD = rf"^(({'|'.join(Wish)}|{_OWN}|{_ASK}:[1-9][0-9]?)[.]({_HOW})|({'|'.join(LeftOut)}):[^\s]{{1,150}}[.]{_NEVER})$"
"""What a word of a steering looks like, as a regular expression: what fits, `Steering.read` takes."""
WORDS_SAID = (
    "A wish of the need as region.more, one of your own as region:south.more, language:en.must, field:半導體.normal "
    "or school_type:medical_university.less, an ask as ask:2.more: less is 0.3 times the usual weight, more 3; must "
    "hides the labs that do not meet the wish, or are not likely to answer the ask. lab:ID.never and school:ID.never "
    "leave labs out. Of several for the same thing the last counts; what the need does not have changes nothing."
)
"""The same for who writes a program against it."""


@dataclass(frozen=True)
class StatedWish:
    """One wish of a need in one answer.

    `wanted` are the codes of the fields, languages or region, any of which will
    do; `met` of the labs that may be proposed state one; `hidden` do not, and
    are hidden since the wish is a must.
    """

    wanted: tuple[str, ...]
    stress: Stress
    met: int
    hidden: int


def wishes_of(need: Need, company: Company | None) -> dict[Wish, tuple[str, ...]]:
    """Return what a need wishes, without what it does not state.

    The company's own fields speak only where the need names none: a firm may
    ask for what lies outside of its trade.
    """
    found = {
        Wish.FIELD: need.fields,
        Wish.COMPANY: company.fields if company and not need.fields else (),
        Wish.LANGUAGE: need.languages,
        Wish.REGION: (need.region,) if need.region else (),
    }
    return {wish: wanted for wish, wanted in found.items() if wanted}


def stated(need: Need, company: Company | None, labs: LabTable) -> dict[str, DoubleArray]:
    """Return for each statement of need and lab how far they agree, 0 to 1, shape (n labs,)."""
    wanted = wishes_of(need, company)
    return {
        "offer": _offered([ask.kind for ask in need.asks], labs),
        "field": labs.any_of("field", wanted.get(Wish.FIELD, ())).astype(np.float64),
        "company": labs.any_of("field", wanted.get(Wish.COMPANY, ())).astype(np.float64),
        "language": labs.any_of("language", wanted.get(Wish.LANGUAGE, ())).astype(np.float64),
        "region": labs.in_region(need.region).astype(np.float64),
    }


OWN_WEIGHT = 0.5
"""What a wish of an expert's own adds where it is met, as one that the need states (`matcher.judging.learning`)."""
ASK_SHARE = 5.0
"""What all asks together are worth where they are weighed against each other: half of what a fit of 1 adds, so that an
ask that counts more moves labs that answer it past others, and never a lab that answers nothing past one that does."""
COVERED_FROM = 0.5
"""The chance that a lab answers an ask from which on the ask counts as covered."""


def met_by(name: OwnWish, value: str, labs: LabTable) -> BoolArray:
    """Return which labs meet a wish of an expert's own."""
    if name is OwnWish.REGION:
        return labs.in_region(value)
    if name is OwnWish.SCHOOL_TYPE:
        return labs.of_school_type(value)
    return labs.any_of(name.value, (value,))


def preferred(steering: Steering, labs: LabTable) -> DoubleArray:
    """Return what an expert's own wishes add to each lab's score, shape (n labs,)."""
    found = np.zeros(len(labs.ids))
    for name, value, stress in steering.own:
        found += OWN_WEIGHT * FACTORS[stress] * met_by(name, value, labs)
    return found


def asks_weighed(steering: Steering, ask_scores: DoubleArray) -> DoubleArray:
    """Return what it adds to each lab's score, or takes away, that asks count otherwise than alike, shape (n labs,).

    Args:
        steering: how much each ask counts.
        ask_scores: what each lab's evidence adds up to for each ask, shape (n asks, n labs).
    """
    found = np.zeros(ask_scores.shape[1])
    for ask, stress in steering.asks:
        found += (FACTORS[stress] - 1) * ASK_SHARE / len(ask_scores) * ask_scores[ask - 1]
    return found


def left_out(steering: Steering, labs: LabTable) -> BoolArray:
    """Return which labs an expert left out, by themselves or with their school."""
    found = np.zeros(len(labs.ids), dtype=bool)
    labs_out = {one for kind, one in steering.without if kind is LeftOut.LAB}
    if labs_out:
        found |= np.fromiter((one in labs_out for one in labs.ids), dtype=bool, count=len(labs.ids))
    return found | labs.any_of("school", [one for kind, one in steering.without if kind is LeftOut.SCHOOL])


def _offered(kinds: Sequence[str], labs: LabTable) -> DoubleArray:
    """Return the share of the asked kinds that each lab offers."""
    if not kinds:
        return np.full(len(labs.ids), UNSTATED_OFFER)
    return np.where(labs.any_of("offers", ("",)), UNSTATED_OFFER, labs.count_of("offers", kinds) / len(kinds))
