"""A run and judgements in, the value of each measure out, with intervals for differences.

In: grades and scores by need and lab. Out: each measure per need as
`ir-measures` computes it, and paired-bootstrap intervals. It exists so that
every figure of the product is computed in one place by a known library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.wording import T_
from matcher.judgements import EvaluationError
from matcher.run import Run

if TYPE_CHECKING:
    from ir_measures import Measure

MEASURES = ("nDCG@10", "RR", "R@10", "R@100", "P@5")
BOOTSTRAP_SAMPLES = 10_000
SEED = 106


@dataclass(frozen=True)
class Interval:
    """Mean of a difference with the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float


def parsed_measures(names: Sequence[str]) -> dict[str, Measure]:
    """Return measures by the name they were asked for.

    Raises:
        EvaluationError: there is none, or a name is not one of `ir-measures`.
    """
    import ir_measures

    found: dict[str, Measure] = {}
    for name in names:
        try:
            found[name] = ir_measures.parse_measure(name)
        except (ValueError, NameError, SyntaxError, TypeError) as error:
            raise EvaluationError(
                T_("unknown measure %(name)r; known are such as %(measures)s", name=name, measures=", ".join(MEASURES))
            ) from error
    if not found:
        raise EvaluationError(T_("no measure is named; give such as %(measures)s", measures=",".join(MEASURES)))
    return found


def measure(judged: Mapping[str, Mapping[str, int]], run: Run, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return each measure's value for each judged need; a need that the run lacks has 0.

    Args:
        judged: grades by need and lab; needs without a relevant lab are left out.
        run: scores by need and lab.
        names: measures as `ir-measures` writes them.
    """
    import ir_measures

    wanted = parsed_measures(names)
    needs = {need: dict(grades) for need, grades in judged.items() if any(grade > 0 for grade in grades.values())}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(sorted(needs), 0.0) for name in wanted}
    by_measure = {str(parsed): name for name, parsed in wanted.items()}
    for metric in ir_measures.iter_calc(list(wanted.values()), needs, run):
        values[by_measure[str(metric.measure)]][metric.query_id] = float(metric.value)
    return values


def paired_bootstrap(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> Interval:
    """Return the mean of ours − theirs over needs, with the percentile 95 % interval of a paired bootstrap.

    The seed is fixed: the same input gives the same interval.
    """
    difference = ours - theirs
    chance = np.random.default_rng(SEED)
    picks = chance.integers(0, len(difference), size=(BOOTSTRAP_SAMPLES, len(difference)))
    low, high = np.percentile(difference[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(difference.mean()), float(low), float(high))
