"""What the server answers: one model per document, for the description of the API only.

In: nothing. Out: models that routes name as their `response_model`. It exists
because clients are written from the description, and because an answer with a
field that nobody described is how something secret gets out: the tests hold
every answer against these models, which know no other fields. Routes answer
with plain documents; nothing is validated while a client waits. What a record
says is described by its declaration. Here are the answers of needs, people and
health; matches and cases have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from indexer.exchange import NeedIn
from indexer.field_notes import Audience, declared, with_fields
from matcher.intake import NeedState
from matcher.roles import Role

Item = TypeVar("Item")


class Answer(BaseModel):
    """A document that says nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


Described = TypeVar("Described", bound=Answer)


def answer_of(
    record: type[BaseModel], *, withheld: bool = False, **items: Any
) -> Callable[[type[Described]], type[Described]]:
    """Return the decorator that gives an answer all fields of a record's declaration.

    Args:
        record: the declaration.
        withheld: what is not for everybody may be null.
        items: the types of fields that hold records themselves.
    """
    fields: dict[str, tuple[Any, Any]] = {}
    for one in declared(record):
        kind = items.get(one.name, one.plain)
        closed = withheld and one.note.audience is not Audience.EVERYBODY
        fields[one.name] = (kind | None if closed else kind, ...)
    return with_fields(fields)


class Page(Answer, Generic[Item]):
    """Part of a list; `next` is the cursor of the page after, null on the last."""

    items: list[Item]
    next: str | None


class AskAnswer(Answer):
    """One thing that a need asks for."""

    kind: str
    text: str


class NeedStepAnswer(Answer):
    """When a need came into which state."""

    state: NeedState
    at: datetime


@answer_of(NeedIn, withheld=True, asks=list[AskAnswer])
class NeedAnswer(Answer):
    """A need as you may see it; what you may not see is null, empty or missing."""

    redacted: bool = Field(description="The text is withheld from the programme office.")
    state: NeedState | None = None
    alliance: str | None = None
    expert: str | None = None
    submitted_at: datetime | None = None
    steps: list[NeedStepAnswer] = Field(default=[])
    shared_with: list[str] = Field(default=[])


class SharedAnswer(Answer):
    """Which alliance a need is shared with now."""

    need_id: str
    alliance: str


class SessionAnswer(Answer):
    """What changing requests of a browser send as X-CSRF-Token."""

    csrf_token: str


class RoleAnswer(Answer):
    """A role and the alliance, company or lab that it is held in."""

    role: Role
    scope: str


class StakeAnswer(Answer):
    """A declared interest."""

    id: int
    party: str
    party_id: str


class MeAnswer(Answer):
    """Who you are here."""

    id: str
    name: str
    roles: list[RoleAnswer]
    stakes: list[StakeAnswer]
    csrf_token: str | None = Field(default=None, description="In a browser's session only.")


class AliveAnswer(Answer):
    """The process answers."""

    status: str


class IndexAnswer(Answer):
    """Which index generation is open, and whether all is well; `newest_problem` says why a newer one is not used."""

    generation: str | None = Field(description="As answers name it; null where nothing can be matched.")
    on_disk: str | None = Field(description="The generation that it rests on, the same if nothing was taken in since.")
    created_at: str | None = Field(description="When the generation on disk was built.")
    labs: int
    taken_in: int = Field(description="Labs that are newer than the generation on disk and can be matched.")
    not_indexed: int = Field(description="New labs that can't be matched yet; seconds, as a rule.")
    models_ready: bool
    is_old: bool = Field(description="It was not renewed for 48 hours.")
    problem: str | None
    newest_problem: str | None


class ViewsAnswer(Answer):
    """How many views wait to be written into the audit trail, and how many never were since the server started."""

    waiting: int
    lost: int


class ReadyAnswer(Answer):
    """What can be served right now."""

    intake: bool
    review: bool
    matching: bool
    index: IndexAnswer
    views: ViewsAnswer
