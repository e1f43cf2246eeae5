"""Where people wrote somebody's name: in notes, file names and statements, and where it can't be taken out any more.

In: the words that name somebody who is erased. Out: texts that were freed of them, and a list of the places where they
still stand, for a person to decide. It exists because an account's own row is the smallest part of what names a person:
colleagues note whom they called, files are called after who made them. Every column of every table that holds text is
searched, so that a table that comes later is searched too. Changed is only what people wrote beside the facts
(`FREED`); other people's records, such as what a need says, are theirs to change, and what the database keeps for ever
(the ledger and its evidence, claims of labs) it refuses to change, also here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, String, Table, Text, cast, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel
from sqlmodel.sql.sqltypes import AutoString

from api import tables  # noqa: F401 (a table that nobody imported would not be searched)
from indexer.wording import T_
from indexer.wording import Text as Said
from matcher.erasure import TOMBSTONE

FREED = {
    "attachment": {"name"},
    "case_step": {"note"},
    "contact": {"note", "next_step"},
    "decision": {"note"},
    "diagnosis_visit": {"answers", "agenda", "findings", "next_steps", "place"},
    "import_draft": {"name", "said"},
    "job": {"parameters", "refusal"},
    "job_file": {"name"},
    "job_part": {"result"},
    "judged_word": {"note"},
    "merge_change": {"before"},
    "lab_answer": {"note", "work"},
    "lab_question": {"reader", "text"},
    "letter": {"reader"},
    "need_draft": {"content"},
    "need_said": {"after", "before", "reader"},
    "need_share": {"consent"},
    "need_step": {"note"},
    "record_merge": {"reason"},
    "retirement": {"reason"},
    "notice": {"reader"},
    "password_renewal": {"address"},
    "side_answer": {"note"},
    "shortlist": {"words"},
    "stake": {"end_reason"},
    "thread_message": {"text"},
    "webhook": {"url"},
}
"""What is written beside the facts, by table: a name is taken out where the database lets it."""
_KEPT = ("break_glass_read", "configuration_version", "lab_claim", "proposal")
_SHORTEST = 2
_SHOWN = 5


@dataclass(frozen=True)
class StandingName:
    """A column in which the words still stand, and in which rows; `kept` says that the database refuses a change."""

    table: str
    column: str
    rows: tuple[str, ...]
    kept: bool

    @property
    def said(self) -> Said:
        """The place in words, for whoever decides."""
        ids = ", ".join(self.rows[:_SHOWN]) + (" ..." if len(self.rows) > _SHOWN else "")
        place = f"{self.table}.{self.column}"
        if self.kept:
            return T_("%(place)s, kept for ever: %(ids)s", place=place, ids=ids)
        return T_("%(place)s, for its owner to change: %(ids)s", place=place, ids=ids)


def free_texts(session: Session, words: Iterable[str]) -> list[StandingName]:
    """Take words out of what people wrote beside the facts; return where they still stand, by table and column."""
    wanted = sorted({word for word in words if len(word.strip()) >= _SHORTEST}, key=len, reverse=True)
    standing = []
    for table, column in _texts() if wanted else ():
        found = list(_found(session, table, column, wanted))
        freed = column.name in FREED.get(table.name, ())
        left = [key for key, value in found if not (freed and _freed(session, table, column, key, value, wanted))]
        if left:
            rows = tuple(" ".join(map(str, key)) for key in left)
            standing.append(StandingName(table.name, column.name, rows, kept=freed or _is_kept(table)))
    session.expire_all()
    return standing


def _texts() -> Iterator[tuple[Table, Column[Any]]]:
    """Yield every column of every table that holds words, but keys and what refers to them."""
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            holds_words = isinstance(column.type, String | AutoString | JSON)
            if holds_words and not column.primary_key and not column.foreign_keys:
                yield table, column


def _found(session: Session, table: Table, column: Column[Any], words: list[str]) -> Iterator[tuple[Any, Any]]:
    text = cast(column, Text)
    has = or_(*(text.icontains(word, autoescape=True) for word in words))
    keys = list(table.primary_key.columns)
    for row in session.connection().execute(select(*keys, column).where(has)).all():
        yield tuple(row[:-1]), row[-1]


def _freed(session: Session, table: Table, column: Column[Any], key: Any, value: Any, words: list[str]) -> bool:
    """Write a value without the words; False where the database refuses it."""
    this = [part == said for part, said in zip(table.primary_key.columns, key, strict=True)]
    change = update(table).where(*this).values({column.name: _without(value, words)})
    try:
        with session.begin_nested():
            session.connection().execute(change)
    except DBAPIError:
        return False
    return True


def _without(value: Any, words: list[str]) -> Any:
    if isinstance(value, str):
        for word in words:
            value = re.sub(re.escape(word), TOMBSTONE, value, flags=re.IGNORECASE)
        return value
    if isinstance(value, list):
        return [_without(item, words) for item in value]
    if isinstance(value, dict):
        return {_without(name, words): _without(item, words) for name, item in value.items()}
    return value


def _is_kept(table: Table) -> bool:
    return table.name.startswith("ledger_") or table.name in _KEPT
