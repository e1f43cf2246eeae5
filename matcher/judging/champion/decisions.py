"""What experts said of labs that were shown, as lists to learn from.

In: decisions on proposals as they were shown (rank, contributions, ranker), and grades. Out: one `Lesson` per need:
the features of the labs that were shown, what was said of each, and at which rank it stood. It exists apart from the
learning because what a decision teaches is a question of the programme, not of arithmetic:

- An acceptance says that the lab fits. A rejection says that it does not only for the reason `wrong_field`; no
  capacity, a conflict, a budget or a partner who declines say nothing of the topic, nor does a deferral, and a note
  is not read. A verdict that was taken back was never given.
- A lab without a verdict teaches nothing, wherever it stood: it may not have been looked at. (Counted as a no where it
  stood above an accepted one, it made every other order seem better than the one that was shown, even by chance.)
- Features are those of the proposal, its contributions divided by the weights of the ranker that showed it: what has
  been learned about a lab since, perhaps from the very cooperation, must not seem to have foretold it. What was shown
  by a ranker that is not known any more teaches nothing.
- Who stands first is looked at more often. How much so is estimated from the decisions themselves (`examined`): a
  verdict of any kind on a lab is a sign that it was looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlmodel import Session, col, select

from indexer.arrays import BoolArray, DoubleArray
from indexer.records.record_tables import Need
from indexer.settings import Settings
from matcher.judging.measures import Qrels
from matcher.judging.panel.grades import Judging, standing_of
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import Ranker
from matcher.ranking.rankers import shown_by
from matcher.ranking.signals import ASKS_WEIGHED, FEATURES, HISTORY, PREFERRED
from matcher.review.decisions import Decision, Reason, Verdict
from matcher.review.proposals import Proposal, StoredPairing

IntArray = npt.NDArray[np.int64]
BESIDE = {HISTORY, PREFERRED, ASKS_WEIGHED}
"""Contributions that are no features: what was learned, and what an expert chose for one need."""
ON_TOPIC = frozenset({Reason.WRONG_FIELD})
"""Reasons of a rejection that say something of how lab and need fit; all others teach nothing."""
USUAL_FADING = 0.5
"""Where nothing was observed a lab at rank r is looked at r^-0.5 times as often as the first."""
MOST_FADING = 2.0
PRIOR_SHOWN = 200
"""The usual fading counts as much as so many shown labs."""
LEAST_EXAMINED = 0.1
"""No verdict counts for more than ten: a rare one deep in a list would outweigh all others."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One need with the labs that were shown for it, or graded; row i of each array is lab i.

    `values` has shape (n labs, n features); `gains` is what each lab is worth, 0 for one that does not fit; `told`
    says of which labs somebody said so. `ranks` are those shown, 0 for a grade. `people` gave a verdict of any kind,
    "" where nobody did. `drawn` are the ranks of those with
    whom a coin chose the order, 0 for others, and `chances` those of the order shown; None where no coin was used.
    `at` is the moment of the first word, None where a file of grades states none.
    """

    need: str
    company: str
    at: datetime | None
    labs: tuple[str, ...]
    people: tuple[str, ...]
    values: DoubleArray
    gains: DoubleArray
    told: BoolArray
    ranks: IntArray
    drawn: IntArray | None = None
    chances: DoubleArray | None = None

    def kept(self, rows: BoolArray) -> Lesson:
        """Return the lesson with some of its labs only."""
        chosen = np.flatnonzero(rows)
        return replace(
            self,
            labs=tuple(self.labs[i] for i in chosen),
            people=tuple(self.people[i] for i in chosen),
            values=self.values[rows],
            gains=self.gains[rows],
            told=self.told[rows],
            ranks=self.ranks[rows],
            drawn=None if self.drawn is None else self.drawn[rows],
            chances=None if self.chances is None else self.chances[rows],
        )


@dataclass(frozen=True)
class Taught:
    """All lessons, oldest first, and counts of what they were made of; `unknown` were shown by a ranker not known."""

    lessons: tuple[Lesson, ...]
    accepted: int
    rejected: int
    silent: int
    unknown: int
    grades: int

    @property
    def decisions(self) -> int:
        """How many decisions there are that stand, whether they teach or not."""
        return self.accepted + self.rejected + self.silent + self.unknown


def examined(ranks: IntArray, fading: float) -> DoubleArray:
    """Return how often a lab of a rank is looked at beside the first; 1 for what was not shown in a list."""
    return np.clip(np.maximum(ranks, 1).astype(np.float64) ** -fading, LEAST_EXAMINED, 1)


def fading_of(lessons: Sequence[Lesson]) -> float:
    """Return by which power of the rank verdicts grow rarer, drawn towards the usual where few labs were shown.

    The likeliest one if a lab at rank r gets a verdict with chance c × r^-fading.
    """
    shown = [lesson for lesson in lessons if lesson.ranks.any()]
    if not shown:
        return USUAL_FADING
    ranks = np.concatenate([lesson.ranks for lesson in shown])
    decided = np.concatenate([[bool(one) for one in lesson.people] for lesson in shown])
    counted, verdicts = np.bincount(ranks)[1:], np.bincount(ranks, decided)[1:]
    places = np.arange(1, len(counted) + 1, dtype=np.float64)
    best, likeliest = USUAL_FADING, -np.inf
    for fading in np.linspace(0, MOST_FADING, 41).tolist():
        for share in np.linspace(0.05, 0.95, 19).tolist():
            chance = share * places**-fading
            fit = float((verdicts * np.log(chance) + (counted - verdicts) * np.log(1 - chance)).sum())
            if fit > likeliest:
                best, likeliest = fading, fit
    return float((len(ranks) * best + PRIOR_SHOWN * USUAL_FADING) / (len(ranks) + PRIOR_SHOWN))


def taught(session: Session, settings: Settings) -> Taught:
    """Read what the decisions of a home teach, and the grades of its judging sessions that both judges finished.

    Grades need an index; without one, or where nobody judged, only decisions are read.
    """
    standing = _standing(session)
    rows = _shown(session, {decision.pairing_id for decision in standing.values()})
    known = lru_cache(maxsize=64)(lambda version: shown_by(settings, version))
    by_need: dict[str, list[_Row]] = {}
    for proposal, need, lab, company in rows:
        decision = standing.get(proposal.pairing_id)
        if decision is not None and decision.proposal_id != proposal.id:
            continue
        values = _values(proposal, known(proposal.ranker_version))
        by_need.setdefault(need, []).append(_Row(proposal, lab, company or "", decision, values))
    counts: Counter[str] = Counter()
    for found in by_need.values():
        counts.update(_meaning(row) for row in found if row.decision is not None)
    lessons = [lesson for need, found in by_need.items() if (lesson := _lesson(need, found)) is not None]
    return Taught(
        tuple(sorted(lessons, key=_order)),
        counts["accepted"],
        counts["rejected"],
        counts["silent"],
        counts["unknown"],
        0,
    )


def with_grades(found: Taught, graded: Iterable[Lesson]) -> Taught:
    """Add lessons that were graded."""
    more = list(graded)
    lessons = tuple(sorted([*found.lessons, *more], key=_order))
    return replace(found, lessons=lessons, grades=found.grades + sum(int(one.told.sum()) for one in more))


def _order(lesson: Lesson) -> tuple[float, str]:
    return (-np.inf if lesson.at is None else lesson.at.timestamp(), lesson.need)


@dataclass(frozen=True, eq=False)
class _Row:
    proposal: Proposal
    lab: str
    company: str
    decision: Decision | None
    values: DoubleArray | None


def _standing(session: Session) -> dict[int, Decision]:
    """Return the last verdict of each pairing that was not taken back."""
    rows = session.exec(select(Decision).order_by(col(Decision.id))).all()
    undone = {row.undoes for row in rows}
    return {row.pairing_id: row for row in rows if row.undoes is None and row.id not in undone}


def _shown(session: Session, decided: set[int]) -> list[tuple[Proposal, str, str, str | None]]:
    """Return the proposals of all needs with a decision: of a pairing without one only how it was shown last."""
    query = (
        select(Proposal, StoredPairing.need_id, StoredPairing.lab_id, Need.company)
        .join(StoredPairing, col(StoredPairing.id) == Proposal.pairing_id)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .order_by(col(Proposal.id))
    )
    found = [(row[0], str(row[1]), str(row[2]), row[3]) for row in session.exec(query).all()]
    wanted = {need for proposal, need, _, _ in found if proposal.pairing_id in decided}
    last = {proposal.pairing_id: proposal.id for proposal, _, _, _ in found}
    return [
        row
        for row in found
        if row[1] in wanted and (row[0].pairing_id in decided or last[row[0].pairing_id] == row[0].id)
    ]


def _values(proposal: Proposal, ranker: Ranker | None) -> DoubleArray | None:
    """Return the features as they were shown; one of weight 0 can't be told, and counts as 0."""
    if ranker is None or set(proposal.contributions) - BESIDE != set(FEATURES):
        return None
    amounts = np.array([proposal.contributions[name] for name in FEATURES])
    weights = np.array(ranker.weights)
    return np.asarray(np.where(weights > 0, amounts / np.where(weights > 0, weights, 1), 0.0))


