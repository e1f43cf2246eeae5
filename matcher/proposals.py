"""What was proposed: the pairings that an expert was shown, exactly as they were shown.

In: ranked pairings of a match. Out: one stored pairing per need and lab, and an
immutable proposal for every different way it was shown: rank, score,
explanation, index generation, version of the ranker. It exists so that a
decision always refers to what the expert saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import JSON, CheckConstraint, Column, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant

if TYPE_CHECKING:
    # Ranking loads the index's libraries, which deciding does not need.
    from matcher.pairings import MatchResult, Pairing


class PairingState(StrEnum):
    """What the last verdict left a pairing in."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REJECTED = "rejected"


_STATES = ", ".join(f"'{state.value}'" for state in PairingState)


class StoredPairing(SQLModel, table=True):
    """One lab for one need, with the state that its verdicts add up to; `version` counts them."""

    __tablename__ = "pairing"
    __table_args__ = (
        UniqueConstraint("need_id", "lab_id", name="one_pairing"),
        CheckConstraint(f"state IN ({_STATES})", name="state_known"),
        CheckConstraint("(state = 'deferred') = (deferred_until IS NOT NULL)", name="deferred_until_a_date"),
    )

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id")
    lab_id: str = Field(foreign_key="lab.id", index=True)
    state: str = PairingState.PROPOSED.value
    deferred_until: date | None = None
    version: int = 0


class Proposal(SQLModel, table=True):
    """One way in which a pairing was shown: never updated, never deleted."""

    __tablename__ = "proposal"
    __table_args__ = (UniqueConstraint("pairing_id", "digest", name="one_proposal"),)

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id")
    digest: str
    rank: int
    score: float
    band: str
    contributions: dict[str, float] = Field(sa_column=Column(JSON, nullable=False))
    explanation: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    generation: str
    ranker_version: str
    shown_at: datetime = Field(sa_type=Instant)
    shown_to: str


class Shown(NamedTuple):
    """How a pairing that was shown is stored, and what verdicts left it in."""

    pairing_id: int
    proposal_id: int
    state: PairingState


def record(session: Session, *, result: MatchResult, shown_to: str, now: datetime) -> dict[str, Shown]:
    """Store the pairings of a match as shown; what was shown the same way before is not stored again.

    Returns:
        The numbers of pairing and proposal and where the pairing stands, by lab id.
    """
    if not result.pairings:
        return {}
    labs = [pairing.lab_id for pairing in result.pairings]
    _insert_new(session, StoredPairing, [_pairing_row(result.need.id, lab_id) for lab_id in labs])
    stored = session.execute(
        select(StoredPairing.lab_id, StoredPairing.id).where(
            StoredPairing.need_id == result.need.id, col(StoredPairing.lab_id).in_(labs)
        )
    ).all()
    numbers = {str(lab_id): int(number or 0) for lab_id, number in stored}
    rows = [_proposal_row(p, numbers[p.lab_id], result, shown_to, now) for p in result.pairings]
    _insert_new(session, Proposal, rows)
    digests = {row["digest"]: row["pairing_id"] for row in rows}
    proposals = session.execute(
        select(StoredPairing.lab_id, StoredPairing.id, Proposal.id, StoredPairing.state)
        .join(StoredPairing, col(StoredPairing.id) == Proposal.pairing_id)
        .where(col(Proposal.pairing_id).in_(list(digests.values())), col(Proposal.digest).in_(list(digests)))
    ).all()
    return {
        str(lab_id): Shown(int(number or 0), int(proposal or 0), PairingState(state))
        for lab_id, number, proposal, state in proposals
    }


def _pairing_row(need_id: str, lab_id: str) -> dict[str, Any]:
    return {"need_id": need_id, "lab_id": lab_id, "state": PairingState.PROPOSED.value, "version": 0}


def _proposal_row(pairing: Pairing, number: int, result: MatchResult, shown_to: str, now: datetime) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "rank": pairing.rank,
        "score": pairing.score,
        "band": pairing.band.value,
        "contributions": pairing.contributions,
        # Eight times as quick as `asdict`, while the only writer waits.
        "explanation": orjson.loads(orjson.dumps(pairing.explanation)),
        "generation": result.generation,
        "ranker_version": result.ranker_version,
    }
    digest = sha256(orjson.dumps(seen, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return {"pairing_id": number, "digest": digest, **seen, "shown_at": now, "shown_to": shown_to}


def _insert_new(session: Session, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows that are not there yet, as the unique constraints tell, also beside other writers."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    # In one order for all writers, so that two of them never wait for each other.
    ordered = sorted(rows, key=lambda row: str(row.get("lab_id") or row.get("digest")))
    statement: Any = dialect.insert(table).on_conflict_do_nothing()
    session.connection().execute(statement, ordered)


def pairing_of(session: Session, *, need_id: str, lab_id: str) -> StoredPairing:
    """Return the pairing of a need and a lab, made now if it was never shown (an expert may name a lab directly)."""
    _insert_new(session, StoredPairing, [_pairing_row(need_id, lab_id)])
    query = select(StoredPairing).where(StoredPairing.need_id == need_id, StoredPairing.lab_id == lab_id)
    return session.exec(query).one()
