"""What was shown to whom: pairings to experts, candidates to companies, and how often each school's labs came up.

In: ranked pairings of a match, and an expert's choice. Out: one stored pairing per need and lab, and an immutable
proposal for every different way it was shown: rank, score, explanation, index generation, version of the ranker;
releases, each with its dates; and for each school how many of its labs' pairings were shown and accepted, beside
the share of all labs. It exists so that a decision always refers to what the expert saw, because a company sees
nothing of a ranking but what its expert chose to show, and because companies choose well-known schools for want of
knowing others: whether the product mends that must be counted, not believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import JSON, CheckConstraint, Column, Index, Table, UniqueConstraint, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.records.mended.retired import retired_ids
from indexer.records.record_tables import Lab, Need, School
from indexer.vocabulary import Mendable
from indexer.wording import T_

if TYPE_CHECKING:
    from matcher.ranking.pairings import MatchResult, Pairing


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
        "explanation": pairing.explanation.as_plain(),
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


class ReleaseError(ValueError):
    """A candidate can't be released."""


class Release(SQLModel, table=True):
    """A candidate that the need's company may see, from when until when."""

    __tablename__ = "release"
    __table_args__ = (
        Index(
            "ix_release_active",
            "pairing_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    pairing_id: int = Field(foreign_key="pairing.id")
    need_id: str = Field(foreign_key="need.id", index=True)
    lab_id: str = Field(foreign_key="lab.id")
    released_at: datetime = Field(sa_type=Instant)
    released_by: str
    ended_at: datetime | None = Field(default=None, sa_type=Instant)
    ended_by: str | None = None


def release(session: Session, *, pairing: StoredPairing, by: str, now: datetime) -> Release:
    """Let the need's company see a candidate; releasing it twice changes nothing.

    Raises:
        ReleaseError: the candidate was rejected.
    """
    if pairing.state == PairingState.REJECTED:
        raise ReleaseError(T_("pairing %(id)s was rejected; undo that before it is released", id=pairing.id))
    held = _active(session, pairing.id or 0)
    if held is None:
        held = Release(
            pairing_id=pairing.id or 0, need_id=pairing.need_id, lab_id=pairing.lab_id, released_at=now, released_by=by
        )
        session.add(held)
        session.flush()
    return held


def end_release(session: Session, *, pairing_id: int, by: str, now: datetime) -> None:
    """Take a candidate out of the company's sight; nothing happens if it was not released."""
    held = _active(session, pairing_id)
    if held is not None:
        held.ended_at, held.ended_by = now, by
        session.add(held)
        session.flush()


def _active(session: Session, pairing_id: int) -> Release | None:
    query = select(Release).where(Release.pairing_id == pairing_id, col(Release.ended_at).is_(None))
    return session.exec(query.with_for_update()).first()


PROMINENCES = ("high", "medium", "low", "")
"""From well known to hardly known; "" where it is not stated."""


@dataclass(frozen=True)
class Exposure:
    """Of one school ("" for labs without one): its labs, pairings shown, and those of them that were accepted."""

    school_id: str
    name: str
    name_en: str
    prominence: str
    labs: int
    shown: int
    accepted: int


@dataclass(frozen=True)
class ProminenceShare:
    """Of the schools of one prominence: their share of all labs, of pairings shown and of those accepted, 0 to 1."""

    prominence: str
    of_labs: float
    of_shown: float
    of_accepted: float


def exposures(session: Session, *, needs: Any, since: datetime, today: date) -> list[Exposure]:
    """Count what was shown, most often shown first; schools with labs of which none was shown are there too.

    Args:
        session: to read from.
        needs: condition on `Need`: whose pairings to count.
        since: pairings that were shown at this moment or later.
        today: a school that had merged by then is counted as the one that took it in.
    """
    schools = {school.id: school for school in session.exec(select(School)).all()}
    school_of = {
        lab_id: _present(schools, school or "", today) for lab_id, school in session.exec(select(Lab.id, Lab.school))
    }
    recent = select(Proposal.pairing_id).where(col(Proposal.shown_at) >= since)
    query = (
        select(StoredPairing.lab_id, StoredPairing.state)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(needs, col(StoredPairing.id).in_(recent))
    )
    shown: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    for lab_id, state in session.exec(query).all():
        shown[school_of[lab_id]] += 1
        accepted[school_of[lab_id]] += state == PairingState.ACCEPTED
    gone = retired_ids(session, Mendable.LAB)
    labs = Counter(school for lab_id, school in school_of.items() if lab_id not in gone)
    found = [_exposure(schools, key, labs[key], shown[key], accepted[key]) for key in labs | shown]
    return sorted(found, key=lambda one: (-one.shown, -one.accepted, one.school_id))


def _present(schools: Mapping[str, School], school_id: str, today: date) -> str:
    school = schools.get(school_id)
    if school is None:
        return ""
    merged = school.merged_into in schools and (school.merged_on is None or school.merged_on <= today)
    return school.merged_into or "" if merged else school_id


def _exposure(schools: Mapping[str, School], school_id: str, labs: int, shown: int, accepted: int) -> Exposure:
    school = schools.get(school_id)
    if school is None:
        return Exposure("", "", "", "", labs, shown, accepted)
    return Exposure(school.id, school.name, school.name_en, school.prominence or "", labs, shown, accepted)


def shares(found: list[Exposure]) -> list[ProminenceShare]:
    """Return the shares of each prominence that has labs."""
    labs, shown, accepted = (sum(getattr(one, name) for one in found) for name in ("labs", "shown", "accepted"))

    def share(prominence: str, name: str, whole: int) -> float:
        part = sum(getattr(one, name) for one in found if one.prominence == prominence)
        return part / whole if whole else 0.0

    return [
        ProminenceShare(key, share(key, "labs", labs), share(key, "shown", shown), share(key, "accepted", accepted))
        for key in PROMINENCES
        if any(one.prominence == key for one in found)
    ]
