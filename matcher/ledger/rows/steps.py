"""What was decided about an entry: reported, held, checked, recognised, returned, refused, taken back.

In: the next step of an entry. Out: an immutable row in the chain of steps. It
exists apart from the entries because these never change: where an entry
stands is the last of its steps, and what counts is folded over them. However
many try at once, the number of the step lets one through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    UniqueConstraint,
    bindparam,
    insert,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import is_duplicate
from indexer.instants import Instant
from indexer.wording import P_, T_
from matcher.ledger.rows.chain import Chain, hash_of, next_place, set_head
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError


class State(StrEnum):
    """Where an entry stands. Only `recognised` counts; the last three end it and set its key free."""

    HELD = "held"
    REPORTED = "reported"
    CHECKED = "checked"
    RETURNED = "returned"
    RECOGNISED = "recognised"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVERSED = "reversed"


STATE_LABELS = {
    State.HELD: T_("held"),
    State.REPORTED: T_("reported"),
    State.CHECKED: P_("steps", "checked"),
    State.RETURNED: P_("steps", "returned"),
    State.RECOGNISED: P_("steps", "recognised"),
    State.REFUSED: P_("steps", "refused"),
    State.WITHDRAWN: T_("withdrawn"),
    State.REVERSED: P_("steps", "reversed"),
}
"""Each state in Chinese and English."""

NEXT_STATES: dict[State | None, tuple[State, ...]] = {
    None: (State.HELD, State.REPORTED),
    State.HELD: (State.REPORTED, State.REFUSED, State.WITHDRAWN),
    State.REPORTED: (State.CHECKED, State.RETURNED, State.REFUSED, State.WITHDRAWN),
    State.CHECKED: (State.RECOGNISED, State.RETURNED, State.REFUSED),
    State.RETURNED: (State.REPORTED, State.REFUSED, State.WITHDRAWN),
    State.RECOGNISED: (State.REVERSED,),
    State.REFUSED: (),
    State.WITHDRAWN: (),
    State.REVERSED: (),
}
"""Where an entry can go from each state."""
ENDED = (State.REFUSED, State.WITHDRAWN, State.REVERSED)

_STATES = ", ".join(f"'{state.value}'" for state in State)
_ENDED = ", ".join(f"'{state.value}'" for state in (*ENDED, State.RETURNED))


class Step(SQLModel, table=True):
    """One step of an entry: never updated, never deleted. `period` and `kpi_year` say where a recognised one counts."""

    __tablename__ = "ledger_step"
    __table_args__ = (
        UniqueConstraint("entry_id", "version", name="one_step_per_entry_version"),
        CheckConstraint(f"state IN ({_STATES})", name="state_known"),
        CheckConstraint("(state = 'recognised') = (period IS NOT NULL)", name="recognised_in_a_quarter"),
        CheckConstraint("(state = 'recognised') = (kpi_year IS NOT NULL)", name="recognised_in_a_year"),
        CheckConstraint(f"state NOT IN ({_ENDED}) OR length(reason) > 0", name="said_why"),
        CheckConstraint("length(hash) = 64 AND length(prev_hash) = 64", name="hashes_are_sha256"),
        Index(
            "ix_ledger_step_recognised_once",
            "entry_id",
            unique=True,
            sqlite_where=text("state = 'recognised'"),
            postgresql_where=text("state = 'recognised'"),
        ),
    )

    seq: int = Field(
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer, "sqlite"),
        sa_column_kwargs={"autoincrement": False},
    )
    entry_id: str = Field(foreign_key="ledger_entry.id")
    version: int
    state: str
    reason: str
    evidence: list[dict[str, str]] = Field(sa_column=Column(JSON, nullable=False))
    period: str | None = Field(index=True)
    kpi_year: int | None
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)
    prev_hash: str
    hash: str


@dataclass(frozen=True)
class NewStep:
    """A step before it has its place. `version` is that of the step it follows, 0 for the first one."""

    entry_id: str
    version: int
    state: State
    by: str
    at: datetime
    reason: str = ""
    evidence: list[dict[str, str]] = field(default_factory=list)
    period: str | None = None
    kpi_year: int | None = None


# Built once: every decision on an entry asks them.
_INSERTION = insert(Step)
_LAST_FIRST = select(Step).where(col(Step.entry_id) == bindparam("of")).order_by(col(Step.version).desc()).limit(1)


def take(session: Session, new: NewStep) -> None:
    """Write a step at the end of the chain; the caller commits.

    Raises:
        AlreadyReportedError: somebody took a step from the same version.
    """
    seq, previous = next_place(session, Chain.STEPS)
    row: dict[str, Any] = {
        "seq": seq,
        "entry_id": new.entry_id,
        "version": new.version + 1,
        "state": new.state.value,
        "reason": new.reason,
        "evidence": new.evidence,
        "period": new.period,
        "kpi_year": new.kpi_year,
        "by": new.by,
        "at": new.at,
        "prev_hash": previous,
    }
    row["hash"] = hash_of(row)
    try:
        session.connection().execute(_INSERTION, row)
    except IntegrityError as error:
        if not is_duplicate(error):
            raise
        raise AlreadyReportedError(
            T_("entry %(entry_id)s went on in the meantime; read it again", entry_id=new.entry_id)
        ) from error
    set_head(session, Chain.STEPS, row["hash"])


def steps_of(session: Session, entry_id: str) -> Sequence[Step]:
    """Return the steps of an entry, oldest first."""
    return session.exec(select(Step).where(Step.entry_id == entry_id).order_by(col(Step.version))).all()


def standing(session: Session, entry_id: str, *, wanted: State | None = None) -> Step:
    """Return the last step of an entry, checked to allow `wanted`; one writer at a time comes so far.

    Raises:
        LedgerError: there is no such entry, or the state does not allow that.
    """
    last: Step | None = session.execute(_LAST_FIRST, {"of": entry_id}).scalars().first()
    if last is None:
        raise LedgerError(T_("there is no entry %(entry_id)r", entry_id=entry_id), "id")
    possible = NEXT_STATES[State(last.state)]
    if wanted is not None and wanted not in possible:
        allowed = ", ".join(possible) or T_("nothing: it has ended")
        raise LedgerError(
            T_(
                "entry %(entry_id)s is %(state)s; from there it can become %(allowed)s",
                entry_id=entry_id,
                state=last.state,
                allowed=allowed,
            ),
            "state",
        )
    return last
