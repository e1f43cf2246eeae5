"""What the server answers: one model per document, for the description of the API only.

In: nothing. Out: models that routes name as their `response_model`, and how a download is described. It exists
because clients are written from the description, and because an answer with a field that nobody described is how
something secret gets out: the tests hold every answer against these models, which know no other fields. Routes
answer with plain documents; nothing is validated while a client waits. Here are what all have in common, and the
answers about needs, sessions and health, with the age from which an index is called old; the other modules of this
folder have those of their subject.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from indexer.records.exchange import NeedIn
from indexer.records.field_notes import Audience, declared, with_fields
from indexer.records.mended.retired import Retirement
from matcher.review.intake import NeedState
from matcher.review.roles import Role

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


class DraftPassage(Answer):
    """Where in the text a field was taken from: characters from 0, and the words."""

    start: int
    end: int
    text: str


class DraftFieldAnswer(Answer):
    """One field that a document seems to state; the value as the exchange format has it."""

    name: str
    value: Any
    passages: list[DraftPassage]


class DraftAnswer(Answer):
    """What a document seems to say, for somebody to confirm; nothing of it is stored."""

    kind: Literal["need", "lab"]
    text: str
    fields: list[DraftFieldAnswer]
    notes: list[str]


class Page(Answer, Generic[Item]):
    """Part of a list; `next` is the cursor of the page after, null on the last."""

    items: list[Item]
    next: str | None


class AskAnswer(Answer):
    """One thing that a need asks for."""

    kind: str
    text: str


class RetiredAnswer(Answer):
    """Since when a record is no longer used, and why."""

    since: date
    reason: str


def retired_said(retired: Retirement | None) -> dict[str, Any]:
    """Return what a document says of a record that is retired; nothing of one in use."""
    if retired is None:
        return {}
    return {"retired": {"since": retired.since.isoformat(), "reason": retired.reason}}


class NeedStepAnswer(Answer):
    """When a need came into which state."""

    state: NeedState
    at: datetime


class Opening(StrEnum):
    """How a need came to be read by others than its own company and alliance, or no longer is."""

    SHARED = "shared"
    SHARE_ENDED = "share_ended"
    BREAK_GLASS = "break_glass"


class OpeningAnswer(Answer):
    """That a need was shared, no longer is, or was read by the programme office, which broke the glass."""

    what: Opening
    at: datetime
    alliance: str | None = Field(description="The alliance that it was shared with.")
    reason: str = Field(description="What the company agreed to, or why the office read it.")


@answer_of(NeedIn, withheld=True, asks=list[AskAnswer])
class NeedAnswer(Answer):
    """A need as you may see it; what you may not see is null, empty or missing."""

    redacted: bool = Field(description="The text is withheld from the programme office.")
    other: dict[str, str] = Field(default={}, description="What a file said of it beside these fields.")
    retired: RetiredAnswer | None = Field(default=None, description="Only if it is no longer used.")
    state: NeedState | None = None
    alliance: str | None = None
    expert: str | None = None
    submitted_at: datetime | None = None
    steps: list[NeedStepAnswer] = Field(default=[])
    shared_with: list[str] = Field(default=[])
    openings: list[OpeningAnswer] = Field(default=[], description="For its company and its alliance: who was let in.")


class SharedAnswer(Answer):
    """Which alliance a need is shared with now."""

    need_id: str
    alliance: str


class SessionAnswer(Answer):
    """What changing requests of a browser send as X-CSRF-Token, and whether more is asked before anything opens."""

    csrf_token: str
    second_factor: Literal["code", "enrol"] | None = Field(
        default=None,
        description="Only if more is asked: give its `code` next, or `enrol`, since your role needs one.",
    )


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
    phone: str = Field(description="Under which number you want to be called, empty for none.")
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


_FILE = {"type": "string", "format": "binary"}


def file_of(media_types: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses` for a file of one of some media types; JSON is an object, the rest is opaque."""
    names = [media_type.partition(";")[0] for media_type in media_types]
    content = {name: {"schema": {"type": "object"} if name == "application/json" else _FILE} for name in names}
    return {200: {"description": "The file.", "content": content}}


def attachment_header(name: str) -> str:
    """Return the header that names a download: any name as UTF-8, and one in plain ASCII for older clients."""
    one = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).strip(". ")[:150] or "file"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in one)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(one, safe='')}"


OLD_AFTER = timedelta(hours=48)
"""An index that was not renewed for so long has missed two nights."""


def index_is_old(created_at: datetime | str) -> bool:
    """Whether an index built then, a moment or one in ISO 8601, should have been renewed since."""
    built_at = datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at
    return datetime.now(UTC) - built_at > OLD_AFTER
