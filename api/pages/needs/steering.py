"""Steering a ranking in the page: what can be chosen, what is chosen, whom that moves, and keeping it with the need.

In: an answer of the matcher with its wishes, asks and steering; a form of selects, or the words of an address. Out:
values for `needs/steering.html`: each wish and ask with how much it counts, wishes of the expert's own, what is left
out by name, the labs that rose and fell with the reason; the query that asks for the same again; and, by a form of its
own, the choice kept with the need.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from api.access.policy import Action, Resource
from api.documents.bodies import SteeringBody
from api.pages.shell.facets import Choice
from api.pages.shell.record_names import BothNames, Names, language
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError
from api.requests.query_parameters import ChosenSteering
from api.routes.pairings import put_steering
from indexer.records.profiles import Lab as LabProfile
from indexer.vocabulary import Region, ResearchField, SchoolType
from indexer.wording import T_
from matcher.ranking.signals import CONTRIBUTION_LABELS
from matcher.ranking.wishes import (
    STRESS_LABELS,
    WISH_LABELS,
    WORD,
    LeftOut,
    OwnWish,
    Steering,
    Stress,
    Wish,
)

_STRESSES = tuple((stress.value, *words.both) for stress, words in STRESS_LABELS.items())
_LANGUAGES = ("zh", "en", "ja", "de", "fr", "ko", "vi", "id", "th")
"""The languages that a form offers; a word of an address may name any."""
_ON_OFFER: tuple[tuple[OwnWish, str, Sequence[str]], ...] = (
    (OwnWish.REGION, N_("Region of the school"), tuple(Region)),
    (OwnWish.SCHOOL_TYPE, N_("Type of school"), tuple(SchoolType)),
    (OwnWish.LANGUAGE, N_("Working language"), _LANGUAGES),
    (OwnWish.FIELD, N_("Research field"), tuple(ResearchField)),
)
_LABELS = {name: label for name, label, _ in _ON_OFFER}
_MOST_MOVES = 12


@dataclass(frozen=True)
class Weighed:
    """Something that counts more or less: what it is called, which values are meant, and how much it counts.

    `met` labs meet it; `hidden` do not and are hidden, since it is a must; both 0 where that is not counted.
    """

    name: str
    label: BothNames
    wanted: tuple[Choice, ...]
    stress: str
    met: int = 0
    hidden: int = 0


@dataclass(frozen=True)
class WeighedAsk:
    """An ask of the need, by its number, and how much it counts."""

    number: int
    text: str
    stress: str


@dataclass(frozen=True)
class Picked:
    """A lab or a school that is left out: the word that says so, and its names."""

    word: str
    kind: LeftOut
    names: BothNames


@dataclass(frozen=True)
class Move:
    """A lab that steering moves, its ranks without and with it (0: not shown), and the part that changed most."""

    lab_id: str
    names: BothNames
    before: int
    after: int
    why: BothNames | None
    amount: float


@dataclass(frozen=True)
class Kept:
    """What is kept with the need: by whom, since when, and whether it is what this answer is steered by."""

    by: str
    at: str
    holds: bool
    steers: bool


@dataclass(frozen=True)
class SteeringForm:
    """What `needs/steering.html` shows."""

    wishes: tuple[Weighed, ...]
    own: tuple[Weighed, ...]
    asks: tuple[WeighedAsk, ...]
    picked: tuple[Picked, ...]
    offered: tuple[tuple[str, tuple[Choice, ...]], ...]
    stresses: tuple[tuple[str, str, str], ...]
    words: tuple[str, ...]
    rose: tuple[Move, ...]
    fell: tuple[Move, ...]
    more_moved: int
    kept: Kept | None

    @property
    def is_steered(self) -> bool:
        """Whether the answer is another than the usual one."""
        return bool(self.words)

    @property
    def hides(self) -> bool:
        """Whether it may hide labs."""
        return any(word.endswith((".must", ".never")) for word in self.words)


def typed_steering(request: Request, steering: ChosenSteering) -> Steering | None:
    """Return how the page's address steers: by words, or by the fields of the form; None if it does not say.

    Raises:
        ProblemError: 422, a field has a value that the form does not offer.
    """
    asked = request.query_params
    if asked.get("steered") != "true":
        return steering
    words = [word for word in asked.getlist("steer") if word]
    if asked.get("own"):
        words.append(f"{asked['own']}.{asked.get('own_how', Stress.MORE.value)}")
    for word in words:
        if not re.fullmatch(WORD, word):
            raise ProblemError(422, "invalid", T_("choose one of the values that the form offers"), "steer")
    return Steering.read(words)


TypedSteering = Annotated[Steering | None, Depends(typed_steering)]


def steering_form(
    need: Mapping[str, Any], found: Mapping[str, Any], asked: Steering | None, known: Mapping[LeftOut, Names]
) -> SteeringForm:
    """Return what the form shows.

    Args:
        need: the need's document.
        found: the matcher's answer.
        asked: how the page's address steers; None: as is kept with the need.
        known: the names of labs and schools.
    """
    told = found["steering"]
    steering = Steering.read(told["words"])
    moves = [_move(one) for one in told["moves"]]
    rose = sorted((one for one in moves if one.after and one.after < one.before), key=lambda one: one.after)
    fell = sorted((one for one in moves if not 0 < one.after < one.before), key=lambda one: one.before)
    stresses = dict(steering.asks)
    return SteeringForm(
        wishes=tuple(_stated(name, wish) for name, wish in found["wishes"].items()),
        own=tuple(_own(name, value, stress) for name, value, stress in steering.own),
        asks=tuple(
            WeighedAsk(number, ask["text"], stresses.get(number, Stress.NORMAL).value)
            for number, ask in enumerate(need.get("asks") or (), start=1)
        ),
        picked=tuple(_picked(kind, one, known) for kind, one in steering.without),
        offered=tuple((label, tuple(_choice(name, value) for value in values)) for name, label, values in _ON_OFFER),
        stresses=_STRESSES,
        words=tuple(told["words"]),
        rose=tuple(rose[:_MOST_MOVES]),
        fell=tuple(fell[:_MOST_MOVES]),
        more_moved=len(rose[_MOST_MOVES:]) + len(fell[_MOST_MOVES:]),
        kept=_kept(told["kept"], asked),
    )


def _stated(name: str, wish: Mapping[str, Any]) -> Weighed:
    kind = OwnWish.FIELD if name in (Wish.FIELD, Wish.COMPANY) else OwnWish(name)
    wanted = tuple(_choice(kind, code) for code in wish["wanted"])
    return Weighed(name, WISH_LABELS[Wish(name)].both, wanted, wish["stress"], wish["met"], wish["hidden"])


def _own(name: OwnWish, value: str, stress: Stress) -> Weighed:
    label = _LABELS[name]
    return Weighed(f"{name.value}:{value}", (label, label), (_choice(name, value),), stress.value)


def _choice(name: OwnWish, value: str) -> Choice:
    if name is OwnWish.LANGUAGE:
        return Choice(f"{name.value}:{value}", *language(value), is_term=False, count=0, is_chosen=True)
    return Choice(f"{name.value}:{value}", value, value, is_term=True, count=0, is_chosen=True)


def _picked(kind: LeftOut, record_id: str, known: Mapping[LeftOut, Names]) -> Picked:
    zh, en = known[kind].get(record_id, (record_id, ""))
    return Picked(f"{kind.value}:{record_id}.never", kind, (zh, en))


def _move(one: Mapping[str, Any]) -> Move:
    changes = {name: amount for name, amount in one["changes"].items() if name in CONTRIBUTION_LABELS}
    most = max(changes, key=lambda name: abs(changes[name]), default=None)
    why = None if most is None else CONTRIBUTION_LABELS[most].both
    amount = 0.0 if most is None else changes[most]
    return Move(one["lab_id"], (one["name"], one["name_en"]), one["before"], one["after"], why, amount)


def _kept(row: Mapping[str, Any] | None, asked: Steering | None) -> Kept | None:
    if row is None:
        return None
    return Kept(row["by_name"], row["at"], asked is None or asked.words == row["words"], bool(row["words"]))


def labs_of_heads(labs: Iterable[LabProfile], heads: Collection[str]) -> Mapping[str, str]:
    """Return by the name of each head who has several labs the part of an address that leaves them all out."""
    found: dict[str, list[tuple[str, str]]] = {}
    for lab in labs:
        if lab.pi and lab.pi in heads:
            found.setdefault(lab.pi, []).append(("wish", f"{LeftOut.LAB.value}:{lab.id}.never"))
    return {head: urlencode(words) for head, words in found.items() if len(words) > 1}


router = APIRouter(prefix="/needs", include_in_schema=False, route_class=ThreadedRoute)


@router.post("/{need_id}/steering")
def keep(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.EDIT))]) -> Response:
    """Keep a steering with the need, or end the one that is kept."""
    words = [str(word) for word in visit.form.getlist("word")]
    body = visit.body(SteeringBody, {"words": words})
    visit.document(put_steering, need_id=need_id, body=body)
    said = (
        N_("Kept with the need: it holds for all of your alliance.") if words else N_("The ranking is as usual again.")
    )
    return visit.go(f"/needs/{need_id}/ranked", said)
