"""From the decisions of a home to a challenger, and from a challenger that has earned it to the ranker in use.

In: decisions, grades, and the name of who wants a ranker to be used. Out: a file for each challenger, with what it was
learned from and how it compared; its promotion or the sentences that refuse it; any earlier ranker again. It exists so
that whoever learns, the office or the night, does the same, and so that nothing takes the place of the ranker in use
but a person's word after the gate (`matcher.judging.champion.challenger`) opened. There is no way around the gate.

A challenger's file has the weights that were measured: those learned on the earlier needs, not others learned on all
afterwards. When it is to be promoted it is measured again, against the ranker that is in use by then, on all needs
since the moment up to which it learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import Session

from indexer.index.generations import SnapshotError
from indexer.instants import day_in_taipei
from indexer.settings import Settings
from indexer.wording import T_, joined
from matcher.judging.champion.challenger import GateOutcome, carried_over, compared, learned_weights, limit_of, parted
from matcher.judging.champion.decisions import (
    Lesson,
    Taught,
    fading_of,
    graded_lessons,
    judged_grades,
    summary,
    taught,
    with_grades,
)
from matcher.judging.champion.remembering import (
    NOTHING_KNOWN,
    Known,
    Scores,
    by_weights,
    learned_history,
    with_history,
)
from matcher.judging.measures import SEED, read_qrels
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import WeightsError
from matcher.ranking.rankers import (
    content_of,
    default_ranker,
    ranker_named,
    store,
    stored_rankers,
    version_in_use,
    versions_once_used,
)

NEW_DECISIONS = 50
"""So many decisions more than the last challenger knew are worth another one at night."""


class PromotionError(ValueError):
    """A ranker may not be promoted; the message says why."""


@dataclass(frozen=True)
class Learned:
    """What learning came to: the challenger's version, None if nothing was learned; `problems` of a grades file."""

    version: str | None
    champion: str
    learned_from: Mapping[str, Any]
    verdict: GateOutcome
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A ranker that can be used, the release's first; `problem` says why one can't."""

    version: str
    in_use: bool
    decisions: int
    grades: int
    until: str | None
    comparison: Mapping[str, Any]
    problem: str | None = None


def champion_version(settings: Settings) -> str:
    """Return the version of the ranker in use, without what the settings weigh.

    Raises:
        WeightsError: the note of what is in use can't be read.
    """
    return version_in_use(settings) or default_ranker().version


def learn(
    session: Session, settings: Settings, *, qrels: Path | None = None, by: str | None = None, seed: int = SEED
) -> Learned:
    """Learn a challenger from all decisions and grades, compare it, and keep it; nothing is promoted.

    Args:
        session: to read from.
        settings: name the home.
        qrels: a file of grades to learn from as well.
        by: whose account asks for it; None for a command or the night.
        seed: draws the samples of the intervals.

    Raises:
        EvaluationError: the file of grades has no usable line.
        SnapshotError: there are grades, and no index to compute what they are grades of.
        WeightsError: the ranker in use is missing or damaged.
        OSError: the disk is full or not writable.
    """
    found, problems = _read(session, settings, qrels)
    limit = limit_of(found.lessons)
    earlier, later = parted(found.lessons, limit)
    default, champion = default_ranker(), champion_version(settings)
    fading = fading_of(earlier)
    known = _known(session, settings, found.lessons)
    weights = learned_weights(earlier, default, fading)
    history = learned_history(earlier, known, by_weights(weights))
    scores = with_history(by_weights(weights), history, known)
    verdict = compared(_scores(settings, champion, known), scores, later, fading, seed)
    learned_from = {
        **summary(found),
        "learned_until": None if limit is None else limit.isoformat(),
        "verdicts_learned_from": sum(int(one.told.sum()) for one in earlier),
        "fading_by_rank": round(fading, 4),
        "seed": seed,
        "by": by,
        "blended_with": default.version,
    }
    if history is None and np.array_equal(weights, default.weights):
        return Learned(None, champion, learned_from, verdict, problems)
    content = {
        **carried_over(default, weights, earlier, scores),
        **({} if history is None else {"history": history.as_dict()}),
        "fitted_by": "gloria learn",
        "learned_from": learned_from,
        "compared_with": champion,
        "comparison": verdict.as_dict(),
    }
    moments = [one.at for one in found.lessons if one.at is not None]
    day = day_in_taipei(max(moments)).isoformat() if moments else default.version[:10]
    return Learned(store(settings, content, day), champion, learned_from, verdict, problems)


def is_worth_learning(session: Session, settings: Settings) -> bool:
    """Whether there are enough decisions that the last challenger did not know."""
    known = [one.content["learned_from"]["decisions"] for one in stored_rankers(settings) if one.problem is None]
    return taught(session, settings).decisions >= max(known, default=0) + NEW_DECISIONS


def check_promotion(session: Session, settings: Settings, version: str) -> GateOutcome:
    """Return how a challenger compares, if it may take the place of the ranker in use (`rankers.put_in_use`).

    Args:
        session: to read decisions from.
        settings: name the home.
        version: of the challenger.

    Raises:
        PromotionError: it is not surely better on needs that it did not learn from, or in use already.
        WeightsError: there is no such ranker, or it is damaged.
    """
    champion = champion_version(settings)
    if version == champion:
        raise PromotionError(T_("%(version)s is in use already", version=version))
    if version == default_ranker().version:
        raise PromotionError(T_("that is the ranker of this release; use --restore %(version)s", version=version))
    until = content_of(settings, version)["learned_from"]["learned_until"]
    found = _with_judged(session, settings, taught(session, settings))
    limit = None if until is None else datetime.fromisoformat(until)
    earlier, later = parted(found.lessons, limit)
    known = _known(session, settings, later)
    mine, theirs = (_scores(settings, one, known) for one in (champion, version))
    verdict = compared(mine, theirs, later, fading_of(earlier))
    if not verdict.passed:
        raise PromotionError(
            T_("%(version)s is not promoted: %(reasons)s", version=version, reasons=joined("; ", verdict.reasons))
        )
    return verdict


def check_return(settings: Settings, version: str) -> None:
    """Refuse to bring back a ranker that was never in use: nothing is measured for the others.

    Raises:
        PromotionError: it has to pass the gate first.
        WeightsError: there is no such ranker, or it is damaged.
    """
    ranker_named(settings, version)
    if version != default_ranker().version and version not in versions_once_used(settings):
        raise PromotionError(T_("%(version)s was never in use; it has to be promoted", version=version))


def listing(settings: Settings) -> list[Listed]:
    """Return all rankers that there are."""
    default = default_ranker().version
    try:
        champion = champion_version(settings)
    except WeightsError:
        champion = ""
    rows = [Listed(default, default == champion, 0, 0, None, {})]
    for one in stored_rankers(settings):
        if one.problem is not None:
            rows.append(Listed(one.version, one.version == champion, 0, 0, None, {}, one.problem))
            continue
        of = one.content["learned_from"]
        rows.append(
            Listed(
                one.version,
                one.version == champion,
                of["decisions"],
                of["grades"],
                of["until"],
                one.content["comparison"],
            )
        )
    return rows


def _scores(settings: Settings, version: str, known: Known) -> Scores:
    """Return a ranker's scores as the home uses them."""
    ranker = ranker_named(settings, version).with_depth(settings.depth)
    return with_history(by_weights(np.array(ranker.weights)), ranker.history, known)


