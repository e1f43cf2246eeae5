"""Candidates → features → ranking → explanation: everything between an index and an answer.

The functions here are the package's documented surface for notebooks and other
programs; the command line calls the same code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from indexer.wording import add_catalogues

if TYPE_CHECKING:
    from indexer.settings import Settings
    from matcher.judging.evaluation import Evaluation
    from matcher.ranking.pairings import LabMatch, MatchResult

__all__ = ["evaluate", "match", "match_lab"]

add_catalogues(Path(__file__).parent / "locale")


def match(need_id: str, settings: Settings, *, top: int = 10) -> MatchResult:
    """Return the `top` labs for a need, ranked and explained; for many needs open a `Matcher` once.

    Raises:
        UnknownRecordError: there is no such need.
        SnapshotError: there is no usable index.
    """
    from matcher.ranking.pairings import Matcher

    matcher = Matcher.open(settings)
    return matcher.match(matcher.need(need_id), top=top)


def match_lab(lab_id: str, settings: Settings, *, top: int = 10) -> list[LabMatch]:
    """Return the `top` needs that a lab should hear of; raises as `match` does."""
    from matcher.ranking.pairings import Matcher

    matcher = Matcher.open(settings)
    return matcher.match_lab(lab_id, list(matcher.needs.values()), top=top)


def evaluate(
    qrels: Path | str, settings: Settings, *, train: Path | str | None = None, baselines: bool = True
) -> Evaluation:
    """Measure the ranking of every need in the home against TREC judgements.

    Args:
        qrels: the judgements.
        settings: name the home.
        train: other judgements to learn from; then `Evaluation.grades` says how well those of `qrels` are foretold.
        baselines: whether to measure the plain systems too.

    Raises:
        EvaluationError: the file has no usable line.
        SnapshotError: there is no usable index.
    """
    from matcher.judging.evaluation import evaluate_home

    return evaluate_home(settings, Path(qrels), train=None if train is None else Path(train), baselines=baselines)
