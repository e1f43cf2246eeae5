"""Who gets shown: how often the labs of each school were proposed, and how often they were accepted.

In: the pairings of some needs that were shown since a moment. Out: for each
school how many of its labs' pairings were shown and accepted, and the same by
the schools' prominence beside their share of all labs. It exists because
companies choose well-known schools for want of knowing others: whether the
product mends that must be counted, not believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlmodel import Session, col, select

from indexer.records import Lab, Need, School
from matcher.proposals import PairingState, Proposal, StoredPairing

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
class Share:
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
    labs = Counter(school_of.values())
    found = [_exposure(schools, key, labs[key], shown[key], accepted[key]) for key in labs]
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


def shares(found: list[Exposure]) -> list[Share]:
    """Return the shares of each prominence that has labs."""
    labs, shown, accepted = (sum(getattr(one, name) for one in found) for name in ("labs", "shown", "accepted"))

    def share(prominence: str, name: str, whole: int) -> float:
        part = sum(getattr(one, name) for one in found if one.prominence == prominence)
        return part / whole if whole else 0.0

    return [
        Share(key, share(key, "labs", labs), share(key, "shown", shown), share(key, "accepted", accepted))
        for key in PROMINENCES
        if any(one.prominence == key for one in found)
    ]
