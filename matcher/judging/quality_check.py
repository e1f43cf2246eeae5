"""Whether a new index generation ranks worse than the one in use: what must be known before it takes its place.

In: both generations, and what is known to be right: judgements, or else the pairings that experts accepted. Out: a
`Comparison`, and why the new one must be held back, if so. It exists because the index is rebuilt every night by
nobody's hand: an encoder whose weights were exchanged, a parser that lost half of a text or a truncated source would
otherwise answer tomorrow morning, and nobody would see it on any one answer.

**The rule.** Both generations rank the same needs with the same records, and only labs that both have are looked at,
in the rankings and in the judgements: a lab that left, or a new one that is better, is no loss.

1. *Mean.* With judgements of at least 5 needs: the difference of nDCG@10, new minus current, is taken for each need.
   The generation is held back if the mean falls by more than 0.005 *and* the upper end of the one-sided 95 % interval
   of a paired bootstrap over needs (10,000 samples, fixed seed) is below 0. The same records give the same ranks, so
   there is no noise of measuring; the noise is *which* needs were judged: one need that falls among many that do not
   is not yet a worse index. The floor keeps a loss that is certain but without weight from stopping the night.
2. *Canaries.* A mean can hide the loss of one kind of need. For each canary the known good lab is the best ranked
   relevant one of the current generation; the new one must have it among its first 10. Canaries are the configured
   needs, with the good lab among the current first 10; without any, the judged needs whose first lab is one of the
   highest grade: from the first place a lab doesn't fall out of the first 10 by a little.
3. *Without judgements* the pairings that experts accepted last stand in: a lab among the first 20 of the current
   generation must be among the first 20 of the new one.
4. *Labs.* A lab of the records that the current generation has must be in the new one.

Where neither is known, or the current generation can't be ranked with the encoders of this machine, nothing is held
back, and the report says that nothing was compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from sqlmodel import Session, col, select

from fixtures import world_qrels
from indexer.encoders.encoding import EncoderError
from indexer.encoders.query_vectors import DirectQueries
from indexer.index.generations import SnapshotError
from indexer.index.snapshot import Snapshot
from indexer.records.profiles import Need
from indexer.records.record_tables import load_needs
from indexer.settings import Settings
from indexer.wording import T_, joined
from matcher.judging.measures import BOOTSTRAP_SAMPLES, SEED, Qrels, measure, read_qrels
from matcher.ranking.explanation import PassageWords
from matcher.ranking.opened.catalogue import Catalogue
from matcher.ranking.opened.opened_index import OpenedIndex
from matcher.ranking.pairings import NeedRankings
from matcher.ranking.signals import Searcher
from matcher.review.decisions import Decision, Verdict
from matcher.review.proposals import PairingState, StoredPairing

MEASURE = "nDCG@10"
FLOOR = 0.005
"""A mean that falls by less is never a reason."""
FEWEST_NEEDS = 5
"""Judged needs below which a mean says nothing."""
DEMO_NEEDS = 10
"""So many stored needs of the demo world are taken as that the demo world is what is stored."""
CANARY_DEPTH, ACCEPTED_DEPTH = 10, 20
NEWEST_ACCEPTED = 200

Ranks = dict[str, list[str]]
"""The labs that both generations have, best first, for each need."""


@dataclass(frozen=True)
class Lost:
    """A lab that is known to be good for a need, and its ranks before and now (None: not ranked at all)."""

    need_id: str
    lab_id: str
    before: int
    now: int | None
    depth: int


@dataclass(frozen=True)
class Comparison:
    """What the two generations come to. Differences are new minus current, for each judged need, the worst first."""

    basis: str
    needs: int = 0
    before: float | None = None
    now: float | None = None
    upper: float | None = None
    differences: Mapping[str, float] = field(default_factory=dict)
    canaries: int = 0
    lost: Sequence[Lost] = ()
    missing: Sequence[str] = ()
    not_compared: str | None = None

    @property
    def change(self) -> float:
        """How much the mean rose; below 0 it fell."""
        return 0.0 if self.before is None or self.now is None else self.now - self.before

    @property
    def reason(self) -> str | None:
        """Why the new generation must be held back, None if it may be used."""
        reasons = []
        if self.upper is not None and self.change < -FLOOR and self.upper < 0:
            reasons.append(
                T_(
                    "%(measure)s over %(needs)s judged needs falls from %(before)s to %(now)s, more than chance "
                    "among needs explains (at best %(upper)s)",
                    measure=MEASURE,
                    needs=self.needs,
                    before=f"{self.before:.3f}",
                    now=f"{self.now:.3f}",
                    upper=f"{self.upper:+.3f}",
                )
            )
        if self.lost:
            first = self.lost[0]
            reasons.append(
                T_(
                    "%(n_lost)s of %(canaries)s known good labs fall out of the first %(depth)s, such as %(lab_id)s "
                    "for %(need_id)s from rank %(before)s to %(now)s",
                    n_lost=len(self.lost),
                    canaries=self.canaries,
                    depth=first.depth,
                    lab_id=first.lab_id,
                    need_id=first.need_id,
                    before=first.before,
                    now=first.now or T_("none"),
                )
            )
        if self.missing:
            reasons.append(
                T_(
                    "%(n_missing)s labs of the records are missing, such as %(missing)s",
                    n_missing=len(self.missing),
                    missing=self.missing[0],
                )
            )
        return joined("; ", reasons) if reasons else None


class QualityCheck:
    """Judges a new generation against the current one; `comparison` is what it found, None before it was asked."""

    def __init__(self, session: Session, settings: Settings) -> None:
        """Prepare to judge.

        Args:
            session: read only; records are read when there is something to judge.
            settings: the encoders, the judgements and the canaries.
        """
        self._session, self._settings = session, settings
        self._queries: dict[str, DirectQueries] = {}
        self.comparison: Comparison | None = None

    def __call__(self, new: Snapshot, current: Snapshot | None) -> str | None:
        """Return why a new generation must be held back, None if it may be used; see the module for the rule.

        Raises:
            EvaluationError: the configured judgements can't be used.
            OSError: the configured judgements can't be read.
        """
        self.comparison = self._compared(new, current)
        return self.comparison.reason

    def _compared(self, new: Snapshot, current: Snapshot | None) -> Comparison:
        if current is None:
            return Comparison("none", not_compared=T_("there was no usable generation before"))
        needs = {need.id: need for need in load_needs(self._session)}
        catalogue = Catalogue.load(self._session)
        stored = set(current.lab_ids) & catalogue.labs.keys()
        found = self._by_what_is_known(new, current, needs, catalogue, stored & set(new.lab_ids))
        return replace(found, missing=sorted(stored - set(new.lab_ids)))

    def _by_what_is_known(
        self, new: Snapshot, current: Snapshot, needs: Mapping[str, Need], catalogue: Catalogue, shared: set[str]
    ) -> Comparison:
        judged = _within(self._judgements(needs), needs, shared)
        accepted = [] if judged else _accepted(self._session, needs, shared)
        wanted = [needs[need_id] for need_id in sorted({*judged, *(need_id for need_id, _ in accepted)})]
        if not wanted:
            return Comparison("none", not_compared=T_("no stored need is judged and no pairing was accepted yet"))
        try:
            before = self._ranks(current, wanted, catalogue, shared)
        except (SnapshotError, EncoderError) as error:
            return Comparison(
                "none", not_compared=T_("the current generation can't be ranked here: %(error)s", error=error)
            )
        now = self._ranks(new, wanted, catalogue, shared)
        if judged:
            return _by_judgements(judged, before, now, _names(self._settings.quality_canaries))
        lost, looked_at = _lost(accepted, before, now, ACCEPTED_DEPTH)
        return Comparison("accepted pairings", needs=len(wanted), canaries=looked_at, lost=lost)

    def _ranks(self, snapshot: Snapshot, needs: Sequence[Need], catalogue: Catalogue, shared: set[str]) -> Ranks:
        """Rank needs with a generation as it would be used.

        Raises:
            SnapshotError: it was built with encoders that this machine does not have.
            EncoderError: an encoder can't be loaded.
        """
        # A generation from before the settings were changed is asked by its own encoders.
        names = ",".join(one.name for one in snapshot.fields)
        own = self._settings.model_copy(update={"encoders": names})
        queries = self._queries.setdefault(names, DirectQueries(own))
        index = OpenedIndex(snapshot, Searcher(snapshot), PassageWords(snapshot))
        rankings = NeedRankings(settings=own, index=index, catalogue=catalogue, queries=queries)
        return {
            ranking.query.need.id: [lab for row in ranking.order if (lab := snapshot.lab_ids[row]) in shared]
            for ranking in rankings.rankings(needs)
        }

    def _judgements(self, needs: Mapping[str, Need]) -> Qrels:
        configured = self._settings.quality_qrels
        if configured is not None:
            return read_qrels(configured)[0]
        demo = read_qrels(Path(world_qrels()))[0]
        return demo if len(demo.keys() & needs.keys()) >= DEMO_NEEDS else {}


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _within(judged: Qrels, needs: Mapping[str, Need], shared: set[str]) -> Qrels:
    """Return the judgements of stored needs and of labs that both generations have, where one of these is relevant."""
    kept = {
        need_id: {lab: grade for lab, grade in grades.items() if lab in shared}
        for need_id, grades in judged.items()
        if need_id in needs
    }
    return {need_id: grades for need_id, grades in kept.items() if any(grade > 0 for grade in grades.values())}


def _accepted(session: Session, needs: Mapping[str, Need], shared: set[str]) -> list[tuple[str, str]]:
    """Return the pairings that experts accepted last and did not take back, the newest first."""
    query = (
        select(StoredPairing.need_id, StoredPairing.lab_id)
        .join(Decision, col(Decision.pairing_id) == col(StoredPairing.id))
        .where(StoredPairing.state == PairingState.ACCEPTED.value, Decision.verdict == Verdict.ACCEPT.value)
        .order_by(col(Decision.id).desc())
        .limit(NEWEST_ACCEPTED)
    )
    found = dict.fromkeys((need_id, lab_id) for need_id, lab_id in session.execute(query).all())
    return [(need_id, lab_id) for need_id, lab_id in found if need_id in needs and lab_id in shared]


def _by_judgements(judged: Qrels, before: Ranks, now: Ranks, canaries: Sequence[str]) -> Comparison:
    values = [measure(judged, _as_run(ranks), [MEASURE])[MEASURE] for ranks in (before, now)]
    needs = sorted(judged)
    old, new = (np.array([one[need_id] for need_id in needs]) for one in values)
    differences = dict(sorted(zip(needs, (new - old).tolist(), strict=True), key=lambda item: (item[1], item[0])))
    known = _known_good(judged, before, canaries)
    lost, looked_at = _lost(known, before, now, CANARY_DEPTH)
    return Comparison(
        "judgements",
        needs=len(needs),
        before=float(old.mean()),
        now=float(new.mean()),
        upper=upper_end(new - old) if len(needs) >= FEWEST_NEEDS else None,
        differences=differences,
        canaries=looked_at,
        lost=lost,
    )


def upper_end(differences: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Return the upper end of the one-sided 95 % interval of a mean, by a bootstrap over needs; always the same."""
    chance = np.random.default_rng(SEED)
    picks = chance.integers(0, len(differences), size=(BOOTSTRAP_SAMPLES, len(differences)))
    return float(np.percentile(differences[picks].mean(axis=1), 95))


