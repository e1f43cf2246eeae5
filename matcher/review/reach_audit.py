"""Who was shown, seen and accepted in a time: labs and schools, down to where experts really looked.

In: what was shown of each need with its ranks, verdicts and releases, and which pairings somebody opened. Out: for each
lab and school how often it was shown, opened and accepted, how much it was seen and how much it deserved; for how many
needs nobody knows how far their ranking was read. It exists because a list of twenty is not twenty that were seen:
counted is down to the deepest lab of a need that somebody opened, decided on or released, no further, and of a need
where nobody did anything nothing at all.

What a lab deserves is its part, by its chance of being introduced as it was shown, of all that was seen of the need;
see `matcher.ranking.reach`. Of a lab shown twice its last rank counts. Where it is to fade, what was seen of a need
counts by the whole weeks since somebody last looked: that is the balance which the rule of reach goes by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlmodel import Session, col, func, select

from indexer.records.record_tables import Evidence, Lab, School
from indexer.vocabulary import Prominence
from matcher.ranking.ranker import Ranker
from matcher.ranking.reach.seen_less import Reach, deserved, sides
from matcher.review.decisions import Decision, Verdict
from matcher.review.proposals import Proposal, Release, StoredPairing

FEWEST = 5.0
"""Where a group deserved less than so many first places, nothing is said of how it stands beside another."""
LARGEST = 0.2
"""This part of all labs, those with the most evidence, is called large."""


@dataclass(frozen=True)
class LabReach:
    """A lab: how often it was shown, opened and accepted, and its reach. `is_large` by its number of evidence."""

    lab_id: str
    school_id: str
    is_large: bool
    shown: int
    opened: int
    accepted: int
    reach: Reach


@dataclass(frozen=True)
class SchoolReach:
    """A school ("" for labs without one): its labs, how often they were shown, opened and accepted, their reach."""

    school_id: str
    name: str
    name_en: str
    prominence: str
    labs: int
    shown: int
    opened: int
    accepted: int
    reach: Reach


@dataclass(frozen=True)
class ReachAudit:
    """What was seen in a time. `needs` were shown, of which nobody left a trace of how far they read `unread`.

    `depths` counts the others by the rank down to which somebody looked. `known` are the well-known schools: those
    whose prominence is high or, where nothing is stated, the five most seen.
    """

    needs: int
    unread: int
    depths: Mapping[int, int]
    labs: tuple[LabReach, ...]
    schools: tuple[SchoolReach, ...]
    known: frozenset[str]

    @property
    def known_and_others(self) -> tuple[Reach, Reach]:
        """The reach of the well-known schools and of all others."""
        return sides({one.school_id: one.reach for one in self.schools}, self.known)

    @property
    def ratio(self) -> float | None:
        """The reach of the well-known schools beside that of all others; None where too little was seen to say."""
        inside, outside = self.known_and_others
        if min(inside.deserved, outside.deserved) < FEWEST or inside.ratio is None or not outside.ratio:
            return None
        return inside.ratio / outside.ratio

    def of_large(self, is_large: bool) -> Reach:
        """The reach of the largest labs, or of all others."""
        return sum((one.reach for one in self.labs if one.is_large is is_large), Reach())


@dataclass(frozen=True)
class _Listed:
    """A lab of a need as it was shown last."""

    pairing: int
    lab: str
    rank: int
    chance: float
    shown: bool
    """In the time that is counted, not before it."""


def reach_audit(
    session: Session,
    *,
    since: datetime,
    until: datetime,
    opened: Mapping[int, datetime],
    ranker: Ranker,
    half_life_weeks: int | None = None,
) -> ReachAudit:
    """Count a time.

    Args:
        session: to read from.
        since: its first moment.
        until: the moment after its last.
        opened: when somebody last opened a pairing in it, by number; a trail of views is the caller's to read.
        ranker: gives the chance of a score.
        half_life_weeks: after so many weeks what was seen, and what was deserved, counts half; None: all alike.
    """
    accepted, touched = _words(session, since, until)
    for pairing, at in opened.items():
        touched[pairing] = max(at, touched.get(pairing, at))
    listed = _listed(session, since, until, touched, ranker)
    of_lab: dict[str, Reach] = {}
    depths: Counter[int] = Counter()
    for labs in listed.values():
        looked = [one for one in labs if one.pairing in touched]
        depth = max((one.rank for one in looked), default=0)
        depths[depth] += 1
        if not looked:
            continue
        factor = 1.0
        if half_life_weeks is not None:
            factor = 0.5 ** ((until - max(touched[one.pairing] for one in looked)).days // 7 / half_life_weeks)
        for lab, more in _seen(labs, depth).items():
            of_lab[lab] = of_lab.get(lab, Reach()) + more.fading(factor)
    counts = _Counts(
        shown=Counter(one.lab for labs in listed.values() for one in labs if one.shown),
        opened=Counter(one.lab for labs in listed.values() for one in labs if one.pairing in touched),
        accepted=Counter(one.lab for labs in listed.values() for one in labs if one.pairing in accepted),
    )
    found = _labs(session, counts, of_lab)
    schools, known = _schools(session, found)
    unread = depths.pop(0, 0)
    return ReachAudit(len(listed), unread, dict(sorted(depths.items())), found, schools, known)


@dataclass(frozen=True)
class _Counts:
    """How often each lab was shown, opened and accepted."""

    shown: Counter[str]
    opened: Counter[str]
    accepted: Counter[str]


def _listed(
    session: Session, since: datetime, until: datetime, touched: Collection[int], ranker: Ranker
) -> dict[str, list[_Listed]]:
    """Return by need its labs as they were shown last before the end, the first rank first.

    Of needs that were shown in the time, or of which somebody touched a lab in it.
    """
    shown = select(Proposal.pairing_id).where(Proposal.shown_at >= since, Proposal.shown_at < until)
    pairs = select(StoredPairing.need_id).where(col(StoredPairing.id).in_(shown)).distinct()
    needs = set(session.exec(pairs).all())
    wanted = sorted(touched)
    for start in range(0, len(wanted), _IN_ONE_QUERY):
        part = wanted[start : start + _IN_ONE_QUERY]
        needs |= set(session.exec(select(StoredPairing.need_id).where(col(StoredPairing.id).in_(part))).all())
    rows = [row for part in _parts(sorted(needs)) for row in _proposals(session, part, until)]
    chances = ranker.introduced(np.array([float(row[4]) for row in rows]))
    last: dict[int, tuple[str, _Listed]] = {}
    for (need, lab, pairing, rank, _, at), chance in zip(rows, chances.tolist(), strict=True):
        last[int(pairing)] = (str(need), _Listed(int(pairing), str(lab), int(rank), chance, at >= since))
    found: dict[str, list[_Listed]] = {}
    for need, one in last.values():
        found.setdefault(need, []).append(one)
    return {need: sorted(labs, key=lambda one: (one.rank, one.lab)) for need, labs in found.items()}


_IN_ONE_QUERY = 500


def _parts(needs: Sequence[str]) -> Iterator[Sequence[str]]:
    return (needs[start : start + _IN_ONE_QUERY] for start in range(0, len(needs), _IN_ONE_QUERY))


def _proposals(session: Session, needs: Sequence[str], until: datetime) -> Sequence[Any]:
    query = (
        select(  # type: ignore[call-overload]
            StoredPairing.need_id,
            StoredPairing.lab_id,
            StoredPairing.id,
            Proposal.rank,
            Proposal.score,
            Proposal.shown_at,
        )
        .join(StoredPairing, col(StoredPairing.id) == Proposal.pairing_id)
        .where(col(StoredPairing.need_id).in_(needs), Proposal.shown_at < until)
        .order_by(col(Proposal.id))
    )
    return session.execute(query).all()


def _words(session: Session, since: datetime, until: datetime) -> tuple[set[int], dict[int, datetime]]:
    """Return the pairings that were accepted in the time, and when something was last said of each."""
    undone = select(Decision.undoes).where(col(Decision.undoes).is_not(None))
    verdicts = session.execute(
        select(Decision.pairing_id, Decision.verdict, Decision.at).where(
            Decision.at >= since,
            Decision.at < until,
            Decision.verdict != Verdict.UNDO.value,
            col(Decision.id).not_in(undone),
        )
    ).all()
    releases = select(Release.pairing_id, Release.released_at)
    released = session.execute(releases.where(Release.released_at >= since, Release.released_at < until)).all()
    touched: dict[int, datetime] = {}
    for pairing, at in [*((one, at) for one, _, at in verdicts), *released]:
        touched[int(pairing)] = max(at, touched.get(int(pairing), at))
    return {int(pairing) for pairing, verdict, _ in verdicts if verdict == Verdict.ACCEPT.value}, touched


def _seen(labs: Sequence[_Listed], depth: int) -> dict[str, Reach]:
    """Return what was seen of each lab of a need that was read down to a rank, and what each deserved."""
    looked = [one for one in labs if one.rank <= depth]
    chances = np.array([one.chance for one in labs])
    if not looked or not chances.sum() > 0:
        return {}
    seen = {one.lab: float(1 / np.log2(1 + one.rank)) for one in looked}
    parts = deserved(range(len(labs)), chances, len(labs))
    # What there was to see: down to where somebody looked, and no more.
    share = sum(seen.values()) / float(parts.sum())
    return {one.lab: Reach(seen.get(one.lab, 0.0), float(part) * share) for one, part in zip(labs, parts, strict=True)}


def _labs(session: Session, counts: _Counts, of_lab: Mapping[str, Reach]) -> tuple[LabReach, ...]:
    """Return every lab of the records, the most seen first."""
    sizes = {lab: int(n) for lab, n in session.execute(select(Evidence.lab_id, func.count()).group_by(Evidence.lab_id))}
    stored = session.execute(select(Lab.id, Lab.school).order_by(Lab.id)).all()
    many = max(1, round(len(stored) * LARGEST))
    large = {str(lab) for lab, _ in sorted(stored, key=lambda one: (-sizes.get(str(one[0]), 0), str(one[0])))[:many]}
    found = [
        LabReach(
            lab_id=lab,
            school_id=school or "",
            is_large=lab in large,
            shown=counts.shown[lab],
            opened=counts.opened[lab],
            accepted=counts.accepted[lab],
            reach=of_lab.get(lab, Reach()),
        )
        for lab, school in stored
    ]
    return tuple(sorted(found, key=lambda one: (-one.reach.seen, -one.shown, one.lab_id)))


def _schools(session: Session, labs: Sequence[LabReach]) -> tuple[tuple[SchoolReach, ...], frozenset[str]]:
    """Return every school with labs, the most seen first, and which are well known."""
    stored = {one.id: one for one in session.exec(select(School)).all()}
    by_school: dict[str, list[LabReach]] = {}
    for lab in labs:
        by_school.setdefault(lab.school_id if lab.school_id in stored else "", []).append(lab)
    found = [
        SchoolReach(
            school_id=key,
            name=stored[key].name if key else "",
            name_en=stored[key].name_en if key else "",
            prominence=(stored[key].prominence or "") if key else "",
            labs=len(those),
            shown=sum(one.shown for one in those),
            opened=sum(one.opened for one in those),
            accepted=sum(one.accepted for one in those),
            reach=sum((one.reach for one in those), Reach()),
        )
        for key, those in by_school.items()
    ]
    found.sort(key=lambda one: (-one.reach.seen, -one.shown, one.school_id))
    known = frozenset(one.id for one in stored.values() if one.prominence == Prominence.HIGH)
    most = frozenset([one.school_id for one in found if one.school_id and one.reach.seen][:FIVE])
    return tuple(found), known or most


FIVE = 5
"""Where no school's fame is stated, so many of the most seen are held against the others."""