def _meaning(row: _Row) -> str:
    if row.values is None:
        return "unknown"
    if row.decision is not None and row.decision.verdict == Verdict.ACCEPT:
        return "accepted"
    on_topic = row.decision is not None and row.decision.verdict == Verdict.REJECT and row.decision.reason in ON_TOPIC
    return "rejected" if on_topic else "silent"


def _lesson(need: str, rows: list[_Row]) -> Lesson | None:
    rows = sorted((row for row in rows if row.values is not None), key=lambda row: (row.proposal.rank, row.lab))
    meanings = [_meaning(row) if row.decision is not None else "undecided" for row in rows]
    told = np.array([meaning in ("accepted", "rejected") for meaning in meanings], dtype=bool)
    if not told.any():
        return None
    coins: list[Mapping[str, Any]] = [row.proposal.explanation.get("drawn", {}) for row in rows]
    teaching = [row.decision for row, one in zip(rows, told, strict=True) if one and row.decision is not None]
    return Lesson(
        need=need,
        company=rows[0].company or need,
        at=min(decision.at for decision in teaching),
        labs=tuple(row.lab for row in rows),
        people=tuple(row.decision.by if row.decision is not None else "" for row in rows),
        values=np.stack([row.values for row in rows if row.values is not None]),
        gains=np.array([float(meaning == "accepted") for meaning in meanings]),
        told=told,
        ranks=np.array([row.proposal.rank for row in rows], dtype=np.int64),
        drawn=np.array([one.get("other_rank", 0) for one in coins], dtype=np.int64) if any(coins) else None,
        chances=np.array([one.get("chance", 1.0) for one in coins]) if any(coins) else None,
    )