def _as_run(ranks: Ranks) -> dict[str, dict[str, float]]:
    return {need_id: {lab: -float(rank) for rank, lab in enumerate(labs)} for need_id, labs in ranks.items()}


def _known_good(judged: Qrels, before: Ranks, configured: Sequence[str]) -> list[tuple[str, str]]:
    """Return for each canary its good lab, see the rule."""
    known = []
    for need_id in configured or sorted(judged):
        grades = judged.get(need_id, {})
        good = next((lab for lab in before.get(need_id, ()) if grades.get(lab, 0) > 0), None)
        if good is None:
            continue
        is_first = before[need_id][0] == good and grades[good] == max(grades.values())
        if configured or is_first:
            known.append((need_id, good))
    return known


def _lost(known: Sequence[tuple[str, str]], before: Ranks, now: Ranks, depth: int) -> tuple[list[Lost], int]:
    """Return those that fall out of the first `depth`, and how many were among them before."""
    lost, looked_at = [], 0
    for need_id, lab_id in known:
        was, is_ = _rank(before, need_id, lab_id), _rank(now, need_id, lab_id)
        if was is None or was > depth:
            continue
        looked_at += 1
        if is_ is None or is_ > depth:
            lost.append(Lost(need_id, lab_id, was, is_, depth))
    return lost, looked_at


def _rank(ranks: Ranks, need_id: str, lab_id: str) -> int | None:
    labs = ranks.get(need_id, [])
    return labs.index(lab_id) + 1 if lab_id in labs else None
