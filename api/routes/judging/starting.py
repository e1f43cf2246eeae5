"""Beginning a session of judging: for which needs two people may be asked, what they get to grade, storing it.

In: judges, needs that are named or how many to draw, rankings, a matcher. Out: a stored session, and what was left out
of it. It exists because the server and the command line begin sessions alike, and because nobody learns of a need
by being asked to judge: every need of a session is one that both judges read anyway, in whose company and labs
neither has declared an interest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from sqlalchemy import and_
from sqlmodel import Session, col, select

from api.access.visibility import gradable
from indexer.records.profiles import Need
from indexer.records.record_tables import Lab, load_needs
from indexer.records.record_tables import Need as NeedRow
from indexer.wording import T_
from matcher.judging.measures import Run
from matcher.judging.panel.grades import JUDGES, Judging, PooledPair, PoolError, start
from matcher.judging.panel.pool import RANKERS, our_runs, pooled
from matcher.ranking.pairings import Matcher
from matcher.review.people import Principal, principal
from matcher.review.roles import STAFF

SEED = 106
DEPTH = 10
_IDS_AT_ONCE = 500


@dataclass(frozen=True)
class Wanted:
    """What is to be judged. Exactly one of `needs` and `count` is given; `runs` are rankings of others by name."""

    judges: Sequence[str]
    needs: Sequence[str] | None = None
    count: int | None = None
    depth: int = DEPTH
    rankers: Sequence[str] = RANKERS
    runs: Mapping[str, Run] = field(default_factory=dict)
    seed: int = SEED
    name: str = ""


@dataclass(frozen=True)
class Pool:
    """What two people are to grade, and what it rests on; `problems` says what was left out."""

    pairs: Sequence[PooledPair]
    rankers: Sequence[str]
    generation: str
    ranker_version: str
    problems: Sequence[str]


def judge_of(session: Session, account_id: str, field_name: str) -> Principal:
    """Return somebody who may judge.

    Raises:
        PoolError: there is no such account in use, or it is no expert's or lead's.
    """
    who = principal(session, account_id)
    if who is None or not who.holds(*STAFF):
        raise PoolError(T_("name an account in use of an expert or a lead"), field_name)
    return who


def chosen_needs(session: Session, wanted: Wanted) -> list[Need]:
    """Return the needs of a session: those named, or as many as wanted drawn from all that both judges may grade.

    Raises:
        PoolError: a judge can't be one, a need is not for both, or there are too few.
    """
    if len(set(wanted.judges)) != JUDGES:
        raise PoolError(T_("a session has two judges, two different people"), "judges")
    if (wanted.needs is None) == (wanted.count is None) or not (wanted.needs or wanted.count):
        raise PoolError(T_("name the needs, or say how many to draw"), "needs")
    both = and_(*(gradable(judge_of(session, one, "judges")) for one in wanted.judges))
    if wanted.needs is None:
        every = sorted(session.exec(select(NeedRow.id).where(both)).all())
        if len(every) < (wanted.count or 0):
            raise PoolError(T_("both judges may read %(most)s needs only; draw fewer", most=len(every)), "count")
        places = np.random.default_rng(wanted.seed).choice(len(every), size=wanted.count or 0, replace=False)
        return load_needs(session, [every[place] for place in sorted(places.tolist())])
    needs = list(dict.fromkeys(wanted.needs))
    known: set[str] = set()
    for begin in range(0, len(needs), _IDS_AT_ONCE):
        some = col(NeedRow.id).in_(needs[begin : begin + _IDS_AT_ONCE])
        known.update(session.exec(select(NeedRow.id).where(some, both)).all())
    for number, need_id in enumerate(needs, start=1):
        if need_id not in known:
            raise PoolError(T_("there is no such need that both judges may read"), f"needs[{number}]")
    return load_needs(session, needs)


def pool_for(matcher: Matcher, needs: Sequence[Need], wanted: Wanted) -> Pool:
    """Rank and pool; this takes as long as evaluating with the baselines does, and no database.

    Raises:
        PoolError: a ranking is not known, or the pool is empty or too large.
    """
    named = [*wanted.rankers, *wanted.runs]
    if len(set(named)) != len(named) or not named:
        raise PoolError(T_("give at least one ranking, and each a name of its own"), "rankers")
    runs = our_runs(matcher, needs, rankers=wanted.rankers, depth=wanted.depth) | dict(wanted.runs)
    ids = [need.id for need in needs]
    pairs, problems = pooled(runs, ids, depth=wanted.depth, seed=wanted.seed, labs=matcher.labs)
    return Pool(pairs, named, matcher.snapshot.generation, matcher.ranker.version, problems)


def begun(session: Session, wanted: Wanted, pool: Pool, *, by: str | None, now: datetime) -> Judging:
    """Store a session, if its judges may still judge all of it.

    Raises:
        PoolError: a need is no longer for both, a lab is gone, or a judge has an interest in one.
    """
    needs = sorted({one.need_id for one in pool.pairs})
    chosen_needs(session, Wanted(judges=wanted.judges, needs=needs))
    labs = sorted({one.lab_id for one in pool.pairs})
    judges = [judge_of(session, one, "judges") for one in wanted.judges]
    if any(("lab", lab_id) in judge.stakes for judge in judges for lab_id in labs):
        raise PoolError(T_("a judge has declared an interest in a lab of the pool; choose another judge"), "judges")
    stored: set[str] = set()
    for begin in range(0, len(labs), _IDS_AT_ONCE):
        stored.update(session.exec(select(Lab.id).where(col(Lab.id).in_(labs[begin : begin + _IDS_AT_ONCE]))).all())
    return start(
        session,
        name=wanted.name,
        pairs=[one for one in pool.pairs if one.lab_id in stored],
        judges=wanted.judges,
        depth=wanted.depth,
        seed=wanted.seed,
        rankers=pool.rankers,
        generation=pool.generation,
        ranker_version=pool.ranker_version,
        by=by,
        now=now,
    )
