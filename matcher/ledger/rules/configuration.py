"""Rules and values that the programme may change: kept as versions, never overwritten.

In: a document of a kind that some part of the ledger defines. Out: the document
that holds now, or held at a moment. It exists because the plan leaves many
values open: such a value is data with a date, a reason and an author, not a
constant in code. Until somebody changes one, the file of its name in
`defaults/` holds; its `note` says what in it is the plan's and what is an
example.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

import orjson
from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic import Field as Bounded
from sqlalchemy import JSON, CheckConstraint, Column, UniqueConstraint, bindparam
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate, once
from indexer.instants import Instant
from indexer.wording import T_, Text, either
from matcher.ledger.rows.entries import LedgerError
from matcher.review import people  # noqa: F401 (its table is referred to)

DEFAULTS = Path(__file__).parent / "defaults"

ShareBp = Annotated[int, Bounded(ge=0, le=10_000)]
"""A share in basis points: the whole is 10,000."""


class StaleConfigurationError(Exception):
    """Somebody else stored a version of the same document at the same time."""


class TakesNoYesForANumber(BaseModel):
    """What somebody sends as JSON: where a number stands, true is refused, which Python takes for 1."""

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and _takes_numbers(cls.model_fields[info.field_name or ""].annotation):
            raise ValueError(T_("give a number, not true or false"))
        return value


def _takes_numbers(annotation: Any) -> bool:
    inner = get_args(annotation) or (annotation,)
    return any(_takes_numbers(one) if get_args(one) else one in (int, float) for one in inner)


class Configured(TakesNoYesForANumber):
    """A document of rules. A subclass gives it a name, under which it is stored, and its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    takes_two: ClassVar[bool] = False
    """Whether one person may only move a change, for another one to agree: rules that bind two people do."""

    note: str
    note_zh: str = Bounded(default="", description="The same in Chinese, for reports; empty where nobody wrote it.")

    def noted(self) -> tuple[Text, ...]:
        """Return the note as a report in either language can print it; nothing where it is said in one only."""
        return (either(self.note_zh, self.note),) if self.note_zh else ()


Document = TypeVar("Document", bound=Configured)


class ConfigurationVersion(SQLModel, table=True):
    """One version of a document: never updated, never deleted."""

    __tablename__ = "configuration_version"
    __table_args__ = (
        UniqueConstraint("name", "version", name="one_document_per_version"),
        UniqueConstraint("motion_id", name="one_version_per_motion"),
        CheckConstraint("version > 0", name="versions_count_from_1"),
        CheckConstraint("length(reason) > 0", name="changed_for_a_reason"),
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str
    version: int
    document: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    reason: str
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)
    motion_id: int | None = None
    """The motion of two people by which it came, where it took one; `by` moved it."""


def current(session: Session, kind: type[Document], *, at: datetime | None = None) -> Document:
    """Return the document that holds now, or held at a moment."""
    return once(session, (current, kind, at), lambda: _read(session, kind, at))


# Built once: nearly everything that the ledger is asked or told asks them.
_NEWEST = (
    select(ConfigurationVersion.document)
    .where(col(ConfigurationVersion.name) == bindparam("of"))
    .order_by(col(ConfigurationVersion.version).desc())
    .limit(1)
)
_ALL = (
    select(ConfigurationVersion.at, ConfigurationVersion.document)
    .where(col(ConfigurationVersion.name) == bindparam("of"))
    .order_by(col(ConfigurationVersion.version))
)
_NEWEST_BY = _NEWEST.where(col(ConfigurationVersion.at) <= bindparam("by"))


def _read(session: Session, kind: type[Document], at: datetime | None) -> Document:
    query, of = (_NEWEST, {"of": kind.name}) if at is None else (_NEWEST_BY, {"of": kind.name, "by": at})
    stored = session.execute(query, of).scalars().first()
    return default(kind) if stored is None else kind.model_validate(stored)


@cache
def default(kind: type[Document]) -> Document:
    """Return the document that holds as long as nobody changed it."""
    return kind.model_validate_json((DEFAULTS / f"{kind.name}.json").read_bytes())


def versions(session: Session, kind: type[Document]) -> list[tuple[datetime, Document]]:
    """Return every version of a document with the moment from which it held, oldest first."""

    def read() -> list[tuple[datetime, Document]]:
        stored = session.execute(_ALL, {"of": kind.name}).all()
        return [(at, kind.model_validate(document)) for at, document in stored]

    return once(session, (versions, kind), read)


class TakesTwoError(LedgerError):
    """One person can't change it alone."""


def change(
    session: Session, document: Configured, *, reason: str, by: str, now: datetime, motion_id: int | None = None
) -> int:
    """Store a new version of a document and return its number; the caller commits.

    Args:
        session: its transaction.
        document: what holds from now on.
        reason: why.
        by: who changes it, or moved that it be.
        now: the moment.
        motion_id: the motion that two people agreed to, for a document that takes two.

    Raises:
        TakesTwoError: the document takes two people and there is no motion.
        StaleConfigurationError: somebody else stored one at the same time.
    """
    if document.takes_two and motion_id is None:
        raise TakesTwoError(T_("%(name)s binds two people: one moves a change, another agrees", name=document.name))
    newest = latest(session, document.name)
    last = 0 if newest is None else newest.version
    content = orjson.loads(document.model_dump_json())
    session.add(
        ConfigurationVersion(
            name=document.name,
            version=last + 1,
            document=content,
            reason=reason.strip(),
            by=by,
            at=now,
            motion_id=motion_id,
        )
    )
    try:
        session.flush()
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise StaleConfigurationError(
            T_("%(name)s was changed in the meantime; read it again", name=document.name)
        ) from error
    return last + 1


def latest(session: Session, name: str) -> ConfigurationVersion | None:
    """Return the newest version of a document, None if nobody changed it yet."""
    query = select(ConfigurationVersion).where(ConfigurationVersion.name == name)
    return session.exec(query.order_by(col(ConfigurationVersion.version).desc()).limit(1)).first()
