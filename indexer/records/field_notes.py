"""What a record's declaration says of a field beside its type: its words, its readers, how it is asked for.

In: the models of `indexer.records.exchange`, whose fields carry these notes. Out: the notes, read off field by field.
It exists so that a field is declared once: columns of files, bodies and answers of the API, questions of forms and
facts on pages are made of what stands here, and none of them can forget a field or call it something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from indexer.wording import Text

Model = TypeVar("Model", bound=BaseModel)


class Cell(Enum):
    """How one cell of a flat file becomes a value."""

    ONE = auto()
    WORDS = auto()
    TEXTS = auto()
    ASKS = auto()
    PARTNERS = auto()


class Audience(Enum):
    """Who reads a field among those who may see a need at all; a lab or a company is read whole.

    The programme office reads what is not for everybody of a need that was promised confidence only after breaking
    the glass.
    """

    EVERYBODY = auto()
    """Whoever sees the need."""
    INTRODUCED = auto()
    """The company, the alliances that work on it, and a lab that was introduced."""
    INSIDE = auto()
    """The company and the alliances that work on it; never a lab."""


class Widget(StrEnum):
    """What a form offers to fill a field in."""

    LINE = auto()
    PROSE = auto()
    LINES = auto()
    """One text on each line."""
    WORDS = auto()
    """Words with commas between them."""
    LANGUAGES = auto()
    """Names of languages with commas between them."""
    CHECKBOXES = auto()
    CHOICE = auto()
    RADIO = auto()
    AMOUNT = auto()
    COUNT = auto()
    DAY = auto()
    ASKS = auto()


@dataclass(frozen=True, slots=True)
class Shape:
    """How the values of a type are written: how a cell is split, which closed list they are of, if they are long."""

    cell: Cell = Cell.ONE
    terms: type[StrEnum] | None = None
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """How a form asks for a field, and on which of its steps; 0 is the form's usual number."""

    step: str
    widget: Widget
    label: Text
    hint: Text | None = None
    rows: int = 0
    max_chars: int = 0
    required: bool = False
    empty: Text | None = None
    """What choosing none is called."""


@dataclass(frozen=True, slots=True)
class FieldNote:
    """All that is said of a field once.

    `label` is what the field is called, in Chinese also above its column; `write` is what the template tells people
    to write, and `example` what it shows. `body` are the bounds and examples of the API's body, None where a body
    does not take the field; `question` is how a form asks, None where none does. Who says nothing of the audience
    gets the narrowest.
    """

    label: Text
    write: Text
    example: str | int | float = ""
    audience: Audience = Audience.INSIDE
    body: FieldInfo | None = None
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class DeclaredField:
    """One field of a record: its name, what is said of it, and its plain type without what checks it."""

    name: str
    note: FieldNote
    shape: Shape
    plain: Any
    default: Any

    @property
    def is_list(self) -> bool:
        """Whether it holds several values."""
        return get_origin(self.plain) is list

    @property
    def asked(self) -> Question:
        """How a form asks for it.

        Raises:
            ValueError: no form does.
        """
        if self.note.question is None:
            raise ValueError(f"no form asks for {self.name}")
        return self.note.question


@cache
def declared(model: type[BaseModel]) -> tuple[DeclaredField, ...]:
    """Return the fields of a record that carry a note, as they were declared, in their order."""
    plain = get_type_hints(model)
    found = []
    for name, info in model.model_fields.items():
        note = next((one for one in info.metadata if isinstance(one, FieldNote)), None)
        if note is not None:
            default = None if info.is_required() else info.get_default(call_default_factory=True)
            found.append(DeclaredField(name, note, _shape(info), plain[name], default))
    return tuple(found)


def _shape(info: FieldInfo) -> Shape:
    """Return the shape that a field's type carries, also where the type stands beside None or in a list."""
    inner = [one for part in get_args(info.annotation) for one in getattr(part, "__metadata__", ())]
    return next((one for one in (*info.metadata, *inner) if isinstance(one, Shape)), Shape())


def with_fields(fields: Mapping[str, tuple[Any, Any]]) -> Callable[[type[Model]], type[Model]]:
    """Return the decorator that puts fields, each with its type and what pydantic is told of it, before a model's own.

    For those who check types the model stays what its class says: code that needs one of the fields by name declares
    it there.
    """

    def derived(model: type[Model]) -> type[Model]:
        given: dict[str, Any] = dict(fields)
        before = create_model(model.__name__, **given)
        bases: Any = (model, before)
        made: Any = create_model(model.__name__, __base__=bases, __doc__=model.__doc__, __module__=model.__module__)
        return cast("type[Model]", made)

    return derived