def judged_grades(session: Session) -> list[tuple[Qrels, datetime, tuple[str, ...]]]:
    """Return the grades of each judging session that both judges finished, when, and who judged."""
    found = []
    for number in session.exec(select(Judging.id).order_by(col(Judging.id))).all():
        standing = standing_of(session, number or 0)
        if standing is None or standing.finished is None:
            continue
        qrels: Qrels = {}
        for need, lab, grade in standing.qrels():
            qrels.setdefault(need, {})[lab] = grade
        if qrels:
            found.append((qrels, standing.finished.at, standing.judges))
    return found


def graded_lessons(
    matcher: Matcher, qrels: Mapping[str, Mapping[str, int]], at: datetime | None = None, people: Sequence[str] = ()
) -> list[Lesson]:
    """Return a lesson for each need whose labs were graded; records that are not stored are left out.

    Args:
        matcher: computes the features, from what is known of the labs today.
        qrels: grades by need and lab.
        at: when they were given, if it is known.
        people: who gave them.
    """
    needs = [matcher.needs[need] for need in sorted(qrels) if need in matcher.needs]
    lessons = []
    for ranking in matcher.rankings(needs):
        need, rows = ranking.query.need, matcher.searcher.lab_rows
        grades = {lab: grade for lab, grade in sorted(qrels[ranking.query.need.id].items()) if lab in rows}
        if not any(grade > 0 for grade in grades.values()):
            continue
        n = len(grades)
        lessons.append(
            Lesson(
                need=need.id,
                company=need.company or need.id,
                at=at,
                labs=tuple(grades),
                people=("+".join(people),) * n,
                values=ranking.table.values[[rows[lab] for lab in grades]],
                gains=np.maximum(np.array(list(grades.values()), dtype=np.float64), 0),
                told=np.ones(n, dtype=bool),
                ranks=np.zeros(n, dtype=np.int64),
            )
        )
    return lessons


def summary(found: Taught) -> dict[str, Any]:
    """Return what was learned from, as a ranker's file says it: counts and the time between first and last word."""
    moments = [lesson.at for lesson in found.lessons if lesson.at is not None]
    return {
        "decisions": found.decisions,
        "accepted": found.accepted,
        "rejected_on_topic": found.rejected,
        "silent_on_topic": found.silent,
        "shown_by_an_unknown_ranker": found.unknown,
        "grades": found.grades,
        "needs": len({lesson.need for lesson in found.lessons}),
        "from": min(moments).isoformat() if moments else None,
        "until": max(moments).isoformat() if moments else None,
    }
