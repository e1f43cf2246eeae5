"""What declarations of records are made of: the two bases of all kinds, and the notes that several kinds share.

In: an example, a form's question. Out: the words of a field; a record whose blank values are none and whose name falls
back to its id. It exists so that each kind says only what is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo

from indexer.plain_text import shown
from indexer.records import values as v
from indexer.records.exchange.value_types import (
    Id,
    Name,
)
from indexer.records.field_notes import Audience, FieldNote, Question
from indexer.records.values import FieldError
from indexer.vocabulary import (
    AskKind,
    Region,
    ResearchField,
    choices,
)
from indexer.wording import P_, T_, Text, either

SEPARATE = T_("Separate with ; or line breaks.")
DATE = T_("2019-08-31 or 民國108年8月31日.")
LONG = T_("Up to 50,000 characters.")
SPOKEN = T_("Such as Chinese, English, Japanese; separated by commas.")
ASK_KINDS, FIELDS = choices(AskKind), choices(ResearchField)
EVERYBODY, INTRODUCED, INSIDE = Audience.EVERYBODY, Audience.INTRODUCED, Audience.INSIDE


def separated(text: Text) -> Text:
    """Return what to write, and how several are kept apart."""
    return T_("%(text)s %(separate)s", text=text, separate=SEPARATE)


def one_of(terms: type[StrEnum], empty: Text | None = None) -> Text:
    """Return the words of a list, and what an empty value means."""
    known = choices(terms)
    return T_("%(known)s. %(empty)s", known=known, empty=empty) if empty else either(known, known)


def id_note(example: str) -> FieldNote:
    """Return the words of an id."""
    write = T_("Required. 1 to 200 characters, no blanks.")
    return FieldNote(T_("Id"), write, example, EVERYBODY)


def name_note(
    example: str, body: FieldInfo | None = None, question: Question | None = None, write: Text | None = None
) -> FieldNote:
    """Return the words of a name."""
    write = write or T_("Falls back to name_en, then id.")
    return FieldNote(P_("field", "Name"), write, example, body=body, question=question)


def name_en_note(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    """Return the words of a name in English."""
    return FieldNote(T_("English name"), T_("Name in English."), example, body=body, question=question)


def research_fields_note(example: str, body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    """Return the words of research fields."""
    write = separated(T_("%(fields)s.", fields=FIELDS))
    return FieldNote(P_("field", "Research field"), write, example, EVERYBODY, body, question)


def languages_note(example: str, body: FieldInfo, question: Question) -> FieldNote:
    """Return the words of working languages."""
    write = separated(T_("zh, en, ja …"))
    return FieldNote(P_("field", "Working language"), write, example, EVERYBODY, body, question)


def region_note(body: FieldInfo | None = None, question: Question | None = None) -> FieldNote:
    """Return the words of a region."""
    return FieldNote(T_("Region"), one_of(Region), "central", EVERYBODY, body, question)


def waits(info: ValidationInfo, *names: str) -> bool:
    """Whether a rule over several fields waits: not all of these are given, and something may be stored."""
    given = info.context.get("given") if info.context else None
    return given is not None and not all(name in given for name in names)


class RecordIn(BaseModel):
    """A record of any kind; a blank value is none."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise FieldError(T_("%(given)s is not an object", given=shown(given)), T_('give one such as {"id": …}'))
        return {key: value for key, value in given.items() if not v.is_blank(value)}


class NamedIn(RecordIn):
    """A record whose name falls back to what `NAMED_ELSE` holds, then to its id; each kind declares them."""

    NAMED_ELSE: ClassVar[tuple[str, ...]] = ("name_en",)

    id: Id
    name: Name = ""
    name_en: Name = ""

    @model_validator(mode="after")
    def _with_name(self) -> Self:
        if self.name:
            return self
        else_named = next((said for field in self.NAMED_ELSE if (said := getattr(self, field))), self.id)
        return self.model_copy(update={"name": else_named})


def ordered(since: date | None, until: date | None) -> None:
    """Refuse an end before its beginning.

    Raises:
        FieldError: it is.
    """
    if since and until and until < since:
        raise FieldError(
            T_("%(until)s is before %(since)s", until=until, since=since),
            T_("give an end on or after the beginning"),
            "until",
        )