def _known(session: Session, settings: Settings, lessons: Sequence[Lesson]) -> Known:
    """Return what is known of the needs and labs of lessons; nothing where there is no index to ask."""
    try:
        matcher = Matcher.load(session, settings)
    except SnapshotError:
        return NOTHING_KNOWN
    wanted = {lesson.need for lesson in lessons} & matcher.needs.keys()
    traces = matcher.traces([matcher.needs[need] for need in sorted(wanted)])
    schools = {lab: matcher.labs[lab].school or "" for lab in matcher.snapshot.lab_ids if lab in matcher.labs}
    return Known({trace.need: trace for trace in traces}, schools)


def _read(session: Session, settings: Settings, qrels: Path | None) -> tuple[Taught, tuple[str, ...]]:
    found = _with_judged(session, settings, taught(session, settings))
    if qrels is None:
        return found, ()
    judged, problems = read_qrels(qrels)
    return with_grades(found, graded_lessons(Matcher.load(session, settings), judged)), tuple(problems)


def _with_judged(session: Session, settings: Settings, found: Taught) -> Taught:
    """Add the grades of judging sessions; the index is opened only if there are some."""
    judged = judged_grades(session)
    if not judged:
        return found
    matcher = Matcher.load(session, settings)
    lessons: list[Lesson] = []
    for grades, at, people in judged:
        lessons += graded_lessons(matcher, grades, at, people)
    return with_grades(found, lessons)
