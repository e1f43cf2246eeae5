"""What the server answers about the committee's review of results.

In: nothing. Out: models for the description of the API. It exists apart from
`ledger_answers` because what waits is a view of the ledger, not a part of it.
"""

from __future__ import annotations

from enum import StrEnum

from api.answers import Answer, Page
from api.ledger_answers import EntryAnswer, ListedSchoolTotalAnswer, MotionAnswer
from matcher.ledger.requirements import Requirement
from matcher.ledger.steps import State


class Bar(StrEnum):
    """Why somebody has no word on a result."""

    REPORTER = "reporter"
    STAKE = "stake"


class Verb(StrEnum):
    """What may be said of a result."""

    CHECK = "check"
    RECOGNISE = "recognise"
    RETURN = "return"
    REFUSE = "refuse"
    TELL_APART = "tell_apart"
    REVERSE = "reverse"


class WaitingAnswer(EntryAnswer):
    """A result that waits for a word, and what stands in the way of recognising it."""

    age_days: int
    missing: list[Requirement]
    barred: Bar | None
    takes_two: bool
    motion: MotionAnswer | None


class WaitingPageAnswer(Page[WaitingAnswer]):
    """Part of the queue; the counts are of all that the filters leave, whatever its state."""

    by_state: dict[State, int]


class UnmetAnswer(Answer):
    """A requirement that is not met, and what recognition says of it."""

    requirement: Requirement
    detail: str


class PlaceAnswer(Answer):
    """Where a result stands in the queue; `place` is null for one that no longer waits."""

    place: int | None
    of: int
    previous: str | None
    next: str | None


class SchoolAnswer(Answer):
    """The whole cooperation total beside which a result is seen, and what GLORIA recognised of it so far."""

    school_id: str
    year: int
    total: ListedSchoolTotalAnswer | None
    recognised_ntd: int


class ReviewAnswer(Answer):
    """What a committee member has to know of a result beside the entry itself; `verbs` may be said now."""

    entry_id: str
    unmet: list[UnmetAnswer]
    barred: Bar | None
    takes_two: bool
    verbs: list[Verb]
    school: SchoolAnswer | None
    queue: PlaceAnswer
