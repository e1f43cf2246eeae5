"""What a need wishes of a lab beside its topic, and how much an expert lets each wish count.

In: a need with its company, what the labs state, and an expert's choice of *less*, *normal*, *more* or *must* for each
wish. Out: one column of features for each statement, and which labs a *must* hides. It exists apart from the signals
because wishes are no evidence: no judgement tells their worth, so their weights are given and not learned
(`matcher.judging.learning`), small enough that no wish outweighs a real difference in fit, and an expert who knows the
company sets them for one answer. A wish that a need does not state weighs nothing and can't be steered. Pure.

Only what records state is a wish. Schools state a kind, but no need asks for one; evidence does not say whether a
company took part in it. Neither is guessed at from prose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import numpy as np

from indexer.arrays import DoubleArray
from indexer.records.profiles import Company, Need
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


@dataclass(frozen=True)
class Steering:
    """How much each wish counts, under the wish's own name."""

    field: Stress = Stress.NORMAL
    company: Stress = Stress.NORMAL
    language: Stress = Stress.NORMAL
    region: Stress = Stress.NORMAL

    @classmethod
    def of(cls, chosen: Mapping[Wish, Stress]) -> Steering:
        """Return the steering that has these choices and leaves the other wishes as they are."""
        return cls(**{wish.value: stress for wish, stress in chosen.items()})

    @classmethod
    def read(cls, words: Iterable[str]) -> Steering:
        """Return the steering that words such as `region.more` ask for; of several for a wish the last counts.

        Raises:
            ValueError: a word is of another form.
        """
        pairs = (word.partition(".") for word in words)
        return cls.of({Wish(wish): Stress(stress) for wish, _, stress in pairs})

    @property
    def words(self) -> list[str]:
        """The words of which `read` makes the same."""
        return [f"{wish.value}.{stress.value}" for wish, stress in self.chosen.items()]

    @property
    def chosen(self) -> dict[Wish, Stress]:
        """What is not normal."""
        return {Wish(name): stress for name, stress in asdict(self).items() if stress is not Stress.NORMAL}

    def only(self, stated: Collection[Wish]) -> Steering:
        """Return the same for wishes that are stated: the rest steers nothing."""
        return replace(self, **{wish.value: Stress.NORMAL for wish in Wish if wish not in stated})

    @property
    def note(self) -> str:
        """What to say of it beside the version of a ranker; empty if nothing is steered."""
        return "".join(f", {wish.value} {stress.value}" for wish, stress in self.chosen.items())


UNSTEERED = Steering()


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


def _offered(kinds: Sequence[str], labs: LabTable) -> DoubleArray:
    """Return the share of the asked kinds that each lab offers."""
    if not kinds:
        return np.full(len(labs.ids), UNSTATED_OFFER)
    return np.where(labs.any_of("offers", ("",)), UNSTATED_OFFER, labs.count_of("offers", kinds) / len(kinds))
